"""Customers who are called back: the place they keep, when they are called, and every way that can end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cti.core import views
from cti.core.call import Call
from cti.core.callbacks import Callback
from cti.core.expect import FEWEST, WINDOW
from cti.core.ids import callback_id
from cti.core.ivr.model import Number
from cti.core.messages import (
    AgentInfo,
    Bridged,
    CalendarsForced,
    CallbackDue,
    CallbacksFound,
    CancelCallback,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    ClockStepped,
    CustomerFound,
    Event,
    FlowsPublished,
    Forced,
    HangUp,
    HangUpCall,
    HangupRequested,
    LiveChannel,
    LookUpCustomer,
    OriginateFailed,
    PeopleChanged,
    Play,
    Push,
    RejectCall,
    Ring,
    StationState,
    SwitchDown,
    SwitchUp,
    Text,
    Unbridged,
)
from cti.core.queues import CallbackRules, QueueConfig, Relax, Routing
from cti.core.stats import Stats
from cti.core.switchboard import AFTER_ALL, Settings, Switchboard
from cti.errors import Refused
from tests.core.office import START, Caller, Office, book

NUMBER = "+62812000777"
ASKS = {
    "flow": "main", "language": "en", "start": "wait",
    "nodes": {
        "wait": {"do": "queue", "queue": "sales", "priority": 4, "skills": {"english": 2}, "max_wait": "60s",
                 "timeout": "call_me", "answered": "hangup"},
        "call_me": {"do": "callback", "queue": "sales", "ask": False, "then": "hangup"},
    },
}  # fmt: skip
AT_ONCE = {
    "flow": "main", "language": "en", "start": "call_me",
    "nodes": {"call_me": {"do": "callback", "queue": "sales", "ask": False, "then": "hangup"}},
}  # fmt: skip


class Desk(Office):
    """`rules` of the callbacks of queue `sales`."""

    def __init__(self, flow: dict[str, Any] = AT_ONCE, rules: CallbackRules | None = None, **more: Any) -> None:
        self.rules = rules or CallbackRules()
        super().__init__(flow, more.pop("agents", None))
        self.settings(**more)

    def settings(self, **more: Any) -> None:
        sales = QueueConfig(name="sales", callback=self.rules, **more)
        queues = {"sales": sales, "support": QueueConfig(name="support", callback=self.rules)}
        self.board.waits.configure(queues, self.at, {}, Routing())
        self.board.callbacks.configured(self.at)

    def found(self, *due: CallbackDue) -> list[Any]:
        return self.do(CallbacksFound(at=self.at, callbacks=due))

    def asks(self, number: str = NUMBER) -> Callback:
        """A caller asks to be called back and leaves."""
        caller = self.caller(number)
        caller.arrive()
        caller.heard()
        self.do(caller.facts(ChannelGone))
        asked = self.last("callback.requested")
        return self.board.callbacks.open[callback_id(asked.call_id, asked.seq)]

    def rings(self, number: str = NUMBER) -> list[Ring]:
        return [c for c in self.commands if isinstance(c, Ring) and c.endpoint == f"{number}@t"]

    def made(self) -> Made:
        return Made(self)

    def ended(self) -> dict[str, Any]:
        return self.last("callback.ended").data

    def standing(self) -> list[str]:
        return [key for key in self.board.router.stands if key.startswith("callback/")]

    def hung_up(self) -> list[str]:
        return [c.uniqueid for c in self.commands if isinstance(c, HangUp)]


class Made:
    """The call that is made now, with its two phones."""

    def __init__(self, office: Desk) -> None:
        self.office = office
        self.call = next(c for c in reversed(office.board.calls.live.values()) if c.callback and c.ended_at is None)
        assert self.call.offer is not None
        self.agent, self.customer = self.call.offer.channel_id, self.call.uniqueid
        self.channel = f"PJSIP/2001-{office.calls:08x}"

    def fact(self, kind: type, uniqueid: str, **more: Any) -> list[Any]:
        return self.office.do(kind(at=self.office.at, uniqueid=uniqueid, **more))

    def rung(self) -> None:
        self.fact(ChannelNew, self.agent, channel=self.channel, context="agent")

    def agent_answers(self) -> list[Any]:
        self.rung()
        return self.fact(ChannelUp, self.agent)

    def customer_answers(self) -> None:
        self.fact(ChannelNew, self.customer, channel="PJSIP/t-00000001", context="agent")
        self.fact(ChannelUp, self.customer)
        self.fact(Bridged, self.customer, bridge="b1")
        self.fact(Bridged, self.agent, bridge="b1")

    def talk(self) -> None:
        self.agent_answers()
        self.customer_answers()


@pytest.fixture
def office() -> Desk:
    return Desk()


# ---------------------------------------------------------------- the good way


def test_the_agent_is_rung_first_and_the_customer_when_he_has_answered(office: Desk) -> None:
    one = office.asks()
    assert office.standing() == [one.key]
    office.ready()
    made = office.made()
    arrived = office.last("call.arrived")
    assert (arrived.queue, arrived.agent) == ("sales", "ani")
    about = {"direction": "outbound", "called": NUMBER, "caller": "6000", "story_id": one.call_id,
             "callback": one.callback_id, "uniqueid": made.customer, "requested_at": one.requested_at,
             "tries": 0}  # fmt: skip
    assert about.items() <= arrived.data.items()
    dialed = office.last("callback.dialed")
    assert (dialed.call_id, dialed.seq >= AFTER_ALL) == (one.call_id, True)
    assert dialed.data == {"callback": one.callback_id, "to": made.call.call_id, "number": NUMBER, "try": 1}
    offered = office.last("call.offered")
    assert (offered.agent, offered.data["visit"], offered.data["recorded"]) == ("ani", None, True)
    assert offered.data["decision"]["rule"] == "next_caller"
    ring = office.commands[-2]
    assert isinstance(ring, Ring) and (ring.endpoint, ring.peer, ring.caller) == ("2001", "", NUMBER)
    assert ring.recording_id == offered.data["offer"] and office.state("ani")[0] == "reserved"
    assert office.commands[-1] == LookUpCustomer(call_id=made.call.call_id, caller=NUMBER)
    assert office.rings() == []

    (customer,) = made.agent_answers()
    assert customer == Ring(channel_id=made.customer, call_id=made.call.call_id, endpoint=f"{NUMBER}@t",
                            peer=made.channel, timeout=30.0, caller="6000")  # fmt: skip
    assert office.types()[-1] == "call.placed"
    made.customer_answers()
    assert office.state("ani")[0] == "talking"
    assert "call.dequeued" not in office.types(made.call.call_id)
    assert office.ended() == {"callback": one.callback_id, "state": "done", "by": "ani", "number": NUMBER,
                              "to": made.call.call_id}  # fmt: skip
    assert office.board.callbacks.open == {} and office.board.callbacks.of(NUMBER) == []
    office.wait(200)
    assert office.state("ani")[0] == "talking" and len(office.rings()) == 1


def test_after_the_talk_the_agent_wraps_up_and_the_call_is_over(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.talk()
    made.fact(HangupRequested, made.customer)
    made.fact(Unbridged, made.customer, bridge="b1")
    made.fact(Unbridged, made.agent, bridge="b1")
    made.fact(ChannelGone, made.agent)
    made.fact(ChannelGone, made.customer)
    ended = office.last("call.ended")
    assert (ended.call_id, ended.data["side"], ended.data["cause"]) == (made.call.call_id, "caller", 16)
    assert office.state("ani")[0] == "wrap_up"


def test_the_agent_may_end_the_talk(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.talk()
    made.fact(HangupRequested, made.agent)
    made.fact(Unbridged, made.agent, bridge="b1")
    made.fact(ChannelGone, made.agent)
    made.fact(ChannelGone, made.customer)
    assert office.last("call.ended").data["side"] == "agent"


def test_the_page_shows_that_it_is_a_callback_and_who_it_is(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    pop = next(c for c in office.commands if isinstance(c, Push) and c.type == "screen_pop")
    assert pop.data["call"]["callback"] == {"requested_at": one.requested_at, "tries": 0}
    assert (pop.data["call"]["called"], pop.data["call"]["queue"]) == (NUMBER, "sales")
    who = ({"customer_id": "7", "name": "Siti"},)
    (push,) = [c for c in office.do(CustomerFound(at=office.at, call_id=made.call.call_id, customers=who))
               if isinstance(c, Push)]  # fmt: skip
    assert push.data["customers"] == list(who) and push.data["call"]["identified_by"] == "number"


def test_what_waits_keeps_its_place_priority_and_skills() -> None:
    office = Desk(ASKS, agents={"ani": {"sales": 5, "english": 3}, "budi": {"sales": 5}})
    caller = office.waiting_caller(NUMBER)
    entered = office.at
    office.wait(61)
    caller.heard()
    office.do(caller.facts(ChannelGone))
    data = office.last("callback.requested").data
    assert (data["since"], data["priority"], data["skills"], data["language"]) == (entered, 4, {"english": 2}, "en")
    later = office.caller("0812000002")
    later.arrive()
    office.ready("budi")
    assert office.state("budi")[0] == "ready"
    office.ready("ani")
    assert office.made().call.offer.agent == "ani"  # type: ignore[union-attr]


def test_a_callback_is_called_in_its_turn_among_the_callers(office: Desk) -> None:
    office = Desk(AT_ONCE)
    one = office.asks()
    due = CallbackDue(callback_id="b" * 8, call_id="c1", queue="sales", number="+62812000888", since=START - 90,
                      requested_at=START - 90)  # fmt: skip
    office.found(due)
    office.ready()
    assert office.made().call.called == "+62812000888"
    assert office.standing() == [one.key]


def test_no_more_are_called_than_agents_are_free(office: Desk) -> None:
    for n in range(5):
        office.asks(f"+6281200010{n}")
    office.ready()
    assert office.types().count("callback.dialed") == 1
    assert len(office.standing()) == 4


# ---------------------------------------------------------------- the customer is not reached


@pytest.mark.parametrize(
    ("cause", "result", "outcome"),
    [(17, "busy", "busy"), (19, "no_answer", "no_answer"), (34, "fail", "failed")],
)
def test_a_customer_who_is_not_reached_is_called_again_later(cause: int, result: str, outcome: str) -> None:
    office = Desk(rules=CallbackRules(every=120, tries=2))
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.fact(ChannelGone, made.customer, cause=cause)
    assert made.agent in office.hung_up()
    assert office.state("ani") == ("ready", "")
    assert office.types(made.call.call_id)[-2:] == ["agent.state_changed", "call.ended"]
    assert office.last("offer.cancelled").data["reason"] == result
    assert office.last("call.ended").data["flow_result"] == outcome
    failed = office.last("callback.failed").data
    assert (failed["result"], failed["to"], failed["not_before"]) == (result, made.call.call_id, office.at + 120)
    assert (one.tries, office.standing(), made.call.call_id in office.board.calls.live) == (1, [], False)
    made.fact(ChannelGone, made.agent)
    office.wait(119)
    assert office.types().count("callback.dialed") == 1
    office.wait(2)
    again = office.made()
    assert office.last("callback.dialed").data["try"] == 2 and again.customer != made.customer
    assert office.last("call.arrived").data["tries"] == 1
    again.agent_answers()
    again.fact(ChannelGone, again.customer, cause=cause)
    assert (office.ended()["state"], office.ended()["by"]) == ("failed", "system")
    office.wait(1000)
    assert len(office.rings()) == 2


def test_a_number_that_is_none_is_not_tried_again(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.fact(ChannelGone, made.customer, cause=1)
    assert office.last("call.ended").data["flow_result"] == "invalid_number"
    assert office.ended()["state"] == "failed"


@pytest.mark.parametrize(("reason", "result"), [("no_answer", "no_answer"), ("unreachable", "fail")])
def test_a_customers_phone_that_cannot_be_rung_is_a_try(office: Desk, reason: Any, result: str) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.fact(OriginateFailed, made.customer, reason=reason)
    assert (office.last("callback.failed").data["result"], one.tries) == (result, 1)


def test_a_customer_whose_phone_rings_for_too_long_is_given_up(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    office.wait(34)
    assert {made.customer, made.agent} <= set(office.hung_up())
    assert office.last("callback.failed").data["result"] == "no_answer"


def test_a_customer_who_answers_and_meets_nobody_was_dropped(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.fact(ChannelUp, made.customer)
    office.wait(3.5)
    assert office.last("call.ended").data["flow_result"] == "dropped"
    assert {made.customer, made.agent} <= set(office.hung_up())


def test_a_customer_who_answers_and_hangs_up_at_once(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.fact(ChannelUp, made.customer)
    made.fact(ChannelGone, made.customer, cause=16)
    assert office.last("callback.failed").data["result"] == "dropped"
    office.wait(10)
    assert office.types().count("callback.failed") == 1


# ---------------------------------------------------------------- the agent does not take it


def test_an_offer_that_is_missed_is_no_try() -> None:
    office = Desk(agents={"ani": {"sales": 1}, "budi": {"sales": 1}})
    one = office.asks()
    office.ready()
    made = office.made()
    made.rung()
    office.ready("budi")
    made.fact(ChannelGone, made.agent, cause=19)
    assert office.state("ani") == ("not_ready", "missed")
    assert office.last("callback.failed").data["result"] == "no_agent"
    assert (one.tries, office.rings()) == (0, [])
    again = office.made()
    assert again.call.offer is not None and again.call.offer.agent == "budi"
    assert office.types(made.call.call_id)[-1] == "call.ended"


def test_a_phone_that_gives_no_sign_is_given_up(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    office.wait(19)
    assert made.agent in office.hung_up() and office.state("ani") == ("not_ready", "missed")
    assert (office.standing(), one.made) == ([one.key], "")


@pytest.mark.parametrize(("reason", "why"), [("no_answer", "missed"), ("unreachable", "link")])
def test_an_agents_phone_that_cannot_be_rung(office: Desk, reason: Any, why: str) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.fact(OriginateFailed, made.agent, reason=reason)
    assert office.state("ani") == ("not_ready", why)


@pytest.mark.parametrize("seen", [True, False])
def test_an_agent_who_hangs_up_while_the_customers_phone_is_rung(office: Desk, seen: bool) -> None:
    """Also before the switch has told of the customer's channel: it will ring all the same."""
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    if seen:
        made.fact(ChannelNew, made.customer, channel="PJSIP/t-00000001", context="agent")
    made.fact(ChannelGone, made.agent)
    assert office.hung_up() == [made.customer]
    assert office.state("ani") == ("not_ready", "rejected")
    assert (office.last("callback.failed").data["result"], one.tries) == ("agent_left", 1)
    assert office.last("callback.failed").data["not_before"] == office.at + office.rules.every
    assert office.last("call.ended").data["flow_result"] == "failed"
    made.fact(ChannelGone, made.customer, cause=16)
    assert office.types().count("callback.failed") == 1
    office.ready()
    office.wait(office.rules.every - 1)
    assert office.types().count("callback.dialed") == 1
    office.wait(2)
    assert office.made().call is not made.call


def test_an_agent_who_hangs_up_before_the_customer_is_rung(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.fact(ChannelUp, made.agent)
    made.fact(ChannelGone, made.agent)
    assert (office.last("callback.failed").data["result"], one.tries, office.rings()) == ("no_agent", 0, [])
    assert office.last("callback.failed").data["not_before"] is None and office.standing() == [one.key]


def test_an_agent_who_hangs_up_when_the_customer_has_just_answered(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.fact(ChannelUp, made.customer)
    made.fact(ChannelGone, made.agent)
    assert office.hung_up() == [made.customer]
    assert (office.last("callback.failed").data["result"], one.tries) == ("dropped", 1)
    assert office.last("call.ended").data["flow_result"] == "dropped"


def test_an_agent_who_declines_on_the_page(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.rung()
    office.do(RejectCall(at=office.at, by="ani", call_id=made.call.call_id, agent="ani"))
    assert (set(office.hung_up()), one.tries) == ({made.agent}, 0)
    assert office.state("ani") == ("not_ready", "rejected")
    assert office.standing() == [one.key]


def test_an_agent_who_declines_on_the_page_while_the_customers_phone_is_rung(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    office.do(RejectCall(at=office.at, by="ani", call_id=made.call.call_id, agent="ani"))
    assert (set(office.hung_up()), one.tries) == ({made.agent, made.customer}, 1)
    assert office.state("ani") == ("not_ready", "rejected")


def test_a_supervisor_may_stop_the_call(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    office.do(HangUpCall(at=office.at, by="sue", call_id=made.call.call_id))
    assert {made.agent, made.customer} <= set(office.hung_up())
    assert (office.last("callback.failed").data["result"], one.tries, office.state("ani")[0]) == ("stopped", 1, "ready")
    office.asks("+62812000778")
    talking = office.made()
    talking.talk()
    office.do(HangUpCall(at=office.at, by="ani", call_id=talking.call.call_id, agent="ani"))
    assert office.types().count("callback.failed") == 1


def test_a_call_that_is_over_fails_no_more(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.talk()
    made.fact(ChannelNew, made.agent, channel=made.channel, context="agent")
    made.fact(OriginateFailed, made.customer, reason="failed")
    assert "callback.failed" not in office.types()


# ---------------------------------------------------------------- one per number and queue


def test_a_second_request_merges_into_the_first(office: Desk) -> None:
    one = office.asks()
    office.at += 5
    office.caller(NUMBER).arrive()
    assert office.ended()["state"] == "merged" and office.ended()["callback"] != one.callback_id
    assert list(office.board.callbacks.open.values()) == [one]
    assert "callback.moved" not in office.types()


def test_a_request_that_is_over_before_its_turn_to_be_looked_at(office: Desk) -> None:
    one = office.asks()
    asked = office.last("callback.requested")
    office.do(CancelCallback(at=office.at, by="sue", callback_id=one.callback_id))
    before = office.types()
    office.board.callbacks.react(asked)
    assert office.types() == before and office.standing() == []


def test_the_better_of_both_places_is_kept(office: Desk) -> None:
    one = office.asks()
    better = CallbackDue(callback_id="b2", call_id="c2", queue="sales", number=NUMBER, since=START - 500, priority=2,
                         requested_at=START - 500)  # fmt: skip
    office.found(better)
    moved = office.last("callback.moved")
    assert (moved.call_id, moved.data["since"], moved.data["priority"]) == (one.call_id, START - 500, 2)
    assert (one.since, one.priority, list(office.board.callbacks.open)) == (START - 500, 2, [one.callback_id])
    assert office.board.router.stands[one.key].waiter.since == START - 500


def test_without_aging_priority_alone_makes_a_place_better(office: Desk) -> None:
    office.board.waits.configure({"sales": QueueConfig(name="sales")}, office.at, {}, Routing(aging=0))
    one = office.asks()
    office.found(CallbackDue(callback_id="b2", call_id="c2", queue="sales", number=NUMBER, since=START + 50,
                             priority=1, requested_at=START))  # fmt: skip
    assert (one.since, one.priority) == (START + 50, 1)


def test_one_number_is_called_once_at_a_time_whatever_the_queue() -> None:
    office = Desk(agents={"ani": {"sales": 1}, "budi": {"support": 1}})
    office.asks()
    support = CallbackDue(callback_id="b2", call_id="c2", queue="support", number=NUMBER, since=START,
                          requested_at=START)  # fmt: skip
    office.found(support)
    office.ready("ani")
    made = office.made()
    office.ready("budi")
    assert office.types().count("callback.dialed") == 1 and office.state("budi")[0] == "ready"
    made.rung()
    made.fact(ChannelGone, made.agent, cause=19)
    assert office.made().call.offer.queue == "support"  # type: ignore[union-attr]


CALLS = {**ASKS, "nodes": {**ASKS["nodes"], "wait": {"do": "queue", "queue": "sales"}}}  # type: ignore[dict-item]


def returns(office: Desk, flow: dict[str, Any] = CALLS) -> Caller:
    """The customer calls again, into the queue."""
    office.board.publish(book(flow), FlowsPublished(at=office.at, version=2))
    office.settings()
    caller = office.caller(NUMBER)
    caller.arrive()
    return caller


def test_a_customer_who_calls_again_takes_the_place(office: Desk) -> None:
    one = office.asks()
    one.priority = 9
    office.at += 30
    caller = returns(office)
    assert (office.ended()["state"], office.ended()["by"], office.ended()["to"]) == ("merged", "caller", caller.call_id)
    kept = office.last("call.place_kept").data
    assert (kept["since"], kept["why"]) == (one.since, "callback")
    assert office.last("call.priority_changed").data["priority"] == 9
    visit = office.board.calls.live[caller.call_id].visit
    assert visit is not None and (visit.since, visit.priority) == (one.since, 9)
    office.ready()
    assert office.types().count("callback.dialed") == 0


def test_a_place_that_is_no_better_is_not_taken(office: Desk) -> None:
    one = office.asks()
    one.since, one.priority = office.at + 60, 0
    returns(office)
    assert office.ended()["state"] == "merged"
    assert "call.place_kept" not in office.types() and "call.priority_changed" not in office.types()


def test_who_calls_again_and_is_sent_away_is_still_called_back(office: Desk) -> None:
    office.asks()
    office.settings(max_size=0)
    office.board.publish(book(ASKS), FlowsPublished(at=office.at, version=2))
    office.settings(max_size=0)
    office.caller(NUMBER).arrive()
    assert office.last("call.dequeued").data["result"] == "full"
    assert "callback.ended" not in office.types() and len(office.standing()) == 1


def test_who_calls_another_queue_is_still_called_back(office: Desk) -> None:
    office.asks()
    other = {**ASKS, "nodes": {**ASKS["nodes"], "wait": {"do": "queue", "queue": "support"}}}  # type: ignore[dict-item]
    returns(office, other)
    assert "callback.ended" not in office.types()


def test_who_calls_while_the_agents_phone_rings_for_him_gets_that_agent_himself(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.rung()
    caller = returns(office)
    assert made.agent in office.hung_up()
    assert office.ended()["to"] == caller.call_id
    assert caller.rings and "callback.dialed" not in office.types()[-8:]


def test_who_calls_while_his_own_phone_is_rung_takes_his_place_when_that_is_over(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    caller = returns(office)
    assert "callback.ended" not in office.types()
    made.fact(ChannelGone, made.customer, cause=17)
    assert office.ended()["to"] == caller.call_id and office.board.callbacks.open == {}
    assert one.tries == 1 and caller.rings


# ---------------------------------------------------------------- when it may be called


def test_it_is_called_only_while_the_calendar_is_open() -> None:
    office = Desk(rules=CallbackRules(calendar="office"))
    closed = CalendarsForced(at=office.at, calendars={"office": Forced("closed", office.at + 100)})
    office.do(closed)
    one = office.asks()
    office.ready()
    assert office.standing() == [] and office.types().count("callback.dialed") == 0
    office.do(CalendarsForced(at=office.at, calendars={"office": Forced("open", office.at + 500)}))
    office.wait(0)
    assert office.made().call.callback == one.callback_id


def test_who_stands_is_taken_out_when_the_calendar_closes() -> None:
    office = Desk(calendar="office")
    office.do(CalendarsForced(at=office.at, calendars={"office": Forced("open", office.at + 100)}))
    office.asks()
    assert len(office.standing()) == 1
    office.wait(131)
    assert office.standing() == []
    office.do(CalendarsForced(at=office.at, calendars={"office": Forced("open", office.at + 100)}))
    office.wait(0)
    assert len(office.standing()) == 1


def test_nobody_is_called_when_the_calendar_has_closed_meanwhile() -> None:
    office = Desk(calendar="office")
    office.do(CalendarsForced(at=office.at, calendars={"office": Forced("open", office.at + 5)}))
    office.asks()
    office.at += 10
    office.ready()
    assert office.standing() == [] and "callback.dialed" not in office.types()


def test_it_expires() -> None:
    office = Desk(rules=CallbackRules(expires=3600))
    office.asks()
    office.wait(3599)
    assert "callback.ended" not in office.types()
    office.wait(2)
    assert office.ended()["state"] == "expired" and office.standing() == []


def test_a_number_that_may_not_be_called_is_barred(office: Desk) -> None:
    office.asks()
    one = next(iter(office.board.callbacks.open.values()))
    office.found(due_of(one, barred=True))
    assert office.ended()["state"] == "barred"


@pytest.mark.parametrize("number", ["2001", "112", "+6280912345678", "nonsense", "+18095551234", "+80012345678"])
def test_a_number_no_callback_may_go_to_is_not_rung(office: Desk, number: str) -> None:
    office.ready()
    office.found(CallbackDue(callback_id="b", call_id="c", queue="sales", number=number, since=1.0,
                             requested_at=office.at))  # fmt: skip
    assert office.ended()["state"] == "failed"
    assert not [c for c in office.commands if isinstance(c, Ring)]


def test_a_number_of_ours_is_not_rung(office: Desk) -> None:
    office.ready()
    ours = {"6000": Number(flow="main"), "+622129990000": Number(flow="main")}
    office.board.publish(msgspec.structs.replace(book(), numbers=ours), FlowsPublished(at=office.at, version=2))
    office.found(CallbackDue(callback_id="b", call_id="c", queue="sales", number="+622129990000", since=1.0,
                             requested_at=office.at))  # fmt: skip
    assert office.ended()["state"] == "failed"
    assert not [c for c in office.commands if isinstance(c, Ring)]


def test_without_a_trunk_or_its_queue_it_waits(office: Desk) -> None:
    office.board.callbacks.trunk = ""
    office.asks()
    office.ready()
    assert office.standing() == []
    office.board.callbacks.trunk = "t"
    office.found(CallbackDue(callback_id="b", call_id="c", queue="gone", number="+62812000888", since=1.0,
                             requested_at=office.at))  # fmt: skip
    assert "callback.dialed" not in office.types()
    office.wait(31)
    assert office.made().call.called == NUMBER and len(office.board.callbacks.open) == 2


def test_nobody_is_rung_while_the_switch_is_away(office: Desk) -> None:
    office.ready()
    office.do(SwitchDown(at=office.at))
    office.asks()
    assert "callback.dialed" not in office.types()
    office.do(SwitchUp(at=office.at, reachable=("2001",)))
    assert office.made()


def test_a_step_of_the_ladder_lets_others_serve_it() -> None:
    office = Desk(agents={"ani": {"other": 1}})
    office.settings(relax=(Relax(20.0, any_agent=True),), skills={"sales": 1, "rare": 1})
    office.do(StationState(at=office.at, station="2001", reachable=True))
    office.board.router.sign_on("ghost", {"sales": 1, "rare": 1}, office.at)
    office.ready()
    office.asks()
    assert "callback.dialed" not in office.types()
    office.wait(21)
    assert office.made()


# ---------------------------------------------------------------- the database, a hand, the clock


def due_of(one: Callback, **more: Any) -> CallbackDue:
    names = set(CallbackDue.__struct_fields__)
    return CallbackDue(**{name: getattr(one, name) for name in names} | more)


def test_what_the_database_has_no_more_was_ended_there(office: Desk) -> None:
    one = office.asks()
    office.found()
    assert list(office.board.callbacks.open) == [one.callback_id]  # it does not have it yet
    office.found(due_of(one))
    office.found()
    assert office.board.callbacks.open == {} and office.standing() == []
    assert "callback.ended" not in office.types()
    office.found(due_of(one))
    assert office.board.callbacks.open == {}  # an older answer that came late


def test_what_the_database_tells_of_one_known_may_be_old(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.fact(ChannelGone, made.customer, cause=17)
    office.found(due_of(one, tries=0, not_before=0.0))
    assert (one.tries, one.not_before > office.at, office.types().count("callback.dialed")) == (1, True, 1)


def test_one_under_way_is_not_dropped(office: Desk) -> None:
    one = office.asks()
    office.found(due_of(one))
    office.ready()
    made = office.made()
    office.found()
    assert one.made == made.call.call_id


def test_it_may_be_cancelled_when_it_is_not_under_way(office: Desk) -> None:
    one = office.asks()
    office.do(CancelCallback(at=office.at, by="sue", callback_id=one.callback_id))
    assert (office.ended()["state"], office.ended()["by"], office.standing()) == ("cancelled", "sue", [])
    with pytest.raises(Refused) as refused:
        office.do(CancelCallback(at=office.at, by="sue", callback_id=one.callback_id))
    assert refused.value.code == "callback_gone"
    other = office.asks("+62812000778")
    office.ready()
    with pytest.raises(Refused) as refused:
        office.do(CancelCallback(at=office.at, by="sue", callback_id=other.callback_id))
    assert refused.value.code == "callback_dialing"


def test_one_that_is_not_known_here_is_not_said_to_be_over(office: Desk) -> None:
    with pytest.raises(Refused) as refused:
        office.do(CancelCallback(at=office.at, by="sue", callback_id="0"))
    assert refused.value.code == "callback_unknown"


def test_a_clock_that_is_set_changes_no_distance() -> None:
    office = Desk(rules=CallbackRules(every=100))
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.fact(ChannelGone, made.customer, cause=17)
    office.at += 5000
    office.do(ClockStepped(at=office.at, by=5000.0))
    assert one.since == START + 5000
    assert one.not_before == office.at + 100
    office.wait(99)
    assert office.types().count("callback.dialed") == 1
    office.wait(2)
    assert office.types().count("callback.dialed") == 2
    assert office.made().call.requested_at == one.requested_at


@pytest.mark.parametrize("by", [5000.0, -5000.0])
@pytest.mark.parametrize("killed", [False, True])
def test_a_clock_that_is_set_does_not_change_when_it_expires(by: float, killed: bool) -> None:
    office = Desk(rules=CallbackRules(expires=3600))
    asked = office.at
    office.asks()
    office.wait(600)
    office.at += by
    office.do(ClockStepped(at=office.at, by=by))
    (one,) = office.board.callbacks.open.values()
    assert (one.requested_at, one.since) == (asked + by, asked + by)
    moved = office.last("callback.moved")
    assert moved.at == max(office.at, office.at - by), "nothing that was told before is later"
    assert (moved.data["requested_at"], moved.data["not_before"]) == (one.requested_at, 0.0)
    if killed:
        rules, due, at = office.rules, due_of(one), office.at
        office = Desk(rules=rules)
        office.at = at
        office.settings()
        office.found(due)
    office.wait(2999)
    assert "callback.ended" not in office.types()
    office.wait(2)
    assert office.ended()["state"] == "expired"


def test_what_is_expected_of_a_wait_survives_a_clock_that_is_set(office: Desk) -> None:
    expect = office.board.floor.expect
    for n in range(FEWEST):
        expect.handled("ani", "sales", 60.0, office.at - n)
    for by in (86_400.0, -172_800.0):
        office.at += by
        office.do(ClockStepped(at=office.at, by=by))
        assert expect.wait("sales", {"sales": 2}, ["ani"], office.at) == 120.0
    assert expect.wait("sales", {"sales": 2}, ["ani"], office.at + WINDOW + 1) is None, "that is long ago all the same"


def test_ended_ones_are_remembered_for_a_while(office: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.core.callbacks.KEEP_OVER", 2)
    ones = [office.asks(f"+6281200010{n}") for n in range(3)]
    for one in ones:
        office.do(CancelCallback(at=office.at, by="sue", callback_id=one.callback_id))
    office.found(due_of(ones[2]), due_of(ones[0]))
    assert list(office.board.callbacks.open) == [ones[0].callback_id]


# ---------------------------------------------------------------- a server killed at any moment


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
    assert list(after.board.callbacks.open) == [one.callback_id] and after.standing() == [one.key]
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


def test_a_phone_that_is_told_to_be_up_twice_rings_the_customer_once(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.agent_answers()
    assert len(office.rings()) == 1


def test_a_caller_nobody_knows_shows_what_is_known_of_his_number(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    history = ({"call_id": "c0"},)
    (push,) = office.do(CustomerFound(at=office.at, call_id=made.call.call_id, history=history))
    assert isinstance(push, Push) and push.data["history"] == list(history)


@pytest.mark.parametrize("reached", [True, False])
def test_one_that_was_ended_elsewhere_while_it_was_called(office: Desk, reached: bool) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    office.board.callbacks._forget(one)
    if reached:
        made.customer_answers()
    else:
        made.fact(ChannelGone, made.customer, cause=17)
    assert office.state("ani")[0] == ("talking" if reached else "ready")
    assert not {"callback.ended", "callback.failed"} & set(office.types())


def test_supervisors_see_what_is_open_in_the_order_of_its_turn() -> None:
    office = Desk(rules=CallbackRules(tries=5, every=120, expires=3600))

    def shown(*names: str) -> list[tuple[Any, ...]]:
        keys = ("number", "state", "why", "position", "tries", "for")
        return [tuple(row[key] for key in keys) for row in views.callbacks(office.board, names or None, office.at)]

    one = office.asks("+62812000001")
    office.at += 1
    two = office.asks("+62812000002")
    assert shown() == [("+62812000001", "open", "nobody", 1, 0, None), ("+62812000002", "open", "nobody", 2, 0, None)]
    assert shown("support") == []
    office.ready()
    made = office.made()
    assert shown("sales") == [
        ("+62812000001", "dialing", "calling", None, 0, "ani"), ("+62812000002", "open", "busy", 1, 0, None),
    ]  # fmt: skip
    (row, _) = views.callbacks(office.board, None, office.at)
    assert (row["made_id"], row["tries_most"], row["expires_at"]) == (made.call.call_id, 5, one.requested_at + 3600)
    made.agent_answers()
    office.board.callbacks.trunk = ""
    made.fact(ChannelGone, made.customer, cause=17)
    rows = views.callbacks(office.board, None, office.at)
    assert [(row["number"], row["why"], row["next_try_at"]) for row in rows] == [
        ("+62812000002", "no_trunk", None), ("+62812000001", "later", office.at + 120),
    ]  # fmt: skip
    office.board.callbacks.trunk = "t"
    assert [row["why"] for row in views.callbacks(office.board, None, office.at)] == ["soon", "later"]
    two.made = "gone"
    assert shown()[0] == ("+62812000002", "dialing", "calling", None, 0, None)


@pytest.mark.parametrize(
    ("due", "calendar", "why"), [({"queue": "gone"}, "", "no_queue"), ({}, "night", "closed"), ({}, "", "number")]
)
def test_what_hinders_one_is_shown(due: dict[str, Any], calendar: str, why: str) -> None:
    office = Desk(rules=CallbackRules(calendar=calendar))
    office.board.router.is_open = lambda name, at: False
    if why == "number":
        office.asks("+62812000888")
        office.ready()
    about = {"callback_id": "b" * 8, "call_id": "c1", "queue": "support", "number": "+62812000888", "since": START,
             "requested_at": START} | due  # fmt: skip
    office.found(CallbackDue(**about))
    (row,) = (row for row in views.callbacks(office.board, None, office.at) if row["callback_id"] == "b" * 8)
    assert (row["why"], row["position"]) == (why, None)


def test_a_flow_knows_that_its_caller_is_to_be_called_back(office: Desk) -> None:
    one = office.asks()
    one.tries = 2
    words = {"en": "{{ call.callback }} {{ call.callback_tries }}"}
    says = {**AT_ONCE, "nodes": {"call_me": {"do": "say", "say": words, "then": "hangup"}}}
    office.board.publish(book(says), FlowsPublished(at=office.at, version=2))
    for number, said in ((NUMBER, "sales 2"), ("+62812000778", " 0")):
        office.caller(number).arrive()
        play = next(c for c in reversed(office.commands) if isinstance(c, Play))
        assert [prompt.text for prompt in play.prompts if isinstance(prompt, Text)] == [said]


def test_the_board_counts_those_who_are_open_and_an_agent_serves_some_queues(office: Desk) -> None:
    office.asks()
    rows = {row["queue"]: row["callbacks"] for row in views.queues(office.board, Stats(), office.at)}
    assert rows == {"sales": 1, "support": 0}
    assert views.queues_of(office.board, "ani") == ["sales"]
    assert views.queues_of(office.board, "nobody") == []


def test_events_that_nobody_here_knows_are_left_alone(office: Desk) -> None:
    stray = Event(type="callback.dialed", at=office.at, call_id="c9", queue="sales", data={"callback": "x", "to": "y"})
    office.board.callbacks.apply(stray)
    office.do(CustomerFound(at=office.at, call_id="none"))
    assert office.board.callbacks.lengths()["sales"] == 0
