"""What an agent's page is told over /ws, and when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from kit.world import World


class Page:
    """`heard` is [(time.time(), message)] since the page was opened."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, dict[str, Any]]] = []

    def all(self, type: str) -> list[tuple[float, dict[str, Any]]]:
        """(when, data) of every message of a type."""
        return [(at, message["data"]) for at, message in self.heard if message["type"] == type]

    async def pop(self, caller: str, timeout: float = 10) -> tuple[float, dict[str, Any]]:
        """When the screen-pop of this caller came, and its data. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                for at, data in self.all("screen_pop"):
                    if data["call"]["caller"] == caller:
                        return at, data
                await asyncio.sleep(0.01)


@asynccontextmanager
async def open_page(world: World, who: str, http: aiohttp.ClientSession | None = None) -> AsyncIterator[Page]:
    """A websocket with the agent's API token, listened to until the end of the block."""
    page = Page()
    async with contextlib.AsyncExitStack() as stack:
        http = http or await stack.enter_async_context(aiohttp.ClientSession(world.url))
        socket = await http.ws_connect("/ws", headers={"Authorization": f"Bearer {world.tokens[who]}"})
        listening = asyncio.create_task(_listen(socket, page))
        try:
            yield page
        finally:
            await socket.close()
            await listening


async def _listen(socket: aiohttp.ClientWebSocketResponse, page: Page) -> None:
    async for message in socket:
        page.heard.append((time.time(), json.loads(message.data)))
