"""What the database, a hand and the clock do to callbacks, and who sees them."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core import views
from cti.core.expect import FEWEST, WINDOW
from cti.core.messages import (
    CallbackDue,
    CancelCallback,
    ChannelGone,
    ClockStepped,
    CustomerFound,
    Event,
    FlowsPublished,
    Play,
    Text,
)
from cti.core.queues import CallbackRules
from cti.core.stats import Stats
from cti.errors import Refused
from tests.core.callbacks.desk import AT_ONCE, NUMBER, Desk, due_of
from tests.core.office import START, book


def test_what_the_database_has_no_more_was_ended_there(office: Desk) -> None:
    office.caller(NUMBER).arrive()
    (one,) = office.board.callbacks.open.values()
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
