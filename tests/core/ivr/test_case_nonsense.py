"""Whatever is written into a test file: problems, or a test that holds or fails; never an exception."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from cti.adapters import flow_files
from cti.adapters.flow_yaml import parse
from cti.core import ivr
from cti.core.ivr import interpreter
from cti.core.ivr.case_file import read_cases
from cti.core.ivr.trial import run

FLOWS = Path(__file__).parents[2] / "flows"
ODD: list[Any] = [
    None, True, 0, -1, 1.5, "", "x", "wait", [], {}, {"a": 1}, [1], [None], {"outcome": None}, {"x": {"y": [1]}},
    "2026-99-99", "1" * 50, "...", {"1": None}, "main", "a b c",
]  # fmt: skip


def changed(value: Any, dice: random.Random) -> Any:
    """The same, but for a few values and keys that make no sense there."""
    if dice.random() < 0.06:
        return dice.choice(ODD)
    if isinstance(value, dict):
        return {dice.choice([key] * 40 + ["x", "steps"]): changed(inner, dice) for key, inner in value.items()}
    return [changed(one, dice) for one in value] if isinstance(value, list) else value


def test_nonsense_is_told_and_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_guarded", lambda _line, step: step())
    book, problems = flow_files.check(FLOWS)
    assert book is not None and problems == []
    good = parse("t.test.yaml", (FLOWS / "main.test.yaml").read_text(encoding="utf-8")).data
    held, failed, told = 0, 0, 0
    for seed in range(100):
        data = changed(good, random.Random(seed))
        tests = data["tests"] if isinstance(data, dict) and isinstance(data.get("tests"), dict) else {}
        for part in (data, *({**data, "tests": {name: one}} for name, one in tests.items())):
            file = read_cases(ivr.Source("t.test.yaml", part), book, "UTC")
            told += bool([str(problem) for problem in file.problems])
            for case in file.tests:
                failures = run(book, file, case).failures
                held, failed = held + (not failures), failed + bool(failures)
    assert min(held, failed, told) > 10
