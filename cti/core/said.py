"""What a waiting caller is told of his place and his wait, and what the agent hears before he is connected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cti.core.ivr import Book, phrases, speech
from cti.core.messages import Prompt, Sound, Text
from cti.core.queues import Announce, QueueConfig, Whisper

READY = 20  # places, and minutes, whose words are made before anybody hears them


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


def places_and_waits(book: Book) -> Iterator[Prompt]:
    """The first places and the shortest waits, in every language of those who are told them."""
    for queue, language in _spoken(book):
        wanted = queue.announce
        for n in range(1, READY + 1):
            yield from announcement(book, Announce(), language, n if wanted.position else None,
                                    n if wanted.wait else None)  # fmt: skip


def whispers(book: Book) -> Iterator[tuple[str, str, tuple[Prompt, ...]]]:
    """(queue, language, prompts) of all that agents may hear before they are connected."""
    for queue, language in _spoken(book):
        prompts = whisper_prompts(queue.whisper, language, book.version)
        if prompts:
            yield queue.name, language, prompts


def _spoken(book: Book) -> Iterator[tuple[QueueConfig, str]]:
    """Each queue with each language of those who may wait in it."""
    for name, codes in book.waited_in().items():
        yield from ((book.queues[name], code) for code in codes)


def _phrase(book: Book, name: str, language: str, **filled: phrases.Filled) -> Text:
    spoken, text = phrases.phrase(book.phrases, name, (language,))
    return Text(language=spoken, text=phrases.filled_in(text, spoken, filled))


def _own(names: tuple[str, ...], texts: Mapping[str, str], language: str, version: int) -> tuple[Prompt, ...]:
    sounds = (Sound(language=language, name=name, version=version) for name in names)
    written = next((one for one in (language, language.partition("-")[0], *texts) if one in texts), "")
    words = texts.get(written, "")
    return (*sounds, *([Text(language=written or language, text=words)] if words.strip() else ()))
