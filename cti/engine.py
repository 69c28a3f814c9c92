"""The only place where order is decided: `submit(input)` runs the core, keeps its events, then tells the adapters.

Everything happens synchronously on the event loop's thread, so nothing interleaves and there are no locks.
Events are in the journal (safe from a kill) before any command that follows from them is carried out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cti.core.messages import Command, Event, Input, Tick
from cti.core.switchboard import Output, Switchboard

log = logging.getLogger(__name__)

JUMP = 2.0  # s the machine's clock may differ from ours before we follow it


class Clock:
    """The time of day that runs like the monotonic clock: it never goes back and does not follow small corrections."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        now = time.monotonic() + self._offset
        drift = time.time() - now
        if abs(drift) > JUMP:
            log.warning("the machine's clock jumped by %.1f s; deadlines follow it", drift)
            self._offset += drift
            now += drift
        return now


class Journal(Protocol):
    def append(self, events: Sequence[Event]) -> int: ...


class Engine:
    """`observe` sees every event after it is kept, `dispatch` carries out commands; neither should raise."""

    def __init__(
        self,
        switchboard: Switchboard,
        journal: Journal,
        dispatch: Callable[[Command], None],
        observe: Callable[[Event], None],
    ) -> None:
        self.switchboard = switchboard
        self.inputs = 0
        self.faults = 0
        self._clock = Clock()
        self._journal = journal
        self._dispatch = dispatch
        self._observe = observe
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def now(self) -> float:
        return self._clock.now()

    def submit(self, message: Input) -> None:
        """Act on one input. Raises Refused or BadInput for a person's impossible wish, nothing for a fact."""
        self.inputs += 1
        output = self.switchboard.handle(message)
        if output.fault is not None:
            self.faults += 1
            log.error("a bug in the core at %s", type(message).__name__, exc_info=output.fault)
        self.settle(output)

    def settle(self, output: Output) -> None:
        """Keep the events, tell the observers, carry out the commands, set the timer."""
        if output.events:
            self._journal.append(output.events)
        for event in output.events:
            self._safely(self._observe, event)
        for command in output.commands:
            self._safely(self._dispatch, command)
        self._set_timer()

    def _safely(self, tell: Callable[[Any], None], message: Event | Command) -> None:
        """A page that cannot be told something keeps no phone from ringing."""
        try:
            tell(message)
        except Exception:
            self.faults += 1
            log.exception("a bug at the telling of %s", type(message).__name__)

    def _set_timer(self) -> None:
        due = self.switchboard.next_at
        if due is None or (self._timer is not None and due >= self._timer_at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self.now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.submit(Tick(at=self.now()))
