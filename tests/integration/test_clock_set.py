"""The machine's clock is set by an hour, forth and back, while callers wait, a phone rings, agents talk and write: what
was due in ten seconds is still due in ten seconds, and only calendars go by the hour of the day."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kit import Caller, Customers, World, crew, new_number, siege
from kit.crowd import hire

from tests.kit_home import RunningHome, clean
from tests.kit_ports import free_port

pytestmark = [pytest.mark.services]
HOUR = 3600.0
NEAR = 1.5  # s by which a deadline may be late
HELD, LATER = "6000", "6001"
QUEUES = """queues:
  held: {max_wait: 8s, ring: 5s, wrap_up: 6s, recording: never}
  later: {ring: 5s, wrap_up: 0s, skills: {held: 1}, recording: never, callback: {calendar: soon}}
"""
FLOWS = {
    "held.yaml": """
flow: held
language: en
start: wait
nodes:
  wait: {do: queue, queue: held, answered: hangup, then: hangup}
""",
    "later.yaml": """
flow: later
language: en
start: call_me
nodes:
  call_me: {do: callback, queue: later, ask: false, then: hangup}
""",
    "numbers.yaml": 'numbers: {"6000": held, "6001": later}\n',
    "queues.yaml": QUEUES,
}


def soon() -> str:
    """A calendar that is closed, and open in an hour."""
    first, last = (f"{datetime.now(UTC) + timedelta(minutes=away):%H:%M}" for away in (30, 90))
    return f'calendars:\n  soon: {{time_zone: UTC, week: {{mon-sun: ["{first}-{last}"]}}}}\n'


class Clock:
    """That of the server and of what the switch tells it."""

    def __init__(self, file: Path) -> None:
        self.file, self.by = file, 0.0
        self.file.write_text("0")

    def set(self, by: float) -> None:
        self.by += by
        draft = self.file.with_suffix(".new")
        draft.write_text(str(self.by))
        draft.replace(self.file)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock") / "by")


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory, port: int, clock: Clock) -> Iterator[RunningHome]:
    home = RunningHome(tmp_path_factory.mktemp("timed") / "home")
    trunk, toml = 'match = ["127.0.0.1"]', home.path / "cti.toml"
    toml.write_text(toml.read_text().replace(trunk, f'{trunk}, contact = "sip:127.0.0.1:{port}"'))
    flows = home.path / "flows"
    for old in flows.iterdir():
        old.unlink()
    for name, text in (FLOWS | {"calendars.yaml": soon()}).items():
        (flows / name).write_text(text)
    loaded = [str(Path(__file__).parent / "kit/clock"), os.environ.get("PYTHONPATH", "")]
    home.environ = {"PYTHONPATH": os.pathsep.join(filter(None, loaded)), "CLOCK_SET": str(clock.file)}
    with clean(home):
        home.start()
        yield home


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    return {}


@pytest.fixture
async def world(timed: RunningHome, clock: Clock, tokens: dict[str, str]) -> AsyncIterator[World]:
    world = World(timed.path)
    world.tokens = tokens
    await hire(world, {}, {})
    yield world
    if clock.by:
        await put(world, clock, -clock.by)


async def put(world: World, clock: Clock, by: float) -> None:
    """Set the clock; the server has seen it."""
    said = world.log().count("clock was set by")
    clock.set(by)
    async with asyncio.timeout(5):
        while world.log().count("clock was set by") == said:
            await asyncio.sleep(0.02)


async def waits(world: World, number: str) -> dict[str, Any]:
    """The row of this caller who waits."""
    found = await world.until(lambda d: any(row["caller"] == number for row in d["items"]), "/waiting", "boss")
    (row,) = (row for row in found["items"] if row["caller"] == number)
    assert isinstance(row, dict)
    return row


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


async def does(world: World, name: str, work: str) -> dict[str, Any]:
    """The agent's row once he does that."""
    found = await world.until(
        lambda d: any(row["agent"] == name and row["work"] == work for row in d["items"]), "/agents", "boss", 15
    )  # fmt: skip
    (row,) = (row for row in found["items"] if row["agent"] == name)
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forth", "back"])
async def test_who_waits_keeps_his_place_and_his_time(world: World, clock: Clock, by: float) -> None:
    first, second = (Caller(world.sip, HELD, number=new_number(), listen=False) for _ in range(2))
    began = {}
    for caller in (first, second):
        await caller.start()
        began[caller] = time.time()
        row = await waits(world, caller.number)
        assert abs(seconds(row["since"]) - clock.by - began[caller]) < NEAR
        if caller is first:
            await put(world, clock, by)
            row = await waits(world, first.number)
            assert abs(seconds(row["since"]) - clock.by - began[first]) < NEAR, "he has waited as long as he had"
    assert [(await waits(world, caller.number))["position"] for caller in (first, second)] == [1, 2]
    for caller in (first, second):
        await caller.wait()
        assert caller.call is not None and abs(caller.call.at("ended") - began[caller] - 8) < NEAR
    rows = [await siege.over(world, caller.number) for caller in (first, second)]
    assert [row["outcome"] for row in rows] == ["timeout", "timeout"]
    await siege.whole(world, [row["call_id"] for row in rows])


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forth", "back"])
async def test_a_phone_that_rings_and_one_that_talks_go_on_and_so_does_the_writing_after(
    world: World, clock: Clock, by: float
) -> None:
    async with crew(world, 1, "held", listen=False, answer_after=None) as phones:
        ((name, phone),) = phones.items()
        caller = await Caller(world.sip, HELD, number=new_number(), listen=False).start()
        rung = await phone.next_call()
        await put(world, clock, by)
        await asyncio.wait_for(rung.ended.wait(), 10)
        assert abs(rung.at("ended") - rung.at("invite") - 5) < NEAR
        assert (await does(world, name, "idle"))["wish"] == "not_ready"
        phone.answer_after = 0.1
        await world.ready(name, phone.phone.number)
        taken = await phone.next_call()
        await asyncio.wait_for(taken.answered.wait(), 5)
        await does(world, name, "talking")
        await put(world, clock, -by)
        assert not taken.ended.is_set()
        caller.hang_up()
        left = time.time()
        await asyncio.wait_for(taken.ended.wait(), 5)
        await does(world, name, "wrap_up")
        await put(world, clock, by)
        await does(world, name, "idle")
        assert abs(time.time() - left - 6) < NEAR
        await caller.wait()
        row = await siege.over(world, caller.number)
        assert (row["outcome"], row["agent"]) == ("answered", name)
        assert await siege.offers(world, row["call_id"]) == ["missed", "answered"]
        await siege.whole(world, [row["call_id"]])


async def asks(world: World, customers: Customers) -> str:
    """A customer who wants to be called back, and whom nobody calls before it is time."""
    number = new_number()
    customers.answer[number] = 0.1
    await (await Caller(world.sip, LATER, number=number, listen=False).start()).wait()
    asked = await world.row_when("SELECT * FROM crm.v_callbacks WHERE number = $1", number)
    await asyncio.sleep(1)
    assert asked["state"] == "open" and number not in customers.calls
    return number


async def test_customers_are_called_back_when_the_clock_says_that_it_is_time(
    world: World, clock: Clock, port: int
) -> None:
    async with (
        Customers(world, port, listen=False, hz=0, talk=0.3) as customers,
        crew(world, 1, "held", listen=False) as phones,
    ):
        (name,) = phones
        number = await asks(world, customers)
        await put(world, clock, HOUR)
        await customers.rung(number)
        await world.row_when("SELECT 1 FROM crm.v_callbacks WHERE number = $1 AND state = 'done'", number)
        await does(world, name, "idle")
        await put(world, clock, -HOUR)
        await asks(world, customers)
        assert list(customers.calls) == [number]
