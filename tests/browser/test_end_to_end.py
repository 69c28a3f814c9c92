"""The whole: a real call over SIP, seen and worked in a real browser."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kit import Agent, Caller, World, hired, new_agent, new_number, supervisor
from playwright.async_api import BrowserContext, Page

from cti.adapters import passwords

pytestmark = [pytest.mark.services, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
PASSWORD = "a long enough secret"
DID, SKILL = "6300", "desk"  # of tests/kit_home.py: a menu, then a queue with 60 s of wrap-up
EVIL = "<img src=x onerror=alert(1)>"


async def logged_in(world: World, page: Page, name: str) -> list[str]:
    """Log in through the page. What is returned stays empty on a good page: script errors and dialogs."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    await page.goto(world.url)
    await page.fill("#username", name)
    await page.fill("#password", PASSWORD)
    await page.click("#login-go")
    await page.wait_for_selector("#link[data-state=live]")
    return faults


KEYS = [(at, "1") for at in (0.4, 1.2, 2.0)]  # again, in case the prompt was not there yet


@asynccontextmanager
async def calling(world: World, caller: str, name: str = "") -> AsyncIterator[Caller]:
    """Somebody calls and presses 1; hung up at the end of the block."""
    call = await Caller(world.sip, DID, number=caller, name=name, keys=KEYS).start()
    try:
        yield call
    finally:
        call.hang_up()
        await call.wait()


@asynccontextmanager
async def agent(world: World, **treat: Any) -> AsyncIterator[tuple[str, Agent]]:
    """A new agent with a registered phone and a password; not signed on."""
    async with hired(world, new_agent({SKILL: 5}, password_hash=passwords.hash_password(PASSWORD)), **treat) as phones:
        ((name, phone),) = phones.items()
        yield name, phone


async def customer(world: World, caller: str) -> None:
    """王小明, a VIP with an open case and one abandoned call."""
    await world.rows(
        "WITH c AS (INSERT INTO crm.customers (display_name, tier, language) VALUES ('王小明', 'vip', 'zh')"
        "   RETURNING customer_id),"
        " n AS (INSERT INTO crm.customer_numbers (customer_id, number) SELECT customer_id, $1 FROM c),"
        " k AS (INSERT INTO crm.cases (customer_id, title) SELECT customer_id, 'Broken kettle' FROM c)"
        " INSERT INTO crm.calls (call_id, story_id, direction, caller, called, customer_id, queue, outcome,"
        "   started_at, ended_at, voicemail, recordings, attributes, finished)"
        " SELECT $2, $2, 'inbound', $1, '6000', customer_id, 'night_shift', 'abandoned',"
        "   now() - interval '1 day', now() - interval '1 day', false, 0, '{}', true FROM c",
        caller, uuid.uuid4(),
    )  # fmt: skip


async def sign_on(page: Page) -> None:
    await page.click("#sign-on")
    await page.wait_for_selector(".pill[data-state=ready]")


async def test_a_call_from_ring_to_note_in_the_page(world: World, context: BrowserContext) -> None:
    caller, page = new_number(), await context.new_page()
    await customer(world, caller)
    async with agent(world, answer_after=None) as (name, phone):
        faults = await logged_in(world, page, name)
        assert await page.input_value("#station") == phone.phone.number
        await sign_on(page)
        async with calling(world, caller, "Wang"):
            await page.wait_for_selector("#ring .who:has-text('王小明')")
            shown = await page.inner_text("#pop")
            assert [part for part in ("VIP", "Broken kettle", "Night shift", "Abandoned") if part not in shown] == []
            assert "Which: 1" in await page.inner_text("#ring .crumbs")
            assert "Pick up your phone" in await page.inner_text("#ring .tip")

            (await phone.next_call()).answer()
            await page.wait_for_selector("#talk .who:has-text('王小明')")
            await page.fill("#note", "wants a new kettle")
            await page.reload()
            await page.wait_for_selector("#talk")
        await page.wait_for_selector("#wrap")
        assert await page.input_value("#note") == "wants a new kettle"
        await page.click(".codes label:has-text('Sold')")
        await page.click("#finish")
        await page.wait_for_selector(".pill[data-state=ready]")
        await page.wait_for_selector("#recent tr:has-text('Sold')")

        told = "SELECT * FROM crm.v_calls WHERE caller = $1 AND called = $2 AND wrapped_at IS NOT NULL"
        row = await world.row_when(told, caller, DID)
        found = (row["agent"], row["outcome"], row["disposition"], row["hangup_side"])
        assert found == (name, "answered", "sold", "caller")
        async with calling(world, caller):
            await page.wait_for_selector("#pop li:has-text('wants a new kettle')")  # the next colleague reads it
        await page.wait_for_selector("#idle")
    assert faults == []


@pytest.mark.parametrize("called", [EVIL, "陈小红", 'O\'Brien \\ "Bob"'])
async def test_any_name_of_a_caller_is_text(world: World, context: BrowserContext, called: str) -> None:
    page = await context.new_page()
    async with agent(world, answer_after=None) as (name, _):
        faults = await logged_in(world, page, name)
        await sign_on(page)
        async with calling(world, new_number(), called):
            await page.wait_for_selector("#ring")
            assert await page.inner_text("#ring .who") == called
            assert await page.locator("main img, main script").count() == 0
        await page.wait_for_selector("#idle")
    assert faults == []


async def test_the_wallboard_moves_and_outlives_its_server(own_home: Any, context: BrowserContext) -> None:
    world, board = World(own_home.path), await context.new_page()
    faults = await logged_in(world, board, await supervisor(world, password_hash=passwords.hash_password(PASSWORD)))
    assert "Desk" in await board.inner_text("[data-queue=desk]")
    async with agent(world) as (name, phone), calling(world, new_number()) as call:
        await board.wait_for_selector("#tile-waiting .big:text-is('1')")
        await board.wait_for_selector("#alarm:visible")  # nobody is signed on
        await world.ready(name, phone.phone.number)
        await board.wait_for_selector(f"[data-agent={name}][data-state=talking]")
        await board.wait_for_selector("#tile-answered .big:has-text('1 / 1')")

        os.kill(own_home.pid("server"), signal.SIGKILL)
        await board.wait_for_selector("#stale:visible")
        assert "No data since" in await board.inner_text("#stale")
        await board.wait_for_selector("#stale", state="hidden", timeout=20000)
        await board.wait_for_selector(f"[data-agent={name}][data-state=talking]")  # they talk on
        call.hang_up()
        await board.wait_for_selector(f"[data-agent={name}][data-state=wrap_up]")
    assert faults == []
