"""One FastAGI session: a caller's channel that waits for instructions.

`execute` puts a command in; the newest one waiting is run next, one at a time. What Asterisk is doing cannot
be interrupted, so a newer command waits for the end of the prompt that plays; the rest of the older one is
left out. A key pressed during a text ends it and is kept for the next question: callers who know the menu dial ahead.
The session ends by Release, HANGUP, 511, EOF or a reply that does not come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal

from cti.adapters import agi_wire
from cti.adapters.agi_wire import Hangup, Replies, Reply, WireError
from cti.core.messages import Collect, Hold, LineDone, Play, Prompt, Release, Sound

log = logging.getLogger("cti.agi")

SHORT = 10.0  # seconds a command may take that does not wait for the caller
LONG = 900.0  # seconds one prompt may play
RENDER = 15.0  # seconds for the prompts of one command to become files
KEYS = "0123456789*#"
_SOUNDS = (".wav", ".sln", ".sln16", ".gsm", ".ulaw", ".alaw")
_UP = 6

AnyCommand = Play | Collect | Hold | Release
Renderer = Callable[[Prompt], Awaitable[str]]


class Lost(Exception):
    """The session is over."""


class Session:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        uniqueid: str,
        node: str,
        render: Renderer,
        done: Callable[[LineDone], None],
        now: Callable[[], float],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._uniqueid, self._node = uniqueid, node
        self._render, self._done, self._now = render, done, now
        self._replies = Replies()
        self._pending: asyncio.Future[Reply] | None = None
        self._next: AnyCommand | None = None
        self._wake = asyncio.Event()
        self._over = asyncio.Event()
        self._answered = False
        self._silent = False
        self._ahead = ""

    def execute(self, command: AnyCommand) -> None:
        """Never blocks. Replaces a command that still waits; a Release is not replaced."""
        if not isinstance(self._next, Release):
            self._next = command
        self._wake.set()

    def close(self) -> None:
        """Lets go of the channel; it goes on in the dialplan."""
        self._over.set()
        self._writer.close()

    async def run(self) -> None:
        """Until the session is over."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._work())]
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

    def _explain(self, ended: BaseException | None) -> None:
        if isinstance(ended, WireError):
            log.warning("%s: session closed: %s", self._uniqueid, ended)
        elif isinstance(ended, Exception) and not isinstance(ended, (Lost, OSError)):
            log.error("%s: session broke", self._uniqueid, exc_info=ended)

    async def _listen(self) -> None:
        while line := await self._line():
            reply = self._replies.feed(line)
            if isinstance(reply, Hangup) or (reply is not None and reply.code == 511):
                return
            if reply is not None and self._pending is not None and not self._pending.done():
                self._pending.set_result(reply)

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError:
            raise WireError("line too long") from None

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            command, self._next = self._next, None
            if command is not None and await self._run(command):
                return

    async def _run(self, command: AnyCommand) -> bool:
        """Whether the session is over with it."""
        if isinstance(command, Release):
            await self._release(command.cause)
            return True
        await self._answer()
        if isinstance(command, Hold):
            await self._send("EXEC", "StartMusicOnHold", "")
            self._silent, self._ahead = False, ""
        elif isinstance(command, Play):
            outcome, self._ahead = await self._play(command.prompts)
            self._tell(command.op, outcome)
        else:
            await self._collect(command)
        return False

    async def _release(self, cause: int) -> None:
        for name, value in (("CTI_CAUSE", str(cause)), ("CTI_DONE", "1")):
            await self._ask(agi_wire.set_variable(name, value), SHORT)

    async def _answer(self) -> None:
        if not self._answered:
            if (await self._send("CHANNEL STATUS")).result != _UP:
                await self._send("ANSWER")
            self._answered = True

    async def _collect(self, command: Collect) -> None:
        outcome, key = await self._play(command.prompts)
        self._ahead = ""
        if outcome == "done" and not key and not self._replaced():
            milliseconds = round(min(max(command.timeout, 0.1), 600.0) * 1000)
            reply = await self._ask(
                agi_wire.command("WAIT FOR DIGIT", str(milliseconds)), milliseconds / 1000 + SHORT
            )
            key = await self._key(reply)
        if key:
            self._tell(command.op, "digits", key)
        else:
            self._tell(command.op, "error" if outcome == "error" else "timeout")

    async def _play(self, prompts: tuple[Prompt, ...]) -> tuple[Literal["done", "error"], str]:
        """Plays until a key, not at all when one was pressed before. error: nothing of it could be played."""
        if self._ahead:
            return "done", self._ahead
        if not self._silent:
            await self._send("EXEC", "StopMusicOnHold", "")
            self._silent = True
        played = not prompts
        for path in await self._files(prompts):
            if self._replaced():
                break
            reply = await self._ask(agi_wire.command("STREAM FILE", path, KEYS), LONG)
            key = await self._key(reply)
            if key:
                return "done", key
            if reply.code == 200 and reply.result >= 0:
                played = True
            else:
                log.error("%s: cannot play %s", self._uniqueid, path)
        return ("done" if played or self._replaced() else "error"), ""

    async def _files(self, prompts: tuple[Prompt, ...]) -> list[str]:
        paths = await asyncio.gather(*map(self._file, prompts), return_exceptions=True)
        files = []
        for prompt, path in zip(prompts, paths, strict=True):
            if isinstance(path, str):
                files.append(next((path.removesuffix(e) for e in _SOUNDS if path.endswith(e)), path))
            elif isinstance(path, Exception):
                log.error("%s: no sound for %s: %r", self._uniqueid, _which(prompt), path)
            else:
                raise path
        return files

    async def _file(self, prompt: Prompt) -> str:
        async with asyncio.timeout(RENDER):
            return await self._render(prompt)

    async def _key(self, reply: Reply) -> str:
        """The key a reply tells of. When the caller left, this does not return: the session is over."""
        if reply.code == 200 and reply.result < 0:
            await self._send("CHANNEL STATUS")
        return chr(reply.result) if reply.code == 200 and 0 < reply.result < 128 else ""

    def _replaced(self) -> bool:
        return self._next is not None

    def _tell(
        self, op: int, outcome: Literal["done", "digits", "timeout", "error"], digits: str = ""
    ) -> None:
        self._done(
            LineDone(
                at=self._now(),
                node=self._node,
                uniqueid=self._uniqueid,
                op=op,
                outcome=outcome,
                digits=digits,
            )
        )

    async def _send(self, name: str, *arguments: str) -> Reply:
        return await self._ask(agi_wire.command(name, *arguments), SHORT)

    async def _ask(self, line: bytes, seconds: float) -> Reply:
        self._pending = asyncio.get_running_loop().create_future()
        self._writer.write(line)
        try:
            async with asyncio.timeout(seconds):
                return await self._pending
        except TimeoutError:
            raise WireError("a command was not answered") from None
        finally:
            self._pending = None


def _which(prompt: Prompt) -> str:
    """Names a prompt without its words: they may hold what a caller typed."""
    if isinstance(prompt, Sound):
        return f"{prompt.language}/{prompt.name}"
    return f"{len(prompt.text)} characters of {prompt.language}"
