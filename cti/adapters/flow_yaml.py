"""Strict YAML: plain data with places.

What YAML 1.1 and 1.2 read differently, or otherwise than a person does, is a problem: it must be quoted.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.resolver import Resolver

from cti.core.ivr import Problem, Source

MAX_DEPTH = 20
MAX_VALUES = 20_000
TAG = "tag:yaml.org,2002:"
INT = re.compile(r"-?(0|[1-9][0-9]{0,14})")
FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,9}")
UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
LINE_END = re.compile(r"\r(?!\n)|[\x85\u2028\u2029]")  # ends a line for YAML, and for few others
NUMBER_ELSEWHERE = re.compile(r"[-+]?([0-9][0-9_]*|0o[0-7]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+)")

SLIPS = (  # (in what the parser says, what that mostly is, what to do)
    (r"character '\t'", "a tab", "write spaces"),
    ("cannot start any token", "a text may not begin so", 'put it in quotes: "..."'),
    ("mapping values are not allowed", "a `:` is not expected here",
     'a text with `: ` in it needs quotes; else the indentation differs from the lines around it'),
    ("but got ':'", "a `:` is not expected here", "a comma or bracket is missing before it, or quotes round the text"),
    ("but found '<scalar>'", "text after the end of a value",
     "a quote before it is not closed, or the text has quotes in it"),
    ("but found '<block mapping start>'", "the line is indented otherwise than those it belongs to", ""),
)  # fmt: skip


class _Stop(Exception):
    """No sense can be made of the rest."""


class _Loader:
    """Builds plain data from YAML events, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.values: dict[tuple[str | int, ...], tuple[int, int]] = {}
        self.keys: dict[tuple[str | int, ...], tuple[int, int]] = {}
        self.resolver: Any = Resolver()
        self.root: Any = None
        self.open: list[_Open] = []
        self.documents = 0

    def wrong(self, mark: Any, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, message, hint))

    def feed(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._document(event)
        elif isinstance(event, yaml.AliasEvent):
            self.wrong(event.start_mark, "anchors and aliases are not allowed", 'if it is a key, quote it: "*"')
            raise _Stop
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1 or event.version or event.tags:
            self.wrong(event.start_mark, "one document a file, no directives")
            raise _Stop

    def _node(self, event: Any) -> None:
        if event.anchor is not None:
            self.wrong(event.start_mark, "anchors and aliases are not allowed", "write it out at each place")
        if event.tag is not None:
            self.wrong(event.start_mark, "tags are not allowed", "remove the word that begins with !")
        if len(self.values) > MAX_VALUES:
            self.wrong(event.start_mark, f"more than {MAX_VALUES} values in one file")
            raise _Stop
        parent = self.open[-1] if self.open else None
        if parent is not None and parent.wants_key():
            self._key(parent, event)
        else:
            self._value(parent, event)

    def _key(self, parent: _Open, event: Any) -> None:
        key = getattr(event, "value", None)
        if key is None:
            self.wrong(event.start_mark, "a key must be text", 'text with {{ }} needs quotes: "{{ ... }}"')
            raise _Stop
        if not isinstance(self._scalar(event), str):
            self.wrong(event.start_mark, f"the key `{key[:40]}` must be quoted", f'"{key[:40]}"')
        path = (*parent.path, key)
        if path in self.keys:
            self.wrong(event.start_mark, f"`{key}` is there twice", f"the first is in line {self.keys[path][0]}")
            parent.skip = True
        else:
            self.keys[path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        parent.key = key

    def _value(self, parent: _Open | None, event: Any) -> None:
        path = parent.next_path() if parent is not None else ()
        if isinstance(event, yaml.ScalarEvent):
            value: Any = self._scalar(event)
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        if parent is None:
            self.root = value
        if parent is None or not parent.skip:
            self.values[path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        if parent is not None:
            parent.put(value)
        if not isinstance(event, yaml.ScalarEvent):
            self._descend(_Open(value, path), event)

    def _descend(self, inner: _Open, event: Any) -> None:
        self.open.append(inner)
        if len(self.open) > MAX_DEPTH:
            self.wrong(event.start_mark, "nested too deep")
            raise _Stop

    def _scalar(self, event: Any) -> Any:
        """Quoted: text. Plain: what everybody would read, else a problem and the text."""
        if found := UNSPEAKABLE.search(event.value):
            self.wrong(event.start_mark, f"the character U+{ord(found[0]):04X} is not allowed")
        if not event.implicit[0] or event.style is not None:
            return event.value
        text = event.value
        tag = str(self.resolver.resolve(yaml.ScalarNode, text, (True, False))).removeprefix(TAG)
        if tag == "null":
            return None
        if tag == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if INT.fullmatch(text):
            return int(text)
        if FLOAT.fullmatch(text):
            return float(text)
        if tag != "str" or NUMBER_ELSEWHERE.fullmatch(text):
            hint = f'"{text[:40]}"{_else_write(tag, text)}'
            self.wrong(event.start_mark, f"`{text[:40]}` must be quoted: {_read_as(tag, text)}", hint)
        return text


class _Open:
    """A map or list whose end has not come yet."""

    def __init__(self, held: Any, path: tuple[str | int, ...]) -> None:
        self.held = held
        self.path = path
        self.key: str | None = None
        self.skip = False
        self.doubles = 0

    def wants_key(self) -> bool:
        return isinstance(self.held, dict) and self.key is None

    def next_path(self) -> tuple[str | int, ...]:
        if self.skip:  # a doubled key: its value is read to its end, and kept nowhere
            self.doubles += 1
            return (*self.path, -self.doubles)
        return (*self.path, len(self.held) if self.key is None else self.key)

    def put(self, value: Any) -> None:
        if self.key is None:
            self.held.append(value)
        elif not self.skip:
            self.held[self.key] = value
        self.key, self.skip = None, False


def _read_as(tag: str, text: str) -> str:
    if tag == "bool":
        return "YAML reads it as true or false"
    if ":" in text:
        return "YAML reads digits with colons as one number, to the base 60"
    if re.match(r"[-+]?0[0-9_]", text):
        return "a number with a leading zero is octal to YAML"
    return "YAML reads it as a date" if tag == "timestamp" else "YAML readers disagree about it"


def _else_write(tag: str, text: str) -> str:
    """What to write where no text is meant."""
    if tag == "bool":
        return "; write true or false where that is meant"
    number = tag in ("int", "float") or NUMBER_ELSEWHERE.fullmatch(text)
    return "; digits alone where a quantity is meant" if number and ":" not in text else ""


def parse(file: str, text: str) -> Source:
    """One file as plain data with places. Never raises."""
    text = text.removeprefix("\ufeff")
    if found := LINE_END.search(text):
        hint = "end lines with LF, or with CR and LF" if found[0] == "\r" else "remove it: it is a line's end to YAML"
        return Source(file, None, problems=(_forbidden(file, text, found.start(), ord(found[0]), hint),))
    loader = _Loader(file)
    scanner: Any = None
    try:
        scanner = yaml.SafeLoader(text)
        while scanner.check_event():
            loader.feed(scanner.get_event())
    except _Stop:
        return Source(file, None, problems=tuple(loader.problems))
    except yaml.reader.ReaderError as error:
        loader.problems.append(_forbidden(file, text, error.position, _ord(error)))
        return Source(file, None, problems=tuple(loader.problems))
    except yaml.MarkedYAMLError as error:
        loader.problems.append(_syntax(file, error))
        return Source(file, None, problems=tuple(loader.problems))
    except (ValueError, OverflowError):  # PyYAML does not look at what an escape or a version number amounts to
        loader.wrong(scanner, "not YAML: a number that is too large, or an escape that is no character")
        return Source(file, None, problems=tuple(loader.problems))
    if loader.root is None and not loader.problems:
        loader.problems.append(Problem(file, 1, 1, "the file is empty"))
    return Source(file, loader.root, loader.values, loader.keys, tuple(loader.problems))


def _forbidden(file: str, text: str, at: int, char: int, hint: str = "") -> Problem:
    begun = text.rfind("\n", 0, at) + 1
    return Problem(
        file, text.count("\n", 0, at) + 1, at - begun + 1, f"the character U+{char:04X} is not allowed", hint
    )


def _ord(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character[:1])


def _syntax(file: str, error: Any) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    begun = f"begun in line {error.context_mark.line + 1}" if error.context_mark else ""
    said = str(error.problem)
    if "<stream end>" in said or "end of stream" in said:
        return Problem(file, line, column, "the file ends inside something that is still open", begun)
    if "scanning an alias" in str(error.context) or "scanning an anchor" in str(error.context):
        return Problem(file, line, column, "anchors and aliases are not allowed", 'if it is a key, quote it: "*"')
    for sign, what, hint in SLIPS:
        if sign in said:
            return Problem(file, line, column, f"not YAML: {what}", hint or begun)
    return Problem(file, line, column, f"not YAML: {said}", begun)
