"""Names that everybody derives alike, so that a fact which comes twice or late meets the same call."""

from __future__ import annotations

import hashlib
import re

_UNIQUEID = re.compile(r"(?:^|-)([0-9]{9,11})\.([0-9]+)\Z")
_CHANNEL_ID = re.compile(r"cti-([0-9]+)-([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})")


def _uuid7(milliseconds: int, name: str) -> str:
    random = int.from_bytes(hashlib.sha256(name.encode()).digest()[:10], "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | (random >> 68) << 64 | 2 << 62 | random & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def call_id(node: str, uniqueid: str) -> str:
    """The UUIDv7 of the call whose caller's channel is (node, uniqueid).

    Asterisk's uniqueid is [systemname-]SECONDS.NUMBER; the UUID's time is SECONDS plus NUMBER mod 1000 ms,
    its other bits a hash of both names. A uniqueid of another form gets time 0."""
    match = _UNIQUEID.search(uniqueid)
    milliseconds = int(match[1]) * 1000 + int(match[2]) % 1000 if match else 0
    return _uuid7(milliseconds, f"call/{node}/{uniqueid}")


def offer_id(call: str, number: int, epoch: int, at: float) -> str:
    """The UUIDv7 of the `number`th ring of a call under a leader's epoch; also its recording's id."""
    return _uuid7(int(at * 1000), f"offer/{call}/{number}/{epoch}")


def message_id(call: str, number: int, epoch: int, at: float) -> str:
    """The UUIDv7 of the `number`th message that a caller records; its recording's id."""
    return _uuid7(int(at * 1000), f"message/{call}/{number}/{epoch}")


def channel_id(epoch: int, offer: str) -> str:
    """The uniqueid we give to a channel we originate: the idempotency key, fenced by the leader's epoch."""
    return f"cti-{epoch}-{offer}"


def is_ours(uniqueid: str) -> bool:
    """Whether a channel was originated by us."""
    return _CHANNEL_ID.fullmatch(uniqueid) is not None


def callback_id(call: str, seq: int) -> str:
    """The id of what a call's event `callback.requested` asks for; the database makes the same one."""
    digest = hashlib.md5(f"{call}:{seq}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def placed_id(uniqueid: str, at: float) -> str:
    """The UUIDv7 of a call that we place at that time, whose customer's channel will have that name."""
    return _uuid7(int(at * 1000), f"placed/{uniqueid}")


def entered_id(number: str, queue: str, by: str, at: float) -> str:
    """The UUIDv7 of a callback that somebody enters by hand."""
    return _uuid7(int(at * 1000), f"callback/{number}/{queue}/{by}/{at}")
