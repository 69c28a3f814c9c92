"""Numbers as people read them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import phonenumbers


@lru_cache(4096)
def national(number: str, country: str) -> str:
    """An E.164 number in the site's national form, a foreign one in international form; else as it is."""
    try:
        parsed = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return number
    if not phonenumbers.is_possible_number(parsed):
        return number
    home = phonenumbers.region_code_for_country_code(parsed.country_code or 0) == country
    formats = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(parsed, formats.NATIONAL if home else formats.INTERNATIONAL)


def readable_pop(pop: dict[str, Any], country: str) -> dict[str, Any]:
    """The screen-pop's data with `caller_national` and `called_national` beside `caller` and `called`."""
    call = pop.get("call") or {}
    shown = {f"{name}_national": national(str(call.get(name) or ""), country) or None for name in ("caller", "called")}
    return {**pop, "call": {**call, **shown}}
