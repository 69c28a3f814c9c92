"""Runs one call through a flow, one step at a time: pure, and never an exception or an endless call.

    turn = begin(book, flow, language, context)       what to do first
    turn = proceed(book, turn.line, answer, context)  the last action ended like this: what next
    turn = again(book, line, context)                 the caller came back after a restart: the node once more
    turn = hung_up(book, line, context)               the caller has left: what is still to be done without him
    result_of(book, line, key)                        how a wait ends by that key

An outcome that is not named goes to the node's `then`, else its `fail`, else the flow's `fail`, else hangup.
A failure inside a fail target hangs up. After 200 nodes, 20 without the caller doing anything, or 30 minutes, comes
the fail target, and after that the end. What each verb does stands in `acts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cti.core.ivr import model
from cti.core.ivr.acts import ACTS
from cti.core.ivr.expressions import ExpressionError
from cti.core.ivr.here import Back, Done, Here, Jump, Left
from cti.core.ivr.model import Book, Node
from cti.core.ivr.steps import Action, Answer, Context, End, Fact, Frame, Line, Task, Turn, Visit

MAX_NODES = 200
MAX_HOPS = 20
MAX_SECONDS = 1800.0  # in a flow, without a wait in a queue or a conversation in between
MAX_DEPTH = 10  # flows that called each other
CAUSE_FAILED = 41  # Q.850: temporary failure
AWAITED = frozenset({"answered", "timeout", "left", "callback"})  # of a queue or dial: then budgets count anew


def begin(book: Book, flow: str, language: str | None, context: Context) -> Turn:
    line = Line(version=book.version, flow=flow, node="", language=language or "en", since=context.at)

    def first() -> Turn:
        found = book.flows[flow]
        run = _Run(book, context, msgspec.structs.replace(line, language=language or found.language))
        run.enter(flow, dict(found.args))
        return run.go()

    return _guarded(line, first)


def proceed(book: Book, line: Line, answer: Answer, context: Context) -> Turn:
    def step() -> Turn:
        run = _Run(book, context, line)
        if not _storable(answer.data):
            return run.go(Answer("error"))
        if isinstance(run.here.node.spec, model.Queue | model.Dial) and answer.outcome in AWAITED:
            run.here.change(hops=0, since=context.at)
        return run.go(answer)

    return _guarded(line, step)


def again(book: Book, line: Line, context: Context) -> Turn:
    return _guarded(line, lambda: _Run(book, context, line).go())


def result_of(book: Book, line: Line, key: str) -> str:
    """How a wait in a queue ends by this key: callback, when it leads to such a node, else left; empty: by no means."""
    flow = book.flows.get(line.flow)
    node = flow.nodes.get(line.node) if flow is not None else None
    if flow is None or node is None or not isinstance(node.spec, model.Queue) or key not in node.to:
        return ""
    target = flow.nodes.get(node.to[key])
    return "callback" if target is not None and isinstance(target.spec, model.Callback) else "left"


def ends_with(book: Book, line: Line, outcome: str) -> bool:
    """Whether the call is over when the node where it is ends like this, with nothing between."""
    flow = book.flows.get(line.flow)
    node = flow.nodes.get(line.node) if flow is not None else None
    return node is not None and node.to.get(outcome, node.then) == "hangup"


def hung_up(book: Book, line: Line, context: Context, outcome: str = "hangup") -> Turn:
    """`outcome`: how the node ended in which he left. The flow's `on_hangup` runs next, if it has one: the innermost
    of the flows that called each other. Its actions are Task and End alone."""

    def last() -> Turn:
        run = _Run(book, context, line)
        here = run.here
        run.trail.append(Visit(here.node.id, here.node.verb, outcome, "", flow=line.flow))
        while not here.flow.on_hangup and here.line.stack:
            run.pop()
        if line.leaving or not here.flow.on_hangup:
            return run.turn(End(line.how))
        visits = max(here.line.visits, MAX_NODES + MAX_HOPS)
        here.change(leaving=True, failing=False, spent=True, hops=0, visits=visits, since=context.at)
        run.move(here.flow.on_hangup)
        return run.go()

    return _guarded(line, last)


def _guarded(line: Line, step: Callable[[], Turn]) -> Turn:
    """Whatever goes wrong in here ends this call, and nothing else."""
    try:
        return step()
    except Exception:
        return Turn(line, (), End("failed", CAUSE_FAILED))


class _Run:
    """One turn: the call where it is, and the nodes it leaves behind it."""

    def __init__(self, book: Book, context: Context, line: Line) -> None:
        self.here = Here(book, context, line)
        self.trail: list[Visit | Fact] = []

    def turn(self, action: Action) -> Turn:
        return Turn(self.here.line, tuple(self.trail), action)

    def go(self, answer: Answer | None = None) -> Turn:
        """The node's next step, and on from there until somebody has to do something."""
        while True:
            node = self.here.node
            done = self._do(answer)
            answer = None
            self.trail += self.here.facts
            self.here.facts = []
            if self.here.line.leaving and not isinstance(done, Left | Back | Task | End):
                return self.turn(End(self.here.line.how))
            if isinstance(done, Left | Jump | Back):
                ended = self._leave(node, done)
                if ended is not None:
                    return self.turn(ended)
            else:
                if isinstance(done, End):
                    self.trail.append(Visit(node.id, node.verb, "done", "hangup", flow=self.here.line.flow))
                return self.turn(done)

    def _do(self, answer: Answer | None) -> Done:
        """The node's first step, or what follows from how the last one ended."""
        spec = self.here.node.spec
        act = ACTS[type(spec)]
        try:
            return act.start(self.here, spec) if answer is None else act.answered(self.here, spec, answer)
        except ExpressionError:
            return Left("fail" if isinstance(spec, model.Dial) else "error")

    # ------------------------------------------------------------ moving

    def _leave(self, node: Node, done: Left | Jump | Back) -> End | None:
        """Go where it leads; the end, when it leads there."""
        if isinstance(done, Jump):
            if len(self.here.line.stack) < MAX_DEPTH or not done.back:
                return self._jump(node, done)
            done = Left("error")
        if isinstance(done, Back):
            return self._back(node, done)
        here = self.here
        target, failing, lost = _target(here, node, done.outcome)
        here.change(failing=failing, hops=here.line.hops + 1, vars={**here.line.vars, **done.vars})
        if target != "hangup":
            target, lost = self._budget(node, target, lost)
        self.trail.append(Visit(node.id, node.verb, done.outcome, target, done.vars, here.line.flow))
        if target == "return":
            return self._returned(Back("done"))
        if target == "hangup":
            return End("failed" if lost else here.line.how)
        self.move(node.id if target == "repeat" else target)
        return None

    def move(self, node: str) -> None:
        """To the beginning of a node of this flow."""
        line = self.here.line
        self.here.change(node=node, visits=line.visits + 1, no_input=0, no_match=0, stage="", held={})

    def enter(self, flow: str, args: dict[str, Any]) -> None:
        """To the beginning of a flow."""
        found = self.here.book.flows[flow]
        self.here.change(flow=flow, vars=dict(found.vars), args={**found.args, **args}, results={}, counts={})
        self.move(found.start)

    def _jump(self, node: Node, jump: Jump) -> End | None:
        """Into another flow. Without a budget for it the node has failed."""
        here, line = self.here, self.here.line
        if self._overspent():
            return self._leave(node, Left("error"))
        frame = Frame(
            flow=line.flow, node=node.id, vars=line.vars, results=line.results, args=line.args, counts=line.counts
        )  # fmt: skip
        self.trail.append(Visit(node.id, node.verb, "done", jump.flow, flow=line.flow))
        here.change(stack=[*line.stack, frame] if jump.back else [], hops=line.hops + 1, failing=False)
        self.enter(jump.flow, jump.args)
        return None

    def _back(self, node: Node, back: Back) -> End | None:
        self.trail.append(Visit(node.id, node.verb, back.outcome, "return", flow=self.here.line.flow))
        return self._returned(back)

    def _returned(self, back: Back) -> End | None:
        """The node that called this flow is over; without one, or when the caller has left, the call is."""
        if not self.here.line.stack or self.here.line.leaving:
            return End(self.here.line.how)
        self.pop()
        self.here.result(back.outcome, back.values)
        return self._leave(self.here.node, Left(back.outcome))

    def pop(self) -> None:
        """Back into the flow that called this one."""
        frame = self.here.line.stack[-1]
        kept = {name: getattr(frame, name) for name in frame.__struct_fields__}
        self.here.change(**kept, stack=self.here.line.stack[:-1])

    def _budget(self, node: Node, target: str, lost: bool) -> tuple[str, bool]:
        """The target and whether all is lost: too much done leads to the fail target, then to the end."""
        if not self._overspent():
            return target, lost
        here, line = self.here, self.here.line
        fail = "" if line.spent else node.fail or here.flow.fail
        visits = max(line.visits, MAX_NODES)
        here.change(spent=True, failing=True, hops=0, visits=visits, since=here.context.at)
        return fail or "hangup", not fail

    def _overspent(self) -> bool:
        """The fail target, and what is done for a caller who has left, have MAX_HOPS nodes each on top. A position that
        an earlier version of the server stored has no `since`."""
        line = self.here.line
        most = MAX_NODES + MAX_HOPS * (line.spent + line.leaving)
        late = line.since > 0.0 and self.here.context.at - line.since > MAX_SECONDS
        return late or line.visits >= most or line.hops > MAX_HOPS


def _storable(data: dict[str, Any]) -> bool:
    """Whether what came from outside can be kept with the position: no half characters, nothing but data."""
    try:
        msgspec.json.encode(data)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def _target(here: Here, node: Node, outcome: str) -> tuple[str, bool, bool]:
    """Where to, whether that is a fail target, and whether nothing was left to try."""
    if outcome in node.to:
        return node.to[outcome], False, False
    if outcome == "fail" and (node.fail or "error" in node.to):
        return node.fail or node.to["error"], True, False
    if node.then and outcome not in node.bad:
        return node.then, False, False
    fail = "" if here.line.failing else node.fail or here.flow.fail
    return (fail, True, False) if fail else ("hangup", here.line.failing, True)
