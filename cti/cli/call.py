"""`cti call`: what happened, read from the database."""

from __future__ import annotations

import argparse
import asyncio
import re
import uuid
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cti.adapters import postgres_people
from cti.adapters.postgres import Store
from cti.adapters.postgres_db import plain
from cti.adapters.web.ports import OUTCOMES
from cti.cli import database, decision, live, options, story
from cti.errors import BadInput, Refused

HEAD = ("call", "caller", "called", "queue", "agent", "outcome", "seconds")
AGO = {"m": 60, "h": 3600, "d": 86400}


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "call", "what happened to calls")
    listed = database.verb(verbs, "list", "calls, newest first", _list, True)
    listed.add_argument("--limit", type=int, default=50, metavar="N")
    listed.add_argument("--since", metavar="WHEN", help="ISO-8601, the site's time if it names no zone; or 30m, 7d ago")
    for name in ("agent", "queue", "outcome"):
        listed.add_argument(f"--{name}", metavar="NAME")
    shown = database.verb(verbs, "show", "the story of one call, line by line", _show, True)
    shown.add_argument("call", metavar="ID", help="the call's id, or its first letters")
    why = database.verb(verbs, "why", "why a caller waits, or why he got that agent; live", _why, True)
    why.add_argument("call", metavar="ID", help="the call's id, or its first letters")
    tail = database.verb(verbs, "tail", "events as they are stored, until Ctrl-C", _tail, True)
    tail.add_argument("--once", action="store_true", help="print what is there and stop")


def _list(args: argparse.Namespace) -> int:
    if args.outcome is not None and args.outcome not in OUTCOMES:
        raise BadInput(f"--outcome {args.outcome!r}: it is one of {', '.join(sorted(OUTCOMES))}", "bad_filter")
    since = moment(args.since, database.zone(args)) if args.since else None
    if not 1 <= args.limit <= 10000:
        raise BadInput("--limit is 1 to 10000", "bad_limit")

    async def work(store: Store) -> list[dict[str, Any]]:
        rows, _ = await store.list_calls(
            since=since, agent=args.agent, queue=args.queue, outcome=args.outcome, limit=args.limit
        )
        return rows

    rows = database.run(args, work)
    if args.json:
        options.print_json(rows)
    else:
        zone = database.zone(args)
        print(database.table((f"started ({zone})", *HEAD), [_row(row, zone) for row in rows]))
    return 0


def _row(call: dict[str, Any], zone: ZoneInfo) -> tuple[object, ...]:
    start = datetime.fromisoformat(call["started_at"])
    end = datetime.fromisoformat(call["ended_at"]) if call["ended_at"] else None
    return (
        database.local(call["started_at"], zone), call["call_id"], call["caller"] or "withheld", call["called"],
        call["queue"], call["agent"], call["outcome"], f"{(end - start).total_seconds():.1f}" if end else "live",
    )  # fmt: skip


def _show(args: argparse.Namespace) -> int:
    async def work(store: Store) -> tuple[dict[str, Any], dict[str, str]]:
        call = await store.get_call(await _full_id(store, args.call))
        if call is None:
            raise Refused(f"there is no call {args.call}", "no_call")
        return call, {u["name"]: u["display_name"] for u in await postgres_people.list_users(store)}

    call, names = database.run(args, work)
    if args.json:
        options.print_json(call)
    else:
        zone = database.zone(args)
        print("\n".join(database.safe(line) for line in story.tell(call, names, zone)))
    return 0


def _why(args: argparse.Namespace) -> int:
    said = live.ask(args, f"/api/v1/calls/{_live_id(args)}/why", f"there is no call {args.call}")
    return live.show(args, said, decision.of_call)


def _live_id(args: argparse.Namespace) -> str:
    """The id itself, or the one call on the line that begins so; else the one in the database."""
    text = args.call.lower()
    calls = [row["call_id"] for row in live.ask(args, "/api/v1/status")["calls"] if row["call_id"].startswith(text)]
    if len(calls) == 1:
        return str(calls[0])
    return database.run(args, lambda store: _full_id(store, text))


async def _full_id(store: Store, text: str) -> str:
    """The id itself, or the one call that begins so."""
    text = text.lower()
    if not re.fullmatch("[0-9a-f-]{4,36}", text):
        raise BadInput("a call's id, or at least its first 4 letters (`cti call list` shows them)", "bad_call")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        found = await store.db.rows("calls_like", f"{text}%")
    if len(found) > 1:
        raise BadInput(f"more than one call begins with {text}", "bad_call")
    if not found:
        raise Refused(f"there is no call {text}", "no_call")
    return str(found[0]["call_id"])


def _tail(args: argparse.Namespace) -> int:
    zone = database.zone(args)

    async def work(store: Store) -> None:
        last = 0 if args.once else await store.db.value("last_event")
        while True:
            rows = await store.db.rows("new_events", last)
            for row in plain(rows):
                if args.json or row["type"] != "flow.at":  # the position, for the next start of the server
                    print(_event_line(row, None if args.json else zone), flush=True)
            last = rows[-1]["event_id"] if rows else last
            if args.once and not rows:
                return
            await asyncio.sleep(0.0 if rows else 0.5)

    database.run(args, work)
    return 0


def _event_line(row: dict[str, Any], zone: ZoneInfo | None) -> str:
    """For people in `zone`, with the offset, for lines have no head; None: JSON."""
    if zone is None:
        return msgspec.json.encode(row).decode()
    at = datetime.fromisoformat(row["at"]).astimezone(zone)
    parts = (at.isoformat(" ", "milliseconds"), row["call_id"], row["type"], row["agent"], row["queue"])
    data = " ".join(f"{key}={value}" for key, value in row["data"].items() if key not in story.QUIET)
    return database.safe(" ".join(str(part) for part in (*parts, data) if part))


def moment(text: str, zone: tzinfo = UTC) -> float:
    """Seconds since the epoch; `zone`: of a time that names none. Raises BadInput."""
    ago = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    if ago:
        return datetime.now(UTC).timestamp() - int(ago[1]) * AGO[ago[2]]
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    except ValueError:
        raise BadInput(f"{text!r} is no time: 2026-11-22T08:00:00Z, or 30m, 4h, 7d", "bad_time") from None
