"""What a step of the core puts out, and the deadlines it sets. Line and floor write here, the switchboard reads."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from cti.core.messages import Command, Event


class Outbox:
    """`emit` folds the event into the state at once, so that what follows sees it; `events` and `commands` of the
    running step are taken by the switchboard afterwards."""

    def __init__(self, fold: Callable[[Event], Event]) -> None:
        self._fold = fold
        self.events: list[Event] = []
        self.commands: list[Command] = []
        self._due: list[tuple[float, int, str, str]] = []
        self._count = 0

    def emit(
        self, type: str, at: float, *, call_id: str = "", agent: str = "", queue: str = "", **data: Any
    ) -> None:
        event = Event(type=type, at=at, call_id=call_id, agent=agent, queue=queue, data=data)
        self.events.append(self._fold(event))

    def command(self, command: Command) -> None:
        self.commands.append(command)

    def wake(self, at: float, kind: str, key: str) -> None:
        """Ask to be told at that time. A deadline is never taken back: whoever is told looks whether it still holds."""
        self._count += 1
        heapq.heappush(self._due, (at, self._count, kind, key))

    def due(self, at: float) -> Iterator[tuple[str, str]]:
        """The (kind, key) of the deadlines up to `at`, in order; each is removed when it is given out."""
        while self._due and self._due[0][0] <= at:
            _, _, kind, key = heapq.heappop(self._due)
            yield kind, key

    def shift(self, by: float) -> None:
        """The clock was set: every deadline keeps its distance."""
        self._due = [(at + by, count, kind, key) for at, count, kind, key in self._due]

    @property
    def next_at(self) -> float | None:
        return self._due[0][0] if self._due else None
