"""Callbacks in a real PostgreSQL: the fold of their events, what a server reads at its start, what a hand does."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import kit_story
import pytest
from kit_pg import Cluster

from cti.adapters.postgres import Store
from cti.adapters.postgres_db import QUERIES, connect
from cti.adapters.postgres_writer import COLUMNS, row_of
from cti.core.ids import callback_id
from cti.core.messages import Event, encode
from cti.errors import BadInput, Refused

pytestmark = pytest.mark.services
NUMBER = "+622112345678"
LATE = 1_000_000


class Asked(kit_story.Story):
    """A caller who waited, asked to be called back, and left; what came of it has numbers after all."""

    def __init__(self, at: float, number: str = NUMBER, seed: int = 1, **more: Any) -> None:
        super().__init__(at, random.Random(seed))
        self.say("call.arrived", 0, direction="inbound", caller=number, called="6000")
        self.say("callback.requested", 5, queue="sales", number=number, entered="", **more)
        self.say("flow.ended", 6, flow="main", how="flow_ended")
        self.say("call.ended", 7, cause=16, side="caller", flow_result="flow_ended")
        self.id = callback_id(self.call, 2)

    def later(self, kind: str, after: float, seq: int, **data: Any) -> Event:
        about = {"callback": self.id, **data}
        self.events.append(
            Event(type=kind, at=self.at + after, call_id=self.call, seq=LATE + seq, queue="sales", data=about)
        )
        return self.events[-1]


async def keep(store: Store, events: Sequence[Event], first: int = 1) -> None:
    link = await connect(store.dsn)
    rows = [row_of(first + n, encode(event)) for n, event in enumerate(events)]
    async with link.transaction():
        await link.execute(QUERIES["make_event_partitions"], sorted({row[3].date() for row in rows}))
        await link.copy_records_to_table("events", schema_name="crm", columns=COLUMNS, records=rows)
        await link.execute(QUERIES["fold_calls"], list({row[1] for row in rows}))
    await link.close()


async def row(store: Store) -> dict[str, Any]:
    (found,) = (await store.list_callbacks())[0]
    return found


async def test_a_request_keeps_its_place_and_is_read_at_the_next_start(store: Store) -> None:
    asked = Asked(round(time.time()) - 600, since=1_900_000_000.5, priority=7, skills={"english": 3}, language="zh")
    await keep(store, asked.events)
    (due,) = await store.open_callbacks()
    assert due.callback_id == asked.id and due.call_id == asked.call
    assert (due.queue, due.number, due.since, due.priority) == ("sales", NUMBER, 1_900_000_000.5, 7)
    assert (due.skills, due.language, due.requested_at) == ({"english": 3}, "zh", asked.at + 5)
    assert (due.tries, due.not_before, due.barred) == (0, 0.0, False)


async def test_without_a_place_it_is_the_moment_of_the_request(store: Store) -> None:
    asked = Asked(round(time.time()) - 600)
    await keep(store, asked.events)
    assert (await store.open_callbacks())[0].since == asked.at + 5


TRIED: list[tuple[str, dict[str, Any]]] = [
    ("callback.dialed", {"to": "c1", "number": NUMBER, "try": 1}),
    ("callback.failed", {"to": "c1", "result": "no_agent", "not_before": 0.0}),
    ("callback.dialed", {"to": "c2", "number": NUMBER, "try": 1}),
    ("callback.failed", {"to": "c2", "result": "busy", "not_before": 1_900_000_000.0}),
    ("callback.moved", {"since": 1_800_000_000.0, "priority": 3}),
    ("callback.dialed", {"to": "0190f6a0-0000-7000-8000-000000000003", "number": NUMBER, "try": 2}),
    ("callback.ended", {"to": "0190f6a0-0000-7000-8000-000000000003", "state": "done", "by": "ann"}),
]
STATES = ["dialing", "open", "dialing", "open", "open", "dialing", "done"]


def told(at: float) -> Asked:
    """Everything, with numbers that say nothing of the order."""
    asked = Asked(at)
    for n, (kind, data) in enumerate(TRIED):
        asked.later(kind, 60 + n, seq=(n * 7919) % 1000, **data)
    return asked


async def test_the_state_follows_what_is_told_of_the_calls_made_for_it(store: Store) -> None:
    asked = told(round(time.time()) - 600)
    await keep(store, asked.events[:4])
    for n, state in enumerate(STATES):
        await keep(store, [asked.events[4 + n]], 10 + n)
        assert (await row(store))["state"] == state, TRIED[n]
    found = await row(store)
    assert (found["tries"], found["last_result"], found["priority"]) == (1, "busy", 3)
    assert found["since"] == "2027-01-15T08:00:00Z" and found["not_before"] == "2030-03-17T17:46:40Z"
    assert (found["ended_by"], found["served_call_id"]) == ("ann", "0190f6a0-0000-7000-8000-000000000003")
    assert not await store.open_callbacks()


async def test_order_repeats_and_pieces_do_not_matter(pg: Cluster) -> None:
    at = round(time.time()) - 600
    wanted = None
    for seed in range(8):
        events = list(told(at).events)
        rnd = random.Random(seed)
        events += rnd.sample(events, 5)
        if seed:
            rnd.shuffle(events)
        store = await Store.open(await pg.make_database(migrated=True))
        cuts = sorted({0, len(events), *(rnd.randrange(len(events)) for _ in range(3))})
        for a, b in itertools.pairwise(cuts):
            await keep(store, events[a:b], 1 + a)
        found = await row(store)
        wanted = wanted or found
        assert found == wanted, f"seed {seed}"
        await store.close()


async def test_a_call_that_was_made_is_the_queues_and_joined_to_the_one_that_asked_for_it(store: Store) -> None:
    asked = Asked(round(time.time()) - 600)
    made = kit_story.Story(asked.at + 60, random.Random(9))
    made.say("call.arrived", 0, queue="sales", direction="outbound", caller="", called=NUMBER, story_id=asked.call,
             callback=asked.id)  # fmt: skip
    made.say("call.offered", 0, "ann", "sales", offer="o1", visit=None, decision={}, station="2001")
    made.say("offer.cancelled", 20, "ann", "sales", offer="o1", reason="busy")
    made.say("call.ended", 20, cause=17, side="system", flow_result="busy")
    await keep(store, [*asked.events, *made.events])
    link = await connect(store.dsn)
    found = dict(await link.fetchrow("SELECT * FROM crm.v_calls WHERE direction = 'outbound'"))
    visits = await link.fetchval("SELECT count(*) FROM crm.v_queue_visits")
    await link.close()
    assert (str(found["story_id"]), found["called"], found["queue"]) == (asked.call, NUMBER, "sales")
    assert (found["outcome"], found["hangup_cause"], visits) == ("busy", 17, 0)


# ---------------------------------------------------------------- by hand


def entered(number: str = NUMBER, queue: str = "sales") -> dict[str, Any]:
    return {"number": number, "entered": "021 1234 5678", "queue": queue, "by": "sue", "priority": 0}


async def test_one_is_entered_by_hand_once(store: Store) -> None:
    at = float(round(time.time()))
    made = await store.add_callback(**entered(), at=at)
    assert (made["state"], made["number"]) == ("open", NUMBER)
    assert (made["entered"], made["asked_by"]) == ("021 1234 5678", "sue")
    assert made["call_id"] == made["callback_id"]
    with pytest.raises(Refused) as refused:
        await store.add_callback(**entered(), at=at + 1)
    assert refused.value.code == "callback_open"
    await store.add_callback(**entered(queue="support"), at=at + 1)
    (due, _) = await store.open_callbacks()
    assert (due.callback_id, due.since, due.requested_at) == (made["callback_id"], at, at)


async def test_one_of_a_customer_who_is_not_there_is_not_entered(store: Store) -> None:
    who = int(await store.add_customer("Ani", []))
    with pytest.raises(BadInput) as bad:
        await store.add_callback(**entered(), at=time.time(), customer_id=who + 1)
    assert bad.value.code == "no_such_customer" and not (await store.list_callbacks())[0]
    assert (await store.add_callback(**entered(), at=time.time(), customer_id=who))["customer_id"] == str(who)


async def test_two_who_enter_the_same_one_at_once_make_one(store: Store) -> None:
    tries = (store.add_callback(**entered() | {"by": f"sue{n}"}, at=time.time()) for n in range(6))
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, dict) for one in done) == 1
    assert {one.code for one in done if isinstance(one, Refused)} == {"callback_open"}


async def test_the_events_of_one_entered_by_hand_make_no_call_of_it(store: Store) -> None:
    made = await store.add_callback(**entered(), at=time.time())
    name = made["callback_id"]
    await keep(store, [
        Event(type="callback.dialed", at=time.time(), call_id=name, seq=LATE, queue="sales",
              data={"callback": name, "to": "c1", "number": NUMBER, "try": 1}),
        Event(type="callback.failed", at=time.time(), call_id=name, seq=LATE + 1, queue="sales",
              data={"callback": name, "to": "c1", "result": "no_answer", "not_before": 1_900_000_000.0}),
    ])  # fmt: skip
    found = await row(store)
    assert (found["state"], found["tries"], found["last_result"]) == ("open", 1, "no_answer")
    assert (await store.list_calls())[0] == []


async def test_a_callback_that_is_cancelled_by_hand_stays_so(store: Store) -> None:
    asked = Asked(round(time.time()) - 600)
    await keep(store, asked.events)
    await store.cancel_callback(asked.id, "cli:sue")
    with pytest.raises(Refused) as refused:
        await store.cancel_callback(asked.id, "cli:sue")
    assert refused.value.code == "callback_gone"
    await keep(store, [asked.later("callback.failed", 30, 1, to="c1", result="busy", not_before=0.0)], 10)
    found = await row(store)
    assert (found["state"], found["ended_by"], found["tries"]) == ("cancelled", "cli:sue", 1)
    assert found["ended_at"] is not None


async def test_one_with_a_priority_and_a_time_of_its_own(store: Store) -> None:
    at = float(round(time.time()))
    made = await store.add_callback(**entered() | {"priority": 12}, at=at, not_before=at + 3600)
    (due,) = await store.open_callbacks()
    assert (due.priority, due.not_before) == (12, at + 3600)
    name = made["callback_id"]
    events = [
        Event(type="callback.moved", at=at + 5, call_id=name, seq=LATE + 1, queue="sales",
              data={"callback": name, "since": at, "priority": 20}),
        Event(type="callback.failed", at=at + 9, call_id=name, seq=LATE + 2, queue="sales",
              data={"callback": name, "to": "c1", "result": "no_agent", "not_before": None}),
    ]  # fmt: skip
    await keep(store, events[:1], 1)
    (due,) = await store.open_callbacks()
    assert (due.priority, due.not_before) == (20, at + 3600), "only what was tried has another time"
    await keep(store, events[1:], 9)
    assert (await store.open_callbacks())[0].not_before == 0.0


async def test_a_clock_that_is_set_moves_it_also_after_a_start(store: Store) -> None:
    asked = Asked(round(time.time()) - 600)
    asked.later("callback.dialed", 30, 9, to="c1", number=NUMBER)
    asked.later("callback.failed", 40, 8, to="c1", result="busy", not_before=asked.at + 640)
    moved = {"since": asked.at + 1005, "priority": 0, "requested_at": asked.at + 1005, "not_before": asked.at + 1640}
    asked.later("callback.moved", 1050, 7, **moved)
    asked.later("callback.moved", 1060, 6, since=asked.at + 900, priority=3)
    events = asked.events
    for order in (events, events[::-1], events[:4] + events[6:] + events[4:6]):
        await keep(store, order, 100)
        link = await connect(store.dsn)
        (due,) = await store.open_callbacks()
        assert (due.requested_at, due.not_before) == (asked.at + 1005, asked.at + 1640)
        assert (due.since, due.priority, due.tries) == (asked.at + 900, 3, 1)
        await link.execute("TRUNCATE crm.events")
        await link.close()


async def test_what_the_page_shows_besides_what_the_server_knows(store: Store) -> None:
    await store.db.value("add_user", "sue", "Sue Lestari", "supervisor", None, None, None)
    made = await store.add_callback(**entered(), at=time.time())
    asked = Asked(round(time.time()) - 600, "+62811000222", seed=3)
    asked.later("callback.failed", 40, 8, to="c1", result="busy", not_before=None)
    await keep(store, asked.events)
    found = await store.callbacks_of([made["callback_id"], asked.id, "0190f6a0-0000-7000-8000-000000000003"])
    assert found.keys() == {made["callback_id"], asked.id}
    by_hand, by_phone = found[made["callback_id"]], found[asked.id]
    assert (by_hand["asked_by"], by_hand["asked_by_name"], by_hand["last_result"]) == ("sue", "Sue Lestari", None)
    assert (by_phone["asked_by"], by_phone["asked_by_name"], by_phone["last_result"]) == (None, None, "busy")
    assert (await store.user_names()) == {"sue": "Sue Lestari"}


async def test_one_under_way_is_not_cancelled_by_hand(store: Store) -> None:
    asked = Asked(round(time.time()) - 600)
    asked.later("callback.dialed", 30, 1, to="c1", number=NUMBER)
    await keep(store, asked.events)
    with pytest.raises(Refused):
        await store.cancel_callback(asked.id, "sue")


async def test_a_running_server_is_told_of_every_change(store: Store) -> None:
    told = asyncio.Event()
    watching = asyncio.create_task(store.watch_callbacks(told.set))

    async def is_told() -> None:
        async with asyncio.timeout(5):
            await told.wait()
        told.clear()

    try:
        await is_told()  # at first
        made = await store.add_callback(**entered(), at=time.time())
        await is_told()
        link = await connect(store.dsn)
        await link.execute("INSERT INTO crm.do_not_call (number) VALUES ($1)", NUMBER)
        await is_told()
        assert (await store.open_callbacks())[0].barred
        await store.cancel_callback(made["callback_id"], "sue")
        await is_told()
        with pytest.raises(Refused) as refused:
            await store.add_callback(**entered(), at=time.time())
        assert refused.value.code == "do_not_call"
        with pytest.raises(asyncpg.CheckViolationError):
            await link.execute("INSERT INTO crm.do_not_call (number) VALUES ('0812')")
        await link.close()
    finally:
        watching.cancel()


async def test_lists_are_filtered_and_paged(store: Store) -> None:
    at = float(round(time.time()))
    for n in range(5):
        await store.add_callback(**entered(f"+62211234567{n}", "sales" if n % 2 else "support"), at=at + n)
    every, cursor = await store.list_callbacks(limit=3)
    rest, end = await store.list_callbacks(limit=3, cursor=cursor)
    assert [one["number"][-1] for one in [*every, *rest]] == ["4", "3", "2", "1", "0"] and end is None
    assert [one["number"][-1] for one in (await store.list_callbacks(queues=["sales"]))[0]] == ["3", "1"]
    assert (await store.list_callbacks(queues=[]))[0] == []
    assert [one["number"][-1] for one in (await store.list_callbacks(q="4567%"))[0]] == []
    assert [one["number"][-1] for one in (await store.list_callbacks(q="45674"))[0]] == ["4"]
    assert (await store.list_callbacks(states=["done"]))[0] == []
    assert len((await store.list_callbacks(states=["open", "dialing"]))[0]) == 5
    with pytest.raises(BadInput):
        await store.list_callbacks(cursor="nonsense")
    name = every[0]["callback_id"]
    assert await store.callback_like(name[:13]) == [name]
    assert await store.get_callback("0190f6a0-0000-7000-8000-000000000003") is None
