"""A `queue` node: keys while waiting, the agent asked first, raised priorities, and callbacks that keep a place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flowbook import NOW, Phone, book_of, problems_of

from cti.core import ivr
from cti.core.ivr.drawing import mermaid
from cti.core.ivr.phone import WAITED
from cti.core.ivr.phone import Phone as Telephone
from cti.core.ivr.steps import Enqueue
from cti.core.messages import Text

KEYS = """
  a:
    do: queue
    queue: sales
    options: {"1": call_me, star: a2, "3": repeat}
    then: bye
  a2: {do: queue, queue: support, then: bye}
  call_me: {do: callback, queue: sales, ask: false, then: bye}
  bye: {do: say, say: "{{ a.outcome }} by {{ a.key }}.", then: hangup}
"""
RULES = """queues:
  sales:
    priority: 2
    last_agent: 30s
    raise:
      - {when: "{{ customer.tier == 'vip' }}", by: 10}
      - {when: "{{ customer.open_cases > 1 }}", by: 3}
      - {when: "{{ call.repeat >= 2 }}", by: -20}
  support: {raise: [{when: "{{ true }}", by: 900}, {when: "{{ 1 }}", by: 900}]}
"""
GIVEN = {"flow": "t", "language": "en", "start": "a"}


def waiting(phone: Phone) -> Enqueue:
    assert isinstance(phone.action, Enqueue)
    return phone.action


def ask(node: str, queues: str = RULES, call: dict[str, Any] | None = None, **customer: object) -> Enqueue:
    """What a caller enters the queue with."""
    book = book_of(f"  a: {{do: queue, queue: sales, then: hangup{node}}}\n", queues=queues)
    context = ivr.Context(call=call or {}, customer=customer, at=NOW)
    action = ivr.begin(book, "t", None, context).action
    assert isinstance(action, Enqueue)
    return action


# ---------------------------------------------------------------- keys


def test_a_key_leads_to_its_target() -> None:
    book = book_of(KEYS)
    phone = Phone(book)
    assert waiting(phone).keys == "1*3"
    phone.answer("left", "*")
    assert waiting(phone).queue == "support" and waiting(phone).keys == ""
    assert phone.turn.line.results["a"] == {"outcome": "left", "key": "*"}
    phone.answer("timeout")
    assert phone.heard == "left by *." and phone.path == ["a/*", "a2/timeout"]
    again = Phone(book)
    again.answer("left", "3")
    assert waiting(again).queue == "sales" and again.path == ["a/3"]


def test_a_wait_that_a_key_did_not_end_goes_its_way() -> None:
    for outcome, digits in (("timeout", ""), ("left", ""), ("left", "9")):
        phone = Phone(book_of(KEYS))
        phone.answer(outcome, digits)
        assert phone.heard == f"{outcome} by {digits}." and phone.path == [f"a/{outcome}"]


def test_who_waits_again_and_again_has_done_something_each_time() -> None:
    phone = Phone(book_of(KEYS))
    for _ in range(60):
        phone.answer("left", "3")
        assert waiting(phone).queue == "sales"


def test_how_a_wait_ends_by_a_key() -> None:
    book = book_of(KEYS)
    line = Phone(book).turn.line
    found = {key: ivr.result_of(book, line, key) for key in "1*32"}
    assert found == {"1": "callback", "*": "left", "3": "left", "2": ""}
    ended = {**GIVEN, "version": 3}
    assert ivr.result_of(book, msgspec.convert({**ended, "flow": "gone", "node": "a"}, ivr.Line), "1") == ""
    assert ivr.result_of(book, msgspec.convert({**ended, "node": "gone"}, ivr.Line), "1") == ""
    assert ivr.result_of(book, msgspec.convert({**ended, "node": "bye"}, ivr.Line), "then") == ""


def test_keys_are_checked_and_drawn() -> None:
    assert "`x` is no key of a phone" in problems_of('  a: {do: queue, queue: sales, options: {x: hangup}}\n')[0]
    assert "target `b` is no node" in problems_of('  a: {do: queue, queue: sales, options: {"1": b}}\n')[0]
    assert "needs at least one key" in problems_of("  a: {do: queue, queue: sales, options: {}}\n")[0]
    assert '  n_a -->|"1"| n_call_me' in mermaid(book_of(KEYS).flows["t"])
    assert book_of(KEYS).notes == (), "what only a key leads to is led to"


def test_a_callback_of_another_queue_is_noted() -> None:
    nodes = KEYS.replace("star: a2", "star: call_other, \"2\": call_other").replace("then: bye\n  a2", "then: a2\n  a2")
    book = book_of(nodes + "  call_other: {do: callback, queue: support, ask: false, then: bye}\n")
    told = ["who waits in sales does not keep his place in support"] * 2
    assert [(one.line, one.message) for one in book.notes] == [(9, one) for one in told]


# ---------------------------------------------------------------- the agent who is asked first


@pytest.mark.parametrize(
    ("node", "call", "expected"),
    [
        ("", {}, ("", 0.0, "")),
        ("", {"last_agent": "ani"}, ("ani", 30.0, "last")),
        (", agent: budi", {"last_agent": "ani"}, ("budi", 20.0, "named")),
        (", agent: budi, agent_for: 1m", {}, ("budi", 60.0, "named")),
        (', agent: "{{ customer.owner }}"', {}, ("chen.li", 20.0, "named")),
        (', agent: "{{ customer.nobody }}"', {"last_agent": "ani"}, ("ani", 30.0, "last")),
        (', agent: "{{ customer.nobody }}"', {"last_agent": None}, ("", 0.0, "")),
        (', agent: "{{ 5 }}"', {"last_agent": 7}, ("", 0.0, "")),
        (', agent: "{{ customer.odd }}"', {}, ("", 0.0, "")),
    ],
)
def test_who_is_asked_first(node: str, call: dict[str, Any], expected: tuple[str, float, str]) -> None:
    found = ask(node, call=call, owner="chen.li", odd="no such\nlogin")
    assert (found.prefer, found.prefer_for, found.prefer_why) == expected


def test_nobody_is_asked_first_where_the_queue_does_not_say_so() -> None:
    assert ask("", "queues: {sales: {}}\n", {"last_agent": "ani"}).prefer == ""


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (", agent: no one", "t.yaml:5:39: `no one` is no login name (letters, digits, `-`, `_` and `.`, at most 40)"),
        (", agent: [a]", "is no login name"),
        (", agent_for: 5s", "t.yaml:5:32: `agent_for` goes with `agent` only"),
        (", agent: ani, agent_for: 2h", "`agent_for` must be from 1s to 1h"),
        (', agent: "{{ x }}"', "`x` is no variable a flow has"),
    ],
)
def test_agents_are_checked(node: str, problem: str) -> None:
    told = problems_of(f"  a: {{do: queue, queue: sales{node}, then: hangup}}\n")
    assert len(told) == 1 and problem in told[0], told


# ---------------------------------------------------------------- priority


@pytest.mark.parametrize(
    ("node", "customer", "call", "priority", "raised"),
    [
        ("", {}, {}, None, ()),
        (", priority: 5", {}, {}, 5, ()),
        ("", {"tier": "vip"}, {}, 12, ("customer.tier == 'vip' (+10)",)),
        (", priority: 5", {"tier": "vip"}, {}, 15, ("customer.tier == 'vip' (+10)",)),
        ("", {"tier": "vip", "open_cases": 2}, {"repeat": 0}, 15,
         ("customer.tier == 'vip' (+10)", "customer.open_cases > 1 (+3)")),
        ("", {}, {"repeat": 2}, -18, ("call.repeat >= 2 (-20)",)),
        (", priority: 999", {"tier": "vip"}, {}, 1000, ("customer.tier == 'vip' (+10)",)),
        (', priority: "{{ -999 }}"', {}, {"repeat": 3}, -1000, ("call.repeat >= 2 (-20)",)),
    ],
)  # fmt: skip
def test_rules_raise_the_priority(
    node: str, customer: dict[str, Any], call: dict[str, Any], priority: int | None, raised: tuple[str, ...]
) -> None:
    found = ask(node, call=call, **customer)
    assert (found.priority, found.raised) == (priority, raised)


def test_a_rule_reads_the_variables_of_the_flow_and_is_silent_where_they_are_not() -> None:
    head = "flow: t\nlanguage: en\nvars: {urgent: true}\nstart: a\nnodes:\n"
    other = "flow: u\nlanguage: en\nstart: a\nnodes:\n  a: {do: queue, queue: sales, then: hangup}\n"
    queues = 'queues: {sales: {raise: [{when: "{{ vars.urgent }}", by: 100}]}}\n'
    book = book_of("  a: {do: queue, queue: sales, then: hangup}\n", head, queues=queues, u=other)
    assert waiting(Phone(book)).raised == ("vars.urgent (+100)",)
    assert waiting(Phone(book, "u")).raised == (), "it has no such variable"


def test_priorities_stay_within_their_bounds() -> None:
    book = book_of("  a: {do: queue, queue: support, then: hangup}\n", queues=RULES)
    assert (waiting(Phone(book)).priority, len(waiting(Phone(book)).raised)) == (1000, 2)


# ---------------------------------------------------------------- callbacks


def requested(waited: dict[str, Any], **customer: object) -> dict[str, Any]:
    """What a callback of sales is written down with."""
    book = book_of("  a: {do: callback, queue: sales, ask: false, then: hangup}\n", queues=RULES)
    context = ivr.Context(call={"caller": "+62811555001"}, customer=customer, at=NOW, waited=waited)
    facts = [one for one in ivr.begin(book, "t", "id", context).trail if isinstance(one, ivr.Fact)]
    return {key: facts[0].data[key] for key in ("since", "priority", "skills", "language")}


def test_a_callback_keeps_the_place_of_the_wait() -> None:
    waited = {"sales": {"since": NOW - 300, "priority": 7, "skills": {"english": 3}}, "support": {"since": NOW}}
    kept = {"since": NOW - 300, "priority": 7, "skills": {"english": 3}, "language": "id"}
    assert requested(waited) == kept
    assert requested(waited, tier="vip") == kept, "it was raised when he began to wait"


def test_a_callback_without_a_wait_in_that_queue_begins_now() -> None:
    new = {"since": NOW, "priority": 2, "skills": {}, "language": "id"}
    assert requested({}) == requested({"support": {"since": 1.0, "priority": 9, "skills": {}}}) == new
    assert requested({"sales": {"since": 1.0}}) == new, "of a version that kept less"
    assert requested({}, tier="vip") == {**new, "priority": 12}


# ---------------------------------------------------------------- the text phone


def test_keys_on_the_text_phone() -> None:
    phone = Telephone(book_of(KEYS), "t", at=NOW, caller="+62811555001")
    phone.press("97")
    assert isinstance(phone.action, Enqueue), "keys that mean nothing here"
    phone.press("8*1")
    assert phone.action == Enqueue("support"), "the first that means something; the rest is dropped"
    assert phone.waited == {"sales": {"since": NOW, "priority": 0, "skills": {}}}
    phone.press("1")
    assert phone.action == Enqueue("support"), "that node has no keys"


def test_a_callback_on_the_text_phone_keeps_the_place() -> None:
    phone = Telephone(book_of(KEYS), "t", at=NOW, caller="+62811555001")
    phone.at += WAITED
    phone.press("3")  # once more
    phone.at += WAITED
    phone.press("1")
    phone.settle()
    assert phone.facts[0].data["since"] == NOW and phone.heard[-1].prompt == Text("en", "callback by 1.")


def test_who_was_served_on_the_text_phone_begins_anew() -> None:
    phone = Telephone(book_of(KEYS.replace("then: bye\n  a2", "answered: call_me\n    then: bye\n  a2")), "t", at=NOW)
    phone.call["caller"] = "+62811555001"
    phone.queue_ended("answered")
    assert phone.waited == {} and phone.facts[0].data["since"] > NOW


def test_the_customer_s_cases_are_known_whoever_found_him() -> None:
    nodes = (
        "  a: {do: lookup, customer_id: '8', found: q, then: q}\n"
        "  q: {do: queue, queue: sales, priority: '{{ customer.open_cases or 0 }}', then: hangup}\n"
    )
    book = book_of(nodes)
    besides = {"7": {"open_cases": 3}, "8": {"open_cases": 4}}
    context = ivr.Context(customer={"customer_id": "7"}, at=NOW, besides=besides)
    turn = ivr.begin(book, "t", None, context)
    for outcome, data, cases in (
        ("found", {"customer_id": "8"}, 4),
        ("none", {}, 3),
        ("found", {"customer_id": "9"}, 0),
        ("found", {"customer_id": "8", "open_cases": 1}, 1),
    ):
        action = ivr.proceed(book, turn.line, ivr.Answer(outcome, data=data), context).action
        assert isinstance(action, Enqueue) and action.priority == cases
