"""A server killed at any moment: the switch finishes what it began, and every call ends with its true times."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator

import pytest
from kit import Agent, Caller, World, crew, new_number, siege

from tests.kit_home import RunningHome, more_flows, running

pytestmark = pytest.mark.services
MENU = "6000"
DIRECT = "6100"  # queue `sales` at once
PATIENT = "6930"  # queue `patient` at once, whose agents' phones ring long
PATIENT_QUEUE = "  patient: {ring: 20s, wrap_up: 3s, skills: {sales: 1}}\n"
PATIENT_FLOW = """
flow: patient
language: en
start: wait
nodes:
  wait: {do: queue, queue: patient, answered: thanks, then: hangup}
  thanks: {do: say, say: {en: "Thank you for calling"}, then: hangup}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    """One whose server is killed by every test here."""
    flows = more_flows({PATIENT: "patient"}, PATIENT_QUEUE, patient=PATIENT_FLOW)
    with running(tmp_path_factory.mktemp("hit") / "home", flows) as home:
        yield home


class Gone:
    """The server, killed at `at`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pid = siege.kill(world.path, "server", signal.SIGKILL)
        self.at = time.time()

    async def back(self) -> float:
        """Until another one is ready; seconds since the kill."""
        await siege.another_pid(self.world.path, "server", self.pid)
        return await self.world.serves() - self.at


def sounds(*people: siege.Person) -> list[int]:
    return [len(siege.heard(one)) for one in people]


def longest_silence(one: siege.Person, start: int) -> float:
    """Seconds."""
    longest = run = last = 0
    for n in siege.silence(one, start):
        run = run + 1 if n == last + 1 else 1
        longest, last = max(longest, run), n
    return longest / 4


async def test_kill_during_conversations_and_waiting_callers(world: World) -> None:
    async with crew(world, 10) as phones:
        talkers = [Caller(world.sip, DIRECT, number=new_number()) for _ in range(10)]
        for caller in talkers:
            await caller.start()
        await asyncio.gather(*(caller.hears(880) for caller in talkers))
        waiters = [Caller(world.sip, DIRECT, number=new_number(), hz=660) for _ in range(5)]
        before = []
        for caller in waiters:
            await caller.start()
            before.append((await siege.visit(world, caller.number))["entered_at"])
        await asyncio.gather(*(siege.until_sound(caller) for caller in waiters))

        people: list[Caller | Agent] = [*talkers, *phones.values(), *waiters]
        start = sounds(*people)
        gone = Gone(world)
        took = await gone.back()
        await asyncio.sleep(max(0.0, gone.at + 4 - time.time()))  # callers come back each second
        lasted = time.time() - gone.at
        assert took < 5, f"back after {took:.1f} s"
        for one, begin in zip(people, start, strict=True):
            tones = siege.tones(one, begin)
            assert len(tones) > 4 * lasted - 3, f"{len(tones)} pieces of sound in {lasted:.1f} s"
            if one in talkers:
                assert set(tones) == {880}, tones
            elif isinstance(one, Agent):
                assert set(tones) == {440}, tones
            else:
                assert longest_silence(one, begin) < 1.5, "no music"
        assert not any(caller.ended_by for caller in [*talkers, *waiters])

        agents = list(phones.values())  # each agent that hangs up gets the next of those who wait
        for n, caller in enumerate(waiters):
            agents[n].call.hang_up()
            await caller.hears(880)
            for later in waiters[n + 1 :]:
                assert (await siege.visit(world, later.number))["left_at"] is None, "overtaken"
        assert [(await siege.visit(world, caller.number))["entered_at"] for caller in waiters] == before
        left = await siege.away(*talkers, *waiters)
        rows = [await siege.over(world, caller.number) for caller in [*talkers, *waiters]]
        assert [row["outcome"] for row in rows] == ["answered"] * 15
        for row in rows:
            assert abs(siege.seconds(row, "ended_at") - left[row["caller"]]) < 0.5, row
        calls = [row["call_id"] for row in rows]
        await siege.recorded(world, calls)
        await siege.whole(world, calls)
        for name in phones:
            assert (await world.work(name, "idle"))["wish"] == "ready"


async def test_who_hangs_up_while_the_server_is_away_left_then(world: World) -> None:
    async with crew(world, 4) as phones:
        callers = [await Caller(world.sip, DIRECT, number=new_number()).start() for _ in range(4)]
        await asyncio.gather(*(caller.hears(880) for caller in callers))
        queued = await Caller(world.sip, DIRECT, number=new_number()).start()
        await siege.visit(world, queued.number)
        by_caller, by_agent, by_both, stays = callers
        agents = {caller.number: phones[(await siege.visit(world, caller.number))["agent"]] for caller in callers}
        gone = Gone(world)
        await asyncio.sleep(0.3)  # a time that is neither the kill's nor the return's
        agents[by_agent.number].call.hang_up()
        agents[by_both.number].call.hang_up()
        left = await siege.away(by_caller, by_both, queued)
        said = agents[by_agent.number].call.at("hang_up")
        assert await gone.back() < 5
        await by_agent.wait()  # back in the loop, on to `answered:`, which hangs up
        rows = {caller.number: await siege.over(world, caller.number) for caller in (by_caller, by_both, by_agent)}
        for one in (by_caller, by_both):
            assert abs(siege.seconds(rows[one.number], "ended_at") - left[one.number]) < 0.5
        assert rows[by_caller.number]["hangup_side"] == "caller"
        assert rows[by_agent.number]["hangup_side"] == "agent"
        call = rows[by_agent.number]["call_id"]
        sql = "SELECT at, data FROM crm.v_call_events WHERE call_id = $1 AND type = 'call.disconnected'"
        (over,) = await world.rows(sql, call)
        assert abs(over["at"].timestamp() - said) < 0.5 and over["data"]["by"] == "agent"
        row = await siege.over(world, queued.number)
        assert row["outcome"] in ("abandoned", "short_abandon")
        assert abs(siege.seconds(row, "ended_at") - left[queued.number]) < 0.5
        assert not stays.ended_by
        await siege.away(stays)
        rows[stays.number] = await siege.over(world, stays.number)
        answered = [row["call_id"] for row in rows.values()]
        await siege.recorded(world, answered)
        await siege.whole(world, [*answered, row["call_id"]])
        for name in phones:
            assert (await world.work(name, "idle"))["wish"] == "ready"


async def test_a_phone_answered_while_the_server_is_away_is_connected_then(world: World) -> None:
    async with crew(world, 1, answer_after=0.5) as phones:
        ((name, phone),) = phones.items()
        caller = await Caller(world.sip, PATIENT, number=new_number()).start()
        await phone.next_call()
        gone = Gone(world)
        await caller.hears(880)
        assert await gone.back() < 5
        await world.work(name, "talking")
        left = await siege.away(caller)
        row = await siege.over(world, caller.number)
        assert abs(siege.seconds(row, "connected_at") - phone.call.at("answered")) < 0.3
        assert abs(siege.seconds(row, "ended_at") - left[caller.number]) < 0.5
        assert await siege.offers(world, row["call_id"]) == ["answered"]
        await siege.recorded(world, [row["call_id"]])
        await siege.whole(world, [row["call_id"]])


async def test_a_phone_that_rings_on_over_the_restart_is_not_given_up(world: World) -> None:
    async with crew(world, 1, answer_after=7) as phones:
        ((name, phone),) = phones.items()
        caller = await Caller(world.sip, PATIENT, number=new_number()).start()
        await phone.next_call()
        gone = Gone(world)
        assert await gone.back() < 5
        await world.work(name, "reserved")
        await caller.hears(880, 12)
        await siege.away(caller)
        row = await siege.over(world, caller.number)
        assert await siege.offers(world, row["call_id"]) == ["answered"]
        assert (await world.work(name, "wrap_up"))["wish"] == "ready"
        await siege.whole(world, [row["call_id"]])


async def test_a_caller_who_leaves_a_ringing_phone_while_the_server_is_away(world: World) -> None:
    async with crew(world, 1, answer_after=None) as phones:
        ((name, phone),) = phones.items()
        caller = await Caller(world.sip, DIRECT, number=new_number()).start()
        await phone.next_call()
        gone = Gone(world)
        left = await siege.away(caller)
        assert await gone.back() < 5
        row = await siege.over(world, caller.number)
        assert abs(siege.seconds(row, "ended_at") - left[caller.number]) < 0.5
        assert await siege.offers(world, row["call_id"]) == ["caller_left"]
        await asyncio.wait_for(phone.call.ended.wait(), 5)
        assert (await world.work(name, "idle"))["wish"] == "ready"
        await siege.whole(world, [row["call_id"]])


async def test_a_prompt_that_played_is_played_again(world: World) -> None:
    caller = await Caller(world.sip, MENU, number=new_number()).start()
    await caller.answered()
    await siege.until_sound(caller)
    gone = Gone(world)
    assert await gone.back() < 5
    asked = "SELECT 1 FROM crm.v_calls WHERE caller = $1 AND queued_at IS NOT NULL"
    async with asyncio.timeout(10):
        while not await world.rows(asked, caller.number):
            assert caller.call is not None
            caller.call.press("1")
            await asyncio.sleep(0.5)
    await siege.away(caller)
    row = await siege.over(world, caller.number)
    await siege.whole(world, [row["call_id"]])


async def test_who_calls_while_the_server_is_away_hears_music_and_is_served(world: World) -> None:
    async with crew(world, 1) as phones:
        gone = Gone(world)
        caller = await Caller(world.sip, DIRECT, number=new_number()).start()
        leaver = await Caller(world.sip, DIRECT, number=new_number(), talk=0.3).start()
        assert caller.call is not None and leaver.call is not None
        await siege.until_sound(caller)
        await leaver.wait()
        away = siege.pid_or_none(world.path, "server") in (None, gone.pid)
        assert await gone.back() < 5
        await caller.hears(880)
        left = await siege.away(caller)
        row = await siege.over(world, caller.number)
        assert (row["outcome"], row["agent"]) == ("answered", *phones)
        assert abs(siege.seconds(row, "started_at") - caller.call.at("invite")) < 0.3
        assert abs(siege.seconds(row, "ended_at") - left[caller.number]) < 0.5
        other = await siege.over(world, leaver.number)
        assert abs(siege.seconds(other, "started_at") - leaver.call.at("invite")) < 0.3
        assert abs(siege.seconds(other, "ended_at") - leaver.call.at("ended")) < 0.5
        assert not away or (other["agent"], other["queued_at"]) == (None, None)
        await siege.whole(world, [row["call_id"], other["call_id"]])


async def test_wrap_up_runs_on_over_a_restart(world: World) -> None:
    async with crew(world, 1) as phones:
        (name,) = phones
        caller = await Caller(world.sip, PATIENT, number=new_number()).start()
        await caller.hears(880)
        await siege.away(caller)
        await world.work(name, "wrap_up")
        gone = Gone(world)
        assert await gone.back() < 5
        row = await siege.over(world, caller.number)
        assert (await world.work(name, "idle"))["wish"] == "ready"
        row = await world.row_when(
            "SELECT * FROM crm.v_calls WHERE call_id = $1 AND wrapped_at IS NOT NULL", row["call_id"]
        )
        assert 2.9 < siege.seconds(row, "wrapped_at") - siege.seconds(row, "ended_at") < 8, row


async def test_a_frozen_server_is_killed_and_callers_go_on(world: World) -> None:
    async with crew(world, 1) as phones:
        caller = await Caller(world.sip, DIRECT, number=new_number()).start()
        await caller.hears(880)
        waiter = await Caller(world.sip, DIRECT, number=new_number()).start()
        await siege.visit(world, waiter.number)
        start = sounds(caller, waiter)
        at = time.time()
        old = siege.kill(world.path, "server", signal.SIGSTOP)
        await siege.another_pid(world.path, "server", old, 20)
        took = await world.serves() - at
        assert 10 < took < 20, took
        assert set(siege.tones(caller, start[0])) == {880}
        assert longest_silence(waiter, start[1]) < 1.5, "no music"
        next(iter(phones.values())).call.hang_up()
        await waiter.hears(880)
        left = await siege.away(caller, waiter)
        rows = [await siege.over(world, one.number) for one in (caller, waiter)]
        assert abs(siege.seconds(rows[1], "ended_at") - left[waiter.number]) < 0.5
        await siege.whole(world, [row["call_id"] for row in rows])
    await siege.logged(world, "has not answered for 10 s: killed")


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_killed_again_and_again_under_load(world: World) -> None:
    """The server is killed every few seconds, at moments nobody chose, while calls come, talk, wait and go."""
    async with crew(world, 6, listen=False) as phones:
        for n, phone in enumerate(phones.values()):
            phone.talk = 0.5 + 0.5 * n
        callers: list[Caller] = []
        killed = 0
        next_kill = time.time() + 3
        end = time.time() + 45
        while time.time() < end:
            stays = (None, 0.3, 2.0, 4.0)[len(callers) % 4]
            caller = Caller(world.sip, DIRECT, number=new_number(), talk=stays, listen=False)
            callers.append(await caller.start())
            await asyncio.sleep(0.4)
            if time.time() > next_kill and siege.pid_or_none(world.path, "server") is not None:
                Gone(world)
                killed += 1
                next_kill = time.time() + 2.5 + 0.37 * (killed % 5)
        await world.serves()
        for caller in callers:
            await caller.wait(60)
        rows = [await siege.over(world, caller.number) for caller in callers]
        for row, caller in zip(rows, callers, strict=True):
            assert caller.call is not None
            off = siege.seconds(row, "ended_at") - caller.call.at("ended")
            assert abs(off) < 0.5, (off, row)
        for name in phones:
            await world.work(name, "idle", 20)
        calls = [row["call_id"] for row in rows]
        await siege.whole(world, calls)
        talked = [row for row in rows if row["connected_at"]]  # a few milliseconds leave nothing to record
        long = [r["call_id"] for r in talked if siege.seconds(r, "ended_at") - siege.seconds(r, "connected_at") > 0.3]
        await siege.recorded(world, long, 30)
