"""The private Redis of a home: unix socket only, nothing on disk (it holds only what can be rebuilt)."""

from __future__ import annotations

import asyncio
import shutil

from cti.embedded.part import Part
from cti.embedded.places import Places
from cti.errors import Unavailable


def part(places: Places) -> Part:
    binary = shutil.which("redis-server")
    if binary is None:
        raise Unavailable("no Redis: run `make setup`, or apt install redis-server")
    path = str(places.run / "redis.sock")
    settings = [
        "--port",
        "0",
        "--unixsocket",
        path,
        "--unixsocketperm",
        "700",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    folder = ["--dir", str(places.state / "redis"), "--daemonize", "no", "--loglevel", "warning"]

    async def ready() -> bool:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(b"PING\r\n")
            async with asyncio.timeout(2):
                return (await reader.readline()).startswith(b"+PONG")
        finally:
            writer.close()

    return Part("redis", [binary, *settings, *folder], places.logs / "redis.log", places.account, ready=ready)
