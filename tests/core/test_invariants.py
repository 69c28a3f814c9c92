"""Random callers, agents, phones, supervisors, versions, kills, clocks and late or doubled facts: after every step
nobody is lost, nobody is stuck, and nobody is offered twice.

The rules are told here a second time, naively, by looking at everybody."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cti.core.agent import Agent
from cti.core.call import Call, Visit
from cti.core.callbacks import Callback
from cti.core.floor import LET_GO, RING_GRACE
from cti.core.ladder import ladder_of
from cti.core.messages import (
    AnswerCall,
    CancelCallback,
    ChangePriority,
    Event,
    HangUpCall,
    Input,
    MoveCall,
    RejectCall,
    Ring,
    SetAgentState,
    StationState,
    WrapUp,
)  # fmt: skip
from cti.core.queues import Requirement, matches, relaxed, required_skills
from cti.errors import CtiError
from tests.core.acd_world import AGENTS, NODES, QUEUES, STATIONS, VERSIONS, World

CHOICES: dict[str, Sequence[Any]] = {
    "pick": range(12), "key": ["1", "1", "2"], "number": range(12), "called": [*NODES, "6007", "6007", "6008"],
    "lost": [False, True], "seed": range(100),
    "cause": [17, 19, 21, 34, 0], "station": sorted(STATIONS.values()), "yes": [True, True, True, False],
    "told": [True, False],
    "who": sorted(AGENTS), "other": sorted(AGENTS),
    "wish": ["ready", "ready", "ready", "ready", "not_ready", "logged_out"],
    "by": ["", "sup"], "reason": ["lunch", "training"], "priority": range(-5, 21), "queue": [*QUEUES, "nowhere"],
    "skills": [{}, {"sales": 3}, {"support": 2, "english": 1}, {"chinese": 9}], "which": range(len(VERSIONS)),
    "long": [5.0, 40.0, 200.0], "seconds": [0.01, 0.3, 1.0, 2.0, 5.0, 9.0, 20.0, 70.0],
    "step": [-3600.0, -3.0, 3.0, 3600.0],
}  # fmt: skip
STUCK = 1.0  # s that a free agent and a caller for him may be apart
SLACK = 0.01


def given(*names: str) -> Any:
    """A rule whose arguments are taken from CHOICES."""
    return rule(**{name: st.sampled_from(CHOICES[name]) for name in names})


class Acd(RuleBasedStateMachine):
    @initialize(signed_on=st.sets(st.sampled_from(sorted(AGENTS))))
    def open(self, signed_on: set[str]) -> None:
        self.world = World()
        self.world.judge = self.was_fair  # type: ignore[method-assign]
        self.world.dials = self.may_be_called  # type: ignore[method-assign]
        self.apart: dict[tuple[str, str], float] = {}  # (agent, call) -> since when they could talk and do not
        self.entered: dict[tuple[str, int], float] = {}  # a visit -> when it was seen first
        self.down_at = 0.0  # when the link was seen down last
        for name in sorted(signed_on):
            self.ask(SetAgentState(at=self.world.at, by=name, agent=name, wish="ready"))

    @property
    def serves(self) -> bool:
        return self.world.link != "dead"

    @property
    def up(self) -> bool:
        return self.world.link == "up"

    def ask(self, request: Input) -> None:
        """What a person asks, who may be refused; nobody answers while the server is dead."""
        if self.serves:
            with contextlib.suppress(CtiError):
                self.world.do(request)

    def waiting(self) -> list[Call]:
        return [c for c in self.world.board.calls.live.values() if c.visit is not None and c.ended_at is None]

    # ------------------------------------------------------------ callers

    @given("called", "number")
    def arrives(self, called: str, number: int) -> None:
        self.world.arrives(number_of(number), called)
        self.world.obey()

    @given("pick", "lost")
    def caller_hangs_up(self, pick: int, lost: bool) -> None:
        here = [p for p in self.world.persons.values() if not p.lost]
        if here:
            self.world.leaves(here[pick % len(here)], lost)

    @given("pick", "key")
    def presses(self, pick: int, key: str) -> None:
        if here := list(self.world.persons.values()):
            self.world.presses(here[pick % len(here)], key)

    # ------------------------------------------------------------ phones

    @given("pick")
    def phone_answers(self, pick: int) -> None:
        if names := self.world.ringing():
            self.world.phone_answers(names[pick % len(names)])

    @given("pick")
    def is_bridged(self, pick: int) -> None:
        if names := self.world.answered():
            self.world.bridges(names[pick % len(names)])

    @given("pick")
    def answers_and_talks(self, pick: int) -> None:
        if names := self.world.ringing():
            name = names[pick % len(names)]
            self.world.phone_answers(name)
            if name in self.world.legs:
                self.world.bridges(name)

    @given("pick", "cause")
    def phone_declines(self, pick: int, cause: int) -> None:
        if names := self.world.ringing():
            self.world.phone_gone(names[pick % len(names)], cause)

    @given("pick")
    def agent_hangs_up(self, pick: int) -> None:
        if names := self.world.talking() + self.world.answered():
            self.world.phone_gone(names[pick % len(names)], told=True)

    @given("station", "yes")
    def registers(self, station: str, yes: bool) -> None:
        self.world.reachable[station] = yes
        if self.world.link == "up":
            self.world.do(StationState(at=self.world.at, station=station, reachable=yes))

    # ------------------------------------------------------------ agents and supervisors

    @given("who", "wish", "by", "reason")
    def wishes(self, who: str, wish: str, by: str, reason: str) -> None:
        why = reason if wish == "not_ready" else ""
        self.ask(SetAgentState(at=self.world.at, by=by or who, agent=who, wish=wish, reason=why))  # type: ignore[arg-type]

    @given("who", "other")
    def wants_anothers_station(self, who: str, other: str) -> None:
        self.ask(SetAgentState(at=self.world.at, by=who, agent=who, wish="ready", station=STATIONS[other]))

    @given("who", "pick")
    def acts(self, who: str, pick: int) -> None:
        at, agent = self.world.at, self.world.board.people.agents.get(who)
        call = agent.call_id if agent is not None else "x"  # who has left the company while no server ran
        self.ask([
            WrapUp(at=at, by=who, agent=who, action="finish"), WrapUp(at=at, by=who, agent=who, action="extend"),
            RejectCall(at=at, by=who, agent=who, call_id=call), AnswerCall(at=at, by=who, agent=who, call_id=call),
            HangUpCall(at=at, by=who, agent=who, call_id=call), RejectCall(at=at, by=who, agent=who, call_id=call),
        ][pick % 6])  # fmt: skip

    @given("pick", "priority")
    def changes_a_priority(self, pick: int, priority: int) -> None:
        if calls := self.waiting():
            call = calls[pick % len(calls)].call_id
            self.ask(ChangePriority(at=self.world.at, by="sup", call_id=call, priority=priority))

    @given("pick", "queue")
    def moves_a_caller(self, pick: int, queue: str) -> None:
        if calls := self.waiting():
            self.ask(MoveCall(at=self.world.at, by="sup", call_id=calls[pick % len(calls)].call_id, queue=queue))

    @given("pick")
    def ends_a_call(self, pick: int) -> None:
        if calls := list(self.world.board.calls.live.values()):
            self.ask(HangUpCall(at=self.world.at, by="sup", call_id=calls[pick % len(calls)].call_id))

    @given("who", "skills")
    def changes_skills(self, who: str, skills: dict[str, int]) -> None:
        self.world.skills[who] = skills
        if self.serves:
            self.world.people()

    @given("who")
    def leaves_or_joins_the_company(self, who: str) -> None:
        if self.world.skills.pop(who, None) is None:
            self.world.skills[who] = dict(AGENTS[who])
        if self.serves:
            self.world.people()

    @given("which")
    def publishes(self, which: int) -> None:
        if self.serves:
            self.world.publish(which)

    @given("long")
    def opens_the_desk(self, long: float) -> None:
        self.world.open_until = self.world.at + long
        if self.serves:
            self.world.hours()

    # ------------------------------------------------------------ callbacks

    @given("yes")
    def callbacks_open_or_close(self, yes: bool) -> None:
        self.world.after_hours = not yes
        if self.serves:
            self.world.hours()

    @given("number", "yes")
    def may_not_be_called(self, number: int, yes: bool) -> None:
        (self.world.barred.discard if yes else self.world.barred.add)(number_of(number))
        if self.serves:
            self.world.found()

    @given("pick", "told")
    def cancels_a_callback(self, pick: int, told: bool) -> None:
        """On the page; or in the database, which has not heard yet that it is being called."""
        if names := list(self.world.callbacks):
            name = names[pick % len(names)]
            if told:
                self.ask(CancelCallback(at=self.world.at, by="sup", callback_id=name))
            else:
                if self.serves:
                    self.world.found()
                if self.world.callbacks.pop(name, None) is not None and self.serves:
                    self.world.found()

    def may_be_called(self, ring: Ring) -> None:
        call, number = self.world.board.calls.live[ring.call_id], ring.endpoint.partition("@")[0]
        assert call.callback in self.world.callbacks, "it is over"
        due = self.world.callbacks[call.callback]
        queue = self.world.board.floor.queue(due.queue)
        assert number == due.number and number not in self.world.barred
        assert not (queue.callback.calendar and self.world.after_hours)
        assert not queue.calendar or self.world.at < self.world.open_until
        assert self.world.at < due.requested_at + queue.callback.expires
        asked = self.world.board.calls.live.get(due.call_id)
        assert asked is None or asked.ended_at is not None, "he is on the line still"
        others = [leg for name, leg in self.world.legs.items() if name != ring.channel_id]
        assert ring.endpoint not in [leg.ring.endpoint for leg in others], "he is rung, or served, already"

    @invariant()
    def no_callback_is_lost(self) -> None:
        """It stands in line, is being made, or something keeps it from that."""
        board = self.world.board
        if not self.up:
            return
        open_ = {name: one for name, one in board.callbacks.open.items() if not one.cancelled}
        assert open_.keys() == self.world.callbacks.keys()
        for one in open_.values():
            assert one.made or one.key in board.router.stands or board.callbacks.hindered(one, self.world.at)

    # ------------------------------------------------------------ time and trouble

    @given("seconds")
    def time_passes(self, seconds: float) -> None:
        self.world.passes(seconds)

    @given("step")
    def the_clock_is_set(self, step: float) -> None:
        if self.serves:
            self.world.clock_set(step)

    @given("seed")
    def an_old_fact_comes_again(self, seed: int) -> None:
        if self.up and (fact := self.world.some_old_fact(random.Random(seed))) is not None:
            self.world.do(fact)

    @given()
    def the_link_breaks(self) -> None:
        if self.up:
            self.world.switch_down()

    @given()
    def killed(self) -> None:
        if self.up:
            self.world.killed()

    @given("told")
    def is_back(self, told: bool) -> None:
        if not self.up:
            self.world.back(told)

    @given()
    def killed_and_back(self) -> None:
        if self.up:
            self.world.killed()
            self.world.back(True)

    # ------------------------------------------------------------ what always holds

    @invariant()
    def one_offer_per_call_and_agent(self) -> None:
        board = self.world.board
        offers = [c.offer for c in board.calls.live.values() if c.offer is not None]
        assert max(Counter(o.agent for o in offers).values(), default=1) == 1
        for offer in offers:
            agent = board.people.agents[offer.agent]
            assert agent.work == ("talking" if offer.connected_at is not None else "reserved")
            assert agent.call_id == offer.call_id
        for agent in board.people.agents.values():
            if agent.work in ("reserved", "talking"):
                assert any(o.agent == agent.agent for o in offers), f"{agent.agent} is stuck in {agent.work}"
            assert (agent.work == "wrap_up") == (agent.wrap_until is not None), agent

    @invariant()
    def one_station_one_agent(self) -> None:
        agents = self.world.board.people.agents.values()
        taken = Counter(a.station for a in agents if (a.wish, a.work) != ("logged_out", "idle"))
        assert max(taken.values(), default=1) == 1, taken

    @invariant()
    def queues_are_as_long_as_callers_wait(self) -> None:
        lengths = Counter(c.visit.queue for c in self.world.board.calls.live.values() if c.visit is not None)
        assert {name: n for name, n in self.world.board.waits.lengths.items() if n} == dict(lengths)

    @invariant()
    def who_waits_is_in_line_and_nobody_else(self) -> None:
        if self.world.link == "up":
            unserved = {c.call_id for c in self.waiting() if c.visit is not None and not c.visit.offer}
            assert in_line(self.world) == unserved

    @invariant()
    def nobody_waits_while_an_agent_who_could_is_free(self) -> None:
        pairs = set(self.could_talk()) if self.world.link == "up" else set()
        self.apart = {pair: self.apart.get(pair, self.world.now) for pair in pairs}
        for (agent, call), since in self.apart.items():
            waits = self.world.board.calls.live.get(call)
            assert self.world.now - since < STUCK, f"{agent} is free and {call} waits: {waits}"

    def could_talk(self) -> Iterator[tuple[str, str]]:
        free = [a for a in self.world.board.people.agents.values() if self.is_free(a)]
        for call in self.waiting() if free else ():
            if call.visit is not None and not call.visit.offer and self.has_room(call.visit.queue):
                yield from ((a.agent, call.call_id) for a in free if self.may_serve(a, call.visit))
        for one in callbacks(self.world) if free else ():
            if self.has_room(one.queue) and self.has_spare(one):
                yield from ((a.agent, one.key) for a in free if self.may_serve(a, self.waits_of(one)))

    def has_spare(self, one: Callback) -> bool:
        """Whether enough are left for callers."""
        agents, waits = self.world.board.people.agents.values(), self.waits_of(one)
        free = sum(self.is_free(a) and self.may_serve(a, waits) for a in agents)
        return free > self.world.board.floor.queue(one.queue).keep_idle

    def waits_of(self, one: Callback) -> Visit:
        return Visit(number=0, queue=one.queue, entered_at=one.since, since=one.since, skills=one.skills)

    def is_free(self, agent: Agent) -> bool:
        return self.serves_when_free(agent) and (agent.wish, agent.work) == ("ready", "idle")

    def serves_when_free(self, agent: Agent) -> bool:
        up = self.world.board.people.stations.get(agent.station)
        return bool(up) and self.is_signed_on(agent) and (agent.next_wish or agent.wish) == "ready"

    def is_signed_on(self, agent: Agent) -> bool:
        return not agent.gone and (agent.wish, agent.work) != ("logged_out", "idle")

    def has_room(self, name: str) -> bool:
        taken = sum(c.offer is not None and c.offer.queue == name for c in self.world.board.calls.live.values())
        return all(taken < limit.calls for limit in self.world.board.floor.queue(name).capacity)

    def may_serve(self, agent: Agent, visit: Visit, slack: float = SLACK) -> bool:
        preferred = self.world.board.people.agents.get(visit.prefer)
        if preferred is not None and self.world.at < visit.prefer_until and self.serves_when_free(preferred):
            return agent is preferred
        return matches(self.needs(visit, slack), agent.skills)

    def needs(self, visit: Visit, slack: float) -> Requirement:
        """What his queue asks for after so long a wait, or later if nobody signed on has that now."""
        queue = self.world.board.floor.queue(visit.queue)
        signed_on = [a.skills for a in self.world.board.people.agents.values() if self.is_signed_on(a)]
        asked = [required_skills(queue, visit.skills)]
        for step in queue.relax:
            asked.append(relaxed(asked[-1], step))
        due = sum(step.after <= self.world.at - visit.since + slack for step in queue.relax)
        return next((one for one in asked[due:] if any(matches(one, s) for s in signed_on)), asked[due])

    @invariant()
    def nobody_waits_longer_than_he_may(self) -> None:
        if self.world.link == "dead":
            return
        if self.world.link == "down":
            self.down_at = self.world.now
        here = {(c.call_id, c.visit.number): c.visit for c in self.waiting() if c.visit is not None}
        self.entered = {key: self.entered.get(key, self.world.now) for key in here}
        for key, visit in here.items():
            if not visit.offer and self.world.now > self.down_at + RING_GRACE:
                assert self.world.now - self.entered[key] <= visit.max_wait + SLACK, visit

    def was_fair(self, events: list[Event]) -> None:
        """Whom an agent took, whatever brought them together: nobody whom he may serve, and who waits still, was before
        him."""
        just_came = {e.call_id for e in events if e.type in ("call.queued", "call.place_kept")}
        has_room = {name for name in self.world.board.router.queues if self.has_room(name)}
        has_room -= {e.queue for e in events if e.type in LET_GO and self.world.board.floor.queue(e.queue).capacity}
        changed = {e.agent for e in events if e.type == "agent.state_changed"}
        for took in events:
            if took.type == "call.offered" and not self.world.late:
                self.was_first(took, just_came, has_room)
                self.was_chosen(took, changed)

    def was_first(self, took: Event, just_came: set[str], has_room: set[str]) -> None:
        agent, decided = self.world.board.people.agents[took.agent], took.data["decision"]
        first = self.key(decided["since"], decided["priority"])
        for call in self.waiting():
            visit = call.visit
            if visit is None or visit.offer or call.call_id in just_came:
                continue
            if self.world.board.router.routing.balance and visit.queue != took.queue:
                continue
            if visit.queue in has_room and self.may_serve(agent, visit, -SLACK):
                assert first <= self.key(visit.since, visit.priority), (decided, call)

    def was_chosen(self, took: Event, changed: set[str]) -> None:
        """Of those who could and are idle still nobody was idle longer, where that decides; nor anybody at all, where
        he took the call because he became free."""
        board, decided = self.world.board, took.data["decision"]
        call, agent = board.calls.live.get(took.call_id), board.people.agents[took.agent]
        if call is None or decided["rule"] not in ("longest_idle", "idle_limit", "next_caller"):
            return
        steps = ladder_of(board.floor.queue(took.queue), call.visit.skills if call.visit is not None else {}).steps
        for other in board.people.agents.values():
            if other.agent not in changed and self.is_free(other) and matches(steps[decided["step"]][1], other.skills):
                idle_longer = (agent.idle_since, agent.agent) < (other.idle_since, other.agent)
                assert decided["rule"] != "next_caller" and idle_longer, (decided, agent, other)

    def key(self, since: float, priority: int) -> tuple[float, float]:
        aging = self.world.board.router.routing.aging
        return (0, since - aging * priority) if aging else (-priority, since)

    @invariant()
    def everybody_has_his_position(self) -> None:
        """1, 2, 3... in each queue, in the order of the one key."""
        router, places = self.world.board.router, {}
        for call in self.waiting() if self.up else ():
            if call.visit is not None and not call.visit.offer:
                place = (*self.key(call.visit.since, call.visit.priority), call.call_id)
                places.setdefault(call.visit.queue, []).append(place)
        for one in callbacks(self.world) if self.up else ():
            place = (*self.key(one.since, one.priority), one.key)
            places.setdefault(one.queue, []).append(place)
        for line in places.values():
            assert [router.position(key) for *_, key in sorted(line)] == list(range(1, len(line) + 1))

    # ------------------------------------------------------------ and in the end

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        if world.link != "up":
            world.back(True)
        for person in list(world.persons.values()):
            world.gone(person)
        for name in list(world.legs):
            world.phone_gone(name)
        world.passes(20)
        for name in AGENTS:
            self.ask(SetAgentState(at=world.at, by="sup", agent=name, wish="not_ready", reason="over"))
        world.passes(70)
        self.every_offer_and_visit_has_one_result()
        assert not world.board.calls.live
        assert all(a.work == "idle" for a in world.board.people.agents.values())
        assert not any(world.board.waits.lengths.values())
        assert in_line(world) == set()

    def every_offer_and_visit_has_one_result(self) -> None:
        events = self.world.events
        types = Counter(e.type for e in events)
        assert types["call.arrived"] == types["call.ended"]
        visits = Counter((e.call_id, e.data["visit"]) for e in events if e.type == "call.queued")
        results = Counter((e.call_id, e.data["visit"]) for e in events if e.type == "call.dequeued")
        assert visits == results and set(visits.values()) <= {1}
        offers = Counter(e.data["offer"] for e in events if e.type == "call.offered")
        how = ("offer.missed", "offer.rejected", "offer.cancelled", "offer.caller_left", "call.connected")
        ends = Counter(e.data["offer"] for e in events if e.type in how)
        assert offers == ends and set(offers.values()) <= {1}
        assert types["call.connected"] == types["call.disconnected"] == types["call.wrapped"]
        answered = [e for e in events if e.type == "call.dequeued" and e.data["result"] == "answered"]
        assert len(answered) == sum(e.type == "call.connected" and e.data["visit"] is not None for e in events)


def number_of(number: int) -> str:
    return f"+62812000{number:04d}"


def callbacks(world: World) -> list[Callback]:
    """Those whose turn it may be."""
    return [one for one in world.board.callbacks.open.values() if one.key in world.board.router.stands]


def in_line(world: World) -> set[str]:
    """The calls that stand in the router's line; callbacks stand there as well."""
    return {key for key in world.board.router.stands if not key.startswith("callback/")}


Acd.TestCase.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAcd = Acd.TestCase

# The same in long walks, where queues are full and much is going on at once. How often each step is taken.
STEPS = {
    "arrives": 10, "caller_hangs_up": 2, "phone_answers": 5, "is_bridged": 4, "answers_and_talks": 8,
    "presses": 5, "phone_declines": 2, "agent_hangs_up": 4, "registers": 4, "wishes": 14, "wants_anothers_station": 1,
    "acts": 4, "changes_a_priority": 1, "moves_a_caller": 1, "ends_a_call": 0.5, "changes_skills": 1,
    "leaves_or_joins_the_company": 0.5, "publishes": 1, "time_passes": 10, "the_clock_is_set": 0.3,
    "callbacks_open_or_close": 1, "opens_the_desk": 1, "may_not_be_called": 1, "cancels_a_callback": 0.5,
    "an_old_fact_comes_again": 3, "the_link_breaks": 0.5, "killed": 0.5, "is_back": 6, "killed_and_back": 0.5,
}  # fmt: skip
INVARIANTS = [name for name in vars(Acd) if hasattr(vars(Acd)[name], "hypothesis_stateful_invariant")]


def one_step(machine: Acd, chance: random.Random, done: list[str]) -> None:
    """Take one and look."""
    name = chance.choices(list(STEPS), list(STEPS.values()))[0]
    step = getattr(machine, name)
    values = {key: chance.choice(CHOICES[key]) for key in signature(step).parameters}
    done.append(f"{machine.world.now:.2f} {name}({values})")
    step(**values)
    for look in INVARIANTS:
        getattr(machine, look)()


@pytest.mark.parametrize("seed", [*range(80), *(pytest.param(n, marks=pytest.mark.soak) for n in range(80, 1500))])
def test_a_long_walk(seed: int) -> None:
    chance, machine = random.Random(seed), Acd()
    machine.open(signed_on=set(AGENTS))
    done: list[str] = []
    try:
        for _ in range(300):
            one_step(machine, chance, done)
        machine.teardown()
    except Exception:
        print(*done[-30:], sep="\n")
        raise
