"""Recorded prompts: what a file must be to be played."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from struct import Struct

MAX_SOUND = 20 * 1024 * 1024  # bytes of a recorded prompt
HEAD = Struct("<4sI4s")
CHUNK = Struct("<4sI")
MAX_CHUNKS = 1_000
MIN_FORMAT = 16  # bytes of a `fmt ` chunk


def fault(content: bytes) -> str:
    """Why this is no sound file that could be heard; else empty."""
    if len(content) < HEAD.size or HEAD.unpack_from(content)[::2] != (b"RIFF", b"WAVE"):
        return "not a WAV file"
    lengths = dict(islice(_chunks(content), MAX_CHUNKS))
    if lengths.get(b"fmt ", 0) < MIN_FORMAT:
        return "not a WAV file: it does not say how it was recorded"
    return "" if lengths.get(b"data") else "a WAV file without a sound in it"


def _chunks(content: bytes) -> Iterator[tuple[bytes, int]]:
    """(name, bytes that are there) of each chunk."""
    at = HEAD.size
    while at + CHUNK.size <= len(content):
        name, length = CHUNK.unpack_from(content, at)
        at += CHUNK.size
        yield name, min(length, len(content) - at)
        at += length + length % 2
