"""What queues.yaml says, and which agents fit: times in seconds, levels 1 to 9 (0: not needed).

needs      skill levels an agent must have, all of them: {english: 3}
any        alternatives, one of which is enough: {any: [{english: 3}, {dutch: 1}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

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

Levels = tuple[tuple[str, int], ...]  # sorted by skill, levels 1 to 9
ANY = "any"  # no skill may be called so
MAX_ALTERNATIVES = 20


class Requirement(msgspec.Struct, frozen=True):
    """What an agent must have: all of `needs`, and of each group in `any` one alternative. Hashable."""

    needs: Levels = ()
    any: tuple[tuple[Levels, ...], ...] = ()


class Relax(msgspec.Struct, frozen=True):
    """After so many seconds of waiting: these levels instead (0: not needed), or any agent."""

    after: float
    skills: dict[str, int] = {}
    any_agent: bool = False


class ServiceLevel(msgspec.Struct, frozen=True):
    percent: int = 80
    within: float = 20.0


class Announce(msgspec.Struct, frozen=True):
    position: bool = False
    wait: bool = False
    every: float = 60.0


class QueueConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. `skills` None: the skill named like the queue; {}: every agent. `max_wait` 0: no limit."""

    name: str
    skills: dict[str, Any] | None = None
    relax: tuple[Relax, ...] = ()
    agents: str = "longest_idle"
    priority: int = 0
    service_level: ServiceLevel = ServiceLevel()
    ring: float = 15.0
    wrap_up: float = 30.0
    max_wait: float = 600.0
    max_size: int = 200
    short_abandon: float = 5.0
    recording: str = "always"
    calendar: str = ""
    announce: Announce = Announce()


# ---------------------------------------------------------------- matching


def required_skills(queue: QueueConfig, extra: Mapping[str, Any]) -> Requirement:
    """The queue's skills merged with a queue node's: the higher level wins, alternatives of both hold."""
    own: Mapping[str, Any] = {queue.name: 1} if queue.skills is None else queue.skills
    needs = _levels(own)
    for skill, level in _levels(extra).items():
        needs[skill] = max(level, needs.get(skill, 0))
    groups = [_group(skills[ANY]) for skills in (own, extra) if skills.get(ANY)]
    return Requirement(_frozen(needs), tuple(groups))


def asked(queue: QueueConfig, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What the queue and the queue node ask for together, as people write it: {skill: level, any: [...]}."""
    whole = required_skills(queue, extra)
    groups = [[dict(one) for one in group] for group in whole.any]
    return dict(whole.needs) | ({ANY: groups[0] if len(groups) == 1 else groups} if groups else {})


def requirement_at(requirement: Requirement, relax: Sequence[Relax], waited: float) -> Requirement:
    """What is still required after `waited` seconds. A later step overrides an earlier one."""
    for step in relax:
        if waited < step.after:
            break
        if step.any_agent:
            return Requirement()
        requirement = Requirement(
            _relaxed(requirement.needs, step.skills, add=True),
            tuple(tuple(_relaxed(one, step.skills) for one in group) for group in requirement.any),
        )
    return requirement


def matches(requirement: Requirement, skills: Mapping[str, int]) -> bool:
    """Whether an agent with these levels may take the call."""
    return _has(requirement.needs, skills) and all(any(_has(one, skills) for one in group) for group in requirement.any)


def _has(needs: Levels, skills: Mapping[str, int]) -> bool:
    return all(skills.get(skill, 0) >= level for skill, level in needs)


def _levels(skills: Mapping[str, Any]) -> dict[str, int]:
    return {skill: level for skill, level in skills.items() if skill != ANY}


def _group(alternatives: Sequence[Mapping[str, int]]) -> tuple[Levels, ...]:
    return tuple(_frozen(one) for one in alternatives)


def _frozen(levels: Mapping[str, int]) -> Levels:
    return tuple(sorted((skill, level) for skill, level in levels.items() if level > 0))


def _relaxed(needs: Levels, changed: Mapping[str, int], add: bool = False) -> Levels:
    """`changed` levels instead; skills that were not required only come in with `add`."""
    before = dict(needs)
    return _frozen({**before, **{s: level for s, level in changed.items() if add or s in before}})


# ---------------------------------------------------------------- reading


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
