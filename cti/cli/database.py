"""What the verbs on the database share: the store of the home, whose hand it is, tables for people."""

from __future__ import annotations

import argparse
import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from cti.adapters.postgres import Store
from cti.cli import options

T = TypeVar("T")
Subparsers = Any  # argparse's own type is private


def run(args: argparse.Namespace, work: Callable[[Store], Awaitable[T]]) -> T:
    """Do it with the store of the home. Raises ConfigError, Unavailable."""
    dsn = options.load(args).postgres.dsn

    async def with_store() -> T:
        store = await Store.open(dsn)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(with_store())


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


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell."""
    cells = [[safe("" if cell is None else str(cell)) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in cells)


def safe(text: str) -> str:
    """What a caller sent, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
