"""A caller who waits with music: the keys that mean something meanwhile, and what he is told of his wait.

What he hears keeps no agent waiting: whoever answers takes him out of it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from cti.core import ivr
from cti.core.call import Call, Calls
from cti.core.line_work import Step
from cti.core.messages import Event, Hold, LineDone, Play
from cti.core.outbox import Outbox
from cti.core.queues import QueueConfig
from cti.core.said import announcement


class Holding:
    """`step` and `book`: those of a call."""

    def __init__(
        self, out: Outbox, calls: Calls, step: Callable[[Call], Step], book: Callable[[Call], ivr.Book]
    ) -> None:  # fmt: skip
        self.out = out
        self.calls = calls
        self.step = step
        self.book = book

    def hold(self, call: Call) -> None:
        """Music until something else happens to him; in a queue its own, and its node's keys count."""
        step, visit = self.step(call), call.visit
        step.op += 1
        keys, music = ("", "") if visit is None else (visit.keys, self._queue(call, visit.queue).music)
        self.out.command(Hold(node=call.node, uniqueid=call.uniqueid, op=step.op, keys=keys, music=music))

    def done(self, call: Call, m: LineDone) -> None:
        """He pressed a key, or has heard where he stands."""
        visit = call.visit
        if visit is None:
            return
        line = msgspec.convert(call.line, ivr.Line)
        result = ivr.result_of(self.book(call), line, m.digits) if m.digits else ""
        if result:
            self.out.emit("call.pressed", m.at, call_id=call.call_id, queue=visit.queue, visit=visit.number,
                          key=m.digits, result=result)  # fmt: skip
        else:
            self.hold(call)

    def pressed(self, event: Event) -> None:
        """A key that did not end his wait, because he is being connected, leaves him in the music."""
        call = self.calls.live[event.call_id]
        if call.visit is not None and self.step(call).present:
            self.hold(call)

    def announced(self, event: Event) -> None:
        call = self.calls.live[event.call_id]
        step = self.step(call)
        if not step.present or call.visit is None or call.visit.offer or step.says == step.op:
            return
        about, queue = event.data, self._queue(call, event.queue)
        prompts = announcement(self.book(call), queue.announce, call.language, about["position"], about["minutes"])
        if prompts:
            step.says = step.op = step.op + 1
            self.out.command(
                Play(node=call.node, uniqueid=call.uniqueid, op=step.op, prompts=prompts,
                     barge_in=bool(call.visit.keys))
            )  # fmt: skip

    def _queue(self, call: Call, name: str) -> QueueConfig:
        """As the call's own version of the flows has it."""
        return self.book(call).queues.get(name) or QueueConfig(name=name)
