"""What nobody told: calls whose end got lost, and until when the switch was known to be alive."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from cti.core.call import Calls
from cti.core.messages import MAIN, ChannelGone

EVERY = 5.0  # s between two looks
AGAIN = 1.0  # s until the second look, which must say the same


async def end_lost(
    calls: Calls,
    channels: Callable[[], Awaitable[frozenset[str] | None]],
    submit: Callable[[ChannelGone], object],
    now: Callable[[], float],
) -> None:
    """Forever: ask the switch which channels it has; one that it has twice not got is over.

    An event can be lost, or be unbelievable because the caller's own number wrote into it."""

    async def missing() -> set[str]:
        asked_at, found = now(), await channels()
        return set() if found is None else calls.lost(MAIN, found, asked_at)

    while True:
        await asyncio.sleep(EVERY)
        if gone := await missing():
            await asyncio.sleep(AGAIN)
            for uniqueid in sorted(gone & await missing()):
                submit(ChannelGone(at=now(), uniqueid=uniqueid, cause=0))


async def keep_alive_mark(file: Path, alive: Callable[[], bool]) -> None:
    """Forever: the file's time is when the switch was last known to be alive. A disk that is full ends nobody."""
    while True:
        if alive():
            with contextlib.suppress(OSError):
                await asyncio.to_thread(file.touch)
        await asyncio.sleep(1.0)


def alive_until(file: Path) -> float:
    """Seconds since the epoch; 0 when it never was."""
    return file.stat().st_mtime if file.exists() else 0.0
