"""Pushes to the pages: who gets what, what a reconnect missed, and which phone can be told to answer.

Messages are `{"type","seq","at","data"}`. `seq` rises over everything this server says, so a page sees gaps
where others were told something. It starts at the clock's milliseconds: a number from before a restart is
always older than all there is, and gets a snapshot.
Audiences: `agent:NAME` is one agent's pages; FLOOR is every supervisor and admin.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from cti.adapters.web.numbers import readable_pop
from cti.adapters.web.wire import encode, iso, jsonable

FLOOR = "floor"
BOARD_TYPES = frozenset({"queue", "wallboard"})  # who reconnects gets the board as it is now
MAX_QUEUED = 2 * 1024 * 1024  # bytes waiting for one socket
KEEP = 500  # messages kept for reconnects, per audience,
KEEP_BYTES = 256 * 1024  # and what they may hold: well under MAX_QUEUED, or a reconnect would close itself
KEEP_SECONDS = 60.0  # after the last page of an audience has gone; who reconnects later gets a snapshot
PHONE_TYPE = "pick_up"


class Socket:
    """What waits for one page. The hub puts, the socket's writer gets; too much waiting closes it."""

    def __init__(self, agent: str, audiences: Iterable[str], session: bytes, seq: int) -> None:
        self.agent = agent
        self.audiences = frozenset(audiences)
        self.session = session
        self.seq = seq  # of the last message put
        self.station = ""  # the station whose phone this program can answer
        self.closed = asyncio.Event()
        self.close_code = 1000
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._more = asyncio.Event()

    def put(self, message: str) -> None:
        if self.closed.is_set():
            return
        self._waiting.append(message)
        self._bytes += size_of(message)
        self._more.set()
        if self._bytes > MAX_QUEUED:
            self.close(1013)

    async def get(self) -> str:
        while not self._waiting:
            self._more.clear()
            await self._more.wait()
        message = self._waiting.popleft()
        self._bytes -= size_of(message)
        return message

    def close(self, code: int) -> None:
        """The socket's task notices and closes; nothing more is put."""
        if not self.closed.is_set():
            self.close_code = code
            self._waiting.clear()
            self._bytes = 0
            self.closed.set()


class _Ring(msgspec.Struct):
    """What was said to an audience that has pages, or had one a moment ago."""

    complete_from: int  # every message after this seq is here
    alone_since: float = 0.0  # when its last page went
    messages: deque[tuple[int, str]] = msgspec.field(default_factory=deque)
    size: int = 0

    def add(self, seq: int, message: str) -> None:
        self.messages.append((seq, message))
        self.size += size_of(message)
        while len(self.messages) > KEEP or self.size > KEEP_BYTES:
            self.complete_from, old = self.messages.popleft()
            self.size -= size_of(old)


def size_of(message: str) -> int:
    """At most so many bytes."""
    return len(message) if message.isascii() else 3 * len(message)


class Hub:
    """Every open page of this server. All methods are synchronous and belong to the loop's thread.

    `country` is the region in whose national form numbers are shown. `seat_of` tells an agent's station now."""

    def __init__(self, country: str = "ID", clock: Callable[[], float] = time.time) -> None:
        self._country = country
        self._clock = clock
        self.seat_of: Callable[[str], str] = lambda agent: ""
        self.seq = int(clock() * 1000)
        self._sockets: set[Socket] = set()
        self._by_audience: dict[str, set[Socket]] = {}
        self._rings: dict[str, _Ring] = {}

    def push(self, type: str, data: dict[str, Any], agent: str = "") -> None:
        """Tell the agent's pages, and supervisors what is theirs to see; without `agent` supervisors only.
        Where nobody is, nothing is said.

        `pick_up` goes only to phones that said they can be told so, and is never repeated to a reconnect."""
        if type == PHONE_TYPE:
            message = self.message(type, data)
            for socket in self._phones(agent):
                socket.put(message)
            return
        audiences = [f"agent:{agent}"] if agent else []
        if not agent or type == "agent_state":
            audiences.append(FLOOR)
        audiences = [audience for audience in audiences if audience in self._rings]
        if not audiences:
            return
        message = self.message(type, data)
        if type not in BOARD_TYPES:
            for audience in audiences:
                self._rings[audience].add(self.seq, message)
        for socket in set().union(*(self._by_audience.get(a, set()) for a in audiences)):
            socket.seq = self.seq
            socket.put(message)
        if type == "agent_state" and any(page.station for page in self._pages(agent)):
            self._tell_phone(agent)  # he may have moved to another one

    def message(self, type: str, data: Any, *, number: bool = True) -> str:
        """The text of a message. Without `number` it repeats the last seq: it says nothing new."""
        self.seq += number
        if type == "screen_pop":
            data = readable_pop(data, self._country)
        elif type == "desk" and data.get("pop"):
            data = {**data, "pop": readable_pop(data["pop"], self._country)}
        at = iso(self._clock())
        return encode({"type": type, "seq": self.seq, "at": at, "data": jsonable(data)}).decode()

    def missed(self, audiences: Iterable[str], since: int) -> list[str] | None:
        """What these audiences were told after `since`, in order; None when it is no longer known."""
        if since > self.seq:
            return None
        found: dict[int, str] = {}
        for audience in audiences:
            ring = self._rings.get(audience)
            if ring is None or since < ring.complete_from:
                return None
            found.update((seq, text) for seq, text in ring.messages if seq > since)
        return [found[seq] for seq in sorted(found)]

    def add(self, socket: Socket) -> None:
        self._sockets.add(socket)
        for audience in socket.audiences:
            self._by_audience.setdefault(audience, set()).add(socket)
            self._rings.setdefault(audience, _Ring(self.seq))

    def remove(self, socket: Socket) -> None:
        self._sockets.discard(socket)
        for audience in socket.audiences:
            group = self._by_audience.get(audience, set())
            group.discard(socket)
            if not group and self._by_audience.pop(audience, None) is not None:
                self._rings[audience].alone_since = self._clock()
        if socket.station:
            self.set_phone(socket, "")

    def close_session(self, session: bytes) -> None:
        """Close every socket of a session that ended."""
        for socket in self._sockets:
            if session and socket.session == session:
                socket.close(4401)

    def close_all(self) -> None:
        for socket in self._sockets:
            socket.close(1001)

    def set_phone(self, socket: Socket, station: str) -> None:
        """This program can (or no longer can) answer the phone of `station`; the agent's pages learn it."""
        socket.station = station
        self._tell_phone(socket.agent)

    def _tell_phone(self, agent: str) -> None:
        message = self.message("phone", {"can_answer": self.can_answer(agent)}, number=False)
        for page in self._pages(agent):
            page.put(message)

    def can_answer(self, agent: str) -> bool:
        """Whether some program said that it can answer the phone at which this agent sits."""
        return bool(self._phones(agent))

    def _phones(self, agent: str) -> list[Socket]:
        claims = [page for page in self._pages(agent) if page.station]
        seat = self.seat_of(agent) if claims else ""
        return [page for page in claims if page.station == seat]

    def _pages(self, agent: str) -> set[Socket]:
        return self._by_audience.get(f"agent:{agent}", set())

    def anyone_on(self, audience: str) -> bool:
        return audience in self._by_audience

    def beat(self) -> None:
        """A sign of life to every page: silence means a broken link. What nobody will ask for is forgotten."""
        before = self._clock() - KEEP_SECONDS
        self._rings = {
            audience: ring
            for audience, ring in self._rings.items()
            if audience in self._by_audience or ring.alone_since > before
        }
        message = self.message("beat", {}, number=False)
        for socket in self._sockets:
            socket.put(message)

    def __len__(self) -> int:
        return len(self._sockets)
