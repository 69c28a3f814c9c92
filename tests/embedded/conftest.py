"""Homes with free ports. `tmp_path` lies under a 0700 folder, as a checkout of root does."""

from __future__ import annotations

import socket

import pytest


def free_port() -> int:
    """Free for TCP and UDP at this moment; below the range the kernel hands out by itself."""
    import random

    while True:
        port = random.randint(11000, 29999)
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
