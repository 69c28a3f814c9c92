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

import msgspec

from cti.core.messages import ClockStepped, Command, Event, Input, Tick
from cti.core.switchboard import Output, Switchboard

log = logging.getLogger(__name__)

STEP = 2.0  # s the machine's clock may differ from ours before we take its time at once
SLEW = 0.1  # s a second by which we come nearer to it otherwise
EVERY = 1.0  # s between two looks


class Clock:
    """The time of day that runs like the monotonic clock, and after the machine's: it goes back only when that was set
    back by more than STEP."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.monotonic() + self._offset

    def step(self) -> float:
        """Take the machine's time when that was set; by how many seconds, 0: it was not."""
        drift = time.time() - self.now()
        step = drift if abs(drift) > STEP else 0.0
        self._offset += step
        return step

    def follow(self) -> float:
        """`step`, and come nearer to the machine's clock. Called every EVERY seconds."""
        step = self.step()
        self._offset += max(-SLEW, min(SLEW, time.time() - self.now()))
        return step


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
        self._started = False

    def now(self) -> float:
        return self._clock.now()

    def start(self) -> None:
        """Let deadlines fall. Not before it is known what happened while no server ran."""
        self._started = True
        self._set_timer()

    async def follow_clock(self) -> None:
        """Forever. When the machine's clock is set, what is due in ten seconds is still due in ten seconds."""
        while True:
            await asyncio.sleep(EVERY)
            self._stepped(self._clock.follow())

    def _stepped(self, by: float) -> None:
        if by:
            log.warning("the machine's clock was set by %.1f s", by)
            self._stop_timer()
            self._handle(ClockStepped(at=self.now(), by=by))

    def submit(self, message: Input) -> None:
        """Act on one input. Raises Refused or BadInput for a person's impossible wish, nothing for a fact.

        One of another time may be the first to show that the clock was set; none is of the future."""
        if abs(message.at - self.now()) > STEP:
            self._stepped(self._clock.step())
            if message.at > self.now() + STEP:
                message = msgspec.structs.replace(message, at=self.now())
        self._handle(message)

    def _handle(self, message: Input) -> None:
        self.inputs += 1
        output = self.switchboard.handle(message)
        if output.fault is not None:
            self.faults += 1
            log.error("a bug in the core at %s", type(message).__name__, exc_info=output.fault)
        self.settle(output)

    def settle(self, output: Output) -> None:
        """Keep the events, carry out the commands (a phone is to ring before a wallboard changes), tell the observers,
        set the timer."""
        if output.events:
            self._journal.append(output.events)
        for command in output.commands:
            self._safely(self._dispatch, command)
        for event in output.events:
            self._safely(self._observe, event)
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
        if not self._started or due is None or (self._timer is not None and due >= self._timer_at):
            return
        self._stop_timer()
        self._timer_at = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self.now()), self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self.submit(Tick(at=self.now()))
