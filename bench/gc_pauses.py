"""How long Python's garbage collector holds up calls: `python bench/gc_pauses.py [--waiting 10000] [--calls 20000]`.

So many callers wait in the core; then calls come and leave. Each way of setting the collector runs in a process of its
own. Pauses are processor time of the thread that is held up, so that a busy machine makes none longer.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "core"))

from office import Caller, Office

from cti.collector import NEVER
from cti.core.messages import Event


def frozen(*thresholds: int) -> None:
    gc.freeze()
    gc.set_threshold(*thresholds)


WAYS: dict[str, Any] = {
    "as Python sets it": lambda: None,
    "frozen after the start": gc.freeze,
    "frozen, 10,000 young": lambda: frozen(10_000, 10, 10),
    "cti: frozen, all when quiet": lambda: frozen(700, 10, NEVER),
}


class Last(list[Event]):
    """What an office has told lately."""

    def __iadd__(self, more: Any) -> Last:  # type: ignore[override,misc]
        self[:] = [*self[-8:], *more]
        return self


def came(office: Office, n: int) -> Caller:
    office.at += 0.01
    caller = office.caller(f"0812{n:06d}")
    caller.arrive()
    caller.heard()
    office.commands.clear()
    return caller


def run(way: str, waiting: int, calls: int) -> dict[str, Any]:
    office = Office(agents={f"a{n}": {"sales": 5} for n in range(200)}, max_size=100_000, max_wait="20h")
    office.events = Last()
    gc.collect()
    WAYS[way]()
    pauses: list[tuple[int, float]] = []
    began = 0.0

    def seen(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        else:
            pauses.append((info["generation"], time.thread_time() - began))

    gc.callbacks.append(seen)
    there = deque(came(office, n) for n in range(waiting))
    filled = len(pauses)
    start = time.thread_time()
    for n in range(calls):
        there.append(came(office, waiting + n))
        there.popleft().hangs_up()
    taken = time.thread_time() - start
    gc.callbacks.clear()
    late = sorted(pause for _, pause in pauses[filled:])
    return {
        "pauses": len(late), "p99": quantile(late, 0.99), "max": late[-1] if late else 0.0,
        "filling": max((pause for _, pause in pauses[:filled]), default=0.0),
        "all": sum(one == 2 for one, _ in pauses[filled:]), "share": sum(late) / taken, "us": taken / calls * 1e6,
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(run(args.way, args.waiting, args.calls)))
        return 0
    print(f"{platform.platform()}, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}; "
          f"{args.waiting:,} wait, then {args.calls:,} come and leave")  # fmt: skip
    head = ("pauses", "of all", "p99 ms", "max ms", "filling", "share", "us a call", "MB")
    print(" " * 28 + "".join(f"{word:>10}" for word in head))
    for way in WAYS:
        argv = [sys.executable, __file__, "--waiting", str(args.waiting), "--calls", str(args.calls), "--way", way]
        got = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
        print(f"{way:28}{got['pauses']:10,}{got['all']:10,}{got['p99'] * 1000:10.1f}{got['max'] * 1000:10.1f}"
              f"{got['filling'] * 1000:10.1f}{got['share']:10.1%}{got['us']:10,.0f}{got['MB']:10,.0f}")  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
