"""The partitions of crm.events: made days ahead and beside the storing, never in its way.

Making one needs crm.events and crm.events_other for itself: a running pg_dump or a forgotten transaction keeps them,
and whoever reads them queues behind us. So we ask for a moment only, and again a minute later. A day without its
partition is stored in events_other, and read there like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import date
from typing import Any

import asyncpg

from cti.adapters.postgres_db import QUERIES

AGAIN = 60.0  # s until a partition that could not be made is tried again
log = logging.getLogger(__name__)


class Partitions:
    """What is known over one connection to PostgreSQL."""

    def __init__(self) -> None:
        self._done: set[date] = set()
        self._told: set[date] = set()
        self._not_before = 0.0

    async def make(self, link: Any, days: Iterable[date]) -> None:
        """Those that are missing, if it can be done at once. Raises only when the connection is lost."""
        missing = sorted(set(days) - self._done)
        if missing and asyncio.get_running_loop().time() >= self._not_before:
            for day in missing:
                if not await self._make(link, day):
                    self._not_before = asyncio.get_running_loop().time() + AGAIN
                    break

    async def _make(self, link: Any, day: date) -> bool:
        try:
            async with link.transaction():
                await link.execute(QUERIES["lock_briefly"])
                await link.execute(QUERIES["make_event_partitions"], [day])
        except asyncpg.CheckViolationError:
            log.error("events of %s are in events_other already; the others of that day go there, too", day)
        except asyncpg.PostgresError as e:
            self._tell(day, e)
            return False
        self._done.add(day)
        return True

    def _tell(self, day: date, error: Exception) -> None:
        if day not in self._told:
            self._told.add(day)
            log.warning("no partition for %s yet, its events go to events_other: %s", day, error)
