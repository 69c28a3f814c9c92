"""Conversations: from the moment the agent's channel enters a bridge until it leaves it, and what hangs on it.

An agent's channel enters no other bridge than the caller's, so its own facts tell all: whatever the caller's channel
reports before, after or never, the record is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cti.core.call import Call, Calls, Offer, gone_at
from cti.core.floor import Floor
from cti.core.messages import (
    MAIN,
    Bridged,
    ChannelGone,
    Event,
    FinishRecording,
    HangUp,
    HangUpCall,
    HangupRequested,
    Release,
    SetDisposition,
    SwitchUp,
    Unbridged,
)  # fmt: skip
from cti.core.outbox import Outbox
from cti.core.people import People
from cti.errors import Refused

GHOST_AFTER = 0.3  # s from a hang-up request without a hang-up until we finish it (a race in Asterisk's bridging)
LEG_AFTER = 1.0  # s an agent's channel may outlive its conversation


class Talk:
    def __init__(self, out: Outbox, calls: Calls, people: People, floor: Floor) -> None:
        self.out = out
        self.calls = calls
        self.people = people
        self.floor = floor
        self._legs: set[str] = set()  # agents' channels whose conversation is over and that are not gone yet
        self.handlers: dict[type, Callable[[Any], None]] = {
            Bridged: self._bridged, Unbridged: self._unbridged, ChannelGone: self._channel_gone,
            HangupRequested: self._hangup_requested, HangUpCall: self._hang_up, SetDisposition: self._disposition,
            SwitchUp: self._switch_up,
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {"ghost": self._due_ghost, "leg": self._due_leg}

    def apply(self, event: Event) -> None:
        """Nothing is kept here that an event changes."""

    def react(self, event: Event) -> None:
        """Nothing follows."""

    def restored(self, at: float) -> None:
        """Ask again for the recordings of conversations that are over."""
        for call in self.calls.live.values():
            for recording in call.recordings if call.offer is None else ():
                self._finish(call, recording)

    # ------------------------------------------------------------ connect

    def _bridged(self, m: Bridged) -> None:
        call = self.calls.by_channel.get(m.uniqueid)
        if call is not None and call.offer is not None and call.offer.connected_at is None:
            self._connected(call, call.offer, m.at, m.bridge)

    def _connected(self, call: Call, offer: Offer, at: float, bridge: str) -> None:
        at = max(at, offer.at)  # the offer has our time, the bridge the switch's
        about: dict[str, Any] = {"call_id": call.call_id, "agent": offer.agent}
        queued: dict[str, Any] = {"queue": offer.queue, "visit": offer.visit}
        self.out.emit("call.connected", at, **about, **queued, offer=offer.offer, bridge=bridge)
        if call.visit is not None:
            self.out.emit("call.dequeued", at, **about, **queued, result="answered")
        if offer.recorded:
            self.out.emit("recording.started", at, **about, recording_id=offer.offer)
        self.people.move(self.people.agents[offer.agent], at, call_id=call.call_id, work="talking")

    # ------------------------------------------------------------ the end of a conversation

    def _unbridged(self, m: Unbridged) -> None:
        call = self.calls.by_channel.get(m.uniqueid)
        if call is not None:
            self._over(call, m.at)

    def _channel_gone(self, m: ChannelGone) -> None:
        call = self.calls.by_channel.get(m.uniqueid)
        if call is not None:
            self._over(call, m.at)
        self._legs.discard(m.uniqueid)
        left = self.calls.by_uniqueid.get(m.uniqueid)
        if left is not None and left.offer is not None and left.offer.connected_at is not None:
            self._end_leg(left, left.offer, m.at)

    def _end_leg(self, call: Call, offer: Offer, at: float) -> None:
        """The agent's channel has nobody to talk to any more: it must end soon."""
        self._legs.add(offer.channel_id)
        self.out.wake(at + LEG_AFTER, "leg", f"{call.node}/{offer.channel_id}")

    def _over(self, call: Call, at: float) -> None:
        """A conversation ended, if there was one: the agent wraps up, his recording is finished."""
        offer = call.offer
        if offer is None or offer.connected_at is None:
            return
        at = max(at, offer.connected_at)
        self.out.emit("call.disconnected", at, call_id=call.call_id, agent=offer.agent, queue=offer.queue,
                      offer=offer.offer, by=self._who(call, offer))  # fmt: skip
        self._end_leg(call, offer, at)
        if offer.offer in call.recordings:
            self._finish(call, offer.offer)
        self.people.begin_wrap_up(
            self.people.agents[offer.agent], call.call_id, at, self.floor.queue(offer.queue).wrap_up
        )  # fmt: skip

    def _who(self, call: Call, offer: Offer) -> str:
        if offer.channel_id in self.calls.requested:
            return "agent"
        return "system" if call.uniqueid in self.calls.dropped else "caller"

    def _finish(self, call: Call, recording: str) -> None:
        begun = call.recordings[recording]
        self.out.command(
            FinishRecording(
                node=call.node, recording_id=recording, call_id=call.call_id, agent=begun.agent,
                started_at=begun.started_at,
            )
        )  # fmt: skip

    # ------------------------------------------------------------ requests

    def _hang_up(self, m: HangUpCall) -> None:
        if m.agent:
            call, offer = self.floor.offered_to(m.call_id, m.agent)
            self.calls.requested.setdefault(offer.channel_id, m.at)
            self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id))
            return
        live = self.calls.live.get(m.call_id)
        if live is None or live.ended_at is not None:
            raise Refused("this call is over", "call_gone")
        self.calls.dropped.add(live.uniqueid)
        self.out.command(HangUp(node=live.node, uniqueid=live.uniqueid))
        self._release(live)

    def _disposition(self, m: SetDisposition) -> None:
        call = self.calls.live.get(m.call_id)
        agent = self.people.agents.get(m.agent)
        wraps_up = agent is not None and agent.call_id == m.call_id
        if call is None or not (wraps_up or m.agent in (call.agent, "")):
            raise Refused("this call is closed or another agent's", "call_gone")
        note = call.note if m.note is None else m.note
        self.out.emit("call.disposition_set", m.at, call_id=m.call_id, agent=m.agent, code=m.code, note=note)
        if agent is not None and wraps_up and agent.work == "wrap_up" and not m.draft:
            self.people.end_wrap_up(agent, m.at, "disposition", m.by)

    # ------------------------------------------------------------ ghosts, and what the switch has

    def _hangup_requested(self, m: HangupRequested) -> None:
        self.out.wake(m.at + GHOST_AFTER, "ghost", m.uniqueid)

    def _due_ghost(self, uniqueid: str, at: float) -> None:
        if uniqueid in self.calls.requested:
            call = self.calls.by_channel.get(uniqueid) or self.calls.by_uniqueid.get(uniqueid)
            node = call.node if call else MAIN
            self.out.command(HangUp(node=node, uniqueid=uniqueid))
            if uniqueid in self.calls.by_uniqueid:
                self._release(self.calls.by_uniqueid[uniqueid])

    def _release(self, call: Call) -> None:
        """A caller who talks is in no loop, and is let go when he is back in it (`Calls.is_leaving`)."""
        if call.offer is None or call.offer.connected_at is None:
            self.out.command(Release(node=call.node, uniqueid=call.uniqueid))

    def _due_leg(self, key: str, at: float) -> None:
        node, _, channel = key.partition("/")
        if channel not in self._legs:
            return
        self._legs.discard(channel)
        self.out.command(HangUp(node=node, uniqueid=channel))
        call = self.calls.by_channel.get(channel)
        if call is not None:
            self._over(call, at)

    def _switch_up(self, m: SwitchUp) -> None:
        """Conversations are what the switch's bridges say."""
        bridges = {channel.uniqueid: channel.bridge for channel in m.channels if channel.bridge}
        for call in list(self.calls.live.values()):
            if call.node != m.node or call.offer is None:
                continue
            together = bridges.get(call.offer.channel_id)
            if together is None or together != bridges.get(call.uniqueid):
                self._over(call, gone_at(m))
            elif call.offer.connected_at is None:
                self._connected(call, call.offer, m.at, together)
        for agent in self.people.agents.values():
            call_of = self.calls.live.get(agent.call_id)
            if agent.work == "talking" and (call_of is None or call_of.offer is None):
                self.people.begin_wrap_up(agent, agent.call_id, m.at, 0)
