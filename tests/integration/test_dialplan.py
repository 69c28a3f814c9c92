"""A call as the dialplan, the switch and the server make it together: one test for each thing it promises."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from kit import Caller, World, crew, new_number, siege

pytestmark = pytest.mark.services
MENU = "6000"  # "1" sales (ring 5 s, wrap-up 1 s), "2" support (no wrap-up, not recorded), "3" short (2 s at most)
DIRECT = "6100"  # queue `sales` at once


async def events(world: World, call: Any) -> list[str]:
    sql = "SELECT type FROM crm.v_call_events WHERE call_id = $1 ORDER BY seq"
    return [row["type"] for row in await world.rows(sql, call)]


async def test_a_waiting_caller_hears_music_then_his_agent_who_hears_him(world: World) -> None:
    caller = await Caller(world.sip, DIRECT, number=new_number()).start()
    await siege.visit(world, caller.number)
    await siege.until_sound(caller)
    async with crew(world, 1) as phones:
        await caller.hears(880)
        (phone,) = phones.values()
        assert phone.call.caller == caller.number
        async with asyncio.timeout(5):
            while 440 not in siege.tones(phone, 0)[-2:]:
                await asyncio.sleep(0.1)
        await siege.away(caller)
        row = await siege.over(world, caller.number)
        await siege.recorded(world, [row["call_id"]])
        await siege.whole(world, [row["call_id"]])


async def test_a_missed_offer_makes_not_ready_and_the_caller_keeps_his_place(world: World) -> None:
    async with crew(world, 1, answer_after=None) as phones:
        (name,) = phones
        first = await Caller(world.sip, DIRECT, number=new_number()).start()
        await next(iter(phones.values())).next_call()
        entered = (await siege.visit(world, first.number))["entered_at"]
        second = await Caller(world.sip, DIRECT, number=new_number()).start()
        await siege.visit(world, second.number)
        row = (await world.until(lambda d: d["items"][0]["wish"] == "not_ready", "/agents", name, 12))["items"][0]
        assert (row["reason"], row["work"]) == ("missed", "idle")
        async with crew(world, 1) as good:
            await first.hears(880)
            assert (await siege.visit(world, second.number))["left_at"] is None
            await siege.away(first, second)
            row = await siege.over(world, first.number)
            assert (row["agent"], (await siege.visit(world, first.number))["entered_at"]) == (*good, entered)
            assert await siege.offers(world, row["call_id"]) == ["missed", "answered"]
            other = await siege.over(world, second.number)
            await siege.whole(world, [row["call_id"], other["call_id"]])


async def test_when_the_agent_hangs_up_the_caller_goes_on_to_answered(world: World) -> None:
    async with crew(world, 1) as phones:
        caller = await Caller(world.sip, MENU, number=new_number(), keys=[(0.5, "1"), (2.5, "1")]).start()
        await caller.hears(880)
        (phone,) = phones.values()
        heard = len(caller.heard)
        phone.call.hang_up()
        await caller.wait()  # thanks: "Thank you", then the flow hangs up
        assert caller.ended_by == "them"
        assert len(siege.silence(caller, heard)) < len(siege.tones(caller, heard)), "nothing was said"
        row = await siege.over(world, caller.number)
        sql = "SELECT type, data FROM crm.v_call_events WHERE call_id = $1 ORDER BY seq"
        told = await world.rows(sql, row["call_id"])
        path = [found["data"]["node"] for found in told if found["type"] == "flow.node"]
        assert path[-2:] == ["sales", "thanks"], path
        assert [found["data"]["by"] for found in told if found["type"] == "call.disconnected"] == ["agent"]
        assert (row["outcome"], row["hangup_side"]) == ("answered", "system")  # the flow's own hang-up
        await siege.whole(world, [row["call_id"]])


async def test_when_the_agent_hangs_up_and_nothing_follows_the_call_ends_by_the_agent(world: World) -> None:
    async with crew(world, 1) as phones:
        caller = await Caller(world.sip, DIRECT, number=new_number()).start()
        await caller.hears(880)
        next(iter(phones.values())).call.hang_up()
        await caller.wait()
        row = await siege.over(world, caller.number)
        assert (caller.ended_by, row["outcome"], row["hangup_side"]) == ("them", "answered", "agent")


async def test_wrap_up_ends_by_its_timer(world: World) -> None:
    async with crew(world, 1) as phones:
        (name,) = phones
        caller = await Caller(world.sip, DIRECT, number=new_number()).start()
        await caller.hears(880)
        left = await siege.away(caller)
        await world.work(name, "wrap_up")
        await world.work(name, "idle")
        assert 0.9 < time.time() - left[caller.number] < 3
        sql = "SELECT * FROM crm.v_calls WHERE caller = $1 AND wrapped_at IS NOT NULL"
        row = await world.row_when(sql, caller.number)
        assert 0.9 < siege.seconds(row, "wrapped_at") - siege.seconds(row, "ended_at") < 1.5


async def test_wrap_up_is_extended_once_and_finished_by_the_agent(world: World) -> None:
    async with crew(world, 1) as phones:
        (name,) = phones
        caller = await Caller(world.sip, DIRECT, number=new_number()).start()
        await caller.hears(880)
        await siege.away(caller)
        await world.work(name, "wrap_up")
        path = f"/agents/{name}/wrap-up"
        assert (await world.call("POST", path, name, {"action": "extend"}))[0] == 200
        assert (await world.call("POST", path, name, {"action": "extend"}))[0] == 409
        assert (await world.call("POST", path, name, {"action": "finish"}))[0] == 200
        await world.work(name, "idle")
        assert (await world.call("POST", path, name, {"action": "finish"}))[0] == 409


async def test_a_wish_stated_while_talking_holds_after_the_call(world: World) -> None:
    async with crew(world, 1) as phones:
        (name,) = phones
        caller = await Caller(world.sip, DIRECT, number=new_number()).start()
        await caller.hears(880)
        status, row = await world.call(
            "PUT", f"/agents/{name}/state", name, {"state": "not_ready", "reason": "lunch"}
        )
        assert (status, row["next_state"], row["work"]) == (200, "not_ready", "talking")
        await siege.away(caller)
        row = await world.work(name, "idle")
        assert (row["wish"], row["reason"]) == ("not_ready", "lunch")


async def test_waiting_longer_than_max_wait_goes_on_in_the_flow(world: World) -> None:
    caller = await Caller(world.sip, MENU, number=new_number(), keys=[(0.5, "3"), (2.5, "3")]).start()
    await caller.wait()
    row = await siege.over(world, caller.number)
    visit = await siege.visit(world, caller.number)
    assert (row["outcome"], visit["result"]) == ("timeout", "timeout")
    assert 1.9 < siege.seconds(visit, "left_at") - siege.seconds(visit, "entered_at") < 2.6
    await siege.whole(world, [row["call_id"]])


async def test_a_queue_that_records_nothing(world: World) -> None:
    async with crew(world, 1, skill="support"):
        caller = await Caller(world.sip, MENU, number=new_number(), keys=[(0.5, "2"), (2.5, "2")]).start()
        await caller.hears(880)
        await siege.away(caller)
        row = await siege.over(world, caller.number)
        assert not [kind for kind in await events(world, row["call_id"]) if kind.startswith("recording.")]
        spool = list((world.config.paths.recordings / "spool").glob("*"))
        assert not [f for f in spool if f.stat().st_mtime > siege.seconds(row, "connected_at")]


async def test_the_longest_idle_agent_gets_the_call(world: World) -> None:
    async with crew(world, 3) as phones:
        order = []
        for _ in range(4):
            caller = await Caller(world.sip, DIRECT, number=new_number(), talk=None).start()
            await caller.hears(880)
            await siege.away(caller)
            order.append((await siege.over(world, caller.number))["agent"])
            await world.work(order[-1], "idle")
        assert order == [*phones, next(iter(phones))]


async def test_an_agent_whose_phone_is_lost_is_not_ready_until_it_is_back(world: World) -> None:
    async with crew(world, 1) as phones:
        ((name, phone),) = phones.items()
        assert await phone.phone.register(0) == 200
        row = await world.until(lambda d: d["items"][0]["wish"] == "not_ready", "/agents", name)
        assert row["items"][0]["reason"] == "link"
        assert await phone.phone.register(120) == 200
        await world.until(lambda d: d["items"][0]["wish"] == "ready", "/agents", name)


async def test_a_key_pressed_during_the_welcome_answers_the_menu(world: World) -> None:
    async with crew(world, 1) as phones:
        caller = await Caller(world.sip, "6400", number=new_number(), keys=[(0.8, "1")]).start()
        await caller.hears(880)
        await siege.away(caller)
        row = await siege.over(world, caller.number)
        assert (row["outcome"], row["agent"]) == ("answered", *phones)
        assert (row["queued_at"] - row["started_at"]).total_seconds() < 3, "the welcome was cut short"
