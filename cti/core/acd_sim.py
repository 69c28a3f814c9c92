"""A day in the queues, played by the same Router that routes real calls: who is answered when, and by whom.

Time is the heap's, nothing is drawn here: what is left to chance (when who calls, how patient he is, how long a talk
takes) comes in with the callers. The same callers through two configurations are therefore the same day twice.

An offer is always taken, after the agent's `answer` seconds: times in which agents did not pick up are breaks of their
shifts. A caller who leaves while a phone rings frees the agent, whose idle time goes on. An agent whose shift ends or
whose break begins during a call finishes it first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from cti.core.acd import Match, Router, Waiter
from cti.core.acd_tally import AWAY, BUSY, IDLE, PAUSED, Outcome, Tally
from cti.core.queues import QueueConfig, Routing

Seconds = tuple[float, float]  # of talk, of wrap-up
HUNG_UP = ("abandoned", "short_abandon", "callback")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who enters a queue `at` a time (seconds since any moment).

    patience    seconds after which he leaves the queue, as `leaves` says: abandoned, left (another key) or callback
                (he keeps his place and is called back)
    luck        0 to 1: where this call's handling stands among those of whoever takes it
    then        where he goes on, its `at` being seconds after he left this queue; after an answered wait with
                `after_talk`, else when he was sent away"""

    key: str
    at: float
    queue: str
    skills: dict[str, Any] = {}
    priority: int = 0
    patience: float = math.inf
    leaves: str = "abandoned"
    luck: float = 0.5
    prefer: str = ""
    prefer_for: float = 0.0
    then: Caller | None = None
    after_talk: bool = False


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's day: when he is signed on, and when he takes no calls meanwhile."""

    agent: str
    skills: dict[str, int]
    spans: tuple[tuple[float, float], ...]
    breaks: tuple[tuple[float, float], ...] = ()
    answer: float = 0.0  # seconds until he picks up


class _Desk:
    """What an agent does now."""

    __slots__ = ("breaks", "busy", "on", "serving", "shift", "since")

    def __init__(self, shift: Shift) -> None:
        self.shift = shift
        self.on = self.busy = self.serving = False
        self.breaks = 0  # that go on now
        self.since = 0.0  # idle since


class _Wait:
    """A caller in a queue. `agent`: whose phone rings for him."""

    __slots__ = ("agent", "caller", "entered", "over", "waiter")

    def __init__(self, caller: Caller, entered: float, waiter: Waiter) -> None:
        self.caller, self.entered, self.waiter = caller, entered, waiter
        self.agent = ""
        self.over = False


class _Day:
    def __init__(
        self,
        queues: Mapping[str, QueueConfig],
        routing: Routing,
        handling: Callable[[Caller, str], Seconds],
        router: Router,
        tally: Tally,
    ) -> None:
        self.queues, self.handling, self.router, self.tally = queues, handling, router, tally
        self.router.configure(queues, routing, 0.0)
        self.desks: dict[str, _Desk] = {}
        self.waits: dict[str, _Wait] = {}
        self.lengths = dict.fromkeys(queues, 0)
        self.heap: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self.at = 0.0
        self.count = 0

    def push(self, at: float, step: Callable[[Any], None], what: Any) -> None:
        self.count += 1
        heapq.heappush(self.heap, (at, self.count, step, what))

    def play(self, callers: Iterable[Caller], shifts: Iterable[Shift]) -> Outcome:
        for shift in shifts:
            self._plan(shift)
        self.coming = iter(callers)
        self._next_caller(None)
        while self.heap:
            self.at, _, step, what = heapq.heappop(self.heap)
            step(what)
        return self.tally.outcome(self.at)

    # ------------------------------------------------------------ agents

    def _plan(self, shift: Shift) -> None:
        desk = self.desks[shift.agent] = _Desk(shift)
        for begin, end in shift.breaks:
            self.push(begin, self._break_begins, desk)
            self.push(end, self._break_ends, desk)
        for begin, end in shift.spans:
            self.push(begin, self._comes, desk)
            if end < math.inf:
                self.push(end, self._goes, desk)

    def _comes(self, desk: _Desk) -> None:
        desk.on = True
        if not desk.busy:
            self._idle(desk)

    def _goes(self, desk: _Desk) -> None:
        desk.on = False
        if not desk.busy:
            self._back(desk)

    def _break_begins(self, desk: _Desk) -> None:
        desk.breaks += 1
        if not desk.busy:
            self._back(desk)

    def _break_ends(self, desk: _Desk) -> None:
        desk.breaks -= 1
        if not desk.busy:
            self._idle(desk)

    def _idle(self, desk: _Desk) -> None:
        """He has nothing to do from now on."""
        desk.since = self.at
        self._back(desk)

    def _back(self, desk: _Desk) -> None:
        """What comes next: a call, a break, or home."""
        agent, skills = desk.shift.agent, desk.shift.skills
        if desk.on and not desk.breaks:
            if not desk.serving:
                desk.serving = True
                self.router.sign_on(agent, skills, self.at)
            self.router.free(agent, skills, desk.since)
            self.tally.becomes(agent, IDLE, self.at)
            self._offer(self.router.caller_for(agent, self.at))
        else:
            self._rests(desk)
        self._route_moved()

    def _rests(self, desk: _Desk) -> None:
        agent = desk.shift.agent
        desk.serving = False
        self.router.busy(agent)
        if desk.on:
            self.router.sign_on(agent, desk.shift.skills, self.at, serving=False)
        else:
            self.router.sign_off(agent, self.at)
        self.tally.becomes(agent, PAUSED if desk.on else AWAY, self.at)

    def _route_moved(self) -> None:
        """Those who may be served by others than before."""
        while self.router.moved:
            for key in sorted(self.router.moved, key=lambda key: self.router.stands[key].place):
                self._routed(key)

    # ------------------------------------------------------------ callers

    def _next_caller(self, caller: Caller | None) -> None:
        following = next(self.coming, None)
        if following is not None:
            self.push(following.at, self._next_caller, following)
        if caller is not None:
            self._enters(caller)

    def _enters(self, caller: Caller) -> None:
        queue = self.queues.get(caller.queue)
        if queue is None:
            self.tally.ended(caller.key, caller.queue, "failed", 0.0)
            return
        until = self.at + caller.prefer_for if caller.prefer else 0.0
        waiter = Waiter(key=caller.key, queue=caller.queue, since=self.at, priority=caller.priority,
                        skills=caller.skills, prefer=caller.prefer, prefer_until=until)  # fmt: skip
        wait = self.waits[caller.key] = _Wait(caller, self.at, waiter)
        self.lengths[caller.queue] += 1
        if self.lengths[caller.queue] > queue.max_size:
            self._leaves(wait, "full")
        else:
            self._waits(wait)
            if not wait.over:
                self._set_limits(wait, queue)

    def _waits(self, wait: _Wait) -> None:
        """He is at his place, and takes an agent if he can."""
        if wait.over or wait.agent:
            return
        changes = self.router.wait(wait.waiter, self.at)
        self._routed(wait.waiter.key)
        if changes is not None and not wait.agent:
            self.push(changes, self._waits, wait)

    def _routed(self, key: str) -> None:
        self.router.moved.discard(key)
        if key in self.router.stands:
            self._offer(self.router.agent_for(key, self.at))

    def _set_limits(self, wait: _Wait, queue: QueueConfig) -> None:
        if wait.caller.patience < math.inf:
            self.push(wait.entered + wait.caller.patience, self._gives_up, wait)
        if queue.max_wait and queue.max_wait < wait.caller.patience:
            self.push(wait.entered + queue.max_wait, self._max_wait, wait)

    def _gives_up(self, wait: _Wait) -> None:
        if wait.over:
            return
        queue, result = self.queues[wait.caller.queue], wait.caller.leaves
        if result == "abandoned" and self.at - wait.entered < queue.short_abandon:
            result = "short_abandon"
        self._leaves(wait, result)
        if wait.agent:
            self._call_gone(wait, self.desks[wait.agent])

    def _call_gone(self, wait: _Wait, desk: _Desk) -> None:
        self.router.done(wait.caller.queue)
        desk.busy = False
        self._back(desk)

    def _max_wait(self, wait: _Wait) -> None:
        if not wait.over and not wait.agent:
            self._leaves(wait, "timeout")

    def _leaves(self, wait: _Wait, result: str) -> None:
        """His wait ends."""
        caller = wait.caller
        wait.over = True
        del self.waits[caller.key]
        self.lengths[caller.queue] -= 1
        if not wait.agent:
            self.router.leave(caller.key)
        self.tally.ended(caller.key, caller.queue, result, self.at - wait.entered)
        if caller.then is not None and result not in HUNG_UP and (result == "answered") == caller.after_talk:
            self.push(self.at + caller.then.at, self._enters, caller.then)
        if result == "callback":
            self._called_back(wait)

    def _called_back(self, wait: _Wait) -> None:
        """He is called at his turn."""
        key = f"callback/{wait.caller.key}"
        waiter = Waiter(key=key, queue=wait.caller.queue, since=wait.waiter.since, priority=wait.caller.priority,
                        skills=wait.caller.skills, callback=True)  # fmt: skip
        self.waits[key] = _Wait(wait.caller, self.at, waiter)
        self._waits(self.waits[key])

    # ------------------------------------------------------------ offers and talks

    def _offer(self, match: Match | None) -> None:
        if match is None:
            return
        wait, desk = self.waits[match.key], self.desks[match.agent]
        wait.agent, desk.busy = match.agent, True
        self.router.leave(match.key)
        self.router.busy(match.agent)
        self.router.taken(match.queue)
        self.tally.becomes(match.agent, BUSY, self.at)
        if desk.shift.answer:
            self.push(self.at + desk.shift.answer, self._answered, wait)
        else:
            self._answered(wait)

    def _answered(self, wait: _Wait) -> None:
        if wait.over:
            return
        talk, wrap = self.handling(wait.caller, wait.agent)
        if wait.waiter.callback:
            del self.waits[wait.waiter.key]
            self.tally.called_back(wait.caller.queue)
        else:
            self._leaves(wait, "answered")
        self.tally.answers(wait.agent)
        wrap = min(wrap, self.queues[wait.caller.queue].wrap_up)
        self.push(self.at + talk, self._hangs_up, (wait, talk + wrap, wrap))

    def _hangs_up(self, talked: tuple[_Wait, float, float]) -> None:
        wait, _, wrap = talked
        self.router.done(wait.caller.queue)
        if wrap:
            self.push(self.at + wrap, self._wrapped, talked)
        else:
            self._wrapped(talked)

    def _wrapped(self, talked: tuple[_Wait, float, float]) -> None:
        wait, seconds, _ = talked
        desk = self.desks[wait.agent]
        desk.busy = False
        self.router.handled(wait.agent, wait.caller.queue, seconds)
        self._idle(desk)


def simulate(
    callers: Iterable[Caller],
    shifts: Iterable[Shift],
    queues: Mapping[str, QueueConfig],
    routing: Routing,
    handling: Callable[[Caller, str], Seconds],
    *,
    router: Router | None = None,
    tally: Tally | None = None,
) -> Outcome:
    """Play a day. `callers` in the order of their `at`; `handling` tells how long an agent takes for a caller. A router
    that already knows the agents' handling, or a tally that notes more, may be given."""
    day = _Day(queues, routing, handling, router or Router(), tally or Tally(queues))
    return day.play(callers, shifts)
