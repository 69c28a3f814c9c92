"""`cti flow draw`: a flow as a Mermaid flowchart, or as an SVG picture, with what callers did in it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from cti.adapters import flow_files
from cti.adapters.postgres import Store
from cti.adapters.postgres_db import Row
from cti.cli import database, options
from cti.core import ivr
from cti.core.ivr.drawing import counts_of, mermaid, svg
from cti.errors import BadInput


def register(verbs: Any) -> None:
    draw = verbs.add_parser("draw", help="print the flow as a Mermaid flowchart, or write it as an SVG picture")
    draw.add_argument("flow", metavar="FLOW", help="the name of a flow")
    draw.add_argument("--flows", type=Path, metavar="DIR", help="default: the configured flows folder")
    draw.add_argument("--svg", type=Path, metavar="FILE", help="write an SVG picture; - prints it")
    draw.add_argument("--counts", type=_days, nargs="?", const=1, metavar="DAYS", help="with --svg: how many callers "
                      "went which way, and where they hung up, in the last days (1); reads the database")  # fmt: skip
    options.add(draw)
    draw.set_defaults(func=_draw)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 100):
        raise argparse.ArgumentTypeError("a number of days from 1 to 100")
    return int(text)


def _book(args: argparse.Namespace) -> ivr.Book | None:
    settings = options.load(args)
    book, problems = flow_files.check(
        args.flows or settings.paths.flows, country=settings.site.country, zone=settings.site.time_zone
    )
    for problem in problems:
        print(problem, file=sys.stderr)
    if book is not None and args.flow not in book.flows:
        print(f"cti: there is no flow `{args.flow}`; there are: {', '.join(sorted(book.flows))}", file=sys.stderr)
        return None
    return book


def _draw(args: argparse.Namespace) -> int:
    if args.counts and args.svg is None:
        raise BadInput("--counts needs --svg FILE: Mermaid has no place for them", "usage")
    book = _book(args)
    if book is None:
        return 1
    flow = book.flows[args.flow]
    if args.svg is None:
        print(mermaid(flow), end="")
        return 0
    text = svg(flow, counts_of(_counted(args)) if args.counts else None)
    if str(args.svg) == "-":
        print(text, end="")
    else:
        _write(args.svg, text)
    return 0


def _counted(args: argparse.Namespace) -> list[Row]:
    async def work(store: Store) -> list[Row]:
        now = time.time()
        return await store.flow_nodes(args.flow, now - args.counts * 86_400, now)

    return database.run(args, work)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", "bad_file") from error
