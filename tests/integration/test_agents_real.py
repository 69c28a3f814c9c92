"""Agents' states with real phones: one that dies, wrap-up that a disposition ends, and what a supervisor does."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from kit import Caller, World, at_work, new_number, supervisor
from kit.page import open_page

pytestmark = pytest.mark.services
LOST_WITHIN = 16.0  # s: asked every 10 s, waited for 3 s, and a little


async def row_when(world: World, name: str, true: Any, timeout: float = 10) -> dict[str, Any]:
    found = await world.until(lambda d: true(d["items"][0]), "/agents", name, timeout)
    row: dict[str, Any] = found["items"][0]
    return row


async def test_a_phone_that_dies_is_noticed_soon_and_its_return_too(world: World) -> None:
    async with at_work(world, "vips") as (name, phone):
        idle_since = (await row_when(world, name, lambda row: row["state"] == "ready"))["idle_since"]
        phone.phone.silent = True
        began = time.monotonic()
        lost = await row_when(world, name, lambda row: row["state"] == "not_ready", 40)
        took = time.monotonic() - began
        assert (lost["reason"], lost["set_by"], lost["reachable"]) == ("link", None, False)
        assert took < LOST_WITHIN, took
        phone.phone.silent = False
        back = await row_when(world, name, lambda row: row["state"] == "ready", 40)
        away = time.monotonic() - began - took
        print(f"lost after {took:.1f} s, back after {away:.1f} s")
        assert back["idle_since"] == idle_since  # it was away for a moment only
        caller = await Caller(world.sip, "6200", number=new_number()).start()
        await phone.next_call()
        caller.hang_up()
        await caller.wait()


async def test_a_disposition_ends_the_wrap_up_on_a_real_call(world: World) -> None:
    async with at_work(world, "desk", talk=0.3) as (name, phone), open_page(world, name) as page:
        keys = [(at, "1") for at in (0.4, 1.2, 2.0)]  # again, in case the prompt was not there yet
        line = await Caller(world.sip, "6300", number=(caller := new_number()), keys=keys).start()
        _, pop = await page.pop(caller)
        assert pop["call"]["decision"]["rule"] in ("longest_idle", "next_caller")
        call_id = pop["call"]["call_id"]
        await phone.next_call()
        await world.work(name, "wrap_up")
        path, end = f"/calls/{call_id}/disposition", {"action": "finish"}
        assert (await world.call("PUT", path, name, {"code": "sold", "draft": True}))[0] == 200
        assert (await world.work(name, "wrap_up"))["work"] == "wrap_up"
        assert (await world.call("PUT", path, name, {"code": "sold"}))[0] == 200
        assert (await world.work(name, "idle"))["state"] == "ready"
        assert (await world.call("POST", f"/agents/{name}/wrap-up", name, end))[0] == 200
        await line.wait()
        shown = await world.cti("call", "show", call_id)
        assert "has finished wrap-up (disposition)" in shown
        assert "offered to" in shown and "the caller had waited" in shown


async def test_a_supervisor_raises_moves_and_asks_why(world: World) -> None:
    sari = await supervisor(world, display_name="Sari Dewi")
    line = await Caller(world.sip, "6200", number=(caller := new_number())).start()
    try:
        found = await world.until(lambda d: any(r["caller"] == caller for r in d["items"]), "/waiting", sari)
        [row] = [r for r in found["items"] if r["caller"] == caller]
        call = row["call_id"]
        status, said = await world.call("POST", f"/calls/{call}/priority", sari, {"priority": 7})
        assert (status, said["priority"], said["queue"]) == (200, 7, "vips")
        assert "nobody is signed on" in await world.cti("call", "why", call)
        status, said = await world.call("POST", f"/calls/{call}/move", sari, {"queue": "support"})
        assert (status, said["queue"], said["since"]) == (200, "support", row["since"])
        _, said = await world.call("POST", f"/calls/{call}/move", sari, {"queue": "nowhere"})
        assert said["code"] == "no_such_queue"
        async with at_work(world, "vips") as (name, phone), open_page(world, name) as page:
            status, said = await world.call("GET", f"/agents/{name}/why", sari)
            [about] = [r for r in said["queues"] if r["queue"] == "support" and r["why"] == "skills"]
            assert (said["why"], about["lacks"]) == ("", [{"skill": "support", "needs": 1, "has": 0}])
            assert "support" in await world.cti("agent", "why", name)
            await world.call("PUT", f"/agents/{name}/state", sari, {"state": "not_ready", "reason": "meeting"})
            async with asyncio.timeout(10):
                while not page.all("notice"):
                    await asyncio.sleep(0.02)
            notice = page.all("notice")[0][1]
            assert (notice["code"], notice["by"], notice["reason"]) == ("forced", "Sari Dewi", "meeting")
            assert not phone.calls
    finally:
        line.hang_up()
        await line.wait()
    audited = await world.rows("SELECT action FROM crm.audit WHERE actor = $1 ORDER BY at", sari)
    assert [row["action"] for row in audited] == ["call.priority_set", "call.moved", "agent.state_set"]
