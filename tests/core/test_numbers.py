from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.numbers import caller_name, dialable, for_callback, to_e164


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


@pytest.mark.parametrize(
    ("written", "country", "countries", "kind"),
    [
        ("0812 3456 7890", "ID", (), "ordinary"),
        ("+62 21 1234 5678", "ID", (), "ordinary"),
        ("2001", "ID", (), "station"),
        ("112", "ID", (), "emergency"),
        ("Budi", "ID", ("ID",), "unknown"),
        ("+65 6212 3456", "ID", (), "foreign"),
        ("+65 6212 3456", "ID", ("MY", "SG"), "ordinary"),
        # they look domestic, and are other countries'
        ("809 555 1234", "US", (), "foreign"),
        ("876 555 1234", "US", ("CA",), "foreign"),
        ("809 555 1234", "US", ("DO",), "ordinary"),
        ("212 555 1234", "US", (), "ordinary"),
        ("416 555 1234", "US", (), "foreign"),
        ("416 555 1234", "US", ("CA",), "ordinary"),
        ("01534 456789", "GB", (), "foreign"),
        # nobody's: not even where all countries are named
        ("+800 1234 5678", "ID", ("US", "GB"), "foreign"),
        ("+808 1234 5678", "ID", ("US",), "shared_cost"),
        ("+979 123 456 789", "ID", ("US",), "premium"),
        ("+881 6 1234 5678", "ID", ("US",), "satellite"),
        ("+882 1612345678", "ID", ("US",), "satellite"),
        ("+883 5100 0123 4567", "ID", ("US",), "satellite"),
        ("+1 900 555 1234", "ID", ("US",), "premium"),
    ],
)
def test_who_is_called_back(written: str, country: str, countries: tuple[str, ...], kind: str) -> None:
    verdict = for_callback(written, country, countries)
    assert verdict.kind == kind
    assert bool(verdict.number) == (kind == "ordinary") == (not verdict.refused)


def test_why_nobody_is_called_back_abroad() -> None:
    assert for_callback("+18095551234", "US").refused.startswith("numbers of DO are not called back")
    assert for_callback("+80012345678", "US").refused.startswith("numbers of no country are not called back")


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
