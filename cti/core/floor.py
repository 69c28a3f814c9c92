"""Queues, waiting callers, agents and offers.

Invariants: an agent has at most one offer, a visit has at most one, every offer and every visit ends with exactly one
result. Routing happens when a caller or an agent becomes free, and at no other time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cti.core import agent as moves
from cti.core.acd import CallerLine, Decision, FreeAgents, Waiting
from cti.core.agent import LINK, MISSED, REJECTED, Agent
from cti.core.call import Call, Calls, Offer
from cti.core.ids import channel_id, offer_id
from cti.core.messages import (
    MAIN, AnswerCall, Bridged, ChannelGone, ChannelUp, Event, FinishRecording, HangUp, HangUpCall, HangupRequested,
    LineReady, OriginateFailed, PeopleChanged, PickUp, Push, RejectCall, Ring, SetAgentState, SetDisposition,
    StationState, SwitchDown, SwitchUp, Unbridged, WrapUp,
)  # fmt: skip
from cti.core.outbox import Outbox
from cti.core.queues import QueueConfig, Requirement, matches, required_skills, requirement_at
from cti.errors import BadInput, Refused

GHOST_AFTER = 0.3  # s from a hang-up request without a hang-up until we finish it (a race in Asterisk's bridging)
BRIDGE_WITHIN = 3.0  # s from the phone's answer to the bridge
RING_GRACE = 3.0  # s on top of the ring time before an offer without any fact is given up
LEG_AFTER = 1.0  # s an agent's channel may outlive its conversation

# How a channel that never met its caller ended, by Q.850 cause: the offer's result and the agent's reason.
RESULTS = {17: ("rejected", "busy"), 21: ("rejected", REJECTED), 19: ("missed", MISSED), 18: ("missed", MISSED),
           16: ("missed", MISSED), 0: ("missed", MISSED)}  # fmt: skip


class Floor:
    """`calls` is the switchboard's and read only here."""

    def __init__(self, out: Outbox, calls: Calls, epoch: int) -> None:
        self.out = out
        self.calls = calls
        self.epoch = epoch
        self.queues: Mapping[str, QueueConfig] = {}
        self.agents: dict[str, Agent] = {}
        self.stations: dict[str, bool] = {}
        self.customers: dict[str, dict[str, Any]] = {}
        self.waiting = CallerLine()
        self.free = FreeAgents()
        self.offers: dict[str, Call] = {}  # by channel id of the agent's channel
        self.nodes_down: set[str] = set()
        self.lengths: dict[str, int] = {}  # open visits by queue
        self._bridges: dict[str, str] = {}
        self._up: set[str] = set()
        self.handlers: dict[type, Callable[[Any], None]] = {
            PeopleChanged: self._people, StationState: self._station, SetAgentState: self._set_state,
            WrapUp: self._wrap_up, AnswerCall: self._answer, RejectCall: self._reject, HangUpCall: self._hang_up,
            SetDisposition: self._disposition, ChannelUp: self._channel_up, ChannelGone: self._channel_gone,
            HangupRequested: self._hangup_requested, Bridged: self._bridged, Unbridged: self._unbridged,
            OriginateFailed: self._originate_failed, LineReady: self._line_ready, SwitchUp: self._switch_up,
            SwitchDown: self._switch_down,
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {
            "ghost": self._due_ghost, "bridge": self._due_bridge, "ring": self._due_ring, "leg": self._due_leg,
            "wrap": self._due_wrap, "max_wait": self._due_max_wait, "relax": self._due_relax,
        }  # fmt: skip

    def configure(self, queues: Mapping[str, QueueConfig]) -> None:
        """New queue settings hold from the next decision on; a queue that is gone serves those who still wait."""
        kept = {name: queue for name, queue in self.queues.items() if self.lengths.get(name)}
        self.queues = kept | dict(queues)

    # ------------------------------------------------------------ fold

    def apply(self, event: Event) -> None:
        """Take an event in (after the call's own record has)."""
        call = self.calls.live.get(event.call_id)
        if event.type == "agent.state_changed":
            self._apply_agent(event)
        elif call is not None and event.type in ("call.queued", "offer.missed", "offer.rejected", "offer.cancelled"):
            self._wait(call, event.at)
        elif event.type in ("call.dequeued", "call.offered"):
            self.waiting.remove(event.call_id)
        if event.type in ("call.queued", "call.dequeued"):
            change = 1 if event.type == "call.queued" else -1
            self.lengths[event.queue] = self.lengths.get(event.queue, 0) + change
        if call is not None and event.type == "call.offered" and call.offer is not None:
            self.offers[call.offer.channel_id] = call

    def _apply_agent(self, event: Event) -> None:
        agent = self.agents.setdefault(event.agent, Agent(agent=event.agent))
        shown = agent.state, agent.reason
        for name, value in event.data.items():
            setattr(agent, name, value)
        agent.call_id = event.call_id if agent.work != "idle" else ""
        if (agent.state, agent.reason) != shown or not agent.since:
            agent.since = event.at
        self._sort(agent)

    def _sort(self, agent: Agent) -> None:
        if agent.free and not agent.gone and self.stations.get(agent.station):
            self.free.add(agent.agent, agent.skills, agent.idle_since)
        else:
            self.free.remove(agent.agent)

    def _wait(self, call: Call, at: float) -> None:
        visit = call.visit
        if visit is not None and not visit.offer and call.ended_at is None:
            self.waiting.add(Waiting(-visit.priority, visit.entered_at, call.call_id), self._needs(call, at))

    def _needs(self, call: Call, at: float) -> Requirement:
        assert call.visit is not None
        queue = self.queues.get(call.visit.queue) or QueueConfig(name=call.visit.queue)
        return requirement_at(required_skills(queue, call.visit.skills), queue.relax, at - call.visit.entered_at)

    def restored(self, at: float) -> None:
        """All events of the past are folded: set the deadlines again and forget offers that have ended."""
        self.offers = {key: call for key, call in self.offers.items() if _ringing(call, key)}
        for call in self.calls.live.values():
            if call.visit is not None:
                self._set_deadlines(call)
            if call.offer is not None and call.offer.connected_at is None:
                self.out.wake(at + RING_GRACE, "ring", call.offer.channel_id)
            for recording in call.recordings if call.offer is None else ():
                self._finish(call, recording)
        for agent in self.agents.values():
            if agent.wrap_until is not None:
                self.out.wake(agent.wrap_until, "wrap", agent.agent)

    def _finish(self, call: Call, recording: str) -> None:
        started = call.connected_at or call.arrived_at
        self.out.command(
            FinishRecording(
                node=call.node, recording_id=recording, call_id=call.call_id, agent=call.agent, started_at=started
            )
        )  # fmt: skip

    # ------------------------------------------------------------ agents

    def _move(self, agent: Agent, at: float, *, call_id: str = "", **changes: Any) -> None:
        """Emit the agent's new state. When the work becomes idle, the wish that was kept takes effect."""
        if not moves.may(agent.work, changes.get("work", agent.work)):
            raise AssertionError(f"{agent.agent}: {agent.work} -> {changes['work']}")
        names = ("wish", "reason", "work", "station", "next_wish", "next_reason", "idle_since", "wrap_until", "extended")
        state = {name: getattr(agent, name) for name in names} | changes
        if state["work"] == "idle" and state["next_wish"] is not None and "wish" not in changes:
            state |= {"wish": state["next_wish"], "reason": state["next_reason"], "idle_since": at}
        if state["work"] == "idle":
            state |= {"next_wish": None, "next_reason": "", "wrap_until": None, "extended": False}
        self.out.emit("agent.state_changed", at, agent=agent.agent, call_id=call_id or agent.call_id, **state)
        if agent.agent in self.free:
            self._route_agent(agent, at)

    def _agent(self, name: str) -> Agent:
        agent = self.agents.get(name)
        if agent is None or agent.gone:
            raise BadInput(f"there is no agent {name}", "no_such_agent")
        return agent

    def _people(self, m: PeopleChanged) -> None:
        for info in m.agents:
            agent = self.agents.setdefault(info.agent, Agent(agent=info.agent, since=m.at))
            agent.name, agent.skills, agent.usual_station, agent.gone = info.name, info.skills, info.station, False
            self._sort(agent)
        known = {info.agent for info in m.agents}
        for agent in list(self.agents.values()):
            if agent.agent not in known and not agent.gone:
                agent.gone = True
                self._state_wish(agent, m.at, "logged_out", "removed")
        for station in m.stations:
            self.stations.setdefault(station, False)
        for name in list(self.free):
            self._route_agent(self.agents[name], m.at)

    def _set_state(self, m: SetAgentState) -> None:
        agent = self._agent(m.agent)
        station = m.station or agent.station or agent.usual_station
        if m.wish != "logged_out":
            self._check_station(agent, station)
        if m.wish == "ready" and not self.stations.get(station):
            raise Refused(f"station {station} is not reachable: is its phone on and registered?", "station_unreachable")
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
            if other is not agent and other.station == station and (other.wish != "logged_out" or other.work != "idle"):
                raise Refused(f"{other.name or other.agent} is signed on at station {station}", "station_in_use")

    def _state_wish(self, agent: Agent, at: float, wish: str, reason: str, **changes: Any) -> None:
        if moves.WISH_MOVES[agent.work] == "next":
            self._move(agent, at, next_wish=wish, next_reason=reason, **changes)
        elif (agent.wish, agent.reason) != (wish, reason) or changes:
            fresh = {"idle_since": at} if agent.wish != "ready" else {}
            self._move(agent, at, wish=wish, reason=reason, **fresh, **changes)

    def _station(self, m: StationState) -> None:
        self.stations[m.station] = m.reachable
        for agent in self.agents.values():
            if agent.station != m.station or agent.work != "idle":
                continue
            if not m.reachable and agent.wish == "ready":
                self._state_wish(agent, m.at, "not_ready", LINK)
            elif m.reachable and (agent.wish, agent.reason) == ("not_ready", LINK):
                self._state_wish(agent, m.at, "ready", "")

    # ------------------------------------------------------------ routing

    def react(self, event: Event) -> None:
        """Do what follows from an event that has just happened (not from one that is restored)."""
        if event.type == "call.queued":
            self._entered(self.calls.live[event.call_id], event.at)

    def _entered(self, call: Call, at: float) -> None:
        assert call.visit is not None
        queue = self.queues.get(call.visit.queue)
        if queue is None:
            self._leave(call, at, "failed")
        elif self.lengths[queue.name] > queue.max_size:
            self._leave(call, at, "full")
        else:
            self._set_deadlines(call)
            self._route_call(call, at)

    def _set_deadlines(self, call: Call) -> None:
        visit, queue = call.visit, self.queues.get(call.visit.queue) if call.visit else None
        if visit is None:
            return
        key = f"{call.call_id}/{visit.number}"
        if visit.max_wait:
            self.out.wake(visit.entered_at + visit.max_wait, "max_wait", key)
        for step in queue.relax if queue else ():
            self.out.wake(visit.entered_at + step.after, "relax", key)

    def _route_call(self, call: Call, at: float) -> None:
        if call.node in self.nodes_down or call.call_id not in self.waiting:
            return
        name, compared = self.free.best_for(self._needs(call, at))
        if name is not None:
            self._offer(call, self.agents[name], at, "longest_idle", compared)

    def _route_agent(self, agent: Agent, at: float) -> None:
        if self.nodes_down or agent.agent not in self.free:
            return
        key, compared = self.waiting.best_for(agent.skills)
        if key is not None:
            self._offer(self.calls.live[key.call_id], agent, at, "next_caller", compared)

    def _offer(self, call: Call, agent: Agent, at: float, rule: str, compared: int) -> None:
        visit = call.visit
        assert visit is not None
        queue = self.queues.get(visit.queue) or QueueConfig(name=visit.queue)
        offer = offer_id(call.call_id, call.rings + 1, self.epoch, at)
        channel = channel_id(self.epoch, offer)
        waited = at - visit.entered_at
        decision = Decision(
            rule=rule, waited=waited, priority=visit.priority, candidates=compared, idle=at - agent.idle_since
        )
        self.out.emit(
            "call.offered", at, call_id=call.call_id, agent=agent.agent, queue=visit.queue, offer=offer,
            visit=visit.number, station=agent.station, channel_id=channel,
            decision={name: getattr(decision, name) for name in decision.__struct_fields__},
        )  # fmt: skip
        self._move(agent, at, call_id=call.call_id, work="reserved")
        self.out.command(Push(type="screen_pop", agent=agent.agent, data=self.pop(call, at)))
        self.out.command(
            Ring(
                node=call.node, channel_id=channel, call_id=call.call_id, endpoint=agent.station, peer=call.channel,
                timeout=queue.ring, caller=call.caller or call.caller_entered, caller_name=call.caller_name,
                recording_id=offer if queue.recording == "always" else "",
            )
        )  # fmt: skip
        self.out.wake(at + queue.ring + RING_GRACE, "ring", channel)

    def can_serve(self, agent: Agent, queue: str) -> bool:
        """Whether the agent has what a queue's own rule asks for, without relaxation."""
        return matches(required_skills(self.queues[queue], {}), agent.skills)

    def pop(self, call: Call, at: float) -> dict[str, Any]:
        """The screen-pop's data: all that the page needs to draw it."""
        found = self.customers.get(call.call_id, {})
        queue = call.visit.queue if call.visit else call.offer.queue if call.offer else ""
        entered = call.visit.entered_at if call.visit else at
        line = call.line or {}
        about = {
            "call_id": call.call_id, "direction": call.direction, "caller": call.caller or call.caller_entered or None,
            "caller_name": call.caller_name, "called": call.called, "queue": queue, "flow_path": list(call.path),
            "variables": dict(line.get("vars", {})), "waited_seconds": round(max(0.0, at - entered), 1),
        }  # fmt: skip
        return {"call": about, "customers": [], "history": [], "cases": []} | found

    # ------------------------------------------------------------ offers and conversations

    def _channel_up(self, m: ChannelUp) -> None:
        if m.uniqueid in self.offers:
            self._up.add(m.uniqueid)
            self.out.wake(m.at + BRIDGE_WITHIN, "bridge", m.uniqueid)

    def _bridged(self, m: Bridged) -> None:
        call = self._call_of(m.uniqueid)
        if call is not None:
            self._bridges[m.uniqueid] = m.bridge
            if call.offer is not None:
                self._maybe_connected(call.offer.channel_id, call, m.at)

    def _call_of(self, uniqueid: str) -> Call | None:
        return self.offers.get(uniqueid) or self.calls.by_uniqueid.get(uniqueid)

    def _maybe_connected(self, channel: str, call: Call, at: float) -> None:
        together = self._bridges.get(channel)
        offer = call.offer
        if not together or self._bridges.get(call.uniqueid) != together or not _ringing(call, channel):
            return
        assert offer is not None
        if offer.connected_at is not None:
            return
        about: dict[str, Any] = {"offer": offer.offer, "visit": offer.visit}
        self.out.emit("call.connected", at, call_id=call.call_id, agent=offer.agent, queue=offer.queue, bridge=together,
                      **about)  # fmt: skip
        self.out.emit("call.dequeued", at, call_id=call.call_id, agent=offer.agent, queue=offer.queue,
                      visit=offer.visit, result="answered")  # fmt: skip
        queue = self.queues.get(offer.queue)
        if queue is not None and queue.recording == "always":
            self.out.emit("recording.started", at, call_id=call.call_id, agent=offer.agent, recording_id=offer.offer)
        self._move(self.agents[offer.agent], at, call_id=call.call_id, work="talking")

    def _unbridged(self, m: Unbridged) -> None:
        if self._bridges.get(m.uniqueid) == m.bridge:
            del self._bridges[m.uniqueid]
        call = self._call_of(m.uniqueid)
        if call is not None and call.offer is not None:
            self._over(call.offer.channel_id, call, m.at)

    def _over(self, channel: str, call: Call, at: float, by: str = "") -> None:
        """A conversation ended, if there was one: the agent wraps up, his recording is finished."""
        offer = call.offer
        if offer is None or offer.connected_at is None or offer.channel_id != channel:
            return
        self.out.emit("call.disconnected", at, call_id=call.call_id, agent=offer.agent, queue=offer.queue,
                      offer=offer.offer, by=by or self._who(channel, call))  # fmt: skip
        self.offers.pop(channel, None)
        self.out.wake(at + LEG_AFTER, "leg", channel)
        queue = self.queues.get(offer.queue) or QueueConfig(name=offer.queue)
        if offer.offer in call.recordings:
            self._finish(call, offer.offer)
        self._begin_wrap_up(self.agents[offer.agent], call, at, queue.wrap_up)

    def _who(self, channel: str, call: Call) -> str:
        if channel in self.calls.requested:
            return "agent"
        return "caller" if call.uniqueid in self.calls.requested else "system"

    def _begin_wrap_up(self, agent: Agent, call: Call, at: float, seconds: float) -> None:
        if seconds <= 0:
            self.out.emit("call.wrapped", at, call_id=call.call_id, agent=agent.agent, how="none")
            self._move(agent, at, work="idle", idle_since=at)
        else:
            self._move(agent, at, call_id=call.call_id, work="wrap_up", wrap_until=at + seconds)
            self.out.wake(at + seconds, "wrap", agent.agent)

    def _end_wrap_up(self, agent: Agent, at: float, how: str) -> None:
        if agent.call_id in self.calls.live:
            self.out.emit("call.wrapped", at, call_id=agent.call_id, agent=agent.agent, how=how)
        self._move(agent, at, work="idle", idle_since=at)

    def _end_offer(self, call: Call, offer: Offer, at: float, result: str, reason: str = "") -> None:
        """An offer ended without a connect: the caller is back at his place, the agent as `result` asks."""
        self.out.emit(f"offer.{result}", at, call_id=call.call_id, agent=offer.agent, queue=offer.queue,
                      offer=offer.offer, reason=reason)  # fmt: skip
        self.offers.pop(offer.channel_id, None)
        agent = self.agents[offer.agent]
        if result in ("missed", "rejected") and (agent.next_wish is None or agent.next_wish == "ready"):
            self._move(agent, at, work="idle", wish="not_ready", reason=reason)
        else:
            self._move(agent, at, work="idle")
        if call.visit is not None and call.ended_at is None:
            if call.visit.max_wait and at >= call.visit.entered_at + call.visit.max_wait:
                self._leave(call, at, "timeout")
            else:
                self._route_call(call, at)

    def _channel_gone(self, m: ChannelGone) -> None:
        self._bridges.pop(m.uniqueid, None)
        call = self.offers.get(m.uniqueid)
        if call is not None and call.offer is not None and call.offer.channel_id == m.uniqueid:
            self._agent_channel_gone(call, call.offer, m)
        self._up.discard(m.uniqueid)
        caller = self.calls.by_uniqueid.get(m.uniqueid)
        if caller is not None and caller.ended_at is None:
            self._caller_gone(caller, m.at)

    def _agent_channel_gone(self, call: Call, offer: Offer, m: ChannelGone) -> None:
        if offer.connected_at is not None:
            self._over(m.uniqueid, call, m.at)
        elif m.uniqueid in self._up:
            self._end_offer(call, offer, m.at, "cancelled", "not_bridged")
        else:
            result, reason = RESULTS.get(m.cause, ("missed", LINK))
            self._end_offer(call, offer, m.at, result, reason)

    def _originate_failed(self, m: OriginateFailed) -> None:
        call = self.offers.get(m.uniqueid)
        if call is not None and call.offer is not None and call.offer.connected_at is None:
            self._end_offer(call, call.offer, m.at, "missed", MISSED if m.reason == "no_answer" else LINK)

    def _caller_gone(self, call: Call, at: float) -> None:
        """The caller's channel ended: whatever waited for him is let go."""
        offer = call.offer
        if offer is not None and offer.connected_at is not None:
            self._over(offer.channel_id, call, at)
        if call.visit is not None:
            queue = self.queues.get(call.visit.queue)
            short = queue is not None and at - call.visit.entered_at < queue.short_abandon
            self._leave(call, at, "short_abandon" if short else "abandoned")
        if offer is not None and offer.connected_at is None:
            self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id, cause=16))
            self._end_offer(call, offer, at, "caller_left")

    def _leave(self, call: Call, at: float, result: str) -> None:
        assert call.visit is not None
        self.out.emit("call.dequeued", at, call_id=call.call_id, queue=call.visit.queue, visit=call.visit.number,
                      result=result)  # fmt: skip

    def _line_ready(self, m: LineReady) -> None:
        """A connected caller is back in the loop: the agent's side ended, even if AMI has not said so yet."""
        call = self.calls.by_uniqueid.get(m.uniqueid)
        if call is not None and call.offer is not None and (call.offer.connected_at or m.at) < m.at:
            self._bridges.pop(m.uniqueid, None)
            self._over(call.offer.channel_id, call, m.at, by="agent")

    def _hangup_requested(self, m: HangupRequested) -> None:
        self.out.wake(m.at + GHOST_AFTER, "ghost", m.uniqueid)

    # ------------------------------------------------------------ requests

    def _offer_of(self, call_id: str, agent: str) -> tuple[Call, Offer]:
        call = self.calls.live.get(call_id)
        if call is None or call.offer is None or call.offer.agent != agent:
            raise Refused("this call is not offered to you any more", "call_gone")
        return call, call.offer

    def _answer(self, m: AnswerCall) -> None:
        _, offer = self._offer_of(m.call_id, m.agent)
        if offer.connected_at is None:
            self.out.command(PickUp(agent=m.agent, call_id=m.call_id))

    def _reject(self, m: RejectCall) -> None:
        call, offer = self._offer_of(m.call_id, m.agent)
        if offer.connected_at is not None:
            raise Refused("the call is answered already", "already_answered")
        self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id, cause=21))
        self._end_offer(call, offer, m.at, "rejected", REJECTED)

    def _hang_up(self, m: HangUpCall) -> None:
        if not m.agent:
            call = self.calls.live.get(m.call_id)
            if call is None or call.ended_at is not None:
                raise Refused("this call is over", "call_gone")
            self.out.command(HangUp(node=call.node, uniqueid=call.uniqueid))
            return
        call, offer = self._offer_of(m.call_id, m.agent)
        self.calls.requested.setdefault(offer.channel_id, m.at)
        self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id))

    def _disposition(self, m: SetDisposition) -> None:
        call = self.calls.live.get(m.call_id)
        if call is None or m.agent not in (call.agent, ""):
            raise Refused("this call is closed or another agent's", "call_gone")
        self.out.emit("call.disposition_set", m.at, call_id=m.call_id, agent=m.agent, code=m.code, note=m.note)

    def _wrap_up(self, m: WrapUp) -> None:
        agent = self._agent(m.agent)
        if agent.work != "wrap_up" or agent.wrap_until is None:
            raise Refused("there is no wrap-up to change", "not_in_wrap_up")
        if m.action == "finish":
            self._end_wrap_up(agent, m.at, "finish")
        elif agent.extended:
            raise Refused("the wrap-up was extended already", "already_extended")
        else:
            call = self.calls.live.get(agent.call_id)
            queue = self.queues.get(call.path[-1] if call else "")
            until = agent.wrap_until + (queue.wrap_up if queue else 30.0)
            self._move(agent, m.at, call_id=agent.call_id, wrap_until=until, extended=True)
            self.out.wake(until, "wrap", agent.agent)

    # ------------------------------------------------------------ the switch comes and goes

    def _switch_down(self, m: SwitchDown) -> None:
        self.nodes_down.add(m.node)

    def _switch_up(self, m: SwitchUp) -> None:
        """Make the floor agree with what the switch has; then route again."""
        self.nodes_down.discard(m.node)
        live = {channel.uniqueid: channel for channel in m.channels}
        for call in list(self.calls.live.values()):
            if call.node == m.node and call.ended_at is None and call.uniqueid not in live:
                self._caller_gone(call, m.at)
        self._bridges = {uniqueid: channel.bridge for uniqueid, channel in live.items() if channel.bridge}
        for channel, call in list(self.offers.items()):
            self._reconcile(channel, call, m, channel in live, call.uniqueid in live)
        for agent in self.agents.values():
            if agent.work in ("reserved", "talking") and not self._busy_with(agent):
                self._move(agent, m.at, work="idle", idle_since=m.at) if agent.work == "reserved" else \
                    self._begin_wrap_up(agent, self.calls.live.get(agent.call_id) or Call(call_id=""), m.at, 0)  # fmt: skip
        for station in self.stations:
            self._station(StationState(node=m.node, at=m.at, station=station, reachable=station in m.reachable))
        for name in list(self.free):
            self._route_agent(self.agents[name], m.at)

    def _busy_with(self, agent: Agent) -> bool:
        call = self.calls.live.get(agent.call_id)
        return call is not None and call.offer is not None and call.offer.agent == agent.agent

    def _reconcile(self, channel: str, call: Call, m: SwitchUp, agent_up: bool, caller_up: bool) -> None:
        self._maybe_connected(channel, call, m.at)
        offer = call.offer
        if offer is None or call.node != m.node or offer.channel_id != channel:
            return
        apart = self._bridges.get(channel) is None or self._bridges.get(channel) != self._bridges.get(call.uniqueid)
        if offer.connected_at is not None and apart:
            self._over(channel, call, m.at)
        elif offer.connected_at is None and not agent_up:
            self._end_offer(call, offer, m.at, "cancelled", "switch")

    # ------------------------------------------------------------ deadlines

    def _due_ghost(self, uniqueid: str, at: float) -> None:
        if uniqueid in self.calls.requested:
            call = self._call_of(uniqueid)
            self.out.command(HangUp(node=call.node if call else MAIN, uniqueid=uniqueid))

    def _due_bridge(self, channel: str, at: float) -> None:
        call = self.offers.get(channel)
        if call is not None and call.offer is not None and call.offer.connected_at is None:
            self.out.command(HangUp(node=call.node, uniqueid=channel))
            self._end_offer(call, call.offer, at, "cancelled", "not_bridged")

    def _due_ring(self, channel: str, at: float) -> None:
        call = self.offers.get(channel)
        if call is not None and call.offer is not None and call.offer.connected_at is None:
            self.out.command(HangUp(node=call.node, uniqueid=channel))
            self._end_offer(call, call.offer, at, "missed", MISSED)

    def _due_leg(self, channel: str, at: float) -> None:
        self.out.command(HangUp(uniqueid=channel))

    def _due_wrap(self, name: str, at: float) -> None:
        agent = self.agents[name]
        if agent.work == "wrap_up" and agent.wrap_until is not None and agent.wrap_until <= at:
            self._end_wrap_up(agent, at, "timer")

    def _due_max_wait(self, key: str, at: float) -> None:
        call = self._visit(key)
        if call is not None and call.visit is not None and not call.visit.offer:
            self._leave(call, at, "timeout")

    def _due_relax(self, key: str, at: float) -> None:
        call = self._visit(key)
        if call is not None:
            self._wait(call, at)
            self._route_call(call, at)

    def _visit(self, key: str) -> Call | None:
        call_id, _, number = key.rpartition("/")
        call = self.calls.live.get(call_id)
        return call if call is not None and call.visit is not None and str(call.visit.number) == number else None


def _ringing(call: Call, channel: str) -> bool:
    return call.offer is not None and call.offer.channel_id == channel
