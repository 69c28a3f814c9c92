"""`cti recording`: what was recorded, and whether the files are still what they were."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from cti.adapters.postgres import Store
from cti.cli import database, options
from cti.errors import BadInput

HEAD = ("started", "recording", "call", "agent", "seconds", "bytes", "path")


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "recording", "recorded conversations")
    listed = database.verb(verbs, "list", "recordings, newest first", _list, True)
    listed.add_argument("--limit", type=int, default=50, metavar="N")
    listed.add_argument("--agent", metavar="NAME")
    database.verb(verbs, "verify", "compare every file with its size and sha256; exit 1 when one differs", _verify)


def _list(args: argparse.Namespace) -> int:
    if not 1 <= args.limit <= 10000:
        raise BadInput("--limit is 1 to 10000", "bad_limit")

    async def work(store: Store) -> list[dict[str, Any]]:
        return (await store.list_recordings(agent=args.agent, limit=args.limit))[0]

    rows = database.run(args, work)
    if args.json:
        options.print_json(rows)
        return 0
    cells = [
        (r["started_at"][:19], r["recording_id"], r["call_id"], r["agent"], f"{r['seconds']:.1f}", r["bytes"],
         r["path"])
        for r in rows
    ]  # fmt: skip
    print(database.table(HEAD, cells))
    return 0


def _verify(args: argparse.Namespace) -> int:
    root = options.load(args).paths.recordings
    good, bad = 0, 0

    async def work(store: Store) -> None:
        nonlocal good, bad
        cursor: str | None = None
        while True:
            rows, cursor = await store.list_recordings(cursor=cursor, limit=500)
            for row in rows:
                fault = fault_of(root, row)
                good, bad = good + (not fault), bad + bool(fault)
                if fault:
                    print(f"{row['recording_id']}: {fault}: {row['path']}")
            if cursor is None:
                return

    database.run(args, work)
    print(f"{good} good, {bad} bad")
    return 1 if bad else 0


def fault_of(root: Path, row: dict[str, Any]) -> str:
    """What is wrong with the file of this row of v_recordings; empty: nothing."""
    if not row["bytes"]:
        return "was never complete"
    path = root / str(row["path"])
    if not path.resolve().is_relative_to(root.resolve()):
        return "lies outside paths.recordings"
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != row["bytes"]:
        return f"has {path.stat().st_size} bytes, not {row['bytes']}"
    with path.open("rb") as file:
        return "" if hashlib.file_digest(file, "sha256").hexdigest() == row["sha256"] else "was changed"
