"""One caller's way: from the arrival through the flow to the end. Drives `core.ivr`, one step at a time.

A call is in one of: new (its customer is looked up), in the flow (a prompt or a menu runs), queued, talking, dialling,
over. Which one follows from its record; `present` says whether its channel stands in the FastAGI loop now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cti.core import ivr
from cti.core.call import Call, Calls, gone_at
from cti.core.ids import call_id, is_ours
from cti.core.ivr.shares import Serving
from cti.core.line_callers import Callers
from cti.core.line_dials import Dials
from cti.core.line_hold import Holding
from cti.core.line_work import Left, Step, Work, fields
from cti.core.messages import (
    Bridged,
    CalendarsForced,
    ChannelGone,
    ChannelNew,
    Collect,
    CustomerFound,
    Event,
    Forced,
    HangUp,
    LineDone,
    LineLost,
    LineReady,
    OriginateFailed,
    Pause,
    Play,
    Release,
    SwitchDown,
    SwitchUp,
    TaskDone,
)  # fmt: skip
from cti.core.numbers import to_e164
from cti.core.outbox import Outbox
from cti.core.queues import asked

LOOKUP_WITHIN = 0.5  # s a caller waits for his customer record before the flow starts without it
LEAVING = 5.0  # s that `on_hangup` may take
GONE_AFTER = 1.0  # s until we hang up a caller whom the switch should have hung up with his agent
CALLER_CONTEXTS = ("from-trunk", "line")
NORMAL = 16  # Q.850: who hangs up says no more than that; Asterisk has 0 for a caller who was in no bridge


class Lines:
    """`called_back`: what a flow may know of the callback that is open for a number."""

    def __init__(
        self, out: Outbox, calls: Calls, epoch: int, trunk: str, country: str,
        called_back: Callable[[str], dict[str, Any]],
    ) -> None:  # fmt: skip
        self.out = out
        self.calls = calls
        self.epoch = epoch
        self.trunk = trunk
        self.country = country
        self.books: Mapping[int, ivr.Book] = {}
        self.serving = Serving()
        self.steps: dict[str, Step] = {}
        self.callers = Callers(out, calls)
        self.forced: Mapping[str, Forced] = {}  # calendars opened or closed by hand; one that is over is no more
        self.dials = Dials(out, epoch, trunk)
        self.called_back = called_back
        self.work = Work(out, calls, epoch, self.steps, self._proceed)
        self.holding = Holding(out, calls, self._step, self._book)
        self.handlers: dict[type, Callable[[Any], None]] = {
            ChannelNew: self._channel_new, LineReady: self._line_ready, LineDone: self._line_done,
            LineLost: self._line_lost, CustomerFound: self._customer_found, ChannelGone: self._channel_gone,
            OriginateFailed: self.dials.originate_failed, Bridged: self.dials.bridged, SwitchUp: self._switch_up,
            SwitchDown: self.dials.switch_down,
            TaskDone: self.work.task_done, CalendarsForced: self._calendars_forced,
        }  # fmt: skip
        self._heard_of: dict[str, Callable[[Event], None]] = {
            "recording.stopped": self.work.filed, "call.pressed": self.holding.pressed,
            "call.announced": self.holding.announced, "call.dequeued": self._moved,
        }  # fmt: skip
        self.deadlines: dict[str, Callable[[str, float], None]] = {
            "lookup": self._due_lookup, "dial": self.dials.due, "leaving": self._due_leaving, "gone": self._due_gone,
            **self.work.deadlines,
        }  # fmt: skip

    # ------------------------------------------------------------ fold and react

    def apply(self, event: Event) -> None:
        call = self.calls.live.get(event.call_id)
        if call is None:
            return
        self.dials.apply(event, call)
        self.work.apply(event)

    def react(self, event: Event) -> None:
        """Go on with the flow when what it waited for has ended."""
        if event.type in self._heard_of:
            self._heard_of[event.type](event)
        unserved = event.type == "call.dequeued" and event.data["result"] != "answered" and not event.data.get("to")
        if not unserved and event.type not in ("call.disconnected", "call.dial_ended"):
            return
        call = self.calls.live[event.call_id]
        if event.type == "call.disconnected" and self.ends_with_talk(call):
            self._talk_was_all(call, event)
        left = self._step(call).left
        if left is not None and call.ended_at is None:
            self._ended(call, left)
        else:
            self._go_on(call, event.at)

    def _moved(self, event: Event) -> None:
        """To another queue, which has another music."""
        if event.data.get("to"):
            self._go_on(self.calls.live[event.call_id], event.at)

    def forget(self, call: Call) -> None:
        """The call is over: nothing of it stays here."""
        self.steps.pop(call.call_id, None)
        self.callers.forget(call)

    def restored(self, at: float) -> None:
        """After a restart: look the customers of live calls up again, for the pages and the flow. What was to be done
        for callers who had left is over."""
        self.work.restored()
        for call in self.calls.live.values():
            if call.ended_at is None:
                self._look_up(call, at)
                if call.flow_over:
                    self.out.wake(at + GONE_AFTER, "gone", call.call_id)
            elif call.leaving:
                self._flow_over(call, at, self._position(call).how)

    # ------------------------------------------------------------ arrival

    def _step(self, call: Call) -> Step:
        return self.steps.setdefault(call.call_id, Step())

    def _arrive(self, m: ChannelNew | LineReady) -> Call:
        known = self.calls.by_uniqueid.get(m.uniqueid)
        if known is not None:
            return known
        name = call_id(m.node, m.uniqueid)
        number = to_e164(m.caller, self.country)
        self.out.emit(
            "call.arrived", m.at, call_id=name, direction="inbound", caller=number or m.caller,
            caller_entered=m.caller, caller_name=m.caller_name, called=to_e164(m.called, self.country) or m.called,
            node=m.node, uniqueid=m.uniqueid, channel=m.channel,
        )  # fmt: skip
        call = self.calls.live[name]
        self._look_up(call, m.at)
        return call

    def _look_up(self, call: Call, at: float) -> None:
        self.callers.look_up(call)
        self.out.wake(at + LOOKUP_WITHIN, "lookup", call.call_id)

    def _channel_new(self, m: ChannelNew) -> None:
        if m.context in CALLER_CONTEXTS and not is_ours(m.uniqueid) and not self.calls.is_over(m.uniqueid):
            self._arrive(m)

    def _customer_found(self, m: CustomerFound) -> None:
        call = self.calls.live.get(m.call_id)
        if call is None or call.ended_at is not None:
            return
        self.callers.found(m)
        self._looked_up(call, m.at)

    def _due_lookup(self, key: str, at: float) -> None:
        call = self.calls.live.get(key)
        if call is not None and call.ended_at is None:
            self._looked_up(call, at)

    def _looked_up(self, call: Call, at: float) -> None:
        step = self._step(call)
        if not step.looked_up:
            step.looked_up = True
            if step.present and call.line is None:
                self._go_on(call, max(at, call.arrived_at))

    # ------------------------------------------------------------ the FastAGI loop

    def _line_ready(self, m: LineReady) -> None:
        if self.calls.is_over(m.uniqueid) or self.calls.is_leaving(m.uniqueid):
            self.out.command(Release(node=m.node, uniqueid=m.uniqueid))
            return
        call = self._arrive(m)
        step = self._step(call)
        step.present, step.busy = True, step.busy and step.task > 0.0
        if step.busy:  # he hears something while he waits for it
            self.work.music(call, m.at)
        self._go_on(call, max(m.at, call.arrived_at))  # the dialplan's time is cut to milliseconds

    def _line_lost(self, m: LineLost) -> None:
        call = self.calls.by_uniqueid.get(m.uniqueid)
        if call is not None:
            step = self._step(call)
            step.present = False
            step.busy = step.busy and step.task > 0.0  # a task does not need the channel
            self.work.finish_message(call, m.at)

    def _line_done(self, m: LineDone) -> None:
        call = self.calls.by_uniqueid.get(m.uniqueid)
        step = self.steps.get(call.call_id) if call else None
        if call is None or step is None or step.op != m.op or step.task:
            return
        waits, step.busy = not step.busy, False
        if waits:
            self.holding.done(call, m)
        elif step.recording:  # what was recorded, if anything, tells how it ended
            step.trouble = m.outcome == "error"
            self.work.finish_message(call, m.at)
        else:
            self._proceed(call, ivr.Answer(outcome=m.outcome, digits=m.digits, sealed=m.sealed), m.at)

    def _go_on(self, call: Call, at: float) -> None:
        """Give the channel that stands in the loop its next instruction, whatever brought it there."""
        step = self._step(call)
        if not step.present or step.busy or step.recording or call.ended_at is not None:
            return
        if call.flow_over:
            self.out.command(Release(node=call.node, uniqueid=call.uniqueid))
        elif call.line is None:
            if step.looked_up:
                self._begin(call, at)
        elif call.dequeued or call.dialed or call.talked:
            outcome = call.dequeued or call.dialed or "answered"
            self._proceed(call, ivr.Answer(outcome=outcome, digits=call.pressed if call.dequeued else ""), at)
        elif call.visit is not None or call.dial is not None or call.offer is not None:
            self.holding.hold(call)
        elif step.answer is not None:
            answer, step.answer = step.answer, None
            self._proceed(call, answer, at)
        else:
            self._act(call, ivr.again(self._book(call), self._position(call), self._context(call, at)), at)

    # ------------------------------------------------------------ the flow

    def ends_with_talk(self, call: Call) -> bool:
        """Whether nothing is left of the flow for a caller whose conversation is over."""
        if call.line is None or call.flow_over:
            return False
        return ivr.ends_with(self._book(call), self._position(call), "answered")

    def _talk_was_all(self, call: Call, event: Event) -> None:
        """The switch hangs the caller up with his agent: he does not come back into the loop. Who hung up himself, or
        whom a supervisor hung up, has left the flow."""
        if event.data["by"] == "agent":
            self._proceed(call, ivr.Answer(outcome="answered"), event.at)
        self.out.wake(event.at + GONE_AFTER, "gone", call.call_id)

    def _calendars_forced(self, m: CalendarsForced) -> None:
        self.forced = m.calendars

    def _book(self, call: Call) -> ivr.Book:
        return self.books[call.version if call.version in self.books else self.serving.live]

    def _position(self, call: Call) -> ivr.Line:
        return msgspec.convert(call.line, ivr.Line)

    def _context(self, call: Call, at: float) -> ivr.Context:
        about = {"id": call.call_id, "caller": call.caller, "caller_name": call.caller_name, "called": call.called}
        return ivr.Context(
            call=about | self.callers.past(call, at) | self.called_back(call.caller),
            customer=self.callers.customer(call), at=at, forced=self.forced, waited=call.waited,
            besides=self.callers.besides(call),
        )  # fmt: skip

    def _begin(self, call: Call, at: float) -> None:
        version = self.serving.version_for(call.caller, call.call_id)
        book = self.books.get(version)
        found = book.flow_for(call.called) if book is not None else None
        if book is None or found is None:
            self.out.emit("flow.ended", at, call_id=call.call_id, flow="", how="refused")
            self.out.command(Release(node=call.node, uniqueid=call.uniqueid, cause=1))
            return
        flow, language = found
        turn = ivr.begin(book, flow, language, self._context(call, at))
        self.out.emit(
            "flow.started", at, call_id=call.call_id, flow=flow, version=version, language=turn.line.language
        )
        self._act(call, turn, at)

    def _proceed(self, call: Call, answer: ivr.Answer, at: float) -> None:
        self._act(call, ivr.proceed(self._book(call), self._position(call), answer, self._context(call, at)), at)

    def _act(self, call: Call, turn: ivr.Turn, at: float) -> None:
        self._tell(call, turn, at)
        self.callers.flow_says(call, turn.line.who, turn.line.proven, at)
        self.out.emit("flow.at", at, call_id=call.call_id, line=msgspec.to_builtins(turn.line))
        self._acts[type(turn.action)](self, call, turn.action, at)

    def _tell(self, call: Call, turn: ivr.Turn, at: float) -> None:
        for passed in turn.trail:
            if isinstance(passed, ivr.Visit):
                self.out.emit("flow.node", at, call_id=call.call_id, **msgspec.to_builtins(passed))
            else:
                agent = call.agent if passed.type == "survey.answered" else ""
                self.out.emit(passed.type, at, call_id=call.call_id, agent=agent, queue=passed.queue, **passed.data)

    def _say(self, call: Call, action: ivr.Say, at: float) -> None:
        op = self.work.start(call)
        self.out.command(Play(node=call.node, uniqueid=call.uniqueid, op=op, **fields(action)))

    def _ask(self, call: Call, action: ivr.Ask, at: float) -> None:
        op = self.work.start(call)
        self.out.command(Collect(node=call.node, uniqueid=call.uniqueid, op=op, **fields(action)))

    def _record(self, call: Call, action: ivr.Record, at: float) -> None:
        self.work.record(call, action, at)

    def _task(self, call: Call, action: ivr.Task, at: float) -> None:
        self.work.task(call, action, at)

    def _pause(self, call: Call, action: ivr.Pause, at: float) -> None:
        op = self.work.start(call)
        self.out.command(Pause(node=call.node, uniqueid=call.uniqueid, op=op, **fields(action)))

    def _enqueue(self, call: Call, action: ivr.Enqueue, at: float) -> None:
        queue = self._book(call).queues.get(action.queue)
        priority = action.priority if action.priority is not None else queue.priority if queue else 0
        max_wait = action.max_wait if action.max_wait is not None else queue.max_wait if queue else 0.0
        self.out.emit(
            "call.queued", at, call_id=call.call_id, queue=action.queue, visit=call.visits + 1, priority=priority,
            skills=dict(action.skills), needs=asked(queue, action.skills) if queue else {}, entered_at=at,
            max_wait=max_wait, node=call.line["node"] if call.line else "", closed=action.closed, keys=action.keys,
            prefer=action.prefer, prefer_for=action.prefer_for, prefer_why=action.prefer_why,
            raised=list(action.raised),
        )  # fmt: skip
        self.holding.hold(call)

    def _dial(self, call: Call, action: ivr.Dial, at: float) -> None:
        self.holding.hold(call)
        self.dials.dial(call, action, at)

    def _end(self, call: Call, action: ivr.End, at: float) -> None:
        self._flow_over(call, at, action.how)
        if call.ended_at is None and self._step(call).present:
            self.out.command(Release(node=call.node, uniqueid=call.uniqueid, cause=action.cause))

    def _flow_over(self, call: Call, at: float, how: str) -> None:
        self.out.emit("flow.ended", at, call_id=call.call_id, flow=call.line["flow"] if call.line else "", how=how)

    _acts: dict[type, Callable[..., None]] = {  # noqa: RUF012
        ivr.Say: _say, ivr.Ask: _ask, ivr.Record: _record, ivr.Pause: _pause, ivr.Task: _task,
        ivr.Enqueue: _enqueue, ivr.Dial: _dial, ivr.End: _end,
    }  # fmt: skip

    # ------------------------------------------------------------ the end

    def _channel_gone(self, m: ChannelGone) -> None:
        self.dials.gone(m)
        call = self.calls.by_uniqueid.get(m.uniqueid)
        if call is not None and call.ended_at is None:
            step = self._step(call)
            side = self._side(call)
            step.left = step.left or Left(m.at, m.cause or (NORMAL if side == "caller" else 0), side)
            if call.offer is None or call.offer.connected_at is None:
                self._ended(call, step.left)

    def _ended(self, call: Call, left: Left) -> None:
        result = call.flow_over
        at = max(left.at, call.arrived_at, call.queued_at, call.connected_at or 0.0)
        if call.dial is not None:
            met = self.dials.caller_left(call, at)
            result = result or ("transferred_out" if met else "")
        rest = self._hung_up(call, at) if call.line is not None and not call.flow_over else None
        self.out.emit("call.ended", at, call_id=call.call_id, cause=left.cause, side=left.side, flow_result=result,
                      leaving=rest is not None)  # fmt: skip
        step = self._step(call)
        step.present = step.busy = False
        self.work.finish_message(call, at)
        if rest is not None:
            self.out.wake(at + LEAVING, "leaving", call.call_id)
            self._act(call, rest, at)

    def _hung_up(self, call: Call, at: float) -> ivr.Turn | None:
        """The caller has left in the middle of the flow. Its end is told at once; what it still wants done without him
        is given back, to be done for LEAVING seconds."""
        outcome = "answered" if call.talked or call.dialed == "answered" else "hangup"
        turn = ivr.hung_up(self._book(call), self._position(call), self._context(call, at), outcome)
        if not isinstance(turn.action, ivr.End):
            return turn
        self._tell(call, turn, at)
        self._flow_over(call, at, turn.action.how)
        return None

    def _due_leaving(self, key: str, at: float) -> None:
        call = self.calls.live.get(key)
        if call is not None and call.leaving:
            self._step(call).busy = False
            here = self._position(call)
            verb = self._book(call).flows[here.flow].nodes[here.node].verb
            late = ivr.Visit(here.node, verb, "error", "", flow=here.flow)
            self.out.emit("flow.node", at, call_id=call.call_id, **msgspec.to_builtins(late))
            self._flow_over(call, at, here.how)

    def _due_gone(self, key: str, at: float) -> None:
        call = self.calls.live.get(key)
        if call is not None and call.ended_at is None:
            self.out.command(HangUp(node=call.node, uniqueid=call.uniqueid))

    def _side(self, call: Call) -> str:
        if call.uniqueid in self.calls.requested:
            return "caller"
        hanging_up = call.offer is not None and call.offer.channel_id in self.calls.requested
        return "agent" if hanging_up or (call.last_by == "agent" and call.nodes_since <= 1) else "system"

    def _switch_up(self, m: SwitchUp) -> None:
        """Calls and dialled numbers whose channel is gone, and of which CEL did not tell either, ended by now."""
        for call in self.calls.missing(m):
            self._ended(call, self._step(call).left or Left(gone_at(m), 0, self._side(call)))
        self.dials.switch_up(m)
        self._end_strangers(m)

    def _end_strangers(self, m: SwitchUp) -> None:
        """Phones that we rang and know nothing of any more; one that talks stays, unless its caller still waits."""
        bridges = {channel.uniqueid: channel.bridge for channel in m.channels}
        waiting = {bridges.get(call.uniqueid) for call in self.calls.live.values() if call.visit is not None} - {""}
        known_of = (self.calls.by_channel, self.calls.by_uniqueid, self.dials.ringing)
        for channel in m.channels:
            known = any(channel.uniqueid in ours for ours in known_of)
            if is_ours(channel.uniqueid) and not known and (not channel.bridge or channel.bridge in waiting):
                self.out.command(HangUp(node=m.node, uniqueid=channel.uniqueid))
