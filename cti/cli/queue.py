"""`cti queue`: the queues of the flows folder."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from cti.adapters import flow_files
from cti.cli import options
from cti.core.queues import QueueConfig


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = sub.add_parser("queue", help="queues of the flows folder").add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", help="every queue, whom it needs, and its times")
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
        options.print_json([msgspec.to_builtins(queue) for queue in book.queues.values()])
    else:
        for queue in book.queues.values():
            print(_line(queue))
    return 0


def _line(queue: QueueConfig) -> str:
    level = queue.service_level
    return (
        f"{queue.name:16} needs {_needs(queue):28} ring {queue.ring:g} s  wrap-up {queue.wrap_up:g} s  "
        f"at most {queue.max_wait:g} s  goal {level.percent} % in {level.within:g} s"
    )


def _needs(queue: QueueConfig) -> str:
    skills: dict[str, Any] = {queue.name: 1} if queue.skills is None else queue.skills
    needed = [f"{name} {level}" for name, level in skills.items() if name != "any"]
    for one in skills.get("any", []):
        needed.append("or " + " ".join(f"{name} {level}" for name, level in one.items()))
    return ", ".join(needed) or "nobody special"
