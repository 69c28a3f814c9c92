"""A server that is killed at any moment of a callback."""

from __future__ import annotations

from typing import Any

from cti.core.call import Call
from cti.core.messages import (
    AgentInfo,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    CustomerFound,
    FlowsPublished,
    LiveChannel,
    LookUpCustomer,
    PeopleChanged,
    Push,
    SwitchDown,
    SwitchUp,
)
from cti.core.queues import CallbackRules
from cti.core.switchboard import Settings, Switchboard
from tests.core.callbacks.desk import AT_ONCE, NUMBER, Desk, Made, due_of
from tests.core.office import book


def restarted(office: Desk, channels: tuple[LiveChannel, ...] = (), facts: tuple[Any, ...] = ()) -> Desk:
    """Another server, from the events of what was not finished and what the database has open."""
    open_ = [due_of(one) for one in office.board.callbacks.open.values()]
    after = Desk.__new__(Desk)
    after.__dict__.update(office.__dict__)
    after.board = Switchboard(2, Settings(country="ID", trunk="t"))
    after.at, after.events, after.commands = office.at + 1, list(office.events), []
    live = set(office.board.calls.live)
    past = [event for event in office.events if event.call_id in live]
    agents = [event for event in office.events if event.type == "agent.state_changed"][-1:]
    output = after.board.restore([*past, *agents], after.at)
    after.commands += output.commands
    infos = tuple(
        AgentInfo(agent=name, skills=skills, station=str(2001 + i))
        for i, (name, skills) in enumerate(office.agents.items())
    )
    after.do(PeopleChanged(at=after.at, agents=infos, stations=tuple(one.station for one in infos)))
    after.board.publish(book(AT_ONCE), FlowsPublished(at=after.at, version=1))
    after.settings()
    after.found(*open_)
    for fact in facts:
        after.do(fact)
    after.do(SwitchUp(at=after.at, channels=channels, reachable=("2001",)))
    return after


def channel(made: Made, side: str, state: str = "Up", bridge: str = "") -> LiveChannel:
    uniqueid, name = (made.agent, made.channel) if side == "agent" else (made.customer, "PJSIP/t-00000001")
    return LiveChannel(uniqueid=uniqueid, channel=name, context="agent", state=state, bridge=bridge)


def same(office: Desk, made: Made) -> Call:
    return office.board.calls.live[made.call.call_id]


def test_killed_while_it_waits(office: Desk) -> None:
    office.asks()
    after = restarted(office)
    assert len(after.standing()) == 1
    after.ready()
    assert after.made()


def test_killed_while_the_agents_phone_rings(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.rung()
    after = restarted(office, (channel(made, "agent", "Ringing"),))
    assert after.rings() == [] and same(after, made).calls_back
    after.do(ChannelUp(at=after.at, uniqueid=made.agent))
    assert [ring.channel_id for ring in after.rings()] == [made.customer]


def test_killed_while_the_agents_phone_rings_and_it_never_ends(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    after = restarted(office, (channel(made, "agent", "Ringing"),))
    after.wait(19)
    assert after.state("ani") == ("not_ready", "missed") and after.hung_up() == [made.agent]


def test_killed_before_the_agent_was_rung(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    after = restarted(office)
    assert after.last("offer.cancelled").data["reason"] == "switch"
    assert after.last("callback.failed").data["result"] == "no_agent"
    assert made.call.call_id not in after.board.calls.live
    again = after.made()
    assert again.call.callback == one.callback_id and again.customer != made.customer


def test_killed_between_the_event_and_the_customers_ring(office: Desk) -> None:
    """The agent waits, and there is no channel: he was not rung, and is now, under the same name."""
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    after = restarted(office, (channel(made, "agent"),))
    assert [ring.channel_id for ring in after.rings()] == [made.customer]


def test_killed_before_it_heard_that_the_agent_has_answered(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.rung()
    after = restarted(office, (channel(made, "agent"),))
    assert [ring.peer for ring in after.rings()] == [made.channel]
    assert after.last("call.placed").data["channel_id"] == made.customer


def test_killed_while_the_customers_phone_rings(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    after = restarted(office, (channel(made, "agent"), channel(made, "customer", "Ringing")))
    assert after.rings() == [] and after.hung_up() == []
    after.wait(34)
    assert after.last("callback.failed").data["result"] == "no_answer"
    assert set(after.hung_up()) == {made.agent, made.customer}


def test_killed_while_the_customers_phone_rings_and_it_was_busy_meanwhile(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    gone = ChannelGone(at=office.at + 0.5, uniqueid=made.customer, cause=17)
    after = restarted(office, (channel(made, "agent"),), (gone,))
    assert after.rings() == [] and made.agent in after.hung_up()
    assert after.last("callback.failed").data["result"] == "busy"
    assert after.board.callbacks.open[one.callback_id].tries == 1


def test_killed_and_the_agent_left_meanwhile(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    after = restarted(office, (channel(made, "customer", "Ringing"),))
    assert after.last("callback.failed").data["result"] == "agent_left"
    assert made.customer in after.hung_up()


def test_killed_while_they_meet(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    after = restarted(office, (channel(made, "agent", bridge="b1"), channel(made, "customer", bridge="b1")))
    assert after.state("ani")[0] == "talking" and after.hung_up() == []
    assert after.ended()["state"] == "done"


def test_killed_while_they_talk(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.talk()
    after = restarted(office, (channel(made, "agent", bridge="b1"), channel(made, "customer", bridge="b1")))
    assert after.state("ani")[0] == "talking" and after.hung_up() == [] and after.board.callbacks.open == {}
    asked = [c for c in after.commands if isinstance(c, LookUpCustomer)]
    assert [c.caller for c in asked] == [NUMBER]


def test_a_call_of_which_only_the_beginning_was_kept(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    kept = [e for e in office.events if e.call_id != made.call.call_id or e.type == "call.arrived"]
    office.events = kept
    after = restarted(office)
    assert [e.data["result"] for e in after.events if e.type == "callback.failed"] == ["no_agent"]


def test_a_talk_of_which_the_callbacks_end_was_not_kept(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.talk()
    office.board.callbacks._keep(one)
    after = restarted(office, (channel(made, "agent", bridge="b1"), channel(made, "customer", bridge="b1")))
    assert after.ended()["state"] == "done" and after.types().count("callback.ended") == 2
    assert after.types().count("callback.dialed") == 1


def test_the_link_breaks_and_comes_back_while_phones_ring(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    office.do(SwitchDown(at=office.at))
    office.wait(60)
    assert one.made == made.call.call_id  # nobody knows: it has time
    both = (channel(made, "agent"), channel(made, "customer", "Ringing"))
    office.do(SwitchUp(at=office.at, channels=both, reachable=("2001",)))
    office.wait(34)
    assert office.last("callback.failed").data["result"] == "no_answer"


def test_killed_while_he_who_asked_is_still_on_the_line(office: Desk) -> None:
    caller = office.caller(NUMBER)
    caller.arrive()
    (one,) = office.board.callbacks.open.values()
    after = restarted(office, (LiveChannel(uniqueid=caller.uniqueid, channel=caller.channel, context="line"),))
    assert list(after.board.callbacks.open) == [one.callback_id]
    assert after.board.callbacks.hindered(after.board.callbacks.open[one.callback_id], after.at) == "on_line"
    after.found()
    assert after.board.callbacks.open == {}


def test_a_start_that_has_only_the_beginning_of_a_call_waits_for_the_switch(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    office.events = [e for e in office.events if e.call_id != made.call.call_id or e.type == "call.arrived"]
    known = CustomerFound(at=office.at, call_id=made.call.call_id)
    gone = ChannelGone(at=office.at, uniqueid=made.customer, cause=17)
    after = restarted(office, (), (known, gone))
    assert not [c for c in after.commands if isinstance(c, Push) and c.type == "screen_pop"]
    assert after.last("callback.failed").data["result"] == "busy"


def test_a_try_that_is_told_late_to_have_failed_is_made_again(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    failed = ChannelGone(at=office.at + 5, uniqueid=made.customer, cause=17)
    office.do(SwitchDown(at=office.at))
    office.wait(300)
    office.do(failed)
    office.do(SwitchUp(at=office.at, channels=(), reachable=("2001",)))
    office.wait(office.rules.every)
    assert office.types().count("callback.dialed") == 2


def test_an_answer_that_is_told_of_the_past_rings_nobody_whose_time_is_over() -> None:
    office = Desk(rules=CallbackRules(expires=60))
    office.asks()
    office.ready()
    made = office.made()
    made.rung()
    rung = ChannelNew(at=office.at, uniqueid=made.agent, channel=made.channel, context="agent")
    answered = ChannelUp(at=office.at + 1, uniqueid=made.agent)
    office.at += 90
    after = restarted(office, (channel(made, "agent"),), (rung, answered))
    assert (after.rings(), after.ended()["state"]) == ([], "expired") and made.agent in after.hung_up()
