"""Publishing while calls run on a real Asterisk: every call lives in exactly one version, and new ones meet the new."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import Caller, World, sipp_callers
from kit.crowd import no_channels

from cti.adapters.postgres import Store
from tests.kit_home import RunningHome, running

pytestmark = pytest.mark.services


@pytest.fixture
def still_home(tmp_path: Path) -> Iterator[RunningHome]:
    """Its folder does not publish itself."""
    with running(tmp_path / "home", changes={"auto_publish = true": "auto_publish = false"}) as home:
        yield home


def version(number: int) -> dict[str, str]:
    """Its nodes carry its number; its words are those of all, so that no voice is needed for it."""
    words = "One moment please, we look for somebody who can help you"
    says = (f'  n{k}_{number}: {{do: say, say: {{en: "{words}"}}, then: n{k + 1}_{number}}}' for k in range(2))
    steps = "\n".join(says)
    flow = f"flow: main\nlanguage: en\nstart: n0_{number}\nnodes:\n{steps}\n  n2_{number}: {{do: hangup}}\n"
    return {"main.yaml": flow, "numbers.yaml": 'numbers: {"6000": main}\n', "queues.yaml": "queues: {sales: {}}\n"}


@pytest.mark.parametrize(("publishes", "calls", "rate"), [
    (200, 60, 8),
    pytest.param(1000, 200, 9, marks=[pytest.mark.soak]),
])  # fmt: skip
async def test_every_call_lives_in_one_version(
    still_home: RunningHome, tmp_path: Path, publishes: int, calls: int, rate: int
) -> None:
    world = World(still_home.path)
    store = await Store.open(world.config.postgres.dsn)
    numbers = [(f"+6281300000{n:03d}", f"Caller {n}") for n in range(calls)]
    calling = asyncio.create_task(
        sipp_callers(world.sip, "6000", tmp_path / "callers", count=calls, rate=rate, numbers=numbers, key="")
    )
    for number in range(2, publishes + 2):
        await store.publish_flows(version(number), "test", "", 30 if number % 5 == 0 else 100)
        await asyncio.sleep(calls / rate / publishes / 2)
    await store.close()
    done = await calling
    assert (done.good, done.bad) == (calls, 0), done.errors
    await no_channels(world, 0)
    await world.row_when("SELECT 1 FROM crm.v_calls WHERE ended_at IS NOT NULL HAVING count(*) = $1", calls)
    rows = await world.rows(
        "SELECT c.flow_version, e.type, e.data FROM crm.v_calls AS c JOIN crm.v_call_events AS e USING (call_id)"
        " WHERE e.type IN ('flow.started', 'flow.node')"
    )
    met = set()
    for row in rows:
        met.add(row["flow_version"])
        if row["type"] == "flow.started":
            assert row["data"]["version"] == row["flow_version"]
        elif row["flow_version"] > 1:
            assert row["data"]["node"].endswith(f"_{row['flow_version']}"), row
    assert len(met) > 10, "many versions answered calls"
    assert " ERROR " not in world.log()


async def test_what_the_command_line_publishes_answers_within_a_second(still_home: RunningHome) -> None:
    """Publish, canary, withdraw, roll back; and what was published while no server ran."""
    world = World(still_home.path)
    flow = still_home.path / "flows/main.yaml"
    flow.write_text(flow.read_text().replace("Press one", "Press one, please"))

    async def served(text: str) -> None:
        begun = time.monotonic()
        while not _detail(still_home).startswith(text):
            assert time.monotonic() < begun + 3, _detail(still_home)  # of which the question takes most
            await asyncio.sleep(0.01)

    assert "version 2 is live" in await world.cti("flow", "publish", "--note", "politer")
    await served("version 2")
    flow.write_text(flow.read_text().replace("Goodbye", "Bye"))
    await world.cti("flow", "publish", "--share", "99")
    await served("version 2, version 3 for 99 %")
    caller = Caller(world.sip, "6000", number="+628150000007", keys=[(0.5, "4")], talk=2)
    await (await caller.start()).wait(30)
    row = await world.row_when("SELECT flow_version FROM crm.v_calls WHERE ended_at IS NOT NULL")
    assert row["flow_version"] == 3
    await world.cti("flow", "share", "3", "0")
    await served("version 2")
    await world.cti("flow", "rollback")
    await served("version 1")
    flow.write_text("flow: [")
    await served("version 1; the folder cannot be published: main.yaml:1")
    assert "calls" in await world.cti("flow", "history")


def _detail(home: RunningHome) -> str:
    return str(home.status()["adapters"]["flows"]["detail"])  # type: ignore[index]
