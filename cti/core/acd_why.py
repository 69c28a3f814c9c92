"""Why an agent is idle while others wait, and why a call waits: read from the router, nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from cti.core.acd import LOOK, Router
from cti.core.acd_lines import Line
from cti.core.acd_match import shown
from cti.core.queues import Levels, Requirement, matches

Row = dict[str, Any]


def why_idle(router: Router, agent: str, skills: Mapping[str, int], at: float) -> list[Row]:
    """What keeps each of those who wait from this agent, one row for each queue and reason, the longest wait first.

    why: skills (he lacks them; `lacks`: what, `opens_at`: when a relax step lets him), capacity (enough of the queue's
    calls are with agents), keep_idle (a callback, and idle agents are kept for callers), preferred (they wait for
    another agent, `for`, `until`), or empty: nothing, he is being offered one."""
    rows = [_of_line(router, line, skills, at) for line in router.lines]
    for other, places in router.personal.items():
        rows += [_of_preferred(router, agent, other, place.key, at) for place in places]
    merged: dict[str, Row] = {}
    for row in rows:
        name = repr((row["queue"], row["why"], row["lacks"], row["for"]))
        known = merged.setdefault(name, {**row, "waiting": 0})
        known["waiting"] += row["waiting"]
        for moment in ("longest_since", "opens_at", "until"):
            known[moment] = min((one[moment] for one in (known, row) if one[moment] is not None), default=None)
    return sorted(merged.values(), key=lambda row: row["longest_since"])


def _of_line(router: Router, line: Line, skills: Mapping[str, int], at: float) -> Row:
    since = min(router.stands[place.key].waiter.since for place in line.members)
    row = {"queue": line.queue, "waiting": len(line.members), "longest_since": since, "why": "", "lacks": [],
           "opens_at": None, "for": None, "until": None}  # fmt: skip
    if not matches(line.needs, skills):
        opens = [moment for place in line.members if (moment := _opens_at(router, place.key, skills)) is not None]
        return row | {"why": "skills", "lacks": lacking(line.needs, skills), "opens_at": min(opens, default=None)}
    if not router.has_room(line.queue, at):
        return row | {"why": "capacity"}
    if line.callback and not router.spare(line.queue, line.needs):
        return row | {"why": "keep_idle"}
    return row


def _of_preferred(router: Router, agent: str, other: str, key: str, at: float) -> Row:
    waiter = router.stands[key].waiter
    row = {"queue": waiter.queue, "waiting": 1, "longest_since": waiter.since, "why": "preferred", "lacks": [],
           "opens_at": None, "for": other, "until": waiter.prefer_until}  # fmt: skip
    his = row | {"why": "" if router.has_room(waiter.queue, at) else "capacity", "for": None, "until": None}
    return his if other == agent else row


def _opens_at(router: Router, key: str, skills: Mapping[str, int]) -> float | None:
    stand = router.stands[key]
    later = stand.ladder.steps[stand.step + 1 :]
    return next((stand.waiter.since + after for after, needs in later if matches(needs, skills)), None)


def lacking(needs: Requirement, skills: Mapping[str, int]) -> list[Row]:
    """What is missing of the way that lacks least: {skill, needs, has}."""
    ways: list[Levels] = [needs.needs, *needs.also]
    for group in needs.any:
        ways[0] = (*ways[0], *min(group, key=lambda way: len(_missing(way, skills))))
    missing = min((_missing(way, skills) for way in ways), key=len)
    return [{"skill": skill, "needs": level, "has": skills.get(skill, 0)} for skill, level in missing]


def _missing(way: Levels, skills: Mapping[str, int]) -> Levels:
    return tuple((skill, level) for skill, level in way if skills.get(skill, 0) < level)


def why_waiting(router: Router, key: str, at: float) -> Row:
    """Where a waiting call stands and what it waits for.

    why: nobody (no one signed on could serve it), capacity, preferred (`for`, `until`), keep_idle, busy (those who
    could serve it are not free), or empty: an agent is free. `signed_on`, `free`: how many could serve it, of the free
    at most LOOK. `next_step_at`: when its next relax step comes."""
    stand = router.stands[key]
    waiter, needs = stand.waiter, router.needs(key)
    free = sum(1 for _ in islice(router.agents.fitting(needs), LOOK))
    later = stand.ladder.next_after(at - waiter.since)
    row: Row = {
        "call_id": key, "queue": waiter.queue, "position": router.position(key), "priority": waiter.priority,
        "since": waiter.since, "step": stand.step, "steps": len(stand.ladder.steps), "needs": shown(needs),
        "signed_on": router.staff.matching(needs), "free": free, "why": "" if free else "busy", "for": None,
        "until": None, "next_step_at": None if later is None else waiter.since + later,
    }  # fmt: skip
    if stand.personal:
        return row | {"why": "preferred", "for": waiter.prefer, "until": waiter.prefer_until}
    if not router.has_room(waiter.queue, at):
        return row | {"why": "capacity"}
    if not row["signed_on"]:
        return row | {"why": "nobody"}
    if waiter.callback and not router.spare(waiter.queue, needs):
        return row | {"why": "keep_idle"}
    return row
