"""Recordings: what the switch has written becomes one file with a length and a checksum.

While a conversation goes on, Asterisk's MixMonitor writes 8 kHz 16-bit mono

    <root>/spool/<recording_id>-caller.wav   what the agent heard
    <root>/spool/<recording_id>-agent.wav    what the agent's phone sent

and the recorder makes <root>/YYYY/MM/DD/<recording_id>.wav of them (UTC day of the start): caller left, agent
right, the shorter side padded with silence. Of a caller alone (a message; no agent in the command) there is the first
file only, and the finished one is mono. Every step can be repeated, `kill -9` at any point loses nothing:

    1 spool/<recording_id>.json        who it belongs to; there as long as work is left
    2 YYYY/MM/DD/.<recording_id>.tmp   written, synced, read back and compared
    3 renamed                          a file under its final name is complete and is never written again
    4 the switch's files are removed
    5 RecordingFinished is submitted, then the .json removed

A full disk, or any other trouble, makes a failed recording (bytes 0), no more: calls go on, the spool files
stay and the next start tries again. Links are never followed. Nothing here runs on the event loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from cti.adapters import recordings_merge as files
from cti.core.messages import FinishRecording, RecordingFinished

log = logging.getLogger(__name__)
T = TypeVar("T")

SETTLE = 3.0  # seconds without growth that make an unclosed file a left one; the switch writes every 2
POLL = 0.2
DAY = 86400.0
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Recorder:
    """Finishes recordings, at most two at a time.

    `root` holds `spool`, which the switch and we can write. `submit` takes each result, on the event loop.
    `now` gives seconds since the epoch. `settle` is SETTLE, shorter in tests."""

    def __init__(
        self,
        root: Path,
        submit: Callable[[RecordingFinished], object],
        now: Callable[[], float],
        settle: float = SETTLE,
    ) -> None:
        self._root = root
        self._spool = root / "spool"
        self._submit = submit
        self._now = now
        self._settle = settle
        self._pool = ThreadPoolExecutor(2, "recordings")  # its own: a disk that hangs holds nothing else up
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def finish(self, command: FinishRecording) -> None:
        """Schedule the work. One that is being worked on is not started twice; after `close` none is: the core
        asks again after its next start."""
        name = command.recording_id
        if name in self._tasks or self._closed:
            return
        task = asyncio.get_running_loop().create_task(self._finish(command))
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def recover(self) -> None:
        """Take up what an earlier run left unfinished, and report files that nobody has claimed for a day."""
        for command in await self._off_loop(self._left_behind):
            self.finish(command)

    async def idle(self) -> None:
        """Wait until everything that was scheduled is done."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def close(self) -> None:
        """Stop. A file being written is completed; the rest is taken up by the next `recover`."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown)

    async def _off_loop(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    async def _finish(self, command: FinishRecording) -> None:
        try:
            _check_id(command.recording_id)
            command = await self._off_loop(_claim, self._spool, command)
            await self._settled(command)
            stored = await self._off_loop(files.store, self._root, _place(command), _sides(command))
        except (OSError, ValueError, OverflowError) as problem:
            self._failed(command, problem)
            return
        if stored is None:
            log.warning("recording %s of %s: nobody sent any sound", command.recording_id, command.call_id)
        self._submit(self._report(command, stored))
        await self._off_loop(_claim_path(self._spool, command.recording_id).unlink, True)

    async def _settled(self, command: FinishRecording) -> None:
        """Wait until all sides are closed by the switch, or have not grown for `settle` seconds."""
        loop = asyncio.get_running_loop()
        before: list[files.Side] = []
        quiet_since = loop.time()
        while True:
            sides = await self._off_loop(files.look, self._root, _place(command), _sides(command))
            if all(side.complete for side in sides):
                return
            if sides != before:
                before, quiet_since = sides, loop.time()
            elif loop.time() - quiet_since >= self._settle:
                return
            await asyncio.sleep(min(POLL, self._settle))

    def _failed(self, command: FinishRecording, problem: Exception) -> None:
        full = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "ALARM: the disk is full" if full else str(problem)
        log.error("recording %r of %s failed: %s", command.recording_id, command.call_id, why)
        self._submit(self._report(command, None))

    def _report(self, command: FinishRecording, stored: files.Stored | None) -> RecordingFinished:
        return RecordingFinished(
            at=self._now(),
            node=command.node,
            recording_id=command.recording_id,
            call_id=command.call_id,
            agent=command.agent,
            path=str(_place(command)) if stored else "",
            started_at=command.started_at,
            seconds=stored.frames / files.RATE if stored else 0.0,
            channels=len(_sides(command)),
            bytes=stored.bytes if stored else 0,
            sha256=stored.sha256 if stored else "",
        )

    def _left_behind(self) -> list[FinishRecording]:
        self._spool.mkdir(parents=True, exist_ok=True)
        found = [_read_claim(path) for path in sorted(self._spool.glob("*.json"))]
        claims = [claim for claim in found if claim]
        self._report_strangers({claim.recording_id for claim in claims})
        return claims

    def _report_strangers(self, claimed: set[str]) -> None:
        for path in sorted(self._spool.glob("*.wav")):
            hours = (self._now() - path.lstat().st_mtime) / 3600
            if path.name[:36] not in claimed and hours > 24:
                log.warning("recording spool: %s, %d hours old, belongs to no known call", path.name, hours)


def _check_id(recording_id: str) -> None:
    if not _UUID.fullmatch(recording_id):
        raise ValueError("a recording's id must be a UUID")


def _place(command: FinishRecording) -> Path:
    """Where the finished file lives, relative to the root."""
    day = datetime.fromtimestamp(command.started_at, UTC)
    return Path(f"{day:%Y/%m/%d}") / f"{command.recording_id}.wav"


def _sides(command: FinishRecording) -> files.Sides:
    return files.BOTH if command.agent else files.ALONE


def _claim_path(spool: Path, recording_id: str) -> Path:
    return spool / f"{recording_id}.json"


def _claim(spool: Path, command: FinishRecording) -> FinishRecording:
    """Write down beside the files whose they are. What was written first holds: the day in a path never moves."""
    spool.mkdir(parents=True, exist_ok=True)
    path = _claim_path(spool, command.recording_id)
    earlier = _read_claim(path) if os.path.lexists(path) else None
    if earlier is not None:
        return earlier
    draft = path.with_suffix(".claim")
    with files.create(draft) as file:
        file.write(msgspec.json.encode(command))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return command


def _read_claim(path: Path) -> FinishRecording | None:
    try:
        with files.open_plain(path) as file:
            claim = msgspec.json.decode(file.read(), type=FinishRecording)
        _check_id(claim.recording_id)
        if claim.recording_id != path.stem:
            raise ValueError("names another recording")
    except (OSError, ValueError, msgspec.MsgspecError) as problem:
        log.warning("recording spool: %s cannot be used: %s", path.name, problem)
        return None
    return claim
