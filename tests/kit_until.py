"""Waiting for what a test waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(true: Callable[[], object], seconds: float = 10) -> float:
    """Until this holds; the time. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)
    return time.time()


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    """The same where no loop runs. Raises AssertionError."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)
