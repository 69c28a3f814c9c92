"""How long a login lasts: over a restart, and while the database is away."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from fakes import PASSWORD, FakeStore
from webkit import CSRF, Site, close_code, code, hear

from cti.adapters.web import auth, known
from cti.adapters.web.ports import Settings
from cti.errors import Unavailable

STATE = "/api/v1/agents/anna/state"
SOON = known.FRESH + 1


class Away:
    """A store that does not answer."""

    def __getattr__(self, name: str) -> Any:
        async def away(*_: Any, **__: Any) -> None:
            raise Unavailable("PostgreSQL is away")

        return away


def cookie_of(client: aiohttp.ClientSession) -> str:
    return next(c.value for c in client.cookie_jar if c.key == "cti_session")


@pytest.fixture
def away(site: Site, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it to take the database away."""

    def go() -> None:
        for name in ("session_user", "session_delete", "session_touch", "token_user", "user_by_name"):
            monkeypatch.setattr(site.store, name, getattr(Away(), name))

    return go


# ---------------------------------------------------------------- the database is away


@pytest.mark.parametrize("token", [False, True])
async def test_agents_go_on_working_while_the_database_is_away(site: Site, away: Any, token: bool) -> None:
    async with site.client("anna", token=token) as client:
        assert (await client.get("/api/v1/me")).status == 200
        away()
        assert (await client.put(STATE, json={"state": "ready"}, headers=CSRF)).status == 200
        async with client.ws_connect("/ws", headers=site.origin()) as ws:
            await hear(ws, "desk")
        assert site.engine.rows["anna"]["wish"] == "ready"


async def test_whom_nobody_confirmed_does_not_get_in_while_it_is_away(site: Site, away: Any) -> None:
    away()
    async with site.client() as client:
        for headers in ({"Cookie": "cti_session=made-up"}, {"Authorization": "Bearer token-anna"}):
            assert await code(await client.get("/api/v1/me", headers=headers)) == (503, "unavailable")


async def test_who_logs_out_while_it_is_away_is_out_for_good(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site.client("anna") as client, client.ws_connect("/ws", headers=site.origin()) as ws:
        old = {"Cookie": f"cti_session={cookie_of(client)}"}
        with monkeypatch.context() as m:
            for name in ("session_user", "session_delete"):
                m.setattr(site.store, name, getattr(Away(), name))
            assert (await client.delete("/api/v1/session", headers=CSRF)).status == 204
            assert await close_code(ws) == 4401
            client.cookie_jar.clear()
            assert await code(await client.get("/api/v1/me", headers=old)) == (401, "not_logged_in")
        assert await code(await client.get("/api/v1/me", headers=old)) == (401, "not_logged_in")


@pytest.mark.parametrize("token", [False, True])
async def test_what_was_revoked_before_stays_revoked(site: Site, away: Any, token: bool) -> None:
    async with site.client("anna", token=token) as client:
        assert (await client.get("/api/v1/me")).status == 200
        site.store.users["anna"].disabled = True
        assert (await client.get("/api/v1/me")).status == 401
        away()
        assert (await client.get("/api/v1/me")).status == 401


async def test_it_is_not_asked_again_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def hangs(_: bytes) -> None:
        asked.append(time.monotonic())
        raise Unavailable("PostgreSQL is away")

    async with site.client("anna") as client:
        await client.get("/api/v1/me")
        monkeypatch.setattr(site.store, "session_user", hangs)
        assert {(await client.get("/api/v1/me")).status for _ in range(20)} == {200}
    assert len(asked) <= 3


def test_a_memory_ends_a_minute_after_the_last_use_and_at_the_latest_after_half_an_hour() -> None:
    memory, anna = known.Known(), FakeStore().users["anna"]
    memory.confirm(b"k", anna, 0.0)
    assert memory.recall(b"k", 59.0) is anna and memory.recall(b"k", 118.0) is anna
    assert memory.recall(b"k", 118.0 + SOON) is None
    memory.confirm(b"k", anna, 0.0)
    assert all(memory.recall(b"k", at * 50.0) is anna for at in range(36))
    assert memory.recall(b"k", known.LONGEST + 1) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST", 10)
    memory, anna = known.Known(), FakeStore().users["anna"]
    for n in range(100):
        memory.confirm(b"%d" % n, anna, 0.0)
        memory.end(b"%d" % (n + 1000))
    assert memory.recall(b"99", 1.0) is anna and memory.recall(b"1", 1.0) is None
    assert memory.has_ended(b"1099") and not memory.has_ended(b"1000")


async def test_a_token_is_no_session_and_trying_it_as_one_ends_neither(site: Site) -> None:
    bearer, cookie = ({"Authorization": "Bearer token-anna"}, {"Cookie": "cti_session=token-anna"})
    async with site.client("anna") as client:
        session = {"Authorization": f"Bearer {cookie_of(client)}"}
        for headers, status in ((bearer, 200), (session, 401), ({}, 200)):
            assert (await client.get("/api/v1/me", headers=headers)).status == status
    async with site.client() as client:
        asked = {"username": "anna", "password": PASSWORD}
        assert (await client.post("/api/v1/session", json=asked, headers=cookie)).status == 200
        client.cookie_jar.clear()
        for headers, status in ((bearer, 200), (cookie, 401), (bearer, 200)):
            assert (await client.get("/api/v1/me", headers=headers)).status == status


# ---------------------------------------------------------------- idle, and not for ever


async def test_an_idle_session_has_ended_also_for_a_server_that_starts_anew() -> None:
    store = FakeStore()
    settings = Settings(idle_seconds=0.2)
    before, after = auth.Auth(store, settings), auth.Auth(store, settings)
    token, _ = await before.login("anna", PASSWORD, "127.0.0.1")
    assert await before.of_session(auth.sha256(token)) is not None
    await asyncio.sleep(0.3)  # the idle time itself is what is tested
    assert await after.of_session(auth.sha256(token)) is None
    before.close()
    after.close()


async def test_a_session_in_use_outlives_the_idle_time_but_not_its_longest() -> None:
    store = FakeStore()
    guard = auth.Auth(store, Settings(idle_seconds=1.0, session_seconds=2.0))
    token, _ = await guard.login("anna", PASSWORD, "127.0.0.1")
    began = time.monotonic()
    while await guard.of_session(auth.sha256(token)) is not None:
        await asyncio.sleep(0.03)
    assert 1.6 < time.monotonic() - began < 3.0
    guard.close()


async def test_use_is_written_down_at_most_once_a_minute(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    async def touch(*said: Any) -> None:
        told.append(said)

    monkeypatch.setattr(site.store, "session_touch", touch)
    async with site.client("anna") as client:
        for _ in range(20):
            await client.get("/api/v1/me")
    assert told == []
