"""Whether a calendar is open, and when it opens next."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flowbook import book_of

from cti.core.ivr.calendars import Calendar, Hours, Span, hours
from cti.core.messages import Forced

NODES = "  a: {do: hangup}\n"
CALENDARS = """calendars:
  office:
    time_zone: Asia/Jakarta
    week: {mon-fri: ["08:00-12:00", "13:00-17:00"], sat: ["09:00-12:00"]}
    holidays: {country: ID, extra: ["2026-12-30"], except: ["2027-01-01"]}
    special: {"2026-12-24": ["08:00-10:00"], "2026-12-25": ["10:00-11:00"], "2026-12-27": ["20:00-02:00"]}
  site: {week: {mon-sun: ["08:00-17:00"]}}
  night: {time_zone: Europe/Berlin, week: {mon-sun: ["22:00-06:00"]}, holidays: {country: DE}}
  whole: {time_zone: UTC, week: {mon: ["00:00-24:00"]}}
  never: {}
  rarely: {time_zone: UTC, special: {"2028-06-01": ["10:00-11:00"]}}
  bavaria: {time_zone: Europe/Berlin, week: {mon-fri: ["08:00-17:00"]}, holidays: {country: DE, subdivision: BY}}
"""
BOOK = book_of(NODES, calendars=CALENDARS)


def at(text: str, zone: str = "Asia/Jakarta", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def told(calendar: str, text: str, zone: str = "Asia/Jakarta", forced: Forced | None = None, fold: int = 0) -> Hours:
    return hours(BOOK.calendars[calendar], at(text, zone, fold), zone, forced, "en")


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-12-21T07:59:59", Hours("closed", "", "2026-12-21T08:00")),  # a Monday
        ("2026-12-21T08:00", Hours("open")),
        ("2026-12-21T11:59:59", Hours("open")),
        ("2026-12-21T12:00", Hours("closed", "", "2026-12-21T13:00")),
        ("2026-12-21T17:00", Hours("closed", "", "2026-12-22T08:00")),
        ("2026-12-19T12:00", Hours("closed", "", "2026-12-21T08:00")),  # over a Sunday
        ("2026-12-24T09:00", Hours("open")),  # special days
        ("2026-12-24T11:00", Hours("closed", "", "2026-12-25T10:00")),
        ("2026-12-25T10:30", Hours("open")),  # a holiday with special hours
        ("2026-12-25T09:00", Hours("closed", "", "2026-12-25T10:00")),
        ("2026-12-27T23:00", Hours("open")),  # a special Sunday, over midnight into the Monday
        ("2026-12-28T01:59", Hours("open")),
        ("2026-12-28T02:00", Hours("closed", "", "2026-12-28T08:00")),
        ("2026-12-30T09:00", Hours("holiday", "", "2026-12-31T08:00")),  # a holiday of one's own
        ("2027-01-01T09:00", Hours("open")),  # an excepted one
        ("2026-08-17T09:00", Hours("holiday", "Independence Day", "2026-08-18T08:00")),
        ("2026-08-17T23:59", Hours("holiday", "Independence Day", "2026-08-18T08:00")),
        ("2026-08-18T00:00", Hours("closed", "", "2026-08-18T08:00")),
    ],
)
def test_the_hours_of_an_office(moment: str, expected: Hours) -> None:
    assert told("office", moment) == expected


def test_names_of_holidays_are_in_the_language_asked_for_else_in_the_countrys() -> None:
    moment = at("2026-08-17T09:00")
    names = [hours(BOOK.calendars["office"], moment, "UTC", language=one).holiday for one in ("en", "id", "", "sw")]
    assert names == ["Independence Day", "Hari Kemerdekaan Republik Indonesia", names[1], names[1]]


def test_a_part_of_a_country_has_holidays_of_its_own() -> None:
    assert told("bavaria", "2026-01-06T09:00", "Europe/Berlin").holiday == "Epiphany"


def test_the_sites_time_zone_is_that_of_calendars_that_name_none() -> None:
    moment = at("2026-12-21T08:30", "Asia/Shanghai")
    assert hours(BOOK.calendars["site"], moment, "Asia/Shanghai").state == "open"
    assert hours(BOOK.calendars["site"], moment, "Asia/Jakarta") == Hours("closed", "", "2026-12-21T08:00")


def test_a_day_may_be_open_whole() -> None:
    assert told("whole", "2026-12-21T23:59:59", "UTC") == Hours("open")
    assert told("whole", "2026-12-22T00:00", "UTC") == Hours("closed", "", "2026-12-28T00:00")


def test_what_never_opens_says_no_next_opening() -> None:
    assert told("never", "2026-12-21T08:00") == Hours("closed")
    assert told("rarely", "2026-12-21T08:00", "UTC") == Hours("closed")  # not within 370 days
    assert told("rarely", "2027-06-01T00:00", "UTC") == Hours("closed", "", "2028-06-01T10:00")


# ---------------------------------------------------------------- over midnight


def test_hours_over_midnight_belong_to_the_day_they_begin_on() -> None:
    assert told("night", "2026-12-25T03:00", "Europe/Berlin") == Hours("open")  # began on the 24th
    off = Hours("holiday", "Christmas Day", "2026-12-27T22:00")
    assert told("night", "2026-12-25T23:00", "Europe/Berlin") == off
    assert told("night", "2026-12-26T23:00", "Europe/Berlin").holiday == "Second Day of Christmas"
    # those that would have begun on the holiday are what is missing here, on a day that is none
    assert told("night", "2026-12-27T05:59", "Europe/Berlin").holiday == "Second Day of Christmas"
    assert told("night", "2026-12-27T06:00", "Europe/Berlin") == Hours("closed", "", "2026-12-27T22:00")


# ---------------------------------------------------------------- nights when the clock is set


def spans(*written: tuple[int, int], zone: str) -> Calendar:
    return Calendar(name="c", zone=zone, week=(tuple(Span(*one) for one in written),) * 7)


BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


@pytest.mark.parametrize(
    ("zone", "day", "span", "opens", "closes"),
    [
        (BERLIN, "2027-03-28", (22 * 60, 30 * 60), "2027-03-27T21:00Z", "2027-03-28T04:00Z"),  # seven hours
        (BERLIN, "2027-10-31", (22 * 60, 30 * 60), "2027-10-30T20:00Z", "2027-10-31T05:00Z"),  # nine
        (BERLIN, "2027-03-28", (22 * 60, 26 * 60 + 30), "2027-03-27T21:00Z", "2027-03-28T01:00Z"),  # 2:30 is not there
        (BERLIN, "2027-03-28", (2 * 60 + 30, 6 * 60), "2027-03-28T01:00Z", "2027-03-28T04:00Z"),
        (BERLIN, "2027-03-28", (8 * 60, 17 * 60), "2027-03-28T06:00Z", "2027-03-28T15:00Z"),
        (BERLIN, "2027-10-31", (8 * 60, 17 * 60), "2027-10-31T07:00Z", "2027-10-31T16:00Z"),
        (NEW_YORK, "2027-03-14", (22 * 60, 30 * 60), "2027-03-14T03:00Z", "2027-03-14T10:00Z"),
        (NEW_YORK, "2027-11-07", (22 * 60, 30 * 60), "2027-11-07T02:00Z", "2027-11-07T11:00Z"),
        (NEW_YORK, "2027-11-07", (60, 2 * 60), "2027-11-07T05:00Z", "2027-11-07T07:00Z"),  # one o'clock comes twice
        (NEW_YORK, "2027-03-14", (8 * 60, 17 * 60), "2027-03-14T12:00Z", "2027-03-14T21:00Z"),
        ("Asia/Jakarta", "2027-03-28", (22 * 60, 30 * 60), "2027-03-27T15:00Z", "2027-03-27T23:00Z"),
    ],
)
def test_hours_are_what_the_clock_on_the_wall_shows(
    zone: str, day: str, span: tuple[int, int], opens: str, closes: str
) -> None:
    calendar = spans(span, zone=zone)
    begin, end = (datetime.fromisoformat(one).timestamp() for one in (opens, closes))
    assert all(hours(calendar, moment, "UTC").state == "open" for moment in range(int(begin), int(end), 60))
    for moment in (begin - 1, end):
        assert hours(calendar, moment, "UTC").state == "closed"
    wall = datetime.fromtimestamp(begin, ZoneInfo(zone))
    assert hours(calendar, begin - 3600, "UTC").next_open == f"{wall:%Y-%m-%dT%H:%M}"


def test_a_time_that_comes_twice_opens_twice() -> None:
    calendar = spans((22 * 60, 26 * 60 + 30), zone=BERLIN)
    between = at("2027-10-31T02:40", BERLIN)
    assert hours(calendar, between, "UTC") == Hours("closed", "", "2027-10-31T02:00")
    assert hours(calendar, at("2027-10-31T02:10", BERLIN, fold=1), "UTC").state == "open"
    assert hours(spans((2 * 60 + 30, 2 * 60 + 40), zone=BERLIN), between, "UTC").next_open == "2027-10-31T02:30"


# ---------------------------------------------------------------- by hand


def test_by_hand_beats_everything_until_then() -> None:
    until = at("2026-12-21T18:00")
    assert told("office", "2026-12-21T06:00", forced=Forced("open", until)) == Hours("open")
    assert told("office", "2026-12-21T09:00", forced=Forced("closed", until)) == Hours("closed", "", "2026-12-22T08:00")
    assert told("office", "2026-12-21T18:00", forced=Forced("open", until)).state == "closed"
    holiday = at("2026-08-17T12:00")
    assert told("office", "2026-08-17T09:00", forced=Forced("open", holiday)) == Hours("open")
    assert told("office", "2026-08-17T09:00", forced=Forced("closed", holiday)).state == "closed"
    assert told("never", "2026-12-21T09:00", forced=Forced("open", until)) == Hours("open")


def test_the_end_of_what_was_closed_by_hand_may_be_the_next_opening() -> None:
    for until, opens in (("14:30:00", "14:30"), ("14:30:01", "14:31"), ("12:10:00", "13:00"), ("11:59:30", "13:00")):
        forced = Forced("closed", at(f"2026-12-21T{until}"))
        assert told("office", "2026-12-21T09:00", forced=forced).next_open == f"2026-12-21T{opens}"
    years = Forced("closed", at("2036-12-21T00:00"))
    assert told("office", "2026-12-21T09:00", forced=years) == Hours("closed")


# ---------------------------------------------------------------- random calendars


ZONES = (BERLIN, NEW_YORK, "Asia/Jakarta", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "Asia/Kathmandu")
CHANGES = {
    BERLIN: ("2027-03-28", "2027-10-31"), NEW_YORK: ("2027-03-14", "2027-11-07"),
    "Australia/Lord_Howe": ("2027-04-04", "2027-10-03"), "Africa/Cairo": ("2027-04-30", "2027-10-29"),
    "America/Havana": ("2027-03-14", "2027-11-07"),
}  # fmt: skip


def some_calendar(random: Random, zone: str, near: date) -> Calendar:
    def day() -> tuple[Span, ...]:
        begins = [random.randrange(0, 1440, random.choice((1, 10, 60))) for _ in range(random.choice((0, 0, 1, 2)))]
        return tuple(Span(begin, begin + random.randrange(1, 1440)) for begin in begins)

    special = {near + timedelta(days=random.randrange(-2, 3)): day() for _ in range(random.randrange(3))}
    extra = frozenset(near + timedelta(days=random.randrange(-2, 3)) for _ in range(random.randrange(3)))
    return Calendar(name="c", zone=zone, week=tuple(day() for _ in range(7)), special=special, extra=extra)


@pytest.mark.parametrize("seed", range(100))
def test_the_next_opening_is_the_first_minute_at_which_it_is_open(seed: int) -> None:
    random = Random(seed)
    zone = random.choice(ZONES)
    near = date.fromisoformat(random.choice(CHANGES.get(zone, ("2027-06-01",))))
    calendar = some_calendar(random, zone, near)
    begin = at(near.isoformat(), zone) + random.randrange(-86_400, 86_400)
    forced = random.choice((None, None, Forced("closed", begin + random.randrange(-7200, 86_400))))
    found = hours(calendar, begin, "UTC", forced)
    first = first_open(calendar, begin, forced, minutes=2 * 1440)
    if found.state == "open":
        assert found == Hours("open")
    elif first is None:
        assert found.next_open is None or at(found.next_open, zone) >= begin + 2 * 86_400 - 60
    else:
        assert found.next_open == f"{datetime.fromtimestamp(first, ZoneInfo(zone)):%Y-%m-%dT%H:%M}"


def first_open(calendar: Calendar, begin: float, forced: Any, minutes: int) -> int | None:
    """Looked for minute by minute."""
    start = -int(-begin // 60) * 60
    moments = range(start, start + minutes * 60, 60)
    return next((moment for moment in moments if hours(calendar, moment, "UTC", forced).state == "open"), None)
