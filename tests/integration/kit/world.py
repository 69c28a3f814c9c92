"""A running home as a test sees it from outside: its command line, HTTP API, database and logs."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from cti import config as configuration
from cti.adapters import passwords, postgres_people
from cti.adapters.postgres import Store
from cti.adapters.postgres_people import NewUser
from cti.demo import seed


class World:
    """`World(path)` for the home that `cti up --home path` runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = configuration.load(path / "cti.toml", {**os.environ, "CTI_HOME": str(path)})
        self.sip = (self.config.sip.host, self.config.sip.port)
        self.url = f"http://{self.config.http.host}:{self.config.http.port}"
        self.tokens: dict[str, str] = {}

    async def cti(self, *args: str, given: str = "") -> str:
        """Run a verb; what it printed. Raises AssertionError with its complaint."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cti", *args, env={**os.environ, "CTI_HOME": str(self.path)},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(given.encode())
        assert process.returncode == 0, f"cti {args}: {err.decode()}"
        return out.decode()

    async def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        link = await seed.connect(self.config.postgres.dsn)
        try:
            return [dict(row) for row in await link.fetch(sql, *args)]
        finally:
            await link.close()

    async def row_when(self, sql: str, *args: Any, timeout: float = 10) -> dict[str, Any]:
        """The first row of a query as soon as it has one. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            link = await seed.connect(self.config.postgres.dsn)
            try:
                while (found := await link.fetchrow(sql, *args)) is None:
                    await asyncio.sleep(0.05)
                return dict(found)
            finally:
                await link.close()

    async def until(self, true: Callable[[Any], Any], path: str, who: str, timeout: float = 10) -> Any:
        """What GET `path` gives once `true` of it. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while not true(found := (await self.call("GET", path, who))[1]):
                await asyncio.sleep(0.05)
        return found

    async def call(self, method: str, path: str, who: str, body: Any = None) -> tuple[int, Any]:
        """One API request in somebody's name: (status, JSON)."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        async with (
            aiohttp.ClientSession(self.url) as http,
            http.request(method, f"/api/v1{path}", json=body, headers=headers) as reply,
        ):
            text = await reply.read()
            return reply.status, await reply.json(content_type=None) if text else None

    async def hire(self, *users: NewUser) -> None:
        """These people, with an API token each."""
        store = await Store.open(self.config.postgres.dsn)
        try:
            for user in users:
                self.tokens[user.name], hashed = passwords.new_token()
                await postgres_people.add_user(store, user)
                await postgres_people.add_token(store, user.name, hashed, None)
        finally:
            await store.close()

    async def ready(self, name: str, station: str, timeout: float = 10) -> None:
        """Ready, as soon as the server knows that the phone is registered."""
        wish = {"state": "ready", "station": station}
        until = time.monotonic() + timeout
        while (got := await self.call("PUT", f"/agents/{name}/state", name, wish))[0] == 409:
            assert time.monotonic() < until, got
            await asyncio.sleep(0.1)
        assert got[0] == 200, got

    async def serves(self, yes: bool = True, timeout: float = 15) -> float:
        """Until /readyz says 200 (no: until it says otherwise); the time. Raises TimeoutError."""
        async with asyncio.timeout(timeout), aiohttp.ClientSession(self.url) as http:
            while True:
                try:
                    async with http.get("/readyz") as reply:
                        if (reply.status == 200) is yes:
                            return time.time()
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)

    async def work(self, name: str, work: str, timeout: float = 10) -> dict[str, Any]:
        """The agent's row once he does that (idle, reserved, talking, wrap_up)."""
        found = await self.until(lambda d: d["items"][0]["work"] == work, "/agents", name, timeout)
        row: dict[str, Any] = found["items"][0]
        return row

    def log(self) -> str:
        """All logs of the home together."""
        files = sorted((self.path / "logs").rglob("*"))
        return "".join(f.read_text(errors="replace") for f in files if f.is_file())
