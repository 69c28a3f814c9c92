"""The words a waiting caller hears, and an agent before he is connected."""

from __future__ import annotations

import pytest
from office import book

from cti.core.messages import Sound, Text
from cti.core.queues import Announce, Whisper
from cti.core.said import announcement, whisper_prompts


def said(position: int | None, minutes: int | None, language: str, **announce: object) -> list[tuple[str, str]]:
    prompts = announcement(book(), Announce(**announce), language, position, minutes)  # type: ignore[arg-type]
    return [(p.language, p.text if isinstance(p, Text) else f"<{p.name} {p.version}>") for p in prompts]


@pytest.mark.parametrize(("language", "words"), [
    ("en", ["You are number three in line.", "You will wait about four minutes."]),
    ("zh", ["您目前排在第三位。", "您大约需要等待四分钟。"]),
    ("id", ["Anda berada di urutan nomor tiga dalam antrean.", "Perkiraan waktu tunggu Anda sekitar empat menit."]),
])  # fmt: skip
def test_place_and_wait_in_the_caller_s_language(language: str, words: list[str]) -> None:
    assert said(3, 4, language) == [(language, text) for text in words]


def test_the_first_is_next_and_one_minute_is_one() -> None:
    assert said(1, 1, "en") == [("en", "You are next in line."), ("en", "You will wait about one minute.")]


def test_a_language_without_words_hears_english() -> None:
    assert said(2, None, "nl") == [("en", "You are number two in line.")]
    assert said(2, None, "en-GB") == [("en-GB", "You are number two in line.")]


def test_the_queue_s_own_words_come_last() -> None:
    own = {"texts": {"en": "Try our page", "id": "Coba laman kami"}, "names": ("jingle",)}
    assert said(None, 5, "id", **own)[1:] == [("id", "<jingle 0>"), ("id", "Coba laman kami")]
    assert said(None, None, "zh", **own) == [("zh", "<jingle 0>"), ("en", "Try our page")]
    assert said(None, None, "en", texts={"en": " "}) == []


def test_a_whisper_is_in_the_caller_s_language_where_it_can_be() -> None:
    whisper = Whisper(texts={"en": "A sales call", "zh": "销售来电"})
    assert whisper_prompts(whisper, "zh", 3) == (Text(language="zh", text="销售来电"),)
    assert whisper_prompts(whisper, "id-ID", 3) == (Text(language="en", text="A sales call"),)
    assert whisper_prompts(Whisper(name="sales"), "id", 3) == (Sound(language="id", name="sales", version=3),)
    assert whisper_prompts(Whisper(), "id", 3) == ()
