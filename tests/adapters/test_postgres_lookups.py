"""Lookups of flows: what they bring, and that a bad one costs its time limit and nothing else. A real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from kit_pg import Cluster

from cti.adapters.postgres import Store
from cti.adapters.postgres_db import connect
from cti.adapters.postgres_lookups import BYTES, Lookups, customer, how
from cti.adapters.postgres_migrations import FOLDER, migrate
from cti.errors import BadInput, Unavailable

pytestmark = pytest.mark.services
ZONE = "Asia/Jakarta"
SAMPLES = """
INSERT INTO crm.customers (display_name) OVERRIDING SYSTEM VALUE VALUES ('Ani');
INSERT INTO crm.orders (reference, customer_id, status, due, amount, currency) VALUES
    ('1001', 1, 'shipped', '2026-11-25', 125000.50, 'IDR'), ('1002', NULL, 'open', NULL, NULL, NULL);
INSERT INTO crm.users (name, role, password_hash) VALUES ('root', 'admin', 'the-hash');
"""


@pytest.fixture
async def full(dsn: str) -> str:
    link = await connect(dsn)
    await link.execute(SAMPLES)
    await link.close()
    return dsn


@pytest.fixture(params=["login", "role", "own"])
async def lookups(request: Any, full: str, monkeypatch: Any) -> AsyncIterator[Lookups]:
    """As each of those it may run as."""
    async def chosen(dsn: str, lookup_dsn: str = "") -> Any:
        return request.param, {"user": "cti_lookup"} if request.param == "login" else {}

    monkeypatch.setattr("cti.adapters.postgres_lookups.how", chosen)
    one = Lookups(full, ZONE)
    yield one
    await one.close()


async def ask(lookups: Lookups, sql: str, many: bool = False, seconds: float = 5.0, **values: Any) -> Any:
    return await lookups.query(sql, values, many=many, seconds=seconds)


async def test_a_row_is_found_by_what_the_caller_pressed(lookups: Lookups) -> None:
    sql = "select reference, customer_id, status, due, amount, currency from crm.orders where reference = :ref"
    assert await ask(lookups, sql, ref="1001") == ("found", {
        "reference": "1001", "customer_id": "1", "status": "shipped", "due": "2026-11-25", "amount": 125000.5,
        "currency": "IDR",
    })  # fmt: skip
    assert await ask(lookups, sql, ref="9999") == ("none", {})


async def test_many_rows_come_in_their_order(lookups: Lookups) -> None:
    sql = "select reference as r from crm.orders order by reference desc -- newest\n;"
    assert await ask(lookups, sql, many=True) == ("found", {"rows": [{"r": "1002"}, {"r": "1001"}], "count": 2})
    none = "select reference from crm.orders where false"
    assert await ask(lookups, none, many=True) == ("none", {"rows": [], "count": 0})
    assert (await ask(lookups, sql))[1] == {"r": "1002"}


async def test_an_injection_is_a_value(lookups: Lookups) -> None:
    """sql_datadip: union_inject."""
    evil = "1 UNION SELECT rolpassword FROM pg_authid--"
    assert await ask(lookups, "select status from crm.orders where reference = :ref", ref=evil) == ("none", {})
    assert (await ask(lookups, "select :ref::text as said", ref=evil))[1] == {"said": evil}


async def test_what_is_slow_is_cancelled(lookups: Lookups) -> None:
    """sql_datadip: slow. And the connection is as good as before."""
    began = time.monotonic()
    for sql in ("SELECT pg_sleep(60)", "select count(*) from generate_series(1, 100000000000)"):
        with pytest.raises(Unavailable, match="took too long"):
            await ask(lookups, sql, seconds=0.2)
    assert time.monotonic() - began < 10
    assert (await ask(lookups, "select 1 as one"))[1] == {"one": 1}


async def test_of_a_million_rows_a_hundred_are_read(lookups: Lookups) -> None:
    """sql_datadip: million_rows."""
    outcome, data = await ask(lookups, "SELECT generate_series(1,100000000)", many=True)
    assert (outcome, data["count"], data["rows"][:2]) == ("found", 100, [{"generate_series": n} for n in (1, 2)])
    assert (await ask(lookups, "SELECT generate_series(1,100000000)"))[1] == {"generate_series": 1}


async def test_what_is_too_large_for_a_call_is_left(lookups: Lookups) -> None:
    with pytest.raises(BadInput, match="more than 8000 bytes"):
        await ask(lookups, "select repeat('x', 1000000) as big")
    _, data = await ask(lookups, "select repeat('é', 1000) as big from generate_series(1, 50)", many=True)
    assert data["count"] == 50 and 0 < len(data["rows"]) < BYTES // 2000


async def test_values_are_fitted_to_their_types(lookups: Lookups) -> None:
    sql = """select :i::int as i, :b::bool as b, :d::date as d, :n::numeric as n, :t::timestamptz as t,
             :p::timestamp as p, :f::float8 as f, :u::uuid as u, :j::jsonb as j, :a::int[] as a, :o::time as o,
             :v::interval as v, :x::text as x, :z::text as z, :y::bytea as y, :c::text[] as c"""
    u = "0190f6a0-0000-7000-8000-000000000000"
    outcome, row = await ask(
        lookups, sql, i=" 12", b="yes", d="2026-11-25", n="12.50", t="2026-11-25T08:00:00", p="2026-11-25T01:00:00Z",
        f=3, u=u, j={"a": [1]}, a=[1, "2"], o="08:30", v=90, x=True, z=None, y="a", c=["a", 1],
    )  # fmt: skip
    assert outcome == "found"
    assert row == {
        "i": 12, "b": True, "d": "2026-11-25", "n": 12.5, "t": "2026-11-25T08:00:00+07:00", "p": "2026-11-25T08:00:00",
        "f": 3, "u": u, "j": {"a": [1]}, "a": [1, 2], "o": "08:30:00", "v": "00:01:30", "x": "true", "z": None,
        "y": "\\x61", "c": ["a", "1"],
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), [
    ("int", "12a"), ("int", "99999999999"), ("bigint", "9" * 30), ("int", "1.5"), ("int", "NaN"), ("int", ""),
    ("bool", "maybe"), ("date", "25.11.2026"), ("date", "2026-13-01"), ("numeric", "1,5"), ("timestamptz", "soon"),
    ("timestamp", "99999-01-01"), ("float8", "x"), ("uuid", "x"), ("int[]", "1"), ("int[]", ["x"]), ("inet", "not one"),
    ("interval", "1 day"), ("interval", "1e300"), ("time", "25:00"), ("date", "9" * 5000), ("numeric", "1e999999999"),
])  # fmt: skip
async def test_a_value_that_does_not_fit_is_bad_input(full: str, kind: str, value: Any) -> None:
    lookups = Lookups(full, ZONE)
    with pytest.raises(BadInput):
        await ask(lookups, f"select (:v)::{kind} as v", v=value)
    assert (await ask(lookups, "select 1 as one"))[1] == {"one": 1}
    await lookups.close()


@pytest.mark.parametrize("sql", [
    "delete from crm.orders", "select 1; select 2", "with x as (delete from crm.orders returning 1) select * from x",
    "select nothing from crm.orders", "select 1 / 0 as n", "select * from crm.orders for update", "select 1)",
    "select 1) as a, (select 2", "select set_config('role', 'none', true)", "select :missing",
    "select * into crm.copy from crm.orders", "select crm.make_event_partitions(array[date '2020-01-01'])",
    "select pg_read_file('/etc/passwd')", "select nextval('crm.x')", "select 'x'::int as n",
])  # fmt: skip
async def test_a_bad_question_is_bad_input_and_changes_nothing(lookups: Lookups, sql: str) -> None:
    with pytest.raises(BadInput):
        await ask(lookups, sql)
    assert (await ask(lookups, "select count(*) as n from crm.orders"))[1] == {"n": 2}


SECRETS = ["crm.users", "crm.sessions", "crm.api_tokens", "crm.stations", "crm.customer_pins", "crm.audit", "pg_authid",
           "crm.flow_versions", "crm.events"]  # fmt: skip


@pytest.mark.parametrize("mode", ["login", "role"])
@pytest.mark.parametrize("table", SECRETS)
async def test_the_role_reads_no_secret(full: str, mode: str, table: str, monkeypatch: Any) -> None:
    async def chosen(dsn: str, lookup_dsn: str = "") -> Any:
        return mode, {"user": "cti_lookup"} if mode == "login" else {}

    monkeypatch.setattr("cti.adapters.postgres_lookups.how", chosen)
    lookups = Lookups(full, ZONE)
    with pytest.raises(BadInput, match="permission denied"):
        await ask(lookups, f"select * from {table}")
    await lookups.close()


async def test_no_sql_gets_out_of_the_role_where_it_logs_in(full: str, monkeypatch: Any) -> None:
    """Even if the words that are refused were let by."""
    monkeypatch.setattr("cti.adapters.postgres_lookups.translate", lambda sql: (sql, ()))
    lookups = Lookups(full, ZONE)
    for sql in (
        "select set_config('role', 'cti', true) as a, query_to_xml('select * from crm.users', true, true, '') as b",
        "select set_config('role', 'none', true) as a, query_to_xml('select * from crm.users', true, true, '') as b",
        "select set_config('session_authorization', 'cti', true) as a, "
        "query_to_xml('select * from crm.users', true, true, '') as b",
        "select set_config('transaction_read_only', 'off', true) as a, "
        "query_to_xml('select crm.f()', true, true, '') as b",
        "select pg_read_file('/etc/passwd') as a",
    ):  # fmt: skip
        with pytest.raises(BadInput):
            await ask(lookups, sql)
    assert lookups.mode == "login"
    await lookups.close()


async def test_a_database_that_is_away_is_unavailable_and_comes_back() -> None:
    pg = Cluster.start()
    try:
        dsn = await pg.make_database(migrated=True)
        lookups = Lookups(dsn, ZONE)
        assert (await ask(lookups, "select 1 as one"))[1] == {"one": 1}
        pg.stop_hard()
        for _ in range(2):
            with pytest.raises(Unavailable):
                await ask(lookups, "select 1 as one")
        never = Lookups(dsn, ZONE)
        with pytest.raises(Unavailable):
            await ask(never, "select 1 as one")
        pg.again()
        assert (await ask(lookups, "select 1 as one"))[1] == {"one": 1}
        await lookups.close()
    finally:
        pg.close()


async def test_many_at_once_share_a_pool(full: str) -> None:
    lookups = Lookups(full, ZONE)
    found = await asyncio.gather(*(ask(lookups, "select :n::int as n, pg_sleep(0.01)", n=n) for n in range(40)))
    assert [row["n"] for _, row in found] == list(range(40))
    await lookups.close()


# ---------------------------------------------------------------- who a lookup runs as


async def test_it_logs_in_as_the_role_where_that_needs_no_password(full: str) -> None:
    assert await how(full) == ("login", {"user": "cti_lookup"})
    assert await how(full, "postgresql://other@/db") == ("login", {})
    lookups = Lookups(full, ZONE)
    assert (await ask(lookups, "select session_user::text as u"))[1] == {"u": "cti_lookup"}
    await lookups.close()


async def test_what_a_caller_pressed_is_in_no_log_of_the_database(full: str, pg: Cluster) -> None:
    lookups = Lookups(full, ZONE)
    with pytest.raises(BadInput, match="4711000011112222x"):
        await ask(lookups, "select :pressed::text::int as n", pressed="4711000011112222x")
    link = await connect(full)
    with pytest.raises(asyncpg.DataError):
        await link.fetch("SELECT 'this is logged'::int")
    await link.close()
    log = (pg.folder / "log").read_text()
    assert "this is logged" in log and "4711000011112222x" not in log
    await lookups.close()


async def test_with_a_password_the_role_is_taken(full: str) -> None:
    dsn = full.replace("cti@", "cti:pw@")
    assert await how(dsn) == ("role", {})
    lookups = Lookups(dsn, ZONE)
    assert (await ask(lookups, "select current_user::text as u"))[1] == {"u": "cti_lookup"}
    await lookups.close()


async def test_who_may_make_no_role_migrates_all_the_same_and_only_reads(tmp_path: Any) -> None:
    pg = Cluster.start()
    try:
        name = (await pg.make_database()).partition("@/")[2].partition("?")[0]
        link = await asyncpg.connect(pg.dsn())
        await link.execute(f"CREATE ROLE plain LOGIN; ALTER DATABASE {name} OWNER TO plain")
        dsn = pg.dsn(name).replace("cti@", "plain@")
        await migrate(dsn, FOLDER)
        assert await link.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'cti_lookup'") == 0
        await link.close()
        assert await how(dsn) == ("own", {})
        lookups = Lookups(dsn, ZONE)
        assert (await ask(lookups, "select count(*) as n from crm.orders"))[1] == {"n": 0}
        with pytest.raises(BadInput, match="read-only transaction"):
            await ask(lookups, "select crm.make_event_partitions(array[date '2020-01-01'])")
        await lookups.close()
    finally:
        pg.close()


async def test_who_may_make_roles_but_not_all_makes_it_and_may_take_it() -> None:
    pg = Cluster.start()
    try:
        name = (await pg.make_database()).partition("@/")[2].partition("?")[0]
        link = await asyncpg.connect(pg.dsn())
        await link.execute(f"CREATE ROLE maker LOGIN CREATEROLE; ALTER DATABASE {name} OWNER TO maker")
        await link.close()
        dsn = pg.dsn(name).replace("cti@", "maker@")
        await migrate(dsn, FOLDER)
        assert await how(dsn) == ("login", {"user": "cti_lookup"})
        assert await how(dsn.replace("maker@", "maker:pw@")) == ("role", {})
    finally:
        pg.close()


async def test_no_database_at_all(tmp_path: Any) -> None:
    with pytest.raises(Unavailable):
        await how(f"postgresql://cti@/cti?host={tmp_path}")


# ---------------------------------------------------------------- customers


async def test_a_customer_by_number_as_written_here_or_by_id(store: Store) -> None:
    ani = await store.add_customer("Ani", [("+6281234567890", "0812")], tier="vip", language="id", company="Sari",
                                   attributes={"since": 2019})  # fmt: skip
    outcome, row = await customer(store, "ID", number="0812-3456-7890")
    assert outcome == "found"
    assert row == {
        "customer_id": ani, "name": "Ani", "display_name": "Ani", "tier": "vip", "language": "id", "email": None,
        "company": "Sari", "attributes": {"since": 2019}, "numbers": ["+6281234567890"],
    }  # fmt: skip
    assert await customer(store, "ID", customer_id=ani) == ("found", row)
    assert (await store.find_customer("+6281234567890")).customers[0] == row, "who only called is known as well"
    await store.add_customer("Budi", [("+6281234567890", "")])
    assert await customer(store, "ID", number="+6281234567890") == ("several", {"count": 2})


@pytest.mark.parametrize("who", [
    {"number": ""}, {"number": "abc"}, {"number": "0812"}, {"number": "+6281234567890"}, {"customer_id": "77"},
    {"customer_id": "1 OR 1=1"}, {"customer_id": "9" * 40}, {"customer_id": "٧"}, {"customer_id": "-1"},
])  # fmt: skip
async def test_who_is_nobody_is_none(store: Store, who: dict[str, str]) -> None:
    assert await customer(store, "ID", **who) == ("none", {})


