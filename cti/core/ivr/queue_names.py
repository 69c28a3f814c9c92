"""What queues.yaml names must be there: calendars, recorded prompts; and texts in the languages of those who wait."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from cti.core.ivr.model import Callback, Node, Queue
from cti.core.ivr.queue_skills import highest
from cti.core.ivr.readers import KEYS
from cti.core.ivr.source import Path, Reader
from cti.core.queues import WHISPER_MOST, QueueConfig

BUILT_IN = "default"  # the music that Asterisk brings along


def check_calendars(reader: Reader, queues: Mapping[str, QueueConfig], known: Mapping[str, Any]) -> None:
    for key, queue in queues.items():
        for path, wanted in _calendars(queue):
            if wanted and wanted not in known:
                message = f"calendar `{wanted[:60]}` is not in calendars.yaml"
                reader.unknown(("queues", key, *path), message, wanted[:60], known)


def _calendars(queue: QueueConfig) -> Iterator[tuple[Path, str]]:
    yield ("calendar",), queue.calendar
    yield ("callback", "calendar"), queue.callback.calendar
    for at, one in enumerate(queue.capacity):
        yield ("capacity", at, "calendar"), one.calendar


def check_relaxed(reader: Reader, queues: Mapping[str, QueueConfig], nodes: Iterable[Node]) -> None:
    """A step of `relax` lowers what the queue or a node that leads to it asks for. One that drops what nobody asks for
    is only noted: flows may come to ask for it."""
    asked = {key: set(highest({key: 1} if queue.skills is None else queue.skills)) for key, queue in queues.items()}
    for node in nodes:
        if isinstance(node.spec, Queue) and node.spec.queue in asked:
            asked[node.spec.queue] |= set(highest(node.spec.skills))
    for path, skill, level in _lowered(queues, reader.source.data):
        if skill not in asked[str(path[1])] and not reader.kept:
            message = f"neither the queue nor a node asks for `{skill[:60]}`, so there is nothing to lower"
            if level:
                reader.unknown(path, message, skill[:60], asked[str(path[1])], of_key=True)
            else:
                reader.note(path, f"queue {path[1]}: {message}")


def _lowered(queues: Mapping[str, QueueConfig], written: Mapping[str, Any]) -> Iterator[tuple[Path, str, int]]:
    """Where a step lowers a skill, which, and to what."""
    for key in (key for key, queue in queues.items() if queue.relax):
        for at, step in enumerate(written["queues"][key]["relax"]):
            for skill, level in step.get("skills", {}).items():
                yield ("queues", key, "relax", at, "skills", skill), skill, level


def note_languages(reader: Reader, queues: Mapping[str, QueueConfig], spoken_in: Mapping[str, list[str]]) -> None:
    """Where callers of a queue speak a language that a text of it is not there in."""
    for key, queue in queues.items():
        for path, texts in ((("announce", "say"), queue.announce.texts), (("whisper",), queue.whisper.texts)):
            bases = {code.partition("-")[0] for code in texts}
            missing = [code for code in spoken_in.get(key, ()) if code.partition("-")[0] not in bases]
            if texts and missing:
                others = "another language is heard"
                reader.note(("queues", key, *path), f"queue {key}: no text in `{'`, `'.join(missing)}`, {others}")


def note_music(reader: Reader, queues: Mapping[str, QueueConfig], known: Collection[str]) -> None:
    """Where a queue names music that the folder does not have."""
    there = f"there is {', '.join(f'`{one}`' for one in sorted(known))}" if known else "there is no other"
    for key, queue in queues.items():
        if queue.music and queue.music not in (BUILT_IN, *known):
            missing = f"queue {key}: no folder music/{queue.music}/ with WAV files, so the default music is heard"
            reader.note(("queues", key, "music"), f"{missing}, if Asterisk has no class of that name; {there}")


def note_whispers(
    reader: Reader, queues: Mapping[str, QueueConfig], spoken_in: Mapping[str, Collection[str]],
    seconds: Mapping[str, float],
) -> None:  # fmt: skip
    """Where a recorded whisper is too long to be heard. How long words last is known when they have been spoken."""
    for key, queue in queues.items():
        files = [f"prompts/{code}/{queue.whisper.name}.wav" for code in spoken_in.get(key, ())]
        for file in (one for one in files if seconds.get(one, 0.0) > WHISPER_MOST):
            message = f"queue {key}: {file} lasts {seconds[file]:.1f} s, as a whisper of at most {WHISPER_MOST:g} s it"
            reader.note(("queues", key, "whisper", "play"), f"{message} is left out")


def note_callbacks(reader: Reader, nodes: Mapping[str, Node]) -> None:
    """Where a key of a queue leads to the callbacks of another one."""
    for key, node in nodes.items():
        if not isinstance(node.spec, Queue):
            continue
        for pressed in KEYS & node.to.keys():
            target = nodes.get(node.to[pressed])
            other = target.spec.queue if target is not None and isinstance(target.spec, Callback) else node.spec.queue
            if other != node.spec.queue:
                message = f"who waits in {node.spec.queue} does not keep his place in {other}"
                reader.note(("nodes", key, "options", pressed), message)


def prompts_of(queue: QueueConfig) -> Iterator[tuple[Path, str]]:
    """Where a queue names a recorded prompt, and which."""
    yield from ((("announce", "play"), one) for one in queue.announce.names)
    if queue.whisper.name:
        yield ("whisper", "play"), queue.whisper.name


def sounds_of(
    queues: Mapping[str, QueueConfig], spoken_in: Mapping[str, Collection[str]]
) -> Iterator[tuple[Path, str, str]]:
    """(place, language, prompt) of every recording that callers of the queues, or their agents, may hear."""
    for key, queue in queues.items():
        for path, prompt in prompts_of(queue):
            yield from ((("queues", key, *path), code, prompt) for code in spoken_in.get(key, ()))
