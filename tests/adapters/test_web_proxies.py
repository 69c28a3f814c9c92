"""Behind a TLS proxy: who asked, by what address and over what."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from webkit import CSRF, a_site, code, hear, login

from cti.adapters.web.proxies import networks, seen_through

PROXY = {"trusted_proxies": ("127.0.0.1", "10.1.0.0/16")}


def by(client: str) -> dict[str, str]:
    return {"X-Forwarded-For": client, "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("peer", "said", "seen"),
    [
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("::ffff:127.0.0.1", [" 2001:db8::1 "], "2001:db8::1"),
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["203.0.113.9, nonsense"], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("203.0.113.7", ["6.6.6.6"], "203.0.113.7"),
        (None, ["6.6.6.6"], None),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_the_client(
    peer: str | None, said: list[str], seen: str | None
) -> None:
    headers = [("X-Forwarded-For", one) for one in said]
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer)  # type: ignore[arg-type]
    assert seen_through(request, networks(PROXY["trusted_proxies"])).remote == seen


async def test_wrong_passwords_through_the_proxy_hold_up_only_who_sent_them() -> None:
    async with a_site(**PROXY) as site, site.client() as client:
        for n in range(60):
            await login(client, f"user{n}", "wrong", headers=by("6.6.6.6"))
        assert (await login(client, "anna", headers=by("6.6.6.6"))).status == 429
        assert (await login(client, "anna", headers=by("203.0.113.9"))).status == 200


async def test_a_made_up_address_is_no_way_around_the_limit() -> None:
    async with a_site() as site, site.client() as client:
        answers = [await login(client, "anna", f"wrong{n}", headers=by(f"6.6.6.{n}")) for n in range(15)]
        assert answers[-1].status == 429


@pytest.mark.parametrize(
    ("settings", "headers", "secure"),
    [(PROXY, by("203.0.113.9"), True), (PROXY, {"X-Forwarded-Proto": "http"}, False), ({}, by("203.0.113.9"), False)],
)
async def test_the_cookie_is_secure_when_the_browser_spoke_tls(
    settings: dict[str, Any], headers: dict[str, str], secure: bool
) -> None:
    async with a_site(**settings) as site, site.client() as client:
        answer = await login(client, "anna", headers=headers)
        assert ("Secure" in answer.headers["Set-Cookie"]) == secure


async def test_figures_are_not_open_to_those_behind_a_proxy_of_this_machine() -> None:
    for settings in (PROXY, {}):
        async with a_site(**settings) as site, site.client() as client:
            assert (await client.get("/metrics")).status == 200
            assert await code(await client.get("/metrics", headers=by("203.0.113.9"))) == (403, "forbidden")


async def test_pages_and_sockets_work_behind_the_proxy() -> None:
    async with a_site(**PROXY) as site, site.client("anna", token=True) as client:
        async with client.ws_connect("/ws", headers=by("203.0.113.9")) as ws:
            await hear(ws, "desk")
        state = {"state": "not_ready", "reason": "lunch"}
        put = await client.put("/api/v1/agents/anna/state", json=state, headers=CSRF | by("203.0.113.9"))
        assert put.status == 200

