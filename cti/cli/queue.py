"""`cti queue`: the queues of the flows folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cti.adapters import flow_files
from cti.cli import decision, options
from cti.core.ivr.acts_queue import told
from cti.core.ivr.expressions import Expression
from cti.core.ivr.source import span
from cti.core.queues import Capacity, QueueConfig, Relax, Routing, asked


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = sub.add_parser("queue", help="queues of the flows folder").add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", help="every queue, whom it needs, its times, and who comes first in it")
    options.add(listed, with_json=True)
    listed.set_defaults(func=_list)


def _list(args: argparse.Namespace) -> int:
    settings = options.load(args)
    book, problems = flow_files.check(settings.paths.flows, country=settings.site.country, zone=settings.site.time_zone)
    for problem in problems:
        print(problem, file=sys.stderr)
    if book is None:
        return 1
    if args.json:
        options.print_json([_row(queue, book.routing) for queue in book.queues.values()])
        return 0
    print(_routing(book.routing))
    for queue in book.queues.values():
        print(_line(queue))
        for line in _besides(queue):
            print(f"    {line}")
    return 0


def _row(queue: QueueConfig, routing: Routing) -> dict[str, Any]:
    """All settings of a queue by their names in queues.yaml, times in seconds, expressions as they are written;
    `routing` is that of all queues."""
    found: dict[str, Any] = msgspec.to_builtins(queue, enc_hook=_source)
    announce, whisper = found["announce"], queue.whisper
    found["raise"] = found.pop("raises")
    announce["say"], announce["play"] = announce.pop("texts"), announce.pop("names")
    found["whisper"] = {"play": whisper.name} if whisper.name else whisper.texts
    return {**found, "skills": asked(queue, {}), "routing": msgspec.to_builtins(routing)}


def _source(value: Any) -> str:
    if isinstance(value, Expression):
        return value.source
    raise NotImplementedError(f"no such setting: {value!r}")


def _routing(routing: Routing) -> str:
    worth = f"a point of priority is worth {span(routing.aging)}" if routing.aging else "priority alone decides"
    balance = "; whose queue is furthest behind its goal comes first" if routing.balance else ""
    calls_out = "" if routing.outbound_counts else "; a call out leaves the idle time of an agent as it is"
    return f"routing: {worth}{balance}{calls_out}"


def _line(queue: QueueConfig) -> str:
    level = queue.service_level
    return (
        f"{queue.name:16} needs {_needs(queue):28} ring {span(queue.ring)}  wrap-up {span(queue.wrap_up)}  "
        f"at most {span(queue.max_wait)}  goal {level.percent} % in {span(level.within)}"
    )


def _needs(queue: QueueConfig) -> str:
    return decision.skills(asked(queue, {})) or "nobody special"


def _levels(skills: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {level}" for name, level in skills.items())


# ---------------------------------------------------------------- what is not as it is by itself


def _besides(queue: QueueConfig) -> Iterator[str]:
    if queue.relax:
        yield "relaxed: " + "; ".join(map(_step, queue.relax))
    if first := list(_agents(queue)):
        yield "agents: " + ", ".join(first)
    if queue.priority or queue.raises:
        yield "priority: " + "; ".join([str(queue.priority), *map(told, queue.raises)])
    if ends := list(_ends(queue)):
        yield "leaves: " + ", ".join(ends)
    if queue.capacity:
        yield "at once: " + ", else ".join(map(_capacity, queue.capacity))
    if heard := list(_heard(queue)):
        yield "heard: " + ", ".join(heard)
    yield from _later(queue)


def _step(step: Relax) -> str:
    also = [f"also {_levels(step.also)}"] if step.also else []
    skills = [_levels(step.skills)] if step.skills else []
    return f"after {span(step.after)} " + ("any agent" if step.any_agent else ", ".join([*skills, *also]))


def _agents(queue: QueueConfig) -> Iterator[str]:
    if queue.agents != "longest_idle":
        yield queue.agents
    if queue.idle_limit:
        yield f"before that who is idle for {span(queue.idle_limit)}"
    if queue.last_agent:
        yield f"the last one alone for {span(queue.last_agent)}"
    if queue.keep_idle:
        yield f"{queue.keep_idle} kept for callers"


def _ends(queue: QueueConfig) -> Iterator[str]:
    over = queue.overflow
    if queue.calendar:
        yield f"new callers while {queue.calendar} is closed" + (", and those who wait" if over.closing else "")
    if over.wait:
        yield f"expected wait over {span(over.wait)}"
    if over.ratio:
        yield f"more than {over.ratio:g} callers for each agent"
    if over.no_agents is not None:
        yield "nobody signed on" + (f" for {span(over.no_agents)}" if over.no_agents else "")
    if queue.return_within:
        yield f"his place is kept for {span(queue.return_within)}"


def _capacity(one: Capacity) -> str:
    return f"{one.calls} while {one.calendar} is open" if one.calendar else f"{one.calls}"


def _heard(queue: QueueConfig) -> Iterator[str]:
    announce, whisper = queue.announce, queue.whisper
    says = [word for word, is_said in (("position", announce.position), ("wait", announce.wait)) if is_said]
    says += [f"text in {' '.join(announce.texts)}"] if announce.texts else []
    says += list(announce.names)
    if says:
        yield f"{' and '.join(says)} after {span(announce.first)}, then every {span(announce.every)}"
    if queue.music:
        yield f"music {queue.music}"
    if whisper.texts or whisper.name:
        yield f"agents hear {whisper.name or 'a whisper in ' + ' '.join(whisper.texts)}"


def _later(queue: QueueConfig) -> Iterator[str]:
    rules = queue.callback
    calendar = rules.calendar or queue.calendar
    when = f" while {calendar} is open" if calendar else ""
    abroad = f", also to {' '.join(rules.countries)}" if rules.countries else ""
    yield f"callbacks: {rules.tries} tries, one every {span(rules.every)}, within {span(rules.expires)}{when}{abroad}"
