"""Users, skills, stations and tokens as the command line changes them. Running servers follow at once.

Functions over an open Store. They raise BadInput for what is misspelt, Refused for what cannot be, Unavailable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import asyncpg
import msgspec

from cti.adapters.postgres import Store
from cti.adapters.postgres_db import QUERIES, Row
from cti.errors import BadInput, Refused

NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
STATION = re.compile(r"[0-9]{1,10}")
ROLES = ("agent", "supervisor", "admin")
LONGEST_DAYS = 3650


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """`password_hash` None: no login with a password. `secret`: of the station, if it has to be made."""

    name: str
    role: str
    display_name: str = ""
    password_hash: str | None = None
    language: str | None = None
    station: str | None = None
    secret: str = ""
    skills: Mapping[str, int] = {}


async def add_user(store: Store, user: NewUser) -> None:
    """The user, his skills, and his station if there is none of that number: all or nothing."""
    check_name(user.name)
    if user.role not in ROLES:
        raise BadInput(f"role {user.role!r}: it is one of {', '.join(ROLES)}", "bad_role")
    for skill, level in user.skills.items():
        check_skill(skill, level)
    if user.station is not None:
        check_station(user.station)
    try:
        async with store.db.link() as link, link.transaction():
            if user.station is not None:
                await link.execute(QUERIES["add_station"], user.station, user.secret)
            await link.execute(
                QUERIES["add_user"], user.name, user.display_name, user.role, user.password_hash,
                user.language, user.station,
            )  # fmt: skip
            for skill, level in user.skills.items():
                await link.execute(QUERIES["set_skill"], user.name, skill, level)
    except asyncpg.UniqueViolationError:
        raise Refused(f"there is, or was, a user {user.name}: names are not used again", "name_taken") from None


async def list_users(store: Store) -> list[Row]:
    return await store.db.rows("users")


async def set_password(store: Store, name: str, password_hash: str) -> None:
    """His logins end; his API tokens do not."""
    await _of_user(store, "set_password", name, password_hash)


async def disable_user(store: Store, name: str) -> None:
    """He cannot log in any more and his logins and tokens end; what he did stays under his name."""
    await _of_user(store, "disable_user", name)


async def add_token(store: Store, name: str, token_sha256: bytes, days: int | None) -> None:
    """`days` None: for ever."""
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise BadInput(f"--days is 1 to {LONGEST_DAYS}", "bad_days")
    await _of_user(store, "token_create", name, token_sha256, days)


async def revoke_tokens(store: Store, name: str) -> None:
    """All his API tokens end; running servers refuse them at once."""
    await _of_user(store, "tokens_revoke", name)


async def set_skill(store: Store, name: str, skill: str, level: int) -> None:
    """Level 0 takes the skill away."""
    check_skill(skill, level or 1)
    await _of_user(store, "user_by_name", name)
    await store.db.rows("set_skill" if level else "drop_skill", *((name, skill, level) if level else (name, skill)))


async def station_secret(store: Store, number: str, new: str | None) -> str:
    """The station's secret; `new` replaces it."""
    check_station(number)
    if new is not None:
        await store.db.rows("set_secret", number, new)
    row = await store.db.row("station", number)
    if row is None:
        raise Refused(f"there is no station {number}: `cti user add --station {number}` makes one", "no_station")
    return str(row["secret"])


async def _of_user(store: Store, query: str, name: str, *args: object) -> None:
    check_name(name)
    if not await store.db.rows(query, name, *args):
        raise Refused(f"there is no user {name}, or he is disabled", "no_user")


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise BadInput(f"name {name!r}: 1 to 40 of A-Z a-z 0-9 _ . -", "bad_name")


def check_station(number: str) -> None:
    if not STATION.fullmatch(number):
        raise BadInput(f"station {number!r}: 1 to 10 digits", "bad_station")


def check_skill(skill: str, level: int) -> None:
    if not NAME.fullmatch(skill) or not 1 <= level <= 9:
        raise BadInput(f"skill {skill}={level}: a name, and a level of 1 to 9 (0 takes it away)", "bad_skill")
