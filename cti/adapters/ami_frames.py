"""AMI bytes -> frames -> vetted events. Pure: no I/O, no clock.

    bytes --Framer.feed--> frames (bytes, without the empty line) --event_name--> Vetting.accept --> headers

A caller can write lines into AMI: what stands in the From user of an INVITE is printed raw. So an event
counts only with what every real one has and no caller can know or fit into his 79 characters:

    Privilege, Timestamp, SequenceNumber (fresh), SystemName (random at every start of the switch)

and none of its headers twice. `Channel` stands before everything a caller can write, so the channel of a
tainted frame is his, and may be hung up. A frame without that envelope proves nothing about any channel.

Sequence numbers are drawn before events are queued, so neighbours can arrive swapped: fresh means not seen
yet and at most WINDOW behind the highest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

END = b"\r\n\r\n"
FRAME_CAP = 64 * 1024  # the longest real frame is about 2 KiB
WINDOW = 2000

UNIQUEID = re.compile(r"[A-Za-z0-9._-]{1,149}(;2)?")
CHANNEL = re.compile(r"[A-Za-z]{2,16}/[A-Za-z0-9_.+@-]{1,80}-[0-9a-f]{8}(;[12])?")
_REPEATED = frozenset({"ChanVariable"})  # headers that real frames hold several times
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TIME = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")
_NUMBER = re.compile(r"[0-9]{1,18}")
_STRICT = ("Channel", "Uniqueid", "CallerIDNum", "Exten", "Context", "BridgeUniqueid", "Device")


class Rejected(Exception):
    """The frame is not a real event. `channel` is the one that a caller used for it, when that is certain."""

    def __init__(self, why: str, channel: str = "") -> None:
        super().__init__(why)
        self.channel = channel


class Framer:
    """Cuts a byte stream at empty lines. A frame over the cap is skipped up to its end and counted."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False
        self.oversized = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields whole frames. Bytes are never decoded here, so no character is ever cut."""
        searched = max(0, len(self._buffer) - len(END) + 1)
        self._buffer += data
        start = 0
        while (end := self._buffer.find(END, max(searched, start))) >= 0:
            if self._skipping:
                self._skipping = False
            elif end - start > FRAME_CAP:
                self.oversized += 1
            elif frame := self._buffer[start:end].lstrip(b"\r\n"):
                yield bytes(frame)
            start = end + len(END)
        del self._buffer[:start]
        if len(self._buffer) > FRAME_CAP:
            self.oversized += not self._skipping
            self._skipping = True
            del self._buffer[: -len(END) + 1]


def event_name(frame: bytes) -> bytes:
    """The name of an event frame; empty for anything else. Needs no parsing."""
    if not frame.startswith(b"Event: "):
        return b""
    end = frame.find(b"\r\n")
    return frame[7:end] if end > 0 else frame[7:]


def action_id(frame: bytes) -> str:
    """The first ActionID of a frame, or empty."""
    at = frame.find(b"\r\nActionID: ")
    if at < 0:
        return ""
    end = frame.find(b"\r\n", at + 2)
    return frame[at + 12 : end if end > 0 else None].decode("ascii", "replace")


def headers(frame: bytes) -> tuple[dict[str, str], str]:
    """Headers by name, the first occurrence of each, and what is wrong with the frame (empty: nothing).

    Lines end in CR LF only; a lone LF stays in its value and taints it."""
    found: dict[str, str] = {}
    wrong = ""
    for line in frame.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            wrong = wrong or "a line without a colon"
        elif name in found and name not in _REPEATED:
            wrong = wrong or f"{clean(name)[:40]} twice"
        else:
            found.setdefault(name, value[1:] if value.startswith(" ") else value)
    return found, wrong or _stray(found)


def _stray(found: dict[str, str]) -> str:
    for name in _STRICT:
        if name in found and _CONTROL.search(found[name]):
            return f"control character in {name}"
    return ""


def clean(text: str) -> str:
    """Text without control characters and line separators."""
    return _CONTROL.sub("", text)


class Vetting:
    """What makes an event of this connection real. One for each connection."""

    def __init__(self, system_name: str) -> None:
        self._system = system_name
        self._seen: set[int] = set()
        self.high = 0

    def accept(self, frame: bytes, needs: tuple[str, ...] = ()) -> dict[str, str] | None:
        """The headers of a real event that has all `needs`; None when it came before. Raises Rejected."""
        found, wrong = headers(frame)
        sequence = self._envelope(found)
        channel = found.get("Channel", "")
        culprit = channel if CHANNEL.fullmatch(channel) else ""
        if wrong:
            raise Rejected(wrong, culprit)
        for name in needs:
            if name not in found:
                raise Rejected(f"cut before {name}", culprit)
        if "Uniqueid" in needs and not UNIQUEID.fullmatch(found["Uniqueid"]):
            raise Rejected("bad Uniqueid")
        return found if self._fresh(sequence) else None

    def is_of_this_start(self, uniqueid: str) -> bool:
        """Whether a channel began since the switch was started; of those that we rang it cannot be told."""
        return uniqueid.startswith(f"{self._system}-")

    def _envelope(self, found: dict[str, str]) -> int:
        if found.get("SystemName") != self._system or "Privilege" not in found:
            raise Rejected("not from this switch")
        try:
            if _TIME.fullmatch(found["Timestamp"]) and _NUMBER.fullmatch(found["SequenceNumber"]):
                return int(found["SequenceNumber"])
            raise ValueError
        except (KeyError, ValueError):
            raise Rejected(
                "no Timestamp or SequenceNumber; manager.conf needs timestampevents=yes, debug=yes"
            ) from None

    def _fresh(self, sequence: int) -> bool:
        if sequence in self._seen or sequence <= self.high - WINDOW:
            return False
        self._seen.add(sequence)
        self.high = max(self.high, sequence)
        if len(self._seen) > 2 * WINDOW:
            self._seen = {s for s in self._seen if s > self.high - WINDOW}
        return True
