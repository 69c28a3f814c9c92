"""Which step of its queue's relaxation a waiting call stands on, and who is signed on that could serve it.

A ladder is the requirement a call begins with and what it becomes after each relax step. A call stands on the last
step whose time has come; a step that nobody signed on could serve is skipped at once, and no more when somebody is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
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
    """The agents who are signed on, whatever they do now. Of each requirement that is asked about one agent is
    remembered who meets it, so that the question costs nothing when it comes again."""

    def __init__(self) -> None:
        self.skills: dict[str, Mapping[str, int]] = {}
        self._having: dict[tuple[str, int], dict[str, None]] = {}  # who has at least that level of a skill
        self._witness: dict[Requirement, str] = {}  # empty: nobody

    def put(self, agent: str, skills: Mapping[str, int] | None) -> list[Requirement]:
        """None: signed off. Returns the requirements that somebody meets now and nobody did before, or the reverse."""
        before = self.skills.get(agent)
        if before == skills:
            return []
        for step in _steps(before or {}):
            del self._having[step][agent]
        self.skills.pop(agent, None)
        if skills is not None:
            self.skills[agent] = dict(skills)
            for step in _steps(skills):
                self._having.setdefault(step, {})[agent] = None
        return self._turned(agent, skills)

    def _turned(self, agent: str, skills: Mapping[str, int] | None) -> list[Requirement]:
        turned = []
        for needs, witness in self._witness.items():
            fits = skills is not None and matches(needs, skills)
            if (witness == agent and not fits) or (not witness and fits):
                self._witness[needs] = agent if fits else next(self.fitting(needs), "")
                if bool(self._witness[needs]) != bool(witness):
                    turned.append(needs)
        return turned

    def fitting(self, needs: Requirement) -> Iterator[str]:
        """Those signed on who have what is required."""
        if not needs.needs or needs.also:
            return (agent for agent in self.skills if matches(needs, self.skills[agent]))
        first, *others = sorted((self._having.get(step, {}).keys() for step in needs.needs), key=len)
        found: Collection[str] = first
        for other in others:
            found = other & found
        return (agent for agent in found if matches(needs, self.skills[agent])) if needs.any else iter(found)

    def matching(self, needs: Requirement) -> int:
        """How many they are."""
        return sum(1 for _ in self.fitting(needs))

    def can(self, needs: Requirement) -> bool:
        """Whether there is any."""
        if needs not in self._witness:
            self._witness[needs] = next(self.fitting(needs), "")
        return bool(self._witness[needs])

    def forget(self, needs: Requirement) -> None:
        """Nobody asks for it any more."""
        self._witness.pop(needs, None)


def _steps(skills: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Every level up to the one he has."""
    return ((skill, level) for skill, most in skills.items() for level in range(1, most + 1))
