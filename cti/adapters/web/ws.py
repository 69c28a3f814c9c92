"""The websocket of the pages. The server pushes; all a client may say is which phone it can answer.

    -> {"type":"phone","data":{"station":"2009"}}  this program can answer that phone ("": no longer)
    <- {"type":"error","data":{"code":...}}        for anything else; nothing changes

On connect: with ?since=SEQ what was missed since, then how it is now: `desk` for agents, `wallboard` for
supervisors. Without it, or when that is no longer known, the latter only, and `screen_pop` while there is one.
Close codes: 1001 server stops or connect again, 1008 flood, 1009 frame too big, 1013 reads too slowly, 4401 logged out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from cti.adapters.web.auth import Auth, Who, same_origin
from cti.adapters.web.hub import FLOOR, Hub, Socket
from cti.adapters.web.ports import Engine, Row, Settings
from cti.adapters.web.problems import Problem
from cti.adapters.web.wire import encode, read_json
from cti.errors import BadInput

MAX_FRAME = 64 * 1024
BURST, PER_SECOND = 40, 10.0  # frames a client may send, pings included
CHECK_SECONDS = 30.0  # how often an open socket's login is looked at again


class _Phone(msgspec.Struct, forbid_unknown_fields=True):
    station: str


class _Said(msgspec.Struct):
    type: str
    data: dict[str, object] = {}


class Sockets:
    """The handler of /ws and the clocks behind it."""

    def __init__(self, engine: Engine, hub: Hub, auth: Auth, settings: Settings) -> None:
        self._engine = engine
        self._hub = hub
        self._auth = auth
        self._settings = settings
        self._board = b""
        self._queues: dict[str, Row] = {}  # as they were told last

    async def handle(self, request: web.Request, who: Who) -> web.StreamResponse:
        """GET /ws. Raises Problem 403 for a cookie without our Origin, 400 for a bad `since`."""
        if who.session and not same_origin(request, required=True):
            raise Problem(403, "a page of another origin may not listen", "csrf")
        since = _since(request.query.get("since"))
        ws = web.WebSocketResponse(
            max_msg_size=MAX_FRAME, heartbeat=20.0, autoping=False, compress=False, timeout=1.0
        )
        if not ws.can_prepare(request):
            raise Problem(426, "this address speaks websocket only", headers={"Upgrade": "websocket"})
        await ws.prepare(request)
        socket = self._open(who, since)
        try:
            await self._serve(ws, socket, request)
        finally:
            self._hub.remove(socket)
        return ws

    def _open(self, who: Who, since: int | None) -> Socket:
        """A socket that first gets what it missed or a snapshot; nothing comes in between."""
        audiences = [f"agent:{who.name}", *([FLOOR] if who.is_supervisor else [])]
        socket = Socket(who.name, audiences, who.session, self._hub.seq)
        missed = None if since is None else self._hub.missed(audiences, since)
        for message in [*(missed or ()), *self._snapshot(who, pop=missed is None)]:
            socket.put(message)
        self._hub.add(socket)
        return socket

    def _desk(self, agent: str) -> Row:
        return {**self._engine.desk(agent), "can_answer": self._hub.can_answer(agent)}

    def _snapshot(self, who: Who, pop: bool) -> list[str]:
        """How it is now. Also after what was missed: phones come and go without a message of their own."""
        messages = []
        if is_agent(self._engine, who):
            desk = self._desk(who.name)
            messages.append(self._hub.message("desk", desk, number=False))
            if pop and desk.get("pop"):
                messages.append(self._hub.message("screen_pop", desk["pop"], number=False))
        if who.is_supervisor:
            messages.append(self._hub.message("wallboard", self._engine.wallboard(), number=False))
        return messages

    async def _serve(self, ws: web.WebSocketResponse, socket: Socket, request: web.Request) -> None:
        """Until one of reading, writing, the login's check or the hub ends it."""
        tasks = [
            asyncio.ensure_future(work)
            for work in (
                self._read(ws, socket),
                _write(ws, socket),
                self._watch(socket, request),
                socket.closed.wait(),
            )
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _close(ws, socket, request)

    async def _read(self, ws: web.WebSocketResponse, socket: Socket) -> None:
        left, then = float(BURST), time.monotonic()
        async for message in _frames(ws):
            now = time.monotonic()
            left, then = min(BURST, left + (now - then) * PER_SECOND) - 1, now
            if left < 0:
                socket.close(1008)
                return
            if message.type is WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._hear(socket, message.data)
            elif message.type is WSMsgType.BINARY:
                socket.put(self._error("bad_frame"))

    def _hear(self, socket: Socket, text: str) -> None:
        try:
            said = read_json(text.encode(), _Said)
            if said.type != "phone":
                socket.put(self._error("unknown_type"))
                return
            station = msgspec.convert(said.data, _Phone).station
        except (BadInput, ValueError):
            socket.put(self._error("bad_frame"))
            return
        if station and not _may_answer(self._engine, socket.agent, station):
            socket.put(self._error("not_your_station"))
            return
        self._hub.set_phone(socket, station)

    def _error(self, code: str) -> str:
        return self._hub.message("error", {"code": code}, number=False)

    async def _watch(self, socket: Socket, request: web.Request) -> None:
        """An open page keeps its session alive; a session or token that ended elsewhere closes it, and a user who is a
        supervisor no longer, or by now, has to connect again."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            with contextlib.suppress(Exception):  # the database being away does not log people out
                who = await self._auth.who(request)
                if who is None:
                    socket.close(4401)
                elif who.is_supervisor != (FLOOR in socket.audiences):
                    socket.close(1001)

    async def beats(self) -> None:
        """Forever: a sign of life to every page."""
        while True:
            await asyncio.sleep(self._settings.beat_seconds)
            self._hub.beat()

    async def boards(self) -> None:
        """Forever: to supervisors, at most once a period, the queues that changed and the wallboard, when it has."""
        while True:
            await asyncio.sleep(self._settings.wallboard_seconds)
            if self._hub.anyone_on(FLOOR):
                board = self._engine.wallboard()
                seen = encode({k: v for k, v in board.items() if k != "at"})
                if seen != self._board:
                    self._board = seen
                    self._push_queues({row["queue"]: row for row in board["queues"]})
                    self._hub.push("wallboard", board)

    def _push_queues(self, rows: dict[str, Row]) -> None:
        for name, row in rows.items():
            if self._queues.get(name) != row:
                self._hub.push("queue", row)
        self._queues = rows

    async def desks(self) -> None:
        """Forever: a fresh desk to agents whose phone came or went, and to those about to choose one."""
        seen = dict(self._engine.stations())
        while True:
            await asyncio.sleep(self._settings.wallboard_seconds)
            phones = dict(self._engine.stations())
            if phones != seen:
                changed = {number for number, _ in phones.items() ^ seen.items()}
                for agent in self._concerned(changed):
                    self._hub.push("desk", self._desk(agent), agent)
                seen = phones

    def _concerned(self, stations: set[str]) -> list[str]:
        rows = [row for row in self._engine.agents() if self._hub.anyone_on(f"agent:{row['agent_id']}")]
        return [r["agent_id"] for r in rows if r["wish"] == "logged_out" or seat(r) in stations]


def seat(row: Row) -> str:
    """The station at which an agent sits, or would."""
    return str(row.get("station") or row.get("usual_station") or "")


def is_agent(engine: Engine, who: Who) -> bool:
    """Whether this user takes calls."""
    return who.user.role == "agent" or any(a.get("agent_id") == who.name for a in engine.agents())


def _may_answer(engine: Engine, agent: str, station: str) -> bool:
    """A phone that another agent sits at is not ours to answer."""
    if not (station.isascii() and station.isalnum() and len(station) <= 20):
        return False
    return all(
        a.get("station") != station or a.get("agent_id") == agent or a.get("wish") == "logged_out"
        for a in engine.agents()
    )


def _since(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Problem(400, "since is the last seq you saw", "bad_since")
    return int(text)


async def _frames(ws: web.WebSocketResponse) -> AsyncIterator[WSMessage]:
    while True:
        message = await ws.receive()
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            return
        yield message


async def _write(ws: web.WebSocketResponse, socket: Socket) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await ws.send_str(await socket.get())


async def _close(ws: web.WebSocketResponse, socket: Socket, request: web.Request) -> None:
    """Say good-bye; whoever does not listen within a second is cut off."""
    socket.close(1000)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(1.0):
            await ws.close(code=socket.close_code)
            return
    if request.transport is not None:
        request.transport.abort()
