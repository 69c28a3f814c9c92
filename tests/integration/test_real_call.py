"""One real call, seen from outside: the pages, the views, the command line, the API."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kit import Agent, Caller, World, at_work, new_agent, new_number, sipp_agents, sipp_callers, wav_tones
from kit.page import open_page

pytestmark = pytest.mark.services
TIMES = ("started_at", "queued_at", "offered_at", "connected_at", "ended_at", "wrapped_at")


def direct(world: World, caller: str, **more: Any) -> Caller:
    """Into the queue `sales` without a menu."""
    return Caller(world.sip, "6100", number=caller, **more)


async def customer(world: World, caller: str, name: str, tier: str = "standard") -> int:
    """A customer with that number, an open case, and one call of yesterday in his history."""
    row = (
        await world.rows(
            "WITH c AS (INSERT INTO crm.customers (display_name, tier) VALUES ($1, $2) RETURNING customer_id),"
            " n AS (INSERT INTO crm.customer_numbers (customer_id, number) SELECT customer_id, $3 FROM c),"
            " k AS (INSERT INTO crm.cases (customer_id, title) SELECT customer_id, 'Broken kettle' FROM c)"
            " INSERT INTO crm.calls (call_id, story_id, direction, caller, called, customer_id, queue, outcome,"
            "   started_at, ended_at, voicemail, recordings, attributes, finished)"
            " SELECT $4, $4, 'inbound', $3, '6000', customer_id, 'support', 'abandoned',"
            "   now() - interval '1 day', now() - interval '1 day' + interval '1 minute', false, 0, '{}', true FROM c"
            " RETURNING customer_id",
            name, tier, caller, uuid.uuid4(),
        )
    )[0]  # fmt: skip
    return int(row["customer_id"])


async def wrapped(world: World, caller: str) -> dict[str, Any]:
    """The row of the call once its agent has wrapped up and its recording is measured."""
    return await world.row_when(
        "SELECT c.* FROM crm.v_calls c JOIN crm.calls f USING (call_id)"
        " WHERE c.caller = $1 AND c.wrapped_at IS NOT NULL AND f.finished AND c.connected_at IS NOT NULL",
        caller,
    )


async def ended(world: World, caller: str) -> dict[str, Any]:
    """The row of today's call, once the caller has left."""
    return await world.row_when(
        "SELECT * FROM crm.v_calls WHERE caller = $1 AND ended_at > now() - interval '1 hour'", caller
    )


async def told(world: World, call_id: Any) -> list[str]:
    """The types of a call's events, in order."""
    rows = await world.rows("SELECT type FROM crm.v_call_events WHERE call_id = $1 ORDER BY seq", call_id)
    return [row["type"] for row in rows]


def in_order(row: dict[str, Any]) -> None:
    """Every timestamp is there, and none before the one before it."""
    times = [row[name] for name in TIMES]
    assert None not in times and times == sorted(times), dict(zip(TIMES, times, strict=True))


def first_invite(folder: Path) -> float:
    """When SIPp's agent got its first INVITE."""
    lines = (folder / "agents_messages.csv").read_text().splitlines()
    invite = next(line for line in lines if "\tINVITE sip:" in line and "\tR\t" in line)
    return float(invite.split("\t")[2])


# ---------------------------------------------------------------- the first call


async def test_a_call_from_the_trunk_to_the_agents_phone_and_page(world: World, tmp_path: Path) -> None:
    """SIPp on both sides: the demo number, key 1, queue sales, pop, talk, hang-up, and what is left of it."""
    new = new_agent({})
    name, station = new.name, str(new.station)
    caller = new_number()
    whose = await customer(world, caller, "王小明")
    await world.cti("user", "add", name, "--role", "agent", "--station", station, "--skill", "sales=5")
    world.tokens[name] = (await world.cti("user", "token", name)).split()[-1]
    secret = (await world.cti("station", "secret", station)).split()[-1]
    async with open_page(world, name) as page, sipp_agents(world.sip, {station: secret}, tmp_path / "agents"):
        await world.ready(name, station)
        done = await sipp_callers(
            world.sip, "6000", tmp_path / "callers", numbers=[(caller, "O'Brien 王小明")], talk=1.5
        )
        assert (done.good, done.bad) == (1, 0), done.errors
        at, pop = await page.pop(caller)
        row = await wrapped(world, caller)
        states = await world.until(lambda d: d["items"][0]["work"] == "idle", "/agents", name)
    assert states["items"][0]["wish"] == "ready"

    assert abs(at - first_invite(tmp_path / "agents")) < 0.3
    assert pop["call"]["call_id"] == str(row["call_id"])
    assert (pop["call"]["caller_name"], pop["call"]["called"]) == ("O'Brien 王小明", "6000")
    assert (pop["call"]["queue"], pop["call"]["direction"]) == ("sales", "inbound")
    assert [step.partition(":")[0] for step in pop["call"]["flow_path"]] == ["main", "menu"]
    assert [c["name"] for c in pop["customers"]] == ["王小明"]
    assert [(h["queue"], h["outcome"]) for h in pop["history"]] == [("support", "abandoned")]
    assert [c["title"] for c in pop["cases"]] == ["Broken kettle"]

    in_order(row)
    assert row["caller_name"] == "O'Brien 王小明"
    assert (row["outcome"], row["queue"], row["agent"]) == ("answered", "sales", name)
    assert (row["flow"], row["direction"], row["called"]) == ("main", "inbound", "6000")
    assert (row["customer_id"], row["hangup_side"], row["hangup_cause"]) == (whose, "caller", 16)

    story = await told(world, row["call_id"])
    wanted = ["call.arrived", "flow.started", "flow.node", "call.queued", "call.offered", "call.connected",
              "recording.started", "call.disconnected", "flow.node", "call.ended", "call.wrapped"]  # fmt: skip
    assert [type for type in story if type in wanted] == wanted
    seqs = await world.rows("SELECT seq FROM crm.v_call_events WHERE call_id = $1 ORDER BY seq", row["call_id"])
    assert [r["seq"] for r in seqs] == list(range(1, len(seqs) + 1))

    visits = await world.rows("SELECT * FROM crm.v_queue_visits WHERE call_id = $1", row["call_id"])
    assert [(v["seq"], v["queue"], v["result"], v["agent"]) for v in visits] == [(1, "sales", "answered", name)]
    assert abs(visits[0]["entered_at"] - row["queued_at"]) <= timedelta(microseconds=1)  # one is rounded, one is cut
    assert visits[0]["left_at"] == row["connected_at"]
    offers = await world.rows("SELECT * FROM crm.v_offers WHERE call_id = $1", row["call_id"])
    assert [(o["visit_seq"], o["agent"], o["result"]) for o in offers] == [(1, name, "answered")]
    works = await world.rows("SELECT * FROM crm.v_agent_states WHERE agent = $1 ORDER BY since", name)
    assert [w["work"] for w in works if w["call_id"]] == ["reserved", "talking", "wrap_up"]
    assert all(a["until"] == b["since"] for a, b in itertools.pairwise(works)), works


async def test_the_recording_has_each_voice_on_its_side_and_plays(world: World) -> None:
    async with at_work(world) as (name, phone):
        caller = new_number()
        line = await direct(world, caller, hz=440).start()
        await phone.next_call()
        await line.hears(880)
        await asyncio.sleep(2)
        line.hang_up()
        await line.wait()
        row = await wrapped(world, caller)
        recording = (await world.rows("SELECT * FROM crm.v_recordings WHERE call_id = $1", row["call_id"]))[0]
        assert row["recordings"] == 1
        path = world.config.paths.recordings / recording["path"]
        assert wav_tones(path) == (440, 880)  # the caller left, the agent right
        data = path.read_bytes()
        assert (recording["channels"], recording["bytes"]) == (2, len(data))
        assert recording["sha256"] == hashlib.sha256(data).hexdigest()
        assert abs(recording["seconds"] - (row["ended_at"] - row["connected_at"]).total_seconds()) < 0.5
        await _plays(world, name, str(recording["recording_id"]), data)
        await _is_told(world, name, row)


async def _plays(world: World, name: str, recording: str, data: bytes) -> None:
    """The whole, and a range of it as a browser asks when somebody drags the slider; to nobody without a token."""
    url = f"/api/v1/recordings/{recording}/audio"
    token = {"Authorization": f"Bearer {world.tokens[name]}"}
    async with aiohttp.ClientSession(world.url) as http:
        async with http.get(url, headers=token) as reply:
            assert (reply.status, await reply.read()) == (200, data)
            assert reply.headers["Content-Type"].startswith("audio/")
        async with http.get(url, headers=token | {"Range": "bytes=100-199"}) as reply:
            assert (reply.status, await reply.read()) == (206, data[100:200])
            assert reply.headers["Content-Range"] == f"bytes 100-199/{len(data)}"
        async with http.get(url) as reply:
            assert reply.status == 401
    heard = await world.rows("SELECT * FROM crm.audit WHERE actor = $1 AND object LIKE '%' || $2", name, recording)
    assert heard, "listening is not in the audit"


async def _is_told(world: World, name: str, row: dict[str, Any]) -> None:
    """By the command line and by the API."""
    text = await world.cti("call", "show", str(row["call_id"]))
    for words in (row["caller"], "Outcome: answered", "waits in queue sales", f"offered to {name}", f"talks to {name}",
                  "ended by the caller", "wrap-up", "Recording"):  # fmt: skip
        assert words in text, text
    status, found = await world.call("GET", f"/calls/{row['call_id']}", name)
    assert (status, found["outcome"], found["agent"]) == (200, "answered", name)
    assert len(found["recordings"]) == 1
    offered = [e for e in found["events"] if e["type"] == "call.offered"]
    assert offered[0]["data"]["decision"]["rule"] == "longest_idle"


# ---------------------------------------------------------------- who gets whom


async def test_an_important_caller_is_served_before_those_who_wait_longer(world: World) -> None:
    plain, vip = new_number(), new_number()
    await customer(world, vip, "Ibu Sari", tier="vip")
    async with at_work(world, "vips", talk=0.3) as (name, phone):
        await world.call("PUT", f"/agents/{name}/state", name, {"state": "not_ready", "reason": "break"})
        first = await Caller(world.sip, "6200", number=plain).start()
        await first.answered()
        await world.row_when("SELECT 1 FROM crm.v_calls WHERE caller = $1 AND queued_at IS NOT NULL", plain)
        second = await Caller(world.sip, "6200", number=vip).start()
        await world.row_when("SELECT 1 FROM crm.v_calls WHERE caller = $1 AND queued_at IS NOT NULL", vip)
        await world.ready(name, phone.phone.number)
        assert [(await phone.next_call()).caller, (await phone.next_call()).caller] == [vip, plain]
        await asyncio.gather(first.wait(), second.wait())
        visit = (await world.rows(
            "SELECT priority FROM crm.v_queue_visits JOIN crm.v_calls USING (call_id) WHERE caller = $1", vip
        ))[0]  # fmt: skip
        assert visit["priority"] == 10


async def test_an_agent_without_the_skill_is_never_rung_until_he_has_it(world: World) -> None:
    async with at_work(world, "knitting", talk=0.3) as (name, phone):
        caller = new_number()
        line = await direct(world, caller).start()
        await world.row_when("SELECT 1 FROM crm.v_calls WHERE caller = $1 AND queued_at IS NOT NULL", caller)
        await asyncio.sleep(1)  # he stays idle for a while: that he is not rung can only be seen by waiting
        assert phone.calls == []
        await world.cti("agent", "skill", name, "sales=3")
        await phone.next_call()
        await line.wait()
        await world.cti("agent", "skill", name, "sales=0")
        await world.until(lambda d: "sales" not in d["items"][0]["skills"], "/agents", name)


async def test_the_agent_idle_longest_is_rung(world: World) -> None:
    async with at_work(world, "vips", talk=0.2) as (one, _), at_work(world, "vips", talk=0.2) as (two, _):
        rung = []
        for _ in range(4):
            caller = new_number()
            await (await Caller(world.sip, "6200", number=caller).start()).wait()
            rung.append((await ended(world, caller))["agent"])
        assert rung == [one, two, one, two]


async def test_the_phone_that_registered_last_is_rung(world: World) -> None:
    """A phone that lost its power comes back at another port, long before its old registration runs out."""
    async with at_work(world) as (name, dead):
        dead.phone.silent = True
        secret = (await world.cti("station", "secret", dead.phone.number)).split()[-1]
        async with Agent(world.sip, dead.phone.number, secret, talk=0.2) as back:
            caller = new_number()
            line = await direct(world, caller).start()
            await back.next_call()
            await line.wait()
            assert (await ended(world, caller))["agent"] == name
        dead.phone.silent = False


NAMES = ["王小明", "O'Brien \"Bob\" \\ <b>&amp;", "<script>alert(1)</script>", "Siti ☎ Nurhaliza", "=1+1; DROP TABLE"]


@pytest.mark.parametrize("shown", NAMES)
async def test_a_callers_name_comes_intact_everywhere(world: World, shown: str) -> None:
    async with at_work(world, talk=0.2) as (name, phone), open_page(world, name) as page:
        caller = new_number()
        line = await direct(world, caller, name=shown).start()
        _, pop = await page.pop(caller)
        await phone.next_call()
        await line.wait()
        assert pop["call"]["caller_name"] == shown
        assert (await ended(world, caller))["caller_name"] == shown


async def test_a_number_of_two_customers_shows_both_and_claims_neither(world: World) -> None:
    caller = new_number()
    ids = {await customer(world, caller, "Budi"), await customer(world, caller, "Ani")}
    async with at_work(world, talk=0.2) as (name, _), open_page(world, name) as page:
        line = await direct(world, caller).start()
        _, pop = await page.pop(caller)
        await line.wait()
    assert {c["customer_id"] for c in pop["customers"]} in (ids, {str(i) for i in ids})
    assert (await ended(world, caller))["customer_id"] is None


async def test_the_dial_node_rings_a_station_and_goes_on_when_nobody_answers(world: World) -> None:
    await world.cti("user", "add", f"desk{uuid.uuid4().hex[:6]}", "--role", "agent", "--station", "7001")
    secret = (await world.cti("station", "secret", "7001")).split()[-1]
    async with Agent(world.sip, "7001", secret) as desk:
        caller = new_number()
        line = await Caller(world.sip, "6000", number=caller, keys=[(0.5, "4")]).start()
        call = await desk.next_call()
        assert call.caller == caller
        await line.hears(880)
        line.hang_up()
        await line.wait()
        await asyncio.wait_for(call.ended.wait(), 3)
        row = await ended(world, caller)
        assert (row["hangup_side"], row["queue"], row["agent"]) == ("caller", None, None)
        assert "call.dial_connected" in await told(world, row["call_id"])
        desk.reject = 486
        caller = new_number()
        await (await Caller(world.sip, "6000", number=caller, keys=[(0.5, "4")]).start()).wait()
        row = await ended(world, caller)
        events = await world.rows(
            "SELECT data FROM crm.v_call_events WHERE call_id = $1 AND type = 'call.dial_ended'", row["call_id"]
        )
        assert [e["data"]["result"] for e in events] == ["busy"]
        assert row["hangup_side"] == "system"


# ---------------------------------------------------------------- what an agent does with a call


async def test_the_agents_page_hangs_up_and_notes_how_it_ended(world: World) -> None:
    async with at_work(world) as (name, phone), open_page(world, name) as page:
        caller = new_number()
        line = await direct(world, caller).start()
        _, pop = await page.pop(caller)
        call_id = pop["call"]["call_id"]
        await phone.next_call()
        await world.work(name, "talking")
        assert (await world.call("POST", f"/calls/{call_id}/answer", name))[0] == 409
        status, _ = await world.call("POST", f"/calls/{call_id}/hangup", name)
        assert status == 200
        await world.work(name, "wrap_up")
        status, said = await world.call("PUT", f"/calls/{call_id}/disposition", name, {"code": "nonsense"})
        assert (status, said["code"]) == (400, "bad_disposition")
        wish = {"code": "resolved", "note": "kettle <b>replaced</b>"}
        assert (await world.call("PUT", f"/calls/{call_id}/disposition", name, wish))[0] == 200
        await line.wait()
        row = await wrapped(world, caller)
        assert (row["disposition"], row["hangup_side"], row["outcome"]) == ("resolved", "agent", "answered")
        in_order(row)


async def test_a_rejected_call_goes_to_the_next_agent(world: World) -> None:
    async with at_work(world, answer_after=None) as (name, phone), open_page(world, name) as page:
        caller = new_number()
        line = await direct(world, caller).start()
        _, pop = await page.pop(caller)
        call = await phone.next_call()
        call_id = pop["call"]["call_id"]
        assert (await world.call("POST", f"/calls/{call_id}/reject", name))[0] == 200
        await asyncio.wait_for(call.ended.wait(), 2)
        row = await world.work(name, "idle")
        assert (row["wish"], row["reason"]) == ("not_ready", "rejected")
        status, said = await world.call("POST", f"/calls/{call_id}/reject", name)
        assert (status, said["code"]) == (409, "call_gone")
        async with at_work(world, talk=0.3) as (second, _):
            await line.wait()
            row = await wrapped(world, caller)
    assert (row["agent"], row["outcome"]) == (second, "answered")
    offers = await world.rows("SELECT agent, result FROM crm.v_offers WHERE call_id = $1 ORDER BY offered_at",
                              row["call_id"])  # fmt: skip
    assert [(o["agent"], o["result"]) for o in offers] == [(name, "rejected"), (second, "answered")]
    visits = await world.rows("SELECT result FROM crm.v_queue_visits WHERE call_id = $1", row["call_id"])
    assert [v["result"] for v in visits] == ["answered"]


async def test_when_the_agent_hangs_up_the_caller_goes_on_in_the_flow(world: World) -> None:
    async with at_work(world, talk=0.5):
        caller = new_number()
        await (await Caller(world.sip, "6000", number=caller, keys=[(0.5, "1")]).start()).wait()
        row = await wrapped(world, caller)
        nodes = await world.rows(
            "SELECT data FROM crm.v_call_events WHERE call_id = $1 AND type = 'flow.node' ORDER BY seq", row["call_id"]
        )
        assert [(n["data"]["node"], n["data"]["outcome"]) for n in nodes][:2] == [("menu", "1"), ("sales", "answered")]
        assert nodes[-1]["data"]["node"] == "thanks"
        assert (row["hangup_side"], row["outcome"]) == ("system", "answered")
