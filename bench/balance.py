"""`routing.balance` off and on: `python bench/balance.py [--days 20] [--only WORD]`. The same callers both ways,
through the simulator, which asks the real Router.

Off, a freed agent takes whoever has waited longest (a point of priority counts as a minute); on, of the first of each
queue whoever has waited longest in proportion to his queue's service level (FQR). Three queues with agents in common:
sales wants 80 % within 20 s, support 80 % within 60 s, billing 70 % within 180 s; a day is eight hours, callers give
up after three minutes in the mean. By queue: answered in time (as the wallboard counts), given up, and the wait that
95 % of the answered did not exceed, s. `gap`: how far the worst queue is under what it promises, in points; below 0,
every queue keeps it. `+-`: what chance may have moved the difference (95 %, day by day).
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from cti.core.acd_compare import estimate
from cti.core.acd_day import Caller, Shift
from cti.core.acd_sim import simulate
from cti.core.acd_tally import Tally, quantile
from cti.core.queues import QueueConfig, Routing, ServiceLevel

HOURS = 8.0
PROMISED = {"sales": 80, "support": 80, "billing": 70}  # %
HANDLE = {"sales": 180.0, "support": 300.0, "billing": 240.0}
PATIENCE = 180.0
VIP = 10  # points of priority
ALL = ("sales", "support", "billing")
CREW = ((ALL[0],), (ALL[1],), (ALL[2],), ALL[:2], ALL[1:], ALL)


class Case(NamedTuple):
    """`load`: of 30 agents' time, by queue. `vips`: the share of a queue's callers. `targets`: seconds. `rush`: how
    many times as many call sales in the fourth hour."""

    name: str
    load: dict[str, float]
    vips: tuple[str, float] = ("", 0.0)
    targets: tuple[float, ...] = (20.0, 60.0, 180.0)
    rush: float = 1.0
    crew: tuple[tuple[str, ...], ...] = CREW


def cases() -> Iterator[Case]:
    day = {"sales": 0.28, "support": 0.34, "billing": 0.23}
    full, over = ({queue: part / 0.85 * load for queue, load in day.items()} for part in (0.95, 1.15))
    yield Case("a normal day, 85 %", day)
    yield Case("a full day, 95 %", full)
    yield Case("overload, 115 %", over)
    yield Case("sales is rushed for an hour", day, rush=2.5)
    yield Case("billing is overloaded", {"sales": 0.22, "support": 0.25, "billing": 0.48})
    yield Case("20 % of sales are VIPs, 95 %", full, vips=("sales", 0.2))
    yield Case("20 % of billing are VIPs, 95 %", full, vips=("billing", 0.2))
    yield Case("20 % of billing are VIPs, 115 %", over, vips=("billing", 0.2))
    yield Case("the same targets, 95 %", full, targets=(30.0, 30.0, 30.0))
    yield Case("everybody serves all, 95 %", full, crew=(ALL,))


class Waits(Tally):
    def __init__(self, queues: dict[str, QueueConfig]) -> None:
        super().__init__(queues)
        self.answered: dict[str, list[float]] = {name: [] for name in queues}
        self.vips: list[float] = []

    def ended(self, key: str, queue: str, result: str, waited: float) -> None:
        super().ended(key, queue, result, waited)
        if result == "answered":
            self.answered[queue].append(waited)
            if key.startswith("vip"):
                self.vips.append(waited)


def callers(case: Case, seed: int) -> list[Caller]:
    rnd, made = random.Random(seed), []
    for queue, load in case.load.items():
        most = load * 30 / HANDLE[queue] * (case.rush if queue == "sales" else 1.0)
        at = rnd.expovariate(most)
        while at < HOURS * 3600:
            name = "vip" if queue == case.vips[0] and rnd.random() < case.vips[1] else ""
            caller = Caller(key=f"{name}{queue}{len(made)}", at=at, queue=queue, priority=VIP if name else 0,
                            patience=rnd.expovariate(1 / PATIENCE), luck=rnd.expovariate(1.0))  # fmt: skip
            if queue != "sales" or case.rush == 1.0 or rnd.random() < 1 / case.rush or 3 <= at / 3600 < 4:
                made.append(caller)
            at += rnd.expovariate(most)
    return sorted(made, key=lambda caller: caller.at)


def play(job: tuple[Case, int, bool]) -> dict[str, float]:
    case, seed, balance = job
    queues = {
        name: QueueConfig(name=name, wrap_up=0.0, service_level=ServiceLevel(percent, within))
        for (name, percent), within in zip(PROMISED.items(), case.targets, strict=True)
    }
    tally = Waits(queues)
    spans = ((0.0, HOURS * 3600),)
    shifts = [
        Shift(agent=f"a{n:02}", skills=dict.fromkeys(case.crew[n % len(case.crew)], 5), spans=spans, answer=3.0)
        for n in range(30)
    ]
    outcome = simulate(callers(case, seed), shifts, queues, Routing(balance=balance),
                       lambda caller, agent: (caller.luck * HANDLE[caller.queue], 0.0), tally=tally)  # fmt: skip
    found: dict[str, float] = {}
    gaps, left, offered, kept = [], 0, 0, 0.0
    for name, one in outcome.queues.items():
        level, gone = one.service_level or 0.0, one.results.get("abandoned", 0) + one.results.get("short_abandon", 0)
        counted = one.offered - one.results.get("short_abandon", 0)
        found |= {f"{name} level": 100 * level, f"{name} left": 100 * gone / one.offered,
                  f"{name} p95": quantile(sorted(tally.answered[name]), 0.95) or 0.0}  # fmt: skip
        gaps.append(PROMISED[name] - 100 * level)
        left, offered, kept = left + gone, offered + counted, kept + level * counted
    found |= {"gap": max(gaps), "all level": 100 * kept / offered, "all left": 100 * left / offered}
    if tally.vips:
        found["VIP wait, mean"] = sum(tally.vips) / len(tally.vips)
        found["VIP p95"] = quantile(sorted(tally.vips), 0.95) or 0.0
    return found


JUDGED = {"gap": ("the worst queue", -1), "all level": ("answered in time", 1), "all left": ("given up", -1),
          "VIP p95": ("VIPs", -1)}  # fmt: skip


def verdict(rows: dict[str, Any]) -> dict[str, str]:
    """What balance does, to the worst queue and to all callers; a difference within its noise is none."""
    said = {}
    for figure, (what, better) in JUDGED.items():
        if figure in rows:
            change = rows[figure][2]
            even = abs(change.mean) <= change.noise
            said[what] = "the same" if even else "better" if change.mean * better > 0 else "worse"
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--only", default="", metavar="WORD", help="cases whose name holds it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}; {args.days} days a case")
    verdicts = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for case in cases():
            if args.only not in case.name:
                continue
            days = [list(pool.map(play, [(case, seed, on) for seed in range(args.days)])) for on in (False, True)]
            rows = {}
            for figure in days[0][0]:
                pairs = [(off[figure], on[figure]) for off, on in zip(*days, strict=True)]
                rows[figure] = (estimate([a for a, _ in pairs]), estimate([b for _, b in pairs]),
                                estimate([b - a for a, b in pairs]))  # fmt: skip
            print(f"\n{case.name:32}{'off':>8} {'on':>8} {'difference':>16}")
            for figure, (off, on, change) in rows.items():
                assert off and on and change and change.noise is not None
                print(f"  {figure:30}{off.mean:8.1f} {on.mean:8.1f} {change.mean:+8.1f} +-{change.noise:.1f}")
            verdicts.append(verdict(rows))
            print("  on: " + ", ".join(f"{what} {word}" for what, word in verdicts[-1].items()), flush=True)
    print("\nOn, against off:")
    for what, _ in JUDGED.values():
        words = [one[what] for one in verdicts if what in one]
        print(f"  {what}: " + ", ".join(f"{words.count(word)} {word}" for word in ("better", "the same", "worse")))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
