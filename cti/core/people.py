"""Agents and stations: what people wish, what the system makes of it, and wrap-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cti.core import agent as moves
from cti.core.acd import Router
from cti.core.agent import LINK, Agent
from cti.core.call import Calls
from cti.core.messages import (
    ClockStepped,
    Event,
    PeopleChanged,
    SetAgentState,
    StationState,
    SwitchUp,
    Work,
    WrapUp,
)  # fmt: skip
from cti.core.outbox import Outbox
from cti.errors import BadInput, Refused

KEPT = ("wish", "reason", "work", "station", "next_wish", "next_reason", "idle_since", "wrap_until", "extended")


class People:
    """Tells the router who is signed on, who takes calls and who is free. Changes only by agent.state_changed."""

    def __init__(self, out: Outbox, calls: Calls, router: Router) -> None:
        self.out = out
        self.calls = calls
        self.router = router
        self.agents: dict[str, Agent] = {}
        self.stations: dict[str, bool] = {}
        self.heard: dict[str, bool] = {}  # of all phones the switch has told of, also those no station is known for yet
        self.handlers: dict[type, Callable[[Any], None]] = {
            PeopleChanged: self._people, StationState: self._station, SetAgentState: self._set_state,
            WrapUp: self._wrap_up, SwitchUp: self._switch_up, ClockStepped: self._clock_stepped,
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {"wrap": self._due_wrap}

    # ------------------------------------------------------------ fold

    def apply(self, event: Event) -> None:
        """Take an event in (after the call's own record has)."""
        if event.type != "agent.state_changed":
            return
        agent = self.agents.setdefault(event.agent, Agent(agent=event.agent))
        shown = agent.state, agent.reason
        for name in KEPT:
            setattr(agent, name, event.data[name])
        agent.call_id = event.call_id if agent.work != "idle" else ""
        if (agent.state, agent.reason) != shown or not agent.since:
            agent.since = event.at
        self._sort(agent, event.at)

    def react(self, event: Event) -> None:
        """Nothing follows here: the floor routes when an agent is free."""

    def restored(self, at: float) -> None:
        """Take up the wrap-ups that run."""
        for agent in self.agents.values():
            if agent.wrap_until is not None:
                self.out.wake(agent.wrap_until, "wrap", agent.agent)

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
        if work == "idle" and state["next_wish"] is not None and "wish" not in changes:
            state |= {"wish": state["next_wish"], "reason": state["next_reason"], "idle_since": at}
        if work == "idle" != agent.work and state["wish"] == "ready" and not self.stations.get(state["station"]):
            state |= {"wish": "not_ready", "reason": LINK}
        if work == "idle":
            state |= {"next_wish": None, "next_reason": "", "wrap_until": None, "extended": False}
        call = call_id or agent.call_id
        self.out.emit("agent.state_changed", at, agent=agent.agent, call_id=call if call in self.calls.live else "",
                      **state)  # fmt: skip

    def begin_wrap_up(self, agent: Agent, call_id: str, at: float, seconds: float) -> None:
        """After a conversation. `seconds` 0: none."""
        if seconds > 0:
            self.move(agent, at, call_id=call_id, work="wrap_up", wrap_until=at + seconds)
            self.out.wake(at + seconds, "wrap", agent.agent)
        else:
            self._end_wrap_up(agent, call_id, at, "none")

    def _end_wrap_up(self, agent: Agent, call_id: str, at: float, how: str) -> None:
        if call_id in self.calls.live:
            self.out.emit("call.wrapped", at, call_id=call_id, agent=agent.agent, how=how)
        self.move(agent, at, work="idle", idle_since=at)

    def _due_wrap(self, name: str, at: float) -> None:
        agent = self.agents[name]
        if agent.work == "wrap_up" and agent.wrap_until is not None and agent.wrap_until <= at:
            self._end_wrap_up(agent, agent.call_id, at, "timer")

    def _clock_stepped(self, m: ClockStepped) -> None:
        """Who has been idle for how long, and how long a wrap-up still goes, is as it was."""
        for agent in self.agents.values():
            if agent.wish != "logged_out" or agent.work != "idle":
                until = agent.wrap_until + m.by if agent.wrap_until is not None else None
                self.move(agent, m.at, idle_since=agent.idle_since + m.by, wrap_until=until)

    def _wrap_up(self, m: WrapUp) -> None:
        agent = self.agent(m.agent)
        if agent.work != "wrap_up" or agent.wrap_until is None:
            raise Refused("there is no wrap-up to change", "not_in_wrap_up")
        if m.action == "finish":
            self._end_wrap_up(agent, agent.call_id, m.at, "finish")
        elif agent.extended:
            raise Refused("the wrap-up was extended already", "already_extended")
        else:
            until = agent.wrap_until + max(agent.wrap_until - agent.since, 1.0)
            self.move(agent, m.at, call_id=agent.call_id, wrap_until=until, extended=True)
            self.out.wake(until, "wrap", agent.agent)

    # ------------------------------------------------------------ wishes

    def agent(self, name: str) -> Agent:
        """Raises BadInput when there is none of that name."""
        agent = self.agents.get(name)
        if agent is None or agent.gone:
            raise BadInput(f"there is no agent {name}", "no_such_agent")
        return agent

    def _set_state(self, m: SetAgentState) -> None:
        agent = self.agent(m.agent)
        station = m.station or agent.station or agent.usual_station
        if m.wish != "logged_out":
            self._check_station(agent, station)
        if m.wish == "ready" and not self.stations.get(station):
            text = f"station {station} is not reachable: is its phone on and registered?"
            raise Refused(text, "station_unreachable")
        if station != agent.station and agent.work == "idle":
            self._state_wish(agent, m.at, m.wish, m.reason, station=station)
        else:
            self._state_wish(agent, m.at, m.wish, m.reason)

    def _check_station(self, agent: Agent, station: str) -> None:
        if not station:
            raise Refused("choose a station to sign on at", "station_needed")
        if station not in self.stations:
            raise BadInput(f"there is no station {station}", "no_such_station")
        if station != agent.station and agent.work != "idle":
            raise Refused("the station can be changed when the call is over", "busy")
        for other in self.agents.values():
            if other is not agent and other.station == station and (other.wish, other.work) != ("logged_out", "idle"):
                raise Refused(f"{other.name or other.agent} is signed on at station {station}", "station_in_use")

    def _state_wish(self, agent: Agent, at: float, wish: str, reason: str, **changes: Any) -> None:
        if moves.WISH_MOVES[agent.work] == "next":
            self.move(agent, at, next_wish=wish, next_reason=reason, **changes)
        elif (agent.wish, agent.reason) != (wish, reason) or changes:
            idle_since = agent.idle_since if agent.wish == "ready" else at
            self.move(agent, at, wish=wish, reason=reason, idle_since=idle_since, **changes)

    # ------------------------------------------------------------ configuration and stations

    def _people(self, m: PeopleChanged) -> None:
        self.stations = {station: self.heard.get(station, False) for station in m.stations}
        for info in m.agents:
            agent = self.agents.setdefault(info.agent, Agent(agent=info.agent, since=m.at))
            agent.name, agent.skills, agent.usual_station, agent.gone = info.name, info.skills, info.station, False
            self._sort(agent, m.at)
        known = {info.agent for info in m.agents}
        for agent in list(self.agents.values()):
            if agent.agent not in known and not agent.gone:
                agent.gone = True
                self._sort(agent, m.at)
                self._state_wish(agent, m.at, "logged_out", "removed")

    def _station(self, m: StationState) -> None:
        """An agent whose phone is lost is not ready(link), and ready again when it is back."""
        self.heard[m.station] = m.reachable
        if m.station not in self.stations:
            return
        self.stations[m.station] = m.reachable
        for agent in self.agents.values():
            if agent.station != m.station:
                continue
            self._sort(agent, m.at)
            if agent.work == "idle" and agent.wish == "ready" and not m.reachable:
                self._state_wish(agent, m.at, "not_ready", LINK)
            elif m.reachable and (agent.wish, agent.reason, agent.work) == ("not_ready", LINK, "idle"):
                self._state_wish(agent, m.at, "ready", "")

    def _switch_up(self, m: SwitchUp) -> None:
        self.heard = dict.fromkeys(m.reachable, True)
        for station in self.stations:
            self._station(StationState(node=m.node, at=m.at, station=station, reachable=station in m.reachable))
