"""Hidden verbs of `cti up --demo`: fill an empty home, and play callers, agents and the newcomer's phone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal

from cti.adapters import postgres_migrations
from cti.cli import options
from cti.config import Config
from cti.demo import run, seed


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, func in (("demo-seed", main_seed), ("demo-run", main_run)):
        parser = sub.add_parser(name)
        options.add(parser)
        parser.set_defaults(func=func)


def main_seed(args: argparse.Namespace) -> int:
    """Bring the schema up to date and fill it. Raises BadInput when the home holds other data."""
    config = options.load(args)

    async def work() -> bool:
        await postgres_migrations.migrate(config.postgres.dsn)
        return await seed.seed(config)

    seed.require_loopback(config)
    print("demo data: " + ("made" if asyncio.run(work()) else "already there"))
    return 0


def main_run(args: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    return asyncio.run(_until_stopped(options.load(args)))


async def _until_stopped(config: Config) -> int:
    work = asyncio.ensure_future(run.run(config))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    told = asyncio.ensure_future(stop.wait())
    await asyncio.wait([work, told], return_when=asyncio.FIRST_COMPLETED)
    if told.done():
        await _end_all()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    return 0


async def _end_all() -> None:
    """Every task is told again until it ends: on Python 3.11 a cancellation can get lost, and a phone that waits for
    such a task waits for ever."""
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.5)
