"""What a site may choose of the routing, on real calls: who comes first in proportion to his queue's promise, capacity
by calendar, agents who have been idle too long, and the agent who talked to the customer last."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from kit import Agent, Caller, World, new_number, siege
from kit.crowd import hire

from tests.kit_home import RunningHome, running

pytestmark = [pytest.mark.services]
QUEUES = """
routing: {balance: true}
queues:
  soon: {service_level: {within: 10s}, ring: 10s, wrap_up: 0s, recording: never}
  late: {service_level: {within: 200s}, ring: 10s, wrap_up: 0s, recording: never}
  some: {capacity: [{calls: 1, calendar: lunch}, {calls: 2}], ring: 10s, wrap_up: 0s, recording: never}
  fair: {agents: best_level, idle_limit: 5s, ring: 10s, wrap_up: 0s, recording: never}
  known: {last_agent: 3s, ring: 10s, wrap_up: 0s, recording: never}
"""
NUMBERS = {"soon": "6000", "late": "6001", "some": "6002", "fair": "6003", "known": "6004"}
FLOW = """
flow: {queue}
language: en
start: wait
nodes:
  wait: {{do: queue, queue: {queue}, answered: hangup, then: hangup}}
"""
OFFERS = ("SELECT o.*, extract(epoch FROM o.offered_at - v.entered_at)::float AS waited FROM crm.v_offers o"
          " JOIN crm.v_queue_visits v ON v.call_id = o.call_id AND v.seq = o.visit_seq"
          " JOIN crm.v_calls c ON c.call_id = o.call_id WHERE c.caller = $1"
          " ORDER BY o.offered_at OFFSET $2")  # fmt: skip


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    files = {f"{queue}.yaml": FLOW.format(queue=queue) for queue in NUMBERS} | {
        "queues.yaml": QUEUES, "calendars.yaml": "calendars:\n  lunch: {time_zone: UTC, week: {}}\n",
        "numbers.yaml": "numbers:\n" + "".join(f'  "{number}": {queue}\n' for queue, number in NUMBERS.items()),
    }  # fmt: skip
    with running(tmp_path_factory.mktemp("chosen") / "home", files) as home:
        yield home


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    return {}


@pytest.fixture
async def world(chosen: RunningHome, tokens: dict[str, str]) -> World:
    world = World(chosen.path)
    world.tokens = tokens
    await hire(world, {}, {})
    return world


@asynccontextmanager
async def at_work(world: World, skills: dict[str, int], **treat: Any) -> AsyncIterator[tuple[str, Agent]]:
    """An agent with a phone, not signed on yet."""
    name, station = f"r{uuid.uuid4().hex[:8]}", f"6{uuid.uuid4().int % 10**4:04d}"
    secrets = await hire(world, {name: station}, skills)
    phone = await Agent(world.sip, station, secrets[station], listen=False, **treat).start()
    try:
        yield name, phone
    finally:
        await world.call("PUT", f"/agents/{name}/state", name, {"state": "logged_out"})
        await phone.stop()


async def ready(world: World, name: str, phone: Agent) -> None:
    await world.ready(name, phone.phone.number)


async def waiting(world: World, queue: str, number: str = "") -> Caller:
    """A new caller who waits in the queue."""
    caller = await Caller(world.sip, NUMBERS[queue], number=number or new_number(), listen=False).start()
    await siege.visit(world, caller.number)
    return caller


async def offer(world: World, caller: Caller, before: int = 0) -> dict[str, Any]:
    """The offer of the caller's calls that comes after so many."""
    return await world.row_when(OFFERS, caller.number, before, timeout=20)


def idle(told: dict[str, Any]) -> float:
    return time.time() - datetime.fromisoformat(told["idle_since"]).timestamp()


async def why(world: World, caller: Caller) -> dict[str, Any]:
    call = (await siege.visit(world, caller.number))["call_id"]
    status, told = await world.call("GET", f"/calls/{call}/why", "boss")
    assert status == 200, told
    found: dict[str, Any] = told
    return found


# ---------------------------------------------------------------- which caller


@pytest.mark.parametrize("balance", [True, False])
async def test_with_balance_the_promise_that_is_nearest_to_being_broken_comes_first(
    world: World, balance: bool
) -> None:
    """`late` came first; `soon` has waited longer in proportion."""
    await balanced(world, balance)
    async with at_work(world, {"soon": 5, "late": 5}, talk=0.2) as (name, phone):
        late = await waiting(world, "late")
        soon = await waiting(world, "soon")
        await ready(world, name, phone)
        order = [(await phone.next_call()).caller for _ in range(2)]
        await asyncio.gather(late.wait(), soon.wait())
        assert order == ([soon.number, late.number] if balance else [late.number, soon.number])
        assert (await offer(world, soon if balance else late))["decision"]["rule"] == "next_caller"


async def balanced(world: World, yes: bool) -> None:
    """Until the server routes so."""
    file = world.config.paths.flows / "queues.yaml"
    wanted = QUEUES.replace("balance: true", f"balance: {str(yes).lower()}")
    if file.read_text() != wanted:
        before = (await world.rows("SELECT max(version) AS version FROM crm.flow_versions WHERE live"))[0]["version"]
        file.write_text(wanted)
        newer = "SELECT version FROM crm.flow_versions WHERE live AND version > $1"
        live = (await world.row_when(newer, before))["version"]
        await siege.logged(world, f"flows version {live} is live")


async def test_the_capacity_is_that_of_the_calendar_that_is_open(world: World) -> None:
    async with at_work(world, {"some": 5}) as (one, first), at_work(world, {"some": 5}) as (two, second):
        await ready(world, one, first)
        await ready(world, two, second)
        both = [await waiting(world, "some") for _ in range(2)]
        for caller in both:
            await offer(world, caller)
        await siege.away(*both)
        for name in (one, two):
            await world.work(name, "idle")
        await world.cti("calendar", "open", "lunch", "--until", "2h")
        await world.until(lambda d: d["items"][0]["state"] == "open", "/calendars", "boss")
        served = await waiting(world, "some")
        await offer(world, served)
        held = await waiting(world, "some")
        assert (await why(world, held))["waits"]["why"] == "capacity"
        await world.cti("calendar", "auto", "lunch")
        let_in = await offer(world, held)
        assert 0.2 < let_in["waited"] < 12
        await siege.away(served, held)
        whole = [(await siege.over(world, caller.number))["call_id"] for caller in (*both, served, held)]
        await siege.whole(world, whole)


# ---------------------------------------------------------------- which agent


async def test_who_has_been_idle_for_longer_than_the_limit_goes_first(world: World) -> None:
    async with (
        at_work(world, {"fair": 1}, talk=0.2) as (low, idler),
        at_work(world, {"fair": 8}, talk=0.2) as (top, able),
    ):
        await ready(world, low, idler)
        await ready(world, top, able)
        caller = await waiting(world, "fair")
        found = await offer(world, caller)
        assert (found["agent"], found["decision"]["rule"]) == (top, "best_level")
        await caller.wait()
        await world.work(top, "idle")
        await world.until(lambda d: idle(d) > 5, f"/agents/{low}/why", "boss")
        caller = await waiting(world, "fair")
        found = await offer(world, caller)
        assert (found["agent"], found["decision"]["rule"]) == (low, "idle_limit")
        assert found["decision"]["idle"] > 5
        await caller.wait()


async def test_who_talked_to_him_last_is_waited_for_but_not_for_ever(world: World) -> None:
    async with at_work(world, {"known": 5}) as (one, first), at_work(world, {"known": 5}) as (two, second):
        await ready(world, one, first)
        await ready(world, two, second)
        number = new_number()
        caller = await waiting(world, "known", number)
        assert (await offer(world, caller))["agent"] == one
        await first.next_call()
        await siege.away(caller)
        await siege.over(world, number)
        await world.work(one, "idle")
        again = await waiting(world, "known", number)
        found = await offer(world, again, 1)
        assert (found["agent"], found["decision"]["rule"]) == (one, "last_agent"), "the other one has been idle longer"
        await first.next_call()
        await world.work(one, "talking")
        third = await Caller(world.sip, NUMBERS["known"], number=number, listen=False).start()
        found = await offer(world, third, 2)
        assert found["agent"] == two and 2.9 < found["waited"] < 4
        await siege.away(again, third)
