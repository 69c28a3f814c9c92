"""A flows folder, checked: flows of nodes, queues and numbers. Everything here is frozen and holds no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from cti.core.ivr.calendars import Calendar
from cti.core.ivr.expressions import Expression
from cti.core.ivr.problems import Problem
from cti.core.messages import Prompt, Sound, Text
from cti.core.numbers import to_e164
from cti.core.queues import QueueConfig

Value = str | int | float | bool | Expression  # a constant, or what is computed for each call
TARGETS = ("hangup", "return", "repeat")


class Speech(msgspec.Struct, frozen=True):
    """What is said: recorded prompts by name, then text by language. Either may be empty."""

    names: tuple[str, ...] = ()
    texts: Mapping[str, str | Expression] = {}


class Say(msgspec.Struct, frozen=True):
    speech: Speech


class Menu(msgspec.Struct, frozen=True):
    """`retries`: misses forgiven. `timeout`: seconds after the last prompt. The keys are in Node.to."""

    speech: Speech
    retries: int
    timeout: float


class Set(msgspec.Struct, frozen=True):
    vars: Mapping[str, Value]


class Branch(msgspec.Struct, frozen=True):
    """The first condition that is true; the outcome is its place in the list, from "1"; else "else"."""

    when: tuple[Expression, ...]


class Queue(msgspec.Struct, frozen=True):
    queue: str
    skills: Mapping[str, Any]
    priority: int | Expression | None
    max_wait: float | Expression | None


class Dial(msgspec.Struct, frozen=True):
    to: str | Expression
    ring: float


class Hangup(msgspec.Struct, frozen=True):
    cause: int


Spec = Say | Menu | Set | Branch | Queue | Dial | Hangup


class Node(msgspec.Struct, frozen=True):
    """One step. `to`: named outcomes and menu keys; others go to `then`, `fail`, the flow's `fail`."""

    id: str
    verb: str
    spec: Spec
    to: Mapping[str, str]
    then: str = ""
    fail: str = ""


class Flow(msgspec.Struct, frozen=True):
    name: str
    language: str
    start: str
    nodes: Mapping[str, Node]
    fail: str = ""
    file: str = ""


class Number(msgspec.Struct, frozen=True):
    flow: str
    language: str = ""


class Book(msgspec.Struct, frozen=True):
    """One version of the whole folder. `allow`: kinds of numbers that may be dialled besides ordinary.

    `notes`: what its files ask for that this version does not do, by place.
    `zone`: the site's time zone, of calendars that name none."""

    flows: Mapping[str, Flow]
    queues: Mapping[str, QueueConfig]
    numbers: Mapping[str, Number]
    version: int = 0
    country: str = "ID"
    allow: frozenset[str] = frozenset()
    notes: tuple[Problem, ...] = ()
    calendars: Mapping[str, Calendar] = {}
    zone: str = "UTC"

    def flow_for(self, called: str) -> tuple[str, str] | None:
        """Flow and language of a called number, as entered in numbers.yaml or as E.164; None: not ours."""
        spellings = (called, to_e164(called, self.country), to_e164(f"+{called}", self.country))
        for spelling in spellings:
            number = self.numbers.get(spelling) if spelling else None
            if number:
                return number.flow, number.language or self.flows[number.flow].language
        return None

    def prompts(self) -> list[Prompt]:
        """Every prompt that does not depend on the call, to be made ready before the first call."""
        found: dict[Prompt, None] = {}
        led = languages(self.numbers.values())
        for flow in self.flows.values():
            spoken = list(dict.fromkeys([flow.language, *led.get(flow.name, ())]))
            for node in flow.nodes.values():
                if isinstance(node.spec, Say | Menu):
                    found.update(dict.fromkeys(_constant(node.spec.speech, spoken, self.version)))
        return list(found)


def languages(numbers: Iterable[Number]) -> dict[str, list[str]]:
    """By flow: the languages, besides its own, that it is led to in, each once."""
    found: dict[str, dict[str, None]] = {}
    for number in numbers:
        if number.language:
            found.setdefault(number.flow, {})[number.language] = None
    return {flow: list(led) for flow, led in found.items()}


def _constant(speech: Speech, languages: list[str], version: int) -> Iterator[Prompt]:
    for language in languages:
        yield from (Sound(language=language, name=name, version=version) for name in speech.names)
    for language, text in speech.texts.items():
        if isinstance(text, str):
            yield Text(language=language, text=text)
