"""Routing that depends on time and on settings that change while people wait; what the switch has forgotten."""

from __future__ import annotations

from cti.core.messages import (
    Bridged,
    ChannelGone,
    Event,
    FlowsPublished,
    HangUp,
    HangupRequested,
    LiveChannel,
    RejectCall,
    SetAgentState,
    SwitchDown,
    SwitchUp,
)  # fmt: skip
from cti.core.queues import Routing
from tests.core.office import Caller, Office, book

JUNIOR = {"ani": {"sales": 1}}


def live(*callers: Caller) -> tuple[LiveChannel, ...]:
    return tuple(LiveChannel(uniqueid=c.uniqueid, channel=c.channel, context="line") for c in callers)


def test_a_wrap_up_of_a_talk_that_is_not_known_tells_nothing_of_how_long_talks_are() -> None:
    floor = Office().board.floor
    floor.apply(Event(type="call.wrapped", at=9.0, call_id="c", agent="ani", data={"how": "timer"}))
    assert floor.expect.handling("") is None


def test_requirements_relax_while_a_caller_waits() -> None:
    agents = {**JUNIOR, "budi": {"sales": 5}}
    office = Office(agents=agents, skills={"sales": 5}, relax=[{"after": "30s", "skills": {"sales": 1}}])
    office.ready()
    office.do(SetAgentState(at=office.at, by="budi", agent="budi", wish="not_ready", reason="break"))
    caller = office.waiting_caller()
    office.wait(29)
    assert not caller.rings
    office.wait(2)
    assert caller.rings
    assert office.last("call.offered").data["decision"]["waited"] >= 30


def test_a_step_that_nobody_signed_on_could_serve_is_skipped_until_somebody_is() -> None:
    agents = {**JUNIOR, "budi": {"sales": 5}}
    office = Office(agents=agents, skills={"sales": 5}, relax=[{"after": "30s", "skills": {"sales": 1}}])
    office.ready("ani")
    first = office.waiting_caller("0812000001")
    assert len(first.rings) == 1
    assert office.last("call.offered").data["decision"]["step"] == 1
    office.do(SetAgentState(at=office.at, by="budi", agent="budi", wish="not_ready", reason="break"))
    office.do(RejectCall(at=office.at, by="ani", call_id=first.call_id, agent="ani"))
    office.ready("ani")
    assert len(first.rings) == 1
    office.do(SetAgentState(at=office.at, by="budi", agent="budi", wish="logged_out"))
    assert len(first.rings) == 2


def test_relaxation_of_a_caller_who_left_or_is_rung() -> None:
    office = Office(agents=JUNIOR, relax=[{"after": "5s", "any_agent": True}], ring="20s")
    gone = office.waiting_caller("0812000001")
    gone.hangs_up()
    office.ready()
    rung = office.waiting_caller("0812000002")
    office.wait(6)
    assert len(rung.rings) == 1


def test_new_settings_hold_for_those_who_wait_and_a_removed_queue_serves_them_still() -> None:
    office = Office(agents=JUNIOR, skills={"sales": 5})
    office.ready()
    office.caller("0812000009").arrive()  # still hears the welcome
    caller = office.waiting_caller()
    assert not caller.rings
    office.board.publish(book(skills={"sales": 1}), FlowsPublished(at=office.at, version=2))
    office.do(SetAgentState(at=office.at, by="ani", agent="ani", wish="not_ready", reason="lunch"))
    office.ready()
    assert caller.rings
    sales = office.board.router.queues["sales"]
    office.board.waits.configure({}, office.at, {}, Routing())
    assert office.board.router.queues == {"sales": sales}


def test_max_wait_that_runs_out_while_a_phone_rings_counts_when_it_does_not_answer() -> None:
    office = Office(max_wait="10s", ring="15s")
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    office.wait(12)
    assert "call.dequeued" not in office.types()
    office.do(ChannelGone(at=office.at, uniqueid=caller.leg, cause=19))
    assert office.last("call.dequeued").data["result"] == "timeout"


def test_the_switch_has_forgotten_a_ringing_phone() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"support": 1}})
    office.ready()
    caller = office.waiting_caller()
    office.do(SwitchDown(at=office.at))
    office.at += 3
    office.do(SwitchUp(at=office.at, channels=live(caller), reachable=("2001", "2002")))
    assert office.last("offer.cancelled").data["reason"] == "switch"
    assert len(caller.rings) == 2, "offered again"


def test_a_phone_that_still_rings_after_the_link_is_back_keeps_ringing_for_its_time() -> None:
    office = Office(ring="15s")
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    office.do(SwitchDown(at=office.at))
    office.at += 3
    leg = LiveChannel(uniqueid=caller.leg, channel="PJSIP/2001-1", context="agent", state="Ringing")
    office.do(SwitchUp(at=office.at, channels=(*live(caller), leg), reachable=("2001",)))
    assert office.state("ani")[0] == "reserved"
    office.wait(16)
    assert office.state("ani") == ("not_ready", "missed")


def test_a_reserved_agent_without_an_offer_is_freed() -> None:
    office = Office()
    office.ready()
    agent = office.board.people.agents["ani"]
    office.board.people.move(agent, office.at, call_id="", work="reserved")
    office.do(SwitchUp(at=office.at, reachable=("2001",)))
    assert office.state("ani") == ("ready", "")


def test_a_talking_agent_whose_call_is_unknown_is_freed() -> None:
    office = Office()
    office.ready()
    agent = office.board.people.agents["ani"]
    office.board.people.move(agent, office.at, work="talking")
    office.do(SwitchUp(at=office.at, reachable=("2001",)))
    assert office.state("ani") == ("ready", "")


def test_bridged_after_all_is_seen_from_the_switchs_list() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    office.do(SwitchDown(at=office.at))
    office.at += 1
    both = (LiveChannel(uniqueid=caller.uniqueid, channel=caller.channel, context="line", bridge="b"),
            LiveChannel(uniqueid=caller.leg, channel="PJSIP/2001-1", context="agent", bridge="b"))  # fmt: skip
    office.do(SwitchUp(at=office.at, channels=both, reachable=("2001",)))
    assert office.state("ani")[0] == "talking"


def test_a_bridge_that_comes_after_the_offer_was_rejected_is_nobodys() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    leg = caller.leg
    office.do(RejectCall(at=office.at, by="ani", agent="ani", call_id=caller.call_id))
    office.do(Bridged(at=office.at, uniqueid=leg, bridge="b"))
    assert "call.connected" not in office.types()


def test_queues_that_do_not_record_start_no_recording() -> None:
    office = Office(recording="never", wrap_up="0s")
    office.ready()
    caller = office.waiting_caller()
    assert caller.rings[-1].recording_id == ""
    caller.answer()
    caller.hangs_up()
    assert "recording.started" not in office.types()


def test_who_waits_is_served_at_once_when_the_rule_that_kept_him_waiting_is_mended() -> None:
    """A free agent and a caller for him: nobody has to move first."""
    office = Office(agents=JUNIOR, skills={"sales": 5})
    office.ready()
    caller = office.waiting_caller()
    assert not caller.rings
    office.board.publish(book(skills={"sales": 1}), FlowsPublished(at=office.at, version=2))
    office.wait(0)
    assert caller.rings


def test_phones_of_ours_that_nobody_knows_are_hung_up_but_not_out_of_a_talk() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    leg = caller.leg
    strays = [f"{leg[:-1]}{digit}" for digit in "ab" if not leg.endswith(digit)]
    office.do(HangupRequested(at=office.at - 100, uniqueid="x-1800000000.77"))
    office.do(SwitchDown(at=office.at))
    channels = [LiveChannel(uniqueid=leg, channel="PJSIP/2001-1", context="agent")]
    channels += [
        LiveChannel(uniqueid=u, channel="PJSIP/2001-9", context="agent", bridge="b" * n) for n, u in enumerate(strays)
    ]
    before = len(office.commands)
    office.do(SwitchUp(at=office.at, channels=(*live(caller), *channels), reachable=("2001",)))
    assert [c.uniqueid for c in office.commands[before:] if isinstance(c, HangUp)] == strays[:1]
    assert office.board.calls.requested == {}
