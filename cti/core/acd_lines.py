"""Who waits and who is free, kept so that a decision looks at a few heads of lines and never at everybody.

A requirement is anchored at one skill it cannot do without (each alternative at its own). Callers with the same queue
and requirement stand in one line; lines stand, in the order of their heads, in the bucket of their anchor's skill and
level. An agent looks only at the buckets his own skills open, and in each at the lines up to the first that fits.
Free agents stand in one line for each skill and level they have.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from cti.core.queues import Levels, Requirement, matches


class Place(NamedTuple):
    """A waiting call's sort key, smaller first: `virtual` is the time since when he waits, made earlier by his
    priority; `major` is minus the priority where nothing outweighs it, else 0."""

    major: int
    virtual: float
    key: str


Rank = tuple[float, float, str]  # of a place among those of all queues, smaller first
Anchor = tuple[str, int]  # skill, level; ("", 0): none, every agent may fit


def anchors(needs: Requirement, weight: Callable[[Anchor], float] = lambda anchor: -anchor[1]) -> list[Anchor]:
    """One skill for each way to meet the requirement, of each the one with the least weight."""
    if needs.needs:
        ways: Iterable[Levels] = (needs.needs,)
    else:
        ways = needs.any[0] if needs.any else ((),)
    found = [min(way, key=weight) if way else ("", 0) for way in (*ways, *needs.also)]
    return [("", 0)] if ("", 0) in found else list(dict.fromkeys(found))


class Line:
    """Callers of one queue with one requirement, in order. `target`: seconds, of the queue's service level."""

    __slots__ = ("anchors", "callback", "members", "needs", "number", "queue", "target")

    def __init__(self, number: int, queue: str, needs: Requirement, callback: bool, target: float) -> None:
        self.number, self.queue, self.needs, self.callback, self.target = number, queue, needs, callback, target
        self.members: list[Place] = []
        self.anchors = anchors(needs)


class Lines:
    """All waiting callers."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, Requirement, bool, float], Line] = {}
        self._by_number: dict[int, Line] = {}
        self._buckets: dict[str, dict[tuple[int, float], list[tuple[Place, int]]]] = {}
        self._where: dict[str, tuple[Line, Place]] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def line_of(self, key: str) -> Line:
        return self._where[key][0]

    def add(self, place: Place, queue: str, needs: Requirement, callback: bool, target: float) -> None:
        """He stands in no line yet."""
        name = (queue, needs, callback, target)
        line = self._lines.get(name)
        if line is None:
            self._numbers += 1
            line = self._lines[name] = self._by_number[self._numbers] = Line(self._numbers, *name)
        before = line.members[0] if line.members else None
        insort(line.members, place)
        self._where[place.key] = (line, place)
        self._head_changed(line, before)

    def remove(self, key: str) -> None:
        line, place = self._where.pop(key)
        before = line.members[0]
        del line.members[bisect_left(line.members, place)]
        self._head_changed(line, before)
        if not line.members:
            del self._lines[(line.queue, line.needs, line.callback, line.target)]
            del self._by_number[line.number]

    def _head_changed(self, line: Line, before: Place | None) -> None:
        head = line.members[0] if line.members else None
        if head == before:
            return
        for skill, level in line.anchors:
            levels = self._buckets.setdefault(skill, {})
            bucket = levels.setdefault((level, line.target), [])
            if before is not None:
                del bucket[bisect_left(bucket, (before, line.number))]
            if head is not None:
                insort(bucket, (head, line.number))
            elif not bucket:
                del levels[(level, line.target)]

    def first(
        self, skills: Mapping[str, int], allowed: Callable[[Line], bool], at: float, most: int
    ) -> list[Rank]:
        """The first callers whom an agent with these skills may take, of all lines, in order; at most so many. `at`: 0,
        or now where the wait counts in proportion to the target."""
        found: list[Rank] = []
        seen: set[int] = set()  # one with alternatives stands in several buckets
        for target, bucket in self._opened(skills):
            for head, number in bucket:
                if len(found) == most and rank_of(head, target, at) > found[-1]:
                    break
                line = self._by_number[number]
                if number not in seen and matches(line.needs, skills) and allowed(line):
                    seen.add(number)
                    found = sorted([*found, *(rank_of(place, target, at) for place in line.members[:most])])[:most]
        return found

    def _opened(self, skills: Mapping[str, int]) -> Iterator[tuple[float, list[tuple[Place, int]]]]:
        """The buckets of these skills, with their target."""
        for skill, most in (("", 0), *skills.items()):
            for (level, target), bucket in self._buckets.get(skill, {}).items():
                if level <= most:
                    yield target, bucket


def rank_of(place: Place, target: float, at: float) -> Rank:
    """In which order an agent takes those of all queues: by place, or by the wait in proportion to the target."""
    return (place.major, (place.virtual - at) / target, place.key) if target else place


class FreeAgents:
    """Agents who may be offered a call now, the longest idle first."""

    def __init__(self) -> None:
        self._all: list[tuple[float, str]] = []
        self._by_skill: dict[str, dict[int, list[tuple[float, str]]]] = {}
        self._where: dict[str, tuple[Mapping[str, int], float]] = {}

    def __contains__(self, agent: str) -> bool:
        return agent in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)

    def skills(self, agent: str) -> Mapping[str, int]:
        return self._where[agent][0]

    def idle_since(self, agent: str) -> float:
        return self._where[agent][1]

    def add(self, agent: str, skills: Mapping[str, int], idle_since: float) -> None:
        if agent in self._where:
            if self._where[agent] == (skills, idle_since):
                return
            self.remove(agent)
        self._where[agent] = (dict(skills), idle_since)
        for line in self._lines_of(skills):
            insort(line, (idle_since, agent))

    def remove(self, agent: str) -> None:
        if agent not in self._where:
            return
        skills, idle_since = self._where.pop(agent)
        for line in self._lines_of(skills):
            del line[bisect_left(line, (idle_since, agent))]

    def _lines_of(self, skills: Mapping[str, int]) -> Iterator[list[tuple[float, str]]]:
        yield self._all
        for skill, level in skills.items():
            yield self._by_skill.setdefault(skill, {}).setdefault(level, [])

    def _holding(self, anchor: Anchor) -> list[list[tuple[float, str]]]:
        skill, least = anchor
        if not skill:
            return [self._all]
        return [line for level, line in self._by_skill.get(skill, {}).items() if level >= least and line]

    def fitting(self, needs: Requirement) -> Iterator[str]:
        """Those who have what is required, the longest idle first."""
        found = anchors(needs, weight=lambda anchor: sum(map(len, self._holding(anchor))))
        lines = [line for anchor in found for line in self._holding(anchor)]
        last = ""
        for _, agent in lines[0] if len(lines) == 1 else heapq.merge(*lines):
            if agent != last and matches(needs, self._where[agent][0]):
                yield agent
            last = agent

    def more_than(self, count: int, needs: Requirement) -> bool:
        """Whether more than so many of them fit."""
        return sum(1 for _ in zip(self.fitting(needs), range(count + 1), strict=False)) > count
