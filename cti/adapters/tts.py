"""The offline voice: text to a sound file, with espeak-ng and sox. 8 kHz, mono, 16 bit, as Asterisk plays it."""

from __future__ import annotations

import asyncio
import os
import unicodedata
import uuid
from pathlib import Path

from cti.errors import Unavailable

VOICES = {"en": "en-us", "zh": "cmn-latn-pinyin", "id": "id"}  # others: espeak-ng's own name for them
WORDS_A_MINUTE = {"en": 155, "zh": 150, "id": 150}
MAX_TEXT = 2_000  # characters spoken
TIMEOUT = 10.0  # s for one program

PLAIN = ("-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer")
LEVEL = ("gain", "-n", "-4")  # the loudest sample at -4 dB


class Unspeakable(Unavailable):
    """The voice could not say it: a program is missing, failed or took too long."""

    code = "unspeakable"


def voice_of(language: str) -> str:
    base = language.split("-")[0]
    return VOICES.get(base, base)


def clean(text: str) -> str:
    """What is spoken: no control characters, no phoneme codes, at most MAX_TEXT characters."""
    shown = "".join(" " if unicodedata.category(char).startswith("C") else char for char in text[:MAX_TEXT])
    return " ".join(shown.replace("[[", "[ ").split())


async def speak(text: str, language: str, out: Path) -> None:
    """Write `text` as the wav file `out`, all at once. Raises Unspeakable."""
    words = clean(text) or "…"  # of nothing the voice makes no file, of this a short silence
    speed = str(WORDS_A_MINUTE.get(language.split("-")[0], 155))
    made = out.with_name(f".{out.stem}.{uuid.uuid4().hex}.wav")
    spoken = made.with_suffix(".voice.wav")
    try:
        await run("espeak-ng", "-v", voice_of(language), "-s", speed, "--stdin", "-w", str(spoken), feed=words)
        await run("sox", str(spoken), *PLAIN, str(made), *LEVEL, "pad", "0.05", "0.15")
        await asyncio.to_thread(os.replace, made, out)
    finally:
        made.unlink(missing_ok=True)
        spoken.unlink(missing_ok=True)


async def convert(sound: Path, out: Path) -> None:
    """Write a recorded prompt (absolute path) of any rate as 8 kHz mono, all at once. Raises Unspeakable."""
    made = out.with_name(f".{out.stem}.{uuid.uuid4().hex}.wav")
    try:
        await run("sox", str(sound), *PLAIN, str(made), "gain", "-h")
        await asyncio.to_thread(os.replace, made, out)
    finally:
        made.unlink(missing_ok=True)


async def run(program: str, *args: str, feed: str = "") -> None:
    """Run a program to its end; raises Unspeakable when it is missing, fails or takes longer than TIMEOUT."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            program, *args, stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
        )
    except OSError as error:
        raise Unspeakable(f"{program} cannot be started: {error.strerror}") from error
    try:
        _, said = await asyncio.wait_for(process.communicate(feed.encode()), TIMEOUT)
    except TimeoutError as error:
        raise Unspeakable(f"{program} took longer than {TIMEOUT:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Unspeakable(f"{program} failed: {said.decode(errors='replace').strip()[:200]}")
