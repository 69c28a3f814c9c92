"""Test files as they are written: what is read from them, and what is told of slips."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flowbook import book_of

from cti.adapters.flow_yaml import parse
from cti.core import ivr
from cti.core.ivr.case_file import FOR_EVER, at_time, read_cases
from cti.core.ivr.cases import Case, Cases, Expect, Given, Spoken, Step
from cti.core.messages import Forced

NODES = """\
  a: {do: menu, say: "Press", options: {"1": find, "2": b}, then: b}
  find: {do: lookup, query: orders, with: {ref: "1"}, found: b, none: b, error: b}
  run: {do: script, run: a.py, then: b}
  b: {do: hangup}
"""
FILES = {
    "lookups": "lookups: {orders: {sql: 'select status from orders where reference = :ref'}}\n",
    "calendars": "calendars: {office: {week: {mon-fri: ['08:00-17:00']}}}\n",
    "numbers": 'numbers: {"6000": {flow: t, language: id}}\n',
}
HEAD = "flow: t\ntests:\n  one:\n"
S, E, P = HEAD + "    steps: ", HEAD + "    expect: ", HEAD + "    path: [a]\n"


@pytest.fixture(scope="module")
def book() -> ivr.Book:
    return book_of(NODES.replace('"2": b', '"2": run'), **FILES)


def read(text: str, book: ivr.Book | None) -> Cases:
    return read_cases(parse("t.test.yaml", text), book, "Asia/Jakarta")


def problems(text: str, book: ivr.Book | None) -> list[str]:
    cases = read(text, book)
    assert cases.tests == () or not cases.problems
    return [str(problem).removeprefix("t.test.yaml:") for problem in cases.problems]


def one(text: str, book: ivr.Book) -> Case:
    cases = read(text, book)
    assert cases.problems == ()
    (case,) = cases.tests
    return case


def test_a_whole_test(book: ivr.Book) -> None:
    case = one(
        """\
flow: t
given: {caller: "+62811", at: "2026-11-25 10:00", language: en, customer: {tier: vip}, calendars: {office: closed}}
tests:
  a VIP:
    note: the usual way
    given: {at: "2026-12-25"}
    answers:
      find: {outcome: found, status: sent}
      t/find: [none, {status: late}]
      run: whatever
    steps:
      - hear: "Welcome"
      - hear: {play: hello}
      - press: "12#"
      - wait
      - queue: answered
      - queue: {sales: full}
      - dial: {"1000": busy}
      - record: 12s
      - hang_up
    path: [a 1, "...", t/find none]
    expect:
      outcome: failed
      vars: {x: 1}
      events: [one, {two: {ref: "17"}}]
      said: [Hello]
      not_said: [{play: bye}]
""",
        book,
    )
    closed = {"office": Forced("closed", FOR_EVER)}
    at = datetime(2026, 12, 24, 17, tzinfo=UTC).timestamp()
    assert case.name == "a VIP" and case.flow == "t" and case.path == ("tests", "a VIP")
    assert case.given == Given(caller="+62811", at=at, language="en", customer={"tier": "vip"}, forced=closed)
    assert case.answers == {
        "find": (ivr.Answer("found", data={"status": "sent"}),),
        "t/find": (ivr.Answer("none"), ivr.Answer("", data={"status": "late"})),
        "run": (ivr.Answer("whatever"),),
    }
    told = [(step.do, step.word, step.what, step.seconds) for step in case.steps]
    assert told == [
        ("hear", "", "", 0), ("hear", "", "", 0), ("press", "12#", "", 0), ("wait", "", "", 0),
        ("queue", "answered", "", 0), ("queue", "full", "sales", 0), ("dial", "busy", "1000", 0),
        ("record", "", "", 12.0), ("hang_up", "", "", 0),
    ]  # fmt: skip
    path = ("tests", "a VIP", "steps", 1, "hear")
    assert case.steps[1] == Step(do="hear", path=path, spoken=Spoken(play="hello"))
    assert case.way == ("a 1", "...", "t/find none")
    assert case.expect == Expect(
        outcome="failed",
        vars={"x": 1},
        events=(("one", {}), ("two", {"ref": "17"})),
        said=(Spoken("Hello"),),
        not_said=(Spoken(play="bye"),),
    )


def test_when_and_where_a_call_begins(book: ivr.Book) -> None:
    plain = one(HEAD + "    path: [a hangup]\n", book)
    assert plain.flow == "t" and plain.given == Given(at=datetime(2026, 1, 7, 5, tzinfo=UTC).timestamp())
    assert plain.way == ("a hangup",) and plain.steps == () and plain.expect == Expect()
    called = 'called: "6000"\ntests:\n  one:\n    steps: [wait]\n'
    by_number = one(called, book)
    assert (by_number.flow, by_number.given.called, by_number.given.language) == ("t", "6000", "id")
    assert one("given: {language: zh}\n" + called, book).given.language == "zh"
    own = one('called: "6000"\ntests:\n  one: {flow: t, steps: [wait]}\n', book)
    assert (own.flow, own.given.called, own.given.language) == ("t", "", None)
    other = one('flow: t\ntests:\n  one: {called: "6000", steps: [wait]}\n', book)
    assert (other.flow, other.given.language) == ("t", "id")


def test_without_the_flows_only_the_writing_is_looked_at() -> None:
    good = 'called: "1"\ntests:\n  one: {answers: {gone: none}, path: [gone], steps: [wait]}\n'
    good += "  two: {flow: u, path: [x]}\n"
    assert problems(good, None) == []
    assert problems("tests: {}\n", None) == ["1:1: a test file needs at least one test"]
    assert problems("flow: t\n", None) == ["1:1: a test file needs `tests`"]
    assert problems("a: [", None) == ["1:5: the file ends inside something that is still open (begun in line 1)"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("flow: u\ntests: {one: {steps: [wait]}}\n", "1:7: flow `u` is not in this folder (known: t)"),
        ("flow: [1]\ntests: {one: {steps: [wait]}}\n", "1:7: `[1]` is not a plain name (a letter a-z, then letters, "
         "digits, - or _, at most 40)"),
        ("tests: {one: {steps: [wait]}}\n", "1:9: no flow to test (`flow: NAME`, or `called: NUMBER` as in "
         "numbers.yaml)"),
        ('called: "9"\ntests: {one: {steps: [wait]}}\n', "1:9: numbers.yaml leads `9` to no flow"),
        ('flow: t\ntests: {one: {called: "9", steps: [wait]}}\n', "2:23: numbers.yaml leads `9` to no flow"),
        (HEAD + "    note: x\n", "3:3: test `one` asks for nothing (`steps`, `path` or `expect`)"),
        (HEAD + "    stepps: [wait]\n    path: [a]\n", "4:5: `stepps` is no key of a test (did you mean `steps`?)"),
        (S + "[prss: \"1\"]\n", "4:13: `prss` is no step (did you mean `press`?)"),
        (S + "[wate]\n", "4:13: `wate` is no step (did you mean `wait`?)"),
        (S + "[{wait: 1}]\n", "4:14: `wait` stands alone (- wait)"),
        (S + "[{hear: x, press: \"1\"}]\n", "4:13: a step has one key (begin each step with a - of its "
         "own)"),
        (S + "[press: 1]\n", '4:20: `press` must be text (put it in quotes: "...")'),
        (S + "[press: \"1a\"]\n", "4:20: `a` is no key of a phone (0 to 9, * or #)"),
        (S + "[queue: anwsered]\n", "4:20: `queue` must be one of answered, talked, timeout, full, no_agents, "
         "closed, left, failed (did you mean `answered`?)"),
        (S + "[queue: {}]\n", "4:20: `queue` names one, and how it ends (queue: {name: answered})"),
        (S + "[record: 12]\n", "4:21: `record` must be a duration (like 5s, 2m or 1h)"),
        (S + "[hear: {plai: x, play: y}]\n", "4:20: `plai` is no key of what is heard (did you mean `play`?)"),
        (HEAD + "    path: [finds]\n", "4:12: `finds` is no node (did you mean `find`?)"),
        (HEAD + "    path: [u/find]\n", "4:12: `u/find` is no node (did you mean `find`?)"),
        (HEAD + "    path: [1]\n", '4:12: `0` must be text (put it in quotes: "...")'),
        (P + "    answers: {fnd: none}\n", "5:15: `fnd` is no node (did you mean `find`?)"),
        (P + "    answers: {find: fond}\n", "5:21: `fond` is none of error, found, none, several "
         "(did you mean `found`?)"),
        (P + "    answers: {find: {outcome: fond}}\n", "5:31: `fond` is none of error, found, none, several "
         "(did you mean `found`?)"),
        (P + "    answers: {find: 1}\n", "5:21: an outcome must be text (like found, none or error)"),
        (P + "    answers: {find: []}\n", "5:21: a list of answers needs at least one"),
        (P + "    answers: {a: none}\n", "5:15: nothing outside is asked by `a`, a menu node "
         "(answers are for lookup, http, message, script, pay, authenticate)"),
        (P + "    given: {at: \"10:00\"}\n", '5:17: `10:00` is no time (like "2026-01-07 12:00", in the '
         "time of the site)"),
        (P + "    given: {at: \"2026-13-01\"}\n", '5:17: `2026-13-01` is no time (like '
         '"2026-01-07 12:00", in the time of the site)'),
        (P + "    given: {calendars: {office: holiday}}\n", "5:33: a calendar is opened or closed by hand "
         "(a holiday is a matter of the day: set `at`)"),
        (P + "    given: {calendars: {office: shut}}\n", "5:33: `office` must be one of open, closed "
         "(known: closed, open)"),
        (P + "    given: {calendars: {ofice: open}}\n", "5:25: calendar `ofice` is not in calendars.yaml (did you mean "
         "`office`?)"),
        (E + "{outcome: faild}\n", "4:23: `outcome` must be one of flow_ended, voicemail, "
         "transferred_out, failed, hung_up (did you mean `failed`?)"),
        (E + "{said: Hello}\n", "4:20: `said` must be a list, `[...]`"),
    ],
)  # fmt: skip
def test_slips_are_told_with_their_place(book: ivr.Book, text: str, told: str) -> None:
    assert problems(text, book) == [told]


def test_a_time_on_the_command_line() -> None:
    assert at_time("2026-12-25 10:00", "UTC") == datetime(2026, 12, 25, 10, tzinfo=UTC).timestamp()
    assert at_time("tomorrow", "UTC") is None
