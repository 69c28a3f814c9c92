"""What goes over the loopback, with the kernel's time on it, and what became of each call there.

    with Wire() as wire: ...load...          needs root
    calls, offers = fold(wire.packets, sip_port)

One clock for every switch that is compared, and no part of any of them: what is not seen here did not happen.
"""

from __future__ import annotations

import ctypes
import re
import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

MARK = b"the agent speaks" * 10  # 20 ms of an agent's voice; passed on as it is, so it is known again
SILENCE = b"\xff" * 160
SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26
UDP_ONLY = [(0x30, 0, 0, 9), (0x15, 0, 1, 17), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0)]  # a program for the kernel
# An agent speaks every 4 ms at first, so that it is known to 4 ms when the caller can hear him, then ever less.
AGENT_SPEAKS = (*range(0, 60, 4), *range(60, 200, 20), *range(200, 1600, 100))
CALLER_SPEAKS = (0, 20, 40)


class Packet(NamedTuple):
    at: float  # seconds since the epoch
    source: int  # ports
    target: int
    data: bytes


@dataclass
class Call:
    """A caller. Times are None for what did not happen; heard: the agent's first sound at the caller."""

    number: str
    invited: float
    rtp: int
    answered: float | None = None
    heard: float | None = None
    ended: float | None = None


@dataclass
class Offer:
    """An INVITE to an agent's phone; freed: the BYE of that call, whoever said it."""

    station: str
    number: str
    at: float
    answered: float | None = None
    freed: float | None = None


class Wire:
    """Everything over UDP on the loopback during the block. Raises PermissionError without root."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._open = True
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        program = b"".join(struct.pack("HBBI", *line) for line in UDP_ONLY)
        held = ctypes.create_string_buffer(program)
        self._socket.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(UDP_ONLY), ctypes.addressof(held))
        )
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._listen, name="wire", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._open = False
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                data, more, _, _ = self._socket.recvmsg(65536, 64)
            except TimeoutError:
                if not self._open:
                    return
                continue
            seconds, nanoseconds = struct.unpack("qq", more[0][2][:16])
            start = (data[0] & 15) * 4
            source, target = struct.unpack(">HH", data[start : start + 4])
            self.packets.append(Packet(seconds + nanoseconds / 1e9, source, target, data[start + 8 :]))


# ---------------------------------------------------------------- what it means


def fold(packets: Iterable[Packet], sip: int) -> tuple[list[Call], list[Offer]]:
    """The callers and the offers of the switch at that SIP port, in the order of their INVITEs."""
    calls: dict[str, Call] = {}  # by Call-ID
    offers: dict[str, Offer] = {}
    listening: dict[int, Call] = {}  # by the caller's RTP port
    for packet in packets:
        if packet.target == sip:
            if (new := _to_switch(packet, calls, offers)) is not None:
                listening[new.rtp] = new
        elif packet.source == sip:
            _from_switch(packet, calls, offers)
        elif packet.data[12:] == MARK and (call := listening.get(packet.target)) is not None:
            call.heard = call.heard or packet.at
    return list(calls.values()), list(offers.values())


def _to_switch(packet: Packet, calls: dict[str, Call], offers: dict[str, Offer]) -> Call | None:
    """A new caller, if it is one."""
    text = packet.data.decode("utf-8", "replace")
    name = _header(text, "Call-ID")
    if text.startswith("INVITE ") and name not in calls:
        calls[name] = Call(_user(text), packet.at, int(_found(r"m=audio (\d+)", text) or 0))
        return calls[name]
    if name in offers:
        _in_offer(text, packet.at, offers[name])
    elif name in calls:
        _in_call(text, packet.at, calls[name])
    return None


def _from_switch(packet: Packet, calls: dict[str, Call], offers: dict[str, Offer]) -> None:
    text = packet.data.decode("utf-8", "replace")
    name = _header(text, "Call-ID")
    if text.startswith("INVITE ") and name not in offers:
        offers[name] = Offer(_found(r"INVITE sip:(\w+)@", text), _user(text), packet.at)
    elif name in offers:
        _in_offer(text, packet.at, offers[name])
    elif name in calls:
        _in_call(text, packet.at, calls[name])


def _in_offer(text: str, at: float, offer: Offer) -> None:
    if text.startswith("BYE "):
        offer.freed = offer.freed or at
    elif _is_ok(text):
        offer.answered = offer.answered or at


def _in_call(text: str, at: float, call: Call) -> None:
    if text.startswith("BYE "):
        call.ended = call.ended or at
    elif _is_ok(text):
        call.answered = call.answered or at


def _is_ok(text: str) -> bool:
    return text.startswith("SIP/2.0 200") and _header(text, "CSeq").endswith("INVITE")


def _header(text: str, name: str) -> str:
    return _found(rf"^{name}: *([^\r\n]*)", text)


def _user(text: str) -> str:
    return _found(r"^From:[^\r\n]*<sip:\+?(\w+)@", text)


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.M)
    return found[1] if found else ""


def offered(calls: Sequence[Call], offers: Sequence[Offer]) -> list[float]:
    """Seconds from each caller's INVITE to the first INVITE at an agent for him. Every caller has his own number."""
    at: dict[str, float] = {}
    for offer in offers:
        at.setdefault(offer.number, offer.at)
    return [at[call.number] - call.invited for call in calls if call.number in at]


def freed_to_next(calls: Sequence[Call], offers: Sequence[Offer], wrap_up: float = 0.0) -> list[float]:
    """Seconds from an agent's freedom (his call's BYE and the wrap-up) to his next INVITE, where somebody waited."""
    at: dict[str, float] = {}
    for offer in offers:
        at.setdefault(offer.number, offer.at)
    waits = [(call.answered, at.get(call.number, float("inf"))) for call in calls if call.answered]
    latest: dict[str, Offer] = {}
    found = []
    for offer in sorted(offers, key=lambda o: o.at):
        before = latest.get(offer.station)
        latest[offer.station] = offer
        if before is None or before.freed is None:
            continue
        free = before.freed + wrap_up
        if any(since < free <= until for since, until in waits):
            found.append(offer.at - free)
    return found


# ---------------------------------------------------------------- what is said on it


def write_sound(path: Path, payload: bytes, when: Iterable[int]) -> Path:
    """A capture for SIPp to replay: a u-law packet at each of these milliseconds."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, ms in enumerate(when):
            rtp = struct.pack(">BBHII", 0x80, 0, number, number * len(payload), 7) + payload
            udp = struct.pack(">HHHH", 4000, 4000, 8 + len(rtp), 0) + rtp
            ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 0x7F000001, 0x7F000001) + udp
            frame = b"\0" * 12 + b"\x08\x00" + ip
            file.write(struct.pack("<IIII", ms // 1000, ms % 1000 * 1000, len(frame), len(frame)) + frame)
    return path
