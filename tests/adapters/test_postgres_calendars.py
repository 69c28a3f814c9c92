"""Calendars opened and closed by hand, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest

from cti.adapters.postgres import Store
from cti.core.messages import Forced

pytestmark = pytest.mark.services


async def test_a_calendar_is_opened_closed_and_freed_by_hand(store: Store) -> None:
    until = round(time.time()) + 3600.5
    assert await store.force_calendar("office", "closed", until, "ann")
    assert await store.force_calendar("night", "open", until, "ann")
    assert await store.force_calendar("office", "open", until + 60, "bob")
    assert await store.forced_calendars() == {"office": Forced("open", until + 60), "night": Forced("open", until)}
    night, office = await store.calendar_switches()
    assert (night["calendar"], office["calendar"], office["state"], office["by"]) == ("night", "office", "open", "bob")
    assert office["until"].endswith("Z") and office["at"] >= night["at"]
    assert await store.force_calendar("office", None, 0.0, "ann")
    assert not await store.force_calendar("office", None, 0.0, "ann")
    assert list(await store.forced_calendars()) == ["night"]


async def test_what_is_over_is_told_no_more(store: Store) -> None:
    await store.force_calendar("office", "closed", time.time() - 1, "ann")
    assert await store.forced_calendars() == {}
    assert await store.calendar_switches() == []
    assert not await store.force_calendar("office", None, 0.0, "ann")  # it was over before


async def test_it_is_audited(store: Store) -> None:
    await store.force_calendar("office", "closed", 2_000_000_000.0, "ann")
    await store.force_calendar("office", None, 0.0, "cli:root")
    async with store.db.link() as link:
        rows = await link.fetch("SELECT actor, action, object, detail FROM crm.audit ORDER BY audit_id")
        with pytest.raises(asyncpg.CheckViolationError):
            await link.execute("INSERT INTO crm.calendar_switches VALUES ('office', 'holiday', now(), 'ann')")
    assert [tuple(row) for row in rows] == [
        ("ann", "calendar.closed", "office", {"until": "2033-05-18T03:33:20Z"}),
        ("cli:root", "calendar.freed", "office", {}),
    ]


async def test_what_fails_leaves_no_trace(store: Store) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await store.force_calendar("no name", "open", 2_000_000_000.0, "ann")
    assert await store.db.rows("calendar_switches") == []
    async with store.db.link() as link:
        assert await link.fetchval("SELECT count(*) FROM crm.audit") == 0


async def test_a_change_is_told_at_once_at_first_and_after_a_lost_connection(store: Store) -> None:
    told = asyncio.Queue[dict[str, Forced]]()

    async def changed() -> None:
        told.put_nowait(await store.forced_calendars())

    watcher = "query LIKE 'LISTEN%' AND datname = current_database()"
    task = asyncio.ensure_future(store.watch_calendars(changed))
    try:
        async with asyncio.timeout(20):
            assert await told.get() == {}
            await store.force_calendar("office", "closed", 2_000_000_000.0, "ann")
            assert await told.get() == {"office": Forced("closed", 2_000_000_000.0)}
            async with store.db.link() as link:
                await link.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {watcher}")
            assert len(await told.get()) == 1
            await store.force_calendar("office", None, 0.0, "ann")
            assert await told.get() == {}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
