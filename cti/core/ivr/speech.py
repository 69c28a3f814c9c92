"""Numbers, dates, money and times as words for the offline voice: what a person would say, in the caller's language.

English, Mandarin and Indonesian have a module each, all with the functions of `Tongue`; in any other language it is
figures, which that voice reads itself. The first argument is always the language. A value that is none of its kind
raises ExpressionError.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from math import isfinite
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import phonenumbers

from cti.core.ivr import speech_en, speech_id, speech_plain, speech_zh
from cti.core.ivr.problems import ExpressionError

NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
BIGGEST = 10**15  # what has more digits is no number one says
CLOCK = r"([0-9]{1,2}):([0-9]{2})(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
DATE = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:[T ]{CLOCK})?")
AWARE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.,]+(Z|[+-][0-9]{2}:?[0-9]{2})")
TIME = re.compile(rf"(?:[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ])?{CLOCK}")
SIGNS = re.compile(r"[A-Za-z0-9+*#]")
SEPARATORS = re.compile(r"[\s./()_-]+")
PHONE = re.compile(r"\+?[0-9]{1,30}")
CODE = re.compile(r"[A-Z]{3}")
NO_CENTS = frozenset({"IDR", "JPY", "KRW", "VND"})
GROUP = 4  # digits of a phone number in one breath


class Tongue(Protocol):
    """One language. Amounts come without their sign, `minus` says it."""

    def number(self, minus: bool, whole: int, decimals: str) -> str: ...
    def ordinal(self, n: int) -> str: ...
    def signs(self, groups: Iterable[str], phone: bool) -> str: ...
    def date(self, day: datetime.date, weekday: bool, year: bool) -> str: ...
    def time(self, hour: int, minute: int) -> str: ...
    def money(self, minus: bool, amount: Decimal, currency: str) -> str: ...
    def duration(self, days: int, hours: int, minutes: int, seconds: int) -> str: ...


TONGUES: dict[str, Tongue] = {"en": speech_en, "id": speech_id, "zh": speech_zh}


def _tongue(language: str) -> Tongue:
    return TONGUES.get(language.split("-")[0], speech_plain)


def number(language: str, value: Any) -> str:
    """-12.5: minus twelve point five."""
    amount = _amount(value)
    whole, _, decimals = f"{abs(amount):f}".partition(".")
    return _tongue(language).number(amount < 0, int(whole), decimals)


def ordinal(language: str, value: Any) -> str:
    """3: third."""
    place = _amount(value)
    if place < 1 or place != int(place):
        raise ExpressionError(f"`{_told(value)}` is no place in a row")
    return _tongue(language).ordinal(int(place))


def digits(language: str, value: Any) -> str:
    """One by one, letters too: A-105 is A one zero five."""
    text = SEPARATORS.sub("", _text(value)).upper()
    if not text or len(SIGNS.findall(text)) != len(text):
        raise ExpressionError(f"`{_told(value)}` has no digits that can be said one by one")
    return _tongue(language).signs([text], False)


def phone(language: str, value: Any) -> str:
    """A phone number in groups: E.164 as its country writes it, another as it was entered."""
    entered = _text(value)
    if not PHONE.fullmatch(SEPARATORS.sub("", entered)):
        raise ExpressionError(f"`{_told(value)}` is no phone number")
    return _tongue(language).signs(_groups(entered), True)


def date(language: str, value: Any, weekday: bool = False, year: bool = True, zone: str = "") -> str:
    """The day of an ISO date or date and time."""
    found = DATE.fullmatch(_local(value, zone))
    try:
        day = datetime.date.fromisoformat(found[1] if found else "")
    except ValueError as error:
        raise ExpressionError(f"`{_told(value)}` is no date like 2026-12-31") from error
    return _tongue(language).date(day, bool(weekday), bool(year))


def time(language: str, value: Any, zone: str = "") -> str:
    """The time of day of HH:MM or of an ISO date and time."""
    found = TIME.fullmatch(_local(value, zone))
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise ExpressionError(f"`{_told(value)}` is no time like 18:30")
    return _tongue(language).time(int(found[1]), int(found[2]))


def money(language: str, value: Any, currency: str) -> str:
    """12.5 in USD: twelve dollars and fifty cents. A currency that is not known is said by its letters."""
    code = _text(currency).upper()
    if not CODE.fullmatch(code):
        raise ExpressionError(f"`{_told(currency)}` is no currency like USD")
    smallest = Decimal(1) if code in NO_CENTS else Decimal("0.01")
    amount = _amount(value).quantize(smallest, ROUND_HALF_UP)
    return _tongue(language).money(amount < 0, abs(amount), code)


def duration(language: str, value: Any) -> str:
    """Seconds, as days, hours, minutes and seconds."""
    length = int(_amount(value).quantize(Decimal(1), ROUND_HALF_UP))
    if length < 0:
        raise ExpressionError(f"`{_told(value)}` is no length of time")
    minutes, seconds = divmod(length, 60)
    hours, minutes = divmod(minutes, 60)
    return _tongue(language).duration(*divmod(hours, 24), minutes, seconds)


# ---------------------------------------------------------------- values


def _told(value: Any) -> str:
    return value[:60] if isinstance(value, str) else type(value).__name__


def _text(value: Any) -> str:
    """Text, or the figures of a whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < BIGGEST:
        return str(value)
    if isinstance(value, str):
        return value.strip()
    raise ExpressionError(f"`{_told(value)}` cannot be said")


def _local(value: Any, zone: str) -> str:
    """A date and time that says its offset, in that zone; what says none, or without a zone, as it is written."""
    text = _text(value)
    if not zone or not AWARE.fullmatch(text):
        return text
    try:
        return datetime.datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).isoformat()
    except (ValueError, OverflowError) as error:
        raise ExpressionError(f"`{_told(value)}` is no date and time") from error


def _amount(value: Any) -> Decimal:
    """A number, or text that is one. Of a float six decimals count."""
    if isinstance(value, float) and isfinite(value):
        text = f"{value:.6f}".rstrip("0").rstrip(".")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < BIGGEST:
        text = str(value)
    else:
        text = value.strip() if isinstance(value, str) else ""
    if not NUMBER.fullmatch(text):
        raise ExpressionError(f"`{_told(value)}` is no number that can be said")
    return Decimal(text)


def _groups(entered: str) -> list[str]:
    shown = entered
    if entered.startswith("+"):
        try:
            known = phonenumbers.parse(entered)
            shown = phonenumbers.format_number(known, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        except phonenumbers.NumberParseException:
            shown = entered
    return [part for group in SEPARATORS.split(shown) if group for part in _breaths(group)]


def _breaths(group: str) -> Iterable[str]:
    """The group, or its parts of nearly the same length when it is too long."""
    count = -(-len(group) // GROUP) if len(group) > GROUP + 1 else 1
    ends = [len(group) * part // count for part in range(count + 1)]
    return (group[begin:end] for begin, end in pairwise(ends))
