"""Asterisk's own journal of channel events on disk, read back: what happened while nobody listened.

The file is written by cel_custom (advanced mapping, quoting_method=all), one line an event, with these
columns:

    eventtype,eventtime,uniqueid,linkedid,channame,context,exten,num,name,accountcode,eventextra

`eventtime` is seconds since the epoch (leave `dateformat` in cel.conf out). Facts read back may come twice:
the core takes that. A line that is cut, not CSV, or not of this form is passed over.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from cti.core.messages import Bridged, ChannelGone, ChannelNew, ChannelUp, Fact, HangupRequested, Unbridged
from cti.core.numbers import caller_name

log = logging.getLogger("cti.cel")

BLOCK = 1 << 16
SLACK = 5.0  # seconds by which neighbouring lines may be out of order
COLUMNS = 11
_QUOTED = re.compile(r'"(?:[^"]|"")*"(?:,"(?:[^"]|"")*"){10}\r?')

_UNIQUEID = re.compile(r"[A-Za-z0-9._-]{1,149}(;2)?")
_CHANNEL = re.compile(r"[A-Za-z]{2,16}/[A-Za-z0-9_.+@-]{1,80}-[0-9a-f]{8}(;[12])?")
_TIME = re.compile(r"[0-9]{9,11}(\.[0-9]{1,9})?", re.ASCII)
_NUMBER = re.compile(r"[0-9+*#]{1,32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def read_facts(csv_path: str | os.PathLike[str], since: float, node: str) -> Iterator[Fact]:
    """Facts of `since` (seconds since the epoch) and later, in the order written.

    The file as it was before its last rotation (`NAME.1`) is read first, when it reaches that far. Only the
    tail that is needed is read; a missing file has no facts. Raises OSError when a file cannot be read."""
    path = Path(csv_path)
    newest_first = (path, path.with_name(path.name + ".1"))  # then a rotation meanwhile only doubles facts
    files = [one for one in newest_first if one.exists() and one.stat().st_mtime >= since - SLACK]
    tails = [_tail(one, since - SLACK) for one in files]
    rows = [row for lines in reversed(tails) for row in _rows(lines)]
    yield from (fact for fact in _facts(rows, node) if fact.at >= since)


def _tail(path: Path, since: float) -> list[str]:
    """The lines from the last one before `since` on, complete ones only."""
    with path.open("rb") as file:
        start, blocks = file.seek(0, os.SEEK_END), list[bytes]()
        while start > 0 and not (blocks and _older(blocks[-1], since)):
            step = min(BLOCK, start)
            start = file.seek(start - step)
            blocks.append(file.read(step))
    data = b"".join(reversed(blocks))
    whole = data if start == 0 else data[data.find(b"\n") + 1 :]
    return whole[: whole.rfind(b"\n") + 1].decode("utf-8", "replace").split("\n")[:-1]


def _older(block: bytes, since: float) -> bool:
    """Whether the first event of a block that may begin within a line is before `since`."""
    for line in block.split(b"\n", 20)[1:20]:
        for row in _rows([line.decode("utf-8", "replace")]):
            return float(row[1]) < since
    return False


def _rows(lines: list[str]) -> Iterator[list[str]]:
    """Rows of the right form. Each line stands for itself, so a broken one swallows no other.

    A caller's number may hold line breaks, but each quote in it is doubled: no line that it makes is quoted."""
    for line in lines:
        if not _QUOTED.fullmatch(line):
            continue
        try:
            row = next(csv.reader([line.replace("\0", "")], strict=True), [])
        except csv.Error:
            continue
        if len(row) == COLUMNS and _TIME.fullmatch(row[1]) and _UNIQUEID.fullmatch(row[2]):
            yield row


def _facts(rows: list[list[str]], node: str) -> Iterator[Fact]:
    """Who hung up is written at the end, but was true before the bridge fell apart."""
    exits = {row[2]: number for number, row in enumerate(rows) if row[0] == "BRIDGE_EXIT"}
    ends = {row[2]: number for number, row in enumerate(rows) if row[0] == "HANGUP" and _by_itself(row)}
    requests = {exits.get(uniqueid, number) for uniqueid, number in ends.items()}
    for number, row in enumerate(rows):
        at, build = float(row[1]), _BUILD.get(row[0])
        if number in requests:
            yield HangupRequested(at=at, node=node, uniqueid=row[2])
        if build is not None and (fact := build(row, at, node)) is not None:
            yield fact


def _by_itself(row: list[str]) -> bool:
    return _extra(row).get("hangupsource") == row[4]


def _new(row: list[str], at: float, node: str) -> Fact | None:
    if not _CHANNEL.fullmatch(row[4]):
        return None
    return ChannelNew(
        at=at,
        node=node,
        uniqueid=row[2],
        channel=row[4],
        context=_CONTROL.sub("", row[5]),
        called=_number(row[6]),
        caller=_number(row[7]),
        caller_name=caller_name(row[8]),
    )


def _number(text: str) -> str:
    return text if _NUMBER.fullmatch(text) else ""


def _hangup(row: list[str], at: float, node: str) -> Fact:
    """HANGUP, not CHAN_END: it has the cause. One comes with the other."""
    cause = _extra(row).get("hangupcause")
    return ChannelGone(at=at, node=node, uniqueid=row[2], cause=cause if isinstance(cause, int) else 0)


def _bridge(kind: type[Bridged] | type[Unbridged]) -> Callable[[list[str], float, str], Fact | None]:
    def build(row: list[str], at: float, node: str) -> Fact | None:
        bridge = _extra(row).get("bridge_id")
        if not isinstance(bridge, str) or not _UNIQUEID.fullmatch(bridge):
            return None
        return kind(at=at, node=node, uniqueid=row[2], bridge=bridge)

    return build


def _extra(row: list[str]) -> dict[str, object]:
    try:
        extra = json.loads(row[10])
    except (ValueError, RecursionError):
        return {}
    return extra if isinstance(extra, dict) else {}


_BUILD: dict[str, Callable[[list[str], float, str], Fact | None]] = {
    "CHAN_START": _new,
    "ANSWER": lambda row, at, node: ChannelUp(at=at, node=node, uniqueid=row[2]),
    "BRIDGE_ENTER": _bridge(Bridged),
    "BRIDGE_EXIT": _bridge(Unbridged),
    "HANGUP": _hangup,
}
