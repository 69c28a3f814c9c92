"""A real Chromium on the web application with the fake engine behind it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))

from webkit import PASSWORD, Site

from tests.kit_home import home, own_home, pytest_runtest_makereport, world

__all__ = ["home", "own_home", "pytest_runtest_makereport", "world"]

ARGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Desk:
    """One person's browser. `faults` holds what a good page never has: script errors, dialogs, refused content."""

    def __init__(self, site: Site, page: Page) -> None:
        self.site = site
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        page.on("console", lambda said: self.faults.append(said.text) if "Content Security" in said.text else None)

    async def login(self, name: str) -> None:
        await self.page.goto(f"{self.site.url}/login")
        await self.page.fill("#username", name)
        await self.page.fill("#password", PASSWORD)
        await self.page.click("#login-go")
        await self.page.wait_for_selector("#link[data-state=live]")

    async def text(self, selector: str) -> str:
        return await self.page.inner_text(selector)


# One Chromium a worker; each test has a context of its own. What belongs to it lives in the loop of the session, in
# which therefore the tests here run (`pytestmark`).
of_session = pytest_asyncio.fixture(loop_scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        yield browser
        await browser.close()


@of_session
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(8000)
    yield context
    await context.close()


@of_session
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.runner.cleanup()


@of_session
async def desk(site: Site, context: BrowserContext) -> AsyncIterator[Desk]:
    desk = Desk(site, await context.new_page())
    yield desk
    assert desk.faults == []
