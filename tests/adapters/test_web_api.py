"""The HTTP surface against a real server with a fake engine and store."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fakes import PASSWORD, a_pop
from webkit import CSRF, Site, a_site, code, login

from cti.adapters.web import auth, wire
from cti.adapters.web.app import ROUTES
from cti.adapters.web.crm import inside
from cti.adapters.web.ports import SYSTEM_REASONS
from cti.core.messages import HangUpCall, SetAgentState, SetDisposition
from cti.errors import BadInput, Unavailable

STATE = "/api/v1/agents/anna/state"


# ---------------------------------------------------------------- login, sessions, csrf


async def test_login_gives_a_new_hidden_cookie_each_time_and_me_tells_who(site: Site) -> None:
    async with site.client() as client:
        answer = await login(client, "anna", headers={"Cookie": "cti_session=attackerchosen"})
        raw = answer.headers["Set-Cookie"]
        assert "HttpOnly" in raw and "SameSite=Strict" in raw and "Path=/" in raw
        first = answer.cookies["cti_session"].value
        assert first != "attackerchosen" and len(first) >= 32
        me = await (await client.get("/api/v1/me")).json()
        assert (me["username"], me["role"], me["agent_id"], me["user_id"]) == ("anna", "agent", "anna", "1")
        again = await login(client, "anna")
        assert again.cookies["cti_session"].value != first
        old = await client.get("/api/v1/me", headers={"Cookie": f"cti_session={first}"})
        assert old.status in (200, 401)  # aiohttp's jar adds the new one too; the store is what counts:
        assert auth.sha256(first) not in site.store.sessions


async def test_only_the_hash_of_a_session_is_stored(site: Site) -> None:
    async with site.client("anna") as client:
        token = next(c.value for c in client.cookie_jar if c.key == "cti_session")
        assert list(site.store.sessions) == [auth.sha256(token)]


@pytest.mark.parametrize("name", ["anna", "nobody", "' OR '1'='1"])
async def test_a_wrong_password_and_an_unknown_name_are_told_alike(site: Site, name: str) -> None:
    async with site.client() as client:
        answer = await login(client, name, "wrong")
        assert await code(answer) == (401, "bad_login")
        assert "Set-Cookie" not in answer.headers


async def test_a_disabled_user_cannot_log_in_and_loses_his_session(site: Site) -> None:
    async with site.client("anna") as client:
        site.store.users["anna"].disabled = True
        assert await code(await client.get("/api/v1/me")) == (401, "not_logged_in")
        assert await code(await login(client, "anna")) == (401, "bad_login")


async def test_logout_ends_the_session(site: Site) -> None:
    async with site.client("anna") as client:
        token = next(c.value for c in client.cookie_jar if c.key == "cti_session")
        assert (await client.delete("/api/v1/session", headers=CSRF)).status == 204
        old = {"Cookie": f"cti_session={token}"}
        assert await code(await client.get("/api/v1/me", headers=old)) == (401, "not_logged_in")


async def test_brute_force_meets_429_while_another_address_gets_in(site: Site) -> None:
    async with site.client() as client:
        seen = [await login(client, "anna", f"wrong-{i}") for i in range(15)]
        assert await code(seen[-1]) == (429, "too_many_tries")
        assert int(seen[-1].headers["Retry-After"]) > 0
        assert (await login(client, "anna")).status == 429  # the right one from here too
        assert (await login(client, "budi")).status == 200
    guard = auth.Auth(site.store, site.settings)
    token, user = await guard.login("anna", PASSWORD, "203.0.113.9")
    assert user.name == "anna" and auth.sha256(token) in site.store.sessions
    guard.close()


async def test_many_wrong_passwords_at_once_are_no_way_around_the_limit(site: Site) -> None:
    async with site.client() as client:
        answers = await asyncio.gather(*(login(client, "anna", f"wrong-{i}") for i in range(30)))
        assert sorted(answer.status for answer in answers) == [401] * 10 + [429] * 20


async def test_a_password_that_could_not_be_checked_is_no_failed_try(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(name: str) -> None:
        raise Unavailable("PostgreSQL is away")

    async with site.client() as client:
        with monkeypatch.context() as m:
            m.setattr(site.store, "user_by_name", away)
            assert {(await login(client, "anna")).status for _ in range(12)} == {503}
        assert (await login(client, "anna")).status == 200


def test_throttle_forgets_with_time() -> None:
    throttle = auth.Throttle(2, 10.0)
    throttle.failed("k", 0.0)
    throttle.failed("k", 5.0)
    assert throttle.wait("k", 6.0) == 4.0
    assert throttle.wait("k", 10.0) == 0.0
    assert throttle.wait("other", 6.0) == 0.0


async def test_an_idle_session_ends() -> None:
    async with a_site(idle_seconds=0.05) as site, site.client("anna") as client:
        assert (await client.get("/api/v1/me")).status == 200
        await asyncio.sleep(0.1)  # the idle time itself is what is tested
        assert await code(await client.get("/api/v1/me")) == (401, "not_logged_in")
        assert site.store.sessions == {}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-CSRF": "1", "Origin": "https://evil.test"}, 403),
        ({"X-CSRF": "1", "Origin": "null"}, 403),
        ({"X-CSRF": "1", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-CSRF": "1", "Sec-Fetch-Site": "same-site"}, 403),
        ({"X-CSRF": "1"}, 200),
        ({"X-CSRF": "1", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
async def test_csrf(site: Site, headers: dict[str, str], status: int) -> None:
    async with site.client("anna") as client:
        answer = await client.put(STATE, json={"state": "ready"}, headers=headers)
        assert answer.status == status
        assert len(site.engine.inputs) == (status == 200)
        if status == 403:
            assert await code(answer) == (403, "csrf")


async def test_a_login_form_of_another_site_is_refused(site: Site) -> None:
    async with site.client() as client:
        answer = await login(client, "anna", headers={"Origin": "https://evil.test"})
        assert await code(answer) == (403, "csrf")


async def test_a_token_needs_no_csrf_header_and_a_wrong_one_is_not_rescued_by_a_cookie(site: Site) -> None:
    async with site.client("anna", token=True) as client:
        assert (await client.put(STATE, json={"state": "ready"})).status == 200
    async with site.client("anna") as client:
        answer = await client.get("/api/v1/me", headers={"Authorization": "Bearer nonsense"})
        assert await code(answer) == (401, "not_logged_in")


# ---------------------------------------------------------------- problems and headers


async def test_every_error_is_a_problem(site: Site) -> None:
    async with site.client("sari") as client:
        assert await code(await client.get("/api/v1/nothing")) == (404, "not_found")
        assert await code(await client.get("/nothing")) == (404, "not_found")
        answer = await client.patch("/api/v1/session", headers=CSRF)
        assert await code(answer) == (405, "method_not_allowed")
        assert "DELETE" in answer.headers["Allow"]
        big = await client.put(STATE, data=b"x" * 70_000, headers=CSRF | {"Content-Type": "application/json"})
        assert await code(big) == (413, "too_large")
        form = await client.put(STATE, data={"state": "ready"}, headers=CSRF)
        assert await code(form) == (415, "json_only")


async def test_an_unforeseen_fault_is_a_problem_without_its_insides(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise RuntimeError("secret insides")

    site.engine.queues = broken  # type: ignore[method-assign]
    async with site.client("anna") as client:
        answer = await client.get("/api/v1/queues")
        assert await code(answer) == (500, "internal")
        assert "secret insides" not in await answer.text()
    assert "request failed" in caplog.text


async def test_every_answer_carries_the_security_headers(site: Site) -> None:
    async with site.client("anna") as client:
        for path in ("/agent", "/api/v1/me", "/api/v1/nothing", "/static/agent.js", "/login"):
            headers = (await client.get(path, allow_redirects=False)).headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
        page = await (await client.get("/agent")).text()
        assert "<script>" not in page and "style=" not in page and " onclick" not in page


async def test_static_files_stay_inside(site: Site) -> None:
    head = f"GET /static/{'%2e%2e/' * 8}etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    assert answer.split()[1] in (b"400", b"403", b"404") and b"root:" not in answer


async def test_a_smuggled_second_request_is_not_answered(site: Site) -> None:
    head = "POST /api/v1/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"{head}0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.count(b"HTTP/1.") <= 1 and b'"ok"' not in answer


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    "body",
    [
        '{"state":"not_ready","state":"ready"}',
        '{"state":"ready","station":99999999999999999999999}',
        '{"state":' + '{"a":' * 5000 + "1" + "}" * 5000 + "}",
        '{"state":"ready","role":"admin"}',
        '{"state":"ready","reason":"\\u0000"}',
        '{"state":"ready","reason":"\\ud800"}',
        '{"state":"lunch"}',
        '{"state":NaN}',
        "[]",
        "",
        "{",
        "null",
    ],
)
async def test_bad_bodies_change_nothing(site: Site, body: str) -> None:
    async with site.client("anna") as client:
        answer = await client.put(STATE, data=body, headers=CSRF | {"Content-Type": "application/json"})
        status, name = await code(answer)
        assert status == 400 and name in ("bad_json", "bad_field")
        assert site.engine.inputs == []


@pytest.mark.parametrize("body", [{"reason": "lunch\n"}, {"station": "2001\n"}, {"reason": "l\nunch"}])
async def test_a_line_break_at_the_end_is_no_letter(site: Site, body: dict[str, str]) -> None:
    async with site.client("anna", token=True) as client:
        assert await code(await client.put(STATE, json={"state": "not_ready"} | body)) == (400, "bad_field")
        assert await code(await client.patch("/api/v1/me", json={"language": "en\n"})) == (400, "bad_field")
    assert site.engine.inputs == []


@pytest.mark.parametrize("reason", SYSTEM_REASONS)
async def test_what_the_server_says_of_an_agent_he_does_not_say_of_himself(site: Site, reason: str) -> None:
    async with site.client("anna", token=True) as client:
        answer = await client.put(STATE, json={"state": "not_ready", "reason": reason})
        assert await code(answer) == (400, "reserved_reason")
    assert site.engine.inputs == []


def test_lists_nested_deeply_are_refused() -> None:
    with pytest.raises(BadInput) as refused:
        wire.read_json(b"[" * 30_000 + b"]" * 30_000, list)
    assert refused.value.code == "bad_json"


@pytest.mark.parametrize("text", ["2026-03-08T02:30:00[America/New_York]", "2026-03-08", "20260308T000000", "",
                                  "0001-01-01T00:00:00+14:00", "now", "2026-03-08T02:30:00"])  # fmt: skip
def test_times_are_not_guessed(text: str) -> None:
    with pytest.raises(BadInput):
        wire.read_time("since", text)


def test_times_and_ids_in_json() -> None:
    row = {"since": 0, "ended_at": 1.5, "customer_id": 7, "rows": [{"at": None, "seconds": 3, "since_count": 2}]}
    assert wire.jsonable(row) == {
        "since": "1970-01-01T00:00:00.000Z", "ended_at": "1970-01-01T00:00:01.500Z", "customer_id": "7",
        "rows": [{"at": None, "seconds": 3, "since_count": 2}],
    }  # fmt: skip


def test_only_our_own_cursor_comes_back() -> None:
    key = b"k" * 32
    sealed = wire.seal(key, "calls", "2026-01-01|x")
    assert sealed is not None and wire.unseal(key, "calls", sealed) == "2026-01-01|x"
    for other in ("started_at; DROP TABLE crm.calls--", "", "Ä", sealed[:-2], sealed + "AA"):
        with pytest.raises(BadInput):
            wire.unseal(key, "calls", other)
    with pytest.raises(BadInput):
        wire.unseal(key, "customers", sealed)


# ---------------------------------------------------------------- agents


async def test_an_agent_sets_his_own_state_only(site: Site) -> None:
    other = "/api/v1/agents/budi/state"
    async with site.client("anna") as client:
        answer = await client.put(STATE, json={"state": "ready", "station": "2001"}, headers=CSRF)
        row = await answer.json()
        assert (row["agent_id"], row["state"], row["next_state"]) == ("anna", "ready", None)
        assert row["since"].endswith("Z")
        assert await code(await client.put(other, json={"state": "logged_out"}, headers=CSRF)) == (403, "forbidden")
        assert len((await (await client.get("/api/v1/agents")).json())["items"]) == 1
    [message] = site.engine.inputs
    assert isinstance(message, SetAgentState) and (message.by, message.agent) == ("anna", "anna")
    async with site.client("sari") as client:
        assert (await client.put(other, json={"state": "not_ready", "reason": "lunch"}, headers=CSRF)).status == 200
        nobody = await client.put("/api/v1/agents/nobody/state", json={"state": "ready"}, headers=CSRF)
        assert await code(nobody) == (404, "not_found")
        assert len((await (await client.get("/api/v1/agents")).json())["items"]) == 2


async def test_a_busy_agent_gets_a_next_state_and_a_dead_station_is_refused(site: Site) -> None:
    site.engine.ring("anna")
    async with site.client("anna") as client:
        row = await (await client.put(STATE, json={"state": "not_ready", "reason": "lunch"}, headers=CSRF)).json()
        assert (row["state"], row["next_state"], row["next_reason"]) == ("reserved", "not_ready", "lunch")
        refused = await client.put(STATE, json={"state": "ready", "station": "2404"}, headers=CSRF)
        assert await code(refused) == (409, "station_unreachable")


async def test_wrap_up(site: Site) -> None:
    call_id = site.engine.ring("anna")
    site.engine.change("anna", work="wrap_up", wrap_up_until=100.0)
    async with site.client("anna") as client:
        path = "/api/v1/agents/anna/wrap-up"
        assert (await (await client.post(path, json={"action": "extend"}, headers=CSRF)).json())[
            "wrap_up_until"
        ] == "1970-01-01T00:02:10.000Z"
        done = {"code": "sold", "note": "你好"}
        answer = await client.put(f"/api/v1/calls/{call_id}/disposition", json=done, headers=CSRF)
        assert answer.status == 200
        wrong = await client.put(f"/api/v1/calls/{call_id}/disposition", json={"code": "evil"}, headers=CSRF)
        assert await code(wrong) == (400, "bad_disposition")
        row = await (await client.post(path, json={"action": "finish"}, headers=CSRF)).json()
        assert row["work"] == "idle"
    [said] = [m for m in site.engine.inputs if isinstance(m, SetDisposition)]
    assert (said.call_id, said.agent, said.code, said.note) == (call_id, "anna", "sold", "你好")


async def test_roles_guard_the_wallboard_and_the_status(site: Site) -> None:
    for path in ("/api/v1/wallboard", "/api/v1/status", "/wallboard"):
        async with site.client("anna") as client:
            assert await code(await client.get(path)) == (403, "forbidden")
        async with site.client("sari") as client:
            assert (await client.get(path)).status == 200
        if path.startswith("/api"):
            async with site.client() as client:
                assert await code(await client.get(path)) == (401, "not_logged_in")


# ---------------------------------------------------------------- calls


def a_call(agent: str) -> dict[str, Any]:
    return {"call_id": str(uuid.uuid4()), "agent": agent, "story": []}


async def test_calls_are_filtered_paged_and_an_agents_are_his_own(site: Site) -> None:
    site.store.calls = [a_call("anna") for _ in range(5)] + [a_call("budi")]
    async with site.client("sari") as client:
        page = await (await client.get("/api/v1/calls?limit=4")).json()
        assert len(page["items"]) == 4
        rest = await (await client.get("/api/v1/calls", params={"cursor": page["next_cursor"]})).json()
        assert len(rest["items"]) == 2 and rest["next_cursor"] is None
        await client.get(
            "/api/v1/calls?since=2026-01-01T07:00:00%2B07:00&queue=sales&outcome=answered&limit=1000000000"
        )
        asked = site.store.asked[-1]
        assert (asked["since"], asked["queue"], asked["outcome"], asked["limit"]) == (
            1767225600.0,
            "sales",
            "answered",
            200,
        )
    async with site.client("anna") as client:
        page = await (await client.get("/api/v1/calls")).json()
        assert {c["agent"] for c in page["items"]} == {"anna"}
        assert await code(await client.get("/api/v1/calls?agent=budi")) == (403, "forbidden")
        budis = site.store.calls[-1]["call_id"]
        assert await code(await client.get(f"/api/v1/calls/{budis}")) == (404, "not_found")
        assert (await client.get(f"/api/v1/calls/{site.store.calls[0]['call_id'].upper()}")).status == 200


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("cursor=started_at%3B%20DROP%20TABLE%20crm.calls--", "bad_cursor"),
        ("outcome=(CASE%20WHEN%20(1=1)%20THEN%20%27answered%27%20END)", "bad_filter"),
        ("limit=-1", "bad_limit"),
        ("limit=0", "bad_limit"),
        ("limit=%D9%A1", "bad_limit"),
        ("since=2026-03-08T02:30:00%5BAmerica/New_York%5D", "bad_time"),
        ("queue=a%00b", "bad_filter"),
        ("agent=" + "a" * 100, "bad_filter"),
    ],
)
async def test_bad_queries_do_not_reach_the_database(site: Site, query: str, name: str) -> None:
    async with site.client("sari") as client:
        assert await code(await client.get(f"/api/v1/calls?{query}")) == (400, name)
    assert site.store.asked == []


async def test_a_century_is_a_range_like_any_other(site: Site) -> None:
    async with site.client("sari") as client:
        answer = await client.get("/api/v1/calls?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z")
        assert answer.status == 200


async def test_hang_up_is_the_agents_own_and_the_supervisors_any(site: Site) -> None:
    call_id = site.engine.ring("anna")
    async with site.client("budi") as client:
        answer = await client.post(f"/api/v1/calls/{call_id}/hangup", headers=CSRF)
        assert await code(answer) == (409, "not_your_call")
        assert await code(await client.post("/api/v1/calls/x;y/hangup", headers=CSRF)) == (404, "not_found")
    async with site.client("sari") as client:
        assert (await client.post(f"/api/v1/calls/{call_id}/hangup", headers=CSRF)).status == 200
    said = [m for m in site.engine.inputs if isinstance(m, HangUpCall)]
    assert [(m.by, m.agent) for m in said] == [("budi", "budi"), ("sari", "")]


async def test_answer_without_a_phone_that_can_be_told_is_refused(site: Site) -> None:
    call_id = site.engine.ring("anna")
    async with site.client("anna") as client:
        answer = await client.post(f"/api/v1/calls/{call_id}/answer", headers=CSRF)
        assert await code(answer) == (409, "pick_up_phone")
    assert site.engine.inputs == []


# ---------------------------------------------------------------- customers, recordings


async def test_customers(site: Site) -> None:
    async with site.client("anna") as client:
        page = await (await client.get("/api/v1/customers", params={"q": "王"})).json()
        assert page["items"][0]["customer_id"] == "7"
        headers = {"X-HTTP-Method-Override": "DELETE"}
        assert (await (await client.get("/api/v1/customers/7", headers=headers)).json())["tier"] == "vip"
        for wrong in ("8", "x", "9" * 30, "%D9%A7"):
            assert await code(await client.get(f"/api/v1/customers/{wrong}")) == (404, "not_found")


async def test_a_recording_is_heard_in_ranges_by_whose_it_is_and_audited(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "r.wav").write_bytes(b"RIFF" + bytes(range(100)))
    recording = str(uuid.uuid4())
    path = f"/api/v1/recordings/{recording}/audio"
    async with a_site(recordings=tmp_path) as site:
        site.store.recordings = [{"recording_id": recording, "agent": "anna", "path": "a/r.wav", "bytes": 104}]
        async with site.client("anna") as client:
            answer = await client.get(path, headers={"Range": "bytes=0-3"})
            assert (answer.status, await answer.read()) == (206, b"RIFF")
            assert answer.content_type == "audio/wav" and "no-store" in answer.headers["Cache-Control"]
            assert (await client.get(path, headers={"Range": "bytes=900-"})).status == 416
            assert len((await (await client.get("/api/v1/recordings")).json())["items"]) == 1
        assert site.store.audited[0] == ("anna", "recording.listened", recording)
        heard = len(site.store.audited)
        async with site.client("budi") as client:
            assert await code(await client.get(path)) == (404, "not_found")
            for wrong in ("..%2f..%2fetc%2fpasswd", "rec.wav%00.png", "%25s%25n.wav", "..%5cwin.ini"):
                assert await code(await client.get(f"/api/v1/recordings/{wrong}/audio")) == (404, "not_found")
        site.store.recordings[0]["bytes"] = 0
        async with site.client("sari") as client:
            assert await code(await client.get(path)) == (410, "no_audio")
        assert len(site.store.audited) == heard


def test_a_recordings_path_stays_under_its_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "ok.wav").write_bytes(b"x")
    (root / "empty.wav").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"x")
    (root / "link.wav").symlink_to(tmp_path / "secret")
    (root / "dir").symlink_to(tmp_path)
    assert inside(root, "ok.wav") == root / "ok.wav"
    for bad in ("../secret", "link.wav", "dir/secret", "/etc/passwd", "", "a\0b", "none.wav", "empty.wav", "."):
        assert inside(root, bad) is None


# ---------------------------------------------------------------- machines


async def test_health_ready_metrics(site: Site) -> None:
    async with site.client() as client:
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/readyz")).status == 200
        assert "cti_calls_live 0\n" in await (await client.get("/metrics")).text()
        site.engine.parts["redis"] = {"ok": False, "detail": "", "age": 2.0}
        assert (await client.get("/readyz")).status == 200, "losing it loses nothing"
        del site.engine.parts["redis"]
        site.engine.parts["postgres"] = {"ok": False, "detail": "dsn and secrets", "age": 2.0}
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert (await answer.json())["parts"] == {"ami": True, "postgres": False}


async def test_openapi_has_every_route_and_resolves(site: Site) -> None:
    async with site.client() as client:
        document = await (await client.get("/api/v1/openapi.json")).json()
    wanted = {(r.path, r.method.lower()) for r in ROUTES if r.path.startswith("/api/")}
    assert {(path, verb) for path, verbs in document["paths"].items() for verb in verbs} == wanted
    names = set(document["components"]["schemas"])
    text = json.dumps(document)
    assert {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]} <= names
    ids = [operation["operationId"] for verbs in document["paths"].values() for operation in verbs.values()]
    assert len(ids) == len(set(ids))


async def test_without_a_login_no_route_but_the_open_ones_answers(site: Site) -> None:
    async with site.client() as client:
        for route in ROUTES:
            if not route.open:
                path = route.path.replace("{id}", str(uuid.uuid4())).replace("{n}", "1").replace("{name}", "main")
                assert await code(await client.request(route.method, path)) == (401, "not_logged_in"), route.path


# ---------------------------------------------------------------- pages and languages


def test_catalogues_have_the_same_keys_and_placeholders() -> None:
    import re

    from cti.adapters.web.pages import read_catalogs
    from cti.adapters.web.ports import DISPOSITIONS, OUTCOMES, REASONS, Settings

    catalogs = read_catalogs(Settings().webui / "i18n")
    assert set(catalogs) == {"en", "zh", "id"}
    english = catalogs["en"]
    for language, texts in catalogs.items():
        assert set(texts) == set(english), language
        for key, text in texts.items():
            assert text.strip() and re.findall(r"\{\w+\}", text).sort() == re.findall(r"\{\w+\}", english[key]).sort()
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[key])), (language, key)
    for group, values in (("disposition", DISPOSITIONS), ("outcome", OUTCOMES), ("reason", REASONS)):
        assert {f"{group}.{value}" for value in values} <= set(english)


def test_every_text_the_pages_name_is_in_the_catalogue() -> None:
    import re

    from cti.adapters.web.pages import read_catalogs
    from cti.adapters.web.ports import Settings

    webui = Settings().webui
    english = read_catalogs(webui / "i18n")["en"]
    used = set()
    for path in [*webui.glob("src/*.js"), *webui.glob("templates/*.html")]:
        used |= set(re.findall(r"\bt\([\"']([a-z_]+\.[a-z_]+)[\"'][,)]", path.read_text("utf-8")))
    assert len(used) > 60
    assert used <= set(english)


def test_every_refusal_has_a_text_of_its_own_in_every_language() -> None:
    """What a person may meet (409, and what is named here) by its code; other faults by whose they are."""
    import ast

    from cti.adapters.web.pages import read_catalogs
    from cti.adapters.web.ports import REASONS, SYSTEM_REASONS, Settings

    root = Path(auth.__file__).parents[2]
    codes = {"postgres_unavailable", "forbidden", "not_found", "too_many_tries", "no_such_station", "no_such_agent",
             "reserved_reason", "unreachable", "server", "request", "other"}  # fmt: skip
    for path in [*root.glob("core/*.py"), *(p for p in root.glob("adapters/web/*.py") if p.name != "problems.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                given = [a.value for a in node.args if isinstance(a, ast.Constant)]
                if node.func.id == "Refused" or (node.func.id == "Problem" and given[:1] == [409]):
                    assert isinstance(node.args[-1], ast.Constant) and len(node.args) > 1, f"{path}: no plain code"
                    codes.add(str(given[-1]))
    assert {"station_in_use", "pick_up_phone", "call_gone", "not_in_wrap_up"} <= codes
    for language, texts in read_catalogs(Settings().webui / "i18n").items():
        assert {f"refused.{code}" for code in codes} <= set(texts), language
        assert {f"reason.{reason}" for reason in (*REASONS, *SYSTEM_REASONS)} <= set(texts), language


async def test_a_page_speaks_the_readers_language(site: Site) -> None:
    async with site.client() as client:
        assert "密码" in await (await client.get("/login?lang=zh")).text()
        assert "密码" in await (await client.get("/login")).text()  # remembered
        other = {"Accept-Language": "id-ID,id;q=0.9"}
        client.cookie_jar.clear()
        assert "Kata sandi" in await (await client.get("/login", headers=other)).text()
    site.store.users["anna"].language = None
    async with site.client("anna") as client:
        assert '<html lang="id">' in await (await client.get("/agent", headers=other)).text(), "she has chosen none yet"
        answer = await client.patch("/api/v1/me", json={"language": "id"}, headers=CSRF)
        assert (await answer.json())["language"] == "id"
        assert '<html lang="id">' in await (await client.get("/agent")).text()
        assert await code(await client.patch("/api/v1/me", json={"language": "xx"}, headers=CSRF)) == (
            400, "bad_language",
        )  # fmt: skip


async def test_pages_lead_to_the_login_and_home(site: Site) -> None:
    async with site.client() as client:
        for path in ("/", "/agent", "/wallboard"):
            answer = await client.get(path, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (302, "/login")
    async with site.client("sari") as client:
        assert (await client.get("/", allow_redirects=False)).headers["Location"] == "/wallboard"
        html = await client.get("/none", headers={"Accept": "text/html"})
        assert html.status == 404 and "There is no such page" in await html.text()


async def test_a_name_with_html_in_the_page_is_inert(site: Site) -> None:
    site.store.users["anna"].display_name = "</script><script>alert(1)</script>"
    async with site.client("anna") as client:
        assert "<script>alert(1)" not in await (await client.get("/agent")).text()


async def test_wrong_passwords_do_not_hold_up_the_others(site: Site) -> None:
    async with site.client("anna") as client, site.client() as other:
        tries = [asyncio.create_task(login(other, f"user{i}", "wrong")) for i in range(20)]
        began = time.monotonic()
        assert (await client.get("/api/v1/me")).status == 200
        assert time.monotonic() - began < 1.0
        assert {(await answer).status for answer in tries} <= {401, 429}


def test_a_pop_is_json() -> None:
    assert msgspec.json.decode(wire.encode(wire.jsonable(a_pop())))["customers"][0]["customer_id"] == "7"
