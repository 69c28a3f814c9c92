"""Routing and offers: a waiting call and a free agent meet, his phone rings, and the offer ends somehow.

Invariants: an agent has at most one offer, a visit has at most one, every offer ends with exactly one result. Routing
happens when a call or an agent becomes free, or when others may serve a call than before, and at no other time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cti.core.acd import Router
from cti.core.acd_match import Match
from cti.core.admission import gave_up
from cti.core.agent import LINK, MISSED, REJECTED, Agent
from cti.core.call import Call, Calls, Offer, gone_at
from cti.core.expect import Expect
from cti.core.ids import channel_id, offer_id
from cti.core.messages import (
    AnswerCall,
    ChannelGone,
    ChannelUp,
    ClockStepped,
    Event,
    HangUp,
    OriginateFailed,
    PeopleChanged,
    PickUp,
    Prompt,
    Push,
    RejectCall,
    Ring,
    StationState,
    SwitchDown,
    SwitchUp,
)  # fmt: skip
from cti.core.outbox import Outbox
from cti.core.people import People
from cti.core.queues import WHISPER_MOST, QueueConfig, matches, required_skills
from cti.core.said import whisper_prompts
from cti.errors import Refused

BRIDGE_WITHIN = 3.0  # s from the phone's answer to the bridge
RING_GRACE = 3.0  # s on top of the ring time before an offer without any fact is given up

# How a channel that never met its caller ended, by Q.850 cause: the offer's result and the agent's reason.
RESULTS = {17: ("rejected", "busy"), 21: ("rejected", REJECTED), 19: ("missed", MISSED), 18: ("missed", MISSED),
           16: ("missed", MISSED), 0: ("missed", MISSED)}  # fmt: skip
# What ends the time in which a call is with an agent.
LET_GO = ("call.disconnected", "offer.caller_left", "offer.missed", "offer.rejected", "offer.cancelled")


class Floor:
    """`calls` and `people` are shared and read only here; everything else changes by `apply(event)`."""

    def __init__(self, out: Outbox, calls: Calls, people: People, router: Router, epoch: int) -> None:
        self.out = out
        self.calls = calls
        self.people = people
        self.router = router
        self.epoch = epoch
        self.expect = Expect()
        self.customers: dict[str, dict[str, Any]] = {}
        self.nodes_down: set[str] = set()
        self.callbacks: Callable[[Match, float], None] = lambda match, at: None  # an agent for a callback
        self.final: Callable[[Call], bool] = lambda call: False  # whether the call is over with the conversation
        self._talks: dict[tuple[str, str], tuple[str, float]] = {}  # (call, agent): the queue, and when it began
        self.handlers: dict[type, Callable[[Any], None]] = {
            PeopleChanged: self._people_changed, AnswerCall: self._answer, RejectCall: self._reject,
            ChannelUp: self._channel_up, ChannelGone: self._channel_gone, OriginateFailed: self._originate_failed,
            SwitchUp: self._switch_up, SwitchDown: self._switch_down, StationState: self._station,
            ClockStepped: self._clock_stepped,
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {
            "bridge": self._due_bridge, "ring": self._due_ring, "moved": lambda _, at: self.route_moved(at),
        }  # fmt: skip

    def queue(self, name: str) -> QueueConfig:
        """A queue's settings; of one that is unknown, the defaults."""
        return self.router.queue(name)

    # ------------------------------------------------------------ fold

    def apply(self, event: Event) -> None:
        """Take an event in (after the call's own record has)."""
        if event.type == "call.offered":
            self.router.taken(event.queue)
        elif event.type in LET_GO:
            self.router.done(event.queue)
        elif event.type == "call.connected":
            self._talks[event.call_id, event.agent] = event.queue, event.at
        elif event.type == "call.wrapped":
            self._handled(event)
        elif event.type == "call.identified":
            self._identified(event)

    def _handled(self, event: Event) -> None:
        queue, began = self._talks.pop((event.call_id, event.agent), ("", 0.0))
        if queue:
            seconds = max(0.0, event.at - began)
            self.router.handled(event.agent, queue, seconds)
            self.expect.handled(event.agent, queue, seconds, event.at)

    def _identified(self, event: Event) -> None:
        """What is known of somebody else is not shown; who he is, is being looked up."""
        shown = self.customers.get(event.call_id, {"customers": ()})["customers"]
        if [str(customer.get("customer_id")) for customer in shown] != event.data["customers"]:
            self.customers.pop(event.call_id, None)

    def restored(self, at: float) -> None:
        """Those who wait are taken up when the queues are known (`Waits.configure`), phones that ring with SwitchUp."""

    # ------------------------------------------------------------ routing

    def react(self, event: Event) -> None:
        """Do what follows from an event that has just happened (not from one that is restored)."""
        if event.type == "agent.state_changed":
            self.route_agent(event.agent, event.at)
            self.route_moved(event.at)
        if event.type in LET_GO:
            self._room_made(event.queue, event.at)

    def route_call(self, key: str, at: float) -> None:
        """Offer this call, if it waits and an agent is free for it who has nobody to take before."""
        self.router.moved.discard(key)
        call = self.calls.live.get(key)
        if call is not None and call.node in self.nodes_down:
            return
        while key in self.router.stands:
            match = self.router.for_call(key, at)
            if match is None or not self._meet(match, at):
                return

    def route_agent(self, agent: str, at: float) -> None:
        """Offer this agent a call, if he is free and one waits for him."""
        while not self.nodes_down:
            match = self.router.for_agent(agent, at)
            if match is None or not self._meet(match, at):
                return

    def route_all(self, at: float) -> None:
        for agent in list(self.router.agents):
            self.route_agent(agent, at)
        self.route_moved(at)

    def route_moved(self, at: float) -> None:
        """Calls that others may serve than before."""
        for key in self.router.take_moved():
            self.route_call(key, at)

    def _room_made(self, queue: str, at: float) -> None:
        if self.queue(queue).capacity:
            self.route_queue(queue, at)

    def route_queue(self, queue: str, at: float) -> None:
        for key in self.router.in_turn(queue, at):
            self.route_call(key, at)

    def _meet(self, match: Match, at: float) -> bool:
        """Whether he waits no more: he is offered, or is a callback that may not be dialled after all."""
        call = self.calls.live.get(match.key)
        if call is None:
            self.callbacks(match, at)
        else:
            self.offer(call, match, at)
        return match.key not in self.router.stands

    def can_serve(self, agent: Agent, queue: str) -> bool:
        """Whether the agent has what a queue's own rule asks for, without relaxation."""
        return matches(required_skills(self.queue(queue), {}), agent.skills)

    # ------------------------------------------------------------ offers

    def offer(self, call: Call, match: Match, at: float) -> None:
        agent, visit = self.people.agents[match.agent], call.visit
        at = max(at, call.let_go_at, agent.since)  # the switch's time may be ahead of ours: no two offers overlap
        number = visit.number if visit is not None else None
        offer = offer_id(call.call_id, call.rings + 1, self.epoch, at)
        channel = channel_id(self.epoch, offer)
        recorded = self.queue(match.queue).recording == "always"
        self.out.emit(
            "call.offered", at, call_id=call.call_id, agent=agent.agent, queue=match.queue, offer=offer, visit=number,
            station=agent.station, channel_id=channel, recorded=recorded,
            decision=msgspec.to_builtins(match.decision),
        )  # fmt: skip
        self.people.move(agent, at, call_id=call.call_id, work="reserved")
        self.out.command(Push(type="screen_pop", agent=agent.agent, data=self.pop(call)))
        self._ring(call, agent, channel, match.queue, offer if recorded else "")
        self.out.wake(at + self.queue(match.queue).ring + RING_GRACE, "ring", channel)

    def _ring(self, call: Call, agent: Agent, channel: str, queue: str, recording: str) -> None:
        self.out.command(
            Ring(
                node=call.node, channel_id=channel, call_id=call.call_id, endpoint=agent.station, peer=call.channel,
                timeout=self.queue(queue).ring, caller=call.customer or call.caller_entered,
                caller_name=call.caller_name, recording_id=recording, whisper=self._whisper(call, queue),
                final=self.final(call),
            )
        )  # fmt: skip

    def _whisper(self, call: Call, queue: str) -> tuple[Prompt, ...]:
        return whisper_prompts(self.queue(queue).whisper, call.language, call.version)

    def pop(self, call: Call) -> dict[str, Any]:
        """The screen-pop's data: all that the page needs to draw it, the same while it rings and during the talk."""
        offer = call.offer
        about = {
            "call_id": call.call_id, "direction": call.direction, "caller": call.caller or call.caller_entered or None,
            "caller_name": call.caller_name, "called": call.called, "queue": offer.queue if offer else "",
            "flow_path": list(call.path), "variables": dict((call.line or {}).get("vars", {})),
            "waited_seconds": round(offer.waited, 1) if offer else 0.0, "identified_by": call.by or None,
            "decision": offer.decision if offer else None,
        }  # fmt: skip
        if call.callback:
            about["callback"] = {"requested_at": call.requested_at, "tries": call.tries}
        found = self.customers.get(call.call_id, {})
        return {"call": about, "customers": [], "history": [], "cases": []} | found

    def end_offer(self, call: Call, offer: Offer, at: float, result: str, reason: str = "") -> None:
        """An offer ended without a connect: the caller is back at his place, the agent as `result` asks."""
        at = max(at, offer.at)
        if call.ended_at is not None:
            result, reason = "caller_left", ""
            self._abandon(call, call.ended_at)
        self.out.emit(f"offer.{result}", at, call_id=call.call_id, agent=offer.agent, queue=offer.queue,
                      offer=offer.offer, reason=reason)  # fmt: skip
        agent = self.people.agents[offer.agent]
        if result in ("missed", "rejected") and agent.next_wish in (None, "ready"):
            self.people.move(agent, at, work="idle", wish="not_ready", reason=reason)
        else:
            self.people.move(agent, at, work="idle")

    def leave(self, call: Call, at: float, result: str, **more: Any) -> None:
        """A visit ends without an agent."""
        assert call.visit is not None
        visit = call.visit
        self.out.emit("call.dequeued", max(at, visit.entered_at), call_id=call.call_id, queue=visit.queue,
                      visit=visit.number, result=result, **more)  # fmt: skip

    def withdraw(self, call: Call, at: float, result: str, reason: str = "") -> None:
        """The phone that rings for this call, if one does, stops: the call is wanted elsewhere."""
        offer = call.offer
        if offer is not None and offer.connected_at is None:
            self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id))
            self.end_offer(call, offer, at, result, reason)

    def _ringing(self, channel: str) -> tuple[Call, Offer] | None:
        """The offer of an agent's channel, as long as it has not met its caller. Those of calls that are made for
        callbacks are seen to by `core.callback_calls`."""
        call = self.calls.by_channel.get(channel)
        if call is None or call.offer is None or call.offer.connected_at is not None or call.callback:
            return None
        return call, call.offer

    # ------------------------------------------------------------ facts

    def _channel_up(self, m: ChannelUp) -> None:
        ringing = self._ringing(m.uniqueid)
        if ringing is not None:
            self.calls.answered.add(m.uniqueid)
            first = WHISPER_MOST if self._whisper(ringing[0], ringing[1].queue) else 0.0
            self.out.wake(m.at + first + BRIDGE_WITHIN, "bridge", m.uniqueid)

    def _channel_gone(self, m: ChannelGone) -> None:
        ringing = self._ringing(m.uniqueid)
        if ringing is not None and m.uniqueid in self.calls.answered:
            self._not_bridged(*ringing, m.at)
        elif ringing is not None:
            self.end_offer(*ringing, m.at, *RESULTS.get(m.cause, ("missed", LINK)))
        self.calls.answered.discard(m.uniqueid)
        caller = self.calls.by_uniqueid.get(m.uniqueid)
        if caller is not None and caller.ended_at is None:
            self._caller_gone(caller, m.at)

    def _not_bridged(self, call: Call, offer: Offer, at: float) -> None:
        """The phone answered and was gone before it met the caller. Again with the same call: the phone is to blame."""
        again = offer.agent in call.unmet
        self.end_offer(call, offer, at, *(("missed", LINK) if again else ("cancelled", "not_bridged")))

    def _caller_gone(self, call: Call, at: float) -> None:
        """The caller left: his visit ends, his agent's phone stops ringing.

        When the phone has answered already, its channel will say whether they met; a whisper ends at once."""
        offer = call.offer
        if offer is not None and offer.connected_at is None and offer.channel_id in self.calls.answered:
            if self._whisper(call, offer.queue):
                self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id))
            return
        self._abandon(call, at)
        if offer is not None and offer.connected_at is None:
            self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id, cause=16))
            self.end_offer(call, offer, at, "caller_left")

    def _abandon(self, call: Call, at: float) -> None:
        if call.visit is None:
            return
        if call.uniqueid in self.calls.dropped:
            self.leave(call, at, "left")
        else:
            self.leave(call, at, gave_up(self.queue(call.visit.queue), at - call.visit.entered_at))

    def _originate_failed(self, m: OriginateFailed) -> None:
        ringing = self._ringing(m.uniqueid)
        if ringing is not None:
            self.end_offer(*ringing, m.at, "missed", MISSED if m.reason == "no_answer" else LINK)

    def _people_changed(self, m: PeopleChanged) -> None:
        self.route_all(m.at)

    def _station(self, m: StationState) -> None:
        self.route_moved(m.at)

    def _clock_stepped(self, m: ClockStepped) -> None:
        self.expect.shift(m.by)
        self._talks = {talk: (queue, began + m.by) for talk, (queue, began) in self._talks.items()}

    def _switch_down(self, m: SwitchDown) -> None:
        self.nodes_down.add(m.node)

    def _switch_up(self, m: SwitchUp) -> None:
        """Callers and ringing phones that the switch does not have any more are let go; then route again."""
        self.nodes_down.discard(m.node)
        live = {channel.uniqueid for channel in m.channels}
        self.calls.answered &= live
        for call in self.calls.missing(m):
            self._caller_gone(call, gone_at(m))
        for call in [call for call in self.calls.live.values() if call.node == m.node]:
            if call.offer is not None and call.offer.connected_at is None and not call.callback:
                self._still_rings(call, call.offer, call.offer.channel_id in live, m.at)
        for agent in self.people.agents.values():
            if agent.work == "reserved" and self._offer_of(agent) is None:
                self.people.move(agent, m.at, work="idle", idle_since=m.at)
        self.route_all(m.at)

    def _still_rings(self, call: Call, offer: Offer, live: bool, at: float) -> None:
        if live:
            rings_until = max(at, offer.at + self.queue(offer.queue).ring)
            self.out.wake(rings_until + RING_GRACE, "ring", offer.channel_id)
        else:
            self.end_offer(call, offer, at, "cancelled", "switch")

    def _offer_of(self, agent: Agent) -> Offer | None:
        call = self.calls.live.get(agent.call_id)
        return call.offer if call is not None and call.offer is not None and call.offer.agent == agent.agent else None

    # ------------------------------------------------------------ requests

    def offered_to(self, call_id: str, agent: str) -> tuple[Call, Offer]:
        """The call that is offered to the agent or connected with him. Raises Refused."""
        call = self.calls.live.get(call_id)
        if call is None or call.offer is None or call.offer.agent != agent:
            raise Refused("this call is not offered to you any more", "call_gone")
        return call, call.offer

    def _answer(self, m: AnswerCall) -> None:
        _, offer = self.offered_to(m.call_id, m.agent)
        if offer.connected_at is None:
            self.out.command(PickUp(agent=m.agent, call_id=m.call_id))

    def _reject(self, m: RejectCall) -> None:
        call, offer = self.offered_to(m.call_id, m.agent)
        if offer.connected_at is not None:
            raise Refused("the call is answered already", "already_answered")
        if call.node in self.nodes_down:
            raise Refused("the telephone system does not answer just now: the phone cannot be stopped", "switch_away")
        self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id, cause=21))
        self.end_offer(call, offer, m.at, "rejected", REJECTED)

    # ------------------------------------------------------------ deadlines

    def _overdue(self, kind: str, channel: str, at: float) -> tuple[Call, Offer] | None:
        """The offer to be given up now; while the link is down nobody knows what its phone does, so it has time."""
        ringing = self._ringing(channel)
        if ringing is None or ringing[0].node not in self.nodes_down:
            return ringing
        self.out.wake(at + RING_GRACE, kind, channel)
        return None

    def _due_bridge(self, channel: str, at: float) -> None:
        ringing = self._overdue("bridge", channel, at)
        if ringing is not None:
            self.out.command(HangUp(node=ringing[0].node, uniqueid=channel))
            self._not_bridged(*ringing, at)

    def _due_ring(self, channel: str, at: float) -> None:
        ringing = self._overdue("ring", channel, at)
        if ringing is not None and channel not in self.calls.answered:  # an answer has a deadline of its own
            self.out.command(HangUp(node=ringing[0].node, uniqueid=channel))
            self.end_offer(*ringing, at, "missed", MISSED)
