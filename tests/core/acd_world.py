"""A whole office for the invariants of routing: several queues, agents, and a switch that obeys what it is told.

The switch is the truth: who is on the line, which phones ring, who talks with whom. What happens there becomes a fact
at once, or later when the link is down or the server dead, or is never told. `now` runs evenly, `at` is the machine's
clock, which can be set."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cti.core import ivr
from cti.core.ids import callback_id
from cti.core.messages import (
    AgentInfo,
    Bridged,
    CalendarsForced,
    CallbackDue,
    CallbacksFound,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    ClockStepped,
    CustomerFound,
    Event,
    Fact,
    FinishRecording,
    FlowsPublished,
    Forced,
    HangUp,
    HangupRequested,
    Hold,
    Input,
    LineDone,
    LineLost,
    LineReady,
    LiveChannel,
    LookUpCustomer,
    OriginateFailed,
    PeopleChanged,
    Play,
    RecordingFinished,
    Release,
    Ring,
    SwitchDown,
    SwitchUp,
    Tick,
    Unbridged,
)  # fmt: skip
from cti.core.switchboard import Settings, Switchboard
from tests.core.office import START

AGENTS = {
    "ani": {"sales": 5, "english": 2},
    "budi": {"sales": 1},
    "chen": {"sales": 2, "support": 2},
    "dewi": {"support": 1, "english": 1},
    "eka": {},
}
STATIONS = {name: str(2001 + n) for n, name in enumerate(AGENTS)}
QUEUES: dict[str, dict[str, Any]] = {
    "sales": {
        "skills": {"sales": 3}, "ring": "10s", "wrap_up": "5s", "max_wait": "60s",
        "relax": [{"after": "10s", "skills": {"sales": 1}}, {"after": "25s", "any_agent": True}],
        "return_within": "1m", "last_agent": "8s",
        "callback": {"tries": 2, "every": "1m", "ring": "10s", "calendar": "calls"},
    },
    "support": {
        "announce": {"position": True, "wait": True, "first": "5s", "every": "10s"}, "ring": "8s", "wrap_up": "0s",
        "max_wait": "40s", "agents": "fastest", "overflow": {"no_agents": "9s"},
        "callback": {"tries": 3, "every": "1m", "ring": "8s", "expires": "5m"},
    },
    "vips": {
        "skills": {"any": [{"sales": 3}, {"english": 2}]}, "relax": [{"after": "12s", "also": {"support": 1}}],
        "priority": 5, "ring": "10s", "wrap_up": "3s", "max_wait": "90s", "agents": "best_level", "idle_limit": "30s",
        "capacity": 2, "overflow": {"ratio": 3},
    },
    "small": {"skills": {}, "max_size": 2, "max_wait": "15s", "wrap_up": "1s", "ring": "6s",
              "overflow": {"no_agents": "0s"}},
    "desk": {
        "skills": {}, "calendar": "desk", "overflow": {"closing": True}, "wrap_up": "0s", "ring": "8s",
        "capacity": [{"calls": 1, "calendar": "desk"}, {"calls": 2}], "keep_idle": 1, "max_wait": "70s",
        "callback": {"tries": 2, "every": "1m", "ring": "10s"},
    },
}  # fmt: skip
NODES: dict[str, dict[str, Any]] = {
    "6000": {"wait": {"do": "queue", "queue": "sales", "answered": "more", "timeout": "more", "then": "hangup"},
             "more": {"do": "queue", "queue": "support", "then": "hangup"}},
    "6001": {"wait": {"do": "queue", "queue": "sales", "priority": 7, "then": "hangup"}},
    "6002": {"wait": {"do": "queue", "queue": "support", "skills": {"english": 1}, "then": "hangup"}},
    "6003": {"wait": {"do": "queue", "queue": "vips", "then": "hangup"}},
    "6007": {"wait": {"do": "queue", "queue": "sales", "options": {"1": "call_me"}, "timeout": "call_me",
                      "then": "hangup"},
             "call_me": {"do": "callback", "queue": "sales", "ask": False, "then": "hangup"}},
    "6008": {"call_me": {"do": "callback", "queue": "support", "ask": False, "then": "on"},
             "on": {"do": "queue", "queue": "sales", "timeout": "call_me", "then": "hangup"}},
    "6009": {"wait": {"do": "queue", "queue": "desk", "options": {"1": "call_me"}, "then": "call_me"},
             "call_me": {"do": "callback", "queue": "desk", "ask": False, "then": "hangup"}},
    "6004": {"wait": {"do": "queue", "queue": "small", "options": {"1": "more"}, "then": "hangup"},
             "more": {"do": "queue", "queue": "support", "options": {"2": "hangup"}, "then": "hangup"}},
    "6006": {"wait": {"do": "queue", "queue": "sales", "agent": "dewi", "agent_for": "20s", "options": {"1": "wait"},
                      "then": "hangup"}},
    "6005": {"wait": {"do": "say", "say": {"en": "Welcome"}, "then": "on"},
             "on": {"do": "queue", "queue": "vips", "max_wait": "20s", "then": "hangup"}},
}  # fmt: skip
VERSIONS: list[dict[str, dict[str, Any]]] = [
    QUEUES,
    {name: queue for name, queue in QUEUES.items() if name != "vips"},
    QUEUES | {"sales": QUEUES["sales"] | {"skills": {"sales": 1}, "relax": [], "max_wait": "30s"}},
    QUEUES | {"support": QUEUES["support"] | {"capacity": 1, "max_wait": "20s"},
              "sales": QUEUES["sales"] | {"keep_idle": 1}},
    QUEUES | {"vips": {"skills": {"chinese": 9}, "max_wait": "25s"}, "small": {"skills": {}, "max_size": 1}},
    {"support": QUEUES["support"] | {"skills": {"support": 2}}},
]


def site_book(version: int) -> ivr.Book:
    """One of the site's versions: the numbers whose queues are there."""
    queues = VERSIONS[version]
    routing = {"aging": ["60s", "0s", "5s"][version % 3], "balance": version == 2}
    files: dict[str, Any] = {
        "queues.yaml": {"queues": queues, "routing": routing}, "numbers.yaml": {"numbers": {}},
        "calendars.yaml": {"calendars": {"calls": {"time_zone": "UTC", "week": {"mon-sun": ["00:00-24:00"]}},
                                         "desk": {"time_zone": "UTC"}}},
    }  # fmt: skip
    for number, nodes in NODES.items():
        if all(node.get("queue", "support") in queues for node in nodes.values()):
            flow = f"f{number}"
            files[f"{flow}.yaml"] = {"flow": flow, "language": "en", "start": next(iter(nodes)), "nodes": nodes}
            files["numbers.yaml"]["numbers"][number] = flow
    made = ivr.load_book({name: ivr.Source(file=name, data=data) for name, data in files.items()})
    assert isinstance(made, ivr.Book), made
    return made


BOOKS = [site_book(n) for n in range(len(VERSIONS))]


@dataclass
class Person:
    """A caller on the line. `lost`: he hung up and the switch lost that (a ghost)."""

    uniqueid: str
    channel: str
    number: str
    called: str
    bridge: str = ""
    lost: bool = False


@dataclass
class Leg:
    """An agent's phone that rings, is up or talks."""

    ring: Ring
    since: float
    up_since: float | None = None
    bridge: str = ""

    @property
    def channel(self) -> str:
        return f"PJSIP/{self.ring.endpoint.partition('@')[0]}-{self.ring.channel_id[-8:]}"


@dataclass
class World:
    """`link`: up, down (no facts, no commands), dead (no server at all)."""

    at: float = START
    now: float = 0.0
    link: str = "up"
    epoch: int = 1
    version: int = 0
    published: list[int] = field(default_factory=lambda: [0])  # which of VERSIONS is version n + 1
    skills: dict[str, dict[str, int]] = field(default_factory=lambda: {n: dict(s) for n, s in AGENTS.items()})
    reachable: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(STATIONS.values(), True))
    persons: dict[str, Person] = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    sent: list[Fact] = field(default_factory=list)
    untold: list[Fact] = field(default_factory=list)
    errands: list[Any] = field(default_factory=list)  # commands the switch has still to obey
    callbacks: dict[str, CallbackDue] = field(default_factory=dict)  # open ones, as the database has them
    barred: set[str] = field(default_factory=set)  # numbers that may not be called
    after_hours: bool = False  # somebody has closed the calendar of callbacks
    holds: dict[str, Hold] = field(default_factory=dict)  # what each caller hears, while he hears music
    calls: int = 0
    late: bool = False  # it is being told of what is long past
    looked_at: float = 0.0  # when it was last compared which channels there are
    open_until: float = 0.0  # until then the desk is open

    def __post_init__(self) -> None:
        self.board = Switchboard(self.epoch, Settings(country="ID", trunk="t"))
        self.board.publish(BOOKS[0], FlowsPublished(at=self.at, version=1))
        self.people()
        self.switch_up()

    # ------------------------------------------------------------ the server

    def do(self, message: Input) -> list[Event]:
        """One input, as `engine` submits it. Raises what the core raises; a fault of the core is one of the test."""
        message = msgspec.structs.replace(message, at=min(message.at, self.at))
        output = self.board.handle(message)
        if output.fault is not None:
            raise output.fault
        self.events += output.events
        self.take(output.commands)
        self.stored(output.events)
        self.judge(output.events)
        return output.events

    def stored(self, events: list[Event]) -> None:
        """What the database knows of callbacks; the core is told when one is new or over."""
        for event in events:
            about = event.data
            if event.type == "callback.requested":
                name = callback_id(event.call_id, event.seq)
                self.callbacks[name] = CallbackDue(
                    callback_id=name, call_id=event.call_id, queue=event.queue, number=about["number"],
                    since=about.get("since") or event.at, priority=about.get("priority") or 0,
                    skills=about.get("skills") or {}, requested_at=event.at,
                )  # fmt: skip
                self.errands.append(event)
            elif event.type == "callback.ended":
                self.callbacks.pop(about["callback"], None)
            elif event.type == "callback.failed" and about["callback"] in self.callbacks:
                due = self.callbacks[about["callback"]]
                tries = due.tries + (about["result"] != "no_agent")
                self.callbacks[due.callback_id] = msgspec.structs.replace(
                    due, tries=tries, not_before=about["not_before"] or 0.0
                )
            elif event.type == "callback.moved" and about["callback"] in self.callbacks:
                due, kept = self.callbacks[about["callback"]], CallbackDue.__struct_fields__
                changed = {name: value for name, value in about.items() if name in kept}
                self.callbacks[due.callback_id] = msgspec.structs.replace(due, **changed)

    def found(self) -> None:
        """What the database has of callbacks."""
        due = (msgspec.structs.replace(one, barred=one.number in self.barred) for one in self.callbacks.values())
        self.do(CallbacksFound(at=self.at, callbacks=tuple(due)))

    def hours(self) -> None:
        """What the database has of calendars. The desk is opened by hand alone, and closes by itself."""
        closed = {"calls": Forced("closed", self.at + 1e6)} if self.after_hours else {}
        self.do(CalendarsForced(at=self.at, calendars=closed | {"desk": Forced("open", self.open_until)}))
        self.let_fall(self.at)

    def judge(self, events: list[Event]) -> None:
        """Whoever tests looks at what was decided, at this very moment."""

    def dials(self, ring: Ring) -> None:
        """Whoever tests looks whether this customer may be called back now."""

    def take(self, commands: list[Any]) -> None:
        for command in commands:
            if isinstance(command, Ring):
                if "@" in command.endpoint:
                    self.dials(command)
                self.legs[command.channel_id] = Leg(command, self.now)
            elif isinstance(command, Hold):
                self.holds[command.uniqueid] = command
            elif isinstance(command, HangUp | Release | FinishRecording | Play | LookUpCustomer):
                self.errands.append(command)

    def tell(self, kind: type, uniqueid: str, **more: Any) -> None:
        """A fact of the switch, now or when somebody listens again."""
        fact: Fact = kind(at=self.at, uniqueid=uniqueid, **more)
        if self.link == "up":
            self.sent.append(fact)
            self.do(fact)
        else:
            self.untold.append(fact)

    def people(self) -> None:
        """What the database says of agents and stations."""
        infos = tuple(AgentInfo(agent=n, name=n.title(), skills=s, station=STATIONS[n]) for n, s in self.skills.items())
        self.do(PeopleChanged(at=self.at, agents=infos, stations=tuple(STATIONS.values())))

    def publish(self, which: int) -> None:
        self.published.append(which)
        self.version = which
        self.board.publish(BOOKS[which], FlowsPublished(at=self.at, version=len(self.published)))
        self.let_fall(self.at)

    def let_fall(self, until: float) -> None:
        """What is due by then happens at its time."""
        while self.link != "dead" and (due := self.board.next_at) is not None and due <= until:
            self.now += max(0.0, due - self.at)
            self.at = max(self.at, due)
            self.do(Tick(at=self.at))

    def killed(self) -> None:
        self.link = "dead"

    def reborn(self) -> None:
        """A new server from the events alone, as `app` starts one."""
        over = [e for e in self.events if e.type in ("call.arrived", "call.ended")]
        running = {call.call_id for call in self.board.calls.live.values()}
        used = {call.version for call in self.board.calls.live.values()}
        past = sorted((e for e in self.events if e.call_id in running), key=lambda e: (e.call_id, e.seq))
        last = {e.agent: e for e in self.events if e.type == "agent.state_changed"}
        self.epoch += 1
        self.board = Switchboard(self.epoch, Settings(country="ID", trunk="t"))
        self.board.calls.remember_over(over)
        output = self.board.restore([*past, *last.values()], self.at)
        self.events += output.events
        self.link = "down"
        self.take(output.commands)
        self.people()
        for number in sorted({*used, len(self.published)} - {0}):
            self.board.publish(BOOKS[self.published[number - 1]], FlowsPublished(at=self.at, version=number))
        self.hours()
        self.found()

    def switch_down(self) -> None:
        self.do(SwitchDown(at=self.at))
        self.link = "down"

    def back(self, told: bool) -> None:
        """The link is there again. `told`: the switch's own journal says what happened meanwhile."""
        fresh = self.link == "dead"
        if fresh:
            self.reborn()
        self.link, self.late = "up", True
        missed, self.untold = self.untold, []
        for fact in missed if told else ():
            self.sent.append(fact)
            self.do(fact)
        self.switch_up()
        for person in list(self.persons.values()):
            if not person.bridge:
                if fresh:
                    self.tell(LineLost, person.uniqueid)
                self.ask(person)
        self.let_fall(self.at)
        self.late = False

    def switch_up(self) -> None:
        live = [LiveChannel(uniqueid=p.uniqueid, channel=p.channel, context="line", bridge=p.bridge)
                for p in self.persons.values()]  # fmt: skip
        live += [LiveChannel(uniqueid=name, channel=leg.channel, context="agent", bridge=leg.bridge,
                             state="Ringing" if leg.up_since is None else "Up")
                 for name, leg in self.legs.items()]  # fmt: skip
        reachable = tuple(station for station, yes in self.reachable.items() if yes)
        self.do(SwitchUp(at=self.at, asked_at=self.at, channels=tuple(live), reachable=reachable))

    # ------------------------------------------------------------ callers

    def arrives(self, number: str, called: str) -> Person:
        self.calls += 1
        uniqueid = f"x-{int(START)}.{self.calls}"
        person = self.persons[uniqueid] = Person(uniqueid, f"PJSIP/t-{self.calls:08x}", number, called)
        self.tell(ChannelNew, uniqueid, channel=person.channel, context="from-trunk", called=called, caller=number)
        self.ask(person)
        return person

    def ask(self, person: Person) -> None:
        """His channel stands in the loop and waits for an instruction; while nobody listens it asks again later."""
        if self.link == "up":
            self.tell(LineReady, person.uniqueid, channel=person.channel, called=person.called, caller=person.number)

    def leaves(self, person: Person, lost: bool = False) -> None:
        """He hangs up; `lost`: the switch forgets about it."""
        self.tell(HangupRequested, person.uniqueid)
        person.lost = lost
        if not lost:
            self.gone(person)

    def gone(self, person: Person, cause: int = 16) -> None:
        self.persons.pop(person.uniqueid, None)
        if person.bridge:
            self.apart(person.bridge)
        self.tell(ChannelGone, person.uniqueid, cause=cause)

    def apart(self, bridge: str) -> None:
        """A conversation ends: the agent's channel ends when it is told to, a caller is back in the loop."""
        for name, leg in list(self.legs.items()):
            if leg.bridge == bridge:
                leg.bridge, leg.since = "", -1.0
                self.tell(Unbridged, name, bridge=bridge)
        for person in list(self.persons.values()):
            if person.bridge == bridge:
                person.bridge = ""
                self.tell(Unbridged, person.uniqueid, bridge=bridge)
                self.ask(person)

    def presses(self, person: Person, key: str) -> None:
        """A key while he hears music; one that means nothing is not told."""
        hold = self.holds.get(person.uniqueid)
        if hold is not None and key in hold.keys and not person.bridge:
            del self.holds[person.uniqueid]
            self.tell(LineDone, person.uniqueid, op=hold.op, outcome="digits", digits=key)

    # ------------------------------------------------------------ agents' phones

    def ringing(self) -> list[str]:
        return [name for name, leg in self.legs.items() if leg.up_since is None]

    def answered(self) -> list[str]:
        return [name for name, leg in self.legs.items() if leg.up_since is not None and not leg.bridge]

    def talking(self) -> list[str]:
        return [name for name, leg in self.legs.items() if leg.bridge]

    def phone_answers(self, name: str) -> None:
        self.tell(ChannelNew, name, channel=self.legs[name].channel, context="agent")
        if name in self.legs:
            self.legs[name].up_since = self.now
            self.tell(ChannelUp, name)

    def bridges(self, name: str) -> None:
        """What the dialplan does with a phone that was answered."""
        leg = self.legs[name]
        if not leg.ring.peer and leg.since >= 0:
            return  # an agent who waits for the customer that is called for him
        here: list[Person | Leg] = [*self.persons.values(), *(one for one in self.legs.values() if not one.ring.peer)]
        peer = next((one for one in here if one.channel == leg.ring.peer and not one.bridge), None)
        if peer is None or leg.since < 0:
            self.phone_gone(name)
            return
        leg.bridge = peer.bridge = f"b-{name}"
        self.tell(Bridged, name, bridge=leg.bridge)
        if isinstance(peer, Person):
            self.tell(Bridged, peer.uniqueid, bridge=leg.bridge)
            self.tell(LineLost, peer.uniqueid)
        else:
            self.tell(Bridged, peer.ring.channel_id, bridge=leg.bridge)

    def phone_gone(self, name: str, cause: int = 16, told: bool = False) -> None:
        leg = self.legs.pop(name, None)
        if leg is None:
            return
        if leg.bridge:
            if told:
                self.tell(HangupRequested, name)
            self.tell(Unbridged, name, bridge=leg.bridge)
            self.apart(leg.bridge)
        self.tell(ChannelGone, name, cause=cause)
        if leg.up_since is None:
            self.tell(OriginateFailed, name, reason="no_answer" if cause == 19 else "failed")

    # ------------------------------------------------------------ time

    def obey(self) -> None:
        """The switch, the recorder and the database do what they were told."""
        while self.errands and self.link == "up":
            self.carry_out(self.errands.pop(0))

    def carry_out(self, command: Any) -> None:
        if isinstance(command, Event):  # the database tells what is new there
            self.found()
        elif isinstance(command, FinishRecording):
            self.do(RecordingFinished(
                at=self.at, recording_id=command.recording_id, call_id=command.call_id, agent=command.agent,
                path="x.wav", started_at=command.started_at, seconds=1.0, channels=2, bytes=9, sha256="",
            ))  # fmt: skip
        elif isinstance(command, LookUpCustomer):
            self.do(CustomerFound(at=self.at, call_id=command.call_id, customer_id=command.customer_id))
        elif isinstance(command, Play):
            if command.uniqueid in self.persons:
                self.tell(LineDone, command.uniqueid, op=command.op, outcome="done")
        elif command.uniqueid in self.persons:
            if not isinstance(command, Release) or not self.persons[command.uniqueid].bridge:
                self.gone(self.persons[command.uniqueid])
        else:
            self.phone_gone(command.uniqueid, command.cause)

    def passes(self, seconds: float) -> None:
        """Time goes by, a little at a time; the dialplan is quick, a phone stops ringing at its time."""
        until = self.now + seconds
        while self.now < until:
            target = min(self.now + 0.5, until)
            self.let_fall(self.at + target - self.now)
            self.at, self.now = self.at + max(0.0, target - self.now), max(target, self.now)
            self.obey()
            for name in self.answered():
                if name in self.legs:
                    self.bridges(name)
            for name in self.ringing():
                if name in self.legs and self.now >= self.legs[name].since + self.legs[name].ring.timeout:
                    self.phone_gone(name, 19)

            if self.link == "up" and self.now >= self.looked_at + 5.0:
                self.end_lost()

    def end_lost(self) -> None:
        """What `cti.lost` does every five seconds: a channel that the switch has not got is over."""
        self.looked_at = self.now
        listed = {*self.persons, *self.legs}
        for uniqueid in sorted(self.board.calls.lost("main", listed, self.at)):
            self.do(ChannelGone(at=self.at, uniqueid=uniqueid, cause=0))

    def clock_set(self, by: float) -> None:
        self.at += by
        if self.link != "dead":
            self.do(ClockStepped(at=self.at, by=by))
            self.let_fall(self.at)

    def some_old_fact(self, chance: random.Random) -> Fact | None:
        old = [f for f in self.sent[-40:] if not isinstance(f, LineReady | LineLost | Bridged)]
        return chance.choice(old) if old else None
