"""What an admin wrote, as plain data with places, and what is wrong with it.

A `Source` is one file as strings, numbers, booleans, None, lists and maps with text keys. `values` says where
each value stands and `keys` where its key stands, by path: ("nodes", "menu", "options", "1").
Readers of a file never raise: they report to a `Reader` and go on, so that all problems are seen at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from cti.core.ivr.problems import Problem, meant, odd_letter

Path = tuple[str | int, ...]
Place = tuple[int, int]  # line and column, from 1; (0, 0) is the file as a whole
MAX_TOLD = 100  # problems of a file
MAX_HINTS = 20  # what was meant by an unknown name is dear to find


class Source(msgspec.Struct, frozen=True):
    """`data` None: nothing could be read, `problems` say why."""

    file: str
    data: Any
    values: Mapping[Path, Place] = {}
    keys: Mapping[Path, Place] = {}
    problems: tuple[Problem, ...] = ()


Read = Callable[["Reader", Path, Any], Any]


class Reader:
    """Collects the problems of one file, and notes on what is right but not acted on by this version.

    `kept`: the file was published; what can be read of it is served, also when it would be refused today."""

    def __init__(self, source: Source, kept: bool = False) -> None:
        self.source = source
        self.kept = kept
        self.problems: list[Problem] = list(source.problems)
        self.notes: list[Problem] = []
        self.strange: dict[Problem, tuple[str, Collection[str]]] = {}  # the word nobody knows, and the known ones

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

    def useless(self, path: Path, message: str, hint: str = "", of_key: bool = False) -> None:
        """What can be read, and comes to nothing in a call."""
        if not self.kept:
            self.wrong(path, message, hint, of_key)

    def note(self, path: Path, message: str) -> None:
        self.notes.append(Problem(self.source.file, *self.place(path, of_key=True), message))

    def unknown(self, path: Path, message: str, word: str, known: Collection[str], of_key: bool = False) -> None:
        """A name that is not one of `known`. What was meant is looked for only when the problem is told."""
        self.wrong(path, message, of_key=of_key)
        self.strange[self.problems[-1]] = word, known

    def fields(
        self, path: Path, value: Any, known: Mapping[str, Read], what: str, needed: Collection[str] = ()
    ) -> dict[str, Any]:
        """Read a map whose keys are fixed. Unknown, missing and empty keys are problems."""
        found: dict[str, Any] = {}
        for key, inner in a_map(self, path, value, what).items():
            if key not in known:
                self.unknown((*path, key), f"`{key[:60]}` is no key of {what}", key[:60], known, of_key=True)
            elif inner is None:
                self.wrong((*path, key), f"`{key}` has no value", of_key=True)
            else:
                found[key] = known[key](self, (*path, key), inner)
        for key in needed:
            if isinstance(value, dict) and key not in value:
                self.wrong(path, f"{what} needs `{key}`", of_key=True)
        return found


def told(readers: Iterable[Reader]) -> list[Problem]:
    """The problems of a run, sorted by place: the first MAX_TOLD of a file, MAX_HINTS of all with what was meant."""
    found, hints = [], MAX_HINTS
    for reader in sorted(readers, key=lambda one: one.source.file):
        for problem in _first(reader):
            if problem in reader.strange and hints > 0:
                problem = msgspec.structs.replace(problem, hint=meant(*reader.strange[problem]))
                hints -= 1
            found.append(problem)
    return found


def _first(reader: Reader) -> list[Problem]:
    """The problems of a file; what follows from a fault in the writing of a value is not told again."""
    writing = reader.source.problems
    written = {problem.place for problem in writing}
    found = sorted({*writing, *(one for one in reader.problems[len(writing) :] if one.place not in written)})
    if more := found[MAX_TOLD:]:
        return [*found[:MAX_TOLD], Problem(*more[0].place, f"and {len(more)} more")]
    return found


# ---------------------------------------------------------------- readers of values


NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
DURATION = re.compile(r"([0-9]{1,6})(ms|s|m|h|d)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
CLOSE = re.compile(r"[a-z_]+:\S")  # a key, and its value too near
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][A-Za-z]{1,3})?")


def a_map(reader: Reader, path: Path, value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    close = isinstance(value, str) and CLOSE.match(value)
    hint = "write {} for an empty one" if value is None else "a blank after the `:`" if close else ""
    reader.wrong(path, f"{what} must be a map, `key: value`", hint)
    return {}


def a_list(reader: Reader, path: Path, value: Any, what: str) -> list[Any]:
    if isinstance(value, list):
        return value
    reader.wrong(path, f"{what} must be a list, `[...]`")
    return []


def text(reader: Reader, path: Path, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, str):
        reader.wrong(path, f"`{path[-1]}` is empty")
    else:
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


def span(length: float) -> str:
    """Seconds as they are written: 45s, 10m, 1d."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if length and length % size == 0:
            return f"{length / size:g}{unit}"
    return f"{length:g}s"


def duration(low: float, high: float) -> Read:
    """Reads a duration in seconds from `low` to `high`."""

    def read(reader: Reader, path: Path, value: Any) -> float:
        length = seconds(value) if isinstance(value, str) else None
        if length is None:
            reader.wrong(path, f"`{path[-1]}` must be a duration", "like 5s, 2m or 1h")
        elif not low <= length <= high:
            reader.wrong(path, f"`{path[-1]}` must be from {span(low)} to {span(high)}")
        return length or 0.0

    return read


def whole(low: int, high: int) -> Read:
    """Reads a whole number from `low` to `high`."""

    def read(reader: Reader, path: Path, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        hint = "without quotes" if isinstance(value, str) and value.isdecimal() else ""
        reader.wrong(path, f"`{path[-1]}` must be a whole number from {low} to {high}", hint)
        return low

    return read


def one_of(*words: str) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> str:
        if isinstance(value, str) and value in words:
            return value
        message = f"`{path[-1]}` must be one of {', '.join(words)}"
        if isinstance(value, str):
            reader.unknown(path, message, value[:60], words)
        else:
            reader.wrong(path, message)
        return words[0]

    return read


def flag(reader: Reader, path: Path, value: Any) -> bool:
    if not isinstance(value, bool):
        reader.wrong(path, f"`{path[-1]}` must be true or false")
    return value is True
