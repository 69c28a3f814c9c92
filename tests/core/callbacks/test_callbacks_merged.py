"""One callback per number and queue: requests that merge, and customers who call again."""

from __future__ import annotations

from typing import Any

from cti.core.messages import CallbackDue, CancelCallback, ChannelGone, FlowsPublished
from cti.core.queues import QueueConfig, Routing
from tests.core.callbacks.desk import ASKS, NUMBER, Desk
from tests.core.office import START, Caller, book


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
    office.stored(better)
    moved = office.last("callback.moved")
    assert (moved.call_id, moved.data["since"], moved.data["priority"]) == (one.call_id, START - 500, 2)
    assert (one.since, one.priority, list(office.board.callbacks.open)) == (START - 500, 2, [one.callback_id])
    assert office.board.router.stands[one.key].waiter.since == START - 500


def test_without_aging_priority_alone_makes_a_place_better(office: Desk) -> None:
    office.board.waits.configure({"sales": QueueConfig(name="sales")}, office.at, {}, Routing(aging=0))
    one = office.asks()
    office.stored(CallbackDue(callback_id="b2", call_id="c2", queue="sales", number=NUMBER, since=START + 50,
                              priority=1, requested_at=START))  # fmt: skip
    assert (one.since, one.priority) == (START + 50, 1)


def test_one_number_is_called_once_at_a_time_whatever_the_queue() -> None:
    office = Desk(agents={"ani": {"sales": 1}, "budi": {"support": 1}})
    office.asks()
    support = CallbackDue(callback_id="b2", call_id="c2", queue="support", number=NUMBER, since=START,
                          requested_at=START)  # fmt: skip
    office.stored(support)
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
