"""The steps of finishing one recording: plain blocking functions on files, each safe to repeat.

`place` is the finished file relative to `root`; its stem is the recording's id. All raise OSError."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

RATE = 8000  # samples a second
HEADER = 44  # bytes before the samples, in the switch's files and in ours
BOTH = ("caller", "agent")  # left, right
ALONE = ("caller",)
_CHUNK = 1 << 16  # frames


class Side(NamedTuple):
    """One side's file: its size, and whether the switch has closed it."""

    size: int
    complete: bool


Sides = tuple[str, ...]


class Stored(NamedTuple):
    bytes: int
    frames: int
    sha256: str


def look(root: Path, place: Path, sides: Sides) -> list[Side]:
    """The sides as they are now; nothing to wait for when the finished file is already there."""
    if os.path.lexists(root / place):
        return []
    return [_inspect(_side(root, place, side)) for side in sides]


def store(root: Path, place: Path, sides: Sides) -> Stored | None:
    """Make the file, a channel for each side, prove it, put it in place, remove the switch's files. None: no sound."""
    stored = measure(root / place) if os.path.lexists(root / place) else _merge(root, place, sides)
    for side in (*BOTH, "mix"):
        _side(root, place, side).unlink(missing_ok=True)
    return stored


def measure(path: Path) -> Stored:
    """Length and checksum of a finished file as it is on the disk, not in memory."""
    digest, size = hashlib.sha256(), 0
    with open_plain(path) as file:
        channels = max(1, int.from_bytes(file.read(HEADER)[22:24], "little"))
        file.seek(0)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(1 << 18):
            digest.update(block)
            size += len(block)
    return Stored(size, max(0, size - HEADER) // (2 * channels), digest.hexdigest())


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file for reading. A link, a pipe or a folder is refused."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, f"{path.name} is not a plain file")
    return os.fdopen(fd, "rb")


def create(path: Path) -> BinaryIO:
    """A new file of ours, 0640. What stood there is replaced, never written through."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    os.fchmod(fd, 0o640)
    return os.fdopen(fd, "wb")


def _side(root: Path, place: Path, side: str) -> Path:
    return root / "spool" / f"{place.stem}-{side}.wav"


def _inspect(path: Path) -> Side:
    """Complete when both length fields agree with the file's length: the switch writes them on close."""
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEADER)
    except FileNotFoundError:
        return Side(0, False)
    if len(head) < HEADER:
        return Side(size, False)
    riff, data = struct.unpack_from("<4xI32xI", head)
    return Side(size, riff == size - 8 and data == size - HEADER)


def _merge(root: Path, place: Path, names: Sides) -> Stored | None:
    with contextlib.ExitStack() as stack:
        sides = [_samples(stack, _side(root, place, name)) for name in names]
        frames = max(_length(side) for side in sides)
        if frames == 0:
            return None
        _make_day(root, place.parent)
        draft = (root / place).with_name(f".{place.stem}.tmp")
        try:
            return _prove_and_place(draft, root / place, _write(draft, sides, frames))
        finally:
            draft.unlink(missing_ok=True)


def _samples(stack: contextlib.ExitStack, path: Path) -> BinaryIO | None:
    try:
        file = stack.enter_context(open_plain(path))
    except FileNotFoundError:
        return None
    file.seek(HEADER)
    return file


def _length(side: BinaryIO | None) -> int:
    """Samples, from the file's size and never from its header: a killed switch leaves zeros there."""
    return max(0, os.fstat(side.fileno()).st_size - HEADER) // 2 if side else 0


def _make_day(root: Path, day: Path) -> None:
    (root / day).mkdir(parents=True, exist_ok=True, mode=0o750)
    if (root / day).resolve() != root.resolve() / day:
        raise OSError(errno.ELOOP, "a link stands where a day's folder should be")


def _write(draft: Path, sides: list[BinaryIO | None], frames: int) -> Stored:
    digest, total = hashlib.sha256(), 0
    with create(draft) as out:
        for block in _blocks(sides, frames):
            digest.update(block)
            total += out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return Stored(total, frames, digest.hexdigest())


def _blocks(sides: list[BinaryIO | None], frames: int) -> Iterator[bytes]:
    yield _header(frames, len(sides))
    for start in range(0, frames, _CHUNK):
        yield _interleave(sides, min(_CHUNK, frames - start))


def _header(frames: int, channels: int) -> bytes:
    """A canonical header. Its length fields end at 4 GiB (37 hours of stereo); players read on to the end."""
    frame = 2 * channels
    size = min(frames * frame, 0xFFFFFFFF - 36)
    form = struct.pack("<IHHIIHH", 16, 1, channels, RATE, RATE * frame, frame, 16)
    return struct.pack("<4sI4s4s20s4sI", b"RIFF", size + 36, b"WAVE", b"fmt ", form, b"data", size)


def _interleave(sides: list[BinaryIO | None], frames: int) -> bytes:
    mixed = array("h", bytes(frames * 2 * len(sides)))
    for channel, side in enumerate(sides):
        raw = side.read(frames * 2) if side else b""
        mixed[channel :: len(sides)] = array("h", raw[: len(raw) // 2 * 2].ljust(frames * 2, b"\0"))
    return mixed.tobytes()


def _prove_and_place(draft: Path, final: Path, written: Stored) -> Stored:
    if measure(draft) != written:
        raise OSError(errno.EIO, "what was read back is not what was written")
    draft.rename(final)
    fd = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return written
