"""Files that people put into a folder of ours: opened without following links and without waiting."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePath
from typing import BinaryIO

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_plain(root: Path, name: str) -> BinaryIO:
    """Open `root/name` for reading; only `root` itself may be a link. Raises OSError, also for a pipe or a device."""
    *folders, last = PurePath(name).parts
    here = os.open(root, FOLDER)
    try:
        for folder in folders:
            inner = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        file = os.open(last, FILE, dir_fd=here)
    finally:
        os.close(here)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return os.fdopen(file, "rb")
    os.close(file)
    raise OSError(errno.EINVAL, "not a regular file")


def read_plain(root: Path, name: str, most: int) -> bytes | None:
    """The content of `root/name`; None: it has more than `most` bytes. Raises OSError as `open_plain` does."""
    with open_plain(root, name) as file:
        content = file.read(most + 1)
    return content if len(content) <= most else None


def why(error: OSError) -> str:
    """What is told of a file that could not be read."""
    if error.errno == errno.ELOOP:
        return "a link is not followed"
    return str(error.strerror) if error.errno == errno.EINVAL else f"cannot be read: {error.strerror}"
