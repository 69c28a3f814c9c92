"""The day of the figures is the clock's."""

from __future__ import annotations

from cti.core.messages import Event
from cti.figures import Figures

MIDNIGHT = 1_782_838_800.0  # 2026-07-01 00:00 in Jakarta


def missed(at: float) -> Event:
    return Event(type="offer.missed", at=at, agent="ann")


def test_a_day_begins_by_the_clock_alone() -> None:
    clock = [MIDNIGHT - 1]
    figures = Figures("Asia/Jakarta", lambda: clock[0])
    figures.stats.apply(missed(clock[0]))
    assert (figures.stats.agent("ann").missed, figures.stats.day_start) == (1, MIDNIGHT - 86400)
    clock[0] = MIDNIGHT
    assert (figures.stats.agent("ann").missed, figures.stats.day_start) == (0, MIDNIGHT)


def test_a_fact_from_the_future_begins_no_day_and_hinders_none() -> None:
    clock = [MIDNIGHT + 5]
    figures = Figures("Asia/Jakarta", lambda: clock[0])
    figures.stats.apply(missed(clock[0] + 400 * 86400))
    figures.stats.apply(missed(clock[0]))
    assert figures.stats.agent("ann").missed == 2
    clock[0] += 86400
    assert (figures.stats.agent("ann").missed, figures.stats.day_start) == (0, MIDNIGHT + 86400)
