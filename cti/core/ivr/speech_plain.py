"""Speech in a language that has no words here: figures, which its voice reads itself. Functions as `speech.Tongue`."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from decimal import Decimal


def number(minus: bool, whole: int, decimals: str) -> str:
    return f"{'-' if minus else ''}{whole}{'.' if decimals else ''}{decimals}"


def ordinal(n: int) -> str:
    return f"{n}."


def signs(groups: Iterable[str], phone: bool) -> str:
    return ", ".join(" ".join(group) for group in groups)


def date(day: datetime.date, weekday: bool, year: bool) -> str:
    return day.isoformat() if year else f"{day:%m-%d}"


def time(hour: int, minute: int) -> str:
    return f"{hour:02}:{minute:02}"


def money(minus: bool, amount: Decimal, currency: str) -> str:
    return f"{'-' if minus else ''}{amount} {currency}"


def duration(days: int, hours: int, minutes: int, seconds: int) -> str:
    parts = [f"{count} {unit}" for count, unit in zip((days, hours, minutes, seconds), "dhms", strict=True) if count]
    return " ".join(parts).replace(" m", " min") or "0 s"
