"""The one encoder of everything sent over AMI. Pure.

Asterisk takes CR, LF or NUL as the end of a line, a comma in `Variable:` as a second variable, a Hangup
channel that begins with `/` as a regular expression over all calls, `&` in a channel as a second call, and
answers lines over 1,024 bytes without an ActionID. So nothing but exact forms leaves here; everything else
raises ValueError before a byte is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cti.adapters.ami_frames import CHANNEL, clean
from cti.config import NAME
from cti.core.messages import Ring

LINE_CAP = 1000  # bytes
HEADER_CAP = 100
VARIABLES = frozenset({"CTI_PEER", "CTI_CALL", "CTI_RECORDING", "CTI_WHISPER", "CTI_BRIDGE"})
WHISPER_CAP = 900  # bytes of all paths of a whisper

_HEADER = re.compile(r"[A-Za-z][A-Za-z-]{0,39}")
_ENDPOINT = re.compile(rf"[0-9]{{1,16}}(-web)?|\+?[0-9]{{2,16}}@(trunk-{NAME.pattern}|[A-Za-z][A-Za-z0-9_-]{{0,39}})")
_CHANNEL_ID = re.compile(r"[A-Za-z0-9._-]{1,149}")
_TOKEN = re.compile(r"[A-Za-z0-9._-]{0,79}")
_VALUE = re.compile(r"[A-Za-z0-9/_.@;+-]{0,200}")
_PATH = re.compile(r"/[A-Za-z0-9/_.@~+= -]{1,300}")  # a sound file without its ending
_NUMBER = re.compile(r"[0-9+*#]{0,32}")
_DISPLAY = str.maketrans("", "", "\"'<>\\,;&|$`{}[]")


def encode(action: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """One action. Raises ValueError for anything that could be read as more than that."""
    pairs = [("Action", action), *headers]
    if len(pairs) > HEADER_CAP:
        raise ValueError("too many headers")
    return b"".join(map(_line, pairs)) + b"\r\n"


def _line(pair: tuple[str, str]) -> bytes:
    name, value = pair
    if not _HEADER.fullmatch(name):
        raise ValueError("bad header name")
    if any(c in value for c in "\r\n\0"):
        raise ValueError(f"line break in {name}")
    line = f"{name}: {value}\r\n".encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError too
    if len(line) > LINE_CAP:
        raise ValueError(f"{name} is too long")
    return line


def ring(command: Ring, action_id: str, whisper_files: Sequence[str] = ()) -> bytes:
    """Originate for `command`; its answer goes to [agent] of the dialplan, which plays those files to it first: then to
    its peer, or to wait for one. Raises ValueError."""
    return encode(
        "Originate",
        [
            ("ActionID", action_id),
            ("Channel", "PJSIP/" + _exact(_ENDPOINT, command.endpoint.removeprefix("PJSIP/"), "endpoint")),
            ("Context", "agent"),
            ("Exten", "s"),
            ("Priority", "1"),
            ("ChannelId", _exact(_CHANNEL_ID, command.channel_id, "channel_id")),
            ("Timeout", str(_milliseconds(command.timeout))),
            ("CallerID", caller_id(command.caller_name, command.caller)),
            ("Account", _exact(_TOKEN, command.call_id, "call_id")),
            *([("Variable", variable("CTI_PEER", _exact(CHANNEL, command.peer, "peer")))] if command.peer else []),
            ("Variable", variable("CTI_CALL", command.call_id)),
            ("Variable", variable("CTI_RECORDING", _exact(_TOKEN, command.recording_id, "recording_id"))),
            *([("Variable", f"CTI_WHISPER={whisper(whisper_files)}")] if whisper_files else ()),
            *([("Variable", variable("CTI_BRIDGE", "x"))] if command.final else ()),
            ("Async", "true"),
        ],
    )


def whisper(files: Sequence[str]) -> str:
    """Files as Playback takes them. Raises ValueError for a path that the dialplan could read as more than one."""
    joined = "&".join(_exact(_PATH, path, "path of a sound") for path in files)
    if len(joined) > WHISPER_CAP:
        raise ValueError("the paths of a whisper are too long")
    return joined


def hang_up(channel: str, cause: int, action_id: str) -> bytes:
    """Hangup of exactly one channel. Raises ValueError."""
    if not 1 <= cause <= 127:
        raise ValueError("cause is not 1..127")
    exact = _exact(CHANNEL, channel, "channel")
    return encode("Hangup", [("ActionID", action_id), ("Channel", exact), ("Cause", str(cause))])


def variable(name: str, value: str) -> str:
    """`NAME=value` of one Variable header. Raises ValueError for a name off the list or an odd value."""
    if name not in VARIABLES:
        raise ValueError("variable is not on the list")
    return f"{name}={_exact(_VALUE, value, name)}"


def caller_id(name: str, number: str) -> str:
    """`"name" <number>` for a phone's display, the name without what Asterisk or SIP would read as syntax."""
    if any(c in name for c in "\r\n\0"):
        raise ValueError("line break in caller name")
    shown = clean(name).translate(_DISPLAY).strip()[:60]
    return f'"{shown}" <{_exact(_NUMBER, number, "caller")}>'


def _exact(form: re.Pattern[str], value: str, what: str) -> str:
    if not form.fullmatch(value):
        raise ValueError(f"bad {what}")
    return value


def _milliseconds(seconds: float) -> int:
    if not 1.0 <= seconds <= 120.0:
        raise ValueError("timeout is not 1..120 s")
    return round(seconds * 1000)
