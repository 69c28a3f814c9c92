"""`cti customer`: the PIN by which a caller is believed to be a customer."""

from __future__ import annotations

import argparse
import getpass
import sys
import warnings

from cti.adapters import passwords, postgres_pins
from cti.adapters.postgres import Store
from cti.cli import database
from cti.errors import BadInput


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "customer", "customers as callers")
    pin = database.verb(verbs, "pin", "set his PIN, read from standard input or typed unseen; a lock ends", _pin)
    pin.add_argument("customer", metavar="CUSTOMER_ID", help="customer_id in the CRM")
    pin.add_argument("--remove", action="store_true", help="take it away: he cannot prove who he is")


def _pin(args: argparse.Namespace) -> int:
    hashed = None if args.remove else passwords.hash_pin(_asked(args.customer))

    async def work(store: Store) -> None:
        await postgres_pins.set_pin(store, args.customer, hashed)
        action = "customer.pin_removed" if args.remove else "customer.pin_set"
        await store.audit(database.actor(), action, args.customer)

    database.run(args, work)
    print(f"customer {args.customer} has {'no PIN any more' if args.remove else 'a new PIN'}")
    return 0


def _asked(customer: str) -> str:
    """Typed unseen at the terminal, or the next line of what is piped in. Raises BadInput."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"new PIN of customer {customer}: ") if sys.stdin.isatty() else _line()
    except (getpass.GetPassWarning, EOFError):
        raise BadInput("no PIN was given", "bad_pin") from None


def _line() -> str:
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        line = ""
    if not line:
        raise EOFError
    return line.rstrip("\r\n")
