"""Two hundred calls at ten a second over forty agents: all answered at once, nobody and nothing left behind."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import World, sipp_agents, sipp_callers
from kit.crowd import agents, hire, no_channels

from tests.kit_home import RunningHome, running

pytestmark = pytest.mark.services
CALLS, RATE, AGENTS, TALK = 200, 10, 40, 2.0
SEATS = {f"load{n:02d}": f"30{n:02d}" for n in range(AGENTS)}


@pytest.fixture(scope="module")
def busy_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    with running(tmp_path_factory.mktemp("load") / "home") as home:
        yield home


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


async def test_two_hundred_calls_at_ten_a_second_over_forty_agents(busy_home: RunningHome, tmp_path: Path) -> None:
    world = World(busy_home.path)
    secrets = await hire(world, SEATS, {"sales": 5})
    async with sipp_agents(world.sip, secrets, tmp_path / "agents", answer_after=0.1):
        await asyncio.gather(*(world.ready(name, station) for name, station in SEATS.items()))
        numbers = [(f"+6281300000{n:03d}", f"Caller {n}") for n in range(CALLS)]
        done = await sipp_callers(
            world.sip, "6000", tmp_path / "callers", count=CALLS, rate=RATE, numbers=numbers, talk=TALK, timeout=50
        )
        assert (done.good, done.bad) == (CALLS, 0), done.errors
        await no_channels(world, 2)
        async with asyncio.timeout(5):
            while {(a["wish"], a["work"]) for a in (await agents(world)).values()} != {("ready", "idle")}:
                await asyncio.sleep(0.1)
    await world.row_when(
        "SELECT 1 FROM crm.v_calls WHERE wrapped_at IS NOT NULL HAVING count(*) = $1", CALLS, timeout=5
    )
    rows = await world.rows("SELECT * FROM crm.v_calls")
    waits = [(row["connected_at"] - row["queued_at"]).total_seconds() for row in rows]
    print(f"\n{CALLS} calls, {RATE}/s, {AGENTS} agents: queued to connected, phones answering in 100 ms: "
          f"p50 {percentile(waits, 50) * 1000:.0f} ms, p99 {percentile(waits, 99) * 1000:.0f} ms, "
          f"worst {max(waits) * 1000:.0f} ms")  # fmt: skip
    _all_answered(rows)
    assert percentile(waits, 99) < 0.5
    await _adds_up(world)
    log = world.log()
    assert "Traceback" not in log
    assert [line for line in log.splitlines() if " ERROR " in line] == []


def _all_answered(rows: list[dict[str, Any]]) -> None:
    assert [row["outcome"] for row in rows] == ["answered"] * CALLS
    assert len({row["caller"] for row in rows}) == CALLS
    for row in rows:
        times = [row[name] for name in ("started_at", "queued_at", "offered_at", "connected_at", "ended_at",
                                        "wrapped_at")]  # fmt: skip
        assert None not in times and times == sorted(times)


async def _adds_up(world: World) -> None:
    """Visits, offers and agents' states say the same as the calls."""
    visits = await world.rows("SELECT result, count(*) FROM crm.v_queue_visits GROUP BY 1")
    assert visits == [{"result": "answered", "count": CALLS}]
    offers = await world.rows("SELECT result, count(*) FROM crm.v_offers GROUP BY 1")
    assert offers == [{"result": "answered", "count": CALLS}]
    works = await world.rows("SELECT work, count(*) FROM crm.v_agent_states WHERE call_id IS NOT NULL GROUP BY 1")
    assert {row["work"]: row["count"] for row in works} == {"reserved": CALLS, "talking": CALLS, "wrap_up": CALLS}
    overlaps = await world.rows(
        "SELECT a.agent FROM crm.v_agent_states a JOIN crm.v_agent_states b"
        " ON a.agent = b.agent AND a.since < b.since AND a.until > b.since"
    )
    assert overlaps == []
