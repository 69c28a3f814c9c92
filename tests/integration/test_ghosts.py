"""Hang-ups at the instant of bridging: Asterisk loses some of them, and nobody may be left on the line for that.

Asterisk pulls the caller's channel out of its FastAGI session into the bridge; a BYE within about 2 ms of that is told
as a HangupRequest and never acted upon. The server hangs such a channel up 0.3 s later: a ghost healed. From outside
it shows as the other phone's BYE that comes so much later."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from kit import Agent, Caller, World
from kit.crowd import agents, hire, no_channels
from kit.instant import strike
from kit.sound import tone

from cti.demo.call import Call
from tests.kit_home import RunningHome

pytestmark = pytest.mark.services
DID = "6200"  # straight into the queue `vips`: no wrap-up
SEATS = {f"ghost{n}": f"60{n:02d}" for n in range(5)}
LATE = 0.2  # s: a BYE that took longer than this to reach the other side was lost and healed


@dataclass
class Aim:
    """Who hangs up how many seconds after the agent's 200 OK (negative: before it), and what came of it."""

    caller: Caller
    by: Literal["caller", "agent"]
    after: float
    struck: float = 0.0
    hit: Call | None = None

    def strike(self, call: Call) -> None:
        self.hit, leaves = call, (self.caller.call if self.by == "caller" else call)
        assert leaves is not None
        self.struck = strike(lambda: call.answer(tone(880)), leaves.hang_up, self.after)

    @property
    def other_left(self) -> float:
        """Seconds until the other side was let go as well."""
        assert self.hit is not None and self.caller.call is not None
        other = self.hit if self.by == "caller" else self.caller.call
        return other.at("ended") - self.struck


async def serve(phone: Agent, aims: dict[str, Aim]) -> None:
    """Strike at each caller's first offer; at a second one talk for a moment."""
    while True:
        call = await phone.next_call(60)
        aim = aims[call.caller]
        await asyncio.sleep(0.03)
        if aim.hit is None:
            aim.strike(call)
        else:
            call.answer(tone(880))
            await asyncio.sleep(0.2)
            call.hang_up()


async def one(world: World, aim: Aim, free: asyncio.Semaphore) -> None:
    async with free:
        await aim.caller.start()
        try:
            await aim.caller.wait(20)
            assert aim.hit is not None
            await asyncio.wait_for(aim.hit.ended.wait(), 5)
        except TimeoutError:
            raise AssertionError(
                f"{aim.caller.number} {aim.by} {aim.after}: {aim.caller.events}, agent {aim.hit and aim.hit.events}"
            ) from None


def aimed(world: World, by: Literal["caller", "agent"], count: int, first: float, last: float) -> list[Aim]:
    """`count` calls, their hang-ups spread evenly from `first` to `last` seconds after the 200 OK."""
    return [
        Aim(Caller(world.sip, DID, number=f"+62815{'01'[by == 'agent']}00{n:05d}", hz=0, listen=False), by,
            first + (last - first) * n / count)
        for n in range(count)
    ]  # fmt: skip


RACES = [200, pytest.param(2000, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])]


@pytest.mark.parametrize("races", RACES)
async def test_hang_ups_at_the_instant_of_bridging_leave_nobody(own_home: RunningHome, races: int) -> None:
    world = World(own_home.path)
    secrets = await hire(world, SEATS, {"vips": 5})
    by_agents = races * 3 // 10
    aims = aimed(world, "caller", races - by_agents, -0.001, 0.005) + aimed(world, "agent", by_agents, 0.0005, 0.005)
    by_number = {aim.caller.number: aim for aim in aims}
    async with AsyncExitStack() as stack:
        for name, station in SEATS.items():
            phone = Agent(world.sip, station, secrets[station], answer_after=None, listen=False)
            await stack.enter_async_context(phone)
            await world.ready(name, station)
            stack.callback(asyncio.create_task(serve(phone, by_number)).cancel)
        free = asyncio.Semaphore(len(SEATS))
        await asyncio.gather(*(one(world, aim, free) for aim in aims))
        over = time.time()
        while {(a["wish"], a["work"]) for a in (await agents(world)).values()} != {("ready", "idle")}:
            assert time.time() < over + 1, await agents(world)
            await asyncio.sleep(0.05)
        await no_channels(world, max(0.1, over + 2 - time.time()))
    healed = [aim for aim in aims if aim.other_left > LATE]
    rows = await ended_rows(world, len(aims))
    outcomes = [row["outcome"] for row in rows]
    print(f"\n{len(aims)} hang-ups around the bridge: {len(healed)} ghosts healed"
          f" ({sum(a.by == 'caller' for a in healed)} callers, {sum(a.by == 'agent' for a in healed)} agents),"
          f" longest stay {max(aim.other_left for aim in aims):.2f} s;"
          f" {', '.join(f'{outcomes.count(o)} {o}' for o in sorted(set(outcomes)))}")  # fmt: skip
    assert set(outcomes) <= {"answered", "abandoned", "short_abandon"}
    assert max(aim.other_left for aim in healed or aims) < 2
    await states_add_up(world)


async def ended_rows(world: World, count: int) -> list[dict[str, Any]]:
    """All calls, once each has ended, wrapped up and been recorded."""
    async with asyncio.timeout(20):
        while len(await world.rows("SELECT 1 FROM crm.v_calls WHERE ended_at IS NOT NULL")) < count:
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)  # recordings are measured last
    assert await world.rows(
        "SELECT e.* FROM crm.v_call_events e JOIN crm.calls USING (call_id) WHERE NOT finished ORDER BY e.at"
    ) == []
    rows = await world.rows("SELECT * FROM crm.v_calls")
    assert len(rows) == count
    for row in rows:
        assert (row["connected_at"] is None) == (row["wrapped_at"] is None), row
        assert row["outcome"] != "answered" or row["ended_at"] >= row["connected_at"], row
    return rows


async def states_add_up(world: World) -> None:
    """Every offer has a result, and an agent was reserved for exactly that long."""
    assert await world.rows("SELECT 1 FROM crm.v_offers WHERE result IS NULL OR ended_at IS NULL") == []
    assert await world.rows("SELECT 1 FROM crm.v_queue_visits WHERE result IS NULL OR left_at IS NULL") == []
    offers = (await world.rows("SELECT count(*) FROM crm.v_offers"))[0]["count"]
    reserved = (await world.rows("SELECT count(*) FROM crm.v_agent_states WHERE work = 'reserved'"))[0]["count"]
    assert reserved == offers
