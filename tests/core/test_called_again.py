"""Who calls again before it is told that he has hung up."""

from __future__ import annotations

from typing import Any

from cti.core.messages import ChangePriority, ClockStepped, RejectCall
from cti.core.queues import QueueConfig, Routing
from tests.core.office import Caller, Office, queue

HIS = "0812000001"


def office(agents: dict[str, dict[str, int]] | None = None, **settings: Any) -> Office:
    made = Office(agents=agents)
    queues = {"sales": queue(**{"return_within": 60.0} | settings), "support": QueueConfig(name="support")}
    made.board.waits.configure(queues, made.at, {}, Routing())
    return made


def two_of_his(made: Office, after: float = 0.05) -> tuple[Caller, Caller, Caller]:
    """He waits, somebody else comes, he calls again; `after` that it is told that he has hung up."""
    first = made.waiting_caller(HIS)
    made.wait(20)
    other = made.waiting_caller("0812000002")
    made.wait(20)
    again = made.waiting_caller(HIS)
    made.wait(after)
    first.hangs_up()
    return first, other, again


def order(made: Office) -> list[str]:
    return [place.key for place in made.board.router.order.get("sales", [])]


def kept(made: Office) -> list[tuple[str, str]]:
    return [(event.call_id, event.data["why"]) for event in made.events if event.type == "call.place_kept"]


def test_he_has_his_place_as_soon_as_it_is_told() -> None:
    made = office()
    _, other, again = two_of_his(made)
    assert order(made) == [again.call_id, other.call_id]
    assert kept(made) == [(again.call_id, "returned")]
    visit = made.board.calls.live[again.call_id].visit
    assert visit is not None and abs(made.at - visit.since - 40.05) < 0.01


def test_in_a_queue_without_that_nobody_has_it_who_calls_at_the_same_moment() -> None:
    made = office(return_within=0.0)
    first = made.waiting_caller(HIS)
    made.wait(20)
    first.hangs_up()
    made.waiting_caller(HIS)
    assert kept(made) == []


def test_it_is_when_he_calls_that_counts_not_when_he_has_gone_through_the_menu() -> None:
    for after, places in ((50, 1), (70, 0)):
        made = office()
        first = made.waiting_caller(HIS)
        made.wait(20)
        first.hangs_up()
        made.wait(after)
        again = made.caller(HIS)
        again.arrive()
        made.wait(20)
        again.heard()
        assert len(kept(made)) == places


def test_who_was_served_in_the_call_has_no_place_of_the_call_before() -> None:
    nodes = {"first": {"do": "queue", "queue": "support", "then": "second"},
             "second": {"do": "queue", "queue": "sales", "then": "hangup"}}  # fmt: skip
    made = Office({"flow": "main", "language": "en", "start": "first", "nodes": nodes}, {"ani": {"support": 1}})
    made.board.waits.configure(
        {"sales": queue(return_within=60.0), "support": QueueConfig(name="support")}, made.at, {}, Routing()
    )  # fmt: skip
    made.board.waits.admission.leaves_place("+62812000001", "sales", "abandoned", made.at - 60, made.at)
    made.ready()
    again = made.caller(HIS)
    again.arrive()
    again.answer()
    made.wait(100)
    again.agent_hangs_up()
    assert made.last("call.queued").queue == "sales" and kept(made) == []


def test_the_place_is_taken_once() -> None:
    made = office()
    _, other, again = two_of_his(made)
    third = made.waiting_caller(HIS)
    assert order(made) == [again.call_id, other.call_id, third.call_id]
    again.hangs_up()
    assert order(made) == [third.call_id, other.call_id], "and handed on"


def test_two_who_share_a_number_and_both_wait_keep_their_own() -> None:
    made = office()
    _, other, again = two_of_his(made, after=5)
    assert order(made) == [other.call_id, again.call_id]
    assert kept(made) == []


def test_a_queue_that_keeps_no_places_keeps_none() -> None:
    made = office(return_within=0.0)
    _, other, again = two_of_his(made)
    assert order(made) == [other.call_id, again.call_id]


def test_nobody_has_the_place_of_one_who_left_otherwise() -> None:
    made = Office(max_wait="40s", return_within="1m")
    first = made.waiting_caller(HIS)
    made.wait(39.9)
    again = made.waiting_caller(HIS)
    made.wait(0.2)
    assert made.last("call.dequeued").call_id == first.call_id and kept(made) == []
    assert order(made) == [again.call_id]


def test_other_queues_and_callers_without_a_number_are_not_his() -> None:
    made = office()
    hidden = made.waiting_caller("")
    made.wait(20)
    other = made.waiting_caller("")
    made.wait(0.05)
    hidden.hangs_up()
    assert order(made) == [other.call_id] and kept(made) == []


def test_one_for_whom_a_phone_rings_already_has_it_when_that_rang_in_vain() -> None:
    made = office({"ani": {"sales": 5}, "budi": {}})
    first = made.waiting_caller(HIS)
    made.wait(20)
    other = made.waiting_caller("0812000002")
    made.wait(20)
    again = made.waiting_caller(HIS)
    made.do(ChangePriority(at=made.at, by="boss", call_id=again.call_id, priority=10))
    made.ready("ani")
    assert len(again.rings) == 1
    first.hangs_up()
    made.do(ChangePriority(at=made.at, by="boss", call_id=again.call_id, priority=0))
    made.do(RejectCall(at=made.at, by="ani", call_id=again.call_id, agent="ani"))
    assert order(made) == [again.call_id, other.call_id]


def test_it_is_so_when_the_clock_was_set_between() -> None:
    made = office()
    first = made.waiting_caller(HIS)
    made.wait(20)
    other = made.waiting_caller("0812000002")
    again = made.waiting_caller(HIS)
    made.at += 3600
    made.do(ClockStepped(at=made.at, by=3600))
    first.hangs_up()
    assert order(made) == [again.call_id, other.call_id]
