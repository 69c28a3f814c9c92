"""Which caller goes to which agent, and why. The only matcher: the floor, the simulator and the benchmark ask it.

The rule
- A waiting call's place is `since - aging * priority`, smaller first: a point of priority is worth `aging` seconds of
  waiting. With `aging` 0 a higher priority comes first, then who waits longer.
- A free agent takes, of all whom he may serve in any queue, the first. With `balance` he takes, of the first of each
  queue, the one who has waited longest in proportion to his queue's service level.
- A call takes, of the free agents who may serve it, the longest idle, or as its queue's `agents` says: the fastest for
  this queue, or the one with the highest levels, of the LOOK longest idle. Who has been idle for longer than
  `idle_limit` goes first whatever the order.
- Who may serve a call: its ladder tells (`core.ladder`). A preferred agent is waited for alone, for a time, as long as
  he serves; his skills do not matter.
- A queue whose capacity is used up gets no agent; a callback gets one only when more than `keep_idle` fitting agents
  are free.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from cti.core.acd_lines import FreeAgents, Line, Lines, Place, rank_of
from cti.core.acd_match import SHOWN, Decision, Match, Waiter, rounded, shown, skills_of
from cti.core.ladder import Ladder, Staff, ladder_of
from cti.core.queues import QueueConfig, Requirement, Routing, matches

K = TypeVar("K")

LOOK = 100  # agents that are compared, by idle time, for another order than that
KNOWN = 50.0  # handled calls of an agent that count; older ones fade
DOUBT = 5.0  # handled calls of the whole queue that stand beside an agent's own


class _Stand(msgspec.Struct):
    """A waiter, his ladder and the step he stands on. `personal`: he waits for his preferred agent alone."""

    waiter: Waiter
    ladder: Ladder
    place: Place
    step: int = 0
    personal: bool = False


class Router:
    def __init__(self) -> None:
        self.queues: Mapping[str, QueueConfig] = {}
        self.routing = Routing()
        self.is_open: Callable[[str, float], bool] = lambda calendar, at: True
        self.agents = FreeAgents()
        self.staff = Staff()
        self.lines = Lines()
        self.serving: set[str] = set()  # signed on, and will take calls when free
        self.busy_with: Counter[str] = Counter()  # calls of a queue that are with agents
        self.stands: dict[str, _Stand] = {}
        self.order: dict[str, list[Place]] = {}  # of each queue, whatever is required
        self.moved: set[str] = set()  # may be served by others than before; whoever routes takes them
        self.turned: set[str] = set()  # of whom `staffed` may be otherwise than before; whoever watches that takes them
        self.personal: dict[str, list[Place]] = {}
        self._naming: dict[str, set[str]] = {}  # who would wait for an agent alone, whether he serves or not
        self._ladders: dict[tuple[str, str], Ladder] = {}
        self._asking: dict[Requirement, set[str]] = {}  # which waiters' ladders have it
        self._handled: dict[tuple[str, str], tuple[float, float]] = {}

    # ------------------------------------------------------------ settings

    def configure(self, queues: Mapping[str, QueueConfig], routing: Routing, at: float) -> None:
        """New settings hold from the next decision on, for those who wait too."""
        self.queues, self.routing = dict(queues), routing
        self._ladders.clear()
        for stand in list(self.stands.values()):
            self.wait(stand.waiter, at)

    def queue(self, name: str) -> QueueConfig:
        """A queue's settings; of one that is unknown, the defaults."""
        return self.queues.get(name) or QueueConfig(name=name)

    # ------------------------------------------------------------ agents

    def sign_on(self, agent: str, skills: Mapping[str, int], at: float, serving: bool = True) -> None:
        """He is signed on with these skills; `serving`: he will take calls when he is free."""
        self._turned(self.staff.put(agent, skills), at)
        self._serves(agent, serving, at)

    def sign_off(self, agent: str, at: float) -> None:
        self._turned(self.staff.put(agent, None), at)
        self._serves(agent, False, at)

    def _serves(self, agent: str, serving: bool, at: float) -> None:
        if serving == (agent in self.serving):
            return
        (self.serving.add if serving else self.serving.discard)(agent)
        for key in sorted(self._naming.get(agent, ())):
            self.wait(self.stands[key].waiter, at)

    def _turned(self, requirements: list[Requirement], at: float) -> None:
        keys = sorted(key for needs in requirements for key in self._asking.get(needs, ()))
        for key in dict.fromkeys(keys):
            self.wait(self.stands[key].waiter, at)
            self.moved.add(key)
            self.turned.add(key)

    def free(self, agent: str, skills: Mapping[str, int], idle_since: float) -> None:
        """He may be offered a call now."""
        self.agents.add(agent, skills, idle_since)

    def busy(self, agent: str) -> None:
        """He may not."""
        self.agents.remove(agent)

    def handled(self, agent: str, queue: str, seconds: float, calls: float = 1.0) -> None:
        """An agent has dealt with calls of a queue, in so many seconds in all, wrap-up included."""
        for name in (agent, ""):
            self._add(name, queue, calls, seconds)

    def known(self, handled: Iterable[tuple[str, str, int, float]]) -> dict[str, tuple[int, float]]:
        """What agents have dealt with before: (agent, queue, calls, seconds). All of a queue count together, whoever is
        told of last; returns them by queue: (calls, seconds)."""
        together: dict[str, tuple[int, float]] = {}
        for agent, queue, calls, seconds in handled:
            self._add(agent, queue, calls, seconds)
            before = together.get(queue, (0, 0.0))
            together[queue] = before[0] + calls, before[1] + seconds
        for queue, (calls, seconds) in together.items():
            self._add("", queue, calls, seconds)
        return together

    def _add(self, name: str, queue: str, calls: float, seconds: float) -> None:
        """`name`: of an agent; empty: all of the queue."""
        count, total = self._handled.get((name, queue), (0.0, 0.0))
        fade = min(1.0, KNOWN / (count + calls))
        self._handled[name, queue] = (count + calls) * fade, (total + seconds) * fade

    def handling(self, agent: str, queue: str) -> float:
        """Mean seconds he takes for a call of the queue; the fewer are known the more it is the queue's mean."""
        count, total = self._handled.get(("", queue), (0.0, 0.0))
        mean = total / count if count else 0.0
        own, seconds = self._handled.get((agent, queue), (0.0, 0.0))
        return (seconds + DOUBT * mean) / (own + DOUBT)

    # ------------------------------------------------------------ capacity

    def taken(self, queue: str) -> None:
        """A call of the queue was given to an agent."""
        self.busy_with[queue] += 1

    def done(self, queue: str) -> None:
        """It is with him no more."""
        self.busy_with[queue] -= 1

    def has_room(self, queue: str, at: float) -> bool:
        """Whether one more of the queue's calls may go to an agent."""
        return self.busy_with[queue] < self.most(queue, at)

    def most(self, queue: str, at: float) -> float:
        """How many of the queue's calls may be with agents at once."""
        for limit in self.queue(queue).capacity:
            if not limit.calendar or self.is_open(limit.calendar, at):
                return limit.calls
        return math.inf

    def in_turn(self, queue: str, at: float) -> Iterator[str]:
        """Who is to be looked at when a queue may have more agents than before, as long as there is room: in order, of
        each line the first; as he leaves it, the next; and who waits for one agent alone."""
        alone = [place for places in self.personal.values() for place in places if self._queue_of(place.key) == queue]
        heads: list[tuple[Place, Line | None]] = [(place, None) for place in alone]
        heads += [(line.members[0], line) for line in self.lines if line.queue == queue]
        heapq.heapify(heads)
        while heads and self.has_room(queue, at):
            place, line = heapq.heappop(heads)
            yield place.key
            if line is not None and line.members and line.members[0] != place:
                heapq.heappush(heads, (line.members[0], line))

    # ------------------------------------------------------------ callers

    def take_moved(self) -> list[str]:
        """Who may be served by others than when this was asked last, in order."""
        moved, self.moved = self.moved, set()
        return sorted(moved, key=lambda key: self.stands[key].place)

    def wait(self, waiter: Waiter, at: float) -> float | None:
        """He waits, at his place, whether he did before or not. Returns when it must be called again: at his next step,
        or when he stops waiting for his preferred agent alone."""
        ladder = self._ladder(waiter)
        stand = _Stand(waiter, ladder, self._place(waiter))
        stand.step = ladder.standing(at - waiter.since, self.staff.can)
        stand.personal = waiter.prefer in self.serving and at < waiter.prefer_until
        before = self.stands.get(waiter.key)
        if before is not None and self._stays(before, stand):
            self.stands[waiter.key] = stand
        else:
            self.leave(waiter.key)
            self._enter(stand)
            self.moved.add(waiter.key)
            self.turned.add(waiter.key)
        later = ladder.next_after(at - waiter.since)
        ends = [waiter.since + later] if later is not None else []
        preferring = waiter.prefer and at < waiter.prefer_until  # the agent may sign on meanwhile
        return min([*ends, waiter.prefer_until] if preferring else ends, default=None)

    def _stays(self, before: _Stand, stand: _Stand) -> bool:
        """Whether he stands where he stood, and is to be served by the same."""
        if (before.waiter.queue, before.place, before.ladder) != (stand.waiter.queue, stand.place, stand.ladder):
            return False
        if (before.personal, before.waiter.prefer) != (stand.personal, stand.waiter.prefer):
            return False
        if stand.personal:
            return True
        line = self.lines.line_of(stand.waiter.key)
        return line.needs == stand.ladder.steps[stand.step][1] and line.target == self._target(stand.waiter.queue)

    def _enter(self, stand: _Stand) -> None:
        waiter, place = stand.waiter, stand.place
        self.stands[waiter.key] = stand
        insort(self.order.setdefault(waiter.queue, []), place)
        for _, needs in stand.ladder.steps:
            self._asking.setdefault(needs, set()).add(waiter.key)
            self.staff.can(needs)  # from now on it is told when that turns
        if waiter.prefer:
            self._naming.setdefault(waiter.prefer, set()).add(waiter.key)
        if stand.personal:
            insort(self.personal.setdefault(waiter.prefer, []), place)
        else:
            self.lines.add(place, waiter.queue, self.needs(waiter.key), waiter.callback, self._target(waiter.queue))

    def leave(self, key: str) -> None:
        """He waits no more, if he did."""
        stand = self.stands.pop(key, None)
        if stand is None:
            return
        self.moved.discard(key)
        self.turned.discard(key)
        _take_out(self.order, stand.waiter.queue, stand.place)
        for needs in {needs for _, needs in stand.ladder.steps}:
            if _discard(self._asking, needs, key):
                self.staff.forget(needs)
        if stand.waiter.prefer:
            _discard(self._naming, stand.waiter.prefer, key)
        if stand.personal:
            _take_out(self.personal, stand.waiter.prefer, stand.place)
        else:
            self.lines.remove(key)

    def _ladder(self, waiter: Waiter) -> Ladder:
        name = waiter.queue, repr(sorted(waiter.skills.items())) if waiter.skills else ""
        if name not in self._ladders:
            self._ladders[name] = ladder_of(self.queue(waiter.queue), waiter.skills)
        return self._ladders[name]

    def _place(self, waiter: Waiter) -> Place:
        if self.routing.aging > 0:
            return Place(0, waiter.since - self.routing.aging * waiter.priority, waiter.key)
        return Place(-waiter.priority, waiter.since, waiter.key)

    def _target(self, queue: str) -> float:
        return self.queue(queue).service_level.within if self.routing.balance else 0.0

    def needs(self, key: str) -> Requirement:
        """What is required of an agent for this waiter now."""
        stand = self.stands[key]
        return stand.ladder.steps[stand.step][1]

    def staffed(self, key: str) -> bool:
        """Whether anybody is signed on who could serve him now, or after a relax step; or whom he waits for alone."""
        stand = self.stands[key]
        return stand.personal or any(self.staff.can(needs) for _, needs in stand.ladder.steps[stand.step :])

    def overfull(self, key: str, waiting: int) -> str:
        """Why his queue takes nobody more, when with him so many wait in it: size or ratio; empty: it does. While
        nobody is there `no_agents` decides instead of the ratio, where it is set."""
        stand = self.stands[key]
        queue = self.queue(stand.waiter.queue)
        if waiting > queue.max_size:
            return "size"
        most = queue.overflow.ratio
        there = (self.staff.matching(self.needs(key)) or int(stand.personal)) if most else 0
        if not most or (not there and queue.overflow.no_agents is not None):
            return ""
        return "ratio" if waiting > most * there else ""

    def position(self, key: str) -> int:
        """1: the next in his queue."""
        stand = self.stands[key]
        return bisect_left(self.order[stand.waiter.queue], stand.place) + 1

    def ahead(self, key: str) -> dict[str, int]:
        """By queue, how many have a place before his; in his own with himself."""
        stand = self.stands[key]
        before = {name: bisect_left(places, stand.place) for name, places in self.order.items()}
        return before | {stand.waiter.queue: self.position(key)}

    def servants(self, key: str) -> list[str]:
        """Agents who will take calls and may take this one; none while it waits for one agent alone."""
        needs = self.needs(key)
        if self.stands[key].personal:
            return []
        return [agent for agent in self.serving if matches(needs, self.staff.skills[agent])]

    # ------------------------------------------------------------ decisions

    def for_call(self, key: str, at: float) -> Match | None:
        """Who meets when an agent is looked for this waiter: the two, unless that agent would take another one first,
        who may have been passed over when it was not his turn, or there was no room; then that one and his agent."""
        match = self.agent_for(key, at)
        while match is not None and self.first_of(match.agent, at, 1) != [match.key]:
            match = self.agent_for(self.first_of(match.agent, at, 1)[0], at)
        return match

    def for_agent(self, agent: str, at: float) -> Match | None:
        """Who meets when this agent is free: he and his first, unless others are free for that one, too."""
        first = self.caller_for(agent, at)
        if first is None or self.stands[first.key].personal or not self.agents.more_than(1, self.needs(first.key)):
            return first
        return self.for_call(first.key, at)

    def agent_for(self, key: str, at: float) -> Match | None:
        """The agent for this waiter, when one is free and he may have one now."""
        stand = self.stands[key]
        waiter = stand.waiter
        if not self.has_room(waiter.queue, at):
            return None
        if stand.personal:
            free = waiter.prefer in self.agents
            return self._match(stand, waiter.prefer, f"{waiter.prefer_why}_agent", at, 1) if free else None
        if waiter.callback and not self.spare(waiter.queue, self.needs(key)):
            return None
        return self._chosen(stand, at)

    def _chosen(self, stand: _Stand, at: float) -> Match | None:
        queue = self.queue(stand.waiter.queue)
        found: list[str] = []
        for agent in self.agents.fitting(self.needs(stand.waiter.key)):
            found.append(agent)
            if len(found) == (LOOK if queue.agents != "longest_idle" else LOOK // 5):
                break
        if not found:
            return None
        rule = queue.agents
        if queue.idle_limit and at - self.agents.idle_since(found[0]) > queue.idle_limit:
            rule = "idle_limit"
        elif rule == "fastest":
            found.sort(key=lambda agent: self.handling(agent, queue.name))
        elif rule == "best_level":
            wanted = skills_of(self.needs(stand.waiter.key))
            found.sort(key=lambda agent: -sum(self.agents.skills(agent).get(skill, 0) for skill in wanted))
        over = [{"agent": name, "idle": rounded(at - self.agents.idle_since(name))} for name in found[1 : SHOWN + 1]]
        return self._match(stand, found[0], rule, at, len(found), over)

    def caller_for(self, agent: str, at: float) -> Match | None:
        """The waiter for this free agent, when there is one he may have."""
        if agent not in self.agents:
            return None
        keys = self.first_of(agent, at, SHOWN + 1)
        if not keys:
            return None
        stand = self.stands[keys[0]]
        over = [self._shown(key, at) for key in keys[1 : SHOWN + 1]]
        rule = f"{stand.waiter.prefer_why}_agent" if stand.personal else "next_caller"
        return self._match(stand, agent, rule, at, len(keys), over)

    def first_of(self, agent: str, at: float, most: int) -> list[str]:
        """The first of all whom this free agent may take, in order, at most so many."""
        now = at if self.routing.balance else 0.0
        found = self.lines.first(self.agents.skills(agent), lambda line: self._open(line, at), now, most)
        own = [place for place in self.personal.get(agent, ()) if self.has_room(self._queue_of(place.key), at)]
        found += [rank_of(place, self._target(self._queue_of(place.key)), now) for place in own]
        return [key for *_, key in sorted(found)[:most]]

    def _queue_of(self, key: str) -> str:
        return self.stands[key].waiter.queue

    def _open(self, line: Line, at: float) -> bool:
        return self.has_room(line.queue, at) and (not line.callback or self.spare(line.queue, line.needs))

    def spare(self, queue: str, needs: Requirement) -> bool:
        """Whether an idle agent may be taken for a callback or a campaign: enough are left for callers."""
        keep = self.queue(queue).keep_idle
        return not keep or self.agents.more_than(keep, needs)

    def _shown(self, key: str, at: float) -> dict[str, Any]:
        waiter = self.stands[key].waiter
        waited = rounded(at - waiter.since)
        return {"call_id": key, "queue": waiter.queue, "priority": waiter.priority, "waited": waited}

    def _match(
        self, stand: _Stand, agent: str, rule: str, at: float, candidates: int, over: list[dict[str, Any]] | None = None
    ) -> Match:
        waiter, needs = stand.waiter, self.needs(stand.waiter.key)
        has = self.agents.skills(agent)
        decision = Decision(
            rule=rule, waited=max(0.0, rounded(at - waiter.since)), priority=waiter.priority, candidates=candidates,
            idle=max(0.0, rounded(at - self.agents.idle_since(agent))), since=waiter.since, step=stand.step,
            needs=shown(needs), levels={skill: has[skill] for skill in skills_of(needs) if skill in has},
            over=over or [],
            handling=rounded(self.handling(agent, waiter.queue)) if rule == "fastest" else None,
        )  # fmt: skip
        return Match(waiter.key, waiter.queue, agent, decision)


def _take_out(held: dict[str, list[Place]], name: str, place: Place) -> None:
    line = held[name]
    del line[bisect_left(line, place)]
    if not line:
        del held[name]


def _discard(held: dict[K, set[str]], name: K, key: str) -> bool:
    """Whether that was the last one."""
    held[name].discard(key)
    if held[name]:
        return False
    del held[name]
    return True
