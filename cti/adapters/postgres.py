"""The store: everything the server asks of PostgreSQL, one method a question. The SQL stands in `queries.sql`.

Every method raises `Unavailable` when PostgreSQL does not answer in time. Rows for JSON come out ready: times
ISO-8601 UTC, ids as text. Times go in as seconds since the epoch.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
import msgspec

from cti.adapters.postgres_callbacks import CallbackStore
from cti.adapters.postgres_db import QUERIES, Database, Row, connect, drop, iso, plain
from cti.adapters.postgres_flow_stats import FlowStats
from cti.adapters.postgres_flows import FlowStore
from cti.adapters.postgres_pages import Page, join, like, page_of, place_of, split
from cti.adapters.postgres_writer import Log, Writer
from cti.core.messages import AgentInfo, Forced
from cti.errors import Unavailable

log = logging.getLogger(__name__)


class Station(NamedTuple):
    number: str
    secret: str


class User(msgspec.Struct, frozen=True):
    """`password_hash` is empty for a user without a password."""

    user_id: str
    name: str
    display_name: str
    role: str
    password_hash: str
    disabled: bool
    language: str | None
    station: str | None


class CustomerMatch(NamedTuple):
    """What a screen-pop shows of a caller: 0, 1 or many customers, their last 5 calls, their open cases."""

    customers: list[Row]
    history: list[Row]
    cases: list[Row]


def _told(rows: list[Row]) -> list[Row]:
    """Rows that PostgreSQL made JSON, in UTC, with times as all others have them."""
    return [{k: f"{v[:-6]}Z" if v and k.endswith("_at") else plain(v, k) for k, v in row.items()} for row in rows]


class Store(FlowStore, FlowStats, CallbackStore):
    """One pool for questions; the writer and each watcher have a connection of their own."""

    def __init__(self, dsn: str, db: Database) -> None:
        self.dsn = dsn
        self.db = db
        self._writers: dict[Any, Writer] = {}

    @classmethod
    async def open(cls, dsn: str) -> Store:
        """Raises Unavailable."""
        return cls(dsn, await Database.open(dsn))

    async def close(self) -> None:
        for writer in self._writers.values():
            await writer.drop_link()
        await self.db.close()

    # ------------------------------------------------------------ the journal

    def writer(self, journal: Log) -> Writer:
        """The one writer of this journal."""
        return self._writers.setdefault(journal.id, Writer(self.dsn, journal))

    async def run_writer(self, journal: Log, notify: Callable[[int], None] | None = None) -> None:
        """Stores what the journal gets, until cancelled. `notify(position)` is called after each commit."""
        writer = self.writer(journal)
        writer.notify = notify
        await writer.run()

    async def catch_up(self, journal: Log) -> None:
        """Returns when everything appended before is stored. Raises Unavailable."""
        await self.writer(journal).catch_up()

    def behind(self, journal: Log) -> int:
        """How many events wait in the journal."""
        position = self.writer(journal).position
        return journal.last - position if position else 0

    @property
    def connected(self) -> bool:
        return self.db.answers and not any(writer.fault for writer in self._writers.values())

    # ------------------------------------------------------------ start (more of it: postgres_start)

    async def take_epoch(self) -> int:
        """The leader's epoch, raised by one."""
        return int(await self.db.value("take_epoch"))

    async def load_people(self) -> tuple[tuple[AgentInfo, ...], tuple[Station, ...]]:
        """All agents (users who have the role, a station or a skill) and all stations."""
        agents = tuple(
            AgentInfo(agent=row["name"], name=row["display_name"], skills=row["skills"], station=row["station"] or "")
            for row in await self.db.rows("agents")
        )
        return agents, tuple(Station(**row) for row in await self.db.rows("stations"))

    async def user_names(self) -> dict[str, str]:
        """Display names of users who have one, by login."""
        return {row["name"]: row["display_name"] for row in await self.db.rows("user_names")}

    async def watch_people(self, changed: Callable[[], Awaitable[None] | None]) -> None:
        """Calls `changed` after every change of users, skills or stations, until cancelled."""
        await self.watch("crm_people", changed)

    async def watch_flows(self, changed: Callable[[], Awaitable[None] | None]) -> None:
        """Calls `changed` now and after every change of what is live or has a share, until cancelled."""
        await self.watch("crm_flows", changed, lost=True)

    async def watch(self, channel: str, changed: Callable[[], Awaitable[None] | None], *, lost: bool = False) -> None:
        """After a lost connection something may have been missed: `changed` is called then, too."""
        wake = asyncio.Event()
        while True:
            try:
                link = await connect(self.dsn)
                try:
                    await link.add_listener(channel, lambda *_: wake.set())
                    if lost:
                        wake.set()
                    await self._listen(link, wake, changed)
                finally:
                    await drop(link)
            except (Unavailable, OSError, asyncpg.InterfaceError, asyncpg.PostgresError, TimeoutError):
                lost = True
                await asyncio.sleep(1)

    async def _listen(self, link: Any, wake: asyncio.Event, changed: Callable[[], Any]) -> None:
        link.add_termination_listener(lambda *_: wake.set())
        while True:
            try:
                async with asyncio.timeout(10):
                    await wake.wait()
            except TimeoutError:
                await asyncio.wait_for(link.execute("SELECT 1"), 5)
                continue
            if link.is_closed():
                raise ConnectionError
            await asyncio.sleep(0.05)  # a script that adds ten users is one change
            wake.clear()
            await _call(changed, wake)

    # ------------------------------------------------------------ who is calling

    async def find_customer(self, e164: str, customer_id: str = "") -> CustomerMatch:
        """Everybody who has this number, or the customer with that id, and what the agent should know of them."""
        by_id = customer_id != ""
        [found] = await self.db.rows("caller", "" if by_id else e164, int(customer_id) if by_id else None)
        return CustomerMatch(plain(found["customers"]), _told(found["history"]), _told(found["cases"]))

    async def add_customer(
        self, name: str, numbers: list[tuple[str, str]], *, tier: str = "standard", language: str | None = None,
        email: str | None = None, company: str | None = None, attributes: Row | None = None,
    ) -> str:  # fmt: skip
        """`numbers`: (E.164, as entered). Returns the customer's id."""
        who = await self.db.value("add_customer", name, tier, language, email, company, attributes or {})
        for number, entered in numbers:
            await self.db.rows("add_number", who, number, entered, "")
        return str(who)

    async def add_case(
        self, customer_id: str, title: str, *, description: str = "", status: str = "open",
        owner: str | None = None, created_at: float | None = None,
    ) -> str:  # fmt: skip
        case = await self.db.value("add_case", int(customer_id), title, description, status, owner, created_at)
        return str(case)

    async def add_note(self, customer_id: str, author: str, body: str, call_id: str | None = None) -> str:
        return str(await self.db.value("add_note", int(customer_id), call_id, author, body))

    async def count_customers(self) -> int:
        return int(await self.db.value("count_customers"))

    # ------------------------------------------------------------ people at the web

    async def user_by_name(self, name: str) -> User | None:
        return _user(await self.db.row("user_by_name", name))

    async def session_create(self, user_id: str, token_sha256: bytes, ip: str | None, expires_at: float) -> None:
        await self.db.rows("session_create", int(user_id), token_sha256, ip or "", expires_at)

    async def session_user(self, token_sha256: bytes) -> User | None:
        """Whose login it is; None when it expired or the user is disabled."""
        return _user(await self.db.row("session_user", token_sha256))

    async def session_touch(self, token_sha256: bytes, expires_at: float, longest: float) -> None:
        """It lives until then, but never more than `longest` seconds after it was made."""
        await self.db.rows("session_touch", token_sha256, expires_at, longest)

    async def session_delete(self, token_sha256: bytes) -> None:
        await self.db.rows("session_delete", token_sha256)

    async def token_user(self, token_sha256: bytes) -> User | None:
        return _user(await self.db.row("token_user", token_sha256))

    async def set_language(self, user_id: str, language: str) -> None:
        await self.db.rows("set_language", int(user_id), language)

    async def audit(self, user: str, action: str, object: str = "", detail: Row | None = None) -> None:
        await self.db.rows("audit", user, action, object, detail or {})

    # ------------------------------------------------------------ lists

    async def list_calls(
        self, *, since: float | None = None, until: float | None = None, agent: str | None = None,
        queue: str | None = None, outcome: str | None = None, cursor: str | None = None, limit: int = 50,
    ) -> Page:  # fmt: skip
        """Newest first. Raises BadInput for a cursor that is not ours."""
        at, after = place_of(cursor)
        rows = await self.db.rows("list_calls", since, until, agent, queue, outcome, at, after, limit + 1)
        return page_of(rows, limit, "started_at", "call_id")

    async def get_call(self, call_id: str) -> Row | None:
        """The row of v_calls with `events`, `visits`, `offers`, `recordings` and the `customer`."""
        call = await self.db.row("get_call", call_id)
        if call is None:
            return None
        for part in ("events", "visits", "offers"):
            call[part] = await self.db.rows(f"call_{part}", call_id)
        found = await self.db.rows("call_recordings", call_id)
        customer = call["customer_id"]
        who = await self.db.row("get_customer", customer) if customer is not None else None
        return dict(plain({**call, "recordings": found, "customer": who}))

    async def list_customers(self, q: str, cursor: str | None, limit: int) -> Page:
        """By name. `q` is looked for in names, mail addresses and numbers; % and _ are letters."""
        name, after = split(cursor)
        rows = await self.db.rows("list_customers", like(q), name, int(after) if after else None, limit + 1)
        more = len(rows) > limit
        last = rows[limit - 1] if more else None
        return plain(rows[:limit]), join(last["name"].lower(), str(last["customer_id"])) if last else None

    async def get_customer(self, customer_id: str) -> Row | None:
        who = int(customer_id)
        found = await self.db.row("get_customer", who)
        if found is None:
            return None
        numbers = await self.db.rows("customer_numbers", who)
        found["numbers"] = [row["number"] for row in numbers]
        found["number_details"] = numbers
        found["notes"] = await self.db.rows("customer_notes", who)
        found["cases"] = await self.db.rows("customer_cases", who)
        found["history"] = (await self.find_customer("", str(who))).history
        return dict(plain(found))

    async def list_recordings(self, *, agent: str | None = None, cursor: str | None = None, limit: int = 50) -> Page:
        """Newest first."""
        at, after = place_of(cursor)
        rows = await self.db.rows("list_recordings", agent, at, after, limit + 1)
        return page_of(rows, limit, "started_at", "recording_id")

    async def get_recording(self, recording_id: str) -> Row | None:
        return plain(await self.db.row("get_recording", recording_id))  # type: ignore[no-any-return]

    # ------------------------------------------------------------ calendars opened or closed by hand

    async def force_calendar(self, calendar: str, state: str | None, until: float, by: str) -> bool:
        """`state` open or closed until then (seconds since the epoch); None: by its hours again. Audited. Whether
        something changed. Running servers follow at once."""
        action = {"open": "calendar.opened", "closed": "calendar.closed"}.get(state or "", "calendar.freed")
        detail = {"until": iso(datetime.fromtimestamp(until, UTC))} if state else {}
        async with self.db.link() as link, link.transaction():
            if state:
                await link.execute(QUERIES["set_calendar_switch"], calendar, state, until, by)
            elif not await link.fetchval(QUERIES["drop_calendar_switch"], calendar):
                return False
            await link.execute(QUERIES["audit"], by, action, calendar, detail)
        return True

    async def calendar_switches(self) -> list[Row]:
        """Those not over: calendar, state, until, by, at."""
        return list(plain(await self.db.rows("calendar_switches")))

    async def forced_calendars(self) -> dict[str, Forced]:
        rows = await self.db.rows("calendar_switches")
        return {row["calendar"]: Forced(row["state"], row["until"].timestamp()) for row in rows}

    async def watch_callbacks(self, changed: Callable[[], Awaitable[None] | None]) -> None:
        """Calls `changed` at first, and after every change of them or of who may not be called, until cancelled."""
        await self.watch("crm_callbacks", changed, lost=True)

    async def watch_calendars(self, changed: Callable[[], Awaitable[None] | None]) -> None:
        """Calls `changed` at first, and after every change of them, until cancelled."""
        await self.watch("crm_calendars", changed, lost=True)


def _user(row: Row | None) -> User | None:
    return User(**row) if row else None


async def _call(changed: Callable[[], Any], wake: asyncio.Event) -> None:
    try:
        result = changed()
        if inspect.isawaitable(result):
            await result
    except Unavailable:
        wake.set()  # again as soon as it can be read
        await asyncio.sleep(1)
    except Exception:
        log.exception("a change in the database could not be taken over")
