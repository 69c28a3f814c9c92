from __future__ import annotations

import re
import time

import pytest

from cti.core.ivr.expressions import MAX_SOURCE, ExpressionError, Names, Record, is_template, load
from cti.core.ivr.sandbox import BUDGET

NAMES = Names(("call", "customer", "vars", "menu", "language"), {"call": ("caller",), "vars": ("n",)})
SCOPE = {
    "call": Record(caller="+62811"),
    "customer": Record(tier="vip", items=3, history=[{"at": 1}, {"at": 2}]),
    "vars": {"n": 2},
    "menu": {"digits": "1"},
}


def value(source: str) -> object:
    return load(source, NAMES).value(SCOPE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 10 if customer.tier == 'vip' else 0 }}", 10),
        ("{{ customer.items }}", 3),  # a field, not the method of a map
        ("{{ customer.nothing }}", None),
        ("{{ customer['tier'] }}", "vip"),
        ("{{ customer.history[1].at }}", 2),
        ("{{ call.caller.startswith('+62') }}", True),
        ("{{ customer.upper }}", None),  # a field of a map may be called like a method
        ("{{ (call.caller.strip)() }}", "+62811"),
        ("{{ vars.n + 1 }}", 3),
        ("{{ vars.n * 2.5 }}", 5.0),
        ("{{ 7 % 4 }}", 3),
        ("{{ -vars.n }}", -2),
        ("{{ (['a'] * 3) | map('center', 3) | join | length }}", 9),
        ("{{ menu.digits ~ '!' }}", "1!"),
        ("{{ menu.missing | default('x') }}", "x"),
        ("{{ customer.nothing | default('x') }}", "x"),
        ("{{ '' | default('x', true) }}", "x"),
        ("{{ menu.missing is defined }}", False),
        ("{{ 'b' in ['a', 'b'] }}", True),
        ("{{ '12' | int + 1 }}", 13),
        ("{{ 'x' | int(7) }}", 7),
        ("{{ 'x' | float(0.5) }}", 0.5),
        ("{{ '1.5' | float }}", 1.5),
        ("{{ 2.6 | round }}", 3.0),
        ("{{ 'a-b' | replace('-', ' ') | upper }}", "A B"),
        ("{{ ' Ab ' | trim | lower }}", "ab"),
        ("{{ 'ab' | capitalize }}", "Ab"),
        ("{{ [3, 1] | max }}{{ [3, 1] | min }}", "31"),
        ("{{ [3, 1] | first + [3, 1] | last }}", 4),
        ("{{ 'abc'[1:] }}", "bc"),
        ("{{ {'a': (1, 2)} }}", {"a": [1, 2]}),
        ("n = {{ vars.n }}, {{ customer.nothing }}.", "n = 2, ."),
    ],
)
def test_values(source: str, expected: object) -> None:
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 9**(9**9) }}", "powers"),
        ("{{ ().__class__.__mro__[1].__subclasses__() | length }}", "underscore"),
        ("{{ ''['__class__'] }}", "underscore"),
        ("{{ _budget }}", "underscore"),
        ("{{ ''|attr('__class__') }}", "`attr` is no filter"),
        ("{{ ['x'] | map('attr', '__class__') }}", "`attr` is no filter"),
        ("{{ ['x'] | map(attribute='x') }}", "needs the name of a filter"),
        ("{{ [[1]] | map('map', 'int') }}", "needs the name of a filter"),
        ("{{ config.items() }}", "`config` is no variable"),
        ("{{ self }}", "`self` is no variable"),
        ("{{ range(10) }}", "`range` is no variable"),
        ("{{ customer.tier.format(1) }}", "may be called"),
        ("{{ 'x'.upper|string }}", "`.upper` needs brackets: `.upper()`"),
        ("{{ call.caller.upper ~ '' }}", "`.upper` needs brackets"),
        ("{{ [menu.digits.strip] | join }}", "`.strip` needs brackets"),
        ("{{ menu.digits[1:].lower }}", "`.lower` needs brackets"),
        ("{{ customer.tier.strip }}", "`.strip` needs brackets"),
        ("{{ language.upper ~ '' }}", "`.upper` needs brackets"),
        ("{{ 'a'.startswith('a'.upper) }}", "`.upper` needs brackets"),
        ("{{ 'a'.upper.lower() }}", "`.upper` needs brackets"),
        ("{{ 1e999 }}", "the number is too big"),
        ("{{ -1e999 + 1 }}", "the number is too big"),
        ("{{ call.caler }}", "did you mean `caller`?"),
        ("{{ vars.m }}", "`vars.m` is no variable"),
        ("{{ vars['m'] }}", "`vars.m` is no variable"),
        ("{{ 1 is foo }}", "no test"),
        ("{{ 1 is divisibleby(2) }}", "`divisibleby` is no test"),
        ("{{ 1" + "0" * 40 + " }}", "digits"),
        ("{% for i in [1] %}x{% endfor %}", "no statements"),
        ("{% set x = 1 %}", "no statements"),
        ("{{ ", "not an expression"),
        ("{{ a b }}", "not an expression"),
        ("{{ " + "(" * 400 + "1" + ")" * 400 + " }}", "too deep"),
        ("{{ " + "-" * 500 + "1 }}", "too deep"),
        ("{{ " + "1," * 400 + "1 }}", "too long"),
        ("x" * (MAX_SOURCE + 1) + "{{ 1 }}", "at most"),
    ],
)
def test_refused_at_load(source: str, message: str) -> None:
    begun = time.process_time()
    with pytest.raises(ExpressionError, match=re.escape(message)):
        load(source, NAMES)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "source",
    [
        "{{ (['a'] * 100000) | map('center', 100000) | join | length }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * 'a' }}",
        "{{ ('a' * 5000) | replace('a', 'b' * 5000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a' | center(1000000000) ~ 'b' }}",
        "{{ " + "*".join(["999999999999999999999999999999"] * 25) + " }}",
        "{{ [" + ",".join(["'a' * 900"] * 40) + "] }}",
        "{{ ('a' * 1001) }}x",
        "{{ 1 // 0 }}",
        "{{ 1e308 * 10 }}",
        "{{ 9223372036854775808 + 0 }}",
        "{{ menu.missing }}",
        "{{ vars.n.real }}",
        "{{ 'a'['b'] }}",
        "{{ vars.n[0] }}",
        "{{ '\\ud800' }}",
        "{{ ('a' * 900) | replace('a', 'b' * 900) }}",
        "{{ [1][5] }}",
        "{{ 1 + 'a' }}",
        "{{ customer.nothing.startswith('x') }}",
        "{{ ('a' * 900) }}{{ ('a' * 900) }}",
    ],
)
def test_no_value_at_run_time_and_soon(source: str) -> None:
    expression = load(source, NAMES)
    begun = time.process_time()
    with pytest.raises(ExpressionError):
        expression.value(SCOPE)
    assert time.process_time() - begun < 0.05


def test_a_big_customer_record_does_not_slow_an_expression() -> None:
    scope = {**SCOPE, "customer": Record(notes=["x" * 1000] * BUDGET)}
    with pytest.raises(ExpressionError):
        load("{{ customer.notes | join }}", NAMES).value(scope)


def test_an_expression_cannot_change_what_it_is_given() -> None:
    with pytest.raises(ExpressionError):
        load("{{ customer.history.append(1) }}", NAMES)
    assert value("{{ vars | length }}") == 1


@pytest.mark.parametrize(("text", "template"), [("a { b }", False), ("{{ 1 }}", True), ("{# x #}", True)])
def test_what_is_a_template(text: str, template: bool) -> None:
    assert is_template(text) is template
