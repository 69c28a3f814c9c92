"""One FastAGI session: a caller's channel that waits for instructions.

`execute` puts a command in; the newest one waiting is run next, one at a time. A newer command cuts short what is
played or waited for; a recording goes on to its end. The rest of the older command is left out.

Keys are kept from the moment the channel is answered: during prompts, pauses, and while nothing is asked of the
session, which then plays silence. `agi_keys` says who gets them. While music plays nobody listens for keys, unless a
Hold asks for some.
The session ends by Release, HANGUP, 511, EOF or a reply that does not come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cti.adapters import agi_sounds
from cti.adapters.agi_channel import Channel
from cti.adapters.agi_keys import Ahead, Answer
from cti.adapters.agi_sounds import Renderer
from cti.adapters.agi_wire import Environment, Reply, WireError
from cti.core.messages import Collect, Hold, LineDone, Pause, Play, Prompt, Record, Release, Sealed

log = logging.getLogger("cti.agi")

AT_ONCE = 0.02  # seconds of work for which no silence is begun
LONGEST_WAIT = 600.0  # seconds for a key
IDLE = 60.0  # seconds of silence between two looks for a command
HOLD = 1.0  # seconds that a newer command may wait for one that listens for keys over the music

AnyCommand = Play | Collect | Record | Pause | Hold | Release
Outcome = Literal["done", "digits", "timeout", "error"]


class Lost(Exception):
    """The session is over."""


class Outside(NamedTuple):
    """What a session needs of others.

    render: makes a prompt a sound file, gives its path. seal: (uniqueid, name, digits, at) -> what may be told of them.
    beep, silence: sound files, or empty for none. spool: where the switch's recordings go."""

    node: str
    render: Renderer
    now: Callable[[], float]
    seal: Callable[[str, str, str, float], Sealed]
    beep: str
    silence: str
    spool: Path


class Session:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        environment: Environment,
        outside: Outside,
        done: Callable[[LineDone], None],
    ) -> None:
        self._writer, self._uniqueid, self._outside, self._done = writer, environment.uniqueid, outside, done
        self._channel = Channel(reader, writer, outside.silence, environment.up)
        self._next: AnyCommand | None = None
        self._wake = asyncio.Event()
        self._over = asyncio.Event()
        self._ahead = Ahead()
        self._recording: Record | None = None  # while the switch records

    def execute(self, command: AnyCommand) -> None:
        """Never blocks. Replaces a command that still waits; a Release is not replaced."""
        if not isinstance(self._next, Release):
            self._next = command
        self._wake.set()
        self._channel.cut()

    def close(self) -> None:
        """Lets go of the channel; it goes on in the dialplan."""
        self._recording = None
        self._over.set()
        self._writer.close()

    async def run(self) -> None:
        """Until the session is over."""
        tasks = [asyncio.create_task(self._channel.listen()), asyncio.create_task(self._work())]
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait([*tasks, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._over.set()
            for task in (*tasks, over):
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                self._explain(ended)
            self._writer.close()
            if self._recording is not None:
                self._tell(self._recording.op, "done", gone=True)

    def _explain(self, ended: BaseException | None) -> None:
        if isinstance(ended, WireError):
            log.warning("%s: session closed: %s", self._uniqueid, ended)
        elif isinstance(ended, Exception) and not isinstance(ended, (Lost, OSError)):
            log.error("%s: session broke", self._uniqueid, exc_info=ended)

    async def _work(self) -> None:
        while True:
            await self._idle()
            self._wake.clear()
            command, self._next = self._next, None
            if command is not None and await self._run(command):
                return

    async def _idle(self) -> None:
        """Until there is a command. Who is in no music is heard meanwhile."""
        while self._next is None and self._channel.rests_well:
            await self._listen_for(IDLE)
        await self._wake.wait()

    async def _run(self, command: AnyCommand) -> bool:
        """Whether the session is over with it."""
        if isinstance(command, Release):
            await self._channel.release(command.cause)
            return True
        if isinstance(command, Hold):
            await self._hold(command)
        elif isinstance(command, Play):
            self._ahead.before(None)
            self._ended(command.op, await self._speak(command.prompts, command.barge_in))
        elif isinstance(command, Collect):
            await self._collect(command)
        elif isinstance(command, Record):
            await self._record(command)
        else:
            await self._pause(command)
        return False

    # ------------------------------------------------------------ the commands

    async def _hold(self, command: Hold) -> None:
        """Keys pressed while the words right before it were spoken count, older ones do not."""
        await self._channel.answer()
        await self._channel.play_music(command.music)
        self._ahead.drop_old()
        while command.keys and not self._replaced():
            key = self._ahead.take() or await self._key_over_music()
            if key and key in command.keys:
                self._tell(command.op, "digits", key)
                break
        self._ahead.drop()

    async def _key_over_music(self) -> str:
        reply, _ = await self._channel.rest(HOLD, HOLD)
        await self._heard(reply)
        return self._ahead.take()

    async def _collect(self, question: Collect) -> None:
        self._ahead.before(question)
        if await self._speak(question.prompts, question.barge_in) == "error":
            self._ended(question.op, "error")
            return
        answer = Answer(question)
        while not answer.complete and not self._replaced():
            key = self._ahead.take() or await self._wait_for_key(answer.wait)
            if not key:
                break
            answer.add(key)
        self._ahead.after(question, answer, _now())
        if not self._replaced():
            self._answered(question, answer)

    def _answered(self, question: Collect, answer: Answer) -> None:
        if not answer.given:
            self._tell(question.op, "timeout")
        elif question.seal:
            now = self._outside.now()
            sealed = self._outside.seal(self._uniqueid, question.seal, answer.digits, now)
            self._tell(question.op, "digits", sealed=sealed)
        else:
            self._tell(question.op, "digits", answer.digits)

    async def _record(self, command: Record) -> None:
        """Keys before the beep only cut the prompts short; the one that ends the recording is no answer either."""
        self._ahead.before(None)
        if await self._speak(command.prompts, barge_in=True) == "error":
            self._ended(command.op, "error")
            return
        if self._outside.beep and not self._replaced():
            await self._heard(await self._channel.play(self._outside.beep, keys=""))
        self._ahead.drop()
        if not self._replaced():
            self._tell(command.op, await self._recorded(command))

    async def _recorded(self, command: Record) -> Outcome:
        path = str(self._outside.spool / f"{command.recording_id}-caller")
        self._recording = command
        reply = await self._channel.record(path, command.longest, command.silence)
        if not reply.good:
            if "(writefile)" in reply.rest or reply.code != 200:
                self._recording = None
            await self._channel.alive()
            log.error("%s: cannot record %s: %s", self._uniqueid, command.recording_id, reply.rest)
        self._recording = None
        return "done" if reply.good else "error"

    async def _pause(self, command: Pause) -> None:
        self._ahead.before(None)
        await self._channel.answer()
        if command.music and not self._channel.music:
            await self._channel.play_music()
        elif not command.music:
            await self._channel.stop_music()
        left = command.seconds
        while left > 0 and not self._replaced():
            left -= await self._listen_for(left)
        self._ended(command.op, "done")

    # ------------------------------------------------------------ prompts

    async def _speak(self, prompts: tuple[Prompt, ...], barge_in: bool) -> Outcome:
        """Until a key, where one may end it; then not at all when one was pressed before. error: nothing of it could
        be played."""
        files = [] if barge_in and self._ahead else await self._files(prompts)
        await self._channel.answer()
        await self._channel.stop_music()
        played = not prompts
        for path in files:
            if self._replaced() or (barge_in and self._ahead):
                break
            played |= await self._play(path, barge_in)
        return "done" if played or self._replaced() or (barge_in and self._ahead) else "error"

    async def _play(self, path: str, barge_in: bool) -> bool:
        """Whether it was heard. A key that may not end it is kept and it goes on from there."""
        start, begun = 0, False
        while await self._heard(reply := await self._channel.play(path, start)):
            if (barge_in and self._ahead) or self._replaced():
                return True
            start, begun = max(start, reply.endpos), True
        if not reply.good:
            log.error("%s: cannot play %s", self._uniqueid, path)
        return reply.good or begun

    async def _files(self, prompts: tuple[Prompt, ...]) -> list[str]:
        """Made before the channel is answered: nobody is called in to hear nothing."""
        work = asyncio.ensure_future(agi_sounds.files(self._outside.render, self._uniqueid, prompts))
        work.add_done_callback(lambda _: self._channel.cut())
        try:
            await asyncio.wait({work}, timeout=AT_ONCE)
            while not work.done() and not self._replaced():
                if self._channel.rests_well:
                    await self._listen_for(IDLE)
                else:
                    await self._first(work)
            return work.result() if work.done() else []
        finally:
            work.cancel()

    async def _first(self, work: asyncio.Future[list[str]]) -> None:
        """Until it is done, or there is a newer command."""
        newer = asyncio.create_task(self._wake.wait())
        both: list[asyncio.Future[Any]] = [work, newer]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            newer.cancel()

    # ------------------------------------------------------------ keys

    async def _wait_for_key(self, seconds: float) -> str:
        left = min(seconds, LONGEST_WAIT)
        while left > 0 and not self._ahead and not self._replaced():
            left -= await self._listen_for(left)
        return self._ahead.take()

    async def _listen_for(self, seconds: float) -> float:
        """Until a key, or that long at most: how long, without a key."""
        reply, part = await self._channel.rest(seconds)
        await self._heard(reply)
        return part

    async def _heard(self, reply: Reply) -> bool:
        """Whether it tells of a key, which is kept. When the caller left, this does not return: the session is over."""
        if reply.code == 200 and reply.result < 0:
            await self._channel.alive()
        self._ahead.add(reply.key, _now())
        return bool(reply.key)

    def _replaced(self) -> bool:
        return self._next is not None

    def _ended(self, op: int, outcome: Outcome) -> None:
        """Of what was replaced nothing is told: it did not end, it was left."""
        if not self._replaced():
            self._tell(op, outcome)

    def _tell(
        self, op: int, outcome: Outcome, digits: str = "", sealed: Sealed | None = None, gone: bool = False
    ) -> None:
        at, node = self._outside.now(), self._outside.node
        self._done(LineDone(at=at, node=node, uniqueid=self._uniqueid, op=op, outcome=outcome, digits=digits,
                            sealed=sealed, gone=gone))  # fmt: skip


def _now() -> float:
    return asyncio.get_running_loop().time()
