"""Callbacks: customers who are called when it is their turn, at the place they had in the queue.

    waits    stands in the router among the callers of its queue, or sleeps until it may be dialled: its next try, the
             opening of its calendar, the end of the call in which it was asked for, or of another one to the number
    called   a call is made for it (`core.callback_calls`)
    over     done, expired, cancelled, merged, barred, failed

Invariants: one is open per number and queue; one is called per number. A customer who calls again and gets into the
same queue is called back no more: his call takes the place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from cti.core import ivr
from cti.core.acd import Router
from cti.core.acd_match import Waiter
from cti.core.call import Call, Calls
from cti.core.floor import Floor
from cti.core.ids import callback_id
from cti.core.messages import (
    CalendarsForced,
    CallbackDue,
    CallbacksFound,
    CancelCallback,
    ClockStepped,
    Event,
)
from cti.core.numbers import for_callback
from cti.core.outbox import Outbox
from cti.core.queues import CallbackRules
from cti.core.waits import Waits
from cti.errors import Refused

PREFIX = "callback/"
LOOK_EVERY = 30.0  # s between two looks whether a calendar has opened or closed
KEEP_OVER = 20_000
MONTH = 30 * 86_400.0  # s, the longest that a queue may let a callback wait
GONE = CallbackRules(tries=20, expires=MONTH)
NO_AGENT = "no_agent"  # of a call for which no agent stayed: no try
MOVES = {"since", "priority", "requested_at", "not_before"}  # what `callback.moved` may change


class Callback(msgspec.Struct, kw_only=True):
    """One that is open. `call_id`: in which it was asked for. `made`: the call that is being made for it. `stored`: the
    database has it; `cancelled`: no more, it was ended there while it was made. `wakes`: when it is looked at next."""

    callback_id: str
    call_id: str
    queue: str
    number: str
    since: float
    priority: int = 0
    skills: dict[str, Any] = {}
    language: str = ""
    requested_at: float
    tries: int = 0
    not_before: float = 0.0
    barred: bool = False
    ours: str = ""
    made: str = ""
    calls: int = 0  # made for it since this server started
    stored: bool = False
    cancelled: bool = False
    wakes: float = 0.0

    @property
    def key(self) -> str:
        return PREFIX + self.callback_id


class Callbacks:
    def __init__(
        self, out: Outbox, calls: Calls, floor: Floor, waits: Waits, router: Router, country: str, trunk: str
    ) -> None:
        self.out = out
        self.calls = calls
        self.floor = floor
        self.waits = waits
        self.router = router
        self.country = country
        self.trunk = trunk
        self.book: ivr.Book | None = None  # the live version: which numbers are ours
        self.calendars: set[str] = set()  # of all versions that serve
        self.open: dict[str, Callback] = {}
        self._of: dict[str, dict[str, Callback]] = {}  # by number, and by the call in which it was asked for; then id
        self._calling: dict[str, str] = {}  # by number: the call that we made to it, until it is over
        self._over: dict[str, None] = {}
        self.handlers: dict[type, Callable[[Any], None]] = {
            CallbacksFound: self._found, CancelCallback: self._cancel, CalendarsForced: self._calendars,
            ClockStepped: self._clock_stepped,
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {
            "callback": self._due, "callbacks": lambda _, at: self._look_all(at),
        }  # fmt: skip

    def of(self, name: str) -> list[Callback]:
        """The open ones of a number, or of the call in which they were asked for, in the order in which they came."""
        return list(self._of.get(name, {}).values())

    def told(self, number: str) -> dict[str, Any]:
        """What a flow may know: which queue is to call the number back (the first, where several are), and how often it
        was tried."""
        first = next(iter(self._of.get(number, {}).values()), None)
        return {"callback": first.queue if first else None, "callback_tries": first.tries if first else 0}

    def lengths(self) -> Counter[str]:
        """How many are open, by queue."""
        return Counter(one.queue for one in self.open.values())

    def rules(self, one: Callback) -> CallbackRules:
        """Of a queue that is gone, and may be back: those that end nothing before its time."""
        queue = self.router.queues.get(one.queue)
        return queue.callback if queue is not None else GONE

    def speaks(self, one: Callback) -> dict[str, Any]:
        """The language that his agent is told of him in, and the version of the flows that has the words: of one that
        was entered by hand, what callers of the queue hear first."""
        heard = self.book.waited_in().get(one.queue, []) if self.book is not None and not one.language else []
        return {"language": one.language or next(iter(heard), ""), "version": self.book.version if self.book else 0}

    def configured(self, at: float) -> None:
        """Other settings hold: all are looked at, by the next tick."""
        self.out.wake(at, "callbacks", "")

    # ------------------------------------------------------------ fold

    def apply(self, event: Event) -> None:
        if event.type == "callback.requested":
            self._requested(event)
        elif event.type == "call.arrived" and event.data.get("callback"):
            self._calling[event.data["called"]] = event.call_id
        elif event.type == "call.ended" and (number := self._called(event)):
            self._calling.pop(number, None)
        one = self.open.get(event.data.get("callback", "")) if event.type.startswith("callback.") else None
        if one is None:
            return
        if event.type == "callback.dialed":
            one.made, one.calls = event.data["to"], one.calls + 1
            self.router.leave(one.key)
        elif event.type == "callback.failed":
            one.made, one.not_before = "", event.data["not_before"] or 0.0
            one.tries += event.data["result"] != NO_AGENT
        elif event.type == "callback.moved":
            for name in MOVES & event.data.keys():
                setattr(one, name, event.data[name])
        else:  # it has ended
            self._forget(one)

    def _called(self, event: Event) -> str:
        """The number that this call was made to, if it was made for a callback."""
        call = self.calls.live.get(event.call_id)
        return call.called if call is not None and call.callback else ""

    def _requested(self, event: Event) -> None:
        data, call = event.data, self.calls.live.get(event.call_id)
        self._keep(
            Callback(
                callback_id=callback_id(event.call_id, event.seq), call_id=event.call_id, queue=event.queue,
                number=data["number"], since=data.get("since") or event.at, priority=data.get("priority") or 0,
                skills=data.get("skills") or {}, language=data.get("language") or "", requested_at=event.at,
                ours=call.called if call is not None else "",
            )
        )  # fmt: skip

    def _keep(self, one: Callback) -> None:
        self.open[one.callback_id] = one
        for name in (one.number, one.call_id):
            self._of.setdefault(name, {})[one.callback_id] = one

    def _forget(self, one: Callback) -> None:
        self.router.leave(one.key)
        del self.open[one.callback_id]
        for name in (one.number, one.call_id):
            same = self._of[name]
            del same[one.callback_id]
            if not same:
                del self._of[name]
        self._over[one.callback_id] = None
        while len(self._over) > KEEP_OVER:
            del self._over[next(iter(self._over))]

    def restored(self, at: float) -> None:
        """What was asked for before is in the database: CallbacksFound tells what is open of it."""
        for one in self.open.values():
            one.stored = True

    def react(self, event: Event) -> None:
        if event.type == "callback.requested":
            asked = self.open.get(callback_id(event.call_id, event.seq))
            if asked is not None:  # else it has ended since: another one of the number led to that
                self._enter(asked, event.at)
        elif event.type == "call.queued":
            self._returned(event)
        elif event.type in ("callback.failed", "callback.ended"):
            for other in self.of(event.data["number"]):
                self._free_again(other, event.at)
        elif event.type == "call.ended":
            for other in [*self.of(event.call_id), *self.of(self._called(event))]:
                self._free_again(other, event.at)

    # ------------------------------------------------------------ one per number and queue

    def _enter(self, one: Callback, at: float) -> None:
        """A second one for the same number and queue ends at once; the better of both places is kept."""
        first = next((o for o in self.of(one.number) if o is not one and o.queue == one.queue), None)
        if first is None:
            self.look(one, at)
            return
        if self._place(one) < self._place(first):
            self._move(first, one.since, one.priority, at)
            self.look(first, at)
        self.end(one, at, "merged", "system")

    def _move(self, one: Callback, since: float, priority: int, at: float, **more: Any) -> None:
        self.out.emit("callback.moved", at, call_id=one.call_id, queue=one.queue, callback=one.callback_id, since=since,
                      priority=priority, **more)  # fmt: skip

    def _place(self, one: Callback) -> tuple[float, float]:
        aging = self.router.routing.aging
        return (0.0, one.since - aging * one.priority) if aging else (float(-one.priority), one.since)

    def _returned(self, event: Event) -> None:
        """He has called again, and got in."""
        call = self.calls.live.get(event.call_id)
        if call is None or call.visit is None or call.visit.queue != event.queue:
            return
        for one in self.of(call.caller):
            made = self.calls.live.get(one.made)
            if one.queue == event.queue and not one.made:
                self._give_place(one, call, event.at)
            elif one.queue == event.queue and made is not None and not made.placed:
                self.floor.withdraw(made, event.at, "cancelled", "merged")

    def _free_again(self, one: Callback, at: float) -> None:
        """A call to the number is over: he is called, unless he waits in the queue himself by now."""
        call = None if one.made else self._caller(one)
        if call is not None:
            self._give_place(one, call, at)
        else:
            self.look(one, at)

    def _caller(self, one: Callback) -> Call | None:
        here = (call for call in self.calls.live.values() if call.caller == one.number and call.visit is not None)
        return next((call for call in here if call.visit is not None and call.visit.queue == one.queue), None)

    def _give_place(self, one: Callback, call: Call, at: float) -> None:
        visit = call.visit
        assert visit is not None
        self.end(one, at, "merged", "caller", to=call.call_id)
        if one.since < visit.since:
            self.waits.keep_place(call, visit, one.since, "callback", at)
        if one.priority > visit.priority:
            self.out.emit("call.priority_changed", at, call_id=call.call_id, queue=visit.queue, visit=visit.number,
                          priority=one.priority, by="callback")  # fmt: skip

    # ------------------------------------------------------------ when it may be called

    def look(self, one: Callback, at: float) -> None:
        """Let it wait for an agent, or sleep, or end it: whatever its time has come for."""
        if one.made or one.callback_id not in self.open:
            return
        over = self._is_over(one, at)
        if one.cancelled:
            self.end(one, at, "cancelled", "")
        elif over:
            self.end(one, at, over, "system")
        elif self.hindered(one, at):
            self.router.leave(one.key)
            self._sleep(one, at, one.not_before if at < one.not_before else at + LOOK_EVERY)
        else:
            self._stand(one, at)

    def _is_over(self, one: Callback, at: float) -> str:
        """What it has come to by itself; empty: it goes on."""
        if one.barred:
            return "barred"
        rules = self.rules(one)
        if one.tries >= rules.tries or (rules is not GONE and self._may_never(one.number, rules)):
            return "failed"
        return "expired" if at >= one.requested_at + rules.expires else ""

    def _may_never(self, number: str, rules: CallbackRules) -> bool:
        ours = self.book is not None and self.book.flow_for(number) is not None  # it would ring here
        return ours or bool(for_callback(number, self.country, rules.countries).refused)

    def hindered(self, one: Callback, at: float) -> str:
        """What keeps it from being called now: later (its next try), no_queue, no_trunk, number (that is being called,
        or served, already), on_line (the call in which it was asked for goes on), soon (the database has still to tell
        whether the number may be called), closed (the calendar). Empty: nothing but who comes before."""
        queue = self.router.queues.get(one.queue)
        if at < one.not_before:
            return "later"
        if queue is None or not self.trunk:
            return "no_trunk" if queue is not None else "no_queue"
        if self._calling.get(one.number, one.made) != one.made:
            return "number"
        asked = self.calls.live.get(one.call_id)
        if asked is not None and asked.ended_at is None:
            return "on_line"
        if not one.stored:
            return "soon"
        calendar = queue.callback.calendar or queue.calendar
        known = calendar in self.calendars  # else it went with the queue's version
        return "closed" if calendar and not (known and self.router.is_open(calendar, at)) else ""

    def may_ring(self, one: Callback, at: float) -> bool:
        """Whether the customer may be rung now."""
        return not (one.cancelled or self._is_over(one, at) or self.hindered(one, at))

    def turn(self, one: Callback) -> tuple[bool, bool, tuple[float, float]]:
        """In which order those of a queue are shown: who is called, who stands by his place, who sleeps by his next
        try."""
        stands = one.key in self.router.stands
        return (not one.made, not stands, self._place(one) if stands else (one.not_before, one.since))

    def _stand(self, one: Callback, at: float) -> None:
        waiter = Waiter(
            key=one.key, queue=one.queue, since=one.since, priority=one.priority, skills=one.skills, callback=True
        )  # fmt: skip
        step = self.router.wait(waiter, at)
        self._sleep(one, at, min(step or at + LOOK_EVERY, at + LOOK_EVERY))
        self.floor.route_call(one.key, at)

    def _sleep(self, one: Callback, at: float, until: float) -> None:
        until = min(until, one.requested_at + self.rules(one).expires)
        if not at < one.wakes <= until:
            one.wakes = until
            self.out.wake(until, "callback", one.callback_id)

    def _due(self, name: str, at: float) -> None:
        one = self.open.get(name)
        if one is not None:
            one.wakes = 0.0
            self.look(one, at)

    def _look_all(self, at: float) -> None:
        for one in sorted(self.open.values(), key=self._place):
            self.look(one, at)

    def end(self, one: Callback, at: float, state: str, by: str, **more: Any) -> None:
        """It is over. `by`: who ended it, empty: the row says so; `to`: the call in which the customer is served."""
        self.out.emit("callback.ended", at, call_id=one.call_id, queue=one.queue, callback=one.callback_id, state=state,
                      by=by, number=one.number, **more)  # fmt: skip

    # ------------------------------------------------------------ what is told from outside

    def _found(self, m: CallbacksFound) -> None:
        """One that the database had and has no more was ended there. What it tells of the others may be older than what
        is known here; only whether they may be called is its to say."""
        found = {due.callback_id for due in m.callbacks}
        for one in list(self.open.values()):
            if one.stored and one.callback_id not in found:
                one.cancelled = True
                if not one.made:
                    self._forget(one)
        for due in m.callbacks:
            known = self.open.get(due.callback_id)
            if known is not None:
                self._is_known(known, due.barred, m.at)
            elif due.callback_id not in self._over:
                self._take(due, m.at)

    def _is_known(self, one: Callback, barred: bool, at: float) -> None:
        if (one.stored, one.barred) != (True, barred):
            one.stored, one.barred = True, barred
            self.look(one, at)

    def _take(self, due: CallbackDue, at: float) -> None:
        about = {name: getattr(due, name) for name in due.__struct_fields__}
        made = next((call for call in self.calls.live.values() if call.callback == due.callback_id), None)
        one = Callback(**about, stored=True)
        self._keep(one)
        if made is not None and made.calls_back:
            one.made = made.call_id
        elif made is not None and made.connected_at is not None:
            self.end(one, at, "done", made.agent, to=made.call_id)
        else:
            self._enter(one, at)

    def _cancel(self, m: CancelCallback) -> None:
        one = self.open.get(m.callback_id)
        if one is None:
            if m.callback_id in self._over:
                raise Refused("this callback is over", "callback_gone")
            raise Refused("this callback is not known", "callback_unknown")
        if one.made:
            raise Refused("the customer is being called just now", "callback_dialing")
        self.end(one, m.at, "cancelled", m.by)

    def _calendars(self, m: CalendarsForced) -> None:
        """Others have still to take it in."""
        self.out.wake(m.at, "callbacks", "")

    def _clock_stepped(self, m: ClockStepped) -> None:
        """Everybody has waited as long as he had, and has as long as he had until his next try and until he expires.
        Deadlines are moved by the outbox. It is stored as the last that was told by the later of both clocks."""
        for one in self.open.values():
            one.wakes += m.by
            told = max(m.at, m.at - m.by)
            self._move(one, one.since + m.by, one.priority, told, requested_at=one.requested_at + m.by,
                       not_before=one.not_before + m.by if one.not_before else 0.0)  # fmt: skip
        self.out.wake(m.at, "callbacks", "")
