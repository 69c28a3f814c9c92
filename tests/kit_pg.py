"""A real PostgreSQL for tests: its own cluster in /tmp, unix socket only, run by an unprivileged user.

    pg = Cluster.start()        about 2 s
    dsn = pg.database()         an empty database;  pg.database(migrated=True)  with the schema (copied, fast)
    pg.stop_hard(); pg.again()  an outage;  pg.freeze(); pg.thaw()  one that hangs
    pg.close()
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import asyncpg

from cti.adapters.postgres_migrations import migrate


def _bin() -> Path:
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))


class Cluster:
    def __init__(self, folder: Path, user: str | None) -> None:
        self.folder = folder
        self.user = user
        self.template = ""

    @classmethod
    def start(cls) -> Cluster:
        user = "postgres" if os.geteuid() == 0 else None
        folder = Path(tempfile.mkdtemp(prefix="cti-pg-", dir="/tmp"))
        if user:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        folder.chmod(0o755)
        pg = cls(folder, user)
        pg._run("initdb", "-D", str(folder / "data"), "-U", "cti", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust",
                "--no-sync", "--no-instructions")  # fmt: skip
        pg.again()
        return pg

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(_bin() / program), *arguments], capture_output=True, text=True, cwd="/", check=False,
            user=self.user, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def again(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=60"
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-o", options,
                  "start")  # fmt: skip

    def stop_hard(self) -> None:
        """As a crash: connections break in the middle."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    @property
    def pid(self) -> int:
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def freeze(self) -> None:
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://cti@/{database}?host={self.folder}"

    def database(self, migrated: bool = False) -> str:
        """A new database. From a test that is not async."""
        return asyncio.run(self.make_database(migrated))

    async def make_database(self, migrated: bool = False) -> str:
        if migrated and not self.template:
            name = await self._create("template0")
            await migrate(self.dsn(name))
            self.template = name
        return self.dsn(await self._create(self.template if migrated else "template0"))

    async def _create(self, template: str) -> str:
        name = f"t{uuid.uuid4().hex}"
        link = await asyncpg.connect(self.dsn())
        try:
            await link.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        finally:
            await link.close()
        return name

    def close(self) -> None:
        try:
            self.thaw()
            self.stop_hard()
        except (OSError, RuntimeError):
            time.sleep(0)  # it is down already
        shutil.rmtree(self.folder, ignore_errors=True)
