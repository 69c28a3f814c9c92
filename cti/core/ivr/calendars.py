"""What calendars.yaml says: opening hours by weekday, in a time zone, and holidays. Checked; nothing acts on it yet."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers

from cti.core.ivr.source import Path, Reader, a_list, a_map, name

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")


def check_calendars(sound: Mapping[str, Reader], readers: Collection[str]) -> dict[str, Any]:
    """calendars.yaml itself, and that the calendars which queues name are in it. Returns them by name."""
    known = _read(sound["calendars.yaml"]) if "calendars.yaml" in sound else {}
    queues = sound.get("queues.yaml")
    if queues is None or ("calendars.yaml" in readers and "calendars.yaml" not in sound):
        return known
    data = queues.source.data
    held = data.get("queues") if isinstance(data, dict) else None
    for key, queue in held.items() if isinstance(held, dict) else ():
        wanted = queue.get("calendar") if isinstance(queue, dict) else None
        if isinstance(wanted, str) and wanted not in known:
            message = f"calendar `{wanted[:60]}` is not in calendars.yaml"
            queues.unknown(("queues", key, "calendar"), message, wanted[:60], known)
    return known


def _read(reader: Reader) -> dict[str, Any]:
    """{name: calendar}, also of those that have problems."""
    top = reader.fields((), reader.source.data, {"calendars": _calendars}, "calendars.yaml", ("calendars",))
    found: dict[str, Any] = top.get("calendars", {})
    return found


def _calendars(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
    held = a_map(reader, path, value, "`calendars`")
    for key, inner in held.items():
        name(reader, (*path, key), key, of_key=True)
        reader.fields((*path, key), inner, CALENDAR, f"calendar `{key[:60]}`")
    return held


def _zone(reader: Reader, path: Path, value: Any) -> None:
    if not (isinstance(value, str) and ZONE.fullmatch(value) and _exists(value)):
        reader.wrong(path, f"`{str(value)[:60]}` is no time zone", "like Asia/Jakarta or UTC")


def _exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _week(reader: Reader, path: Path, value: Any) -> None:
    seen: set[str] = set()
    for key, hours in a_map(reader, path, value, "`week`").items():
        days = _days(key)
        if not days:
            hint = "mon, tue, wed, thu, fri, sat, sun, or a range like mon-fri"
            reader.wrong((*path, key), f"`{key[:60]}` is no day of the week", hint, of_key=True)
        for day in (day for day in days if day in seen):
            reader.wrong((*path, key), f"{day} is there twice", of_key=True)
        seen.update(days)
        for at, one in enumerate(a_list(reader, (*path, key), hours, "the hours of a day")):
            _hours(reader, (*path, key, at), one)


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


def _hours(reader: Reader, path: Path, value: Any) -> None:
    if not (isinstance(value, str) and HOURS.fullmatch(value)):
        hint = 'like "08:00-17:00", or "22:00-06:00" over midnight; the last end is 24:00'
        reader.wrong(path, f"`{str(value)[:60]}` are no hours", hint)
    elif value[:5] == value[6:]:
        reader.wrong(path, f"`{value}` begins and ends at once", 'the whole day is "00:00-24:00"')


def _country(reader: Reader, path: Path, value: Any) -> None:
    if not (isinstance(value, str) and value in phonenumbers.SUPPORTED_REGIONS):
        reader.wrong(path, f"`{str(value)[:60]}` is no country", "two capital letters, like ID")


def _dates(reader: Reader, path: Path, value: Any) -> None:
    for at, one in enumerate(a_list(reader, path, value, f"`{path[-1]}`")):
        if not (isinstance(one, str) and DATE.fullmatch(one) and _is_date(one)):
            reader.wrong((*path, at), f"`{str(one)[:60]}` is no date", 'like "2026-12-31"')


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


HOLIDAYS = {"country": _country, "extra": _dates, "except": _dates}
CALENDAR = {
    "time_zone": _zone,
    "week": _week,
    "holidays": lambda reader, path, value: reader.fields(path, value, HOLIDAYS, "`holidays`"),
}


def hours(calendar: Any, at: float, zone: str, forced: Any) -> Any:
    raise NotImplementedError
