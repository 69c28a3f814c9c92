"""`cti calendar`: which calendars are open, and opening or closing one by hand."""

from __future__ import annotations

import argparse
import re
import time
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cti.adapters import flow_files
from cti.adapters.flow_files import Sources
from cti.adapters.postgres import Store
from cti.adapters.postgres_db import Row
from cti.cli import database, options
from cti.config import Config
from cti.core import ivr
from cti.core.ivr.calendars import Hours, hours
from cti.core.ivr.source import seconds
from cti.core.messages import Forced
from cti.errors import BadInput

CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
LONGEST = 366 * 86_400.0  # s


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "calendar", "opening hours, and opening or closing by hand")
    database.verb(verbs, "list", "every calendar: open or closed now, by whom until when", _list, True)
    for state, word in (("open", "open"), ("closed", "close")):
        forced = database.verb(verbs, word, f"{word} a calendar by hand; running servers follow at once", _force)
        forced.add_argument("calendar", metavar="NAME")
        forced.add_argument("--until", required=True, metavar="TIME", help="18:00, 2h, or 2026-12-24T18:00")
        forced.set_defaults(state=state)
    freed = database.verb(verbs, "auto", "let a calendar's own hours say again", _free)
    freed.add_argument("calendar", metavar="NAME")


def _list(args: argparse.Namespace) -> int:
    site = options.load(args)

    async def work(store: Store) -> tuple[ivr.Book, list[Row]]:
        return await live_book(store, site), await store.calendar_switches()

    book, switches = database.run(args, work)
    rows = _rows(book, {row["calendar"]: row for row in switches}, time.time())
    if args.json:
        options.print_json(rows)
        return 0
    zone = ZoneInfo(site.site.time_zone)
    head = ["calendar", "now", "opens next", "time zone", f"by hand ({zone})"]
    cells = [(r["calendar"], _state(r), r["next_open"], r["zone"], _by_hand(r["forced"], zone)) for r in rows]
    print(database.table(head, cells))
    return 0


async def live_book(store: Store, config: Config) -> ivr.Book:
    """The flows that calls are answered with, or those in the folder when none are live. Raises BadInput."""
    site = {"country": config.site.country, "zone": config.site.time_zone}
    live, _ = await store.serving_flows()
    files = await store.load_flows(live["version"]) if live else None
    if live is not None and files is not None:
        book, problems = flow_files.load(Sources(files), version=live["version"], **site)
    else:
        book, problems = flow_files.check(config.paths.flows, **site)
    if book is None:
        raise BadInput(f"{problems[0]}; `cti flow check` tells every problem", "bad_flows")
    return book


def _rows(book: ivr.Book, switches: dict[str, Row], now: float) -> list[Row]:
    rows = []
    for name in sorted({*book.calendars, *switches}):
        calendar, switch = book.calendars.get(name), switches.get(name)
        forced = Forced(switch["state"], datetime.fromisoformat(switch["until"]).timestamp()) if switch else None
        found: Any = hours(calendar, now, book.zone, forced, "en") if calendar else Hours("closed")
        told = {"state": found.state, "holiday": found.holiday, "next_open": found.next_open}
        zone = calendar.zone or book.zone if calendar else None
        by_hand = {key: switch[key] for key in ("state", "until", "by", "at")} if switch else None
        rows.append({"calendar": name, "zone": zone, **(told if calendar else {**told, "state": None}),
                     "forced": by_hand})  # fmt: skip
    return rows


def _state(row: Row) -> str:
    if row["state"] is None:
        return "not in calendars.yaml"
    return f"{row['state']}: {row['holiday']}" if row["holiday"] else str(row["state"])


def _by_hand(forced: Row | None, zone: ZoneInfo) -> str:
    return f"{forced['state']} until {database.local(forced['until'], zone)} by {forced['by']}" if forced else ""


def _force(args: argparse.Namespace) -> int:
    config = options.load(args)
    zone = ZoneInfo(config.site.time_zone)
    until = until_of(args.until, time.time(), zone)

    async def work(store: Store) -> None:
        known = sorted((await live_book(store, config)).calendars)
        if args.calendar not in known:
            names = f"there are: {', '.join(known)}" if known else "there are none"
            raise BadInput(f"there is no calendar `{args.calendar}` in the live flows; {names}", "no_calendar")
        await store.force_calendar(args.calendar, args.state, until, database.actor())

    database.run(args, work)
    print(f"{args.calendar} is {args.state} until {datetime.fromtimestamp(until, zone):%Y-%m-%d %H:%M:%S} {zone}")
    return 0


def _free(args: argparse.Namespace) -> int:
    changed = database.run(args, lambda store: store.force_calendar(args.calendar, None, 0.0, database.actor()))
    print(f"{args.calendar} goes by its hours" + (" again" if changed else ": it was not opened or closed by hand"))
    return 0


def until_of(text: str, now: float, zone: ZoneInfo) -> float:
    """`18:00`: the next such moment; `2h`: from now; ISO date and time, in the site's zone unless it names one. Raises
    BadInput."""
    until = _moment(text.strip(), now, zone)
    if until is None:
        raise BadInput(f"--until {text!r}: write 18:00, 2h, or 2026-12-24T18:00", "bad_until")
    if not now < until <= now + LONGEST:
        raise BadInput(f"--until {text!r}: it lies in the future, at most a year from now", "bad_until")
    return until


def _moment(text: str, now: float, zone: ZoneInfo) -> float | None:
    length = seconds(text)
    if length is not None:
        return now + length
    if clock := CLOCK.fullmatch(text):
        today = datetime.fromtimestamp(now, zone).replace(
            hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0
        )
        return next(at for day in (0, 1) if (at := (today + timedelta(days=day)).timestamp()) > now)
    try:
        written = datetime.fromisoformat(text)
        return (written if written.tzinfo else written.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        return None
