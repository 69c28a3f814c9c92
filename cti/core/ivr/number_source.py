"""numbers.yaml: which called number leads to which flow, and in which language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cti.core.ivr.model import Number
from cti.core.ivr.source import Path, Reader, a_map, language, name
from cti.core.numbers import to_e164

MAX_NUMBER = 30


def read_numbers(
    reader: Reader | None, flows: Mapping[str, Mapping[str, Any]], country: str, whole_folder: bool
) -> dict[str, Number]:
    """{number as entered and as E.164: Number}. `flows`: those there are, with what they must be given."""
    if reader is None:
        return {}
    read = {"numbers": lambda r, path, value: a_map(r, path, value, "`numbers`")}
    top = reader.fields((), reader.source.data, read, "numbers.yaml", ("numbers",))
    found: dict[str, Number] = {}
    for key, written in top.get("numbers", {}).items():
        path: Path = ("numbers", key)
        number = _number(reader, path, written)
        if whole_folder and number.flow and number.flow not in flows:
            at = (*path, "flow") if isinstance(written, dict) else path
            reader.unknown(at, f"flow `{number.flow}` is not in this folder", number.flow, flows)
        wanted = flows.get(number.flow, {})
        for arg in (arg for arg, default in wanted.items() if default is None):
            reader.wrong(path, f"flow `{number.flow}` needs `{arg}`, which a number cannot give", "give it a default")
        for spelling in _spellings(reader, path, key, country):
            if spelling in found:
                reader.wrong(path, f"number {spelling} is there twice", of_key=True)
            found[spelling] = number
    return found


def _number(reader: Reader, path: Path, written: Any) -> Number:
    if isinstance(written, str):
        return Number(name(reader, path, written))
    known = {"flow": name, "language": language}
    return Number(**{"flow": "", **reader.fields(path, written, known, "a number", ("flow",))})


def _spellings(reader: Reader, path: Path, key: str, country: str) -> set[str]:
    bare = "".join(char for char in key if char not in " -().")
    body = bare[1:] if bare.startswith("+") else bare
    if not (body.isascii() and body.isdigit() and len(body) <= MAX_NUMBER):
        reader.wrong(path, f"`{key[:60]}` is no number", "digits, with + in front for E.164", of_key=True)
        return set()
    return {bare, to_e164(bare, country) or bare}
