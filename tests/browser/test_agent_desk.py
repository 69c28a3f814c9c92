"""Reasons and their limits, next states, what a supervisor does from the wallboard, in a real browser."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, expect

from cti.core.messages import ChangePriority, MoveCall, SetAgentState, SetDisposition, WrapUp
from tests.kit_until import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
EVIL = "<img src=x onerror=alert(1)>"
DECISION = {
    "rule": "longest_idle", "waited": 12.0, "priority": 10, "candidates": 3, "idle": 250.0, "step": 0,
    "needs": {"english": 3}, "levels": {"english": 5}, "over": [],
}  # fmt: skip


def inputs(site: Any, kind: type) -> list[Any]:
    return [message for message in site.engine.inputs if isinstance(message, kind)]


async def test_the_sites_reasons_their_limits_and_one_that_is_over(desk: Any) -> None:
    site, page = desk.site, desk.page
    msgspec.structs.force_setattr(site.settings, "reasons", {"break": 900.0, "night_shift": 0.0})
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    await page.click(".menu summary")
    shown = (await desk.text(".menu .items")).split("\n")
    assert [text.strip() for text in shown if text.strip()] == ["Break", "15 min", "Night shift", "Sign off"]
    await page.keyboard.press("Escape")
    await page.keyboard.press("Alt+Shift+KeyS")
    await page.keyboard.press("Enter")  # the first one, by the keyboard alone
    await page.wait_for_selector(".pill[data-state=not_ready]:has-text('Break')")
    assert "at most 15 min" in await desk.text(".pill")
    site.engine.change("anna", over_limit_since=time.time())
    site.hub.push("notice", {"code": "over_limit", "reason": "break", "minutes": 15.0}, "anna")
    await page.wait_for_selector(".pill[data-over]:has-text('Longer than 15 min')")
    assert "Break: the 15 min are over." in await desk.text("#toast")
    await page.click("#back")
    await page.wait_for_selector(".pill[data-state=ready]")


async def test_who_set_the_state_is_shown_by_name(desk: Any) -> None:
    await desk.login("anna")
    async with desk.site.client("sari") as client:
        body = {"state": "not_ready", "reason": "meeting"}
        assert (await client.put("/api/v1/agents/anna/state", json=body, headers={"X-CSRF": "1"})).status == 200
    await desk.page.wait_for_selector("#state:has-text('set by Sari Supervisor')")


@pytest.mark.parametrize("reason", ["missed", "rejected", "busy", "link"])
async def test_why_no_call_comes_and_one_click_back(desk: Any, reason: str) -> None:
    desk.site.engine.change("anna", wish="not_ready", reason=reason)
    await desk.login("anna")
    assert "You get no calls" in await desk.text("#idle .why.bad")
    await desk.page.click("#back")
    await desk.page.wait_for_selector(".pill[data-state=ready]")


async def test_the_next_state_is_shown_and_taken_back(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    site.engine.ring("anna")
    site.engine.change("anna", work="talking")
    await page.click(".menu summary")
    await page.click("#wish-lunch")
    await page.wait_for_selector(".nextrow:has-text('Next: Not ready (Lunch)')")
    await page.focus("#take-back")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".nextrow", state="detached")
    assert (inputs(site, SetAgentState)[-1].wish, site.engine.rows["anna"]["next_wish"]) == ("ready", "ready")


async def test_what_a_supervisor_does_is_told_in_the_agents_language(desk: Any, browser: Browser) -> None:
    site, page = desk.site, desk.page
    site.store.users["anna"].language = "id"
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    other = await browser.new_page(base_url=site.url)
    await other.goto("/login")
    await other.fill("#username", "sari")
    await other.fill("#password", "correct horse")
    await other.click("#login-go")
    await other.click("#agent-anna")
    await other.select_option("#ask-reason", "meeting")
    await other.click("#ask-not-ready")
    await page.wait_for_selector("#toast:has-text('Sari Supervisor mengubah status Anda menjadi: Tidak siap (Rapat)')")
    await page.wait_for_selector(".pill:has-text('diatur oleh sari')")
    assert [(m.by, m.reason) for m in inputs(site, SetAgentState)] == [("sari", "meeting")]

    site.engine.ring("anna")
    site.engine.change("anna", work="wrap_up", wrap_up_until=time.time() + 60)
    await page.wait_for_selector("#wrap")
    await other.wait_for_selector("[data-agent=anna][data-state=wrap_up]")
    await other.click("#agent-anna")
    await other.click("#ask-finish")
    await page.wait_for_selector("#idle")
    await page.wait_for_selector("#toast:has-text('mengakhiri penyelesaian Anda')")
    assert [m.by for m in inputs(site, WrapUp)] == ["sari"]
    await other.close()


async def test_two_browsers_of_one_agent_agree(desk: Any, browser: Browser) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    other = await browser.new_page(base_url=site.url)
    await other.goto("/login")
    await other.fill("#username", "anna")
    await other.fill("#password", "correct horse")
    await other.click("#login-go")
    await other.wait_for_selector(".pill[data-state=ready]")
    await page.click(".menu summary")
    await page.click("#wish-break")
    await other.wait_for_selector(".pill[data-state=not_ready]:has-text('Break')")
    await other.click("#ready")
    await page.wait_for_selector(".pill[data-state=ready]")
    site.engine.ring("anna")
    await page.wait_for_selector("#ring")
    await other.wait_for_selector("#ring")
    await other.close()


async def test_why_me_is_one_line_on_the_card(desk: Any) -> None:
    from fakes import a_pop

    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    site.engine.ring("anna", a_pop(decision=DECISION))
    await page.wait_for_selector("#ring")
    line = "Idle longest (4 min) of 3 who could · waited 12 s · priority 10 · needs English 3, has English 5"
    assert line in await desk.text("#ring")


async def test_a_disposition_is_a_draft_until_it_is_finished(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    site.engine.ring("anna")
    site.engine.change("anna", work="wrap_up", wrap_up_until=time.time() + 60)
    await page.click("#wrap label:has-text('Sold')")
    await page.fill("#note", "two boxes")
    await until(lambda: inputs(site, SetDisposition), 8)
    assert site.engine.rows["anna"]["work"] == "wrap_up"
    await page.click("#finish")
    await page.wait_for_selector("#idle")
    last = inputs(site, SetDisposition)[-1]
    assert (last.code, last.note, last.draft) == ("sold", "two boxes", False)
    assert inputs(site, WrapUp) == []  # the disposition has ended it


async def test_what_was_written_in_another_window_stands_in_this_one(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    call_id = site.engine.ring("anna")
    site.engine.change("anna", work="wrap_up", wrap_up_until=time.time() + 60)
    await page.wait_for_selector("#wrap")
    other = {"call_id": call_id, "disposition": "other", "note": "two boxes"}
    site.hub.push("call", {"event": "call.disposition_set", "call": other}, "anna")
    await expect(page.locator("#note")).to_have_value("two boxes")
    await page.click("#wrap label:has-text('Sold')")
    await page.press("#note", "End")
    await page.type("#note", ", red")
    site.hub.push("call", {"event": "call.disposition_set", "call": other | {"note": "two"}}, "anna")
    await page.click("#finish")
    await page.wait_for_selector("#idle")
    last = inputs(site, SetDisposition)[-1]
    assert (last.code, last.note, last.draft) == ("sold", "two boxes, red", False)


async def test_a_note_is_sent_once_though_the_end_of_the_wrap_up_is_told_before_the_answer(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    site.engine.ring("anna")
    site.engine.change("anna", work="wrap_up", wrap_up_until=time.time() + 60)

    async def late(route: Any) -> None:
        answer = await route.fetch()
        if not json.loads(route.request.post_data)["draft"]:
            await page.wait_for_selector("#idle")
        await route.fulfill(response=answer)

    await page.route("**/disposition", late)
    await page.fill("#note", "two boxes")
    await page.click("#finish")
    await page.wait_for_selector("#idle")
    await expect(page.locator("#note")).to_have_count(0)
    await page.reload()  # what is not saved is sent again
    await page.wait_for_selector("#idle")
    assert [(m.note, m.draft) for m in inputs(site, SetDisposition)] == [("two boxes", False)]


async def test_the_key_for_ready_takes_back_what_it_has_set_during_a_call(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    site.engine.ring("anna")
    site.engine.change("anna", work="talking")
    await page.wait_for_selector("#talk")
    await page.keyboard.press("Alt+Shift+KeyR")
    await page.wait_for_selector("#take-back")
    await page.keyboard.press("Alt+Shift+KeyR")
    await page.wait_for_selector("#take-back", state="detached")


async def test_the_wallboard_lists_who_waits_and_acts(desk: Any) -> None:
    site, page = desk.site, desk.page
    needs = {"sales": 1, "any": [{"dutch": 2}, {"english": 3}], "also": [{"support": 5}]}
    rules = ["{{ customer.tier == 'vip' }}"]
    first = site.engine.waits(caller_name=EVIL, waited=75, steps=3, step=1, raised=rules, needs=needs)
    site.engine.waits("support", why="nobody", signed_on=0)
    alone = site.engine.waits("support", why="preferred", **{"for": "budi", "until": "2026-11-25T03:00:20Z"})
    await desk.login("sari")
    row = page.locator(f"[data-call='{first}']")
    text = await row.inner_text()
    for shown in (EVIL, "Sales", "1 of 2", "None of the 3 who could is free", "customer.tier == 'vip'"):
        assert shown in text
    assert await row.locator("[data-level=crit]").count() == 1
    assert "Waits for Budi until" in await page.locator(f"[data-call='{alone}']").inner_text()

    await page.focus(f"#caller-{first}")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#ask[open]")
    assert await page.evaluate("document.activeElement.id") == "ask-priority"
    await page.keyboard.press("Control+A")
    await page.keyboard.type("25")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#note:has-text('Done')")
    await until(lambda: inputs(site, ChangePriority), 8)
    [asked] = inputs(site, ChangePriority)
    assert (asked.call_id, asked.priority, asked.by) == (first, 25, "sari")

    await page.click(f"#caller-{first}")
    await page.click("#ask-why")
    said = "Needs Sales 1, Dutch 2 or English 3 or Support 5 (relax step 1 of 2)"
    await page.wait_for_selector(f".whylist li:has-text('{said}')")
    await page.select_option("#ask-queue", "support")
    await page.click("#ask-move")
    await until(lambda: inputs(site, MoveCall), 8)
    assert inputs(site, MoveCall)[0].queue == "support"

    await page.wait_for_selector(f"[data-call='{first}'] th:has-text('Support')")
    site.engine.callers.clear()
    await page.wait_for_selector("#callers:has-text('Nobody waits')")


async def test_who_waits_no_more_is_said_in_words(desk: Any) -> None:
    site, page = desk.site, desk.page
    call_id = site.engine.waits()
    await desk.login("sari")
    await page.click(f"#caller-{call_id}")
    site.engine.callers.clear()
    await page.click("#ask-raise")
    await page.wait_for_selector("#note:has-text('does not wait any more')")


async def test_why_an_agent_is_idle_and_who_is_over_his_limit(desk: Any) -> None:
    site, page = desk.site, desk.page
    lacks = [{"skill": "english", "needs": 3, "has": 1}]
    site.engine.why["queues"] = [
        {"queue": "sales", "waiting": 4, "why": "skills", "lacks": lacks, "opens_at": None, "for": None, "until": None},
    ]
    site.engine.change("anna", wish="ready")
    now = time.time()
    site.engine.change("budi", wish="not_ready", reason="break", since=now - 1000, over_limit_since=now - 100)
    await desk.login("sari")
    card = page.locator("[data-agent=budi][data-over]")
    assert "over 15 min" in await card.inner_text()
    await page.click("#agent-anna")
    await page.click("#ask-why")
    await page.wait_for_selector(".whylist li:has-text('Sales, 4 waiting: lacks English 3 (has 1).')")
    await page.keyboard.press("Escape")
    await page.click("#agent-budi")
    site.engine.why["why"] = "not_ready"
    await page.click("#ask-why")
    await page.wait_for_selector(".whylist li:has-text('Not ready: Break.')")
    await page.click("#ask-ready")
    await page.wait_for_selector("[data-agent=budi][data-state=ready]")
