"""Reads queues.yaml: what it may hold, and what fits together."""

from __future__ import annotations

from typing import Any

from cti.core.ivr.source import (
    Path,
    Reader,
    a_list,
    a_map,
    duration,
    flag,
    name,
    one_of,
    text,
    whole,
)  # fmt: skip
from cti.core.queues import ANY, Announce, QueueConfig, Relax, ServiceLevel

MAX_ALTERNATIVES = 20

def levels(reader: Reader, path: Path, value: Any) -> dict[str, int]:
    """{skill: level}"""
    found = {}
    for skill, level in a_map(reader, path, value, "skills").items():
        if skill == ANY:
            reader.wrong((*path, skill), "`any` is not possible here", of_key=True)
        else:
            name(reader, (*path, skill), skill, of_key=True)
            found[skill] = whole(0, 9)(reader, (*path, skill), level)
    return found


def skills(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
    """{skill: level, any: [{skill: level}, ...]}"""
    held = a_map(reader, path, value, "skills")
    found: dict[str, Any] = levels(reader, path, {key: level for key, level in held.items() if key != ANY})
    if ANY in held:
        listed = a_list(reader, (*path, ANY), held[ANY], "`any`")
        if not 1 <= len(listed) <= MAX_ALTERNATIVES:
            reader.wrong((*path, ANY), f"`any` needs 1 to {MAX_ALTERNATIVES} alternatives")
        listed = listed[:MAX_ALTERNATIVES]
        found[ANY] = [levels(reader, (*path, ANY, at), one) for at, one in enumerate(listed)]
    return found


RELAX = {"after": duration(0, 86400), "skills": levels, "any_agent": flag}
SERVICE_LEVEL = {"percent": whole(1, 100), "within": duration(1, 86400)}
ANNOUNCE = {"position": flag, "wait": flag, "every": duration(10, 3600)}


def _relax(reader: Reader, path: Path, value: Any) -> tuple[Relax, ...]:
    listed = a_list(reader, path, value, "`relax`")
    found = [reader.fields((*path, at), step, RELAX, "a relax step", ("after",)) for at, step in enumerate(listed)]
    for at, step in enumerate(found):
        if len(step.keys() & {"skills", "any_agent"}) != 1:
            reader.wrong((*path, at), "a relax step needs `skills` or `any_agent: true`")
        elif listed[at].get("any_agent") is False:
            reader.wrong((*path, at, "any_agent"), "`any_agent: false` changes nothing", "write true or remove it")
    steps = [Relax(**step) for step in found if "after" in step]
    return tuple(sorted(steps, key=lambda step: step.after))


def _service_level(reader: Reader, path: Path, value: Any) -> ServiceLevel:
    return ServiceLevel(**reader.fields(path, value, SERVICE_LEVEL, "a service level"))


def _announce(reader: Reader, path: Path, value: Any) -> Announce:
    return Announce(**reader.fields(path, value, ANNOUNCE, "an announcement"))


QUEUE = {
    "skills": skills,
    "relax": _relax,
    "agents": one_of("longest_idle", "fastest", "best_level"),
    "priority": whole(-1000, 1000),
    "service_level": _service_level,
    "ring": duration(5, 120),
    "wrap_up": duration(0, 3600),
    "max_wait": duration(1, 86400),
    "max_size": whole(1, 100_000),
    "short_abandon": duration(0, 300),
    "recording": one_of("always", "never", "on_demand"),
    "calendar": text,
    "announce": _announce,
}


def read_queues(reader: Reader) -> dict[str, QueueConfig]:
    """queues.yaml: {queues: {name: {...}}}. Problems go to the reader."""
    top = reader.fields((), reader.source.data, {"queues": _queues}, "queues.yaml", ("queues",))
    found: dict[str, QueueConfig] = top.get("queues", {})
    return found


def _queues(reader: Reader, path: Path, value: Any) -> dict[str, QueueConfig]:
    found = {}
    for key, inner in a_map(reader, path, value, "`queues`").items():
        name(reader, (*path, key), key, of_key=True)
        if key == ANY:
            hint = "its skill would be called so, which means alternatives"
            reader.wrong((*path, key), f"a queue cannot be called `{key}`", hint, of_key=True)
        found[key] = QueueConfig(name=key, **reader.fields((*path, key), inner, QUEUE, f"queue `{key}`"))
        _note_later(reader, (*path, key), found[key])
    return found


def _note_later(reader: Reader, path: Path, queue: QueueConfig) -> None:
    """What a queue asks for that this version reads, and does not do."""
    asked = {
        "announce": queue.announce.position or queue.announce.wait,
        "agents": queue.agents != "longest_idle",
        "recording": queue.recording == "on_demand",
    }
    words = {"agents": f"agents: {queue.agents}", "recording": "recording: on_demand"}
    for key in (key for key, wanted in asked.items() if wanted):
        reader.note((*path, key), f"queue {queue.name}: `{words.get(key, key)}` is not acted on yet")
