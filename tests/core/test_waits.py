"""Getting into a queue, keeping a place, and leaving without an agent."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core.messages import (
    ChangePriority,
    ChannelGone,
    ClockStepped,
    Event,
    HangUp,
    MoveCall,
    PastFound,
    PlaceLeft,
    SetAgentState,
    SwitchDown,
)  # fmt: skip
from cti.core.queues import Announce, Capacity, Overflow, QueueConfig, Relax, Routing
from cti.errors import BadInput, Refused
from tests.core.office import Caller, Office, queue

TWO = {"ani": {"sales": 1}, "budi": {"sales": 1, "support": 1}}


def office(agents: dict[str, dict[str, int]] | None = None, **settings: Any) -> Office:
    made = Office(agents=agents)
    queues = {"sales": queue(**settings), "support": QueueConfig(name="support")}
    made.board.waits.configure(queues, made.at, {}, Routing())
    return made


def result(made: Office) -> tuple[str, str]:
    event = made.last("call.dequeued")
    return event.data["result"], event.data.get("why", "")


def order(made: Office) -> list[str]:
    return [place.key for place in made.board.router.order.get("sales", [])]


def press(made: Office, caller: Caller, key: str, result: str) -> None:
    """As the line tells it."""
    visit = made.board.calls.live[caller.call_id].visit
    assert visit is not None
    about = {"visit": visit.number, "key": key, "result": result}
    event = Event(type="call.pressed", at=made.at, call_id=caller.call_id, queue="sales", data=about)
    made.board.waits.react(event)
    made.board._react()
    output = made.board._take()
    made.events += output.events
    made.commands += output.commands


# ---------------------------------------------------------------- who gets in


def test_a_queue_with_too_many_for_its_agents_takes_nobody_more() -> None:
    made = office(agents=TWO, overflow=Overflow(ratio=1.0))
    made.ready("ani")
    made.do(SetAgentState(at=made.at, by="ani", agent="ani", wish="not_ready", reason="break"))
    first = made.waiting_caller("0812000001")
    made.waiting_caller("0812000002")
    assert result(made) == ("full", "ratio")
    assert order(made) == [first.call_id]


def test_a_queue_where_it_would_take_too_long_takes_nobody_more_but_whom_an_agent_is_free_for() -> None:
    made = office(agents=TWO, overflow=Overflow(wait=60.0), wrap_up=0.0)
    made.ready("ani")
    for _ in range(5):
        caller = made.waiting_caller()
        caller.answer()
        made.wait(90)
        caller.hangs_up()
    rung = made.waiting_caller("0812000001")
    assert len(rung.rings) == 1
    rung.answer()
    made.waiting_caller("0812000002")
    assert result(made) == ("full", "wait")


def test_a_queue_of_its_size_is_full() -> None:
    made = office(max_size=1)
    made.waiting_caller("0812000001")
    made.waiting_caller("0812000002")
    assert result(made) == ("full", "size")


def test_where_nobody_could_ever_help_nobody_waits() -> None:
    made = office(overflow=Overflow(no_agents=0.0))
    made.waiting_caller("0812000001")
    assert result(made) == ("no_agents", "")
    made.ready()
    waiting = made.waiting_caller("0812000002")
    assert len(waiting.rings) == 1


def test_one_who_waits_for_anybody_waits_so_long() -> None:
    made = office(overflow=Overflow(no_agents=30.0))
    patient = made.waiting_caller("0812000001")
    made.wait(29)
    assert order(made) == [patient.call_id]
    made.wait(2)
    assert result(made) == ("no_agents", "")
    served = made.waiting_caller("0812000002")
    made.wait(10)
    made.ready()
    made.wait(25)
    assert len(served.rings) >= 1


def test_the_last_agent_leaves_and_nobody_can_help_any_more() -> None:
    made = office(agents=TWO, overflow=Overflow(no_agents=30.0))
    made.do(SetAgentState(at=made.at, by="ani", agent="ani", wish="not_ready", reason="break"))
    made.waiting_caller("0812000001")
    made.wait(100)
    made.do(SetAgentState(at=made.at, by="ani", agent="ani", wish="logged_out"))
    made.wait(29)
    assert "call.dequeued" not in made.types()
    made.wait(2)
    assert result(made) == ("no_agents", "")


# ---------------------------------------------------------------- places


def test_who_calls_again_has_his_place_back() -> None:
    made = office(return_within=60.0)
    first = made.waiting_caller("0812000001")
    made.wait(10)
    second = made.waiting_caller("0812000002")
    made.wait(10)
    first.hangs_up()
    made.wait(30)
    again = made.waiting_caller("0812000001")
    assert order(made) == [again.call_id, second.call_id]
    kept = made.last("call.place_kept")
    assert kept.data["why"] == "returned" and kept.data["since"] < made.at - 49
    again.hangs_up()
    made.wait(61)
    late = made.waiting_caller("0812000001")
    assert order(made) == [second.call_id, late.call_id]


def test_places_left_before_the_server_started_count_and_old_ones_are_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr("cti.core.admission.KEPT_PLACES", 1)
    made = office(return_within=60.0)
    second = made.waiting_caller("0812000002")
    left = [PlaceLeft(caller=f"+6281200000{n}", queue="sales", since=made.at - 5, left_at=made.at) for n in (3, 1)]
    made.do(PastFound(at=made.at, left=tuple(left), handled=(("ani", "sales", 2, 200.0),)))
    again = made.waiting_caller("0812000001")
    other = made.waiting_caller("0812000003")
    assert order(made) == [again.call_id, second.call_id, other.call_id]
    assert made.board.router.handling("ani", "sales") == 100.0


def test_a_phone_that_rang_in_vain_costs_no_place() -> None:
    made = office(agents=TWO)
    made.ready("ani")
    first = made.waiting_caller("0812000001")
    second = made.waiting_caller("0812000002")
    made.wait(20)
    made.ready("budi")
    assert len(first.rings) == 2 and not second.rings


# ---------------------------------------------------------------- a supervisor's hand


def test_a_priority_that_is_changed_counts_at_once() -> None:
    made = office()
    first, second = made.waiting_caller("0812000001"), made.waiting_caller("0812000002")
    made.do(ChangePriority(at=made.at, by="sari", call_id=second.call_id, priority=5))
    made.do(ChangePriority(at=made.at, by="sari", call_id=second.call_id, priority=5))
    assert order(made) == [second.call_id, first.call_id]
    assert made.types().count("call.priority_changed") == 1
    with pytest.raises(BadInput):
        made.do(ChangePriority(at=made.at, by="sari", call_id=second.call_id, priority=1001))
    with pytest.raises(Refused):
        made.do(ChangePriority(at=made.at, by="sari", call_id="gone", priority=1))


def test_a_caller_who_is_moved_keeps_his_time_and_is_served_at_once() -> None:
    made = office(agents={"ani": {"support": 1}})
    made.ready()
    caller = made.waiting_caller()
    made.wait(20)
    for queue_name, kind in (("nowhere", BadInput), ("sales", Refused)):
        with pytest.raises(kind):
            made.do(MoveCall(at=made.at, by="sari", call_id=caller.call_id, queue=queue_name))
    made.do(MoveCall(at=made.at, by="sari", call_id=caller.call_id, queue="support"))
    assert len(caller.rings) == 1
    offered = made.last("call.offered")
    assert offered.queue == "support" and offered.data["visit"] == 2 and offered.data["decision"]["waited"] >= 20
    assert result(made) == ("left", "") and made.last("call.dequeued").data["to"] == "support"
    assert made.types(caller.call_id).count("flow.ended") == 0
    caller.answer()
    caller.agent_hangs_up()
    assert result(made) == ("answered", "")


def test_a_caller_who_is_moved_is_not_sent_away_by_the_queue_he_comes_to() -> None:
    made = office(max_size=1)
    settings = {"sales": queue(), "support": QueueConfig(name="support", max_size=1, overflow=Overflow(ratio=1.0))}
    made.board.waits.configure(settings, made.at, {}, Routing())
    first, second = made.waiting_caller("0812000001"), made.waiting_caller("0812000002")
    made.do(MoveCall(at=made.at, by="sari", call_id=first.call_id, queue="support"))
    assert made.board.waits.lengths == {"sales": 1, "support": 1}
    with pytest.raises(Refused) as refused:
        made.do(MoveCall(at=made.at, by="sari", call_id=second.call_id, queue="support"))
    assert refused.value.code == "queue_full"
    assert made.board.waits.lengths == {"sales": 1, "support": 1}


def test_nobody_is_moved_to_a_queue_that_is_closed() -> None:
    made = office(agents=TWO)
    settings = {"sales": queue(), "support": QueueConfig(name="support", calendar="office")}
    made.board.waits.configure(settings, made.at, {}, Routing())
    made.board.router.is_open = lambda calendar, at: False
    caller = made.waiting_caller()
    with pytest.raises(Refused) as refused:
        made.do(MoveCall(at=made.at, by="sari", call_id=caller.call_id, queue="support"))
    assert refused.value.code == "queue_closed"
    assert made.board.waits.lengths == {"sales": 1} and "call.dequeued" not in made.types()


def test_a_caller_who_is_moved_while_a_phone_rings_for_him() -> None:
    made = office(agents=TWO)
    made.ready("ani")
    caller = made.waiting_caller()
    made.do(MoveCall(at=made.at, by="sari", call_id=caller.call_id, queue="support"))
    assert made.last("offer.cancelled").data["reason"] == "moved"
    assert any(isinstance(command, HangUp) and command.uniqueid == caller.leg for command in made.commands)
    assert made.state("ani") == ("ready", "")


# ---------------------------------------------------------------- leaving


def test_a_key_ends_the_wait_also_while_a_phone_rings() -> None:
    made = office(agents=TWO)
    made.ready("ani")
    caller = made.waiting_caller()
    assert len(caller.rings) == 1
    press(made, caller, "1", "callback")
    assert result(made) == ("callback", "") and made.last("call.dequeued").data["key"] == "1"
    assert made.state("ani") == ("ready", "")
    late = Event(type="call.pressed", at=made.at, call_id=caller.call_id, data={"visit": 1, "key": "1"})
    made.board.waits.react(late)
    assert made.types().count("call.dequeued") == 1


def test_at_closing_time_those_who_wait_leave_but_not_when_a_phone_rings() -> None:
    made = office(agents=TWO, calendar="office", overflow=Overflow(closing=True))
    open_now = [True]
    made.board.router.is_open = lambda calendar, at: open_now[0]
    made.ready("ani")
    rung, waiting = made.waiting_caller("0812000001"), made.waiting_caller("0812000002")
    made.wait(9)
    open_now[0] = False
    made.wait(2)
    assert result(made) == ("closed", "")
    assert made.board.calls.live[waiting.call_id].visit is None
    assert made.board.calls.live[rung.call_id].visit is not None
    made.wait(60)
    made.wait(30)
    assert not made.board.waits.admission.watched


def test_a_wait_that_lasts_longer_than_it_may_ends_but_not_while_the_switch_is_away() -> None:
    made = office()
    made.waiting_caller()
    made.do(SwitchDown(at=made.at))
    made.wait(610)
    assert "call.dequeued" not in made.types()


# ---------------------------------------------------------------- capacity


def test_no_more_of_a_queue_s_calls_are_with_agents_than_it_may_have() -> None:
    made = office(agents=TWO, capacity=(Capacity(calls=1),))
    made.ready()
    first, second = made.waiting_caller("0812000001"), made.waiting_caller("0812000002")
    third = made.waiting_caller("0812000003")
    assert len(first.rings) == 1 and not second.rings
    first.answer()
    first.hangs_up()
    assert len(second.rings) == 1 and not third.rings


def test_a_queue_s_capacity_changes_with_the_hours() -> None:
    made = office(agents=TWO, capacity=(Capacity(calls=1, calendar="lunch"), Capacity(calls=2)))
    lunch = [True]
    made.board.router.is_open = lambda calendar, at: lunch[0]
    made.ready()
    first, second = made.waiting_caller("0812000001"), made.waiting_caller("0812000002")
    first.answer()
    assert not second.rings
    lunch[0] = False
    made.wait(11)
    assert len(second.rings) == 1


# ---------------------------------------------------------------- announcements


def test_what_a_waiting_caller_is_told_and_when() -> None:
    made = office(announce=Announce(position=True, first=10.0, every=20.0))
    first = made.waiting_caller("0812000001")
    made.waiting_caller("0812000002")
    made.wait(10)
    told = [event for event in made.events if event.type == "call.announced"]
    assert [event.data["position"] for event in told] == [1, 2]
    made.ready()
    assert len(first.rings) == 1
    made.wait(21)
    told = [event for event in made.events if event.type == "call.announced"]
    assert len([event for event in told if event.call_id == first.call_id]) == 2  # the phone had stopped
    first.hangs_up()
    made.do(SwitchDown(at=made.at))
    made.wait(30)
    assert len([event for event in made.events if event.type == "call.announced"]) == len(told)


def test_nothing_is_announced_where_there_is_nothing_to_say() -> None:
    made = office(announce=Announce(wait=True, first=10.0, every=20.0))
    made.waiting_caller()
    made.wait(60)
    assert "call.announced" not in made.types()


def test_he_is_told_how_long_when_it_is_known_and_less_than_he_was_told() -> None:
    made = office(agents=TWO, announce=Announce(wait=True, first=10.0, every=20.0), wrap_up=0.0)
    made.ready("ani")
    for _ in range(5):
        caller = made.waiting_caller()
        caller.answer()
        made.wait(90)
        caller.hangs_up()
    talking = made.waiting_caller("0812000001")
    talking.answer()
    first = made.waiting_caller("0812000002")
    second = made.waiting_caller("0812000003")
    made.wait(31)
    told = [e.data["minutes"] for e in made.events if e.type == "call.announced" and e.call_id == second.call_id]
    assert told == [3]
    talking.hangs_up()
    first.answer()
    made.wait(20)
    told = [e.data["minutes"] for e in made.events if e.type == "call.announced" and e.call_id == second.call_id]
    assert told == [3, 2]


# ---------------------------------------------------------------- the clock


@pytest.mark.parametrize("by", [3600.0, -3600.0])
def test_a_clock_that_is_set_makes_nobody_wait_longer_or_shorter(by: float) -> None:
    agents = {"ani": {"sales": 1}, "budi": {"other": 9}}
    made = office(agents=agents, skills={"other": 9}, relax=(Relax(after=60.0, skills={"other": 0, "sales": 1}),))
    made.ready("ani")
    made.do(SetAgentState(at=made.at, by="budi", agent="budi", wish="not_ready", reason="break"))
    caller = made.waiting_caller()
    made.wait(30)
    made.at += by
    made.do(ClockStepped(at=made.at, by=by))
    made.wait(29)
    assert not caller.rings
    made.wait(2)
    assert len(caller.rings) == 1
    assert 59 < made.last("call.offered").data["decision"]["waited"] < 62
    assert 60 < made.last("call.offered").data["decision"]["idle"] < 62
    made.wait(538)
    assert "call.dequeued" not in made.types()
    made.wait(2)
    assert result(made) == ("timeout", "")


def test_a_calendar_that_the_live_version_does_not_know_is_open() -> None:
    made = office()
    assert made.board.router.is_open("gone", made.at) and not made.board.router.is_open("office", made.at)
    made.board.lines.books = {}
    assert made.board.router.is_open("office", made.at)


def test_an_offer_begins_when_the_one_before_it_has_ended_though_the_switch_is_ahead_of_us() -> None:
    made = office(agents={"ani": {"sales": 1}, "budi": {"support": 1}})
    made.ready()
    caller = made.waiting_caller()
    made.at += 0.005
    made.do(ChannelGone(at=made.at, uniqueid=caller.leg, cause=19))
    ended = made.at
    made.at -= 0.003
    made.do(MoveCall(at=made.at, by="sari", call_id=caller.call_id, queue="support"))
    assert made.last("call.offered").agent == "budi" and made.last("call.offered").at == ended
