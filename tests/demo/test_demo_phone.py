"""The simulated phone (and so the test kit) against a real Asterisk."""

import asyncio
import math
import socket
from pathlib import Path

import pytest
import tiny_asterisk
from kit import Agent, Caller, loudest, send_raw, sipp_agents, sipp_callers, tone, wav_tones

from cti.demo import voices
from cti.demo.phone import Phone

pytestmark = pytest.mark.services
SECRET = "secret-2001"
Switch = tiny_asterisk.Tiny


async def line_with(switch: Switch, text: str) -> str:
    async with asyncio.timeout(8):
        while True:
            for line in switch.log().splitlines():
                if text in line:
                    return line
            await asyncio.sleep(0.05)


async def test_keys_number_and_name_arrive(switch: Switch) -> None:
    caller = Caller(switch.server, "7000", number="+628111000123", name='王 "小" <明>', keys=[(0.3, "1*9")])
    await (await caller.start()).wait()
    line = await line_with(switch, "+628111000123")
    assert "<1*9>" in line
    assert "王" in line and "<明>" in line
    assert (caller.status, caller.ended_by) == (200, "them")


async def test_both_hear_each_other_and_each_is_on_his_side(switch: Switch) -> None:
    async with Agent(switch.server, "2001", SECRET) as agent:
        caller = await Caller(switch.server, "7002").start()
        call = await agent.next_call()
        await caller.hears(880)
        await asyncio.sleep(2)
        caller.hang_up()
        await caller.wait()
        await asyncio.wait_for(call.ended.wait(), 5)
        assert call.media is not None
        assert loudest(bytes(call.media.heard)) == 440
        assert (caller.ended_by, call.ended_by) == ("us", "them")
    async with asyncio.timeout(5):
        while not (switch.home / "mix.wav").exists():
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert wav_tones(switch.home / "caller.wav") == (440,)
    assert wav_tones(switch.home / "agent.wav") == (880,)


async def test_agent_hangs_up(switch: Switch) -> None:
    async with Agent(switch.server, "2001", SECRET, talk=0.2) as agent:
        caller = await (await Caller(switch.server, "7001").start()).wait(10)
        assert (caller.ended_by, agent.call.ended_by) == ("them", "us")


async def test_caller_gives_up_while_it_rings(switch: Switch) -> None:
    async with Agent(switch.server, "2001", SECRET, answer_after=None) as agent:
        caller = await (await Caller(switch.server, "7001", leave=("ringing", 0.1)).start()).wait(10)
        await asyncio.wait_for(agent.call.ended.wait(), 5)
        assert (caller.status, caller.ended_by) == (487, "us")
        assert agent.call.at("cancel") and not agent.call.answered.is_set()


@pytest.mark.parametrize("status", [486, 480, 603, 404])
async def test_agent_refuses(switch: Switch, status: int) -> None:
    async with Agent(switch.server, "2001", SECRET, reject=status) as agent:
        caller = await (await Caller(switch.server, "7001").start()).wait(10)
        assert caller.ended_by == "refused"
        assert agent.call.status == status


async def test_refused_trunks_numbers_and_secrets(switch: Switch) -> None:
    unknown = await (await Caller(switch.server, "9999").start()).wait()
    stranger = await (await Caller(switch.server, "7000", host="127.0.0.77").start()).wait()
    assert (unknown.status, stranger.status) == (404, 401)
    wrong = Agent(switch.server, "2001", "wrong")
    with pytest.raises(TimeoutError):
        await wrong.start(timeout=0.5)
    await wrong.stop()


async def test_a_dead_switch_ends_calls_and_registration_comes_back() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        phone = Phone(nobody.getsockname(), "2001", "x")
        await phone.open()
        call = phone.dial("1")
        await asyncio.wait_for(call.ended.wait(), 15)
        assert (call.status, call.ended_by) == (408, "refused")
        await phone.close()


async def test_garbage_does_not_disturb(switch: Switch) -> None:
    async with Agent(switch.server, "2001", SECRET) as agent:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for junk in (b"", b"\xff\xfe", b"SIP/2.0", b"SIP/2.0 abc\r\n\r\n", b"INVITE SIP/2.0\r\n\r\n", b"\r\n\r\n"):
                s.sendto(junk, ("127.0.0.1", agent.phone.port))
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
            caller = await Caller(switch.server, "7001", talk=0.1).start()
            await caller.answered()
        await caller.wait()


async def test_raw_datagram_gets_its_answer(switch: Switch) -> None:
    text = (
        "OPTIONS sip:{DID}@{HOST} SIP/2.0\r\nVia: SIP/2.0/UDP {SRC};branch=z9hG4bK{BR};rport\r\n"
        "From: <sip:a@{HOST}>;tag={TAG}\r\nTo: <sip:b@{HOST}>\r\nCall-ID: {CID}\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    assert await send_raw(switch.server, text, did="7000") == [200]


async def test_sipp_callers_reach_sipp_agents(switch: Switch, tmp_path: Path) -> None:
    secrets = {"2001": SECRET, "2002": "secret-2002"}
    async with sipp_agents(switch.server, secrets, tmp_path / "agents"):
        result = await sipp_callers(
            switch.server, "7001", tmp_path / "callers", count=5, rate=10, key="", key_after=0.1, talk=0.5
        )
    assert (result.good, result.bad) == (5, 0), result.errors
    assert len(result.setup) == 5 and all(0.09 < s < 2 for s in result.setup)


def test_tones_are_told_apart() -> None:
    assert [loudest(tone(hz)) for hz in (440, 660, 880)] == [440, 660, 880]
    assert loudest(b"\xff" * 8000) == 0
    both = [int(6000 * (math.sin(n * 0.34558) + math.sin(n * 0.69115))) for n in range(8000)]  # 440 and 880
    assert loudest(both) == 0


def test_every_voice_can_be_heard() -> None:
    for language, text in voices.CALLER.items():
        sound = voices.speak(language, text)
        assert len(sound) > 3 * 8000
        assert len(set(sound)) > 100, "silence"
