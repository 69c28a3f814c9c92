"""The order of a step, and that no bug of one adapter keeps another from its command."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from cti import engine as module
from cti.core.messages import ChannelNew, Command, Event, HangUp, Hold
from cti.core.switchboard import Output, Settings, Switchboard
from cti.engine import Clock, Engine


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
    assert kept.done == ["kept", first_command, command, first_event, event]
    assert engine.faults == 2


class Machine:
    """The machine's clock, which somebody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.ahead)


def test_a_small_difference_is_made_up_for_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, clock = Machine(monkeypatch), Clock()
    machine.ahead = -0.25
    seen = []
    for _ in range(4):
        assert clock.follow() == 0.0
        seen.append(time.time() - clock.now())
    assert seen == pytest.approx([-0.15, -0.05, 0.0, 0.0], abs=0.01)


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
async def test_a_clock_that_is_set_is_followed_and_no_deadline_moves(
    monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    machine, kept = Machine(monkeypatch), Kept()
    board = Switchboard(1, Settings())
    engine = Engine(board, kept, kept.done.append, kept.done.append)
    fell = asyncio.Event()
    board._deadlines["test"] = lambda key, at: fell.set()
    engine.start()
    board.out.wake(engine.now() + 0.5, "test", "x")
    engine.settle(Output([], []))
    task = asyncio.create_task(engine.follow_clock())
    began = time.monotonic()
    machine.ahead = by
    await asyncio.wait_for(fell.wait(), 5)
    assert time.monotonic() - began > 0.4
    assert abs(engine.now() - time.time()) < 0.1
    task.cancel()


async def test_no_deadline_falls_before_it_is_known_what_happened() -> None:
    kept = Kept()
    board = Switchboard(1, Settings())
    engine = Engine(board, kept, kept.done.append, kept.done.append)
    fell = asyncio.Event()
    board._deadlines["test"] = lambda key, at: fell.set()
    board.out.wake(engine.now() - 60, "test", "x")
    engine.settle(Output([], []))
    await asyncio.sleep(0.05)
    assert not fell.is_set()
    engine.start()
    await asyncio.wait_for(fell.wait(), 5)


def arrives(uniqueid: str, at: float) -> ChannelNew:
    return ChannelNew(at=at, uniqueid=uniqueid, channel=f"PJSIP/{uniqueid}", context="from-trunk", called="6000")


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
async def test_who_calls_just_after_the_clock_was_set_has_come_just_now(
    monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    """The switch tells the new time before anybody has looked at the clock."""
    machine, kept = Machine(monkeypatch), Kept()
    board = Switchboard(1, Settings())
    engine = Engine(board, kept, kept.done.append, kept.done.append)
    engine.submit(arrives("x-1.1", time.time()))
    machine.ahead = by
    engine.submit(arrives("x-1.2", time.time()))
    first, second = board.calls.live.values()
    assert abs(engine.now() - time.time()) < 0.1
    assert abs(first.arrived_at - second.arrived_at) < 1, "both are of the new time"
    engine.submit(arrives("x-1.3", time.time() - 60))
    assert list(board.calls.live.values())[-1].arrived_at < engine.now() - 59, "what is told late keeps its time"


async def test_a_fact_of_a_switch_whose_clock_is_ahead_is_of_now() -> None:
    kept = Kept()
    board = Switchboard(1, Settings())
    engine = Engine(board, kept, kept.done.append, kept.done.append)
    engine.submit(arrives("x-1.1", time.time() + 3600))
    (call,) = board.calls.live.values()
    assert abs(call.arrived_at - engine.now()) < 1
