"""One AMI connection, from login to its end.

    login -> CoreSettings (SystemName) -> FullyBooted -> facts of CEL -> snapshot -> SwitchUp -> live events

The reading task only cuts frames and puts them into a queue; one task takes them out, in order. Until the
snapshot is told, events wait in a buffer; those older than both are in them and are dropped. Nothing
that arrives here raises out of here: a bad frame is counted and passed over. Actions are answered within
ACTION_TIMEOUT or forgotten, and die with the connection: none is ever sent twice.

panoramisk's `Message` reads the answers to our actions. Events are not read with it: it takes the last of
doubled headers that differ in case, makes lists of the others, and reads all of every event. Its `Action`
checks nothing and needs an event loop to be written as text.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from panoramisk.message import Message

from cti.adapters import ami_actions, ami_facts
from cti.adapters.ami_frames import (
    CHANNEL,
    UNIQUEID,
    Framer,
    Rejected,
    Vetting,
    action_id,
    event_name,
    headers,
)
from cti.core.messages import ChannelNew, Fact, HangUp, LiveChannel, OriginateFailed, Ring, SwitchUp

log = logging.getLogger("cti.ami")

ACTION_TIMEOUT = 5.0
PING_EVERY = 5.0
DEAD_AFTER = 10.0
UNSEEN_AFTER = 0.2  # a failed Originate's Newchannel may come this late
WRITE_CAP = 1 << 20  # bytes waiting to be sent on a link that does not take them
FORGED_CAUSE = 21
BATCH = 200

_LISTS = {b"CoreShowChannel", b"DeviceStateChange"}


class LinkError(Exception):
    """The connection is of no use; the message says why."""


class LoginRefused(LinkError):
    pass


@dataclass
class Counters:
    frames: int = 0
    rejected: int = 0
    orphans: int = 0
    unanswered: int = 0
    connects: int = 0


@dataclass
class _Ringing:
    """An Originate whose outcome is not known. `hang_up`: end it with this cause as soon as it is seen."""

    channel_id: str
    until: float
    seen: bool = False
    hang_up: int | None = None


@dataclass
class _Listing:
    item: bytes
    rows: list[dict[str, str]] = field(default_factory=list)
    items: int = 0  # rows and rows left out as hostile
    done: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


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
        self._token = secrets.token_hex(16)
        self._number = 0
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._taken = asyncio.Event()
        self._heard = self._loop.time()
        self._vetting: Vetting | None = None
        self._early: list[bytes] = []
        self._buffer: list[tuple[bytes, dict[str, str]]] = []
        self._booted = asyncio.Event()
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._listings: dict[str, _Listing] = {}
        self._rings: dict[str, _Ringing] = {}  # by ActionID
        self._ringing: dict[str, _Ringing] = {}  # by channel_id
        self._channels: dict[str, str] = {}  # uniqueid -> channel name
        self._stations: dict[str, bool] = {}

    # ------------------------------------------------------------ life

    async def run(
        self,
        username: str,
        secret: str,
        now: Callable[[], float],
        past: Callable[[], Iterable[Fact]],
        up: Callable[[], None],
    ) -> None:
        """Raises LinkError, LoginRefused, OSError or TimeoutError; the switch's end is a LinkError too."""

        async def start() -> None:
            await self._log_in(username, secret)
            await self._come_up(now, past, up)

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
                self._post("Ping")
                self._forget_rings(now)

    async def _log_in(self, username: str, secret: str) -> None:
        answer = await self._ask("Login", [("Username", username), ("Secret", secret)])
        if not answer.success:
            raise LoginRefused(f"login as {username} refused")
        system = (await self._ask("CoreSettings")).get("SystemName", "")
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
        self, now: Callable[[], float], past: Callable[[], Iterable[Fact]], up: Callable[[], None]
    ) -> None:
        assert self._vetting is not None
        mark = self._vetting.high
        # in this order: a call that CEL tells of and the snapshot does not have is over, not one that began between
        facts = await asyncio.to_thread(lambda: list(past()))
        channels = await self._snapshot()
        self.live = True
        up()
        for fact in facts:
            self._say(fact)
        reachable = tuple(s for s, yes in self._stations.items() if yes)
        self._say(SwitchUp(at=now(), node=self._node, channels=channels, reachable=reachable))
        buffered, self._buffer = self._buffer, []
        for name, h in buffered:
            if int(h["SequenceNumber"]) > mark:
                self._on_event(name, h)

    async def _snapshot(self) -> tuple[LiveChannel, ...]:
        rows = await self._list("CoreShowChannels", b"CoreShowChannel")
        channels = tuple(ami_facts.live(h) for h in rows)
        for one in channels:
            self._channels[one.uniqueid] = one.channel
        for h in await self._list("DeviceStateList", b"DeviceStateChange"):
            if found := ami_facts.station(h):
                self._stations[found[0]] = found[1]
        return channels

    async def _list(self, action: str, item: bytes) -> list[dict[str, str]]:
        """All rows of a list action. A list that does not add up is asked for again, three times at most."""
        for _ in range(3):
            listing = _Listing(item)
            name = self._next_id()
            self._listings[name] = listing
            try:
                await self._ask(action, action_id=name)
                async with asyncio.timeout(ACTION_TIMEOUT):
                    if await listing.done == listing.items:
                        return listing.rows
            finally:
                del self._listings[name]
        raise LinkError(f"{action} does not add up")

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
            self._on_answer(frame)
        elif name == b"FullyBooted":  # at login it comes without an envelope; forged it does nothing
            self._booted.set()
        elif name in _LISTS or name.endswith(b"Complete"):
            if not self._on_list(name, frame) and name in ami_facts.WANTED:
                self._on_wanted(name, frame)
        elif name in ami_facts.WANTED:
            self._on_wanted(name, frame)

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
            self._on_new(fact.uniqueid)
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
            self._hang_up(why.channel, FORGED_CAUSE)

    def _say(self, fact: Fact) -> None:
        try:
            self._tell(fact)
        except Exception:  # the receiver's fault; this link and the facts to come are none of it
            log.exception("%s: %s was not taken", self._node, type(fact).__name__)

    # ------------------------------------------------------------ answers

    def _on_answer(self, frame: bytes) -> None:
        waiting = None
        if frame.startswith(b"Response: "):
            waiting = self._answers.pop(action_id(frame), None)
        if waiting is None:
            self._count.orphans += 1
        elif not waiting.done():
            waiting.set_result(Message.from_line(frame.decode("utf-8", "replace")))

    def _on_list(self, name: bytes, frame: bytes) -> bool:
        listing = self._listings.get(action_id(frame))
        if listing is None:
            return False
        h, wrong = headers(frame)
        if name != listing.item:
            if not listing.done.done():
                items = h.get("ListItems", "")
                listing.done.set_result(int(items) if items.isascii() and items.isdigit() else -1)
            return True
        listing.items += 1
        if name == b"CoreShowChannel" and not wrong and not UNIQUEID.fullmatch(h.get("Uniqueid", "")):
            wrong = "cut before Uniqueid"
        if wrong:
            channel = h.get("Channel", "")
            self._reject(Rejected(wrong, channel if CHANNEL.fullmatch(channel) else ""))
        else:
            listing.rows.append(h)
        return True

    # ------------------------------------------------------------ actions

    def _next_id(self) -> str:
        self._number += 1
        return f"{self._token}-{self._number}"

    async def _ask(
        self, action: str, more: Iterable[tuple[str, str]] = (), action_id: str | None = None
    ) -> Message:
        name = action_id or self._next_id()
        answer = self._send(ami_actions.encode(action, [("ActionID", name), *more]), name)
        try:
            async with asyncio.timeout(ACTION_TIMEOUT + 1):
                return await answer
        except asyncio.CancelledError:
            if answer.cancelled() and not _cancelling():
                raise LinkError(f"{action} was not answered") from None
            raise

    def _post(self, action: str) -> None:
        name = self._next_id()
        self._send(ami_actions.encode(action, [("ActionID", name)]), name)

    def _send(self, data: bytes, name: str) -> asyncio.Future[Message]:
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answers[name] = answer
        self._writer.write(data)
        self._loop.call_later(ACTION_TIMEOUT, self._forget, name)
        return answer

    def _forget(self, name: str) -> None:
        answer = self._answers.pop(name, None)
        if answer is not None:
            self._count.unanswered += 1
            answer.cancel()

    def stuck(self) -> bool:
        """Whether the switch does not take what we write."""
        return self._writer.transport.get_write_buffer_size() > WRITE_CAP

    def ring(self, command: Ring) -> None:
        """Raises ValueError before anything is sent."""
        name = self._next_id()
        data = ami_actions.ring(command, name)
        ringing = _Ringing(command.channel_id, self._loop.time() + command.timeout + 30)
        self._rings[name] = self._ringing[command.channel_id] = ringing
        self._send(data, name).add_done_callback(lambda answer: self._on_ack(name, answer))

    def hang_up(self, command: HangUp) -> None:
        """A channel that we ring and have not seen yet is hung up when it appears."""
        channel = self._channels.get(command.uniqueid)
        if channel is not None:
            self._hang_up(channel, command.cause)
        elif ringing := self._ringing.get(command.uniqueid):
            ringing.hang_up = command.cause
        else:
            log.info("%s: %s is gone already", self._node, command.uniqueid)

    def _hang_up(self, channel: str, cause: int) -> None:
        name = self._next_id()
        self._send(ami_actions.hang_up(channel, cause, name), name)

    # ------------------------------------------------------------ outcome of an Originate

    def _on_ack(self, name: str, answer: asyncio.Future[Message]) -> None:
        """Only a refusal ends it; success means queued, silence means unknown: facts will tell."""
        ringing = self._rings.get(name)
        if ringing is None or answer.cancelled() or answer.result().success:
            return
        log.error("%s: Originate refused: %s", self._node, str(answer.result().get("Message", ""))[:200])
        del self._rings[name]
        self._fail(ringing, "failed", self.last_at)

    def _on_new(self, uniqueid: str) -> None:
        ringing = self._ringing.get(uniqueid)
        if ringing is None:
            return
        ringing.seen = True
        if ringing.hang_up is not None:
            self._hang_up(self._channels[uniqueid], ringing.hang_up)

    def _on_outcome(self, h: dict[str, str]) -> None:
        ringing = self._rings.pop(h["ActionID"], None)
        if ringing is None:
            self._count.orphans += 1
        elif h["Response"] == "Success":
            self._ringing.pop(ringing.channel_id, None)
        elif h["Reason"] == "3":
            self._fail(ringing, "no_answer", float(h["Timestamp"]))
        else:
            why: Literal["unreachable", "failed"] = "unreachable" if h["Reason"] == "0" else "failed"
            at = float(h["Timestamp"])
            self._loop.call_later(UNSEEN_AFTER, self._fail_unseen, ringing, why, at)

    def _fail_unseen(self, ringing: _Ringing, why: Literal["unreachable", "failed"], at: float) -> None:
        """A channel that was seen tells by its ChannelGone; one that is there already was dialled before."""
        if ringing.seen or ringing.channel_id in self._channels:
            self._ringing.pop(ringing.channel_id, None)
        else:
            self._fail(ringing, why, at)

    def _fail(self, ringing: _Ringing, why: Literal["no_answer", "unreachable", "failed"], at: float) -> None:
        self._ringing.pop(ringing.channel_id, None)
        if self.live:
            self._say(OriginateFailed(at=at, node=self._node, uniqueid=ringing.channel_id, reason=why))

    def _forget_rings(self, now: float) -> None:
        for name in [n for n, r in self._rings.items() if r.until < now]:
            self._ringing.pop(self._rings.pop(name).channel_id, None)


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
