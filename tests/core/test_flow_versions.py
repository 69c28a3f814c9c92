"""New versions of the flows while calls run: every call lives in exactly one, whatever becomes live meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from cti.core import ivr
from cti.core.ivr.shares import Serving
from cti.core.messages import ChannelGone, Event, FlowsPublished, Play
from tests.core.office import Caller, Office, book


def of_version(version: int, **queues: Any) -> ivr.Book:
    """A flow whose nodes carry the number of their version, with a loop so that a call may stay for long."""
    nodes = {
        f"a{version}": {"do": "say", "say": {"en": f"Version {version}"}, "then": f"b{version}"},
        f"b{version}": {"do": "say", "say": {"en": "And on"}, "then": f"c{version}"},
        f"c{version}": {"do": "say", "say": {"en": "And on"}, "then": f"d{version}"},
        f"d{version}": {"do": "say", "say": {"en": "The end"}, "then": "hangup"},
    }
    return book({"flow": "main", "language": "en", "start": f"a{version}", "nodes": nodes}, **queues)


def publish(office: Office, version: int, share: int = 100) -> None:
    office.board.publish(of_version(version), FlowsPublished(at=office.at, version=version, share=share))


def lived(events: Iterable[Event]) -> dict[str, set[int]]:
    """Of each call: the versions of all that happened in it."""
    found: dict[str, set[int]] = {}
    for event in events:
        if event.type == "flow.node":
            found.setdefault(event.call_id, set()).add(int(event.data["node"][1:]))
        elif event.type == "flow.started":
            found.setdefault(event.call_id, set()).add(event.data["version"])
    return found


def versions(office: Office, call_id: str) -> set[int]:
    return lived(office.events)[call_id]


def test_1000_publishes_while_50_calls_run() -> None:
    rng = random.Random(7)
    office = Office()
    publish(office, 1)
    serving, running, over, begun = Serving(1), list[Caller](), list[Caller](), dict[str, int]()
    for version in range(2, 1002):
        office.at += 0.1
        version, share = rng.choice([(version, 100)] * 3 + [(version, 10), (version, 60), (serving.canary, 0),
                                                            (serving.canary, 100)])  # fmt: skip
        if version:
            publish(office, version, share)
            serving = serving.told(version, share)
            kept = {serving.live, serving.canary} - {0} | {begun[caller.call_id] for caller in running}
            assert set(office.board.lines.books) == kept
        while len(running) < 50:
            caller = office.caller(f"08120000{rng.randrange(100):02}")
            caller.arrive()
            begun[caller.call_id] = serving.version_for(caller.number.replace("0", "+62", 1), caller.call_id)
            running.append(caller)
        for caller in rng.sample(running, 5):
            caller.heard()
            if rng.random() < 0.2 or office.board.calls.live[caller.call_id].flow_over:
                office.do(caller.facts(ChannelGone))
                running.remove(caller)
                over.append(caller)
    assert len(over) > 500
    assert lived(office.events) == {call: {version} for call, version in begun.items()}
    assert len(set(begun.values())) > 100


def test_a_canary_meets_its_share_of_the_callers_and_they_stay_with_it() -> None:
    office = Office()
    publish(office, 1)
    publish(office, 2, 30)
    met: dict[str, set[int]] = {}
    for number in [f"08120000{number:03}" for number in range(200)] * 2:
        caller = office.caller(number)
        caller.arrive()
        met.setdefault(number, set()).update(versions(office, caller.call_id))
        office.do(caller.facts(ChannelGone))
    assert all(len(one) == 1 for one in met.values())
    assert 30 < sum(one == {2} for one in met.values()) < 90


def test_a_withdrawn_canary_ends_the_calls_it_has() -> None:
    office = Office()
    publish(office, 1)
    publish(office, 2, 99)
    caller = next(c for c in (office.caller(f"08120000{n:03}") for n in range(20))
                  if office.board.lines.serving.version_for("+62" + c.number[1:], "") == 2)  # fmt: skip
    caller.arrive()
    publish(office, 2, 0)
    office.at += 1
    other = office.caller(caller.number)
    other.arrive()
    assert isinstance(caller.heard()[-1], Play)
    assert (versions(office, caller.call_id), versions(office, other.call_id)) == ({2}, {1})


def test_queues_follow_the_live_version_and_a_queue_of_the_canary_alone_is_there() -> None:
    office = Office()
    first, second = of_version(1, ring="7s"), of_version(2, ring="9s")
    second = ivr.Book(second.flows, {**second.queues, "new": second.queues["support"]}, second.numbers)
    office.board.publish(first, FlowsPublished(at=office.at, version=1))
    office.board.publish(second, FlowsPublished(at=office.at, version=2, share=10))
    queues = office.board.router.queues
    assert queues["sales"].ring == 7 and "new" in queues
    office.board.publish(second, FlowsPublished(at=office.at, version=2, share=0))
    assert office.board.router.queues["sales"].ring == 7 and "new" not in office.board.router.queues
    office.board.publish(second, FlowsPublished(at=office.at, version=2))
    assert office.board.router.queues["sales"].ring == 9
