"""What a call costs, and how soon it is where it should be, through cti and through Asterisk's app_queue.

    python bench/call_cost.py [--rates 5,10,20,30] [--seconds 20] [--rounds 3] [--agents 100] [--recording]

The same Asterisk twice, one under cti and one with app_queue and no daemon, each with the same trunk, stations, music
and codecs; SIPp calls both in turns, in another order each round. A caller is answered, waits, talks three seconds
with whoever was free; the agent hangs up. Phones answer at once. Times come from the wire (bench/wire.py), the same
clock for all; needs root.

app_queue   as it is when nobody tunes it (retry 5 s), leastrecent, autofill, ringinuse=no
  tuned     retry 1 s, the least it takes, and timeoutrestart
  records   tuned, and it keeps what can be looked up later by Asterisk's own means: CDR, channel events and the queue
            log go into PostgreSQL, and somebody (not counted) reads its AMI events

offer    from the caller's INVITE to the INVITE at the agent
connect  from the caller's INVITE to the agent's first sound in his ear, known to 4 ms
cpu      processor time of each part divided by the number of calls, idle work included; the median of the rounds.
         cti is the server and `cti up` together
freed    few agents, more calls than they can take: from an agent's BYE (and his wrap-up) to his next INVITE
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration"), str(ROOT / "bench")]
os.environ.setdefault("PYTEST_XDIST_WORKER", "gw7")  # ports that tests running meanwhile do not take

import app_queue  # noqa: E402
from app_queue import AppQueue  # noqa: E402
from call_load import TICK, at_percent, cpu_seconds, processor  # noqa: E402
from kit import World, sipp_agents, sipp_callers  # noqa: E402
from kit.crowd import hire  # noqa: E402
from wire import AGENT_SPEAKS, CALLER_SPEAKS, MARK, SILENCE, Wire, fold, freed_to_next, offered, write_sound  # noqa: E402

from cti.config import Config  # noqa: E402
from cti.embedded import asterisk  # noqa: E402
from cti.embedded.supervisor import running_pid  # noqa: E402
from tests.embedded.conftest import left_nothing  # noqa: E402
from tests.kit_home import RunningHome, clean  # noqa: E402
from tests.kit_pg import Cluster  # noqa: E402

PARTS = ("asterisk", "cti", "postgres", "redis")
FEW = 10
RECORDS = "  records"  # the rival that keeps them
AGENTS_MEDIA, CALLERS_MEDIA = 22000, 27000  # four RTP ports a call, where nobody else is
FLOW = """
flow: {name}
language: en
start: wait
nodes:
  wait: {{do: queue, queue: {name}, answered: hangup, then: hangup}}
"""


@dataclass
class Turn:
    """One load on one system."""

    calls: int
    connected: int
    offer: list[float]
    connect: list[float]
    freed: list[float]
    cpu: dict[str, float]  # seconds a call


@dataclass
class Row:
    """All turns of one system under one load."""

    name: str
    turns: list[Turn] = field(default_factory=list)

    def all(self, what: str) -> list[float]:
        return [value for turn in self.turns for value in getattr(turn, what)]

    def cpu(self, part: str) -> float:
        return statistics.median(turn.cpu.get(part, 0.0) for turn in self.turns)

    @property
    def sum(self) -> float:
        return statistics.median(sum(turn.cpu.values()) for turn in self.turns)


class System(Protocol):
    name: str
    config: Config
    sip: tuple[str, int]
    secrets: Mapping[str, str]

    def cpu(self) -> dict[str, float]: ...

    async def staff(self, few: bool) -> None:
        """Phones are registered: make their agents ready."""

    def dials(self, few: bool) -> str: ...


class Cti:
    name = "cti"

    def __init__(self, home: RunningHome, world: World, secrets: Mapping[str, str]) -> None:
        self.home, self.world, self.secrets = home, world, secrets
        self.config, self.sip = world.config, world.sip

    def cpu(self) -> dict[str, float]:
        pids = self.home.path / "pids"
        assert self.home.process is not None
        found = {part: cpu_seconds(running_pid(pids, part) or 0) for part in ("asterisk", "postgres", "redis")}
        server = cpu_seconds(running_pid(pids, "server") or 0)
        return {**found, "cti": server + own_seconds(self.home.process.pid)}

    async def staff(self, few: bool) -> None:
        for station in chosen(self.secrets, few):
            await self.world.ready(f"a{station}", station)

    def dials(self, few: bool) -> str:
        return "6900" if few else "6800"


class Rival:
    def __init__(self, name: str, switch: AppQueue, secrets: Mapping[str, str], how: Mapping[str, str],
                 args: argparse.Namespace, records: Cluster | None = None) -> None:  # fmt: skip
        self.name, self.switch, self.secrets, self.records = name, switch, secrets, records
        self.config, self.sip = switch.config, switch.sip
        self.how, self.wrap_up, self.record = how, args.wrap_up, args.recording

    def cpu(self) -> dict[str, float]:
        postgres = {"postgres": cpu_seconds(self.records.pid)} if self.records else {}
        return {"asterisk": cpu_seconds(self.switch.kept.pid or 0), **postgres}

    async def staff(self, few: bool) -> None:
        await self.switch.queue(chosen(self.secrets, few), self.how, self.wrap_up, self.record)
        async with asyncio.timeout(20):
            while "(Unavailable)" in await asterisk.control(self.config, "queue show bench"):
                await asyncio.sleep(0.2)

    def dials(self, few: bool) -> str:
        return "6800"


def chosen(secrets: Mapping[str, str], few: bool) -> dict[str, str]:
    """Stations of the few begin with 39."""
    return {station: secret for station, secret in secrets.items() if station.startswith("39") is few}


def own_seconds(pid: int) -> float:
    """Processor time of a process without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICK


async def quiet(config: Config, seconds: float) -> None:
    """Until the switch has no call. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (await asterisk.control(config, "core show channels count")).startswith("0 active channels"):
            await asyncio.sleep(0.2)


async def turn(system: System, few: bool, rate: float, calls: int, args: argparse.Namespace, folder: Path) -> Turn:
    stations = chosen(system.secrets, few)
    numbers = [(f"+62811{n:06d}", "SIPp") for n in range(calls)]
    async with sipp_agents(system.sip, stations, folder / "agents", answer_after=args.answer, talk=args.talk,
                           sound=args.agent_sound, media=AGENTS_MEDIA):  # fmt: skip
        await system.staff(few)
        before = system.cpu()
        with Wire() as wire:
            done = await sipp_callers(system.sip, system.dials(few), folder / "callers", count=calls, rate=rate,
                                      numbers=numbers, key="", key_after=0, sound=args.caller_sound,
                                      media=CALLERS_MEDIA, timeout=2 * args.seconds + 120)  # fmt: skip
            await quiet(system.config, 20)
            await asyncio.sleep(args.wrap_up + 1)
        after = system.cpu()
    if done.bad:
        print(f"  {system.name}: {done.bad} calls failed at {rate:g}/s: {done.errors[:300]}", file=sys.stderr)
    people, offers = fold(wire.packets, system.sip[1])
    connect = [call.heard - call.invited for call in people if call.heard]
    freed = freed_to_next(people, offers, args.wrap_up)
    cpu = {part: (after[part] - before[part]) / calls for part in after}
    return Turn(calls, len(connect), offered(people, offers), connect, freed, cpu)


# ---------------------------------------------------------------- what is printed


def three(values: Sequence[float]) -> str:
    return "".join(f"{at_percent(values, percent) * 1000:>8.1f}" for percent in (50, 99, 100))


def cost(row: Row) -> str:
    return "".join(f"{row.cpu(part) * 1000:>10.1f}" for part in PARTS) + f"{row.sum * 1000:>8.1f}"


COST = "".join(f"{part:>10}" for part in PARTS) + f"{'sum':>8}"
THREE = f"{'p50':>8}{'p99':>8}{'worst':>8}"


def show(rate: float, rows: Sequence[Row]) -> None:
    for row in rows:
        counts = f"{sum(t.calls for t in row.turns):>6} {sum(t.connected for t in row.turns):>9}"
        print(f"{rate:>5g} {row.name:<10} {counts} {three(row.all('offer'))} {three(row.all('connect'))} {cost(row)}",
              flush=True)  # fmt: skip


def show_few(rows: Sequence[Row]) -> None:
    for row in rows:
        counts = f"{sum(t.calls for t in row.turns):>6} {sum(t.connected for t in row.turns):>9}"
        freed = row.all("freed")
        mean = statistics.fmean(freed) * 1000 if freed else float("nan")
        print(f"{row.name:<10} {counts} {len(freed):>7} {mean:>8.1f}{three(freed)} {cost(row)}", flush=True)


def verdict(loads: Mapping[float, Sequence[Row]], few: Sequence[Row]) -> None:
    """What was wanted, beside the better of the others."""
    print()
    if few:
        p99 = at_percent(few[0].all("freed"), 99) * 1000
        print(f"freed to next offer p99 {p99:.1f} ms, wanted under 20: {'yes' if p99 < 20 else 'NO'}")
    for rate, rows in loads.items():
        if len(rows) > 1:
            least = min(row.sum for row in rows[1:])
            fastest = min(at_percent(row.all("connect"), 50) for row in rows[1:])
            ours = at_percent(rows[0].all("connect"), 50)
            print(f"{rate:g}/s: cpu {rows[0].sum / least * 100:.0f} % of app_queue's: "
                  f"{'yes' if rows[0].sum <= least else 'NO'}; connect p50 {ours * 1000:.1f} ms, "
                  f"app_queue {fastest * 1000:.1f}: {'yes' if ours <= fastest else 'NO'}")  # fmt: skip
            alike = [row.sum for row in rows if row.name == RECORDS]
            if alike:
                print(f"  {rows[0].sum / alike[0] * 100:.0f} % of what app_queue takes when it keeps records")


# ---------------------------------------------------------------- the run


@asynccontextmanager
async def systems(folder: Path, home: RunningHome, args: argparse.Namespace) -> AsyncIterator[list[System]]:
    world = World(home.path)
    secrets: dict[str, str] = {}
    for skill, stations in (("many", range(3000, 3000 + args.agents)), ("few", range(3900, 3900 + FEW))):
        secrets |= await hire(world, {f"a{station}": f"{station}" for station in stations}, {skill: 5})
    found: list[System] = [Cti(home, world, secrets)]
    chosen_rivals = [one for one in args.rivals.split(",") if one]
    async with AsyncExitStack() as stack:
        if {"default", "tuned"} & set(chosen_rivals):
            bare = await stack.enter_async_context(app_queue.running(folder / "rival"))
            await bare.stations(secrets)
            rivals = {"default": ("app_queue", app_queue.DEFAULTS), "tuned": ("  tuned", app_queue.TUNED)}
            found += [Rival(rivals[one][0], bare, secrets, rivals[one][1], args) for one in chosen_rivals
                      if one in rivals]  # fmt: skip
        if "records" in chosen_rivals:
            cluster = Cluster.start()
            stack.callback(cluster.close)
            kept = await stack.enter_async_context(app_queue.running(folder / "records", cluster))
            await kept.stations(secrets)
            found.append(Rival(RECORDS, kept, secrets, app_queue.TUNED, args, cluster))
        yield found
        if "records" in chosen_rivals:
            print("kept by app_queue:", ", ".join(f"{n} in {table}" for table, n in (await kept.rows()).items()))


async def rounds(
    all_systems: Sequence[System], few: bool, rate: float, args: argparse.Namespace, folder: Path
) -> list[Row]:
    """Turns in another order each round, so that nobody always comes first."""
    rows = {system.name: Row(system.name) for system in all_systems}
    for number in range(args.rounds):
        order = [*all_systems[number % len(all_systems):], *all_systems[: number % len(all_systems)]]
        for system in order:
            where = folder / f"{'few' if few else 'many'}-{rate:g}-{number}-{system.name.strip()}"
            rows[system.name].turns.append(await turn(system, few, rate, int(rate * args.seconds), args, where))
    return list(rows.values())


async def bench(folder: Path, home: RunningHome, args: argparse.Namespace) -> bool:
    loads: dict[float, list[Row]] = {}
    few: list[Row] = []
    async with systems(folder, home, args) as all_systems:
        if args.rates:
            print(f"\n{'':>5} {'':<10} {'':>6} {'':>9} {'offer, ms':^24} {'connect, ms':^24} {'cpu, ms a call':^48}")
            print(f"{'/s':>5} {'':<10} {'calls':>6} {'connected':>9} {THREE} {THREE} {COST}")
        for rate in [float(one) for one in args.rates.split(",") if one]:
            loads[rate] = await rounds(all_systems, False, rate, args, folder)
            show(rate, loads[rate])
        if args.few_rate:
            print(f"\n{FEW} agents, {args.few_rate:g} calls/s\n{'':<10} {'':>6} {'':>9} {'':>7} "
                  f"{'freed to next offer, ms':^32} {'cpu, ms a call':^48}\n{'':<10} {'calls':>6} {'connected':>9} "
                  f"{'counted':>7} {'mean':>8}{THREE} {COST}")  # fmt: skip
            few = await rounds(all_systems, True, args.few_rate, args, folder)
            show_few(few)
    verdict(loads, few)
    every = [t for row in itertools.chain(*loads.values(), few) for t in row.turns]
    return all(t.connected == t.calls for t in every)


def home_of(folder: Path, args: argparse.Namespace) -> RunningHome:
    """A home with the two queues."""
    home = RunningHome(folder / "home")
    flows = home.path / "flows"
    rules = f"{{ring: 15s, wrap_up: {args.wrap_up}s, recording: {'always' if args.recording else 'never'}}}"
    queues = (flows / "queues.yaml").read_text()
    (flows / "queues.yaml").write_text(f"{queues}  many: {rules}\n  few: {rules}\n")
    (flows / "numbers.yaml").write_text('numbers: {"6800": many, "6900": few}\n')
    for name in ("many", "few"):
        (flows / f"{name}.yaml").write_text(FLOW.format(name=name))
    return home


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", default="5,10,20,30", help="calls a second, in turn; empty: none of these")
    parser.add_argument("--seconds", type=float, default=20, help="how long each turn calls")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each system at each rate")
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--talk", type=float, default=3, help="seconds")
    parser.add_argument("--answer", type=float, default=0, help="seconds until a phone answers")
    parser.add_argument("--wrap-up", type=int, default=0, help="seconds")
    parser.add_argument("--few-rate", type=float, default=4.5, help="calls a second for few agents; 0: not measured")
    parser.add_argument("--recording", action="store_true", help="every call, on both sides")
    parser.add_argument("--rivals", default="default,tuned,records", help="of app_queue")
    args = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} x {processor()}, Python {platform.python_version()}; callers and "
          f"phones on the same machine\n{args.rounds} rounds of {args.seconds:g} s; {args.agents} agents, "
          f"{args.talk:g} s talk, {args.wrap_up} s wrap-up, phones answer after {args.answer * 1000:.0f} ms, recording "
          f"{'on' if args.recording else 'off'} on both sides; load before {os.getloadavg()[0]:.1f}")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cti-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        args.agent_sound = write_sound(folder / "agent.pcap", MARK, AGENT_SPEAKS)
        args.caller_sound = write_sound(folder / "caller.pcap", SILENCE, CALLER_SPEAKS)
        try:
            with clean(home_of(folder, args)) as home:
                home.start()
                good = asyncio.run(bench(folder, home, args))
        finally:
            for rival in ("rival", "records"):
                left_nothing(folder / rival)
    print(f"load after {os.getloadavg()[0]:.1f}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
