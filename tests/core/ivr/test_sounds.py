from __future__ import annotations

from struct import pack

import pytest

from cti.core.ivr.sounds import fault

FORMAT = b"fmt " + pack("<I", 16) + bytes(16)
DATA = b"data" + pack("<I", 4) + b"\1\0\2\0"


def riff(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return b"RIFF" + pack("<I", 4 + len(body)) + b"WAVE" + body


@pytest.mark.parametrize(
    "content",
    [
        riff(FORMAT, DATA),
        riff(b"LIST" + pack("<I", 3) + b"abc\0", FORMAT, DATA),  # an odd length is filled up
        riff(FORMAT, b"data" + pack("<I", 0xFFFFFFFF) + b"\1\0"),  # written by a program that did not know the length
        riff(FORMAT, DATA, b"id3 " + pack("<I", 99)),
    ],
)
def test_a_sound(content: bytes) -> None:
    assert fault(content) == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"not a sound at all", riff(), riff(DATA), riff(FORMAT), riff(b"fmt " + pack("<I", 2) + b"ab", DATA),
     riff(FORMAT, b"data" + pack("<I", 4)), riff(FORMAT, b"data" + pack("<I", 0))],
)  # fmt: skip
def test_no_sound(content: bytes) -> None:
    assert fault(content)
