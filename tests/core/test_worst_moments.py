"""Facts that come late, early, twice or never, at the moments when that hurts most."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core.messages import (
    AgentInfo,
    Bridged,
    ChannelGone,
    ChannelUp,
    ClockStepped,
    FlowsPublished,
    HangUp,
    HangUpCall,
    HangupRequested,
    LineReady,
    LiveChannel,
    MoveCall,
    PeopleChanged,
    RejectCall,
    Release,
    SetAgentState,
    SetDisposition,
    StationState,
    SwitchDown,
    SwitchUp,
    Tick,
    Unbridged,
    WrapUp,
)  # fmt: skip
from cti.core.queues import Overflow, QueueConfig, Routing
from cti.errors import Refused
from tests.core.office import Office, book
from tests.core.test_restore import reborn, switch_up

DIAL: dict[str, Any] = {
    "flow": "main", "language": "en", "start": "phone",
    "nodes": {"phone": {"do": "dial", "to": "7001", "then": "hangup", "fail": "hangup"}},
}  # fmt: skip


def live(uniqueid: str, bridge: str = "") -> LiveChannel:
    return LiveChannel(uniqueid=uniqueid, channel=f"PJSIP/{uniqueid}", context="line", bridge=bridge)


# ---------------------------------------------------------------- the link to the switch comes back


def test_a_call_that_began_while_the_switch_was_asked_goes_on() -> None:
    office = Office()
    office.ready()
    old = office.waiting_caller("0812000001")
    office.do(SwitchDown(at=office.at))
    office.at += 60
    new = office.waiting_caller("0812000002")
    office.do(SwitchUp(at=office.at, asked_at=office.at, channels=(), reachable=("2001",)))
    assert [e.call_id for e in office.events if e.type == "call.ended"] == [old.call_id]
    assert new.rings


def test_what_vanished_with_the_switch_ended_when_it_was_last_alive() -> None:
    office = Office(agents={"ani": {"sales": 5}}, wrap_up="5s")
    office.ready()
    talks, waits = office.waiting_caller("0812000001"), office.waiting_caller("0812000002")
    talks.answer()
    office.at += 60
    died = office.at
    office.do(SwitchDown(at=died))
    office.at += 3600
    office.do(SwitchUp(at=office.at, asked_at=office.at, gone_at=died, reachable=("2001",)))
    ends = {e.call_id: e.at for e in office.events if e.type in ("call.ended", "call.disconnected")}
    assert ends == {talks.call_id: died, waits.call_id: died}
    office.wait(1)
    assert office.state("ani") == ("ready", "")


def test_channels_that_the_switch_has_lost_without_a_word() -> None:
    office = Office()
    office.ready()
    talks, waits = office.waiting_caller("0812000001"), office.waiting_caller("0812000002")
    lost = office.board.calls.lost
    assert lost("main", (), office.at) == set(), "they began just now"
    talks.answer()
    later = office.at + 60
    both = {talks.uniqueid, waits.uniqueid}
    assert lost("main", (), later) == both | {talks.leg}
    assert lost("main", both, later) == {talks.leg}
    assert lost("other", (), later) == set()
    waits.hangs_up()
    assert lost("main", (), later) == {talks.uniqueid, talks.leg}


def test_a_channel_whose_call_is_over_is_let_go() -> None:
    office = Office()
    caller = office.waiting_caller()
    caller.hangs_up()
    assert caller.line() == [Release(uniqueid=caller.uniqueid)]


def test_no_phone_can_be_rejected_that_cannot_be_stopped() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    office.do(SwitchDown(at=office.at))
    with pytest.raises(Refused) as refused:
        office.do(RejectCall(at=office.at, by="ani", agent="ani", call_id=caller.call_id))
    assert refused.value.code == "switch_away"
    assert office.state("ani")[0] == "reserved"


def test_a_caller_who_waits_is_not_left_to_a_phone_nobody_knows() -> None:
    """It was rejected, the server killed before it was stopped, and then it was picked up all the same."""
    office = Office(agents={"ani": {"sales": 5}, "budi": {"sales": 5}})
    office.ready()
    caller = office.waiting_caller()
    stray = caller.leg
    office.do(RejectCall(at=office.at, by="ani", agent="ani", call_id=caller.call_id))
    assert caller.leg != stray
    office.do(SwitchDown(at=office.at))
    channels = (live(caller.uniqueid, "b"), live(stray, "b"), live(caller.leg))
    assert HangUp(uniqueid=stray) in office.do(SwitchUp(at=office.at, channels=channels, reachable=("2001", "2002")))


def test_nobody_times_out_while_it_is_not_known_whether_he_is_there() -> None:
    office = Office(max_wait="30s")
    caller = office.waiting_caller()
    office.do(SwitchDown(at=office.at))
    left = office.at + 20
    office.wait(60)
    assert "call.dequeued" not in office.types()
    office.do(ChannelGone(at=left, uniqueid=caller.uniqueid))
    office.do(SwitchUp(at=office.at))
    assert (office.last("call.dequeued").data["result"], office.last("call.dequeued").at) == ("abandoned", left)


# ---------------------------------------------------------------- deadlines


def test_a_limit_that_fell_while_the_phone_rang_is_not_forgotten() -> None:
    """The end of the ringing is dated by the switch, a little before our clock."""
    office = Office(max_wait="10s", ring="20s")
    office.ready()
    caller = office.waiting_caller()
    office.wait(10.01)
    assert office.state("ani")[0] == "reserved"
    office.do(ChannelGone(at=office.at - 0.5, uniqueid=caller.leg, cause=21))
    office.wait(0.1)
    assert office.last("call.dequeued").data["result"] == "timeout"


def test_a_relaxation_that_fell_while_the_phone_rang_is_not_forgotten() -> None:
    relax = [{"after": "10s", "skills": {"sales": 1}}]
    office = Office(agents={"ani": {"sales": 5}, "budi": {"sales": 1}}, skills={"sales": 5}, relax=relax, ring="20s")
    office.ready()
    caller = office.waiting_caller()
    office.wait(10.01)
    office.do(ChannelGone(at=office.at - 0.5, uniqueid=caller.leg, cause=21))
    office.wait(0.1)
    assert office.last("call.offered").agent == "budi"


def test_a_bug_at_one_deadline_keeps_no_other_from_its_turn() -> None:
    office = Office(agents={"ani": {"sales": 5}, "budi": {"sales": 5}}, wrap_up="10s")
    office.ready()
    callers = [office.waiting_caller("0812000001"), office.waiting_caller("0812000002")]
    for caller in callers:
        caller.answer(bridge=caller.uniqueid)
        caller.agent_hangs_up(bridge=caller.uniqueid)
    real = office.board._deadlines["wrap"]

    def bug(key: str, at: float) -> None:
        if key == "ani":
            raise ValueError("a bug")
        real(key, at)

    office.board._deadlines["wrap"] = bug
    office.at += 60
    assert office.board.handle(Tick(at=office.at)).fault
    assert office.board.next_at is not None and office.board.next_at <= office.at
    office.do(Tick(at=office.at))
    assert office.state("budi") == ("ready", "")


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_when_the_clock_is_set_what_is_due_keeps_its_distance(by: float) -> None:
    office = Office(agents={"ani": {"sales": 5}, "budi": {"sales": 5}}, wrap_up="30s", max_wait="40s")
    office.ready("ani")
    served = office.waiting_caller("0812000001")
    served.answer()
    served.agent_hangs_up()
    waits = office.waiting_caller("0812000002")
    office.at += by
    office.do(ClockStepped(at=office.at, by=by))
    office.wait(29)
    assert office.state("ani")[0] == "wrap_up"
    office.do(SetAgentState(at=office.at, by="ani", agent="ani", wish="not_ready", reason="lunch"))
    office.wait(2)
    assert office.state("ani") == ("not_ready", "lunch")
    office.wait(8)
    assert waits.call_id not in {e.call_id for e in office.events if e.type == "call.dequeued" and e.at > office.at - 9}
    office.wait(2)
    assert office.last("call.dequeued").data["result"] == "timeout"


def set_clock(office: Office, by: float) -> None:
    office.at += by
    office.do(ClockStepped(at=office.at, by=by))


def test_a_clock_set_back_during_a_talk_makes_the_wrap_up_no_longer() -> None:
    office = Office(wrap_up="30s")
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    set_clock(office, -3600)
    office.at += 1
    caller.agent_hangs_up()
    office.wait(31)
    assert office.state("ani") == ("ready", "")


def test_a_clock_set_back_while_a_phone_rings_costs_nobody_his_place() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}}, max_wait="60s")
    office.ready()
    caller = office.waiting_caller()
    set_clock(office, -3600)
    office.at += 5
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg, cause=19))
    assert "call.dequeued" not in office.types()
    assert office.last("call.offered").agent == "budi"
    assert office.last("call.offered").data["told_at"] == office.at, "stored in the order of the call"


def test_a_clock_set_back_hides_no_call_that_the_switch_has_lost() -> None:
    office = Office(agents={})
    caller = office.waiting_caller()
    set_clock(office, -3600)
    office.do(SwitchDown(at=office.at))
    office.at += 10
    office.do(SwitchUp(at=office.at, asked_at=office.at))
    assert office.types(caller.call_id).count("call.ended") == 1


def test_what_is_stored_of_a_call_is_in_order_though_the_clock_was_set_back() -> None:
    office = Office(wrap_up="30s")
    office.ready()
    caller = office.waiting_caller()
    set_clock(office, -3600)
    caller.answer()
    assert office.board.calls.live[caller.call_id].connected_at == office.at
    reborn(office, wrap_up="30s")
    switch_up(office, (caller.uniqueid, caller.channel, "b1"), (caller_leg(office), "PJSIP/2001-1", "b1"))
    assert office.board.calls.live[caller.call_id].connected_at == office.at, "a new server knows the true time"
    office.at += 1
    office.do(Unbridged(at=office.at, uniqueid=caller_leg(office), bridge="b1"))
    caller.hangs_up()
    office.wait(31)
    assert office.state("ani") == ("ready", "")
    told = [e.at for e in office.events if e.call_id == caller.call_id and not e.type.startswith("agent.")]
    assert told == sorted(told)


def test_a_place_that_is_taken_up_again_is_as_old_as_it_was_though_the_clock_was_set() -> None:
    nodes = {
        "one": {"do": "queue", "queue": "sales", "timeout": "sorry"},
        "sorry": {"do": "say", "say": {"en": "Sorry"}, "then": "two"},
        "two": {"do": "queue", "queue": "sales"},
    }
    flow = {"flow": "main", "language": "en", "start": "one", "nodes": nodes}
    office = Office(flow=flow, agents={}, max_wait="10s")
    caller = office.caller()
    caller.arrive()
    office.wait(10)
    set_clock(office, -3600)
    caller.heard()
    visit = office.board.calls.live[caller.call_id].visit
    assert visit is not None and visit.number == 2
    assert office.at - visit.since == pytest.approx(10)


def caller_leg(office: Office) -> str:
    return str(office.last("call.offered").data["channel_id"])


def test_a_clock_set_forward_makes_a_wrap_up_that_is_extended_no_longer() -> None:
    office = Office(wrap_up="30s")
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    caller.agent_hangs_up()
    set_clock(office, 3600)
    office.do(WrapUp(at=office.at, by="ani", agent="ani", action="extend"))
    office.wait(61)
    assert office.state("ani") == ("ready", "")


# ---------------------------------------------------------------- moved while a phone rings


def test_a_caller_moved_while_a_phone_rings_may_go_to_that_agent_at_once() -> None:
    office = Office(agents={"ani": {"sales": 1, "support": 1}})
    settings = {"sales": QueueConfig(name="sales"),
                "support": QueueConfig(name="support", overflow=Overflow(ratio=1.0, no_agents=0.0))}  # fmt: skip
    office.board.waits.configure(settings, office.at, {}, Routing())
    office.ready()
    caller = office.waiting_caller()
    office.do(MoveCall(at=office.at, by="sup", call_id=caller.call_id, queue="support"))
    assert [e.data["visit"] for e in office.events if e.type == "call.offered"] == [1, 2]
    assert office.board.waits.lengths == {"sales": 0, "support": 1}
    caller.answer()
    assert office.last("call.dequeued").data["result"] == "answered"


def test_a_caller_whose_agent_has_just_answered_is_not_moved() -> None:
    office = Office(agents={"ani": {"sales": 1}})
    office.ready()
    caller = office.waiting_caller()
    office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
    with pytest.raises(Refused) as refused:
        office.do(MoveCall(at=office.at, by="sup", call_id=caller.call_id, queue="support"))
    assert refused.value.code == "already_answered"
    office.do(Bridged(at=office.at, uniqueid=caller.leg, bridge="b"))
    assert office.last("call.dequeued").data["result"] == "answered"


def test_a_caller_who_left_before_it_is_known_whether_he_met_his_agent_is_not_moved() -> None:
    office = Office(agents={"ani": {"sales": 1}})
    office.ready()
    caller = office.waiting_caller()
    office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
    office.do(caller.facts(ChannelGone))
    office.board.calls.answered.clear()  # as a server that was killed now does not know it
    with pytest.raises(Refused) as refused:
        office.do(MoveCall(at=office.at, by="sup", call_id=caller.call_id, queue="support"))
    assert refused.value.code == "not_waiting"
    office.wait(20)
    assert office.last("call.dequeued").data["result"] in ("abandoned", "short_abandon")
    assert office.board.calls.live == {}


# ---------------------------------------------------------------- two clocks


def test_times_of_a_call_are_in_order_though_two_clocks_tell_them() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    offered = office.at
    office.do(ChannelUp(at=offered - 0.4, uniqueid=caller.leg))
    office.do(Bridged(at=offered - 0.3, uniqueid=caller.leg, bridge="b"))
    assert office.last("call.connected").at == offered


def test_a_caller_who_left_before_he_was_queued_by_our_clock() -> None:
    office = Office()
    caller = office.waiting_caller()
    queued = office.last("call.queued").at
    office.do(ChannelGone(at=queued - 0.2, uniqueid=caller.uniqueid))
    assert office.last("call.dequeued").at == office.last("call.ended").at == queued


# ---------------------------------------------------------------- what changes meanwhile


@pytest.mark.parametrize(("before", "after"), [("always", "never"), ("never", "always")])
def test_the_rule_at_the_ring_decides_whether_a_talk_is_recorded(before: str, after: str) -> None:
    office = Office(recording=before)
    office.ready()
    caller = office.waiting_caller()
    office.board.publish(book(recording=after), FlowsPublished(at=office.at, version=2))
    caller.answer()
    assert ("recording.started" in office.types()) is (before == "always")


def test_a_caller_reaches_the_queue_that_his_version_of_the_flows_knows() -> None:
    office = Office()
    office.ready()
    caller = office.caller()
    caller.arrive()
    files = {"flow": "main", "language": "en", "start": "bye", "nodes": {"bye": {"do": "hangup"}}}
    later = book(files)
    del later.queues["sales"]  # type: ignore[attr-defined]
    office.board.publish(later, FlowsPublished(at=office.at, version=2))
    caller.heard()
    assert caller.rings
    assert office.last("call.queued").queue == "sales"


def test_a_phone_the_switch_told_of_before_the_database_did() -> None:
    office = Office()
    office.do(StationState(at=office.at, station="2009", reachable=True))
    info = AgentInfo(agent="citra", skills={"sales": 1}, station="2009")
    office.do(PeopleChanged(at=office.at, agents=(info,), stations=("2001", "2009")))
    office.do(SetAgentState(at=office.at, by="citra", agent="citra", wish="ready"))
    assert office.state("citra") == ("ready", "")


def test_an_agent_saves_his_wrap_up_while_the_caller_talks_to_the_next() -> None:
    nodes = {"one": {"do": "queue", "queue": "sales", "answered": "two"}, "two": {"do": "queue", "queue": "support"}}
    flow = {"flow": "main", "language": "en", "start": "one", "nodes": nodes}
    office = Office(flow=flow, agents={"ani": {"sales": 1}, "budi": {"support": 1}, "citra": {}}, wrap_up="60s")
    office.ready()
    caller = office.caller()
    caller.arrive()
    caller.answer()
    caller.agent_hangs_up()
    caller.answer()
    assert office.board.calls.live[caller.call_id].agent == "budi"
    for agent in ("ani", "budi"):
        office.do(SetDisposition(at=office.at, by=agent, agent=agent, call_id=caller.call_id, code="done"))
    with pytest.raises(Refused):
        office.do(SetDisposition(at=office.at, by="citra", agent="citra", call_id=caller.call_id, code="done"))


# ---------------------------------------------------------------- how it ended


def test_a_caller_whom_a_supervisor_ends_has_not_abandoned() -> None:
    office = Office()
    caller = office.waiting_caller()
    office.at += 60
    office.do(HangUpCall(at=office.at, by="sup", call_id=caller.call_id))
    office.do(ChannelGone(at=office.at, uniqueid=caller.uniqueid))
    assert office.last("call.dequeued").data["result"] == "left"


@pytest.mark.parametrize("met", [True, False])
def test_a_caller_who_hangs_up_on_the_number_dialled_for_him_was_transferred(met: bool) -> None:
    office = Office(flow=DIAL)
    caller = office.caller()
    caller.arrive()
    if met:
        office.do(Bridged(at=office.at, uniqueid=caller.leg, bridge="b"))
    office.do(ChannelGone(at=office.at, uniqueid=caller.uniqueid))
    assert office.last("call.ended").data["flow_result"] == ("transferred_out" if met else "")


def test_a_line_that_comes_for_instructions_twice_is_one_call() -> None:
    office = Office()
    caller = office.waiting_caller()
    office.do(caller.facts(LineReady, channel=caller.channel, called="6000", caller=caller.number))
    assert office.types().count("call.arrived") == 1


def test_a_number_that_still_rings_when_the_link_is_back_rings_on() -> None:
    office = Office(flow=DIAL)
    caller = office.caller()
    caller.arrive()
    office.do(SwitchDown(at=office.at))
    office.do(SwitchUp(at=office.at, channels=(live(caller.uniqueid), live(caller.leg))))
    assert "call.dial_ended" not in office.types()
    assert HangUp(uniqueid=caller.leg) not in office.commands


def test_a_caller_who_hangs_up_in_the_queue_has_cleared_the_call_normally() -> None:
    office = Office()
    caller = office.waiting_caller()
    office.do(caller.facts(HangupRequested))
    office.do(caller.facts(ChannelGone, cause=0))
    assert (office.last("call.ended").data["cause"], office.last("call.ended").data["side"]) == (16, "caller")


def test_a_visit_tells_what_queue_and_node_ask_for_together() -> None:
    node = {"do": "queue", "queue": "sales", "skills": {"english": 3, "any": [{"dutch": 1}, {"german": 2}]}}
    flow = {"flow": "main", "language": "en", "start": "q", "nodes": {"q": node}}
    office = Office(flow=flow, skills={"english": 1, "sales": 2})
    office.caller().arrive()
    needs = {"english": 3, "sales": 2, "any": [{"dutch": 1}, {"german": 2}]}
    assert office.last("call.queued").data["needs"] == needs
    plain = Office()
    plain.waiting_caller()
    assert plain.last("call.queued").data["needs"] == {"sales": 1}
    both = Office(flow=flow, skills={"any": [{"english": 1}, {"french": 1}]})
    both.caller().arrive()
    assert len(both.last("call.queued").data["needs"]["any"]) == 2


def test_a_hang_up_that_the_switch_lost_is_made_good_when_the_channel_asks_what_to_do() -> None:
    office = Office(agents={})
    dropped, left = office.waiting_caller("0812000001"), office.waiting_caller("0812000002")
    out = office.do(HangUpCall(at=office.at, by="sup", call_id=dropped.call_id))
    assert out == [HangUp(uniqueid=dropped.uniqueid), Release(uniqueid=dropped.uniqueid)]
    office.do(left.facts(HangupRequested))
    assert office.wait(1) == [HangUp(uniqueid=left.uniqueid), Release(uniqueid=left.uniqueid)]
    for caller in (dropped, left):
        assert caller.line() == [Release(uniqueid=caller.uniqueid)]


def test_a_caller_who_talks_is_let_go_when_he_is_back_in_the_loop() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    office.do(caller.facts(HangupRequested))
    assert office.wait(1) == [HangUp(uniqueid=caller.uniqueid)]
    assert caller.line() == [Release(uniqueid=caller.uniqueid)]


def test_an_agents_hang_up_that_the_switch_lost_is_sent_again() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    office.do(HangupRequested(at=office.at, uniqueid=caller.leg))
    assert office.wait(1) == [HangUp(uniqueid=caller.leg)]
