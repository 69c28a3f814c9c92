"""The demo's past: events as the server would have written them, for the same folds to read."""

from __future__ import annotations

import random
from collections.abc import Sequence

from cti.core import ids
from cti.core.messages import Event
from cti.demo.data import HISTORY_DAYS, SIMULATED, Customer

DAY = 86400.0


class _Story:
    """Collects one call's events, numbered."""

    def __init__(self, call: str) -> None:
        self.call, self.events = call, list[Event]()

    def tell(self, type: str, at: float, agent: str = "", queue: str = "", **data: object) -> None:
        seq = len(self.events) + 1
        self.events.append(Event(type=type, at=at, call_id=self.call, seq=seq, agent=agent, queue=queue, data=data))


def past_calls(customers: Sequence[tuple[int, Customer]], now: float, count: int = 420) -> list[Event]:
    """Events of `count` calls of (customer id, customer) over the last days."""
    dice = random.Random(11)
    events: list[Event] = []
    for n in range(count):
        customer_id, customer = dice.choice(customers)
        start = now - 3600 - dice.random() ** 1.5 * HISTORY_DAYS * DAY
        events += _call(n, start, customer_id, customer, customers, dice)
    return sorted(events, key=lambda event: event.at)


def _call(
    n: int,
    start: float,
    customer_id: int,
    customer: Customer,
    everybody: Sequence[tuple[int, Customer]],
    dice: random.Random,
) -> list[Event]:
    uniqueid = f"{int(start)}.{n + 1}"
    story = _Story(ids.call_id("main", uniqueid))
    at, number = float(int(start)), customer.numbers[0]
    alike = [str(i) for i, other in everybody if number in other.numbers]
    queue = dice.choice(("sales", "support"))
    story.tell(
        "call.arrived", at, direction="inbound", caller=number, caller_entered=number,
        caller_name=customer.name, called="6000", node="main", uniqueid=uniqueid,
        channel=f"PJSIP/trunk-demo-{n:08x}",
    )  # fmt: skip
    story.tell("call.identified", at + 0.1, customers=alike)
    story.tell("flow.started", at + 0.1, flow="main", version=0, language=customer.language)
    key = "1" if queue == "sales" else "2"
    if dice.random() < 0.06:
        return _left(story, at + dice.uniform(2, 9), "flow_ended")
    at += dice.uniform(5, 12)
    story.tell("flow.node", at, flow="main", node="menu", verb="menu", outcome=key, to=queue)
    story.tell("call.queued", at, queue=queue, visit=1, priority=0, skills={}, entered_at=at, node=queue)
    if dice.random() < 0.1:
        gone = at + dice.uniform(6, 90)
        story.tell("call.dequeued", gone, queue=queue, visit=1, result="abandoned")
        return _left(story, gone, "")
    return _answered(story, at + dice.expovariate(1 / 9), queue, dice)


def _left(story: _Story, at: float, result: str) -> list[Event]:
    story.tell("call.ended", at, cause=16, side="caller", flow_result=result)
    return story.events


def _answered(story: _Story, at: float, queue: str, dice: random.Random) -> list[Event]:
    able = [agent for agent in SIMULATED if queue in dict(agent.skills)]
    agent = dice.choice(able)
    offer = ids.offer_id(story.call, 1, 0, at)
    who = {"agent": agent.name, "queue": queue}
    story.tell("call.offered", at, **who, offer=offer, visit=1, station=agent.station, decision={},
               channel_id=ids.channel_id(0, offer))  # fmt: skip
    talk = at + dice.uniform(1, 6)
    end = talk + dice.lognormvariate(4.6, 0.6)
    story.tell("call.connected", talk, **who, offer=offer, visit=1, bridge="")
    story.tell("call.dequeued", talk, **who, visit=1, result="answered")
    side = dice.choice(("caller", "agent"))
    story.tell("call.disconnected", end, **who, offer=offer, by=side)
    story.tell("call.ended", end + 0.1, cause=16, side=side, flow_result="")
    if dice.random() < 0.7:
        code = dice.choice(("sold", "callback_needed") if queue == "sales" else ("resolved", "callback_needed"))
        story.tell("call.disposition_set", end + 2, agent=agent.name, code=code, note="")
    story.tell("call.wrapped", end + dice.uniform(3, 25), agent=agent.name, how="finish")
    return story.events
