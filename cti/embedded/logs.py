"""Nothing that a home writes down grows for ever: what is full is set aside as NAME.1, and the NAME.1 before it goes.

    logs/<part>.log                 over PART_MAX: copied, then emptied; the part goes on writing at its end
    logs/asterisk/messages          over PART_MAX: renamed, then Asterisk is told to open a new one
    logs/asterisk/cel-custom/*.csv  over CEL_MAX: renamed; Asterisk opens the file anew for each record

`cti.adapters.cel` reads NAME.1 too, so a server that was away still learns what happened, up to CEL_MAX of it at least.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from cti.config import Config
from cti.embedded import asterisk
from cti.embedded.account import Account, acting_as
from cti.embedded.supervisor import Kept, Say
from cti.errors import CtiError

PART_MAX = 20 << 20  # bytes
CEL_MAX = 64 << 20  # at 20 calls a second half an hour
EVERY = 30.0  # s between two looks


async def keep(config: Config, kept: Mapping[str, Kept], account: Account, say: Say, every: float = EVERY) -> None:
    """Until cancelled. A fault is said once; what could not be cut now is tried again."""
    said = ""
    while True:
        await asyncio.sleep(every)
        try:
            await look(config, kept, account)
            said = ""
        except (OSError, CtiError) as error:
            if str(error) != said:
                say(f"a log is full and cannot be set aside: {error}")
            said = str(error)


async def look(config: Config, kept: Mapping[str, Kept], account: Account) -> None:
    """Set aside what is full. Raises OSError, CtiError."""
    for one in list(kept.values()):
        await asyncio.to_thread(cut, one.part.log, one.part.account)
    folder = config.paths.logs.resolve() / "asterisk"
    await asyncio.to_thread(set_aside, folder / "cel-custom/cti.csv", CEL_MAX, account)
    if await asyncio.to_thread(set_aside, folder / "messages", PART_MAX, account):
        await asterisk.control(config, "logger reload")


def cut(log: Path, account: Account) -> None:
    """Copy and empty a log that is full; its writer keeps it open. A line written in between may be lost."""
    if not log.is_symlink() and not log.exists():
        return  # removed by hand; its writer makes a new one when it starts again
    with acting_as(account), os.fdopen(os.open(log, os.O_RDWR | os.O_NOFOLLOW), "r+b") as full:
        if os.fstat(full.fileno()).st_size <= PART_MAX:
            return
        fresh = log.with_name(f".{log.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as copy:
                shutil.copyfileobj(full, copy, 1 << 20)
            fresh.replace(older(log))
            full.truncate(0)
        finally:
            fresh.unlink(missing_ok=True)


def set_aside(log: Path, most: int, account: Account) -> bool:
    """Rename a log that is full. Returns whether it was."""
    with acting_as(account):
        if not log.exists() or log.lstat().st_size <= most:
            return False
        log.replace(older(log))
        return True


def older(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")
