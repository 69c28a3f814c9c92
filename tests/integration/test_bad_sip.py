"""What callers and phones do wrong: calls go on, nobody is stuck, nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kit import Caller, World, at_work, new_number, send_raw

pytestmark = pytest.mark.services
DID, KEY, QUEUE = "6000", "1", "sales"  # the flow `main` of ivr_flows/


def into_queue(world: World, caller: str, **more: Any) -> Caller:
    return Caller(world.sip, DID, number=caller, keys=[(0.5, KEY), (2.5, KEY)], **more)


async def story(world: World, caller: str) -> dict[str, Any]:
    """The row of the call that has ended."""
    return await world.row_when("SELECT * FROM crm.v_calls WHERE caller = $1 AND ended_at IS NOT NULL", caller)


async def served(world: World) -> None:
    """A new caller is answered: the system is well."""
    caller = await Caller(world.sip, DID, number=new_number(), talk=0.2).start()
    await caller.answered(5)
    await caller.wait()


# ---------------------------------------------------------------- who may call what


async def test_an_unknown_trunk_is_refused_and_leaves_no_call(world: World) -> None:
    caller = new_number()
    done = await (await Caller(world.sip, DID, number=caller, host="127.0.0.66").start()).wait()
    assert done.status in (401, 403)
    await served(world)
    assert await world.rows("SELECT 1 FROM crm.v_calls WHERE caller = $1", caller) == []


async def test_an_unknown_number_is_refused_with_404(world: World) -> None:
    caller = new_number()
    done = await (await Caller(world.sip, "6999", number=caller).start()).wait()
    assert done.status == 404
    await served(world)
    for row in await world.rows("SELECT outcome FROM crm.v_calls WHERE caller = $1", caller):
        assert row["outcome"] == "refused"


# ---------------------------------------------------------------- the caller leaves at every stage


@pytest.mark.parametrize("stage", [("invite", 0.0), ("invite", 0.02), ("trying", 0.05)])
async def test_caller_leaves_before_the_answer(world: World, stage: tuple[str, float]) -> None:
    caller = new_number()
    await (await Caller(world.sip, DID, number=caller, leave=stage).start()).wait()
    await served(world)
    async with asyncio.timeout(10):
        while await world.rows("SELECT FROM crm.v_calls WHERE caller = $1 AND ended_at IS NULL", caller):
            await asyncio.sleep(0.1)
    for row in await world.rows("SELECT * FROM crm.v_calls WHERE caller = $1", caller):
        assert row["hangup_side"] == "caller"


@pytest.mark.parametrize("after", [0.0, 0.3, 1.5])
async def test_caller_leaves_during_the_flow(world: World, after: float) -> None:
    caller = new_number()
    await (await Caller(world.sip, DID, number=caller, leave=("answered", after)).start()).wait()
    row = await story(world, caller)
    assert (row["hangup_side"], row["queued_at"], row["connected_at"]) == ("caller", None, None)


async def test_caller_leaves_the_queue(world: World) -> None:
    number_ = new_number()
    caller = await into_queue(world, number_).start()
    await world.row_when("SELECT 1 FROM crm.v_calls WHERE caller = $1 AND queued_at IS NOT NULL", number_)
    caller.hang_up()
    await caller.wait()
    row = await story(world, number_)
    assert row["outcome"] in ("abandoned", "short_abandon")
    assert row["hangup_side"] == "caller"


async def test_caller_leaves_while_the_agent_rings(world: World) -> None:
    async with at_work(world, answer_after=None) as (name, phone):
        number_ = new_number()
        caller = await into_queue(world, number_).start()
        call = await phone.next_call()
        caller.hang_up()
        await caller.wait()
        await asyncio.wait_for(call.ended.wait(), 3)
        assert (await world.work(name, "idle"))["wish"] == "ready"
        row = await story(world, number_)
        offers = await world.rows("SELECT result FROM crm.v_offers WHERE call_id = $1", row["call_id"])
        assert [offer["result"] for offer in offers] == ["caller_left"]


@pytest.mark.parametrize("after", [0.0, 0.001, 0.003, 0.01, 0.05])
async def test_caller_leaves_at_the_instant_of_the_connect(world: World, after: float) -> None:
    async with at_work(world, answer_after=0.2) as (name, phone):
        number_ = new_number()
        caller = await into_queue(world, number_).start()
        call = await phone.next_call()
        await call.answered.wait()
        await asyncio.sleep(after)
        caller.hang_up()
        await caller.wait()
        await asyncio.wait_for(call.ended.wait(), 5)
        await story(world, number_)
        row = await world.until(lambda d: d["items"][0]["work"] in ("idle", "wrap_up"), "/agents", name)
        assert row["items"][0]["wish"] == "ready"


async def test_caller_leaves_the_conversation(world: World) -> None:
    async with at_work(world) as (name, phone):
        number_ = new_number()
        caller = await into_queue(world, number_).start()
        call = await phone.next_call()
        await caller.hears(880)
        caller.hang_up()
        await caller.wait()
        await asyncio.wait_for(call.ended.wait(), 3)
        await world.work(name, "wrap_up")
        row = await story(world, number_)
        assert (row["outcome"], row["agent"], row["hangup_side"]) == ("answered", name, "caller")


# ---------------------------------------------------------------- the agent's phone


async def test_ready_without_a_registered_phone_is_refused(world: World) -> None:
    async with at_work(world) as (name, phone):
        await world.call("PUT", f"/agents/{name}/state", name, {"state": "not_ready", "reason": "break"})
        await phone.phone.register(0)
        wish = {"state": "ready", "station": phone.phone.number}
        async with asyncio.timeout(10):
            while (got := await world.call("PUT", f"/agents/{name}/state", name, wish))[0] == 200:
                await world.call("PUT", f"/agents/{name}/state", name, {"state": "not_ready"})
                await asyncio.sleep(0.1)
        assert (got[0], got[1]["code"]) == (409, "station_unreachable")


@pytest.mark.parametrize("treat", [{"reject": 486}, {"reject": 603}, {"reject": 480}, {"reject": 404}])
async def test_a_refusing_phone_costs_the_caller_nothing(world: World, treat: dict[str, Any]) -> None:
    async with at_work(world, **treat) as (name, phone):
        number_ = new_number()
        caller = await into_queue(world, number_).start()
        await phone.next_call()
        row = await world.until(lambda d: d["items"][0]["wish"] == "not_ready", "/agents", name)
        assert row["items"][0]["work"] == "idle"
        async with at_work(world) as (_, good):
            await good.next_call()
            await caller.hears(880)
            caller.hang_up()
            await caller.wait()
        row = await story(world, number_)
        visits = await world.rows("SELECT result FROM crm.v_queue_visits WHERE call_id = $1", row["call_id"])
        assert [visit["result"] for visit in visits] == ["answered"]
        offers = await world.rows(
            "SELECT result FROM crm.v_offers WHERE call_id = $1 ORDER BY offered_at", row["call_id"]
        )
        assert len(offers) == 2 and offers[0]["result"] in ("missed", "rejected")


@pytest.mark.parametrize("dead", [False, True], ids=["never answers", "lost its power"])
async def test_an_unanswered_offer_goes_to_the_next_agent(world: World, dead: bool) -> None:
    async with at_work(world, answer_after=None) as (name, phone):
        phone.phone.silent = dead
        number_ = new_number()
        caller = await into_queue(world, number_).start()
        row = await world.until(lambda d: d["items"][0]["wish"] == "not_ready", "/agents", name, 40)
        assert row["items"][0]["reason"] == "missed"
        async with at_work(world) as (_, good):
            await good.next_call()
            caller.hang_up()
            await caller.wait()
        phone.phone.silent = False


# ---------------------------------------------------------------- hostile messages

TAIL = "To: <sip:{DID}@{HOST}>\r\nCall-ID: {CID}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
VIA = "Via: SIP/2.0/UDP {SRC};branch=z9hG4bK{BR};rport\r\n"
END = "Contact: <sip:x@{SRC}>\r\nContent-Length: 0\r\n\r\n"


def invite(user: str = "{DID}", source: str = '"A" <sip:+6281@{HOST}>', end: str = END) -> str:
    return f"INVITE sip:{user}@{{HOST}} SIP/2.0\r\n{VIA}From: {source};tag={{TAG}}\r\n{TAIL}{end}"


HOSTILE = {
    "several destinations": invite("500&PJSIP%2Ftrunk%2F00252612345678"),
    "newline in the number": invite("100%0Aagi_cti_role%3A%20admin"),
    "comma and pipe in the number": invite("100%2CHangup%7C1"),
    "escape codes in the name": invite(source='"\x1b]0;x\x07\x1b[2J" <sip:+6281@{HOST}>'),
    "right-to-left name": invite(source='"+7495\u202e432" <sip:+6281@{HOST}>'),
    "dialplan function as name": invite(source='"${SHELL(touch pwned)}" <sip:+6281@{HOST}>'),
    "template as name": invite(source='"{{ 7*7 }}" <sip:+6281@{HOST}>'),
    "forged event in the number": invite(
        source='"A" <sip:2%0D%0A%0D%0AEvent%3A%20Hangup%0D%0AUniqueid%3A%20x-1%0D%0A@{HOST}>'
    ),
    "doubled header in the number": invite(source='"A" <sip:2%0D%0AUniqueid%3A%20cti-x@{HOST}>'),
    "AGI variable in the number": invite(source='"A" <sip:2001%0Aagi_evil%3A%201@{HOST}>'),
    "path as number": invite(source="<sip:..%2F..%2Fetc%2Fpasswd@{HOST}>"),
    "markup in the Call-ID": invite().replace("{CID}", "<svg/onload=alert(1)>{CID}"),
    "negative length": invite(end="Contact: <sip:x@{SRC}>\r\nContent-Length: -1\r\n\r\n"),
    "huge length": invite(end="Contact: <sip:x@{SRC}>\r\nContent-Length: 4294967295\r\n\r\n"),
    "many headers": invite(end="X-H: 1\r\n" * 500 + END),
    "empty part": invite(
        end="Contact: <sip:x@{SRC}>\r\nContent-Type: multipart/mixed;boundary=b\r\nContent-Length: 7\r\n\r\n--b--\r\n"
    ),
    "broken SDP": invite(
        end="Contact: <sip:x@{SRC}>\r\nContent-Type: application/sdp\r\nContent-Length: 22\r\n\r\n"
        "v=0\r\nm=audio x\r\na=fmtp"
    ),
}


@pytest.mark.parametrize("payload", list(HOSTILE.values()), ids=list(HOSTILE))
async def test_a_hostile_message_disturbs_nobody(world: World, payload: str) -> None:
    talker = await Caller(world.sip, DID, number=new_number(), name="still here").start()
    await talker.answered(5)
    traces = world.log().count("Traceback")
    await send_raw(world.sip, payload, did=DID)
    await served(world)
    assert not talker.ended_by, "the other caller was thrown out"
    talker.hang_up()
    await talker.wait()
    assert world.log().count("Traceback") == traces
    assert await world.rows("SELECT 1 FROM crm.v_call_events WHERE type = 'call.dialed'") == []


@pytest.mark.parametrize("name", ["O'Brien?", "王小明", "<b>Budi</b>", "50% {{x}} ${Y}"])
async def test_a_name_is_kept_as_it_was_sent(world: World, name: str) -> None:
    caller = new_number()
    await (await Caller(world.sip, DID, number=caller, name=name, leave=("answered", 0.1)).start()).wait()
    assert (await story(world, caller))["caller_name"] == name


async def test_invalid_utf8_in_the_name_is_a_call_like_others(world: World) -> None:
    payload = invite(source='"\xff\xfe\xc3(" <sip:+6281@{HOST}>')
    await send_raw(world.sip, payload, did=DID, encoding="latin-1")
    await served(world)


async def test_no_oracle_tells_which_stations_exist(world: World) -> None:
    async def register(user: str) -> list[int]:
        text = (
            f"REGISTER sip:{{HOST}} SIP/2.0\r\n{VIA}From: <sip:{user}@{{HOST}}>;tag={{TAG}}\r\n"
            f"To: <sip:{user}@{{HOST}}>\r\nCall-ID: {{CID}}\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n"
            "Contact: <sip:x@{SRC}>\r\nExpires: 60\r\nContent-Length: 0\r\n\r\n"
        )
        return await send_raw(world.sip, text, host="127.0.0.67")

    async with at_work(world) as (_, phone):
        known, unknown = await asyncio.gather(register(phone.phone.number), register("987654"))
    assert known == unknown == [401]


FORGERS = ["2%0D%0AUniqueid%3A%20cti-x", "x%0aEvent%3a%20Hangup", "62812%0934", "7%0B8", "9%0d", "1%e2%80%a8"]


async def test_who_writes_into_the_event_stream_leaves_no_call_behind(world: World) -> None:
    """His own hang-up is told in frames that nobody believes."""
    for user in FORGERS:
        await send_raw(world.sip, invite(source=f'"A" <sip:{user}@{{HOST}}>'), did=DID)
    await served(world)
    async with asyncio.timeout(30):
        while await world.rows("SELECT 1 FROM crm.v_calls WHERE ended_at IS NULL"):
            await asyncio.sleep(0.2)


async def test_a_caller_cannot_take_calls_by_dialling(world: World) -> None:
    done = await (await Caller(world.sip, "*8", number=new_number()).start()).wait()
    assert done.status == 404
