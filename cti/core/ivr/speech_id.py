"""Speech in Indonesian: seratus, seribu, but satu juta; the twelve-hour clock with its part of the day. Functions as
`speech.Tongue`."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from decimal import Decimal

SMALL = (
    "nol", "satu", "dua", "tiga", "empat", "lima", "enam", "tujuh", "delapan", "sembilan", "sepuluh", "sebelas",
)  # fmt: skip
GROUPS = ((10**12, "triliun"), (10**9, "miliar"), (10**6, "juta"), (1000, "ribu"))
SIGNS = {"+": "plus", "*": "bintang", "#": "pagar", **{str(n): SMALL[n] for n in range(10)}}
WEEKDAYS = ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu")
MONTHS = (
    "Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September", "Oktober", "November",
    "Desember",
)  # fmt: skip
PARTS_OF_DAY = ((18, "malam"), (15, "sore"), (11, "siang"), (4, "pagi"), (1, "dini hari"), (0, "malam"))
CURRENCIES = {
    "AUD": ("dolar Australia", "sen"),
    "CNY": ("yuan", "fen"),
    "EUR": ("euro", "sen"),
    "GBP": ("pound sterling", "penny"),
    "HKD": ("dolar Hong Kong", "sen"),
    "IDR": ("rupiah", ""),
    "JPY": ("yen", ""),
    "MYR": ("ringgit", "sen"),
    "SGD": ("dolar Singapura", "sen"),
    "USD": ("dolar Amerika", "sen"),
}


def cardinal(n: int) -> str:
    words = []
    for size, name in GROUPS:
        if n >= size:
            count = n // size
            words.append("seribu" if (count, size) == (1, 1000) else f"{_below_thousand(count)} {name}")
            n %= size
    if n or not words:
        words.append(_below_thousand(n))
    return " ".join(words)


def _below_thousand(n: int) -> str:
    if n < 12:
        return SMALL[n]
    if n < 20:
        return f"{SMALL[n - 10]} belas"
    size, name = (10, "puluh") if n < 100 else (100, "ratus")
    first = "seratus" if 100 <= n < 200 else f"{SMALL[n // size]} {name}"
    return f"{first} {_below_thousand(n % size)}" if n % size else first


def number(minus: bool, whole: int, decimals: str) -> str:
    point = f" koma {' '.join(SIGNS[digit] for digit in decimals)}" if decimals else ""
    return ("minus " if minus else "") + cardinal(whole) + point


def ordinal(n: int) -> str:
    return "pertama" if n == 1 else f"ke{cardinal(n)}"


def signs(groups: Iterable[str], phone: bool) -> str:
    return ", ".join(" ".join(SIGNS.get(sign, sign) for sign in group) for group in groups)


def date(day: datetime.date, weekday: bool, year: bool) -> str:
    first = f"{WEEKDAYS[day.weekday()]}, " if weekday else ""
    last = f" {cardinal(day.year)}" if year else ""
    return f"{first}{cardinal(day.day)} {MONTHS[day.month - 1]}{last}"


def time(hour: int, minute: int) -> str:
    """Without its "pukul", which the text around it says."""
    part = next(name for begin, name in PARTS_OF_DAY if hour >= begin)
    past = f" lewat {cardinal(minute)}" if minute else ""
    return f"{SMALL[hour % 12] if hour % 12 else 'dua belas'}{past} {part}"


def money(minus: bool, amount: Decimal, currency: str) -> str:
    whole = int(amount)
    cents = int(amount * 100) % 100
    if currency not in CURRENCIES:
        return f"{number(minus, whole, f'{cents:02}' if cents else '')} {' '.join(currency)}"
    name, cent = CURRENCIES[currency]
    parts = [f"{cardinal(whole)} {name}"] if whole or not cents else []
    if cents:
        parts.append(f"{cardinal(cents)} {cent}")
    return ("minus " if minus else "") + " ".join(parts)


def duration(days: int, hours: int, minutes: int, seconds: int) -> str:
    counts = {"hari": days, "jam": hours, "menit": minutes, "detik": seconds}
    return " ".join(f"{cardinal(n)} {unit}" for unit, n in counts.items() if n) or "nol detik"
