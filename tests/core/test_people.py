"""Agents, stations and wishes: every move of the tables, and what is refused."""

from __future__ import annotations

import pytest

from cti.core.agent import WISH_MOVES, WORK_MOVES, may
from cti.core.messages import (
    AgentInfo,
    AnswerCall,
    ChannelGone,
    HangUp,
    HangUpCall,
    PeopleChanged,
    RejectCall,
    SetAgentState,
    SetDisposition,
    StationState,
    SwitchUp,
    WrapUp,
)  # fmt: skip
from cti.errors import BadInput, Refused
from tests.core.office import FLOW, Office

WISHES = ("ready", "not_ready", "logged_out")


def wish(office: Office, name: str, what: str, **more: str) -> None:
    office.do(SetAgentState(at=office.at, by=name, agent=name, wish=what, **more))  # type: ignore[arg-type]


def in_work(work: str) -> Office:
    """An office whose agent ani does that."""
    office = Office(wrap_up="30s")
    office.ready()
    if work != "idle":
        caller = office.waiting_caller()
        if work != "reserved":
            caller.answer()
        if work == "wrap_up":
            caller.hangs_up()
    assert office.board.people.agents["ani"].work == work
    return office


@pytest.mark.parametrize("work", sorted(set(WISH_MOVES) - {"idle"}))
def test_the_kept_wish_takes_effect_when_the_work_is_over(work: str) -> None:
    office = in_work(work)
    wish(office, "ani", "logged_out")
    call = next(iter(office.board.calls.live.values()), None)
    if work == "reserved" and call is not None:
        office.do(RejectCall(at=office.at, by="ani", agent="ani", call_id=call.call_id))
    elif work == "talking" and call is not None:
        office.do(HangUpCall(at=office.at, by="ani", agent="ani", call_id=call.call_id))
        office.do(SwitchUp(at=office.at, reachable=("2001",)))
    office.wait(60)
    assert office.state("ani")[0] == "logged_out"


def test_only_the_tables_moves_are_allowed() -> None:
    works = ("idle", "reserved", "talking", "wrap_up")
    allowed = {(a, b) for a in works for b in works if may(a, b)}  # type: ignore[arg-type]
    assert allowed == set(WORK_MOVES) | {(w, w) for w in works}
    office = in_work("idle")
    agent = office.board.people.agents["ani"]
    with pytest.raises(AssertionError):
        office.board.people.move(agent, office.at, work="wrap_up")


def test_signing_on_without_or_at_an_unknown_station() -> None:
    office = Office()
    office.do(PeopleChanged(at=office.at, agents=(AgentInfo(agent="new"),), stations=("2001",)))
    with pytest.raises(Refused, match="choose a station"):
        wish(office, "new", "ready")
    with pytest.raises(BadInput, match="no station 9999"):
        wish(office, "new", "ready", station="9999")
    with pytest.raises(BadInput, match="no agent nobody"):
        wish(office, "nobody", "ready")


def test_only_not_ready_has_a_reason_and_signing_off_needs_no_station() -> None:
    office = Office()
    wish(office, "ani", "ready", reason="lunch")
    assert office.state("ani") == ("ready", "")
    wish(office, "ani", "logged_out", reason="lunch", station="2999")
    assert office.state("ani") == ("logged_out", "") and office.board.people.agents["ani"].station == "2001"
    office.ready("ani")
    office.waiting_caller()
    wish(office, "ani", "ready", reason="lunch")
    assert office.board.people.agents["ani"].next_reason == ""


def test_hot_desks_and_no_change_of_station_while_busy() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}})
    wish(office, "ani", "ready", station="2002")
    assert office.board.people.agents["ani"].station == "2002"
    office.waiting_caller()
    with pytest.raises(Refused) as refused:
        wish(office, "ani", "not_ready", station="2001")
    assert refused.value.code == "busy"
    wish(office, "ani", "not_ready", station="2002", reason="lunch")


def test_an_agent_who_is_removed_is_logged_out_and_may_come_back() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}})
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    office.do(PeopleChanged(at=office.at, agents=(), stations=("2001", "2002")))
    assert office.state("budi") == ("logged_out", "removed")
    assert office.state("ani")[0] == "talking"
    with pytest.raises(BadInput):
        wish(office, "budi", "ready")
    caller.hangs_up()
    office.wait(60)
    assert office.state("ani") == ("logged_out", "removed")
    office.do(PeopleChanged(at=office.at, agents=(AgentInfo(agent="budi", station="2002"),), stations=("2002",)))
    wish(office, "budi", "ready")


def test_skills_that_are_added_bring_the_waiting_call_at_once() -> None:
    office = Office(agents={"ani": {"support": 1}})
    office.ready()
    caller = office.waiting_caller()
    assert not caller.rings
    info = AgentInfo(agent="ani", skills={"sales": 1}, station="2001")
    office.do(PeopleChanged(at=office.at, agents=(info,), stations=("2001",)))
    assert caller.rings


def test_a_station_nobody_knows_and_one_that_is_lost_while_talking() -> None:
    office = in_work("talking")
    office.do(StationState(at=office.at, station="7777", reachable=False))
    office.do(StationState(at=office.at, station="2001", reachable=False))
    assert office.state("ani")[0] == "talking"
    waiting = office.waiting_caller("0812000009")
    office.do(ChannelGone(at=office.at, uniqueid=next(iter(office.board.calls.by_channel))))
    office.wait(31)
    assert office.state("ani") == ("not_ready", "link") and not waiting.rings
    office.do(StationState(at=office.at, station="2001", reachable=True))
    assert waiting.rings


def test_a_wrap_up_that_is_finished_cannot_be_finished_again() -> None:
    office = in_work("wrap_up")
    finish = WrapUp(at=office.at, by="ani", agent="ani", action="finish")
    office.do(finish)
    with pytest.raises(Refused):
        office.do(finish)
    assert office.types().count("call.wrapped") == 1


def test_an_extended_wrap_up_does_not_end_at_its_first_time() -> None:
    office = in_work("wrap_up")
    office.do(WrapUp(at=office.at, by="ani", agent="ani", action="extend"))
    office.wait(31)
    assert office.state("ani")[0] == "wrap_up"
    office.do(WrapUp(at=office.at, by="ani", agent="ani", action="finish"))
    office.wait(60)
    assert office.types().count("call.wrapped") == 1


def test_disposition_of_my_call_and_of_others() -> None:
    office = in_work("wrap_up")
    call_id = office.board.people.agents["ani"].call_id
    office.do(SetDisposition(at=office.at, by="ani", agent="ani", call_id=call_id, code="sold", note="two"))
    assert office.last("call.disposition_set").data == {"code": "sold", "note": "two"}
    assert office.board.calls.live[call_id].disposition == "sold"
    office.do(SetDisposition(at=office.at, by="ani", agent="ani", call_id=call_id, code="other", draft=True))
    assert office.last("call.disposition_set").data == {"code": "other", "note": "two"}, "the note stays"
    for agent, call in (("budi", call_id), ("ani", "no-such-call")):
        with pytest.raises(Refused):
            office.do(SetDisposition(at=office.at, by=agent, agent=agent, call_id=call, code="sold"))


def test_a_supervisor_ends_a_call() -> None:
    office = in_work("talking")
    call = next(iter(office.board.calls.live.values()))
    assert office.do(HangUpCall(at=office.at, by="sup", call_id=call.call_id)) == [HangUp(uniqueid=call.uniqueid)]
    office.do(SwitchUp(at=office.at, reachable=("2001",)))
    assert office.last("call.disconnected").data["by"] == "system"
    with pytest.raises(Refused):
        office.do(HangUpCall(at=office.at, by="sup", call_id=call.call_id))


def test_an_answered_call_is_neither_rejected_nor_picked_up_again() -> None:
    office = in_work("talking")
    call_id = office.board.people.agents["ani"].call_id
    with pytest.raises(Refused) as refused:
        office.do(RejectCall(at=office.at, by="ani", agent="ani", call_id=call_id))
    assert refused.value.code == "already_answered"
    assert office.do(AnswerCall(at=office.at, by="ani", agent="ani", call_id=call_id)) == []


def test_a_wrap_up_ends_though_its_call_was_closed_meanwhile() -> None:
    """The caller went on from ani to budi, who was ready with him sooner."""
    flow = {**FLOW, "nodes": {**FLOW["nodes"], "sales": {**FLOW["nodes"]["sales"], "answered": "sales"}}}
    office = Office(flow=flow, agents={"ani": {"sales": 1}, "budi": {"sales": 1}}, wrap_up="30s", recording="never")
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    caller.agent_hangs_up()
    caller.answer("b2")
    caller.hangs_up("b2")
    office.do(WrapUp(at=office.at, by="budi", agent="budi", action="finish"))
    assert office.state("ani") == ("wrap_up", "") and office.state("budi") == ("ready", "")
    office.wait(31)
    assert office.state("ani") == ("ready", "")
    assert [e.agent for e in office.events if e.type == "call.wrapped"] == ["budi", "ani"]
    assert not office.board.calls.live
