"""The real web application on a free port with the fake engine and store; used by the web and browser tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from fakes import PASSWORD, FakeEngine, FakeStore

from cti.adapters.web import Hub, Settings, make_app
from cti.adapters.web.server import make_runner

CSRF = {"X-CSRF": "1"}


class Site:
    """`url` of a running server, and what is behind it."""

    def __init__(self, recordings: Path = Path("none"), **settings: Any) -> None:
        self.hub = Hub()
        self.store = FakeStore()
        self.engine = FakeEngine(self.hub)
        self.store.engine, self.store.versions = self.engine, self.engine.versions
        self.settings = Settings(
            site_name="Test", time_zone="Asia/Jakarta", recordings=recordings,
            wallboard_seconds=0.05, beat_seconds=0.2, **settings,
        )  # fmt: skip
        self.app = make_app(self.engine, self.store, self.settings, self.hub)
        self.runner = make_runner(self.app)
        self.url = ""
        self.port = 0

    async def start(self, port: int = 0) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", port).start()
        self.port = self.runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def client(self, name: str = "", token: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
        """A browser-like client, logged in as `name` by cookie (or by its API token)."""
        headers = {"Authorization": f"Bearer token-{name}"} if token else {}
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(self.url, cookie_jar=jar, headers=headers) as client:
            if name and not token:
                answer = await login(client, name)
                assert answer.status == 200, await answer.text()
            yield client

    def origin(self) -> dict[str, str]:
        return {"Origin": self.url}


async def login(client: aiohttp.ClientSession, name: str, password: str = PASSWORD, **more: Any) -> Any:
    return await client.post("/api/v1/session", json={"username": name, "password": password}, **more)


@asynccontextmanager
async def a_site(**more: Any) -> AsyncIterator[Site]:
    site = Site(**more)
    await site.start()
    try:
        yield site
    finally:
        await site.runner.cleanup()


async def code(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    """Status and the stable code of a problem; fails when it is not one."""
    assert answer.content_type == "application/problem+json", await answer.text()
    body = await answer.json(content_type=None)
    assert body["status"] == answer.status
    assert {"type", "title", "code", "detail"} <= set(body)
    return answer.status, body["code"]


async def hear(ws: aiohttp.ClientWebSocketResponse, *types: str, within: float = 3.0) -> dict[str, Any]:
    """The next message of one of these types."""
    async with asyncio.timeout(within):
        while True:
            message = await ws.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, message
            said: dict[str, Any] = json.loads(message.data)
            if said["type"] in types:
                return said


async def close_code(ws: aiohttp.ClientWebSocketResponse, within: float = 3.0) -> int | None:
    async with asyncio.timeout(within):
        while not ws.closed:
            await ws.receive()
    return ws.close_code
