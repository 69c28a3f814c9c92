"""The simulator (the real Router) beside queueing theory: `python bench/acd_theory.py [--calls 1000000] [--only WORD]`.

Each row plays so many calls through cti.core.acd_sim. Of the mean wait, the share answered in time and the share who
are lost: the sample's mean beside the exact value, the error in percent of that and the noise of such a sample (95 %,
batch means). Most rows are too noisy to decide 1 % with a million calls, so the second pair, `same callers`, is free of
the luck of the sample: the textbook's recursion (Kiefer and Wolfowitz; of agents who know who is fastest; of shared
lines) is played on the same callers, and its mean is known exactly: see estimates.py. `millions`: calls that the plain
mean of the wait would need.

off         the largest difference of any one caller's wait to the recursion, s (of skills: to skilled.py); of agents of
            two speeds that are to be found out there is none.
--confirm   instead: the recursion alone, with as many calls as its mean needs to be known within 1 %.
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
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from erlang import Theory, apart, by_speed, erlang_a, erlang_b_c, erlang_c, recursion, shared_lines, two_speeds
from estimates import by_batch, controlled, inputs, plain
from skilled import skilled

from cti.core.acd import Router
from cti.core.acd_day import Caller, Shift
from cti.core.acd_sim import simulate
from cti.core.acd_tally import Outcome, Tally
from cti.core.queues import QueueConfig, Routing, ServiceLevel

FIGURES = ("wait", "level", "lost")


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


POOLED = erlang_b_c(90, 30, 8.25 / 60, 600, 30)
APART = apart(6, 15, 120, 8.25 / 360, 600, 30)


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
    known = {1: APART[1:4], 2: (0.776, 26.6, 0.00244), 3: (0.820, 20.1, 0.00179), 6: POOLED[1:4]}  # 2, 3: research
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
    kinds: list[int]


def sample(case: Case, calls: int, seed: int) -> Sample:
    rnd, at, kinds = random.Random(seed), 0.0, random.Random(seed)
    made = Sample(array("d"), array("d"), array("d"), [kinds.randrange(6) for _ in range(calls)])
    for _ in range(calls):
        at += rnd.expovariate(case.rate)
        made.arrivals.append(at)
        made.handles.append(rnd.expovariate(1.0))
        made.patience.append(rnd.expovariate(1 / case.patience) if case.patience < math.inf else math.inf)
    return made


def play(case: Case, drawn: Sample) -> tuple[Waits, Outcome]:
    queue = QueueConfig(name="q", skills={}, agents=case.order, max_wait=math.inf, max_size=case.places, wrap_up=0,
                        short_abandon=0, service_level=ServiceLevel(80, case.within))  # fmt: skip
    seconds = {f"a{n:03}": (case.speeds or (case.handle,))[n % (len(case.speeds) or 1)] for n in range(case.agents)}
    shifts = [Shift(agent=f"a{n:03}", skills=skills(case, n), spans=((0.0, math.inf),)) for n in range(case.agents)]
    tally = Waits({"q": queue}, len(drawn.arrivals))
    callers = (
        Caller(key=str(n), at=at, queue="q", patience=drawn.patience[n], 
               skills={f"s{drawn.kinds[n]}": 1} if case.skills else {})
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


def skills(case: Case, n: int) -> dict[str, int]:
    """The first is the one he is for; the others are dealt out evenly."""
    return {f"s{kind}": 1 if k else 9 for k, kind in enumerate(kinds_of(case, n))} if case.skills else {"x": 1}


def kinds_of(case: Case, n: int) -> list[int]:
    first, turn = n % 6, n // 6
    return [first, *((first + 1 + (turn + k) % 5) % 6 for k in range(case.skills - 1))]


# ---------------------------------------------------------------- estimates


class Waited(NamedTuple):
    """Of every caller: his wait, and whether he got in, and was answered."""

    waits: Sequence[float]
    got_in: Sequence[bool]
    answered: Sequence[bool]


def batches(case: Case, one: Waited) -> dict[str, list[float]]:
    """Wait and level as the theory of the row has them: of all; where lines run out, of those who got in."""
    level = [w <= case.within and a for w, a in zip(one.waits, one.answered, strict=True)]
    kept = one.got_in if case.skills else None
    lost = [not a for a in one.answered]
    return {"wait": by_batch(one.waits, kept), "level": by_batch(level, kept), "lost": by_batch(lost)}


def textbook(case: Case, drawn: Sample) -> list[tuple[Waited, Theory]]:
    """The same callers where everything is known of them."""
    everybody, handles = [True] * len(drawn.arrivals), [h * case.handle for h in drawn.handles]
    if case.skills:
        pooled = shared_lines([0] * len(handles), [90], 120, drawn.arrivals, handles)
        apart = shared_lines(drawn.kinds, [15] * 6, 120, drawn.arrivals, handles)
        found = []
        for (waits, lost), theory in ((pooled, POOLED), (apart, APART)):
            there = [not one for one in lost]
            found.append((Waited(waits, there, there), theory))
        return found
    if case.speeds:
        speeds = [case.speeds[n % 2] for n in range(case.agents)]
        waits = by_speed(speeds, case.order == "fastest", drawn.arrivals, drawn.handles)
        return [(Waited(waits, everybody, everybody), case.theory)]
    if case.patience == math.inf:
        waits = recursion(case.agents, drawn.arrivals, handles)
        return [(Waited(waits, everybody, everybody), case.theory)]
    waits = recursion(case.agents, drawn.arrivals, handles, drawn.patience)
    answered = [wait < patience for wait, patience in zip(waits, drawn.patience, strict=True)]
    return [(Waited(waits, everybody, answered), case.theory)]


def measure(job: tuple[Case, int, int]) -> dict[str, Any]:
    case, calls, seed = job
    drawn, began = sample(case, calls, seed), time.process_time()
    tally, outcome = play(case, drawn)
    seconds = time.process_time() - began
    books = textbook(case, drawn)
    results = tally.results
    found = batches(case, Waited(tally.waits, [r != "full" for r in results], [r == "answered" for r in results]))
    known = inputs(case.rate, case.handle, case.agents, drawn.arrivals, drawn.handles)
    told = [(batches(case, one), theory) for one, theory in books]
    figures = {}
    for name in FIGURES:
        exact = [(values[name], getattr(theory, name)) for values, theory in told]
        own = [pair for pair in exact if not math.isnan(pair[1]) and any(pair[0])]
        figures[name] = plain(found[name]), controlled(found[name], [*known, *own])
    busy = sum(a.busy for a in outcome.agents.values())
    whole = busy + sum(a.idle for a in outcome.agents.values())
    loads = [a.calls for a in outcome.agents.values()]
    other = {own: by_skill(case, drawn, own) for own in (False, True)} if case.skills else {}
    alike = other[False] if other else books[0][0]
    off = max(abs(a - b) for a, b in zip(alike.waits, tally.waits, strict=True))
    return {"case": case, "figures": figures, "occupancy": busy / whole, "skew": max(loads) / max(1, min(loads)),
            "off": None if case.order == "fastest" else off, "seconds": seconds,
            "other": {own: means(case, one) for own, one in other.items()}}  # fmt: skip


def by_skill(case: Case, drawn: Sample, own_first: bool) -> Waited:
    handles = [h * case.handle for h in drawn.handles]
    waits, lost = skilled(drawn.kinds, [kinds_of(case, n) for n in range(case.agents)], case.agents + case.places,
                          own_first, drawn.arrivals, handles)  # fmt: skip
    there = [not one for one in lost]
    return Waited(waits, there, there)


def means(case: Case, one: Waited) -> list[float]:
    """Mean wait and share in time of those who got in, and the share who did not."""
    waits = [wait for wait, there in zip(one.waits, one.got_in, strict=True) if there]
    return [math.fsum(waits) / len(waits), sum(w <= case.within for w in waits) / len(waits),
            1 - len(waits) / len(one.waits)]  # fmt: skip


def confirm(job: tuple[Case, int, int]) -> tuple[float, float]:
    """Mean wait by the recursion alone, of so many millions of calls after the first 5,000; and its noise."""
    case, millions, seed = job
    means = []
    for n in range(millions):
        drawn = sample(case, 1_000_000, seed + n)
        means.append(math.fsum(textbook(case, drawn)[0][0].waits[5000:]) / 995_000)
    mean = math.fsum(means) / millions
    return mean, 1.96 * math.sqrt(math.fsum((one - mean) ** 2 for one in means) / (millions - 1) / millions)


# ---------------------------------------------------------------- the table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose name holds it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--confirm", type=int, default=0, metavar="MILLIONS")
    args = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"Python {platform.python_version()}; {args.calls:,} calls a row, seed {args.seed}")  # fmt: skip
    wanted = [(case, args.confirm or args.calls, args.seed) for case in cases() if args.only in case.name]
    with ProcessPoolExecutor(args.jobs) as pool:
        if args.confirm:
            for job, (mean, noise) in zip(wanted, pool.map(confirm, wanted), strict=True):
                exact = job[0].theory.wait
                print(f"{job[0].name:32}{job[1]:4} million calls: mean wait {mean:.4f} s, exact {exact:.4f} s: "
                      f"{(mean / exact - 1) * 100:+.2f} % +-{noise / exact * 100:.2f} %", flush=True)  # fmt: skip
            return 0
        head = f"{'mean':>8} {'exact':>8} {'err%':>6} {'+-%':>5} |{'err%':>6} {'+-%':>5}"
        titles = "mean wait, s", "answered in T, %", "lost, %"
        print(f"{'':32}" + "".join(f"| {title:31}| same callers " for title in titles))
        print(f"{'':32}" + f"| {head} " * 3 + f"| {'millions':>8} {'occupancy, %':>14} {'load':>5} {'off':>6} us/call")
        rows = list(told(pool.map(measure, wanted), args.calls))
    show_others(rows)
    return 0


def told(rows: Iterable[dict[str, Any]], calls: int) -> Iterator[dict[str, Any]]:
    for row in rows:
        print(line(row, calls), flush=True)
        yield row


def show_others(rows: Sequence[dict[str, Any]]) -> None:
    """The rows of skills by another program, by our rule and by the one of the table's source."""
    for row in [row for row in rows if row["other"]]:
        theory = row["case"].theory
        print(f"\n{row['case'].name}: wait s, in time %, lost %; "
              f"known: {theory.wait:.1f}, {theory.level * 100:.1f}, {theory.lost * 100:.3f}")  # fmt: skip
        for own, (wait, level, lost) in row["other"].items():
            rule = "one's first skill, then the oldest" if own else "the oldest, as our router"
            print(f"  {rule:36}{wait:8.2f}{level * 100:8.2f}{lost * 100:8.3f}")


def line(row: dict[str, Any], calls: int) -> str:
    case, figures = row["case"], row["figures"]
    cells = [cell(*figures[name], getattr(case.theory, name), 1 if name == "wait" else 100) for name in FIGURES]
    off = "" if row["off"] is None else f"{row['off']:.0e}"
    known = "" if math.isnan(case.theory.occupancy) else f"{case.theory.occupancy * 100:.2f}"
    needed = calls * (figures["wait"][0][1] / case.theory.wait / 0.01) ** 2 / 1e6
    rest = f"{needed:8.1f} {row['occupancy'] * 100:7.2f} {known:>6} {row['skew']:5.2f} {off:>6} "
    return f"{case.name:32}" + "".join(f"| {one} " for one in cells) + f"| {rest}{row['seconds'] / calls * 1e6:7.1f}"


def cell(raw: tuple[float, float], same: tuple[float, float], exact: float, unit: float) -> str:
    if math.isnan(exact) or not exact:
        return f"{raw[0] * unit:8.3f} {'' if exact else '0':>8} {'':>6} {'':>5} |{'':>6} {'':>5}"
    errors = [f"{(value / exact - 1) * 100:6.2f} {width / exact * 100:5.2f}" for value, width in (raw, same)]
    return f"{raw[0] * unit:8.3f} {exact * unit:8.3f} {errors[0]} |{errors[1]}"


if __name__ == "__main__":
    raise SystemExit(main())
