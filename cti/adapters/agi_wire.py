"""The FastAGI protocol: environment, commands, replies. Pure: lines in, values out.

A caller's number and name stand raw in the environment, line breaks and all. What stands before them
(channel, uniqueid, script) is taken from its first occurrence, the arguments, which Asterisk writes last,
from their last.
An environment that ends before its arguments was cut by a caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cti.core.numbers import caller_name

LINE_CAP = 4096  # bytes of one line from Asterisk
ENVIRONMENT_CAP = 128  # lines
COMMAND_CAP = 8000  # bytes; Asterisk's own limit is 8,192
REPLY_LINES = 200

KEYS = "0123456789*#ABCD"
MUSIC = "CHANNEL(musicclass)"
VARIABLES = frozenset({"CTI_DONE", MUSIC})

_KEY = re.compile(r"agi_[a-z0-9_]{1,40}")
_UNIQUEID = re.compile(r"[A-Za-z0-9._-]{1,149}(;2)?")
_CHANNEL = re.compile(r"[A-Za-z]{2,16}/[A-Za-z0-9_.+@-]{1,80}-[0-9a-f]{8}(;[12])?")
_CALLER = re.compile(r"[0-9+*#]{0,32}")
_COMMAND = re.compile(r"[A-Z]+( [A-Z]+)*")
_REPLY = re.compile(r"([0-9]{3})(?:[ -](.*))?", re.DOTALL)
_RESULT = re.compile(r"result=(-?[0-9]{1,9})(.*)", re.DOTALL)
_ENDPOS = re.compile(r"\bendpos=([0-9]{1,12})")


class WireError(ValueError):
    """What came is not FastAGI. `cut`: a caller ended the environment early; channel and uniqueid are his."""

    def __init__(self, why: str, cut: bool = False) -> None:
        super().__init__(why)
        self.cut = cut


@dataclass(frozen=True)
class Environment:
    uniqueid: str
    channel: str
    called: str
    caller: str  # empty when withheld or not a number
    caller_name: str
    sent_at: float | None  # seconds since the epoch by the switch's clock
    up: bool  # whether it has been answered: then the dialplan may play music to it


def environment(lines: Iterable[bytes], script: str) -> Environment:
    """The environment of one session of `script`. Raises WireError."""
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.decode("utf-8", "replace").partition(": ")
        if colon and _KEY.fullmatch(key):
            first.setdefault(key, value)
            last[key] = value
    if first.get("agi_network_script") != script:
        raise WireError("not our script")
    uniqueid, channel = first.get("agi_uniqueid", ""), first.get("agi_channel", "")
    if not _UNIQUEID.fullmatch(uniqueid) or not _CHANNEL.fullmatch(channel):
        raise WireError("no channel of ours")
    if "agi_arg_3" not in last:
        raise WireError("environment cut before its arguments", cut=True)
    return Environment(
        uniqueid=uniqueid,
        channel=channel,
        called=_number(last["agi_arg_1"]) if "agi_arg_1" in last else "",
        caller=_number(first.get("agi_callerid", "")),
        caller_name=caller_name(first.get("agi_calleridname", "")),
        sent_at=_seconds(last.get("agi_arg_2", "")),
        up=last["agi_arg_3"] == "Up",
    )


def _number(text: str) -> str:
    return text if _CALLER.fullmatch(text) else ""


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,6})?", text, re.ASCII) else None


def command(name: str, *arguments: str) -> bytes:
    """One command line, every argument quoted. Raises ValueError for what could be read as more than that."""
    if not _COMMAND.fullmatch(name):
        raise ValueError("bad command")
    line = " ".join([name, *map(_quote, arguments)]).encode() + b"\n"
    if len(line) > COMMAND_CAP:
        raise ValueError("command is too long")
    return line


def _quote(argument: str) -> str:
    if any(c in argument for c in "\r\n\0"):
        raise ValueError("line break in an argument")
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'


def set_variable(name: str, value: str) -> bytes:
    """SET VARIABLE of a variable on the list. Raises ValueError; a function such as CURL() is not on it."""
    if name not in VARIABLES:
        raise ValueError("variable is not on the list")
    return command("SET VARIABLE", name, value)


def mark(number: int) -> tuple[bytes, str]:
    """A command that does nothing, and what its reply holds. Any line makes Asterisk stop the sound it plays, with
    no reply to that command unless it had just ended: the mark's reply says that no other is to come."""
    word = f"cti-mark-{number}"
    return command("GET FULL VARIABLE", word), f"({word})"


@dataclass(frozen=True)
class Reply:
    """`code` is AGI's; `result` its number, -1 when there is none; `rest` what follows, as `(timeout) endpos=8000`.

    The number may be a key: it is not shown."""

    code: int
    result: int = field(repr=False)
    rest: str = ""

    @property
    def good(self) -> bool:
        return self.code == 200 and self.result >= 0

    @property
    def endpos(self) -> int:
        """Samples, of a sound that was played or recorded."""
        match = _ENDPOS.search(self.rest)
        return int(match[1]) if match else 0

    @property
    def key(self) -> str:
        """The key that it tells of; empty for none."""
        return chr(self.result) if self.code == 200 and chr(max(self.result, 0)) in KEYS else ""


class Hangup:
    """The line HANGUP: this session is over. The call may well go on in a bridge."""


class Replies:
    """Lines -> replies. A 520 goes on to its closing line, an open parenthesis to the line that closes it."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self.strays = 0

    def feed(self, line: bytes) -> Reply | Hangup | None:
        """A reply, Hangup, or None when this line ends nothing. Raises WireError for an endless reply."""
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if self._open:
            return self._more(text)
        if text == "HANGUP":
            return Hangup()
        match = _REPLY.fullmatch(text)
        if not match:
            self.strays += 1
            return None
        if text.startswith("520-") or _unclosed(text):
            self._open.append(text)
            return None
        return _reply(text)

    def _more(self, text: str) -> Reply | None:
        self._open.append(text)
        if len(self._open) > REPLY_LINES:
            raise WireError("endless reply")
        head = self._open[0]
        ended = text.startswith("520 ") if head.startswith("520-") else text.endswith(")")
        if not ended:
            return None
        self._open = []
        return _reply(head)


def _unclosed(text: str) -> bool:
    return text.startswith("200 ") and text.count("(") > text.count(")")


def _reply(text: str) -> Reply:
    match = _RESULT.search(text)
    return Reply(int(text[:3]), int(match[1]), match[2].strip()) if match else Reply(int(text[:3]), -1)
