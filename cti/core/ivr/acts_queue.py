"""The verb `queue`: with which priority, until when, and how it is left. What a callback keeps of a wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cti.core.ivr import model
from cti.core.ivr.calendars import hours
from cti.core.ivr.expressions import Expression, ExpressionError
from cti.core.ivr.here import Act, Done, Here, Left
from cti.core.ivr.readers import KEYS, LOGIN
from cti.core.ivr.source import seconds
from cti.core.ivr.steps import Answer, Enqueue
from cti.core.queues import PRIORITIES, QueueConfig, Raise

MAX_WAITS = (1.0, 86400.0)
NAMED, LAST = "named", "last"


def _queue(here: Here, spec: model.Queue) -> Done:
    settings = here.book.queues.get(spec.queue)
    written = None if spec.priority is None else _priority(here.value(spec.priority))
    priority, raised = priority_of(here, settings, written)
    max_wait = None if spec.max_wait is None else _max_wait(here.value(spec.max_wait))
    agent, patience, why = _preferred(here, spec, settings)
    return Enqueue(
        queue=spec.queue, skills=dict(spec.skills), priority=priority if raised else written, max_wait=max_wait,
        closed=_is_closed(here, settings), keys="".join(key for key in here.node.to if key in KEYS),
        prefer=agent, prefer_for=patience, prefer_why=why, raised=raised,
    )  # fmt: skip


def _queued(here: Here, spec: model.Queue, answer: Answer) -> Done:
    """A key leads where it says; how the wait ended is the result of the node."""
    here.result(answer.outcome, {**answer.data, "key": answer.digits[:1]})
    return Left(answer.digits[:1] if answer.digits[:1] in here.node.to else answer.outcome)


def _is_closed(here: Here, settings: QueueConfig | None) -> bool:
    """Outside of its calendar a queue takes nobody."""
    if settings is None or not settings.calendar:
        return False
    forced = here.context.forced.get(settings.calendar)
    return hours(here.book.calendars[settings.calendar], here.context.at, here.book.zone, forced).state != "open"


def _preferred(here: Here, spec: model.Queue, settings: QueueConfig | None) -> tuple[str, float, str]:
    """The agent who is waited for, how many seconds, and why: the one the node names, else who talked to him last."""
    named, last = here.value(spec.agent), here.context.call.get("last_agent")
    if isinstance(named, str) and LOGIN.fullmatch(named):
        return named, spec.agent_for, NAMED
    if settings is not None and settings.last_agent and isinstance(last, str) and last:
        return last, settings.last_agent, LAST
    return "", 0.0, ""


# ---------------------------------------------------------------- priority


def priority_of(here: Here, settings: QueueConfig | None, written: int | None = None) -> tuple[int, tuple[str, ...]]:
    """With what the queue's rules add, and the rules that held. `written`: instead of the queue's own."""
    base = written if written is not None else settings.priority if settings is not None else 0
    names = here.names()
    held = [rule for rule in (settings.raises if settings is not None else ()) if _holds(rule, names)]
    return _within(base + sum(rule.by for rule in held)), tuple(map(told, held))


def _holds(rule: Raise, names: Mapping[str, Any]) -> bool:
    """A rule that comes to no value, because what it asks for is not there, does not hold."""
    try:
        return isinstance(rule.when, Expression) and bool(rule.when.value(names))
    except ExpressionError:
        return False


def told(rule: Raise) -> str:
    """A rule as people read it: `customer.tier == 'vip' (+10)`."""
    return f"{rule.when.source.removeprefix('{{').removesuffix('}}').strip()} ({rule.by:+d})"


def _within(priority: int) -> int:
    return max(PRIORITIES[0], min(priority, PRIORITIES[1]))


def _priority(value: Any) -> int:
    try:
        return _within(int(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ExpressionError("a priority is a whole number") from error


def _max_wait(value: Any) -> float:
    """Seconds, or a duration like `5m`."""
    length = seconds(value) if isinstance(value, str) else value
    if not isinstance(length, int | float) or length != length:
        raise ExpressionError("a waiting time is a number of seconds or a duration")
    return max(MAX_WAITS[0], min(float(length), MAX_WAITS[1]))


# ---------------------------------------------------------------- callbacks


def place(here: Here, queue: str) -> dict[str, Any]:
    """What a callback keeps of the wait in this queue that the call has had; without one it begins to wait now."""
    waited, kept = here.context.waited.get(queue, {}), ("since", "priority", "skills")
    language = {"language": here.line.language}
    if waited.keys() >= set(kept):
        return {key: waited[key] for key in kept} | language
    priority, _ = priority_of(here, here.book.queues.get(queue))
    return {"since": here.context.at, "priority": priority, "skills": {}} | language


ACTS: dict[type[Any], Act] = {model.Queue: Act(_queue, _queued)}
