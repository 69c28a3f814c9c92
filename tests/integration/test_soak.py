"""Half an hour (CTI_SOAK_SECONDS) of callers, phones, customers who are called back and supervisors who do as they
please, at five calls a second; run by `make soak`.

Looked at from outside all the while: nobody is offered twice, nobody is stuck, no agent is reserved whose phone does
not ring; nothing leaks, and in the end everything adds up. Nobody sends sound: it is the routing that is tried."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kit import Agent, Caller, Customers, World
from kit.crowd import agents, channels, hire, no_channels
from kit.sums import callbacks_add_up, calls_add_up

from cti.adapters import postgres_people
from cti.adapters.postgres import Store
from tests.kit_home import RunningHome, more_flows, running
from tests.kit_ports import free_port

SECONDS = float(os.environ.get("CTI_SOAK_SECONDS", "1800"))
RATE = 5.0
SEATS = {f"soak{n:02d}": f"70{n:02d}" for n in range(24)}
SKILLS = ({"sales": 5, "support": 5}, {"sales": 2, "mixed": 5}, {"support": 3, "vips": 1}, {"mixed": 1, "short": 1})
LOOK = 0.4  # s between two looks from outside
STUCK = 1.0  # s
pytestmark = [pytest.mark.soak, pytest.mark.services, pytest.mark.timeout(SECONDS + 300)]
QUEUES = """  mixed:
    skills: {mixed: 4}
    relax: [{after: 3s, skills: {mixed: 1}}, {after: 6s, any_agent: true}]
    ring: 5s
    wrap_up: 0s
    max_wait: 30s
    agents: fastest
    last_agent: 2s
    return_within: 1m
    recording: never
    announce: {position: true, wait: true, first: 2s, every: 10s}
    callback: {tries: 2, every: 60s, ring: 5s}
  few: {skills: {any: [{sales: 3}, {vips: 1}]}, capacity: 3, agents: best_level, ring: 5s, wrap_up: 0s, max_wait: 20s}
"""
MIXED = """
flow: mixed
language: en
start: wait
nodes:
  wait:
    do: queue
    queue: mixed
    priority: "{{ 3 if call.caller[-1] == '7' else 0 }}"
    options: {"1": few, "2": bye, "3": call_me}
    agent: soak01
    agent_for: 1s
    answered: hangup
    then: few
  few: {do: queue, queue: few, options: {"1": wait}, answered: hangup, then: bye}
  call_me: {do: callback, queue: mixed, ask: false, then: bye}
  bye: {do: say, say: {en: "Goodbye"}, then: hangup}
"""


NUMBERS = 4000  # of callers; they come again and again


def number(n: int) -> str:
    return f"+62815{n % NUMBERS:07d}"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def busy_home(tmp_path: Path, port: int) -> Iterator[RunningHome]:
    trunk = 'match = ["127.0.0.1"]'
    changes = {trunk: f'{trunk}, contact = "sip:127.0.0.1:{port}"'}
    with running(tmp_path / "home", more_flows({"6960": "mixed"}, QUEUES, mixed=MIXED), changes) as home:
        yield home


def memory(pid: int) -> int:
    """Resident megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 1_000_000


# ---------------------------------------------------------------- people who do as they please


def moods(chance: random.Random, phone: Agent) -> None:
    """How the phone treats the next call."""
    phone.reject = chance.choice([0] * 16 + [486, 480, 603])
    phone.answer_after = chance.choice([0.05, 0.1, 0.5, 1.5, None] if chance.random() < 0.3 else [0.1])
    phone.talk = chance.choice([0.0, 0.3, 1.0, 3.0, None])


def called_back(customers: Customers, chance: random.Random) -> None:
    """What each customer's phone does: it is busy, it only rings, or somebody answers."""
    for n in range(NUMBERS):
        mood = chance.random()
        if mood < 0.25:
            customers.busy.add(number(n))
        elif mood < 0.8:
            customers.answer[number(n)] = chance.uniform(0.1, 3)


async def one_call(world: World, chance: random.Random, n: int) -> None:
    stage = chance.choice(["invite", "trying", "answered"])
    leave = (stage, chance.uniform(0, 6)) if chance.random() < 0.3 else None
    caller = Caller(
        world.sip, chance.choice(["6000", "6100", "6200", "6960", "6960"]), number=number(n),
        leave=leave, hz=0, listen=False,
        keys=[(0.3, chance.choice("1123")), (2.0, chance.choice("113")), (5.0, chance.choice("123"))],
        talk=chance.uniform(1, 6),
    )  # fmt: skip
    await (await caller.start()).wait(180)


async def keep_ready(world: World, chance: random.Random, phones: dict[str, Agent]) -> None:
    """Agents come back from missed calls, wander off, and come back again; some are sent by the supervisor."""
    while True:
        for name, row in (await agents(world)).items():
            moods(chance, phones[name])
            wish = chance.choice(["not_ready", "logged_out"]) if chance.random() < 0.03 else "ready"
            if row["wish"] != wish and row["next_wish"] != wish:
                body = {"state": wish, "station": SEATS[name]} | ({"reason": "break"} if wish == "not_ready" else {})
                await world.call("PUT", f"/agents/{name}/state", chance.choice([name, "boss"]), body)
        await asyncio.sleep(1)


async def supervise(world: World, chance: random.Random, done: Counter[str]) -> None:
    """Callers who wait are made more urgent, and moved."""
    while True:
        await asyncio.sleep(chance.uniform(0.5, 2))
        waiting = (await world.call("GET", "/waiting", "boss"))[1]["items"]
        if waiting:
            call = chance.choice(waiting)["call_id"]
            verb, body = chance.choice([
                ("priority", {"priority": chance.randint(-5, 20)}),
                ("move", {"queue": chance.choice(["sales", "support", "vips", "mixed", "few"])}),
            ])  # fmt: skip
            done[f"{verb} {(await world.call('POST', f'/calls/{call}/{verb}', 'boss', body))[0]}"] += 1


async def cancel(world: World, chance: random.Random, done: Counter[str]) -> None:
    """Callbacks are called off, some of them too late."""
    while True:
        await asyncio.sleep(chance.uniform(2, 5))
        open_ones = (await world.call("GET", "/callbacks?state=open", "boss"))[1]["items"]
        if open_ones:
            one = chance.choice(open_ones)["callback_id"]
            done[f"cancel {(await world.call('POST', f'/callbacks/{one}/cancel', 'boss'))[0]}"] += 1


async def teach(world: World, chance: random.Random, done: Counter[str]) -> None:
    """Skills come and go."""
    store = await Store.open(world.config.postgres.dsn)
    try:
        while True:
            await asyncio.sleep(chance.uniform(1, 4))
            skill, level = chance.choice(["sales", "support", "mixed", "vips"]), chance.choice([0, 1, 3, 5])
            await postgres_people.set_skill(store, chance.choice(list(SEATS)), skill, level)
            done["skill"] += 1
    finally:
        await store.close()


# ---------------------------------------------------------------- a look from outside


class Watch:
    """What was seen to be wrong, and for how long it has been so."""

    def __init__(self, world: World, phones: Mapping[str, Agent]) -> None:
        self.world, self.phones = world, phones
        self.since: dict[tuple[Any, ...], float] = {}
        self.faults: deque[str] = deque(maxlen=50)
        self.looks = 0

    async def look(self) -> None:
        """Forever."""
        while True:
            began = time.monotonic()
            waiting = (await self.world.call("GET", "/waiting", "boss"))[1]["items"]
            rows = await agents(self.world)
            self.judge({*self.apart(waiting, rows), *self.silent(rows)})
            self.looks += 1
            await asyncio.sleep(max(0.0, began + LOOK - time.monotonic()))

    def judge(self, wrong: set[tuple[Any, ...]]) -> None:
        """What is wrong in one look may be about to be put right; not what stays so."""
        now = time.monotonic()
        self.since = {one: self.since.get(one, now) for one in wrong}
        for one, since in self.since.items():
            if now - since > STUCK + LOOK:
                self.faults.append(f"{time.time():.1f} for {now - since:.1f} s: {one}")

    def apart(self, waiting: list[dict[str, Any]], rows: dict[str, dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
        """A free agent and a caller whom he may serve."""
        free = [row for row in rows.values() if row["state"] == "ready" and row["reachable"]]
        for call in waiting:
            if call["why"] in ("", "busy", "nobody"):
                for row in free:
                    if fits(call["needs"], row["skills"]):
                        yield "free", row["agent"], row["since"], "waits", call["call_id"], call["queue"]

    def silent(self, rows: dict[str, dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
        """An agent who is reserved, or talks, and whose phone has no call."""
        for name, row in rows.items():
            calls = self.phones[name].calls if name in self.phones else []
            if row["work"] in ("reserved", "talking") and not any(not call.ended.is_set() for call in calls[-3:]):
                yield row["work"], name, row["since"], row["call_id"]


def fits(needs: dict[str, Any], skills: dict[str, int]) -> bool:
    def has(way: dict[str, int]) -> bool:
        return all(skills.get(skill, 0) >= level for skill, level in way.items())

    plain = {skill: level for skill, level in needs.items() if skill not in ("any", "also")}
    groups = needs.get("any", [])
    groups = groups if groups and isinstance(groups[0], list) else [groups] if groups else []
    return (has(plain) and all(any(map(has, group)) for group in groups)) or any(map(has, needs.get("also", [])))


# ---------------------------------------------------------------- the soak


async def test_anything_goes_for_a_long_time(busy_home: RunningHome, port: int) -> None:
    chance, done = random.Random(7), Counter[str]()
    world = World(busy_home.path)
    secrets: dict[str, str] = {}
    for n, skills in enumerate(SKILLS):
        secrets |= await hire(world, dict(list(SEATS.items())[n :: len(SKILLS)]), skills)
    phones = {n: await Agent(world.sip, s, secrets[s], hz=0, listen=False).start() for n, s in SEATS.items()}
    server, watch = busy_home.pid("server"), Watch(world, phones)
    async with Customers(world, port, talk=1.0, hz=0, listen=False) as customers:
        called_back(customers, chance)
        helpers = [asyncio.create_task(one) for one in (
            keep_ready(world, chance, phones), supervise(world, chance, done), cancel(world, chance, done),
            teach(world, chance, done), watch.look(),
        )]  # fmt: skip
        sizes, outcomes = await flood(world, chance, server, helpers)
        for helper in helpers[:-1]:
            helper.cancel()
        await all_go_home(world)
        helpers[-1].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*helpers)
        for phone in phones.values():
            await phone.stop()
        print(f"\n{len(outcomes)} calls in {SECONDS:.0f} s, {watch.looks} looks; supervisors: {dict(done)};"
              f" resident MB of the server: {sizes}")  # fmt: skip
        assert list(watch.faults) == []
        assert [fault for fault in outcomes if fault is not None] == []
        assert busy_home.pid("server") == server, "the server was not started anew"
        await calls_add_up(world)
        await callbacks_add_up(world, customers)
        await no_channels(world, 60)
    assert sizes[-1] < sizes[0] + 60


async def all_go_home(world: World) -> None:
    """Nobody is called back any more; until no agent is busy with anything."""
    for name in SEATS:
        await world.call("PUT", f"/agents/{name}/state", "boss", {"state": "logged_out"})
    async with asyncio.timeout(120):
        while any(row["work"] != "idle" or row["wish"] != "logged_out" for row in (await agents(world)).values()):
            await asyncio.sleep(0.2)


async def flood(
    world: World, chance: random.Random, server: int, helpers: list[asyncio.Task[None]]
) -> tuple[list[int], list[BaseException | None]]:
    """The server's size from time to time, and how each call went (None: as it should)."""
    calls: set[asyncio.Task[None]] = set()
    sizes, placed, end, outcomes = [memory(server)], 0, time.monotonic() + SECONDS, list[BaseException | None]()
    while time.monotonic() < end:
        calls.add(asyncio.create_task(one_call(world, chance, placed)))
        placed += 1
        if placed % 200 == 0:
            sizes.append(memory(server))
            over = {call for call in calls if call.done()}
            outcomes += [call.exception() for call in over]
            calls -= over
            assert await channels(world) <= 3 * len(calls) + 40
            assert not any(helper.done() for helper in helpers), [h.exception() for h in helpers if h.done()]
        await asyncio.sleep(chance.expovariate(RATE))
    outcomes += await asyncio.gather(*calls, return_exceptions=True)
    return sizes, outcomes
