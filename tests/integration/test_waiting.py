"""Who waits in a queue, on real calls: what he hears, what his keys do, and what his agent hears first."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kit import Agent, Caller, World, at_work, loudest, new_number, siege
from kit.sound import linear, power

from tests.kit_home import RunningHome, running
from tests.kit_sound import sine
from tests.kit_until import until

pytestmark = pytest.mark.services
ANNOUNCED, WHISPERED, CALLER, AGENT, MUSIC = 660, 1320, 440, 880, 1760
VOICE = 3000.0  # of an agent's tone; music has it nowhere
FLOWS = {
    "main.yaml": """
flow: main
language: en
start: wait
nodes:
  wait: {do: queue, queue: told, options: {"1": call_me, "2": bye}, answered: hangup, then: hangup}
  call_me: {do: callback, queue: told, then: hangup}
  bye: {do: hangup}
""",
    "plain.yaml": """
flow: plain
language: en
start: wait
nodes:
  wait: {do: queue, queue: plain, answered: hangup, then: hangup}
""",
    "quiet.yaml": """
flow: quiet
language: en
start: wait
nodes:
  wait: {do: queue, queue: quiet, answered: hangup, then: hangup}
""",
    "gold.yaml": """
flow: gold
language: en
start: wait
nodes:
  wait: {do: queue, queue: gold, options: {"1": back}, answered: hangup, then: hangup}
  back: {do: queue, queue: plain, answered: hangup, then: hangup}
""",
    "numbers.yaml": 'numbers: {"6000": main, "6100": plain, "6200": quiet, "6300": gold}\n',
    "queues.yaml": """
queues:
  told: {ring: 10s, wrap_up: 0s, announce: {position: true, play: tone, first: 2s, every: 10s}}
  plain: {ring: 10s, wrap_up: 0s}
  gold: {ring: 10s, wrap_up: 0s, music: gold}
  quiet: {ring: 10s, wrap_up: 0s, whisper: {play: hush}}
""",
    "calendars.yaml": "calendars: {}\n",
}


FILES = {
    **FLOWS,
    "prompts/en/tone.wav": sine(ANNOUNCED, 6),
    "prompts/en/hush.wav": sine(WHISPERED, 2),
    "music/gold/one.wav": sine(MUSIC, 20),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    with running(tmp_path_factory.mktemp("waiting") / "home", FILES) as home:
        yield home


async def dequeued(world: World, caller: str) -> dict[str, Any]:
    return await world.row_when(
        "SELECT v.*, c.outcome FROM crm.v_queue_visits v JOIN crm.v_calls c USING (call_id)"
        " WHERE c.caller = $1 AND v.result IS NOT NULL", caller,
    )  # fmt: skip


def hears(agent: Agent) -> int:
    media = agent.call.media if agent.calls else None
    return loudest(bytes(media.heard[-1600:]), (CALLER, ANNOUNCED, AGENT, WHISPERED)) if media is not None else 0


def press(caller: Caller, key: str) -> None:
    assert caller.call is not None
    caller.call.press(key)


async def announced(caller: Caller) -> None:
    """Until the announcement's tone is in his ear."""
    await until(lambda: len(caller.heard) > 1600 and loudest(caller.heard[-1600:]) == ANNOUNCED)


# ---------------------------------------------------------------- keys and announcements


async def test_he_hears_the_announcement_then_music_again_and_his_key_leads_to_a_callback(world: World) -> None:
    caller = await Caller(world.sip, "6000", number=new_number(), hz=CALLER).start()
    await announced(caller)
    await until(lambda: loudest(caller.heard[-1600:]) != ANNOUNCED)
    await until(lambda: set(caller.heard[-800:]) - set(b"\xff\x7f\xfe\x7e"))
    press(caller, "1")
    visit = await dequeued(world, caller.number)
    assert visit["result"] == "callback"
    told = await world.rows("SELECT data FROM crm.v_call_events WHERE call_id = $1 AND type = 'call.announced'",
                            visit["call_id"])  # fmt: skip
    assert len(told) >= 1
    caller.hang_up()
    await caller.wait()


async def test_a_key_in_an_announcement_counts(world: World) -> None:
    caller = await Caller(world.sip, "6000", number=new_number()).start()
    await announced(caller)
    press(caller, "2")
    assert (await dequeued(world, caller.number))["result"] == "left"
    await caller.wait()


async def test_a_key_while_the_phone_rings_stops_it(world: World) -> None:
    async with at_work(world, "told", answer_after=None) as (name, phone):
        caller = await Caller(world.sip, "6000", number=new_number()).start()
        call = await phone.next_call()
        await caller.answered()
        press(caller, "2")
        assert (await dequeued(world, caller.number))["result"] == "left"
        await asyncio.wait_for(call.ended.wait(), 5)
        await caller.wait()
        await world.work(name, "idle")
    offers = await world.rows("SELECT o.result FROM crm.v_offers o JOIN crm.v_calls c USING (call_id)"
                              " WHERE c.caller = $1", caller.number)  # fmt: skip
    assert [one["result"] for one in offers] == ["caller_left"]


async def connect(world: World, dials: str, skill: str, told: bool) -> float:
    """Seconds from the agent's answer until his voice is in the caller's ear."""
    async with at_work(world, skill, ready=False, answer_after=0.2) as (name, phone):
        caller = await Caller(world.sip, dials, number=new_number(), hz=CALLER).start()
        await caller.answered()
        if told:
            await announced(caller)
        await world.ready(name, phone.phone.number)
        call = await phone.next_call()
        at = await until(lambda: power(linear(caller.heard[-160:]), AGENT) > VOICE)
        await until(lambda: hears(phone) == CALLER)
        caller.hang_up()
        await caller.wait()
    return at - call.at("answered")


async def test_an_announcement_delays_no_connect(world: World) -> None:
    with_it = [await connect(world, "6000", "told", told=True) for _ in range(3)]
    without = [await connect(world, "6100", "plain", told=False) for _ in range(3)]
    print(f"from answer to voice: {with_it} s with an announcement, {without} s without")
    assert min(with_it) - min(without) < 0.2


async def test_one_caller_s_announcement_keeps_no_other_waiting(world: World) -> None:
    """Another one is connected while the first hears his."""
    first = await Caller(world.sip, "6000", number=new_number()).start()
    await announced(first)
    took = await connect(world, "6100", "plain", told=False)
    assert took < 0.5
    first.hang_up()
    await first.wait()


async def test_a_queue_has_its_own_music_also_while_no_server_is_there(world: World) -> None:
    def gold(caller: Caller) -> bool:
        return loudest(caller.heard[-1600:], (MUSIC, AGENT)) == MUSIC

    caller = await Caller(world.sip, "6300", number=new_number()).start()
    await until(lambda: len(caller.heard) > 1600 and gold(caller))
    pid = siege.kill(world.path, "server", signal.SIGKILL)
    mark = len(caller.heard)
    await until(lambda: len(caller.heard) > mark + 3 * 8000 and gold(caller))
    await siege.another_pid(world.path, "server", pid)
    await world.serves()
    async with asyncio.timeout(15):
        while gold(caller):  # until he is back with the server nobody hears his keys
            press(caller, "1")
            await asyncio.sleep(0.5)
    caller.hang_up()
    await caller.wait()


# ---------------------------------------------------------------- whisper


async def test_the_whisper_is_the_agent_s_alone(world: World) -> None:
    async with at_work(world, "quiet", answer_after=0.1) as (name, phone):
        caller = await Caller(world.sip, "6200", number=new_number(), hz=CALLER).start()
        await phone.next_call()
        await until(lambda: hears(phone) == WHISPERED)
        await until(lambda: hears(phone) == CALLER)
        await caller.hears(AGENT)
        heard = [loudest(caller.heard[at : at + 800], (ANNOUNCED, AGENT, WHISPERED))
                 for at in range(0, len(caller.heard) - 800, 800)]  # fmt: skip
        assert WHISPERED not in heard
        caller.hang_up()
        await caller.wait()
        await world.work(name, "idle")


async def test_who_leaves_in_the_whisper_frees_the_agent(world: World) -> None:
    async with at_work(world, "quiet", answer_after=0.1) as (name, phone):
        caller = await Caller(world.sip, "6200", number=new_number()).start()
        call = await phone.next_call()
        await until(lambda: hears(phone) == WHISPERED)
        caller.hang_up()
        at = time.time()
        await asyncio.wait_for(call.ended.wait(), 5)
        assert call.events[-1][0] - at < 0.2
        await caller.wait()
        assert (await dequeued(world, caller.number))["result"] in ("abandoned", "short_abandon")
        row = await world.work(name, "idle")
        assert row["wish"] == "ready"


# ---------------------------------------------------------------- leaving


@pytest.mark.parametrize("dials", ["6000", "6100"])
async def test_who_leaves_stops_the_ringing_at_once(world: World, dials: str) -> None:
    """With keys listened for, and without."""
    took = []
    async with at_work(world, "told" if dials == "6000" else "plain", answer_after=None) as (name, phone):
        for _ in range(26):
            caller = await Caller(world.sip, dials, number=new_number()).start()
            call = await phone.next_call()
            await caller.answered()
            caller.hang_up()
            at = time.time()
            await asyncio.wait_for(call.ended.wait(), 5)
            took.append(call.events[-1][0] - at)
            await caller.wait()
            await world.work(name, "idle")
    took.sort()
    print(f"{dials}: ringing stopped after {took[len(took) // 2]:.3f} s (half), {took[-1]:.3f} s (all)")
    assert took[-2] < 0.2
