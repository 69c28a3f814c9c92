"""The admin page: what is live, what callers do, what changes, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from test_pages import CONTRAST, EVIL, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
PARTS = {"#flows": "#list table", "#flow/main": "#figures table", "#versions": "#versions table",
         "#diff/1": "#diff li", "#calendars": "#calendars section"}  # fmt: skip
FITS = "document.documentElement.scrollWidth <= window.innerWidth || document.documentElement.scrollWidth"


async def go(desk: Any, name: str, where: str = "") -> None:
    await desk.login(name)
    await desk.page.goto(f"{desk.site.url}/admin{where}")
    await desk.page.wait_for_selector(".part, #view > *")


async def test_from_the_wallboard_to_a_flow_and_the_callers_in_it(desk: Any) -> None:
    site, page = desk.site, desk.page
    await desk.login("sari")
    await page.click(".pages a[href='/admin']")
    site.engine.put("menu")
    await page.click("#flow-main")
    await page.wait_for_selector("#canvas .node[data-node=menu] .now:has-text('1')")
    assert "22%" in await desk.text("#tile-contained") and "menu" in await desk.text("#here")
    assert "26 · 20%" in await desk.text("#figures tr[data-node=menu]")
    await page.focus("#canvas .node[data-node=menu]")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#figures tr.chosen[data-node=menu]")
    site.engine.put("menu")
    await page.wait_for_selector("#canvas .node[data-node=menu] .now:has-text('2')")
    assert await page.evaluate("document.activeElement.dataset.node") == "menu"  # the picture was drawn anew around it
    site.engine.callers.clear()
    await page.wait_for_selector("#here:has-text('Nobody')")
    assert await page.locator("#canvas .now").count() == 0


async def test_a_picture_that_nobody_looks_at_is_not_asked_for(desk: Any) -> None:
    page = desk.page
    await go(desk, "sari", "#flow/main")
    await page.wait_for_selector("#canvas svg")
    await page.evaluate("Object.defineProperty(document, 'visibilityState', {get: () => 'hidden', configurable: true})")
    asked: list[str] = []
    await page.wait_for_timeout(2500)  # the look that was under way when the page was hidden
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    await page.wait_for_timeout(2500)
    assert asked == []
    await page.evaluate("delete document.visibilityState; document.dispatchEvent(new Event('visibilitychange'))")
    await until(lambda: any("/drawing" in url for url in asked))


async def test_a_broken_folder_is_told_in_full_and_not_published(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.wrong = [f"main.yaml:3:7: {EVIL}", "main.yaml:9:1: there is no queue `sale`"]
    await go(desk, "root", "#versions")
    await page.wait_for_selector("#problems")
    told = await desk.text("#problems")
    assert EVIL in told and "no queue `sale`" in told and "Version 2 goes on" in told
    await page.fill("#publish-note", "try")
    await page.click("#publish-go")
    await page.wait_for_selector("#publish-error:has-text('not published')")
    assert site.engine.done == [] and await page.locator("main script, main img").count() == 0
    site.engine.wrong = []
    await page.wait_for_selector("#problems", state="detached")
    await page.wait_for_selector("#publish-error:empty", state="attached")


async def test_publishing_and_rolling_back_with_a_look_before(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.put("menu")
    await go(desk, "root", "#versions")
    await page.fill("#publish-note", "new greeting")
    await page.select_option("#publish-share", "10")
    await page.focus("#publish-share")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("[data-version='3'] .state[data-state=canary]:has-text('10 %')")
    await page.click("[data-version='1'] a")
    await page.wait_for_selector("#diff li[data-sign='-']:has-text('Hello')")
    assert "+" in await desk.text("#diff li[data-sign='+'] b")
    await page.go_back()
    await page.click("#back_to-1")
    asked = await desk.text("#ask")
    assert "Roll back to version 1?" in asked and "calls in progress (1 in flows)" in asked
    await page.keyboard.press("Enter")  # the safe button has the focus
    assert not await page.locator("#ask").is_visible()
    await page.click("#back_to-1")
    await page.click("#ask-go")
    await page.wait_for_selector("[data-version='1'] .state[data-state=live]")
    assert site.engine.done == [("publish", "root", "new greeting", 10), ("rollback", "root", 1)]


async def test_a_supervisor_reads_and_holds_calendars_but_publishes_nothing(desk: Any) -> None:
    site, page = desk.site, desk.page
    await go(desk, "sari", "#versions")
    await page.wait_for_selector("[data-version='1'] a")
    assert await page.locator("#publish, [id^=back_to]").count() == 0
    await page.click(".tabs a[data-tab=calendars]")
    await page.wait_for_selector("[data-calendar=office] .state[data-state=closed]")
    await page.select_option("#hold-office", "2")
    await page.click("#open-office")
    await page.wait_for_selector("[data-calendar=office] .state[data-state=open]")
    await page.click("#auto-office")
    await page.wait_for_selector("[data-calendar=office] .state[data-state=closed]")
    [(_, state, held, by), freed] = site.store.forced
    assert (state, by) == ("open", "sari") and 7100 < held - site.engine.now() < 7300 and freed[1] is None


async def test_a_version_without_the_flow_shows_nothing_of_another_one(desk: Any) -> None:
    page = desk.page
    await go(desk, "sari", "#flow/night")
    await page.wait_for_selector("#canvas svg")
    await page.wait_for_selector("#version option[value='1']", state="attached")
    await page.select_option("#version", "1")
    await page.wait_for_selector("#tiles .error")
    assert await page.locator("#canvas svg").count() == 0
    await page.select_option("#version", "2")
    await page.wait_for_selector("#canvas svg")


async def test_nothing_there_yet_is_said(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.live, site.engine.dates = None, []
    site.engine.versions.clear()
    await go(desk, "root")
    await page.wait_for_selector("#list:has-text('No flow answers calls yet')")
    await page.goto(f"{site.url}/admin#flow/main")
    await page.wait_for_selector("#tiles .error")
    await page.goto(f"{site.url}/admin#calendars")
    await page.wait_for_selector("#calendars:has-text('no calendars')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_part_has_contrast_and_fits(desk: Any, scheme: str) -> None:
    site, page = desk.site, desk.page
    await page.emulate_media(color_scheme=scheme)
    site.engine.put("menu")
    site.engine.canary = (1, 10)
    await desk.login("root")
    for language, width in (("en", 1440), ("id", 390), ("zh", 768)):
        site.store.users["root"].language = language
        await page.set_viewport_size({"width": width, "height": 844})
        for where, there in PARTS.items():
            await page.goto(f"{site.url}/admin?{language}{where}")
            await page.wait_for_selector(there)
            assert await page.evaluate(FITS) is True, (language, where)
            assert await page.evaluate(CONTRAST) == [], where
    site.engine.wrong = ["main.yaml:3:7: no such node"]
    await page.goto(f"{site.url}/admin#flows")
    await page.wait_for_selector("#problems")
    assert await page.evaluate(CONTRAST) == []
