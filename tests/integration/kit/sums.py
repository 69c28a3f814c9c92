"""What the rows of a home must come to, when everybody has gone."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from kit.customers import Customers
from kit.world import World

TAKEN_BACK = 0.1  # s: an agent who hangs up so soon after his customer was rung may be before the INVITE
OVER = {"done", "expired", "cancelled", "merged", "barred", "failed"}


async def calls_add_up(world: World) -> None:
    """Calls, visits and offers, when none is open any more."""
    sql = "SELECT * FROM crm.v_{}"
    await world.row_when("SELECT 1 WHERE NOT EXISTS (SELECT FROM crm.v_calls WHERE ended_at IS NULL)", timeout=30)
    rows: dict[str, list[dict[str, Any]]] = {
        name: await world.rows(sql.format(name)) for name in ("calls", "queue_visits", "offers", "agent_states")
    }
    assert all(row["result"] for row in rows["queue_visits"] + rows["offers"])
    assert all(row["outcome"] for row in rows["calls"])
    assert len({row["call_id"] for row in rows["calls"]}) == len(rows["calls"])
    answered = sum(row["result"] == "answered" for row in rows["queue_visits"])
    taken = [row for row in rows["offers"] if row["result"] == "answered"]
    assert answered == sum(row["visit_seq"] is not None for row in taken)
    assert all(row["decision"] for row in rows["offers"])
    reserved = sum(row["work"] == "reserved" for row in rows["agent_states"])
    for who in ("agent", "call_id"):
        one_at_a_time(rows["offers"], who)
    print("\noutcomes:", dict(Counter(row["outcome"] for row in rows["calls"])),
          "visits:", dict(Counter(row["result"] for row in rows["queue_visits"])),
          "offers:", dict(Counter(row["result"] for row in rows["offers"])), "reserved:", reserved)  # fmt: skip
    assert reserved >= len(rows["offers"])
    odd = await world.rows(
        "SELECT e.* FROM crm.v_call_events e JOIN crm.v_calls c USING (call_id)"
        " WHERE c.outcome = 'failed' AND c.flow IS NOT NULL AND e.type <> 'flow.at' ORDER BY e.call_id, e.seq LIMIT 60"
    )
    assert odd == [], "\n".join(f"{e['at']} {e['call_id']} {e['type']} {e['queue']} {e['data']}" for e in odd)


def one_at_a_time(offers: list[dict[str, Any]], who: str) -> None:
    """No two offers of an agent, or of a call, at the same time."""
    last: dict[Any, dict[str, Any]] = {}
    for offer in sorted(offers, key=lambda row: (row["offered_at"], row["ended_at"])):
        before = last.get(offer[who])
        assert before is None or before["ended_at"] <= offer["offered_at"], (before, offer)
        last[offer[who]] = offer


async def callbacks_add_up(world: World, customers: Customers) -> None:
    """Each is over or open; each time that a customer's phone rang is there once, and it never rang twice at a time.
    What was taken back before its INVITE had left the switch is there, too: nobody tells the server that it had not."""
    await world.row_when("SELECT 1 WHERE NOT EXISTS (SELECT FROM crm.v_callbacks WHERE state = 'dialing')", timeout=10)
    rows = await world.rows("SELECT * FROM crm.v_callbacks")
    assert all((row["state"] in OVER and row["ended_at"]) or row["state"] == "open" for row in rows)
    events = await world.rows("SELECT * FROM crm.v_call_events WHERE type LIKE 'callback.%' OR type = 'call.placed'")
    made = await world.rows("SELECT * FROM crm.v_calls WHERE direction = 'outbound'")
    placed = {event["call_id"]: event["at"] for event in events if event["type"] == "call.placed"}
    rung = Counter(row["called"] for row in made if row["call_id"] in placed)
    heard = Counter({number: len(calls) for number, calls in customers.calls.items()})
    taken_back = Counter(row["called"] for row in made if row["call_id"] in placed
                         and (row["ended_at"] - placed[row["call_id"]]).total_seconds() < TAKEN_BACK)  # fmt: skip
    assert heard <= rung, f"phones rang that we know nothing of: {heard - rung}"
    assert rung - heard <= taken_back, f"phones did not ring: {rung - heard - taken_back}"
    for number, calls in customers.calls.items():
        for one, two in pairwise(calls):
            assert one.at("ended") and one.at("ended") <= two.at("invite"), f"{number} rang twice at a time"
    failed = Counter(str(event["data"]["callback"]) for event in events
                     if event["type"] == "callback.failed" and event["data"]["result"] != "no_agent")  # fmt: skip
    assert failed == Counter({str(row["callback_id"]): row["tries"] for row in rows if row["tries"]})
    served = sorted(str(row["served_call_id"]) for row in rows if row["state"] == "done")
    assert served == sorted(str(row["call_id"]) for row in made if row["outcome"] == "answered")
    print("callbacks:", dict(Counter(row["state"] for row in rows)), "phones that rang:", sum(heard.values()),
          "taken back before:", sum((rung - heard).values()),
          "calls made:", dict(Counter(row["outcome"] for row in made)), "tries:", sum(failed.values()))  # fmt: skip
    assert len(served) > 0 and failed
    assert sum(rung.values()) == sum(failed.values()) + len(served), "who was rung was served, or had a try"
