"""Agents of several skills by another program than ours, to be laid beside it on the same callers.

A caller takes an idle agent whose first skill is his kind, else any who has it, of equals the longest idle. A freed
agent takes who has waited longest of all kinds he has; with `own_first` one of his first skill before all others.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence

Waiting = list[deque[tuple[float, int]]]  # by kind: since when, and which caller


def skilled(
    kinds: Sequence[int], agents: Sequence[Sequence[int]], lines: int, own_first: bool,
    arrivals: Sequence[float], handles: Sequence[float],
) -> tuple[list[float], list[bool]]:  # fmt: skip
    """`agents`: kinds that each has, his first one first. Waits, and who found every line taken."""
    idle = dict.fromkeys(range(len(agents)), 0.0)
    busy: list[tuple[float, int]] = []
    queues: Waiting = [deque() for _ in range(max(kinds) + 1)]
    waits, lost = [0.0] * len(kinds), [False] * len(kinds)

    def free_until(at: float) -> None:
        while busy and busy[0][0] <= at:
            end, agent = heapq.heappop(busy)
            caller = _next(agents[agent], queues, own_first)
            if caller is None:
                idle[agent] = end
            else:
                waits[caller] = end - arrivals[caller]
                heapq.heappush(busy, (end + handles[caller], agent))

    for n, (kind, at) in enumerate(zip(kinds, arrivals, strict=True)):
        free_until(at)
        lost[n] = len(busy) + sum(map(len, queues)) >= lines
        fitting = [(agents[one][0] != kind, since, one) for one, since in idle.items() if kind in agents[one]]
        if fitting and not lost[n]:
            agent = min(fitting)[2]
            del idle[agent]
            heapq.heappush(busy, (at + handles[n], agent))
        elif not lost[n]:
            queues[kind].append((at, n))
    free_until(math.inf)
    return waits, lost


def _next(has: Sequence[int], queues: Waiting, own_first: bool) -> int | None:
    heads = [(own_first and kind != has[0], queues[kind][0], kind) for kind in has if queues[kind]]
    return queues[min(heads)[2]].popleft()[1] if heads else None
