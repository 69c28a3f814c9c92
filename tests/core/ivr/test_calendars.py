from __future__ import annotations

import pytest
from flowbook import book_of, problems_of

NODES = "  a: {do: hangup}\n"
HEAD = "calendars:\n  office:\n"


def told(office: str) -> list[str]:
    """What is said of a calendar with these lines, without the file's name."""
    return [one.removeprefix("calendars.yaml:") for one in problems_of(NODES, calendars=HEAD + office)]


def test_a_calendar_of_the_contract() -> None:
    text = """calendars:
  office:
    time_zone: Asia/Jakarta
    week: {mon-fri: ["08:00-12:00", "13:00-17:00"], sat: ["09:00-12:00"]}
    holidays: {country: ID, extra: ["2026-12-31"], except: []}
  night: {time_zone: UTC, week: {sun-thu: ["22:00-06:00"], fri: ["00:00-24:00"], sat: []}}
  later: {}
"""
    assert book_of(NODES, calendars=text).notes == ()


@pytest.mark.parametrize(
    ("office", "problem"),
    [
        ("    time_zone: Mars/Base\n", "3:16: `Mars/Base` is no time zone (like Asia/Jakarta or UTC)"),
        ("    time_zone: ../../etc/passwd\n", "3:16: `../../etc/passwd` is no time zone"),
        ("    time_zone: Asia\n", "3:16: `Asia` is no time zone"),
        ("    time_zone: 7\n", "3:16: `7` is no time zone"),
        ("    zone: UTC\n", "3:5: `zone` is no key of calendar `office` (did you mean `time_zone`?)"),
        ("    week: [mon]\n", "3:11: `week` must be a map"),
        ("    week: {monday: []}\n", "3:12: `monday` is no day of the week (mon, tue,"),
        ("    week: {mon-mon: []}\n", "3:12: `mon-mon` is no day of the week"),
        ("    week: {mon-: []}\n", "3:12: `mon-` is no day of the week"),
        ("    week: {x-fri: []}\n", "3:12: `x-fri` is no day of the week"),
        ("    week: {mon-fri: [], wed: []}\n", "3:25: wed is there twice"),
        ("    week: {fri-mon: [], sun: []}\n", "3:25: sun is there twice"),
        ("    week: {mon: 08:00-12:00}\n", "3:17: the hours of a day must be a list"),
        ('    week: {mon: ["25:00-26:00"]}\n', "3:18: `25:00-26:00` are no hours (like"),
        ('    week: {mon: ["08:00-12:60"]}\n', "3:18: `08:00-12:60` are no hours"),
        ('    week: {mon: ["24:00-12:00"]}\n', "3:18: `24:00-12:00` are no hours"),
        ('    week: {mon: ["8:00-12:00"]}\n', "3:18: `8:00-12:00` are no hours"),
        ('    week: {mon: ["0٨:00-12:00"]}\n', "are no hours"),
        ('    week: {mon: ["08:00-12:00\\n"]}\n', "are no hours"),
        ("    week: {mon: [8]}\n", "3:18: `8` are no hours"),
        ('    week: {mon: ["08:00-08:00"]}\n', '3:18: `08:00-08:00` begins and ends at once (the whole day is "00:00-'),
        ("    holidays: {country: Indonesia}\n", "3:25: the holidays of `Indonesia` are not known (did you mean `ID"),
        ("    holidays: {country: Indonesa}\n", "`Indonesa` are not known (did you mean `Indonesia`?)"),
        ("    holidays: {country: id}\n", "(did you mean `ID`?)"),
        ("    holidays: {country: IDN}\n", "(did you mean `ID`?)"),
        ("    holidays: {country: South Korea}\n", "(did you mean `KR`?)"),
        ("    holidays: {country: XX}\n", "the holidays of `XX` are not known (with X there are XK)"),
        ("    holidays: {country: ÄÖ}\n", "the holidays of `ÄÖ` are not known (two capital letters, like ID)"),
        ("    holidays: {country: 1}\n", "3:25: the holidays of `1` are not known ("),
        ("    holidays: {country: DE, subdivision: BV}\n", "3:42: `BV` is no part of DE with holidays of its own"),
        ("    holidays: {country: DE, subdivision: Bayren}\n", "(did you mean `Bayern`?)"),
        ("    holidays: {subdivision: BY}\n", "3:16: `subdivision` needs a `country`"),
        ("    holidays: {country: DE, subdivision: 7}\n", "`subdivision` must be text"),
        ("    holidays: {ekstra: []}\n", "3:16: `ekstra` is no key of `holidays` (did you mean `extra`?)"),
        ("    holidays: {extra: x}\n", "3:23: `extra` must be a list"),
        ('    holidays: {extra: ["2026-02-30"]}\n', '3:24: `2026-02-30` is no date (like "2026-12-31")'),
        ('    holidays: {except: ["20261231"]}\n', "3:25: `20261231` is no date"),
        ("    holidays: {except: [1]}\n", "3:25: `1` is no date"),
        ('    special: {"2026-02-30": []}\n', '3:15: `2026-02-30` is no date (like "2026-12-31")'),
        ('    special: {christmas: []}\n', "3:15: `christmas` is no date"),
        ('    special: ["2026-12-24"]\n', "3:14: `special` must be a map"),
        ('    special: {"2026-12-24": "08:00-12:00"}\n', "3:29: the hours of a day must be a list"),
        ('    special: {"2026-12-24": ["8-12"]}\n', "3:30: `8-12` are no hours"),
    ],
)  # fmt: skip
def test_a_fault_in_a_calendar_is_told_where_it_is(office: str, problem: str) -> None:
    assert any(one.startswith(problem) or problem in one for one in told(office)), told(office)


@pytest.mark.parametrize(
    ("calendars", "problem"),
    [
        ("calendars: {office: 3}\n", "calendars.yaml:1:21: calendar `office` must be a map"),
        ("calendars: {../x: {}}\n", "calendars.yaml:1:13: `../x` is not a plain name"),
        ("calendars: []\n", "calendars.yaml:1:12: `calendars` must be a map"),
        ("calendar: {}\n", "calendars.yaml:1:1: `calendar` is no key of calendars.yaml (did you mean `calendars`?)"),
    ],
)
def test_the_file_as_a_whole(calendars: str, problem: str) -> None:
    assert any(one.startswith(problem) for one in problems_of(NODES, calendars=calendars))


def test_of_a_country_nobody_knows_no_part_is_asked_for() -> None:
    wrong = "calendars: {office: {week: {}, holidays: {country: XX, subdivision: A}}}\n"
    found = problems_of(NODES, calendars=wrong)
    assert not any("subdivision" in one for one in found), found
    assert any("`XX` are not known" in one for one in found), found
