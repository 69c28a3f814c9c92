"""Reads calendars.yaml: opening hours by weekday in a time zone, holidays, special days."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import holidays
from holidays.registry import COUNTRIES  # by name: its class, its code of two letters and others

from cti.core.ivr.calendars import A_DAY, Calendar, Span, Spans
from cti.core.ivr.source import Path, Reader, a_list, a_map, name, text

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")


def read_calendars(reader: Reader | None) -> dict[str, Calendar]:
    """The calendars of calendars.yaml, also those that have problems."""
    if reader is None:
        return {}
    top = reader.fields((), reader.source.data, {"calendars": _calendars}, "calendars.yaml", ("calendars",))
    found: dict[str, Calendar] = top.get("calendars", {})
    return found


def _calendars(reader: Reader, path: Path, value: Any) -> dict[str, Calendar]:
    found = {}
    for key, inner in a_map(reader, path, value, "`calendars`").items():
        name(reader, (*path, key), key, of_key=True)
        read = reader.fields((*path, key), inner, CALENDAR, f"calendar `{key[:60]}`")
        zone = read.pop("time_zone", "")
        found[key] = Calendar(name=key, zone=zone, **read.pop("holidays", {}), **read)
    return found


def _zone(reader: Reader, path: Path, value: Any) -> str:
    if isinstance(value, str) and ZONE.fullmatch(value) and _exists(value):
        return value
    reader.wrong(path, f"`{str(value)[:60]}` is no time zone", "like Asia/Jakarta or UTC")
    return ""


def _exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True


# ---------------------------------------------------------------- hours


def _week(reader: Reader, path: Path, value: Any) -> tuple[Spans, ...]:
    week: dict[str, Spans] = {}
    for key, hours in a_map(reader, path, value, "`week`").items():
        days = _days(key)
        if not days:
            hint = "mon, tue, wed, thu, fri, sat, sun, or a range like mon-fri"
            reader.wrong((*path, key), f"`{key[:60]}` is no day of the week", hint, of_key=True)
        for day in (day for day in days if day in week):
            reader.wrong((*path, key), f"{day} is there twice", of_key=True)
        week.update(dict.fromkeys(days, _day(reader, (*path, key), hours)))
    return tuple(week.get(day, ()) for day in DAYS)


def _days(key: str) -> tuple[str, ...]:
    """The days of `sat` or `mon-fri`; a range may go past Sunday. Empty: it is neither."""
    first, to, last = key.partition("-")
    if not to:
        return (key,) if key in DAYS else ()
    if first not in DAYS or last not in DAYS or first == last:
        return ()
    begin = DAYS.index(first)
    from_first = DAYS[begin:] + DAYS[:begin]
    return from_first[: from_first.index(last) + 1]


def _day(reader: Reader, path: Path, value: Any) -> Spans:
    written = a_list(reader, path, value, "the hours of a day")
    spans = [_span(reader, (*path, at), one) for at, one in enumerate(written)]
    return tuple(span for span in spans if span is not None)


def _span(reader: Reader, path: Path, value: Any) -> Span | None:
    if not (isinstance(value, str) and HOURS.fullmatch(value)):
        hint = 'like "08:00-17:00", or "22:00-06:00" over midnight; the last end is 24:00'
        reader.wrong(path, f"`{str(value)[:60]}` are no hours", hint)
        return None
    begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in value.split("-"))
    if begin == end:
        reader.wrong(path, f"`{value}` begins and ends at once", 'the whole day is "00:00-24:00"')
    return Span(begin, end if end > begin else end + A_DAY)


def _special(reader: Reader, path: Path, value: Any) -> dict[date, Spans]:
    found = {}
    for key, hours in a_map(reader, path, value, "`special`").items():
        day = _date(reader, (*path, key), key, of_key=True)
        found[day] = _day(reader, (*path, key), hours)
    return found


# ---------------------------------------------------------------- holidays


def _holidays(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
    """The fields of Calendar that they fill."""
    known = {"country": _country, "subdivision": text, "extra": _dates, "except": _dates}
    read = reader.fields(path, value, known, "`holidays`")
    country, part = read.get("country", ""), read.get("subdivision")
    if part and "country" not in value:
        reader.wrong((*path, "subdivision"), "`subdivision` needs a `country`", of_key=True)
    found = {"extra": read.get("extra", frozenset()), "excepted": read.get("except", frozenset())}
    if country and not (part and _is_no_part(reader, (*path, "subdivision"), country, part)):
        found["names"] = _names(country, part)
    return found


def _country(reader: Reader, path: Path, value: Any) -> str:
    codes = {code for _, code, *_ in COUNTRIES.values()}
    if isinstance(value, str) and value in codes:
        return value
    written = value if isinstance(value, str) else ""
    message = f"the holidays of `{str(value)[:60]}` are not known"
    forms = {form.lower(): entry[1] for entry in COUNTRIES.values() for form in entry}
    if code := forms.get(written.replace(" ", "").lower()):
        reader.wrong(path, message, f"did you mean `{code}`?")
    elif len(written) > 2:
        reader.unknown(path, message, written[:60], {entry[0] for entry in COUNTRIES.values()})
    else:
        alike = sorted(code for code in codes if code[:1] == written[:1].upper())
        some = f"with {written[:1].upper()} there are {', '.join(alike)}"
        reader.wrong(path, message, some if alike else "two capital letters, like ID")
    return ""


def _is_no_part(reader: Reader, path: Path, country: str, part: str) -> bool:
    known = holidays.country_holidays(country)
    parts = {*known.subdivisions, *getattr(known, "subdivisions_aliases", ())}
    if part not in parts:
        reader.unknown(path, f"`{part[:60]}` is no part of {country} with holidays of its own", part[:60], parts)
    return part not in parts


def _names(country: str, part: str | None) -> dict[str, Mapping[date, str]]:
    """By language, "" that of the country."""
    known = holidays.country_holidays(country)
    own = known.default_language or ""
    found: dict[str, Mapping[date, str]] = {}
    for language in (own, *known.supported_languages):
        names = holidays.country_holidays(country, subdiv=part, language=language or None)
        found.setdefault(language.split("_")[0], names)
    return {**found, "": found[own.split("_")[0]]}


def _dates(reader: Reader, path: Path, value: Any) -> frozenset[date]:
    written = a_list(reader, path, value, f"`{path[-1]}`")
    return frozenset(_date(reader, (*path, at), one) for at, one in enumerate(written))


def _date(reader: Reader, path: Path, value: Any, of_key: bool = False) -> date:
    try:
        return date.fromisoformat(value if isinstance(value, str) and DATE.fullmatch(value) else "")
    except ValueError:
        reader.wrong(path, f"`{str(value)[:60]}` is no date", 'like "2026-12-31"', of_key)
        return date.min


CALENDAR = {"time_zone": _zone, "week": _week, "holidays": _holidays, "special": _special}
