"""How problems are told: not too many, with a hint where it helps."""

from __future__ import annotations

import pytest
from flowbook import HEAD, book_of, problems_of

from cti.adapters.flow_files import Sources, load
from cti.core.ivr import Problem
from cti.core.ivr.checker import MAX_EXPRESSIONS
from cti.core.ivr.problems import NEAR, meant
from cti.core.ivr.source import MAX_HINTS, MAX_TOLD

OFFICE = "calendars: {office: {time_zone: Asia/Jakarta}}\n"


def told(count: int) -> list[Problem]:
    nodes = "".join(f"  n{number}: {{do: hangup, cuse: 1}}\n" for number in range(count))
    return load(Sources({"t.yaml": HEAD.replace("start: a", "start: n0") + nodes}))[1]


def test_of_very_many_problems_the_first_are_told_and_how_many_more_there_are() -> None:
    assert len(told(MAX_TOLD)) == MAX_TOLD
    assert not any("more" in problem.message for problem in told(MAX_TOLD))
    problems = told(MAX_TOLD + 7)
    assert [one.line for one in problems] == [*range(5, 5 + MAX_TOLD), 5 + MAX_TOLD]
    assert problems[-1].message == "and 7 more"
    assert [bool(one.hint) for one in problems] == [True] * MAX_HINTS + [False] * (MAX_TOLD + 1 - MAX_HINTS)


@pytest.mark.parametrize(("word", "name"), [("frist7", "first7"), ("xirst7", "first7"), ("first7x", "first7")])
def test_among_very_many_names_the_nearest_is_still_meant(word: str, name: str) -> None:
    names = [name, *(f"name{number}" for number in range(20 * NEAR))]
    assert meant(word, names) == f"did you mean `{name}`?"


def test_a_flow_has_a_limit_of_expressions() -> None:
    nodes = "  a: {do: branch, when: [{if: '{{ 1 }}', to: hangup}], else: hangup}\n"
    assert problems_of(nodes) == []
    many = "".join(f"  n{number}: {{do: set, vars: {{x: '{{{{ 1 }}}}'}}}}\n" for number in range(MAX_EXPRESSIONS))
    assert problems_of(nodes + many) == ["t.yaml:4:1: a flow has at most 2000 texts with `{{ }}`"]


def test_what_is_not_acted_on_yet_is_noted_where_it_stands() -> None:
    queues = """queues:
  sales: {calendar: office, ring: 20s}
  support:
    announce: {wait: true}
    agents: best_level
    recording: on_demand
"""
    book = book_of("  a: {do: hangup}\n", queues=queues, calendars=OFFICE)
    told = "queues.yaml:6:5: queue support: `recording: on_demand` is not acted on yet"
    assert [str(note) for note in book.notes] == [told]
    assert book_of("  a: {do: hangup}\n").notes == ()
