"""Who calls: the customers who have the caller's number, until the flow has found out who he is."""

from __future__ import annotations

from typing import Any

from cti.core.call import Call, Calls
from cti.core.messages import CustomerFound, LookUpCustomer
from cti.core.outbox import Outbox


class Callers:
    def __init__(self, out: Outbox, calls: Calls) -> None:
        self.out = out
        self.calls = calls
        self.known: dict[str, CustomerFound] = {}  # by call: who has the caller's number

    def look_up(self, call: Call) -> None:
        """By his number, for the flow; and as whom the flow has found, for the agent's page."""
        for who in dict.fromkeys(("", call.who)):
            self._ask(call, who)

    def found(self, m: CustomerFound) -> None:
        """An answer about the number. What is told of a customer the flow has found is the page's alone."""
        call = self.calls.live[m.call_id]
        if m.customer_id:
            return
        self.known[m.call_id] = m
        if m.customers and not call.identified:
            self._tell(call, "number", self._by_number(call), m.at)

    def customer(self, call: Call) -> dict[str, Any]:
        """The record of the caller when exactly one customer has his number, else empty."""
        found = self.known.get(call.call_id)
        return dict(found.customers[0]) if found is not None and len(found.customers) == 1 else {}

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

    def _by_number(self, call: Call) -> list[str]:
        return [str(customer.get("customer_id")) for customer in self.known[call.call_id].customers]

    def _tell(self, call: Call, by: str, customers: list[str], at: float) -> None:
        self.out.emit("call.identified", at, call_id=call.call_id, customers=customers, by=by)

    def _ask(self, call: Call, who: str) -> None:
        self.out.command(
            LookUpCustomer(node=call.node, call_id=call.call_id, caller=call.customer, customer_id=who)
        )  # fmt: skip
