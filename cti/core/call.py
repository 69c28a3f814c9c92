"""The record of one live call: a fold of its events, whatever their order. The database folds the same events
into its rows; this one holds only what the next decision needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from cti.core.messages import MAIN, Event, SwitchUp

KEYS = frozenset("0123456789*#")
SLACK = 2.0  # s that the switch's clock and ours may differ


class Visit(msgspec.Struct, kw_only=True):
    """One wait in a queue. `offer` is the offer that is ringing now, if any; `since` the place in time that he has,
    earlier than he entered when he kept one; `minutes` what he was last told he would wait."""

    number: int
    queue: str
    entered_at: float
    since: float
    priority: int = 0
    skills: dict[str, Any] = {}
    max_wait: float = 0.0
    offer: str = ""
    keys: str = ""
    raised: list[str] = []
    prefer: str = ""
    prefer_until: float = 0.0
    prefer_why: str = "named"
    minutes: int | None = None


class Offer(msgspec.Struct, kw_only=True):
    """A visit proposed to an agent; after the connect, their conversation. `waited`: s, until it was proposed."""

    offer: str
    call_id: str
    agent: str
    queue: str
    visit: int
    station: str
    channel_id: str
    at: float
    waited: float = 0.0
    recorded: bool = False
    decision: dict[str, Any] = {}
    connected_at: float | None = None


class Dial(msgspec.Struct, kw_only=True):
    """A number the flow dials for the caller."""

    to: str
    channel_id: str
    connected_at: float | None = None


class Recording(msgspec.Struct, frozen=True):
    """Whose conversation is recorded, and since when; no agent: a message of the caller."""

    agent: str
    started_at: float


class Call(msgspec.Struct, kw_only=True):
    call_id: str
    node: str = MAIN
    uniqueid: str = ""
    channel: str = ""
    direction: str = "inbound"
    caller: str = ""
    caller_entered: str = ""
    caller_name: str = ""
    called: str = ""
    arrived_at: float = 0.0
    queued_at: float = 0.0  # the last time
    identified: list[str] = []  # customers: who he is, or who has his number
    by: str = ""  # what tells so: number, flow or pin
    callback: str = ""  # that this call was made for; the customer is `called`, `uniqueid` his channel
    requested_at: float = 0.0  # when it was asked for
    tries: int = 0  # calls made for it before, in vain
    placed: bool = False  # his phone has been rung
    who: str = ""  # the customer, when the flow has found out; empty: the number tells
    version: int = 0
    language: str = ""
    line: dict[str, Any] | None = None  # the flow's position, as core.ivr gave it
    node_since: float = 0.0  # when the caller came into that node
    path: list[str] = []
    flow_over: str = ""
    leaving: bool = False  # the caller is gone, and the flow does what is still to be done without him
    messages: int = 0  # recorded by the caller
    visit: Visit | None = None
    visits: int = 0
    waited: dict[str, dict[str, Any]] = {}  # by queue, the last wait since an agent talked: since, priority, skills
    rings: int = 0
    offer: Offer | None = None
    let_go_at: float = 0.0  # when the last offer ended
    unmet: list[str] = []  # agents whose phone answered and was gone before the bridge
    dial: Dial | None = None
    dialed: str = ""  # how the last dial ended, until the flow has gone on
    dequeued: str = ""  # how the last visit ended, until the flow has gone on
    pressed: str = ""  # the key that ended it
    talked: bool = False  # the last conversation is over and the flow has not gone on yet
    agent: str = ""  # who talked last
    last_by: str = ""  # who ended the last conversation
    nodes_since: int = 0  # flow nodes since then
    recordings: dict[str, Recording] = {}  # begun and not yet finished
    connected_at: float | None = None
    ended_at: float | None = None
    wrapped_at: float | None = None
    disposition: str = ""
    note: str = ""
    stored_from: float = 0.0  # the clock was set back during the call: nothing more is stored as earlier than this
    seq: int = 0

    def apply(self, event: Event) -> None:
        """Take one event in. Unknown types only count."""
        self.seq = max(self.seq, event.seq)
        fold = _FOLDS.get(event.type)
        if fold is not None:
            fold(self, event)

    @property
    def customer(self) -> str:
        """The number of the customer."""
        return self.called if self.direction == "outbound" else self.caller

    @property
    def calls_back(self) -> bool:
        """Made for a callback whose customer and agent have not met, and may still."""
        return bool(self.callback) and self.connected_at is None and self.ended_at is None

    @property
    def finished(self) -> bool:
        """Nothing more is expected: the caller left, whoever talked last has wrapped up, recordings are finished."""
        if self.ended_at is None or self.recordings or self.offer is not None or self.visit is not None or self.leaving:
            return False
        return self.connected_at is None or self.wrapped_at is not None


class Calls:
    """The calls that are not finished, and which channel is whose.

    Uniqueids are unique over all nodes (each node's begin with a name of its own), so they are the only key."""

    KEEP_OVER = 20_000

    def __init__(self) -> None:
        self.live: dict[str, Call] = {}
        self.by_uniqueid: dict[str, Call] = {}
        self.by_channel: dict[str, Call] = {}  # by the channel of the agent who is rung or talks
        self.requested: dict[str, float] = {}  # channels whose far end hung up and that are not gone yet
        self.answered: set[str] = set()  # agents' channels that are up and not gone yet
        self.dropped: set[str] = set()  # callers' channels that a supervisor ended
        self._over: dict[str, None] = {}

    def fold(self, event: Event) -> None:
        """Take in one event of a call."""
        call = self.live.get(event.call_id)
        if call is None:
            call = self.live[event.call_id] = Call(call_id=event.call_id)
        before = call.offer
        call.apply(event)
        if event.type == "call.arrived":
            self.by_uniqueid[call.uniqueid] = call
        if before is not call.offer:
            if before is not None:
                self.by_channel.pop(before.channel_id, None)
            if call.offer is not None:
                self.by_channel[call.offer.channel_id] = call

    def forget(self, call: Call) -> None:
        """The call is finished; its uniqueid is remembered for a while, so that a late fact does not revive it."""
        self.live.pop(call.call_id, None)
        self.by_uniqueid.pop(call.uniqueid, None)
        self.dropped.discard(call.uniqueid)
        self._over[call.uniqueid] = None
        while len(self._over) > self.KEEP_OVER:
            del self._over[next(iter(self._over))]

    def remember_over(self, events: Iterable[Event]) -> None:
        """Learn from past events which callers' channels are over."""
        uniqueids = {e.call_id: e.data.get("uniqueid", "") for e in events if e.type == "call.arrived"}
        self._over |= {uniqueids[e.call_id]: None for e in events if e.type == "call.ended" and e.call_id in uniqueids}

    def missing(self, m: SwitchUp) -> list[Call]:
        """The calls whose caller the switch does not have any more. Who came while it was asked may be in no list, and
        who is to be called back is in none yet."""
        live = {channel.uniqueid for channel in m.channels}
        began = float("inf") if m.asked_at is None else m.asked_at - SLACK
        here = [call for call in self.live.values() if call.node == m.node and call.ended_at is None]
        gone = [call for call in here if call.uniqueid not in live and call.arrived_at < began]
        return [call for call in gone if not call.calls_back]

    def lost(self, node: str, listed: Collection[str], asked_at: float) -> set[str]:
        """Channels of callers and of agents who talk that the switch, asked at that time, does not have any more."""
        began = asked_at - SLACK
        here = [call for call in self.live.values() if call.node == node]
        callers = {c.uniqueid for c in here if c.ended_at is None and c.arrived_at < began and not c.calls_back}
        talks = [call.offer for call in here if call.offer is not None]
        agents = {o.channel_id for o in talks if o.connected_at is not None and o.connected_at < began}
        return (callers | agents) - set(listed)

    def is_leaving(self, uniqueid: str) -> bool:
        """Whether this channel was hung up. Asterisk can lose that, and notice at its next instruction only."""
        return uniqueid in self.requested or uniqueid in self.dropped

    def is_over(self, uniqueid: str) -> bool:
        call = self.by_uniqueid.get(uniqueid)
        return uniqueid in self._over or (call is not None and call.ended_at is not None)


def gone_at(m: SwitchUp) -> float:
    """When what the switch does not have any more ended, as far as anybody knows."""
    return m.at if m.gone_at is None else min(m.at, m.gone_at)


def _arrived(call: Call, event: Event) -> None:
    call.arrived_at = event.at
    for name in ("node", "uniqueid", "channel", "direction", "caller", "caller_entered", "caller_name", "called"):
        setattr(call, name, event.data.get(name) or getattr(call, name))
    for name in ("callback", "requested_at", "tries", "language", "version"):
        setattr(call, name, event.data.get(name) or getattr(call, name))


def _flow_started(call: Call, event: Event) -> None:
    call.version = event.data["version"]
    call.language = event.data.get("language", "")
    call.path.append(event.data["flow"])


def _flow_node(call: Call, event: Event) -> None:
    call.nodes_since += 1
    key = event.data.get("outcome", "") if event.data.get("verb") == "menu" else ""
    call.path.append(f"{event.data['node']}: {key}" if key in KEYS else event.data["node"])
    del call.path[:-50]
    call.dequeued, call.dialed, call.talked = "", "", False


def _flow_at(call: Call, event: Event) -> None:
    before, call.line = call.line, event.data["line"]
    if _place(before) != _place(call.line):
        call.node_since = event.at
    call.language = call.line.get("language", call.language) if call.line else call.language


def _place(line: dict[str, Any] | None) -> tuple[Any, ...]:
    """Which visit of which node."""
    return tuple((line or {}).get(name) for name in ("flow", "node", "visits"))


def _flow_ended(call: Call, event: Event) -> None:
    call.flow_over, call.leaving = event.data.get("how", "ended"), False
    call.dequeued, call.dialed, call.talked = "", "", False


def _placed(call: Call, event: Event) -> None:
    call.placed = True


def _identified(call: Call, event: Event) -> None:
    call.identified = [str(customer) for customer in event.data["customers"]]
    call.by = event.data.get("by", "number")
    call.who = "" if call.by == "number" else call.identified[0]


def _queued(call: Call, event: Event) -> None:
    data = event.data
    call.queued_at = event.at
    call.visits = data["visit"]
    call.visit = Visit(
        number=data["visit"],
        queue=event.queue,
        entered_at=data["entered_at"],
        since=data.get("since") or data["entered_at"],
        priority=data["priority"],
        skills=data["skills"],
        max_wait=data["max_wait"],
        keys=data.get("keys") or "",
        raised=data.get("raised") or [],
        prefer=data.get("prefer") or "",
        prefer_until=data["entered_at"] + (data.get("prefer_for") or 0.0),
        prefer_why=data.get("prefer_why") or "named",
    )


def _place_kept(call: Call, event: Event) -> None:
    if call.visit is not None:
        call.visit.since = event.data["since"]


def _clock_set(call: Call, event: Event) -> None:
    """Everything is as long ago as it was."""
    by = event.data["by"]
    call.stored_from = max(call.stored_from, event.data["was"])
    moments = ("arrived_at", "queued_at", "node_since", "connected_at", "wrapped_at", "entered_at", "since",
               "prefer_until", "at", "let_go_at", "requested_at")  # fmt: skip
    for held in (call, call.visit, call.offer, call.dial):
        for name in moments:
            if getattr(held, name, None):
                setattr(held, name, getattr(held, name) + by)
    call.waited = {queue: wait | {"since": wait["since"] + by} for queue, wait in call.waited.items()}


def _priority_changed(call: Call, event: Event) -> None:
    if call.visit is not None:
        call.visit.priority = event.data["priority"]


def _announced(call: Call, event: Event) -> None:
    if call.visit is not None and event.data["minutes"] is not None:
        call.visit.minutes = event.data["minutes"]


def _dequeued(call: Call, event: Event) -> None:
    visit, call.visit = call.visit, None
    if event.data["result"] == "answered":  # who was served begins to wait anew
        call.waited = {}
    elif visit is not None:
        kept = {"since": visit.since, "priority": visit.priority, "skills": visit.skills}
        call.waited = call.waited | {visit.queue: kept}
    if event.data["result"] != "answered" and not event.data.get("to"):
        call.dequeued = event.data["result"]
        call.pressed = event.data.get("key") or ""


def _offered(call: Call, event: Event) -> None:
    data = event.data
    call.rings += 1
    call.offer = Offer(
        offer=data["offer"],
        call_id=call.call_id,
        agent=event.agent,
        queue=event.queue,
        visit=data["visit"],
        station=data["station"],
        channel_id=data["channel_id"],
        at=event.at,
        waited=max(0.0, event.at - call.visit.entered_at) if call.visit is not None else 0.0,
        recorded=data.get("recorded", False),
        decision=data.get("decision") or {},
    )
    if call.visit is not None:
        call.visit.offer = data["offer"]


def _offer_ended(call: Call, event: Event) -> None:
    call.let_go_at = event.at
    if call.offer is not None and call.offer.offer == event.data["offer"]:
        call.offer = None
    if call.visit is not None:  # a caller who left has none any more
        call.visit.offer = ""
    if event.data.get("reason") == "not_bridged":
        call.unmet.append(event.agent)


def _connected(call: Call, event: Event) -> None:
    call.agent, call.connected_at, call.wrapped_at = event.agent, event.at, None
    if call.offer is not None:
        call.offer.connected_at = event.at


def _disconnected(call: Call, event: Event) -> None:
    call.offer, call.talked, call.nodes_since = None, True, 0
    call.last_by = event.data["by"]


def _dialed(call: Call, event: Event) -> None:
    call.rings += 1
    call.dial = Dial(to=event.data["to"], channel_id=event.data["channel_id"])


def _dial_connected(call: Call, event: Event) -> None:
    if call.dial is not None:
        call.dial.connected_at = event.at


def _dial_ended(call: Call, event: Event) -> None:
    call.dial, call.dialed = None, event.data["result"]


def _ended(call: Call, event: Event) -> None:
    call.ended_at, call.leaving = event.at, event.data.get("leaving", False)


def _wrapped(call: Call, event: Event) -> None:
    call.wrapped_at = event.at


def _recording_started(call: Call, event: Event) -> None:
    call.recordings[event.data["recording_id"]] = Recording(event.agent, event.at)
    call.messages += bool(event.data.get("message"))


def _recording_stopped(call: Call, event: Event) -> None:
    call.recordings.pop(event.data["recording_id"], None)


def _disposition(call: Call, event: Event) -> None:
    call.disposition, call.note = event.data["code"], event.data.get("note") or ""


_FOLDS = {
    "call.arrived": _arrived,
    "call.placed": _placed,
    "call.identified": _identified,
    "flow.started": _flow_started,
    "flow.node": _flow_node,
    "flow.at": _flow_at,
    "flow.ended": _flow_ended,
    "call.queued": _queued,
    "call.place_kept": _place_kept,
    "call.clock_set": _clock_set,
    "call.priority_changed": _priority_changed,
    "call.announced": _announced,
    "call.dequeued": _dequeued,
    "call.offered": _offered,
    "offer.missed": _offer_ended,
    "offer.rejected": _offer_ended,
    "offer.caller_left": _offer_ended,
    "offer.cancelled": _offer_ended,
    "call.connected": _connected,
    "call.disconnected": _disconnected,
    "call.dialed": _dialed,
    "call.dial_connected": _dial_connected,
    "call.dial_ended": _dial_ended,
    "recording.started": _recording_started,
    "recording.stopped": _recording_stopped,
    "call.ended": _ended,
    "call.wrapped": _wrapped,
    "call.disposition_set": _disposition,
}
