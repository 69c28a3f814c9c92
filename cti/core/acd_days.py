"""A recorded day as callers and shifts for the simulator.

What a record does not tell is drawn, anew with every seed:
- patience: of whoever left, it is known; whoever was answered or sent away would have waited longer than he did. From
  both the law of a queue is estimated (Kaplan and Meier: the share that is still there after t is the product, over the
  moments t' up to t at which somebody left, of 1 - left/present), and each of the others draws from it what lies beyond
  his own wait. Beyond the longest wait at which somebody left they leave at the queue's mean rate.
- handling: an answered call keeps its rank among the calls of its agent in that queue; another agent has for it what
  stands at the same rank among his own. Of calls nobody answered the rank is drawn. An agent who took none of the queue
  has the handling of all agents there.
- absence: an agent who missed an offer, or turned it down, would have done so with any that came a while before, and
  until he was ready again. When that while began is drawn from the time he had been idle.

What it tells only in part:
- priority: whose own was that of the queue has the other queue's; of the rules that raised it those hold again that are
  still there, with what they are worth now. For whom a rule would hold that nobody had is not known: for nobody.
- callbacks: who was reached is called back at his turn. Calls to those who were not, and for callbacks asked for on
  other days or without a wait, keep agents busy when they did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from cti.core.acd_day import Caller, Chance, Day, Miss, Shift
from cti.core.acd_record import LEFT, Handled, Patience, Record, Spell, Visit
from cti.core.agent import BUSY, LINK, MISSED, REJECTED
from cti.core.ivr.acts_queue import told
from cti.core.queues import PRIORITIES, QueueConfig

NOT_TAKEN = (MISSED, REJECTED, BUSY, LINK)
Queues = Mapping[str, QueueConfig]


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


# ---------------------------------------------------------------- a recorded day


def recorded(record: Record, chance: Chance, present: Queues, other: Queues) -> Day:
    """The day as it was, with what is not known of it drawn, for `other` queues than those it had (`present`)."""
    handled = Handled(record.visits)
    by_queue: dict[str, list[Visit]] = {}
    for one in record.visits:
        by_queue.setdefault(one.queue, []).append(one)
    laws = {queue: Patience((v.wait, v.result in LEFT) for v in visits) for queue, visits in by_queue.items()}
    calls: dict[str, list[Visit]] = {}
    for one in record.visits:
        calls.setdefault(one.call_id, []).append(one)
    callers = []
    for whole in calls.values():
        following: Caller | None = None
        whole.sort(key=lambda one: one.seq)
        for n in range(len(whole) - 1, -1, -1):
            caller = _caller(whole[n], laws[whole[n].queue], handled, chance, following)
            following = _under(caller, whole[n], present, other)
            if n:
                ended = whole[n - 1].entered_at + whole[n - 1].wait
                following = msgspec.structs.replace(following, at=max(0.0, caller.at - ended))
        assert following is not None
        callers.append(following)
    return Day(sorted(callers, key=lambda caller: caller.at), list(_shifts(record, chance)), handled)


def _caller(one: Visit, law: Patience, handled: Handled, chance: Chance, following: Caller | None) -> Caller:
    """Of a call's first visit; those after it follow from it."""
    return Caller(
        key=f"{one.call_id}/{one.seq}", at=one.entered_at, queue=one.queue, skills=one.skills, priority=one.priority,
        number=one.number, patience=one.wait if one.result in LEFT else law.draw(one.wait, chance),
        leaves=one.result if one.result in ("left", "callback") else "abandoned", reached=bool(one.made),
        luck=handled.rank(one) if one.served else chance(), then=following, after_talk=one.result == "answered",
        prefer=one.prefer, prefer_for=one.prefer_for, prefer_why=one.prefer_why,
    )  # fmt: skip


# ---------------------------------------------------------------- other rules


def _under(caller: Caller, one: Visit, present: Queues, other: Queues) -> Caller:
    """With what the other queue gives him: priority, and how long he may wait unless his flow said so."""
    now, then = present.get(one.queue), other.get(one.queue)
    own_wait = None if now is None or one.max_wait in (None, now.max_wait) else one.max_wait
    if then is None or one.moved:
        return msgspec.structs.replace(caller, max_wait=own_wait)
    held = [_rule(rule) for rule in one.raised]
    base = one.priority - sum(by for _, by in held)
    if now is not None and base == now.priority:
        base = then.priority
    base += sum(rule.by for rule in then.raises if _rule(told(rule))[0] in dict(held))
    return msgspec.structs.replace(caller, priority=max(PRIORITIES[0], min(base, PRIORITIES[1])), max_wait=own_wait)


def _rule(text: str) -> tuple[str, int]:
    """`customer.tier == 'vip' (+10)` as its condition and what it adds."""
    when, _, by = text.rpartition(" (")
    return when, int(by.rstrip(")"))


def notes(record: Record, queues: Queues) -> list[str]:
    """What the record cannot say of these queues, for people."""
    found = [
        f"For whom the rule {rule} of {name} holds is not recorded: nobody had it on that day, so nobody has it here."
        for name, rule in unheard(record, queues)
    ]
    missed = sum(len(shift.misses) for shift in _shifts(record, lambda: 0.0))
    if missed:
        found.append(f"Offers that were missed or turned down on that day: {missed}. Whatever these agents are offered "
                     "while they were away they miss here, too; since when they were is drawn.")  # fmt: skip
    asked = [one for one in record.visits if one.result == "callback"]
    reached = sum(bool(one.made) for one in asked)
    if asked:
        found.append(f"Who asked for a callback while he waited: {len(asked)}, of whom reached: {reached}. These are "
                     "called back here at their turn; all other calls out keep agents busy when they did.")  # fmt: skip
    return found


def unheard(record: Record, queues: Queues) -> list[tuple[str, str]]:
    """(queue, condition) of the rules of which the record does not say for whom they hold."""
    heard = {(one.queue, _rule(rule)[0]) for one in record.visits for rule in one.raised}
    rules = [(name, _rule(told(rule))[0]) for name, queue in sorted(queues.items()) for rule in queue.raises]
    return [rule for rule in rules if rule not in heard]


# ---------------------------------------------------------------- agents


def _shifts(record: Record, chance: Chance) -> Iterator[Shift]:
    """When who was signed on, and not ready or busy with something else than these calls meanwhile."""
    offered, takes_calls = _offered(record), there(record)
    rings: dict[str, list[float]] = {}
    for one in record.visits:
        if one.served:
            rings.setdefault(one.agent, []).append(one.ringing)
    spells: dict[str, list[Spell]] = {}
    for spell in record.spells:
        spells.setdefault(spell.agent, []).append(spell)
    for agent, own in sorted(spells.items()):
        own.sort(key=lambda one: one.since)
        misses = {n: _miss(own, n, chance) for n in _not_taken(own, offered)}
        here = [n for n, s in enumerate(own) if s.wish != "logged_out" or s.work != "idle"]
        away = [own[n] for n in here if n not in misses and not takes_calls(own[n])]
        ringing = rings.get(agent, [0.0])
        if here:
            yield Shift(agent=agent, skills=record.skills.get(agent, {}), spans=_joined(own[n] for n in here),
                        breaks=_joined(away), misses=tuple(misses.values()),
                        answer=math.fsum(ringing) / len(ringing))  # fmt: skip


def _not_taken(own: Sequence[Spell], offered: set[str]) -> Iterator[int]:
    """Which of an agent's spells, in order, came of a call of these that he missed or turned down."""
    for n, (rung, after) in enumerate(pairwise(own)):
        rang = rung.work == "reserved" and rung.call_id in offered
        if rang and (after.work, after.wish) == ("idle", "not_ready") and after.reason in NOT_TAKEN:
            yield n + 1


def _miss(own: Sequence[Spell], n: int, chance: Chance) -> Miss:
    """What he would have done with any call from some time before on."""
    rung, after = own[n - 1], own[n]
    idle = own[n - 2] if n > 1 and own[n - 2].work == "idle" and own[n - 2].wish == "ready" else rung
    since = rung.since - chance() * (rung.since - idle.since)
    return Miss(since, after.until, math.inf if after.reason == MISSED else rung.until - rung.since)


def _offered(record: Record) -> set[str]:
    return {one.call_id for one in record.visits} | {one.made for one in record.visits}


def there(record: Record) -> Callable[[Spell], bool]:
    """Tells whether an agent was there for the calls of this day: free for them, or busy with one."""
    offered = _offered(record)
    served = {(one.made or one.call_id, one.agent) for one in record.visits if one.served}

    def takes_calls(spell: Spell) -> bool:
        if spell.work == "idle":
            return spell.wish == "ready"
        if spell.work == "reserved":
            return spell.call_id in offered
        return (spell.call_id, spell.agent) in served

    return takes_calls


def _joined(spells: Iterable[Spell]) -> tuple[tuple[float, float], ...]:
    """Times that touch are one."""
    found: list[tuple[float, float]] = []
    for spell in spells:
        if found and spell.since <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], spell.until)
        else:
            found.append((spell.since, spell.until))
    return tuple(found)
