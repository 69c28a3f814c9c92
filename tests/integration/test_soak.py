"""Ten minutes (CTI_SOAK_SECONDS) of callers and phones that do as they please; run by `make soak`.

Nobody may be stuck, nothing may leak, and in the end everything must add up."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from kit import Agent, Caller, World
from kit.crowd import agents, channels, hire, no_channels

from tests.kit_home import RunningHome

SECONDS = float(os.environ.get("CTI_SOAK_SECONDS", "600"))
RATE = 3.0
SEATS = {f"soak{n}": f"70{n:02d}" for n in range(12)}
pytestmark = [pytest.mark.soak, pytest.mark.services, pytest.mark.timeout(SECONDS + 240)]


def memory(pid: int) -> int:
    """Resident megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 1_000_000


def moods(chance: random.Random, phone: Agent) -> None:
    """How the phone treats the next call."""
    phone.reject = chance.choice([0] * 12 + [486, 480, 603])
    phone.answer_after = chance.choice([0.05, 0.1, 0.5, 1.5, None] if chance.random() < 0.3 else [0.1])
    phone.talk = chance.choice([0.0, 0.3, 1.0, 3.0, None])


async def one_call(world: World, chance: random.Random, number: int) -> None:
    stage = chance.choice(["invite", "trying", "answered"])
    leave = (stage, chance.uniform(0, 6)) if chance.random() < 0.3 else None
    caller = Caller(
        world.sip, chance.choice(["6000", "6000", "6100"]), number=f"+62815{number:07d}", leave=leave, listen=False,
        keys=[(0.3, chance.choice("1123")), (2.0, "1")], talk=chance.uniform(1, 8),
    )  # fmt: skip
    await (await caller.start()).wait(120)


async def keep_ready(world: World, chance: random.Random, phones: dict[str, Agent]) -> None:
    """Agents come back from missed calls, wander off, and come back again."""
    while True:
        for name, row in (await agents(world)).items():
            moods(chance, phones[name])
            wish = "not_ready" if chance.random() < 0.03 else "ready"
            if row["wish"] != wish and row["next_wish"] != wish:
                body = {"state": wish, "station": SEATS[name]} | ({"reason": "break"} if wish != "ready" else {})
                await world.call("PUT", f"/agents/{name}/state", name, body)
        await asyncio.sleep(1)


async def test_ten_minutes_of_anything(own_home: RunningHome) -> None:
    chance = random.Random(7)
    world = World(own_home.path)
    secrets = await hire(world, SEATS, {"sales": 5, "support": 5, "short": 5})
    phones = {n: await Agent(world.sip, s, secrets[s], listen=False).start() for n, s in SEATS.items()}
    server = own_home.pid("server")
    calls: set[asyncio.Task[None]] = set()
    minder = asyncio.create_task(keep_ready(world, chance, phones))
    sizes, placed, end = [memory(server)], 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        task = asyncio.create_task(one_call(world, chance, placed))
        calls.add(task)
        placed += 1
        if placed % 200 == 0:
            sizes.append(memory(server))
            assert await channels(world) <= 3 * len(calls) + 40
        await asyncio.sleep(chance.expovariate(RATE))
    done = await asyncio.gather(*calls, return_exceptions=True)
    minder.cancel()
    await no_channels(world, 60)
    async with asyncio.timeout(60):
        while any(row["work"] != "idle" for row in (await agents(world)).values()):
            await asyncio.sleep(0.2)
    for phone in phones.values():
        await phone.stop()
    assert [fault for fault in done if fault is not None] == []
    assert own_home.pid("server") == server, "the server was not started anew"
    await adds_up(world)
    print(f"\n{placed} calls in {SECONDS:.0f} s; resident MB of the server: {sizes}")
    assert sizes[-1] < sizes[0] + 60


async def adds_up(world: World) -> None:
    sql = "SELECT * FROM crm.v_{}"
    await world.row_when("SELECT 1 WHERE NOT EXISTS (SELECT FROM crm.v_calls WHERE ended_at IS NULL)", timeout=30)
    rows: dict[str, list[dict[str, Any]]] = {
        name: await world.rows(sql.format(name)) for name in ("calls", "queue_visits", "offers", "recordings")
    }
    assert all(row["result"] for row in rows["queue_visits"] + rows["offers"])
    assert all(row["outcome"] for row in rows["calls"])
    assert len({row["call_id"] for row in rows["calls"]}) == len(rows["calls"])
    answered = sum(row["result"] == "answered" for row in rows["queue_visits"])
    assert answered == sum(row["result"] == "answered" for row in rows["offers"])
    print("\noutcomes:", dict(Counter(row["outcome"] for row in rows["calls"])),
          "offers:", dict(Counter(row["result"] for row in rows["offers"])))  # fmt: skip
