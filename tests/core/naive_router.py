"""The rule of docs/routing.md, written down once more and as simply as possible: everybody is looked at, every time.

What core.acd answers must be the same; what it costs is what core.acd is there to save."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cti.core.acd_match import Waiter
from cti.core.queues import QueueConfig, Requirement, Routing, matches, relaxed, required_skills

Key = tuple[float, float, str]


class Naive:
    def __init__(self, queues: Mapping[str, QueueConfig], routing: Routing) -> None:
        self.queues, self.routing = dict(queues), routing
        self.waiters: dict[str, Waiter] = {}
        self.signed_on: dict[str, dict[str, int]] = {}
        self.serving: set[str] = set()
        self.free: dict[str, tuple[dict[str, int], float]] = {}
        self.with_agents: dict[str, int] = {}
        self.handling: Callable[[str, str], float] = lambda agent, queue: 0.0
        self.is_open: Callable[[str, float], bool] = lambda calendar, at: True

    # ------------------------------------------------------------ who may serve whom

    def needs(self, one: Waiter, at: float) -> Requirement:
        """The last step whose time has come, or the first after it that somebody signed on could serve."""
        queue, now = self.queues[one.queue], 0
        steps = [required_skills(queue, one.skills)]
        for step in queue.relax:
            steps.append(relaxed(steps[-1], step))
        for number, step in enumerate(queue.relax, 1):
            if at - one.since >= step.after:
                now = number
        for needs in steps[now:]:
            if any(matches(needs, skills) for skills in self.signed_on.values()):
                return needs
        return steps[now]

    def personal(self, one: Waiter, at: float) -> bool:
        return one.prefer in self.serving and at < one.prefer_until

    def fits(self, one: Waiter, agent: str, at: float) -> bool:
        if self.personal(one, at):
            return agent == one.prefer
        return matches(self.needs(one, at), self.free[agent][0])

    def may(self, one: Waiter, at: float) -> bool:
        """Whether his queue gives an agent away now."""
        queue = self.queues[one.queue]
        for limit in queue.capacity:
            if not limit.calendar or self.is_open(limit.calendar, at):
                if self.with_agents.get(one.queue, 0) >= limit.calls:
                    return False
                break
        if not one.callback or not queue.keep_idle or self.personal(one, at):
            return True
        return sum(self.fits(one, agent, at) for agent in self.free) > queue.keep_idle

    # ------------------------------------------------------------ who comes first

    def place(self, one: Waiter) -> Key:
        if self.routing.aging:
            return 0.0, one.since - self.routing.aging * one.priority, one.key
        return -one.priority, one.since, one.key

    def position(self, key: str) -> int:
        own = self.waiters[key]
        return 1 + sum(self.place(o) < self.place(own) for o in self.waiters.values() if o.queue == own.queue)

    def agent_for(self, key: str, at: float) -> str | None:
        one = self.waiters[key]
        queue = self.queues[one.queue]
        found = [agent for agent in self.free if self.fits(one, agent, at)]
        if not found or not self.may(one, at):
            return None
        found.sort(key=lambda agent: (self.free[agent][1], agent))
        if queue.idle_limit and at - self.free[found[0]][1] > queue.idle_limit:
            return found[0]
        return min(found[:100], key=lambda agent: self._order(queue, one, agent, at))

    def _order(self, queue: QueueConfig, one: Waiter, agent: str, at: float) -> float:
        if queue.agents == "fastest":
            return self.handling(agent, queue.name)
        if queue.agents == "best_level":
            needs = self.needs(one, at)
            ways = [needs.needs, *(way for group in needs.any for way in group), *needs.also]
            wanted = {skill for way in ways for skill, _ in way}
            return -sum(self.free[agent][0].get(skill, 0) for skill in wanted)
        return 0.0

    def caller_for(self, agent: str, at: float) -> str | None:
        found = [one for one in self.waiters.values() if self.fits(one, agent, at) and self.may(one, at)]
        return min(found, key=lambda one: self._rank(one, at)).key if found else None

    def _rank(self, one: Waiter, at: float) -> Key:
        major, since, key = self.place(one)
        if self.routing.balance:
            return major, (since - at) / self.queues[one.queue].service_level.within, key
        return major, since, key
