"""Telephone numbers: E.164, and which numbers may be dialled.

A station is 2 to 6 digits. Everything else is a number of the public network, written as dialled from
`country` or with `+`. Nothing here dials; whoever does asks `dialable` first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

import msgspec
import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

_ESCAPED = re.compile(r"\\(.)")
JOINERS = "\u200c\u200d"  # between letters of one sign
UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
WRITTEN = re.compile(r"\+?\(?[0-9][0-9 ().\-/]{0,30}")
STATION = re.compile(r"[0-9]{2,6}")
SATELLITE = frozenset({870, 881, 882, 883})
KINDS = {
    PhoneNumberType.FIXED_LINE: "ordinary",
    PhoneNumberType.MOBILE: "ordinary",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "ordinary",
    PhoneNumberType.VOIP: "ordinary",
    PhoneNumberType.TOLL_FREE: "ordinary",
    PhoneNumberType.UAN: "ordinary",
    PhoneNumberType.PREMIUM_RATE: "premium",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.PERSONAL_NUMBER: "personal",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.VOICEMAIL: "voicemail",
}


def caller_name(given: str) -> str:
    """A caller's name from how Asterisk gives it: with the escapes of SIP's quoted strings, and whatever else he sent.

    Without escapes, at most 80 characters, and none that does not show: controls, marks that turn the direction of what
    follows, half characters; empty when unknown."""
    if given in ("unknown", "<unknown>"):
        return ""
    return "".join(c for c in _ESCAPED.sub(r"\1", given) if _shows(c)).strip()[:80]


def _shows(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character) not in UNSEEN


class Verdict(msgspec.Struct, frozen=True):
    """`number`: what to dial, a station or E.164, empty when refused. `refused`: why not, else empty.

    kind: station, emergency, ordinary, premium, shared_cost, satellite, personal, pager, voicemail,
    foreign (`for_callback` alone), unknown."""

    number: str
    kind: str
    refused: str = ""


def to_e164(number: str, country: str) -> str | None:
    """`+` and digits, when this can be a number of the public network dialled from `country`; else None."""
    parsed = _parsed(number, country)
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164) if parsed else None


def dialable(number: str, country: str, allow: Collection[str] = ()) -> Verdict:
    """Whether a flow, an agent or a campaign may dial this. Never raises.

    Ordinary numbers and stations may; other kinds only when `allow` names them; `unknown` never."""
    written = number.strip()
    kind = _kind(written, country)
    if kind not in ("station", "ordinary") and (kind == "unknown" or kind not in allow):
        return Verdict("", kind, _why(kind))
    if STATION.fullmatch(written):
        return Verdict(written, kind)
    return Verdict(to_e164(written, country) or "", kind)


def for_callback(number: str, country: str, countries: Collection[str] = ()) -> Verdict:
    """Whether a customer may be called back there: at an ordinary number of `country`, or of one of `countries`. Never
    raises. A number may look like one from here and be of another, dearer country, as +1 809 does in the USA."""
    verdict = dialable(number, country)
    if verdict.kind == "station":
        return Verdict("", "station", "this is a telephone of ours, not a customer's")
    if verdict.refused:
        return verdict
    region = phonenumbers.region_code_for_number(phonenumbers.parse(verdict.number)) or ""
    if region in (country, *countries):
        return verdict
    whose = f"of {region}" if region.isalpha() else "of no country"
    return Verdict("", "foreign", f"numbers {whose} are not called back: not in the queue's `callback: countries`")


def _why(kind: str) -> str:
    if kind == "unknown":
        return "this is neither a station (2 to 6 digits) nor a telephone number"
    return f"{kind.replace('_', ' ')} numbers may not be dialled"


def _kind(written: str, country: str) -> str:
    if STATION.fullmatch(written):
        return "emergency" if phonenumbers.is_emergency_number(written, country) else "station"
    parsed = _parsed(written, country)
    if parsed is None:
        return "unknown"
    if parsed.country_code in SATELLITE:
        return "satellite"
    return KINDS.get(phonenumbers.number_type(parsed), "unknown")


def _parsed(number: str, country: str) -> PhoneNumber | None:
    written = number.strip()
    if not WRITTEN.fullmatch(written):
        return None
    try:
        parsed = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return None
    return parsed if phonenumbers.is_valid_number(parsed) else None
