"""Callbacks on real phones: the agent's phone first, then the customer's; whatever either of them does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from kit import Caller, Customers, World, crew, new_number, siege, tone, wav_tones
from kit.sound import loudest

from cti.demo.call import Call
from tests.kit_home import RunningHome, more_flows, running
from tests.kit_ports import free_port

pytestmark = pytest.mark.services
ASK = "6950"  # "1": call me back; "2": queue `back`
QUEUE = "  back: {ring: 5s, wrap_up: 0s, skills: {sales: 1}, callback: {tries: 2, every: 60s, ring: 15s}}\n"
FLOW = """
flow: back
language: en
start: which
nodes:
  which: {do: menu, say: {en: "One"}, options: {"1": call_me, "2": wait}, input_timeout: 5s, fail: hangup}
  call_me: {do: callback, queue: back, ask: false, then: hangup}
  wait: {do: queue, queue: back, answered: hangup, then: hangup}
"""


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[RunningHome]:
    """One with a way out, whose server the tests here may kill."""
    trunk = 'match = ["127.0.0.1"]'
    changes = {trunk: f'{trunk}, contact = "sip:127.0.0.1:{port}"'}
    flows = more_flows({ASK: "back"}, QUEUE, back=FLOW)
    with running(tmp_path_factory.mktemp("back") / "home", flows, changes) as home:
        yield home


@pytest.fixture
async def customers(world: World, port: int) -> AsyncIterator[Customers]:
    async with Customers(world, port) as there:
        yield there
    await world.rows("UPDATE crm.callbacks SET state = 'cancelled' WHERE state IN ('open', 'dialing')")


async def asks(world: World, number: str) -> dict[str, Any]:
    """A caller presses for a callback and leaves; its row."""
    caller = await Caller(world.sip, ASK, number=number, keys=[(0.5, "1")]).start()
    await caller.wait()
    return await row(world, number)


async def row(world: World, number: str, state: str = "", timeout: float = 15) -> dict[str, Any]:
    sql = "SELECT * FROM crm.v_callbacks WHERE number = $1 AND ($2 = '' OR state = $2) ORDER BY requested_at"
    return await world.row_when(sql, number, state, timeout=timeout)


async def open_again(world: World, number: str) -> dict[str, Any]:
    """It was called, and waits once more."""
    sql = "SELECT * FROM crm.v_callbacks WHERE number = $1 AND state = 'open' AND last_result IS NOT NULL"
    return await world.row_when(sql, number)


async def made(world: World, number: str, timeout: float = 15) -> dict[str, Any]:
    """The call that was made for him and is over."""
    sql = "SELECT * FROM crm.v_calls WHERE called = $1 AND direction = 'outbound' AND ended_at IS NOT NULL ORDER BY 1"
    return await world.row_when(sql, number, timeout=timeout)


async def hears(call: Call, hz: int, timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        await call.answered.wait()
        while call.media is None or loudest(bytes(call.media.heard[-4000:])) != hz:
            await asyncio.sleep(0.05)


async def test_the_agent_then_the_customer_are_rung_and_talk_and_are_recorded(
    world: World, customers: Customers
) -> None:
    number = new_number()
    customers.answer[number] = 7.0
    asked = await asks(world, number)
    assert (asked["state"], asked["queue"], asked["tries"]) == ("open", "back", 0)
    async with crew(world, 1) as phones:
        ((name, phone),) = phones.items()
        agent = await phone.next_call()
        customer = await customers.rung(number)
        assert agent.caller == number
        assert customer.at("invite") > agent.at("answered"), "the customer was rung before the agent was there"
        assert customer.caller == ASK
        await hears(agent, 440)  # he hears it ring
        await hears(agent, 660)
        await hears(customer, 880)
        assert (await world.work(name, "talking"))["call_id"]
        customer.hang_up()
        await asyncio.wait_for(agent.ended.wait(), 5)
        call = await made(world, number)
        assert (call["outcome"], call["queue"], call["agent"]) == ("answered", "back", name)
        assert (call["story_id"], call["hangup_side"]) == (asked["call_id"], "caller")
        done = await row(world, number, "done")
        assert (done["served_call_id"], done["ended_by"], done["tries"]) == (call["call_id"], name, 0)
        await world.work(name, "idle")
        (recording,) = await siege.recorded(world, [call["call_id"]])
        assert wav_tones(world.config.paths.recordings / recording["path"]) == (660, 880)
        assert not await world.rows("SELECT 1 FROM crm.v_queue_visits WHERE call_id = $1", call["call_id"])
        await siege.whole(world, [call["call_id"]])


async def idle(world: World, name: str, wish: str = "ready", reason: str = "") -> None:
    """Until the agent's work is over; then he is as he should be."""
    found = await world.work(name, "idle")
    assert (found["wish"], found["reason"]) == (wish, reason)


async def restarted(world: World) -> None:
    """The server is killed, and another one is ready."""
    old = siege.kill(world.path, "server", signal.SIGKILL)
    await siege.another_pid(world.path, "server", old)
    await world.serves()


async def test_a_busy_customer_is_tried_again_when_it_is_time_and_the_agent_is_free_at_once(
    world: World, customers: Customers
) -> None:
    number = new_number()
    customers.busy.add(number)
    await asks(world, number)
    async with crew(world, 1) as phones:
        ((name, phone),) = phones.items()
        agent = await phone.next_call()
        await asyncio.wait_for(agent.ended.wait(), 5)
        assert agent.ended_by == "them"
        await idle(world, name)
        call = await made(world, number)
        assert (call["outcome"], call["agent"], call["hangup_cause"]) == ("busy", name, 17)
        tried = await open_again(world, number)
        assert (tried["tries"], tried["last_result"]) == (1, "busy")
        assert 55 < (tried["not_before"] - call["ended_at"]).total_seconds() < 65
        await asyncio.sleep(1)
        assert len(customers.calls[number]) == 1, "he is called again at once"
        # what the next server reads is what counts: the time has come
        await world.rows("UPDATE crm.callbacks SET not_before = now() WHERE number = $1", number)
        customers.busy.clear()
        customers.answer[number] = 0.2
        await restarted(world)
        again = await customers.rung(number, 2)
        await hears(again, 880)
        again.hang_up()
        done = await row(world, number, "done")
        assert (done["tries"], done["last_result"]) == (1, "busy")
        await idle(world, name)


async def test_a_customer_who_does_not_answer_is_let_be(world: World, customers: Customers) -> None:
    number = new_number()
    await asks(world, number)
    async with crew(world, 1) as phones:
        ((name, phone),) = phones.items()
        agent = await phone.next_call()
        customer = await customers.rung(number)
        await asyncio.wait_for(customer.ended.wait(), 20)
        assert 14 < customer.at("ended") - customer.at("invite") < 18
        await asyncio.wait_for(agent.ended.wait(), 5)
        assert (await made(world, number))["outcome"] == "no_answer"
        assert (await open_again(world, number))["last_result"] == "no_answer"
        await idle(world, name)
    await world.rows("UPDATE crm.callbacks SET state = 'cancelled' WHERE number = $1", number)


async def test_an_agent_who_does_not_pick_up_is_no_try_and_another_one_calls(
    world: World, customers: Customers
) -> None:
    number = new_number()
    customers.answer[number] = 0.1
    await asks(world, number)
    async with crew(world, 1, answer_after=None) as sleepers:
        (sleeper,) = sleepers
        await next(iter(sleepers.values())).next_call()
        await world.until(lambda d: d["items"][0]["reason"] == "missed", "/agents", sleeper, 15)
        assert number not in customers.calls
        waiting = await open_again(world, number)
        assert (waiting["tries"], waiting["last_result"]) == (0, "no_agent")
        async with crew(world, 1) as phones:
            ((name, phone),) = phones.items()
            customer = await customers.rung(number)
            await hears(customer, 880)
            phone.call.hang_up()
            await asyncio.wait_for(customer.ended.wait(), 5)
            calls = "SELECT * FROM crm.v_calls WHERE called = $1 AND outcome = 'answered' AND ended_at IS NOT NULL"
            assert (await world.row_when(calls, number))["hangup_side"] == "agent"
            await idle(world, name)


async def test_an_agent_who_hangs_up_while_the_customers_phone_rings_ends_that_at_once(
    world: World, customers: Customers
) -> None:
    number = new_number()
    await asks(world, number)
    async with crew(world, 1) as phones:
        ((name, phone),) = phones.items()
        agent = await phone.next_call()
        customer = await customers.rung(number)
        agent.hang_up()
        await asyncio.wait_for(customer.ended.wait(), 5)
        assert customer.at("ended") - agent.at("hang_up") < 1
        await idle(world, name, "not_ready", "rejected")
        left = await open_again(world, number)
        assert (left["tries"], left["last_result"]) == (1, "agent_left")
        assert (left["not_before"] - left["requested_at"]).total_seconds() > 60, "not called again at once"
    await world.rows("UPDATE crm.callbacks SET state = 'cancelled' WHERE number = $1", number)


async def test_an_agent_who_answers_and_hangs_up_at_once_cannot_make_a_phone_ring_that_is_not_counted(
    world: World, customers: Customers
) -> None:
    number, sql = new_number(), "SELECT 1 FROM crm.v_callbacks WHERE number = $1 AND last_result IS NOT NULL"
    await asks(world, number)
    async with crew(world, 1) as phones:
        ((name, phone),) = phones.items()
        agent = await phone.next_call()
        await asyncio.wait_for(agent.answered.wait(), 5)
        agent.hang_up()
        await idle(world, name, "not_ready", "rejected")
        await world.row_when(sql, number)
        for customer in customers.calls.get(number, []):
            await asyncio.wait_for(customer.ended.wait(), 5)
            assert customer.at("ended") - agent.at("hang_up") < 1
        left = await open_again(world, number)
        assert left["tries"] >= len(customers.calls.get(number, []))
        assert left["last_result"] == ("agent_left" if left["tries"] else "no_agent")
    await world.rows("UPDATE crm.callbacks SET state = 'cancelled' WHERE number = $1", number)


async def test_a_customer_who_calls_again_has_his_place(world: World, customers: Customers) -> None:
    number, other = new_number(), new_number()
    asked = await asks(world, number)
    before = await Caller(world.sip, ASK, number=other, keys=[(0.5, "2")]).start()
    await siege.visit(world, other)
    again = await Caller(world.sip, ASK, number=number, keys=[(0.5, "2")]).start()
    merged = await row(world, number, "merged")
    assert merged["ended_by"] == "caller"
    kept = await world.row_when("SELECT * FROM crm.v_call_events WHERE type = 'call.place_kept' AND call_id = $1",
                                merged["served_call_id"])  # fmt: skip
    assert abs(kept["data"]["since"] - asked["since"].timestamp()) < 0.01
    async with crew(world, 1) as phones:
        await again.hears(880)
        await siege.away(again)
        await before.hears(880)
        await siege.away(before)
        (name,) = phones
        await idle(world, name)
        assert number not in customers.calls


async def test_two_requests_of_one_number_are_one_callback(world: World, customers: Customers) -> None:
    number = new_number()
    customers.answer[number] = 0.1
    first = await asks(world, number)
    await asks(world, number)
    merged = await row(world, number, "merged")
    assert merged["callback_id"] != first["callback_id"]
    async with crew(world, 1) as phones:
        customer = await customers.rung(number)
        await hears(customer, 880)
        customer.hang_up()
        assert (await row(world, number, "done"))["callback_id"] == first["callback_id"]
        (name,) = phones
        await idle(world, name)
    assert len(customers.calls[number]) == 1


@pytest.mark.parametrize("step", ["agent_rings", "agent_answered", "customer_rings", "they_talk"])
async def test_the_server_is_killed_at_any_step(world: World, customers: Customers, step: str) -> None:
    """Who rings rings on, who talks talks on; nobody is called twice, nobody hangs in the air."""
    number = new_number()
    await asks(world, number)
    async with crew(world, 1, answer_after=3.5 if step == "agent_rings" else 0.1) as phones:
        ((name, phone),) = phones.items()
        agent = await phone.next_call()
        if step == "agent_answered":
            await asyncio.wait_for(agent.answered.wait(), 5)
        elif step != "agent_rings":
            customer = await customers.rung(number)
        if step == "they_talk":
            customer.answer(tone(660))
            await hears(customer, 880)
        await restarted(world)
        customer = await customers.rung(number)
        customer.answer(tone(660))
        await hears(customer, 880)
        await hears(agent, 660)
        customer.hang_up()
        await asyncio.wait_for(agent.ended.wait(), 5)
        assert (await made(world, number))["outcome"] == "answered"
        assert (await row(world, number, "done"))["tries"] == 0
        await idle(world, name)
        assert (len(customers.calls[number]), len(phone.calls)) == (1, 1)


async def test_the_customers_phone_was_busy_while_no_server_ran(world: World, customers: Customers) -> None:
    number = new_number()
    await asks(world, number)
    async with crew(world, 1) as phones:
        ((name, phone),) = phones.items()
        agent = await phone.next_call()
        customer = await customers.rung(number)
        old = siege.kill(world.path, "server", signal.SIGKILL)
        customer.reject(486)
        await siege.another_pid(world.path, "server", old)
        await world.serves()
        await asyncio.wait_for(agent.ended.wait(), 10)
        tried = await open_again(world, number)
        assert (tried["tries"], tried["last_result"]) == (1, "busy")
        await idle(world, name)
        assert len(customers.calls[number]) == 1
    await world.rows("UPDATE crm.callbacks SET state = 'cancelled' WHERE number = $1", number)
