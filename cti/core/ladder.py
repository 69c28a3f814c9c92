"""Which step of its queue's relaxation a waiting call stands on, and who is signed on that could serve it.

A ladder is the requirement a call begins with and what it becomes after each relax step. A call stands on the last
step whose time has come; a step that nobody signed on could serve is skipped at once, and no more when somebody is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cti.core.queues import QueueConfig, Requirement, matches, relaxed, required_skills

ROUNDING = 0.001  # s: a step that is due has been reached, whatever floats make of it


class Ladder(msgspec.Struct, frozen=True):
    """`steps`: (seconds of waiting, what is required from then on); the first is at 0."""

    steps: tuple[tuple[float, Requirement], ...]

    def standing(self, waited: float, can: Callable[[Requirement], bool]) -> int:
        """The step after so much waiting. When nobody signed on could serve this one or a later one, it is the last
        whose time has come."""
        due = 0
        while due + 1 < len(self.steps) and self.steps[due + 1][0] <= waited + ROUNDING:
            due += 1
        for step in range(due, len(self.steps)):
            if can(self.steps[step][1]):
                return step
        return due

    def next_after(self, waited: float) -> float | None:
        """After how much waiting the next step's time comes."""
        return next((after for after, _ in self.steps if after > waited + ROUNDING), None)


def ladder_of(queue: QueueConfig, extra: Mapping[str, Any]) -> Ladder:
    """`extra`: the skills that a queue node asks for besides."""
    steps = [(0.0, required_skills(queue, extra))]
    for step in queue.relax:
        steps.append((step.after, relaxed(steps[-1][1], step)))
    return Ladder(tuple(steps))


class Staff:
    """The agents who are signed on, whatever they do now, and how many of them meet a requirement."""

    def __init__(self) -> None:
        self.skills: dict[str, Mapping[str, int]] = {}
        self._counts: dict[Requirement, int] = {}

    def put(self, agent: str, skills: Mapping[str, int] | None) -> list[Requirement]:
        """None: signed off. Returns the requirements that somebody meets now and nobody did before, or the reverse."""
        before = self.skills.pop(agent, None)
        if skills is not None:
            self.skills[agent] = dict(skills)
        if before == skills:
            return []
        turned = []
        for needs, count in self._counts.items():
            after = count + (skills is not None and matches(needs, skills))
            after -= before is not None and matches(needs, before)
            self._counts[needs] = after
            if bool(after) != bool(count):
                turned.append(needs)
        return turned

    def matching(self, needs: Requirement) -> int:
        """How many signed on have what is required."""
        if needs not in self._counts:
            self._counts[needs] = sum(matches(needs, skills) for skills in self.skills.values())
        return self._counts[needs]

    def can(self, needs: Requirement) -> bool:
        return self.matching(needs) > 0

    def forget(self, kept: set[Requirement]) -> None:
        """Requirements nobody asks for any more need not be counted."""
        self._counts = {needs: count for needs, count in self._counts.items() if needs in kept}
