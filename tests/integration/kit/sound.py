"""Tones made and recognised, so that a test can say who is heard where."""

from __future__ import annotations

import math
import struct
import wave
from functools import cache
from pathlib import Path

RATE = 8000


def _encode(sample: int) -> int:
    """One 16-bit sample as u-law."""
    sign = 0x80 if sample < 0 else 0
    value = min(abs(sample), 32635) + 132
    exponent = value.bit_length() - 8
    return ~(sign | exponent << 4 | (value >> (exponent + 3)) & 0x0F) & 0xFF


def _decode(byte: int) -> int:
    byte = ~byte & 0xFF
    value = (((byte & 0x0F) << 3) + 132 << (byte >> 4 & 7)) - 132
    return -value if byte & 0x80 else value


_LINEAR = [_decode(byte) for byte in range(256)]


@cache
def tone(hz: int, seconds: float = 1.0) -> bytes:
    """A sine as u-law, 8 kHz, whole waves, so that it loops without a click."""
    count = int(RATE * seconds)
    return bytes(_encode(int(9000 * math.sin(2 * math.pi * hz * n / RATE))) for n in range(count))


def power(samples: list[int], hz: float) -> float:
    """Mean amplitude of one frequency in linear samples (Goertzel); 0 when there are none."""
    if not samples:
        return 0.0
    k = 2 * math.cos(2 * math.pi * hz / RATE)
    a = b = 0.0
    for sample in samples:
        a, b = sample + k * a - b, a
    return math.sqrt(max(a * a + b * b - k * a * b, 0.0)) / len(samples)


def linear(sound: bytes) -> list[int]:
    """Samples of u-law bytes."""
    return [_LINEAR[byte] for byte in sound]


def loudest(sound: bytes | list[int], choices: tuple[int, ...] = (440, 660, 880)) -> int:
    """Which of the tones dominates u-law bytes or linear samples; 0 when none is really there.

    Listens to the last two seconds."""
    samples = linear(sound[-2 * RATE :]) if isinstance(sound, bytes) else sound[-2 * RATE :]
    strength = {hz: power(samples, hz) for hz in choices}
    best = max(choices, key=strength.__getitem__)
    others = max((strength[hz] for hz in choices if hz != best), default=0.0)
    return best if strength[best] > 300 and strength[best] > 4 * others else 0


def wav_tones(path: str | Path, choices: tuple[int, ...] = (440, 660, 880)) -> tuple[int, ...]:
    """The dominant tone of each channel of a 16-bit PCM wav, from its middle two seconds."""
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2, "16-bit PCM expected"
        assert file.getframerate() == RATE, "8 kHz expected"
        count, channels = file.getnframes(), file.getnchannels()
        take = min(count, 2 * RATE)
        file.setpos((count - take) // 2)
        data = file.readframes(take)
    samples = struct.unpack(f"<{len(data) // 2}h", data)
    return tuple(loudest(list(samples[c::channels]), choices) for c in range(channels))
