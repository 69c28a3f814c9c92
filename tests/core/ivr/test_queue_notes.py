"""What is noted of queues that can be used as they are written: music and whispers that nobody would hear."""

from __future__ import annotations

from typing import Any

from cti.core.ivr import Book, Source, load_book
from cti.core.messages import Text
from cti.core.said import places_and_waits, whispers

HEAR = {"prompts/en/hush.wav": 20.0, "prompts/id/hush.wav": 20.1}


def loaded(queue: dict[str, Any], **looked_at: Any) -> Book:
    flow = {"flow": "t", "language": "en", "start": "a", "nodes": {"a": {"do": "queue", "queue": "sales"}}}
    files: dict[str, Any] = {"t.yaml": flow, "queues.yaml": {"queues": {"sales": queue, "other": {}}},
                             "numbers.yaml": {"numbers": {"6001": {"flow": "t", "language": "id"}}}}  # fmt: skip
    book = load_book({file: Source(file, data) for file, data in files.items()}, version=3, **looked_at)
    assert isinstance(book, Book), book
    return book


def notes(queue: dict[str, Any], **looked_at: Any) -> list[str]:
    return [one.message for one in loaded(queue, **looked_at).notes if one.file == "queues.yaml"]


def test_music_that_is_not_there_is_noted_with_what_there_is() -> None:
    assert notes({"music": "gld"}, music=("gold", "brass")) == [
        "queue sales: no folder music/gld/ with WAV files, so the default music is heard, if Asterisk has no class of"
        " that name; there is `brass`, `gold`"
    ]
    assert notes({"music": "gld"}, music=())[0].endswith("; there is no other")
    assert notes({"music": "gold"}, music=("gold",)) == notes({"music": "default"}, music=()) == []
    assert notes({"music": "gld"}) == [], "a version that is kept knows no folder"


def test_a_recorded_whisper_that_is_too_long_is_noted() -> None:
    assert notes({"whisper": {"play": "hush"}}, sounds=HEAR, seconds=HEAR) == [
        "queue sales: prompts/id/hush.wav lasts 20.1 s, as a whisper of at most 20 s it is left out"
    ]
    assert notes({"whisper": {"play": "hush"}}) == []


def told(announce: dict[str, Any]) -> list[tuple[str, str]]:
    prompts = places_and_waits(loaded({"announce": announce}))
    return [(one.language, one.text) for one in prompts if isinstance(one, Text)]


def test_places_and_waits_that_are_said_first_are_known_beforehand() -> None:
    said = told({"position": True})
    assert len(said) == len(set(said)) == 40
    assert said[:2] == [("en", "You are next in line."), ("en", "You are number two in line.")]
    assert {language for language, _ in said} == {"en", "id"}
    both = told({"position": True, "wait": True})
    assert len(both) == 80 and ("en", "You will wait about twenty minutes.") in both
    assert told({"every": "1m", "say": {"en": "Hold"}}) == []


def test_whispers_by_queue_and_language() -> None:
    found = list(whispers(loaded({"whisper": {"en": "Sales", "id": "Penjualan"}})))
    assert [(queue, language, [getattr(one, "text", "") for one in said]) for queue, language, said in found] == [
        ("sales", "en", ["Sales"]), ("sales", "id", ["Penjualan"])
    ]  # fmt: skip
    assert list(whispers(loaded({}))) == []
