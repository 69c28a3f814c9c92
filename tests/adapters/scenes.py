"""Calls on the real Asterisk, played by these adapters with a hand-made decision maker in the core's place."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from kit import Agent, Caller
from real_asterisk import RealAsterisk

from cti.adapters.agi import AgiServer
from cti.adapters.ami import AmiLink
from cti.adapters.cel import read_facts
from cti.core.messages import (
    Bridged,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    Collect,
    HangUp,
    Hold,
    LineDone,
    LineLost,
    LineReady,
    OriginateFailed,
    Play,
    Prompt,
    Release,
    Ring,
    StationState,
    SwitchUp,
    Text,
    Unbridged,
)

HELLO = Text(language="en", text="hello")


class Stage:
    """`facts`: all that was submitted, in order."""

    def __init__(self, real: RealAsterisk) -> None:
        self.real = real
        self.facts: list[Any] = []
        self._new = asyncio.Event()
        self.phones: list[Any] = []
        self.agi = AgiServer(
            host=real.config.agi.host, port=real.config.agi.port, submit=self.submit, render=self._render,
            now=time.time,
        )  # fmt: skip
        self.ami = self.link()

    def link(self) -> AmiLink:
        ami = self.real.config.ami
        return AmiLink(
            host=ami.host, port=ami.port, username=ami.username, secret=ami.secret, submit=self.submit,
            cel=partial(read_facts, self.real.cel, node="main"), now=time.time,
        )  # fmt: skip

    async def _render(self, prompt: Prompt) -> str:
        return "beep"

    def submit(self, fact: Any) -> None:
        self.facts.append(fact)
        self._new.set()

    async def see(self, kind: type, uniqueid: str = "", after: int = 0, seconds: float = 10) -> Any:
        """The first fact of that kind (and channel) at or after index `after`. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                for fact in self.facts[after:]:
                    if isinstance(fact, kind) and uniqueid in ("", getattr(fact, "uniqueid", "")):
                        return fact
                self._new.clear()
                await self._new.wait()

    def ring(
        self, ready: LineReady, endpoint: str = "2001", timeout: float = 10, recording: str = "", uniqueid: str = ""
    ) -> str:
        uniqueid = uniqueid or f"cti-1-{uuid.uuid4()}"
        self.ami.execute(
            Ring(channel_id=uniqueid, call_id="call-1", endpoint=endpoint, peer=ready.channel, timeout=timeout,
                 caller=ready.caller, caller_name=ready.caller_name, recording_id=recording)
        )  # fmt: skip
        return uniqueid

    async def let_go(self, uniqueid: str) -> None:
        """Of a caller whose bridge ends: back in the loop he is told to leave. A hang-up could meet him in between,
        where Asterisk loses it."""

        def count(kind: type) -> int:
            return sum(isinstance(f, kind) and f.uniqueid == uniqueid for f in self.facts)

        async with asyncio.timeout(10):
            while not 0 < count(LineLost) < count(LineReady):
                self._new.clear()
                await self._new.wait()
        self.agi.execute(Release(uniqueid=uniqueid))
        await self.see(ChannelGone, uniqueid)

    async def close_phones(self) -> None:
        for phone in self.phones:
            await phone.close()

    async def caller(self, **settings: Any) -> tuple[Caller, LineReady]:
        mark = len(self.facts)
        settings = {"number": "+628111000001", "name": "王小明"} | settings
        caller = await Caller(self.real.sip, "6000", **settings).start()
        self.phones.append(caller.phone)
        return caller, await self.see(LineReady, after=mark)

    async def agent(self, **settings: Any) -> Agent:
        mark = len(self.facts)
        agent = await Agent(self.real.sip, "2001", self.real.secrets["2001"], **settings).start()
        self.phones.append(agent.phone)
        if not any("2001" in fact.reachable for fact in self.facts[:mark] if isinstance(fact, SwitchUp)):
            await self.see(StationState, after=mark)  # not told when an earlier phone was still registered
        return agent


@asynccontextmanager
async def stage(real: RealAsterisk, keep_phones: bool = False) -> AsyncIterator[Stage]:
    one = Stage(real)
    await one.agi.start()
    task = asyncio.create_task(one.ami.run())
    try:
        await one.see(SwitchUp)
        yield one
    finally:
        if not keep_phones:
            await one.close_phones()
        await one.agi.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def answered_agent_ends(on: Stage) -> None:
    agent = await on.agent()
    caller, ready = await on.caller(keys=[(1.0, "1")])
    on.agi.execute(Play(uniqueid=ready.uniqueid, op=1, prompts=(HELLO,)))
    assert (await on.see(LineDone)).outcome == "done"
    on.agi.execute(Collect(uniqueid=ready.uniqueid, op=2, prompts=(HELLO,), timeout=5))
    async with asyncio.timeout(10):
        while (done := await on.see(LineDone, after=on.facts.index(await on.see(LineDone)) + 1)).op != 2:
            pass
    assert (done.outcome, done.digits) == ("digits", "1")
    on.agi.execute(Hold(uniqueid=ready.uniqueid))
    ours = on.ring(ready, recording="rec-1")
    await on.see(Bridged, ours)
    await on.see(LineLost, ready.uniqueid)
    mark = len(on.facts)
    agent.call.hang_up()
    await on.see(ChannelGone, ours)
    await on.see(LineReady, ready.uniqueid, after=mark)  # back in the loop, for `answered:`
    on.agi.execute(Release(uniqueid=ready.uniqueid))
    assert (await on.see(ChannelGone, ready.uniqueid)).cause == 16
    await caller.wait()
    await agent.stop()


async def answered_caller_ends(on: Stage) -> None:
    agent = await on.agent()
    caller, ready = await on.caller()
    on.agi.execute(Hold(uniqueid=ready.uniqueid))
    ours = on.ring(ready)
    await on.see(Bridged, ours)
    caller.hang_up()
    await on.see(Unbridged, ours)
    await on.see(ChannelGone, ours)
    await on.see(ChannelGone, ready.uniqueid)
    await agent.stop()


async def caller_leaves_while_it_rings(on: Stage) -> None:
    agent = await on.agent(answer_after=None)
    caller, ready = await on.caller()
    on.agi.execute(Hold(uniqueid=ready.uniqueid))
    ours = on.ring(ready)
    await agent.next_call()
    await on.see(ChannelUp, ready.uniqueid)
    caller.hang_up()
    await on.see(LineLost, ready.uniqueid)
    await on.see(ChannelGone, ready.uniqueid)
    on.ami.execute(HangUp(uniqueid=ours, cause=26))
    await on.see(ChannelGone, ours)
    await agent.stop()


async def never_answered(on: Stage) -> None:
    agent = await on.agent(answer_after=None)
    caller, ready = await on.caller()
    on.agi.execute(Hold(uniqueid=ready.uniqueid))
    ours = on.ring(ready, timeout=1)
    assert (await on.see(OriginateFailed, ours)).reason == "no_answer"
    await on.see(ChannelGone, ours)
    on.agi.execute(Release(uniqueid=ready.uniqueid))
    await on.see(ChannelGone, ready.uniqueid)
    await caller.wait()
    await agent.stop()


async def declined(on: Stage) -> None:
    agent = await on.agent(reject=486)
    caller, ready = await on.caller()
    on.agi.execute(Hold(uniqueid=ready.uniqueid))
    ours = on.ring(ready)
    assert (await on.see(ChannelGone, ours)).cause == 17
    on.agi.execute(Release(uniqueid=ready.uniqueid))
    await on.see(ChannelGone, ready.uniqueid)
    await caller.wait()
    await agent.stop()
    assert not [f for f in on.facts if isinstance(f, OriginateFailed)]


async def not_registered(on: Stage) -> None:
    caller, ready = await on.caller()
    on.agi.execute(Hold(uniqueid=ready.uniqueid))
    ours = on.ring(ready, endpoint="2003")
    assert (await on.see(OriginateFailed, ours)).reason == "unreachable"
    assert not [f for f in on.facts if isinstance(f, ChannelNew) and f.uniqueid == ours]
    on.agi.execute(Release(uniqueid=ready.uniqueid))
    await on.see(ChannelGone, ready.uniqueid)
    await caller.wait()


SCENES: dict[str, Callable[[Stage], Awaitable[None]]] = {
    f.__name__: f
    for f in (
        answered_agent_ends, answered_caller_ends, caller_leaves_while_it_rings, never_answered, declined,
        not_registered,
    )
}  # fmt: skip
