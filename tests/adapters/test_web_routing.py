"""Agents' reasons, what a supervisor does with agents and with callers who wait, and why."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from webkit import CSRF, Site, a_site, code, hear

from cti.core.messages import ChangePriority, MoveCall, SetAgentState, SetDisposition, WrapUp
from cti.errors import Unavailable

STATE = "/api/v1/agents/anna/state"
WRAP = "/api/v1/agents/anna/wrap-up"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with a_site(reasons={"break": 900.0, "prayer": 0.0}, status_key="k" * 64) as site:
        yield site


# ---------------------------------------------------------------- reasons and forced states


async def test_only_the_sites_own_reasons_are_taken(site: Site) -> None:
    async with site.client("anna") as client:
        for reason in ("lunch", "holiday"):
            answer = await client.put(STATE, json={"state": "not_ready", "reason": reason}, headers=CSRF)
            assert await code(answer) == (400, "unknown_reason")
            body = await answer.json(content_type=None)
            assert body["reasons"] == ["break", "prayer"] and "break, prayer" in body["detail"]
        assert site.engine.inputs == []
        for reason in ("break", "prayer", ""):
            answer = await client.put(STATE, json={"state": "not_ready", "reason": reason}, headers=CSRF)
            assert (answer.status, (await answer.json())["reason"]) == (200, reason)


async def test_a_supervisors_hand_is_told_to_the_agent_and_audited(site: Site) -> None:
    site.engine.change("anna", wish="ready")
    async with site.client("anna") as anna, site.client("sari") as sari:
        ws = await anna.ws_connect("/ws", headers=site.origin())
        await sari.put(STATE, json={"state": "not_ready", "reason": "break"}, headers=CSRF)
        said = (await hear(ws, "notice"))["data"]
        told = {"code": "forced", "by": "Sari Supervisor", "state": "not_ready", "reason": "break", "later": False}
        assert said == told
        assert ("sari", "agent.state_set", "anna") in site.store.audited
        [wish] = [m for m in site.engine.inputs if isinstance(m, SetAgentState)]
        assert (wish.by, wish.agent) == ("sari", "anna")

        site.engine.ring("anna")
        site.engine.change("anna", work="talking")
        answer = await sari.put(STATE, json={"state": "logged_out"}, headers=CSRF)
        assert (await answer.json())["next_state"] == "logged_out"
        said = (await hear(ws, "notice"))["data"]
        assert (said["state"], said["later"]) == ("logged_out", True)

        site.engine.change("anna", work="wrap_up", wrap_up_until=100.0)
        for action in ("extend", "finish"):
            assert (await sari.post(WRAP, json={"action": action}, headers=CSRF)).status == 200
            assert (await hear(ws, "notice"))["data"] == {"code": f"wrap_up_{action}", "by": "Sari Supervisor"}
        assert [m.by for m in site.engine.inputs if isinstance(m, WrapUp)] == ["sari", "sari"]
        await ws.close()


async def test_what_an_agent_does_himself_is_no_news_to_him(site: Site) -> None:
    async with site.client("anna") as anna:
        ws = await anna.ws_connect("/ws", headers=site.origin())
        await anna.put(STATE, json={"state": "not_ready", "reason": "break"}, headers=CSRF)
        assert (await hear(ws, "agent_state", "notice"))["type"] == "agent_state"
        await ws.close()
    assert site.store.audited == []


async def test_a_forced_state_does_not_wait_for_a_database_that_is_away(site: Site, monkeypatch: Any) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("away")

    async with site.client("sari") as sari:
        monkeypatch.setattr(site.store, "audit", away)
        answer = await sari.put(STATE, json={"state": "not_ready", "reason": "break"}, headers=CSRF)
        assert (answer.status, (await answer.json())["reason"]) == (200, "break")


async def test_a_draft_is_told_apart_from_how_the_call_ended(site: Site) -> None:
    call_id = site.engine.ring("anna")
    site.engine.change("anna", work="wrap_up", wrap_up_until=100.0)
    async with site.client("anna") as client:
        path = f"/api/v1/calls/{call_id}/disposition"
        assert (await client.put(path, json={"code": "sold", "draft": True}, headers=CSRF)).status == 200
        assert site.engine.rows["anna"]["work"] == "wrap_up"
        assert (await client.put(path, json={"code": "sold"}, headers=CSRF)).status == 200
        assert site.engine.rows["anna"]["work"] == "idle"
        assert (await client.post(WRAP, json={"action": "finish"}, headers=CSRF)).status == 200
    assert [m.draft for m in site.engine.inputs if isinstance(m, SetDisposition)] == [True, False]


# ---------------------------------------------------------------- callers who wait


async def test_priority_and_queue_of_a_waiting_caller(site: Site) -> None:
    call_id = site.engine.waits()
    async with site.client("sari") as sari:
        answer = await sari.post(f"/api/v1/calls/{call_id}/priority", json={"priority": 5}, headers=CSRF)
        assert (answer.status, (await answer.json())["priority"]) == (200, 5)
        answer = await sari.post(f"/api/v1/calls/{call_id}/move", json={"queue": "support"}, headers=CSRF)
        assert (answer.status, (await answer.json())["queue"]) == (200, "support")
        [row] = (await (await sari.get("/api/v1/waiting")).json())["items"]
        assert (row["call_id"], row["queue"], row["priority"]) == (call_id, "support", 5)
        assert row["since"].endswith("Z")
        gone = await sari.post(f"/api/v1/calls/{uuid.uuid4()}/priority", json={"priority": 5}, headers=CSRF)
        assert await code(gone) == (409, "not_waiting")
    asked = [(type(m), m.by) for m in site.engine.inputs]
    assert asked == [(ChangePriority, "sari"), (MoveCall, "sari"), (ChangePriority, "sari")]
    assert site.store.audited == [("sari", "call.priority_set", call_id), ("sari", "call.moved", call_id)]


@pytest.mark.parametrize(("verb", "body"), [
    ("priority", {"priority": "5"}), ("priority", {"priority": 1.5}), ("priority", {"priority": 1001}),
    ("priority", {"priority": True}), ("priority", {}), ("priority", {"priority": 1, "more": 1}),
    ("move", {"queue": ""}), ("move", {"queue": 7}), ("move", {}), ("move", {"queue": "x" * 65}),
])  # fmt: skip
async def test_bad_wishes_reach_nobody(site: Site, verb: str, body: dict[str, Any]) -> None:
    call_id = site.engine.waits()
    async with site.client("sari") as sari:
        answer = await sari.post(f"/api/v1/calls/{call_id}/{verb}", json=body, headers=CSRF)
        assert answer.status == 400
    assert site.engine.inputs == []


async def test_agents_neither_move_nor_ask_why(site: Site) -> None:
    call_id = site.engine.waits()
    async with site.client("anna") as anna:
        for verb, body in (("priority", {"priority": 1}), ("move", {"queue": "support"})):
            answer = await anna.post(f"/api/v1/calls/{call_id}/{verb}", json=body, headers=CSRF)
            assert await code(answer) == (403, "forbidden")
        for path in (f"/api/v1/calls/{call_id}/why", "/api/v1/agents/anna/why", "/api/v1/waiting"):
            assert await code(await anna.get(path)) == (403, "forbidden")
    async with site.client() as nobody:
        for path in (f"/api/v1/calls/{call_id}/why", "/api/v1/agents/anna/why"):
            assert await code(await nobody.get(path)) == (401, "not_logged_in")
            assert await code(await nobody.get(path, headers={"X-Status-Key": "wrong"})) == (401, "not_logged_in")
            assert (await nobody.get(path, headers={"X-Status-Key": "k" * 64})).status == 200
    assert site.engine.inputs == []


async def test_why_a_caller_waits_and_why_he_got_that_agent(site: Site) -> None:
    waiting = site.engine.waits(why="nobody", signed_on=0)
    offered = str(uuid.uuid4())
    decision = {"rule": "longest_idle", "idle": 240.0, "candidates": 3}
    site.store.calls.append({
        "call_id": offered, "agent": "anna",
        "offers": [{"offer_id": "o", "agent": "anna", "queue": "sales", "offered_at": 1e9, "ended_at": None,
                    "result": "answered", "decision": decision}],
    })  # fmt: skip
    async with site.client("sari") as sari:
        said = await (await sari.get(f"/api/v1/calls/{waiting}/why")).json()
        assert (said["waits"]["why"], said["waits"]["queue"], said["offers"]) == ("nobody", "sales", [])
        said = await (await sari.get(f"/api/v1/calls/{offered}/why")).json()
        assert said["waits"] is None
        assert said["offers"] == [{"agent": "anna", "queue": "sales", "offered_at": "2001-09-09T01:46:40.000Z",
                                   "ended_at": None, "result": "answered", "decision": decision}]  # fmt: skip
        assert await code(await sari.get(f"/api/v1/calls/{uuid.uuid4()}/why")) == (404, "not_found")
        assert await code(await sari.get("/api/v1/calls/nonsense/why")) == (404, "not_found")


async def test_why_an_agent_has_no_call(site: Site) -> None:
    site.engine.why = {"why": "", "waiting": 1, "idle_since": 1e9, "queues": [{"queue": "sales", "longest_since": 1e9}]}
    async with site.client("sari") as sari:
        said = await (await sari.get("/api/v1/agents/anna/why")).json()
        assert (said["agent"], said["name"], said["why"], said["waiting"]) == ("anna", "Anna Wijaya", "", 1)
        assert said["idle_since"] == said["queues"][0]["longest_since"] == "2001-09-09T01:46:40.000Z"
        assert await code(await sari.get("/api/v1/agents/nobody/why")) == (404, "not_found")


async def test_why_a_caller_waits_is_told_while_the_database_is_away(site: Site, monkeypatch: Any) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("away")

    call_id = site.engine.waits()
    async with site.client("sari") as sari:
        monkeypatch.setattr(site.store, "get_call", away)
        said = await (await sari.get(f"/api/v1/calls/{call_id}/why")).json()
        assert (said["waits"]["why"], said["offers"]) == ("busy", [])
        assert (await sari.get(f"/api/v1/calls/{uuid.uuid4()}/why")).status == 503
