"""What an admin wrote, as plain data with places, and what is wrong with it.

A `Source` is one file as strings, numbers, booleans, None, lists and maps with text keys. `values` says where
each value stands and `keys` where its key stands, by path: ("nodes", "menu", "options", "1").
Readers of a file never raise: they report to a `Reader` and go on, so that all problems are seen at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

Path = tuple[str | int, ...]
Place = tuple[int, int]  # line and column, from 1; (0, 0) is the file as a whole


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing to mend: where (line and column from 1; 0: the whole file), what, and a hint."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return shown(f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else ""))


def shown(text: str) -> str:
    """Text from a file, safe on a terminal and in a log: one line, at most 500 characters."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[:500])


class Source(msgspec.Struct, frozen=True):
    """`data` None: nothing could be read, `problems` say why."""

    file: str
    data: Any
    values: Mapping[Path, Place] = {}
    keys: Mapping[Path, Place] = {}
    problems: tuple[Problem, ...] = ()


Read = Callable[["Reader", Path, Any], Any]


class Reader:
    """Collects the problems of one file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = list(source.problems)

    def place(self, path: Path, of_key: bool = False) -> Place:
        """Where the value (or its key) at `path` stands; the nearest thing around it when it is not there."""
        first, second = self.source.values, self.source.keys
        if of_key:
            first, second = second, first
        for end in range(len(path), -1, -1):
            place = first.get(path[:end]) or second.get(path[:end])
            if place:
                return place
        return (1, 1)

    def wrong(self, path: Path, message: str, hint: str = "", of_key: bool = False) -> None:
        self.problems.append(Problem(self.source.file, *self.place(path, of_key), message, hint))

    def fields(
        self, path: Path, value: Any, known: Mapping[str, Read], what: str, needed: Collection[str] = ()
    ) -> dict[str, Any]:
        """Read a map whose keys are fixed. Unknown, missing and empty keys are problems."""
        found: dict[str, Any] = {}
        for key, inner in a_map(self, path, value, what).items():
            if key not in known:
                self.wrong((*path, key), f"`{key}` is no key of {what}", meant(key, known), of_key=True)
            elif inner is None:
                self.wrong((*path, key), f"`{key}` has no value", of_key=True)
            else:
                found[key] = known[key](self, (*path, key), inner)
        for key in needed:
            if isinstance(value, dict) and key not in value:
                self.wrong(path, f"{what} needs `{key}`", of_key=True)
        return found


def meant(word: str, known: Iterable[str]) -> str:
    """A hint for a name nobody knows: the strange letter in it, else the nearest known names."""
    if odd := odd_letter(word):
        return odd
    options = sorted(known)
    if close := get_close_matches(word, options, n=1, cutoff=0.6):
        odd = odd_letter(close[0])
        return f"one that looks like it is there, but its {odd}" if odd else f"did you mean `{close[0]}`?"
    return f"known: {', '.join(options)}" if 0 < len(options) <= 12 else ""


def odd_letter(word: str) -> str:
    """Names the first character that is not plain ASCII, because it may look just like one; else empty."""
    for position, char in enumerate(word, 1):
        if not (" " < char <= "~"):
            name = unicodedata.name(char, "a character without a name")
            return f"character {position} is {name} (U+{ord(char):04X}), write plain letters a-z"
    return ""


# ---------------------------------------------------------------- readers of values


NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
DURATION = re.compile(r"(\d{1,6})(ms|s|m|h|d)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][A-Za-z]{1,3})?")


def a_map(reader: Reader, path: Path, value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    reader.wrong(path, f"{what} must be a map, `key: value`", "write {} for an empty one" if value is None else "")
    return {}


def a_list(reader: Reader, path: Path, value: Any, what: str) -> list[Any]:
    if isinstance(value, list):
        return value
    reader.wrong(path, f"{what} must be a list, `[...]`")
    return []


def text(reader: Reader, path: Path, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    reader.wrong(path, f"`{path[-1]}` must be text", 'put it in quotes: "..."')
    return ""


def name(reader: Reader, path: Path, value: Any, of_key: bool = False) -> str:
    """A plain name: it becomes part of file names, variables and reports."""
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    hint = (isinstance(value, str) and odd_letter(value)) or "a letter a-z, then letters, digits, - or _, at most 40"
    reader.wrong(path, f"`{str(value)[:60]}` is not a plain name", hint, of_key)
    return ""


def language(reader: Reader, path: Path, value: Any, of_key: bool = False) -> str:
    if isinstance(value, str) and LANGUAGE.fullmatch(value):
        return value
    reader.wrong(path, f"`{str(value)[:60]}` is no language", "like en, zh, id", of_key)
    return ""


def seconds(text: str) -> float | None:
    """`5s`, `500ms`, `2m`, `1h`, `1d` in seconds, or None."""
    found = DURATION.fullmatch(text)
    return int(found[1]) * UNITS[found[2]] if found else None


def duration(low: float, high: float) -> Read:
    """Reads a duration in seconds from `low` to `high`."""

    def read(reader: Reader, path: Path, value: Any) -> float:
        length = seconds(value) if isinstance(value, str) else None
        if length is None:
            reader.wrong(path, f"`{path[-1]}` must be a duration", "like 5s, 2m or 1h")
        elif not low <= length <= high:
            reader.wrong(path, f"`{path[-1]}` must be from {low:g}s to {high:g}s")
        return length or 0.0

    return read


def whole(low: int, high: int) -> Read:
    """Reads a whole number from `low` to `high`."""

    def read(reader: Reader, path: Path, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        reader.wrong(path, f"`{path[-1]}` must be a whole number from {low} to {high}")
        return low

    return read


def one_of(*words: str) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> str:
        if isinstance(value, str) and value in words:
            return value
        reader.wrong(path, f"`{path[-1]}` must be one of {', '.join(words)}", meant(str(value)[:60], words))
        return words[0]

    return read


def flag(reader: Reader, path: Path, value: Any) -> bool:
    if not isinstance(value, bool):
        reader.wrong(path, f"`{path[-1]}` must be true or false")
    return value is True
