"""A day in the queues, played by the same Router and the same Admission as real calls: who is answered when, by whom.

Time is the agenda's, nothing is drawn here: what is left to chance (when who calls, how patient he is, how long a talk
takes) comes in with the callers. The same callers through two configurations are therefore the same day twice.

An offer is taken after the agent's `answer` seconds, unless he would miss it then. A caller who leaves while a phone
rings frees the agent, whose idle time goes on. An agent whose shift ends or whose break begins during a call finishes
it first. A callback is made once, and reaches the customer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from cti.core.acd import Router
from cti.core.acd_day import Caller, Handling, Miss, Shift
from cti.core.acd_desks import Agenda, Desks
from cti.core.acd_match import Match, Waiter
from cti.core.acd_tally import Outcome, Tally
from cti.core.admission import CLOSING_EVERY, Admission, gave_up
from cti.core.expect import Expect
from cti.core.queues import QueueConfig, Routing

HUNG_UP = ("abandoned", "short_abandon", "callback")


class _Wait(msgspec.Struct):
    """A caller in a queue, or a callback. `agent`: whose phone rings for him. `ends`: when he has waited too long."""

    caller: Caller
    entered: float
    ends: float
    waiter: Waiter
    agent: str = ""
    over: bool = False


class _Day:
    def __init__(self, queues: Mapping[str, QueueConfig], routing: Routing, handling: Handling, router: Router,
                 tally: Tally) -> None:  # fmt: skip
        self.handling, self.router, self.tally = handling, router, tally
        self.router.configure(queues, routing, 0.0)
        self.agenda, self.admission = Agenda(), Admission(router, Expect())
        self.desks = Desks(self.agenda, router, tally, self._free)
        self.waits: dict[str, _Wait] = {}
        self.asked: dict[tuple[str, str], _Wait] = {}  # callbacks by number and queue

    def play(self, callers: Iterable[Caller], shifts: Iterable[Shift]) -> Outcome:
        for shift in shifts:
            self.desks.plan(shift)
        self.coming = iter(callers)
        self._next_caller(None)
        self.agenda.run()
        return self.tally.outcome(self.agenda.at)

    # ------------------------------------------------------------ entering

    def _next_caller(self, caller: Caller | None) -> None:
        following = next(self.coming, None)
        if following is not None:
            self.agenda.push(following.at, self._next_caller, following)
        if caller is not None:
            self._enters(caller)

    def _enters(self, caller: Caller) -> None:
        at, queue = self.agenda.at, self.router.queue(caller.queue)
        longest = queue.max_wait if caller.max_wait is None else caller.max_wait
        wait = self.waits[caller.key] = _Wait(caller, at, at + longest, self._waiter(caller))
        self.admission.lengths[caller.queue] += 1
        changes = self.router.wait(wait.waiter, at)
        result, _ = self.admission.refuses(caller.key, caller.queue, self.admission.closed(queue, at), at)
        if result:
            self._leaves(wait, result)
            return
        if self.asked:
            changes = self._calls_again(wait, changes)
        if not self._nobody(wait):
            self._set_limits(wait, queue)
            self._seeks(wait, changes)

    def _waiter(self, caller: Caller) -> Waiter:
        at = self.agenda.at
        place = self.admission.place_of(caller.number, caller.queue, at)
        return Waiter(
            key=caller.key, queue=caller.queue, since=at if place is None else place, priority=caller.priority,
            skills=caller.skills, prefer=caller.prefer, prefer_until=at + caller.prefer_for,
            prefer_why=caller.prefer_why,
        )  # fmt: skip

    def _calls_again(self, wait: _Wait, changes: float | None) -> float | None:
        """Who was to be called back has the callback's place."""
        one = self.asked.get((wait.caller.number, wait.caller.queue))
        if one is None or one.agent:
            return changes
        self._is_over(one)
        since, priority = min(one.waiter.since, wait.waiter.since), max(one.waiter.priority, wait.waiter.priority)
        wait.waiter = msgspec.structs.replace(wait.waiter, since=since, priority=priority)
        return self.router.wait(wait.waiter, self.agenda.at)

    def _set_limits(self, wait: _Wait, queue: QueueConfig) -> None:
        if wait.caller.patience < math.inf:
            self.agenda.push(wait.entered + wait.caller.patience, self._gives_up, wait)
        if wait.ends < wait.entered + wait.caller.patience:
            self.agenda.push(wait.ends, self._too_long, wait)
        if self.admission.watches(queue):
            self.agenda.push(self.agenda.at + CLOSING_EVERY, self._watch, queue)

    # ------------------------------------------------------------ as time goes by

    def _nobody(self, wait: _Wait) -> bool:
        """Nobody has been signed on who could ever serve him, for as long as he waits for one: then he has left."""
        if wait.over or wait.agent or wait.waiter.callback:
            return False
        ends = self.admission.alone_until(wait.waiter.key, self.agenda.at)
        if ends is None:
            return False
        if self.agenda.at < ends:
            self.agenda.push(ends, self._nobody, wait)
            return False
        self._leaves(wait, "no_agents")
        return True

    def _watch(self, queue: QueueConfig) -> None:
        """Whether it has closed, or has room, as time goes by."""
        if self.admission.shuts(queue, self.agenda.at):
            for place in list(self.router.order.get(queue.name, ())):
                if not self.waits[place.key].waiter.callback:
                    self._leaves(self.waits[place.key], "closed")
        self._route_queue(queue.name)
        if self.admission.watches_on(queue.name):
            self.agenda.push(self.agenda.at + CLOSING_EVERY, self._watch, queue)

    def _too_long(self, wait: _Wait) -> None:
        if wait.over or wait.agent:
            return
        if wait.waiter.callback:
            self._is_over(wait)
        else:
            self._leaves(wait, "timeout")

    # ------------------------------------------------------------ routing

    def _free(self, agent: str) -> None:
        """A call for him, if he may have one, and for those who may be served by others than before."""
        while (match := self.router.for_agent(agent, self.agenda.at)) is not None:
            self._offer(match)
        for key in self.router.take_moved():
            if not self._nobody(self.waits[key]):
                self._routed(key)

    def _waits(self, wait: _Wait) -> None:
        if not wait.over and not wait.agent:
            changes = self.router.wait(wait.waiter, self.agenda.at)
            if not self._nobody(wait):
                self._seeks(wait, changes)

    def _seeks(self, wait: _Wait, changes: float | None) -> None:
        """He is at his place, and takes an agent if he can; else again when others may serve him."""
        self._routed(wait.waiter.key)
        if changes is not None and not wait.agent:
            self.agenda.push(changes, self._waits, wait)

    def _routed(self, key: str) -> None:
        self.router.moved.discard(key)
        while key in self.router.stands and (match := self.router.for_call(key, self.agenda.at)) is not None:
            self._offer(match)

    def _route_queue(self, queue: str) -> None:
        for key in self.router.in_turn(queue, self.agenda.at):
            self._routed(key)

    def _lets_go(self, queue: str) -> None:
        """One of its calls is with an agent no more."""
        self.router.done(queue)
        if self.router.queue(queue).capacity:
            self._route_queue(queue)

    # ------------------------------------------------------------ leaving

    def _gives_up(self, wait: _Wait) -> None:
        if wait.over:
            return
        queue, result = self.router.queue(wait.caller.queue), wait.caller.leaves
        self._leaves(wait, gave_up(queue, self.agenda.at - wait.entered) if result == "abandoned" else result)
        if wait.agent:
            self.desks.back(self.desks.of[wait.agent])
            self._lets_go(wait.caller.queue)

    def _leaves(self, wait: _Wait, result: str) -> None:
        """His wait ends."""
        caller, at = wait.caller, self.agenda.at
        self._is_over(wait)
        self.admission.lengths[caller.queue] -= 1
        self.tally.ended(caller.key, caller.queue, result, at - wait.entered)
        self.admission.leaves_place(caller.number, caller.queue, result, wait.waiter.since, at)
        if caller.then is not None and result not in HUNG_UP and (result == "answered") == caller.after_talk:
            self.agenda.push(at + caller.then.at, self._enters, caller.then)
        if result == "callback" and caller.reached:
            self._asks(wait)

    def _is_over(self, wait: _Wait) -> None:
        wait.over = True
        del self.waits[wait.waiter.key]
        self.admission.gone(wait.waiter.key)
        if wait.waiter.callback:
            self.asked.pop((wait.caller.number, wait.caller.queue), None)

    # ------------------------------------------------------------ callbacks

    def _asks(self, wait: _Wait) -> None:
        caller, at = wait.caller, self.agenda.at
        waiter = Waiter(key=f"callback/{caller.key}", queue=caller.queue, since=wait.waiter.since,
                        priority=caller.priority, skills=caller.skills, callback=True)  # fmt: skip
        one = self.waits[waiter.key] = _Wait(caller, at, at + self.router.queue(caller.queue).callback.expires, waiter)
        if caller.number:
            self.asked[caller.number, caller.queue] = one
        self.agenda.push(one.ends, self._too_long, one)
        self._look(one)

    def _look(self, one: _Wait) -> None:
        """He stands in line while the calendar is open."""
        at, queue = self.agenda.at, self.router.queue(one.caller.queue)
        calendar = queue.callback.calendar or queue.calendar
        if one.over:
            return
        if calendar:
            self.agenda.push(at + CLOSING_EVERY, self._look, one)
        if calendar and not self.router.is_open(calendar, at):
            self.admission.gone(one.waiter.key)
        else:
            self._waits(one)

    # ------------------------------------------------------------ offers and talks

    def _offer(self, match: Match) -> None:
        wait, desk = self.waits[match.key], self.desks.of[match.agent]
        wait.agent = match.agent
        self.desks.takes(desk)
        self.admission.gone(match.key)
        self.router.taken(match.queue)
        miss = desk.missing(self.agenda.at) if desk.shift.misses else None
        if miss is not None:
            seconds = min(miss.rings, self.router.queue(wait.caller.queue).ring)
            self.agenda.push(self.agenda.at + seconds, self._missed, (wait, miss))
        elif desk.shift.answer:
            self.agenda.push(self.agenda.at + desk.shift.answer, self._answered, wait)
        else:
            self._answered(wait)

    def _missed(self, offered: tuple[_Wait, Miss]) -> None:
        """He waits where he waited; what fell due meanwhile is done now."""
        wait, miss = offered
        if wait.over:
            return
        desk, wait.agent = self.desks.of[wait.agent], ""
        self.desks.missed(desk, max(miss.until, self.agenda.at))
        if self.agenda.at >= wait.ends:
            self._too_long(wait)
        else:
            self._waits(wait)
        self._lets_go(wait.caller.queue)

    def _answered(self, wait: _Wait) -> None:
        if wait.over:
            return
        talk, wrap = self.handling(wait.caller, wait.agent)
        if wait.waiter.callback:
            self._is_over(wait)
            self.tally.called_back(wait.caller.queue)
        else:
            self._leaves(wait, "answered")
        self.tally.answers(wait.agent)
        wrap = min(wrap, self.router.queue(wait.caller.queue).wrap_up)
        self.agenda.push(self.agenda.at + talk, self._hangs_up, (wait, talk + wrap, wrap))

    def _hangs_up(self, talked: tuple[_Wait, float, float]) -> None:
        wait, _, wrap = talked
        self._lets_go(wait.caller.queue)
        if wrap:
            self.agenda.push(self.agenda.at + wrap, self._wrapped, talked)
        else:
            self._wrapped(talked)

    def _wrapped(self, talked: tuple[_Wait, float, float]) -> None:
        wait, seconds, _ = talked
        self.router.handled(wait.agent, wait.caller.queue, seconds)
        self.admission.expect.handled(wait.agent, wait.caller.queue, seconds, self.agenda.at)
        self.desks.idle(self.desks.of[wait.agent])


def simulate(
    callers: Iterable[Caller], shifts: Iterable[Shift], queues: Mapping[str, QueueConfig], routing: Routing,
    handling: Handling, *, router: Router | None = None, tally: Tally | None = None,
) -> Outcome:  # fmt: skip
    """Play a day. `callers` in the order of their `at`. A router that knows the agents' handling and the calendars
    already, or a tally that notes more, may be given."""
    return _Day(queues, routing, handling, router or Router(), tally or Tally(queues)).play(callers, shifts)
