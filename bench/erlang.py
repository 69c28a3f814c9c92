"""What queueing theory says, exactly, and the textbook's own recursion: what the simulator is held against."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple


class Theory(NamedTuple):
    """delayed: share of callers who wait; level: share answered within T; wait: mean of all, s; lost: share who give up
    or are turned away; occupancy: of the agents."""

    delayed: float
    level: float
    wait: float
    lost: float
    occupancy: float


def erlang_c(agents: int, rate: float, handle: float, within: float = 20.0) -> Theory:
    """M/M/n: nobody gives up. `rate`: calls a second, `handle`: s."""
    load, blocked = rate * handle, 1.0
    for n in range(1, agents + 1):
        blocked = load * blocked / (n + load * blocked)
    delayed = agents * blocked / (agents - load * (1 - blocked))
    spare = (agents - load) / handle
    return Theory(delayed, 1 - delayed * math.exp(-spare * within), delayed / spare, 0.0, load / agents)


def erlang_a(agents: int, rate: float, handle: float, patience: float) -> Theory:
    """M/M/n+M: callers give up after an exponential patience. The level is not computed."""
    weights, weight, k = [1.0], 1.0, 0
    while weight > 1e-18 * sum(weights) or k < agents + rate * handle:
        k += 1
        weight *= rate / (min(k, agents) / handle + max(0, k - agents) / patience)
        weights.append(weight)
    whole = math.fsum(weights)
    queue = math.fsum((k - agents) * w for k, w in enumerate(weights) if k > agents) / whole
    busy = math.fsum(min(k, agents) * w for k, w in enumerate(weights)) / whole
    delayed = math.fsum(weights[agents:]) / whole
    return Theory(delayed, math.nan, queue / rate, queue / patience / rate, busy / agents)


def erlang_b_c(agents: int, places: int, rate: float, handle: float, within: float) -> Theory:
    """M/M/n/n+places: who finds every place taken is turned away; wait and level are of those who are not."""
    weights = [1.0]
    for k in range(1, agents + places + 1):
        weights.append(weights[-1] * rate * handle / min(k, agents))
    whole = math.fsum(weights)
    lost = weights[-1] / whole
    queue = math.fsum((k - agents) * w for k, w in enumerate(weights) if k > agents) / whole
    busy = math.fsum(min(k, agents) * w for k, w in enumerate(weights)) / whole
    late = sum(
        w / whole * _poisson_up_to(k - agents, within * agents / handle)
        for k, w in enumerate(weights[:-1]) if k >= agents
    )  # fmt: skip
    delayed = math.fsum(weights[agents:-1]) / whole / (1 - lost)
    return Theory(delayed, 1 - late / (1 - lost), queue / rate / (1 - lost), lost, busy / agents)


def _poisson_up_to(k: int, mean: float) -> float:
    return math.fsum(math.exp(-mean + i * math.log(mean) - math.lgamma(i + 1)) for i in range(k + 1))


def two_speeds(fast: int, slow: int, rate: float, handles: tuple[float, float], fastest_first: bool,
               within: float = 20.0) -> Theory:  # fmt: skip
    """M/M/n with two kinds of agents; a call takes a free fast one first, or one at random (the same as the longest
    idle in the long run). Solved state by state: (fast busy, slow busy)."""
    mu = 1 / handles[0], 1 / handles[1]
    whole = fast * mu[0] + slow * mu[1]
    tail = 1 / (1 - rate / whole)  # everybody busy, with any number waiting
    share = _states(fast, slow, rate, mu, fastest_first)
    full = share[fast, slow] * tail
    total = sum(share.values()) - share[fast, slow] + full
    delayed, spare = full / total, whole - rate
    busy = sum(w * (i + j) for (i, j), w in share.items()) + share[fast, slow] * (tail - 1) * (fast + slow)
    level = 1 - delayed * math.exp(-spare * within)
    return Theory(delayed, level, delayed / spare, 0.0, busy / total / (fast + slow))


def _states(
    fast: int, slow: int, rate: float, mu: tuple[float, float], fastest_first: bool
) -> dict[tuple[int, int], float]:
    """Weights of the states without a queue, by Gauss-Seidel on the balance of flows; the queue hangs at the last."""

    def to_fast(i: int, j: int) -> float:
        if fastest_first:
            return 1.0 if i < fast else 0.0
        return (fast - i) / (fast + slow - i - j) if i + j < fast + slow else 0.0

    grid = [(i, j) for i in range(fast + 1) for j in range(slow + 1)]
    share = dict.fromkeys(grid, 1.0)
    for _ in range(20_000):
        worst = 0.0
        for i, j in grid:
            into = 0.0
            if i:
                into += share[i - 1, j] * rate * to_fast(i - 1, j)
            if j:
                into += share[i, j - 1] * rate * (1 - to_fast(i, j - 1))
            if i < fast:
                into += share[i + 1, j] * (i + 1) * mu[0]
            if j < slow:
                into += share[i, j + 1] * (j + 1) * mu[1]
            out = i * mu[0] + j * mu[1] + (rate if (i, j) != (fast, slow) else 0.0)
            new = into / out
            worst = max(worst, abs(new - share[i, j]) / max(new, 1e-300))
            share[i, j] = new
        if worst < 1e-10:
            break
    return share


def recursion(
    agents: int, arrivals: Sequence[float], handles: Sequence[float], patience: Sequence[float] | None = None
) -> list[float]:
    """Kiefer and Wolfowitz: every caller's wait in a first-come queue of equal agents, call by call. Who gives up first
    has waited as long as his patience."""
    free = [0.0] * agents
    waits = []
    for n, at in enumerate(arrivals):
        wait = max(0.0, free[0] - at)
        if patience is not None and patience[n] <= wait:
            wait = patience[n]
        else:
            heapq.heapreplace(free, at + wait + handles[n])
        waits.append(wait)
    return waits


def shared_lines(
    kinds: Sequence[int], agents: Sequence[int], lines: int, arrivals: Sequence[float], handles: Sequence[float]
) -> tuple[list[float], list[bool]]:
    """The same where each kind of callers has agents of its own and all share the telephone lines. Waits, and who found
    every line taken."""
    free = [[0.0] * many for many in agents]
    taken: list[float] = []
    waits, lost = [], []
    for kind, at, handle in zip(kinds, arrivals, handles, strict=True):
        while taken and taken[0] <= at:
            heapq.heappop(taken)
        lost.append(len(taken) >= lines)
        waits.append(0.0 if lost[-1] else max(0.0, free[kind][0] - at))
        if not lost[-1]:
            ends = at + waits[-1] + handle
            heapq.heapreplace(free[kind], ends)
            heapq.heappush(taken, ends)
    return waits, lost


def by_speed(
    speeds: Sequence[float], fastest_first: bool, arrivals: Sequence[float], handles: Sequence[float]
) -> list[float]:
    """The same with agents of different speeds (seconds for a handle of 1): a caller takes the longest idle, or of the
    fastest who are idle the longest idle; when all are busy, the first who is not."""
    idle = {speed: deque[tuple[float, int]]() for speed in sorted(set(speeds))}
    for n, speed in enumerate(speeds):
        idle[speed].append((0.0, n))
    busy: list[tuple[float, int]] = []
    waits = []
    for at, handle in zip(arrivals, handles, strict=True):
        while busy and busy[0][0] <= at:
            end, agent = heapq.heappop(busy)
            idle[speeds[agent]].append((end, agent))
        there = [line for line in idle.values() if line]
        begin = at
        if there:
            _, agent = (there[0] if fastest_first else min(there, key=lambda line: line[0])).popleft()
        else:
            begin, agent = heapq.heappop(busy)
        heapq.heappush(busy, (begin + handle * speeds[agent], agent))
        waits.append(begin - at)
    return waits


def apart(kinds: int, agents: int, lines: int, rate: float, handle: float, within: float) -> Theory:
    """Kinds of calls that each have agents of their own and share the telephone lines: a product of M/M/n, cut off
    where the lines are all taken. `agents`, `rate`: of one kind. Wait and level are of those who are let in."""
    one = [1.0]
    for k in range(1, lines + 1):
        one.append(one[-1] * rate * handle / min(k, agents))
    rest = [1.0] + [0.0] * lines
    for _ in range(kinds - 1):
        rest = _sum_of(rest, one)
    below = [math.fsum(rest[: lines - k + 1]) for k in range(lines + 1)]  # the others leave room for k of this kind
    whole = math.fsum(w * below[k] for k, w in enumerate(one))
    lost = math.fsum(w * rest[lines - k] for k, w in enumerate(one)) / whole
    inside = [w * (below[k] - rest[lines - k]) / whole / (1 - lost) for k, w in enumerate(one)]
    queue = math.fsum((k - agents) * w * below[k] for k, w in enumerate(one) if k > agents) / whole
    busy = math.fsum(min(k, agents) * w * below[k] for k, w in enumerate(one)) / whole
    mean = within * agents / handle
    late = math.fsum(p * _poisson_up_to(k - agents, mean) for k, p in enumerate(inside) if k >= agents)
    return Theory(math.fsum(inside[agents:]), 1 - late, queue / rate / (1 - lost), lost, busy / agents)


def _sum_of(a: list[float], b: list[float]) -> list[float]:
    return [math.fsum(a[i] * b[k - i] for i in range(k + 1)) for k in range(len(a))]
