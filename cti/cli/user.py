"""`cti user`: who may log in."""

from __future__ import annotations

import argparse
import getpass
import sys
import unicodedata
import warnings

from cti.adapters import passwords, postgres_people
from cti.adapters.postgres import Store
from cti.cli import database, options
from cti.core.numbers import JOINERS, UNSEEN
from cti.errors import BadInput, Refused


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "user", "who may log in")
    added = database.verb(verbs, "add", "a new user; running servers know him at once", _add)
    added.add_argument("user", metavar="NAME", help="login name, never used again")
    added.add_argument("--role", required=True, choices=postgres_people.ROLES)
    added.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    added.add_argument("--name", default="", metavar="TEXT", help="the name people read")
    added.add_argument("--language", choices=("en", "zh", "id"), help="of the pages; default: what the browser says")
    added.add_argument("--station", metavar="EXT", help="number of his phone; made when there is none")
    added.add_argument("--skill", nargs="+", action="extend", default=[], metavar="NAME=LEVEL")
    database.verb(verbs, "list", "all users", _list, True)
    changed = database.verb(verbs, "passwd", "a new password; his logins end", _passwd)
    changed.add_argument("user", metavar="NAME")
    changed.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    disabled = database.verb(verbs, "disable", "lock a user out for good", _disable)
    disabled.add_argument("user", metavar="NAME")
    token = database.verb(verbs, "token", "print a new API token (shown once)", _token)
    token.add_argument("user", metavar="NAME")
    how = token.add_mutually_exclusive_group()
    how.add_argument("--days", type=int, metavar="N", help="how long it is valid (default: for ever)")
    how.add_argument("--revoke", action="store_true", help="make none: end all he has")


def _add(args: argparse.Namespace) -> int:
    check_shown(args.name)
    user = postgres_people.NewUser(
        name=args.user, role=args.role, display_name=args.name, language=args.language, station=args.station,
        secret=passwords.new_secret(), skills=dict(skill_of(text) for text in args.skill),
        password_hash=_new_password() if args.password_stdin else None,
    )  # fmt: skip

    async def work(store: Store) -> None:
        await postgres_people.add_user(store, user)
        await store.audit(database.actor(), "user.added", user.name, {"role": user.role})

    database.run(args, work)
    print(f"added {args.role} {args.user}")
    if not args.password_stdin:
        print(f"without a password: `cti user passwd {args.user}` sets one")
    return 0


def check_shown(name: str) -> None:
    """Raises BadInput for a name with what does not show: controls, marks that turn the direction, half characters."""
    unseen = [c for c in name if c not in JOINERS and unicodedata.category(c) in UNSEEN]
    if unseen:
        raise BadInput(f"--name {name!a}: U+{ord(unseen[0]):04X} is no character that shows", "bad_name")


def _list(args: argparse.Namespace) -> int:
    rows = database.run(args, postgres_people.list_users)
    if args.json:
        options.print_json(rows)
        return 0
    head = ["name", "role", "station", "language", "disabled", "display name", "skills"]
    cells = [
        (r["name"], r["role"], r["station"], r["language"], "yes" if r["disabled"] else "", r["display_name"],
         " ".join(f"{skill}={level}" for skill, level in sorted(r["skills"].items())))
        for r in rows
    ]  # fmt: skip
    print(database.table(head, cells))
    return 0


def _passwd(args: argparse.Namespace) -> int:
    postgres_people.check_name(args.user)
    database.run(args, lambda store: _known(store, args.user))
    hashed = _new_password() if args.password_stdin else _asked_password(args.user)

    async def work(store: Store) -> None:
        await postgres_people.set_password(store, args.user, hashed)
        await store.audit(database.actor(), "user.password_changed", args.user)

    database.run(args, work)
    print(f"password of {args.user} changed")
    return 0


async def _known(store: Store, name: str) -> None:
    """Raises Refused, before a password is asked for, when there is no such user who can log in."""
    found = await store.db.row("user_by_name", name)
    if found is None or found["disabled"]:
        raise Refused(f"there is no user {name}, or he is disabled", "no_user")


def _disable(args: argparse.Namespace) -> int:
    async def work(store: Store) -> None:
        await postgres_people.disable_user(store, args.user)
        await store.audit(database.actor(), "user.disabled", args.user)

    database.run(args, work)
    print(f"{args.user} is disabled")
    return 0


def _token(args: argparse.Namespace) -> int:
    return _revoke(args) if args.revoke else _new_token(args)


def _revoke(args: argparse.Namespace) -> int:
    async def work(store: Store) -> None:
        await postgres_people.revoke_tokens(store, args.user)
        await store.audit(database.actor(), "user.tokens_revoked", args.user)

    database.run(args, work)
    print(f"all tokens of {args.user} are revoked")
    return 0


def _new_token(args: argparse.Namespace) -> int:
    token, digest = passwords.new_token()

    async def work(store: Store) -> None:
        await postgres_people.add_token(store, args.user, digest, args.days)
        await store.audit(database.actor(), "user.token_made", args.user, {"days": args.days})

    database.run(args, work)
    print(f"token of {args.user}: {token}")
    return 0


def skill_of(text: str) -> tuple[str, int]:
    """`english=3` as a pair. Raises BadInput."""
    name, sign, level = text.partition("=")
    if not sign or not (level.isascii() and level.isdigit() and len(level) < 3):
        raise BadInput(f"skill {text!r}: write it as english=3", "bad_skill")
    return name, int(level)


def _new_password() -> str:
    return passwords.hash_password(_line())


def _asked_password(name: str) -> str:
    first = _answer(f"new password of {name}: ")
    if first != _answer("again: "):
        raise BadInput("the two are not the same", "bad_password")
    return passwords.hash_password(first)


def _answer(question: str) -> str:
    """Typed unseen at the terminal; without one, the next line of what is piped in. Raises BadInput."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(question)
    except getpass.GetPassWarning:
        return _line()
    except EOFError:
        raise BadInput("no password was given", "bad_password") from None


def _line() -> str:
    """The next line of standard input. Raises BadInput when there is none, or it is no text."""
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        raise BadInput("the password is not valid UTF-8", "bad_password") from None
    if not line:
        raise BadInput("no password was given: standard input is at its end", "bad_password")
    return line.rstrip("\r\n")
