"""Waiting in a queue: who gets in, which place he has, how long he stays, and how a wait ends without an agent.

Invariant: every queue visit ends with exactly one result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from cti.core.acd import Router
from cti.core.acd_match import Waiter
from cti.core.admission import CLOSING_EVERY, GAVE_UP, Admission
from cti.core.call import Call, Calls, Visit
from cti.core.expect import spoken
from cti.core.floor import RING_GRACE, Floor
from cti.core.messages import ChangePriority, ClockStepped, Event, MoveCall, PastFound, PeopleChanged
from cti.core.outbox import Outbox
from cti.core.queues import PRIORITIES, QueueConfig, Routing, asked
from cti.errors import BadInput, Refused

WAITS_AGAIN = ("call.queued", "call.place_kept", "call.clock_set", "call.priority_changed", "offer.missed",
               "offer.rejected", "offer.cancelled")  # fmt: skip
TOLD_LATE = 2.0  # s by which a hang-up may be told after the same caller has called again


class Waits:
    def __init__(self, out: Outbox, calls: Calls, floor: Floor, router: Router) -> None:
        self.out, self.calls, self.floor, self.router = out, calls, floor, router
        self.admission = Admission(router, floor.expect)
        self.lengths = self.admission.lengths  # open visits by queue
        self._newest: dict[tuple[str, str], str] = {}  # (caller, queue): the call of his that came last and waits there
        self._told: set[str] = set()  # visits that are told something from time to time
        self.handlers: dict[type, Callable[[Any], None]] = {
            ChangePriority: self._change_priority, MoveCall: self._move, PastFound: self._past,
            ClockStepped: self._clock_stepped, PeopleChanged: lambda m: self._staff_changed(m.at),
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {
            "max_wait": self._due_max_wait, "relax": self._due_relax, "no_agents": self._due_no_agents,
            "closing": self._due_closing, "announce": self._due_announce,
        }  # fmt: skip

    def configure(
        self, queues: Mapping[str, QueueConfig], at: float, earlier: Mapping[str, QueueConfig], routing: Routing
    ) -> None:
        """New queue settings hold from the next decision on, also for those who wait. A queue that is gone serves those
        who wait in it, and (`earlier`) those whose version of the flows still knows it."""
        kept = {name: queue for name, queue in self.router.queues.items() if self.lengths[name]}
        self.router.configure(kept | dict(earlier) | dict(queues), routing, at)
        for call in self.calls.live.values():
            if call.visit is not None:
                self._set_deadlines(call, call.visit, at)
                self.out.wake(at, "relax", f"{call.call_id}/{call.visit.number}")

    # ------------------------------------------------------------ fold

    def apply(self, event: Event) -> None:
        """Take an event in (after the call's own record has)."""
        if event.type == "call.queued":
            self.lengths[event.queue] += 1
            self._follow(event)
        elif event.type == "call.dequeued":
            self.lengths[event.queue] -= 1
            self._remember(event)
            self._follow(event)
        if event.type in ("call.dequeued", "call.offered", "call.ended"):
            self.admission.gone(event.call_id)
        elif event.type in WAITS_AGAIN and not event.data.get("closed"):  # else he leaves at once
            self._wait(event.call_id, event.at)

    def _remember(self, event: Event) -> None:
        call = self.calls.live.get(event.call_id)
        if call is not None and (wait := call.waited.get(event.queue)) is not None:
            self.admission.leaves_place(call.caller, event.queue, event.data["result"], wait["since"], event.at)

    def _who(self, event: Event) -> tuple[str, str]:
        call = self.calls.live.get(event.call_id)
        return (call.caller if call is not None else ""), event.queue

    def _follow(self, event: Event) -> None:
        """Which call of a caller came last to a queue and waits there."""
        who = self._who(event)
        if event.type == "call.queued":
            self._newest[who] = event.call_id
        elif self._newest.get(who) == event.call_id:
            del self._newest[who]

    def _take_over(self, event: Event) -> None:
        """He called again before it was told that he has hung up: the place that he has just left is his. Two who share
        a number, and have both waited for a while, keep their own."""
        again = self.calls.live.get(self._newest.get(self._who(event), ""))
        if event.data["result"] not in GAVE_UP or again is None or again.visit is None:
            return
        if event.at - again.visit.entered_at <= TOLD_LATE and self.floor.queue(event.queue).return_within:
            self._keep_place(again, again.visit, event.at)

    def _wait(self, call_id: str, at: float) -> None:
        """He waits, if he does and no phone rings for him; and is looked at when others may serve him."""
        call = self.calls.live.get(call_id)
        visit = call.visit if call is not None else None
        if call is None or visit is None or visit.offer or call.ended_at is not None:
            return
        waiter = Waiter(
            key=call_id, queue=visit.queue, since=visit.since, priority=visit.priority, skills=visit.skills,
            prefer=visit.prefer, prefer_until=visit.prefer_until, prefer_why=visit.prefer_why,
        )  # fmt: skip
        next_at = self.router.wait(waiter, at)
        if next_at is not None:
            self.out.wake(next_at, "relax", f"{call_id}/{visit.number}")

    def restored(self, at: float) -> None:
        """Those who wait are taken up when the queues are known (`configure`)."""

    # ------------------------------------------------------------ entering

    def react(self, event: Event) -> None:
        """Do what follows from an event that has just happened (not from one that is restored)."""
        if event.type == "call.queued":
            self._entered(self.calls.live[event.call_id], event)
        elif event.type == "call.dequeued":
            self._take_over(event)
        elif event.type in ("offer.missed", "offer.rejected", "offer.cancelled"):
            self._back_in_place(event)
        elif event.type in ("call.place_kept", "call.priority_changed"):
            self.floor.route_call(event.call_id, event.at)
        elif event.type == "call.pressed":
            self._pressed(event)
        elif event.type == "agent.state_changed":
            self._staff_changed(event.at)

    def _entered(self, call: Call, event: Event) -> None:
        """The agent whose phone rang for somebody who is moved is free before he is here: he may have him already."""
        visit, at = call.visit, event.at
        if visit is None or visit.offer:
            return
        self._keep_place(call, visit, at)
        closed = bool(event.data.get("closed"))
        result, why = self.admission.refuses(call.call_id, visit.queue, closed, at, moved="since" in event.data)
        if result:
            self.floor.leave(call, at, result, **({"why": why} if why else {}))
        elif not self._nobody(call, visit, at):
            self._set_deadlines(call, visit, at)
            self.floor.route_call(call.call_id, at)

    def _nobody(self, call: Call, visit: Visit, at: float) -> bool:
        """Nobody has been signed on who could ever serve him, for as long as he waits for one: then he has left. Else,
        when nobody is, he is looked at again at the end of that time."""
        ends = self.admission.alone_until(call.call_id, at)
        if ends is None:
            return False
        if at < ends:
            self.out.wake(ends, "no_agents", f"{call.call_id}/{visit.number}")
            return False
        self.floor.leave(call, at, "no_agents")
        return True

    def _staff_changed(self, at: float) -> None:
        """Those whom somebody could serve now and nobody before, or the reverse."""
        turned, self.router.turned = self.router.turned, set()
        for key in sorted(turned):
            call = self.calls.live.get(key)
            if call is not None and call.visit is not None:
                self._nobody(call, call.visit, at)

    def _keep_place(self, call: Call, visit: Visit, at: float) -> None:
        """Who waited in this queue before, in this call or in one just before, has his place again."""
        before, why = call.waited.get(visit.queue), "again"
        since = before["since"] if before is not None else None
        if since is None:
            called = call.arrived_at if call.connected_at is None else at
            since, why = self.admission.place_of(call.caller, visit.queue, called), "returned"
        if since is not None and since < visit.since:
            self.keep_place(call, visit, since, why, at)

    def keep_place(self, call: Call, visit: Visit, since: float, why: str, at: float) -> None:
        """He has waited since then."""
        self.out.emit("call.place_kept", at, call_id=call.call_id, queue=visit.queue, visit=visit.number, since=since,
                      why=why)  # fmt: skip

    def _set_deadlines(self, call: Call, visit: Visit, at: float) -> None:
        key, queue = f"{call.call_id}/{visit.number}", self.floor.queue(visit.queue)
        self.out.wake(visit.entered_at + visit.max_wait, "max_wait", key)
        if queue.announce.speaks and key not in self._told:
            self._told.add(key)
            first = visit.entered_at + queue.announce.first
            self.out.wake(_next(first, queue.announce.every, at), "announce", key)
        if self.admission.watches(queue):
            self.out.wake(at + CLOSING_EVERY, "closing", queue.name)

    def _back_in_place(self, event: Event) -> None:
        """A phone rang in vain: he waits where he waited, unless he was moved; what fell due meanwhile is done now."""
        call, at = self.calls.live[event.call_id], event.at
        visit = call.visit
        if visit is None or visit.offer or visit.queue != event.queue or call.ended_at is not None:
            return
        if at >= visit.entered_at + visit.max_wait:
            self.floor.leave(call, at, "timeout")
        elif not self._nobody(call, visit, at):
            self._set_deadlines(call, visit, at)
            self.floor.route_call(call.call_id, at)

    # ------------------------------------------------------------ leaving

    def _pressed(self, event: Event) -> None:
        """A key ends the wait, also while a phone rings for him; not any more when it was answered."""
        call = self.calls.live.get(event.call_id)
        if call is None or call.visit is None or call.visit.number != event.data["visit"]:
            return
        if call.ended_at is not None or (call.offer is not None and call.offer.channel_id in self.calls.answered):
            return
        self.floor.withdraw(call, event.at, "caller_left")
        self.floor.leave(call, event.at, event.data["result"], key=event.data["key"])

    def _visitor(self, key: str) -> Call | None:
        call_id, _, number = key.rpartition("/")
        call = self.calls.live.get(call_id)
        return call if call is not None and call.visit is not None and str(call.visit.number) == number else None

    def _due_max_wait(self, key: str, at: float) -> None:
        call = self._visitor(key)
        if call is None or call.visit is None or call.visit.offer:
            return
        if call.node in self.floor.nodes_down:  # whether he is still there is not known
            self.out.wake(at + RING_GRACE, "max_wait", key)
        else:
            self.floor.leave(call, at, "timeout")

    def _due_relax(self, key: str, at: float) -> None:
        call = self._visitor(key)
        if call is None or call.visit is None or call.visit.offer:
            return
        self._wait(call.call_id, at)
        if not self._nobody(call, call.visit, at):  # others who wait may be let in at the same time, and be before him
            self.router.moved.add(call.call_id)
            self.out.wake(at, "moved", "")

    def _due_no_agents(self, key: str, at: float) -> None:
        call = self._visitor(key)
        if call is not None and call.visit is not None and not call.visit.offer:
            self._nobody(call, call.visit, at)

    def _due_closing(self, name: str, at: float) -> None:
        """Look whether the queue has closed, and whether more of its calls may go to agents, as long as any wait."""
        if self.admission.shuts(self.floor.queue(name), at):
            for call in list(self.calls.live.values()):
                if call.visit is not None and call.visit.queue == name and not call.visit.offer:
                    self.floor.leave(call, at, "closed")
        self.floor.route_queue(name, at)
        if self.admission.watches_on(name):
            self.out.wake(at + CLOSING_EVERY, "closing", name)

    # ------------------------------------------------------------ announcements

    def _due_announce(self, key: str, at: float) -> None:
        """Say where he stands, but not while a phone rings for him."""
        call = self._visitor(key)
        if call is None or call.visit is None:
            self._told.discard(key)
            return
        announce = self.floor.queue(call.visit.queue).announce
        if not call.visit.offer and call.node not in self.floor.nodes_down:
            position = self.router.position(call.call_id) if announce.position else None
            minutes = self.minutes(call, call.visit, at) if announce.wait else None
            if position is not None or minutes is not None or announce.texts or announce.names:
                self.out.emit("call.announced", at, call_id=call.call_id, queue=call.visit.queue,
                              visit=call.visit.number, position=position, minutes=minutes)  # fmt: skip
        self.out.wake(at + announce.every, "announce", key)

    def minutes(self, call: Call, visit: Visit, at: float) -> int | None:
        """What he may be told of how long he will wait, when it is less than he was told; None: nothing."""
        return spoken(self.admission.expected(call.call_id, at), visit.minutes)

    # ------------------------------------------------------------ requests and settings

    def _waiting(self, call_id: str) -> tuple[Call, Visit]:
        call = self.calls.live.get(call_id)
        if call is None or call.visit is None or call.ended_at is not None:
            raise Refused("this call does not wait any more", "not_waiting")
        return call, call.visit

    def _change_priority(self, m: ChangePriority) -> None:
        call, visit = self._waiting(m.call_id)
        if not PRIORITIES[0] <= m.priority <= PRIORITIES[1]:
            raise BadInput(f"a priority is a whole number from {PRIORITIES[0]} to {PRIORITIES[1]}", "bad_priority")
        if m.priority != visit.priority:
            self.out.emit("call.priority_changed", m.at, call_id=call.call_id, queue=visit.queue, visit=visit.number,
                          priority=m.priority, by=m.by)  # fmt: skip

    def _move(self, m: MoveCall) -> None:
        """To another queue, with the time he has waited; the flow goes on from the node he is in."""
        call, visit = self._waiting(m.call_id)
        queue = self.router.queues.get(m.queue)
        if queue is None:
            raise BadInput(f"there is no queue {m.queue}", "no_such_queue")
        if m.queue == visit.queue:
            raise Refused("the call waits there already", "same_queue")
        if self.admission.closed(queue, m.at):
            raise Refused(f"queue {m.queue} is closed", "queue_closed")
        if self.lengths[m.queue] >= queue.max_size:
            raise Refused(f"queue {m.queue} is full", "queue_full")
        if call.offer is not None and call.offer.channel_id in self.calls.answered:
            raise Refused("an agent has just answered this call", "already_answered")
        self.floor.withdraw(call, m.at, "cancelled", "moved")
        at = max(m.at, visit.entered_at)
        self.floor.leave(call, at, "left", to=m.queue, by=m.by)
        self.out.emit(
            "call.queued", at, call_id=call.call_id, queue=m.queue, visit=visit.number + 1, priority=visit.priority,
            skills={}, needs=asked(queue, {}), entered_at=at, since=visit.since, max_wait=queue.max_wait,
            node=(call.line or {}).get("node", ""), closed=False, keys=visit.keys,
        )  # fmt: skip

    def _past(self, m: PastFound) -> None:
        for one in m.left:
            self.admission.leaves_place(one.caller, one.queue, "abandoned", one.since, one.left_at)
        for queue, (calls, seconds) in self.router.known(m.handled).items():
            self.floor.expect.before(queue, calls, seconds)

    def _clock_stepped(self, m: ClockStepped) -> None:
        """Deadlines and calls have been moved."""
        self.admission.clock_stepped(m.by)


def _next(first: float, every: float, at: float) -> float:
    """The next of the times that count from when he came: after a restart not all are told at once."""
    return max(first, first + ceil((at - first) / every) * every)

