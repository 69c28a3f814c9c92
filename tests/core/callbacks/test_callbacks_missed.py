"""Callbacks whose customer is not reached, or whose agent does not take them."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core.messages import ChannelGone, ChannelNew, ChannelUp, HangUpCall, OriginateFailed, RejectCall
from cti.core.queues import CallbackRules
from tests.core.callbacks.desk import Desk

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
