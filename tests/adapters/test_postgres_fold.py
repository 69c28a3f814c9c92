"""The rows do not depend on the order, the pieces or the number of times in which events come."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import kit_story
import pytest
from kit_pg import Cluster

from cti.adapters.postgres_db import QUERIES, connect
from cti.adapters.postgres_writer import COLUMNS, row_of
from cti.core.messages import Event, encode

pytestmark = pytest.mark.services
TABLES = {
    "calls": "call_id", "queue_visits": "call_id, seq", "offers": "call_id, offer", "recordings": "recording_id",
    "agent_states": "agent, event_id", "callbacks": "callback_id", "survey_answers": "call_id, seq",
    "voicemails": "call_id, seq",
}  # fmt: skip


async def store(link: Any, events: Sequence[Event], first_id: int) -> None:
    await keep(link, [(first_id + n, event) for n, event in enumerate(events)])


async def keep(link: Any, events: Sequence[tuple[int, Event]]) -> None:
    """As the writer does, each at its position in the journal."""
    rows = [row_of(position, encode(event)) for position, event in events]
    async with link.transaction():
        await link.execute(QUERIES["make_event_partitions"], sorted({row[3].date() for row in rows}))
        await link.copy_records_to_table("events", schema_name="crm", columns=COLUMNS, records=rows)
        await link.execute(QUERIES["fold_calls"], list({row[1] for row in rows if row[1]}))
        agents, first_at = list({row[5] for row in rows if row[5]}), min(row[3] for row in rows)
        await link.execute(QUERIES["fold_agents"], agents, min(row[0] for row in rows), first_at)


async def tables(link: Any) -> dict[str, list[dict[str, Any]]]:
    found = {name: await link.fetch(f"SELECT * FROM crm.{name} ORDER BY {key}") for name, key in TABLES.items()}
    return {
        name: [{k: v for k, v in row.items() if k != "event_id"} for row in rows] for name, rows in found.items()
    }


def batches(events: list[Event], rnd: random.Random) -> list[list[tuple[int, Event]]]:
    """Shuffled, a third of those of calls twice, cut at random places. Each keeps its position in the journal."""
    doubles = rnd.sample([event for event in events if event.call_id], len(events) // 3)
    pile = list(enumerate([*events, *doubles], 1))
    rnd.shuffle(pile)
    cuts = sorted({0, len(pile), *(rnd.randrange(len(pile)) for _ in range(rnd.randrange(6)))})
    return [pile[a:b] for a, b in itertools.pairwise(cuts)]


async def test_shuffled_doubled_and_split_events_end_in_the_same_rows(pg: Cluster) -> None:
    at = time.time() - 100
    events = [
        *kit_story.answered(at).events, *kit_story.timed_out(at + 1).events, *kit_story.never_queued(at + 2).events,
        *kit_story.wishes(at + 3).events,
        *kit_story.states("ann", at), *kit_story.states("zoe", at + 0.5),
    ]  # fmt: skip
    link = await connect(await pg.make_database(migrated=True))
    await store(link, events, 1)
    wanted = await tables(link)
    await link.close()
    assert [len(rows) for rows in wanted.values()] == [4, 3, 3, 1, 12, 1, 2, 2]
    for seed in range(12):
        rnd = random.Random(seed)
        link = await connect(await pg.make_database(migrated=True))
        for batch in batches(events, rnd):
            await keep(link, batch)
        assert await tables(link) == wanted, f"seed {seed}"
        await link.execute(QUERIES["fold_agents"], ["ann", "zoe"], 0, datetime.fromtimestamp(0, UTC))
        assert await tables(link) == wanted, f"seed {seed}, folded again"
        await link.close()


async def folded(dsn: str, story: kit_story.Story, upto: int | None = None) -> dict[str, Any]:
    """The row of v_calls with its visits and offers, and the times as seconds after the start."""
    link = await connect(dsn)
    await store(link, story.events[:upto], 1)
    call = dict(await link.fetchrow("SELECT * FROM crm.v_calls"))
    call["visits"] = [dict(row) for row in await link.fetch("SELECT * FROM crm.v_queue_visits ORDER BY seq")]
    call["offers"] = [dict(row) for row in await link.fetch("SELECT * FROM crm.v_offers ORDER BY offered_at")]
    call["finished"] = await link.fetchval("SELECT finished FROM crm.calls")
    await link.close()

    def after(value: Any) -> Any:
        if isinstance(value, datetime):
            return round(value.timestamp() - story.at, 3)
        if isinstance(value, list):
            return [after(item) for item in value]
        return {k: after(v) for k, v in value.items()} if isinstance(value, dict) else value

    return dict(after(call))


async def test_an_answered_call(dsn: str) -> None:
    call = await folded(dsn, kit_story.answered())
    times = ("started_at", "queued_at", "offered_at", "connected_at", "ended_at", "wrapped_at")
    assert [call[name] for name in times] == [0, 0.5, 15.7, 17, 50.5, 55]
    assert {k: call[k] for k in ("direction", "caller", "caller_name", "called", "flow", "flow_version", "queue")} == {
        "direction": "inbound", "caller": "+6281234567890", "caller_name": "王小明", "called": "6000", "flow": "main",
        "flow_version": 3, "queue": "sales",
    }  # fmt: skip
    assert (call["agent"], call["outcome"]) == ("ann", "answered")
    assert (call["hangup_side"], call["hangup_cause"]) == ("caller", 16)
    assert (call["disposition"], call["recordings"], call["voicemail"]) == ("sold", 1, False)
    assert call["attributes"] == {"choice": "5"}  # the last value of each
    assert call["story_id"] == call["call_id"] and call["finished"]
    assert [(o["agent"], o["visit_seq"], o["result"], o["offered_at"], o["ended_at"]) for o in call["offers"]] == [
        ("zoe", 1, "missed", 0.6, 15.6), ("ann", 1, "answered", 15.7, 17),
    ]  # fmt: skip
    (visit,) = call["visits"]
    assert (visit["entered_at"], visit["left_at"], visit["result"], visit["agent"]) == (0.5, 17, "answered", "ann")
    assert (visit["priority"], visit["skills"]) == (3, {"english": 1})


async def test_two_visits_and_a_caller_who_gave_up(dsn: str) -> None:
    call = await folded(dsn, kit_story.timed_out(time.time()))
    assert (call["outcome"], call["queue"], call["agent"], call["caller"]) == ("abandoned", "sales", None, None)
    assert (call["offered_at"], call["connected_at"]) == (None, None)
    assert [(v["seq"], v["queue"], v["result"], v["priority"]) for v in call["visits"]] == [
        (1, "sales", "timeout", 0), (2, "support", "abandoned", 9),
    ]  # fmt: skip
    assert [(o["visit_seq"], o["result"], o["ended_at"]) for o in call["offers"]] == [(2, "caller_left", 36)]


async def test_a_call_that_never_was_in_a_queue_ends_as_its_flow(dsn: str) -> None:
    call = await folded(dsn, kit_story.never_queued(time.time()))
    assert (call["outcome"], call["voicemail"], call["visits"]) == ("voicemail", True, [])


@pytest.mark.parametrize(
    ("how", "outcome"), [("flow_ended", "voicemail"), ("failed", "failed"), ("transferred_out", "transferred_out")]
)
async def test_who_hangs_up_after_his_message_has_left_one(dsn: str, how: str, outcome: str) -> None:
    """The flow is over before the message is a file."""
    story = kit_story.Story(time.time(), random.Random(6))
    story.say("call.arrived", 0, direction="inbound", caller="", called="6000")
    story.say("flow.started", 0.1, flow="main", version=3, language="en")
    story.say("flow.ended", 9, flow="main", how=how)
    story.say("call.ended", 9, cause=16, side="caller", flow_result="")
    story.say("voicemail.left", 10, box="support", seconds=7.5, recording_id="r1")
    call = await folded(dsn, story)
    assert (call["outcome"], call["voicemail"]) == (outcome, True)


async def test_what_a_caller_wished_answered_and_said_is_there_to_be_seen_to(dsn: str) -> None:
    story = kit_story.wishes(time.time())
    link = await connect(dsn)
    await store(link, story.events, 1)
    (wish,) = await link.fetch("SELECT * FROM crm.v_callbacks")
    assert (str(wish["call_id"]), wish["queue"], wish["number"], wish["entered"], wish["customer_id"]) == (
        story.call, "sales", "+622112345678", "021 12345678", 7,
    )  # fmt: skip
    assert (wish["state"], round(wish["requested_at"].timestamp() - story.at, 3)) == ("open", 5)
    answers = await link.fetch("SELECT survey, question, answer, agent FROM crm.v_survey_answers ORDER BY seq")
    assert [tuple(row) for row in answers] == [("after_call", "kind", "4", "ann"), ("after_call", "again", "1", "ann")]
    (left,) = await link.fetch("SELECT box, recording_id, file, seconds FROM crm.v_voicemails")
    assert tuple(left) == ("support", "r1", None, 7.5)
    outcome = await link.fetchrow("SELECT outcome, voicemail FROM crm.v_calls")
    assert tuple(outcome) == ("voicemail", True)
    await link.execute("UPDATE crm.callbacks SET state = 'done'")
    await link.execute(QUERIES["fold_calls"], [story.call])
    assert await link.fetchval("SELECT state FROM crm.v_callbacks") == "done"
    await link.close()


@pytest.mark.parametrize(
    ("upto", "outcome", "visit", "offers", "finished"),
    [
        (3, None, None, [], False),
        (4, None, None, [], False),
        (5, None, None, [None], False),
        (7, None, None, ["missed", None], False),
        (8, "answered", "answered", ["missed", "answered"], False),
        (14, "answered", "answered", ["missed", "answered"], False),
        (16, "answered", "answered", ["missed", "answered"], False),
        (17, "answered", "answered", ["missed", "answered"], True),
    ],
)
async def test_a_call_under_way(
    dsn: str, upto: int, outcome: str | None, visit: str | None, offers: list[str | None], finished: bool
) -> None:
    call = await folded(dsn, kit_story.answered(), upto)
    assert call["outcome"] == outcome and call["finished"] == finished
    assert [o["result"] for o in call["offers"]] == offers
    assert [v["result"] for v in call["visits"]] == ([visit] if upto > 3 else [])


@pytest.mark.parametrize(("side", "result"), [("caller", "abandoned"), ("system", "failed")])
async def test_a_wait_that_nobody_ended_ends_with_its_call(dsn: str, side: str, result: str) -> None:
    story = kit_story.Story(time.time(), random.Random(9))
    story.say("call.queued", 1, queue="sales", visit=1)
    story.say("call.offered", 2, "ann", "sales", offer="o", visit=1)
    story.say("call.ended", 3, side=side, cause=16)
    call = await folded(dsn, story)
    assert (call["outcome"], call["visits"][0]["result"], call["visits"][0]["left_at"]) == (result, result, 3)
    assert call["offers"][0]["result"] == "caller_left"


ODD = [
    {"visit": {"a": 1}, "priority": "high", "skills": 7, "entered_at": "soon"},
    {"visit": 1e300, "priority": 1e300, "entered_at": 1e300},
    {"visit": None, "priority": None, "entered_at": -5},
    {},
]


@pytest.mark.parametrize("data", ODD, ids=str)
async def test_odd_data_is_null_and_never_an_error(dsn: str, data: dict[str, Any]) -> None:
    story = kit_story.Story(time.time(), random.Random(5))
    story.say("call.arrived", 0, **data | {"caller": 5, "story_id": "none", "direction": None})
    story.say("call.identified", 0, **data | {"customers": ["x"]})
    story.say("flow.started", 0, **data | {"version": "new"})
    story.say("flow.node", 0, **data | {"vars": [1]})
    story.say("call.queued", 1, queue="sales", **data)
    story.say("call.offered", 2, "ann", **data | {"offer": 4})
    story.say("call.dequeued", 3, **data | {"result": None})
    story.say("recording.stopped", 3, **data | {"recording_id": "r", "bytes": "many", "started_at": []})
    story.say("call.ended", 4, **data | {"cause": "none", "side": 4})
    call = await folded(dsn, story)
    assert (call["customer_id"], call["flow_version"], call["hangup_cause"]) == (None, None, None)
    assert len(call["visits"]) == 1 and call["attributes"] == {}


@pytest.mark.parametrize(
    ("customers", "wanted"), [([], None), (["7"], 7), ([7], 7), (["7", "8"], None), (["x"], None), ("7", None)]
)
async def test_the_customer_is_known_when_exactly_one_matches(dsn: str, customers: Any, wanted: int | None) -> None:
    story = kit_story.Story(time.time(), random.Random(5))
    story.say("call.identified", 0, customers=customers)
    assert (await folded(dsn, story))["customer_id"] == wanted


async def test_states_of_an_agent_follow_each_other(dsn: str) -> None:
    at = time.time() - 50
    link = await connect(dsn)
    steps = list(enumerate(kit_story.states("ann", at), 1))
    await keep(link, [steps[0], steps[5]])
    await keep(link, steps[2:4])
    await keep(link, [steps[1], steps[4]])
    rows = await link.fetch("SELECT * FROM crm.v_agent_states ORDER BY since")
    await link.close()
    assert [(r["wish"], r["work"], r["reason"]) for r in rows] == [
        ("not_ready", "idle", "login"), ("ready", "idle", None), ("ready", "reserved", None),
        ("ready", "talking", None), ("ready", "wrap_up", None), ("ready", "idle", None),
    ]  # fmt: skip
    assert [r["until"] for r in rows] == [*(r["since"] for r in rows[1:]), None]


def state(at: float, work: str, wish: str = "ready", **more: Any) -> Event:
    data = {"wish": wish, "work": work, "reason": "", **more}
    return Event(type="agent.state_changed", at=at, agent="ann", data=data)


async def test_states_are_in_the_order_in_which_they_were_decided_whatever_their_clock(dsn: str) -> None:
    """A wish carries the server's time; the fact that was told after it the switch's, which is earlier. The second
    batch tells a state again that was before."""
    at = time.time() - 50
    told = [state(at, "talking"), state(at + 5.02, "talking", next_wish="not_ready"), state(at + 5, "wrap_up"),
            state(at + 9, "idle"), state(at + 9, "reserved"), state(at + 9, "idle"),
            state(at + 99, "reserved"), state(at + 9, "idle")]  # fmt: skip
    link = await connect(dsn)
    for cut in (slice(0, 5), slice(5, 7), slice(7, 8)):
        await store(link, told[cut], 1 + cut.start)
    rows = await link.fetch("SELECT * FROM crm.agent_states ORDER BY event_id")
    await link.close()
    assert [row["work"] for row in rows] == [event.data["work"] for event in told]
    since = [round(row["since"].timestamp() - at, 3) for row in rows]
    assert since[:6] == [0, 5.02, 5.02, 9, 9, 9]
    assert 49 < since[6] == since[7] < 70  # a time from the future is the time at which it came
    assert [row["until"] for row in rows] == [*(row["since"] for row in rows[1:]), None]


async def test_however_many_states_there_are_only_the_last_of_each_agent_are_read(dsn: str) -> None:
    link = await connect(dsn, 20)
    await link.execute("""
        INSERT INTO crm.agent_states (event_id, agent, wish, work, at, since, until)
        SELECT n, 'a' || n % 20, 'ready', 'idle', t, t, t + interval '20 s'
        FROM generate_series(1, 20000) AS n, LATERAL (SELECT now() - (20001 - n) * interval '1 s') AS o(t)""")
    await link.execute("ANALYZE crm.agent_states")
    async with link.transaction():
        await link.execute(QUERIES["fold_agents"], ["a1", "a2", "a3"], 19_900, datetime.now(UTC))
        read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'agent_states'"
        assert await link.fetchval(read) < 100
    await link.close()


async def test_old_days_are_not_read(dsn: str) -> None:
    """Partitions that are locked for good do not matter to a call that began after them."""
    now = datetime.now(UTC)
    old = [(now - timedelta(days=n)).date() for n in range(3, 30)]
    other, link = await connect(dsn), await connect(dsn, 1)
    await other.execute(QUERIES["make_event_partitions"], old)
    story = kit_story.answered()
    await store(link, story.events[:4], 1)
    async with other.transaction():
        for day in old:
            await other.execute(f"LOCK TABLE crm.events_{day:%Y%m%d}")
        assert len(await link.fetch("SELECT * FROM crm.events_of(ARRAY[$1::uuid])", story.call)) == 4
        await link.execute(QUERIES["fold_calls"], [story.call])
    await link.close()
    await other.close()


async def test_events_and_audit_are_append_only_and_names_are_never_free_again(dsn: str) -> None:
    link = await connect(dsn)
    await store(link, kit_story.answered().events, 1)
    await link.execute("INSERT INTO crm.audit (actor, action) VALUES ('a', 'b')")
    await link.execute("INSERT INTO crm.users (name, role) VALUES ('ann', 'agent')")
    for change in ("UPDATE crm.events SET type = 'x'", "DELETE FROM crm.events", "UPDATE crm.audit SET actor = 'x'",
                   "DELETE FROM crm.audit", "DELETE FROM crm.users"):  # fmt: skip
        with pytest.raises(asyncpg.RestrictViolationError):
            await link.execute(change)
    await link.close()
