"""The biggest files that the limits let through, each full of one fault, are checked in 2 s of a CPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from cti.adapters.flow_files import MAX_BYTES, Sources, load
from cti.core.ivr.checker import MAX_EXPRESSIONS
from cti.core.ivr.queue_source import MAX_QUEUES

HEAD = "flow: t\nlanguage: en\nstart: n0\nnodes:\n"
MAX_NODES = 6_500  # the loader's bound on values, with three in a node


def full(head: str, line: Callable[[int], str], most: int = MAX_NODES) -> str:
    """As many of the lines as one file may have."""
    lines, left = [head], MAX_BYTES - len(head)
    for number in range(most):
        left -= len(line(number))
        if left < 0:
            break
        lines.append(line(number))
    return "".join(lines)


def chain(verb: str) -> str:
    ended = "  n3000: {do: hangup}\n"
    return full(HEAD, lambda n: f"  n{n}: {{do: {verb}, then: n{n + 1}}}\n", 3000) + ended


def setting(name: str, expression: str, number: int) -> str:
    return f"  n{number}: {{do: set, vars: {{{name}: '{{{{ {expression} }}}}'}}}}\n"


def small(name: str) -> str:
    return f"flow: {name}\nlanguage: en\nstart: a\nnodes:\n  a: {{do: hangup}}\n"


QUEUES = full("queues:\n", lambda n: f"  q{n}: {{}}\n", MAX_QUEUES)
BIG: dict[str, tuple[dict[str, str], str]] = {  # files, and what the first problem says; empty: there is none
    "chain of set": ({"t.yaml": chain("set, vars: {x: 1}")}, ""),
    "chain of say": ({"t.yaml": chain("say, say: hi")}, ""),
    "ring of say": ({"t.yaml": chain("say, say: hi").replace("{do: hangup}", "{do: say, say: hi, then: n0}")}, "loop"),
    "targets": ({"t.yaml": full(HEAD, lambda n: f"  n{n}: {{do: say, say: hi, then: m{n}}}\n", 4500)}, "target `m0`"),
    "queue names": (
        {"t.yaml": full(HEAD, lambda n: f"  n{n}: {{do: queue, queue: q{n}x}}\n", 4500), "queues.yaml": QUEUES},
        "queue `q0x` is not in queues.yaml (did you mean `q0`?)",
    ),
    "calendars": (
        {
            "queues.yaml": full("queues:\n", lambda n: f"  q{n}: {{calendar: c{n}x}}\n", MAX_QUEUES),
            "calendars.yaml": full("calendars:\n", lambda n: f"  c{n}: {{time_zone: UTC}}\n"),
        },
        "calendar `c0x` is not in calendars.yaml (did you mean `c0`?)",
    ),
    "time zones": (
        {"calendars.yaml": full("calendars:\n", lambda n: f"  c{n}: {{time_zone: Mars/B{n}}}\n", 4_500)},
        "`Mars/B0` is no time zone",
    ),
    "flows": (
        {
            "numbers.yaml": full("numbers:\n", lambda n: f"  '{1000 + n}': f{n}x\n"),
            **{f"f{n}.yaml": small(f"f{n}") for n in range(300)},
        },
        "flow `f0x` is not in this folder (did you mean `f0`?)",
    ),
    "variables": (
        {"t.yaml": full(HEAD, lambda n: setting(f"x{n}", f"vars.y{n}", n), MAX_EXPRESSIONS)},
        "`vars.y0` is no variable",
    ),
    "expressions": (
        {"t.yaml": full(HEAD, lambda n: setting("x", "call.id | length + 1", n), MAX_EXPRESSIONS)},
        "",
    ),
    "too many expressions": (
        {"t.yaml": full(HEAD, lambda n: setting("x", "1", n), MAX_EXPRESSIONS + 1)},
        "t.yaml:4:1: a flow has at most 2000 texts with `{{ }}`",
    ),
    "keys": ({"t.yaml": full(HEAD + "  n0: {do: hangup}\n", lambda n: f"k{n}: 1\n", 9_000)}, "`k0` is no key"),
    "long keys": (
        {"t.yaml": full(HEAD + "  n0: {do: hangup}\n", lambda n: f"{'k' * 60}{n}: 1\n")},
        "is no key of a flow",
    ),
    "skills": (
        {"queues.yaml": full("queues:\n", lambda n: f"  q{n}: {{skills: {{b d: 1}}}}\n", MAX_QUEUES)},
        "`b d` is not a plain name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BIG)
def test_the_biggest_file_of_each_fault_is_checked_in_time(kind: str) -> None:
    files, first = BIG[kind]
    begun = time.process_time()
    problems = load(Sources(files))[1]
    assert time.process_time() - begun < 2
    assert bool(problems) is bool(first)
    assert not first or first in str(problems[0])
