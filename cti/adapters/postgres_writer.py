"""Brings the journal into PostgreSQL: COPY in batches, exactly once, and the rows folded in the same transaction.

The position in the journal is stored in the batch's transaction, so a writer that is killed at any moment, or whose
commit went out of sight, begins again exactly behind what is stored. What a power cut could still take from the
journal is not stored yet: the cursor would be ahead of the journal, and what came next would count as stored. While
PostgreSQL is away the writer keeps trying and the journal grows. An event that PostgreSQL refuses is found by halving
its batch and goes to `dead-letters.jsonl` in the journal's folder, with a log line; the others are stored.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import asyncpg
import msgspec

from cti.adapters.postgres_db import AWAY, QUERIES, connect, drop
from cti.adapters.postgres_partitions import Partitions
from cti.core.messages import Event, decode
from cti.core.storable import storable
from cti.errors import Unavailable

BATCH = 1000
GATHER = 0.25  # s that a batch may wait to fill; every call in it is folded once
RETRY_FIRST, RETRY_MOST = 0.2, 5.0
WRITE_SECONDS = 20.0  # a batch after a long outage, on a slow disk
DAYS_AHEAD = 3
OLDEST, NEWEST = timedelta(days=400), timedelta(days=30)  # events beyond go to events_other
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = ("event_id", "call_id", "seq", "at", "type", "agent", "queue", "data")
INTERRUPTED: tuple[type[Exception], ...] = (*AWAY, Unavailable)
log = logging.getLogger(__name__)


class Log(Protocol):
    """What the writer needs of a journal."""

    id: uuid.UUID
    folder: Path
    last: int
    synced: int
    grown: asyncio.Event

    def begin_after(self, position: int) -> None: ...
    def read(self, position: int, limit: int) -> list[tuple[int, bytes]]: ...
    def drop(self, stored: int) -> None: ...


class Stored(NamedTuple):
    """One line of the journal on its way: the row, and the line for the dead letters."""

    row: tuple[Any, ...]
    line: bytes


class Writer:
    """Start with `run`. `position`: last stored one, None until PostgreSQL has said it."""

    def __init__(self, dsn: str, journal: Log, notify: Callable[[int], None] | None = None) -> None:
        self.dsn = dsn
        self.journal = journal
        self.notify = notify
        self.position: int | None = None
        self.fault = ""
        self._link: Any = None
        self._partitions = Partitions()
        self._one = asyncio.Lock()
        self._dropped_at = 0.0
        self._buried: set[int] = set()

    async def run(self) -> None:
        """Until cancelled. Never raises for what PostgreSQL does."""
        wait = RETRY_FIRST
        try:
            while True:
                try:
                    await self._more()
                    while await self.step() == BATCH:  # behind; else the next one may fill, too
                        pass
                    wait = RETRY_FIRST
                except Unavailable:
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, RETRY_MOST)
        finally:
            await self.drop_link()

    async def catch_up(self) -> None:
        """Returns when all that was appended before is stored. Raises Unavailable."""
        target = self.journal.last
        while self.position is None or self.position < target:
            if not await self.step() and (self.position or 0) < target:
                await asyncio.sleep(GATHER)  # they are not on the disk yet

    async def step(self) -> int:
        """Stores one batch and returns how many events it had. Raises Unavailable."""
        async with self._one:
            try:
                async with asyncio.timeout(2 * WRITE_SECONDS):
                    count = await self._step()
            except INTERRUPTED as e:
                self._say(str(e) or type(e).__name__)
                self.position = None  # whether a commit in flight came through, only PostgreSQL knows
                await self.drop_link()
                raise Unavailable(f"cannot store events: {e}", "postgres_unavailable") from e
            self._say("")
        self._drop_segments()
        return count

    async def _more(self) -> None:
        """Waits until there is something to store, and a little longer for more of it."""
        journal = self.journal
        if self.position is not None and journal.last <= self.position:
            journal.grown.clear()
            if journal.last <= self.position:
                await journal.grown.wait()
        if self.position is not None and journal.last - self.position < BATCH:
            await asyncio.sleep(GATHER)

    async def _step(self) -> int:
        if self._link is None:
            self._link = await connect(self.dsn, WRITE_SECONDS)
            await self._link.execute("SET synchronous_commit = on")
        if self.position is None:
            self.position = await self._link.fetchval(QUERIES["journal_position"], self.journal.id) or 0
            self._check_journal(self.position)
        synced = self.journal.synced
        lines = [line for line in self.journal.read(self.position, BATCH) if line[0] <= synced]
        if not lines:
            self.position = max(self.position, synced)  # an empty journal's lies before its first line
            return 0
        self._tell_gap(lines[0][0])
        batch = self._rows(lines)
        await self._partitions.make(self._link, days_of(batch, datetime.now(UTC)))
        await self._store(batch, lines[-1][0])
        if self.notify is not None:
            self.notify(lines[-1][0])
        return len(lines)

    async def _store(self, batch: list[Stored], last: int) -> None:
        """One transaction; halves when PostgreSQL refuses something in it. The last half moves the cursor."""
        try:
            await self._transaction(batch, last, fold=True)
        except AWAY:
            raise
        except asyncpg.PostgresError as e:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._store(batch[:middle], batch[middle - 1].row[0])
                await self._store(batch[middle:], last)
            else:
                await self._store_poison(batch, last, e)

    async def _store_poison(self, batch: list[Stored], last: int, error: Exception) -> None:
        """One event that cannot be stored and folded: without the fold, else as a dead letter."""
        try:
            await self._transaction(batch, last, fold=False)
            log.error("event %d is stored, but its call cannot be folded: %s", last, error)
        except AWAY:
            raise
        except asyncpg.PostgresError as e:
            self._bury(last, batch[0].line, str(e))
            await self._transaction([], last, fold=False)

    async def _transaction(self, batch: list[Stored], last: int, fold: bool) -> None:
        link = self._link
        async with link.transaction():
            if not await link.fetch(QUERIES["journal_move"], self.journal.id, last, self.position):
                raise Unavailable("somebody else stored from this journal")
            if batch:
                await link.copy_records_to_table(
                    "events", schema_name="crm", columns=COLUMNS, records=[stored.row for stored in batch]
                )
            if fold:
                await self._fold([stored.row for stored in batch])
        self.position = last

    async def _fold(self, rows: Sequence[tuple[Any, ...]]) -> None:
        calls = {row[1] for row in rows if row[1] is not None}
        if calls:
            await self._link.execute(QUERIES["fold_calls"], list(calls))
        states = [row for row in rows if row[4] == "agent.state_changed" and row[5]]
        if states:
            agents, first_at = sorted({row[5] for row in states}), min(row[3] for row in states)
            await self._link.execute(QUERIES["fold_agents"], agents, states[0][0], first_at)

    # ------------------------------------------------------------ lines to rows

    def _rows(self, lines: Sequence[tuple[int, bytes]]) -> list[Stored]:
        found = []
        for position, line in lines:
            try:
                found.append(Stored(row_of(position, line), line))
            except (ValueError, OverflowError, msgspec.MsgspecError) as e:
                self._bury(position, line, str(e))
        return found

    def _bury(self, position: int, line: bytes, why: str) -> None:
        if position in self._buried:
            return
        self._buried.add(position)
        log.error("event %d cannot be stored and went to the dead letters: %s", position, why)
        entry = {"position": position, "why": why, "line": line.decode("utf-8", "replace")}
        with (self.journal.folder / "dead-letters.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    # ------------------------------------------------------------ the rest

    def _check_journal(self, stored: int) -> None:
        """A journal that lost its end, or is an old copy, goes on behind what is stored: else new events would count
        as stored that are not."""
        if stored > self.journal.last:
            lost = f"the journal ends at {self.journal.last}, but events up to {stored} are stored"
            log.error("%s: was an old copy of it restored? New events go on behind them", lost)
            self.journal.begin_after(stored)

    def _tell_gap(self, first: int) -> None:
        if self.position and first > self.position + 1:
            log.error("journal: events %d to %d are not there any more", self.position + 1, first - 1)

    def _drop_segments(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.position is not None and now - self._dropped_at > 60:
            self._dropped_at = now
            self.journal.drop(self.position)

    async def drop_link(self) -> None:
        """Closes the connection; the next step opens another."""
        link, self._link = self._link, None
        self._partitions = Partitions()
        if link is not None:
            await drop(link)

    def _say(self, fault: str) -> None:
        """One line at a change of state."""
        if fault and not self.fault:
            log.error("PostgreSQL is away, events wait in the journal: %s", fault)
        elif self.fault and not fault:
            log.warning("PostgreSQL is back, storing what waited in the journal")
        self.fault = fault


def days_of(batch: Sequence[Stored], now: datetime) -> set[date]:
    """The days of these events and the next ones."""
    days = {stored.row[3].date() for stored in batch if now - OLDEST < stored.row[3] < now + NEWEST}
    return days | {(now + timedelta(days=ahead)).date() for ahead in range(DAYS_AHEAD)}


def row_of(position: int, line: bytes) -> tuple[Any, ...]:
    """The row of crm.events. Raises ValueError, OverflowError or msgspec.MsgspecError for what is no event."""
    event = decode(line)
    if not isinstance(event, Event):
        raise ValueError("not an event")
    call_id = uuid.UUID(event.call_id) if event.call_id else None
    at = EPOCH + timedelta(seconds=event.at)
    if not -(2**31) <= event.seq < 2**31:
        raise ValueError("seq is no 32-bit number")
    agent, queue, data = storable([event.agent, event.queue, event.data])
    return (position, call_id, event.seq, at, storable(event.type), agent or None, queue or None, data)
