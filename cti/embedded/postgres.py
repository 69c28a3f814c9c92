"""The private PostgreSQL of a home: unix socket only, `peer` login, so no password exists."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from cti.embedded.account import Account, acting_as, ourselves
from cti.embedded.part import Part
from cti.embedded.places import Places
from cti.embedded.render import write_atomic
from cti.errors import Unavailable

HBA = "local all all peer map=cti\n"


def bin_dir(data: Path | None = None) -> Path:
    """The newest PostgreSQL here, or the one `data` was made with. Raises Unavailable."""
    made = (data / "PG_VERSION").read_text().strip() if data and (data / "PG_VERSION").exists() else None
    found = {p.parent.parent.name: p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")}
    if made:
        if made in found:
            return found[made]
        raise Unavailable(f"{data} is of PostgreSQL {made}, which is missing: apt install postgresql-{made}")
    if found:
        return found[max(found, key=int)]
    other = shutil.which("postgres")
    if other is None:
        raise Unavailable("no PostgreSQL: run `make setup`, or apt install postgresql")
    return Path(other).resolve().parent


def prepare(places: Places) -> None:
    """Make the cluster when there is none; write who may log in."""
    data = places.state / "postgres"
    if not (data / "global/pg_control").exists():
        _make_cluster(data, places.account)
    _forget_dead(data, places.account)
    names = {places.account.name, ourselves().name}
    idents = "".join(f'cti "{name}" {role}\n' for name in sorted(names) for role in ("cti", "cti_lookup"))
    write_atomic(data / "pg_hba.conf", HBA, places.account, secret=True)
    write_atomic(data / "pg_ident.conf", idents, places.account, secret=True)


def _forget_dead(data: Path, account: Account) -> None:
    """Remove the lock of a PostgreSQL that was killed. It would not do so itself while its pid is still a zombie's,
    or is another program's by now."""
    file = data / "postmaster.pid"
    with acting_as(account), contextlib.suppress(FileNotFoundError):
        pid = file.read_text().split("\n")[0].strip()
        if not (pid.isdigit() and _is_postgres(int(pid))):
            file.unlink()


def _is_postgres(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return name.startswith("postgres") and rest.split()[0] not in ("Z", "X")


def _make_cluster(data: Path, account: Account) -> None:
    """All or nothing, also when killed half way. What stands there and is no cluster is put aside, not removed."""
    for killed in data.parent.glob("postgres.new-*"):
        shutil.rmtree(killed, ignore_errors=True)
    fresh = data.with_name(f"postgres.new-{secrets.token_hex(4)}")
    fresh.mkdir(mode=0o700)
    if account.drop:
        os.chown(fresh, account.uid, account.gid)
    argv = [
        "initdb",
        "-D",
        str(fresh),
        "-U",
        "cti",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-A",
        "peer",
        "--no-instructions",
    ]
    try:
        run(bin_dir() / argv[0], argv[1:], account)
        if any(data.iterdir()):
            data.rename(data.with_name(f"postgres.broken-{secrets.token_hex(4)}"))
        fresh.rename(data)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def run(program: Path, arguments: list[str], account: Account) -> str:
    """Run a client program as the service account. Raises Unavailable with its last words."""
    done = subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
        **as_account(account),
    )
    if done.returncode != 0:
        raise Unavailable(f"{program.name}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return str(done.stdout)


def as_account(account: Account) -> dict[str, Any]:
    """Arguments for subprocess that drop to the account."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account.drop else {}


def part(places: Places) -> Part:
    data, folder = places.state / "postgres", str(places.run)
    binary = bin_dir(data)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": folder,
        "unix_socket_permissions": "0700",
        "max_connections": "60",
        "shared_buffers": "64MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
    }
    argv = [str(binary / "postgres"), "-D", str(data)]
    for key, value in settings.items():
        argv += ["-c", f"{key}={value}"]

    async def ready() -> bool:
        return await asyncio.to_thread(_accepts, binary, folder, places.account)

    return Part(
        "postgres", argv, places.logs / "postgres.log", places.account,
        ready=ready, stop_signal=signal.SIGINT, stop_seconds=20,
    )  # fmt: skip


def _accepts(binary: Path, folder: str, account: Account) -> bool:
    """True when it answers; makes the database `cti` the first time."""

    def psql(database: str, sql: str) -> str:
        return run(binary / "psql", ["-X", "-A", "-t", "-h", folder, "-U", "cti", "-d", database, "-c", sql], account)

    try:
        if not psql("postgres", "select 1 from pg_database where datname = 'cti'").strip():
            psql("postgres", "create database cti")
    except Unavailable:
        return False
    return True
