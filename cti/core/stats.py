"""Wallboard figures: a fold of events, one step an event, nothing scanned.

A queue visit counts on the site's day on which it ends. Per queue and day:

    offered             visits that ended, but for those the queue was closed to
    answered            an agent took the call
    abandoned           the caller left first, after `short_abandon` or later
    short_abandoned     the caller left first, before that; held against nobody
    service level       answered within T / (offered - short_abandoned), 0 to 1
    speed of answer     mean wait of the answered, seconds (ASA)
    talk, handle mean   seconds from connect to disconnect (hold is part of it); handle adds the wrap-up (AHT)

The service level is the usual formula that leaves short abandons out and holds every other loss (abandoned,
timeout, full, no_agents, failed, and callers who moved on) against the queue. It has many variants: show
it beside the number.

What is live (who waits, what an agent does) knows no day: `roll` starts a new day and keeps it. Events from
before the day only tell what is live. A wait whose begin was never told counts as no wait.

At a start the calls that go on are folded from their events as ever, and the day's other calls, of which nothing
more is expected, are added as sums that the database made: a start costs the same at any hour of the day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from cti.core.messages import Event

WITHIN = 20.0  # seconds; T of a queue that has none configured


class Waiting(NamedTuple):
    call_id: str
    since: float


class QueueFigures(NamedTuple):
    """Seconds where not said otherwise; None where nothing has happened to take a mean of."""

    queue: str
    offered: int
    answered: int
    answered_within: int
    abandoned: int
    short_abandoned: int
    results: Mapping[str, int]  # every result of a visit, closed too
    service_level: float | None
    speed_of_answer: float | None
    longest_wait_today: float  # of ended and of running waits
    talk_mean: float | None
    handle_mean: float | None
    waiting: int
    longest_since: float | None  # since when the first of them waits
    waiting_calls: tuple[Waiting, ...]  # longest first


class AgentFigures(NamedTuple):
    agent: str
    calls: int  # conversations begun today
    missed: int
    talk_seconds: float  # of conversations that ended today
    state: str  # the work, unless idle: then the wish
    reason: str
    since: float | None


class VisitSums(NamedTuple):
    """The visits of a queue that ended today with one result."""

    queue: str
    result: str
    visits: int
    seconds: float  # waited, of all
    longest: float
    within: int  # how many waited no longer than the queue's T


class TalkSums(NamedTuple):
    """What an agent did today with the calls of a queue."""

    queue: str
    agent: str
    calls: int  # conversations begun
    missed: int
    talks: int  # conversations ended
    talk_seconds: float  # of those
    wrap_seconds: float  # of wrap-ups that ended


class _Day:
    """One queue's sums of a day."""

    def __init__(self) -> None:
        self.results: dict[str, int] = {}
        self.within = self.talks = 0
        self.answer_seconds = self.longest = self.talk_seconds = self.wrap_seconds = 0.0

    @property
    def offered(self) -> int:
        return sum(self.results.values()) - self.results.get("closed", 0)

    def add_visits(self, sums: VisitSums) -> None:
        self.results[sums.result] = self.results.get(sums.result, 0) + sums.visits
        self.longest = max(self.longest, sums.longest)
        if sums.result == "answered":
            self.answer_seconds += sums.seconds
            self.within += sums.within

    def add_talks(self, sums: TalkSums) -> None:
        self.talks += sums.talks
        self.talk_seconds += sums.talk_seconds
        self.wrap_seconds += sums.wrap_seconds


class _Desk:
    """One agent: sums of the day, and what he does."""

    def __init__(self) -> None:
        self.calls = self.missed = 0
        self.talk_seconds = 0.0
        self.state, self.reason = "logged_out", ""
        self.since: float | None = None

    def add(self, sums: TalkSums) -> None:
        self.calls += sums.calls
        self.missed += sums.missed
        self.talk_seconds += sums.talk_seconds


class _Talk:
    """An agent's last conversation, until it is wrapped up."""

    def __init__(self, call_id: str, queue: str, began: float) -> None:
        self.call_id, self.queue, self.began = call_id, queue, began
        self.ended: float | None = None


class Stats:
    """`apply` every event, in order within its call. `roll` at each start of a site's day (epoch seconds)."""

    KEEP_SEEN = 20_000

    def __init__(self, day_start: float = 0.0) -> None:
        self.day_start = day_start
        self._within: Mapping[str, float] = {}
        self._days: dict[str, _Day] = {}
        self._desks: dict[str, _Desk] = {}
        self._talks: dict[str, _Talk] = {}
        self._waiting: dict[str, dict[str, float]] = {}
        self._queue_of: dict[str, str] = {}
        self._seen: dict[str, int] = {}  # call -> its seqs as bits; the calls told of last
        self._folds: dict[str, Callable[[Event], None]] = {
            "call.queued": self._queued, "call.dequeued": self._dequeued, "call.ended": self._ended,
            "call.connected": self._connected, "call.disconnected": self._disconnected,
            "call.wrapped": self._wrapped, "offer.missed": self._missed,
            "agent.state_changed": self._agent_state,
        }  # fmt: skip

    def configure(self, within: Mapping[str, float]) -> None:
        """T of each queue, in seconds; holds for answers from now on."""
        self._within = within

    def roll(self, day_start: float) -> None:
        """Begin a day. The same day again changes nothing."""
        if day_start == self.day_start:
            return
        self.day_start = day_start
        self._days.clear()
        for desk in self._desks.values():
            desk.calls = desk.missed = 0
            desk.talk_seconds = 0.0

    def apply(self, event: Event) -> None:
        """Take one event in. An event of a call that comes again is not counted again."""
        fold = self._folds.get(event.type)
        if fold is not None and self._first_time(event):
            fold(event)

    def add(self, visits: Iterable[VisitSums], talks: Iterable[TalkSums]) -> None:
        """Count what happened today to calls whose events are not applied."""
        for sums in visits:
            self._day(sums.queue).add_visits(sums)
        for talk in talks:
            self._day(talk.queue).add_talks(talk)
            self._desk(talk.agent).add(talk)

    def queue(self, name: str, now: float) -> QueueFigures:
        """One queue's figures; all nothing for one that had no call."""
        day = self._days.get(name) or _Day()
        count = day.results.get
        waiting = map(Waiting._make, self._waiting.get(name, {}).items())
        calls = sorted(waiting, key=lambda one: one.since)
        first = calls[0].since if calls else None
        answered, short = count("answered", 0), count("short_abandon", 0)
        return QueueFigures(
            queue=name,
            offered=day.offered,
            answered=answered,
            answered_within=day.within,
            abandoned=count("abandoned", 0),
            short_abandoned=short,
            results=dict(day.results),
            service_level=_ratio(day.within, day.offered - short),
            speed_of_answer=_ratio(day.answer_seconds, answered),
            longest_wait_today=max(day.longest, 0.0 if first is None else now - first),
            talk_mean=_ratio(day.talk_seconds, day.talks),
            handle_mean=_ratio(day.talk_seconds + day.wrap_seconds, day.talks),
            waiting=len(calls),
            longest_since=first,
            waiting_calls=tuple(calls),
        )

    def total_service_level(self) -> float | None:
        """Over all queues, by the same formula."""
        days = self._days.values()
        counted = sum(day.offered - day.results.get("short_abandon", 0) for day in days)
        return _ratio(sum(day.within for day in days), counted)

    def agent(self, name: str) -> AgentFigures:
        """One agent's figures; an agent never heard of is logged out since ever."""
        desk = self._desks.get(name) or _Desk()
        return AgentFigures(
            name, desk.calls, desk.missed, desk.talk_seconds, desk.state, desk.reason, desk.since
        )  # fmt: skip

    # ------------------------------------------------------------ fold

    def _first_time(self, event: Event) -> bool:
        if not event.call_id or not event.seq:
            return True
        seen = self._seen.pop(event.call_id, 0)
        self._seen[event.call_id] = seen | 1 << event.seq
        if len(self._seen) > self.KEEP_SEEN:
            del self._seen[next(iter(self._seen))]
        return not seen >> event.seq & 1

    def _today(self, event: Event) -> bool:
        return event.at >= self.day_start

    def _day(self, queue: str) -> _Day:
        return self._days.setdefault(queue, _Day())

    def _desk(self, agent: str) -> _Desk:
        return self._desks.setdefault(agent, _Desk())

    def _queued(self, event: Event) -> None:
        self._leave(event.call_id)
        self._queue_of[event.call_id] = event.queue
        self._waiting.setdefault(event.queue, {})[event.call_id] = event.data.get("entered_at", event.at)

    def _leave(self, call_id: str) -> float | None:
        """Take a call out of the queue where it waits; returns since when it did."""
        return self._waiting.get(self._queue_of.pop(call_id, ""), {}).pop(call_id, None)

    def _dequeued(self, event: Event) -> None:
        since = self._leave(event.call_id)
        if not self._today(event):
            return
        result, day = event.data["result"], self._day(event.queue)
        wait = 0.0 if since is None else max(0.0, event.at - since)
        day.results[result] = day.results.get(result, 0) + 1
        day.longest = max(day.longest, wait)
        if result == "answered":
            day.answer_seconds += wait
            day.within += wait <= self._within.get(event.queue, WITHIN)

    def _ended(self, event: Event) -> None:
        self._leave(event.call_id)

    def _connected(self, event: Event) -> None:
        self._talks[event.agent] = _Talk(event.call_id, event.queue, event.at)
        if self._today(event):
            self._desk(event.agent).calls += 1

    def _disconnected(self, event: Event) -> None:
        talk = self._talk(event)
        if talk is None or talk.ended is not None:
            return
        talk.ended = event.at
        if self._today(event):
            seconds, day = max(0.0, event.at - talk.began), self._day(talk.queue)
            day.talks += 1
            day.talk_seconds += seconds
            self._desk(event.agent).talk_seconds += seconds

    def _wrapped(self, event: Event) -> None:
        talk = self._talk(event)
        if talk is None or talk.ended is None:
            return
        del self._talks[event.agent]
        if self._today(event):
            self._day(talk.queue).wrap_seconds += max(0.0, event.at - talk.ended)

    def _talk(self, event: Event) -> _Talk | None:
        talk = self._talks.get(event.agent)
        return talk if talk is not None and talk.call_id == event.call_id else None

    def _missed(self, event: Event) -> None:
        if self._today(event):
            self._desk(event.agent).missed += 1

    def _agent_state(self, event: Event) -> None:
        desk, data = self._desk(event.agent), event.data
        shown = _shown(data), data.get("reason", "")
        if shown != (desk.state, desk.reason) or desk.since is None:
            desk.since = event.at
        desk.state, desk.reason = shown


def _shown(data: Mapping[str, Any]) -> str:
    work: str = data.get("work", "idle")
    wish: str = data.get("wish", "logged_out")
    return wish if work == "idle" else work


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
