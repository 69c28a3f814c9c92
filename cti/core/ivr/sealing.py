"""What is told of secret digits: their form, by the name they are kept under, and the last four of a card."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cti.core.messages import Sealed


def sealed(name: str, digits: str) -> Sealed:
    """What a flow is told; `name` is card, expiry, code, or one of which any form is good."""
    good = digits.isascii() and digits.isdigit() and GOOD[name](digits) if name in GOOD else True
    return Sealed(length=len(digits), good=good, last4=digits[-4:] if good and name == "card" else "")


def is_card(digits: str) -> bool:
    """By length and check digit (Luhn)."""
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits))]
    return 12 <= len(digits) <= 19 and sum(sum(divmod(number, 10)) for number in doubled) % 10 == 0


GOOD: Mapping[str, Callable[[str], bool]] = {
    "card": is_card,
    "expiry": lambda digits: len(digits) == 4 and 1 <= int(digits[:2]) <= 12,
    "code": lambda digits: len(digits) in (3, 4),
}
