"""The order of a step, and that no bug of one adapter keeps another from its command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cti.core.messages import Command, Event, HangUp, Hold
from cti.core.switchboard import Output, Settings, Switchboard
from cti.engine import Engine


class Kept:
    """A journal in memory, and all that was done, in order."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def append(self, events: Sequence[Event]) -> int:
        self.done.append("kept")
        return len(events)


async def test_what_one_adapter_breaks_the_others_do_not_miss() -> None:
    kept = Kept()

    def fail_first(what: Event | Command) -> None:
        kept.done.append(what)
        if what in (first_event, first_command):
            raise ValueError("a bug")

    first_event, event = Event(type="a", at=1.0), Event(type="b", at=1.0)
    first_command, command = HangUp(uniqueid="x-1.1"), Hold(uniqueid="x-1.2")
    engine = Engine(Switchboard(1, Settings()), kept, fail_first, fail_first)
    engine.settle(Output([first_event, event], [first_command, command]))
    assert kept.done == ["kept", first_event, event, first_command, command]
    assert engine.faults == 2
