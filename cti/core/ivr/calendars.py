"""Opening hours: whether a calendar is open at a moment, and when it opens next.

Hours are what the clock on the wall of the calendar's time zone shows, also on nights when it is set. Hours over
midnight belong to the day they begin on: a holiday takes away those that begin on it, and no others. Of what is said
about a moment the first holds: opened or closed by hand, special day, holiday, day of the week.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from math import ceil
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from cti.core.messages import Forced

DAY = timedelta(days=1)
A_DAY = 24 * 60  # minutes
AHEAD = 370 * 86_400  # s that the next opening is looked for


class Span(msgspec.Struct, frozen=True):
    """Minutes since the midnight that begins the day, `end` not included; it may lie on the next day."""

    begin: int
    end: int


Spans = tuple[Span, ...]


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """`zone` empty: the site's. `week`: from Monday. `names`: the country's holidays by language, "" its own; they are
    worked out year by year when they are asked for."""

    name: str
    zone: str = ""
    week: tuple[Spans, ...] = ((),) * 7
    special: Mapping[date, Spans] = {}
    names: Mapping[str, Mapping[date, str]] = {}
    extra: frozenset[date] = frozenset()
    excepted: frozenset[date] = frozenset()

    def spans(self, day: date) -> Spans:
        """The hours that begin on this day."""
        if day in self.special:
            return self.special[day]
        return () if self.holiday(day) is not None else self.week[day.weekday()]

    def holiday(self, day: date, language: str = "") -> str | None:
        """The name of the holiday in that language where the country has it, empty for one without; None: no holiday,
        or a special day."""
        names = self.names.get(language.split("-")[0], self.names.get("", {}))
        name = None if day in self.excepted else names.get(day)
        return None if day in self.special else name or ("" if day in self.extra else None)


class Hours(msgspec.Struct, frozen=True):
    """`next_open`: the first full minute at which it is open, local time as ISO text; None: it is open, or does not
    open within a year."""

    state: Literal["open", "closed", "holiday"]
    holiday: str = ""
    next_open: str | None = None


def hours(calendar: Calendar, at: float, site_zone: str, forced: Forced | None = None, language: str = "") -> Hours:
    """`language`: of the holiday's name."""
    zone = ZoneInfo(calendar.zone or site_zone)
    if forced is not None and at < forced.until:
        closed = Hours("closed", next_open=_next_open(calendar, zone, forced.until, at + AHEAD))
        return Hours("open") if forced.state == "open" else closed
    now = datetime.fromtimestamp(at, zone)
    if _is_open(calendar, now):
        return Hours("open")
    name = _holiday(calendar, now, language)
    next_open = _next_open(calendar, zone, at, at + AHEAD)
    return Hours("closed", "", next_open) if name is None else Hours("holiday", name, next_open)


def _minute(now: datetime) -> int:
    return now.hour * 60 + now.minute


def _is_open(calendar: Calendar, now: datetime) -> bool:
    minute, today = _minute(now), now.date()
    return any(span.begin <= minute < span.end for span in calendar.spans(today)) or any(
        minute + A_DAY < span.end for span in calendar.spans(today - DAY)
    )


def _holiday(calendar: Calendar, now: datetime, language: str) -> str | None:
    """The holiday of today, or of yesterday while the hours that it took away would last."""
    name = calendar.holiday(now.date(), language)
    if name is None:
        before = now.date() - DAY
        if any(_minute(now) + A_DAY < span.end for span in calendar.week[before.weekday()]):
            name = calendar.holiday(before, language)
    return name


# ---------------------------------------------------------------- the next opening


def _next_open(calendar: Calendar, zone: ZoneInfo, begin: float, last: float) -> str | None:
    if not (any(calendar.week) or calendar.special):
        return None
    start = ceil(begin / 60) * 60
    for at in _moments(calendar, zone, start, last):
        now = datetime.fromtimestamp(at, zone)
        if _is_open(calendar, now):
            return f"{now:%Y-%m-%dT%H:%M}"
    return None


def _moments(calendar: Calendar, zone: ZoneInfo, start: int, last: float) -> Iterator[int]:
    """`start`, and every moment up to `last` at which it may open: hours begin, or the clock is set."""
    if start <= last:
        yield start
    for begin in range(start, ceil(last), 86_400):
        end = begin + 86_400
        found = [*_begins(calendar, zone, begin, end), *_change(zone, begin, end)]
        yield from sorted(at for at in found if begin <= at < end and at <= last)


def _begins(calendar: Calendar, zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """When hours begin on the days between these moments. A time that comes twice in a night is told twice."""
    day, final = (datetime.fromtimestamp(at, zone).date() for at in (begin, end))
    while day <= final:
        for span in calendar.spans(day):
            wall = datetime(day.year, day.month, day.day, *divmod(span.begin, 60), tzinfo=zone)
            yield from (int(wall.replace(fold=fold).timestamp()) for fold in (0, 1))
        day += DAY


def _change(zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """When the clock is set between these moments, at most once: the first minute of the new time."""
    old, new = _offset(zone, begin), _offset(zone, end)
    if old != new:
        while end - begin > 60:
            middle = (begin + end) // 120 * 60
            begin, end = (middle, end) if _offset(zone, middle) == old else (begin, middle)
        yield end


def _offset(zone: ZoneInfo, at: int) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()
