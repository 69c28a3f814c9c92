"""What differs between two versions of the flows folder, as a unified diff."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff


def unified(old: Mapping[str, str], new: Mapping[str, str], was: str = "a", now: str = "b") -> str:
    """Empty when nothing differs. `was` and `now` name the two; a file that is not there stands as /dev/null."""
    changed = (name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name))
    return "".join(line for name in changed for line in _of_file(name, old.get(name), new.get(name), was, now))


def _of_file(name: str, old: str | None, new: str | None, was: str, now: str) -> list[str]:
    before = "/dev/null" if old is None else f"{was}/{name}"
    after = "/dev/null" if new is None else f"{now}/{name}"
    found = list(unified_diff(_lines(old or ""), _lines(new or ""), before, after))
    return found or [f"--- {before}\n", f"+++ {after}\n"]  # one of them is there, and empty


def _lines(text: str) -> list[str]:
    """Only \\n ends a line; a last line without one is said to be so, as diff does."""
    lines = text.split("\n")
    ends = [f"{line}\n" for line in lines[:-1]]
    return [*ends, f"{lines[-1]}\n\\ No newline at end of file\n"] if lines[-1] else ends
