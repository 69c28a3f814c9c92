"""`cti callback`: who is to be called back; entering and cancelling by hand. Running servers follow at once."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Mapping

from cti.adapters.postgres import Store
from cti.adapters.postgres_db import Row
from cti.cli import database, options
from cti.cli.calendar import live_book
from cti.core.numbers import for_callback
from cti.core.queues import PRIORITIES, QueueConfig
from cti.errors import BadInput

STATES = ("open", "dialing", "done", "expired", "cancelled", "merged", "barred", "failed")
BEGINNING = re.compile(r"[0-9a-fA-F-]{4,36}")
HEAD = ("id", "number", "queue", "state", "tries", "last", "waits since", "not before", "asked by")


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "callback", "customers who want to be called back")
    listed = database.verb(verbs, "list", "callbacks, newest first; without --state those that are open", _list, True)
    listed.add_argument("--state", choices=(*STATES, "all"), help="those in this state")
    listed.add_argument("--queue", metavar="NAME", help="of this queue")
    listed.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (100)")
    added = database.verb(verbs, "add", "have a number called back, in its turn from now on", _add)
    added.add_argument("number", metavar="NUMBER")
    added.add_argument("queue", metavar="QUEUE")
    added.add_argument("--priority", type=int, metavar="N", help="instead of the queue's own")
    cancelled = database.verb(verbs, "cancel", "do not call back; not while the customer is being called", _cancel)
    cancelled.add_argument("callback", metavar="ID", help="its id, or how it begins")


def _list(args: argparse.Namespace) -> int:
    if not 1 <= args.limit <= 1000:
        raise BadInput("--limit is 1 to 1000", "bad_limit")
    states = None if args.state == "all" else [args.state] if args.state else ["open", "dialing"]
    queues = [args.queue] if args.queue else None

    async def work(store: Store) -> list[Row]:
        return (await store.list_callbacks(states=states, queues=queues, limit=args.limit))[0]

    rows = database.run(args, work)
    if args.json:
        options.print_json(rows)
        return 0
    zone = database.zone(args)
    cells = [
        (row["callback_id"][:13], row["number"], row["queue"], row["state"], row["tries"], row["last_result"],
         database.local(row["since"], zone), row["not_before"] and database.local(row["not_before"], zone),
         row["asked_by"] or "caller")
        for row in rows
    ]  # fmt: skip
    print(database.table([*HEAD[:6], f"{HEAD[6]} ({zone})", *HEAD[7:]], cells))
    return 0


def _add(args: argparse.Namespace) -> int:
    config = options.load(args)
    if args.priority is not None and not PRIORITIES[0] <= args.priority <= PRIORITIES[1]:
        raise BadInput(f"--priority is {PRIORITIES[0]} to {PRIORITIES[1]}", "bad_priority")

    async def work(store: Store) -> Row:
        queue = _queue((await live_book(store, config)).queues, args.queue)
        verdict = for_callback(args.number, config.site.country, queue.callback.countries)
        if verdict.refused:
            raise BadInput(f"{args.number}: {verdict.refused}", "not_dialable")
        return await store.add_callback(
            number=verdict.number, entered=args.number, queue=queue.name, by=database.actor(), at=time.time(),
            priority=queue.priority if args.priority is None else args.priority,
        )  # fmt: skip

    row = database.run(args, work)
    print(f"{row['number']} is called back by {row['queue']}: {row['callback_id']}")
    return 0


def _queue(known: Mapping[str, QueueConfig], name: str) -> QueueConfig:
    if name not in known:
        names = f"there are: {', '.join(sorted(known))}" if known else "there are none"
        raise BadInput(f"there is no queue `{name}` in the live flows; {names}", "no_such_queue")
    return known[name]


def _cancel(args: argparse.Namespace) -> int:
    if not BEGINNING.fullmatch(args.callback):
        raise BadInput(f"{args.callback!r}: an id, or its first 4 letters at least", "bad_id")

    async def work(store: Store) -> Row:
        found = await store.callback_like(args.callback)
        if len(found) != 1:
            many = "more than one callback begins so" if found else "there is no such callback"
            raise BadInput(f"{args.callback}: {many}", "no_callback")
        return await store.cancel_callback(found[0], database.actor())

    row = database.run(args, work)
    print(f"{row['number']} is not called back by {row['queue']}")
    return 0
