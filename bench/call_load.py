"""Real calls at a steady rate, end to end: `python bench/call_load.py [--rates 5,10,20] [--seconds 20] [--agents 80]`.

A fresh home; SIPp calls the demo number and presses 1; SIPp agents answer in 100 ms; each talks for two seconds, wraps
up for one, and has a page open. No sound is sent, so recording costs its start and end only.

connect  from the queue to the bridge, as the database has it, the phone's 100 ms included
pop      from the agent's INVITE to the screen-pop at his page, both seen from outside; below 0: the page was first
cpu      processor time of each part divided by the number of calls, idle work included

The same load over Asterisk's own app_queue, in turns, comes with the issue that compares them.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

import aiohttp  # noqa: E402
from kit import World, sipp_agents, sipp_callers  # noqa: E402
from kit.crowd import hire, no_channels  # noqa: E402
from kit.page import Page, open_page  # noqa: E402

from cti.embedded.supervisor import running_pid  # noqa: E402
from tests.kit_home import running  # noqa: E402

TALK, ANSWER = 2.0, 0.1
PARTS = ("asterisk", "server", "postgres")
TICK = os.sysconf("SC_CLK_TCK")


class Row(NamedTuple):
    rate: float
    calls: int
    answered: int
    connect: list[float]
    pop: list[float]
    cpu: dict[str, float]


def at_percent(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def cpu_seconds(root: int) -> float:
    """Of a process, what it started and what of that has ended."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        stats[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICK)
    family, total = [root], 0.0
    while family:
        one = family.pop()
        total += stats.get(one, (0, 0.0))[1]
        family += [pid for pid, (parent, _) in stats.items() if parent == one]
    return total


def all_cpu(home: Path) -> dict[str, float]:
    return {part: cpu_seconds(running_pid(home / "pids", part) or 0) for part in PARTS}


def pop_delays(folder: Path, pages: dict[str, Page]) -> list[float]:
    """The n-th INVITE of a station beside the n-th screen-pop of its agent."""
    invites: dict[str, list[float]] = defaultdict(list)
    seen = set()
    for line in (folder / "agents_messages.csv").read_text().splitlines():
        fields = line.split("\t")
        if len(fields) > 6 and fields[3] == "R" and fields[6].startswith("INVITE sip:") and fields[4] not in seen:
            seen.add(fields[4])
            invites[fields[6][11:].partition("@")[0]].append(float(fields[2]))
    return [
        at - invite
        for station, page in pages.items()
        for invite, (at, _) in zip(invites[station], page.all("screen_pop"), strict=False)
    ]


async def measure(world: World, rate: float, calls: int, secrets: dict[str, str], folder: Path) -> Row:
    """One rate; everybody is ready again afterwards."""
    began = (await world.rows("SELECT now() AS now"))[0]["now"]
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            aiohttp.ClientSession(world.url, connector=aiohttp.TCPConnector(limit=0))
        )
        await stack.enter_async_context(sipp_agents(world.sip, secrets, folder / "agents", answer_after=ANSWER))
        pages = {}
        for station in secrets:
            await world.ready(f"a{station}", station)
            pages[station] = await stack.enter_async_context(open_page(world, f"a{station}", http))
        before = all_cpu(world.path)
        done = await sipp_callers(world.sip, "6000", folder / "callers", count=calls, rate=rate, talk=TALK,
                                  timeout=calls / rate + 60)  # fmt: skip
        await no_channels(world, 10)
        after = all_cpu(world.path)
        await asyncio.sleep(2)  # the last wrap-ups
    if done.bad:
        print(f"  {done.bad} calls failed at {rate:g}/s: {done.errors[:300]}", file=sys.stderr)
    rows = await world.rows("SELECT * FROM crm.v_calls WHERE started_at > $1", began)
    others = [str(row["outcome"]) for row in rows if row["outcome"] != "answered"]
    if others:
        print(f"  not answered: {', '.join(f'{others.count(o)} {o}' for o in sorted(set(others)))}", file=sys.stderr)
    rows = [row for row in rows if row["outcome"] == "answered"]
    connect = [(row["connected_at"] - row["queued_at"]).total_seconds() for row in rows]
    cpu = {part: (after[part] - before[part]) / calls for part in PARTS}
    return Row(rate, calls, len(rows), connect, pop_delays(folder / "agents", pages), cpu)


def line(row: Row) -> str:
    def three(values: Sequence[float]) -> str:
        return "".join(f"{at_percent(values, percent) * 1000:>7.0f}" for percent in (50, 99, 100))

    cpu = "".join(f"{row.cpu[part] * 1000:>10.1f}" for part in PARTS)
    return f"{row.rate:>5g} {row.calls:>6} {row.answered:>9} {three(row.connect)} {three(row.pop)} {cpu}"


async def bench(home: Path, rates: list[float], seconds: float, seats: int, folder: Path) -> bool:
    world = World(home)
    stations = {f"a{3000 + n}": f"{3000 + n}" for n in range(seats)}
    secrets = await hire(world, stations, {"sales": 5})
    print(f"{'':>5} {'':>6} {'':>9} {'connect, ms':^21} {'pop, ms':^21} {'cpu, ms a call':^30}")
    print(f"{'/s':>5} {'calls':>6} {'answered':>9} {'p50':>7}{'p99':>7}{'worst':>7} {'p50':>7}{'p99':>7}{'worst':>7} "
          + "".join(f"{part:>10}" for part in PARTS))  # fmt: skip
    good = True
    for rate in rates:
        row = await measure(world, rate, int(rate * seconds), secrets, folder / f"{rate:g}")
        print(line(row), flush=True)
        good = good and row.answered == row.calls
    return good


def processor() -> str:
    names = [x.partition(":")[2].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
    return names[0] if names else platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", default="5,10,20", help="calls a second, in turn")
    parser.add_argument("--seconds", type=float, default=20, help="how long each")
    parser.add_argument("--agents", type=int, default=80, help="seats; each takes one call in 3.1 s")
    args = parser.parse_args()
    rates = [float(rate) for rate in args.rates.split(",")]
    print(f"{platform.platform()}, {os.cpu_count()} x {processor()}, load {os.getloadavg()[0]:.1f}, "
          f"Python {platform.python_version()}; callers, phones and pages on the same machine")  # fmt: skip
    print(f"{args.agents} agents, phones answer in {ANSWER * 1000:.0f} ms, {TALK:g} s talk, 1 s wrap-up, no sound sent")
    with tempfile.TemporaryDirectory(prefix="cti-bench-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder) / "home") as home:
            return 0 if asyncio.run(bench(home.path, rates, args.seconds, args.agents, Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main())
