"""The journal reaches PostgreSQL exactly once, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kit_story
import pytest
from kit_pg import Cluster

from cti.adapters import postgres_partitions, postgres_writer
from cti.adapters.journal import Journal
from cti.adapters.postgres import Store
from cti.adapters.postgres_db import connect
from cti.adapters.postgres_writer import COLUMNS, Writer, row_of
from cti.core.messages import Event, encode
from cti.errors import Unavailable
from tests.kit_until import until

pytestmark = pytest.mark.services
KILLED = Path(__file__).with_name("killed_writer.py")


def event(n: int, **fields: Any) -> Event:
    return Event(type="call.test", at=time.time(), seq=n, **fields)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "journal")
    yield journal
    journal.close()


async def stored(dsn: str, what: str = "seq", rest: str = "ORDER BY event_id") -> list[Any]:
    link = await connect(dsn)
    try:
        return [row[0] for row in await link.fetch(f"SELECT {what} FROM crm.events {rest}")]
    finally:
        await link.close()


@asynccontextmanager
async def running(writer: Writer) -> AsyncIterator[None]:
    task = asyncio.ensure_future(writer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_event_ids_are_positions_and_nothing_is_stored_twice(dsn: str, journal: Journal) -> None:
    first = journal.append([event(n) for n in range(5)]) - 4
    store = await Store.open(dsn)
    await store.catch_up(journal)
    assert await stored(dsn, "event_id") == list(range(first, first + 5))
    journal.append([event(5)])
    assert store.behind(journal) == 1
    again = await Store.open(dsn)  # another process that knows nothing
    await again.catch_up(journal)
    with pytest.raises(Unavailable, match="somebody else"):
        await store.catch_up(journal)
    await store.catch_up(journal)
    assert store.behind(journal) == 0
    assert await stored(dsn) == list(range(6))
    assert not (journal.folder / "dead-letters.jsonl").exists()
    await store.close()
    await again.close()


async def test_the_running_writer_stores_and_says_so(dsn: str, journal: Journal) -> None:
    told: list[int] = []
    writer = Writer(dsn, journal, told.append)
    async with running(writer):
        for n in range(3):
            last = journal.append([event(n)])
            await until(lambda last=last: told and told[-1] == last, 20)
    assert await stored(dsn) == [0, 1, 2]


async def test_killed_between_any_two_steps(pg: Cluster, tmp_path: Path) -> None:
    story = kit_story.answered()
    states = kit_story.states("ann", story.at)
    wanted: dict[str, Any] | None = None
    for first_step in range(0, 60, 3):
        dsn, folder = await pg.make_database(migrated=True), tmp_path / f"j{first_step}"
        journal = Journal.open(folder)
        journal.append([*story.events, *states])
        journal.close()
        step, deaths = first_step, 0
        while True:  # die at one step, start again, die three steps later, and so on until all is stored
            child = await asyncio.create_subprocess_exec(sys.executable, str(KILLED), str(folder), dsn, str(step))
            code = await child.wait()
            if code == 0:
                break
            assert code == -9
            step, deaths = step + 3, deaths + 1
        result = {"events": await stored(dsn, "(call_id, seq, type)::text", "ORDER BY 1"),
                  "call": await stored(dsn, "c::text", "JOIN crm.calls c USING (call_id) WHERE type = 'call.arrived'"),
                  "states": await stored(dsn, "count(*)", "JOIN crm.agent_states USING (agent, event_id)")}  # fmt: skip
        assert len(result["events"]) == len(story.events) + len(states)
        wanted = wanted or result
        assert result == wanted, f"killed at step {first_step}"
        if deaths == 0:
            assert first_step > 15  # it was killed at every step there is
            return
    pytest.fail("it never came through without being killed")


async def test_a_commit_whose_answer_was_lost(dsn: str, journal: Journal, monkeypatch: Any) -> None:
    journal.append([event(n) for n in range(10)])
    writer, whole = Writer(dsn, journal), Writer._transaction

    async def answer_lost(self: Writer, *args: Any, **kwargs: Any) -> None:
        await whole(self, *args, **kwargs)
        raise ConnectionResetError("gone")

    monkeypatch.setattr(Writer, "_transaction", answer_lost)
    await until(lambda: journal.synced == journal.last, 20)  # what is not on the disk yet is not stored
    with pytest.raises(Unavailable):
        await writer.step()
    monkeypatch.setattr(Writer, "_transaction", whole)
    journal.append([event(10)])
    await writer.catch_up()
    assert await stored(dsn) == list(range(11))
    await writer.drop_link()


async def test_what_a_power_cut_could_take_back_is_not_stored_yet(
    dsn: str, journal: Journal, monkeypatch: Any
) -> None:
    writer, disk = Writer(dsn, journal), threading.Event()
    await writer.catch_up()
    monkeypatch.setattr(os, "fdatasync", lambda handle: disk.wait(20))
    first = journal.append([event(1)])
    for _ in range(3):
        assert await writer.step() == 0
    assert await stored(dsn) == [] and writer.position is not None and writer.position < first
    disk.set()
    await writer.catch_up()
    assert await stored(dsn) == [1]
    await writer.drop_link()


async def test_an_old_copy_of_the_journal_swallows_no_event(dsn: str, tmp_path: Path, caplog: Any) -> None:
    """Its positions were given away before; likewise when a power cut took its end."""
    folder, copy = tmp_path / "journal", tmp_path / "copy"

    async def served(*numbers: int) -> int:
        journal = Journal.open(folder)
        writer = Writer(dsn, journal)
        await writer.catch_up()
        last = journal.append([event(n) for n in numbers])
        await writer.catch_up()
        await writer.drop_link()
        journal.close()
        return last

    await served(1, 2)
    shutil.copytree(folder, copy)
    last = await served(3, 4, 5)
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    assert await served(6) == last + 1
    assert await served(7, 8) == last + 3
    assert await stored(dsn) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert caplog.text.count("was an old copy of it restored?") == 1


async def test_an_outage_loses_nothing_and_is_told_once(tmp_path: Path, caplog: Any) -> None:
    pg = await asyncio.to_thread(Cluster.start)
    journal = Journal.open(tmp_path / "journal")
    try:
        dsn = await pg.make_database(migrated=True)
        writer = Writer(dsn, journal)
        async with running(writer):
            journal.append([event(0)])
            await until(lambda: writer.position == journal.last, 20)
            await asyncio.to_thread(pg.stop_hard)
            for n in range(1, 2000):
                journal.append([event(n)])
                if n % 100 == 0:
                    await asyncio.sleep(0.02)
            await until(lambda: writer.fault, 20)
            with pytest.raises(Unavailable):
                await writer.catch_up()
            await asyncio.to_thread(pg.again)
            await until(lambda: writer.position == journal.last, 20)
        assert await stored(dsn) == list(range(2000))
        assert caplog.text.count("PostgreSQL is away") == 1
        assert caplog.text.count("PostgreSQL is back") == 1
    finally:
        journal.close()
        await asyncio.to_thread(pg.close)


async def test_a_server_that_hangs_is_unavailable_in_time(tmp_path: Path) -> None:
    pg = await asyncio.to_thread(Cluster.start)
    try:
        store = await Store.open(await pg.make_database(migrated=True))
        assert await store.find_customer("+62811") == ([], [], [])
        pg.freeze()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await store.find_customer("+62811")
        assert time.monotonic() - began < 7
        assert not store.connected
        pg.thaw()
        await until(lambda: store.connected, 20)  # though nobody asks
        assert await store.find_customer("+62811") == ([], [], [])
        await store.close()
    finally:
        await asyncio.to_thread(pg.close)


async def test_what_cannot_be_stored_goes_to_the_dead_letters(dsn: str, journal: Journal, caplog: Any) -> None:
    good = [event(n) for n in range(50)]
    poison = [event(100, call_id="not a uuid"), event(2**40), Event(type="t", at=1e18), event(7, data={"n": 10**400})]
    for n, bad in enumerate(poison):
        good.insert(7 * n + 3, bad)
    journal.append(good)
    path = max(journal.folder.glob("*.jsonl"))
    with path.open("ab") as file:  # as if the disk had gone bad
        file.write(b'{"is":"Event","type":"half\n')
    journal.last += 1
    journal._wake.set()
    writer = Writer(dsn, journal)
    await writer.catch_up()
    kept = await stored(dsn)
    assert [n for n in kept if n < 50 and kept.count(n) == 1] == [n for n in range(50) if n != 7] or kept.count(7) == 2
    letters = [json.loads(line) for line in (journal.folder / "dead-letters.jsonl").read_text().splitlines()]
    assert len(letters) + len(kept) == 55 and len(letters) >= 4
    assert all(str(letter["position"]) in caplog.text for letter in letters)
    await writer.drop_link()


async def test_a_row_that_postgres_refuses_is_found_by_halving(dsn: str, journal: Journal) -> None:
    link = await connect(dsn)
    await link.execute("ALTER TABLE crm.events ADD CHECK (type <> 'bad')")
    await link.close()
    journal.append([event(n) for n in range(40)] + [Event(type="bad", at=time.time(), seq=999)] + [event(40)])
    writer = Writer(dsn, journal)
    await writer.catch_up()
    assert await stored(dsn) == list(range(41))
    assert "999" in (journal.folder / "dead-letters.jsonl").read_text()
    await writer.drop_link()


async def test_a_call_that_cannot_be_folded_keeps_its_events(dsn: str, journal: Journal, caplog: Any) -> None:
    link = await connect(dsn)
    await link.execute("ALTER TABLE crm.calls ADD CHECK (called <> 'bad')")
    await link.close()
    good, bad = kit_story.answered(), kit_story.Story(time.time(), random.Random(5))
    bad.say("call.arrived", 0, called="bad")
    journal.append([*good.events[:8], *bad.events, *good.events[8:]])
    writer = Writer(dsn, journal)
    await writer.catch_up()
    assert len(await stored(dsn)) == len(good.events) + 1
    assert await stored(dsn, "outcome", "JOIN crm.calls USING (call_id) WHERE type = 'call.ended'") == ["answered"]
    assert "cannot be folded" in caplog.text
    await writer.drop_link()


async def test_events_with_an_absurd_time_are_kept_apart(dsn: str, journal: Journal) -> None:
    journal.append([Event(type="t", at=at, seq=1) for at in (0.0, 1e9, 9e9, time.time())])
    writer = Writer(dsn, journal)
    await writer.catch_up()
    assert await stored(dsn, "count(*)", "WHERE tableoid = 'crm.events_other'::regclass") == [3]
    await writer.drop_link()


async def test_a_day_that_a_wrong_clock_was_in_before_stops_nobody(dsn: str, journal: Journal, caplog: Any) -> None:
    """Its partition can never be made: events_other has rows of it."""
    journal.append([event(0)])
    link = await connect(dsn)
    row = row_of(1, encode(Event(type="t", at=time.time() + 86400, seq=9)))
    await link.copy_records_to_table("events", schema_name="crm", columns=COLUMNS, records=[row])
    writer = Writer(dsn, journal)
    for n in range(1, 4):
        await writer.catch_up()
        journal.append([event(n), Event(type="t", at=time.time() + 86400, seq=n)])
    await writer.catch_up()
    assert await stored(dsn, "seq", "WHERE at < now() ORDER BY event_id") == [0, 1, 2, 3]
    assert await stored(dsn, "count(*)", "WHERE tableoid = 'crm.events_other'::regclass") == [4]
    made = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'crm.events'::regclass"
    assert await link.fetchval(made) == postgres_writer.DAYS_AHEAD  # events_other is one of them
    assert caplog.text.count("are in events_other already") == 1
    await link.close()
    await writer.drop_link()


async def test_a_dump_that_runs_holds_up_neither_writer_nor_readers(
    dsn: str, journal: Journal, caplog: Any, monkeypatch: Any
) -> None:
    dump, reader, writer = await connect(dsn), await connect(dsn), Writer(dsn, journal)
    async with dump.transaction():
        await dump.fetch("SELECT FROM crm.events LIMIT 1")
        for n in range(3):
            journal.append([event(n)])
            began = time.monotonic()
            store = asyncio.ensure_future(writer.catch_up())
            await asyncio.sleep(0.05)
            await reader.fetch("SELECT FROM crm.events LIMIT 1")
            assert time.monotonic() - began < 1
            await store
            assert time.monotonic() - began < 1.5
    assert await stored(dsn) == [0, 1, 2]
    assert caplog.text.count("no partition for") == 1
    monkeypatch.setattr(postgres_partitions, "AGAIN", 0.0)
    writer._partitions._not_before = 0.0
    for n in range(3, 6):
        journal.append([event(n)])
        await writer.catch_up()
    assert await stored(dsn) == [0, 1, 2, 3, 4, 5]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert await reader.fetchval("SELECT to_regclass($1)", f"crm.events_{tomorrow:%Y%m%d}") is not None
    await dump.close()
    await reader.close()
    await writer.drop_link()


def test_every_line_of_the_killed_writer_is_plain(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(KILLED)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "missing 3 required" in done.stderr


def test_batches_are_as_promised() -> None:
    assert postgres_writer.BATCH <= 1000 and postgres_writer.GATHER <= 0.25
