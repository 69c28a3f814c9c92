"""Recordings brought to one loudness, so that a recorded prompt and a spoken one sound alike. With sox.

Loudness is the mean power of the parts where somebody speaks (of blocks of 100 ms those above -60 dB, and of these
those within 10 dB of their mean, as EBU R128 gates), in dB of full scale."""

from __future__ import annotations

import asyncio
import math
import sys
import uuid
import wave
from array import array
from pathlib import Path
from typing import NamedTuple

from cti.adapters.tts import PLAIN, Unspeakable, run
from cti.errors import BadInput

LOUDNESS = -22.0  # dB, about that of the offline voice
PEAK = -1.0  # dB that no sample goes over; what would is limited
MOST_GAIN = 40.0  # dB: more would only bring up noise
SHORTEST = 0.1  # s of sound
QUIET = -45.0  # dB: the ends are cut while they are below that,
FAINTER = 25.0  # and in a faint recording while they are that much below its loudness
FULL = 32768.0


class Heard(NamedTuple):
    """`loudness` and `peak` in dB of full scale; -inf: silence."""

    seconds: float
    loudness: float
    peak: float


def measure(file: Path) -> Heard:
    """Of a sound file as Asterisk plays it: 8 kHz, mono, 16 bit. Raises BadInput for any other."""
    try:
        with wave.open(str(file)) as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (8000, 1, 2):
                raise BadInput(f"{file} is not 8 kHz mono 16 bit", "bad_sound")
            samples = array("h", sound.readframes(sound.getnframes()))
    except (OSError, EOFError, wave.Error) as error:
        raise BadInput(f"{file} is no WAV file: {error}", "bad_sound") from error
    if sys.byteorder == "big":
        samples.byteswap()
    powers = [_power(samples[at : at + 800]) for at in range(0, len(samples), 800)]
    spoken = [power for power in powers if _db(power) > -60]
    floor = sum(spoken) / len(spoken) / 10 if spoken else 0.0
    loud = [power for power in spoken if power >= floor]
    peak = max(map(abs, samples), default=0) / FULL
    return Heard(len(samples) / 8000, _db(sum(loud) / len(loud)) if loud else -math.inf, _db(peak * peak))


def _power(samples: array[int]) -> float:
    return sum(one * one for one in samples) / len(samples) / FULL / FULL


def _db(power: float) -> float:
    return 10 * math.log10(power) if power > 0 else -math.inf


async def level(sound: Path, out: Path) -> Heard:
    """Write a recording (absolute path) as `out`: 8 kHz mono 16 bit, without the silence at its ends, at LOUDNESS.

    Raises BadInput for what is no sound or holds none; Unspeakable when sox is missing. `out` is a file of ours."""
    plain = out.with_name(f".{uuid.uuid4().hex}.wav")
    cut = plain.with_suffix(".cut.wav")
    try:
        await _sox(sound, plain, "gain", "-h")
        faint = (await asyncio.to_thread(measure, plain)).loudness - FAINTER
        ends = ("silence", "1", "0.02", f"{max(-80.0, min(QUIET, faint)):.1f}d", "reverse")
        await _sox(plain, cut, *ends, *ends)
        heard = await asyncio.to_thread(measure, cut)
        if heard.seconds < SHORTEST or heard.loudness == -math.inf:
            raise BadInput(f"{sound.name}: nothing is to be heard in it", "silent")
        gain = min(LOUDNESS - heard.loudness, MOST_GAIN)
        limit = ("gain", "-l", f"{gain - PEAK:.2f}", "gain", f"{PEAK:g}")
        loud = limit if heard.peak + gain > PEAK else ("gain", f"{gain:.2f}")
        await _sox(cut, out, *loud, "pad", "0.05", "0.1")
        return await asyncio.to_thread(measure, out)
    finally:
        plain.unlink(missing_ok=True)
        cut.unlink(missing_ok=True)


async def _sox(sound: Path, out: Path, *effects: str) -> None:
    try:
        await run("sox", str(sound), *PLAIN, str(out), *effects)
    except Unspeakable as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise BadInput(f"{sound.name} is no sound file that can be read: {error}", "bad_sound") from error
