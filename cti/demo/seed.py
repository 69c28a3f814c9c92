"""Put the demo's people, customers and history into an empty database, once, in one transaction."""

from __future__ import annotations

import ipaddress
import secrets
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import argon2
import asyncpg
import msgspec

from cti.config import Config
from cti.core.messages import Event
from cti.demo.data import PEOPLE, STAFF, YOU, Customer, Person, customers
from cti.demo.history import past_calls
from cti.embedded import http
from cti.errors import BadInput, Unavailable

MARK = "demo.seeded"  # the audit row that says: this is a demo home
LOGINS = "demo-logins.txt"
ORDERS = 30
PIN = "2468"


def require_loopback(config: Config) -> None:
    """Raises BadInput when the server or the switch can be reached from outside: the passwords are public."""
    for section, host in (("http", config.http.host), ("sip", config.sip.host)):
        if not ipaddress.ip_address(host).is_loopback:
            raise BadInput(f"the demo works on loopback only, but [{section}] host is {host}", "demo_refused")


async def seed(config: Config) -> bool:
    """Fill the database and write demo-logins.txt. False: it was there already, nothing changed.

    Raises BadInput on a home that holds other data or listens beyond loopback; Unavailable."""
    require_loopback(config)
    link = await connect(config.postgres.dsn)
    try:
        async with link.transaction():
            await link.execute("SELECT pg_advisory_xact_lock(hashtext('crm.demo'))")
            fresh = not await link.fetchval("SELECT EXISTS (SELECT FROM crm.audit WHERE action = $1)", MARK)
            if fresh:
                await _refuse_other_data(link)
                await _fill(link)
    except asyncpg.UndefinedTableError as e:
        raise Unavailable("the database has no tables yet: run `cti db migrate`", "not_migrated") from e
    finally:
        await link.close()
    write_logins(config)
    return fresh


async def connect(dsn: str) -> Any:
    """A connection that speaks JSON. Raises Unavailable."""
    try:
        link = await asyncpg.connect(dsn, timeout=5, command_timeout=60)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as e:
        raise Unavailable(f"cannot use PostgreSQL: {e or type(e).__name__}") from e
    await link.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
    )
    return link


async def _refuse_other_data(link: Any) -> None:
    for table in ("users", "customers", "events"):
        if await link.fetchval(f"SELECT EXISTS (SELECT FROM crm.{table})"):  # noqa: S608
            raise BadInput(
                f"this home holds other data (crm.{table} is not empty): the demo wants a fresh one, "
                "as in `cti up --demo --home demo`",
                "demo_refused",
            )


async def _fill(link: Any) -> None:
    now = time.time()
    for person in PEOPLE:
        await _add_person(link, person)
    made = [(await _add_customer(link, c, now), c) for c in customers()]
    await _add_orders(link, [customer_id for customer_id, _ in made], now)
    await store_events(link, past_calls(made, now))
    await link.execute("INSERT INTO crm.audit (actor, action) VALUES ('demo', $1)", MARK)


async def _add_person(link: Any, person: Person) -> None:
    if person.station:
        await link.execute(
            "INSERT INTO crm.stations (number, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            person.station,
            secrets.token_hex(12),
        )
    user_id = await link.fetchval(
        "INSERT INTO crm.users (name, display_name, role, password_hash, station)"
        " VALUES ($1, $2, $3, $4, $5) RETURNING user_id",
        person.name,
        person.display_name,
        person.role,
        argon2.PasswordHasher().hash(person.password),
        person.station or None,
    )
    await link.executemany(
        "INSERT INTO crm.agent_skills (user_id, skill, level) VALUES ($1, $2, $3)",
        [(user_id, skill, level) for skill, level in person.skills],
    )


async def _add_customer(link: Any, c: Customer, now: float) -> int:
    since = datetime.fromtimestamp(now - 30 * 86400, UTC)
    customer_id: int = await link.fetchval(
        "INSERT INTO crm.customers (display_name, tier, language, email, company, attributes, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING customer_id",
        c.name, c.tier, c.language, c.email, c.company, {"demo": True}, since,
    )  # fmt: skip
    await link.executemany(
        "INSERT INTO crm.customer_numbers (customer_id, number, entered, label) VALUES ($1, $2, $2, $3)",
        [(customer_id, number, "work" if n else "mobile") for n, number in enumerate(c.numbers)],
    )
    if c.case:
        await link.execute(
            "INSERT INTO crm.cases (customer_id, title, owner, created_at) VALUES ($1, $2, $3, $4)",
            customer_id, c.case, PEOPLE[customer_id % 4].name, datetime.fromtimestamp(now - 2 * 86400, UTC),
        )  # fmt: skip
    if c.note:
        await link.execute(
            "INSERT INTO crm.notes (customer_id, author, body) VALUES ($1, $2, $3)",
            customer_id, PEOPLE[customer_id % 4].name, c.note,
        )  # fmt: skip
    return customer_id


async def _add_orders(link: Any, whose: Sequence[int], now: float) -> None:
    """An order for each of the first customers, from 4001 on, in every state: only what was delivered was due before
    today. And one PIN for them all."""
    first, states = whose[:ORDERS], ("sent", "delivered", "in_work")
    day = datetime.fromtimestamp(now, UTC).date()
    await link.executemany(
        "INSERT INTO crm.orders (reference, customer_id, status, due, amount, currency)"
        " VALUES ($1, $2, $3, $4, $5, 'IDR')",
        [(str(4001 + n), who, states[n % 3], day + timedelta(days=-(n % 5) if n % 3 == 1 else n % 5 + 1),
          150_000 + 25_000 * n)
         for n, who in enumerate(first)],
    )  # fmt: skip
    pin = argon2.PasswordHasher().hash(PIN)
    await link.executemany(
        "INSERT INTO crm.customer_pins (customer_id, pin_hash) VALUES ($1, $2)", [(who, pin) for who in first]
    )


async def store_events(link: Any, events: Sequence[Event]) -> None:
    """Store past events, sorted by time, and fold them. Their ids lie before those of a journal begun now."""
    days: set[date] = {datetime.fromtimestamp(event.at, UTC).date() for event in events}
    await link.execute("SELECT crm.make_event_partitions($1)", sorted(days))
    rows, last = [], 0
    for event in events:
        last = max(last + 1, int(event.at * 1e6))
        at, call = datetime.fromtimestamp(event.at, UTC), uuid.UUID(event.call_id)
        rows.append((last, call, event.seq, at, event.type, event.agent or None, event.queue or None, event.data))
    columns = ["event_id", "call_id", "seq", "at", "type", "agent", "queue", "data"]
    await link.copy_records_to_table("events", schema_name="crm", columns=columns, records=rows)
    await link.execute("SELECT crm.fold_calls($1)", list({row[1] for row in rows}))


def write_logins(config: Config) -> None:
    """HOME/demo-logins.txt: what a newcomer reads first."""
    url = http.url(config)
    lines = [
        "Demo logins (name / password):",
        f"  {YOU.name} / {YOU.password}      take calls: {url}/agent (your phone {YOU.station} is simulated; "
        "go ready, then press Answer)",
    ]
    what = {"supervisor": "watch", "admin": "the same with all rights; flows"}
    page = {"supervisor": "wallboard", "admin": "admin"}
    lines += [f"  {p.name} / {p.password}      {what[p.role]}: {url}/{page[p.role]}" for p in STAFF]
    lines.append("A caller comes in every five seconds; ani, budi, chen and dewi are simulated agents.")
    lines.append(f"For the flows: orders 4001 to {4000 + ORDERS}; customers 1 to {ORDERS} have the PIN {PIN}.")
    _write(config.paths.home / LOGINS, "\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return  # the account that plays the people may not write there
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
