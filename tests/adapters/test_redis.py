"""Fan-out over a real Redis: what one node publishes the others hear; losing Redis hurts nobody."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cti.adapters.redis import CHANNEL, Fanout
from cti.core.messages import Event
from tests.kit_until import until

pytestmark = pytest.mark.services


class Server:
    """A Redis on a unix socket."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir",
                str(self.socket.parent)]  # fmt: skip
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self.socket.exists():
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.socket.unlink(missing_ok=True)


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="cti-redis-") as folder:
        server = Server(Path(folder))
        server.start()
        yield server
        server.kill()


def event(n: int, **data: Any) -> Event:
    return Event(type="call.test", at=1.0, seq=n, data=data)


async def hears(here: Fanout, there: list[Event]) -> None:
    """Returns when a subscription is up: something published is heard."""
    async with asyncio.timeout(15):
        while not there:
            here.publish(event(0))
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    there.clear()


async def test_what_one_node_publishes_the_others_hear_in_order(server: Server) -> None:
    here, there, heard = Fanout(server.url), Fanout(server.url), list[Event]()
    there.subscribe(heard.append)
    await hears(here, heard)
    for n in range(1, 2001):
        here.publish(event(n, name="王小明"))
    await until(lambda: len(heard) >= 2000)
    assert [e.seq for e in heard] == list(range(1, 2001)) and heard[0].data == {"name": "王小明"}
    assert await here.ping() and here.connected
    await here.close()
    await there.close()


async def test_losing_redis_is_told_once_and_healed(server: Server, caplog: Any) -> None:
    here, heard = Fanout(server.url), list[Event]()
    here.subscribe(heard.append)
    await hears(here, heard)
    server.kill()
    for n in range(100):
        here.publish(event(n))
        await asyncio.sleep(0.001)
    assert not await here.ping() and not here.connected
    server.start()
    await until(lambda: here.connected)
    await hears(here, heard)
    assert caplog.text.count("Redis is away") == 1
    await here.close()


async def test_no_redis_at_all_costs_nothing(tmp_path: Path) -> None:
    fanout = Fanout(f"unix://{tmp_path}/none.sock")
    began = time.perf_counter()
    for n in range(20_000):
        fanout.publish(event(n))
    assert time.perf_counter() - began < 2
    assert not await fanout.ping()
    await fanout.close()


async def test_rubbish_on_the_channel_and_a_failing_subscriber_stop_nothing(server: Server, caplog: Any) -> None:
    fanout, heard = Fanout(server.url), list[Event]()

    def picky(e: Event) -> None:
        heard.append(e)
        if e.seq == 1:
            raise RuntimeError("page gone")

    fanout.subscribe(picky)
    await hears(fanout, heard)
    for rubbish in (b"", b"{}", b"\xff", b'{"v":999,"type":"?"}', b'{"is":"Tick","at":1.0}'):
        await fanout._redis.publish(CHANNEL, rubbish)
    fanout.publish(event(1))
    fanout.publish(event(2, name="\ud800"))  # cannot be encoded: dropped
    fanout.publish(event(3))
    await until(lambda: heard and heard[-1].seq == 3)
    assert [e.seq for e in heard] == [1, 3]
    assert "page gone" in caplog.text and "no event" in caplog.text
    await fanout.close()


async def test_closing_leaves_no_task(server: Server) -> None:
    fanout = Fanout(server.url)
    fanout.subscribe(lambda e: None)
    await fanout.ping()
    await fanout.close()
    with suppress(AttributeError):
        assert [t for t in asyncio.all_tasks() if "Fanout" in repr(t)] == []
