"""core.acd beside the rule in its simplest form (naive_router), over random days: the same choices, the same positions,
and never an idle agent beside a caller he could take."""

from __future__ import annotations

import heapq
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_router import Naive

from cti.core.acd import Router
from cti.core.acd_match import Waiter
from cti.core.queues import Capacity, QueueConfig, Relax, Routing, ServiceLevel

AGENTS = ["ani", "budi", "cici", "dewi", "eko"]
SKILLS: list[dict[str, int]] = [
    {"sales": 5}, {"sales": 2, "english": 3}, {"english": 7, "dutch": 2}, {"support": 4, "sales": 1}, {},
    {"support": 9, "english": 1, "dutch": 8},
]  # fmt: skip
ASKED: list[dict[str, Any]] = [{}, {"english": 2}, {"english": 5}, {"any": [{"dutch": 3}, {"english": 6}]}]
QUEUES = [
    QueueConfig(name="sales", relax=(Relax(20, skills={"sales": 0}), Relax(50, any_agent=True)),
                service_level=ServiceLevel(within=10)),
    QueueConfig(name="support", agents="best_level", relax=(Relax(30, also={"english": 1}),),
                service_level=ServiceLevel(within=40), idle_limit=60),
    QueueConfig(name="all", skills={}, agents="fastest", priority=1, keep_idle=1),
    QueueConfig(name="few", skills={"any": [{"english": 1}, {"sales": 4}]}, capacity=(Capacity(1),), keep_idle=2),
]  # fmt: skip
ROUTINGS = [Routing(), Routing(aging=0), Routing(balance=True), Routing(aging=7, balance=True)]

NUMBER = st.integers(0, 9999)
STEPS = st.lists(st.tuples(st.sampled_from(["call", "call", "call", "agent", "agent", "done", "done", "leave", "time",
                                            "time", "priority", "prefer"]), NUMBER, NUMBER), max_size=60)  # fmt: skip


class Room:
    """Both routers, told the same; what follows from each step is done as the floor does it."""

    def __init__(self, routing: Routing) -> None:
        queues = {queue.name: queue for queue in QUEUES}
        self.router, self.naive = Router(), Naive(queues, routing)
        self.router.configure(queues, routing, 0.0)
        self.naive.handling = self.router.handling
        self.at = 0.0
        self.calls = 0
        self.busy: dict[str, str] = {}  # agent: the queue of his call
        self.wakes: list[tuple[float, str]] = []

    # ------------------------------------------------------------ steps

    def call(self, a: int, b: int) -> None:
        self.calls += 1
        queue = QUEUES[a % 4].name
        callback = b % 5 == 0
        key = f"{'callback/' if callback else ''}{self.calls}"
        prefer = AGENTS[b % 5] if a % 3 == 0 and not callback else ""
        self.wait(
            Waiter(key=key, queue=queue, since=self.at - b % 25, priority=b % 4, skills=ASKED[(a // 4) % 4],
                   prefer=prefer, prefer_until=self.at + b % 30, callback=callback)
        )  # fmt: skip

    def priority(self, a: int, b: int) -> None:
        if self.naive.waiters:
            one = list(self.naive.waiters.values())[a % len(self.naive.waiters)]
            self.wait(Waiter(**{name: getattr(one, name) for name in one.__struct_fields__} | {"priority": b % 9}))

    def prefer(self, a: int, b: int) -> None:
        """Whoever waits is moved, with somebody named for him."""
        if self.naive.waiters:
            one = list(self.naive.waiters.values())[a % len(self.naive.waiters)]
            self.router.leave(one.key)
            self.wait(
                Waiter(key=one.key, queue=QUEUES[b % 4].name, since=one.since, prefer=AGENTS[a % 5],
                       prefer_until=self.at + b % 40)
            )  # fmt: skip

    def leave(self, a: int, b: int) -> None:
        if self.naive.waiters:
            key = list(self.naive.waiters)[a % len(self.naive.waiters)]
            self.router.leave(key)
            del self.naive.waiters[key]

    def agent(self, a: int, b: int) -> None:
        """He signs off, is not ready, or ready, with these skills."""
        name, skills, wish = AGENTS[a % 5], SKILLS[b % 6], (b // 6) % 4
        if name in self.busy:
            return
        self.router.busy(name)
        self.naive.free.pop(name, None)
        if not wish:
            self.router.sign_off(name, self.at)
            self.naive.signed_on.pop(name, None)
            self.naive.serving.discard(name)
        else:
            self.router.sign_on(name, skills, self.at, serving=wish > 1)
            self.naive.signed_on[name] = skills
            (self.naive.serving.add if wish > 1 else self.naive.serving.discard)(name)
            if wish > 1:
                self.free(name, self.at - b % 100)

    def done(self, a: int, b: int) -> None:
        if self.busy:
            name = sorted(self.busy)[a % len(self.busy)]
            queue = self.busy.pop(name)
            self.router.done(queue)
            self.naive.with_agents[queue] -= 1
            self.router.handled(name, queue, b % 500)
            self.free(name, self.at)
            self.room_made(queue)

    def time(self, a: int, b: int) -> None:
        end = self.at + a % 40
        while self.wakes and self.wakes[0][0] <= end:
            self.at, key = heapq.heappop(self.wakes)
            if key in self.naive.waiters:
                self.wait(self.naive.waiters[key])
        self.at = end

    # ------------------------------------------------------------ what follows

    def wait(self, one: Waiter) -> None:
        self.naive.waiters[one.key] = one
        wake = self.router.wait(one, self.at)
        if wake is not None:
            heapq.heappush(self.wakes, (wake, one.key))
        self.seek(one.key)

    def seek(self, key: str) -> None:
        if key in self.naive.waiters:
            match = self.router.agent_for(key, self.at)
            assert (match and match.agent) == self.naive.agent_for(key, self.at), key
            if match is not None:
                self.meet(match.key, match.agent)

    def free(self, name: str, since: float) -> None:
        skills = self.naive.signed_on[name]
        self.naive.free[name] = skills, since
        self.router.free(name, skills, since)
        match = self.router.caller_for(name, self.at)
        assert (match and match.key) == self.naive.caller_for(name, self.at), name
        if match is not None:
            self.meet(match.key, name)

    def meet(self, key: str, agent: str) -> None:
        queue = self.naive.waiters.pop(key).queue
        del self.naive.free[agent]
        self.router.leave(key)
        self.router.busy(agent)
        self.router.taken(queue)
        self.naive.with_agents[queue] = self.naive.with_agents.get(queue, 0) + 1
        self.busy[agent] = queue

    def room_made(self, queue: str) -> None:
        for key in self.router.in_turn(queue, self.at):
            self.seek(key)

    def settle(self) -> None:
        moved, self.router.moved = self.router.moved, set()
        for key in sorted(moved, key=lambda key: self.router.stands[key].place):
            self.seek(key)

    def check(self) -> None:
        for name in sorted(self.naive.free):
            assert self.naive.caller_for(name, self.at) is None, f"{name} is idle while somebody waits for him"
            assert self.router.caller_for(name, self.at) is None
        for key in self.naive.waiters:
            assert self.router.agent_for(key, self.at) is None
            assert self.router.position(key) == self.naive.position(key)


@pytest.mark.parametrize("routing", ROUTINGS, ids=["aging", "priority alone", "balance", "both"])
@given(steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_the_router_chooses_as_the_rule_says(routing: Routing, steps: list[tuple[str, int, int]]) -> None:
    room = Room(routing)
    for step, a, b in steps:
        getattr(room, step)(a, b)
        room.settle()
        room.check()
