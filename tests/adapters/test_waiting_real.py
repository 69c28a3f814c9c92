"""A waiting caller and his agent on the real Asterisk: keys over the music, announcements, whispers."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import sys
import time
import uuid
from array import array
from collections.abc import AsyncIterator, Iterator
from math import pi, sin
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from kit import Agent, Caller
from kit.sound import loudest
from real_asterisk import RealAsterisk, running
from scenes import Stage

from cti.adapters import prompts_tones
from cti.adapters.agi import AgiServer
from cti.adapters.ami import AmiLink
from cti.core.messages import (
    Bridged,
    ChannelGone,
    ChannelUp,
    HangUp,
    Hold,
    LineDone,
    LineLost,
    LineReady,
    Play,
    Prompt,
    Ring,
    SwitchUp,
    Text,
)
from tests.kit_sound import wav

pytestmark = pytest.mark.services
WORDS, SHORT = Text(language="en", text="words"), Text(language="en", text="short")
WORD_HZ, CALLER_HZ, AGENT_HZ = 660, 440, 880


class Room(Stage):
    """The stage with sounds: WORDS is a tone of WORD_HZ of ten seconds, SHORT the same of one."""

    def __init__(self, real: RealAsterisk) -> None:
        super().__init__(real)
        config, self.folder = real.config, real.config.paths.sounds.resolve()
        for name, seconds in (("words", 10), ("short", 1)):
            steps = array("h", (int(9000 * sin(2 * pi * WORD_HZ * n / 8000)) for n in range(8000 * seconds)))
            (self.folder / f"{name}.wav").write_bytes(wav(steps.tobytes()))
        tones = prompts_tones.make(self.folder)
        self.agi = AgiServer(host=config.agi.host, port=config.agi.port, submit=self.submit, render=self._render,
                             now=time.time, beep=tones.beep, silence=tones.silence)  # fmt: skip
        self.ami = AmiLink(host=config.ami.host, port=config.ami.port, username=config.ami.username,
                           secret=config.ami.secret, submit=self.submit, cel=None, now=time.time,
                           render=self._render)  # fmt: skip
        self.ops = itertools.count(1)

    async def _render(self, prompt: Prompt) -> str:
        assert isinstance(prompt, Text)
        return str(self.folder / prompt.text)

    def hold(self, ready: LineReady, keys: str = "") -> int:
        op = next(self.ops)
        self.agi.execute(Hold(uniqueid=ready.uniqueid, op=op, keys=keys))
        return op

    def play(self, ready: LineReady, *prompts: Prompt) -> int:
        op = next(self.ops)
        self.agi.execute(Play(uniqueid=ready.uniqueid, op=op, prompts=prompts, barge_in=True))
        return op

    async def done(self, op: int) -> LineDone:
        async with asyncio.timeout(15):
            while not (found := [f for f in self.facts if isinstance(f, LineDone) and f.op == op]):
                self._new.clear()
                await self._new.wait()
        return found[0]

    async def waiting(self, keys: str = "", **more: Any) -> tuple[Caller, LineReady]:
        caller, ready = await self.caller(**more)
        self.hold(ready, keys)
        await caller.answered()
        return caller, ready

    def offer(self, ready: LineReady, *whisper: Prompt) -> str:
        leg = f"cti-1-{uuid.uuid4()}"
        self.ami.execute(Ring(channel_id=leg, call_id="call-1", endpoint="2001", peer=ready.channel, timeout=10,
                              caller=ready.caller, whisper=whisper))  # fmt: skip
        return leg


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAsterisk]:
    with running(tmp_path_factory.mktemp("asterisk")) as one:
        yield one


@pytest.fixture
async def room(real: RealAsterisk) -> AsyncIterator[Room]:
    room = Room(real)
    await room.agi.start()
    link = asyncio.create_task(room.ami.run())
    await room.see(SwitchUp)
    yield room
    await room.close_phones()
    await room.agi.close()
    link.cancel()
    await asyncio.gather(link, return_exceptions=True)


def hears(agent: Agent) -> int:
    """The tone in the agent's ear now."""
    media = agent.call.media if agent.calls else None
    return loudest(bytes(media.heard[-1600:])) if media is not None and len(media.heard) >= 1600 else 0


async def until_agent_hears(agent: Agent, hz: int, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while hears(agent) != hz:
            await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------- whisper


async def test_the_agent_alone_hears_the_whisper_then_they_talk(room: Room) -> None:
    agent = await room.agent(answer_after=0.1, hz=AGENT_HZ)
    caller, ready = await room.waiting(hz=CALLER_HZ)
    leg = room.offer(ready, SHORT, SHORT)
    up = await room.see(ChannelUp, leg)
    await until_agent_hears(agent, WORD_HZ)
    assert loudest(caller.heard[-1600:]) == 0, "music"
    bridged = await room.see(Bridged, leg)
    assert 1.8 < bridged.at - up.at < 2.6, "both sounds, and no more"
    await until_agent_hears(agent, CALLER_HZ)
    await caller.hears(AGENT_HZ)
    tones = {loudest(caller.heard[at : at + 800]) for at in range(0, len(caller.heard) - 800, 800)}
    assert WORD_HZ not in tones
    caller.hang_up()
    await room.see(ChannelGone, leg)


async def test_a_sound_that_is_not_there_connects_all_the_same(room: Room) -> None:
    await room.agent(answer_after=0.1)
    caller, ready = await room.waiting()
    missing = room.folder / "missing.wav"
    missing.write_bytes(wav())
    leg = room.offer(ready, Text(language="en", text="missing"), SHORT)
    await room.see(ChannelUp, ready.uniqueid)
    missing.unlink()
    await room.see(Bridged, leg)
    caller.hang_up()
    await room.see(ChannelGone, leg)


async def test_a_hang_up_in_the_whisper_ends_it_at_once(room: Room) -> None:
    took = []
    agent = await room.agent(answer_after=0.05)
    for _ in range(5):
        caller, ready = await room.waiting()
        leg = room.offer(ready, WORDS)
        await agent.next_call()
        await until_agent_hears(agent, WORD_HZ)
        caller.hang_up()
        began = time.time()
        await room.see(ChannelGone, ready.uniqueid)
        room.ami.execute(HangUp(uniqueid=leg))
        await room.see(ChannelGone, leg)
        await asyncio.wait_for(agent.call.ended.wait(), 5)
        took.append(time.time() - began)
    assert max(took) < 0.2, took


# ------------------------------------------------------------------------------- announcements


async def connect_times(room: Room, announced: bool, times: int) -> list[float]:
    """Seconds from the agent's answer to the bridge."""
    took = []
    agent = await room.agent(answer_after=0.3, hz=AGENT_HZ)
    for _ in range(times):
        caller, ready = await room.waiting(keys="1", hz=CALLER_HZ)
        if announced:
            room.play(ready, WORDS)
            await caller.hears(WORD_HZ)
        leg = room.offer(ready)
        bridged = await room.see(Bridged, ready.uniqueid)
        took.append(bridged.at - (await room.see(ChannelUp, leg)).at)
        await room.see(LineLost, ready.uniqueid)
        await caller.hears(AGENT_HZ)
        await until_agent_hears(agent, CALLER_HZ)
        caller.hang_up()
        await room.see(ChannelGone, leg)
    await agent.stop()
    return took


async def test_an_announcement_keeps_no_agent_waiting(room: Room) -> None:
    with_it = await connect_times(room, announced=True, times=5)
    without = await connect_times(room, announced=False, times=5)
    print(f"bridged after the answer: {with_it} s with an announcement, {without} s without")
    assert statistics.median(with_it) - statistics.median(without) < 0.2
    assert max(with_it) < 0.5


# ------------------------------------------------------------------------------- keys over the music


async def presses(room: Room, caller: Caller, ready: LineReady, count: int, seed: int) -> int:
    """How many of so many keys were heard, each pressed at a random moment of the music."""
    dice, heard = random.Random(seed), 0
    media = caller.call.media if caller.call else None
    assert media is not None
    media.key_frames = 4  # 80 ms
    for _ in range(count):
        op = room.hold(ready, "1")
        await asyncio.sleep(dice.uniform(0.02, 1.2))
        caller.call.press("1")  # type: ignore[union-attr]
        try:
            async with asyncio.timeout(1.5):
                await room.done(op)
            heard += 1
        except TimeoutError:
            pass
    return heard


async def test_keys_over_the_music_are_heard(room: Room) -> None:
    callers = [await room.waiting() for _ in range(8)]
    heard = await asyncio.gather(*(presses(room, *one, 12, seed) for seed, one in enumerate(callers)))
    print(f"{sum(heard)} of {8 * 12} keys heard")
    assert sum(heard) >= 8 * 12 - 1


async def test_a_key_ends_an_announcement_and_counts(room: Room) -> None:
    caller, ready = await room.waiting(keys="1")
    op = room.play(ready, WORDS)
    await caller.hears(WORD_HZ)
    assert caller.call is not None
    caller.call.press("1")
    async with asyncio.timeout(5):  # WORDS last for ten
        assert (await room.done(op)).outcome == "done"
    assert (await room.done(room.hold(ready, "1"))).digits == "1"
