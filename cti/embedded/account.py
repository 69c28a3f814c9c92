"""The account that the parts run as, and root's way to touch what that account owns: with its rights, not with root's.

Whoever owns a folder can put a link into it at any moment. So root neither writes nor changes an owner there under its
own name: what a link leads to is then open to root only where it is open to the account.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cti.errors import BadInput

WHO = -1  # an id that is none: setfsuid changes nothing then, and tells the one in force


@dataclass(frozen=True)
class Account:
    """`drop` is true when a part must change to it, false when we are it already."""

    name: str
    uid: int
    gid: int
    drop: bool


def ourselves() -> Account:
    """Raises BadInput for an account that the system does not know: PostgreSQL refuses to run as such a one."""
    try:
        me = pwd.getpwuid(os.geteuid())
    except KeyError:
        text = f"there is no account with the number {os.geteuid()}, and PostgreSQL needs one: add it to /etc/passwd"
        raise BadInput(text) from None
    return Account(me.pw_name, me.pw_uid, me.pw_gid, drop=False)


def service_account() -> Account:
    """As root the account `cti`, else `nobody`; otherwise the one we are."""
    if os.geteuid() != 0:
        return ourselves()
    for name in ("cti", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(found.pw_name, found.pw_uid, found.pw_gid, drop=True)
    raise BadInput("no account `cti` or `nobody`: run `make setup`, or start as an ordinary user")


@contextlib.contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Files are reached with the rights of `account`, and new ones are its own. Only in this thread: never across an
    `await`."""
    if os.geteuid() != 0 or account.uid == 0:
        yield
        return
    system = ctypes.CDLL(None)
    try:
        system.setfsgid(account.gid)
        system.setfsuid(account.uid)
        if (system.setfsuid(WHO), system.setfsgid(WHO)) != (account.uid, account.gid):
            raise BadInput(f"root may not act as the account {account.name} here: start as an ordinary user")
        yield
    finally:
        system.setfsuid(os.geteuid())
        system.setfsgid(os.getegid())


def owner_of(folder: Path) -> Account:
    """Whose it is. Raises BadInput when it is a link or no folder."""
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise BadInput(f"{folder} must be a folder, and no link: remove it")
    return Account("", info.st_uid, info.st_gid, drop=False)


def give_all(folder: Path, account: Account) -> None:
    """Make everything in it the account's own. A link is not followed; a file with a second name is left alone."""
    for _, folders, files, here in os.fwalk(folder):
        for name in (*folders, *files):
            info = os.stat(name, dir_fd=here, follow_symlinks=False)
            single = stat.S_ISDIR(info.st_mode) or info.st_nlink == 1
            if single and (info.st_uid, info.st_gid) != (account.uid, account.gid):
                os.chown(name, account.uid, account.gid, dir_fd=here, follow_symlinks=False)
