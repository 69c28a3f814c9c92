"""Facts that the adapters made of a real Asterisk, replayed: as they came, doubled, and with the channels' streams
interleaved in other ways. They always end in the same record."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cti.core.messages import (
    ChannelGone,
    ChannelUp,
    CustomerFound,
    Fact,
    HangupRequested,
    LineDone,
    LineLost,
    LineReady,
    Ring,
    StationState,
    SwitchUp,
    decode,
)  # fmt: skip
from tests.core.office import Office

TRACES = Path(__file__).parents[1] / "traces"
FLOW: dict[str, Any] = {
    "flow": "main", "language": "en", "start": "greet",
    "nodes": {
        "greet": {"do": "say", "say": {"en": "Welcome"}, "then": "menu"},
        "menu": {"do": "menu", "say": {"en": "One"}, "options": {"1": "sales"}, "fail": "hangup"},
        "sales": {"do": "queue", "queue": "sales", "answered": "hangup", "then": "hangup"},
    },
}  # fmt: skip
DIRECT: dict[str, Any] = {
    "flow": "main", "language": "en", "start": "sales",
    "nodes": {"sales": {"do": "queue", "queue": "sales", "answered": "hangup", "then": "hangup"}},
}  # fmt: skip
ENDS = {
    "answered_agent_ends": ("answered", "answered", "agent"),
    "answered_caller_ends": ("answered", "answered", "caller"),
    "caller_leaves_while_it_rings": ("short_abandon", "caller_left", ""),
    "declined": (None, "rejected", ""),
    "never_answered": (None, "missed", ""),
    "not_registered": (None, "missed", ""),
}


def facts(name: str) -> list[Fact]:
    lines = (TRACES / f"{name}.facts").read_bytes().splitlines()
    return [f for f in map(decode, lines) if isinstance(f, Fact) and not isinstance(f, SwitchUp | StationState)]


def is_leg(fact: Any) -> bool:
    return str(getattr(fact, "uniqueid", "")).startswith("cti-1-")


def play(name: str, order: list[Fact], doubled: bool) -> Office:
    """The trace's leg stands for whatever phone the core rings; a fact of the leg cannot come before that."""
    asked = any(isinstance(fact, LineDone) for fact in order)
    office = Office(flow=FLOW if asked else DIRECT, wrap_up="0s")
    office.at = order[0].at
    office.ready()
    for fact in order:
        office.at = max(office.at, fact.at)
        if is_leg(fact):
            rings = [c for c in office.commands if isinstance(c, Ring)]
            fact = msgspec.structs.replace(fact, uniqueid=rings[0].channel_id)
        for _ in range(2 if doubled and not isinstance(fact, LineReady | LineLost | LineDone) else 1):
            office.do(fact)
        if isinstance(fact, LineReady) and "flow.started" not in office.types():
            call_id = office.last("call.arrived").call_id
            office.do(CustomerFound(at=fact.at, call_id=call_id))
    return office


def record(office: Office) -> list[tuple[Any, ...]]:
    """What the views show of the call. How far the flow got after the talk depends on what was noticed first."""
    kept = ("result", "cause", "side", "by", "reason", "caller", "caller_name", "called", "entered_at")
    skipped = ("agent.state_changed", "call.identified")
    return sorted(
        (e.type, round(e.at, 6), e.agent, e.queue, tuple((k, str(e.data[k])) for k in kept if k in e.data))
        for e in office.events
        if e.call_id and e.type not in skipped and not e.type.startswith("flow.")
    )  # fmt: skip


def interleaved(name: str, seed: int) -> list[Fact]:
    """Another order, with each channel's own kept, and causes before what follows from them: a phone rings after the
    queue; a caller's end follows the answer, and the agent's hang-up if it was he who hung up."""
    chance, all_facts = random.Random(seed), facts(name)
    first = next(i for i, f in enumerate(all_facts) if is_leg(f))
    head, leg = all_facts[:first], [f for f in all_facts[first:] if is_leg(f)]
    caller = [f for f in all_facts[first:] if not is_leg(f)]
    answered = any(isinstance(f, ChannelUp) for f in leg)
    cause = HangupRequested if any(isinstance(f, HangupRequested) for f in leg) else ChannelUp
    order: list[Fact] = []
    while leg or caller:
        held = caller and isinstance(caller[0], ChannelGone | HangupRequested | LineLost | LineReady)
        waits = bool(held) and any(isinstance(f, cause) for f in leg)
        source = leg if leg and (not caller or waits or (chance.random() < 0.5 and answered)) else caller
        order.append(source.pop(0))
    return head + order


@pytest.mark.parametrize("name", sorted(ENDS))
def test_a_real_call_ends_in_its_record(name: str) -> None:
    office = play(name, facts(name), doubled=False)
    visit, offer, by = ENDS[name]
    types = office.types()
    assert types.count("call.arrived") == 1 and types.count("call.offered") == 1
    if visit is not None:
        assert office.last("call.dequeued").data["result"] == visit
    if offer == "answered":
        assert office.last("call.disconnected").data["by"] == by
        assert office.state("ani") == ("ready", "")
    else:
        assert types.count(f"offer.{offer}") == 1
    times = [e.at for e in office.events if e.type in ("call.queued", "call.offered", "call.connected", "call.ended")]
    assert times == sorted(times)


@pytest.mark.parametrize("name", sorted(ENDS))
def test_doubled_facts_change_nothing(name: str) -> None:
    assert record(play(name, facts(name), doubled=True)) == record(play(name, facts(name), doubled=False))


@pytest.mark.parametrize("name", ["answered_agent_ends", "answered_caller_ends"])
@pytest.mark.parametrize("seed", range(25))
def test_other_orders_of_the_channels_end_alike(name: str, seed: int) -> None:
    assert record(play(name, interleaved(name, seed), doubled=seed % 2 == 1)) == record(
        play(name, facts(name), doubled=False)
    )
