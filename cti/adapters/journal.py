"""The append-only local log of events: every event is here before it is anywhere else.

A folder of segments `NNNNNNNNNNNNNNNNNNN.jsonl`, one encoded Event a line. A segment is named after the
position of its first line, the next line's is one more. Positions rise for ever and become `event_id`: a new
journal begins at the clock in microseconds, so that they rise even if the folder was lost. The file `id`
names the journal, the file `lock` keeps a second server out.

`append` hands the line to the operating system before it returns, so it survives `kill -9`; a thread brings
it to the disk in groups, so that power loss costs milliseconds. When the disk is full, lines wait in memory
and go out in order as soon as there is room: calls do not stop, nothing is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from cti.core.messages import Event, encode
from cti.core.storable import storable
from cti.errors import Refused

SEGMENT_BYTES = 16 << 20
KEEP_SECONDS = 24 * 3600.0
GATHER = 0.01  # s that lines may wait for others to go to the disk with
log = logging.getLogger(__name__)


class Journal:
    """Not to be used before `open`. `append` and `read` belong to the event loop's thread.

    id       names this journal wherever it is stored
    last     position of the last event appended
    synced   position up to which everything is on the disk
    grown    set by every append
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.id = uuid.UUID(int=0)
        self.last = 0
        self.synced = 0
        self.grown = asyncio.Event()
        self._first = 1  # position of the open segment's first line
        self._size = 0
        self._file = -1
        self._locked = -1
        self._waiting = bytearray()  # lines the disk did not take yet
        self._faults: dict[str, str] = {}
        self._rotated: list[int] = []  # handles of full segments, to be synced and closed
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._syncer = threading.Thread(target=self._sync_in_groups, name="journal", daemon=True)
        self._mark = (0, 0, 0)  # a place in a segment: (position of the next line, segment, byte offset)

    @classmethod
    def open(cls, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> Journal:
        """Cuts a line that a crash left torn. Raises Refused when another process has the folder open."""
        journal = cls(folder, segment_bytes)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        journal._lock()
        journal.id = journal._identity()
        segments = journal._segments() or [time.time_ns() // 1000]
        journal._first, path = segments[-1], journal._path(segments[-1])
        journal._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        lines, journal._size = _whole_lines(path)
        if journal._size < path.stat().st_size:
            log.warning("journal: cut a torn line at the end of %s", path.name)
            os.ftruncate(journal._file, journal._size)
        journal.last = journal.synced = journal._first + lines - 1
        _sync_folder(folder)
        journal._syncer.start()
        return journal

    def append(self, events: Sequence[Event]) -> int:
        """Gives whole lines to the system, in order. Returns the position of the last; never raises."""
        lines = [_line(event) for event in events]
        with self._guard:
            self._waiting += b"".join(lines)
            self.last += len(lines)
            self._write()
        self.grown.set()
        self._wake.set()
        return self.last

    def begin_after(self, position: int) -> None:
        """Go on there, in a new segment. Raises OSError."""
        with self._guard:
            self.last = self.synced = position
            self._rotate()
        self._wake.set()

    def read(self, position: int, limit: int = 1000) -> list[tuple[int, bytes]]:
        """Up to `limit` lines after `position`, each with its own position. Reading on is cheap."""
        found: list[tuple[int, bytes]] = []
        for segment in self._segments_after(position):
            at, offset = segment, 0
            if self._mark[1] == segment and self._mark[0] <= position + 1:
                at, _, offset = self._mark
            with self._path(segment).open("rb") as file:
                file.seek(offset)
                for line in file:
                    if len(found) == limit or not line.endswith(b"\n"):
                        break
                    if at > position:
                        found.append((at, line[:-1]))
                    at, offset = at + 1, offset + len(line)
            self._mark = (at, segment, offset)
            if len(found) == limit:
                break
        return found

    def drop(self, stored: int, now: float | None = None) -> None:
        """Deletes segments that are stored up to their last line and older than a day, never the open one."""
        now = time.time() if now is None else now
        segments = self._segments()
        for first, following in itertools.pairwise(segments):
            path = self._path(first)
            if following - 1 <= stored and now - path.stat().st_mtime > KEEP_SECONDS:
                path.unlink()

    def close(self) -> None:
        """Brings everything to the disk and lets the folder go."""
        self._closing = True
        self._wake.set()
        if self._syncer.is_alive():
            self._syncer.join()
        self._sync_once()
        os.close(self._file)
        os.close(self._locked)

    # ------------------------------------------------------------ writing

    def _write(self) -> None:
        """Gives waiting bytes to the system. Rotates between lines only. The guard is held."""
        try:
            while self._waiting:
                written = os.write(self._file, self._waiting)
                self._size += written
                del self._waiting[:written]
            if self._size >= self.segment_bytes:
                self._rotate()
        except OSError as e:
            self._say("write", str(e))
        else:
            self._say("write", "")

    def _rotate(self) -> None:
        new = os.open(self._path(self.last + 1), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._rotated.append(self._file)
        self._file, self._first, self._size = new, self.last + 1, 0

    def _sync_in_groups(self) -> None:
        """The thread: one sync for all that was appended meanwhile."""
        while not self._closing:
            self._wake.wait(1.0 if self.synced < self.last else None)
            if not self._closing:
                time.sleep(GATHER)
            self._wake.clear()
            self._sync_once()

    def _sync_once(self) -> None:
        """Never raises: without its thread nothing would come to the disk any more."""
        last, open_one, full = self._take()
        try:
            for handle in (open_one, *full):
                os.fdatasync(handle)
            if full:
                _sync_folder(self.folder)
            self.synced = last
            self._say("sync", "")
        except OSError as e:
            self._say("sync", str(e))
        finally:
            for handle in full:
                with contextlib.suppress(OSError):
                    os.close(handle)

    def _take(self) -> tuple[int, int, list[int]]:
        """Up to where is synced now, and of which files: the open one, which nobody else closes, and full ones."""
        with self._guard:
            self._write()
            last = self.last if not self._waiting else self.synced
            full, self._rotated = self._rotated, []
            return last, self._file, full

    def _say(self, what: str, fault: str) -> None:
        """One line at a change of state."""
        before = self._faults.get(what, "")
        self._faults[what] = fault
        if fault and not before:
            log.error("journal: cannot %s: %s; events wait in memory, calls go on", what, fault)
        elif before and not fault:
            log.warning("journal: can %s again, nothing was lost", what)

    # ------------------------------------------------------------ files

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:019d}.jsonl"

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.jsonl") if path.stem.isdigit())

    def _segments_after(self, position: int) -> Iterator[int]:
        """The segment that holds the line after `position`, and those behind it."""
        if position >= self._first - 1:
            return iter([self._first])
        segments = self._segments()
        start = max((i for i, first in enumerate(segments) if first <= position + 1), default=0)
        return iter(segments[start:])

    def _lock(self) -> None:
        self._locked = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._locked)
            raise Refused(f"another server uses {self.folder}; stop it first", "journal_in_use") from None

    def _identity(self) -> uuid.UUID:
        path = self.folder / "id"
        with contextlib.suppress(OSError, ValueError):
            return uuid.UUID(path.read_text().strip())
        new = uuid.uuid4()
        draft = self.folder / "id.new"
        draft.write_text(f"{new}\n")
        draft.rename(path)
        return new


def _line(event: Event) -> bytes:
    try:
        line = encode(event)
        if b"\\u0000" not in line:
            return line + b"\n"
    except UnicodeEncodeError:
        pass
    except (TypeError, OverflowError, RecursionError):
        log.exception("journal: an event of type %r holds what JSON cannot", event.type)
    return _forced(event)


def _forced(event: Event) -> bytes:
    """Whatever it is, it becomes a line."""
    fields = {f: storable(getattr(event, f)) for f in event.__struct_fields__}
    try:
        body = msgspec.json.encode({"is": "Event", **fields}, enc_hook=repr)
    except Exception:
        fields["data"] = {"unreadable": storable(repr(event.data))}
        body = msgspec.json.encode({"is": "Event", **fields})
    return body + b"\n"


def _whole_lines(path: Path) -> tuple[int, int]:
    """(number of complete lines, bytes up to the end of the last one)"""
    lines = size = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                lines, size = lines + 1, size + len(line)
    return lines, size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
