"""`cti flow sim --save NAME`: the call that was played, as a test."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cti.adapters.flow_yaml import parse
from cti.core import ivr
from cti.core.ivr.case_file import PAST, read_cases
from cti.core.ivr.phone import Phone
from cti.core.ivr.trial import told
from cti.errors import BadInput

BARE = frozenset("abcdefghijklmnopqrstuvwxyz_")
WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # YAML would read them otherwise


class Noted(Phone):
    """A phone that notes what was done on it: steps as test files have them, and answers by node."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.steps: list[str] = []
        self.came: dict[str, list[ivr.Answer]] = {}
        super().__init__(*args, **options)
        self.begun, self.begun_in = options["at"], self.line.language

    def press(self, keys: str) -> None:
        self.steps.append(f"press: {_text(keys)}")
        super().press(keys)

    def nothing(self) -> None:
        self.steps.append("wait")
        super().nothing()

    def queue_ended(self, result: str) -> None:
        self.steps.append(f"queue: {result}")
        super().queue_ended(result)

    def dial_ended(self, result: str) -> None:
        self.steps.append(f"dial: {result}")
        super().dial_ended(result)

    def recorded(self, seconds: float) -> None:
        self.steps.append(f"record: {round(seconds * 1000)}ms" if seconds % 1 else f"record: {seconds:.0f}s")
        super().recorded(seconds)

    def hang_up(self, outcome: str = "hangup") -> None:
        if outcome == "hangup" and not self.ended:
            self.steps.append("hang_up")
        super().hang_up(outcome)

    def task_ended(self, answer: ivr.Answer) -> None:
        self.came.setdefault(f"{self.line.flow}/{self.line.node}", []).append(answer)
        super().task_ended(answer)


def save(folder: Path, name: str, flow: str, phone: Noted, zone: str) -> Path:
    """Add the test to FLOW.test.yaml. Raises BadInput when that cannot be; then the file is as it was."""
    if phone.vault:
        raise BadInput("not saved: secret digits were pressed; write such a test by hand, with digits of nobody")
    path = folder / f"{flow}.test.yaml"
    before = path.read_text(encoding="utf-8") if path.exists() else f"flow: {flow}\ntests:\n"
    text = "\n".join([before.rstrip(), *_lines(name, flow, phone, zone), ""])
    problems = read_cases(parse(path.name, text), phone.book, zone).problems
    if problems:
        raise BadInput(f"not saved: {problems[0]}")
    path.write_text(text, encoding="utf-8")
    return path


def _lines(name: str, flow: str, phone: Noted, zone: str) -> Iterator[str]:
    given = {
        "caller": phone.call["caller"],
        "at": f"{datetime.fromtimestamp(phone.begun, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}",
        "language": phone.begun_in,
        "customer": phone.customer,
        "call": {key: phone.call[key] for key in PAST if phone.call[key]},
        "calendars": {calendar: forced.state for calendar, forced in phone.forced.items()},
    }
    yield f"  {_text(name)}:"
    yield f"    flow: {flow}"
    yield f"    given: {_value({key: value for key, value in given.items() if value})}"
    if phone.came:
        yield "    answers:"
        yield from (f"      {node}: {_answers(answers)}" for node, answers in phone.came.items())
    if phone.steps:
        yield "    steps:"
        yield from (f"      - {step}" for step in phone.steps)
    yield f"    path: [{', '.join(told(one, flow) for one in phone.path)}]"
    yield f"    expect: {{outcome: {phone.outcome}}}"


def _answers(answers: list[ivr.Answer]) -> str:
    each = [_value({"outcome": one.outcome, **one.data}) for one in answers]
    return each[0] if len(each) == 1 else f"[{', '.join(each)}]"


def _value(value: Any) -> str:
    """A value in one line of YAML."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_text(str(key))}: {_value(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    """In quotes, where YAML needs them."""
    return text if text and set(text) <= BARE and text not in WORDS else json.dumps(text, ensure_ascii=False)
