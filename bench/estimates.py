"""Means of a simulation and their noise: by batches, and with less of it by what is known of the same callers.

A control is a figure of the same callers whose exact mean is known. Least squares over the batches tell how far it went
astray in this sample, and so the simulation with it; what is left has the noise that is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappop, heappush

BATCHES = 200
Known = tuple[list[float], float]  # by batch, and its exact mean


def by_batch(values: Sequence[float], kept: Sequence[bool] | None = None) -> list[float]:
    """The mean of each batch, of those that are kept."""
    size = len(values) // BATCHES
    means = []
    for begin in range(0, BATCHES * size, size):
        part = range(begin, begin + size)
        few = [values[n] for n in part if kept[n]] if kept is not None else values[begin : begin + size]
        means.append(sum(few) / len(few))
    return means


def plain(batches: Sequence[float]) -> tuple[float, float]:
    """The mean of all batches but the first, in which the day begins empty, and its 95 % half width."""
    rest = batches[1:]
    mean = sum(rest) / len(rest)
    spread = sum((one - mean) ** 2 for one in rest) / (len(rest) - 1) / len(rest)
    return mean, 1.96 * math.sqrt(spread)


def controlled(batches: Sequence[float], known: Sequence[Known]) -> tuple[float, float]:
    """The same, had each of the controls had its exact mean."""
    rows = [[1.0, *(values[n] - mean for values, mean in known)] for n in range(1, len(batches))]
    ys, k = list(batches)[1:], len(known) + 1
    scale = [max(abs(row[j]) for row in rows) or 1.0 for j in range(k)]
    rows = [[x / s for x, s in zip(row, scale, strict=True)] for row in rows]
    square = [[sum(r[i] * r[j] for r in rows) + (1e-12 if i == j else 0) for j in range(k)] for i in range(k)]
    beta = _solved(square, [sum(r[i] * y for r, y in zip(rows, ys, strict=True)) for i in range(k)])
    rest = sum((y - sum(b * x for b, x in zip(beta, r, strict=True))) ** 2 for r, y in zip(rows, ys, strict=True))
    spread = _solved(square, [1.0] + [0.0] * (k - 1))[0]
    return beta[0] / scale[0], 1.96 * math.sqrt(max(0.0, rest / (len(ys) - k) * spread))


def _solved(a: list[list[float]], b: list[float]) -> list[float]:
    rows, size = [[*row, y] for row, y in zip(a, b, strict=True)], len(b)
    for i in range(size):
        best = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for r in range(size):
            if r != i:
                f = rows[r][i] / rows[i][i]
                rows[r] = [x - f * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [rows[i][size] / rows[i][i] for i in range(size)]


# ---------------------------------------------------------------- what is known of callers, whoever answers


def inputs(rate: float, mean: float, agents: int, arrivals: Sequence[float], handles: Sequence[float]) -> list[Known]:
    """Gaps, handling (`handles` in units of the mean) and how many are on the phone as each caller comes, with agents
    without number: that is Poisson."""
    load = rate * mean
    seen = _endless(arrivals, handles, mean)
    gaps = [at - before for at, before in zip(arrivals, [0.0, *arrivals[:-1]], strict=True)]
    found = [(by_batch(gaps), 1 / rate), (by_batch(handles), 1.0)]
    for z in (0.5, 1.0, 2.0):
        mark = max(1, round(load + z * math.sqrt(load)))
        found.append((by_batch([k >= mark for k in seen]), _tail(load, mark)))
    over = math.fsum(_tail(load, k) for k in range(agents + 1, agents + 400))
    found.append((by_batch([max(0, k - agents) for k in seen]), over))
    return found


def _endless(arrivals: Sequence[float], handles: Sequence[float], mean: float) -> list[int]:
    leaving: list[float] = []
    seen = []
    for at, handle in zip(arrivals, handles, strict=True):
        while leaving and leaving[0] <= at:
            heappop(leaving)
        seen.append(len(leaving))
        heappush(leaving, at + handle * mean)
    return seen


def _tail(mean: float, least: int) -> float:
    """P(Poisson >= least)"""
    return 1 - math.fsum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(least))
