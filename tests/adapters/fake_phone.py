"""A channel in the FastAGI loop with somebody at the phone: sounds last, keys are pressed, he may hang up.

It keeps Asterisk's habits: keys pressed between two commands are lost; a line that comes while a sound plays ends it
without a reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex

from fake_asterisk import FakeChannel

SAMPLES = 8000
KEYS = "0123456789*#ABCD"


class FakePhone(FakeChannel):
    """`sounds`: seconds of each file; others are missing. `now`: what Asterisk does, the command's words.

    `refused`: what RECORD FILE answers instead. `recorded`: the files it was asked for."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.sounds: dict[str, float] = {}
        self.lost = ""
        self.recorded: list[str] = []
        self.refused = ""
        self.heard: list[str] = []  # files that were played to their end
        self.now: list[str] = []
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._news = asyncio.Event()
        self.gone = False

    # ---------------------------------------------------------------- what a test does

    async def doing(self, start: str) -> None:
        """Until Asterisk does a command that starts so."""
        await self.until(lambda: " ".join(self.now).startswith(start))

    def press(self, keys: str) -> None:
        for key in keys:
            if self.now:
                self._keys.put_nowait(key)
            else:
                self.lost += key
        self._news.set()

    def hang_up(self) -> None:
        self.gone = True
        self._news.set()

    # ---------------------------------------------------------------- Asterisk

    async def _serve(self) -> None:
        reading = asyncio.create_task(self._read())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await self._lines.get():
                self.commands.append(line)
                self.now = shlex.split(line)
                await self._told()
                reply = await self._do(*self.now)
                self.now = []
                await self._told()
                if reply:
                    self.writer.write(f"{reply}\n".encode())
                if self.gone:
                    self.writer.write(b"HANGUP\n")
                    break
        reading.cancel()
        self.writer.close()
        self.closed.set()

    async def _told(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _read(self) -> None:
        while line := await self.reader.readline():
            self._lines.put_nowait(line.decode().rstrip("\n"))
            self._news.set()
        self._lines.put_nowait("")
        self._news.set()

    async def _do(self, *words: str) -> str:
        match words:
            case ["STREAM", "FILE", path, keys, *start]:
                return await self._stream(path, keys, int(start[0]) if start else 0)
            case ["WAIT", "FOR", "DIGIT", milliseconds]:
                key = await self._key(KEYS, int(milliseconds) / 1000)
                return f"200 result={ord(key) if key else -1 if self.gone else 0}"
            case ["RECORD", "FILE", path, "wav", keys, milliseconds, *_]:
                return await self._record(path, keys, int(milliseconds) / 1000)
            case ["GET", "FULL", "VARIABLE", word]:
                return f"200 result=1 ({word})"
            case ["CHANNEL", "STATUS"]:
                return "200 result=4" if not any(c == "ANSWER" for c in self.commands) else "200 result=6"
        return "200 result=0"

    async def _stream(self, path: str, keys: str, start: int) -> str:
        if path not in self.sounds:
            return f"200 result=-1 endpos={start}"
        began = asyncio.get_running_loop().time()
        key = await self._key(keys, self.sounds[path] - start / SAMPLES)
        at = start + round((asyncio.get_running_loop().time() - began) * SAMPLES)
        if key is None:
            return ""
        if not key and not self.gone:
            self.heard.append(path)
            at = round(self.sounds[path] * SAMPLES)
        return f"200 result={ord(key) if key else -1 if self.gone else 0} endpos={at}"

    async def _record(self, path: str, keys: str, seconds: float) -> str:
        if self.refused:
            return self.refused
        self.recorded.append(path)
        key = await self._key(keys, seconds, cut=False)
        if self.gone:
            return "200 result=-1 (hangup) endpos=800"
        return f"200 result={ord(key)} (dtmf) endpos=800" if key else "200 result=0 (timeout) endpos=800"

    async def _key(self, keys: str, seconds: float, cut: bool = True) -> str | None:
        """A key; none in time, or he is gone: an empty one; a line came: None."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.gone and (left := end - asyncio.get_running_loop().time()) > 0:
            if cut and not self._lines.empty():
                return None
            if not self._keys.empty():
                if (key := self._keys.get_nowait()) in keys:
                    return key
                continue
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
        return ""
