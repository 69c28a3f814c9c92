"""Who the flow has found: the agent sees him, also when he calls from somebody else's phone."""

from __future__ import annotations

from typing import Any

from cti.core.messages import (
    Collect,
    CustomerFound,
    LineDone,
    LookUpCustomer,
    Push,
    RunTask,
    Sealed,
    TaskDone,
)
from cti.core.switchboard import Settings, Switchboard
from tests.core.office import Caller, Office

FLOW = {
    "flow": "main", "language": "en", "start": "who",
    "nodes": {
        "who": {"do": "lookup", "customer_id": "7", "found": "pin", "none": "wait"},
        "pin": {"do": "authenticate", "then": "wait", "fail": "wait"},
        "wait": {"do": "queue", "queue": "sales", "answered": "hangup", "then": "hangup"},
    },
}  # fmt: skip
SITI = {"customer_id": "7", "name": "Siti", "tier": "vip"}


def asked(office: Office) -> list[str]:
    return [c.customer_id for c in office.commands if isinstance(c, LookUpCustomer)]


def pops(office: Office) -> list[dict[str, Any]]:
    return [c.data for c in office.commands if isinstance(c, Push) and c.type == "screen_pop"]


def task(office: Office, outcome: str, **data: Any) -> None:
    run = next(c for c in reversed(office.commands) if isinstance(c, RunTask))
    office.do(TaskDone(at=office.at, call_id=run.call_id, op=run.op, outcome=outcome, data=data))


def found_by_the_flow() -> tuple[Office, Caller]:
    office = Office(flow=FLOW)
    caller = office.caller()
    caller.arrive()
    task(office, "found", **SITI)
    return office, caller


def proved(office: Office, caller: Caller) -> None:
    ask = next(c for c in reversed(office.commands) if isinstance(c, Collect))
    office.do(caller.facts(LineDone, op=ask.op, outcome="digits", sealed=Sealed(length=4)))
    task(office, "done")


def test_the_agent_sees_who_was_found_and_that_he_has_proved_it() -> None:
    office, caller = found_by_the_flow()
    assert asked(office) == ["", "7"]
    event = office.last("call.identified")
    assert event.data == {"customers": ["7"], "by": "flow"}
    found = CustomerFound(
        at=office.at, call_id=caller.call_id, customer_id="7", customers=(SITI,), cases=({"n": 1},)
    )  # fmt: skip
    office.do(found)
    proved(office, caller)
    assert office.last("call.verified").data == {"customer_id": "7"}
    office.ready()
    (pop,) = pops(office)
    assert pop["customers"] == [SITI] and pop["cases"] == [{"n": 1}] and pop["call"]["verified"] == "7"
    assert asked(office) == ["", "7"], "he is asked for once"


def test_what_is_found_by_the_number_later_does_not_replace_him() -> None:
    office, caller = found_by_the_flow()
    office.do(CustomerFound(at=office.at, call_id=caller.call_id, customer_id="7", customers=(SITI,)))
    office.do(CustomerFound(at=office.at, call_id=caller.call_id, customers=({"customer_id": "1", "name": "Ani"},)))
    office.do(CustomerFound(at=office.at, call_id="gone", customer_id="7"))
    proved(office, caller)
    office.ready()
    assert pops(office)[0]["customers"] == [SITI]


def test_an_agent_who_is_rung_already_gets_the_new_card() -> None:
    office, caller = found_by_the_flow()
    proved(office, caller)
    office.ready()
    assert pops(office)[0]["customers"] == []
    office.do(CustomerFound(at=office.at, call_id=caller.call_id, customer_id="7", customers=(SITI,)))
    assert [pop["customers"] for pop in pops(office)] == [[], [SITI]]


def test_after_a_restart_he_is_looked_up_again() -> None:
    office, caller = found_by_the_flow()
    again = Switchboard(2, Settings(country="ID", trunk="t"))
    output = again.restore(office.events, office.at)
    assert [c.customer_id for c in output.commands if isinstance(c, LookUpCustomer)] == ["7"]
    assert caller.call_id in again.calls.live
