"""The far side of a trunk: the phones of customers who are called."""

from __future__ import annotations

import asyncio
from typing import Self

from cti.demo.call import Call
from cti.demo.phone import Phone
from kit.sound import tone
from kit.world import World


class Customers:
    """Each number's phone rings at this port. By number: `busy`, `answer` after so many seconds; else it rings.

    talk  seconds until who has answered hangs up; None: waits for the other side
    hz    the tone they send; 0: no sound"""

    def __init__(
        self, world: World, port: int, *, talk: float | None = None, hz: int = 660, listen: bool = True
    ) -> None:
        self.phone = Phone(world.sip, "trunk", on_call=self._called, listen=listen)
        self.port, self.talk, self.hz = port, talk, hz
        self.calls: dict[str, list[Call]] = {}
        self.busy: set[str] = set()
        self.answer: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        await self.phone.open(self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.phone.close()

    def _called(self, call: Call) -> None:
        number = call.called
        self.calls.setdefault(number, []).append(call)
        if number in self.busy:
            call.reject(486)
            return
        call.ring()
        if number in self.answer:
            self.phone.spawn(self._answer(call, self.answer[number]))

    async def _answer(self, call: Call, after: float) -> None:
        await asyncio.sleep(after)
        call.answer(tone(self.hz) if self.hz else None)
        if self.talk is not None and call.answered.is_set():
            await asyncio.sleep(self.talk)
            call.hang_up()

    async def rung(self, number: str, times: int = 1, timeout: float = 15) -> Call:
        """The call, when this number's phone has rung so often. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while len(self.calls.get(number, [])) < times:
                await asyncio.sleep(0.02)
        return self.calls[number][times - 1]
