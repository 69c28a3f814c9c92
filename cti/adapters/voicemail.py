"""Messages that the stand-alone script took while no server answered: read in, once, in the order they were left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from cti.core.messages import MessageLeft

log = logging.getLogger(__name__)

EVERY = 20.0  # s between two looks into the folder


class _Note(msgspec.Struct):
    """What the script wrote beside the sound, as its last act."""

    file: str
    uniqueid: str | None = None
    caller: str | None = None
    called: str | None = None
    at: float | None = None
    seconds: float = 0.0


async def read_in(folder: Path, submit: Callable[[MessageLeft], object], every: float = EVERY) -> None:
    """Forever: tell of each new message, then mark it read (NAME.json becomes NAME.read).

    Killed in between, the message is told again: the event is the same one."""
    stuck: set[Path] = set()  # what can be neither marked nor set aside; not looked at again by this run
    while True:
        for note in sorted(set(await asyncio.to_thread(lambda: list(folder.glob("*.json")))) - stuck):
            try:
                _tell(note, submit)
                note.rename(note.with_suffix(".read"))
            except (OSError, ArithmeticError, msgspec.MsgspecError, ValueError) as error:
                log.error("voicemail %s cannot be read: %s", note.name, error)
                _set_aside(note, stuck)
        await asyncio.sleep(every)


def _set_aside(note: Path, stuck: set[Path]) -> None:
    try:
        note.rename(note.with_suffix(".bad"))
    except OSError:
        stuck.add(note)


def _tell(path: Path, submit: Callable[[MessageLeft], object]) -> None:
    if not path.is_file():
        raise ValueError("it is not a file")
    note = msgspec.json.decode(path.read_bytes(), type=_Note)
    if not note.uniqueid:
        raise ValueError("it does not say whose call it was")
    at = note.at if note.at is not None else path.stat().st_mtime
    submit(MessageLeft(at=at, uniqueid=note.uniqueid, file=Path(note.file).name, seconds=note.seconds))
    log.warning("a message was left while no server answered: %s (%.0f s)", note.file, note.seconds)
