"""`cti doctor`: what on this machine is wrong, and how to fix it. Each check is one function."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from cti import config as configuration
from cti.adapters import flow_files, postgres_lookups
from cti.cli import options
from cti.config import Config
from cti.embedded import account, asterisk, home, overrides, places, postgres, setup
from cti.embedded.fallback import SORRY
from cti.embedded.supervisor import ORDER, running_pid
from cti.errors import CtiError, Unavailable

Verdict = Literal["ok", "warning", "problem"]
Row = tuple[Verdict, str]
TESTED = (22, 10, 1)
LEAST_DISK = 1 << 30
LOOKUPS: dict[str, Row] = {
    "login": ("ok", "lookups of flows log in as a role that only reads"),
    "role": ("ok", "lookups of flows take the role cti_lookup; [postgres] lookup_dsn would let them log in as it"),
    "own": ("warning", "lookups of flows run as the server's own account, read-only, and can read everything: as a "
                       "superuser, CREATE ROLE cti_lookup LOGIN, the grants at the end of migrations/0007_ivr.sql, and "
                       "GRANT cti_lookup TO the server's account"),
}  # fmt: skip


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = sub.add_parser("doctor", help="what is wrong and how to fix it")
    options.add(parser, with_json=True)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """0 without a problem (warnings are none), else 1."""
    config = options.load_or_new(args)
    checks = CHECKS if args.config else (not_yet, *CHECKS)
    rows = [row for check in checks for row in _safely(check, config)]
    if args.json:
        options.print_json([{"verdict": verdict, "text": text} for verdict, text in rows])
    else:
        for verdict, text in rows:
            print(f"{verdict:<8} {text}")
    return 1 if any(verdict == "problem" for verdict, _ in rows) else 0


def _safely(check: Callable[[Config], Iterator[Row]], config: Config) -> list[Row]:
    try:
        return list(check(config))
    except (CtiError, OSError, subprocess.SubprocessError) as e:
        return [("problem", str(e))]


def not_yet(config: Config) -> Iterator[Row]:
    home = config.paths.home
    if not (home / "cti.toml").exists():
        yield "warning", f"the home {home} does not exist yet: `cti up --home {home}` makes it"


def packages(_: Config) -> Iterator[Row]:
    missing = setup.missing_packages()
    if missing:
        yield "problem", f"missing packages: apt-get install -y {' '.join(missing)}"
    else:
        yield "ok", "system packages"
    yield "ok", f"Python {sys.version.split()[0]}"


def databases(config: Config) -> Iterator[Row]:
    folder = postgres.bin_dir(config.paths.home / "postgres")
    done = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    yield "ok", f"{done.stdout.strip()} in {folder}"
    redis = shutil.which("redis-server")
    if redis is None:
        raise Unavailable("no Redis: apt-get install -y redis-server")
    done = subprocess.run([redis, "--version"], capture_output=True, text=True, check=True)
    yield "ok", " ".join(done.stdout.split()[:3])


def switch(config: Config) -> Iterator[Row]:
    found = asterisk.find(config)
    version = ".".join(map(str, found.tree.version))
    if found.tree.version < TESTED:
        yield "warning", f"Asterisk {version} is older than 22.10.1, where 20 security faults were fixed"
    else:
        yield "ok", f"Asterisk {version}: {found.argv[-1]}"
    for name, folder in (("sounds", found.tree.sounds), ("music on hold", found.tree.music)):
        yield sound_files(name, folder)
    link = config.asterisk.config_dir.parent / "sounds/en"
    if link.is_symlink() and not link.exists():
        yield "problem", f"{link} is a dead link to {link.readlink()}: every sound fails; start `cti up` again"


def sound_files(name: str, folder: Path) -> Row:
    """A dead link makes a sound fail silently: it is silence on the phone and a line in the log at best."""
    files = sorted(folder.glob("*"))
    dead = [p.name for p in files if p.is_symlink() and not p.exists()]
    good = [p for p in files if p.is_file() and os.access(p, os.R_OK)]
    if dead or not good:
        what = f"{len(dead)} dead links, as {dead[0]}," if dead else f"no {name}"
        return "problem", f"{what} in {folder}: remove the tree above it and run `make setup`"
    return "ok", f"{name}: {len(good)} files in {folder}"


def host_name(_: Config) -> Iterator[Row]:
    name = socket.gethostname()
    began = time.monotonic()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        slow = "Asterisk starts late and stalls"
        yield "warning", f"the host name {name} does not resolve, {slow}: add `127.0.1.1 {name}` to /etc/hosts"
        return
    took = time.monotonic() - began
    slow = f"resolving the host name {name} takes {took:.1f} s: add `127.0.1.1 {name}` to /etc/hosts"
    yield ("warning", slow) if took > 0.5 else ("ok", f"host name {name} resolves")


def voices(config: Config) -> Iterator[Row]:
    program = shutil.which("espeak-ng")
    if program is None or shutil.which("sox") is None:
        raise Unavailable("no voice for prompts: apt-get install -y espeak-ng sox")
    for language in config.site.languages:
        voice = SORRY[language][0] if language in SORRY else language
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            argv = [program, "-v", voice, "-w", file.name, "1"]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            good = done.returncode == 0 and Path(file.name).stat().st_size > 1000
        text = f"voice for {language} ({voice})"
        yield ("ok", text) if good else ("problem", f"{text} is silent: apt-get install -y espeak-ng-data")


def ports(config: Config) -> Iterator[Row]:
    running = any(running_pid(config.paths.home / "pids", name) for name in ORDER)
    if running:
        yield "ok", f"the home {config.paths.home} is running; its ports are its own"
        return
    home.check_ports(config)
    yield "ok", "ports are free"


def neighbours(config: Config) -> Iterator[Row]:
    """Nobody sees that two homes use the same ports for sound until a call of one has none."""
    ours = config.rtp
    for other in running_homes() - {config.paths.home.resolve()}:
        with contextlib.suppress(CtiError):  # settings that are not ours to read
            theirs = configuration.load(other / "cti.toml", overrides.remembered(other)).rtp
            if theirs.first <= ours.last and ours.first <= theirs.last:
                both = f"[rtp] {ours.first}-{ours.last} and {theirs.first}-{theirs.last} of the running home {other}"
                yield "warning", f"{both} overlap: set [rtp] first, last, or CTI_RTP__FIRST, CTI_RTP__LAST"


def running_homes() -> set[Path]:
    """By the command lines of their servers."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = file.read_bytes().split(b"\0")
            if words[-5:-2] == [b"cti", b"serve", b"--config"]:
                found.add(Path(os.fsdecode(words[-2])).parent.resolve())
    return found


def disk(config: Config) -> Iterator[Row]:
    folder = next(p for p in (config.paths.home, *config.paths.home.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):.1f} GiB free on the disk of {folder}"
    yield ("ok", text) if free > LEAST_DISK else ("problem", f"only {text}: recordings need room")


def accounts(_: Config) -> Iterator[Row]:
    if os.geteuid() != 0:
        yield "ok", f"runs as {account.ourselves().name}"
        return
    try:
        pwd.getpwnam("cti")
    except KeyError:
        yield "warning", "no account cti: PostgreSQL, Redis and Asterisk run as nobody; `make setup` makes it"
    else:
        yield "ok", "started as root; PostgreSQL, Redis and Asterisk run as cti"


def flows(config: Config) -> Iterator[Row]:
    folder = config.paths.flows
    if not folder.is_dir():
        yield "problem", f"no flows folder {folder}: set [paths] flows"
        return
    _, problems = flow_files.check(folder, country=config.site.country, zone=config.site.time_zone)
    more = f" (and {len(problems) - 1} more: `cti flow check`)" if len(problems) > 1 else ""
    yield ("problem", f"{folder}/{problems[0]}{more}") if problems else ("ok", f"flows in {folder}")
    for file in sorted((folder / "prompts").rglob("*")):
        if file.is_symlink() and not file.exists():
            yield "problem", f"{file} is a dead link to {file.readlink()}: nothing is heard; put the sound there"


def lookups(config: Config) -> Iterator[Row]:
    """Who the SQL of flows runs as; nothing to say while the database does not run."""
    with contextlib.suppress(Unavailable):
        mode, _ = asyncio.run(postgres_lookups.how(config.postgres.dsn, config.postgres.lookup_dsn))
        yield LOOKUPS[mode]


def payment(config: Config) -> Iterator[Row]:
    """A tokeniser that cannot be reached is found out by the first caller who wants to pay."""
    url = urllib.parse.urlsplit(config.payment.url)
    if not url.hostname:
        return
    port = url.port or (443 if url.scheme == "https" else 80)
    place = f"{url.hostname}:{port}"
    try:
        socket.create_connection((url.hostname, port), timeout=3).close()
    except OSError as error:
        yield "problem", f"the tokeniser of [payment], {place}, cannot be reached: {error.strerror or error}"
        return
    allowed = {f"{url.hostname}:{port}", url.hostname} & set(config.outside.allow)
    if url.scheme == "http" and not allowed:
        yield "problem", f"[payment] url is on this machine: put {place} into [outside] allow"
    else:
        yield "ok", f"the tokeniser of [payment], {place}, can be reached"


def forgotten(_: Config) -> Iterator[Row]:
    for state, gone in places.orphans():
        what = f"{state} holds calls and recordings of {gone}, which is not there"
        yield "warning", f"{what}: mount or move it back, or remove the folder when nobody needs them"


CHECKS = (packages, databases, switch, host_name, voices, ports, neighbours, disk, accounts, flows, lookups, payment,
          forgotten)  # fmt: skip
