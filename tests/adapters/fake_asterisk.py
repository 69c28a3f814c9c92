"""An Asterisk that is only its wires: an AMI server that can misbehave, and the FastAGI client of one channel.

async with FakeAmi() as switch:
    link = AmiLink(port=switch.port, ...)
    await switch.event("Hangup", Channel=..., Uniqueid=..., Cause="16")
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Self

SYSTEM = "ctifake0123456789"
Action = dict[str, str]


def frame(*headers: tuple[str, str]) -> bytes:
    return "".join(f"{n}: {v}\r\n" for n, v in headers).encode() + b"\r\n"


def channel(uniqueid: str, name: str, **more: str) -> dict[str, str]:
    """Headers of a channel as events print them, in Asterisk's order."""
    return {
        "Channel": name, "ChannelState": "6", "ChannelStateDesc": "Up", "CallerIDNum": "+628111",
        "CallerIDName": "王小明", "ConnectedLineNum": "<unknown>", "ConnectedLineName": "<unknown>",
        "Language": "en", "AccountCode": "", "Context": "from-trunk", "Exten": "6000", "Priority": "1",
        "Uniqueid": uniqueid, "Linkedid": uniqueid,
    } | more  # fmt: skip


class FakeAmi:
    """`mute`: actions that get no answer at all. `cut_on`: the action after which the link breaks at once.

    `on`: own answers, by action. `actions`: all that came, in order, with a list in `Variable`."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.raw = b""
        self.channels: list[dict[str, str]] = []
        self.devices: dict[str, str] = {}
        self.mute: set[str] = set()
        self.cut_on = ""
        self.refuse_login = False
        self.system = SYSTEM
        self.count_off = 0  # added to ListItems
        self.connections = 0
        self.on: dict[str, Callable[[Action], None]] = {}
        self._sequence = 100
        self._writers: list[asyncio.StreamWriter] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---------------------------------------------------------------- what a test says

    def envelope(self) -> list[tuple[str, str]]:
        self._sequence += 1
        return [
            ("Privilege", "call,all"), ("Timestamp", f"{time.time():.6f}"),
            ("SequenceNumber", str(self._sequence)), ("File", "manager_channels.c"), ("Line", "806"),
            ("Func", "channel_snapshot_update"), ("SystemName", self.system),
        ]  # fmt: skip

    def real(self, name: str, headers: dict[str, str]) -> bytes:
        """A true event of this switch."""
        return frame(("Event", name), *self.envelope(), *headers.items())

    def event(self, name: str, /, **headers: str) -> None:
        self.send(self.real(name, headers))

    def send(self, data: bytes) -> None:
        for writer in self._writers:
            writer.write(data)

    def cut(self) -> None:
        """Break every link, as a crash would."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def sent(self, action: str) -> list[Action]:
        return [a for a in self.actions if a["Action"] == action]

    async def until(self, met: Callable[[], bool], seconds: float = 5) -> None:
        """Raises TimeoutError when `met` is still false after `seconds`."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(met)

    # ---------------------------------------------------------------- the wire

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._writers.append(writer)
        writer.write(b"Asterisk Call Manager/11.0.0\r\n")
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            while True:
                data = await reader.readuntil(b"\r\n\r\n")
                self.raw += data
                action = self._parse(data)
                self.actions.append(action)
                self._answer(action, writer)
                async with self._changed:
                    self._changed.notify_all()
        with contextlib.suppress(ValueError):
            self._writers.remove(writer)
        writer.close()
        self._tasks.discard(task)

    @staticmethod
    def _parse(data: bytes) -> Action:
        action: Action = {}
        for line in data.decode().split("\r\n")[:-2]:
            name, _, value = line.partition(": ")
            action[name] = action[name] + "\n" + value if name in action else value
        return action

    def _answer(self, action: Action, writer: asyncio.StreamWriter) -> None:
        kind, ours = action["Action"], ("ActionID", action.get("ActionID", ""))
        if kind == self.cut_on:
            writer.transport.abort()
        elif kind in self.mute:
            return
        elif kind in self.on:
            self.on[kind](action)
        elif kind == "Login" and self.refuse_login:
            writer.write(frame(("Response", "Error"), ours, ("Message", "Authentication failed")))
        elif kind == "CoreSettings":
            writer.write(frame(("Response", "Success"), ours, ("SystemName", self.system)))
        elif kind == "CoreShowChannels":
            self._list(writer, ours, "CoreShowChannel", self.channels)
        elif kind == "DeviceStateList":
            states = [{"Device": d, "State": s} for d, s in self.devices.items()]
            self._list(writer, ours, "DeviceStateChange", states, "DeviceStateListComplete")
        else:
            writer.write(frame(("Response", "Success"), ours, ("Message", "Originate successfully queued")))
            if kind == "Login":
                writer.write(frame(("Event", "FullyBooted"), ("Privilege", "system,all")))

    def _list(
        self, writer: asyncio.StreamWriter, ours: tuple[str, str], item: str, rows: list[dict[str, str]],
        complete: str = "CoreShowChannelsComplete",
    ) -> None:  # fmt: skip
        writer.write(frame(("Response", "Success"), ours, ("EventList", "start"), ("Message", "will follow")))
        for row in rows:
            writer.write(frame(("Event", item), ours, *row.items()))
        count = str(len(rows) + self.count_off)
        writer.write(frame(("Event", complete), ours, ("EventList", "Complete"), ("ListItems", count)))


ENVIRONMENT = """agi_network: yes
agi_network_script: line
agi_request: agi://127.0.0.1:4573/line
agi_channel: {channel}
agi_language: en
agi_type: PJSIP
agi_uniqueid: {uniqueid}
agi_version: 22.10.1
agi_callerid: {caller}
agi_calleridname: {name}
agi_callingpres: 0
agi_callingani2: 0
agi_callington: 0
agi_callingtns: 0
agi_dnid: 6000
agi_rdnis: unknown
agi_context: line
agi_extension: s
agi_priority: 4
agi_enhanced: 0.0
agi_accountcode: 
agi_threadid: 140
agi_arg_1: {called}
agi_arg_2: {sent_at}
agi_arg_3: {state}

"""


def environment(**values: str) -> bytes:
    """What Asterisk writes first; fields: channel, uniqueid, caller, name, called, sent_at, state."""
    defaults = {
        "channel": "PJSIP/trunk-00000001", "uniqueid": "sys-1795000000.1", "caller": "+628111",
        "name": "王小明", "called": "6000", "sent_at": f"{time.time():.3f}",
        "state": "Ring",
    }  # fmt: skip
    return ENVIRONMENT.format(**(defaults | values)).encode()


class FakeChannel:
    """A channel in the FastAGI loop. `replies`: by command's start, else `200 result=0`; None: no reply."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.commands: list[str] = []
        self.replies: dict[str, bytes | None] = {}
        self.closed = asyncio.Event()
        self._changed = asyncio.Condition()

    async def connect(self, data: bytes) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(data)
        self._task = asyncio.create_task(self._serve())
        return self

    async def close(self) -> None:
        self.writer.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def until(self, met: Callable[[], bool], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(met)

    async def said(self, start: str, times: int = 1) -> str:
        """Waits until a command that starts so came so many times; the latest one."""
        await self.until(lambda: sum(c.startswith(start) for c in self.commands) >= times)
        return [c for c in self.commands if c.startswith(start)][-1]

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while line := await self.reader.readline():
                command = line.decode().rstrip("\n")
                self.commands.append(command)
                reply = next((r for s, r in self.replies.items() if command.startswith(s)), b"200 result=0\n")
                if reply is not None:
                    self.writer.write(reply)
                async with self._changed:
                    self._changed.notify_all()
        self.closed.set()
