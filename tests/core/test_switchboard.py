"""Calls through the core, from arrival to wrap-up, and what happens when somebody does not do what is expected."""

from __future__ import annotations

import pytest

from cti.core.messages import (
    AnswerCall,
    Bridged,
    ChannelGone,
    ChannelUp,
    HangUp,
    HangUpCall,
    HangupRequested,
    Hold,
    LiveChannel,
    MessageLeft,
    OriginateFailed,
    PickUp,
    Play,
    Push,
    RejectCall,
    Release,
    Ring,
    SetAgentState,
    StationState,
    SwitchDown,
    SwitchUp,
    Unbridged,
    WrapUp,
)  # fmt: skip
from cti.errors import Refused
from tests.core.office import Office


def test_a_call_from_arrival_to_wrap_up() -> None:
    office = Office(wrap_up="30s")
    office.ready()
    caller = office.caller("0812 0000 001")
    caller.arrive()
    assert isinstance(office.commands[-1], Play)
    commands = caller.heard()
    assert [type(c) for c in commands] == [Hold, Push, Ring]
    assert commands[1].type == "screen_pop" and commands[1].data["call"]["caller"] == "+628120000001"
    assert office.state("ani") == ("reserved", "")
    office.at += 2
    caller.answer()
    assert office.state("ani") == ("talking", "")
    office.at += 60
    caller.agent_hangs_up()
    assert office.state("ani")[0] == "wrap_up"
    assert isinstance(office.commands[-1], Play)
    caller.heard()
    assert isinstance(office.commands[-1], Release)
    office.do(caller.facts(ChannelGone))
    office.wait(31)
    assert office.state("ani") == ("ready", "")
    assert [t for t in office.types(caller.call_id) if not t.startswith(("flow.node", "agent."))] == [
        "call.arrived", "flow.started", "call.queued", "call.offered", "call.connected", "call.dequeued",
        "recording.started", "call.disconnected", "flow.ended", "call.ended", "call.wrapped",
    ]  # fmt: skip
    assert office.last("call.disconnected").data["by"] == "agent"
    assert office.last("call.ended").data["side"] == "system"
    numbers = [e.seq for e in office.events if e.call_id == caller.call_id]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_waiting_caller_goes_to_the_next_free_agent_by_priority_then_time() -> None:
    office = Office()
    first, second = office.waiting_caller("0812000001"), office.waiting_caller("0812000002")
    office.at += 5
    office.ready("ani")
    assert first.rings and not second.rings
    assert office.last("call.offered").data["decision"]["rule"] == "next_caller"


def test_longest_idle_agent_is_first() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}, "chen": {"support": 1}})
    office.ready("chen", "budi", "ani")
    office.waiting_caller()
    assert office.last("call.offered").agent == "budi"


def test_missed_offer_puts_the_agent_to_not_ready_and_the_caller_back_at_his_place() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}})
    office.ready("ani")
    caller = office.waiting_caller()
    other = office.waiting_caller("0812000002")
    caller.rung()
    office.at += 15
    office.do(OriginateFailed(at=office.at, uniqueid=caller.leg, reason="no_answer"))
    assert office.state("ani") == ("not_ready", "missed")
    office.ready("budi")
    assert len(caller.rings) == 2 and not other.rings
    assert office.last("call.offered").data["decision"]["waited"] >= 15
    office.do(ChannelGone(at=office.at, uniqueid=caller.rings[0].channel_id, cause=19))
    assert office.types().count("offer.missed") == 1


REFUSALS = [(17, "offer.rejected", "busy"), (21, "offer.rejected", "rejected"), (19, "offer.missed", "missed"),
            (34, "offer.missed", "link")]  # fmt: skip


@pytest.mark.parametrize(("cause", "type", "reason"), REFUSALS)
def test_how_the_phone_refused(cause: int, type: str, reason: str) -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg, cause=cause))
    assert office.last(type).data["reason"] == reason
    assert office.state("ani") == ("not_ready", reason)


def test_an_unregistered_phone_is_not_ready_link_and_comes_back_by_itself() -> None:
    office = Office()
    office.ready()
    office.do(StationState(at=office.at, station="2001", reachable=False))
    assert office.state("ani") == ("not_ready", "link")
    with pytest.raises(Refused) as refused:
        office.ready()
    assert refused.value.code == "station_unreachable"
    office.do(StationState(at=office.at, station="2001", reachable=True))
    assert office.state("ani") == ("ready", "")


def test_caller_who_leaves_while_the_phone_rings_stops_the_ringing() -> None:
    office = Office(short_abandon="5s")
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    office.at += 6
    caller.hangs_up()
    assert HangUp(uniqueid=caller.leg) in office.commands
    assert office.state("ani") == ("ready", "")
    assert office.last("call.dequeued").data["result"] == "abandoned"
    assert office.last("offer.caller_left").agent == "ani"
    assert not office.board.calls.live and not office.board.calls.by_channel


def test_short_abandon() -> None:
    office = Office(short_abandon="5s")
    caller = office.waiting_caller()
    office.at += 3
    caller.hangs_up()
    assert office.last("call.dequeued").data["result"] == "short_abandon"


def test_agent_answers_after_the_caller_left() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.hangs_up()
    caller.answer()
    assert office.state("ani") == ("ready", "") and "call.connected" not in office.types()


def test_max_wait_leads_on_in_the_flow() -> None:
    office = Office(max_wait="60s")
    caller = office.waiting_caller()
    office.wait(61)
    assert office.last("call.dequeued").data["result"] == "timeout"
    assert office.last("call.dequeued").at == pytest.approx(office.last("call.queued").at + 60)
    assert isinstance(office.commands[-1], Play)
    caller.heard()
    assert office.last("flow.ended").data["how"]


def test_a_full_queue_takes_nobody() -> None:
    office = Office(max_size=1)
    office.waiting_caller()
    office.waiting_caller()
    assert office.last("call.dequeued").data["result"] == "full"


def test_the_caller_returns_to_the_loop_before_ami_tells_of_the_agents_hangup() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    office.at += 10
    assert [type(c) for c in caller.line()] == [Hold]
    office.do(HangupRequested(at=office.at, uniqueid=caller.leg))
    assert isinstance(office.do(Unbridged(at=office.at, uniqueid=caller.leg, bridge="b1"))[-1], Play)
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg))
    assert office.types().count("call.disconnected") == 1
    assert office.last("call.disconnected").data["by"] == "agent" and office.state("ani")[0] == "wrap_up"


def test_caller_who_leaves_at_the_instant_of_the_answer() -> None:
    """Once the phone is up its channel tells whether they met, in whatever order the switch reports."""
    for met in (True, False):
        office = Office(wrap_up="0s", short_abandon="0s")
        office.ready()
        caller = office.waiting_caller()
        caller.rung()
        office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
        caller.hangs_up()
        office.at += 0.01
        if met:
            office.do(Bridged(at=office.at, uniqueid=caller.leg, bridge="b"))
        office.do(ChannelGone(at=office.at, uniqueid=caller.leg))
        assert office.state("ani") == ("ready", "")
        assert office.last("call.dequeued").data["result"] == ("answered" if met else "abandoned")
        assert ("offer.caller_left" in office.types()) is not met


def test_a_story_is_told_in_order_when_the_callers_end_overtakes_the_agents() -> None:
    office = Office(wrap_up="0s")
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    leg, at = caller.leg, office.at
    office.do(caller.facts(HangupRequested))
    for _ in range(2):
        office.do(caller.facts(ChannelGone))
    office.at += 0.1
    office.do(Unbridged(at=office.at, uniqueid=leg, bridge="b1"))
    types = office.types(caller.call_id)
    assert types.index("call.disconnected") < types.index("call.ended")
    assert types.count("call.ended") == 1
    assert (office.last("call.ended").at, office.last("call.ended").data["side"]) == (at, "caller")


def test_an_agent_whose_caller_vanished_does_not_talk_to_nobody() -> None:
    office = Office(wrap_up="0s")
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    office.do(caller.facts(ChannelGone))
    assert HangUp(uniqueid=caller.leg) in office.wait(1.1)
    assert office.state("ani") == ("ready", "")


def test_ghost_is_hung_up_and_a_real_hangup_is_left_alone() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    office.do(caller.facts(HangupRequested))
    assert HangUp(uniqueid=caller.uniqueid) in office.wait(0.31)
    other = office.waiting_caller("0812000002")
    other.hangs_up()
    assert HangUp(uniqueid=other.uniqueid) not in office.wait(1)


def test_an_offer_without_any_fact_is_given_up() -> None:
    office = Office(ring="15s")
    office.ready()
    caller = office.waiting_caller()
    office.wait(19)
    assert office.state("ani") == ("not_ready", "missed")
    assert HangUp(uniqueid=caller.leg) in office.commands
    assert list(office.board.router.stands)


def test_an_answered_phone_that_is_never_bridged_is_let_go() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
    office.wait(3.1)
    assert office.types().count("offer.cancelled") == 1
    assert office.types().count("call.offered") == 2, "the caller is offered again"


def test_a_phone_that_answers_and_is_gone_at_once_is_tried_twice() -> None:
    """A hang-up at the instant of bridging costs the agent nothing; a phone that always does it is taken out."""
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    for expected in (("reserved", ""), ("not_ready", "link")):
        caller.rung()
        office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
        office.do(ChannelGone(at=office.at + 0.002, uniqueid=caller.leg))
        assert office.state("ani") == expected
    assert [t for t in office.types() if t.startswith("offer.")] == ["offer.cancelled", "offer.missed"]
    assert office.types().count("call.offered") == 2


def test_wrap_up_is_extended_once() -> None:
    office = Office(wrap_up="30s")
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    caller.hangs_up()
    office.do(WrapUp(at=office.at, by="ani", agent="ani", action="extend"))
    office.wait(40)
    assert office.state("ani")[0] == "wrap_up"
    with pytest.raises(Refused):
        office.do(WrapUp(at=office.at, by="ani", agent="ani", action="extend"))
    office.wait(21)
    assert office.state("ani") == ("ready", "")


def test_requests_about_an_offer() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}})
    office.ready("ani", "budi")
    caller = office.waiting_caller()
    with pytest.raises(Refused):
        office.do(AnswerCall(at=office.at, by="budi", agent="budi", call_id=caller.call_id))
    assert office.do(AnswerCall(at=office.at, by="ani", agent="ani", call_id=caller.call_id)) == [
        PickUp(agent="ani", call_id=caller.call_id)
    ]
    office.do(RejectCall(at=office.at, by="ani", agent="ani", call_id=caller.call_id))
    assert office.state("ani") == ("not_ready", "rejected") and office.state("budi")[0] == "reserved"
    caller.answer()
    assert office.do(HangUpCall(at=office.at, by="budi", agent="budi", call_id=caller.call_id)) == [
        HangUp(uniqueid=caller.leg)
    ]


def test_two_agents_cannot_share_a_station() -> None:
    office = Office(agents={"ani": {}, "budi": {}})
    office.ready("ani")
    with pytest.raises(Refused) as refused:
        office.do(SetAgentState(at=office.at, by="budi", agent="budi", wish="ready", station="2001"))
    assert refused.value.code == "station_in_use"


def test_no_offers_while_the_switch_is_away() -> None:
    office = Office()
    office.do(SwitchDown(at=office.at))
    office.ready()
    caller = office.waiting_caller()
    assert not caller.rings
    channel = {"uniqueid": caller.uniqueid, "channel": caller.channel, "context": "line"}
    office.do(SwitchUp(at=office.at, channels=(LiveChannel(**channel),), reachable=("2001",)))
    assert caller.rings


def test_a_message_left_while_no_server_answered_is_added_to_its_call() -> None:
    office = Office()
    caller = office.waiting_caller()
    office.do(caller.facts(MessageLeft, file="1.wav", seconds=3.0))
    assert office.last("voicemail.left").seq > 1
    stranger = f"x-{int(office.at)}.99"
    office.do(MessageLeft(at=office.at, uniqueid=stranger, file="2.wav", seconds=3.0))
    assert office.last("voicemail.left").seq >= 1_000_000 and len(office.board.calls.live) == 1


def test_a_phone_is_not_given_up_while_the_link_is_down() -> None:
    """What it did meanwhile is told when the link is back: here that it was answered."""
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    answered = office.at + 5
    office.do(SwitchDown(at=office.at))
    office.wait(120)
    assert office.state("ani") == ("reserved", "")
    for uniqueid in (caller.uniqueid, caller.leg):
        office.do(Bridged(at=answered, uniqueid=uniqueid, bridge="b1"))
    live = tuple(
        LiveChannel(uniqueid=uniqueid, channel=channel, context="line", bridge="b1")
        for uniqueid, channel in ((caller.uniqueid, caller.channel), (caller.leg, "PJSIP/2001-1"))
    )
    office.do(SwitchUp(at=office.at, channels=live, reachable=("2001",)))
    assert office.state("ani") == ("talking", "") and office.last("call.connected").at == answered


@pytest.mark.parametrize("rings", [True, False])
def test_a_phone_that_did_nothing_while_the_link_was_down(rings: bool) -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
    office.do(SwitchDown(at=office.at))
    office.wait(120)
    names = (caller.uniqueid, caller.leg) if rings else ()
    live = tuple(LiveChannel(uniqueid=name, channel=name, context="line") for name in names)
    office.do(SwitchUp(at=office.at, channels=live, reachable=("2001",)))
    office.wait(10)
    if rings:
        assert HangUp(uniqueid=names[1]) in office.commands
    else:
        assert office.last("offer.caller_left") and not office.board.calls.live
        assert office.state("ani") == ("ready", "")
