"""Keeps the parts of a home running: ordered start, ordered stop, restart of what ends, a watchdog.

Each part leaves `HOME/pids/<name>.json` (pid and start time), by which the next start finds leftovers of a
run that was killed. Nothing dies with the supervisor but the demo: a killed supervisor drops no call. The
next `cti up` stops what is left over, in order, and starts afresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from cti.embedded.account import acting_as
from cti.embedded.part import Part
from cti.embedded.postgres import as_account
from cti.errors import BadInput, CtiError, Unavailable

Say = Callable[[str], None]
ORDER = ("demo", "server", "asterisk", "redis", "postgres")
PR_SET_PDEATHSIG = 1
SLOW = 2.0  # seconds after which a start is announced
USAGE = 2  # exit code of a part that was told something wrong
STEADY = 2.0  # s after which a part that ends is none that cannot run


class Mark(msgspec.Struct, frozen=True):
    """A process by its pid and its start time: together they name it for ever."""

    pid: int
    started: int


def mark_of(pid: int) -> Mark | None:
    """None when there is no such process (a zombie is none)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else Mark(pid, int(fields[19]))


class Kept:
    """One part, kept running until `stop`."""

    def __init__(self, part: Part, pids: Path, say: Say) -> None:
        self.part = part
        self.say = say
        self.restarts = 0
        self._file = pids / f"{part.name}.json"
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Returns when it is ready. Raises Unavailable when it ends or stays silent before that."""
        await self._launch()
        try:
            await self._until_ready()
        except BaseException:
            await self._end()
            raise
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.part.name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._end()

    async def _launch(self) -> None:
        part = self.part
        await asyncio.to_thread(part.before)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with acting_as(part.account):
            opened = os.open(part.log, flags, 0o640)
        with os.fdopen(opened, "ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *part.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
                env={**os.environ, **part.env}, preexec_fn=_die_with_us if part.dies_with_us else None,
                **as_account(part.account),
            )  # fmt: skip
        mark = mark_of(self._process.pid)
        if mark is not None:
            self._file.write_bytes(msgspec.json.encode(mark))

    async def _until_ready(self) -> None:
        assert self._process is not None
        end = time.monotonic() + self.part.start_seconds
        while not await _asked(self.part.ready):
            if self._process.returncode is not None:
                kind = BadInput if self._process.returncode == USAGE else Unavailable
                raise kind(f"{self.part.name} ended at once{self._why()}")
            if time.monotonic() > end:
                raise Unavailable(f"{self.part.name} is not ready after {self.part.start_seconds:g} s{self._why()}")
            await asyncio.sleep(0.05)

    def _why(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.part.log.read_text(errors="replace").strip().splitlines()
            if lines:
                return f": {lines[-1].removeprefix('cti: ')[:500]} (more in {self.part.log})"
        return f" (see {self.part.log})"

    async def _keep(self) -> None:
        """Restart it whenever it ends: at once, ever slower while it keeps ending as soon as it is ready."""
        pause = 0.1
        while True:
            began = time.monotonic()
            code = await self._watched()
            pause = 0.1 if time.monotonic() - began > STEADY else min(pause * 2, 10)
            self.restarts += 1
            self.say(f"{self.part.name} ended ({_how(code)}); started again in {pause:.1f} s, see {self.part.log}")
            await asyncio.sleep(pause)
            while not await self._relaunched():
                pause = min(pause * 2, 10)
                await asyncio.sleep(pause)

    async def _relaunched(self) -> bool:
        try:
            await self._launch()
            await self._until_ready()
        except (CtiError, OSError) as e:
            self.say(str(e))
            await self._end()
            return False
        self.say(f"{self.part.name} is back")
        return True

    async def _watched(self) -> int:
        """Wait for its end; kill it when it no longer answers. Returns the exit code."""
        assert self._process is not None
        if not self.part.watch_seconds:
            return await self._process.wait()
        ended = asyncio.ensure_future(self._process.wait())
        seen = time.monotonic()
        while not ended.done():
            await asyncio.wait([ended], timeout=1)
            if await _asked(self.part.alive):
                seen = time.monotonic()
            elif not ended.done() and time.monotonic() - seen > self.part.watch_seconds:
                self.say(f"{self.part.name} has not answered for {self.part.watch_seconds:g} s: killed")
                with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                    self._process.kill()
                await ended
        return ended.result()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.part.stop_signal)
            try:
                async with asyncio.timeout(self.part.stop_seconds):
                    await process.wait()
            except TimeoutError:
                self.say(f"{self.part.name} did not stop in {self.part.stop_seconds:g} s: killed")
                process.kill()
                await process.wait()
        self._file.unlink(missing_ok=True)


async def _asked(question: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(3):  # not wait_for: on Python 3.11 it can lose a cancellation
            return await question()
    except (OSError, TimeoutError, EOFError):
        return False


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.asynccontextmanager
async def running(parts: Sequence[Part], pids: Path, say: Say) -> AsyncIterator[dict[str, Kept]]:
    """Start in order, stop in reverse (also what `start` added); a failing start stops what was started."""
    kept: dict[str, Kept] = {}
    try:
        for part in parts:
            await start(kept, part, pids, say)
        yield kept
    finally:
        for one in reversed(list(kept.values())):
            await one.stop()


async def start(kept: dict[str, Kept], part: Part, pids: Path, say: Say) -> None:
    """Raises Unavailable when it does not become ready; it is gone then."""
    began = time.monotonic()
    one = Kept(part, pids, say)
    text = f"waiting for {part.name} ... (if this is long: `cti doctor`, {part.log})"
    slow = asyncio.get_running_loop().call_later(SLOW, say, text)
    try:
        await one.start()
    finally:
        slow.cancel()
    kept[part.name] = one
    say(f"{part.name} ready ({time.monotonic() - began:.1f} s)")


def stop_leftovers(pids: Path, say: Say, seconds: float = 10.0) -> None:
    """Stop what a killed run of this home left running, in order."""
    for name in ORDER:
        file = pids / f"{name}.json"
        mark = _read(file)
        if mark is not None and mark_of(mark.pid) == mark:
            say(f"stopping {name} left over from a run that was killed (pid {mark.pid})")
            _finish(mark, signal.SIGINT if name == "postgres" else signal.SIGTERM, seconds)
        file.unlink(missing_ok=True)


def _read(file: Path) -> Mark | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Mark)
    except (OSError, msgspec.DecodeError):
        return None


def _finish(mark: Mark, first: signal.Signals, seconds: float) -> None:
    for number in (first, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(mark.pid, number)
        end = time.monotonic() + seconds
        while mark_of(mark.pid) == mark and time.monotonic() < end:
            time.sleep(0.02)


def running_pid(pids: Path, name: str) -> int | None:
    """The pid of a part that runs now, else None."""
    mark = _read(pids / f"{name}.json")
    return mark.pid if mark is not None and mark_of(mark.pid) == mark else None
