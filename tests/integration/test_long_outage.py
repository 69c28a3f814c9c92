"""PostgreSQL is away for minutes (CTI_OUTAGE_SECONDS) while callers come and go, agents change their states and
customers ask to be called back: nobody notices, and afterwards every row is there as it was. Only who asks meanwhile is
not called before PostgreSQL has told that his number may be."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from kit import Agent, Caller, Customers, World, crew, new_number, siege
from kit.crowd import hire

from tests.kit_home import FLOWS, RunningHome, clean
from tests.kit_ports import free_port

SECONDS = float(os.environ.get("CTI_OUTAGE_SECONDS", "60"))
pytestmark = [pytest.mark.services, pytest.mark.timeout(SECONDS + 240)]
DIRECT, ASK, FAR = "6100", "6950", "6951"
QUEUES = """  back: {ring: 5s, wrap_up: 0s, skills: {sales: 1}, recording: never, callback: {tries: 2, every: 10m}}
  far: {ring: 5s, recording: never, short_abandon: 0s, callback: {tries: 2}}
"""
BACK = """
flow: back
language: en
start: call_me
nodes:
  call_me: {do: callback, queue: back, ask: false, then: hangup}
"""
AWAY = """
flow: away
language: en
start: wait
nodes:
  wait: {do: queue, queue: far, options: {"1": call_me}, answered: hangup, then: hangup}
  call_me: {do: callback, queue: far, ask: false, then: hangup}
"""


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[RunningHome]:
    home = RunningHome(tmp_path_factory.mktemp("outage") / "home")
    trunk, toml = 'match = ["127.0.0.1"]', home.path / "cti.toml"
    toml.write_text(toml.read_text().replace(trunk, f'{trunk}, contact = "sip:127.0.0.1:{port}"'))
    flows = home.path / "flows"
    (flows / "numbers.yaml").write_text(FLOWS["numbers.yaml"].replace("{", '{"6950": back, "6951": away, '))
    (flows / "queues.yaml").write_text(FLOWS["queues.yaml"] + QUEUES)
    (flows / "back.yaml").write_text(BACK)
    (flows / "away.yaml").write_text(AWAY)
    with clean(home):
        home.start()
        yield home


class Story:
    """What has really happened, by the test's own clock."""

    def __init__(self) -> None:
        self.talked: dict[str, tuple[float, float]] = {}  # from when to when, by caller
        self.left: dict[str, float] = {}  # who hung up while he waited
        self.wishes: dict[str, list[tuple[float, str]]] = {}  # by agent
        self.asked: list[str] = []  # who is to be called back, and is
        self.busy: list[str] = []  # likewise, and whose phone is busy
        self.waits: dict[str, float] = {}  # whom nobody can serve, and since when he waits


async def talks(world: World, phones: dict[str, Agent], story: Story) -> None:
    caller = await Caller(world.sip, DIRECT, number=new_number(), hz=0, listen=False).start()
    async with asyncio.timeout(10):
        while not (met := [one for phone in phones.values() for one in phone.calls if one.caller == caller.number]):
            await asyncio.sleep(0.02)
        await met[0].answered.wait()
    since = time.time()
    await asyncio.sleep(1)
    story.talked[caller.number] = since, (await siege.away(caller))[caller.number]
    await asyncio.wait_for(met[0].ended.wait(), 5)


async def gives_up(world: World, story: Story) -> None:
    caller = Caller(world.sip, FAR, number=new_number(), hz=0, listen=False, leave=("answered", 1.0))
    await (await caller.start()).wait()
    assert caller.call is not None
    story.left[caller.number] = caller.call.at("ended")


async def asks(world: World, customers: Customers, story: Story) -> None:
    number, busy = new_number(), len(story.asked) > len(story.busy)
    if busy:
        customers.busy.add(number)
    else:
        customers.answer[number] = 0.1
    await (await Caller(world.sip, ASK, number=number, hz=0, listen=False).start()).wait()
    (story.busy if busy else story.asked).append(number)


async def keeps_his_place(world: World, story: Story) -> None:
    """He waits where nobody can serve him, and asks to be called back with a key."""
    caller = await Caller(world.sip, FAR, number=new_number(), hz=0, listen=False).start()
    await caller.answered()
    assert caller.call is not None
    story.waits[caller.number] = time.time()
    async with asyncio.timeout(10):
        while not caller.ended_by:
            caller.call.press("1")
            await asyncio.sleep(0.5)
    await caller.wait()


async def changes(world: World, name: str, station: str, wish: str, story: Story) -> None:
    body = {"state": wish, "station": station} | ({"reason": "break"} if wish == "not_ready" else {})
    status, told = await world.call("PUT", f"/agents/{name}/state", name, body)
    assert status == 200, told
    story.wishes[name].append((time.time(), wish))


async def a_round(
    world: World, phones: dict[str, Agent], customers: Customers, story: Story, away: bool = False
) -> None:
    """Everything that people do, once."""
    await asyncio.gather(talks(world, phones, story), gives_up(world, story), keeps_his_place(world, story))
    await asks(world, customers, story)
    if not away:
        await called(customers, story)
    for name, phone in phones.items():
        await world.until(lambda d: all(r["work"] == "idle" for r in d["items"]), "/agents", "boss")
        await changes(world, name, phone.phone.number, "not_ready", story)
    for name, phone in phones.items():
        await changes(world, name, phone.phone.number, "ready", story)


async def test_postgres_is_away_for_minutes_and_no_row_is_missing(cut_off: RunningHome, port: int) -> None:
    world, story = World(cut_off.path), Story()
    await hire(world, {}, {})
    config = (world.config.paths.home / "postgres").resolve() / "postgresql.conf"
    async with (
        Customers(world, port, listen=False, hz=0, talk=0.5) as customers,
        crew(world, 2, listen=False, hz=0) as phones,
    ):
        story.wishes = {name: [(time.time(), "ready")] for name in phones}
        await a_round(world, phones, customers, story)
        known = set(customers.calls)
        config.rename(config.with_suffix(".away"))  # it cannot start again
        try:
            siege.kill(world.path, "postgres", signal.SIGKILL)
            back, rounds = time.monotonic() + SECONDS, 0
            await world.serves(False)
            while time.monotonic() < back:
                await a_round(world, phones, customers, story, away=True)
                rounds += 1
            assert customers.calls.keys() == known
        finally:
            config.with_suffix(".away").rename(config)
        await world.serves(True, 40)
        await called(customers, story)
        await a_round(world, phones, customers, story)
        print(f"\n{rounds} rounds in {SECONDS:.0f} s without PostgreSQL")
        assert rounds >= 3
        await same(world, story, customers)


async def called(customers: Customers, story: Story) -> None:
    """Returns when all who have asked were rung."""
    await asyncio.gather(*(customers.rung(number, timeout=60) for number in (*story.asked, *story.busy)))


async def same(world: World, story: Story, customers: Customers) -> None:
    """What is stored is what has happened."""
    calls: list[Any] = []
    for number, (since, until) in story.talked.items():
        row = await siege.over(world, number)
        assert row["outcome"] == "answered" and near(row["connected_at"], since) and near(row["ended_at"], until), row
        calls.append(row["call_id"])
    for number, at in story.left.items():
        row = await siege.over(world, number)
        assert row["outcome"] == "abandoned" and near(row["ended_at"], at), row
        calls.append(row["call_id"])
    for number, at in story.waits.items():
        asked = await callback(world, number)
        assert asked["state"] == "open" and near(asked["since"], at), asked
    for number in story.asked:
        done = await callback(world, number, "done")
        assert done["tries"] == 0 and len(customers.calls[number]) == 1, done
    for number in story.busy:
        tried = await callback(world, number)
        assert (tried["state"], tried["tries"], tried["last_result"]) == ("open", 1, "busy"), tried
        assert len(customers.calls[number]) == 1
    made = await world.rows("SELECT call_id, called, outcome FROM crm.v_calls WHERE direction = 'outbound'")
    assert {(row["called"], row["outcome"]) for row in made} == {
        *((number, "answered") for number in story.asked), *((number, "busy") for number in story.busy),
    }  # fmt: skip
    assert len(made) == len(story.asked) + len(story.busy)
    await siege.whole(world, [*calls, *(row["call_id"] for row in made)])
    for name, wishes in story.wishes.items():
        rows = await world.rows("SELECT * FROM crm.v_agent_states WHERE agent = $1 ORDER BY since", name)
        assert all(one["until"] == two["since"] for one, two in pairwise(rows)), rows
        told = [row for row, before in zip(rows, [None, *rows], strict=False) if changed(row, before)]
        assert [row["wish"] for row in told] == [wish for _, wish in wishes]
        assert all(near(row["since"], at) for row, (at, _) in zip(told, wishes, strict=True))


def changed(row: dict[str, Any], before: dict[str, Any] | None) -> bool:
    return row["wish"] != (before or {"wish": "logged_out"})["wish"]


def near(moment: Any, at: float) -> bool:
    return abs(float(moment.timestamp()) - at) < 0.7


async def callback(world: World, number: str, state: str = "") -> dict[str, Any]:
    sql = "SELECT * FROM crm.v_callbacks WHERE number = $1 AND ($2 = '' OR state = $2)"
    return await world.row_when(sql, number, state)
