"""A caller and an agent's phone as a test needs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from cti.demo.call import Call
from cti.demo.phone import Phone
from kit.sound import tone

Server = tuple[str, int]
Stage = str  # invite, trying, ringing, answered


class Agent:
    """A registered phone that treats every call alike; change its fields between calls.

    answer_after  seconds until it answers; None: rings for ever
    reject        486, 480, 603, 404...: refuses with it instead
    talk          seconds until it hangs up; None: waits for the other side
    hz            the tone it sends; 0: no sound at all
    phone.silent  set it to True and the phone is dead"""

    def __init__(
        self,
        server: Server,
        number: str,
        secret: str,
        *,
        answer_after: float | None = 0.1,
        reject: int = 0,
        talk: float | None = None,
        hz: int = 880,
        listen: bool = True,
        host: str = "127.0.0.1",
    ) -> None:
        self.answer_after, self.reject, self.talk, self.hz = answer_after, reject, talk, hz
        self.calls: list[Call] = []
        self._new: asyncio.Queue[Call] = asyncio.Queue()
        self.phone = Phone(server, number, secret, host=host, on_call=self._called, listen=listen)

    @property
    def invites(self) -> list[float]:
        """When each call's INVITE came."""
        return [call.at("invite") for call in self.calls]

    @property
    def call(self) -> Call:
        """The latest call."""
        return self.calls[-1]

    async def start(self, timeout: float = 10, register: bool = True) -> Self:
        """Open and register. Raises TimeoutError when the switch does not accept it."""
        await self.phone.open()
        if register:
            self.phone.keep_registered()
            async with asyncio.timeout(timeout):
                await self.phone.registered.wait()
        return self

    async def stop(self) -> None:
        await self.phone.close()

    async def next_call(self, timeout: float = 10) -> Call:
        """The next call that rings here and was not handed out yet. Raises TimeoutError."""
        return await asyncio.wait_for(self._new.get(), timeout)

    def _called(self, call: Call) -> None:
        self.calls.append(call)
        self._new.put_nowait(call)
        self.phone.spawn(self._treat(call))

    async def _treat(self, call: Call) -> None:
        if self.reject:
            call.reject(self.reject)
            return
        call.ring()
        if self.answer_after is None:
            return
        await asyncio.sleep(self.answer_after)
        call.answer(tone(self.hz) if self.hz else None)
        if self.talk is not None and call.answered.is_set():
            await asyncio.sleep(self.talk)
            call.hang_up()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.stop()


class Agents(list[Agent]):
    """Many agents' phones: Agents.of(server, {"2001": secret, ...}, talk=3); start() and stop() all."""

    @classmethod
    def of(cls, server: Server, secrets: dict[str, str], **settings: object) -> Agents:
        return cls(Agent(server, number, secret, **settings) for number, secret in secrets.items())  # type: ignore[arg-type]

    async def start(self) -> Self:
        await asyncio.gather(*(agent.start() for agent in self))
        return self

    async def stop(self) -> None:
        await asyncio.gather(*(agent.stop() for agent in self))


class Caller:
    """One call from the trunk at `host`.

    keys    [(seconds after the answer, keys)]
    talk    seconds after the answer until he hangs up; None: waits for the other side
    leave   (stage, seconds): hangs up so long after that stage, whatever comes
    hz      the tone he sends; 0: no sound
    source  the whole From value, raw, for hostile callers"""

    def __init__(
        self,
        server: Server,
        dials: str,
        *,
        number: str = "+628111000001",
        name: str = "",
        keys: Sequence[tuple[float, str]] = (),
        talk: float | None = None,
        leave: tuple[Stage, float] | None = None,
        hz: int = 440,
        listen: bool = True,
        host: str = "127.0.0.1",
        source: str = "",
    ) -> None:
        self.dials, self.number, self.name, self.source = dials, number, name, source
        self.keys, self.talk, self.leave, self.hz = keys, talk, leave, hz
        self.phone = Phone(server, "trunk", host=host, listen=listen)
        self.call: Call | None = None

    async def start(self) -> Self:
        """Send the INVITE."""
        await self.phone.open()
        audio = tone(self.hz) if self.hz else None
        self.call = self.phone.dial(self.dials, caller=self.number, name=self.name, audio=audio, source=self.source)
        self.phone.spawn(self._press(self.call))
        self.phone.spawn(self._talk(self.call))
        if self.leave is not None:
            self.phone.spawn(self._leave(self.call, *self.leave))
        return self

    async def wait(self, timeout: float = 30) -> Self:
        """Until the call is over. Raises TimeoutError (the call is hung up)."""
        assert self.call is not None, "start() first"
        try:
            await asyncio.wait_for(self.call.ended.wait(), timeout)
        finally:
            await self.phone.close()
        return self

    async def answered(self, timeout: float = 10) -> Self:
        """Until the switch answered. Raises TimeoutError."""
        assert self.call is not None, "start() first"
        await asyncio.wait_for(self.call.answered.wait(), timeout)
        return self

    async def hears(self, hz: int, timeout: float = 10) -> float:
        """Until this tone has been in his ear for half a second; the time. Raises TimeoutError."""
        from kit.sound import loudest

        async with asyncio.timeout(timeout):
            while len(self.heard) < 4000 or {loudest(self.heard[-4000:-2000]), loudest(self.heard[-2000:])} != {hz}:
                await asyncio.sleep(0.05)
        return time.time()

    def hang_up(self) -> None:
        assert self.call is not None, "start() first"
        self.call.hang_up()

    @property
    def status(self) -> int:
        """The last response to the INVITE; 0 when none came."""
        return self.call.status if self.call else 0

    @property
    def ended_by(self) -> str:
        """us, them, refused; empty while the call lasts."""
        return self.call.ended_by if self.call else ""

    @property
    def events(self) -> list[tuple[float, str]]:
        return self.call.events if self.call else []

    @property
    def heard(self) -> bytes:
        """What came in, u-law."""
        return bytes(self.call.media.heard) if self.call and self.call.media else b""

    async def _press(self, call: Call) -> None:
        await call.answered.wait()
        start = time.monotonic()
        for at, keys in self.keys:
            await asyncio.sleep(max(0, start + at - time.monotonic()))
            call.press(keys)

    async def _talk(self, call: Call) -> None:
        if self.talk is not None:
            await call.answered.wait()
            await asyncio.sleep(self.talk)
            call.hang_up()

    async def _leave(self, call: Call, stage: Stage, after: float) -> None:
        stages = {"trying": call.trying, "ringing": call.ringing, "answered": call.answered}
        if stage in stages:
            await stages[stage].wait()
        await asyncio.sleep(after)
        call.hang_up()
