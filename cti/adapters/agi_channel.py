"""What a caller's channel can do, over the wire of one FastAGI session: one command at a time, each with its reply.

Between two commands Asterisk reads and drops what the channel sends, keys too; within one it does not. So whatever is
waited for is waited for inside a command: a sound, or silence as a sound (`rest`). A sound can be cut short by us
(`cut`): Asterisk stops it when another line comes. What else it does, it does to the end.
"""

from __future__ import annotations

import asyncio
import itertools

from cti.adapters import agi_wire
from cti.adapters.agi_wire import KEYS, Hangup, Replies, Reply, WireError

SHORT = 10.0  # seconds a command may take that does not wait for the caller
LONG = 900.0  # seconds one prompt may play
SILENCE = 60.0  # seconds of the file `silence`
SLICE = 0.3  # seconds a wait may take that cannot be cut short
SOON = 0.005  # seconds that Asterisk surely needs to read a line
AGAIN = 0.02  # seconds after which a mark is sent again
RATE = 8000
CUT = Reply(200, 0, "cut")


class Wire:
    """Commands out, replies in. `listen` runs beside whoever asks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._replies = Replies()
        self._pending: asyncio.Future[Reply] | None = None
        self._cuttable_from = 0.0  # loop time; 0: what is pending cannot be cut
        self._numbers = itertools.count(1)
        self._marks: set[str] = set()  # what the replies hold that marks still have to get
        self._early: Reply | None = None  # of a sound that ended while a mark was on its way
        self._timer: asyncio.TimerHandle | None = None

    async def listen(self) -> None:
        """Until the session is over. Raises WireError."""
        while line := await self._line():
            reply = self._replies.feed(line)
            if isinstance(reply, Hangup) or (reply is not None and reply.code == 511):
                return
            if reply is not None:
                self._take(reply)

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError:
            raise WireError("line too long") from None

    def _take(self, reply: Reply) -> None:
        if reply.rest in self._marks:
            self._marks.discard(reply.rest)
            reply = self._early or CUT
        elif self._marks:
            self._early = reply
        if not self._marks and self._pending is not None and not self._pending.done():
            self._pending.set_result(reply)

    async def ask(self, line: bytes, seconds: float, cuttable: bool = False) -> Reply:
        """Raises WireError when no reply comes in time."""
        loop = asyncio.get_running_loop()
        self._pending, self._early = loop.create_future(), None
        self._cuttable_from = loop.time() + SOON if cuttable else 0.0
        self._writer.write(line)
        try:
            async with asyncio.timeout(seconds):
                return await self._pending
        except TimeoutError:
            raise WireError("a command was not answered") from None
        finally:
            self._pending, self._cuttable_from = None, 0.0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def send(self, name: str, *arguments: str) -> Reply:
        return await self.ask(agi_wire.command(name, *arguments), SHORT)

    def cut(self) -> None:
        """End the sound that plays, if one does: its reply is CUT.

        Asterisk reads lines through a buffer and looks only at the socket: two lines that it reads at once leave the
        second unseen until a third one comes. So a mark is not sent right behind its sound, and again when it is not
        answered."""
        if self._cuttable_from and self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._cuttable_from, self._send_mark)

    def _send_mark(self) -> None:
        if self._pending is not None and not self._pending.done():
            line, held = agi_wire.mark(next(self._numbers))
            self._marks.add(held)
            self._writer.write(line)
            self._timer = asyncio.get_running_loop().call_later(AGAIN, self._send_mark)


class Channel(Wire):
    """`silence`: a sound file of SILENCE seconds of it, without its ending; where there is none, nothing is sent to the
    caller while he is waited for. `up`: the channel was answered before this session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence: str, up: bool) -> None:
        super().__init__(reader, writer)
        self._silence = silence
        self.answered = up
        self.music = up  # there may be
        self._class = ""  # of the channel's music, as this session has set it

    async def answer(self) -> None:
        if not self.answered:
            await self.send("ANSWER")
            self.answered = True

    async def release(self, cause: int) -> None:
        """Out of the loop of the dialplan, to be hung up."""
        await self.ask(agi_wire.set_variable("CTI_DONE", str(cause)), SHORT)

    async def play_music(self, kind: str = "") -> None:
        """Of that class, empty: the default. It becomes the channel's own: the dialplan plays it too, without us."""
        if kind != self._class:
            await self.ask(agi_wire.set_variable(agi_wire.MUSIC, kind), SHORT)
            self._class = kind
        await self.send("EXEC", "StartMusicOnHold", "")
        self.music = True

    async def stop_music(self) -> None:
        if self.music:
            await self.send("EXEC", "StopMusicOnHold", "")
            self.music = False

    async def play(self, path: str, start: int = 0, keys: str = KEYS) -> Reply:
        """A sound file, without its ending, from that sample on, until one of these keys. May be cut."""
        more = (str(start),) if start else ()
        return await self.ask(agi_wire.command("STREAM FILE", path, keys, *more), LONG, cuttable=True)

    async def rest(self, seconds: float, most: float = SLICE) -> tuple[Reply, float]:
        """Silence, or the music that plays, until a key; and how much of it, which may be less than asked for: at most
        SILENCE where it can be cut, else `most`."""
        began = asyncio.get_running_loop().time()
        part = min(seconds, SILENCE)
        reply = await self._silent(part) if self.rests_well else None
        if reply is None:
            part = min(seconds, most)
            milliseconds = max(1, round(part * 1000))
            line = agi_wire.command("WAIT FOR DIGIT", str(milliseconds))
            reply = await self.ask(line, milliseconds / 1000 + SHORT)
        whole = reply is not CUT and not reply.key
        return reply, part if whole else asyncio.get_running_loop().time() - began

    async def _silent(self, seconds: float) -> Reply | None:
        """None when it cannot be played, and is not tried again."""
        start = round((SILENCE - seconds) * RATE)
        reply = await self.play(self._silence, start)
        if reply is CUT or reply.key or reply.endpos > start:
            return reply
        await self.alive()
        self._silence = ""
        return None

    @property
    def rests_well(self) -> bool:
        """Whether a rest can be cut."""
        return bool(self._silence) and not self.music and self.answered

    async def record(self, path: str, longest: float, silence: float) -> Reply:
        """As wav until any key, that long, or that much silence."""
        milliseconds = round(longest * 1000)
        quiet = (f"s={max(1, round(silence))}",) if silence else ()
        line = agi_wire.command("RECORD FILE", path, "wav", KEYS, str(milliseconds), *quiet)
        return await self.ask(line, longest + SHORT)

    async def alive(self) -> None:
        """After a reply that may mean a hang-up: when the caller left, this does not return, the session is over."""
        await self.send("CHANNEL STATUS")
