"""The websocket: who hears what, what a reconnect gets, and how bad clients end."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest
from fakes import a_pop
from webkit import CSRF, Site, a_site, close_code, code, hear

from cti.adapters.web.hub import KEEP, KEEP_BYTES, KEEP_SECONDS, MAX_QUEUED, Hub, Socket
from tests.kit_until import until

# ---------------------------------------------------------------- who may listen


@pytest.mark.parametrize("origin", [None, "https://evil.test", "null", "http://127.0.0.1:1"])
async def test_a_cookie_needs_our_own_origin(site: Site, origin: str | None) -> None:
    async with site.client("anna") as client:
        headers = {"Origin": origin} if origin else {}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/ws", headers=headers)
        assert refused.value.status == 403
    assert len(site.hub) == 0


async def test_a_token_needs_no_origin_but_is_not_read_from_the_address(site: Site) -> None:
    async with site.client("anna", token=True) as client, client.ws_connect("/ws") as ws:
        assert (await hear(ws, "desk"))["data"]["agent"]["agent_id"] == "anna"
    async with site.client() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/ws?token=token-anna")
        assert refused.value.status == 401
        assert await code(await client.get("/ws")) == (401, "not_logged_in")


async def test_a_plain_request_is_told_to_upgrade(site: Site) -> None:
    async with site.client("anna", token=True) as client:
        assert await code(await client.get("/ws")) == (426, "websocket_only")
        assert await code(await client.get("/ws?since=x")) == (400, "bad_since")


# ---------------------------------------------------------------- what they hear


async def test_snapshot_then_the_pop_and_supervisors_hear_no_pop(site: Site) -> None:
    async with (
        site.client("anna", token=True) as anna, anna.ws_connect("/ws") as hers,
        site.client("budi", token=True) as budi, budi.ws_connect("/ws") as his,
        site.client("sari", token=True) as sari, sari.ws_connect("/ws") as floor,
    ):  # fmt: skip
        first = await hear(hers, "desk")
        assert first["data"]["pop"] is None and first["data"]["can_answer"] is False
        assert (await hear(floor, "wallboard"))["data"]["queues"][0]["queue"] == "sales"
        began = time.monotonic()
        call_id = site.engine.ring("anna")
        pop = await hear(hers, "screen_pop")
        assert time.monotonic() - began < 0.3
        assert pop["data"]["call"]["call_id"] == call_id
        assert pop["data"]["call"]["caller_national"] == "0812-3456-789"
        assert pop["seq"] > first["seq"] and pop["at"].endswith("Z")
        state = await hear(hers, "agent_state")
        assert state["data"]["work"] == "reserved" and state["seq"] > pop["seq"]
        told = await hear(floor, "screen_pop", "agent_state")
        assert (told["type"], told["data"]["agent_id"]) == ("agent_state", "anna")
        site.engine.change("budi", wish="ready")
        heard = await hear(his, "screen_pop", "agent_state")
        assert heard["data"]["agent_id"] == "budi"


async def test_a_new_page_during_a_ring_gets_the_pop(site: Site) -> None:
    call_id = site.engine.ring("anna")
    async with site.client("anna", token=True) as client, client.ws_connect("/ws") as ws:
        assert (await hear(ws, "desk"))["data"]["pop"]["call"]["call_id"] == call_id
        assert (await hear(ws, "screen_pop"))["data"]["call"]["call_id"] == call_id


async def test_a_reconnect_gets_what_it_missed_in_order_else_a_snapshot(site: Site) -> None:
    async with site.client("anna", token=True) as client:
        async with client.ws_connect("/ws") as ws:
            seen = (await hear(ws, "desk"))["seq"]
        call_id = site.engine.ring("anna")
        site.engine.ring("budi")
        async with client.ws_connect(f"/ws?since={seen}") as ws:
            pop = await hear(ws, "screen_pop", "desk")
            assert pop["type"] == "screen_pop" and pop["data"]["call"]["call_id"] == call_id
            state = await hear(ws, "screen_pop", "agent_state", "desk")
            assert (state["type"], state["data"]["agent_id"]) == ("agent_state", "anna")
            seen = state["seq"]
        async with client.ws_connect(f"/ws?since={seen}") as ws:
            desk = await hear(ws, "desk", "screen_pop", "agent_state", "beat")  # how it is now comes last, always
            assert (desk["type"], desk["data"]["agent"]["work"], desk["seq"]) == ("desk", "reserved", site.hub.seq)
            assert (await hear(ws, "desk", "screen_pop", "agent_state", "beat"))["type"] == "beat"
        for stale in (0, seen + 1_000_000):
            async with client.ws_connect(f"/ws?since={stale}") as ws:
                await hear(ws, "desk")


def a_page(hub: Hub, agent: str) -> Socket:
    socket = Socket(agent, [f"agent:{agent}"], b"", hub.seq)
    hub.add(socket)
    return socket


def test_what_is_no_longer_kept_is_not_pretended_to_be_complete() -> None:
    hub = Hub()
    before = hub.seq
    a_page(hub, "anna")
    for i in range(KEEP):
        hub.push("notice", {"n": i}, "anna")
    assert len(hub.missed(["agent:anna"], before) or ()) == KEEP
    hub.push("notice", {}, "anna")
    assert hub.missed(["agent:anna"], before) is None
    assert len(hub.missed(["agent:anna"], before + 1) or ()) == KEEP
    assert hub.missed(["agent:budi"], before) is None  # who never was here
    assert hub.missed(["agent:anna"], before - 1) is None  # from before this server's start


def test_nothing_is_said_to_nobody_and_who_is_away_for_long_gets_a_snapshot() -> None:
    now = 1000.0
    hub = Hub(clock=lambda: now)
    before = hub.seq
    hub.push("notice", {}, "anna")
    assert hub.seq == before
    page = a_page(hub, "anna")
    hub.push("notice", {}, "anna")
    hub.remove(page)
    hub.push("notice", {}, "anna")
    now += KEEP_SECONDS - 1
    hub.beat()
    assert len(hub.missed(["agent:anna"], before) or ()) == 2
    hub.remove(a_page(hub, "anna"))
    now += KEEP_SECONDS + 1
    hub.beat()
    assert hub.missed(["agent:anna"], hub.seq) is None
    hub.push("notice", {}, "anna")
    assert hub.seq == before + 2


def test_what_is_kept_is_bounded_in_bytes_so_that_a_reconnect_does_not_close_itself() -> None:
    hub = Hub()
    a_page(hub, "anna")
    since = []
    for i in range(KEEP):
        since.append(hub.seq)
        hub.push("notice", {"n": i, "note": "很" * 7000}, "anna")
    assert hub.missed(["agent:anna"], since[0]) is None
    kept = hub.missed(["agent:anna"], since[-5])
    assert kept is not None and [json.loads(one)["data"]["n"] for one in kept] == list(range(KEEP - 5, KEEP))
    most = next(hub.missed(["agent:anna"], seq) for seq in since if hub.missed(["agent:anna"], seq) is not None)
    assert most is not None and sum(len(one.encode()) for one in most) <= KEEP_BYTES <= MAX_QUEUED / 4


async def test_a_phone_that_comes_or_goes_is_told_to_whom_it_concerns(site: Site) -> None:
    site.engine.change("anna", wish="not_ready", reason="lunch")
    site.engine.change("budi", wish="not_ready", reason="lunch")
    async with (
        site.client("anna", token=True) as anna, anna.ws_connect("/ws") as hers,
        site.client("budi", token=True) as budi, budi.ws_connect("/ws") as his,
    ):  # fmt: skip
        await hear(hers, "desk")
        await hear(his, "desk")
        for up in (False, True):
            site.engine.phones["2001"] = up
            desk = await hear(hers, "desk")
            assert {"station": "2001", "reachable": up} in desk["data"]["stations"]
        assert (await hear(his, "desk", "beat"))["type"] == "beat"
        site.engine.change("budi", wish="logged_out", reason="")
        site.engine.phones["2404"] = True  # one he may choose now
        assert {"station": "2404", "reachable": True} in (await hear(his, "desk"))["data"]["stations"]


async def test_the_wallboard_comes_when_it_changed_and_only_then(site: Site) -> None:
    async with site.client("sari", token=True) as client, client.ws_connect("/ws") as ws:
        await hear(ws, "wallboard")
        await hear(ws, "wallboard")  # the clock's first look
        site.engine.waiting["sales"] = 4
        board = await hear(ws, "wallboard")
        assert board["data"]["queues"][0]["waiting"] == 4
        for _ in range(2):  # two beats without another board
            assert (await hear(ws, "wallboard", "beat"))["type"] == "beat"


async def test_a_queue_is_told_to_supervisors_when_it_changed_and_only_then(site: Site) -> None:
    async with site.client("sari", token=True) as client, client.ws_connect("/ws") as ws:
        await hear(ws, "wallboard")
        await hear(ws, "wallboard")
        site.engine.waiting["sales"] = 4
        told = (await hear(ws, "queue"))["data"]
        assert (told["queue"], told["waiting"]) == ("sales", 4)
        for _ in range(2):
            assert (await hear(ws, "queue", "beat"))["type"] == "beat"


# ---------------------------------------------------------------- answering from here


async def test_pick_up_goes_to_the_program_that_said_it_can(site: Site) -> None:
    async with (
        site.client("anna", token=True) as client,
        client.ws_connect("/ws") as page,
        client.ws_connect("/ws") as phone,
    ):
        await phone.send_json({"type": "phone", "data": {"station": "2001"}})
        assert (await hear(page, "phone"))["data"]["can_answer"] is True
        call_id = site.engine.ring("anna")
        answers = await asyncio.gather(*(client.post(f"/api/v1/calls/{call_id}/answer") for _ in range(2)))
        assert {answer.status for answer in answers} <= {200, 409}
        assert (await hear(phone, "pick_up"))["data"]["call_id"] == call_id
        await page.send_json({"type": "nonsense"})
        assert (await hear(page, "pick_up", "error"))["type"] == "error"
        await phone.close()
        assert (await hear(page, "phone"))["data"]["can_answer"] is False
        assert await code(await client.post(f"/api/v1/calls/{call_id}/answer")) == (409, "pick_up_phone")


async def test_only_the_phone_at_which_the_agent_sits_can_be_told_to_answer(site: Site) -> None:
    async with (
        site.client("anna", token=True) as client,
        client.ws_connect("/ws") as page,
        client.ws_connect("/ws") as phone,
    ):
        await phone.send_json({"type": "phone", "data": {"station": "2009"}})
        assert (await hear(page, "phone"))["data"]["can_answer"] is False  # she sits at 2001
        call_id = site.engine.ring("anna")
        assert await code(await client.post(f"/api/v1/calls/{call_id}/answer")) == (409, "pick_up_phone")
        site.engine.change("anna", station="2009")
        while not (await hear(page, "phone"))["data"]["can_answer"]:
            pass
        assert (await client.post(f"/api/v1/calls/{call_id}/answer")).status == 200
        assert (await hear(phone, "pick_up"))["data"]["call_id"] == call_id


async def test_nobody_answers_the_phone_another_agent_sits_at(site: Site) -> None:
    site.engine.change("budi", wish="ready")
    async with site.client("anna", token=True) as client, client.ws_connect("/ws") as ws:
        await ws.send_json({"type": "phone", "data": {"station": "2002"}})
        assert (await hear(ws, "error"))["data"]["code"] == "not_your_station"
        assert not site.hub.can_answer("anna") and not site.hub.can_answer("budi")


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"subscribe","topic":"*"}', '{"type":"listen","data":{"call_id":"x"}}', "{", "[]", "1",
        '{"type":"phone","data":{"station":7}}', '{"type":"phone","data":{"station":"2001","as":"budi"}}',
        '{"type":"phone","type":"phone","data":{"station":"2001"}}', "[" * 20000,
    ],
)  # fmt: skip
async def test_other_frames_are_answered_with_an_error_and_change_nothing(site: Site, frame: str) -> None:
    async with site.client("anna", token=True) as client, client.ws_connect("/ws") as ws:
        await ws.send_str(frame)
        assert (await hear(ws, "error"))["data"]["code"] in ("unknown_type", "bad_frame")
        assert site.engine.inputs == [] and not site.hub.can_answer("anna")
        site.engine.ring("budi")
        site.engine.change("anna", wish="ready")
        assert (await hear(ws, "screen_pop", "agent_state"))["data"]["agent_id"] == "anna"


# ---------------------------------------------------------------- bad clients, endings


async def test_a_frame_too_big_closes_with_1009(site: Site) -> None:
    async with site.client("anna", token=True) as client, client.ws_connect("/ws") as ws:
        await hear(ws, "desk")
        await ws.send_str("A" * 200_000)
        assert await close_code(ws) == 1009
    await until(lambda: len(site.hub) == 0)


async def test_a_flood_of_pings_closes_with_1008_and_others_are_served(site: Site) -> None:
    async with (
        site.client("anna", token=True) as client, client.ws_connect("/ws", autoping=False) as ws,
        site.client("budi", token=True) as other, other.ws_connect("/ws") as his,
    ):  # fmt: skip
        await hear(his, "desk")
        with_errors = 0
        for _ in range(500):
            try:
                await ws.ping()
            except (ConnectionError, aiohttp.ClientError):
                with_errors += 1
                break
        took = []
        for wish in ("ready", "not_ready") * 3:  # the middle one: this machine has more to do than this test
            began = time.monotonic()
            site.engine.change("budi", wish=wish)
            await hear(his, "agent_state")
            took.append(time.monotonic() - began)
        assert sorted(took)[3] < 0.2, took
        assert await close_code(ws) == 1008


def test_what_waits_for_a_slow_page_is_bounded() -> None:
    socket = Socket("anna", ["agent:anna"], b"", 0)
    for _ in range(MAX_QUEUED // 1000 + 2):
        socket.put("x" * 1000)
    assert socket.closed.is_set() and socket.close_code == 1013


async def test_a_page_that_does_not_read_is_cut_off_and_others_are_served(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer token-sari\r\n\r\n"
    )
    await until(lambda: len(site.hub) == 1)
    async with site.client("anna", token=True) as client, client.ws_connect("/ws") as ws:
        await hear(ws, "desk")
        most, took = 0, []
        for n in range(600):  # more than the kernel's and our own buffers hold
            site.hub.push("queue", {"filler": "很" * 7_000})
            most = max([most, *(socket._bytes for socket in site.hub._sockets)])
            if n % 100 == 0:
                began = time.monotonic()
                site.hub.push("notice", {}, "anna")
                await hear(ws, "notice")
                took.append(time.monotonic() - began)
            await asyncio.sleep(0)
        await until(lambda: len(site.hub) == 1, 5)
        assert 0 < most <= MAX_QUEUED
        assert sorted(took)[3] < 0.5, took
    writer.close()
    reader.feed_eof()


async def test_logging_out_closes_that_sessions_sockets_only(site: Site) -> None:
    async with site.client("anna") as here, site.client("anna") as elsewhere:
        mine = await here.ws_connect("/ws", headers=site.origin())
        other = await elsewhere.ws_connect("/ws", headers=site.origin())
        await hear(mine, "desk")
        began = time.monotonic()
        assert (await here.delete("/api/v1/session", headers=CSRF)).status == 204
        assert await close_code(mine) == 4401
        assert time.monotonic() - began < 1.0
        site.engine.change("anna", wish="ready")
        await hear(other, "agent_state")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await here.ws_connect("/ws", headers=site.origin())
        await other.close()


async def test_a_page_hears_no_more_than_its_user_may_by_now(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was revoked, a supervisor who is none any more."""
    monkeypatch.setattr("cti.adapters.web.ws.CHECK_SECONDS", 0.02)
    async with (
        site.client("anna", token=True) as anna, anna.ws_connect("/ws") as hers,
        site.client("budi", token=True) as budi, budi.ws_connect("/ws") as his,
        site.client("sari", token=True) as sari, sari.ws_connect("/ws") as floor,
    ):  # fmt: skip
        site.store.tokens = {key: name for key, name in site.store.tokens.items() if name != "anna"}
        assert await close_code(hers) == 4401
        site.store.users["sari"].role = "agent"
        assert await close_code(floor) == 1001
        site.engine.ring("budi")
        await hear(his, "screen_pop")


async def test_stopping_closes_every_socket() -> None:
    async with a_site() as site, site.client("anna", token=True) as client:
        ws = await client.ws_connect("/ws")
        await hear(ws, "desk")
        began = time.monotonic()
        stop = asyncio.create_task(site.runner.cleanup())
        assert await close_code(ws) == 1001
        await stop
        assert time.monotonic() - began < 3.0


async def test_what_is_said_is_json_with_text_ids_and_iso_times(site: Site) -> None:
    async with site.client("anna", token=True) as client, client.ws_connect("/ws") as ws:
        site.engine.ring("anna", a_pop(caller_name='"><img src=x onerror=alert(1)>'))
        pop = await hear(ws, "screen_pop")
        assert set(pop) == {"type", "seq", "at", "data"}
        assert pop["data"]["customers"][0]["customer_id"] == "7"
        assert pop["data"]["history"][0]["started_at"].endswith("Z")
        assert json.dumps(pop)
