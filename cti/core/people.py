"""Agents and stations: what people wish, what the system makes of it, and wrap-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cti.core import agent as moves
from cti.core.acd import Router
from cti.core.agent import LINK, REMOVED, Agent
from cti.core.call import Calls
from cti.core.ladder import ROUNDING
from cti.core.messages import (
    ClockStepped,
    Event,
    PeopleChanged,
    Push,
    SetAgentState,
    StationState,
    SwitchUp,
    Wish,
    Work,
    WrapUp,
)  # fmt: skip
from cti.core.outbox import Outbox
from cti.errors import BadInput, Refused

KEPT = {name: getattr(Agent(agent=""), name) for name in (
    "wish", "reason", "work", "station", "next_wish", "next_reason", "by", "next_by", "idle_since", "wrap_until",
    "extended", "keeps_idle",
)}  # fmt: skip


class People:
    """Tells the router who is signed on, who takes calls and who is free. Changes only by `apply`.

    limits: seconds an agent may be not ready for a reason; 0 or absent: as long as he likes."""

    def __init__(self, out: Outbox, calls: Calls, router: Router, limits: Mapping[str, float] | None = None) -> None:
        self.out = out
        self.calls = calls
        self.router = router
        self.limits = limits or {}
        self.agents: dict[str, Agent] = {}
        self.names: dict[str, str] = {}  # of users, by login
        self.stations: dict[str, bool] = {}
        self.heard: dict[str, bool] = {}  # of all phones the switch has told of, also those no station is known for yet
        self.handlers: dict[type, Callable[[Any], None]] = {
            PeopleChanged: self._people, StationState: self._station, SetAgentState: self._set_state,
            WrapUp: self._wrap_up, SwitchUp: self._switch_up, ClockStepped: self._clock_stepped,
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {"wrap": self._due_wrap, "limit": self._due_limit}

    # ------------------------------------------------------------ fold

    def apply(self, event: Event) -> None:
        """Take an event in (after the call's own record has)."""
        if event.type == "agent.state_changed":
            self._changed(self.agents.setdefault(event.agent, Agent(agent=event.agent)), event)
        elif event.type == "call.wrapped" and event.agent in self.agents:
            self.agents[event.agent].disposed = event.data["how"] == "disposition"
        elif event.type == "agent.over_limit":
            self.agents[event.agent].over_since = event.data["since"]

    def _changed(self, agent: Agent, event: Event) -> None:
        shown = agent.state, agent.reason
        for name, usual in KEPT.items():
            setattr(agent, name, event.data.get(name, usual))
        agent.call_id = event.call_id if agent.work != "idle" else ""
        if (agent.state, agent.reason) != shown or not agent.since:
            agent.since, agent.over_since = event.at, None
        agent.since = event.data.get("since", agent.since)
        agent.disposed = agent.disposed and agent.work != "talking"
        self._sort(agent, event.at)

    def react(self, event: Event) -> None:
        """Nothing follows here: the floor routes when an agent is free."""

    def restored(self, at: float) -> None:
        """Take up the wrap-ups and limits that run."""
        for agent in self.agents.values():
            if agent.wrap_until is not None:
                self.out.wake(agent.wrap_until, "wrap", agent.agent)
            self._watch_limit(agent)

    def _sort(self, agent: Agent, at: float) -> None:
        reachable = self.stations.get(agent.station, False)
        if agent.gone or (agent.wish == "logged_out" and agent.work == "idle"):
            self.router.sign_off(agent.agent, at)
        else:
            serving = reachable and (agent.next_wish or agent.wish) == "ready"
            self.router.sign_on(agent.agent, agent.skills, at, serving)
        if agent.free and not agent.gone and reachable:
            self.router.free(agent.agent, agent.skills, agent.idle_since)
        else:
            self.router.busy(agent.agent)

    # ------------------------------------------------------------ work

    def move(self, agent: Agent, at: float, *, call_id: str = "", **changes: Any) -> None:
        """Emit the agent's new state. When the work becomes idle, the wish that was kept takes effect."""
        work: Work = changes.get("work", agent.work)
        if not moves.may(agent.work, work):
            raise AssertionError(f"{agent.agent}: {agent.work} -> {work}")
        state = {name: getattr(agent, name) for name in KEPT} | changes
        if "wish" in changes:
            state["by"] = changes.get("by", "")
        elif work == "idle" and state["next_wish"] is not None:
            state |= {"wish": state["next_wish"], "reason": state["next_reason"], "by": state["next_by"]}
        if work == "idle" != agent.work and state["wish"] == "ready" and not self.stations.get(state["station"]):
            state |= {"wish": "not_ready", "reason": LINK, "by": ""}
        if work == "idle":
            state |= {"next_wish": None, "next_reason": "", "next_by": "", "wrap_until": None, "extended": False,
                      "keeps_idle": False}  # fmt: skip
        call, shown = call_id or agent.call_id, (agent.state, agent.reason)
        self.out.emit("agent.state_changed", at, agent=agent.agent, call_id=call if call in self.calls.live else "",
                      **state)  # fmt: skip
        if shown != (agent.state, agent.reason):
            self._watch_limit(agent)

    def begin_wrap_up(self, agent: Agent, call_id: str, at: float, seconds: float) -> None:
        """After a conversation. `seconds` 0: none."""
        call = self.calls.live.get(call_id)
        keeps_idle = not self.router.routing.outbound_counts and call is not None and call.direction == "outbound"
        if seconds > 0:
            self.move(
                agent, at, call_id=call_id, work="wrap_up", wrap_until=at + seconds, keeps_idle=keeps_idle
            )  # fmt: skip
            self.out.wake(at + seconds, "wrap", agent.agent)
        else:
            self._wrapped(call_id, agent, at, "none")
            self.move(agent, at, work="idle", idle_since=agent.idle_since if keeps_idle else at)

    def end_wrap_up(self, agent: Agent, at: float, how: str, by: str = "") -> None:
        """`how`: finish, disposition, timer, supervisor."""
        self._wrapped(agent.call_id, agent, at, how, by)
        self.move(agent, at, work="idle", idle_since=agent.idle_since if agent.keeps_idle else at)

    def _wrapped(self, call_id: str, agent: Agent, at: float, how: str, by: str = "") -> None:
        if call_id in self.calls.live:
            self.out.emit("call.wrapped", at, call_id=call_id, agent=agent.agent, how=how, by=by)

    def _due_wrap(self, name: str, at: float) -> None:
        agent = self.agents[name]
        if agent.work == "wrap_up" and agent.wrap_until is not None and agent.wrap_until <= at:
            self.end_wrap_up(agent, at, "timer")

    def _clock_stepped(self, m: ClockStepped) -> None:
        """Who has been idle for how long, and how long a wrap-up still goes, is as it was."""
        for agent in self.agents.values():
            since = agent.since + m.by if agent.since else 0.0
            if agent.wish == "logged_out" and agent.work == "idle":
                agent.since = since
            else:
                until = agent.wrap_until + m.by if agent.wrap_until is not None else None
                self.move(agent, m.at, idle_since=agent.idle_since + m.by, wrap_until=until, since=since)

    def _wrap_up(self, m: WrapUp) -> None:
        """Finishing what a disposition has just finished is no mistake."""
        agent = self.agent(m.agent)
        if agent.work != "wrap_up" or agent.wrap_until is None:
            if m.action != "finish" or not agent.disposed:
                raise Refused("there is no wrap-up to change", "not_in_wrap_up")
        elif m.action == "finish":
            self.end_wrap_up(agent, m.at, "finish" if m.by == agent.agent else "supervisor", m.by)
        elif agent.extended:
            raise Refused("the wrap-up was extended already", "already_extended")
        else:
            until = agent.wrap_until + max(agent.wrap_until - agent.since, 1.0)
            self.move(agent, m.at, call_id=agent.call_id, wrap_until=until, extended=True)
            self.out.wake(until, "wrap", agent.agent)

    # ------------------------------------------------------------ limits

    def _limit(self, agent: Agent) -> float:
        """Seconds; 0: none, or he takes calls."""
        return self.limits.get(agent.reason, 0.0) if agent.state == "not_ready" else 0.0

    def _watch_limit(self, agent: Agent) -> None:
        if limit := self._limit(agent):
            self.out.wake(agent.since + limit, "limit", agent.agent)

    def _due_limit(self, name: str, at: float) -> None:
        """Still not ready for the same reason, since then: he and the supervisors are told, once."""
        agent = self.agents[name]
        limit = self._limit(agent)
        if limit and agent.over_since is None and agent.since + limit <= at + ROUNDING:
            self.out.emit("agent.over_limit", at, agent=name, reason=agent.reason, since=agent.since + limit)
            data = {"code": "over_limit", "reason": agent.reason, "minutes": round(limit / 60, 1)}
            self.out.command(Push(type="notice", agent=name, data=data))

    # ------------------------------------------------------------ wishes

    def agent(self, name: str) -> Agent:
        """Raises BadInput when there is none of that name."""
        agent = self.agents.get(name)
        if agent is None or agent.gone:
            raise BadInput(f"there is no agent {name}", "no_such_agent")
        return agent

    def _set_state(self, m: SetAgentState) -> None:
        """Only who is not ready has a reason, and who signs off needs no station."""
        agent, off = self.agent(m.agent), m.wish == "logged_out"
        station = agent.station if off else m.station or agent.station or agent.usual_station
        if not off:
            self._check_station(agent, station)
        kept = agent.work != "idle" and agent.wish == "ready"  # he only takes back what he wanted next
        if m.wish == "ready" and not kept and not self.stations.get(station):
            text = f"station {station} is not reachable: is its phone on and registered?"
            raise Refused(text, "station_unreachable", station=station)
        changes = {"station": station} if station != agent.station and agent.work == "idle" else {}
        self._state_wish(agent, m.at, m.wish, m.reason if m.wish == "not_ready" else "", m.by, **changes)

    def _check_station(self, agent: Agent, station: str) -> None:
        if not station:
            raise Refused("choose a station to sign on at", "station_needed")
        if station not in self.stations:
            raise BadInput(f"there is no station {station}", "no_such_station")
        if station != agent.station and agent.work != "idle":
            raise Refused("the station can be changed when the call is over", "busy")
        for other in self.agents.values():
            if other is not agent and other.station == station and (other.wish, other.work) != ("logged_out", "idle"):
                name = other.name or other.agent
                raise Refused(f"{name} is signed on at station {station}", "station_in_use", name=name, station=station)

    def _state_wish(self, agent: Agent, at: float, wish: Wish, reason: str, by: str = "", **changes: Any) -> None:
        if moves.WISH_MOVES[agent.work] == "next":
            self.move(agent, at, next_wish=wish, next_reason=reason, next_by=by)
        elif (agent.wish, agent.reason) != (wish, reason) or changes:
            idle_since = moves.idle_from(agent, at) if wish == "ready" else agent.idle_since
            self.move(agent, at, wish=wish, reason=reason, by=by, idle_since=idle_since, **changes)

    # ------------------------------------------------------------ configuration and stations

    def _people(self, m: PeopleChanged) -> None:
        self.names = m.names
        before, self.stations = self.stations, {station: self.heard.get(station, False) for station in m.stations}
        for info in m.agents:
            agent = self.agents.setdefault(info.agent, Agent(agent=info.agent, since=m.at))
            agent.name, agent.skills, agent.usual_station, agent.gone = info.name, info.skills, info.station, False
            self._sort(agent, m.at)
        known = {info.agent for info in m.agents}
        for agent in list(self.agents.values()):
            if agent.agent not in known and not agent.gone:
                agent.gone = True
                self._sort(agent, m.at)
                self._state_wish(agent, m.at, "logged_out", REMOVED)
        for station in sorted(before.keys() | self.stations.keys()):
            if before.get(station, False) != self.stations.get(station, False):
                self._phone(station, m.at, self.stations.get(station, False))

    def _station(self, m: StationState) -> None:
        self.heard[m.station] = m.reachable
        if m.station in self.stations:
            back = m.reachable and not self.stations[m.station]
            self.stations[m.station] = m.reachable
            self._phone(m.station, m.at, back)

    def _phone(self, station: str, at: float, back: bool) -> None:
        """An agent whose phone is lost is not ready(link), and ready again when it is back; but not by being told once
        more that one is there which could not be rung."""
        reachable = self.stations.get(station, False)
        for agent in self.agents.values():
            if agent.station != station:
                continue
            self._sort(agent, at)
            if agent.work == "idle" and agent.wish == "ready" and not reachable:
                self._state_wish(agent, at, "not_ready", LINK)
            elif back and (agent.wish, agent.reason, agent.work) == ("not_ready", LINK, "idle"):
                self._state_wish(agent, at, "ready", "")

    def _switch_up(self, m: SwitchUp) -> None:
        self.heard = dict.fromkeys(m.reachable, True)
        for station in self.stations:
            self._station(StationState(node=m.node, at=m.at, station=station, reachable=station in m.reachable))
