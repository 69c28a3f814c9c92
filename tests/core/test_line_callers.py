"""Who calls: by his number, until the flow has found out; and what the agent's page is told of him."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cti.core.line_callers import last_agent
from cti.core.messages import Collect, CustomerFound, LineDone, LookUpCustomer, Push, RunTask, Sealed, TaskDone
from tests.core.office import START, Caller, Office

ANI = {"customer_id": "7", "name": "Ani"}
BUDI = {"customer_id": "8", "name": "Budi"}
NODES: dict[str, Any] = {
    "who": {"do": "lookup", "customer_id": "8", "found": "pin", "then": "q"},
    "pin": {"do": "authenticate", "retries": 0, "then": "q", "fail": "q"},
    "q": {"do": "queue", "queue": "sales"},
}
LOOKED_UP = {"flow": "main", "language": "en", "start": "who", "nodes": NODES}
UNCHECKED = {**LOOKED_UP, "nodes": {**NODES, "who": {**NODES["who"], "found": "q"}}}
HANGS_UP = {**LOOKED_UP, "nodes": {**NODES, "pin": {**NODES["pin"], "fail": "hangup"}}}


def identified(office: Office) -> list[tuple[list[str], str]]:
    return [(e.data["customers"], e.data["by"]) for e in office.events if e.type == "call.identified"]


def asked(office: Office) -> list[str]:
    return [c.customer_id for c in office.commands if isinstance(c, LookUpCustomer)]


def pops(office: Office) -> list[list[str]]:
    shown = [c.data["customers"] for c in office.commands if isinstance(c, Push) and c.type == "screen_pop"]
    return [[customer["name"] for customer in customers] for customers in shown]


def known(office: Office, caller: Caller, *customers: dict[str, Any], customer_id: str = "") -> None:
    """What the database tells of the caller's number, or of that customer."""
    office.do(CustomerFound(at=office.at, call_id=caller.call_id, customers=customers, customer_id=customer_id))


def task_done(office: Office, caller: Caller, outcome: str, **data: Any) -> None:
    task = next(c for c in reversed(office.commands) if isinstance(c, RunTask))
    office.do(TaskDone(at=office.at, call_id=caller.call_id, op=task.op, outcome=outcome, data=data))


def typed_8(office: Office, *by_number: dict[str, Any]) -> Caller:
    """He calls from the phone of these customers and says that he is Budi."""
    caller = office.caller()
    caller.arrive(found=False)
    known(office, caller, *by_number)
    task_done(office, caller, "found", **BUDI)
    return caller


def presses_pin(office: Office, caller: Caller) -> None:
    op = next(c for c in reversed(office.commands) if isinstance(c, Collect)).op
    office.do(caller.facts(LineDone, op=op, outcome="digits", sealed=Sealed(length=4, good=True)))



def test_who_knows_his_pin_is_he_also_on_anothers_phone() -> None:
    office = Office(flow=LOOKED_UP)
    caller = typed_8(office, ANI)
    presses_pin(office, caller)
    task_done(office, caller, "done")
    assert identified(office) == [(["7"], "number"), (["8"], "flow"), (["8"], "pin")]
    known(office, caller, BUDI, customer_id="8")
    office.ready()
    assert pops(office) == [["Budi"]]
    assert office.commands[-2].data["call"]["identified_by"] == "pin"


@pytest.mark.parametrize("verdict", ["wrong", "locked"])
@pytest.mark.parametrize("by_number", [(), (ANI,), (ANI, BUDI)])
def test_who_does_not_know_the_pin_is_whoever_his_number_says(verdict: str, by_number: tuple[Any, ...]) -> None:
    office = Office(flow=LOOKED_UP)
    caller = typed_8(office, *by_number)
    known(office, caller, BUDI, customer_id="8")
    presses_pin(office, caller)
    task_done(office, caller, verdict)
    assert identified(office)[-1] == ([c["customer_id"] for c in by_number], "number")
    assert asked(office) == ["", "8", ""]
    known(office, caller, BUDI, customer_id="8")  # an answer that is late
    known(office, caller, *by_number)
    office.ready()
    assert pops(office) == [[c["name"] for c in by_number]]


def test_who_cannot_be_checked_is_still_who_he_says() -> None:
    office = Office(flow=LOOKED_UP)
    caller = typed_8(office, ANI)
    presses_pin(office, caller)
    task_done(office, caller, "error")
    assert identified(office)[-1] == (["8"], "flow")


def test_of_a_stranger_whose_number_is_not_looked_up_yet_nothing_is_told() -> None:
    office = Office(flow=HANGS_UP)
    caller = office.caller()
    caller.arrive(found=False)
    office.wait(0.6)  # the flow does not wait longer
    task_done(office, caller, "found", **BUDI)
    presses_pin(office, caller)
    task_done(office, caller, "wrong")
    assert identified(office) == [(["8"], "flow")]


def test_a_late_answer_about_the_number_does_not_hide_who_he_is() -> None:
    office = Office(flow=UNCHECKED)
    caller = office.caller()
    caller.arrive(found=False)
    office.wait(0.6)
    task_done(office, caller, "found", **BUDI)
    known(office, caller, BUDI, customer_id="8")
    known(office, caller, ANI)
    office.ready()
    assert identified(office) == [(["8"], "flow")] and pops(office) == [["Budi"]]


def test_the_page_shows_nobody_rather_than_somebody_else_and_then_who_he_is() -> None:
    office = Office(flow=UNCHECKED)
    office.ready()
    caller = typed_8(office, ANI)
    assert pops(office) == [[]], "he rings at once, the customer is not looked up yet"
    known(office, caller, BUDI, customer_id="8")
    assert pops(office) == [[], ["Budi"]]


def test_he_who_his_number_says_he_is_is_told_once() -> None:
    office = Office(flow=UNCHECKED)
    typed_8(office, BUDI)
    assert identified(office) == [(["8"], "number")] and asked(office) == [""]


def test_after_a_restart_the_page_knows_who_he_is() -> None:
    office = Office(flow=UNCHECKED)
    caller = typed_8(office, ANI)
    events, office.commands = office.events, []
    office = Office(flow=UNCHECKED)
    output = office.board.restore(events, office.at)
    office.commands += output.commands
    assert asked(office) == ["", "8"]
    caller.office = office
    known(office, caller, ANI)
    known(office, caller, BUDI, customer_id="8")
    assert office.board.floor.customers[caller.call_id]["customers"] == [BUDI]
    assert identified(office) == []


def test_who_proves_what_his_number_says_is_not_looked_up_again() -> None:
    office = Office(flow={**LOOKED_UP, "start": "pin"})
    caller = office.caller()
    caller.arrive(found=False)
    known(office, caller, BUDI)
    presses_pin(office, caller)
    task_done(office, caller, "done")
    assert identified(office) == [(["8"], "number"), (["8"], "pin")] and asked(office) == [""]
    office.ready()
    assert pops(office) == [["Budi"]]


# ---------------------------------------------------------------- what rules of a queue may ask


RULES = {
    "raise": [
        {"when": "{{ call.repeat >= 2 }}", "by": 5},
        {"when": "{{ customer.open_cases > 1 }}", "by": 10},
        {"when": "{{ customer.complaint }}", "by": 100},
    ],
    "last_agent": "20s",
}
AGAIN = {"direction": "inbound", "queue": "sales", "agent": None, "connected_at": None}
SERVED = {**AGAIN, "agent": "budi", "connected_at": "2027-01-15T07:00:00Z"}


def ago(hours: float, **call: Any) -> dict[str, Any]:
    """A call before, as the database tells of it."""
    started = datetime.fromtimestamp(START - hours * 3600, UTC).isoformat().replace("+00:00", "Z")
    return {**AGAIN, "started_at": started, **call}


def priority(
    *history: dict[str, Any], titles: tuple[str, ...] = (), customers: tuple[dict[str, Any], ...] = (ANI,)
) -> int:
    """That of a caller with these calls and open cases."""
    office = Office(**RULES)  # type: ignore[arg-type]
    caller = office.caller()
    caller.arrive(found=False)
    cases = tuple({"title": title} for title in titles)
    office.do(
        CustomerFound(at=office.at, call_id=caller.call_id, customers=customers, history=history, cases=cases)
    )  # fmt: skip
    caller.heard()
    found: int = office.last("call.queued").data["priority"]
    return found


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ((), 0),
        ((ago(1),), 0),
        ((ago(1), ago(23.9)), 5),
        ((ago(1), ago(24.1)), 0),
        ((ago(1), ago(2, connected_at="2027-01-15T07:00:00Z")), 0),
        ((ago(1), ago(2, queue=None)), 0),  # the flow told him what he wanted to know
        ((ago(1), ago(2, direction="outbound")), 0),
        ((ago(1), ago(2, started_at="soon"), ago(3)), 5),
        ((ago(1), {"queue": "sales", "direction": "inbound"}), 0),
    ],
)
def test_who_calls_again_because_nobody_answered(history: tuple[dict[str, Any], ...], expected: int) -> None:
    assert priority(*history) == expected


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (("Invoice",), 0),
        (("Invoice", "Delivery"), 10),
        (("Complaint: late again",), 100),
        (("Ada KELUHAN", "Invoice"), 110),
        (("客户投诉",), 100),
    ],
)
def test_open_cases_and_complaints(titles: tuple[str, ...], expected: int) -> None:
    assert priority(titles=titles) == expected
    assert priority(titles=titles, customers=(ANI, BUDI)) == 0, "nobody knows whose they are"


def test_the_cases_of_whom_the_flow_has_found_are_known_once_they_are_told() -> None:
    nodes = {**NODES, "pin": {**NODES["pin"], "retries": 0}}
    office = Office(flow={**LOOKED_UP, "nodes": nodes}, **RULES)  # type: ignore[arg-type]
    caller = typed_8(office, ANI)
    told = CustomerFound(at=office.at, call_id=caller.call_id, customer_id="8", customers=(BUDI,),
                         cases=({"title": "Complaint"},))  # fmt: skip
    office.do(told)
    presses_pin(office, caller)
    task_done(office, caller, "done")
    assert office.last("call.queued").data["priority"] == 100


def test_who_talked_to_him_last() -> None:
    assert last_agent(()) is None
    assert last_agent((ago(1), SERVED, {**SERVED, "agent": "chen"})) == "budi"
    assert last_agent(({**SERVED, "connected_at": None},)) is None, "he was offered the call, no more"
