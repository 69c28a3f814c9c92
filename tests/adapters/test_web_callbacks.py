"""Callbacks over HTTP: who sees which, who may end or enter one."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from webkit import CSRF, Site, a_site, code

from cti.core.messages import CancelCallback

PATH = "/api/v1/callbacks"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with a_site() as site:
        for queue in ("sales", "support", "sales"):
            site.store.callbacks.append({"callback_id": str(uuid.uuid4()), "queue": queue, "number": "+62811000111"})
        yield site


def some(**more: Any) -> dict[str, Any]:
    return {"number": "021 1234 5678", "queue": "sales"} | more


async def test_a_supervisor_sees_all_and_asks_for_some(site: Site) -> None:
    async with site.client("sari") as client:
        answer = await (await client.get(PATH)).json()
        assert len(answer["items"]) == 3
        page = await (await client.get(f"{PATH}?limit=2")).json()
        rest = await (await client.get(f"{PATH}?limit=2&cursor={page['next_cursor']}")).json()
        assert [len(page["items"]), len(rest["items"])] == [2, 1]
        found = await (await client.get(f"{PATH}?state=open&queue=support&q=811")).json()
        assert [one["queue"] for one in found["items"]] == ["support"]
        asked = site.store.asked[-1]
        assert (asked["state"], asked["queues"], asked["q"]) == ("open", ["support"], "811")
        assert await code(await client.get(f"{PATH}?state=lost")) == (400, "bad_filter")


async def test_an_agent_sees_those_he_may_serve(site: Site) -> None:
    sales, support, _ = (one["callback_id"] for one in site.store.callbacks)
    async with site.client("anna") as client:
        answer = await (await client.get(PATH)).json()
        assert [one["queue"] for one in answer["items"]] == ["sales", "sales"]
        assert (await (await client.get(f"{PATH}?queue=support")).json())["items"] == []
        assert (await (await client.get(f"{PATH}/{sales}")).json())["callback_id"] == sales
        assert (await client.get(f"{PATH}/{support}")).status == 404
        assert (await client.get(f"{PATH}/{uuid.uuid4()}")).status == 404
        assert (await client.get(f"{PATH}/nonsense")).status == 404
        assert (await client.post(f"{PATH}/{sales}/cancel", headers=CSRF)).status == 403


async def test_a_supervisor_ends_one(site: Site) -> None:
    known = str(uuid.uuid4())
    site.engine.open_callbacks.append(known)
    async with site.client("sari") as client:
        answer = await client.post(f"{PATH}/{known}/cancel", headers=CSRF)
        assert (answer.status, await answer.json()) == (200, {"callback_id": known})
        asked = site.engine.inputs[-1]
        assert isinstance(asked, CancelCallback) and (asked.callback_id, asked.by) == (known, "sari")
        assert site.store.audited[-1] == ("sari", "callback.cancelled", known)
        assert await code(await client.post(f"{PATH}/{uuid.uuid4()}/cancel", headers=CSRF)) == (409, "callback_gone")


async def test_one_that_was_entered_a_moment_ago_may_be_ended(site: Site) -> None:
    async with site.client("sari") as client:
        made = (await (await client.post(PATH, json=some(), headers=CSRF)).json())["callback_id"]
        assert (await client.post(f"{PATH}/{made}/cancel", headers=CSRF)).status == 200
        assert (site.store.callbacks[-1]["state"], site.store.callbacks[-1]["ended_by"]) == ("cancelled", "sari")
        assert await code(await client.post(f"{PATH}/{made}/cancel", headers=CSRF)) == (409, "callback_gone")


async def test_one_is_entered_by_hand(site: Site) -> None:
    async with site.client("anna") as client:
        answer = await client.post(PATH, json=some(customer_id="7"), headers=CSRF)
        assert answer.status == 201
        row = await answer.json()
        assert (row["number"], row["entered"], row["queue"], row["by"]) == (
            "+622112345678", "021 1234 5678", "sales", "anna",
        )  # fmt: skip
        assert site.store.callbacks[-1]["customer_id"] == 7
        assert await code(await client.post(PATH, json=some(), headers=CSRF)) == (409, "callback_open")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (some(number="2001"), (400, "not_dialable")),
        (some(number="112"), (400, "not_dialable")),
        (some(number="+6280912345678"), (400, "not_dialable")),
        (some(number="Budi"), (400, "not_dialable")),
        (some(number=""), (400, "bad_field")),
        (some(queue="nowhere"), (400, "no_such_queue")),
        (some(queue="support"), (403, "forbidden")),
        (some(customer_id="seven"), (400, "bad_field")),
        (some(customer_id="7\n"), (400, "bad_field")),
        (some(when="now"), (400, "bad_field")),
        ({"queue": "sales"}, (400, "bad_field")),
    ],
)
async def test_what_cannot_be_called_back_is_said(
    site: Site, body: dict[str, Any], problem: tuple[int, str]
) -> None:
    async with site.client("anna") as client:
        assert await code(await client.post(PATH, json=body, headers=CSRF)) == problem
        assert len(site.store.callbacks) == 3
