"""An office that calls customers back."""

from __future__ import annotations

from typing import Any

from cti.core.callbacks import Callback
from cti.core.ids import callback_id
from cti.core.messages import Bridged, CallbackDue, CallbacksFound, ChannelGone, ChannelNew, ChannelUp, HangUp, Ring
from cti.core.queues import CallbackRules, QueueConfig, Routing
from tests.core.office import Office

NUMBER = "+62812000777"

ASKS = {
    "flow": "main", "language": "en", "start": "wait",
    "nodes": {
        "wait": {"do": "queue", "queue": "sales", "priority": 4, "skills": {"english": 2}, "max_wait": "60s",
                 "timeout": "call_me", "answered": "hangup"},
        "call_me": {"do": "callback", "queue": "sales", "ask": False, "then": "hangup"},
    },
}  # fmt: skip

AT_ONCE = {
    "flow": "main", "language": "en", "start": "call_me",
    "nodes": {"call_me": {"do": "callback", "queue": "sales", "ask": False, "then": "hangup"}},
}  # fmt: skip


class Desk(Office):
    """`rules` of the callbacks of queue `sales`."""

    def __init__(self, flow: dict[str, Any] = AT_ONCE, rules: CallbackRules | None = None, **more: Any) -> None:
        self.rules = rules or CallbackRules()
        super().__init__(flow, more.pop("agents", None))
        self.settings(**more)

    def settings(self, **more: Any) -> None:
        sales = QueueConfig(name="sales", callback=self.rules, **more)
        queues = {"sales": sales, "support": QueueConfig(name="support", callback=self.rules)}
        self.board.waits.configure(queues, self.at, {}, Routing())
        self.board.callbacks.configured(self.at)
        self.wait(0)

    def found(self, *due: CallbackDue) -> list[Any]:
        return self.do(CallbacksFound(at=self.at, callbacks=due))

    def stored(self, *more: CallbackDue) -> None:
        """The database has those that are open, and more, and tells so."""
        self.found(*map(due_of, self.board.callbacks.open.values()), *more)

    def asks(self, number: str = NUMBER) -> Callback:
        """A caller asks to be called back and leaves."""
        caller = self.caller(number)
        caller.arrive()
        caller.heard()
        self.do(caller.facts(ChannelGone))
        self.stored()
        asked = self.last("callback.requested")
        return self.board.callbacks.open[callback_id(asked.call_id, asked.seq)]

    def rings(self, number: str = NUMBER) -> list[Ring]:
        return [c for c in self.commands if isinstance(c, Ring) and c.endpoint == f"{number}@t"]

    def made(self) -> Made:
        return Made(self)

    def ended(self) -> dict[str, Any]:
        return self.last("callback.ended").data

    def standing(self) -> list[str]:
        return [key for key in self.board.router.stands if key.startswith("callback/")]

    def hung_up(self) -> list[str]:
        return [c.uniqueid for c in self.commands if isinstance(c, HangUp)]


class Made:
    """The call that is made now, with its two phones."""

    def __init__(self, office: Desk) -> None:
        self.office = office
        self.call = next(c for c in reversed(office.board.calls.live.values()) if c.callback and c.ended_at is None)
        assert self.call.offer is not None
        self.agent, self.customer = self.call.offer.channel_id, self.call.uniqueid
        self.channel = f"PJSIP/2001-{office.calls:08x}"

    def fact(self, kind: type, uniqueid: str, **more: Any) -> list[Any]:
        return self.office.do(kind(at=self.office.at, uniqueid=uniqueid, **more))

    def rung(self) -> None:
        self.fact(ChannelNew, self.agent, channel=self.channel, context="agent")

    def agent_answers(self) -> list[Any]:
        self.rung()
        return self.fact(ChannelUp, self.agent)

    def customer_answers(self) -> None:
        self.fact(ChannelNew, self.customer, channel="PJSIP/t-00000001", context="agent")
        self.fact(ChannelUp, self.customer)
        self.fact(Bridged, self.customer, bridge="b1")
        self.fact(Bridged, self.agent, bridge="b1")

    def talk(self) -> None:
        self.agent_answers()
        self.customer_answers()


def due_of(one: Callback, **more: Any) -> CallbackDue:
    names = set(CallbackDue.__struct_fields__)
    return CallbackDue(**{name: getattr(one, name) for name in names} | more)
