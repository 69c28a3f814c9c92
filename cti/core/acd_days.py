"""A recorded day, or one made up, as callers and shifts for the simulator.

What a record does not tell is drawn, anew with every seed:
- patience: of whoever left, it is known; whoever was answered or sent away would have waited longer than he did. From
  both the law of a queue is estimated (Kaplan and Meier: the share that is still there after t is the product, over the
  moments t' up to t at which somebody left, of 1 - left/present), and each of the others draws from it what lies beyond
  his own wait. Beyond the longest wait at which somebody left they leave at the queue's mean rate.
- handling: an answered call keeps its rank among the calls of its agent in that queue; another agent has for it what
  stands at the same rank among his own. Of calls nobody answered the rank is drawn. An agent who took none of the queue
  has the handling of all agents there.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from cti.core.acd_day import Caller, Handling, Seconds, Shift
from cti.core.queues import ANY, QueueConfig

LEFT = ("abandoned", "short_abandon", "left", "callback")
Chance = Callable[[], float]  # the next number from 0 to 1


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded wait. Seconds; `entered_at` since the epoch."""

    call_id: str
    seq: int
    queue: str
    entered_at: float
    wait: float
    result: str
    agent: str = ""
    priority: int = 0
    skills: dict[str, Any] = {}
    number: str = ""
    ringing: float = 0.0  # of the answered: from the offer to the answer
    talk: float = 0.0
    wrap: float = 0.0


class Spell(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent wanted and did for a time."""

    agent: str
    wish: str
    work: str
    call_id: str
    since: float
    until: float


class Record(msgspec.Struct, frozen=True):
    """A day from `since` to `until`. `skills`: of every agent, as they are now."""

    since: float
    until: float
    visits: tuple[Visit, ...]
    spells: tuple[Spell, ...]
    skills: Mapping[str, dict[str, int]]


class Day(msgspec.Struct, frozen=True):
    callers: Sequence[Caller]
    shifts: Sequence[Shift]
    handling: Handling


# ---------------------------------------------------------------- history without states


def completed(record: Record) -> tuple[Record, tuple[str, ...]]:
    """The same, and whose day was filled in: who answered calls before anything is recorded of what he did (history of
    another system) was ready from the first of these calls to the end of the last."""
    first: dict[str, float] = {}
    for spell in record.spells:
        first[spell.agent] = min(spell.since, first.get(spell.agent, math.inf))
    unseen: dict[str, list[Visit]] = {}
    for one in record.visits:
        if one.result == "answered" and one.agent and one.entered_at + one.wait < first.get(one.agent, math.inf):
            unseen.setdefault(one.agent, []).append(one)
    filled = [s for agent, own in sorted(unseen.items()) for s in _filled(own, first.get(agent, record.until))]
    return msgspec.structs.replace(record, spells=(*record.spells, *filled)), tuple(sorted(unseen))


def _filled(own: Sequence[Visit], until: float) -> Iterator[Spell]:
    """On his calls, and ready between them."""
    ordered = sorted(own, key=lambda one: one.entered_at + one.wait)
    at = ordered[0].entered_at + ordered[0].wait - ordered[0].ringing
    for one in ordered:
        begin = min(max(one.entered_at + one.wait - one.ringing, at), until)
        if at < begin:
            yield Spell(agent=one.agent, wish="ready", work="idle", call_id="", since=at, until=begin)
        at = max(begin, min(one.entered_at + one.wait + one.talk + one.wrap, until))
        yield Spell(agent=one.agent, wish="ready", work="talking", call_id=one.call_id, since=begin, until=at)


# ---------------------------------------------------------------- patience


class Patience:
    """Of the callers of one queue: (seconds waited, whether he then left)."""

    def __init__(self, waits: Iterable[tuple[float, bool]]) -> None:
        ordered = sorted(waits)
        self.times: list[float] = []  # at which somebody left
        self.stay: list[float] = []  # the share still there after it
        share, gone = 1.0, 0
        for n, (seconds, left) in enumerate(ordered):
            if left:
                gone += 1
                share *= 1 - 1 / (len(ordered) - n)
                self.times.append(seconds)
                self.stay.append(share)
        waited = math.fsum(seconds for seconds, _ in ordered)
        self.rate = gone / waited if waited else 0.0  # of leaving, a second

    def draw(self, beyond: float, chance: Chance) -> float:
        """How patient somebody is who has waited so long already. Infinite where nobody left."""
        known = bisect_right(self.times, beyond)
        share = (1 - chance()) * (self.stay[known - 1] if known else 1.0)
        for n in range(known, len(self.times)):
            if self.stay[n] < share:
                return self.times[n]
        least = self.stay[-1] if self.stay else 1.0
        if not self.rate or share <= 0:
            return math.inf
        begin = max(beyond, self.times[-1] if self.times else 0.0)
        return begin + math.log(max(1.0, least / share)) / self.rate


# ---------------------------------------------------------------- handling


class Handled:
    """How long agents take: by agent and queue, in order, talk and wrap-up together first."""

    def __init__(self, visits: Iterable[Visit]) -> None:
        self._by: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
        for one in visits:
            if one.result == "answered":
                for agent in (one.agent, ""):
                    self._by.setdefault((agent, one.queue), []).append((one.talk + one.wrap, one.talk, one.wrap))
        for known in self._by.values():
            known.sort()

    def told(self) -> Iterator[tuple[str, str, float, int]]:
        """(agent, queue, seconds of all calls, calls)"""
        for (agent, queue), known in sorted(self._by.items()):
            if agent:
                yield agent, queue, math.fsum(seconds for seconds, _, _ in known), len(known)

    def rank(self, one: Visit) -> float:
        known = self._by[one.agent, one.queue]
        return (bisect_left(known, (one.talk + one.wrap, one.talk, one.wrap)) + 0.5) / len(known)

    def __call__(self, caller: Caller, agent: str) -> Seconds:
        known = self._by.get((agent, caller.queue)) or self._by.get(("", caller.queue))
        if not known:
            return 0.0, 0.0
        _, talk, wrap = known[min(len(known) - 1, int(caller.luck * len(known)))]
        return talk, wrap


# ---------------------------------------------------------------- a recorded day


def recorded(record: Record, chance: Chance) -> Day:
    """The day as it was, with what is not known of it drawn."""
    handled = Handled(record.visits)
    by_queue: dict[str, list[Visit]] = {}
    for one in record.visits:
        by_queue.setdefault(one.queue, []).append(one)
    laws = {queue: Patience((v.wait, v.result in LEFT) for v in visits) for queue, visits in by_queue.items()}
    callers = sorted(_callers(record.visits, laws, handled, chance), key=lambda caller: caller.at)
    return Day(callers, list(_shifts(record)), handled)


def _callers(
    visits: Iterable[Visit], laws: Mapping[str, Patience], handled: Handled, chance: Chance
) -> Iterator[Caller]:
    """The first visit of each call; those after it follow from it."""
    calls: dict[str, list[Visit]] = {}
    for one in visits:
        calls.setdefault(one.call_id, []).append(one)
    for whole in calls.values():
        whole.sort(key=lambda one: one.seq)
        following: Caller | None = None
        for n in range(len(whole) - 1, -1, -1):
            one = whole[n]
            at = one.entered_at
            if n:
                at = max(0.0, at - whole[n - 1].entered_at - whole[n - 1].wait)
            left = one.result in LEFT
            following = Caller(
                key=f"{one.call_id}/{one.seq}", at=at, queue=one.queue, skills=one.skills, priority=one.priority,
                number=one.number, patience=one.wait if left else laws[one.queue].draw(one.wait, chance),
                leaves=one.result if one.result in ("left", "callback") else "abandoned",
                luck=handled.rank(one) if one.result == "answered" else chance(), then=following,
                after_talk=one.result == "answered",
            )  # fmt: skip
        assert following is not None
        yield following


def _shifts(record: Record) -> Iterator[Shift]:
    """When who was signed on, and not ready or busy with something else than these calls meanwhile."""
    answered = {(one.call_id, one.agent) for one in record.visits if one.result == "answered"}
    rings: dict[str, list[float]] = {}
    for one in record.visits:
        if one.result == "answered":
            rings.setdefault(one.agent, []).append(one.ringing)
    spells: dict[str, list[Spell]] = {}
    for spell in record.spells:
        spells.setdefault(spell.agent, []).append(spell)
    for agent, own in sorted(spells.items()):
        here = [s for s in own if s.wish != "logged_out" or s.work != "idle"]
        away = [s for s in here if not _takes_calls(s, answered)]
        ringing = rings.get(agent, [0.0])
        if here:
            yield Shift(agent=agent, skills=record.skills.get(agent, {}), spans=_joined(here), breaks=_joined(away),
                        answer=math.fsum(ringing) / len(ringing))  # fmt: skip


def _takes_calls(spell: Spell, answered: set[tuple[str, str]]) -> bool:
    if spell.work == "idle":
        return spell.wish == "ready"
    return spell.work == "reserved" or (spell.call_id, spell.agent) in answered


def _joined(spells: Iterable[Spell]) -> tuple[tuple[float, float], ...]:
    """Times that touch are one."""
    found: list[tuple[float, float]] = []
    for spell in sorted(spells, key=lambda one: one.since):
        if found and spell.since <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], spell.until)
        else:
            found.append((spell.since, spell.until))
    return tuple(found)


# ---------------------------------------------------------------- a day that is made up


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """calls in `hours`, spread evenly over the queues; means of exponential laws in seconds (patience 0: without end).
    Each agent has, at level 9, all that as many of the queues need as `serves` says (0: all of them), dealt out in
    turn."""

    calls: int = 1000
    hours: float = 8.0
    agents: int = 20
    talk: float = 180.0
    wrap: float = 0.0
    patience: float = 180.0
    answer: float = 3.0
    serves: int = 0


def generated(plan: Plan, queues: Mapping[str, QueueConfig], chance: Chance) -> Day:
    """A day of a plan, in all of these queues."""
    names, at, callers = sorted(queues), 0.0, []
    end = plan.hours * 3600
    for n in range(plan.calls):
        at += _exponential(end / plan.calls, chance)
        queue = names[int(chance() * len(names))]
        callers.append(
            Caller(key=str(n), at=at, queue=queue, priority=queues[queue].priority, luck=chance(),
                   patience=_exponential(plan.patience, chance) if plan.patience else math.inf)
        )  # fmt: skip
    span = ((0.0, max(end, at)),)
    shifts = [
        Shift(agent=f"agent{n + 1:03}", skills=_skills(plan, n, names, queues), spans=span, answer=plan.answer)
        for n in range(plan.agents)
    ]
    return Day(callers, shifts, lambda c, agent: (-plan.talk * math.log(1 - c.luck), plan.wrap))


def _exponential(mean: float, chance: Chance) -> float:
    return -mean * math.log(1 - chance())


def _skills(plan: Plan, number: int, names: Sequence[str], queues: Mapping[str, QueueConfig]) -> dict[str, int]:
    served = [names[(number + k) % len(names)] for k in range(plan.serves or len(names))]
    return dict.fromkeys((skill for name in served for skill in _named(queues[name])), 9)


def _named(queue: QueueConfig) -> Iterator[str]:
    """Every skill that a queue asks for, alternatives too."""
    asked: Mapping[str, Any] = {queue.name: 1} if queue.skills is None else queue.skills
    for skill, level in asked.items():
        if skill == ANY:
            yield from (each for one in level for each in one)
        else:
            yield skill
