"""The flows folder: read without following links, checked, watched for changes.

Nothing here raises for what an admin wrote; problems are values, sorted, each with file, line and column.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import os
import stat
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cti.adapters.flow_yaml import parse
from cti.core.ivr import Book, Problem, load_book
from cti.core.ivr.sounds import MAX_SOUND, fault, seconds
from cti.core.ivr.source import Source
from cti.plain import read_plain, why

MAX_BYTES = 256 * 1024  # of one file
MAX_TOTAL = 4 * 1024 * 1024
MAX_PARSED = 32 * 1024  # characters of a script that is looked into: parsing holds up whatever else a server does
MAX_PATH = 200  # characters of a path that is told
SCRIPTS = "scripts"  # the folder of `do: script`
STEADY = 0.2  # s in which nothing of a folder changes before it is taken as it is
STEADY_WITHIN = 5.0
RECORDINGS = "prompts.sha256"  # the text that stands for the recorded prompts among the texts of a version


class Sources(msgspec.Struct, frozen=True):
    """A folder as it was read, or a version of it: `Sources(files)`. What could not be read is in `problems`.

    `files`: texts by name, scripts as `scripts/NAME.py`, tests too; RECORDINGS among them, one line a recorded prompt,
    as sha256sum writes it, so that a prompt recorded anew is a change like any other. `sounds`: the recorded prompts
    there are and their seconds, `music`: the classes; None: not looked. `digest` changes with every change of files."""

    files: dict[str, str]
    sounds: dict[str, float] | None = None
    problems: tuple[Problem, ...] = ()
    digest: str = ""
    music: tuple[str, ...] | None = None


def load(
    sources: Sources, *, version: int = 0, country: str = "ID", allow: Iterable[str] = (), zone: str = "UTC"
) -> tuple[Book | None, list[Problem]]:
    """The Book of a folder, or of a version kept elsewhere; else None and every problem."""
    parsed = {one.file: Source(one.file, None) for one in sources.problems if is_flow_file(one.file)}
    parsed |= {file: parse(file, text) for file, text in sources.files.items() if is_flow_file(file)}
    named = [file.removeprefix("scripts/") for file in sources.files if file.startswith("scripts/")]
    scripts = None if sources.sounds is None else named
    made = load_book(
        parsed, version=version, country=country, allow=allow, sounds=sources.sounds, scripts=scripts, zone=zone,
        seconds=sources.sounds or {}, music=sources.music,
    )  # fmt: skip
    problems = [*sources.problems, *(made if isinstance(made, list) else ())]
    return (None if isinstance(made, list) or problems else made), sorted(problems, key=lambda one: one.place)


async def loaded(
    sources: Sources, *, version: int = 0, country: str = "ID", zone: str = "UTC"
) -> Book | list[Problem]:
    """The same, beside the work of the loop."""
    book, problems = await asyncio.to_thread(load, sources, version=version, country=country, zone=zone)
    return problems if book is None else book


def check(
    path: Path, *, country: str = "ID", allow: Iterable[str] = (), zone: str = "UTC"
) -> tuple[Book | None, list[Problem]]:
    """Check a folder, or one file among its neighbours: then only its own problems and notes are told."""
    try:
        alone = not path.is_dir() and (path.is_symlink() or path.exists())
    except OSError as error:
        return None, [_unreadable(path, error)]
    if not alone:
        return load(read_folder(path), country=country, allow=allow, zone=zone)
    if not path.name.endswith(".yaml"):
        return None, [Problem(_short(path), 0, 0, "not a .yaml file")]
    if not is_flow_file(path.name):
        return None, [Problem(_short(path), 0, 0, "not read: its name begins with a dot or ends in .test.yaml")]
    folder = path.absolute().parent
    book, problems = load(read_folder(folder), country=country, allow=allow, zone=zone)
    own = written(path.name)
    if book is not None:
        book = msgspec.structs.replace(book, notes=tuple(note for note in book.notes if note.file == own))
    return book, [problem for problem in problems if problem.file in (own, _short(folder))]


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(_short(path), 0, 0, f"cannot be read: {error.strerror}")


def _short(path: Path) -> str:
    """A path as it is told; the middle of a very long one is left out."""
    text = written(str(path))
    return text if len(text) <= MAX_PATH else f"{text[: MAX_PATH // 2]}...{text[-MAX_PATH // 2 :]}"


def written(name: str) -> str:
    """A file name as text that every program can write; one that is not UTF-8 with its odd bytes as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_folder(path: Path) -> Sources:
    """Read every .yaml file and script: regular files only, no links, at most MAX_BYTES each; and the hashes of the
    recorded prompts. Never raises."""
    files: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        names = sorted(name for name, _ in _texts(path))
    except OSError as error:
        return Sources({}, problems=(_unreadable(path, error),))
    left = MAX_TOTAL
    for name in names:
        read = _read(path, name, left)
        if isinstance(read, Problem):
            problems.append(read)
        else:
            files[name] = read
            left -= len(read)
    looked_at = {name: _recording(path, name) for name, *_ in _sounds(path)}
    problems += [one for one in looked_at.values() if isinstance(one, Problem)]
    found = {name: one for name, one in looked_at.items() if not isinstance(one, Problem)}
    if found:
        files[RECORDINGS] = "".join(f"{digest}  {name}\n" for name, (digest, _) in found.items())
    sounds = {name: lasts for name, (_, lasts) in found.items()}
    held = hashlib.sha256(msgspec.json.encode([files, problems])).hexdigest()
    return Sources(files, sounds, tuple(problems), held, _music(path))


def is_flow_file(name: str) -> bool:
    """Whether it is checked and served: a script or a test is only kept with the version."""
    return name.endswith(".yaml") and not name.startswith(".") and not name.endswith(".test.yaml")


def _texts(path: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(name, entry) of every file whose text belongs to a version, in no order. Raises OSError."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.endswith((".yaml", ".yml")) and not entry.name.startswith("."):
                yield entry.name, entry
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path / SCRIPTS) as entries:
        for entry in entries:
            if entry.name.endswith(".py") and not entry.name.startswith("."):
                yield f"{SCRIPTS}/{entry.name}", entry


def _read(folder: Path, name: str, left: int) -> str | Problem:
    if wrong := _misnamed(name):
        return wrong
    if name.endswith(".yml"):
        return Problem(name, 0, 0, "flow files end in .yaml", f"{name.removesuffix('.yml')}.yaml")
    try:
        content = read_plain(folder, name, MAX_BYTES)
    except OSError as error:
        return Problem(name, 0, 0, why(error))
    if content is None:
        return Problem(name, 0, 0, f"larger than a flow file may be ({MAX_BYTES // 1024} KiB)")
    if len(content) > left:
        return Problem(name, 0, 0, f"the folder is larger than it may be ({MAX_TOTAL // 1024} KiB)")
    return _decode(name, content)


def _decode(name: str, content: bytes) -> str | Problem:
    try:
        text = content.decode("utf-8")
        if "\0" in text and not is_flow_file(name):  # of a flow file the loader tells it, with its place
            return Problem(name, text.count("\n", 0, text.index("\0")) + 1, 1, "holds a NUL character", "take it out")
        return _not_python(name, text) or text if name.endswith(".py") and len(text) <= MAX_PARSED else text
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(name, line, 1, "not UTF-8 text", "save the file as UTF-8")


def _not_python(name: str, text: str) -> Problem | None:
    """What would end a script before its first line runs."""
    try:
        ast.parse(text.encode())  # as Python reads a file: with the encoding it names
    except SyntaxError as error:
        place = max(error.lineno or 1, 1), max(error.offset or 1, 1)
        return Problem(name, *place, f"not Python: {error.msg}")
    except (ValueError, RecursionError, MemoryError):
        return Problem(name, 0, 0, "not Python: nested too deep")
    return None


def _misnamed(name: str) -> Problem | None:
    what = "is not UTF-8" if name != written(name) else "" if name.isprintable() else "holds a control character"
    return Problem(written(name), 0, 0, f"its name {what}", "rename it, in plain letters a-z") if what else None


def _recording(folder: Path, name: str) -> tuple[str, float] | Problem:
    """The hash of a recorded prompt that can be played, and its seconds."""
    if misnamed := _misnamed(name):
        return misnamed
    try:
        content = read_plain(folder, name, MAX_SOUND)
    except OSError as error:
        return Problem(name, 0, 0, why(error))
    if content is None:
        return Problem(name, 0, 0, f"larger than a recorded prompt may be ({MAX_SOUND // 1024 // 1024} MiB)")
    if wrong := fault(content):
        return Problem(name, 0, 0, wrong, "record it anew, or save it as WAV")
    return hashlib.sha256(content).hexdigest(), seconds(content)


def _music(path: Path) -> tuple[str, ...]:
    """The classes of music that the folder has: `music/CLASS/` with WAV files."""
    return tuple(sorted({file.parent.name for file in path.glob("music/[!.]*/[!.]*.wav")}))


def _sounds(path: Path) -> Iterator[tuple[str, int, int]]:
    """(prompts/<language>/<name>.wav, size, time) of every recorded prompt; editors' hidden files are none."""
    linked = (path / "prompts").is_symlink()
    for file in [] if linked else sorted(path.glob("prompts/[!.]*/[!.]*.wav")):
        try:
            about = file.lstat()
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode) and not file.parent.is_symlink():
            yield str(file.relative_to(path)), about.st_size, about.st_mtime_ns


# ---------------------------------------------------------------- a version


def content(files: Mapping[str, str]) -> str:
    """The same for the same files, in whatever order."""
    return hashlib.sha256(msgspec.json.encode(sorted(files.items()))).hexdigest()


def recordings(files: Mapping[str, str]) -> dict[str, str]:
    """The recorded prompts of a version: hash by `prompts/<language>/<name>.wav`."""
    lines = (line.partition("  ") for line in files.get(RECORDINGS, "").split("\n") if line)
    return {name: digest for digest, _, name in lines}


def scripts(files: Mapping[str, str]) -> dict[str, str]:
    """The scripts of a version: text by NAME.py."""
    start = f"{SCRIPTS}/"
    return {name.removeprefix(start): text for name, text in files.items() if name.startswith(start)}


# ---------------------------------------------------------------- watching


async def read_steady(path: Path, quiet: float = STEADY, within: float = STEADY_WITHIN) -> Sources:
    """The folder at a moment when nobody writes to it; a problem says so when that moment does not come."""
    for _ in range(max(1, round(within / quiet))):
        before = await asyncio.to_thread(_signature, path)
        sources = await asyncio.to_thread(read_folder, path)
        await asyncio.sleep(quiet)
        if await asyncio.to_thread(_signature, path) == before:
            return sources
    busy = Problem(_short(path), 0, 0, "is being written to all the time", "wait until it is saved")
    return Sources({}, problems=(busy,))


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


def _stats(path: Path) -> list[tuple[str, int, int, int]]:
    found = []
    with contextlib.suppress(OSError):
        for name, entry in _texts(path):
            with contextlib.suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                found.append((name, about.st_ino, about.st_size, about.st_mtime_ns))
    return sorted(found)
