"""What the store answers, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any

import kit_story
import pytest

from cti.adapters import passwords, postgres_people
from cti.adapters.journal import Journal
from cti.adapters.postgres import Station, Store
from cti.adapters.postgres_db import QUERIES, connect
from cti.adapters.postgres_people import NewUser
from cti.core.messages import Event
from cti.errors import BadInput, Refused, Unavailable

pytestmark = pytest.mark.services


async def keep(store: Store, folder: Path, events: list[Event]) -> None:
    journal = Journal.open(folder / "journal")
    journal.append(events)
    await store.catch_up(journal)
    journal.close()


def user(name: str = "ann", role: str = "agent", **more: object) -> NewUser:
    return NewUser(name=name, role=role, secret=passwords.new_secret(), **more)  # type: ignore[arg-type]


async def test_every_query_is_valid(store: Store) -> None:
    async with store.db.link() as link:
        for name, text in QUERIES.items():
            assert await link.prepare(text), name


async def test_nobody_at_home_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await Store.open(f"postgresql://cti@/cti?host={tmp_path}")
    with pytest.raises(Unavailable):
        await Store.open("no dsn at all")


async def test_the_epoch_rises(store: Store) -> None:
    assert [await store.take_epoch() for _ in range(3)] == [1, 2, 3]


async def test_people_are_agents_with_skills_and_stations(store: Store) -> None:
    await postgres_people.add_user(store, user("ann", station="2001", skills={"english": 3}, display_name="安"))
    await postgres_people.add_user(store, user("boss", "supervisor"))
    await postgres_people.add_user(store, user("off"))
    await postgres_people.disable_user(store, "off")
    agents, stations = await store.load_people()
    assert [(a.agent, a.name, a.skills, a.station) for a in agents] == [("ann", "安", {"english": 3}, "2001")]
    (station,) = stations
    assert isinstance(station, Station) and station.number == "2001" and len(station.secret) >= 20


async def test_a_change_of_people_is_told_at_once_and_after_a_lost_connection(store: Store) -> None:
    told = asyncio.Queue[int]()
    task = asyncio.ensure_future(store.watch_people(lambda: told.put_nowait(1)))
    try:
        async with asyncio.timeout(20):
            while not await _watchers(store):
                await asyncio.sleep(0.01)
            await postgres_people.add_user(store, user("ann", station="2001"))
            await told.get()
            await postgres_people.set_skill(store, "ann", "english", 4)
            await told.get()
            await postgres_people.station_secret(store, "2001", passwords.new_secret())
            await told.get()
            await store.db.rows("audit", "x", "y", "", {})
            async with store.db.link() as link:
                await link.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {WATCHER}")
            await told.get()
            await postgres_people.disable_user(store, "ann")
            await told.get()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


WATCHER = "query LIKE 'LISTEN%' AND datname = current_database()"


async def _watchers(store: Store) -> int:
    async with store.db.link() as link:
        return int(await link.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE {WATCHER}"))


async def test_callers_are_found_by_number(store: Store, tmp_path: Path) -> None:
    number = "+6281234567890"
    numbers = [(number, "0812-3456-7890"), ("+862112345678", "")]
    first = await store.add_customer("王小明", numbers, tier="vip", language="zh")
    second = await store.add_customer("Budi", [(number, "")])
    await store.add_case(first, "Broken")
    await store.add_case(second, "Old", status="closed")
    stories = [kit_story.answered(time.time() - 1000 + 100 * n, seed=n) for n in range(7)]
    await keep(store, tmp_path, [e for s in stories for e in s.events] + kit_story.answered(seed=99).events[:5])
    found = await store.find_customer(number)
    assert [(c["customer_id"], c["name"], c["tier"], c["numbers"]) for c in found.customers] == [
        (first, "王小明", "vip", ["+6281234567890", "+862112345678"]), (second, "Budi", "standard", [number]),
    ]  # fmt: skip
    assert [h["call_id"] for h in found.history] == [s.call for s in reversed(stories)][:5]  # not the present call
    assert found.history[0]["started_at"].endswith("Z")
    assert [(c["title"], c["customer_id"]) for c in found.cases] == [("Broken", first)]
    known = await store.find_customer("+62999", first)  # who calls from another's phone
    assert [c["name"] for c in known.customers] == ["王小明"] and [c["title"] for c in known.cases] == ["Broken"]
    assert await store.find_customer("+62999") == ([], [], [])
    assert await store.find_customer("x\0\ud800") == ([], [], [])


async def test_wildcards_in_a_search_are_letters(store: Store) -> None:
    for name in ("100% Kopi", "a_b", "a\\b", "Zed"):
        await store.add_customer(name, [("+62811" + str(len(name)), "")], email=f"{name[0]}@x.id")

    async def names(q: str) -> list[str]:
        return [row["name"] for row in (await store.list_customers(q, None, 10))[0]]

    assert await names("%") == ["100% Kopi"]
    assert await names("_") == ["a_b"]
    assert await names("\\") == ["a\\b"]
    assert await names("") == ["100% Kopi", "a\\b", "a_b", "Zed"]
    assert await names("628113") == ["a\\b", "a_b", "Zed"]
    assert await names("'; DROP TABLE crm.customers; --") == []
    assert await names("x\0y") == []


async def test_pages_meet_without_gap_or_double(store: Store, tmp_path: Path) -> None:
    at = time.time() - 1000
    stories = [kit_story.answered(at + n // 3, seed=n) for n in range(11)]
    await keep(store, tmp_path, [e for s in stories for e in s.events])
    for n in range(11):
        await store.add_customer("Same name" if n % 2 else "same name", [])
    for listed, key in ((store.list_calls, "call_id"), (store.list_recordings, "recording_id"),
                        (lambda **k: store.list_customers("", k["cursor"], k["limit"]), "customer_id")):  # fmt: skip
        seen, cursor = [], None
        while True:
            rows, cursor = await listed(cursor=cursor, limit=4)  # type: ignore[operator]
            seen += [row[key] for row in rows]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 11
    for bad in ("x", "e30=", "WyJhIiwgImIiXQ=="):
        with pytest.raises(BadInput):
            await store.list_calls(cursor=bad)


async def test_calls_are_filtered(store: Store, tmp_path: Path) -> None:
    now = time.time()
    calls = [kit_story.answered(now - 300), kit_story.timed_out(now - 200), kit_story.never_queued(now - 100)]
    await keep(store, tmp_path, [e for s in calls for e in s.events])
    for wish, wanted in (({"agent": "ann"}, [0]), ({"queue": "sales"}, [1, 0]), ({"outcome": "voicemail"}, [2]),
                         ({"since": now - 250}, [2, 1]), ({"until": now - 250}, [0]), ({"agent": "zoe"}, []),
                         ):  # fmt: skip
        rows, _ = await store.list_calls(**wish)  # type: ignore[arg-type]
        assert [row["call_id"] for row in rows] == [calls[n].call for n in wanted], wish


FILL = """
    INSERT INTO crm.calls (call_id, story_id, direction, agent, started_at, voicemail, recordings, attributes, finished)
    SELECT gen_random_uuid(), gen_random_uuid(), 'inbound', CASE WHEN n % 9 > 0 THEN 'a' || n % 50 END,
        now() - n * interval '1 minute', false, 1, '{}', true FROM generate_series(1, 20000) AS n;
    INSERT INTO crm.recordings (recording_id, call_id, agent, started_at, seconds, channels, bytes, paused_seconds)
    SELECT call_id::text, call_id, agent, started_at, 1, 2, 3, 0 FROM crm.calls;
    ANALYZE crm.calls, crm.recordings"""


@pytest.mark.parametrize(
    ("query", "args"),
    [("list_calls", (None, None, "gone", None, None, None, None, 51)), ("list_recordings", ("gone", None, None, 51))],
)
async def test_an_agents_lists_are_read_from_an_index(store: Store, query: str, args: tuple[Any, ...]) -> None:
    """His page asks every 5 s, and whoever had no call yet has the whole table searched for one."""
    link = await connect(store.dsn, 60)
    await link.execute(FILL)
    plan = "\n".join(row[0] for row in await link.fetch(f"EXPLAIN {QUERIES[query]}", *args))
    await link.close()
    assert "Index Cond: (agent = 'gone'::text)" in plan and "Filter" not in plan.replace("Join Filter", ""), plan


async def test_one_call_has_everything(store: Store, tmp_path: Path) -> None:
    story = kit_story.answered()
    who = await store.add_customer("王小明", [("+6281234567890", "")])
    story.say("call.identified", 0.3, customers=[who])
    await keep(store, tmp_path, story.events)
    call = await store.get_call(story.call)
    assert call is not None
    assert [e["seq"] for e in call["events"]] == list(range(1, 19))
    assert [v["result"] for v in call["visits"]] == ["answered"]
    assert [o["result"] for o in call["offers"]] == ["missed", "answered"]
    (recording,) = call["recordings"]
    assert await store.get_recording(recording["recording_id"]) == recording | {"call_id": story.call}
    assert (call["customer_id"], call["customer"]["name"]) == (who, "王小明")
    customer = await store.get_customer(who)
    assert customer is not None and [h["call_id"] for h in customer["history"]] == [story.call]
    assert await store.get_call(kit_story.answered(seed=8).call) is None
    assert await store.get_customer("999") is None and await store.get_recording("none") is None


async def test_sessions_and_tokens_end_with_time_password_and_user(store: Store) -> None:
    await postgres_people.add_user(store, user("Ann", password_hash=passwords.hash_password("long enough")))
    ann = await store.user_by_name("ANN")
    assert ann is not None and ann.name == "Ann" and not ann.disabled and ann.password_hash.startswith("$argon2id$")
    digest = [hashlib.sha256(bytes([n])).digest() for n in range(4)]
    await store.session_create(ann.user_id, digest[0], "127.0.0.1", time.time() + 60)
    await store.session_create(ann.user_id, digest[1], None, time.time() - 1)
    assert await store.session_user(digest[0]) == ann and await store.session_user(digest[1]) is None
    await store.session_delete(digest[0])
    assert await store.session_user(digest[0]) is None
    await store.session_create(ann.user_id, digest[2], "", time.time() + 60)
    await postgres_people.add_token(store, "ann", digest[0], None)
    await postgres_people.set_password(store, "ann", passwords.hash_password("another one"))
    assert await store.session_user(digest[2]) is None and await store.token_user(digest[0]) is not None
    await postgres_people.revoke_tokens(store, "ANN")
    assert await store.token_user(digest[0]) is None
    await postgres_people.add_token(store, "ann", digest[3], 1)
    await store.session_create(ann.user_id, digest[2], "", time.time() + 60)
    await store.set_language(ann.user_id, "zh")
    found = await store.token_user(digest[3])
    assert found is not None and found.language == "zh"
    await postgres_people.disable_user(store, "ann")
    assert await store.token_user(digest[3]) is None and await store.session_user(digest[2]) is None
    disabled = await store.user_by_name("ann")
    assert disabled is not None and disabled.disabled


async def test_a_session_in_use_lives_on_but_not_for_ever(store: Store) -> None:
    await postgres_people.add_user(store, user("Ann"))
    ann = await store.user_by_name("ann")
    assert ann is not None
    session = hashlib.sha256(b"ann").digest()
    await store.session_create(ann.user_id, session, "", time.time() + 0.3)
    await store.session_touch(session, time.time() + 60, 3600)
    await asyncio.sleep(0.4)
    assert await store.session_user(session) == ann
    await store.session_touch(session, time.time() + 60, 0.1)  # older than that by now
    assert await store.session_user(session) is None
    await store.session_touch(session, time.time() + 60, 3600)  # an expired one does not come back
    assert await store.session_user(session) is None


@pytest.mark.parametrize(
    "bad",
    [user(""), user("a b"), user("a" * 41), user("é"), user("x\n"), user(role="root"), user(station="20a"),
     user(station="2" * 11), user(skills={"english": 0}), user(skills={"english": 10}), user(skills={"a b": 1})],
    ids=["empty", "space", "long", "letter", "line", "role", "station", "digits", "level0", "level10", "skill"],
)  # fmt: skip
async def test_misspelt_users_are_refused_before_the_database(store: Store, bad: NewUser) -> None:
    with pytest.raises(BadInput):
        await postgres_people.add_user(store, bad)


async def test_a_name_is_used_once_whatever_its_case(store: Store) -> None:
    await postgres_people.add_user(store, user("ann", station="2001"))
    await postgres_people.disable_user(store, "ann")
    with pytest.raises(Refused) as refused:
        await postgres_people.add_user(store, user("ANN", station="2002"))
    assert refused.value.code == "name_taken"
    assert [s.number for s in (await store.load_people())[1]] == ["2001"]  # nothing of it was kept
    with pytest.raises(Refused):
        await postgres_people.set_skill(store, "nobody", "english", 1)


async def test_what_was_done_is_audited(store: Store) -> None:
    await store.audit("ann", "recording.listened", "r1", {"range": "bytes=0-\0"})
    async with store.db.link() as link:
        row = await link.fetchrow("SELECT actor, action, object, detail FROM crm.audit")
    assert tuple(row) == ("ann", "recording.listened", "r1", {"range": "bytes=0-\ufffd"})
