"""What the verbs on the database share: the store of the home, whose hand it is, tables for people."""

from __future__ import annotations

import argparse
import asyncio
import getpass
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from cti.adapters.postgres import Store
from cti.cli import options
from cti.config import Config, private_dsn
from cti.embedded import overrides
from cti.errors import Unavailable

T = TypeVar("T")
Subparsers = Any  # argparse's own type is private


def run(args: argparse.Namespace, work: Callable[[Store], Awaitable[T]]) -> T:
    """Do it with the store of the home. Raises ConfigError, Unavailable."""
    config = options.load(args)

    async def with_store() -> T:
        store = await Store.open(config.postgres.dsn)
        try:
            return await work(store)
        finally:
            await store.close()

    with of_home(config):
        return asyncio.run(with_store())


@contextmanager
def of_home(config: Config) -> Iterator[None]:
    """A home's own database that cannot be reached while nothing of the home runs: the home is stopped, say that."""
    home = config.paths.home
    try:
        yield
    except Unavailable as e:
        if config.postgres.dsn != private_dsn(home) or overrides.any_part(home):
            raise
        raise Unavailable(f"the home {home} is not running: start `cti up --home {home}`", "home_stopped") from e


def verb(
    verbs: Any, name: str, help: str, func: Callable[[argparse.Namespace], int], with_json: bool = False
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help, description=help)
    options.add(parser, with_json)
    parser.set_defaults(func=func)
    return parser


def noun(sub: Subparsers, name: str, help: str) -> Any:
    return sub.add_parser(name, help=help, description=help).add_subparsers(metavar="VERB", required=True)


def actor() -> str:
    """Who works at the command line, for the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


def zone(args: argparse.Namespace) -> ZoneInfo:
    """The site's: every time that people read is in it and says so; JSON is UTC."""
    return ZoneInfo(options.load(args).site.time_zone)


def local(at: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(at).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell."""
    cells = [[safe("" if cell is None else str(cell)) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in cells)


def safe(text: str) -> str:
    """What a caller sent, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
