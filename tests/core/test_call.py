"""The record of live calls: what is forgotten, what is remembered, and events of calls that are known in part only."""

from __future__ import annotations

import pytest

from cti.core.call import Call, Calls
from cti.core.messages import ChannelNew, Event
from tests.core.office import Office


def event(type: str, call_id: str = "c1", seq: int = 1, **data: object) -> Event:
    return Event(type=type, at=1.0, call_id=call_id, seq=seq, data=data)


def test_calls_of_the_past_are_not_revived() -> None:
    calls = Calls()
    calls.remember_over(
        [event("call.arrived", uniqueid="u1"), event("call.ended", seq=2), event("call.arrived", "c2", uniqueid="u2")]
    )
    assert calls.is_over("u1") and not calls.is_over("u2") and not calls.is_over("u3")


def test_what_is_over_is_remembered_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "KEEP_OVER", 2)
    calls = Calls()
    for number in range(4):
        calls.forget(Call(call_id=f"c{number}", uniqueid=f"u{number}"))
    assert [calls.is_over(f"u{number}") for number in range(4)] == [False, False, True, True]


def test_events_that_lack_their_beginning_do_not_break_the_record() -> None:
    for type, data in (
        ("call.offered", {"offer": "o", "visit": 1, "station": "2001", "channel_id": "x"}),
        ("call.connected", {"offer": "o"}),
        ("call.dial_connected", {}),
        ("offer.missed", {"offer": "other"}),
        ("something.new", {}),
    ):
        call = Call(call_id="c1")
        call.apply(event(type, seq=7, **data))
        assert call.seq == 7


def test_a_bug_in_a_step_is_reported_and_what_it_had_said_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    monkeypatch.setattr(office.board.lines, "_look_up", lambda *_: 1 / 0)
    fact = ChannelNew(at=office.at, uniqueid="x-1800000000.5", channel="PJSIP/t-5", context="from-trunk", called="6000")
    output = office.board.handle(fact)
    assert isinstance(output.fault, ZeroDivisionError)
    assert [e.type for e in output.events] == ["call.arrived"]
    assert len(office.board.calls.live) == 1


def test_what_is_told_of_a_wait_that_is_not_known_changes_nothing() -> None:
    call = Call(call_id="c1")
    call.apply(event("call.place_kept", since=0.5))
    call.apply(event("call.priority_changed", priority=5))
    call.apply(event("call.announced", minutes=3))
    call.apply(event("call.dequeued", result="abandoned"))
    assert call.visit is None and call.waited == {} and call.dequeued == "abandoned"
