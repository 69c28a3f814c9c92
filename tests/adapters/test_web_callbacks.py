"""Callbacks over HTTP: who sees which, who may end or enter one."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from webkit import CSRF, Site, a_site, code

from cti.adapters.web.callbacks_api import SHOWN
from cti.core.messages import CancelCallback
from cti.core.queues import CallbackRules

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
        assert (asked["states"], asked["queues"], asked["q"]) == (["open"], ["support"], "811")
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
        assert (row["priority"], row["not_before"]) == (7, None), "the queue's own, in its turn"
        assert await code(await client.post(PATH, json=some(), headers=CSRF)) == (409, "callback_open")


async def test_with_a_priority_and_a_time(site: Site) -> None:
    later = round(time.time()) + 3600
    moment = datetime.fromtimestamp(later, UTC).isoformat()
    async with site.client("sari") as client:
        for asked, priority, when in (({"priority": -3, "not_before": moment}, -3, later),
                                      ({"not_before": "2020-01-01T00:00:00Z"}, 7, None)):  # fmt: skip
            body = some(number=f"021 1234 56{priority + 20}", **asked)
            assert (await client.post(PATH, json=body, headers=CSRF)).status == 201
            made = site.store.callbacks[-1]
            assert (made["priority"], made["not_before"]) == (priority, when)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("2001", "station"),
        ("112", "emergency"),
        ("+6280912345678", "unknown"),
        ("+19005551234", "premium"),
        ("+80812345678", "shared_cost"),
        ("+979123456789", "premium"),
        ("+881612345678", "satellite"),
        ("+80012345678", "foreign"),
        ("+1 809 555 1234", "foreign"),
        ("+65 6212 3456", "foreign"),
        ("Budi", "unknown"),
    ],
)
async def test_why_a_number_is_not_called_back(site: Site, number: str, kind: str) -> None:
    async with site.client("sari") as client:
        answer = await client.post(PATH, json=some(number=number), headers=CSRF)
        problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"], problem["kind"]) == (400, "not_dialable", kind)


async def test_a_queue_may_call_other_countries_back(site: Site) -> None:
    site.engine.rules = CallbackRules(countries=("SG",))
    async with site.client("sari") as client:
        assert (await client.post(PATH, json=some(number="+65 6212 3456"), headers=CSRF)).status == 201
        answer = await client.post(PATH, json=some(number="+1 809 555 1234"), headers=CSRF)
        assert "numbers of DO are not called back" in (await answer.json(content_type=None))["detail"]


async def test_a_field_out_of_its_range_is_named_with_the_range(site: Site) -> None:
    call = f"/api/v1/calls/{site.engine.waits()}"
    agent = "/api/v1/agents/anna"
    wrong = [
        ("post", PATH, some(priority=3000), "priority", "a whole number from -1000 to 1000"),
        ("post", PATH, some(number="1" * 50), "number", "a text of 1 to 40 characters"),
        ("post", f"{call}/priority", {"priority": 3000}, "priority", "a whole number from -1000 to 1000"),
        ("post", f"{call}/priority", {"priority": 1.5}, "priority", "a whole number from -1000 to 1000"),
        ("post", f"{call}/move", {"queue": ""}, "queue", "a text of 1 to 64 characters"),
        ("put", f"{agent}/state", {"state": "away"}, "state", "one of logged_out, not_ready, ready"),
        ("put", f"{agent}/state", {"state": "not_ready", "reason": "At lunch!"}, "reason",
         "empty, or 1 to 32 small letters, digits and _"),
        ("put", f"{agent}/state", {"state": "ready", "station": "2001;"}, "station",
         "empty, or 1 to 20 letters and digits"),
        ("post", PATH, some(customer_id="seven"), "customer_id", "1 to 18 digits"),
        ("post", f"{agent}/wrap-up", {"action": "more"}, "action", "one of extend, finish"),
    ]  # fmt: skip
    async with site.client("sari") as client:
        for method, path, body, field, allowed in wrong:
            answer = await client.request(method, path, json=body, headers=CSRF)
            problem = await answer.json(content_type=None)
            assert (answer.status, problem["code"]) == (400, "bad_field")
            assert (problem["field"], problem["allowed"]) == (field, allowed)
            assert problem["detail"] == f"{field} is {allowed}"
        answer = await client.post(f"{call}/move", json={}, headers=CSRF)
        assert "field" not in await answer.json(content_type=None), "none is out of its range: one is missing"


async def test_those_that_are_open_in_the_order_of_their_turn(site: Site) -> None:
    stored = site.store.callbacks[0]
    stored |= {"customer_name": "Siti", "asked_by": "sari", "last_result": "busy", "entered": "0811 000 111"}
    first = site.engine.calls_back(callback_id=stored["callback_id"])
    other = site.engine.calls_back("support")
    async with site.client("sari") as client:
        answer = await (await client.get(f"{PATH}/open")).json()
        assert ([one["callback_id"] for one in answer["items"]], answer["total"]) == ([first, other], 2)
        shown = answer["items"][0]
        assert (shown["customer_name"], shown["asked_by"], shown["last_result"]) == ("Siti", "sari", "busy")
        assert shown["expires_at"].endswith("Z") and shown["position"] == 1
        only = await (await client.get(f"{PATH}/open?queue=support")).json()
        assert [one["callback_id"] for one in only["items"]] == [other]
        site.store.away = True
        answer = await (await client.get(f"{PATH}/open")).json()
        assert (answer["total"], answer["items"][0]["customer_name"]) == (2, None)
    async with site.client("anna") as client:
        answer = await (await client.get(f"{PATH}/open")).json()
        assert [one["callback_id"] for one in answer["items"]] == [first]


async def test_no_more_are_shown_than_anybody_reads(site: Site) -> None:
    for n in range(SHOWN + 5):
        site.engine.calls_back(number=f"+62812{n:08d}")
    async with site.client("sari") as client:
        answer = await (await client.get(f"{PATH}/open")).json()
        assert (len(answer["items"]), answer["total"]) == (SHOWN, SHOWN + 5)


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
        (some(priority=3000), (400, "bad_field")),
        (some(priority="high"), (400, "bad_field")),
        (some(not_before="tomorrow"), (400, "bad_time")),
        (some(not_before="2099-01-01T00:00:00Z"), (400, "too_late")),
        ({"queue": "sales"}, (400, "bad_field")),
    ],
)
async def test_what_cannot_be_called_back_is_said(
    site: Site, body: dict[str, Any], problem: tuple[int, str]
) -> None:
    async with site.client("anna") as client:
        assert await code(await client.post(PATH, json=body, headers=CSRF)) == problem
        assert len(site.store.callbacks) == 3
