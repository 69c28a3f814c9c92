from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.numbers import caller_name, dialable, to_e164


@pytest.mark.parametrize(
    ("written", "country", "number"),
    [
        ("0812 3456-7890", "ID", "+6281234567890"),
        ("+62 21 2999 0000", "US", "+622129990000"),
        ("(021) 2999-0000", "ID", "+622129990000"),
        ("(+62) 21 2999-0000", "ID", None),
        ("138 0013 8000", "CN", "+8613800138000"),
        ("6000", "ID", None),
        ("", "ID", None),
        ("anonymous", "ID", None),
        ("1-800-FLOWERS", "US", None),
        ("+6281234567890;ext=5", "ID", None),
        ("٠٨١٢٣٤٥٦٧٨٩٠", "ID", None),
        ("0" * 500, "ID", None),
        ("+", "ID", None),
        ("+999123456789", "ID", None),
    ],
)
def test_e164(written: str, country: str, number: str | None) -> None:
    assert to_e164(written, country) == number


@pytest.mark.parametrize(
    ("written", "kind", "number"),
    [
        ("2001", "station", "2001"),
        (" 20 ", "station", "20"),
        ("999999", "station", "999999"),
        ("1", "unknown", ""),
        ("112", "emergency", ""),
        ("081234567890", "ordinary", "+6281234567890"),
        ("+80012345678", "ordinary", "+80012345678"),
        ("+881621234567", "satellite", ""),
        ("+870773111632", "satellite", ""),
        ("+88213300655", "satellite", ""),
        ("+979123456789", "premium", ""),
        ("+19005551234", "premium", ""),
        ("+80812345678", "shared_cost", ""),
        ("+447012345678", "personal", ""),
        ("2001@trunk", "unknown", ""),
        ("2001,PJSIP/x", "unknown", ""),
        ("PJSIP/2001", "unknown", ""),
        ("2001\r\nAction: x", "unknown", ""),
        ("+62811\n", "unknown", ""),
    ],
)
def test_what_may_be_dialled(written: str, kind: str, number: str) -> None:
    verdict = dialable(written, "ID")
    assert (verdict.kind, verdict.number) == (kind, number)
    assert bool(verdict.refused) == (number == "")


def test_a_site_may_allow_more_but_never_what_is_no_number() -> None:
    assert dialable("+881621234567", "ID", {"satellite"}).number == "+881621234567"
    assert dialable("112", "ID", {"emergency"}).number == "112"
    assert dialable("+19005551234", "ID", {"satellite"}).refused == "premium numbers may not be dialled"
    assert dialable("x", "ID", {"unknown"}).refused


@given(st.text(max_size=40), st.sampled_from(["ID", "US", "", "XX"]))
def test_only_digits_ever_come_out(written: str, country: str) -> None:
    verdict = dialable(written, country)
    assert verdict.number == "" or verdict.number.removeprefix("+").isascii()
    assert verdict.number == "" or verdict.number.removeprefix("+").isdigit()
    number = to_e164(written, country)
    assert number is None or (number.startswith("+") and number[1:].isdigit())


def test_a_callers_name_is_what_he_sent() -> None:
    assert caller_name(r"O'Brien \"Bob\" C:\\new") == "O'Brien \"Bob\" C:\\new"
    assert caller_name("\x1b王\u2028小明\x00 ") == "王小明"
    assert [caller_name(text) for text in ("unknown", "<unknown>", "", "\\")] == ["", "", "", "\\"]
    assert len(caller_name("x" * 500)) == 80
