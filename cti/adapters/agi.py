"""The FastAGI server where callers wait.

The dialplan calls `agi://HOST:PORT/line,<dialled number>,<epoch seconds by the switch's clock>`.

    agi_wire     the protocol, pure            agi_session  one caller's session
    agi_channel  one command at a time         agi_keys     type-ahead and answers, pure
    agi_sounds   prompts become files

Everything a connection can do wrong ends that connection with one log line: no header within HEADER_TIMEOUT,
too much of it, garbage, an address that is not allowed. FastAGI has no password: the allowed addresses are
the lock.
A session's end is not the call's end: that is the channel's Hangup over AMI.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from cti.adapters import agi_wire
from cti.adapters.agi_session import AnyCommand, Outside, Session
from cti.adapters.agi_sounds import Renderer
from cti.adapters.agi_wire import Environment, WireError
from cti.core.messages import Input, LineDone, LineLost, LineReady, Sealed

log = logging.getLogger("cti.agi")

SCRIPT = "line"
HEADER_TIMEOUT = 2.0
CLOCK_SLACK = 86_400.0  # seconds the switch's clock may be off before ours is used
FORGED_CAUSE = 21


def _unkept(uniqueid: str, name: str, digits: str, at: float) -> Sealed:
    """Where there is no vault, sealed digits are lost, not told."""
    return Sealed(length=len(digits), good=False)


class AgiServer:
    """`allowed`: networks besides loopback and `host` itself, from where a switch on this machine calls.

    render, seal, beep, silence, spool: see `agi_session.Outside`."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        node: str = "main",
        submit: Callable[[Input], None],
        render: Renderer,
        now: Callable[[], float],
        allowed: Iterable[str] = (),
        seal: Callable[[str, str, str, float], Sealed] = _unkept,
        beep: str = "",
        silence: str = "",
        spool: Path = Path("/nonexistent"),
    ) -> None:
        self._where = (host, port)
        self._node, self._submit, self._now = node, submit, now
        self._outside = Outside(node, render, now, seal, beep, silence, spool)
        self._allowed = [ipaddress.ip_network(a, strict=False) for a in (host, *allowed) if a]
        self._held: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._closing = False
        self.refused = 0

    @property
    def listening(self) -> bool:
        return self._server is not None and self._server.is_serving()

    @property
    def sessions(self) -> int:
        """Callers in the loop now."""
        return len(self._held)

    @property
    def port(self) -> int:
        """The port listened on; of use when 0 was asked for."""
        assert self._server is not None
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def start(self) -> None:
        """Listens. Raises OSError."""
        host, port = self._where
        self._server = await asyncio.start_server(
            self._accept, host, port, limit=agi_wire.LINE_CAP, backlog=1024
        )

    async def close(self) -> None:
        """Lets go of every caller (the dialplan plays music and comes back) and stops listening."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        for session in list(self._held.values()):
            session.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def execute(self, command: AnyCommand) -> None:
        """Never blocks or raises. A caller who is not here any more was told as LineLost."""
        session = self._held.get(command.uniqueid)
        if session is None:
            log.info("%s is not in a session: %s left out", command.uniqueid, type(command).__name__)
        else:
            session.execute(command)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ["?"])[0])
        try:
            if not self._may(peer):
                raise WireError("address not allowed")
            async with asyncio.timeout(HEADER_TIMEOUT):
                env = await _environment(reader, writer)
            await self._hold(env, reader, writer)
        except (WireError, TimeoutError, OSError) as error:
            self.refused += 1
            log.warning("connection from %s closed: %s", peer, str(error) or "no header in time")
        except Exception:
            log.exception("connection from %s", peer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def _may(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        return address.is_loopback or any(address in network for network in self._allowed)

    async def _hold(
        self, env: Environment, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        session = Session(reader, writer, env, self._outside, self._tell)
        older = self._held.pop(env.uniqueid, None)
        if older is not None:
            older.close()
            self._lost(env.uniqueid)
        self._held[env.uniqueid] = session
        self._tell(self._ready(env))
        try:
            await session.run()
        finally:
            if self._held.get(env.uniqueid) is session:
                del self._held[env.uniqueid]
                self._lost(env.uniqueid)

    def _ready(self, env: Environment) -> LineReady:
        now = self._now()
        at = env.sent_at if env.sent_at is not None and abs(env.sent_at - now) < CLOCK_SLACK else now
        return LineReady(
            at=at,
            node=self._node,
            uniqueid=env.uniqueid,
            channel=env.channel,
            called=env.called,
            caller=env.caller,
            caller_name=env.caller_name,
        )

    def _lost(self, uniqueid: str) -> None:
        if not self._closing:
            self._tell(LineLost(at=self._now(), node=self._node, uniqueid=uniqueid))

    def _tell(self, fact: LineReady | LineDone | LineLost) -> None:
        try:
            self._submit(fact)
        except Exception:  # the receiver's fault; the session goes on
            log.exception("%s of %s was not taken", type(fact).__name__, fact.uniqueid)


async def _environment(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Environment:
    """Raises WireError; a caller who cut it is sent out of the loop first."""
    lines: list[bytes] = []
    try:
        while (line := await reader.readuntil(b"\n")).strip(b"\r\n"):
            lines.append(line.rstrip(b"\r\n"))
            if len(lines) > agi_wire.ENVIRONMENT_CAP:
                raise WireError("too many header lines")
    except asyncio.IncompleteReadError:
        raise WireError("closed within its header") from None
    except asyncio.LimitOverrunError:
        raise WireError("header line too long") from None
    try:
        return agi_wire.environment(lines, SCRIPT)
    except WireError as error:
        if error.cut:
            await _send_out(reader, writer)
        raise


async def _send_out(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A command whose answer is not looked at: the channel leaves the loop and is hung up."""
    writer.write(agi_wire.set_variable("CTI_DONE", str(FORGED_CAUSE)))
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await reader.read()
