"""Speech in English: one hundred and one, the twelve-hour clock. Functions as `speech.Tongue`."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from decimal import Decimal

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
GROUPS = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
SIGNS = {"+": "plus", "*": "star", "#": "hash", **{str(n): SMALL[n] for n in range(10)}}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
CURRENCIES = {  # one, many, one cent, many cents
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "CNY": ("yuan", "yuan", "fen", "fen"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "HKD": ("Hong Kong dollar", "Hong Kong dollars", "cent", "cents"),
    "IDR": ("rupiah", "rupiah", "", ""),
    "JPY": ("yen", "yen", "", ""),
    "MYR": ("ringgit", "ringgit", "sen", "sen"),
    "SGD": ("Singapore dollar", "Singapore dollars", "cent", "cents"),
    "USD": ("dollar", "dollars", "cent", "cents"),
}


def cardinal(n: int) -> str:
    words = []
    for size, name in GROUPS:
        if n >= size:
            words.append(f"{_below_thousand(n // size)} {name}")
            n %= size
    if n >= 100 or not words:
        words.append(_below_thousand(n))
    elif n:
        words.append(f"and {_below_thousand(n)}")
    return " ".join(words)


def _below_thousand(n: int) -> str:
    if n < 20:
        return SMALL[n]
    if n < 100:
        return TENS[n // 10] + (f"-{SMALL[n % 10]}" if n % 10 else "")
    return f"{SMALL[n // 100]} hundred" + (f" and {_below_thousand(n % 100)}" if n % 100 else "")


def number(minus: bool, whole: int, decimals: str) -> str:
    point = f" point {' '.join(SIGNS[digit] for digit in decimals)}" if decimals else ""
    return ("minus " if minus else "") + cardinal(whole) + point


def ordinal(n: int) -> str:
    words = cardinal(n)
    begin = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[begin:]
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return words[:begin] + ORDINALS.get(last, regular)


def signs(groups: Iterable[str], phone: bool) -> str:
    return ", ".join(" ".join(SIGNS.get(sign, sign) for sign in group) for group in groups)


def date(day: datetime.date, weekday: bool, year: bool) -> str:
    first = f"{WEEKDAYS[day.weekday()]}, " if weekday else ""
    last = f", {_year(day.year)}" if year else ""
    return f"{first}{MONTHS[day.month - 1]} {ordinal(day.day)}{last}"


def _year(year: int) -> str:
    """2026 is twenty twenty-six, 1905 nineteen oh five, 2009 two thousand and nine."""
    century, rest = divmod(year, 100)
    if century < 10 or (century % 10 == 0 and rest < 10):
        return cardinal(year)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {_two_figures(rest)}"


def _two_figures(n: int) -> str:
    return f"oh {SMALL[n]}" if n < 10 else _below_thousand(n)


def time(hour: int, minute: int) -> str:
    if minute == 0 and hour % 12 == 0:
        return "noon" if hour else "midnight"
    words = SMALL[hour % 12 or 12] + (f" {_two_figures(minute)}" if minute else "")
    return f"{words} {'p.m.' if hour >= 12 else 'a.m.'}"


def money(minus: bool, amount: Decimal, currency: str) -> str:
    whole = int(amount)
    cents = int(amount * 100) % 100
    sign = "minus " if minus else ""
    if currency not in CURRENCIES:
        return f"{number(minus, whole, f'{cents:02}' if cents else '')} {' '.join(currency)}"
    one, many, cent, more = CURRENCIES[currency]
    parts = [f"{cardinal(whole)} {one if whole == 1 else many}"] if whole or not cents else []
    if cents:
        parts.append(f"{cardinal(cents)} {cent if cents == 1 else more}")
    return sign + " and ".join(parts)


def duration(days: int, hours: int, minutes: int, seconds: int) -> str:
    counts = {"day": days, "hour": hours, "minute": minutes, "second": seconds}
    parts = [f"{cardinal(n)} {unit}{'' if n == 1 else 's'}" for unit, n in counts.items() if n]
    return " ".join(parts) or "zero seconds"
