"""A caller's way through the flow: look-up, unknown numbers, dialled numbers, returns."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core.messages import (
    Bridged,
    ChannelGone,
    ChannelNew,
    Collect,
    CustomerFound,
    HangUp,
    HangUpCall,
    HangupRequested,
    Hold,
    LineDone,
    LineLost,
    LiveChannel,
    LookUpCustomer,
    OriginateFailed,
    Play,
    Release,
    Ring,
    SwitchDown,
    SwitchUp,
    Tick,
    Unbridged,
)  # fmt: skip
from cti.core.switchboard import Settings, Switchboard
from tests.core.office import Office


def flow(**nodes: Any) -> dict[str, Any]:
    return {"flow": "main", "language": "en", "start": next(iter(nodes)), "nodes": nodes}


SAY = {"do": "say", "say": {"en": "Bye"}, "then": "hangup"}
DIAL = flow(phone={"do": "dial", "to": "7001", "then": "bye", "busy": "sorry", "fail": "hangup"}, bye=SAY, sorry=SAY)


def test_the_flow_waits_for_the_customer_but_not_for_long() -> None:
    office = Office()
    caller = office.caller()
    caller.arrive(found=False)
    assert [type(c) for c in office.commands] == [LookUpCustomer]
    assert isinstance(office.wait(0.6)[-1], Play)
    customer = {"customer_id": "7", "tier": "vip"}
    office.do(CustomerFound(at=office.at, call_id=caller.call_id, customers=(customer,)))
    assert office.board.floor.customers[caller.call_id]["customers"] == [customer]
    assert office.types().count("call.identified") == 1, "the flow did not know him, his history does"
    office.do(CustomerFound(at=office.at, call_id=caller.call_id, customers=(customer,)))
    assert office.types().count("call.identified") == 1


def test_a_customer_who_is_found_before_his_channel_comes_for_instructions() -> None:
    office = Office()
    caller = office.caller()
    fact = caller.facts(ChannelNew, channel=caller.channel, context="from-trunk", called="6000", caller=caller.number)
    office.do(fact)
    office.do(CustomerFound(at=office.at, call_id=caller.call_id))
    assert not any(isinstance(c, Play) for c in office.commands)
    assert isinstance(caller.line()[-1], Play)


def test_a_known_customer_decides_the_priority() -> None:
    vip = flow(q={"do": "queue", "queue": "sales", "priority": "{{ 10 if customer.tier == 'vip' else 0 }}"})
    office = Office(flow=vip)
    for tier, priority in (("vip", 10), ("", 0)):
        caller = office.caller(f"081200000{priority}")
        caller.arrive(found=False)
        one = {"customer_id": "7", "tier": tier}
        office.do(CustomerFound(at=office.at, call_id=caller.call_id, customers=(one,)))
        assert office.last("call.queued").data["priority"] == priority
    assert office.last("call.identified").data["customers"] == ["7"]


def test_an_unknown_number_is_refused() -> None:
    office = Office()
    caller = office.caller(called="6999")
    caller.arrive()
    assert office.commands[-1] == Release(uniqueid=caller.uniqueid, cause=1)
    assert office.last("flow.ended").data["how"] == "refused"
    office.do(caller.facts(ChannelGone, cause=1))
    assert office.last("call.ended").data["side"] == "system"


def test_facts_about_calls_that_are_over_or_never_were() -> None:
    office = Office()
    caller = office.waiting_caller()
    caller.hangs_up()
    before = len(office.events)
    caller.line()
    caller.arrive(found=False)
    office.do(caller.facts(LineLost))
    office.do(caller.facts(LineDone, op=1, outcome="done"))
    office.do(CustomerFound(at=office.at, call_id="00000000-0000-7000-8000-000000000000"))
    office.wait(2)
    assert len(office.events) == before


def test_a_late_answer_of_an_earlier_prompt_is_ignored() -> None:
    menu = flow(m={"do": "menu", "say": {"en": "One"}, "options": {"1": "bye"}, "fail": "bye"}, bye=SAY)
    office = Office(flow=menu)
    caller = office.caller()
    caller.arrive()
    first = office.commands[-1]
    assert isinstance(first, Collect)
    office.do(caller.facts(LineDone, op=first.op, outcome="digits", digits="1"))
    before = len(office.commands)
    office.do(caller.facts(LineDone, op=first.op, outcome="timeout"))
    assert len(office.commands) == before


def test_who_comes_back_hears_his_prompt_again() -> None:
    office = Office()
    caller = office.caller()
    caller.arrive()
    office.do(caller.facts(LineLost))
    assert isinstance(caller.line()[-1], Play)


def test_who_comes_back_after_the_flow_is_over_is_released() -> None:
    office = Office(flow=flow(bye=SAY))
    caller = office.caller()
    caller.arrive()
    caller.heard()
    office.do(caller.facts(LineLost))
    assert caller.line() == [Release(uniqueid=caller.uniqueid)]


@pytest.mark.parametrize(("cause", "result"), [(17, "busy"), (19, "no_answer"), (34, "fail")])
def test_a_dialled_station_that_does_not_answer(cause: int, result: str) -> None:
    office = Office(flow=DIAL)
    caller = office.caller()
    caller.arrive()
    assert [type(c) for c in office.commands[-2:]] == [Hold, Ring]
    assert caller.rings[-1].endpoint == "7001"
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg, cause=cause))
    assert office.last("call.dial_ended").data["result"] == result
    assert isinstance(office.commands[-1], Release if result == "fail" else Play)


def test_a_dialled_station_talks_and_the_flow_goes_on() -> None:
    office = Office(flow=DIAL)
    caller = office.caller()
    caller.arrive()
    office.do(Bridged(at=office.at, uniqueid=caller.leg, bridge="b"))
    office.do(Bridged(at=office.at, uniqueid=caller.leg, bridge="b"))
    office.do(caller.facts(LineLost))
    office.wait(60)
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg))
    assert isinstance(caller.line()[-1], Play)
    assert office.types().count("call.dial_connected") == 1
    assert office.last("call.dial_ended").data["result"] == "answered"


def test_a_dialled_station_that_cannot_be_reached_or_never_says_a_word() -> None:
    for silent in (True, False):
        office = Office(flow=DIAL)
        caller = office.caller()
        caller.arrive()
        if silent:
            assert HangUp(uniqueid=caller.leg) in office.wait(120)
            assert office.last("call.dial_ended").data["result"] == "no_answer"
        else:
            office.do(OriginateFailed(at=office.at, uniqueid=caller.leg, reason="unreachable"))
            assert office.last("call.dial_ended").data["result"] == "fail"


def test_a_dialled_station_that_answers_while_the_link_is_down_was_answered() -> None:
    office = Office(flow=DIAL)
    caller = office.caller()
    caller.arrive()
    office.do(SwitchDown(at=office.at))
    office.wait(120)
    assert "call.dial_ended" not in office.types()
    office.do(Bridged(at=office.at - 100, uniqueid=caller.leg, bridge="b"))
    both = [(caller.uniqueid, caller.channel), (caller.leg, "PJSIP/7001-1")]
    live = tuple(LiveChannel(uniqueid=u, channel=name, context="line", bridge="b") for u, name in both)
    office.do(SwitchUp(at=office.at, channels=live))
    office.wait(120)
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg))
    assert office.last("call.dial_ended").data["result"] == "answered"


@pytest.mark.parametrize("met", [True, False])
def test_the_caller_leaves_a_dialled_station(met: bool) -> None:
    office = Office(flow=DIAL)
    caller = office.caller()
    caller.arrive()
    if met:
        office.do(Bridged(at=office.at, uniqueid=caller.leg, bridge="b"))
    caller.hangs_up()
    assert HangUp(uniqueid=caller.leg) in office.commands
    assert office.last("call.dial_ended").data["result"] == ("answered" if met else "caller_left")
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg))
    assert not office.board.calls.live


def test_an_outside_number_leaves_by_the_trunk() -> None:
    office = Office(flow=flow(phone={"do": "dial", "to": "+62215550123", "then": "hangup"}))
    caller = office.caller()
    caller.arrive()
    assert caller.rings[-1].endpoint == "+62215550123@t"


def test_a_queue_that_is_unknown_by_now_fails() -> None:
    office = Office()
    office.board.router.queues = {}
    caller = office.caller()
    caller.arrive()
    caller.heard()
    assert office.last("call.dequeued").data["result"] == "failed"


# ---------------------------------------------------------------- a flow that is over with the conversation


def last_of_all(**node: str) -> Office:
    nodes = {"wait": {"do": "queue", "queue": "sales", **node}, "bye": {"do": "say", "say": "Bye", "then": "hangup"}}
    office = Office({"flow": "main", "language": "en", "start": "wait", "nodes": nodes})
    office.ready()
    return office


def flow_end(office: Office) -> list[tuple[str, dict[str, Any]]]:
    told = [e for e in office.events if e.type in ("flow.node", "flow.ended", "call.ended")]
    keys = ("outcome", "to", "how", "side", "flow_result")
    return [(e.type, {key: e.data[key] for key in keys if key in e.data}) for e in told]


BY_THE_AGENT = [
    ("flow.node", {"outcome": "answered", "to": "hangup"}), ("flow.ended", {"how": "flow_ended"}),
    ("call.ended", {"side": "agent", "flow_result": "flow_ended"}),
]  # fmt: skip
BY_THE_CALLER = [
    ("flow.node", {"outcome": "answered", "to": ""}), ("flow.ended", {"how": "flow_ended"}),
    ("call.ended", {"side": "caller", "flow_result": ""}),
]  # fmt: skip


@pytest.mark.parametrize("where", [{"answered": "hangup", "then": "bye"}, {"then": "hangup"}])
@pytest.mark.parametrize("caller_told_first", [False, True])
def test_the_switch_hangs_up_a_caller_for_whom_nothing_is_left(where: dict[str, str], caller_told_first: bool) -> None:
    office = last_of_all(**where)
    caller = office.caller()
    caller.arrive()
    assert caller.rings[-1].final
    caller.answer()
    office.do(HangupRequested(at=office.at, uniqueid=caller.leg))
    mine, his = caller.facts(ChannelGone, cause=16), Unbridged(at=office.at, uniqueid=caller.leg, bridge="b1")
    for fact in (mine, his) if caller_told_first else (his, mine):
        office.do(fact)
    assert flow_end(office) == BY_THE_AGENT
    office.wait(2)
    assert not [c for c in office.commands if isinstance(c, Release | HangUp) and c.uniqueid == caller.uniqueid]


@pytest.mark.parametrize("asked", [False, True])
def test_a_caller_whom_the_switch_forgot_is_hung_up_by_us(asked: bool) -> None:
    """As can be when his agent hangs up at the instant of bridging, and when no server was there to see to it."""
    office, late = last_of_all(answered="hangup", then="bye"), HangUp(uniqueid="x-1800000000.1")
    caller = office.caller()
    caller.arrive()
    caller.answer()
    for fact in (HangupRequested(at=office.at, uniqueid=caller.leg),) if asked else ():
        office.do(fact)
    office.do(Unbridged(at=office.at, uniqueid=caller.leg, bridge="b1"))
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg))
    assert late not in office.wait(0.9) and late in office.wait(0.2)
    office.do(caller.facts(ChannelGone))
    assert late not in office.wait(9)


def test_after_a_restart_a_caller_for_whom_nothing_is_left_is_not_forgotten() -> None:
    office, late = last_of_all(answered="hangup", then="bye"), HangUp(uniqueid="x-1800000000.1")
    caller = office.caller()
    caller.arrive()
    caller.answer()
    office.do(HangupRequested(at=office.at, uniqueid=caller.leg))
    office.do(Unbridged(at=office.at, uniqueid=caller.leg, bridge="b1"))
    again = Switchboard(2, Settings())
    again.restore(office.events, office.at)
    assert late in again.handle(Tick(at=office.at + 1.1)).commands


def test_a_caller_who_hangs_up_first_has_left_the_flow_as_ever() -> None:
    office = last_of_all(answered="hangup", then="bye")
    caller = office.caller()
    caller.arrive()
    caller.answer()
    caller.hangs_up()
    assert flow_end(office) == BY_THE_CALLER


def test_whom_a_supervisor_hangs_up_has_left_the_flow() -> None:
    office = last_of_all(answered="hangup", then="bye")
    caller = office.caller()
    caller.arrive()
    caller.answer()
    office.do(HangUpCall(at=office.at, by="sup", call_id=caller.call_id))
    for fact in (Unbridged(at=office.at, uniqueid=caller.leg, bridge="b1"), caller.facts(ChannelGone, cause=16)):
        office.do(fact)
    assert flow_end(office)[0] == BY_THE_CALLER[0]


def test_who_comes_back_into_the_loop_all_the_same_is_released() -> None:
    office = last_of_all(answered="hangup", then="bye")
    caller = office.caller()
    caller.arrive()
    caller.answer()
    caller.agent_hangs_up()
    assert isinstance(office.commands[-1], Release)


def test_where_something_is_left_the_caller_comes_back_for_it() -> None:
    office = last_of_all(answered="bye", then="hangup")
    caller = office.caller()
    caller.arrive()
    assert not caller.rings[-1].final
    caller.answer()
    caller.agent_hangs_up()
    assert office.last("flow.node").data["to"] == "bye" and "flow.ended" not in office.types()
