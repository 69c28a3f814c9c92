"""What is wrong with the files of an admin, in words: a problem, and the hint what was meant."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from difflib import get_close_matches
from heapq import nsmallest

import msgspec

NEAR = 200  # names that a strange one is compared with


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing to mend: where (line and column from 1; 0: the whole file), what, and a hint."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    @property
    def place(self) -> tuple[str, int, int]:
        return self.file, self.line, self.column

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return shown(f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else ""))


class ExpressionError(Exception):
    """This expression may not be used (at load), or came to no value (at run time)."""


def shown(text: str) -> str:
    """Text from a file, safe on a terminal and in a log: one line, at most 500 characters."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[:500])


def meant(word: str, known: Collection[str]) -> str:
    """A hint for a name nobody knows: the strange letter in it, else the nearest known names."""
    if odd := odd_letter(word):
        return odd
    options = sorted(known if len(known) <= NEAR else nsmallest(NEAR, known, key=lambda name: _distance(word, name)))
    if close := get_close_matches(word, options, n=1, cutoff=0.6):
        odd = odd_letter(close[0])
        return f"one that looks like it is there, but its {odd}" if odd else f"did you mean `{close[0]}`?"
    return f"known: {', '.join(options)}" if 0 < len(options) <= 12 else ""


def _distance(word: str, name: str) -> int:
    """How many letters lie between the common beginning and the common end of the longer one."""
    return max(len(word), len(name)) - _alike(word, name) - _alike(word[::-1], name[::-1])


def _alike(one: str, other: str) -> int:
    """The letters at their beginning that are the same."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def odd_letter(word: str) -> str:
    """Names the first character that is not plain ASCII, because it may look just like one; else empty."""
    for position, char in enumerate(word, 1):
        if not (" " < char <= "~"):
            name = unicodedata.name(char, "a character without a name")
            return f"character {position} is {name} (U+{ord(char):04X}), write plain letters a-z"
    return ""
