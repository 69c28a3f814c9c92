"""`cti up`: a home's PostgreSQL, Redis, Asterisk and server in the foreground, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import ipaddress
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cti import config as configuration
from cti.config import PROJECT, Config
from cti.embedded import home, http, logs
from cti.embedded.account import Account
from cti.embedded.part import Part
from cti.embedded.places import Places, reachable
from cti.errors import BadInput, CtiError


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = sub.add_parser("up", help="run PostgreSQL, Redis, Asterisk and the server")
    home_help = "holds all state (default: CTI_HOME, else .cti)"
    parser.add_argument("--home", type=Path, metavar="DIR", help=home_help)
    parser.add_argument("--demo", action="store_true", help="demo data, simulated calls; loopback only")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    path = args.home.absolute() if args.home else configuration.home_of(os.environ)
    return asyncio.run(until_stopped(path, os.environ, args.demo))


async def until_stopped(
    path: Path, environ: Mapping[str, str], demo: bool, server_argv: Sequence[str] | None = None
) -> int:
    """Start all, say `CTI ready`, wait for a signal, stop all in reverse. CtiError: a part cannot start."""
    raise_limits()
    os.umask(0o022)
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(_run(path, environ, demo, server_argv))
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()
            say("stopping")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    say("stopped")
    return 0


async def _run(path: Path, environ: Mapping[str, str], demo: bool, server_argv: Sequence[str] | None) -> None:
    began = time.monotonic()
    if demo:
        require_loopback(expected(path, environ))
    async with home.running(path, environ, say, demo=demo, fill=seed_demo if demo else None) as here:
        server = server_part(here.config, here.places, server_argv)
        if here.places.account.drop and not server.account.drop:
            here.places.not_owned()
            closed = unreadable(here.config, here.places)
            say(f"the server runs as root: the account {here.places.account.name} cannot read {closed}")
        await here.start(server)
        if demo and importlib.util.find_spec("cti.cli.demo") is not None:
            await _start_demo(here)
        say(f"started in {time.monotonic() - began:.1f} s; logs in {here.config.paths.logs}")
        tell(f"CTI ready: {http.url(here.config)}")
        with contextlib.suppress(FileNotFoundError):
            tell((here.places.home / "demo-logins.txt").read_text().rstrip())
        await logs.keep(here.config, here.kept, here.places.account, say)


async def seed_demo(places: Places) -> None:
    """Fill the empty home before the server starts. Raises BadInput when it holds other data."""
    if importlib.util.find_spec("cti.cli.demo") is None:
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cti", "demo-seed", "--config", str(places.home / "cti.toml")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    lines = out.decode(errors="replace").strip().splitlines() or ["no output"]
    if process.returncode != 0:
        text = lines[-1].removeprefix("cti: ")
        raise BadInput(text) if process.returncode == 2 else CtiError(f"demo data: {text}")
    say(lines[-1])


async def _start_demo(here: home.Home) -> None:
    try:
        await here.start(demo_part(here.config, here.places))
    except CtiError as e:
        say(f"the demo did not start: {e}")


def say(text: str) -> None:
    for line in text.splitlines():
        tell(f"cti: {line}")


def tell(line: str) -> None:
    """Never raises: who read us may be gone (`make run | head`), the parts must still be kept and stopped."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def raise_limits() -> None:
    """Many calls need many files: as many as this account may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def expected(path: Path, environ: Mapping[str, str]) -> Config:
    """The settings that the home has, or will have when it is made. Raises ConfigError."""
    file = path / "cti.toml"
    return configuration.load(file if file.exists() else None, {**environ, "CTI_HOME": str(path)})


def require_loopback(config: Config) -> None:
    for name, host in (("http", config.http.host), ("sip", config.sip.host)):
        if not ipaddress.ip_address(host).is_loopback:
            raise BadInput(f"--demo works on loopback only, but [{name}] host is {host}")


def server_part(config: Config, places: Places, argv: Sequence[str] | None = None) -> Part:
    file = places.home / "cti.toml"

    async def ready() -> bool:
        """It serves. What it waits for (/readyz) is no reason to end it: calls go on without Redis or the switch."""
        return await http.status(config, "/healthz") == 200

    async def alive() -> bool:
        return await http.status(config, "/healthz") is not None

    return Part(
        "server",
        list(argv or [sys.executable, "-m", "cti", "serve", "--config", str(file)]),
        places.logs / "server.log",
        server_account(config, places),
        ready=ready,
        alive=alive,
        env={"CTI_HOME": str(places.home), "PYTHONUNBUFFERED": "1"},
        stop_seconds=15,
        watch_seconds=10,
    )


def demo_part(config: Config, places: Places) -> Part:
    async def ready() -> bool:
        return (places.home / "demo-logins.txt").exists()

    return Part(
        "demo",
        [sys.executable, "-m", "cti", "demo-run", "--config", str(places.home / "cti.toml")],
        places.logs / "demo.log",
        server_account(config, places),
        ready=ready,
        env={"CTI_HOME": str(places.home), "PYTHONUNBUFFERED": "1"},
        stop_seconds=5,
        dies_with_us=True,
    )


def server_account(config: Config, places: Places) -> Account:
    """The service account where it can read the code, the settings and the flows; else the one we are."""
    if unreadable(config, places) is None:
        return places.account
    return Account("", os.geteuid(), os.getegid(), drop=False)


def unreadable(config: Config, places: Places) -> Path | None:
    """What keeps the server from running as the service account."""
    needed = [PROJECT / "cti/__main__.py", Path(sys.executable), places.home / "cti.toml", config.paths.flows]
    return next((path for path in needed if path.exists() and not reachable(path, places.account)), None)
