"""The demo's data on a real PostgreSQL: consistent, made once, and never into somebody's own home."""

import time

import msgspec
import pytest

from cti.adapters import postgres_lookups
from cti.config import Config, Http, Sip
from cti.demo import seed
from cti.demo.data import PEOPLE, customers
from cti.errors import BadInput, Unavailable

pytestmark = pytest.mark.services


async def ask(config: Config, sql: str) -> list[dict[str, object]]:
    link = await seed.connect(config.postgres.dsn)
    try:
        return [dict(row) for row in await link.fetch(sql)]
    finally:
        await link.close()


async def counts(config: Config) -> dict[str, object]:
    tables = ("users", "customers", "cases", "events", "calls", "stations", "audit")
    row = ", ".join(f"(SELECT count(*) FROM crm.{t}) AS {t}" for t in tables)
    return (await ask(config, f"SELECT {row}"))[0]


async def test_seeds_people_customers_and_a_past_that_the_views_tell(config: Config) -> None:
    assert await seed.seed(config) is True
    found = await counts(config)
    assert found["users"] == len(PEOPLE)
    assert found["customers"] == 200
    assert found["stations"] == 5
    assert found["calls"] == 420
    wrong = await ask(
        config,
        """SELECT call_id FROM crm.v_calls WHERE outcome IS NULL OR ended_at IS NULL
           OR NOT (started_at <= coalesce(queued_at, started_at)
                   AND coalesce(queued_at, started_at) <= coalesce(offered_at, ended_at)
                   AND coalesce(offered_at, started_at) <= coalesce(connected_at, ended_at)
                   AND coalesce(connected_at, started_at) <= ended_at
                   AND ended_at <= coalesce(wrapped_at, ended_at))
           OR (outcome = 'answered') <> (agent IS NOT NULL)""",
    )
    assert wrong == []
    assert await ask(config, "SELECT 1 FROM crm.calls WHERE NOT finished") == []
    outcomes = {row["outcome"] for row in await ask(config, "SELECT DISTINCT outcome FROM crm.v_calls")}
    assert outcomes == {"answered", "abandoned", "flow_ended"}


async def test_only_orders_that_were_delivered_were_due_before_today(config: Config) -> None:
    await seed.seed(config)
    rows = await ask(config, "SELECT status, due <= (now() AT TIME ZONE 'UTC')::date AS past FROM crm.v_orders")
    assert {(row["status"], row["past"]) for row in rows} == {("sent", False), ("in_work", False), ("delivered", True)}


async def test_a_call_of_a_shared_number_names_no_customer(config: Config) -> None:
    await seed.seed(config)
    numbers = [c.numbers[0] for c in customers()]
    shared = sorted({n for n in numbers if numbers.count(n) > 1})
    assert len(shared) == 5
    rows = await ask(config, "SELECT caller, customer_id FROM crm.v_calls")
    assert all((row["customer_id"] is None) == (row["caller"] in shared) for row in rows)


async def test_event_ids_lie_before_those_of_a_journal_begun_now(config: Config) -> None:
    await seed.seed(config)
    highest = (await ask(config, "SELECT max(event_id) AS id FROM crm.events"))[0]["id"]
    assert isinstance(highest, int)
    assert highest < time.time_ns() // 1000 - 1_000_000


async def test_a_second_time_changes_nothing(config: Config) -> None:
    await seed.seed(config)
    before = await counts(config)
    (config.paths.home / seed.LOGINS).unlink()
    assert await seed.seed(config) is False
    assert await counts(config) == before
    assert "you / demo-you" in (config.paths.home / seed.LOGINS).read_text()


async def test_people_added_to_a_demo_home_later_do_not_make_it_foreign(config: Config) -> None:
    await seed.seed(config)
    await ask(config, "INSERT INTO crm.users (name, role) VALUES ('real', 'agent')")
    assert await seed.seed(config) is False


@pytest.mark.parametrize(
    "row",
    [
        "INSERT INTO crm.users (name, role) VALUES ('real', 'agent')",
        "INSERT INTO crm.customers (display_name) VALUES ('Somebody')",
        "INSERT INTO crm.events (event_id, seq, at, type, data) VALUES (1, 0, now(), 'x', '{}')",
    ],
)
async def test_refuses_a_home_with_other_data_and_leaves_it_alone(config: Config, row: str) -> None:
    await ask(config, row)
    before = await counts(config)
    with pytest.raises(BadInput, match="holds other data"):
        await seed.seed(config)
    assert await counts(config) == before
    assert not (config.paths.home / seed.LOGINS).exists()


@pytest.mark.parametrize("change", [{"http": Http(host="0.0.0.0")}, {"sip": Sip(host="192.0.2.1")}])
async def test_refuses_to_be_reached_from_outside(config: Config, change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="loopback"):
        await seed.seed(msgspec.structs.replace(config, **change))
    assert (await counts(config))["users"] == 0


async def test_says_when_postgresql_is_away(config: Config) -> None:
    away = msgspec.structs.replace(config.postgres, dsn="postgresql://cti@/cti?host=/nonexistent")
    with pytest.raises(Unavailable):
        await seed.seed(msgspec.structs.replace(config, postgres=away))


async def test_lookups_of_flows_log_in_as_a_role_of_their_own(config: Config) -> None:
    assert (await postgres_lookups.how(config.postgres.dsn))[0] == "login"
    asked = postgres_lookups.Lookups(config.postgres.dsn, "Asia/Jakarta")
    with pytest.raises(BadInput, match="permission denied"):
        await asked.query("select password_hash from crm.users", {}, many=False, seconds=5)
    await asked.close()
