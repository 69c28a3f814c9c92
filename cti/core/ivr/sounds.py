"""Recorded prompts: what a file must be to be played."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from struct import Struct

MAX_SOUND = 20 * 1024 * 1024  # bytes of a recorded prompt
HEAD = Struct("<4sI4s")
CHUNK = Struct("<4sI")
MAX_CHUNKS = 1_000
FORMAT = Struct("<HHIIHH")  # coding, channels, samples a second, bytes a second, bytes a sample of all, bits a sample
CODINGS = {1: (8, 16, 24, 32), 3: (32, 64), 6: (8,), 7: (8,), 0xFFFE: (8, 16, 24, 32, 64)}  # PCM, float, A-law, u-law
MOST_CHANNELS = 8
RATES = (4_000, 768_000)


def seconds(content: bytes) -> float:
    """How long a sound without a fault lasts."""
    chunks = {name: (at, length) for name, at, length in islice(_chunks(content), MAX_CHUNKS)}
    _, channels, rate, _, _, bits = FORMAT.unpack_from(content, chunks[b"fmt "][0])
    return float(chunks[b"data"][1] * 8 / (rate * channels * bits))


def fault(content: bytes) -> str:
    """Why this is no sound file that could be heard; else empty."""
    if len(content) < HEAD.size or HEAD.unpack_from(content)[::2] != (b"RIFF", b"WAVE"):
        return "not a WAV file"
    chunks = {name: (at, length) for name, at, length in islice(_chunks(content), MAX_CHUNKS)}
    at, length = chunks.get(b"fmt ", (0, 0))
    if length < FORMAT.size:
        return "not a WAV file: it does not say how it was recorded"
    if not chunks.get(b"data", (0, 0))[1]:
        return "a WAV file without a sound in it"
    return _unplayable(*FORMAT.unpack_from(content, at))


def _unplayable(coding: int, channels: int, rate: int, _bytes: int, _block: int, bits: int) -> str:
    if bits not in CODINGS.get(coding, ()):
        return f"a WAV file in a coding that cannot be played ({coding}, {bits} bits)"
    if not 1 <= channels <= MOST_CHANNELS:
        return f"a WAV file with {channels} channels"
    if not RATES[0] <= rate <= RATES[1]:
        return f"a WAV file with {rate} samples a second"
    return ""


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, where it begins, bytes that are there) of each chunk."""
    at = HEAD.size
    while at + CHUNK.size <= len(content):
        name, length = CHUNK.unpack_from(content, at)
        at += CHUNK.size
        yield name, at, min(length, len(content) - at)
        at += length + length % 2
