"""Fan-out of events to other web nodes over Redis. Best effort: losing Redis loses nothing.

`publish` never waits and never raises; what cannot be sent in time is dropped, because PostgreSQL has it. The link
is made again by itself, with one log line at each change of state.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import Callable

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cti.core.messages import Event, decode, encode

CHANNEL = "cti:events"
KEPT = 10_000  # events that wait for a slow Redis
GATHER = 0.05  # s that events may wait for others to go with
LOOK_EVERY = 1.0  # s; who begins to listen hears nothing for so long
TIMEOUT = 1.0
PING_EVERY = 5.0
RETRY_FIRST, RETRY_MOST = 0.2, 5.0
FAULTS: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
log = logging.getLogger(__name__)


class Fanout:
    """Made inside the running event loop, to which all of it belongs. `connected`: the last try worked."""

    def __init__(self, url: str) -> None:
        self.connected = False
        self._redis = Redis.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, max_connections=4, health_check_interval=10
        )
        self._waiting: collections.deque[Event] = collections.deque(maxlen=KEPT)
        self._anybody = (False, -LOOK_EVERY)  # whether somebody listens, and the loop's time of the answer
        self._wake = asyncio.Event()
        self._said: bool | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._start(self._send())

    def publish(self, event: Event) -> None:
        self._waiting.append(event)
        self._wake.set()

    def subscribe(self, callback: Callable[[Event], None]) -> None:
        """Calls `callback` with every event that any node publishes from now on, our own included."""
        self._start(self._receive(callback))

    async def ping(self) -> bool:
        """Whether Redis answers now."""
        try:
            async with asyncio.timeout(2 * TIMEOUT):
                self._say(bool(await self._redis.ping()))
        except FAULTS as e:
            self._say(False, e)
        return self.connected

    async def close(self) -> None:
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:  # again and again: on Python 3.11 a cancellation can get lost
                task.cancel()
            await asyncio.wait(running, timeout=0.2)
        with contextlib.suppress(*FAULTS):
            await self._redis.aclose()

    def _start(self, work: collections.abc.Coroutine[None, None, None]) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(work))

    async def _send(self) -> None:
        """What has gathered goes out in one round trip."""
        wait = RETRY_FIRST
        while True:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), 500))]
            try:
                async with asyncio.timeout(2 * TIMEOUT):
                    if await self._heard():
                        await self._publish(batch)
                self._say(True)
                wait = RETRY_FIRST
                await self._idle()
            except FAULTS as e:
                self._say(False, e)
                await asyncio.sleep(wait)
                wait = min(2 * wait, RETRY_MOST)

    async def _publish(self, batch: list[Event]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for event in batch:
                with contextlib.suppress(UnicodeEncodeError):
                    pipe.publish(CHANNEL, encode(event))
            await pipe.execute()

    async def _heard(self) -> bool:
        """Whether somebody listened LOOK_EVERY ago at most; else nothing need be sent. The sign of life, too."""
        heard, asked_at = self._anybody
        now = asyncio.get_running_loop().time()
        if now - asked_at >= LOOK_EVERY:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.pubsub_numsub(CHANNEL)
                pipe.pubsub_numpat()
                named, patterns = await pipe.execute()
            heard = bool(patterns) or any(count for _, count in named)
            self._anybody = (heard, now)
        return heard

    async def _idle(self) -> None:
        """Until there is something to send, or it is time to see whether Redis is still there."""
        self._wake.clear()
        if not self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_EVERY):
                    await self._wake.wait()
                await asyncio.sleep(GATHER)

    async def _receive(self, callback: Callable[[Event], None]) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    self._say(True)
                    while True:
                        message = await pubsub.get_message(timeout=10)
                        if message is not None:
                            _deliver(message["data"], callback)
            except FAULTS as e:
                self._say(False, e)
                await asyncio.sleep(RETRY_FIRST)

    def _say(self, connected: bool, error: Exception | None = None) -> None:
        """One line at a change of state."""
        if connected != self._said:
            if connected:
                log.info("Redis is there")
            else:
                log.warning("Redis is away (%s): other nodes hear nothing, nothing is lost", error)
        self.connected = self._said = connected


def _deliver(data: bytes, callback: Callable[[Event], None]) -> None:
    try:
        event = decode(data)
        if isinstance(event, Event):
            callback(event)
    except msgspec.MsgspecError as e:
        log.warning("a message from Redis is no event: %s", e)
    except Exception:
        log.exception("a subscriber failed")
