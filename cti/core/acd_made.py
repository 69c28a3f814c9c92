"""A day that is made up, for the simulator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from cti.core.acd_day import Caller, Chance, Day, Shift
from cti.core.queues import ANY, QueueConfig


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """calls in `hours`, spread evenly over the queues; means of exponential laws in seconds (patience 0: without end).
    Each agent has, at level 9, all that as many of the queues need as `serves` says (0: all of them), dealt out in
    turn."""

    calls: int = 1000
    hours: float = 8.0
    agents: int = 20
    talk: float = 180.0
    wrap: float = 0.0
    patience: float = 180.0
    answer: float = 3.0
    serves: int = 0


def generated(plan: Plan, queues: Mapping[str, QueueConfig], chance: Chance, other: Mapping[str, QueueConfig]) -> Day:
    """A day of a plan, in all of these queues, with the priorities that `other` ones have by the same names."""
    priorities = {name: other.get(name, queue).priority for name, queue in queues.items()}
    names, at, callers = sorted(queues), 0.0, []
    end = plan.hours * 3600
    for n in range(plan.calls):
        at += _exponential(end / plan.calls, chance)
        queue = names[int(chance() * len(names))]
        callers.append(
            Caller(key=str(n), at=at, queue=queue, priority=priorities[queue], luck=chance(),
                   patience=_exponential(plan.patience, chance) if plan.patience else math.inf)
        )  # fmt: skip
    span = ((0.0, max(end, at)),)
    shifts = [
        Shift(agent=f"agent{n + 1:03}", skills=_skills(plan, n, names, queues), spans=span, answer=plan.answer)
        for n in range(plan.agents)
    ]
    return Day(callers, shifts, lambda c, agent: (-plan.talk * math.log(1 - c.luck), plan.wrap))


def _exponential(mean: float, chance: Chance) -> float:
    return -mean * math.log(1 - chance())


def _skills(plan: Plan, number: int, names: Sequence[str], queues: Mapping[str, QueueConfig]) -> dict[str, int]:
    served = [names[(number + k) % len(names)] for k in range(plan.serves or len(names))]
    return dict.fromkeys((skill for name in served for skill in _named(queues[name])), 9)


def _named(queue: QueueConfig) -> Iterator[str]:
    """Every skill that a queue asks for, alternatives too."""
    asked: Mapping[str, Any] = {queue.name: 1} if queue.skills is None else queue.skills
    for skill, level in asked.items():
        if skill == ANY:
            yield from (each for one in level for each in one)
        else:
            yield skill
