"""The agents of a simulated day: who is signed on, who is away, and who is free again when. Time is the agenda's."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from cti.core.acd import Router
from cti.core.acd_day import Miss, Shift
from cti.core.acd_tally import AWAY, BUSY, IDLE, PAUSED, Tally


class Agenda:
    """What happens when; what falls on the same time, in the order in which it was put down."""

    def __init__(self) -> None:
        self.at = 0.0
        self._heap: list[tuple[float, int, Callable[[Any], object], Any]] = []
        self._count = 0

    def push(self, at: float, step: Callable[[Any], object], what: Any) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, step, what))

    def run(self) -> None:
        while self._heap:
            self.at, _, step, what = heapq.heappop(self._heap)
            step(what)


class Desk:
    """What an agent does now."""

    __slots__ = ("breaks", "busy", "on", "serving", "shift", "since")

    def __init__(self, shift: Shift) -> None:
        self.shift = shift
        self.on = self.busy = self.serving = False
        self.breaks = 0  # that go on now
        self.since = 0.0  # idle since

    def missing(self, at: float) -> Miss | None:
        """He would not take a call that is offered to him now."""
        return next((miss for miss in self.shift.misses if miss.since <= at < miss.until), None)


class Desks:
    """`free`: told of every agent who may be offered a call now."""

    def __init__(self, agenda: Agenda, router: Router, tally: Tally, free: Callable[[str], None]) -> None:
        self.agenda, self.router, self.tally, self.free = agenda, router, tally, free
        self.of: dict[str, Desk] = {}

    def plan(self, shift: Shift) -> None:
        desk = self.of[shift.agent] = Desk(shift)
        for begin, end in shift.breaks:
            self.agenda.push(begin, self._break_begins, desk)
            self.agenda.push(end, self._break_ends, desk)
        for begin, end in shift.spans:
            self.agenda.push(begin, self._comes, desk)
            if end < float("inf"):
                self.agenda.push(end, self._goes, desk)

    def _comes(self, desk: Desk) -> None:
        desk.on = True
        if not desk.busy:
            self.idle(desk)

    def _goes(self, desk: Desk) -> None:
        desk.on = False
        if not desk.busy:
            self.back(desk)

    def _break_begins(self, desk: Desk) -> None:
        desk.breaks += 1
        if not desk.busy:
            self.back(desk)

    def _break_ends(self, desk: Desk) -> None:
        desk.breaks -= 1
        if not desk.busy:
            self.idle(desk)

    def takes(self, desk: Desk) -> None:
        """A call is offered to him."""
        desk.busy = True
        self.router.busy(desk.shift.agent)
        self.tally.becomes(desk.shift.agent, BUSY, self.agenda.at)

    def idle(self, desk: Desk) -> None:
        """He has nothing to do from now on."""
        desk.since = self.agenda.at
        self.back(desk)

    def missed(self, desk: Desk, until: float) -> None:
        """He did not take it, and is not ready until then; his idle time goes on."""
        desk.breaks += 1
        self.agenda.push(until, self._is_here_again, desk)
        self.back(desk)

    def _is_here_again(self, desk: Desk) -> None:
        desk.breaks -= 1
        self.back(desk)

    def back(self, desk: Desk) -> None:
        """What comes next: a call, a break, or home."""
        desk.busy = False
        agent, skills = desk.shift.agent, desk.shift.skills
        if desk.on and not desk.breaks:
            if not desk.serving:
                desk.serving = True
                self.router.sign_on(agent, skills, self.agenda.at)
            self.router.free(agent, skills, desk.since)
            self.tally.becomes(agent, IDLE, self.agenda.at)
        else:
            self._rests(desk)
        self.free(agent)

    def _rests(self, desk: Desk) -> None:
        agent = desk.shift.agent
        desk.serving = False
        self.router.busy(agent)
        if desk.on:
            self.router.sign_on(agent, desk.shift.skills, self.agenda.at, serving=False)
        else:
            self.router.sign_off(agent, self.agenda.at)
        self.tally.becomes(agent, PAUSED if desk.on else AWAY, self.agenda.at)
