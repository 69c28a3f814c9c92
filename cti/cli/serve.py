"""`cti serve`: the server alone, on the services that the config names, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import signal
import sys
from collections.abc import Sequence

from cti import app
from cti.adapters import postgres_migrations
from cti.adapters.postgres import Station
from cti.cli import options
from cti.config import Config
from cti.embedded import asterisk, render
from cti.errors import CtiError

log = logging.getLogger("cti")

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
CONTROLS |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = sub.add_parser("serve", help="run the server alone, on services the config names")
    options.add(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    config = options.load(args)
    set_up_logging()
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # where does it hang? kill -USR1
    if sys.flags.dev_mode:
        logging.getLogger("asyncio").setLevel(logging.DEBUG)
    try:
        asyncio.run(_serve(config))
    except CtiError as error:
        log.error("%s", error)
        raise
    return 0


async def _serve(config: Config) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, tell_tasks)
    await app.patiently("PostgreSQL", lambda: postgres_migrations.migrate(config.postgres.dsn))
    await app.App(config, lambda stations: apply_stations(config, stations)).run()


def tell_tasks() -> None:
    """Where does it wait? `kill -USR2` says it of every task (`kill -USR1` of every thread)."""
    for task in asyncio.all_tasks():
        task.print_stack()


class OneLine(logging.Formatter):
    """What a caller sends may stand in a message: no control character of it reaches a terminal or starts a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).translate(CONTROLS)


def set_up_logging() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)  # the writer says in one line that PostgreSQL is away


async def apply_stations(config: Config, stations: Sequence[Station]) -> None:
    """Write the stations into Asterisk's files and make them count; for an Asterisk that is not ours, say how."""
    folder = config.asterisk.config_dir
    if not (folder / "asterisk.conf").exists():
        log.warning("stations changed: write them to pjsip.conf, then run: asterisk -rx 'module reload res_pjsip.so'")
        return
    try:
        await asyncio.to_thread(
            render.write_stations, folder, [render.Station(s.number, s.secret) for s in stations]
        )
        await asterisk.reload_pjsip(config)
    except (CtiError, OSError) as error:
        log.error("stations could not be changed: %s", error)
