"""Hang-ups at the instant in which a callback's two phones are joined: both are let go, and no channel stays.

The customer's Bridge() pulls the agent's channel out of its Wait(); a BYE of the agent's phone within some 2 ms of that
is lost as in test_ghosts, and healed in the same way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from kit import Agent, Caller, Customers, World
from kit.crowd import agents, hire, no_channels
from kit.instant import strike
from kit.sums import callbacks_add_up

from cti.demo.call import Call
from tests.kit_home import RunningHome, more_flows, running
from tests.kit_ports import free_port

pytestmark = pytest.mark.services
ASK = "6970"  # straight to a callback
SEATS = {f"joined{n}": f"61{n:02d}" for n in range(5)}
QUEUE = "  joined: {ring: 5s, wrap_up: 0s, skills: {joined: 1}, callback: {tries: 1, every: 60s, ring: 15s}}\n"
FLOW = """
flow: joined
language: en
start: call_me
nodes:
  call_me: {do: callback, queue: joined, ask: false, then: hangup}
"""
LATE = 0.2  # s: a BYE that took longer than this to reach the other side was lost and healed


@dataclass
class Aim:
    """Who hangs up how many seconds after the customer's 200 OK (negative: before it), and what came of it."""

    number: str
    by: Literal["agent", "customer"]
    after: float
    struck: float = 0.0
    agent: Call | None = None
    customer: Call | None = None

    def strike(self, customer: Call) -> None:
        assert self.agent is not None
        self.customer, leaves = customer, (customer if self.by == "customer" else self.agent)
        self.struck = strike(customer.answer, leaves.hang_up, self.after)

    @property
    def other_left(self) -> float:
        """Seconds until the other side was let go as well."""
        other = self.customer if self.by == "agent" else self.agent
        assert other is not None
        return other.at("ended") - self.struck


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def home(tmp_path: Path, port: int) -> Iterator[RunningHome]:
    trunk = 'match = ["127.0.0.1"]'
    changes = {trunk: f'{trunk}, contact = "sip:127.0.0.1:{port}"'}
    with running(tmp_path / "home", more_flows({ASK: "joined"}, QUEUE, joined=FLOW), changes) as home:
        yield home


def aimed(by: Literal["agent", "customer"], count: int, first: float, last: float) -> list[Aim]:
    """`count` callbacks, their hang-ups spread evenly from `first` to `last` seconds after the 200 OK."""
    side = int(by == "agent")
    return [Aim(f"+62816{side}00{n:05d}", by, first + (last - first) * n / count) for n in range(count)]


async def one(world: World, customers: Customers, phones: list[Agent], aim: Aim, asking: asyncio.Semaphore) -> None:
    async with asking:
        await (await Caller(world.sip, ASK, number=aim.number, hz=0, listen=False).start()).wait(10)
        customer = await customers.rung(aim.number, timeout=30)
        (aim.agent,) = (call for phone in phones for call in phone.calls if call.caller == aim.number)
        await asyncio.sleep(0.03)
        aim.strike(customer)
        for call in (aim.agent, customer):
            await asyncio.wait_for(call.ended.wait(), 5)


async def keep_ready(world: World) -> None:
    """Who is not ready because he has left a customer is ready again."""
    while True:
        for name, row in (await agents(world)).items():
            if row["wish"] != "ready":
                await world.call("PUT", f"/agents/{name}/state", name, {"state": "ready", "station": SEATS[name]})
        await asyncio.sleep(0.1)


RACES = [30, pytest.param(400, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]


@pytest.mark.parametrize("races", RACES)
async def test_hang_ups_when_the_two_are_joined_leave_nobody(home: RunningHome, port: int, races: int) -> None:
    world = World(home.path)
    secrets = await hire(world, SEATS, {"joined": 5})
    by_customers = races // 5
    aims = aimed("agent", races - by_customers, -0.0015, 0.005) + aimed("customer", by_customers, -0.0015, 0.005)
    phones: list[Agent] = []
    async with AsyncExitStack() as stack:
        customers = await stack.enter_async_context(Customers(world, port, hz=0, listen=False))
        for name, station in SEATS.items():
            phone = Agent(world.sip, station, secrets[station], answer_after=0.03, hz=0, listen=False)
            await stack.enter_async_context(phone)
            await world.ready(name, station)
            phones.append(phone)
        stack.callback(asyncio.create_task(keep_ready(world)).cancel)
        asking = asyncio.Semaphore(3 * len(SEATS))
        await asyncio.gather(*(one(world, customers, phones, aim, asking) for aim in aims))
        over = time.time()
        while {(a["wish"], a["work"]) for a in (await agents(world)).values()} != {("ready", "idle")}:
            assert time.time() < over + 2, await agents(world)
            await asyncio.sleep(0.05)
        await no_channels(world, max(0.1, over + 2 - time.time()))
        await callbacks_add_up(world, customers)
    healed = [aim for aim in aims if aim.other_left > LATE]
    states = Counter((row["state"], row["last_result"]) for row in await world.rows("SELECT * FROM crm.v_callbacks"))
    print(f"\n{len(aims)} hang-ups around the bridge: {len(healed)} ghosts healed,"
          f" longest stay {max(aim.other_left for aim in aims):.2f} s; {dict(states)}")  # fmt: skip
    assert max(aim.other_left for aim in aims) < 2
    assert set(states) <= {("done", None), *(("failed", why) for why in ("dropped", "agent_left", "no_answer"))}
    assert sum(states.values()) == len(aims)
