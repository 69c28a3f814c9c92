"""Recorded prompts: one as small as can be, and tones."""

from __future__ import annotations

import io
import wave
from array import array
from math import pi, sin


def wav(samples: bytes = b"\1\0\2\0") -> bytes:
    """The content of a WAV file: 8 kHz, mono, 16 bit."""
    made = io.BytesIO()
    with wave.open(made, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(samples)
    return made.getvalue()


def sine(hz: int, seconds: float) -> bytes:
    """A tone as such a file."""
    return wav(array("h", (int(9000 * sin(2 * pi * hz * n / 8000)) for n in range(int(8000 * seconds)))).tobytes())
