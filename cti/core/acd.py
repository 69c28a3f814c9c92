"""Which caller goes to which agent, and why.

The rule: a free agent takes, of all callers he has the skills for, the one with the highest priority, then the one
who waits longest. A caller takes, of all free agents with the skills, the one who has been idle longest.
Both sides are kept in groups of equal skills, so a decision looks at one head a group, never at everybody.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

import msgspec

from cti.core.queues import Requirement, matches


class Waiting(msgspec.Struct, frozen=True, order=True):
    """A waiting caller's sort key: higher priority first, then earlier entry."""

    minus_priority: int
    entered_at: float
    call_id: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Why this agent: stored with the offer."""

    rule: str  # longest_idle (agents were free) or next_caller (callers waited)
    waited: float
    priority: int
    candidates: int  # groups of free agents or of callers that were compared
    idle: float


class CallerLine:
    """Waiting callers, grouped by what they require."""

    def __init__(self) -> None:
        self._groups: dict[Requirement, list[Waiting]] = {}
        self._where: dict[str, tuple[Requirement, Waiting]] = {}

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._where

    def add(self, key: Waiting, needs: Requirement) -> None:
        self.remove(key.call_id)
        insort(self._groups.setdefault(needs, []), key)
        self._where[key.call_id] = (needs, key)

    def remove(self, call_id: str) -> None:
        if call_id not in self._where:
            return
        needs, key = self._where.pop(call_id)
        group = self._groups[needs]
        del group[bisect_left(group, key)]
        if not group:
            del self._groups[needs]

    def best_for(self, skills: dict[str, int]) -> tuple[Waiting | None, int]:
        """The first caller this agent can take, and how many groups were compared."""
        heads = [group[0] for needs, group in self._groups.items() if matches(needs, skills)]
        return min(heads, default=None), len(heads)


class FreeAgents:
    """Free agents, grouped by skills, each group in the order they became idle."""

    def __init__(self) -> None:
        self._groups: dict[tuple[tuple[str, int], ...], list[tuple[float, str]]] = {}
        self._where: dict[str, tuple[tuple[tuple[str, int], ...], float]] = {}

    def __contains__(self, agent: str) -> bool:
        return agent in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def add(self, agent: str, skills: dict[str, int], idle_since: float) -> None:
        self.remove(agent)
        group = tuple(sorted(skills.items()))
        insort(self._groups.setdefault(group, []), (idle_since, agent))
        self._where[agent] = (group, idle_since)

    def remove(self, agent: str) -> None:
        if agent not in self._where:
            return
        group, idle_since = self._where.pop(agent)
        members = self._groups[group]
        del members[bisect_left(members, (idle_since, agent))]
        if not members:
            del self._groups[group]

    def best_for(self, needs: Requirement) -> tuple[str | None, int]:
        """The longest idle agent who can take this caller, and how many groups were compared."""
        heads = [members[0] for skills, members in self._groups.items() if matches(needs, dict(skills))]
        return (min(heads)[1] if heads else None), len(heads)
