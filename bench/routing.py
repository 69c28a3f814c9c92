"""What a routing decision costs: `python bench/routing.py [--waiting 1000 3000 10000] [--seconds 10]`.

So many callers wait, 2,000 agents are signed on, 50 skills of levels 1 to 9. A call needs 1 to 3 skills (one in five
has alternatives), an agent has 2 to 8; relax steps lower and drop them; priorities 0 to 10. Then:

freed      an agent's call ends: he is free, and takes his caller of all who wait (Router.free, for_agent, leave, busy)
caller     a caller enters and looks for an agent, while a few hundred are idle (Router.wait, and
           what for_call asks)
step       a relax step of one who waits falls due (Router.wait)
naive      the same choice by looking at everybody, as app_queue does, in the same run and on the same callers

Each choice of `naive` is compared with the Router's: any difference fails the run. Times are processor time of one
core: a busy machine makes none of it slower. What was built before the clock starts is frozen (gc.freeze): else the
garbage collector's walks over the naive copy count as routing.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import os
import platform
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "core"))

from naive_router import Naive

from cti.core.acd import Router
from cti.core.acd_match import Waiter
from cti.core.queues import QueueConfig, Relax, Requirement, Routing, matches, relaxed, required_skills

SKILLS = [f"s{n}" for n in range(50)]
AGENTS = 2000
QUEUES = 20
GOAL = {"p99 ms": 2.0, "decisions/s": 5000.0, "MB": 300.0}


def queues() -> dict[str, QueueConfig]:
    """Each with relax steps; the last ones ask for anybody."""
    made = {}
    for n in range(QUEUES):
        steps = [Relax(60, skills={SKILLS[n]: 1}), Relax(180, skills={SKILLS[n]: 0})]
        if n % 4 == 0:
            steps.append(Relax(900, any_agent=True))
        made[f"q{n}"] = QueueConfig(
            name=f"q{n}", skills={SKILLS[n]: 1 + n % 3}, relax=tuple(steps),
            agents=("longest_idle", "longest_idle", "fastest", "best_level")[n % 4],
        )  # fmt: skip
    return made


class Scan(Naive):
    """With what stays the same kept: the requirements of each kind of call, and which of them anybody could meet."""

    def __init__(self, queues: dict[str, QueueConfig], routing: Routing) -> None:
        super().__init__(queues, routing)
        self.ladders: dict[str, list[tuple[float, Requirement]]] = {}
        self.can: dict[Requirement, bool] = {}

    def needs(self, one: Waiter, at: float) -> Requirement:
        if one.key not in self.ladders:
            self.ladders[one.key] = self._ladder(one)
        steps, now = self.ladders[one.key], 0
        while now + 1 < len(steps) and at - one.since >= steps[now + 1][0]:
            now += 1
        return next((needs for _, needs in steps[now:] if self._can(needs)), steps[now][1])

    def _ladder(self, one: Waiter) -> list[tuple[float, Requirement]]:
        queue = self.queues[one.queue]
        steps = [(0.0, required_skills(queue, one.skills))]
        for step in queue.relax:
            steps.append((step.after, relaxed(steps[-1][1], step)))
        return steps

    def _can(self, needs: Requirement) -> bool:
        if needs not in self.can:
            self.can[needs] = any(matches(needs, skills) for skills in self.signed_on.values())
        return self.can[needs]


class Centre:
    """A call centre that is full: every decision takes one caller out, and another comes."""

    def __init__(self, waiting: int, seed: int) -> None:
        self.rnd = random.Random(seed)
        self.queues = queues()
        self.router, self.naive = Router(), Scan(self.queues, Routing())
        self.router.configure(self.queues, Routing(), 0.0)
        self.naive.handling = self.router.handling
        self.at, self.calls = 1000.0, 0
        self.due: list[tuple[float, str]] = []
        self.steps: list[float] = []  # seconds each
        self.skills = {f"a{n}": self._skills() for n in range(AGENTS)}
        for name, skills in self.skills.items():
            self.router.sign_on(name, skills, self.at)
            for queue in list(self.queues)[:5]:
                self.router.handled(name, queue, self.rnd.uniform(60, 600))
        self.naive.signed_on, self.naive.serving = self.skills, set(self.skills)
        while len(self.naive.waiters) < waiting:
            self.enter(self.caller(self.at - self.rnd.uniform(0, 300)))
        self.router.moved.clear()

    def _skills(self) -> dict[str, int]:
        return {skill: self.rnd.randint(1, 9) for skill in self.rnd.sample(SKILLS, self.rnd.randint(2, 8))}

    def caller(self, since: float) -> Waiter:
        self.calls += 1
        rnd = self.rnd
        asked: dict[str, Any] = {s: rnd.randint(1, 7) for s in rnd.sample(SKILLS, rnd.randint(0, 2))}
        if rnd.random() < 0.2:
            asked["any"] = [{s: rnd.randint(1, 7)} for s in rnd.sample(SKILLS, 2)]
        return Waiter(key=str(self.calls), queue=f"q{rnd.randrange(QUEUES)}", since=since, skills=asked,
                      priority=rnd.choice((0, 0, 0, 1, 5, 10)))  # fmt: skip

    def enter(self, one: Waiter) -> float:
        began = time.thread_time()
        due = self.router.wait(one, self.at)
        taken = time.thread_time() - began
        self.naive.waiters[one.key] = one
        if due is not None:
            heapq.heappush(self.due, (due, one.key))
        return taken

    def left(self, key: str) -> None:
        del self.naive.waiters[key]
        self.naive.ladders.pop(key, None)

    def later(self) -> None:
        """Time goes on; who has waited long enough may be served by others."""
        end = self.at + 0.03125
        while self.due and self.due[0][0] <= end:
            self.at, key = heapq.heappop(self.due)
            if key in self.naive.waiters:
                self.steps.append(self.enter(self.naive.waiters[key]))
        self.at = end

    def freed(self, check: bool) -> tuple[float, float]:
        """Seconds of the Router, and of the naive choice."""
        self.later()
        name = f"a{self.rnd.randrange(AGENTS)}"
        skills, slow = self.skills[name], 0.0
        began = time.thread_time()
        self.router.free(name, skills, self.at)
        match = self.router.for_agent(name, self.at)
        taken = time.thread_time() - began
        if check:
            self.naive.free[name] = skills, self.at
            slow = self.compare(match and match.key, lambda: self.naive.caller_for(name, self.at))
            del self.naive.free[name]
        began = time.thread_time()
        if match is not None:
            self.router.leave(match.key)
        self.router.busy(name)
        taken += time.thread_time() - began
        if match is not None:
            self.left(match.key)
            self.enter(self.caller(self.at))
        return taken, slow

    def came(self, check: bool) -> tuple[float, float]:
        """A caller comes while agents are idle."""
        self.later()
        one, slow = self.caller(self.at), 0.0
        began = time.thread_time()
        self.router.wait(one, self.at)
        match = self.router.agent_for(one.key, self.at)
        if match is not None:  # as for_call does; it might find one of those who wait, at whom nobody has looked here
            self.router.first_of(match.agent, self.at, 1)
        taken = time.thread_time() - began
        self.naive.waiters[one.key] = one
        if check:
            slow = self.compare(match and match.agent, lambda: self.naive.agent_for(one.key, self.at))
        self.router.leave(one.key)
        self.left(one.key)
        return taken, slow

    def compare(self, ours: str | None, choose: Callable[[], str | None]) -> float:
        began = time.thread_time()
        theirs = choose()
        taken = time.thread_time() - began
        if ours != theirs:
            raise SystemExit(f"the Router chose {ours}, but {theirs} comes first")
        return taken

    def rest(self, share: float) -> None:
        """So many agents are idle; nobody looks at who waits."""
        for name in self.rnd.sample(sorted(self.skills), int(share * AGENTS)):
            since = self.at - self.rnd.uniform(0, 600)
            self.router.free(name, self.skills[name], since)
            self.naive.free[name] = self.skills[name], since


def measure(waiting: int, seconds: float, seed: int, rows: list[list[str]]) -> dict[str, float]:
    centre = Centre(waiting, seed)
    gc.collect()
    gc.freeze()
    fast: dict[str, list[float]] = {"freed": [], "caller": []}
    slow: dict[str, list[float]] = {"freed": [], "caller": []}
    for kind, step in (("freed", centre.freed), ("caller", centre.came)):
        if kind == "caller":
            centre.rest(0.2)
        until, n = time.thread_time() + seconds / 2, 0
        while time.thread_time() < until or n < 2000:
            mine, its = step(n % 10 == 0)
            fast[kind].append(mine)
            if n % 10 == 0:
                slow[kind].append(its)
            n += 1
        rows.append(row(f"{kind}", waiting, fast[kind]))
        rows.append(row(f"{kind}, naive", waiting, slow[kind]))
    rows.append(row("step", waiting, centre.steps))
    gc.unfreeze()
    every = sorted(fast["freed"] + fast["caller"])
    return {"p99 ms": quantile(every, 0.99) * 1000, "decisions/s": len(every) / sum(every), "MB": rss(),
            "mean us": sum(every) / len(every) * 1e6, "compared": len(slow["freed"]) + len(slow["caller"])}  # fmt: skip


def row(what: str, waiting: int, times: list[float]) -> list[str]:
    times = sorted(times)
    cells = [quantile(times, part) * 1000 for part in (0.5, 0.99)] + [times[-1] * 1000]
    return [what, f"{waiting:,}", f"{len(times):,}", *(f"{cell:.3f}" for cell in cells),
            f"{len(times) / sum(times):,.0f}"]  # fmt: skip


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, nargs="+", default=[1000, 3000, 10_000])
    parser.add_argument("--seconds", type=float, default=10.0, help="at each number of callers")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"Python {platform.python_version()}; {AGENTS:,} agents, {len(SKILLS)} skills")  # fmt: skip
    rows = [["", "waiting", "decisions", "p50 ms", "p99 ms", "max ms", "/s"]]
    found = {waiting: measure(waiting, args.seconds, args.seed, rows) for waiting in args.waiting}
    widths = [max(len(line[i]) for line in rows) for i in range(len(rows[0]))]
    for line in rows:
        cells = [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        print("  ".join(cells))
    return verdict(found)


def verdict(found: dict[int, dict[str, float]]) -> int:
    least, most = min(found), max(found)
    growth = found[most]["mean us"] / found[least]["mean us"]
    last = found[most]
    missed = [
        name for name, goal in GOAL.items() if (last[name] < goal if name == "decisions/s" else last[name] > goal)
    ]  # fmt: skip
    print(f"{most:,} waiting: p99 {last['p99 ms']:.3f} ms, {last['decisions/s']:,.0f} decisions/s, "
          f"{last['MB']:.0f} MB at most; a decision costs {growth:.1f} times that with {least:,}; "
          f"{sum(one['compared'] for one in found.values()):,.0f} choices as the naive ones")  # fmt: skip
    if len(found) > 1 and growth >= most / least:
        missed.append("growth")
    print("goals: " + ("reached" if not missed else f"MISSED: {', '.join(missed)}"))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
