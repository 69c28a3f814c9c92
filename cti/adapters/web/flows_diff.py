"""What differs between two versions of the flows folder, ready to be shown line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

AROUND = 3  # lines shown before and after a change


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[dict[str, Any]]:
    """The files that differ: file, change (added, removed, changed), parts: lists of {sign, text, old, new}; sign is
    "+", "-" or " ", old and new are line numbers."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after:
            change = "added" if before is None else "removed" if after is None else "changed"
            parts = list(_parts((before or "").splitlines(), (after or "").splitlines()))
            found.append({"file": name, "change": change, "parts": parts})
    return found


def _parts(old: Sequence[str], new: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(AROUND):
        lines = []
        for kind, a, b, c, d in group:
            if kind == "equal":
                lines += [_line(" ", old[n], n, c + n - a) for n in range(a, b)]
            else:
                lines += [_line("-", old[n], n, None) for n in range(a, b)]
                lines += [_line("+", new[n], None, n) for n in range(c, d)]
        yield lines


def _line(sign: str, text: str, old: int | None, new: int | None) -> dict[str, Any]:
    numbers = {name: None if at is None else at + 1 for name, at in (("old", old), ("new", new))}
    return {"sign": sign, "text": text, **numbers}
