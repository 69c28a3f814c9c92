"""A home: its config, its folders, its parts.

async with running(Path("dir"), environ) as home:     # PostgreSQL, Redis and Asterisk, without the server
    home.config.postgres.dsn ...
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cti import config as configuration
from cti.config import Config
from cti.embedded import asterisk, overrides, places, postgres, redis, supervisor
from cti.embedded.part import Part
from cti.embedded.places import Places
from cti.errors import BadInput, CtiError, Unavailable

T = TypeVar("T")
Fill = Callable[[Places], Awaitable[None]]
TOML = """\
# Settings of this home. `cti config show` lists every key; CTI_<SECTION>__<KEY> overrides one.
# This file holds secrets: keep it 0600.

[http]
host = "127.0.0.1"
port = 8080

[sip]
host = "127.0.0.1"     # an address phones can reach; 0.0.0.0 is every address of this machine
port = 5060
{trunks}

[ami]
port = 5038
secret = "{secret}"

[flows]
auto_publish = true    # publish changed flow files at start and on save
"""


NO_TRUNK = '# trunks = [{name = "carrier", match = ["192.0.2.10"], contact = "sip:192.0.2.10:5060"}]'
# The demo's customers; it is there that they are called back.
DEMO_TRUNK = 'trunks = [{{name = "demo", match = ["127.0.0.1"], contact = "sip:127.0.0.1:{port}"}}]'


@dataclass(frozen=True)
class Home:
    """What runs: `kept["asterisk"].pid` and so on."""

    config: Config
    places: Places
    kept: dict[str, supervisor.Kept]
    say: supervisor.Say

    async def start(self, part: Part) -> None:
        """One more part; it is stopped first. Raises Unavailable when it does not become ready."""
        await supervisor.start(self.kept, part, self.places.home / "pids", self.say)


def create(path: Path, environ: Mapping[str, str], demo: bool = False) -> tuple[Config, Places]:
    """Make or find the home's folders and `cti.toml`, and load it. Raises BadInput, Unavailable."""
    found = places.prepare(path)
    file = found.home / "cti.toml"
    if not file.exists():
        port = configuration.load(None, {**environ, "CTI_HOME": str(path)}).sip.port
        trunks = DEMO_TRUNK.format(port=port + 1) if demo else NO_TRUNK
        _write_first(file, TOML.format(secret=secrets.token_urlsafe(24), trunks=trunks))
    if found.account.drop:
        os.chown(file, 0, found.account.gid)
        file.chmod(0o640)
    config = configuration.load(file, environ)
    if not config.ami.secret:
        raise BadInput(f"{file}: [ami] secret is empty: write 12 or more letters and digits, or remove the file")
    return config, places.place(config, found)


def _write_first(file: Path, text: str) -> None:
    """Whole or not at all; when another start was faster, its file counts."""
    fresh = file.with_name(f".cti.toml.{secrets.token_hex(4)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as f:
            f.write(text)
            f.flush()
            os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(fresh)
    finally:
        fresh.unlink()


def basic_parts(config: Config, found: Places) -> list[Part]:
    """PostgreSQL, Redis, Asterisk, in starting order. Raises Unavailable when a program is missing."""
    binary = asterisk.find(config)
    postgres.prepare(found)
    return [postgres.part(found), redis.part(found), asterisk_part(config, found, binary)]


def asterisk_part(config: Config, found: Places, binary: asterisk.Found) -> Part:
    async def ready() -> bool:
        return await asyncio.to_thread(
            _ami_greets, config.ami.host, config.ami.port, config.ami.secret, config.ami.username
        )

    return Part(
        "asterisk",
        asterisk.start_argv(config, binary),
        found.logs / "asterisk.log",
        found.account,
        ready=ready,
        before=lambda: asterisk.prepare(config, binary, found.account),
        env={"RES_OPTIONS": "timeout:1 attempts:2"},  # it looks its own host name up when it starts
        stop_seconds=15,
    )


def _ami_greets(host: str, port: int, secret: str, username: str) -> bool:
    """True when the switch is fully booted."""
    with socket.create_connection((host, port), 2) as link:
        link.settimeout(2)
        link.sendall(f"Action: Login\r\nUsername: {username}\r\nSecret: {secret}\r\n\r\n".encode())
        seen = b""
        while b"FullyBooted" not in seen:
            more = link.recv(4096)
            if not more:
                return False
            seen += more
    return True


def check_ports(config: Config) -> None:
    """Raises Unavailable: one line for each port that cannot be had, with what to set."""
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    wanted = [
        ("http", config.http.host, config.http.port, tcp),
        ("sip", config.sip.host, config.sip.port, udp),
        ("sip", config.sip.host, config.sip.port, tcp),
        ("ami", config.ami.host, config.ami.port, tcp),
        ("agi", config.agi.host, config.agi.port, tcp),
    ]
    asked = [(name, host, port, _refusal(host, port, kind)) for name, host, port, kind in wanted]
    lines = [_lesson(name, host, port, error) for name, host, port, error in asked if error is not None]
    if lines:
        raise Unavailable("\n".join(dict.fromkeys(lines)), "port_taken")


def _lesson(name: str, host: str, port: int, error: OSError) -> str:
    setting = f"set [{name}] port in cti.toml, or CTI_{name.upper()}__PORT"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: set [{name}] host in cti.toml, or CTI_{name.upper()}__HOST"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"port {port} on {host} is for root only: {setting}"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: {setting}"
    return f"port {port} on {host}: {error.strerror}: {setting}"


def _refusal(host: str, port: int, kind: socket.SocketKind) -> OSError | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


@contextlib.asynccontextmanager
async def running(
    path: Path, environ: Mapping[str, str], say: supervisor.Say = print, demo: bool = False, fill: Fill | None = None
) -> AsyncIterator[Home]:
    """Start a home's PostgreSQL, Redis and Asterisk; stop them, and what was added, at the end.

    `fill` puts data into the database before the rest starts; what it raises ends the start."""
    with lock(path):
        config, found = await whole(create, path, environ, demo)
        await whole(supervisor.stop_leftovers, found.home / "pids", say)
        check_ports(config)
        parts = await whole(basic_parts, config, found)
        try:
            with overrides.kept(found.home, environ):
                async with supervisor.running(parts[:1], found.home / "pids", say) as kept:
                    if fill is not None:
                        await fill(found)
                    for part in parts[1:]:
                        await supervisor.start(kept, part, found.home / "pids", say)
                    yield Home(config, found, kept, say)
        finally:
            shutil.rmtree(found.run, ignore_errors=True)


async def whole(function: Callable[..., T], *arguments: Any) -> T:
    """Run it in a thread. Told to stop, it waits for its end first: nothing of it goes on once the lock is free."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


@contextlib.contextmanager
def lock(home: Path) -> Iterator[None]:
    """One supervisor a home. Raises CtiError when another one runs."""
    home = home.resolve()
    (home / "pids").mkdir(parents=True, exist_ok=True)
    with (home / "pids/lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CtiError(f"{home} is already running") from None
        yield
