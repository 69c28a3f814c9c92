"""Verbs that have something done outside of the call."""

from __future__ import annotations

from typing import Any

import pytest
from flowbook import HEAD, Phone, book_of

from cti.core import ivr

REST = """\
  good: {do: hangup, cause: 16}
  bad: {do: hangup, cause: 21}
  odd: {do: hangup, cause: 34}
"""
GOOD, BAD, ODD = (ivr.End("flow_ended", cause) for cause in (16, 21, 34))
LOOKUPS = """\
lookups:
  orders: {sql: "select status, due from orders where reference = :ref", timeout: 5s}
  all: {sql: "select * from orders where customer = :who", many: true}
"""


def phone(node: str, head: str = HEAD, **customer: object) -> Phone:
    return Phone(book_of(f"  a: {node}\n{REST}", head, lookups=LOOKUPS), **customer)


def task(caller: Phone) -> ivr.Task:
    assert isinstance(caller.action, ivr.Task), caller.action
    return caller.action


# ---------------------------------------------------------------- lookup


def test_looking_up_who_calls() -> None:
    caller = phone(
        "{do: lookup, found: b, none: bad, several: odd}\n  b: {do: say, say: '{{ customer.name }}', then: good}"
    )
    assert task(caller) == ivr.Task("customer", {"number": "+62811555001"}, 2.0)
    assert isinstance(caller.answer("found", customer_id=7, name="Siti"), ivr.Say)
    assert caller.heard == "Siti" and caller.turn.line.customer == {"customer_id": 7, "name": "Siti"}
    assert caller.result == {"customer_id": 7, "name": "Siti", "outcome": "found"}
    caller.back()
    assert caller.heard == "Siti", "he is known after a restart"
    for outcome, end in (("none", BAD), ("several", ODD)):
        caller = phone("{do: lookup, found: good, none: bad, several: odd}", name="Ani")
        assert caller.answer(outcome) == end
        assert caller.turn.line.customer is None, "who was known before still is"


@pytest.mark.parametrize(
    ("key", "args"),
    [
        ('customer: "0811 555 666"', {"number": "+62811555666"}), ('customer: "{{ customer.n }}"', {"number": "2001"}),
        ('customer_id: "{{ customer.i }}"', {"customer_id": "7"}), ("customer_id: 9", {"customer_id": "9"}),
    ],
)  # fmt: skip
def test_looking_up_somebody_else(key: str, args: dict[str, str]) -> None:
    assert task(phone(f"{{do: lookup, {key}, timeout: 1s, then: good}}", n="2001", i=7)) == ivr.Task(
        "customer", args, 1.0
    )


@pytest.mark.parametrize("value", [None, ""])
def test_nobody_is_looked_up_under_nothing(value: object) -> None:
    caller = phone('{do: lookup, customer_id: "{{ customer.i }}", found: good, none: bad}', i=value)
    assert caller.action == BAD
    assert caller.result == {"outcome": "none"}


def test_a_query() -> None:
    written = '{do: lookup, query: orders, with: {ref: "{{ customer.ref }}"}%s, found: b, none: bad, error: odd}'
    say = "\n  b: {do: say, say: '{{ a.status }}', then: good}"
    caller = phone(written % "" + say, ref="R1")
    sql = "select status, due from orders where reference = :ref"
    assert task(caller) == ivr.Task("query", {"query": "orders", "sql": sql, "with": {"ref": "R1"}, "many": False}, 5.0)
    assert isinstance(caller.answer("found", status="sent", due="2026-12-01"), ivr.Say)
    assert caller.heard == "sent" and caller.turn.line.customer is None
    short = phone((written % ", timeout: 1s") + say, ref="R1")
    assert task(short).timeout == 1.0
    long = phone((written % ", timeout: 9s") + say, ref="R1")
    assert task(long).timeout == 5.0, "never longer than the query may take"
    for outcome, end in (("none", BAD), ("error", ODD)):
        assert phone(written % "" + say, ref="R1").answer(outcome) == end
    many = phone(
        "{do: lookup, query: all, with: {who: 7}, then: b}\n"
        '  b: {do: say, say: "{{ a.rows[0].due }} {{ a.count }}", then: good}'
    )
    assert task(many).args["many"] is True
    many.answer("found", rows=[{"due": "today"}], count=1)
    assert many.heard == "today 1"
    wanted = phone(written % ", many: true" + say, ref="R1")
    assert task(wanted).args["many"] is True


@pytest.mark.parametrize("data", [{"t": "\ud800"}, {"\ud800": 1}, {"m": 5.5j}])
def test_what_cannot_be_stored_is_an_error(data: dict[str, Any]) -> None:
    caller = phone("{do: http, url: https://x.example, then: good, error: odd}")
    assert caller.reply(ivr.Answer("done", data=data)) == ODD
    assert caller.result == {"outcome": "error"}


@pytest.mark.parametrize(
    "mark", [{"secret": "crm"}, {"sealed": "pin"}, [{"secret": "crm"}], {"a": [{"b": {"secret": "crm"}}]}]
)
def test_what_comes_from_outside_never_says_where_a_secret_goes(mark: object) -> None:
    caller = phone(
        "{do: script, run: a.py, then: send}\n"
        '  send: {do: http, url: https://x.example, method: POST, json: {x: "{{ a.x }}"}, then: good, error: odd}'
    )
    assert caller.reply(ivr.Answer("done", data={"x": mark})) == ODD


def test_a_failed_lookup_never_takes_the_way_of_success() -> None:
    assert phone("{do: lookup, then: good}").answer("error") == ivr.End("failed", 16)
    assert phone("{do: lookup, then: good, fail: bad}").answer("error") == BAD
    assert phone("{do: lookup, then: good}").answer("none") == GOOD


# ---------------------------------------------------------------- http, message, script


def test_a_request() -> None:
    caller = phone(
        '{do: http, url: "https://x.example/o/{{ customer.ref }}?q={{ customer.q }}", method: PUT, timeout: 1s,'
        ' headers: {X-Id: "{{ customer.ref }}", Authorization: {secret: crm}}, form: {a: 1, b: {secret: k}},'
        ' get: {state: /order/state}, then: b, error: odd}\n'
        "  b: {do: say, say: '{{ a.state }} {{ a.status }}', then: good}",
        ref="1/2 ?", q="a&b",
    )  # fmt: skip
    assert task(caller) == ivr.Task(
        "http",
        {
            "method": "PUT", "url": "https://x.example/o/1%2F2%20%3F?q=a%26b",
            "headers": {"X-Id": "1/2 ?", "Authorization": {"secret": "crm"}}, "form": {"a": 1, "b": {"secret": "k"}},
            "get": {"state": "/order/state"},
        },
        1.0,
    )  # fmt: skip
    caller.answer("done", state="sent", status=200)
    assert caller.heard == "sent 200"
    plain = phone("{do: http, url: https://x.example, then: good}")
    assert task(plain).args == {"method": "GET", "url": "https://x.example", "headers": {}, "get": {}}
    assert plain.answer("error", status=500) == ivr.End("failed", 16)
    assert plain.result == {"status": 500, "outcome": "error"}
    assert phone('{do: http, url: "https://x.example/{{ 1 // 0 }}", then: good, error: odd}').action == ODD
    for dots in (".", ".."):
        away = phone('{do: http, url: "https://x.example/o/{{ customer.r }}/x", then: good, error: odd}', r=dots)
        assert away.action == ODD, "it would be another page of that host"


def test_a_message() -> None:
    caller = phone(
        '{do: message, webhook: crm, body: {who: "{{ call.caller }}", n: 1.5, ok: true}, then: good, error: odd}'
    )
    body = {"who": "+62811555001", "n": 1.5, "ok": True}
    assert task(caller) == ivr.Task("message", {"webhook": "crm", "body": body}, 3.0)
    caller.back()
    assert task(caller).args["body"] == body
    assert caller.answer("error") == ODD


@pytest.mark.parametrize(
    ("outcome", "end", "told"),
    [
        ("done", GOOD, "done"), ("low", BAD, "low"), ("other", GOOD, "other"), ("error", ODD, "error"),
        ("two words", ODD, "error"), ("x" * 5_000, ODD, "error"), ("", ODD, "error"),
    ],
)  # fmt: skip
def test_a_script_chooses_the_way(outcome: str, end: ivr.End, told: str) -> None:
    caller = phone("{do: script, run: stock.py, args: {item: 7}, outcomes: {low: bad}, then: good, error: odd}")
    assert task(caller) == ivr.Task("script", {"script": "stock.py", "args": {"item": 7}}, 5.0)
    assert caller.answer(outcome) == end
    assert caller.path[0] == f"a/{told}"


@pytest.mark.parametrize("node", [
    "{do: script, run: a.py, then: good}", "{do: http, url: https://x.example, then: good}",
    "{do: lookup, query: all, with: {who: 1}, then: good}", "{do: lookup, then: good}",
])  # fmt: skip
def test_what_comes_from_outside_may_be_called_anything(node: str) -> None:
    data: dict[str, Any] = {"outcome": "x", "self": 1, "here": 2, "data": 3, "a b": 4, "": 5}
    caller = phone(node)
    assert caller.reply(ivr.Answer("found" if "lookup" in node else "done", data=data)) == GOOD
    assert caller.result == {**data, "outcome": "found" if "lookup" in node else "done"}
