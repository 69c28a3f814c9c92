from __future__ import annotations

import pytest
from flowbook import HEAD, problems_of

LOOKUPS = 'lookups: {q: {sql: "select 1"}}\n'
OTHER = "flow: other\nlanguage: en\nstart: x\nnodes:\n  x: "
LOOP = "is in a loop where nobody is asked and nothing ends"


def told(nodes: str, other: str = "{do: hangup}", head: str = HEAD) -> list[str]:
    return [line for line in problems_of(nodes, head, lookups=LOOKUPS, other=f"{OTHER}{other}\n") if LOOP in line]


@pytest.mark.parametrize("nodes", [
    "  a: {do: goto, to: b, exhausted: a}\n  b: {do: set, vars: {x: 1}, then: a}\n",
    "  a: {do: lookup, query: q, found: a, none: a, error: hangup}\n",
    "  a: {do: lookup, found: a, none: a, several: repeat}\n",
    "  a: {do: branch, when: [{if: '{{ true }}', to: a}], else: b}\n  b: {do: goto, to: a, times: 3, exhausted: a}\n",
    "  a: {do: split, shares: [{percent: 5, to: a}], else: a}\n",
    "  a: {do: transfer, flow: t, error: hangup}\n",
    "  a: {do: script, run: x.py, outcomes: {y: a}, then: a}\n",
])  # fmt: skip
def test_a_loop_in_a_flow(nodes: str) -> None:
    assert any(f"t.yaml:5:3: node `a` {LOOP}" in line for line in told(nodes)), told(nodes)


@pytest.mark.parametrize("nodes", [
    "  a: {do: goto, to: a}\n",
    "  a: {do: goto, to: a, exhausted: hangup}\n",
    "  a: {do: lookup, query: q, found: a, then: hangup}\n",
    "  a: {do: lookup, found: a, none: a}\n",
    "  a: {do: transfer, flow: other}\n",
    "  a: {do: call, flow: other, then: a}\n",
    "  a: {do: call, flow: missing, then: a}\n",
    "  a: {do: set, vars: {x: 1}, then: return}\n",
    "  a: {do: return}\n",
])  # fmt: skip
def test_a_way_out(nodes: str) -> None:
    assert told(nodes) == []


def test_a_loop_over_flows() -> None:
    both = told("  a: {do: transfer, flow: other}\n", "{do: transfer, flow: t}")
    assert [line.partition(" ")[0] for line in both] == ["other.yaml:5:3:", "t.yaml:5:3:"]
    assert told("  a: {do: call, flow: other, then: a}\n", "{do: return}")
    assert told("  a: {do: call, flow: other, then: a}\n", "{do: menu, say: hi, options: {'1': return}}") == []


def test_a_flow_with_other_problems_is_left_out() -> None:
    assert told("  a: {do: transfer, flow: other}\n", "{do: fly}") == []


def test_who_names_all_ways_needs_no_then() -> None:
    nodes = "  a: {do: lookup, query: q, found: hangup, none: hangup, error: hangup}\n"
    assert not any("names no `then`" in line for line in problems_of(nodes, lookups=LOOKUPS))
