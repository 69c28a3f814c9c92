"""Reads what agents must have for a queue's callers, and how that is relaxed while they wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cti.core.ivr.source import Path, Reader, a_list, a_map, duration, flag, name, span, whole
from cti.core.queues import ANY, Relax

MAX_ALTERNATIVES = 20
MAX_SKILLS = 50
MAX_STEPS = 20
HOW = ("skills", "also", "any_agent")  # what a relax step may do


def levels(reader: Reader, path: Path, value: Any) -> dict[str, int]:
    """{skill: level}"""
    held = a_map(reader, path, value, "skills")
    if len(held) > MAX_SKILLS:
        reader.useless(path, f"at most {MAX_SKILLS} skills are possible here", of_key=True)
    found = {}
    for skill, level in held.items():
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
        if isinstance(held[ANY], list) and not 1 <= len(listed) <= MAX_ALTERNATIVES:
            reader.wrong((*path, ANY), f"`any` needs 1 to {MAX_ALTERNATIVES} alternatives")
        listed = listed[:MAX_ALTERNATIVES]
        found[ANY] = [_alternative(reader, (*path, ANY, at), one) for at, one in enumerate(listed)]
    return found


def _alternative(reader: Reader, path: Path, value: Any) -> dict[str, int]:
    before = len(reader.problems)
    found = levels(reader, path, value)
    if len(reader.problems) == before and not any(found.values()):
        reader.useless(path, "this alternative lets every agent in", "name a skill, or remove `any`")
    return found


# ---------------------------------------------------------------- relaxing

STEP = {"after": duration(0, 86400), "skills": levels, "also": levels, "any_agent": flag}


Steps = list[tuple[Path, Relax]]  # by time, each with its place


def relax(reader: Reader, path: Path, value: Any) -> Steps:
    """Whether each step lets somebody in is for `check_ladder`."""
    listed = a_list(reader, path, value, "`relax`")
    if len(listed) > MAX_STEPS:
        reader.useless(path, f"`relax` has at most {MAX_STEPS} steps", of_key=True)
        listed = listed if reader.kept else listed[:MAX_STEPS]
    places: list[Path] = [(*path, at) for at in range(len(listed))]
    found = [(place, _step(reader, place, step)) for place, step in zip(places, listed, strict=True)]
    return sorted(((place, step) for place, step in found if step is not None), key=lambda one: one[1].after)


def _step(reader: Reader, path: Path, value: Any) -> Relax | None:
    before = len(reader.problems)
    found = reader.fields(path, value, STEP, "a relax step", ("after",))
    ways = [key for key in HOW if key in found]
    if not ways or (len(ways) > 1 and "any_agent" in ways):
        reader.wrong(path, "a relax step needs `skills` or `also`, or `any_agent: true` alone")
    if ways and value.get("any_agent") is False:
        reader.wrong((*path, "any_agent"), "`any_agent: false` changes nothing", "write true or remove it")
    for key in ("skills", "also"):
        if key in found and value[key] == {}:
            reader.useless((*path, key), f"`{key}: {{}}` changes nothing", "name a skill", of_key=True)
    if found.get("also") and not any(found["also"].values()):
        reader.useless((*path, "also"), "this lets every agent in", "write `any_agent: true`", of_key=True)
    return None if len(reader.problems) > before else Relax(**found)


def highest(needs: Mapping[str, Any]) -> dict[str, int]:
    """The level of each skill that is asked for, in all alternatives the highest."""
    found: dict[str, int] = {}
    for way in ({skill: level for skill, level in needs.items() if skill != ANY}, *needs.get(ANY, ())):
        found |= {skill: max(level, found.get(skill, 0)) for skill, level in way.items()}
    return found


def check_ladder(reader: Reader, needs: Mapping[str, Any], steps: Steps) -> None:
    """Each step comes at a time of its own and lets somebody in whom the one before did not. A skill that the queue
    does not need may be one of a queue node's: `queue_names` knows. `needs`: of the queue at first."""
    now, also, anybody, last = highest(needs), list[dict[str, int]](), False, -1.0
    for place, step in steps:
        if step.after == last:
            hint = "put them into one, or choose another time"
            reader.useless((*place, "after"), f"two relax steps come after {span(step.after)}", hint)
        elif fault := _fault(now, also, anybody, step):
            reader.useless(place, *fault)
        last, anybody = step.after, anybody or step.any_agent
        now |= {skill: level for skill, level in step.skills.items() if skill in now}
        also.append(step.also)


def _fault(now: Mapping[str, int], also: list[dict[str, int]], anybody: bool, step: Relax) -> tuple[str, str] | None:
    """What is wrong with a step, and a hint; `now`: the levels until it comes."""
    if anybody:
        return "this relax step changes nothing: any agent may take the call already", "remove it"
    higher = [skill for skill, level in step.skills.items() if level > now.get(skill, 9)]
    if higher:
        skill = higher[0]
        return f"a relax step cannot ask for more: `{skill}` is {now[skill]} before it", "lower it; 0: not needed"
    same = all(now.get(skill, -1) == level for skill, level in step.skills.items())
    if same and not step.any_agent and (not step.also or step.also in also):
        return "this relax step changes nothing", "lower a level, or let others in with `also` or `any_agent: true`"
    return None
