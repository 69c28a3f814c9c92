"""The link to PostgreSQL: a pool, the named queries of `queries.sql`, one kind of failure.

Whatever keeps a query from being answered in time raises `Unavailable`: refused, hung, broken in the middle,
not migrated. Text given to a query is cleaned of what PostgreSQL cannot store (NUL, lone surrogates).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from cti.core.storable import storable
from cti.errors import Unavailable

STATEMENT_SECONDS = 2.0  # the server gives up
AGAIN = 1.0  # s until a database that did not answer is asked again
WAIT_SECONDS = 3.0  # we give up, even on a server that hangs
Row = dict[str, Any]

AWAY: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.TransactionRollbackError,
)

NOT_OPENED: tuple[type[Exception], ...] = (*AWAY, ValueError)  # a dsn that cannot be read is a ValueError


def load_queries(text: str) -> dict[str, str]:
    """`-- name: NAME` begins a query; what follows up to the next one is its comment and text."""
    parts = re.split(r"^-- name: (\w+)\s*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


QUERIES = load_queries((Path(__file__).parent / "queries.sql").read_text(encoding="utf-8"))


def _limits(seconds: float) -> dict[str, Any]:
    milliseconds = str(int(seconds * 1000))
    return {
        "timeout": 5,
        "command_timeout": seconds + 0.5,
        "server_settings": {
            "timezone": "UTC",
            "application_name": "cti",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": "10000",
        },
    }


async def connect(dsn: str, seconds: float = STATEMENT_SECONDS) -> Any:
    """A connection of its own, whose statements may take `seconds`. Raises Unavailable."""
    try:
        link = await asyncio.wait_for(asyncpg.connect(dsn, **_limits(seconds)), 6)
        await speak_json(link)
    except NOT_OPENED as e:
        raise unavailable(e) from e
    return link


async def drop(link: Any) -> None:
    """Closes a connection without asking the server, which may hang."""
    link.terminate()
    await asyncio.sleep(0)  # the loop closes the socket in its next turn


async def speak_json(link: Any) -> None:
    """JSON columns come and go as Python values, also in COPY."""
    for kind in ("json", "jsonb"):
        mark = b"\x01" if kind == "jsonb" else b""
        await link.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=lambda value, mark=mark: mark + msgspec.json.encode(value),
            decoder=lambda data, mark=mark: msgspec.json.decode(data[len(mark) :]),
            format="binary",
        )


async def _as_it_is(link: Any) -> None:
    """Nothing set outlives its transaction here, so a connection goes back to the pool without asking the server."""


class Database:
    """A pool of connections. Rows come back as dicts. `answers`: whether the last question got an answer; after one
    that did not it is asked again by itself, until it does."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._asking: asyncio.Task[None] | None = None
        self.answers = True

    @classmethod
    async def open(cls, dsn: str, size: int = 8) -> Database:
        """Raises Unavailable when PostgreSQL does not answer."""
        try:
            pool = asyncpg.create_pool(
                dsn, min_size=1, max_size=size, init=speak_json, reset=_as_it_is, **_limits(STATEMENT_SECONDS)
            )
            return cls(await asyncio.wait_for(pool, 10))
        except NOT_OPENED as e:
            raise unavailable(e) from e

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        try:
            await asyncio.wait_for(self._pool.close(), 3)
        except AWAY:
            self._pool.terminate()

    async def rows(self, query: str, *args: Any) -> list[Row]:
        async with self.link() as link:
            return [dict(row) for row in await link.fetch(QUERIES[query], *map(storable, args))]

    async def row(self, query: str, *args: Any) -> Row | None:
        rows = await self.rows(query, *args)
        return rows[0] if rows else None

    async def value(self, query: str, *args: Any) -> Any:
        row = await self.row(query, *args)
        return next(iter(row.values())) if row else None

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Any]:
        """A connection for several statements. Raises Unavailable."""
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._pool.acquire() as link:
                yield link
            self.answers = True
        except AWAY as e:
            self.answers = False
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask_again())
            raise unavailable(e) from e


    async def _ask_again(self) -> None:
        while not self.answers:
            await asyncio.sleep(AGAIN)
            with contextlib.suppress(*AWAY):
                async with asyncio.timeout(WAIT_SECONDS), self._pool.acquire() as link:
                    await link.execute("SELECT 1")
                    self.answers = True


def unavailable(e: BaseException) -> Unavailable:
    if isinstance(e, asyncpg.SyntaxOrAccessError | asyncpg.InvalidSchemaNameError):
        return Unavailable(f"the database is not up to date ({e}): run `cti db migrate`", "not_migrated")
    if isinstance(e, asyncio.TimeoutError):
        return Unavailable("PostgreSQL does not answer in time", "postgres_unavailable")
    return Unavailable(f"cannot use PostgreSQL: {e or type(e).__name__}", "postgres_unavailable")


def iso(at: datetime) -> str:
    """`2026-11-22T16:51:03.123456Z`"""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


TEXT_IDS = {"customer_id", "case_id", "note_id", "user_id", "event_id", "lead_id"}


def plain(value: Any, key: str = "") -> Any:
    """The value as JSON has it: times ISO-8601 UTC, ids text."""
    if key in TEXT_IDS and isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return {name: plain(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
