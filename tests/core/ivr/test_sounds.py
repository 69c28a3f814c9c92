from __future__ import annotations

from struct import pack

import pytest

from cti.core.ivr.sounds import fault, seconds


def how(coding: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16) -> bytes:
    return b"fmt " + pack("<IHHIIHH", 16, coding, channels, rate, 0, 0, bits)


FORMAT = how()
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
        riff(how(7, 2, 44_100, 8), DATA),
        riff(how(0xFFFE, 8, 768_000, 24), DATA),
    ],
)
def test_a_sound(content: bytes) -> None:
    assert fault(content) == ""


@pytest.mark.parametrize(("content", "lasts"), [
    (riff(FORMAT, DATA), 2 / 8000), (riff(FORMAT, b"data" + pack("<I", 32_000) + bytes(32_000)), 2.0),
    (riff(how(7, 2, 44_100, 8), b"data" + pack("<I", 88_200) + bytes(88_200)), 1.0),
])  # fmt: skip
def test_how_long_it_lasts(content: bytes, lasts: float) -> None:
    assert seconds(content) == lasts


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"not a sound at all", riff(), riff(DATA), riff(FORMAT), riff(b"fmt " + pack("<I", 2) + b"ab", DATA),
     riff(FORMAT, b"data" + pack("<I", 4)), riff(FORMAT, b"data" + pack("<I", 0))],
)  # fmt: skip
def test_no_sound(content: bytes) -> None:
    assert fault(content)


@pytest.mark.parametrize(("written", "said"), [
    (how(0x55), "coding that cannot be played (85, 16 bits)"), (how(bits=0), "(1, 0 bits)"),
    (how(bits=7), "(1, 7 bits)"),
    (how(channels=0), "0 channels"), (how(channels=65_535), "65535 channels"),
    (how(rate=0), "0 samples a second"), (how(rate=1), "1 samples a second"), (how(rate=2**31), "2147483648 samples"),
])  # fmt: skip
def test_a_sound_that_cannot_be_played(written: bytes, said: str) -> None:
    assert said in fault(riff(written, DATA))
