"""Texts are compared; that the voice says them, and as words of its language, is heard by espeak-ng's own phonemes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.adapters.tts import voice_of
from cti.core.ivr import speech
from cti.core.ivr.expressions import ExpressionError, Names, load

LANGUAGES = ("en", "zh", "id", "fr")
NAMES = Names(("vars", "language"), {})

NUMBERS = [
    (0, "zero", "零", "nol"),
    (1, "one", "一", "satu"),
    (2, "two", "二", "dua"),
    (10, "ten", "十", "sepuluh"),
    (11, "eleven", "十一", "sebelas"),
    (12, "twelve", "十二", "dua belas"),
    (19, "nineteen", "十九", "sembilan belas"),
    (20, "twenty", "二十", "dua puluh"),
    (21, "twenty-one", "二十一", "dua puluh satu"),
    (22, "twenty-two", "二十二", "dua puluh dua"),
    (100, "one hundred", "一百", "seratus"),
    (101, "one hundred and one", "一百零一", "seratus satu"),
    (111, "one hundred and eleven", "一百一十一", "seratus sebelas"),
    (200, "two hundred", "两百", "dua ratus"),
    (210, "two hundred and ten", "两百一十", "dua ratus sepuluh"),
    (1000, "one thousand", "一千", "seribu"),
    (1001, "one thousand and one", "一千零一", "seribu satu"),
    (1010, "one thousand and ten", "一千零一十", "seribu sepuluh"),
    (1100, "one thousand one hundred", "一千一百", "seribu seratus"),
    (2002, "two thousand and two", "两千零二", "dua ribu dua"),
    (10_000, "ten thousand", "一万", "sepuluh ribu"),
    (10_001, "ten thousand and one", "一万零一", "sepuluh ribu satu"),
    (10_200, "ten thousand two hundred", "一万零两百", "sepuluh ribu dua ratus"),
    (12_000, "twelve thousand", "一万两千", "dua belas ribu"),
    (20_000, "twenty thousand", "两万", "dua puluh ribu"),
    (100_000, "one hundred thousand", "十万", "seratus ribu"),
    (101_000, "one hundred and one thousand", "十万一千", "seratus satu ribu"),
    (120_000, "one hundred and twenty thousand", "十二万", "seratus dua puluh ribu"),
    (1_000_000, "one million", "一百万", "satu juta"),
    (1_001_000, "one million one thousand", "一百万一千", "satu juta seribu"),
    (2_500_000, "two million five hundred thousand", "两百五十万", "dua juta lima ratus ribu"),
    (10_010_000, "ten million ten thousand", "一千零一万", "sepuluh juta sepuluh ribu"),
    (100_000_001, "one hundred million and one", "一亿零一", "seratus juta satu"),
    (100_050_000, "one hundred million fifty thousand", "一亿零五万", "seratus juta lima puluh ribu"),
    (200_001_000, "two hundred million one thousand", "两亿零一千", "dua ratus juta seribu"),
    (1_000_000_000, "one billion", "十亿", "satu miliar"),
    (1_500_000_000_000, "one trillion five hundred billion", "一万五千亿", "satu triliun lima ratus miliar"),
    (2_000_000_000_000, "two trillion", "两万亿", "dua triliun"),
    (-5, "minus five", "负五", "minus lima"),
    ("-12.50", "minus twelve point five zero", "负十二点五零", "minus dua belas koma lima nol"),
    ("0.000000001", *(f"{a}{b}" for a, b in (
        ("zero point", " zero" * 8 + " one"), ("零点", "零" * 8 + "一"), ("nol koma", " nol" * 8 + " satu")))),
    (" 7 ", "seven", "七", "tujuh"),
    ("007", "seven", "七", "tujuh"),
    (0.1 + 0.2, "zero point three", "零点三", "nol koma tiga"),
    (3.0, "three", "三", "tiga"),
    (-1e-9, "zero", "零", "nol"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "en", "zh", "id_"), NUMBERS)
def test_numbers(value: Any, en: str, zh: str, id_: str) -> None:
    assert [speech.number(language, value) for language in LANGUAGES[:3]] == [en, zh, id_]


@pytest.mark.parametrize(
    ("value", "en", "zh", "id_", "fr"),
    [
        (1, "first", "第一", "pertama", "1."),
        (2, "second", "第二", "kedua", "2."),
        (3, "third", "第三", "ketiga", "3."),
        ("5", "fifth", "第五", "kelima", "5."),
        (9.0, "ninth", "第九", "kesembilan", "9."),
        (10, "tenth", "第十", "kesepuluh", "10."),
        (12, "twelfth", "第十二", "kedua belas", "12."),
        (20, "twentieth", "第二十", "kedua puluh", "20."),
        (28, "twenty-eighth", "第二十八", "kedua puluh delapan", "28."),
        (100, "one hundredth", "第一百", "keseratus", "100."),
        (101, "one hundred and first", "第一百零一", "keseratus satu", "101."),
    ],
)
def test_ordinals(value: Any, en: str, zh: str, id_: str, fr: str) -> None:
    assert [speech.ordinal(language, value) for language in LANGUAGES] == [en, zh, id_, fr]


@pytest.mark.parametrize(
    ("value", "en", "zh", "id_", "fr"),
    [
        ("05", "zero five", "零五", "nol lima", "0 5"),
        (120, "one two zero", "一二零", "satu dua nol", "1 2 0"),
        ("ab-10/5", "A B one zero five", "A B 一零五", "A B satu nol lima", "A B 1 0 5"),
        ("*6 #", "star six hash", "星号六井号", "bintang enam pagar", "* 6 #"),
    ],
)
def test_digits(value: Any, en: str, zh: str, id_: str, fr: str) -> None:
    assert [speech.digits(language, value) for language in LANGUAGES] == [en, zh, id_, fr]


@pytest.mark.parametrize(
    ("value", "en", "zh", "id_"),
    [
        ("+6281234567890", "plus six two, eight one two, three four five six, seven eight nine zero",
         "加六二，八幺二，三四五六，七八九零",
         "plus enam dua, delapan satu dua, tiga empat lima enam, tujuh delapan sembilan nol"),
        ("021 123-4567", "zero two one, one two three, four five six seven", "零二幺，幺二三，四五六七",
         "nol dua satu, satu dua tiga, empat lima enam tujuh"),
        ("08123456789", "zero eight one, two three four five, six seven eight nine", "零八幺，二三四五，六七八九",
         "nol delapan satu, dua tiga empat lima, enam tujuh delapan sembilan"),
        (6000, "six zero zero zero", "六零零零", "enam nol nol nol"),
        ("12345", "one two three four five", "幺二三四五", "satu dua tiga empat lima"),
        ("+9", "plus nine", "加九", "plus sembilan"),
    ],
)  # fmt: skip
def test_phone_numbers(value: Any, en: str, zh: str, id_: str) -> None:
    assert [speech.phone(language, value) for language in LANGUAGES[:3]] == [en, zh, id_]


def test_phone_numbers_in_figures() -> None:
    assert speech.phone("fr", "+33142685300") == "+ 3 3, 1, 4 2, 6 8, 5 3, 0 0"


@pytest.mark.parametrize(
    ("value", "en", "zh", "id_"),
    [
        ("2026-12-24", "December twenty-fourth, twenty twenty-six", "二零二六年十二月二十四日",
         "dua puluh empat Desember dua ribu dua puluh enam"),
        ("2026-10-01T09:30:00+07:00", "October first, twenty twenty-six", "二零二六年十月一日",
         "satu Oktober dua ribu dua puluh enam"),
        ("2009-02-02 23:59", "February second, two thousand and nine", "二零零九年二月二日",
         "dua Februari dua ribu sembilan"),
        ("1905-05-03", "May third, nineteen oh five", "一九零五年五月三日", "tiga Mei seribu sembilan ratus lima"),
        ("1900-01-31", "January thirty-first, nineteen hundred", "一九零零年一月三十一日",
         "tiga puluh satu Januari seribu sembilan ratus"),
        ("0987-01-01", "January first, nine hundred and eighty-seven", "九八七年一月一日",
         "satu Januari sembilan ratus delapan puluh tujuh"),
    ],
)  # fmt: skip
def test_dates(value: str, en: str, zh: str, id_: str) -> None:
    assert [speech.date(language, value) for language in LANGUAGES] == [en, zh, id_, value[:10]]


def test_a_date_with_its_weekday_and_without_its_year() -> None:
    said = [speech.date(language, "2026-12-24", weekday=True, year=False) for language in LANGUAGES]
    english, chinese, indonesian, french = said
    assert (english, chinese) == ("Thursday, December twenty-fourth", "十二月二十四日，星期四")
    assert (indonesian, french) == ("Kamis, dua puluh empat Desember", "12-24")


@pytest.mark.parametrize(
    ("value", "en", "zh", "id_"),
    [
        ("00:00", "midnight", "凌晨零点", "dua belas malam"),
        ("00:05", "twelve oh five a.m.", "凌晨零点零五分", "dua belas lewat lima malam"),
        ("2:02", "two oh two a.m.", "凌晨两点零二分", "dua lewat dua dini hari"),
        ("08:00", "eight a.m.", "上午八点", "delapan pagi"),
        ("2026-12-24T11:30", "eleven thirty a.m.", "上午十一点三十分", "sebelas lewat tiga puluh siang"),
        ("12:00", "noon", "中午十二点", "dua belas siang"),
        ("12:10:59", "twelve ten p.m.", "中午十二点十分", "dua belas lewat sepuluh siang"),
        ("2026-12-24 14:00:00.5Z", "two p.m.", "下午两点", "dua siang"),
        ("17:45+07:00", "five forty-five p.m.", "下午五点四十五分", "lima lewat empat puluh lima sore"),
        ("23:59", "eleven fifty-nine p.m.", "晚上十一点五十九分", "sebelas lewat lima puluh sembilan malam"),
    ],
)
def test_times(value: str, en: str, zh: str, id_: str) -> None:
    assert [speech.time(language, value) for language in LANGUAGES[:3]] == [en, zh, id_]
    assert speech.time("fr", value).endswith(f"{value.replace('T', ' ').split()[-1].split(':')[0].zfill(2)}:" + (
        value.split(":")[1][:2]))  # fmt: skip


@pytest.mark.parametrize(
    ("value", "day", "clock"),
    [
        ("2026-12-24T18:30:00Z", "December twenty-fifth, twenty twenty-six", "one thirty a.m."),
        ("2026-12-24 18:30:00.123456+0100", "December twenty-fifth, twenty twenty-six", "twelve thirty a.m."),
        ("2026-12-24T18:30", "December twenty-fourth, twenty twenty-six", "six thirty p.m."),
    ],
)
def test_a_moment_with_its_offset_is_said_in_the_sites_time_zone(value: str, day: str, clock: str) -> None:
    assert speech.date("en", value, zone="Asia/Jakarta") == day
    assert speech.time("en", value, zone="Asia/Jakarta") == clock
    scope = {"language": "en", "_zone": "Asia/Jakarta"}
    assert load(f"{{{{ '{value}' | date }}}}", NAMES).text(scope) == day
    assert load(f"{{{{ '{value}' | time }}}}", NAMES).text(scope) == clock


@pytest.mark.parametrize("value", ["2026-02-30T10:00Z", "0001-01-01T00:00+23:00", "2026-02-03T10:00+25:00"])
def test_no_moment_at_all(value: str) -> None:
    for says in (speech.date, speech.time):
        with pytest.raises(ExpressionError):
            says("en", value, zone="Asia/Jakarta")


@pytest.mark.parametrize(
    ("value", "currency", "en", "zh", "id_", "fr"),
    [
        (150000, "IDR", "one hundred and fifty thousand rupiah", "十五万印尼盾",
         "seratus lima puluh ribu rupiah", "150000 IDR"),
        ("999.50", "IDR", "one thousand rupiah", "一千印尼盾", "seribu rupiah", "1000 IDR"),
        (12.34, "CNY", "twelve yuan and thirty-four fen", "十二元三角四分",
         "dua belas yuan tiga puluh empat fen", "12.34 CNY"),
        ("12.05", "CNY", "twelve yuan and five fen", "十二元零五分", "dua belas yuan lima fen", "12.05 CNY"),
        ("2.20", "CNY", "two yuan and twenty fen", "两元两角", "dua yuan dua puluh fen", "2.20 CNY"),
        ("0.02", "CNY", "two fen", "两分", "dua fen", "0.02 CNY"),
        (1, "USD", "one dollar", "一美元", "satu dolar Amerika", "1.00 USD"),
        ("2.01", "USD", "two dollars and one cent", "两美元一美分", "dua dolar Amerika satu sen", "2.01 USD"),
        ("-0.5", "EUR", "minus fifty cents", "负五十欧分", "minus lima puluh sen", "-0.50 EUR"),
        ("1.999", "EUR", "two euros", "两欧元", "dua euro", "2.00 EUR"),
        ("-0.004", "EUR", "zero euros", "零欧元", "nol euro", "0.00 EUR"),
        (12, "SGD", "twelve Singapore dollars", "十二新加坡元", "dua belas dolar Singapura", "12.00 SGD"),
        (2.5, "MYR", "two ringgit and fifty sen", "两林吉特五十仙", "dua ringgit lima puluh sen", "2.50 MYR"),
        ("1.01", "gbp", "one pound and one penny", "一英镑一便士", "satu pound sterling satu penny", "1.01 GBP"),
        ("0.99", "GBP", "ninety-nine pence", "九十九便士", "sembilan puluh sembilan penny", "0.99 GBP"),
        (3, "CHF", "three C H F", "三 C H F", "tiga C H F", "3.00 CHF"),
        ("-3.5", "CHF", "minus three point five zero C H F", "负三点五零 C H F",
         "minus tiga koma lima nol C H F", "-3.50 CHF"),
    ],
)  # fmt: skip
def test_money(value: Any, currency: str, en: str, zh: str, id_: str, fr: str) -> None:
    assert [speech.money(language, value, currency) for language in LANGUAGES] == [en, zh, id_, fr]


@pytest.mark.parametrize(
    ("value", "en", "zh", "id_", "fr"),
    [
        (0, "zero seconds", "零秒", "nol detik", "0 s"),
        (1, "one second", "一秒", "satu detik", "1 s"),
        ("120", "two minutes", "两分钟", "dua menit", "2 min"),
        (124.6, "two minutes five seconds", "两分五秒", "dua menit lima detik", "2 min 5 s"),
        (3605, "one hour five seconds", "一小时零五秒", "satu jam lima detik", "1 h 5 s"),
        (180_000, "two days two hours", "两天两小时", "dua hari dua jam", "2 d 2 h"),
        (86_460, "one day one minute", "一天零一分钟", "satu hari satu menit", "1 d 1 min"),
    ],
)
def test_durations(value: Any, en: str, zh: str, id_: str, fr: str) -> None:
    assert [speech.duration(language, value) for language in LANGUAGES] == [en, zh, id_, fr]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("says", "bad"),
    [
        (speech.number, [None, True, "", "x", "1e5", "٣", "1,5", "1.", float("nan"), float("inf"), 1e20, 10**15, [1]]),
        (speech.ordinal, [0, -1, 1.5, "first", None, True]),
        (speech.digits, [None, True, 1.5, -1, "", "--", "1_é", "五", [1], 10**15]),
        (speech.phone, [None, "", "anonymous", "+", "1+2", "1" * 31, 1.5]),
        (speech.date, [None, "", "2026-02-30", "20261224", "24.12.2026", "2026-12-24T", 20261224, "18:30"]),
        (speech.time, [None, "", "24:00", "12:60", "8", "2026-12-24", 830, "12.30"]),
        (speech.duration, [None, -1, "5m", True]),
        (lambda language, value: speech.money(language, value, "USD"), [None, "x", True]),
        (lambda language, value: speech.money(language, 1, value), [None, "", "US", "U$D", "EURO", 840, True]),
    ],
)
def test_what_cannot_be_said_is_a_failure(says: Callable[..., str], bad: list[Any], language: str) -> None:
    for value in bad:
        with pytest.raises(ExpressionError):
            says(language, value)


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.sampled_from(["en", "zh", "id"]))
def test_every_number_has_words_of_its_own(n: int, language: str) -> None:
    assert _read(speech.number(language, n), language) == n


def _read(words: str, language: str) -> int:
    """The number back from its words, by the rules of the language and none of our tables."""
    minus = words.startswith(("minus ", "负"))
    body = words.removeprefix("minus ").removeprefix("负")
    if language == "zh":
        return -_read_zh(body) if minus else _read_zh(body)
    ones, scales = _words(language)
    total, group = 0, 0
    for word in body.replace("-", " ").replace(" and", "").replace("seratus", "satu ratus").split():
        if word in ("seribu", "sepuluh", "sebelas"):
            group, total = (group + {"sepuluh": 10, "sebelas": 11}.get(word, 0), total + 1000 * (word == "seribu"))
        elif word in ones:
            group += ones[word]
        elif word in ("hundred", "ratus"):
            group = group // 100 * 100 + group % 100 * 100
        elif word == "belas":
            group += 10
        elif word == "puluh":
            group += group % 10 * 9
        else:
            total, group = total + group * scales[word], 0
    return -(total + group) if minus else total + group


def _words(language: str) -> tuple[dict[str, int], dict[str, int]]:
    if language == "id":
        ones = ["nol", "satu", "dua", "tiga", "empat", "lima", "enam", "tujuh", "delapan", "sembilan"]
        return {w: n for n, w in enumerate(ones)}, {"ribu": 10**3, "juta": 10**6, "miliar": 10**9, "triliun": 10**12}
    ones = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
            "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    known = {w: n for n, w in enumerate(ones)} | {w: 10 * n for n, w in enumerate(tens, 2)}
    return known, {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def _read_zh(words: str) -> int:
    total = 0
    for unit, size in (("亿", 10**8), ("万", 10**4)):
        high, found, low = words.rpartition(unit)
        if found:
            return _read_zh(high) * size + _read_zh(low)
    digit = 1 if words.startswith("十") else 0
    for char in words:
        size = {"千": 1000, "百": 100, "十": 10}.get(char)
        if size:
            total, digit = total + digit * size, 0
        else:
            digit = 2 if char == "两" else "零一二三四五六七八九".index(char)
    return total + digit


# ---------------------------------------------------------------- in expressions


@pytest.mark.parametrize(
    ("source", "spoken"),
    [
        ("{{ 1250 | number }}", "seribu dua ratus lima puluh"),
        ("{{ '05' | digits }}", "nol lima"),
        ("{{ 2 | ordinal }}", "kedua"),
        ("{{ '2026-12-24' | date }}", "dua puluh empat Desember dua ribu dua puluh enam"),
        ("{{ '2026-12-24' | date(weekday=true, year=false) }}", "Kamis, dua puluh empat Desember"),
        ("{{ '18:30' | time }}", "enam lewat tiga puluh malam"),
        ("{{ 1000 | money('IDR') }}", "seribu rupiah"),
        ("{{ 125 | duration }}", "dua menit lima detik"),
        ("{{ '6000' | phone }}", "enam nol nol nol"),
        ("{{ [1, 2] | map('ordinal') | join(', ') }}", "pertama, kedua"),
    ],
)
def test_filters_speak_the_language_of_the_call(source: str, spoken: str) -> None:
    assert load(source, NAMES).text({"vars": {}, "language": "id"}) == spoken


def test_a_text_in_another_language_than_the_callers_is_spoken_in_its_own() -> None:
    assert load("{{ 2 | number }}", NAMES).text({"language": "zh", "_language": "en"}) == "two"
    assert load("{{ 2 | number }}", NAMES).text({"language": "zh-TW"}) == "二"
    assert load("{{ 2 | number }}", NAMES).text({}) == "two"


@pytest.mark.parametrize(
    "source", ["{{ vars.x | number }}", "{{ none | date }}", "{{ 1 | money('$') }}", "{{ 1 | time }}"]
)
def test_a_filter_that_cannot_speak_is_a_failure(source: str) -> None:
    with pytest.raises(ExpressionError):
        load(source, NAMES).text({"vars": {}, "language": "en"})


def test_money_without_a_currency_is_refused_at_load() -> None:
    with pytest.raises(ExpressionError, match=r"`money` needs a currency: `money\('USD'\)`"):
        load("{{ 1 | money }}", NAMES)


def test_speech_pays_from_the_budget() -> None:
    with pytest.raises(ExpressionError, match="makes too much"):
        load("{{ ((['9' * 30] * 99) | map('digits') | join) ~ '' }}", NAMES).text({"language": "en"})


# ---------------------------------------------------------------- the voice


SPOKEN: dict[str, list[Any]] = {
    "number": [1, 1_234_567, "-0.5"], "ordinal": [1, 21], "digits": ["05", "*6#"], "phone": ["+6281234567890"],
    "date": ["2026-12-24"], "time": ["00:02", "08:05", "14:30", "19:00"], "duration": [3725, 86_460],
}  # fmt: skip
CURRENCIES = ("AUD", "IDR", "CNY", "USD", "EUR", "SGD", "MYR", "GBP", "HKD", "JPY")


@pytest.mark.services
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_voice_says_all_of_it_in_its_language(language: str) -> None:
    texts = [getattr(speech, name)(language, value) for name, values in SPOKEN.items() for value in values]
    texts += [speech.money(language, "1234.56", currency) for currency in CURRENCIES if language != "fr"]
    heard = {text: phonemes(text, language) for text in texts}
    assert [text for text, sounds in heard.items() if not sounds or "(en)" in sounds] == []


@pytest.mark.services
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_voice_says_the_letters_of_a_strange_currency(language: str) -> None:
    assert phonemes(speech.money(language, "1234.56", "XYZ"), language)


def phonemes(text: str, language: str) -> str:
    """What espeak-ng makes of a text, in its own letters; it marks with (en) what it reads as English."""
    done = subprocess.run(
        ["espeak-ng", "-q", "-x", "-v", voice_of(language), "--stdin"], input=text, capture_output=True, text=True,
        timeout=30, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.strip()
