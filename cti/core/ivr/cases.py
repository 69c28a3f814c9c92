"""Tests of flows, as data: a call that is given, what the caller does, and what must come of it. Run by `trial`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cti.core.ivr.problems import Problem
from cti.core.ivr.source import Path, Place
from cti.core.ivr.steps import Answer
from cti.core.messages import Forced, Prompt, Text

QUEUE = ("answered", "talked", "timeout", "full", "no_agents", "closed", "left", "failed")  # how a wait may end
DIAL = ("answered", "talked", "busy", "no_answer", "fail")
ENDS = ("flow_ended", "voicemail", "transferred_out", "failed", "hung_up")
TASKS: Mapping[str, tuple[str, ...]] = {  # verbs that are answered from outside, and with what; empty: with anything
    "lookup": ("found", "none", "several", "error"),
    "http": ("done", "error"),
    "message": ("done", "error"),
    "script": (),
    "pay": ("done", "declined", "error"),
    "authenticate": ("done", "wrong", "locked", "no_pin", "error"),
}


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The call: who calls what, when, and what is known of him; calendars opened or closed by hand. `past`: `repeat`
    and `last_agent` of his calls before."""

    caller: str = ""
    called: str = ""
    at: float = 0.0
    language: str | None = None
    customer: Mapping[str, Any] = {}
    forced: Mapping[str, Forced] = {}
    past: Mapping[str, Any] = {}


class Spoken(msgspec.Struct, frozen=True):
    """Part of a text, or the name of a recorded prompt."""

    text: str = ""
    play: str = ""

    def __str__(self) -> str:
        return f'"{self.text}"' if self.text else f"the recording {self.play}"

    def within(self, prompt: Prompt, begin: int = 0) -> int:
        """Where in a prompt this ends, from the character `begin` on; -1: it is not in it. Blanks and capital letters
        do not matter."""
        if isinstance(prompt, Text):
            at = folded(prompt.text).find(folded(self.text), begin) if self.text else -1
            return at + len(folded(self.text)) if at >= 0 else -1
        return 1 if prompt.name == self.play and not begin else -1


def folded(text: str) -> str:
    return " ".join(text.split()).casefold()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """`word`: the keys, or how a queue or dial ends; `what`: the queue or number it must be."""

    do: str
    path: Path
    word: str = ""
    what: str = ""
    spoken: Spoken = Spoken()
    seconds: float = 0.0


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    outcome: str = ""
    vars: Mapping[str, Any] = {}
    events: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    said: tuple[Spoken, ...] = ()
    not_said: tuple[Spoken, ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test; `way`: the nodes it must pass, None: any. `path`: where it is in its file, as in `Cases.place`."""

    name: str
    flow: str
    given: Given
    answers: Mapping[str, tuple[Answer, ...]]
    steps: tuple[Step, ...]
    way: tuple[str, ...] | None
    expect: Expect
    path: Path


class Cases(msgspec.Struct, frozen=True):
    """The tests of a file; none when it has problems."""

    file: str
    tests: tuple[Case, ...]
    problems: tuple[Problem, ...]
    place: Callable[[Path], Place]
