"""Runs one call through a flow, one step at a time: pure, and never an exception or an endless call.

    turn = begin(book, flow, language, context)       what to do first
    turn = proceed(book, turn.line, answer, context)  the last action ended like this: what next
    turn = again(book, line, context)                 the caller came back after a restart: the node once more

An outcome that is not named goes to the node's `then`, else its `fail`, else the flow's `fail`, else hangup.
A failure inside a fail target hangs up. After 200 nodes, or 20 without the caller doing anything, comes the
fail target, and after that the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cti.core.ivr import model
from cti.core.ivr.expressions import Expression, ExpressionError, Record
from cti.core.ivr.model import Book, Flow, Node, Speech
from cti.core.ivr.source import seconds
from cti.core.ivr.steps import Action, Answer, Ask, Context, Dial, End, Enqueue, Fact, Line, Say, Turn, Visit
from cti.core.messages import Prompt, Sound, Text
from cti.core.numbers import dialable

MAX_NODES = 200
MAX_HOPS = 20
PRIORITIES = (-1000, 1000)
MAX_WAITS = (1.0, 86400.0)
CAUSE_FAILED = 41  # Q.850: temporary failure
AWAITED = frozenset({"answered", "timeout", "left"})  # results of a queue or dial after which hops count anew


class _Left(msgspec.Struct):
    """The node is over."""

    outcome: str
    vars: dict[str, Any] = {}


# ---------------------------------------------------------------- from outside


def begin(book: Book, flow: str, language: str | None, context: Context) -> Turn:
    line = Line(version=book.version, flow=flow, node="", language=language or "en")

    def first() -> Turn:
        found = book.flows[flow]
        return _enter(_Run(book, context), _change(line, language=language or found.language), found.start)

    return _guarded(line, first)


def proceed(book: Book, line: Line, answer: Answer, context: Context) -> Turn:
    def step() -> Turn:
        run = _Run(book, context)
        node = book.flows[line.flow].nodes[line.node]
        if isinstance(node.spec, model.Menu):
            return _menu_answered(run, line, node, node.spec, answer)
        return _answered(run, line, node, answer)

    return _guarded(line, step)


def again(book: Book, line: Line, context: Context) -> Turn:
    def same() -> Turn:
        run = _Run(book, context)
        return _go(run, line, book.flows[line.flow].nodes[line.node])

    return _guarded(line, same)


def hung_up(book: Book, line: Line, context: Context) -> Turn | None:
    return None


def _guarded(line: Line, step: Callable[[], Turn]) -> Turn:
    """Whatever goes wrong in here ends this call, and nothing else."""
    try:
        return step()
    except Exception:
        return Turn(line, (), End("failed", CAUSE_FAILED))


class _Run:
    """One turn: the nodes it leaves behind it."""

    def __init__(self, book: Book, context: Context) -> None:
        self.book = book
        self.context = context
        self.trail: list[Visit | Fact] = []

    def turn(self, line: Line, action: Action) -> Turn:
        return Turn(line, tuple(self.trail), action)


def _change(line: Line, **changes: Any) -> Line:
    return msgspec.structs.replace(line, **changes)


# ---------------------------------------------------------------- answers


def _menu_answered(run: _Run, line: Line, node: Node, menu: model.Menu, answer: Answer) -> Turn:
    key = answer.digits[:1] if answer.outcome == "digits" else ""
    line = _result(line, node, answer.outcome, digits=key)
    if key and key in node.to:
        return _leave(run, _change(line, hops=0), node, _Left(key))
    if answer.outcome == "error":
        return _leave(run, line, node, _Left("error"))
    if line.no_input < menu.retries:
        return _go(run, _change(line, no_input=line.no_input + 1), node)
    return _leave(run, line, node, _Left("invalid" if key else "timeout"))


def _answered(run: _Run, line: Line, node: Node, answer: Answer) -> Turn:
    line = _result(line, node, answer.outcome, **answer.data)
    if isinstance(node.spec, model.Queue | model.Dial) and answer.outcome in AWAITED:
        line = _change(line, hops=0)
    if isinstance(node.spec, model.Dial) and answer.outcome == "answered":
        line = _change(line, how="transferred_out")
    return _leave(run, line, node, _Left(answer.outcome))


def _result(line: Line, node: Node, outcome: str, **data: Any) -> Line:
    return _change(line, results={**line.results, node.id: {**data, "outcome": outcome}})


# ---------------------------------------------------------------- moving


def _leave(run: _Run, line: Line, node: Node, left: _Left) -> Turn:
    """Find where the outcome leads, and go on there until somebody has to do something."""
    while True:
        flow = run.book.flows[line.flow]
        target, failing, lost = _target(flow, node, left.outcome, line.failing)
        line = _change(line, failing=failing, hops=line.hops + 1, no_input=0, vars={**line.vars, **left.vars})
        if target not in ("hangup", "return"):
            target, lost, line = _budget(flow, node, target, line)
        run.trail.append(Visit(node.id, node.verb, left.outcome, target, left.vars, line.flow))
        if target in ("hangup", "return"):
            return run.turn(line, End("failed" if lost else line.how))
        node = flow.nodes[node.id if target == "repeat" else target]
        line = _change(line, node=node.id, visits=line.visits + 1)
        done = _do(run, line, node)
        if not isinstance(done, _Left):
            return run.turn(line, done)
        left = done


def _enter(run: _Run, line: Line, start: str) -> Turn:
    return _go(run, _change(line, node=start, visits=1), run.book.flows[line.flow].nodes[start])


def _go(run: _Run, line: Line, node: Node) -> Turn:
    done = _do(run, line, node)
    if isinstance(done, _Left):
        return _leave(run, line, node, done)
    return run.turn(line, done)


def _target(flow: Flow, node: Node, outcome: str, failing: bool) -> tuple[str, bool, bool]:
    """Where to, whether that is a fail target, and whether nothing was left to try."""
    if outcome in node.to:
        return node.to[outcome], False, False
    if outcome == "fail" and node.fail:
        return node.fail, True, False
    if node.then:
        return node.then, False, False
    fail = "" if failing else node.fail or flow.fail
    return (fail, True, False) if fail else ("hangup", failing, True)


def _budget(flow: Flow, node: Node, target: str, line: Line) -> tuple[str, bool, Line]:
    """The target and whether all is lost: too much done leads to the fail target, then to the end."""
    if line.visits < MAX_NODES and line.hops <= MAX_HOPS:
        return target, False, line
    fail = "" if line.spent else node.fail or flow.fail
    spent = _change(line, spent=True, failing=True, hops=0, visits=MAX_NODES - MAX_HOPS)
    return fail or "hangup", not fail, spent


# ---------------------------------------------------------------- doing a node


def _do(run: _Run, line: Line, node: Node) -> Action | _Left:
    """What the switch has to do for this node, or how it ended at once."""
    try:
        return _action(run, line, node)
    except ExpressionError:
        return _Left("fail" if isinstance(node.spec, model.Dial) else "error")


def _action(run: _Run, line: Line, node: Node) -> Action | _Left:
    names = _names(run.context, line)
    match node.spec:
        case model.Say(speech):
            return Say(_prompts(run, line, speech, names))
        case model.Menu(speech, _, timeout):
            return Ask(prompts=_prompts(run, line, speech, names), timeout=timeout)
        case model.Set(wanted):
            return _Left("done", {key: _value(value, names) for key, value in wanted.items()})
        case model.Branch(when):
            return _Left(next((str(at) for at, test in enumerate(when, 1) if test.value(names)), "else"))
        case model.Queue():
            return _queue(node.spec, names)
        case model.Dial(to, ring):
            verdict = dialable(str(_value(to, names)), run.book.country, run.book.allow)
            return _Left("fail") if verdict.refused else Dial(verdict.number, ring)
        case _:
            run.trail.append(Visit(node.id, node.verb, "done", "hangup", flow=line.flow))
            return End(line.how, node.spec.cause)


def _names(context: Context, line: Line) -> dict[str, Any]:
    known = {"call": Record(context.call), "customer": Record(context.customer)}
    return {**line.results, **known, "vars": line.vars, "language": line.language}


def _value(value: Any, names: dict[str, Any]) -> Any:
    return value.value(names) if isinstance(value, Expression) else value


def _queue(spec: model.Queue, names: dict[str, Any]) -> Enqueue:
    priority = None if spec.priority is None else _priority(_value(spec.priority, names))
    max_wait = None if spec.max_wait is None else _max_wait(_value(spec.max_wait, names))
    return Enqueue(spec.queue, dict(spec.skills), priority, max_wait)


def _priority(value: Any) -> int:
    try:
        return max(PRIORITIES[0], min(int(value), PRIORITIES[1]))
    except (TypeError, ValueError, OverflowError) as error:
        raise ExpressionError("a priority is a whole number") from error


def _max_wait(value: Any) -> float:
    """Seconds, or a duration like `5m`."""
    length = seconds(value) if isinstance(value, str) else value
    if not isinstance(length, int | float) or length != length:
        raise ExpressionError("a waiting time is a number of seconds or a duration")
    return max(MAX_WAITS[0], min(float(length), MAX_WAITS[1]))


def _prompts(run: _Run, line: Line, speech: Speech, names: dict[str, Any]) -> tuple[Prompt, ...]:
    sounds = [Sound(language=line.language, name=name, version=line.version) for name in speech.names]
    return (*sounds, *_texts(run.book.flows[line.flow], line, speech, names))


def _texts(flow: Flow, line: Line, speech: Speech, names: dict[str, Any]) -> list[Prompt]:
    """In the caller's language, else in the flow's."""
    language = line.language if line.language in speech.texts else flow.language
    if language not in speech.texts:
        return []
    text = speech.texts[language]
    spoken = text.text(names) if isinstance(text, Expression) else text
    return [Text(language=language, text=spoken)] if spoken.strip() else []
