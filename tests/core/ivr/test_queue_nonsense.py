"""Whatever stands in queues.yaml: clear problems within a second, or queues that callers can wait in; no exception."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import pytest
from flowbook import NOW
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.adapters.flow_files import MAX_BYTES, Sources, load
from cti.cli.queue import _besides, _line, _routing, _row
from cti.core import ivr
from cti.core.ivr import Book, Source, load_book
from cti.core.ivr.queue_source import queue_keys
from cti.core.queues import Requirement, relaxed, required_skills

FLOW = {
    "flow": "t", "language": "en", "start": "a", "nodes": {
        "a": {"do": "queue", "queue": "sales", "options": {"1": "b"}, "then": "hangup"},
        "b": {"do": "callback", "queue": "sales", "ask": False, "number": "+62811555001", "then": "hangup"},
    },
}  # fmt: skip
CALENDARS = {"calendars": {"office": {}, "lunch": {}}}
WORDS = st.sampled_from(
    ["sales", "office", "lunch", "en", "5s", "10m", "1d", "{{ true }}", "{{ customer.tier == 'vip' }}", "{{ vars.x }}",
     "{{ 1/0 }}", "any", "longest_idle", "fastest", "always", "hello", "", "\x00", "саles", "１０"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5)
KEYS = WORDS | st.sampled_from(
    ["after", "skills", "also", "any_agent", "when", "by", "calls", "calendar", "say", "play", "position", "wait",
     "ratio", "no_agents", "closing", "tries", "every", "expires", "ring"]
)  # fmt: skip
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
LEVELS = st.dictionaries(st.sampled_from(["sales", "en", "id"]), st.integers(0, 9), max_size=2)
TIMES = st.sampled_from(["0s", "5s", "30s", "1m", "10m", "1h"])
STEPS = st.lists(
    st.fixed_dictionaries({"after": TIMES}, optional={"skills": LEVELS, "also": LEVELS, "any_agent": st.just(True)}),
    max_size=4,
)
RULES = st.lists(st.fixed_dictionaries({"when": WORDS, "by": st.integers(-1000, 1000)}), max_size=3)
CAPACITY = st.integers(1, 5) | st.lists(
    st.fixed_dictionaries({"calls": st.integers(0, 3)}, optional={"calendar": WORDS}), max_size=3
)
OVERFLOW = st.fixed_dictionaries(
    {}, optional={"wait": TIMES, "ratio": st.floats() | st.integers(), "no_agents": TIMES, "closing": st.booleans()}
)
QUEUE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(queue_keys(), ANYTHING), "skills": LEVELS | ANYTHING, "relax": STEPS | ANYTHING,
        "raise": RULES | ANYTHING, "capacity": CAPACITY | ANYTHING, "overflow": OVERFLOW | ANYTHING,
        "calendar": st.just("office"),
    },
)  # fmt: skip
FILE = st.fixed_dictionaries(
    {"queues": st.fixed_dictionaries({"sales": QUEUE}, optional={"any": QUEUE, "x": QUEUE}) | ANYTHING},
    optional={"routing": ANYTHING, "queue": ANYTHING},
)


def book_or_problems(data: Any, version: int = 0) -> Book | list[ivr.Problem]:
    files = {"t.yaml": FLOW, "calendars.yaml": CALENDARS, "queues.yaml": data}
    return load_book({name: Source(name, held) for name, held in files.items()}, version=version)


def waits(book: Book) -> None:
    """A caller waits, presses the key, and is called back; the list of queues can be printed."""
    context = ivr.Context(call={"caller": "+62811555001"}, at=NOW)
    turn = ivr.begin(book, "t", None, context)
    assert isinstance(turn.action, ivr.Enqueue) and turn.action.keys == "1"
    ended = ivr.proceed(book, turn.line, ivr.Answer("callback", "1"), context)
    assert isinstance(ended.trail[-1], ivr.Fact) and -1000 <= ended.trail[-1].data["priority"] <= 1000
    assert _routing(book.routing)
    for queue in book.queues.values():
        assert _line(queue) and list(_besides(queue)) and _row(queue, book.routing)
        needs = required_skills(queue, {})
        for step in queue.relax:
            before, needs = needs, relaxed(needs, step)
            assert needs != before or needs == Requirement() or step.skills.keys() - dict(before.needs).keys()


@settings(max_examples=200, deadline=None)
@given(data=FILE | ANYTHING)
def test_nonsense_is_told_and_never_raises(data: Any) -> None:
    found = book_or_problems(data)
    if isinstance(found, Book):
        waits(found)
    else:
        assert found and all(problem.message and len(str(problem)) <= 600 for problem in found)
        assert all(str(problem).isprintable() for problem in found)
    served = book_or_problems(data, version=7)
    assert isinstance(served, Book) or not isinstance(found, Book), "what may be published is served again"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, 10**400, -1, True, "1e9s", "9" * 400 + "s"])
def test_numbers_that_are_none(value: Any) -> None:
    """They come from JSON or from a program, if not from the loader of YAML."""
    keys = ("idle_limit", "last_agent", "return_within", "keep_idle", "capacity", "max_wait", "priority", "max_size")
    bad = [{key: value} for key in keys]
    bad += [{"overflow": {key: value}} for key in ("wait", "ratio", "no_agents")]
    bad += [{"callback": {key: value}} for key in ("tries", "every", "expires", "ring")]
    bad += [{"announce": {"wait": True, key: value}} for key in ("every", "first")]
    bad += [{"relax": [{"after": value, "any_agent": True}]}, {"raise": [{"when": "{{ true }}", "by": value}]}]
    for queue in bad:
        found = book_or_problems({"queues": {"sales": queue}})
        if (value == -1 and queue == {"priority": -1}) or (value == -1 and "raise" in queue):
            assert isinstance(found, Book)
        else:
            assert isinstance(found, list) and len(found) == 1, (queue, found)


# ---------------------------------------------------------------- bombs

SOON = 4.0 if sys.gettrace() else 1.0  # s of the processor; it takes half of that at most


def _many(one: str, most: int = 60_000) -> str:
    return ", ".join([one] * (most // (len(one) + 2)))


def _rules(expression: str, count: int = 200) -> str:
    """So many rules that are not the same."""
    rules = ", ".join(f'{{when: "{{{{ {expression} and {n} }}}}", by: 1}}' for n in range(count))
    return f"queues: {{sales: {{raise: [{rules}]}}}}\n"


BOMBS = {
    "many steps": f"queues: {{sales: {{relax: [{_many('{after: 5s, any_agent: true}')}]}}}}\n",
    "many empty steps": f"queues: {{sales: {{relax: [{_many('{}')}]}}}}\n",
    "a full file": f"queues: {{sales: {{relax: [{_many('{}', MAX_BYTES - 100)}]}}}}\n",
    "many queues": "queues:\n" + "".join(f"  q{n}: {{}}\n" for n in range(4_000)),
    "many unknown keys": "queues:\n  sales:\n" + "".join(f"    k{n}: 1\n" for n in range(4_000)),
    "many skills": "queues: {sales: {skills: {" + ", ".join(f"s{n}: 1" for n in range(4_000)) + "}}}\n",
    "many alternatives": f"queues: {{sales: {{skills: {{any: [{_many('{a: 1}')}]}}}}}}\n",
    "many capacities": f"queues: {{sales: {{capacity: [{_many('{calls: 1, calendar: x}')}]}}}}\n",
    "many recordings": f"queues: {{sales: {{announce: {{play: [{_many('hello')}]}}}}}}\n",
    "many rules": "queues: {sales: {raise: [" + _many('{when: "{{ true }}", by: 1}') + "]}}\n",
    "many queues with rules": "queues:\n"
    + "".join(f'  q{n}: {{raise: [{{when: "{{{{ {n} }}}}", by: 1}}]}}\n' for n in range(1_500)),
    "many languages": "queues: {sales: {whisper: {" + ", ".join(f"a{n}: x" for n in range(4_000)) + "}}}\n",
    "a long text": f"queues: {{sales: {{announce: {{say: {{en: {'x' * 250_000}}}}}}}}}\n",
    "a long name": f"queues: {{{'x' * 900}: {{}}}}\n",
    "a deep nest": "queues: {sales: " + "[" * 5_000 + "]" * 5_000 + "}\n",
    "a laugh": "queues: {a: &a [1, 1], b: &b [*a, *a], sales: {relax: [*b, *b]}}\n",
    "an anchor": "queues: {sales: &s {}, support: *s}\n",
    "a merge": "queues: {sales: {<<: {ring: 5s}}}\n",
    "a tag": "queues: {sales: !!python/object/apply:os.system ['true']}\n",
    "twice": "queues: {sales: {}, sales: {}}\n",
    "a power": _rules("9**9**9"),
    "a big number": _rules("9" * 500),
    "a deep expression": _rules("(" * 300 + "1" + ")" * 300),
    "a long expression": _rules(" or ".join(["1"] * 400)),
    "a way out": _rules("call.__class__.__mro__"),
    "a statement": 'queues: {sales: {raise: [{when: "{% for x in y %}{% endfor %}", by: 1}]}}\n',
    "a torn expression": 'queues: {sales: {raise: [{when: "{{ customer.tier == }}", by: 1}]}}\n',
    "half a letter": 'queues: {"s\\ud800les": {}}\n',
    "letters that look alike": "queues: {sаles: {}}\n",
    "full width": "queues: {sales: {ring: １５s}}\n",
    "bytes": "queues: {sales: {ring: \x07}}\n",
    "nothing": "",
    "no map": "- queues\n",
    "torn": "queues: {sales: {ring: 5s\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_told_within_a_second(name: str) -> None:
    head = "flow: t\nlanguage: en\nstart: a\nnodes:\n  a: {do: hangup}\n"
    began = time.process_time()
    book, problems = load(Sources({"t.yaml": head, "queues.yaml": BOMBS[name]}))
    taken = time.process_time() - began
    assert book is None and problems, name
    assert all(problem.file == "queues.yaml" and len(str(problem)) <= 600 for problem in problems)
    assert len(problems) <= 101 and str(problems[0]).isprintable()
    assert taken < SOON, f"{taken:.2f} s"


def test_as_many_rules_as_there_may_be_are_read_within_a_second() -> None:
    longest = " or ".join(f"customer.attributes.a{n} == 'vip'" for n in range(24))
    began = time.process_time()
    book, problems = load(Sources({"queues.yaml": _rules(f"({longest})")}))
    assert time.process_time() - began < 2 * SOON
    assert book is not None and len(book.queues["sales"].raises) == 200, problems[:3]


@pytest.mark.parametrize("what", ["'x' * 999999999", "'x' * 9999 * 9999 * 9999", "[1] * 99999", "1 / 0", "call.at.b"])
def test_a_rule_that_comes_to_no_value_does_not_hold_and_costs_nothing(what: str) -> None:
    data = {"queues": {"sales": {"raise": [{"when": f"{{{{ {what} }}}}", "by": 5}, {"when": "{{ true }}", "by": 1}]}}}
    book = book_or_problems(data)
    assert isinstance(book, Book)
    began = time.process_time()
    action = ivr.begin(book, "t", None, ivr.Context(at=NOW)).action
    assert isinstance(action, ivr.Enqueue) and action.raised == ("true (+1)",)
    assert time.process_time() - began < SOON / 10
