"""How many events a second the journal takes and PostgreSQL gets: `python bench/journal.py [EVENTS]`.

append   one event a call, as the engine does; each is with the operating system when the call returns
sync     until all of it is on the disk
store    the writer: COPY in batches of 1,000, rows folded in the same transaction
"""

from __future__ import annotations

import asyncio
import os
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import kit_story
from kit_pg import Cluster

from cti.adapters.journal import Journal
from cti.adapters.postgres_writer import Writer
from cti.core.messages import Event


def traffic(count: int) -> list[Event]:
    """Calls of 17 events with 6 agent states, interleaved as 50 calls at a time would be."""
    rnd, at, made = random.Random(1), time.time() - 3600, list[Event]()
    while len(made) < count:
        block = [kit_story.answered(at + n / 10, f"a{n % 40}", seed=rnd.getrandbits(60)).events for n in range(50)]
        block += [kit_story.states(f"a{n % 40}", at + n * 7) for n in range(50)]
        made += [e for step in range(17) for events in block for e in events[step : step + 1]]
        at += 5
    return made[:count]


def row(what: str, count: int, seconds: float) -> None:
    print(f"{what:8} {count:>9,} events {seconds:8.2f} s {count / seconds:>12,.0f} /s")


async def store(dsn: str, journal: Journal) -> float:
    writer = Writer(dsn, journal)
    began = time.perf_counter()
    await writer.catch_up()
    seconds = time.perf_counter() - began
    await writer.drop_link()
    return seconds


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    load = os.getloadavg()[0]
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    events = traffic(count)
    pg = Cluster.start()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        try:
            journal = Journal.open(Path(folder))
            began = time.perf_counter()
            for event in events:
                journal.append([event])
            row("append", count, time.perf_counter() - began)
            while journal.synced < journal.last:
                time.sleep(0.001)
            row("sync", count, time.perf_counter() - began)
            dsn = asyncio.run(pg.make_database(migrated=True))
            row("store", count, asyncio.run(store(dsn, journal)))
            journal.close()
        finally:
            pg.close()


if __name__ == "__main__":
    main()
