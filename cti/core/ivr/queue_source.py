"""Reads queues.yaml: what it may hold, and what fits together in a queue. That what it names is there: `queue_names`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from phonenumbers import SUPPORTED_REGIONS

from cti.core.ivr.expressions import Names, is_template
from cti.core.ivr.queue_skills import check_ladder, relax, skills
from cti.core.ivr.readers import CALL_FIELDS, Scope, condition, prompt_names
from cti.core.ivr.source import (
    Path,
    Read,
    Reader,
    a_list,
    a_map,
    duration,
    flag,
    language,
    name,
    one_of,
    span,
    text,
    whole,
)  # fmt: skip
from cti.core.queues import (
    ANY,
    PRIORITIES,
    Announce,
    CallbackRules,
    Capacity,
    Overflow,
    QueueConfig,
    Raise,
    Routing,
    ServiceLevel,
    Whisper,
)  # fmt: skip

__all__ = ["read_queues", "skills"]
MAX_QUEUES = 1_000
MAX_RULES = 200  # of `raise`, in the whole file: each is compiled
MAX_LISTED = 20
MAX_CALLS = 100_000
MAX_RATIO = 1_000
MAX_WHISPER = 200  # characters: the caller waits while the agent hears it
MAX_ANNOUNCED = 1_000
DAY = 86_400
MONTH = 30 * DAY

# ---------------------------------------------------------------- what is said


def _texts(most: int) -> Read:
    """{language: text}, the same for every caller."""

    def read(reader: Reader, path: Path, value: Any) -> dict[str, str]:
        if isinstance(value, str):
            reader.wrong(path, f"`{path[-1]}` needs a text by language", 'like {en: "..."}')
            return {}
        held = a_map(reader, path, value, f"`{path[-1]}`")
        if not held and isinstance(value, dict):
            reader.wrong(path, f"`{path[-1]}` needs at least one text", 'like {en: "..."}', of_key=True)
        for key, inner in held.items():
            language(reader, (*path, key), key, of_key=True)
            written = text(reader, (*path, key), inner)
            if is_template(written):
                reader.wrong((*path, key), "this text is the same for every call", "write it without {{ }}")
            if len(written) > most:
                reader.wrong((*path, key), f"this text has at most {most} characters")
        return held

    return read


def _played(reader: Reader, path: Path, value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and len(value) > MAX_LISTED:
        reader.wrong(path, f"`play` has at most {MAX_LISTED} prompts")
        return ()
    return prompt_names(reader, path, value)


ANNOUNCE: dict[str, Read] = {
    "position": flag,
    "wait": flag,
    "every": duration(10, 3600),
    "first": duration(0, 3600),
    "say": _texts(MAX_ANNOUNCED),
    "play": _played,
}


def _announce(reader: Reader, path: Path, value: Any) -> Announce:
    found = reader.fields(path, value, ANNOUNCE, "an announcement")
    if isinstance(value, dict) and all(value.get(key) in (None, False) for key in ("position", "wait", "say", "play")):
        hint = "position: true, wait: true, `say` or `play`; or remove it"
        reader.useless(path, "this announcement says nothing", hint, of_key=True)
    return Announce(texts=found.pop("say", {}), names=found.pop("play", ()), **found)


def _whisper(reader: Reader, path: Path, value: Any) -> Whisper:
    """{language: text}, or {play: NAME}"""
    if isinstance(value, dict) and "play" in value:
        return Whisper(name=reader.fields(path, value, {"play": name}, "a whisper with `play`").get("play", ""))
    return Whisper(texts=_texts(MAX_WHISPER)(reader, path, value))


# ---------------------------------------------------------------- who goes first


def _rules(scope: Scope) -> Read:
    """[{when: condition, by: priority}]"""
    known: dict[str, Read] = {"when": condition(scope), "by": whole(*PRIORITIES)}

    def read(reader: Reader, path: Path, value: Any) -> tuple[Raise, ...]:
        listed = a_list(reader, path, value, "`raise`")[:MAX_RULES]
        found = [reader.fields((*path, at), one, known, "a rule", ("when", "by")) for at, one in enumerate(listed)]
        conditions: set[str] = set()
        for at, one in enumerate(found):
            if one.get("by") == 0:
                reader.wrong((*path, at, "by"), "`by: 0` changes nothing", "above 0: sooner; below: later")
            source = getattr(one.get("when"), "source", "")
            if source in conditions:
                reader.wrong((*path, at, "when"), "this condition is there twice", "one rule with both together")
            conditions |= {source} if source else set()
        return tuple(Raise(**one) for one in found if one.keys() == known.keys())

    return read


# ---------------------------------------------------------------- how many, and when not any longer


def _ratio(reader: Reader, path: Path, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_RATIO:
        return float(value)
    reader.wrong(path, f"`ratio` must be a number above 0, at most {MAX_RATIO}", "callers who wait, for each agent")
    return 1.0


OVERFLOW: dict[str, Read] = {
    "wait": duration(1, DAY),
    "ratio": _ratio,
    "no_agents": duration(0, DAY),
    "closing": flag,
}


def _overflow(reader: Reader, path: Path, value: Any) -> Overflow:
    return Overflow(**reader.fields(path, value, OVERFLOW, "`overflow`"))


CAPACITY: dict[str, Read] = {"calls": whole(0, MAX_CALLS), "calendar": text}


def _capacity(reader: Reader, path: Path, value: Any) -> tuple[Capacity, ...]:
    """A number, or a list of {calls, calendar} of which the first that holds counts."""
    if not isinstance(value, list):
        return (Capacity(whole(1, MAX_CALLS)(reader, path, value)),)
    if not 1 <= len(value) <= MAX_LISTED:
        reader.wrong(path, f"`capacity` is a number, or a list of 1 to {MAX_LISTED}", of_key=True)
    listed = value[:MAX_LISTED]
    found = [reader.fields((*path, at), one, CAPACITY, "a capacity", ("calls",)) for at, one in enumerate(listed)]
    seen: set[str] = set()
    for at, one in enumerate(found):
        calendar = one.get("calendar", "")
        if "" in seen or calendar in seen:
            hint = "the first that holds counts; the one without a calendar comes last"
            reader.wrong((*path, at), "this capacity never counts", hint)
        elif not calendar and one.get("calls") == 0:
            reader.wrong((*path, at, "calls"), "with `calls: 0` at all times nobody is ever served")
        seen.add(calendar)
    return tuple(Capacity(one.get("calls", 1), one.get("calendar", "")) for one in found)


def _countries(reader: Reader, path: Path, value: Any) -> tuple[str, ...]:
    found = a_list(reader, path, value, "`countries`")
    for at, one in enumerate(found):
        if not isinstance(one, str) or one not in SUPPORTED_REGIONS:
            message = f"`{str(one)[:60]}` is no country with numbers of its own"
            reader.wrong((*path, at), message, "two capital letters, like SG")
    return tuple(dict.fromkeys(map(str, found)))


CALLBACK: dict[str, Read] = {
    "tries": whole(1, 20),
    "every": duration(60, DAY),
    "expires": duration(300, MONTH),
    "calendar": text,
    "ring": duration(5, 120),
    "countries": _countries,
}


def _callback(reader: Reader, path: Path, value: Any) -> CallbackRules:
    before = len(reader.problems)
    rules = CallbackRules(**reader.fields(path, value, CALLBACK, "`callback`"))
    if len(reader.problems) == before and (rules.tries - 1) * rules.every >= rules.expires:
        at = (*path, "expires" if isinstance(value, dict) and "expires" in value else "tries")
        last = f"{rules.tries} tries, one every {span(rules.every)}, take longer than {span(rules.expires)}"
        reader.wrong(at, f"the last try never comes: {last}", "fewer tries, less time between them, or `expires` later")
    return rules


def _service_level(reader: Reader, path: Path, value: Any) -> ServiceLevel:
    known: dict[str, Read] = {"percent": whole(1, 100), "within": duration(1, DAY)}
    return ServiceLevel(**reader.fields(path, value, known, "a service level"))


# ---------------------------------------------------------------- the file

ROUTING: dict[str, Read] = {"aging": duration(0, 3600), "balance": flag, "outbound_counts": flag}


def _queue_keys(scope: Scope) -> dict[str, Read]:
    return {
        "skills": skills,
        "relax": relax,
        "agents": one_of("longest_idle", "fastest", "best_level"),
        "idle_limit": duration(0, DAY),
        "last_agent": duration(0, 3600),
        "priority": whole(*PRIORITIES),
        "raise": _rules(scope),
        "return_within": duration(0, DAY),
        "service_level": _service_level,
        "ring": duration(5, 120),
        "wrap_up": duration(0, 3600),
        "max_wait": duration(1, DAY),
        "max_size": whole(1, 100_000),
        "overflow": _overflow,
        "capacity": _capacity,
        "keep_idle": whole(0, 1000),
        "short_abandon": duration(0, 300),
        "recording": one_of("always", "never", "on_demand"),
        "calendar": text,
        "music": name,
        "announce": _announce,
        "whisper": _whisper,
        "callback": _callback,
    }


def queue_keys() -> list[str]:
    """For who wants to know which keys there are."""
    return list(_queue_keys(_scope(None)))


def _scope(held: Collection[str] | None) -> Scope:
    """What the rules of queues may use: of the flow that runs its variables alone. `held`: those that any flow has."""
    fields: dict[str, Collection[str]] = {"call": CALL_FIELDS} | ({} if held is None else {"vars": held})
    return Scope("", {}, Names({"call", "customer", "vars", "language"}, fields), "", ())


def read_queues(reader: Reader | None, held: Collection[str] | None = None) -> tuple[dict[str, QueueConfig], Routing]:
    """queues.yaml: {queues: {name: {...}}, routing: {...}}. `held`: the variables that flows have, None: not known.
    Problems go to the reader."""
    if reader is None:
        return {}, Routing()
    known: dict[str, Read] = {
        "queues": lambda r, path, value: _queues(r, path, value, _queue_keys(_scope(held))),
        "routing": lambda r, path, value: Routing(**r.fields(path, value, ROUTING, "`routing`")),
    }
    top = reader.fields((), reader.source.data, known, "queues.yaml", ("queues",))
    return top.get("queues", {}), top.get("routing", Routing())


def _queues(reader: Reader, path: Path, value: Any, known: Mapping[str, Read]) -> dict[str, QueueConfig]:
    queues = a_map(reader, path, value, "`queues`")
    if len(queues) > MAX_QUEUES:
        reader.useless(path, f"at most {MAX_QUEUES} queues are possible", of_key=True)
    lists = [inner.get("raise") for inner in queues.values() if isinstance(inner, dict)]
    if sum(len(rules) for rules in lists if isinstance(rules, list)) > MAX_RULES:
        reader.wrong(path, f"all queues together have at most {MAX_RULES} rules in `raise`", of_key=True)
        return {key: QueueConfig(name=key) for key in queues}
    return {key: _queue(reader, (*path, key), key, inner, known) for key, inner in queues.items()}


def _queue(reader: Reader, path: Path, key: str, value: Any, known: Mapping[str, Read]) -> QueueConfig:
    before = len(reader.problems)
    name(reader, path, key, of_key=True)
    if key == ANY:
        hint = "its skill would be called so, which means alternatives"
        reader.wrong(path, f"a queue cannot be called `{key}`", hint, of_key=True)
    found = reader.fields(path, value, known, f"queue `{key[:60]}`")
    steps = found.pop("relax", [])
    queue = QueueConfig(
        name=key, relax=tuple(step for _, step in steps), raises=found.pop("raise", ()), **found
    )  # fmt: skip
    if len(reader.problems) == before:
        check_ladder(reader, {key: 1} if queue.skills is None else queue.skills, steps)
        _check(reader, path, queue)
        for place, step in steps:
            if step.after >= queue.max_wait:
                reader.note(place, f"queue {key}: nobody waits for this step, if no queue node has a longer `max_wait`")
    if queue.recording == "on_demand":
        reader.note((*path, "recording"), f"queue {key}: `recording: on_demand` is not acted on yet")
    return queue


def _check(reader: Reader, path: Path, queue: QueueConfig) -> None:
    """What fits together in a queue."""
    longest = f"`max_wait` is {span(queue.max_wait)}"
    if queue.last_agent > queue.max_wait:
        reader.wrong((*path, "last_agent"), f"nobody waits so long for one agent: {longest}", "a shorter time")
    if (queue.overflow.no_agents or 0.0) > queue.max_wait:
        reader.wrong((*path, "overflow", "no_agents"), f"nobody waits so long: {longest}", "a shorter time")
    if queue.overflow.closing and not queue.calendar:
        hint = "`calendar: NAME` of the queue"
        reader.wrong((*path, "overflow", "closing"), "a queue without a calendar never closes", hint)
