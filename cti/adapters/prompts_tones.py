"""The two sounds that nobody speaks, as files beside the prompts: the beep before a recording, and silence."""

from __future__ import annotations

import contextlib
import logging
import math
import uuid
import wave
from array import array
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

RATE = 8000
HERTZ, LENGTH, LEVEL = 1000, 0.25, 8000  # of the beep; seconds, loudest sample
SILENCE = 60.0  # seconds


class Tones(NamedTuple):
    """Absolute paths without `.wav`, as Asterisk wants them; empty when it could not be written."""

    beep: str
    silence: str


def make(sounds: Path) -> Tones:
    """Write them unless they are there."""
    folder = sounds.absolute() / "tones"
    return Tones(_kept(folder / "beep-1.wav", beep()), _kept(folder / "silence-1.wav", bytes(int(SILENCE * RATE) * 2)))


def beep() -> bytes:
    """Samples, fading in and out over 10 ms so that nothing clicks."""
    count, edge = int(LENGTH * RATE), RATE // 100
    step = 2 * math.pi * HERTZ / RATE
    loud = (min(1.0, n / edge, (count - n) / edge) for n in range(count))
    return array("h", (int(LEVEL * part * math.sin(step * n)) for n, part in enumerate(loud))).tobytes()


def _kept(file: Path, samples: bytes) -> str:
    if not file.exists():
        draft = file.with_name(f".{uuid.uuid4().hex}.wav")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(draft), "wb") as sound:
                sound.setparams((1, 2, RATE, 0, "NONE", ""))
                sound.writeframes(samples)
            draft.replace(file)
        except OSError as error:
            log.error("%s cannot be written: %s", file, error.strerror)
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            return ""
    return str(file.with_suffix(""))
