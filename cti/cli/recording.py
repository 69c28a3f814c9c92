"""`cti recording`: what was recorded, and whether the files are still what they were."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from cti.adapters.postgres import Store
from cti.cli import database, options
from cti.errors import BadInput

MESSAGE = "(caller)"  # a message, or what a `record` node asked for: nobody else is heard
HEAD = ("recording", "call", "agent", "seconds", "bytes", "path")


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "recording", "recorded conversations")
    listed = database.verb(verbs, "list", "recordings, newest first", _list, True)
    listed.add_argument("--limit", type=int, default=50, metavar="N")
    listed.add_argument("--agent", metavar="NAME")
    database.verb(verbs, "verify", "compare each file with its size and sha256; exit 1 when one differs", _verify, True)


def _list(args: argparse.Namespace) -> int:
    if not 1 <= args.limit <= 10000:
        raise BadInput("--limit is 1 to 10000", "bad_limit")

    async def work(store: Store) -> list[dict[str, Any]]:
        return (await store.list_recordings(agent=args.agent, limit=args.limit))[0]

    rows = database.run(args, work)
    if args.json:
        options.print_json(rows)
        return 0
    zone = database.zone(args)
    cells = [
        (database.local(r["started_at"], zone), r["recording_id"], r["call_id"], r["agent"] or MESSAGE,
         f"{r['seconds']:.1f}", r["bytes"], r["path"])
        for r in rows
    ]  # fmt: skip
    print(database.table((f"started ({zone})", *HEAD), cells))
    return 0


def _verify(args: argparse.Namespace) -> int:
    """Silence is no fault: there is nothing that could be lost."""
    root = options.load(args).paths.recordings

    async def work(store: Store) -> tuple[list[dict[str, str]], int]:
        told, count = [], 0
        cursor: str | None = None
        while True:
            rows, cursor = await store.list_recordings(cursor=cursor, limit=500)
            count += len(rows)
            told += [one for one in (_verdict(root, row) for row in rows) if one is not None]
            if cursor is None:
                return told, count

    told, count = database.run(args, work)
    silent = sum(one["verdict"] == "silent" for one in told)
    bad = len(told) - silent
    if args.json:
        options.print_json({"good": count - len(told), "bad": bad, "silent": silent, "recordings": told})
    else:
        for one in told:
            print(database.safe(": ".join(filter(None, (one["recording_id"], one["text"], one["path"])))))
        print(f"{count - len(told)} good, {bad} bad" + (f", {silent} without sound" if silent else ""))
    return 1 if bad else 0


def _verdict(root: Path, row: dict[str, Any]) -> dict[str, str] | None:
    """What is to be told of this row of v_recordings; None: it is good."""
    silent = not row["bytes"] and not _spooled(root, row)
    fault = "no sound was sent" if silent else fault_of(root, row)
    if not fault:
        return None
    verdict = "silent" if silent else "bad"
    return {"recording_id": row["recording_id"], "verdict": verdict, "text": fault, "path": row["path"] or ""}


def fault_of(root: Path, row: dict[str, Any]) -> str:
    """What is wrong with the file of this row; empty: nothing."""
    if not row["bytes"]:
        return "is not finished, its sound is still in the spool: see the server's log, then restart the server"
    path = root / str(row["path"])
    if not path.resolve().is_relative_to(root.resolve()):
        return "lies outside paths.recordings"
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != row["bytes"]:
        return f"has {path.stat().st_size} bytes, not {row['bytes']}"
    with path.open("rb") as file:
        return "" if hashlib.file_digest(file, "sha256").hexdigest() == row["sha256"] else "was changed"


def _spooled(root: Path, row: dict[str, Any]) -> bool:
    """Work is left: the recorder keeps what it could not finish, and removes what held no sound."""
    return any((root / "spool").glob(f"{row['recording_id']}*"))
