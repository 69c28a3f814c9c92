"""All garbage is collected when few calls are there; else not before its time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator

from cti.collector import NEVER, QUIET, collect_when_quiet


class Ring:
    def __init__(self) -> None:
        self.me = self


def old_garbage() -> weakref.ref[Ring]:
    """A ring of the oldest generation that nobody holds any more."""
    ring = Ring()
    gc.collect()
    return weakref.ref(ring)


@contextlib.asynccontextmanager
async def collecting(live: int, latest: float = 3600.0) -> AsyncIterator[None]:
    task = asyncio.create_task(collect_when_quiet(lambda: live, every=0.01, latest=latest))
    await asyncio.sleep(0)  # it has begun
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def gone(garbage: weakref.ref[Ring]) -> None:
    async with asyncio.timeout(10):
        while garbage() is not None:
            await asyncio.sleep(0.01)


async def test_it_is_collected_while_it_is_quiet_and_all_is_as_before_afterwards() -> None:
    before = gc.get_threshold()
    async with collecting(QUIET):
        assert gc.get_threshold() == (*before[:2], NEVER) and gc.get_freeze_count() > 0
        await gone(old_garbage())
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


async def test_with_many_calls_it_waits_but_not_for_ever() -> None:
    async with collecting(QUIET + 1):
        garbage = old_garbage()
        for _ in range(20):
            [Ring() for _ in range(1000)]  # the young ones are collected as ever
            await asyncio.sleep(0.01)
        assert garbage() is not None
    gc.collect()
    async with collecting(QUIET + 1, latest=0.05):
        await gone(old_garbage())
