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

from cti.core.acd import Match, Router, Waiter
from cti.core.acd_day import Caller, Handling, Shift
from cti.core.acd_tally import AWAY, BUSY, IDLE, PAUSED, Outcome, Tally
from cti.core.expect import Expect
from cti.core.queues import QueueConfig, Routing
from cti.core.waits import CLOSING_EVERY, overfull

HUNG_UP = ("abandoned", "short_abandon", "callback")


class _Desk:
    """What an agent does now."""

    __slots__ = ("breaks", "busy", "on", "serving", "shift", "since")

    def __init__(self, shift: Shift) -> None:
        self.shift = shift
        self.on = self.busy = self.serving = False
        self.breaks = 0  # that go on now
        self.since = 0.0  # idle since


class _Wait:
    """A caller in a queue. `agent`: whose phone rings for him. `alone`: since when nobody signed on could serve him."""

    __slots__ = ("agent", "alone", "caller", "entered", "over", "waiter")

    def __init__(self, caller: Caller, entered: float, waiter: Waiter) -> None:
        self.caller, self.entered, self.waiter = caller, entered, waiter
        self.agent = ""
        self.alone: float | None = None
        self.over = False


class _Day:
    def __init__(
        self,
        queues: Mapping[str, QueueConfig],
        routing: Routing,
        handling: Handling,
        router: Router,
        tally: Tally,
    ) -> None:
        self.queues, self.handling, self.router, self.tally = queues, handling, router, tally
        self.router.configure(queues, routing, 0.0)
        self.expect = Expect()
        self.desks: dict[str, _Desk] = {}
        self.waits: dict[str, _Wait] = {}
        self.lengths = dict.fromkeys(queues, 0)
        self.left: dict[tuple[str, str], tuple[float, float]] = {}  # (number, queue): the place he left, and when
        self.watched: set[str] = set()
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
        moved, self.router.moved = self.router.moved, set()
        for key in sorted(moved, key=lambda key: self.router.stands[key].place):
            if not self._nobody(self.waits[key]):
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
        if queue is None or self._closed(queue):
            self.tally.ended(caller.key, caller.queue, "closed" if queue else "failed", 0.0)
            return
        wait = self.waits[caller.key] = _Wait(caller, self.at, self._waiter(caller, queue))
        self.lengths[caller.queue] += 1
        changes = self.router.wait(wait.waiter, self.at)
        if overfull(self.router, self.expect, caller.key, self.lengths[caller.queue], self.at):
            self._leaves(wait, "full")
        elif not self._nobody(wait):
            self._set_limits(wait, queue)
            self._seeks(wait, changes)

    def _closed(self, queue: QueueConfig) -> bool:
        return bool(queue.calendar) and not self.router.is_open(queue.calendar, self.at)

    def _waiter(self, caller: Caller, queue: QueueConfig) -> Waiter:
        place, left_at = self.left.pop((caller.number, caller.queue), (self.at, 0.0))
        return Waiter(
            key=caller.key, queue=caller.queue, since=place if self.at - left_at <= queue.return_within else self.at,
            priority=caller.priority, skills=caller.skills, prefer=caller.prefer,
            prefer_until=self.at + caller.prefer_for,
        )  # fmt: skip

    def _set_limits(self, wait: _Wait, queue: QueueConfig) -> None:
        if wait.caller.patience < math.inf:
            self.push(wait.entered + wait.caller.patience, self._gives_up, wait)
        if queue.max_wait < wait.caller.patience:
            self.push(wait.entered + queue.max_wait, self._sent_away, (wait, "timeout"))
        timed = any(limit.calendar for limit in queue.capacity)
        if ((queue.overflow.closing and queue.calendar) or timed) and queue.name not in self.watched:
            self.watched.add(queue.name)
            self.push(self.at + CLOSING_EVERY, self._watch, queue)

    def _nobody(self, wait: _Wait) -> bool:
        """Nobody has been signed on who could ever serve him, for as long as he waits for one: then he has left."""
        patience = self.queues[wait.caller.queue].overflow.no_agents
        if wait.waiter.callback or patience is None or self.router.staffed(wait.caller.key):
            wait.alone = None
            return False
        wait.alone = self.at if wait.alone is None else wait.alone
        if self.at < wait.alone + patience:
            self.push(wait.alone + patience, self._still_nobody, wait)
            return False
        self._leaves(wait, "no_agents")
        return True

    def _still_nobody(self, wait: _Wait) -> None:
        if not wait.over and not wait.agent:
            self._nobody(wait)

    def _watch(self, queue: QueueConfig) -> None:
        """Whether it has closed, or has room, as time goes by."""
        if queue.overflow.closing and self._closed(queue):
            for place in list(self.router.order.get(queue.name, ())):
                self._sent_away((self.waits[place.key], "closed"))
        self._route_queue(queue.name)
        if self.lengths[queue.name]:
            self.push(self.at + CLOSING_EVERY, self._watch, queue)
        else:
            self.watched.discard(queue.name)

    def _sent_away(self, one: tuple[_Wait, str]) -> None:
        wait, result = one
        if not wait.over and not wait.agent and not wait.waiter.callback:
            self._leaves(wait, result)

    # ------------------------------------------------------------ routing

    def _waits(self, wait: _Wait) -> None:
        if not wait.over and not wait.agent:
            changes = self.router.wait(wait.waiter, self.at)
            if not self._nobody(wait):
                self._seeks(wait, changes)

    def _seeks(self, wait: _Wait, changes: float | None) -> None:
        """He is at his place, and takes an agent if he can; else again when others may serve him."""
        self._routed(wait.waiter.key)
        if changes is not None and not wait.agent:
            self.push(changes, self._waits, wait)

    def _routed(self, key: str) -> None:
        self.router.moved.discard(key)
        self._offer(self.router.agent_for(key, self.at))

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
        desk.busy = False
        self._back(desk)
        self._lets_go(wait.caller.queue)

    def _lets_go(self, queue: str) -> None:
        """One of its calls is with an agent no more."""
        self.router.done(queue)
        if self.router.queue(queue).capacity:
            self._route_queue(queue)

    def _route_queue(self, queue: str) -> None:
        for place in list(self.router.order.get(queue, ())):
            if not self.router.has_room(queue, self.at):
                return
            self._routed(place.key)

    def _leaves(self, wait: _Wait, result: str) -> None:
        """His wait ends."""
        caller = wait.caller
        wait.over = True
        del self.waits[caller.key]
        self.lengths[caller.queue] -= 1
        if not wait.agent:
            self.router.leave(caller.key)
        self.tally.ended(caller.key, caller.queue, result, self.at - wait.entered)
        if caller.number and result in ("abandoned", "short_abandon"):
            self.left[caller.number, caller.queue] = wait.waiter.since, self.at
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
        self._lets_go(wait.caller.queue)
        if wrap:
            self.push(self.at + wrap, self._wrapped, talked)
        else:
            self._wrapped(talked)

    def _wrapped(self, talked: tuple[_Wait, float, float]) -> None:
        wait, seconds, _ = talked
        desk = self.desks[wait.agent]
        desk.busy = False
        self.router.handled(wait.agent, wait.caller.queue, seconds)
        self.expect.handled(wait.agent, wait.caller.queue, seconds, self.at)
        self._idle(desk)


def simulate(
    callers: Iterable[Caller],
    shifts: Iterable[Shift],
    queues: Mapping[str, QueueConfig],
    routing: Routing,
    handling: Handling,
    *,
    router: Router | None = None,
    tally: Tally | None = None,
) -> Outcome:
    """Play a day. `callers` in the order of their `at`. A router that knows the agents' handling and the calendars
    already, or a tally that notes more, may be given."""
    day = _Day(queues, routing, handling, router or Router(), tally or Tally(queues))
    return day.play(callers, shifts)
