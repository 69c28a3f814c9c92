"""Headers of vetted AMI events -> facts of the core. Pure.

Not read: ContactStatus (a station may have several contacts; DeviceStateChange follows and knows them all),
SoftHangupRequest (our own wish, come back), everything whose name is not in WANTED.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cti.core.messages import (
    Bridged,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    Fact,
    HangupRequested,
    LiveChannel,
    StationState,
    Unbridged,
)
from cti.core.numbers import caller_name

Headers = dict[str, str]

_NUMBER = re.compile(r"[0-9+*#]{1,32}")
_ESCAPED = re.compile(r"\\(.)")
_STATION = re.compile(r"PJSIP/([0-9]{1,16})(-web)?")
_UNREACHABLE = frozenset({"UNAVAILABLE", "INVALID"})

# What an event must have before anything of it counts.
WANTED: dict[bytes, tuple[str, ...]] = {
    b"Newchannel": ("Channel", "Context", "Exten", "Uniqueid"),
    b"Newstate": ("Channel", "ChannelState", "Uniqueid"),
    b"HangupRequest": ("Channel", "Uniqueid"),
    b"Hangup": ("Channel", "Uniqueid", "Cause"),
    b"BridgeEnter": ("BridgeUniqueid", "Channel", "Uniqueid"),
    b"BridgeLeave": ("BridgeUniqueid", "Channel", "Uniqueid"),
    b"OriginateResponse": ("ActionID", "Response", "Reason"),
    b"DeviceStateChange": ("Device", "State"),
}


def number(value: str) -> str:
    """A caller's number, or empty when it is withheld, unknown or not a number."""
    return value if _NUMBER.fullmatch(value) else ""


def name(value: str) -> str:
    """A caller's name; AMI writes it C-escaped (O\\'Brien)."""
    return caller_name(_ESCAPED.sub(lambda found: found[1] if found[1] in "\\'\"?" else "", value))


def fact(event: bytes, h: Headers, node: str) -> Fact | None:
    """The fact an event states, if any. Its headers were vetted for WANTED[event]."""
    build = _BUILD.get(event)
    return build(h, float(h["Timestamp"]), node) if build else None


def station(h: Headers) -> tuple[str, bool] | None:
    """(NUMBER, reachable) of a desk phone's device state. NUMBER-web is another endpoint: None."""
    match = _STATION.fullmatch(h.get("Device", ""))
    if not match or match[2]:
        return None
    return match[1], h.get("State") not in _UNREACHABLE


def live(h: Headers) -> LiveChannel:
    """One row of CoreShowChannels."""
    return LiveChannel(
        uniqueid=h["Uniqueid"],
        channel=h["Channel"],
        context=h.get("Context", ""),
        state=h.get("ChannelStateDesc", "Up"),
        bridge=h.get("BridgeId", ""),
        accountcode=h.get("AccountCode", ""),
        caller=number(h.get("CallerIDNum", "")),
        caller_name=name(h.get("CallerIDName", "")),
        called=number(h.get("Exten", "")),
    )


def _new(h: Headers, at: float, node: str) -> Fact:
    return ChannelNew(
        at=at,
        node=node,
        uniqueid=h["Uniqueid"],
        channel=h["Channel"],
        context=h["Context"],
        called=number(h["Exten"]),
        caller=number(h.get("CallerIDNum", "")),
        caller_name=name(h.get("CallerIDName", "")),
    )


def _state(h: Headers, at: float, node: str) -> Fact | None:
    return ChannelUp(at=at, node=node, uniqueid=h["Uniqueid"]) if h["ChannelState"] == "6" else None


def _gone(h: Headers, at: float, node: str) -> Fact:
    cause = h["Cause"]
    value = int(cause) if re.fullmatch(r"[0-9]{1,3}", cause, re.ASCII) else 0
    return ChannelGone(at=at, node=node, uniqueid=h["Uniqueid"], cause=value)


def _device(h: Headers, at: float, node: str) -> Fact | None:
    found = station(h)
    return StationState(at=at, node=node, station=found[0], reachable=found[1]) if found else None


_BUILD: dict[bytes, Callable[[Headers, float, str], Fact | None]] = {
    b"Newchannel": _new,
    b"Newstate": _state,
    b"HangupRequest": lambda h, at, node: HangupRequested(at=at, node=node, uniqueid=h["Uniqueid"]),
    b"Hangup": _gone,
    b"BridgeEnter": lambda h, at, node: Bridged(
        at=at, node=node, uniqueid=h["Uniqueid"], bridge=h["BridgeUniqueid"]
    ),
    b"BridgeLeave": lambda h, at, node: Unbridged(
        at=at, node=node, uniqueid=h["Uniqueid"], bridge=h["BridgeUniqueid"]
    ),
    b"DeviceStateChange": _device,
}
