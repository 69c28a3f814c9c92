"""Homes with free ports. `tmp_path` lies under a 0700 folder, as a checkout of root does."""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cti.embedded import places

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8


def free_port() -> int:
    """Free for TCP and UDP at this moment; below the range the kernel hands out by itself, and no other worker's."""
    while True:
        port = 11000 + 2400 * WORKER + random.randrange(2400)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture
def environ() -> dict[str, str]:
    return {
        "CTI_HTTP__PORT": str(free_port()),
        "CTI_SIP__PORT": str(free_port()),
        "CTI_AMI__PORT": str(free_port()),
        "CTI_AGI__PORT": str(free_port()),
        "CTI_SITE__LANGUAGES": "en",
        "CTI_SIP__TRUNKS": '[{"name": "t", "match": ["127.0.0.1"]}]',
    }


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that every account may enter; removed with what a home in it keeps elsewhere."""
    with tempfile.TemporaryDirectory(prefix="cti-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
        left_nothing(Path(name) / "home")


def left_nothing(path: Path) -> None:
    """Remove what a home keeps elsewhere: its far state and the folder of its sockets."""
    found = places.locate(path)
    for folder in {found.state, found.run} - {found.home}:
        shutil.rmtree(folder, ignore_errors=True)
