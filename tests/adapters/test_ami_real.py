"""The adapters on the real Asterisk with the generated configuration and real SIP phones."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from kit import send_raw
from real_asterisk import RealAsterisk, running
from scenes import SCENES, Stage, stage

from cti.adapters.agi import AgiServer
from cti.core.messages import (
    Bridged,
    ChannelGone,
    HangUp,
    Hold,
    LineReady,
    OriginateFailed,
    Play,
    Release,
    Sound,
    SwitchUp,
    Text,
)

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAsterisk]:
    with running(tmp_path_factory.mktemp("asterisk")) as one:
        yield one


@pytest.mark.parametrize("name", SCENES)
async def test_scene(real: RealAsterisk, name: str) -> None:
    async with stage(real) as on:
        await SCENES[name](on)
        counters = on.ami.counters
        assert (counters["rejected"], counters["orphans"], counters["unanswered"]) == (0, 0, 0)
        assert on.agi.refused == 0


async def test_a_second_ring_with_the_same_id_dials_nobody(real: RealAsterisk) -> None:
    async with stage(real) as on:
        agent = await on.agent()
        _, ready = await on.caller()
        on.agi.execute(Hold(uniqueid=ready.uniqueid))
        ours = on.ring(ready)
        await on.see(Bridged, ours)
        on.ring(ready, uniqueid=ours)  # as after a crash
        await asyncio.sleep(0.5)  # the time an outcome takes
        assert not [f for f in on.facts if isinstance(f, OriginateFailed)]
        assert len(agent.calls) == 1
        on.ami.execute(HangUp(uniqueid=ours))
        await on.let_go(ready.uniqueid)
        await agent.stop()


async def test_what_happened_without_a_link_is_told_with_its_true_time(real: RealAsterisk) -> None:
    async with stage(real, keep_phones=True) as on:
        agent = await on.agent()
        caller, ready = await on.caller()
        on.agi.execute(Hold(uniqueid=ready.uniqueid))
        ours = on.ring(ready)
        bridged = await on.see(Bridged, ours)
    # no daemon now; the conversation goes on and ends
    assert not caller.call.ended.is_set()
    caller.hang_up()
    await asyncio.wait_for(agent.call.ended.wait(), 5)
    await asyncio.sleep(1.5)
    new = Stage(real)
    new.ami._last_at = bridged.at  # what the journal would know
    task = asyncio.create_task(new.ami.run())
    try:
        up = await new.see(SwitchUp)
        assert ready.uniqueid not in {c.uniqueid for c in up.channels}
        past = new.facts[: new.facts.index(up)]
        gone = {f.uniqueid: f.at for f in past if isinstance(f, ChannelGone)}
        assert {ours, ready.uniqueid} <= set(gone)
        assert all(bridged.at < gone[u] < up.at - 1 for u in (ours, ready.uniqueid))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await on.close_phones()


async def test_a_caller_keeps_his_line_while_the_server_is_away(real: RealAsterisk) -> None:
    async with stage(real) as on:
        caller, ready = await on.caller()
        on.agi.execute(Hold(uniqueid=ready.uniqueid))
        await caller.answered()
        await on.agi.close()
        mark = len(on.facts)
        on.agi = AgiServer(
            host=real.config.agi.host, port=real.config.agi.port, submit=on.submit, render=on._render,
            now=lambda: 0.0,
        )  # fmt: skip
        await asyncio.sleep(0.5)  # nobody listens meanwhile
        await on.agi.start()
        again = await on.see(LineReady, ready.uniqueid, after=mark)
        assert (again.called, again.channel) == (ready.called, ready.channel)
        assert not caller.call.ended.is_set()
        on.agi.execute(Release(uniqueid=ready.uniqueid, cause=17))
        await on.see(ChannelGone, ready.uniqueid)
        await caller.wait()


async def test_prompts_that_are_missing_are_skipped_by_the_real_switch(real: RealAsterisk) -> None:
    async with stage(real) as on:
        caller, ready = await on.caller()

        async def render(prompt: object) -> str:
            return "/nonexistent/x" if isinstance(prompt, Sound) else "beep"

        session = on.agi._held[ready.uniqueid]
        session._outside = session._outside._replace(render=render)
        missing, there = Sound(language="en", name="x"), Text(language="en", text="x")
        for op, prompts, outcome in ((1, (missing, there), "done"), (2, (missing,), "error")):
            mark = len(on.facts)
            on.agi.execute(Play(uniqueid=ready.uniqueid, op=op, prompts=prompts))
            done = await on.see(object, ready.uniqueid, after=mark)
            while getattr(done, "op", 0) != op:
                mark = on.facts.index(done) + 1
                done = await on.see(object, ready.uniqueid, after=mark)
            assert done.outcome == outcome
        on.agi.execute(Release(uniqueid=ready.uniqueid))
        await on.see(ChannelGone, ready.uniqueid)
        await caller.wait()


INVITE = (
    "INVITE sip:6000@{HOST} SIP/2.0\r\nVia: SIP/2.0/UDP {SRC};branch=z9hG4bK{BR};rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:%s@{HOST}>;tag={TAG}\r\nTo: <sip:6000@{HOST}>\r\nCall-ID: {CID}\r\n"
    "CSeq: 1 INVITE\r\nContact: <sip:x@{SRC}>\r\nContent-Length: 0\r\n\r\n"
)


@pytest.mark.parametrize(
    "user",
    [
        "1%0D%0A%0D%0AEvent%3A%20Hangup%0D%0AUniqueid%3A%20victim",
        "1%0D%0AUniqueid%3A%20victim",
        "1%0AUniqueid%3A%20victim",
        "1%0D%0A%0D%0A%0D%0A",
    ],
)
async def test_a_caller_who_forges_events_ends_only_his_own_call(real: RealAsterisk, user: str) -> None:
    async with stage(real) as on:
        agent = await on.agent()
        honest, ready = await on.caller()
        on.agi.execute(Hold(uniqueid=ready.uniqueid))
        ours = on.ring(ready)
        await on.see(Bridged, ours)
        await send_raw(real.sip, INVITE % user)
        async with asyncio.timeout(5):
            while on.ami.counters["rejected"] == 0:
                await asyncio.sleep(0.02)
        assert not [f for f in on.facts if getattr(f, "uniqueid", "") == "victim"]
        assert not honest.call.ended.is_set()
        agent.call.hang_up()
        await on.see(ChannelGone, ours)  # what is true is still told
        await on.let_go(ready.uniqueid)
