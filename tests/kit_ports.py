"""Ports for what a test starts: below the range the kernel hands out by itself, and no other worker's."""

from __future__ import annotations

import itertools
import os
import random
import socket

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
PORTS = range(11000 + 1200 * WORKER, 11000 + 1200 * WORKER + 1196, 4)
RTP = (20600 + 1400 * WORKER, 20600 + 1400 * WORKER + 1399)  # all that a worker runs passes over what is taken
_turn = itertools.cycle(random.sample(PORTS, len(PORTS)))  # none is given again soon


def free_port() -> int:
    """The first of four neighbours that are free for TCP and UDP at this moment."""
    return next(port for port in _turn if all(_is_free(one) for one in range(port, port + 4)))


def _is_free(port: int) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
