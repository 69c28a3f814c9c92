"""When a callback may be made: calendars, expiry, numbers, the switch."""

from __future__ import annotations

import msgspec
import pytest

from cti.core.ivr.model import Number
from cti.core.messages import (
    CalendarsForced,
    CallbackDue,
    FlowsPublished,
    Forced,
    Ring,
    StationState,
    SwitchDown,
    SwitchUp,
)
from cti.core.queues import CallbackRules, Relax
from tests.core.callbacks.desk import NUMBER, Desk, due_of
from tests.core.office import book


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


def test_of_the_idle_agents_who_are_kept_for_callers_the_longest_idle_calls() -> None:
    office = Desk(agents={"ani": {"sales": 1}, "budi": {"sales": 1}}, keep_idle=1)
    office.ready("ani")
    office.asks()
    office.at += 60
    office.ready("budi")
    offer = office.last("call.offered")
    assert (offer.agent, offer.data["decision"]["rule"]) == ("ani", "longest_idle")


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
    office.stored(CallbackDue(callback_id="b", call_id="c", queue="gone", number="+62812000888", since=1.0,
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
