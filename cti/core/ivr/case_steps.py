"""The steps, the path and the expectations of a test, read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cti.core.ivr.cases import DIAL, ENDS, QUEUE, Expect, Spoken, Step
from cti.core.ivr.phone import KEYS
from cti.core.ivr.source import Path, Read, Reader, a_list, a_map, duration, name, one_of, text

ALONE = ("wait", "hang_up")
MAX_RECORD = 3600


def read_steps(reader: Reader, path: Path, value: Any) -> tuple[Step, ...]:
    listed = a_list(reader, path, value, "`steps`")
    return tuple(step for at, one in enumerate(listed) for step in _step(reader, (*path, at), one))


def _step(reader: Reader, path: Path, value: Any) -> list[Step]:
    """One step: a word, or a map with one key."""
    if isinstance(value, str):
        value = {value: None}
    held = a_map(reader, path, value, "a step")
    if len(held) != 1:
        reader.wrong(path, "a step has one key", "begin each step with a - of its own")
        return []
    word, inner = next(iter(held.items()))
    if word not in STEPS:
        reader.unknown(path, f"`{word[:60]}` is no step", word[:60], STEPS)
        return []
    return [STEPS[word](reader, (*path, word), inner)]


def _hear(reader: Reader, path: Path, value: Any) -> Step:
    return Step(do="hear", path=path, spoken=_spoken(reader, path, value))


def _spoken(reader: Reader, path: Path, value: Any) -> Spoken:
    if isinstance(value, dict):
        return Spoken(play=reader.fields(path, value, {"play": name}, "what is heard", ("play",)).get("play", ""))
    return Spoken(text(reader, path, value))


def _press(reader: Reader, path: Path, value: Any) -> Step:
    keys = text(reader, path, value)
    if strange := sorted(set(keys) - KEYS):
        reader.wrong(path, f"`{strange[0]}` is no key of a phone", "0 to 9, * or #")
    return Step(do="press", path=path, word=keys)


def _alone(do: str) -> Callable[[Reader, Path, Any], Step]:
    def read(reader: Reader, path: Path, value: Any) -> Step:
        if value is not None:
            reader.wrong(path, f"`{do}` stands alone", f"- {do}", of_key=True)
        return Step(do=do, path=path)

    return read


def _ends(do: str, words: tuple[str, ...]) -> Callable[[Reader, Path, Any], Step]:
    """`queue: answered`, or `queue: {sales: answered}`."""

    def read(reader: Reader, path: Path, value: Any) -> Step:
        what = ""
        if isinstance(value, dict):
            if len(value) != 1:
                reader.wrong(path, f"`{do}` names one, and how it ends", f"{do}: {{name: {words[0]}}}")
                return Step(do=do, path=path)
            what, value = next(iter(value.items()))
            return Step(do=do, path=path, what=what, word=one_of(*words)(reader, (*path, what), value))
        return Step(do=do, path=path, word=one_of(*words)(reader, path, value))

    return read


def _record(reader: Reader, path: Path, value: Any) -> Step:
    return Step(do="record", path=path, seconds=duration(0, MAX_RECORD)(reader, path, value))


STEPS: Mapping[str, Callable[[Reader, Path, Any], Step]] = {
    "hear": _hear,
    "press": _press,
    "wait": _alone("wait"),
    "queue": _ends("queue", QUEUE),
    "dial": _ends("dial", DIAL),
    "record": _record,
    "hang_up": _alone("hang_up"),
}


def read_way(known_node: Callable[[Reader, Path, str], object]) -> Read:
    """`path: [greet, menu 1, ..., orders/find none]`: nodes, perhaps with flow and outcome; `...`: any number."""

    def read(reader: Reader, path: Path, value: Any) -> tuple[str, ...]:
        found = []
        for at, one in enumerate(a_list(reader, path, value, "`path`")):
            written = " ".join(text(reader, (*path, at), one).split())
            if written and written != "...":
                known_node(reader, (*path, at), written.split()[0])
            found.append(written)
        return tuple(found)

    return read


# ---------------------------------------------------------------- what must come of it


def read_expect(reader: Reader, path: Path, value: Any) -> Expect:
    known: dict[str, Read] = {
        "outcome": one_of(*ENDS),
        "vars": lambda r, at, inner: a_map(r, at, inner, "`vars`"),
        "events": _events,
        "said": _all_spoken,
        "not_said": _all_spoken,
    }
    return Expect(**reader.fields(path, value, known, "`expect`"))


def _all_spoken(reader: Reader, path: Path, value: Any) -> tuple[Spoken, ...]:
    listed = a_list(reader, path, value, f"`{path[-1]}`")
    return tuple(_spoken(reader, (*path, at), one) for at, one in enumerate(listed))


def _events(reader: Reader, path: Path, value: Any) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Names, or {name: {field: value}}."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for at, one in enumerate(a_list(reader, path, value, "`events`")):
        held = one if isinstance(one, dict) else {text(reader, (*path, at), one): {}}
        found += [(key, a_map(reader, (*path, at, key), inner, "an event's data")) for key, inner in held.items()]
    return tuple(found)
