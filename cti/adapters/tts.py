"""The voice: text to a sound file. 8 kHz, mono, 16 bit, as Asterisk plays it.

The voice is espeak-ng, or the program of `[tts] command`, which reads the text on its standard input and writes a
sound file to its standard output; in its arguments {language} is the language to speak. sox brings it into shape.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import unicodedata
import uuid
from pathlib import Path
from typing import BinaryIO

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


class Voice:
    """`name` changes with the voice: what another one has said is not used any more."""

    def __init__(self, command: str = "") -> None:
        self._command = tuple(shlex.split(command))
        self.name = f"command {command}" if self._command else "espeak-1"

    async def speak(self, text: str, language: str, out: Path) -> None:
        """Write `text` as the wav file `out`, all at once. Raises Unspeakable."""
        words = clean(text) or "…"  # of nothing the voice makes no file, of this a short silence
        made = out.with_name(f".{out.stem}.{uuid.uuid4().hex}.wav")
        spoken = made.with_suffix(".voice.wav")
        try:
            await (self._run if self._command else _espeak)(words, language, spoken)
            await run("sox", str(spoken), *PLAIN, str(made), *LEVEL, "pad", "0.05", "0.15")
            await asyncio.to_thread(os.replace, made, out)
        finally:
            made.unlink(missing_ok=True)
            spoken.unlink(missing_ok=True)

    async def _run(self, words: str, language: str, spoken: Path) -> None:
        program, *args = (word.replace("{language}", language) for word in self._command)
        with spoken.open("wb") as sound:
            await run(program, *args, feed=words, out=sound)


async def _espeak(words: str, language: str, spoken: Path) -> None:
    speed = str(WORDS_A_MINUTE.get(language.split("-")[0], 155))
    try:
        await run("espeak-ng", "-v", voice_of(language), "-s", speed, "--stdin", "-w", str(spoken), feed=words)
    except Unspeakable as error:
        if "voice does not exist" not in str(error):
            raise
        what = f"espeak-ng does not speak `{language}`; [tts] command in cti.toml names another voice"
        raise Unspeakable(what) from error


async def speak(text: str, language: str, out: Path) -> None:
    """With the voice that is always there."""
    await Voice().speak(text, language, out)


async def convert(sound: Path, out: Path) -> None:
    """Write a recorded prompt (absolute path) of any rate as 8 kHz mono, all at once. Raises Unspeakable."""
    made = out.with_name(f".{out.stem}.{uuid.uuid4().hex}.wav")
    try:
        await run("sox", str(sound), *PLAIN, str(made), "gain", "-h")
        await asyncio.to_thread(os.replace, made, out)
    finally:
        made.unlink(missing_ok=True)


async def run(program: str, *args: str, feed: str = "", out: BinaryIO | None = None) -> None:
    """Run a program to its end, what it prints into `out`; raises Unspeakable when it is missing, fails or takes
    longer than TIMEOUT."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            program, *args, stdin=pipe, stdout=out or asyncio.subprocess.DEVNULL, stderr=pipe
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
