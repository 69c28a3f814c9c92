"""The supervisors' page of callbacks in a real browser: what is open, cancelling one, entering one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from cti.core.messages import CancelCallback
from tests.browser.conftest import of_session
from tests.browser.test_pages import EVIL, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
I18N = Path(__file__).parents[2] / "webui" / "i18n"

WRONG = {"2001": "telephone of ours", "+1 809 555 1234": "Numbers of this country", "+19005551234": "Premium-rate",
         "+62 21 1234 5678": "is open in this queue already"}  # fmt: skip


@of_session
async def callbacks(desk: Any) -> Any:
    """Four that are open: one under way, one in its turn, one that sleeps, one of support whose calendar is closed."""
    engine, store = desk.site.engine, desk.site.store
    engine.rows["anna"]["name"] = "Anna Wijaya"
    made = [
        engine.calls_back(number="+6281200000001", state="dialing", why="calling", **{"for": "anna"}, position=None),
        engine.calls_back(number="+622112345678", priority=10, position=1),
        engine.calls_back(number="+6531380000", tries=2, next_try_at=time.time() + 600, why="later", position=None),
        engine.calls_back("support", "+6281200000004", why="closed", position=None, priority=-5),
    ]
    store.callbacks += [
        {"callback_id": made[1], "queue": "sales", "number": "+622112345678", "customer_name": EVIL, "asked_by": "sari",
         "asked_by_name": "Sari Supervisor"},
        {"callback_id": made[2], "queue": "sales", "number": "+6531380000", "last_result": "busy"},
    ]  # fmt: skip
    await desk.login("sari")
    await desk.page.goto(f"{desk.site.url}/callbacks")
    await desk.page.wait_for_selector("tr[data-callback]")
    return made


async def row(desk: Any, callback_id: str) -> str:
    return str(await desk.page.inner_text(f"tr[data-callback='{callback_id}']"))


async def test_those_that_are_open_are_shown_with_all_that_is_known(desk: Any, callbacks: list[str]) -> None:
    called, turn, sleeps, closed = [await row(desk, one) for one in callbacks]
    assert "0812-0000-0001" in called and "Being called" in called and "Anna Wijaya is with the call" in called
    for shown in ("(021) 12345678", EVIL, "entered by Sari Supervisor", "in its turn", "0 of 3", "10", "Waiting"):
        assert shown in turn
    assert "None of the 2 who could is free" in turn
    assert "+65 3138 0000" in sleeps and "2 of 3" in sleeps and "busy" in sleeps and "Until its next try" in sleeps
    assert "Support" in closed and "Until its calendar opens" in closed and "-5" in closed
    assert "· 4" in await desk.text("#count")
    assert await desk.page.is_disabled(f"[id='cancel-{callbacks[0]}']")
    assert await desk.page.locator("img[src=x]").count() == 0
    assert await desk.page.get_by_role("link", name="Wallboard").count() == 1


async def test_what_changes_is_shown_without_a_reload(desk: Any, callbacks: list[str]) -> None:
    rows = desk.site.engine.callback_rows
    rows[1] |= {"tries": 1, "state": "dialing", "why": "calling", "for": "budi"}
    await expect(desk.page.locator(f"tr[data-callback='{callbacks[1]}']")).to_contain_text("Being called")
    del rows[0], rows[1:]
    await expect(desk.page.locator("tr[data-callback]")).to_have_count(1)
    rows.clear()
    await desk.page.wait_for_selector("#none")
    assert await desk.text("#count") == ""


async def test_one_is_cancelled_after_a_question(desk: Any, callbacks: list[str]) -> None:
    page, button = desk.page, f"[id='cancel-{callbacks[1]}']"
    await page.focus(button)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#ask[open]")
    assert "(021) 12345678" in await desk.text("#ask") and "Sales" in await desk.text("#ask")
    assert await page.evaluate("document.activeElement.id") == "ask-no", "nothing is done by a second Enter"
    await page.keyboard.press("Escape")
    assert not any(isinstance(m, CancelCallback) for m in desk.site.engine.inputs)
    await page.click(button)
    await page.click("#ask-go")
    await page.wait_for_selector("#note:has-text('Done')")
    (asked,) = (m for m in desk.site.engine.inputs if isinstance(m, CancelCallback))
    assert (asked.callback_id, asked.by) == (callbacks[1], "sari")
    await expect(page.locator("tr[data-callback]")).to_have_count(3)


@pytest.mark.parametrize(("gone", "said"), [(False, "is being called just now"), (True, "over already")])
async def test_one_that_cannot_be_cancelled_any_more_is_said(
    desk: Any, callbacks: list[str], gone: bool, said: str
) -> None:
    page, engine = desk.page, desk.site.engine
    await page.click(f"[id='cancel-{callbacks[1]}']")
    if gone:
        engine.open_callbacks.remove(callbacks[1])
    else:
        engine.callback_rows[1]["state"] = "dialing"
    await page.click("#ask-go")
    await page.wait_for_selector(f"#note:has-text('{said}')")


async def test_one_queue_is_shown_alone_and_stays_so(desk: Any, callbacks: list[str]) -> None:
    page = desk.page
    await page.select_option("#queue", "support")
    await expect(page.locator("tr[data-callback]")).to_have_count(1)
    await page.reload()
    await expect(page.locator("tr[data-callback]")).to_have_count(1)
    assert page.url.endswith("/callbacks#support") and await page.input_value("#queue") == "support"
    await page.select_option("#queue", "")
    await expect(page.locator("tr[data-callback]")).to_have_count(4)


async def test_the_wallboards_count_leads_to_them(desk: Any) -> None:
    desk.site.engine.calls_back("support")
    await desk.login("sari")
    await desk.page.click("#callbacks-support")
    await desk.page.wait_for_selector("tr[data-callback]")
    assert desk.page.url.endswith("/callbacks#support")


async def test_one_is_entered_and_what_is_wrong_with_it_is_said(desk: Any, callbacks: list[str]) -> None:
    page, store = desk.page, desk.site.store
    await page.click("#new")
    assert await page.evaluate("document.activeElement.id") == "enter-number"
    for number, said in WRONG.items():
        await page.fill("#enter-number", number)
        await page.keyboard.press("Enter")
        await page.wait_for_selector(f"#enter-error:has-text('{said}')")
        assert await page.input_value("#enter-number") == number
    await page.fill("#enter-number", "0812 9999 0000")
    await page.fill("#enter-priority", "12")
    await page.select_option("#enter-delay", "3600")
    began = time.time()
    await page.click("#enter-go")
    await page.wait_for_selector("#note:has-text('entered')")
    made = store.callbacks[-1]
    assert (made["number"], made["queue"], made["priority"], made["by"]) == ("+6281299990000", "sales", 12, "sari")
    assert began + 3590 < made["not_before"] < time.time() + 3610
    await page.click("#new")
    await page.fill("#enter-number", "0812 9999 0001")
    await page.keyboard.press("Enter")
    await until(lambda: store.callbacks[-1]["number"] == "+6281299990001")
    assert (store.callbacks[-1]["priority"], store.callbacks[-1]["not_before"]) == (7, None)
    await page.click("#new")
    await page.fill("#enter-number", "0812 9999 0002")
    await page.fill("#enter-priority", "3000")
    await page.click("#enter-go")
    assert await page.evaluate("document.activeElement.id") == "enter-priority", "the browser says what is allowed"
    assert store.callbacks[-1]["number"] == "+6281299990001"


async def test_the_server_or_the_database_away(desk: Any, callbacks: list[str]) -> None:
    desk.site.store.away = True
    await expect(desk.page.locator("tr[data-callback]").nth(1)).not_to_contain_text("entered by")
    await desk.site.runner.cleanup()
    await desk.page.wait_for_selector("#failed:has-text('does not answer')")
    assert await desk.page.locator("tr[data-callback]").count() == 4, "what was known is still there"


@pytest.mark.parametrize("language", ["id", "zh"])
async def test_in_other_languages(desk: Any, callbacks: list[str], language: str) -> None:
    texts = json.loads((I18N / f"{language}.json").read_text("utf-8"))
    await desk.page.goto(f"{desk.site.url}/callbacks?lang={language}")
    for callback_id, ids in zip(callbacks, [["callbacks.dialing"], ["callbacks.in_turn"], ["callresult.busy"],
                                            ["whycall.closed"]], strict=True):  # fmt: skip
        await expect(desk.page.locator(f"tr[data-callback='{callback_id}']")).to_contain_text(texts[ids[0]])
    assert texts["callbacks.new"] in await desk.text("#new")


@pytest.mark.parametrize("dark", [False, True])
async def test_nothing_is_cut_off_on_a_phone(desk: Any, callbacks: list[str], dark: bool) -> None:
    page = desk.page
    await page.emulate_media(color_scheme="dark" if dark else "light")
    for width in (360, 768, 1440):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        box = await page.locator(f"[id='cancel-{callbacks[1]}']").bounding_box()
        assert box is not None and box["height"] >= 44 and box["x"] >= 0 and box["x"] + box["width"] <= width


async def test_an_agent_does_not_see_the_page(desk: Any) -> None:
    await desk.login("anna")
    answer = await desk.page.goto(f"{desk.site.url}/callbacks")
    assert answer.status == 403
