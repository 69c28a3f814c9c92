"""A real Asterisk with the generated configuration, alone: no PostgreSQL, no server."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cti.config import Config
from cti.embedded import asterisk, home, render
from tests.embedded.conftest import left_nothing
from tests.kit_ports import RTP, free_port

STATIONS = ("2001", "2002", "2003")


@dataclass(frozen=True)
class RealAsterisk:
    config: Config
    secrets: dict[str, str]  # of STATIONS

    @property
    def sip(self) -> tuple[str, int]:
        return (self.config.sip.host, self.config.sip.port)

    @property
    def cel(self) -> Path:
        return self.config.paths.logs / "asterisk" / "cel-custom" / "cti.csv"


@contextmanager
def running(path: Path) -> Iterator[RealAsterisk]:
    """Raises TimeoutError when it does not greet within 20 s."""
    environ = {
        **os.environ,
        "CTI_SIP__PORT": str(free_port()),
        "CTI_AMI__PORT": str(free_port()),
        "CTI_AGI__PORT": str(free_port()),
        "CTI_RTP__FIRST": str(RTP[0]),
        "CTI_RTP__LAST": str(RTP[1]),
    }
    config, found = home.create(path, environ, demo=True)
    binary = asterisk.find(config)
    asterisk.prepare(config, binary, found.account)
    passwords = {number: secrets.token_urlsafe(18) for number in STATIONS}
    stations = [render.Station(number, secret) for number, secret in passwords.items()]
    render.write_stations(config.asterisk.config_dir, stations, found.account)
    user = (
        {"user": found.account.uid, "group": found.account.gid, "extra_groups": []}
        if found.account.drop
        else {}
    )
    with (path / "asterisk.out").open("wb") as out:
        process = subprocess.Popen(  # type: ignore[call-overload]
            asterisk.start_argv(config, binary),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            cwd="/",
            **user,
        )
    try:
        _wait(config.ami.port, process)
        yield RealAsterisk(config, passwords)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        left_nothing(path)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"Asterisk ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as link:
                if link.recv(64).startswith(b"Asterisk Call Manager"):
                    return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("Asterisk does not greet on its AMI port")
