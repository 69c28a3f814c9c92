"""`cti station`: our phones and their secrets."""

from __future__ import annotations

import argparse

from cti.adapters import passwords, postgres_people
from cti.adapters.postgres import Store
from cti.cli import database, options


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "station", "our phones")
    database.verb(verbs, "list", "all stations and whose they are", _list, True)
    secret = database.verb(verbs, "secret", "print the SIP secret of a station, for a desk phone", _secret)
    secret.add_argument("station", metavar="EXT")
    secret.add_argument("--new", action="store_true", help="make a new one: the phone must be told")


def _list(args: argparse.Namespace) -> int:
    async def work(store: Store) -> list[tuple[str, list[str]]]:
        users = await postgres_people.list_users(store)
        _, stations = await store.load_people()
        return [(s.number, [u["name"] for u in users if u["station"] == s.number]) for s in stations]

    rows = database.run(args, work)
    if args.json:
        options.print_json([{"station": number, "users": names} for number, names in rows])
    else:
        print(database.table(["station", "users"], [(number, " ".join(names)) for number, names in rows]))
    return 0


def _secret(args: argparse.Namespace) -> int:
    async def work(store: Store) -> str:
        new = passwords.new_secret() if args.new else None
        secret = await postgres_people.station_secret(store, args.station, new)
        await store.audit(database.actor(), "station.secret_" + ("changed" if args.new else "read"), args.station)
        return secret

    print(f"secret of station {args.station}: {database.run(args, work)}")
    return 0
