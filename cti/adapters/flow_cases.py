"""The test files (`*.test.yaml`) beside flows: found, read and checked. Nothing here raises for what an admin wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cti.adapters.flow_files import MAX_BYTES, read_folder, written
from cti.adapters.flow_yaml import parse
from cti.core.ivr import Book, Problem, Source
from cti.core.ivr.case_file import read_cases
from cti.core.ivr.cases import Cases
from cti.plain import read_plain, why

ENDING = ".test.yaml"


def is_test(path: Path) -> bool:
    return path.name.endswith(ENDING) and not path.name.startswith(".")


def beside(folder: Path) -> list[Path]:
    """The test files of a folder; none when it is none, or cannot be read."""
    try:
        return sorted(folder / entry.name for entry in os.scandir(folder) if is_test(Path(entry.name)))
    except OSError:
        return []


def load(files: Iterable[Path], book: Book | None, zone: str) -> list[Cases]:
    """Each file, with its tests or with its problems. `book` None: whether its nodes are there is not looked at."""
    return [read_cases(_source(path), book, zone) for path in files]


def check(path: Path, book: Book | None, zone: str) -> list[Problem]:
    """Every problem of a test file, or of those in a folder; a file of another kind has none."""
    files = [path] if is_test(path) else beside(path)
    return sorted(problem for cases in load(files, book, zone) for problem in cases.problems)


def lines(folder: Path) -> dict[str, Source]:
    """The flow files of a folder, by name, with the places of what is in them."""
    return {name: parse(name, text) for name, text in read_folder(folder).files.items() if name.endswith(".yaml")}


def _source(path: Path) -> Source:
    name = written(path.name)
    try:
        content = read_plain(path.absolute().parent, path.name, MAX_BYTES)
    except OSError as error:
        return _none(name, why(error))
    if content is None:
        return _none(name, f"larger than a test file may be ({MAX_BYTES // 1024} KiB)")
    try:
        return parse(name, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Source(name, None, problems=(Problem(name, line, 1, "not UTF-8 text", "save the file as UTF-8"),))


def _none(name: str, message: str) -> Source:
    return Source(name, None, problems=(Problem(name, 0, 0, message),))
