"""The AMI link to one Asterisk: keeps a session alive for ever, turns commands into actions.

Its parts:
    ami_frames   bytes -> vetted events        ami_facts     events -> facts
    ami_actions  commands -> bytes             ami_requests  actions and their answers
    ami_session  one connection                ami_rings     Originates and their outcomes
    ami_whispers what an agent hears first
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from cti.adapters.ami_requests import Counters, LinkError
from cti.adapters.ami_session import LoginRefused, Session
from cti.adapters.ami_whispers import Renderer, Whispers
from cti.core.messages import Fact, HangUp, Input, OriginateFailed, Prompt, Ring, SwitchDown

log = logging.getLogger("cti.ami")

CONNECT_TIMEOUT = 5.0
BACKOFF = (0.2, 5.0)  # seconds, first and longest
AFTER_REFUSAL = 5.0
OVERLAP = 2.0  # CEL is read back from this long before the last event seen


async def _unheard(prompt: Prompt) -> str:
    raise LinkError("nobody makes sounds here")


class AmiLink:
    """`submit` takes every fact; `cel(since)` gives the facts on disk since that time (0.0: all that matter).

    `since` is the time of the last event this link saw less OVERLAP seconds, so facts may come twice.
    `alive_until`: when an earlier run last knew that the switch was alive; 0.0: unknown. `render` makes the prompts of
    a whisper sound files."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str,
        secret: str,
        node: str = "main",
        submit: Callable[[Input], None],
        cel: Callable[[float], Iterable[Input]] | None,
        now: Callable[[], float],
        alive_until: float = 0.0,
        render: Renderer = _unheard,
    ) -> None:
        self._where = (host, port)
        self._login = (username, secret)
        self._node, self._submit, self._cel, self._now = node, submit, cel, now
        self._session: Session | None = None
        self._last_at = 0.0
        self._alive_until = alive_until
        self._told_up = False
        self._counters = Counters()
        self._whispers = Whispers(node, render, self._ring, self._not_rung)
        self.was_up = asyncio.Event()  # set for good when SwitchUp was told for the first time

    @property
    def connected(self) -> bool:
        """Whether SwitchUp was told and the link stands."""
        return self._session is not None and self._session.live

    async def channels(self) -> frozenset[str] | None:
        """The uniqueids of all channels there are now; None when the switch cannot be asked."""
        session = self._session
        if session is None or not session.live:
            return None
        try:
            return frozenset(channel.uniqueid for channel in await session.channels())
        except (LinkError, TimeoutError, OSError):
            return None

    @property
    def counters(self) -> dict[str, int]:
        """frames, rejected (forged, broken), orphans (answers to nobody), unanswered (actions), connects."""
        return dataclasses.asdict(self._counters)

    async def run(self) -> None:
        """Connects, tells, reconnects; ends by cancellation only."""
        delay = BACKOFF[0]
        while True:
            self._told_up = False
            try:
                await self._connect()
            except LoginRefused as error:
                log.error("%s: ALARM: %s; check [ami] username and secret", self._node, error)
                delay = AFTER_REFUSAL
            except (LinkError, OSError, ValueError, EOFError) as error:
                log.warning("%s: AMI: %s", self._node, error or type(error).__name__)
            except Exception:
                log.exception("%s: AMI: unexpected", self._node)
            if self._down():
                delay = BACKOFF[0]
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(delay * 2, BACKOFF[1])

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT):  # never wait_for: in 3.11 it can lose a cancellation
            reader, writer = await asyncio.open_connection(*self._where)
        self._session = Session(reader, writer, self._node, self._tell, self._counters)
        self._session.last_at = self._last_at
        try:
            await self._session.run(*self._login, self._now, self._past, self._up, self._alive_until)
        finally:
            self._last_at = self._session.last_at
            self._session = None

    def _tell(self, fact: Fact) -> None:
        self._submit(fact)  # type: ignore[arg-type]  # every fact is an Input

    def _past(self) -> Iterable[Fact]:
        if self._cel is None:
            return
        try:
            yield from self._cel(max(0.0, self._last_at - OVERLAP))  # type: ignore[misc]
        except Exception:
            log.exception("%s: CEL could not be read back", self._node)

    def _up(self) -> None:
        self._told_up = True
        self.was_up.set()
        self._counters.connects += 1
        log.info("%s: AMI up", self._node)

    def _down(self) -> bool:
        if not self._told_up:
            return False
        self._alive_until = self._now()
        try:
            self._submit(SwitchDown(at=self._now(), node=self._node))
        except Exception:
            log.exception("%s: SwitchDown was not taken", self._node)
        return True

    def execute(self, command: Ring | HangUp) -> None:
        """Never blocks, never raises. A Ring that was not sent is told as OriginateFailed(failed)."""
        if isinstance(command, Ring) and command.whisper:
            self._whispers.prepare(command)
        elif isinstance(command, Ring) or not self._whispers.cancel(command.uniqueid):
            self._execute(command)

    def _ring(self, command: Ring, whisper: Sequence[str]) -> None:
        self._execute(command, whisper)

    def _not_rung(self, command: Ring) -> None:
        self._say_failed(command, "no_answer")

    def _execute(self, command: Ring | HangUp, whisper: Sequence[str] = ()) -> None:
        session = self._session
        if session is None or not session.live or session.stuck():
            self._not_sent(command, "no link")
            return
        try:
            session.ring(command, whisper) if isinstance(command, Ring) else session.hang_up(command)
        except ValueError as error:
            self._not_sent(command, str(error))

    def _not_sent(self, command: Ring | HangUp, why: str) -> None:
        log.error("%s: %s not sent: %s", self._node, type(command).__name__, why)
        if isinstance(command, Ring):
            self._say_failed(command, "failed")

    def _say_failed(self, command: Ring, reason: Literal["no_answer", "failed"]) -> None:
        """A moment later: whoever gave the command is not to hear of it within."""
        fact = OriginateFailed(at=self._now(), node=self._node, uniqueid=command.channel_id, reason=reason)
        asyncio.get_running_loop().call_soon(self._tell, fact)
