"""Where a home keeps its things, and which account its parts run as.

    HOME/cti.toml               settings and secrets, 0600 (0640 for the group of the service account)
    HOME/{postgres,redis,asterisk,logs,recordings,sounds,journal,voicemail,pids}   state
    HOME/run -> short folder    unix sockets

As root the parts run as the account `cti` (else `nobody`). When that account cannot enter the home (a 0700
folder of root above it), the state lives in /var/lib/cti/homes/<id> and the home holds links to it; HOME/.home-id
names it, so a home may be moved. Nothing here removes a state: a home that is not there may be on a disk that is not
mounted (`cti doctor` tells of them).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cti.config import Config
from cti.embedded.account import Account, acting_as, give_all, owner_of, service_account
from cti.errors import BadInput

HOMES = Path("/var/lib/cti/homes")
NAMED = ".home-id"
OWNED = ".owned"  # holds the number of the account that owns all the state; gone once a server ran as root
STATE = ("postgres", "redis", "asterisk", "logs", "recordings", "sounds", "journal", "voicemail")


@dataclass(frozen=True)
class Places:
    home: Path
    state: Path
    run: Path
    account: Account
    logs: Path

    def not_owned(self) -> None:
        """Root is about to write there: the next start looks at every file."""
        (self.state / OWNED).unlink(missing_ok=True)


def reachable(path: Path, account: Account) -> bool:
    """Can this account read `path`? Judged by the mode bits of it and of every folder above."""
    path = path.resolve()
    if not account.drop:
        return os.access(path, os.R_OK)
    need = dict.fromkeys(path.parents, 1) | {path: 0o5 if path.is_dir() else 0o4}
    return all(_may(p.stat(), account, bits) for p, bits in need.items() if p.exists())


def _may(info: os.stat_result, account: Account, bits: int) -> bool:
    if info.st_uid == account.uid:
        return (info.st_mode >> 6) & bits == bits
    if info.st_gid == account.gid:
        return (info.st_mode >> 3) & bits == bits
    return info.st_mode & bits == bits


def identity(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:12]


def locate(home: Path) -> Places:
    """Only computes; makes nothing."""
    home = home.resolve()
    account = service_account()
    token = _token(home)
    near = not token and reachable(home if home.exists() else _existing(home), account)
    state = home if near else HOMES / (token or identity(home))
    base = Path("/run") if os.geteuid() == 0 and Path("/run").is_dir() else Path("/tmp")  # noqa: S108
    return Places(home, state, base / f"cti-{os.geteuid()}-{identity(home)}", account, state / "logs")


def prepare(home: Path) -> Places:
    """Make the folders of a home, or find them again. Raises BadInput when one belongs to somebody else."""
    places = locate(home)
    places.home.mkdir(parents=True, exist_ok=True, mode=0o755)
    if places.state != places.home:
        _far_state(places.home)
        places = locate(home)
    for name in STATE:
        _own(places.state / name, places.account, 0o700 if name == "postgres" else 0o750)
        if places.state != places.home:
            _link(places.home / name, places.state / name)
    _own_all(places)
    inside(places.state / "asterisk", ("etc",), places.account)
    (places.home / "pids").mkdir(exist_ok=True)
    _own_short(places.run, places.account)
    _link(places.home / "run", places.run)
    return places


def orphans() -> list[tuple[Path, Path]]:
    """Every far state that no home claims, and where its home was."""
    marks = sorted(HOMES.glob("*/home"))
    found = [(mark.parent, Path(mark.read_text())) for mark in marks if mark.is_file()]
    return [(state, home) for state, home in found if _token(home) != state.name]


def _existing(path: Path) -> Path:
    return next(p for p in path.parents if p.exists())


def _token(home: Path) -> str:
    """The name of the home's far state; empty when it has none."""
    file = home / NAMED
    text = file.read_text() if file.is_file() else ""
    if text and not re.fullmatch("[0-9a-f]{16}", text):
        raise BadInput(f"{file} is damaged: it must hold the name of this home's folder in {HOMES}")
    return text


def _far_state(home: Path) -> None:
    """Make the home's far state, or find it again, also after the home was moved. BadInput for a copied home."""
    HOMES.mkdir(parents=True, exist_ok=True, mode=0o755)
    token = _token(home)
    if not token:
        token = secrets.token_hex(8)
        (home / NAMED).write_text(token)
    mark = HOMES / token / "home"
    other = Path(mark.read_text()) if mark.exists() else home
    if other != home and _token(other) == token:
        shared = f"{home} is a copy of {other} and would share its calls"
        raise BadInput(f"{shared}: remove {home / NAMED}, it then starts empty")
    mark.parent.mkdir(mode=0o755, exist_ok=True)
    mark.write_text(str(home))


def _own(path: Path, account: Account, mode: int) -> None:
    """A folder of the account, in one that is not the account's."""
    path.mkdir(parents=True, exist_ok=True)
    owner = owner_of(path)
    if account.drop and owner.uid != account.uid:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    path.chmod(mode)


def _own_all(places: Places) -> None:
    """What a server wrote that ran as root, or what another account owned, becomes the account's."""
    mark = places.state / OWNED
    uid = str(places.account.uid)
    if not places.account.drop or (mark.is_file() and mark.read_text() == uid):
        return
    for name in STATE:
        give_all(places.state / name, places.account)
    mark.write_text(uid)


def inside(folder: Path, names: Iterable[str], account: Account) -> None:
    """Folders in one that is the account's, made with its rights. Raises BadInput where it has none."""
    try:
        with acting_as(account):
            for name in names:
                (folder / name).mkdir(exist_ok=True)
                owner_of(folder / name)
                (folder / name).chmod(0o750)
    except OSError as error:
        text = f"the account {account.name} cannot write {error.filename}: {error.strerror}"
        raise BadInput(f"{text}; chown -R {account.name} {folder}, or choose another folder in [paths]") from None


def place(config: Config, places: Places) -> Places:
    """Make the folders that the settings name, also outside the home. Raises BadInput where the account may not write.

    One that is there already keeps its owner: it may be anything, /var/log for instance."""
    paths = config.paths
    for folder in (paths.logs, paths.recordings, paths.sounds, paths.journal):
        if not folder.exists():
            _own(folder, places.account, 0o750)
    logs, recordings = paths.logs.resolve(), paths.recordings.resolve()
    inside(logs, ("asterisk", "asterisk/cel-custom"), places.account)
    inside(recordings, ("spool",), places.account)
    for folder in (paths.sounds, paths.journal):
        _writable(folder.resolve(), places.account)
    return replace(places, logs=logs)


def _writable(folder: Path, account: Account) -> None:
    name = f".{secrets.token_hex(8)}"
    inside(folder, (name,), account)
    with acting_as(account):
        (folder / name).rmdir()


def _own_short(path: Path, account: Account) -> None:
    """Under /tmp anybody can have made it first: refuse a link or a stranger's folder."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        info = path.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in {account.uid, os.geteuid()}:
            raise BadInput(f"{path} belongs to somebody else: remove it") from None
    if account.drop:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    path.chmod(0o700)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if link.readlink() == target:
            return
        link.unlink()
    elif link.exists():
        raise BadInput(f"{link} is in the way: it must be a link to {target}; move it elsewhere")
    link.symlink_to(target)
