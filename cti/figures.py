"""Today's wallboard figures: they follow the clock from one day of the site to the next, and outlive a restart."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from cti.adapters import postgres_start
from cti.adapters.postgres import Store
from cti.adapters.postgres_start import Restored
from cti.core.stats import Stats
from cti.errors import Unavailable

log = logging.getLogger(__name__)


class Figures:
    """`now` is the server's clock: neither a fact dated in the future begins a day, nor is an event needed for it."""

    def __init__(self, time_zone: str, now: Callable[[], float]) -> None:
        self._zone = ZoneInfo(time_zone)
        self._now = now
        self._day_end = 0.0
        self._stats = Stats()

    @property
    def stats(self) -> Stats:
        """Those of the day that it is."""
        if (now := self._now()) >= self._day_end:
            start = datetime.fromtimestamp(now, self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
            self._day_end = (start + timedelta(days=1)).timestamp()
            self._stats.roll(start.timestamp())
        return self._stats

    async def restore(self, store: Store, past: Restored, within: Mapping[str, float]) -> None:
        """Calls that go on are folded from their events, each in its order; of all others the database has the sums.
        Without those the server serves all the same. `within`: T of each queue."""
        stats = self.stats
        calls = [list(events) for _, events in groupby(past.events, key=lambda event: event.call_id)]
        for event in [*heapq.merge(*calls, key=lambda event: event.at), *past.agents]:
            stats.apply(event)
        try:
            but_for = [events[0].call_id for events in calls]
            stats.add(*await postgres_start.today(store, stats.day_start, but_for, within))
        except Unavailable as error:
            log.warning("the figures of today begin at nothing: %s", error)
