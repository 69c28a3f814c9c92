"""The flows folder: strict YAML with places, read without following links, watched for changes.

What YAML 1.1 and 1.2 read differently, or otherwise than a person does, is a problem: it must be quoted.
Nothing here raises for what an admin wrote; problems are values, sorted, each with file, line and column.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from yaml.resolver import Resolver

from cti.core.ivr import Book, Problem, Source, load_book

MAX_BYTES = 256 * 1024  # of one file
MAX_TOTAL = 4 * 1024 * 1024
MAX_DEPTH = 20
MAX_VALUES = 20_000
TAG = "tag:yaml.org,2002:"
INT = re.compile(r"-?(0|[1-9][0-9]{0,14})")
FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,9}")
UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
NUMBER_ELSEWHERE = re.compile(r"[-+]?([0-9][0-9_]*|0o[0-7]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+)")


class Sources(msgspec.Struct, frozen=True):
    """A folder as it was read, or a version of it: `Sources(files)`. What could not be read is in `problems`.

    `sounds`: the recorded prompts there are, None: not looked. `digest` changes with every change of content;
    for prompts, of size or time."""

    files: dict[str, str]
    sounds: tuple[str, ...] | None = None
    problems: tuple[Problem, ...] = ()
    digest: str = ""


# ---------------------------------------------------------------- strict YAML


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
            self.wrong(event.start_mark, "a key must be text")
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
            self.wrong(event.start_mark, f"`{text[:40]}` must be quoted: {_read_as(tag, text)}", f'"{text[:40]}"')
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


def parse(file: str, text: str) -> Source:
    """One file as plain data with places. Never raises."""
    loader = _Loader(file)
    try:
        for event in yaml.parse(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader):
            loader.feed(event)
    except _Stop:
        return Source(file, None, problems=tuple(loader.problems))
    except yaml.reader.ReaderError as error:
        before = text[: error.position].splitlines() or [""]
        place = (len(before), len(before[-1]) + 1)
        loader.problems.append(Problem(file, *place, f"the character U+{_ord(error):04X} is not allowed"))
        return Source(file, None, problems=tuple(loader.problems))
    except yaml.MarkedYAMLError as error:
        loader.problems.append(_syntax(file, error))
        return Source(file, None, problems=tuple(loader.problems))
    if loader.root is None and not loader.problems:
        loader.problems.append(Problem(file, 1, 1, "the file is empty"))
    return Source(file, loader.root, loader.values, loader.keys, tuple(loader.problems))


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
    return Problem(file, line, column, f"not YAML: {said}", begun)


# ---------------------------------------------------------------- a whole folder


def load(
    sources: Sources, *, version: int = 0, country: str = "ID", allow: Iterable[str] = ()
) -> tuple[Book | None, list[Problem]]:
    """The Book of a folder, or of a version kept elsewhere; else None and every problem."""
    parsed = {file: parse(file, text) for file, text in sources.files.items() if file.endswith(".yaml")}
    sounds = None if sources.sounds is None else frozenset(sources.sounds)
    made = load_book(parsed, version=version, country=country, allow=allow, sounds=sounds)
    problems = [*sources.problems, *(made if isinstance(made, list) else ())]
    return (None if isinstance(made, list) or problems else made), sorted(problems)


def check(path: Path, *, country: str = "ID", allow: Iterable[str] = ()) -> tuple[Book | None, list[Problem]]:
    """Check a folder, or one file among its neighbours: then only its own problems are told."""
    if path.is_dir() or not (path.is_symlink() or path.exists()):
        return load(read_folder(path), country=country, allow=allow)
    if not path.name.endswith(".yaml"):
        return None, [Problem(str(path), 0, 0, "not a .yaml file")]
    book, problems = load(read_folder(path.absolute().parent), country=country, allow=allow)
    return book, [problem for problem in problems if problem.file == path.name]


def read_folder(path: Path) -> Sources:
    """Read every .yaml file: regular files only, no links, at most MAX_BYTES each. Never raises."""
    files: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        names = sorted(entry.name for entry in os.scandir(path) if _is_ours(entry.name))
    except OSError as error:
        return Sources({}, problems=(Problem(str(path), 0, 0, f"cannot be read: {error.strerror}"),))
    left = MAX_TOTAL
    for name in names:
        read = _read(path / name, name, left)
        if isinstance(read, Problem):
            problems.append(read)
        else:
            files[name] = read
            left -= len(read)
    sounds = list(_sounds(path))
    held = msgspec.json.encode([files, sounds, problems])
    return Sources(files, tuple(name for name, *_ in sounds), tuple(problems), hashlib.sha256(held).hexdigest())


def _is_ours(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) and not name.startswith(".") and not name.endswith(".test.yaml")


def _read(path: Path, name: str, left: int) -> str | Problem:
    if name.endswith(".yml"):
        return Problem(name, 0, 0, "flow files end in .yaml", f"{name.removesuffix('.yml')}.yaml")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        linked = "a link is not followed" if path.is_symlink() else f"cannot be read: {error.strerror}"
        return Problem(name, 0, 0, linked)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return Problem(name, 0, 0, "not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Problem(name, 0, 0, f"cannot be read: {error.strerror}")
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        return Problem(name, 0, 0, f"larger than a flow file may be ({MAX_BYTES // 1024} KiB)")
    if len(content) > left:
        return Problem(name, 0, 0, f"the folder is larger than it may be ({MAX_TOTAL // 1024} KiB)")
    return _decode(name, content)


def _decode(name: str, content: bytes) -> str | Problem:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(name, line, 1, "not UTF-8 text", "save the file as UTF-8")


def _sounds(path: Path) -> Iterator[tuple[str, int, int]]:
    """(prompts/<language>/<name>.wav, size, time) of every recorded prompt."""
    for file in sorted(path.glob("prompts/*/*.wav")):
        try:
            about = file.lstat()
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode) and not file.parent.is_symlink():
            yield str(file.relative_to(path)), about.st_size, about.st_mtime_ns


# ---------------------------------------------------------------- watching


async def watch(
    path: Path, changed: Callable[[Sources], Awaitable[None]], *, live: str = "", every: float = 1.0
) -> None:
    """Call `changed` with every new content of the folder, once it has stayed the same for a round.

    Never ends. `live` is the digest of the content known already. What `changed` raises comes out here."""
    before: object = None
    while True:
        now = await asyncio.to_thread(_signature, path)
        if now == before:
            sources = await asyncio.to_thread(read_folder, path)
            if sources.digest != live and await asyncio.to_thread(_signature, path) == now:
                live = sources.digest
                await changed(sources)
        before = now
        await asyncio.sleep(every)


def _signature(path: Path) -> tuple[Any, ...]:
    """Changes whenever a file of the folder is written, renamed or removed."""
    return (*_stats(path), *_sounds(path))


def _stats(path: Path) -> Iterator[tuple[str, int, int, int]]:
    try:
        found = sorted((e for e in os.scandir(path) if _is_ours(e.name)), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        try:
            about = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        yield entry.name, about.st_ino, about.st_size, about.st_mtime_ns
