"""The simulator (the real Router) beside queueing theory: `python bench/acd_theory.py [--calls 1000000] [--only WORD]`.

Each row plays so many calls through cti.core.acd_sim and prints what came out beside the exact value and the error in
percent of it. `+-` is the noise of a sample of this size (95 %), so a row is right when its error is no larger. The
noise is made smaller by control variates: what the same callers do to an infinite number of agents is known exactly,
and tells how lucky the sample was; the raw means are printed too.

recursion   on the same callers, the largest difference of any one caller's wait to the textbook's recursion (Kiefer and
            Wolfowitz), s: this has no noise and must be nothing.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from erlang import Theory, apart, erlang_a, erlang_b_c, erlang_c, recursion, two_speeds

from cti.core.acd import Router
from cti.core.acd_day import Caller, Shift
from cti.core.acd_sim import simulate
from cti.core.acd_tally import Outcome, Tally
from cti.core.queues import QueueConfig, Routing, ServiceLevel

BATCHES = 200


class Case(NamedTuple):
    """`speeds`: handling seconds by half of the agents; one: all the same. `skills`: kinds of calls and agents, and how
    many each agent has."""

    name: str
    agents: int
    rate: float
    handle: float
    theory: Theory
    patience: float = math.inf
    order: str = "longest_idle"
    speeds: tuple[float, ...] = ()
    places: int = 10**9
    skills: int = 0
    within: float = 20.0


def cases() -> Iterator[Case]:
    for n in (11, 12, 13, 14, 15):
        yield Case(f"C 100/30min 180s n={n}", n, 1 / 18, 180, erlang_c(n, 1 / 18, 180))
    for n in (30, 31, 32, 34):
        yield Case(f"C 200/30min 240s n={n}", n, 1 / 9, 240, erlang_c(n, 1 / 9, 240))
    yield Case("C 1000/30min 240s n=140", 140, 1 / 1.8, 240, erlang_c(140, 1 / 1.8, 240))
    for n in (11, 12, 13, 14):
        for p in (60, 120, 300):
            yield Case(f"A 100/30min 180s n={n} p={p}", n, 1 / 18, 180, erlang_a(n, 1 / 18, 180, p), p)
    yield Case("A 1000/30min 240s n=140 p=180", 140, 1 / 1.8, 240, erlang_a(140, 1 / 1.8, 240, 180), 180)
    for n, rho in ((20, 0.85), (20, 0.92), (100, 0.95)):
        speeds = 126.0, 234.0
        rate = rho * n / 2 * (1 / speeds[0] + 1 / speeds[1])
        for order in ("longest_idle", "fastest"):
            theory = two_speeds(n // 2, n // 2, rate, speeds, order == "fastest")
            yield Case(f"{order} N={n} rho={rho}", n, rate, 180, theory, order=order, speeds=speeds)
    whole = erlang_b_c(90, 30, 8.25 / 60, 600, 30)
    alone = apart(6, 15, 120, 8.25 / 360, 600, 30)
    known = {1: alone[1:4], 2: (0.776, 26.6, 0.00244), 3: (0.820, 20.1, 0.00179), 6: whole[1:4]}  # 2, 3: research
    for skills, (level, wait, lost) in known.items():
        theory = Theory(math.nan, level, wait, lost, math.nan)
        yield Case(f"skills {skills} of 6", 90, 8.25 / 60, 600, theory, order="best_level", places=30, skills=skills,
                   within=30)  # fmt: skip


class Waits(Tally):
    """Every caller's wait and whether he was answered, in the order in which they came."""

    def __init__(self, queues: dict[str, QueueConfig], calls: int) -> None:
        super().__init__(queues)
        self.waits, self.results = array("d", bytes(8 * calls)), ["" for _ in range(calls)]

    def ended(self, key: str, queue: str, result: str, waited: float) -> None:
        super().ended(key, queue, result, waited)
        self.waits[int(key)], self.results[int(key)] = waited, result


class Sample(NamedTuple):
    arrivals: array[float]
    handles: array[float]  # in units of the mean
    patience: array[float]


def sample(case: Case, calls: int, seed: int) -> Sample:
    rnd, at = random.Random(seed), 0.0
    made = Sample(array("d"), array("d"), array("d"))
    for _ in range(calls):
        at += rnd.expovariate(case.rate)
        made.arrivals.append(at)
        made.handles.append(rnd.expovariate(1.0))
        made.patience.append(rnd.expovariate(1 / case.patience) if case.patience < math.inf else math.inf)
    return made


def play(case: Case, drawn: Sample) -> tuple[Waits, Outcome]:
    queue = QueueConfig(name="q", skills={}, agents=case.order, max_wait=math.inf, max_size=case.places, wrap_up=0,
                        short_abandon=0, service_level=ServiceLevel(80, case.within))  # fmt: skip
    seconds = {f"a{n}": (case.speeds or (case.handle,))[n % (len(case.speeds) or 1)] for n in range(case.agents)}
    shifts = [Shift(agent=f"a{n}", skills=skills(case, n), spans=((0.0, math.inf),)) for n in range(case.agents)]
    tally = Waits({"q": queue}, len(drawn.arrivals))
    callers = (
        Caller(key=str(n), at=at, queue="q", patience=drawn.patience[n], skills=kind(case, n))
        for n, at in enumerate(drawn.arrivals)
    )
    outcome = simulate(
        callers, shifts, {"q": queue}, Routing(), lambda c, agent: (drawn.handles[int(c.key)] * seconds[agent], 0.0),
        tally=tally, router=Trunks(case.agents + case.places),
    )  # fmt: skip
    return tally, outcome


class Trunks(Router):
    """The skills table counts lines, as its source does: who talks and who waits, in all."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.all = lines

    def overfull(self, key: str, waiting: int) -> str:
        return "size" if waiting + sum(self.busy_with.values()) > self.all else ""


KINDS = random.Random(6)


def kind(case: Case, n: int) -> dict[str, int]:
    return {f"s{KINDS.randrange(6)}": 1} if case.skills else {}


def skills(case: Case, n: int) -> dict[str, int]:
    """The first is the one he is for; the others are dealt out evenly."""
    if not case.skills:
        return {"x": 1}
    first, turn = n % 6, n // 6
    others = [(first + 1 + (turn + k) % 5) % 6 for k in range(case.skills - 1)]
    return {f"s{first}": 9} | {f"s{k}": 1 for k in others}


# ---------------------------------------------------------------- estimates


def endless(case: Case, drawn: Sample) -> list[int]:
    """How many are on the phone, with agents without number, as each caller comes: Poisson with mean rate * handle."""
    leaving: list[float] = []
    seen = []
    for at, handle in zip(drawn.arrivals, drawn.handles, strict=True):
        while leaving and leaving[0] <= at:
            heappop(leaving)
        seen.append(len(leaving))
        heappush(leaving, at + handle * case.handle)
    return seen


def controls(case: Case, drawn: Sample) -> tuple[list[list[float]], list[float]]:
    """By batch what is known to have a certain mean, and these means."""
    load = case.rate * case.handle
    marks = [max(1, round(load + z * math.sqrt(load))) for z in (0.5, 1.0, 2.0)]
    seen, size = endless(case, drawn), len(drawn.arrivals) // BATCHES
    rows = []
    for begin in range(0, BATCHES * size, size):
        part = slice(begin, begin + size)
        before = drawn.arrivals[begin - 1] if begin else 0.0
        row = [(drawn.arrivals[begin + size - 1] - before) / size, sum(drawn.handles[part]) / size]
        row += [sum(k >= mark for k in seen[part]) / size for mark in marks]
        row.append(sum(max(0, k - case.agents) for k in seen[part]) / size)
        rows.append(row)
    tails = [tail(load, mark) for mark in marks]
    over = math.fsum(tail(load, k) for k in range(case.agents + 1, case.agents + 400))
    return rows, [1 / case.rate, 1.0, *tails, over]


def tail(mean: float, least: int) -> float:
    """P(Poisson >= least)"""
    return 1 - math.fsum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(least))


def estimate(values: Sequence[float], known: list[list[float]], means: list[float]) -> tuple[float, float]:
    """The mean had the controls had theirs, and its 95 % half width: least squares over the batches but the first."""
    rows = [[1.0, *(x - mean for x, mean in zip(row, means, strict=True))] for row in known[1:]]
    ys, k = list(values)[1:], len(means) + 1
    scale = [max(abs(row[j]) for row in rows) or 1.0 for j in range(k)]
    rows = [[x / s for x, s in zip(row, scale, strict=True)] for row in rows]
    square = [[sum(r[i] * r[j] for r in rows) + (1e-12 if i == j else 0) for j in range(k)] for i in range(k)]
    beta = solve(square, [sum(r[i] * y for r, y in zip(rows, ys, strict=True)) for i in range(k)])
    rest = sum((y - sum(b * x for b, x in zip(beta, r, strict=True))) ** 2 for r, y in zip(rows, ys, strict=True))
    spread = solve(square, [1.0] + [0.0] * (k - 1))[0]
    return beta[0] / scale[0], 1.96 * math.sqrt(max(0.0, rest / (len(ys) - k) * spread))


def solve(a: list[list[float]], b: list[float]) -> list[float]:
    rows, size = [[*row, y] for row, y in zip(a, b, strict=True)], len(b)
    for i in range(size):
        best = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for r in range(size):
            if r != i:
                f = rows[r][i] / rows[i][i]
                rows[r] = [x - f * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [rows[i][size] / rows[i][i] for i in range(size)]


def by_batch(values: Sequence[float]) -> list[float]:
    size = len(values) // BATCHES
    return [sum(values[n * size : (n + 1) * size]) / size for n in range(BATCHES)]


def measure(job: tuple[Case, int, int]) -> dict[str, Any]:
    case, calls, seed = job
    KINDS.seed(seed)
    drawn, began = sample(case, calls, seed), time.process_time()
    tally, outcome = play(case, drawn)
    seconds = time.process_time() - began
    known, means = controls(case, drawn)
    lost = [r != "answered" for r in tally.results]
    stays = [w for w, r in zip(tally.waits, tally.results, strict=True) if r != "full"]
    level = [w <= case.within and r == "answered" for w, r in zip(tally.waits, tally.results, strict=True)]
    if case.skills:  # of the answered, as the table counts
        level = [w <= case.within for w in stays]
    raw = {"level": sum(level) / len(level), "wait": sum(stays) / len(stays), "lost": sum(lost) / len(lost)}
    found = {
        "level": estimate(by_batch(level), known, means), "wait": estimate(by_batch(stays), known, means),
        "lost": estimate(by_batch(lost), known, means),
    }  # fmt: skip
    busy = sum(a.busy for a in outcome.agents.values())
    whole = busy + sum(a.idle for a in outcome.agents.values())
    off = None
    if not case.speeds and not case.skills:
        handles = [h * case.handle for h in drawn.handles]
        patience = drawn.patience if case.patience < math.inf else None
        exact = recursion(case.agents, drawn.arrivals, handles, patience)
        off = max(abs(a - b) for a, b in zip(exact, tally.waits, strict=True))
    loads = [a.calls for a in outcome.agents.values()]
    return {"case": case, "found": found, "raw": raw, "occupancy": busy / whole, "off": off, "seconds": seconds,
            "skew": max(loads) / max(1, min(loads))}  # fmt: skip


# ---------------------------------------------------------------- the table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose name holds it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"Python {platform.python_version()}; {args.calls:,} calls a row, seed {args.seed}")  # fmt: skip
    print(f"{'case':32}|{'answered in T, %':^34}|{'mean wait, s':^38}|{'lost, %':^32}|{'occupancy, %':^20}|")
    head = f"{'simulated':>9} {'exact':>8} {'err%':>6} {'+-%':>6}"
    print(f"{'':32}| {head}   | {head} {'raw':>7} | {head} | {'simulated':>9} {'exact':>8} | "
          f"{'load':>5} {'recursion':>9} {'us/call':>7}")  # fmt: skip
    wanted = [(case, args.calls, args.seed) for case in cases() if args.only in case.name]
    with ProcessPoolExecutor(args.jobs) as pool:
        for row in pool.map(measure, wanted):
            print(line(row, args.calls), flush=True)
    return 0


def line(row: dict[str, Any], calls: int) -> str:
    case, found = row["case"], row["found"]
    level = cell(*found["level"], case.theory.level, 100)
    wait = cell(*found["wait"], case.theory.wait, 1)
    lost = cell(*found["lost"], case.theory.lost, 100)
    off = "" if row["off"] is None else f"{row['off']:.0e}"
    known = "" if math.isnan(case.theory.occupancy) else f"{case.theory.occupancy * 100:8.2f}"
    rest = f"{row['occupancy'] * 100:9.2f} {known:>8} | {row['skew']:5.2f} {off:>9} {row['seconds'] / calls * 1e6:7.1f}"
    return f"{case.name:32}| {level}   | {wait} {row['raw']['wait']:7.2f} | {lost} | {rest}"


def cell(value: float, width: float, exact: float, unit: float) -> str:
    if math.isnan(exact):
        return f"{value * unit:9.3f} {'':>8} {'':>6} {width / value * 100 if value else 0:6.2f}"
    if not exact:
        return f"{value * unit:9.3f} {0:8.3f} {'':>6} {'':>6}"
    return f"{value * unit:9.3f} {exact * unit:8.3f} {(value / exact - 1) * 100:6.2f} {width / exact * 100:6.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
