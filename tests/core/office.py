"""A small office for the core's tests: a switchboard, a book, agents, and a switch that is played by hand.

Times are seconds; `at` moves the clock, `office.events` is all that ever happened."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from cti.core import ivr
from cti.core.messages import (
    AgentInfo,
    Bridged,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    CustomerFound,
    Event,
    FlowsPublished,
    HangupRequested,
    Input,
    LineDone,
    LineLost,
    LineReady,
    PeopleChanged,
    Ring,
    SetAgentState,
    StationState,
    Tick,
    Unbridged,
)  # fmt: skip
from cti.core.queues import QueueConfig
from cti.core.switchboard import Settings, Switchboard

START = 1_800_000_000.0

FLOW = {
    "flow": "main", "language": "en", "start": "greet",
    "nodes": {
        "greet": {"do": "say", "say": {"en": "Welcome"}, "then": "sales"},
        "sales": {"do": "queue", "queue": "sales", "answered": "bye", "timeout": "sorry"},
        "bye": {"do": "say", "say": {"en": "Goodbye"}, "then": "hangup"},
        "sorry": {"do": "say", "say": {"en": "Sorry"}, "then": "hangup"},
    },
}  # fmt: skip


def book(flow: dict[str, Any] = FLOW, **queue: Any) -> ivr.Book:
    files = {
        "main.yaml": flow,
        "numbers.yaml": {"numbers": {"6000": "main"}},
        "queues.yaml": {"queues": {"sales": queue, "support": {}}},
        "voicemail.yaml": {"boxes": {"main": {"say": "Speak"}}},
        "surveys.yaml": {"surveys": {"after": {"questions": {"help": {"say": "Helped?", "keys": "1-5"}}}}},
        "calendars.yaml": {"calendars": {"office": {"time_zone": "UTC"}}},
    }
    made = ivr.load_book({name: ivr.Source(file=name, data=data) for name, data in files.items()})
    assert isinstance(made, ivr.Book), made
    return made


class Office:
    def __init__(self, flow: dict[str, Any] = FLOW, agents: dict[str, dict[str, int]] | None = None, **queue: Any):
        self.board = Switchboard(1, Settings(country="ID", trunk="t"))
        self.at = START
        self.events: list[Event] = []
        self.commands: list[Any] = []
        self.calls = 0
        self.agents = agents if agents is not None else {"ani": {"sales": 5}}
        self.board.publish(book(flow, **queue), FlowsPublished(at=self.at, version=1))
        infos = tuple(
            AgentInfo(agent=name, name=name.title(), skills=skills, station=str(2001 + i))
            for i, (name, skills) in enumerate(self.agents.items())
        )
        self.do(PeopleChanged(at=self.at, agents=infos, stations=tuple(i.station for i in infos)))
        for info in infos:
            self.do(StationState(at=self.at, station=info.station, reachable=True))

    def do(self, message: Input) -> list[Any]:
        output = self.board.handle(message)
        if output.fault is not None:
            raise output.fault
        self.events += output.events
        self.commands += output.commands
        return output.commands

    def wait(self, seconds: float) -> list[Any]:
        """Let time pass, deadline by deadline."""
        until, done = self.at + seconds, []
        while (due := self.board.next_at) is not None and due <= until:
            self.at = max(self.at, due)
            done += self.do(Tick(at=self.at))
        self.at = until
        return done

    def ready(self, *names: str) -> None:
        for name in names or self.agents:
            self.do(SetAgentState(at=self.at, by=name, agent=name, wish="ready"))
            self.at += 0.001

    def types(self, call_id: str = "") -> list[str]:
        return [e.type for e in self.events if e.type != "flow.at" and (not call_id or e.call_id == call_id)]

    def last(self, type: str) -> Event:
        return next(event for event in reversed(self.events) if event.type == type)

    def state(self, name: str) -> tuple[str, str]:
        agent = self.board.people.agents[name]
        return agent.state, agent.reason

    def caller(self, number: str = "0812000001", called: str = "6000") -> Caller:
        self.calls += 1
        return Caller(self, f"x-{int(START)}.{self.calls}", number, called)

    def waiting_caller(self, number: str = "0812000001") -> Caller:
        caller = self.caller(number)
        caller.arrive()
        caller.heard()
        return caller


class Caller:
    """A caller's channel, and the phone that is rung for it."""

    def __init__(self, office: Office, uniqueid: str, number: str, called: str) -> None:
        self.office, self.uniqueid, self.number, self.called = office, uniqueid, number, called
        self.channel = f"PJSIP/t-{uniqueid[-4:]}"

    @cached_property
    def call_id(self) -> str:
        return next(e.call_id for e in self.office.events if e.data.get("uniqueid") == self.uniqueid)

    @property
    def rings(self) -> list[Ring]:
        return [c for c in self.office.commands if isinstance(c, Ring) and c.peer == self.channel]

    @property
    def leg(self) -> str:
        return self.rings[-1].channel_id

    def facts(self, kind: type, **more: Any) -> Any:
        return kind(at=self.office.at, uniqueid=self.uniqueid, **more)

    def arrive(self, found: bool = True) -> None:
        office = self.office
        office.do(
            self.facts(ChannelNew, channel=self.channel, context="from-trunk", called=self.called, caller=self.number)
        )
        self.line()
        if found:
            office.do(CustomerFound(at=office.at, call_id=self.call_id))

    def line(self) -> list[Any]:
        return self.office.do(
            self.facts(LineReady, channel=self.channel, called=self.called, caller=self.number)
        )  # fmt: skip

    def heard(self, outcome: str = "done", digits: str = "") -> list[Any]:
        op = self.office.board.lines.steps[self.call_id].op
        return self.office.do(self.facts(LineDone, op=op, outcome=outcome, digits=digits))

    def rung(self) -> None:
        self.office.do(
            ChannelNew(at=self.office.at, uniqueid=self.leg, channel="PJSIP/2001-1", context="agent")
        )  # fmt: skip

    def answer(self, bridge: str = "b1") -> None:
        at, do = self.office.at, self.office.do
        self.rung()
        do(ChannelUp(at=at, uniqueid=self.leg))
        do(Bridged(at=at, uniqueid=self.leg, bridge=bridge))
        do(self.facts(Bridged, bridge=bridge))
        do(self.facts(LineLost))

    def agent_hangs_up(self, bridge: str = "b1") -> None:
        at, do, leg = self.office.at, self.office.do, self.leg
        do(HangupRequested(at=at, uniqueid=leg))
        do(Unbridged(at=at, uniqueid=leg, bridge=bridge))
        do(self.facts(Unbridged, bridge=bridge))
        do(ChannelGone(at=at, uniqueid=leg))
        self.line()

    def hangs_up(self, bridge: str = "b1") -> None:
        do, at = self.office.do, self.office.at
        offer = self.office.board.calls.by_uniqueid[self.uniqueid].offer
        do(self.facts(HangupRequested))
        if offer is not None and offer.connected_at is not None:
            do(self.facts(Unbridged, bridge=bridge))
            do(Unbridged(at=at, uniqueid=offer.channel_id, bridge=bridge))
            do(ChannelGone(at=at, uniqueid=offer.channel_id))
        do(self.facts(ChannelGone))


def queue(**settings: Any) -> QueueConfig:
    return QueueConfig(name="sales", **settings)
