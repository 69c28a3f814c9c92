"""One AMI connection, from login to its end.

    login -> CoreSettings (SystemName) -> FullyBooted -> facts of CEL -> snapshot -> SwitchUp -> live events

The reading task only cuts frames and puts them into a queue; one task takes them out, in order. Until the
snapshot is told, events wait in a buffer; those older than both are in them and are dropped. Nothing
that arrives here raises out of here: a bad frame is counted and passed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from cti.adapters import ami_facts
from cti.adapters.ami_frames import Framer, Rejected, Vetting, event_name
from cti.adapters.ami_requests import ACTION_TIMEOUT, Counters, LinkError, Requests
from cti.adapters.ami_rings import Rings, Why
from cti.core.messages import ChannelNew, Fact, HangUp, LiveChannel, OriginateFailed, Ring, SwitchUp

log = logging.getLogger("cti.ami")

PING_EVERY = 5.0
DEAD_AFTER = 10.0
HANG_UP_AGAIN = 1.0  # s
HANG_UPS = 4  # tries in all
FORGED_CAUSE = 21
BATCH = 200

_LISTS = {b"CoreShowChannel", b"DeviceStateChange"}


class LoginRefused(LinkError):
    pass


class Session:
    """`tell` takes every fact and may raise: that is logged. `run` ends by an exception only."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        node: str,
        tell: Callable[[Fact], None],
        counters: Counters,
    ) -> None:
        self.live = False
        self.last_at = 0.0
        self._reader, self._writer = reader, writer
        self._node, self._tell, self._count = node, tell, counters
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._taken = asyncio.Event()
        self._heard = self._loop.time()
        self._vetting: Vetting | None = None
        self._early: list[bytes] = []
        self._buffer: list[tuple[bytes, dict[str, str]]] = []
        self._booted = asyncio.Event()
        self._channels: dict[str, str] = {}  # uniqueid -> channel name
        self._stations: dict[str, bool] = {}
        self._requests = Requests(writer, counters)
        self._rings = Rings(node, self._requests, self._channels, self._failed)

    # ------------------------------------------------------------ life

    async def run(
        self,
        username: str,
        secret: str,
        now: Callable[[], float],
        past: Callable[[], Iterable[Fact]],
        up: Callable[[], None],
        alive_until: float = 0.0,
    ) -> None:
        """Raises LinkError, LoginRefused, OSError or TimeoutError; the switch's end is a LinkError too."""

        async def start() -> None:
            await self._log_in(username, secret)
            await self._come_up(now, past, up, alive_until)

        # no TaskGroup and no wait_for: those of Python 3.11 can lose a cancellation
        tasks = [asyncio.create_task(work) for work in (self._read(), self._take(), self._watch(), start())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            self.live = False
            self._writer.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        async with asyncio.timeout(ACTION_TIMEOUT):
            banner = await self._reader.readline()
        if not banner.startswith(b"Asterisk Call Manager/"):
            raise LinkError("this is not an AMI port")
        framer = Framer()
        while data := await self._reader.read(1 << 16):
            self._heard = self._loop.time()
            self._queue.extend(framer.feed(data))
            self._wake.set()
            while len(self._queue) > 50 * BATCH:  # the kernel holds the rest
                self._taken.clear()
                await self._taken.wait()
        raise LinkError("the switch closed the connection")

    async def _take(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                for _ in range(min(BATCH, len(self._queue))):
                    self._guard(self._queue.popleft())
                self._taken.set()
                await asyncio.sleep(0)

    async def _watch(self) -> None:
        """A half-open link sends nothing: ping, and end it after DEAD_AFTER seconds of silence."""
        pinged = self._loop.time()
        while True:
            await asyncio.sleep(min(1.0, PING_EVERY))
            now = self._loop.time()
            if now - self._heard > DEAD_AFTER:
                raise LinkError(f"no byte for {DEAD_AFTER:.0f} s")
            if now - pinged >= PING_EVERY:
                pinged = now
                self._requests.post("Ping")
                self._rings.forget(now)

    async def _log_in(self, username: str, secret: str) -> None:
        answer = await self._requests.ask("Login", [("Username", username), ("Secret", secret)])
        if not answer.success:
            raise LoginRefused(f"login as {username} refused")
        system = (await self._requests.ask("CoreSettings")).get("SystemName", "")
        if not system:
            raise LinkError("asterisk.conf has no systemname: forged events could not be told from real ones")
        self._vetting = Vetting(system)
        early, self._early = self._early, []
        for frame in early:
            self._on_frame(frame)
        try:
            async with asyncio.timeout(30):
                await self._booted.wait()
        except TimeoutError:
            raise LinkError("no FullyBooted event; the account needs read=system") from None

    # ------------------------------------------------------------ snapshot

    async def _come_up(
        self, now: Callable[[], float], past: Callable[[], Iterable[Fact]], up: Callable[[], None],
        alive_until: float,
    ) -> None:  # fmt: skip
        assert self._vetting is not None
        mark = self._vetting.high
        # in this order: a call that CEL tells of and the snapshot does not have is over, not one that began between
        facts = await asyncio.to_thread(lambda: list(past()))
        await self._devices()
        asked_at = now()
        channels = await self.channels()
        self.live = True
        up()
        for fact in facts:
            self._say(fact)
        reachable = tuple(s for s, yes in self._stations.items() if yes)
        gone_at = max([alive_until, *self._earlier(facts)]) if alive_until else None
        self._say(
            SwitchUp(
                at=now(), node=self._node, asked_at=asked_at, gone_at=gone_at, channels=channels, reachable=reachable
            )
        )  # fmt: skip
        buffered, self._buffer = self._buffer, []
        for name, h in buffered:
            if int(h["SequenceNumber"]) > mark:
                self._on_event(name, h)

    async def channels(self) -> tuple[LiveChannel, ...]:
        """What there is now. Raises LinkError, TimeoutError."""
        rows = await self._requests.list_rows("CoreShowChannels", b"CoreShowChannel")
        channels = tuple(ami_facts.live(h) for h in rows)
        for one in channels:
            self._channels[one.uniqueid] = one.channel
        return channels

    def _earlier(self, facts: Iterable[Fact]) -> list[float]:
        """When the switch was alive before its last start."""
        assert self._vetting is not None
        return [fact.at for fact in facts if not self._vetting.is_of_this_start(getattr(fact, "uniqueid", ""))]

    async def _devices(self) -> None:
        for h in await self._requests.list_rows("DeviceStateList", b"DeviceStateChange"):
            if found := ami_facts.station(h):
                self._stations[found[0]] = found[1]

    # ------------------------------------------------------------ frames

    def _guard(self, frame: bytes) -> None:
        try:
            self._on_frame(frame)
        except Exception:  # a frame nobody thought of must not end the link
            self._count.rejected += 1
            log.exception("%s: frame not understood", self._node)

    def _on_frame(self, frame: bytes) -> None:
        self._count.frames += 1
        name = event_name(frame)
        if not name:
            self._requests.answered(frame)
        elif name == b"FullyBooted":  # at login it comes without an envelope; forged it does nothing
            self._booted.set()
        elif name in _LISTS or name.endswith(b"Complete"):
            if not self._on_list(name, frame) and name in ami_facts.WANTED:
                self._on_wanted(name, frame)
        elif name in ami_facts.WANTED:
            self._on_wanted(name, frame)

    def _on_list(self, name: bytes, frame: bytes) -> bool:
        try:
            return self._requests.listed(name, frame)
        except Rejected as why:
            self._reject(why)
            return True

    def _on_wanted(self, name: bytes, frame: bytes) -> None:
        if self._vetting is None:
            if len(self._early) < 10_000:
                self._early.append(frame)
            return
        try:
            h = self._vetting.accept(frame, ami_facts.WANTED[name])
        except Rejected as why:
            self._reject(why)
            return
        if h is None:
            return
        if not self.live:
            self._buffer.append((name, h))
            return
        self._on_event(name, h)

    def _on_event(self, name: bytes, h: dict[str, str]) -> None:
        self.last_at = float(h["Timestamp"])
        if name == b"OriginateResponse":
            self._on_outcome(h)
            return
        if name == b"DeviceStateChange" and not self._changed(h):
            return
        if name == b"Newchannel":
            self._channels[h["Uniqueid"]] = h["Channel"]
        fact = ami_facts.fact(name, h, self._node)
        if fact is not None:
            self._say(fact)
        if isinstance(fact, ChannelNew):
            self._rings.seen(fact.uniqueid)
        if name == b"Hangup":
            self._channels.pop(h["Uniqueid"], None)

    def _changed(self, h: dict[str, str]) -> bool:
        found = ami_facts.station(h)
        if found is None or self._stations.get(found[0]) is found[1]:
            return False
        self._stations[found[0]] = found[1]
        return True

    def _reject(self, why: Rejected) -> None:
        self._count.rejected += 1
        if self._count.rejected <= 20 or self._count.rejected % 100 == 0:
            log.warning("%s: frame %d rejected: %s", self._node, self._count.rejected, why)
        if why.channel:
            log.warning("%s: %s wrote into the event stream: hung up", self._node, why.channel)
            self._requests.hang_up(why.channel, FORGED_CAUSE)

    def _say(self, fact: Fact) -> None:
        try:
            self._tell(fact)
        except Exception:  # the receiver's fault; this link and the facts to come are none of it
            log.exception("%s: %s was not taken", self._node, type(fact).__name__)

    # ------------------------------------------------------------ commands

    def stuck(self) -> bool:
        """Whether the switch does not take what we write."""
        return self._requests.stuck()

    def ring(self, command: Ring, whisper: Sequence[str] = ()) -> None:
        """Raises ValueError before anything is sent."""
        self._rings.ring(command, whisper)

    def hang_up(self, command: HangUp, tries: int = HANG_UPS) -> None:
        """A channel that we ring and have not seen yet is hung up when it appears; one that stays, again.

        Asterisk loses a hang-up that meets a channel on its way between a bridge and the dialplan."""
        channel = self._channels.get(command.uniqueid)
        if channel is not None:
            self._requests.hang_up(channel, command.cause)
            if tries > 1:
                asyncio.get_running_loop().call_later(HANG_UP_AGAIN, self._still_there, command, tries - 1)
        elif not self._rings.hang_up_when_seen(command.uniqueid, command.cause):
            log.info("%s: %s is gone already", self._node, command.uniqueid)

    def _still_there(self, command: HangUp, tries: int) -> None:
        if self.live and command.uniqueid in self._channels:
            log.warning("%s: %s is still there: hung up again", self._node, command.uniqueid)
            self.hang_up(command, tries)

    def _on_outcome(self, h: dict[str, str]) -> None:
        if not self._rings.outcome(h):
            self._count.orphans += 1

    def _failed(self, channel_id: str, why: Why, at: float | None) -> None:
        if self.live:
            at = self.last_at if at is None else at
            self._say(OriginateFailed(at=at, node=self._node, uniqueid=channel_id, reason=why))
