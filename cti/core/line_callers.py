"""Who calls: the customers who have the caller's number, until the flow has found out who he is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from cti.core.call import Call, Calls
from cti.core.messages import CustomerFound, LookUpCustomer
from cti.core.outbox import Outbox

REPEAT_WITHIN = 86_400.0  # s
COMPLAINTS = ("complaint", "keluhan", "投诉")  # a case with such a word in its title is one


def complains(cases: Iterable[Mapping[str, Any]]) -> bool:
    titles = [str(case.get("title", "")).casefold() for case in cases]
    return any(word in title for title in titles for word in COMPLAINTS)


def repeats(history: Iterable[Mapping[str, Any]], at: float) -> int:
    """How many of these calls waited in a queue in the last 24 hours, and no agent talked to them."""
    unserved = [call for call in history if call.get("queue") and not call.get("connected_at")]
    return sum(call.get("direction") == "inbound" and at - _seconds(call) <= REPEAT_WITHIN for call in unserved)


def _seconds(call: Mapping[str, Any]) -> float:
    """When it began; for ever ago when that is not told."""
    try:
        return datetime.fromisoformat(str(call.get("started_at"))).timestamp()
    except ValueError:
        return float("-inf")


def last_agent(history: Iterable[Mapping[str, Any]]) -> str | None:
    """Who talked last in these calls, the last one first; None: nobody."""
    return next((str(call["agent"]) for call in history if call.get("agent") and call.get("connected_at")), None)


class Callers:
    def __init__(self, out: Outbox, calls: Calls) -> None:
        self.out = out
        self.calls = calls
        self.known: dict[str, CustomerFound] = {}  # by call: who has the caller's number
        self.chosen: dict[str, CustomerFound] = {}  # by call: whom the flow has found

    def look_up(self, call: Call) -> None:
        """By his number, for the flow; and as whom the flow has found, for the agent's page."""
        for who in dict.fromkeys(("", call.who)):
            self._ask(call, who)

    def found(self, m: CustomerFound) -> None:
        """An answer about the number, or about a customer the flow has found: of him it knows the record already."""
        call = self.calls.live[m.call_id]
        if m.customer_id:
            self.chosen[m.call_id] = m
            return
        self.known[m.call_id] = m
        if m.customers and not call.identified:
            self._tell(call, "number", self._by_number(call), m.at)

    def customer(self, call: Call) -> dict[str, Any]:
        """The record of the caller when exactly one customer has his number, else empty."""
        found = self.known.get(call.call_id)
        return dict(found.customers[0]) if found is not None and len(found.customers) == 1 else {}

    def besides(self, call: Call) -> dict[str, dict[str, Any]]:
        """By id, of whose number it is and whom the flow has found: how many cases are open, and whether one is a
        complaint."""
        told = [held[call.call_id] for held in (self.known, self.chosen) if call.call_id in held]
        return {
            str(m.customers[0].get("customer_id")): {"open_cases": len(m.cases), "complaint": complains(m.cases)}
            for m in told if len(m.customers) == 1
        }  # fmt: skip

    def past(self, call: Call, at: float) -> dict[str, Any]:
        """What is known of his calls before: how many of the last day's nobody answered, and who talked to him last."""
        found = self.known.get(call.call_id)
        history = found.history if found is not None else ()
        return {"repeat": repeats(history, at), "last_agent": call.agent or last_agent(history)}

    def flow_says(self, call: Call, who: str, proven: bool, at: float) -> None:
        """`who`: the customer he is by what the flow has learned, `proven`: by his PIN; empty: as his number says."""
        if not who and call.call_id not in self.known:
            return
        customers = [who] if who else self._by_number(call)
        other = customers != call.identified
        if other or proven != (call.by == "pin"):
            self._tell(call, "pin" if proven else "flow" if who else "number", customers, at)
        if other:
            self._ask(call, call.who)

    def forget(self, call: Call) -> None:
        self.known.pop(call.call_id, None)
        self.chosen.pop(call.call_id, None)

    def _by_number(self, call: Call) -> list[str]:
        return [str(customer.get("customer_id")) for customer in self.known[call.call_id].customers]

    def _tell(self, call: Call, by: str, customers: list[str], at: float) -> None:
        self.out.emit("call.identified", at, call_id=call.call_id, customers=customers, by=by)

    def _ask(self, call: Call, who: str) -> None:
        self.out.command(
            LookUpCustomer(node=call.node, call_id=call.call_id, caller=call.customer, customer_id=who)
        )  # fmt: skip
