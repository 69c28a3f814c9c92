"""What a waiting caller is told of his place and his wait, and what the agent hears before he is connected."""

from __future__ import annotations

from collections.abc import Mapping

from cti.core.ivr import Book, phrases, speech
from cti.core.messages import Prompt, Sound, Text
from cti.core.queues import Announce, Whisper

WHISPER_MOST = 20.0  # s that a whisper may last; one that is longer is left out


def announcement(
    book: Book, announce: Announce, language: str, position: int | None, minutes: int | None
) -> tuple[Prompt, ...]:
    """His place and his wait where they are to be said (None: not), then the queue's own words. May be empty."""
    said = []
    if position is not None:
        name = "queue_next" if position <= 1 else "queue_place"
        said.append(_phrase(book, name, language, place=lambda spoken: speech.number(spoken, position)))
    if minutes is not None:
        said.append(_phrase(book, "queue_wait", language, wait=lambda spoken: speech.duration(spoken, minutes * 60)))
    return (*said, *_own(announce.names, announce.texts, language, book.version))


def whisper_prompts(whisper: Whisper, language: str, version: int) -> tuple[Prompt, ...]:
    """In the caller's language where there is that text, else in the first there is. Empty: nothing is said."""
    return _own((whisper.name,) if whisper.name else (), whisper.texts, language, version)


def _phrase(book: Book, name: str, language: str, **filled: phrases.Filled) -> Text:
    spoken, text = phrases.phrase(book.phrases, name, (language,))
    return Text(language=spoken, text=phrases.filled_in(text, spoken, filled))


def _own(names: tuple[str, ...], texts: Mapping[str, str], language: str, version: int) -> tuple[Prompt, ...]:
    sounds = (Sound(language=language, name=name, version=version) for name in names)
    written = next((one for one in (language, language.partition("-")[0], *texts) if one in texts), "")
    words = texts.get(written, "")
    return (*sounds, *([Text(language=written or language, text=words)] if words.strip() else ()))
