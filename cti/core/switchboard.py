"""The pure core in one place: inputs in, events and commands out.

`handle` numbers each event within its call, folds it into the state at once and lets line and floor react to it.
Facts are never refused and never raise; requests may raise `Refused` or `BadInput`, and then nothing has changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

import msgspec

from cti.core import ivr
from cti.core.acd import Router
from cti.core.call import Call, Calls
from cti.core.callback_calls import CallbackCalls
from cti.core.callbacks import Callbacks
from cti.core.floor import Floor
from cti.core.ids import call_id
from cti.core.ivr.calendars import hours
from cti.core.line import Lines
from cti.core.messages import (
    ChannelGone,
    ClockStepped,
    Command,
    CustomerFound,
    Event,
    FlowsPublished,
    HangupRequested,
    Input,
    MessageLeft,
    Push,
    RecordingFinished,
    SwitchUp,
    Tick,
    encode,
)  # fmt: skip
from cti.core.outbox import Outbox
from cti.core.people import People
from cti.core.queues import Routing
from cti.core.talk import Talk
from cti.core.waits import Waits
from cti.errors import CtiError

AFTER_ALL = 1_000_000  # what is learnt of a call after it was closed is numbered from here, by its content


def _number_of(event: Event) -> int:
    return int.from_bytes(sha256(encode(event)).digest()[:4], "big") % AFTER_ALL


def _as_told(event: Event) -> Event:
    """The opposite of `Switchboard._in_order`."""
    return msgspec.structs.replace(event, at=event.data.get("told_at", event.at))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the core must know of the site."""

    country: str = "ID"
    trunk: str = ""  # outside numbers leave by this one
    limits: dict[str, float] = {}  # seconds an agent may be not ready, by reason


class Output(NamedTuple):
    """`fault` is a bug that broke the step off: what it had put out until then still holds."""

    events: list[Event]
    commands: list[Command]
    fault: Exception | None = None


class Switchboard:
    def __init__(self, epoch: int, settings: Settings) -> None:
        self.calls = Calls()
        self.out = Outbox(self._fold)
        self.router = Router()
        self.people = People(self.out, self.calls, self.router, settings.limits)
        self.floor = Floor(self.out, self.calls, self.people, self.router, epoch)
        self.waits = Waits(self.out, self.calls, self.floor, self.router)
        self.talk = Talk(self.out, self.calls, self.people, self.floor)
        self.callbacks = Callbacks(
            self.out, self.calls, self.floor, self.waits, self.router, settings.country, settings.trunk
        )  # fmt: skip
        self.callback_calls = CallbackCalls(self.out, self.calls, self.floor, self.callbacks, epoch)
        self.floor.callbacks = self.callback_calls.begin
        self.lines = Lines(
            self.out, self.calls, epoch, settings.trunk, settings.country, self.callbacks.told
        )  # fmt: skip
        self.floor.final = self.lines.ends_with_talk
        self.router.is_open = self._is_open
        # In the order in which a message is shown to them: a conversation ends before its call does.
        self.parts = (
            self.people, self.talk, self.waits, self.callbacks, self.callback_calls, self.floor, self.lines,
        )  # fmt: skip
        self._deadlines = {kind: handler for part in self.parts for kind, handler in part.deadlines.items()}
        self._reactions: deque[Event] = deque()

    def handle(self, message: Input) -> Output:
        """One input. Returns the events, in order, and the commands that follow from it."""
        fault = None
        try:
            self._dispatch(message)
            self._react()
        except CtiError:
            raise
        except Exception as error:
            fault = error
        output = self._take()
        self._forget(output.events)
        return output._replace(fault=fault)

    def _react(self) -> None:
        while self._reactions:
            event = self._reactions.popleft()
            for part in self.parts:
                part.react(event)

    def _take(self) -> Output:
        output = Output(self.out.events, self.out.commands)
        self.out.events, self.out.commands = [], []
        self._reactions.clear()
        return output

    def _dispatch(self, message: Input) -> None:
        if isinstance(message, Tick):
            self._tick(message.at)
        elif isinstance(message, RecordingFinished):
            self._recorded(message)
        elif isinstance(message, MessageLeft):
            self._message_left(message)
        else:
            if isinstance(message, HangupRequested):
                self.calls.requested.setdefault(message.uniqueid, message.at)
            if isinstance(message, CustomerFound):
                self._customer(message)
            if isinstance(message, ClockStepped):
                self._clock_stepped(message)
            for part in self.parts:
                handler = part.handlers.get(type(message))
                if handler is not None:
                    handler(message)
            if isinstance(message, ChannelGone):
                self.calls.requested.pop(message.uniqueid, None)
            if isinstance(message, SwitchUp):  # whose end was never told
                self.calls.requested = {u: at for u, at in self.calls.requested.items() if at > message.at - 60}

    def _clock_stepped(self, m: ClockStepped) -> None:
        """What is due in ten seconds is due in ten seconds, and who has waited for an hour has waited for an hour."""
        self.out.shift(m.by)
        self.calls.requested = {uniqueid: at + m.by for uniqueid, at in self.calls.requested.items()}
        for call in list(self.calls.live.values()):
            self.out.emit("call.clock_set", m.at, call_id=call.call_id, by=m.by, was=m.at - m.by)

    def _tick(self, at: float) -> None:
        for kind, key in self.out.due(at):
            self._deadlines[kind](key, at)

    def _customer(self, m: CustomerFound) -> None:
        """What the agent sees of the caller; in time for the page also when the flow has just found out."""
        call = self.calls.live.get(m.call_id)
        if call is None or m.customer_id != call.who:
            return
        found = {"customers": list(m.customers), "history": list(m.history), "cases": list(m.cases)}
        self.floor.customers[m.call_id] = found
        if call.offer is not None and m.customer_id:
            pop = self.floor.pop(call)
            self.out.command(Push(type="screen_pop", agent=call.offer.agent, data=pop))

    def _recorded(self, m: RecordingFinished) -> None:
        """A file that was made after its call was closed (the disk was full, say) still mends the row."""
        call = self.calls.live.get(m.call_id)
        if (call is not None and m.recording_id in call.recordings) or (call is None and m.bytes):
            data = {name: getattr(m, name) for name in m.__struct_fields__ if name not in ("at", "node", "call_id")}
            self.out.emit("recording.stopped", m.at, call_id=m.call_id, **data)

    def _message_left(self, m: MessageLeft) -> None:
        """The call may be over, or not yet known to us: its story is added to all the same, at its end."""
        name = call_id(m.node, m.uniqueid)
        self.out.emit("voicemail.left", m.at, call_id=name, box="fallback", file=m.file, seconds=m.seconds)

    # ------------------------------------------------------------ state

    def _fold(self, event: Event) -> Event:
        if event.call_id:
            call = self.calls.live.get(event.call_id)
            if call is None and event.type != "call.arrived":
                return self._fold_late(msgspec.structs.replace(event, seq=AFTER_ALL + _number_of(event)))
            event = msgspec.structs.replace(event, seq=(call.seq if call else 0) + 1)
            self.calls.fold(event)
        return self._show(event)

    def _fold_late(self, event: Event) -> Event:
        """A call that is closed is not opened again; a callback that was asked for in it lives on."""
        return self._show(event) if event.type.startswith("callback.") else event

    def _show(self, event: Event) -> Event:
        for part in self.parts:
            part.apply(event)
        self._reactions.append(event)
        return self._in_order(event)

    def _in_order(self, event: Event) -> Event:
        """As it is stored: not earlier than what was stored of the call before the clock was set back."""
        call = self.calls.live.get(event.call_id)
        if call is None or event.at >= call.stored_from or event.type.startswith("agent."):
            return event
        return msgspec.structs.replace(event, at=call.stored_from, data=event.data | {"told_at": event.at})

    def _forget(self, events: Iterable[Event]) -> None:
        for event in events:
            call = self.calls.live.get(event.call_id)
            if call is not None and call.finished and not self._wrapping(call):
                self.calls.forget(call)
                self.floor.customers.pop(call.call_id, None)
                self.lines.forget(call)

    def _wrapping(self, call: Call) -> bool:
        """Whether an agent is busy with it, not only the last one."""
        return any(agent.call_id == call.call_id for agent in self.people.agents.values())

    def restore(self, events: Iterable[Event], at: float) -> Output:
        """Fold the events of unfinished calls and the last state of each agent; then take up the deadlines."""
        for event in map(_as_told, events):
            if event.type == "call.arrived" or event.call_id in self.calls.live:
                self.calls.fold(event)
            for part in self.parts:
                part.apply(event)
        for part in self.parts:
            part.restored(at)
        output = self._take()
        self._forget(output.events)
        return output

    def publish(self, book: ivr.Book, message: FlowsPublished) -> None:
        """A version of the flows is live for new calls, or for a share of them; calls that run keep theirs."""
        lines = self.lines
        lines.serving = serving = lines.serving.told(message.version, message.share)
        known = {**lines.books, message.version: book}
        used = {version: known[version] for version in self._versions_in_use() if version in known}
        serves = {version: known[version] for version in (serving.canary, serving.live) if version in known}
        lines.books = {**used, **serves}
        live = serves.get(serving.live)
        beside = {version: one for version, one in lines.books.items() if version != serving.live}
        earlier = {name: queue for version in sorted(beside) for name, queue in beside[version].queues.items()}
        self.waits.configure(live.queues if live else {}, message.at, earlier, live.routing if live else Routing())
        self.callbacks.book = live
        self.callbacks.calendars = {name for one in lines.books.values() for name in one.calendars}
        self.callbacks.configured(message.at)

    def _is_open(self, calendar: str, at: float) -> bool:
        """Whether a calendar is open, of the live version or else of another that serves; one that none knows is."""
        live = self.lines.books.get(self.lines.serving.live)
        books = [book for book in (live, *self.lines.books.values()) if book is not None and calendar in book.calendars]
        if not books:
            return True
        book = books[0]
        return hours(book.calendars[calendar], at, book.zone, self.lines.forced.get(calendar)).state == "open"

    def _versions_in_use(self) -> set[int]:
        return {call.version for call in self.calls.live.values()}

    @property
    def next_at(self) -> float | None:
        """When the next deadline falls."""
        return self.out.next_at
