"""Numbers that a flow dials for a caller: from the ring to the end."""

from __future__ import annotations

from cti.core import ivr
from cti.core.call import Call
from cti.core.ids import channel_id, offer_id
from cti.core.messages import Bridged, ChannelGone, Event, HangUp, OriginateFailed, Ring, SwitchDown, SwitchUp
from cti.core.outbox import Outbox

# How the dialled channel ended, by Q.850 cause, when nobody answered; else: fail.
RESULTS = {17: "busy", 21: "busy", 18: "no_answer", 19: "no_answer", 16: "no_answer", 0: "no_answer"}
GRACE = 5.0  # s on top of the ring time before a phone without any fact is given up


class Dials:
    """`ringing`: the calls for which a number is dialled or talks, by the dialled channel's uniqueid."""

    def __init__(self, out: Outbox, epoch: int, trunk: str) -> None:
        self.out = out
        self.epoch = epoch
        self.trunk = trunk
        self.ringing: dict[str, Call] = {}
        self._down: set[str] = set()  # nodes whose link is down

    def apply(self, event: Event, call: Call) -> None:
        if event.type == "call.dialed" and call.dial is not None:
            self.ringing[call.dial.channel_id] = call
        elif event.type in ("call.dial_ended", "call.ended"):
            self.ringing = {key: one for key, one in self.ringing.items() if one is not call}

    def dial(self, call: Call, action: ivr.Dial, at: float) -> None:
        channel = channel_id(self.epoch, offer_id(call.call_id, call.rings + 1, self.epoch, at))
        inside = action.to.isdigit() and len(action.to) <= 6
        self.out.emit("call.dialed", at, call_id=call.call_id, to=action.to, channel_id=channel)
        self.out.command(
            Ring(
                node=call.node, channel_id=channel, call_id=call.call_id, peer=call.channel, timeout=action.timeout,
                endpoint=action.to if inside else f"{action.to}@{self.trunk}", caller=call.caller,
                caller_name=call.caller_name,
            )
        )  # fmt: skip
        self.out.wake(at + action.timeout + GRACE, "dial", channel)

    def bridged(self, m: Bridged) -> None:
        call = self.ringing.get(m.uniqueid)
        if call is not None and call.dial is not None and call.dial.connected_at is None:
            self.out.emit("call.dial_connected", m.at, call_id=call.call_id, to=call.dial.to)

    def originate_failed(self, m: OriginateFailed) -> None:
        call = self.ringing.get(m.uniqueid)
        if call is not None:
            self._over(call, m.at, "no_answer" if m.reason == "no_answer" else "fail")

    def due(self, channel: str, at: float) -> None:
        """Long enough; while the link is down nobody knows what the phone does: it has time."""
        call = self.ringing.get(channel)
        if call is None or _met(call):
            return
        if call.node in self._down:
            self.out.wake(at + GRACE, "dial", channel)
        else:
            self.out.command(HangUp(node=call.node, uniqueid=channel))
            self._over(call, at, "no_answer")

    def gone(self, m: ChannelGone) -> None:
        call = self.ringing.get(m.uniqueid)
        if call is not None:
            self._over(call, m.at, "answered" if _met(call) else RESULTS.get(m.cause, "fail"))

    def caller_left(self, call: Call, at: float) -> bool:
        """Whether he had talked to whom was dialled, who is let go."""
        assert call.dial is not None
        met = _met(call)
        self.out.command(HangUp(node=call.node, uniqueid=call.dial.channel_id))
        self._over(call, at, "answered" if met else "caller_left")
        return met

    def switch_down(self, m: SwitchDown) -> None:
        self._down.add(m.node)

    def switch_up(self, m: SwitchUp) -> None:
        self._down.discard(m.node)
        live = {channel.uniqueid for channel in m.channels}
        for channel, call in list(self.ringing.items()):
            if call.node == m.node and channel not in live:
                self._over(call, m.at, "answered" if _met(call) else "fail")

    def _over(self, call: Call, at: float, result: str) -> None:
        assert call.dial is not None
        self.out.emit("call.dial_ended", at, call_id=call.call_id, to=call.dial.to, result=result)


def _met(call: Call) -> bool:
    return call.dial is not None and call.dial.connected_at is not None
