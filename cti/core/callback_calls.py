"""The calls that are made for callbacks: the agent first, then the customer.

    the agent's phone rings      reserved like for any offer; when he does not take it, that is no try
    the customer's phone rings   from `call.placed` on, and that is a try, whatever becomes of it; the agent hears it
                                 ring. Busy, no answer: the agent is let go
    they talk                    as in any call (`core.talk`)

Such a call's `uniqueid` is the customer's channel, chosen before he is rung; his number is `called`. Until they are
bridged the floor leaves these calls alone, and everything about them is said here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cti.core.acd_match import Match
from cti.core.agent import LINK, MISSED, REJECTED
from cti.core.call import Call, Calls
from cti.core.callbacks import NO_AGENT, PREFIX, Callbacks
from cti.core.floor import BRIDGE_WITHIN, RESULTS, RING_GRACE, Floor
from cti.core.ids import channel_id, offer_id, placed_id
from cti.core.messages import (
    MAIN,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    CustomerFound,
    Event,
    HangUp,
    HangUpCall,
    LookUpCustomer,
    OriginateFailed,
    Push,
    Ring,
    SwitchUp,
)
from cti.core.outbox import Outbox

# How the customer's channel ended, by Q.850 cause; else: fail.
CUSTOMER = {17: "busy", 21: "busy", 18: "no_answer", 19: "no_answer", 20: "no_answer", 16: "no_answer", 0: "no_answer",
            1: "invalid_number", 22: "invalid_number", 28: "invalid_number"}  # fmt: skip
STOPPED = "stopped"  # by a supervisor
AGENT_LEFT = "agent_left"  # of a call whose agent hung up while the customer's phone was rung
OUTCOMES = ("busy", "no_answer", "invalid_number", "dropped")  # of v_calls; else: failed
OFFER_ENDS = ("offer.missed", "offer.rejected", "offer.cancelled", "offer.caller_left")


class CallbackCalls:
    def __init__(self, out: Outbox, calls: Calls, floor: Floor, callbacks: Callbacks, epoch: int) -> None:
        self.out = out
        self.calls = calls
        self.floor = floor
        self.callbacks = callbacks
        self.epoch = epoch
        self._names: dict[str, str] = {}  # channels of agents who are rung for a callback
        self._up: set[str] = set()  # customers who have answered and are not bridged yet
        self._past: set[str] = set()  # nodes that have still to tell what there is now
        self.handlers: dict[type, Callable[[Any], None]] = {
            ChannelNew: self._channel_new, ChannelUp: self._channel_up, ChannelGone: self._channel_gone,
            OriginateFailed: self._originate_failed, CustomerFound: self._customer_found, SwitchUp: self._switch_up,
            HangUpCall: self._hang_up,
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {
            "agent_phone": self._due_agent, "customer_phone": self._due_customer, "met": self._due_met,
        }  # fmt: skip

    def apply(self, event: Event) -> None:
        """What belongs to channels is forgotten when they have met, or the call is over."""
        if event.type in ("call.connected", "call.ended"):
            call = self.calls.live.get(event.call_id)
            self._up.discard(call.uniqueid if call is not None else "")

    def restored(self, at: float) -> None:
        """What rings is taken up with SwitchUp; what is told before that may be long past."""
        self._past = {call.node for call in self.calls.live.values() if call.calls_back}

    def react(self, event: Event) -> None:
        call = self.calls.live.get(event.call_id)
        if call is None or not call.callback:
            return
        if event.type in OFFER_ENDS and call.ended_at is None:
            self._without_agent(call, event.at)
        elif event.type == "call.identified" and call.calls_back:
            self._show(call)
        elif event.type == "call.connected":
            one = self.callbacks.open.get(call.callback)
            if one is not None:
                self.callbacks.end(one, event.at, "done", event.agent, to=call.call_id)

    # ------------------------------------------------------------ the agent

    def begin(self, match: Match, at: float) -> None:
        """It is its turn, and this agent is free: he is rung, unless it may not be made (any more)."""
        one = self.callbacks.open[match.key.removeprefix(PREFIX)]
        if MAIN in self.floor.nodes_down:
            return
        if not self.callbacks.may_ring(one, at):
            self.callbacks.look(one, at)
            return
        channel = channel_id(self.epoch, offer_id(one.callback_id, one.calls + 1, self.epoch, at))
        made = placed_id(channel, at)
        self.out.emit(
            "call.arrived", at, call_id=made, agent=match.agent, queue=one.queue, direction="outbound", caller=one.ours,
            caller_name="", called=one.number, caller_entered="", node=MAIN, uniqueid=channel, channel="",
            story_id=one.call_id, callback=one.callback_id, requested_at=one.requested_at, tries=one.tries,
            **self.callbacks.speaks(one),
        )  # fmt: skip
        self.out.emit("callback.dialed", at, call_id=one.call_id, agent=match.agent, queue=one.queue,
                      callback=one.callback_id, to=made, number=one.number, **{"try": one.tries + 1})  # fmt: skip
        self.floor.offer(self.calls.live[made], match, at)
        self.out.command(LookUpCustomer(node=MAIN, call_id=made, caller=one.number))
        self.out.wake(at + self.floor.queue(one.queue).ring + RING_GRACE, "agent_phone", made)

    def _customer_found(self, m: CustomerFound) -> None:
        """The page is told once more, with what is known of the number; of customers when `call.identified` says so."""
        call = self._underway(self.calls.live.get(m.call_id))
        if call is not None and not m.customer_id and not m.customers:
            self._show(call)

    def _show(self, call: Call) -> None:
        if call.offer is not None:
            self.out.command(Push(type="screen_pop", agent=call.offer.agent, data=self.floor.pop(call)))

    def _underway(self, call: Call | None) -> Call | None:
        """A call of ours whose two sides have not met."""
        return call if call is not None and call.calls_back else None

    def _of_agent(self, channel: str) -> Call | None:
        return self._underway(self.calls.by_channel.get(channel))

    def _of_customer(self, channel: str) -> Call | None:
        return self._underway(self.calls.by_uniqueid.get(channel))

    def _channel_new(self, m: ChannelNew) -> None:
        if self._of_agent(m.uniqueid) is not None:
            self._names[m.uniqueid] = m.channel

    def _channel_up(self, m: ChannelUp) -> None:
        call = self._of_agent(m.uniqueid)
        if call is not None:
            self.calls.answered.add(m.uniqueid)
            if call.node not in self._past | self.floor.nodes_down:
                self._place(call, m.at)
        elif (call := self._of_customer(m.uniqueid)) is not None:
            self._up.add(m.uniqueid)
            self.out.wake(m.at + BRIDGE_WITHIN, "met", call.call_id)

    def _agent_gone(self, call: Call, at: float, cause: int) -> None:
        """Before they met. Who has answered and does not wait for the customer has turned him down."""
        assert call.offer is not None
        left = call.placed or call.offer.channel_id in self.calls.answered
        result, reason = ("rejected", REJECTED) if left else RESULTS.get(cause, ("missed", LINK))
        self.floor.end_offer(call, call.offer, at, result, reason)

    def _without_agent(self, call: Call, at: float) -> None:
        """No try, unless the customer's phone was rung: he keeps his place and waits for another agent."""
        self._hang_up_customer(call)
        result = "dropped" if call.uniqueid in self._up else AGENT_LEFT if call.placed else NO_AGENT
        self._over(call, at, result, 0)

    # ------------------------------------------------------------ the customer

    def _place(self, call: Call, at: float) -> None:
        """The agent waits for him: ring him, once."""
        assert call.offer is not None
        if call.placed or call.offer.channel_id not in self._names or not self._may_ring(call, at):
            return
        self.out.emit("call.placed", at, call_id=call.call_id, agent=call.offer.agent, queue=call.offer.queue,
                      to=call.called, channel_id=call.uniqueid)  # fmt: skip
        self._ring_customer(call, at)

    def _may_ring(self, call: Call, at: float) -> bool:
        """Else the agent is let go: it has closed since his phone began to ring, say, or the number was barred."""
        one = self.callbacks.open.get(call.callback)
        may = one is not None and self.callbacks.may_ring(one, at)
        if not may:
            self.floor.withdraw(call, at, "cancelled", "not_now")
        return may

    def _ring_customer(self, call: Call, at: float) -> None:
        assert call.offer is not None
        ring = self.floor.queue(call.offer.queue).callback.ring
        self.out.command(
            Ring(
                node=call.node, channel_id=call.uniqueid, call_id=call.call_id, timeout=ring,
                endpoint=f"{call.called}@{self.callbacks.trunk}", peer=self._names[call.offer.channel_id],
                caller=call.caller,
            )
        )  # fmt: skip
        self.out.wake(at + ring + RING_GRACE, "customer_phone", call.call_id)

    def _hang_up_customer(self, call: Call) -> None:
        if call.placed:
            self.out.command(HangUp(node=call.node, uniqueid=call.uniqueid))

    def _failed(self, call: Call, at: float, result: str, cause: int = 0) -> None:
        """The customer was not reached: the agent is let go."""
        offer = call.offer
        if offer is not None:
            self.out.command(HangUp(node=call.node, uniqueid=offer.channel_id))
            self.floor.end_offer(call, offer, at, "cancelled", result)
        self._over(call, at, result, cause)

    def _over(self, call: Call, at: float, result: str, cause: int) -> None:
        at = max(at, call.arrived_at)
        self.out.emit("call.ended", at, call_id=call.call_id, cause=cause, side="system", leaving=False,
                      flow_result=result if result in OUTCOMES else "failed")  # fmt: skip
        one = self.callbacks.open.get(call.callback)
        if one is None:
            return
        rules = self.callbacks.rules(one)
        not_before = one.not_before if result == NO_AGENT else at + rules.every
        tried = NO_AGENT if result == STOPPED and not call.placed else result
        self.out.emit("callback.failed", at, call_id=one.call_id, queue=one.queue, callback=one.callback_id,
                      to=call.call_id, number=one.number, result=tried, not_before=not_before or None)  # fmt: skip
        if result == "invalid_number":
            self.callbacks.end(one, at, "failed", "system")

    # ------------------------------------------------------------ facts

    def _channel_gone(self, m: ChannelGone) -> None:
        call = self._of_agent(m.uniqueid)
        if call is not None:
            self._agent_gone(call, m.at, m.cause)
        elif (call := self._of_customer(m.uniqueid)) is not None:
            result = "dropped" if m.uniqueid in self._up else CUSTOMER.get(m.cause, "fail")
            self._failed(call, m.at, result, m.cause)
        self._names.pop(m.uniqueid, None)

    def _originate_failed(self, m: OriginateFailed) -> None:
        call = self._of_agent(m.uniqueid)
        if call is not None and call.offer is not None:
            self.floor.end_offer(call, call.offer, m.at, "missed", MISSED if m.reason == "no_answer" else LINK)
        elif (call := self._of_customer(m.uniqueid)) is not None:
            self._failed(call, m.at, "no_answer" if m.reason == "no_answer" else "fail")

    def _hang_up(self, m: HangUpCall) -> None:
        """A supervisor ends it before they met: the customer is not called before his next try."""
        call = self._underway(self.calls.live.get(m.call_id))
        if call is not None and not m.agent:
            self._hang_up_customer(call)
            self._failed(call, m.at, STOPPED)

    def _switch_up(self, m: SwitchUp) -> None:
        self._past.discard(m.node)
        live = {channel.uniqueid: channel for channel in m.channels}
        for call in list(self.calls.live.values()):
            if call.calls_back and call.node == m.node:
                agent = live.get(call.offer.channel_id) if call.offer is not None else None
                if agent is None:
                    self._agent_lost(call, m.at)
                else:
                    self._names[agent.uniqueid] = agent.channel
                    self._go_on(call, agent.state == "Up", call.uniqueid in live, m.at)

    def _agent_lost(self, call: Call, at: float) -> None:
        if call.offer is None:
            self._without_agent(call, at)
        else:
            self.floor.end_offer(call, call.offer, at, "cancelled", "switch")

    def _go_on(self, call: Call, answered: bool, rung: bool, at: float) -> None:
        """After a gap. Had the customer's phone been rung and that ended, it would have been told by now: one that is
        not there was not rung yet, and is, under the same name."""
        assert call.offer is not None
        queue = self.floor.queue(call.offer.queue)
        if not answered:
            self.out.wake(at + queue.ring + RING_GRACE, "agent_phone", call.call_id)
            return
        self.calls.answered.add(call.offer.channel_id)
        if not call.placed:
            self._place(call, at)
        elif rung:
            self.out.wake(at + queue.callback.ring + RING_GRACE, "customer_phone", call.call_id)
        elif self._may_ring(call, at):
            self._ring_customer(call, at)

    # ------------------------------------------------------------ deadlines

    def _overdue(self, kind: str, name: str, at: float) -> Call | None:
        """The call that is to be given up now; while the link is down nobody knows what its phones do: it has time."""
        call = self._underway(self.calls.live.get(name))
        if call is None or call.node not in self.floor.nodes_down:
            return call
        self.out.wake(at + RING_GRACE, kind, name)
        return None

    def _due_agent(self, name: str, at: float) -> None:
        call = self._overdue("agent_phone", name, at)
        if call is not None and not call.placed and call.offer is not None:
            self.out.command(HangUp(node=call.node, uniqueid=call.offer.channel_id))
            self.floor.end_offer(call, call.offer, at, "missed", MISSED)

    def _due_customer(self, name: str, at: float) -> None:
        call = self._overdue("customer_phone", name, at)
        if call is not None:
            self._hang_up_customer(call)
            self._failed(call, at, "no_answer")

    def _due_met(self, name: str, at: float) -> None:
        call = self._overdue("met", name, at)
        if call is not None and call.uniqueid in self._up:
            self._hang_up_customer(call)
            self._failed(call, at, "dropped")
