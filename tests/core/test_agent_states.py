"""Limits of reasons, forced and next states, how wrap-up ends, and what idle time outlives."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core.agent import MOMENT
from cti.core.call import Call
from cti.core.messages import (
    AgentInfo,
    ChannelGone,
    ClockStepped,
    Event,
    PeopleChanged,
    Push,
    RejectCall,
    SetAgentState,
    SetDisposition,
    StationState,
    Tick,
    WrapUp,
)  # fmt: skip
from cti.core.queues import Routing
from cti.core.stats import Stats
from cti.core.switchboard import Settings, Switchboard
from cti.core.views import agent_row
from cti.errors import Refused
from tests.core.office import Office

LIMITS = {"break": 900.0, "training": 0.0}


def office(agents: dict[str, dict[str, int]] | None = None, **queue: Any) -> Office:
    made = Office(agents=agents, **{"wrap_up": "30s", **queue})
    made.board.people.limits = LIMITS
    made.ready()
    return made


def wish(o: Office, what: str, reason: str = "", by: str = "ani", station: str = "") -> None:
    o.do(SetAgentState(at=o.at, by=by, agent="ani", wish=what, reason=reason, station=station))  # type: ignore[arg-type]


def phone(o: Office, reachable: bool, station: str = "2001") -> None:
    o.do(StationState(at=o.at, station=station, reachable=reachable))


def ani(o: Office) -> Any:
    return o.board.people.agents["ani"]


def overs(o: Office) -> list[Event]:
    return [event for event in o.events if event.type == "agent.over_limit"]


# ---------------------------------------------------------------- limits


def test_a_break_that_lasts_too_long_is_told_once() -> None:
    o = office()
    for state in ("not_ready", "ready", "not_ready"):  # at the same moment
        wish(o, state, "break" if state == "not_ready" else "")
    began = ani(o).since
    o.wait(899)
    assert not overs(o) and ani(o).over_since is None
    said = o.wait(2)
    assert [(e.agent, e.data["reason"], e.data["since"]) for e in overs(o)] == [("ani", "break", began + 900)]
    assert Push(type="notice", agent="ani", data={"code": "over_limit", "reason": "break", "minutes": 15.0}) in said
    row = agent_row(o.board, Stats(o.at), ani(o), o.at)
    assert row["over_limit_since"] == began + 900
    o.wait(5000)
    wish(o, "not_ready", "break", station="2001")  # the same again is no new break
    o.wait(5000)
    assert len(overs(o)) == 1
    wish(o, "ready")
    assert ani(o).over_since is None


def test_a_break_that_ends_in_time_or_has_no_limit_is_not_told() -> None:
    o = office()
    wish(o, "not_ready", "break")
    o.wait(600)
    wish(o, "ready")
    o.wait(1)
    wish(o, "not_ready", "break")
    o.wait(600)  # the first one's deadline has passed meanwhile
    assert not overs(o)
    for reason in ("training", "link", ""):
        wish(o, "not_ready", reason)
        o.wait(10_000)
    assert not overs(o)


def test_a_limit_goes_on_after_a_restart_and_when_the_clock_is_set() -> None:
    o = office()
    wish(o, "not_ready", "break")
    last = o.last("agent.state_changed")
    reborn = Switchboard(2, Settings(limits=LIMITS))
    reborn.restore([last], o.at + 100)
    assert reborn.next_at == last.at + 900
    (over,) = (e for e in reborn.handle(Tick(at=last.at + 5000)).events if e.type == "agent.over_limit")
    assert over.data["since"] == last.at + 900  # however late it is seen
    o.wait(300)
    o.do(ClockStepped(at=o.at + 3600, by=3600))
    o.at += 3600
    o.wait(599)
    assert not overs(o)
    o.wait(2)
    assert len(overs(o)) == 1


@pytest.mark.parametrize("past", ["whole", "last"])
def test_a_state_lasts_as_long_after_the_clock_was_set_and_a_restart(past: str) -> None:
    """From the events of his call, or from his last one alone."""
    o = office()
    call = wrapping(o)
    o.wait(10)
    o.do(ClockStepped(at=o.at + 3600, by=3600))
    o.at += 3600
    reborn = Switchboard(2, Settings())
    known = [e for e in o.events if e.call_id == call] if past == "whole" else []
    reborn.restore([*known, o.last("agent.state_changed")], o.at)
    assert reborn.people.agents["ani"].since == ani(o).since == o.at - 10
    output = reborn.handle(WrapUp(at=o.at, by="ani", agent="ani", action="extend"))
    assert output.events[-1].data["wrap_until"] == o.at + 20 + 30


# ---------------------------------------------------------------- forced and next states


def test_the_event_says_who_stated_the_wish() -> None:
    o = office()
    wish(o, "not_ready", "meeting", by="sari")
    assert o.last("agent.state_changed").data["by"] == "sari"
    wish(o, "ready")
    assert ani(o).by == "ani"
    phone(o, False)
    assert (ani(o).reason, ani(o).by) == ("link", "")
    phone(o, True)
    caller = o.waiting_caller()
    caller.answer()
    wish(o, "not_ready", "meeting", by="sari")
    assert (ani(o).by, ani(o).next_by) == ("", "sari")
    caller.hangs_up()
    o.wait(31)
    assert (ani(o).wish, ani(o).reason, ani(o).by, ani(o).next_by) == ("not_ready", "meeting", "sari", "")


def test_a_missed_call_is_nobodys_wish() -> None:
    o = office()
    o.waiting_caller()
    o.wait(30)
    assert (ani(o).reason, ani(o).by) == ("missed", "")


def test_the_next_state_is_taken_back_also_while_the_phone_is_lost() -> None:
    o = office()
    caller = o.waiting_caller()
    caller.answer()
    wish(o, "logged_out")
    phone(o, False)
    wish(o, "ready")
    phone(o, True)
    caller.hangs_up()
    o.wait(31)
    assert o.state("ani") == ("ready", "")


def test_who_signs_off_takes_no_station_and_only_who_is_not_ready_has_a_reason() -> None:
    o = office()
    wish(o, "logged_out", station="9999")
    wish(o, "ready", reason="break")
    assert (o.state("ani"), ani(o).station) == (("ready", ""), "2001")


def test_the_colleague_who_has_the_station_is_named() -> None:
    o = office({"ani": {"sales": 1}, "budi": {"sales": 1}})
    with pytest.raises(Refused) as refused:
        wish(o, "ready", station="2002")
    assert refused.value.about == {"name": "Budi", "station": "2002"}
    assert "Budi is signed on at station 2002" in str(refused.value)


# ---------------------------------------------------------------- wrap-up


def wrapping(o: Office) -> str:
    caller = o.waiting_caller()
    caller.answer()
    caller.hangs_up()
    return caller.call_id


def test_a_disposition_ends_the_wrap_up_and_finishing_it_again_is_no_mistake() -> None:
    o = office()
    call = wrapping(o)
    draft = SetDisposition(at=o.at, by="ani", agent="ani", call_id=call, code="other", note="typing", draft=True)
    o.do(draft)
    assert ani(o).work == "wrap_up"
    o.do(SetDisposition(at=o.at, by="ani", agent="ani", call_id=call, code="sold"))
    assert o.last("call.wrapped").data == {"how": "disposition", "by": "ani"}
    assert o.state("ani") == ("ready", "")
    count = len(o.events)
    o.do(WrapUp(at=o.at, by="ani", agent="ani", action="finish"))
    assert len(o.events) == count
    with pytest.raises(Refused):
        o.do(WrapUp(at=o.at, by="ani", agent="ani", action="extend"))


def test_finishing_is_still_no_mistake_when_the_next_call_rings_but_when_one_was_talked_about() -> None:
    o = office()
    call = wrapping(o)
    second = o.waiting_caller("0812000002")
    o.do(SetDisposition(at=o.at, by="ani", agent="ani", call_id=call, code="sold"))
    assert ani(o).work == "reserved"
    o.do(WrapUp(at=o.at, by="ani", agent="ani", action="finish"))
    assert ani(o).work == "reserved"
    second.answer()
    with pytest.raises(Refused) as refused:
        o.do(WrapUp(at=o.at, by="ani", agent="ani", action="finish"))
    assert refused.value.code == "not_in_wrap_up"


def test_a_disposition_while_talking_or_of_another_call_ends_no_wrap_up() -> None:
    o = office(wrap_up="30s")
    caller = o.waiting_caller()
    caller.answer()
    o.do(SetDisposition(at=o.at, by="ani", agent="ani", call_id=caller.call_id, code="sold"))
    caller.hangs_up()
    assert ani(o).work == "wrap_up"
    with pytest.raises(Refused):
        o.do(SetDisposition(at=o.at, by="ani", agent="ani", call_id="other", code="sold"))
    assert ani(o).work == "wrap_up"


def test_a_supervisor_extends_once_and_finishes() -> None:
    o = office()
    wrapping(o)
    o.do(WrapUp(at=o.at, by="sari", agent="ani", action="extend"))
    with pytest.raises(Refused) as refused:
        o.do(WrapUp(at=o.at, by="ani", agent="ani", action="extend"))
    assert refused.value.code == "already_extended"
    o.wait(45)
    assert ani(o).work == "wrap_up"
    o.do(WrapUp(at=o.at, by="sari", agent="ani", action="finish"))
    assert o.last("call.wrapped").data == {"how": "supervisor", "by": "sari"}


@pytest.mark.parametrize(("how", "seconds"), [("timer", 31), ("finish", 0)])
def test_how_else_a_wrap_up_ends(how: str, seconds: int) -> None:
    o = office()
    wrapping(o)
    o.wait(seconds)
    if how == "finish":
        o.do(WrapUp(at=o.at, by="ani", agent="ani", action="finish"))
    assert o.last("call.wrapped").data["how"] == how


# ---------------------------------------------------------------- idle time


def test_what_idle_time_outlives() -> None:
    o = office()
    began = ani(o).idle_since
    o.wait(100)
    phone(o, False)
    o.wait(MOMENT)
    phone(o, True)
    assert (o.state("ani"), ani(o).idle_since) == (("ready", ""), began)  # a moment without a phone
    wish(o, "ready", station="2001")  # the same wish again
    assert ani(o).idle_since == began
    caller = o.waiting_caller()
    caller.hangs_up()  # an offer whose caller left
    assert ani(o).idle_since == began
    second = o.waiting_caller()
    o.do(RejectCall(at=o.at, by="ani", agent="ani", call_id=second.call_id))
    second.hangs_up()
    o.wait(500)
    wish(o, "ready")
    assert ani(o).idle_since == began  # a rejected one
    third = o.waiting_caller()
    o.wait(30)
    third.hangs_up()
    assert o.state("ani") == ("not_ready", "missed")
    wish(o, "ready")
    assert ani(o).idle_since == began  # a missed one
    wish(o, "not_ready", "lunch")
    o.wait(1)
    wish(o, "ready")
    assert ani(o).idle_since == o.at  # a rest begins it anew


def test_a_phone_that_fails_is_rung_once_whatever_else_is_told_of_it() -> None:
    """Each change of its state, ringing or not, tells that it is registered: that is not to have come back."""
    o = office()
    caller = o.waiting_caller()
    o.do(ChannelGone(at=o.at, uniqueid=caller.leg, cause=38))
    assert o.state("ani") == ("not_ready", "link")
    phone(o, True)
    assert (o.state("ani"), len(caller.rings)) == (("not_ready", "link"), 1)
    phone(o, False)
    phone(o, True)
    assert (o.state("ani")[0], len(caller.rings)) == ("reserved", 2)


def test_a_phone_that_is_away_for_longer_begins_idle_time_anew() -> None:
    o = office()
    phone(o, False)
    o.wait(MOMENT + 1)
    phone(o, True)
    assert (o.state("ani"), ani(o).idle_since) == (("ready", ""), o.at)


def test_an_offer_called_off_takes_no_idle_time_though_a_next_state_was_chosen() -> None:
    o = office()
    began = ani(o).idle_since
    o.wait(10)
    caller = o.waiting_caller()
    wish(o, "ready")
    o.wait(1)
    caller.hangs_up()
    assert (o.state("ani"), ani(o).idle_since) == (("ready", ""), began)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("wrap_up", ["30s", "0s"])
def test_calls_out_count_or_not(counts: bool, wrap_up: str) -> None:
    o = office(wrap_up=wrap_up)
    o.board.router.routing = Routing(outbound_counts=counts)
    began = ani(o).idle_since
    o.wait(100)
    caller = o.waiting_caller()
    caller.answer()
    call: Call = o.board.calls.live[caller.call_id]
    call.direction = "outbound"
    o.wait(50)
    caller.hangs_up()
    o.wait(31)
    assert o.state("ani") == ("ready", "")
    assert (ani(o).idle_since == began) is not counts
    assert not ani(o).keeps_idle
    second = o.waiting_caller()  # a call in does count
    second.answer("b2")
    second.hangs_up("b2")
    o.wait(31)
    assert ani(o).idle_since > began + 100


# ---------------------------------------------------------------- stations and skills that change


def test_a_station_that_is_removed_takes_its_agent_along_and_brings_him_back() -> None:
    o = office()
    info = AgentInfo(agent="ani", name="Ani", skills={"sales": 5}, station="2001")
    o.do(PeopleChanged(at=o.at, agents=(info,), stations=()))
    assert o.state("ani") == ("not_ready", "link")
    waiting = o.waiting_caller()
    assert not waiting.rings
    o.do(PeopleChanged(at=o.at, agents=(info,), stations=("2001",)))
    assert waiting.rings


@pytest.mark.parametrize("answers", [True, False])
def test_skills_that_are_taken_while_an_offer_rings_count_from_the_next_one_on(answers: bool) -> None:
    o = office()
    first = o.waiting_caller()
    assert first.rings
    info = AgentInfo(agent="ani", name="Ani", skills={"support": 1}, station="2001")
    o.do(PeopleChanged(at=o.at, agents=(info,), stations=("2001",)))
    assert ani(o).work == "reserved"
    if answers:
        first.answer()
        assert ani(o).work == "talking"
        first.hangs_up()
    else:
        o.do(RejectCall(at=o.at, by="ani", agent="ani", call_id=first.call_id))
        wish(o, "ready")
        assert len(first.rings) == 1  # he waits on, but not for this agent
    o.wait(31)
    assert o.state("ani") == ("ready", "")
    assert not o.waiting_caller("0812000002").rings
