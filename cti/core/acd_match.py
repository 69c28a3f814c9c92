"""What the router is asked about and what it answers: who waits, who meets whom, and why."""

from __future__ import annotations

from typing import Any

import msgspec

from cti.core.queues import Requirement

SHOWN = 5  # of those who came after, in a decision


class Waiter(msgspec.Struct, frozen=True, kw_only=True):
    """A call (its id), or a callback (`callback/ID`), that waits. `since`: its place in time, epoch seconds.

    `skills`: what is asked for besides the queue's. `prefer`: an agent who is waited for alone until `prefer_until`."""

    key: str
    queue: str
    since: float
    priority: int = 0
    skills: dict[str, Any] = {}
    prefer: str = ""
    prefer_until: float = 0.0
    prefer_why: str = "named"
    callback: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Why this agent: stored with the offer.

    rule: longest_idle, fastest, best_level, idle_limit, named_agent, last_agent (the call chose among free agents), or
    next_caller (the agent became free and took the first). `candidates`: how many were compared, of callers at most
    SHOWN + 1. `over`: who came next: {agent, idle}, or {call_id, queue, priority, waited}. `waited`, `idle`: seconds.
    `step`: of the ladder, 0 the first. `levels`: the agent's, of what was needed. `handling`: mean seconds that the
    fastest takes."""

    rule: str
    waited: float
    priority: int
    candidates: int
    idle: float
    since: float
    step: int = 0
    needs: dict[str, Any] = {}
    levels: dict[str, int] = {}
    over: list[dict[str, Any]] = []
    handling: float | None = None


class Match(msgspec.Struct, frozen=True):
    key: str
    queue: str
    agent: str
    decision: Decision


def shown(needs: Requirement) -> dict[str, Any]:
    """A requirement as people write it: {skill: level, any: [...], also: [...]}."""
    groups = [[dict(way) for way in group] for group in needs.any]
    found: dict[str, Any] = dict(needs.needs)
    if groups:
        found["any"] = groups[0] if len(groups) == 1 else groups
    if needs.also:
        found["also"] = [dict(way) for way in needs.also]
    return found


def skills_of(needs: Requirement) -> list[str]:
    """All that it names, each once."""
    ways = (needs.needs, *(way for group in needs.any for way in group), *needs.also)
    return list(dict.fromkeys(skill for way in ways for skill, _ in way))


def rounded(value: float) -> float:
    """Seconds as they are told."""
    return round(value, 3)
