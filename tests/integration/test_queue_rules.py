"""What queues.yaml says of who may take a call and when, on real calls: relaxation, the agents' order, and each way in
which a caller does not wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kit import Agent, Caller, World, at_work, new_number

from tests.kit_home import RunningHome, running

pytestmark = pytest.mark.services
QUEUES = """
queues:
  eased: {skills: {eased: 3}, relax: [{after: 3s, skills: {eased: 1}}], ring: 10s, wrap_up: 0s}
  opened: {relax: [{after: 3s, any_agent: true}], ring: 10s, wrap_up: 0s}
  best: {agents: best_level, ring: 10s, wrap_up: 0s}
  fast: {agents: fastest, ring: 10s, wrap_up: 0s}
  short: {max_wait: 2s}
  small: {max_size: 1}
  shut: {calendar: never}
  alone: {overflow: {no_agents: 0s}}
"""
NUMBERS = {"eased": "6000", "opened": "6001", "best": "6002", "fast": "6003", "short": "6004", "small": "6005",
           "shut": "6006", "alone": "6007"}  # fmt: skip
FLOW = """
flow: {queue}
language: en
start: wait
nodes:
  wait: {{do: queue, queue: {queue}, then: hangup}}
"""
OFFER = ("SELECT o.*, extract(epoch FROM o.offered_at - v.entered_at)::float AS waited FROM crm.v_offers o"
         " JOIN crm.v_queue_visits v ON v.call_id = o.call_id AND v.seq = o.visit_seq"
         " JOIN crm.v_calls c ON c.call_id = o.call_id WHERE c.caller = $1")  # fmt: skip
ENDED = ("SELECT v.result, c.outcome, extract(epoch FROM v.left_at - v.entered_at)::float AS waited"
         " FROM crm.v_queue_visits v JOIN crm.v_calls c USING (call_id)"
         " WHERE c.caller = $1 AND c.ended_at IS NOT NULL")  # fmt: skip
QUEUED = "SELECT 1 FROM crm.v_calls WHERE caller = $1 AND queued_at IS NOT NULL"


FILES = {
    **{f"{queue}.yaml": FLOW.format(queue=queue) for queue in NUMBERS},
    "queues.yaml": QUEUES,
    "numbers.yaml": "numbers:\n" + "".join(f'  "{number}": {queue}\n' for queue, number in NUMBERS.items()),
    "calendars.yaml": "calendars:\n  never: {time_zone: UTC, week: {}}\n",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    with running(tmp_path_factory.mktemp("rules") / "home", FILES) as home:
        yield home


async def state(world: World, name: str, phone: Agent, wish: str) -> None:
    if wish == "ready":
        return await world.ready(name, phone.phone.number)
    body = {"state": wish, "station": phone.phone.number} | ({"reason": "break"} if wish == "not_ready" else {})
    assert (await world.call("PUT", f"/agents/{name}/state", name, body))[0] == 200
    return None


async def call(world: World, queue: str) -> tuple[str, Caller]:
    caller = await Caller(world.sip, NUMBERS[queue], number=new_number()).start()
    return caller.number, caller


async def offered(world: World, queue: str) -> dict[str, Any]:
    """The first offer of a call to the queue; the call is over."""
    number, caller = await call(world, queue)
    offer = await world.row_when(OFFER, number)
    await caller.wait()
    return offer


async def ended(world: World, queue: str) -> dict[str, Any]:
    number, caller = await call(world, queue)
    await caller.wait()
    return await world.row_when(ENDED, number)


# ---------------------------------------------------------------- relaxation


@pytest.mark.parametrize(("queue", "skill"), [("eased", "eased"), ("opened", "other")])
async def test_a_step_comes_when_its_time_has_come_or_at_once_when_nobody_signed_on_could_serve_before(
    world: World, queue: str, skill: str
) -> None:
    async with (
        at_work(world, queue, ready=False, level=5) as (able, holder),
        at_work(world, skill, ready=False, level=1, talk=0.2) as (less, helper),
    ):
        await state(world, able, holder, "not_ready")
        await state(world, less, helper, "ready")
        waited = await offered(world, queue)
        assert (waited["agent"], waited["decision"]["step"]) == (less, 1)
        assert 2.9 < waited["waited"] < 4
        await state(world, able, holder, "logged_out")
        at_once = await offered(world, queue)
        assert (at_once["agent"], at_once["decision"]["step"]) == (less, 1)
        assert at_once["waited"] < 1


# ---------------------------------------------------------------- which agent


async def test_the_best_level_comes_before_the_longest_idle(world: World) -> None:
    async with (
        at_work(world, "best", ready=False, level=3, talk=0.2) as (one, idle),
        at_work(world, "best", ready=False, level=8, talk=0.2) as (two, able),
    ):
        await state(world, one, idle, "ready")
        await state(world, two, able, "ready")
        found = await offered(world, "best")
        assert (found["agent"], found["decision"]["rule"]) == (two, "best_level")
        assert found["decision"]["over"][0]["agent"] == one


async def test_the_fastest_comes_before_the_longest_idle(world: World) -> None:
    async with (
        at_work(world, "fast", ready=False, talk=3.0) as (slow, slowly),
        at_work(world, "fast", ready=False, talk=0.2) as (quick, quickly),
    ):
        for name, phone in ((slow, slowly), (quick, quickly)):
            await state(world, name, phone, "ready")
            await offered(world, "fast")
            await state(world, name, phone, "not_ready")
        for name, phone in ((slow, slowly), (quick, quickly)):
            await state(world, name, phone, "ready")
        found = await offered(world, "fast")
        assert (found["agent"], found["decision"]["rule"]) == (quick, "fastest")


# ---------------------------------------------------------------- who does not wait


async def test_each_way_not_to_wait_has_its_result_and_outcome(world: World) -> None:
    timeout = await ended(world, "short")
    assert (timeout["result"], timeout["outcome"]) == ("timeout", "timeout") and 1.9 < timeout["waited"] < 3
    for queue, result in (("shut", "closed"), ("alone", "no_agents")):
        found = await ended(world, queue)
        assert (found["result"], found["outcome"]) == (result, result) and found["waited"] < 0.5
    first, waiting = await call(world, "small")
    await world.row_when(QUEUED, first)
    assert (await ended(world, "small"))["result"] == "full"
    waiting.hang_up()
    await waiting.wait()
    left = await world.row_when(ENDED, first)
    assert left["result"] == left["outcome"] == "short_abandon"
