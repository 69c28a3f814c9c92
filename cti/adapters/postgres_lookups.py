"""Questions of flows to the database: customers, and the SQL of lookups.yaml.

A lookup runs in a read-only transaction, as a role that can read the CRM and nothing else (0007_ivr.sql), with its own
pool, a limit of time on the server, and of rows and bytes on the way. Who it runs as:

    login   as `cti_lookup`, or `[postgres] lookup_dsn`: nothing in the SQL can get out of the role
    role    as `cti_lookup`, taken for the transaction: where logging in needs a password. The SQL cannot give it back,
            core.ivr.sql refuses the functions that could
    own     as the server, read-only: where the role could not be made. `cti doctor` warns
"""

from __future__ import annotations

import logging
import urllib.parse
import uuid
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from cti.adapters.postgres import Store
from cti.adapters.postgres_db import AWAY, NOT_OPENED, plain, unavailable
from cti.core.ivr.sql import BadSql, translate
from cti.core.numbers import to_e164
from cti.core.storable import storable
from cti.errors import BadInput, Unavailable

log = logging.getLogger(__name__)
ROLE = "cti_lookup"
ROWS = 100
BYTES = 8_000  # of JSON, of all rows together: what a call may carry, with room for its frame
LONGEST = 10.0  # s
POOL = 6
Mode = Literal["login", "role", "own"]
Found = tuple[str, dict[str, Any]]
TAKE_ROLE = f"SET LOCAL ROLE {ROLE}"
ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError, OverflowError)


class Lookups:
    """Opens its pool when it is first asked. Values without a time zone are in `zone`, and so are those that come."""

    def __init__(self, dsn: str, zone: str, lookup_dsn: str = "") -> None:
        self._dsn, self._lookup_dsn = dsn, lookup_dsn
        self._zone = ZoneInfo(zone)
        self._pool: Any = None
        self.mode: Mode = "own"

    async def query(self, sql: str, values: Mapping[str, Any], *, many: bool, seconds: float) -> Found:
        """found {columns} of the first row, or {rows, count} when `many`; none. Raises BadInput, Unavailable."""
        try:
            text, names = translate(sql)
        except BadSql as error:
            raise BadInput(f"the SQL of a lookup: {error}", "bad_sql") from error
        missing = [name for name in names if name not in values]
        if missing:
            raise BadInput(f"the lookup got no value for :{missing[0]}", "bad_value")
        rows = await self._rows(text, [values[name] for name in names], ROWS if many else 1, min(seconds, LONGEST))
        if many:
            return ("found" if rows else "none"), _together(rows)
        if rows and len(rows[0]) > BYTES:
            raise BadInput(f"the row has more than {BYTES} bytes", "too_much")
        return ("found", plain(msgspec.json.decode(rows[0]))) if rows else ("none", {})

    async def _rows(self, text: str, values: list[Any], most: int, seconds: float) -> list[str]:
        """Each as JSON, cut off when it is too long. A name of ours that no column has: a column would be the row."""
        cut = f"SELECT left(row_to_json(cti_row)::text, {BYTES + 1}) FROM (\n{text}\n) AS cti_row LIMIT {most}"  # noqa: S608
        try:
            async with self._link() as link, link.transaction(readonly=True):
                await link.execute(f"SET LOCAL statement_timeout = {max(int(seconds * 1000), 1)}")
                if self.mode == "role":
                    await link.execute(TAKE_ROLE)
                statement = await link.prepare(cut)
                kinds = statement.get_parameters()
                given = [fitted(value, kind, self._zone) for value, kind in zip(values, kinds, strict=True)]
                return [row[0] for row in await statement.fetch(*given)]
        except ERRORS as error:
            raise told(error) from error

    @asynccontextmanager
    async def _link(self) -> Any:
        if self._pool is None:
            mode, extra = await how(self._dsn, self._lookup_dsn)
        if self._pool is None:  # still: several may ask at once
            self.mode = mode
            self._pool = asyncpg.create_pool(
                self._lookup_dsn or self._dsn, min_size=0, max_size=POOL, timeout=5, command_timeout=LONGEST + 1,
                max_inactive_connection_lifetime=60, **extra, server_settings=_settings(self._zone.key),
            )  # fmt: skip
        await self._pool
        async with self._pool.acquire() as link:
            yield link

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()


def _settings(zone: str) -> dict[str, str]:
    return {
        "timezone": zone, "application_name": "cti lookup", "default_transaction_read_only": "on",
        "statement_timeout": "2000", "lock_timeout": "1000", "idle_in_transaction_session_timeout": "10000",
    }  # fmt: skip


async def how(dsn: str, lookup_dsn: str = "") -> tuple[Mode, dict[str, Any]]:
    """Who lookups run as, and what to connect with besides the dsn. Raises Unavailable."""
    if lookup_dsn:
        return "login", {}
    if not _has_password(dsn) and await _works(dsn, "SELECT 1", user=ROLE):
        return "login", {"user": ROLE}
    if await _works(dsn, TAKE_ROLE):
        return "role", {}
    return "own", {}


def _has_password(dsn: str) -> bool:
    url = urllib.parse.urlsplit(dsn)
    return bool(url.password) or "password=" in url.query


async def _works(dsn: str, sql: str, **more: Any) -> bool:
    try:
        link = await asyncpg.connect(dsn, timeout=5, command_timeout=5, **more)
        try:
            async with link.transaction(readonly=True):
                await link.execute(sql)
        finally:
            link.terminate()
    except asyncpg.PostgresConnectionError as error:
        raise unavailable(error) from error
    except asyncpg.PostgresError:  # no such role, or it may not
        return False
    except NOT_OPENED as error:
        raise unavailable(error) from error
    return True


def told(error: BaseException) -> BadInput | Unavailable:
    """Whose fault it was. A database that is away is one thing, a question that it cannot answer another."""
    if isinstance(error, BadInput | Unavailable):
        return error
    if isinstance(error, asyncpg.QueryCanceledError):
        return Unavailable("the lookup took too long", "too_slow")
    at_fault = (asyncpg.SyntaxOrAccessError, asyncpg.ReadOnlySQLTransactionError)
    if isinstance(error, AWAY) and not isinstance(error, (*at_fault, ValueError)):
        return unavailable(error)
    if isinstance(error, asyncpg.PostgresError):
        return BadInput(f"the database: {error}", "bad_query")
    return BadInput("a value does not fit its parameter", "bad_value")


def _together(rows: list[str]) -> dict[str, Any]:
    """As many as a call may carry."""
    kept, size = list[Any](), 0
    for row in rows:
        size += len(row.encode()) + 1
        if size > BYTES:
            log.warning("a lookup brought %d rows, of which the first %d fit into a call", len(rows), len(kept))
            break
        kept.append(plain(msgspec.json.decode(row)))
    return {"rows": kept, "count": len(rows)}


# ---------------------------------------------------------------- values


def fitted(value: Any, kind: Any, zone: ZoneInfo) -> Any:
    """What a flow gave (text, a number, true, a list) as the parameter's type has it. Raises BadInput."""
    if value is None:
        return None
    if kind.kind == "array":
        if not isinstance(value, list):
            raise BadInput(f"a list is needed for {kind.name}", "bad_value")
        one = kind._replace(name=kind.name.removesuffix("[]"), kind="scalar")
        return [fitted(item, one, zone) for item in value]
    text = _text(value)
    try:
        return READERS[kind.name](text, zone) if kind.name in READERS else _other(value, text, kind.name)
    except (ValueError, ArithmeticError):
        raise BadInput(f"a value is no {kind.name}", "bad_value") from None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return str(storable(value))


def _other(value: Any, text: str, kind: str) -> Any:
    if kind in ("json", "jsonb"):
        return msgspec.json.encode(value).decode()
    return text.encode() if kind == "bytea" else text


def _whole(text: str, _: ZoneInfo) -> int:
    number = Decimal(text.strip())
    if not number.is_finite() or number != number.to_integral_value() or abs(number) >= 1 << 63:
        raise ValueError
    return int(number)


def _truth(text: str, _: ZoneInfo) -> bool:
    known = {"true": True, "t": True, "yes": True, "on": True, "1": True,
             "false": False, "f": False, "no": False, "off": False, "0": False}  # fmt: skip
    if text.strip().lower() not in known:
        raise ValueError
    return known[text.strip().lower()]


def _moment(text: str, zone: ZoneInfo) -> datetime:
    at = datetime.fromisoformat(text.strip())
    return at if at.tzinfo else at.replace(tzinfo=zone)


def _clock(text: str, zone: ZoneInfo) -> datetime:
    at = datetime.fromisoformat(text.strip())
    return at.astimezone(zone).replace(tzinfo=None) if at.tzinfo else at


READERS: dict[str, Callable[[str, ZoneInfo], Any]] = {
    "int2": _whole, "int4": _whole, "int8": _whole, "oid": _whole, "bool": _truth,
    "numeric": lambda text, _: Decimal(text.strip()), "float4": lambda text, _: float(text),
    "float8": lambda text, _: float(text), "uuid": lambda text, _: uuid.UUID(text.strip()),
    "date": lambda text, _: date.fromisoformat(text.strip()), "time": lambda text, _: time.fromisoformat(text.strip()),
    "timestamptz": _moment, "timestamp": _clock, "interval": lambda text, _: timedelta(seconds=float(text)),
}  # fmt: skip


# ---------------------------------------------------------------- customers


async def customer(store: Store, country: str, *, number: str = "", customer_id: str = "") -> Found:
    """found {what LookUpCustomer tells of one}, none, many {count}. Raises Unavailable."""
    if customer_id:
        known = customer_id.isascii() and customer_id.isdigit() and len(customer_id) <= 18
        found = plain(await store.db.rows("find_customer", int(customer_id))) if known else []
    else:
        e164 = to_e164(number, country)
        found = plain(await store.db.rows("find_customers", e164)) if e164 else []
    if len(found) != 1:
        return ("several", {"count": len(found)}) if found else ("none", {})
    return "found", found[0]
