"""Routing at its worst moments, on real calls: two who answer at once, skills, queues and servers that go away under a
ringing phone, one station for two, one agent in two browsers. Nobody is stuck and nothing is lost."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kit import Agent, Caller, World, crew, new_number, siege, supervisor
from kit.page import open_page
from kit.sound import tone

from tests.kit_home import RunningHome, more_flows, running

pytestmark = pytest.mark.services
CALM, DOOMED = "6950", "6951"
RING = 5.0  # s, of `calm`
QUEUES = """  calm: {ring: 5s, wrap_up: 0s, recording: never, return_within: 10m}
  doomed: {ring: 20s, wrap_up: 0s, recording: never}
"""
FLOW = """
flow: NAME
language: en
start: wait
nodes:
  wait: {do: queue, queue: NAME, answered: hangup, then: hangup}
"""
FILES = more_flows({CALM: "calm", DOOMED: "doomed"}, QUEUES, calm=FLOW.replace("NAME", "calm"),
                   doomed=FLOW.replace("NAME", "doomed"))  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    with running(tmp_path_factory.mktemp("tried") / "home", FILES) as home:
        yield home


async def waiting(world: World, dials: str = CALM, **more: Any) -> Caller:
    """A new caller who waits in the queue."""
    caller = await Caller(world.sip, dials, number=new_number(), listen=False, **more).start()
    await siege.visit(world, caller.number)
    return caller


async def call_id(world: World, caller: Caller) -> str:
    return str((await siege.visit(world, caller.number))["call_id"])


async def refused(world: World, dials: str) -> int:
    """How the switch answers a call to that number, when it ends."""
    caller = await Caller(world.sip, dials, number=new_number(), leave=("answered", 0.1), listen=False).start()
    return (await caller.wait()).status


async def finished(world: World, *callers: Caller) -> list[dict[str, Any]]:
    """All hang up; their rows, which are whole."""
    await siege.away(*callers)
    rows = [await siege.over(world, caller.number) for caller in callers]
    await siege.whole(world, [row["call_id"] for row in rows])
    return rows


async def all_idle(world: World, names: list[str], timeout: float = 5) -> None:
    for name in names:
        await world.work(name, "idle", timeout)


@asynccontextmanager
async def doing(*coroutines: Any) -> AsyncIterator[None]:
    """These run meanwhile."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


# ---------------------------------------------------------------- the same instant


async def test_two_phones_answer_the_same_instant_for_two_callers(world: World) -> None:
    async with crew(world, 2, "calm", answer_after=None, listen=False) as phones:
        for _ in range(10):
            callers = [await waiting(world) for _ in range(2)]
            rung = await asyncio.gather(*(phone.next_call() for phone in phones.values()))
            for call in rung:
                call.answer(tone(880))
            for name in phones:
                await world.work(name, "talking")
            rows = await finished(world, *callers)
            met = {call.caller: name for call, name in zip(rung, phones, strict=True)}
            assert {row["caller"]: row["agent"] for row in rows} == met
            for call in rung:
                await asyncio.wait_for(call.ended.wait(), 3)
            await all_idle(world, list(phones))


async def test_two_phones_answer_the_same_instant_for_one_caller(world: World) -> None:
    """The first picks up just as its time is over; the next is rung, and answers at once."""
    late = [-0.05, -0.02, 0.0, 0.02, 0.04, 0.08]
    rung: dict[str, list[tuple[str, Any]]] = {}

    async def treat(name: str, phone: Agent) -> None:
        while True:
            call = await phone.next_call(60)
            rung.setdefault(call.caller, []).append((name, call))
            if len(rung[call.caller]) == 1:
                after = call.at("invite") + RING + late[len(rung) - 1 if len(rung) <= len(late) else 0]
                await asyncio.sleep(max(0.0, after - time.time()))
            call.answer(tone(880))

    async with crew(world, 2 * len(late), "calm", answer_after=None, listen=False) as phones:
        async with doing(*(treat(name, phone) for name, phone in phones.items())):
            callers = [await waiting(world) for _ in late]
            for caller in callers:
                sql = "SELECT 1 FROM crm.v_calls WHERE caller = $1 AND connected_at IS NOT NULL"
                await world.row_when(sql, caller.number, timeout=RING + 10)
        rows = await finished(world, *callers)
        assert [row["outcome"] for row in rows] == ["answered"] * len(late)
        for row in rows:
            assert (await siege.offers(world, row["call_id"])).count("answered") == 1
            for _, call in rung[row["caller"]]:
                await asyncio.wait_for(call.ended.wait(), 5)
        await all_idle(world, list(phones))
        firsts = Counter(row["agent"] == rung[row["caller"]][0][0] for row in rows)
        print(f"\nof {len(late)} late answers {firsts[True]} were in time")


async def test_a_caller_who_leaves_stops_the_ringing_at_once(world: World) -> None:
    """From his BYE to the CANCEL at the agent's phone."""
    took: list[float] = []

    async def one(free: asyncio.Semaphore, after: float) -> None:
        async with free:
            caller = await Caller(world.sip, CALM, number=new_number(), hz=0, listen=False).start()
            async with asyncio.timeout(20):
                while caller.number not in ringing:
                    await asyncio.sleep(0.005)
            call = ringing[caller.number]
            await asyncio.sleep(after)
            caller.hang_up()
            await asyncio.wait_for(call.ended.wait(), 5)
            assert caller.call is not None
            took.append(call.at("ended") - caller.call.at("hang_up"))
            await caller.wait()

    ringing: dict[str, Any] = {}

    async def notice(phone: Agent) -> None:
        while True:
            call = await phone.next_call(60)
            ringing[call.caller] = call

    async with crew(world, 4, "calm", answer_after=None, listen=False) as phones:
        async with doing(*(notice(phone) for phone in phones.values())):
            free = asyncio.Semaphore(3)
            await asyncio.gather(*(one(free, 0.02 + 0.005 * (n % 60)) for n in range(120)))
        for name in phones:
            assert (await world.work(name, "idle"))["wish"] == "ready", "who left is nobody's miss"
    took.sort()
    p99 = took[math.ceil(len(took) * 0.99) - 1]
    print(f"\n{len(took)} callers left a ringing phone: it stopped after p50 {took[len(took) // 2] * 1000:.0f} ms,"
          f" p99 {p99 * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms")  # fmt: skip
    assert p99 < 0.2


# ---------------------------------------------------------------- what goes away under a ringing phone


async def test_skills_removed_while_a_phone_rings_count_from_the_next_call_on(world: World) -> None:
    async with crew(world, 1, "calm", answer_after=None, listen=False) as phones:
        ((name, phone),) = phones.items()
        caller = await waiting(world)
        call = await phone.next_call()
        await world.cti("agent", "skill", name, "calm=0")
        await world.until(lambda d: d["items"][0]["skills"] == {}, "/agents", name)
        call.answer(tone(880))
        await world.work(name, "talking")
        second = await waiting(world)
        (row,) = await finished(world, caller)
        assert (row["outcome"], row["agent"]) == ("answered", name)
        await world.work(name, "idle")
        why = (await world.call("GET", f"/agents/{name}/why", await supervisor(world)))[1]
        assert len(phone.calls) == 1, why
        await world.cti("agent", "skill", name, "calm=1")
        (await phone.next_call()).answer(tone(880))
        await world.work(name, "talking")
        await finished(world, second)


async def test_a_queue_removed_while_callers_wait_and_a_phone_rings(world: World) -> None:
    flows = world.path / "flows"
    async with crew(world, 1, "doomed", answer_after=None, listen=False) as phones:
        ((name, phone),) = phones.items()
        rings, waits = await waiting(world, DOOMED), await waiting(world, DOOMED)
        call = await phone.next_call()
        for file, text in {"numbers.yaml": '"6951": doomed, ', "queues.yaml": QUEUES.splitlines()[1]}.items():
            if file == "queues.yaml":
                (flows / "doomed.yaml").unlink()
            (flows / file).write_text((flows / file).read_text().replace(text, ""))
        async with asyncio.timeout(15):
            while (await refused(world, DOOMED)) < 400:
                await asyncio.sleep(0.2)
        assert not call.ended.is_set() and not waits.ended_by
        call.answer(tone(880))
        await world.work(name, "talking")
        await finished(world, rings)
        (await phone.next_call()).answer(tone(880))
        await world.work(name, "talking")
        (row,) = await finished(world, waits)
        assert (row["outcome"], row["agent"], row["queue"]) == ("answered", name, "doomed")
        await world.work(name, "idle")


# ---------------------------------------------------------------- one station for two, one agent twice


async def test_two_agents_at_the_same_station_at_the_same_instant(world: World) -> None:
    async with crew(world, 2, "calm", answer_after=None, listen=False) as phones:
        one, two = phones
        station = phones[one].phone.number
        for name in phones:
            await world.call("PUT", f"/agents/{name}/state", name, {"state": "logged_out"})
        body = {"state": "ready", "station": station}
        got = await asyncio.gather(*(world.call("PUT", f"/agents/{name}/state", name, body) for name in (one, two)))
        assert sorted(status for status, _ in got) == [200, 409]
        assert [said["code"] for status, said in got if status == 409] == ["station_in_use"]
        winner, loser = (one, two) if got[0][0] == 200 else (two, one)
        caller = await waiting(world)
        await phones[one].next_call()
        status, said = await world.call("PUT", f"/agents/{loser}/state", loser, body)
        assert (status, said["code"]) == (409, "station_in_use")
        (row,) = await finished(world, caller)
        assert [o["agent"] for o in await world.rows("SELECT agent FROM crm.v_offers WHERE call_id = $1",
                                                     row["call_id"])] == [winner]  # fmt: skip


async def test_an_agent_in_two_browsers_sees_the_same_in_both(world: World) -> None:
    async with crew(world, 1, "calm", answer_after=None, listen=False) as phones:
        ((name, phone),) = phones.items()
        async with open_page(world, name) as left, open_page(world, name) as right:
            caller = await waiting(world)
            (_, pop), (_, again) = [await page.pop(caller.number) for page in (left, right)]
            assert pop == again
            ident = pop["call"]["call_id"]
            got = await asyncio.gather(*(world.call("POST", f"/calls/{ident}/reject", name) for _ in "lr"))
            assert sorted(status for status, _ in got) == [200, 409], got
            await finished(world, caller)
            wishes: list[dict[str, Any]] = [{"state": "ready"}, {"state": "not_ready", "reason": "break"}] * 5
            await asyncio.gather(*(world.call("PUT", f"/agents/{name}/state", name, wish) for wish in wishes))
            row = (await world.call("GET", "/agents", name))[1]["items"][0]
            async with asyncio.timeout(5):
                while any(last_state(page) != (row["wish"], row["reason"]) for page in (left, right)):
                    await asyncio.sleep(0.05)
            states = [[(d["wish"], d["reason"], d["work"]) for _, d in p.all("agent_state")] for p in (left, right)]
            assert states[0] == states[1]
        assert len(phone.calls) == 1


def last_state(page: Any) -> tuple[str, str] | None:
    told = page.all("agent_state")
    return (told[-1][1]["wish"], told[-1][1]["reason"]) if told else None


# ---------------------------------------------------------------- a server or a database that goes away


async def test_the_order_of_those_who_wait_is_the_same_after_a_kill(world: World) -> None:
    """Priorities that were changed and places that were kept are part of it."""
    first = await waiting(world)
    leaver = await waiting(world)
    second, urgent = await waiting(world), await waiting(world)
    await siege.away(leaver)
    sql = "SELECT 1 FROM crm.v_call_events e JOIN crm.v_calls c USING (call_id) WHERE c.caller = $1 AND e.type = $2"
    await world.row_when(sql, leaver.number, "call.dequeued")
    back = await Caller(world.sip, CALM, number=leaver.number, listen=False).start()
    await world.row_when(sql, leaver.number, "call.place_kept")
    ident = await call_id(world, urgent)
    status, said = await world.call("POST", f"/calls/{ident}/priority", await supervisor(world), {"priority": 5})
    assert status == 200, said
    await world.row_when(sql, urgent.number, "call.priority_changed")
    old = siege.kill(world.path, "server", signal.SIGKILL)
    await siege.another_pid(world.path, "server", old)
    await world.serves()
    async with crew(world, 1, "calm", talk=0.2, listen=False) as phones:
        (phone,) = phones.values()
        served = [(await phone.next_call(15)).caller for _ in range(4)]
        people = [urgent, first, back, second]
        assert served == [caller.number for caller in people]
        await finished(world, *people)


async def test_offers_go_on_while_postgres_is_away(world: World) -> None:
    async with crew(world, 2, "calm", talk=0.5, listen=False) as phones:
        config = (world.config.paths.home / "postgres").resolve() / "postgresql.conf"
        config.rename(config.with_suffix(".away"))  # it cannot start again
        try:
            siege.kill(world.path, "postgres", signal.SIGKILL)
            await world.serves(False)
            callers = [await Caller(world.sip, CALM, number=new_number(), listen=False).start() for _ in range(8)]
            for caller in callers:
                await caller.wait(20)
        finally:
            config.with_suffix(".away").rename(config)
        await world.serves(True, 30)
        rows = [await siege.over(world, caller.number, 20) for caller in callers]
        assert [row["outcome"] for row in rows] == ["answered"] * 8
        assert {row["agent"] for row in rows} == set(phones)
        calls = [row["call_id"] for row in rows]
        await siege.whole(world, calls)
        offers = await world.rows("SELECT * FROM crm.v_offers WHERE call_id = ANY($1)", calls)
        assert len(offers) == 8 and all(offer["decision"]["rule"] for offer in offers)
        sql = "SELECT 1 FROM crm.v_agent_states WHERE work = 'reserved' AND call_id = ANY($1)"
        reserved = await world.rows(sql, calls)
        assert len(reserved) == 8


async def test_an_agent_may_not_do_what_a_supervisor_does(world: World) -> None:
    async with crew(world, 1, "nothing", listen=False) as phones:
        (name,) = phones
        caller = await waiting(world)
        ident = await call_id(world, caller)
        for path, body in {"priority": {"priority": 5}, "move": {"queue": "sales"}}.items():
            assert (await world.call("POST", f"/calls/{ident}/{path}", name, body))[0] == 403
        await finished(world, caller)
        status, said = await world.call("POST", f"/calls/{ident}/answer", name)
        assert status == 409, said
        status, said = await world.call("POST", f"/calls/{ident}/move", await supervisor(world), {"queue": "sales"})
        assert (status, said["code"]) == (409, "not_waiting")
