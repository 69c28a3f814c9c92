"""Speech in Mandarin: groups of ten thousand, 零 for a gap, 两 before a measure, 幺 for a 1 in phone numbers. Functions
as `speech.Tongue`."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from decimal import Decimal

DIGITS = "零一二三四五六七八九"
PLACES = ((1000, "千"), (100, "百"), (10, "十"))
GROUPS = ((10**8, "亿"), (10**4, "万"), (1, ""))
SIGNS = {"+": "加", "*": "星号", "#": "井号", **{str(n): digit for n, digit in enumerate(DIGITS)}}
WEEKDAYS = "一二三四五六日"
PARTS_OF_DAY = ((18, "晚上"), (13, "下午"), (12, "中午"), (6, "上午"), (0, "凌晨"))
CURRENCIES = {  # the unit, its tenth (where one says it) and its hundredth
    "AUD": ("澳元", "", "澳分"),
    "CNY": ("元", "角", "分"),
    "EUR": ("欧元", "", "欧分"),
    "GBP": ("英镑", "", "便士"),
    "HKD": ("港元", "", "港仙"),
    "IDR": ("印尼盾", "", ""),
    "JPY": ("日元", "", ""),
    "MYR": ("林吉特", "", "仙"),
    "SGD": ("新加坡元", "", "分"),
    "USD": ("美元", "", "美分"),
}


def cardinal(n: int) -> str:
    words = _grouped(n) or "零"
    return words.removeprefix("一") if words.startswith("一十") else words


def _grouped(n: int) -> str:
    words, gap = "", False
    for size, name in GROUPS:
        group, n = divmod(n, size)
        if group:
            said = _grouped(group) if group >= 10_000 else _group(group)
            gap = bool(words) and (gap or group < 1000)
            words += ("零" if gap else "") + ("两" if group == 2 and name else said) + name
        gap = not group
    return words


def _group(n: int) -> str:
    """A number below ten thousand, with 一十 for its ten."""
    words, gap = "", False
    for size, name in PLACES:
        digit = n // size % 10
        if digit:
            words += ("零" if gap and words else "") + ("两" if digit == 2 and size > 10 else DIGITS[digit]) + name
        gap = not digit
    rest = n % 10
    return words + ("零" if gap and words and rest else "") + (DIGITS[rest] if rest else "")


def _counted(n: int) -> str:
    """A number before a measure."""
    return "两" if n == 2 else cardinal(n)


def number(minus: bool, whole: int, decimals: str) -> str:
    point = "点" + "".join(SIGNS[digit] for digit in decimals) if decimals else ""
    return ("负" if minus else "") + cardinal(whole) + point


def ordinal(n: int) -> str:
    return f"第{cardinal(n)}"


def signs(groups: Iterable[str], phone: bool) -> str:
    said = {**SIGNS, "1": "幺"} if phone else SIGNS
    spelt = ("".join(said.get(sign, f" {sign} ") for sign in group) for group in groups)
    return "，".join(" ".join(group.split()) for group in spelt)


def date(day: datetime.date, weekday: bool, year: bool) -> str:
    first = "".join(SIGNS[digit] for digit in str(day.year)) + "年" if year else ""
    last = f"，星期{WEEKDAYS[day.weekday()]}" if weekday else ""
    return f"{first}{cardinal(day.month)}月{cardinal(day.day)}日{last}"


def time(hour: int, minute: int) -> str:
    part = next(name for begin, name in PARTS_OF_DAY if hour >= begin)
    shown = hour - 12 if hour > 12 else hour
    minutes = f"{'零' if minute < 10 else ''}{cardinal(minute)}分" if minute else ""
    return f"{part}{_counted(shown)}点{minutes}"


def money(minus: bool, amount: Decimal, currency: str) -> str:
    whole = int(amount)
    cents = int(amount * 100) % 100
    if currency not in CURRENCIES:
        return f"{number(minus, whole, f'{cents:02}' if cents else '')} {' '.join(currency)}"
    unit, tenth, hundredth = CURRENCIES[currency]
    words = f"{_counted(whole)}{unit}" if whole or not cents else ""
    return ("负" if minus else "") + words + _cents(cents, tenth, hundredth, bool(words))


def _cents(cents: int, tenth: str, hundredth: str, after: bool) -> str:
    """`after`: whole ones were said before."""
    if not tenth:
        return f"{_counted(cents)}{hundredth}" if cents else ""
    tens, ones = divmod(cents, 10)
    gap = "零" if after and ones and not tens else ""
    return (f"{_counted(tens)}{tenth}" if tens else "") + gap + (f"{_counted(ones)}{hundredth}" if ones else "")


def duration(days: int, hours: int, minutes: int, seconds: int) -> str:
    """两分五秒, but 两分钟; 零 where a unit between two is missing."""
    words, gap = "", False
    for count, unit in ((days, "天"), (hours, "小时"), (minutes, "分" if seconds else "分钟"), (seconds, "秒")):
        if count:
            words += ("零" if gap and words else "") + _counted(count) + unit
        gap = not count
    return words or "零秒"
