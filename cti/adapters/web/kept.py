"""Answers that are costly and are asked for by many pages at once: made once, given to all, for a short while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

LONGEST = 200  # answers kept


class Kept:
    """`get` gives what was made less than `seconds` ago, or ten times as long as the making took; else makes it, once
    for all who ask in the meantime. A failure is not kept."""

    def __init__(self, seconds: float = 3.0) -> None:
        self._seconds = seconds
        self._made: dict[Hashable, tuple[float, Any]] = {}
        self._making: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Any]]) -> Any:
        until, value = self._made.get(key, (0.0, None))
        if time.monotonic() < until:
            return value
        if key not in self._making:
            task = asyncio.ensure_future(self._make(key, make))
            self._making[key] = task
            task.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(self._making[key])  # who goes away does not take it from the others

    def forget(self) -> None:
        """What was made so far is old now."""
        self._made.clear()

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Any]]) -> Any:
        began = time.monotonic()
        value = await make()
        now = time.monotonic()
        self._made = {known: kept for known, kept in list(self._made.items())[-LONGEST:] if now < kept[0]}
        self._made[key] = (now + max(self._seconds, 10 * (now - began)), value)
        return value
