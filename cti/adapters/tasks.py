"""What a flow does outside of the call: every RunTask is answered by exactly one TaskDone, in time, whatever happens.

    Tasks({"http": ..., "script": ...}, ...).run(command)  ->  TaskDone(outcome, data)

A kind of work is a function of the command that gives (outcome, data) or raises `Fault`; the others of this family are
such functions. `{"sealed": NAME}` and `{"secret": NAME}` in the args are filled in here, just before the work, and
what they stand for is struck out of everything that comes back or is logged.
"""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec

from cti.core.messages import RunTask, TaskDone
from cti.core.storable import storable
from cti.errors import CtiError

log = logging.getLogger(__name__)
LONGEST = 60.0  # s for any task
MOST = 8_192  # bytes of JSON that a task may bring into a call
MASK = "********"
GAP = r"[ ,.:;/_'\"\-]{0,3}"  # between digits that are written apart
FILLED = frozenset({"with", "json", "form", "args", "headers"})  # the args in which others stand for something
HIDDEN: ContextVar[list[str]] = ContextVar("hidden")  # what must not be seen of the task that runs
Done = tuple[str, dict[str, Any]]
Work = Callable[[RunTask], Awaitable[Done]]
Sealed = Callable[[str, str], str | None]  # (uniqueid, name): digits in the vault


class Fault(Exception):
    """It did not work, in the ordinary way: outcome error. `data` is what the flow is told besides."""

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data or {}


class Tasks:
    """`kinds`: the work of each kind; `sealed`: the vault; `secrets`: [secrets], names in lower case."""

    def __init__(
        self, kinds: Mapping[str, Work], *, now: Callable[[], float], sealed: Sealed, secrets: Mapping[str, str]
    ) -> None:
        self._kinds = kinds
        self._now = now
        self._sealed = sealed
        self._secrets = secrets

    async def run(self, command: RunTask) -> TaskDone:
        """Never raises; a cancellation (the server stops) goes through."""
        hidden: list[str] = []
        HIDDEN.set(hidden)
        outcome, data, why = "error", dict[str, Any](), ""
        try:
            async with asyncio.timeout(min(max(command.timeout, 0.0), LONGEST)):
                outcome, data = await self._work(command, hidden)
            data = fitting(masked(data, hidden))
        except Fault as fault:
            outcome, data, why = "error", masked(fault.data, hidden), str(fault)
        except CtiError as error:
            why = str(error)
        except TimeoutError:
            why = f"took longer than {command.timeout:g} s"
        except Exception as error:  # its text may hold anything: not logged
            why = f"failed: {place_of(error)}"
        if why:
            log.warning("%s of call %s: %s", _named(command), command.call_id, masked(why, hidden))
        return TaskDone(at=self._now(), node=command.node, call_id=command.call_id, op=command.op, outcome=outcome,
                        data=data)  # fmt: skip

    async def _work(self, command: RunTask, hidden: list[str]) -> Done:
        work = self._kinds.get(command.kind)
        if work is None:
            raise Fault("there is no such work here")
        args = {
            key: self._filled(value, command.uniqueid, hidden) if key in FILLED else value
            for key, value in command.args.items()
        }
        return await work(msgspec.structs.replace(command, args=args))

    def _filled(self, value: Any, uniqueid: str, hidden: list[str]) -> Any:
        if isinstance(value, list | tuple):
            return [self._filled(item, uniqueid, hidden) for item in value]
        if not isinstance(value, dict):
            return value
        match value:
            case {"sealed": str(name)} if len(value) == 1:
                found = self._sealed(uniqueid, name)
                if found is None:
                    raise Fault(f"the digits of {name} are not there any more")
            case {"secret": str(name)} if len(value) == 1:
                found = self._secrets.get(name.lower())
                if found is None:
                    raise Fault(f"there is no {name} under [secrets] of cti.toml")
            case _:
                return {key: self._filled(item, uniqueid, hidden) for key, item in value.items()}
        hidden.append(found)
        return found


def _named(command: RunTask) -> str:
    """`query order`, `script price.py`: the name is one of the flow's files, not a caller's."""
    names = [command.args.get(key) for key in ("query", "webhook", "script")]
    return " ".join([command.kind, *(name for name in names if isinstance(name, str))])


def masked(value: Any, hidden: list[str]) -> Any:
    """The value without what must not be seen, also where it is a part of a text or a number."""
    if not hidden:
        return value
    if isinstance(value, dict):
        return {masked(key, hidden): masked(item, hidden) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, hidden) for item in value]
    if isinstance(value, str):
        for one in sorted(hidden, key=len, reverse=True):
            value = _without(value, one)
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return MASK if str(value) in hidden or str(value) in [one.lstrip("0") for one in hidden] else value
    return value


def _without(text: str, one: str) -> str:
    """Digits are struck out where they stand alone (123 is not in 41234), also in groups, as 4242 4242 or 4-2-4-2."""
    if not one.isdigit():
        return text.replace(one, MASK) if one else text
    return re.sub(rf"(?<![0-9]){GAP.join(one)}(?![0-9])", MASK, text)


def fitting(data: dict[str, Any]) -> dict[str, Any]:
    """The data as plain JSON has it. Raises Fault when it is too much for a call to carry."""
    try:
        body = msgspec.json.encode(storable(data))
        if len(body) <= MOST:
            return msgspec.json.decode(body, type=dict[str, Any])
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Fault("the answer is nothing that JSON can hold") from error
    raise Fault(f"the answer has more than {MOST} bytes")


def place_of(error: BaseException) -> str:
    """Which error, and where; not its text."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
