"""`cti db`: the schema."""

from __future__ import annotations

import argparse
import asyncio
import uuid

from cti.adapters import postgres_migrations
from cti.adapters.postgres import Store
from cti.cli import database, options


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "db", "the database schema")
    database.verb(verbs, "migrate", "bring the schema up to date", _migrate)
    database.verb(verbs, "status", "which migrations are applied; exit 1 when some are not", _status, True)
    database.verb(verbs, "refold", "compute all calls again from their events", _refold)


def _migrate(args: argparse.Namespace) -> int:
    config = options.load(args)
    with database.of_home(config):
        done = asyncio.run(postgres_migrations.migrate(config.postgres.dsn))
    print("\n".join(f"applied {name}" for name in done) or "the schema is up to date")
    return 0


def _status(args: argparse.Namespace) -> int:
    config = options.load(args)
    with database.of_home(config):
        found = asyncio.run(postgres_migrations.status(config.postgres.dsn))
    if args.json:
        options.print_json([{"name": s.name, "applied_at": s.applied_at} for s in found])
    else:
        zone = database.zone(args)
        rows = [(s.name, database.local(s.applied_at, zone) if s.applied_at else "pending") for s in found]
        print(database.table(["migration", f"applied ({zone})"], rows))
    return 0 if all(s.applied_at for s in found) else 1


def _refold(args: argparse.Namespace) -> int:
    print(f"{database.run(args, _refold_all)} calls computed again")
    return 0


async def _refold_all(store: Store) -> int:
    count, last = 0, uuid.UUID(int=0)
    while rows := await store.db.rows("all_calls", last):
        ids = [row["call_id"] for row in rows]
        await store.db.rows("fold_calls", ids)
        count, last = count + len(ids), ids[-1]
    return count
