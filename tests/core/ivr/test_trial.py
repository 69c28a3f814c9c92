"""Tests of flows, run: what holds, what fails and what is said about it; and what they have come to."""

from __future__ import annotations

import pytest
from flowbook import book_of

from cti.adapters.flow_yaml import parse
from cti.core import ivr
from cti.core.ivr.case_file import read_cases
from cti.core.ivr.cases import Spoken
from cti.core.ivr.coverage import coverage
from cti.core.ivr.phone import Passed
from cti.core.ivr.trial import Result, run
from cti.core.messages import Sound, Text

FLOW = """\
flow: t
language: en
start: greet
on_hangup: left
nodes:
  greet: {do: say, say: "Welcome  to Nusantara", then: menu}
  menu:
    do: menu
    say: "Press 1 for sales. Press 2 for orders."
    options: {"1": sales, "2": number, "3": rec, star: repeat, "5": desk}
    then: bye
  sales: {do: queue, queue: sales, answered: bye, then: rec}
  number: {do: ask, say: "Your number", length: "2-4", then: find, fail: bye}
  find: {do: lookup, query: orders, with: {ref: "{{ number.value }}"}, found: tell, none: bye, error: bye}
  tell: {do: say, play: sent, say: "It is {{ find.status }}", then: asked}
  asked: {do: event, event: order_asked, data: {ref: "{{ number.value }}"}, then: many}
  many: {do: set, vars: {n: 1}, then: sub}
  sub: {do: call, flow: u, then: bye}
  rec: {do: record, say: "Speak", then: bye, empty: bye}
  desk: {do: dial, to: "1000", answered: hangup, then: bye}
  bye: {do: say, say: "Goodbye", then: hangup}
  left: {do: event, event: gone, then: hangup}
"""
SUB = """\
flow: u
language: en
start: a
nodes:
  a: {do: branch, when: [{if: "{{ language == 'id' }}", to: b}], else: return}
  b: {do: say, say: "Halo", fail: c}
  c: {do: hangup}
"""
FILES = {"lookups": "lookups: {orders: {sql: 'select status from orders where reference = :ref'}}\n", "u": SUB}


@pytest.fixture(scope="module")
def book() -> ivr.Book:
    return book_of("", head=FLOW, **FILES)


def tried(book: ivr.Book, case: str) -> Result:
    file = read_cases(parse("t.test.yaml", f"flow: t\ntests:\n  one:\n{case}"), book, "UTC")
    assert file.problems == ()
    return run(book, file, file.tests[0])


def failures(book: ivr.Book, case: str) -> list[str]:
    return [str(one).removeprefix("t.test.yaml:") for one in tried(book, case).failures]


# ---------------------------------------------------------------- what holds

GOOD = [
    """\
    answers: {find: {status: sent}}
    steps:
      - hear: "welcome to"
      - hear: press 1
      - hear: PRESS 2
      - press: "2"
      - hear: your number
      - press: "12"
      - hear: {play: sent}
      - hear: "is sent"
      - hear: Goodbye
    path: [greet, menu 2, number, find found, tell, asked, many, sub, u/a else, sub, bye]
    expect:
      outcome: flow_ended
      vars: {n: 1}
      events: [order_asked, flow.event, {order_asked: {ref: "12"}}]
      said: ["it is", {play: sent}]
      not_said: [Halo, {play: hello}]
""",
    """\
    steps: [press: "1", queue: {sales: answered}, hear: bye]
    path: ["...", sales answered, "..."]
""",
    """\
    steps: [press: "1", queue: timeout, record: 12s]
    path: [greet, "...", sales timeout, rec, bye]
""",
    """\
    steps: [press: "3", record: 0s]
    path: ["...", rec empty, bye]
""",
    """\
    steps: [press: "5", dial: busy, hear: Goodbye]
""",
    """\
    steps: [press: "5", dial: {"1000": answered}]
    expect: {outcome: transferred_out}
""",
    """\
    steps: [wait, wait, wait, hear: Goodbye]
    path: [greet, menu timeout, bye]
""",
    """\
    steps: [hang_up]
    path: [greet, menu hangup, left]
    expect: {outcome: hung_up, events: [gone]}
""",
    """\
    path: [greet, menu hangup, left]
""",
    """\
    steps: [press: "2", press: "1", press: "2"]
    path: [greet, menu 2, number, find error, bye]
""",
]


@pytest.mark.parametrize("case", GOOD)
def test_what_is_as_expected(book: ivr.Book, case: str) -> None:
    assert failures(book, case) == []


# ---------------------------------------------------------------- what fails


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (
            '    steps: [hear: "Hello"]\n',
            ['4:19: expected to hear "Hello", heard "Welcome  to Nusantara", "Press 1 for sales. Press 2 for orders."; '
             "the flow waits for keys in `menu`"],
        ),
        (
            '    steps: [hear: "Press", hear: "Press", hear: "Press"]\n',
            ['4:49: expected to hear "Press", heard "Press 1 for sales. Press 2 for orders."; the flow waits for '
             "keys in `menu`"],
        ),
        (
            '    steps: [press: "1", hear: {play: x}]\n',
            ["4:31: expected to hear the recording x, heard nothing; the caller waits in queue sales, in `sales`"],
        ),
        (
            '    answers: {find: found}\n    steps: [press: "2", press: "12", hear: "x"]\n',
            ['5:44: expected to hear "x", heard "Goodbye"; the call is over (flow_ended)'],
        ),
        (
            '    answers: {find: {status: x}}\n    steps: [press: "212#", hear: "z"]\n',
            ['5:34: expected to hear "z", heard "prompts/en/sent.wav", "It is x", "Goodbye"; the call is over '
             "(flow_ended)"],
        ),
        ('    steps: [press: "1", press: "1"]\n',
         ["4:32: nobody asks for keys: the caller waits in queue sales, in `sales`"]),
        ('    steps: [press: "1", wait]\n',
         ["4:25: nobody waits for keys: the caller waits in queue sales, in `sales`"]),
        ("    steps: [queue: answered]\n", ["4:20: expected the caller in queue: the flow waits for keys in `menu`"]),
        ('    steps: [press: "1", queue: {support: full}]\n',
         ["4:32: expected the caller in queue support: the caller waits in queue sales, in `sales`"]),
        ('    steps: [press: "3", dial: busy]\n',
         ["4:31: expected a call to a number: the caller is recorded, in `rec`"]),
        ('    steps: [press: "5", dial: {"1001": busy}]\n',
         ["4:31: expected a call to 1001: 1000 is called, in `desk`"]),
        ("    steps: [record: 1s]\n", ["4:21: nothing is recorded: the flow waits for keys in `menu`"]),
        ("    steps: [hang_up, hang_up]\n", ["4:22: `hang_up` comes too late: the call is over (hung_up)"]),
        ("    path: [greet, sales]\n", ["4:19: the path does not come to `sales`, but to `menu hangup`"]),
        ("    path: [greet, menu 1]\n", ["4:19: the path does not come to `menu 1`, but to `menu hangup`"]),
        ("    path: [greet]\n", ["4:11: the path goes on after its end: `menu hangup` (`...` for any nodes)"]),
        ('    path: ["...", sales]\n', ["4:19: the path does not come to `sales`, but to the end"]),
        ("    path: [greet, menu, left, bye]\n", ["4:31: the path does not come to `bye`, but to the end"]),
        (
            "    expect: {outcome: failed, vars: {n: 1}, events: [x], said: [x], not_said: [Welcome]}\n",
            ["4:23: expected the outcome failed, it was hung_up", "4:41: expected vars.n = 1, it was None",
             "4:54: expected the event x, there were: gone", '4:65: "x" was never said', '4:80: "Welcome" was said'],
        ),
        ("    expect: {events: [{gone: {ref: 1}}]}\n",
         ["4:23: expected the event gone with ref = 1, there were: gone"]),
    ],
)  # fmt: skip
def test_what_failed_is_said_with_its_place(book: ivr.Book, case: str, told: list[str]) -> None:
    assert failures(book, case) == told


def test_true_is_not_one(book: ivr.Book) -> None:
    steps = '    answers: {find: {status: x}}\n    steps: [press: "212#"]\n'
    assert failures(book, f"{steps}    expect: {{vars: {{n: true}}}}\n") == ["6:24: expected vars.n = True, it was 1"]
    silent = book_of('  a: {do: menu, say: x, options: {"1": hangup}, then: hangup}\n')
    assert failures(silent, "    expect: {events: [x]}\n") == ["4:23: expected the event x, there was none"]


def test_an_answer_nobody_gave_is_told_of(book: ivr.Book) -> None:
    result = tried(book, '    steps: [press: "212#", hear: sent]\n')
    assert result.hints == ("`find` asked outside (query), and `answers:` has nothing for it: error",)
    assert result.way() == ["greet", "menu 2", "number", "find error", "bye"]


def test_long_silences_and_many_words(book: ivr.Book) -> None:
    texts = "".join(f'  {a}: {{do: say, say: "{a}", then: {b}}}\n' for a, b in ("ab", "bc", "cd"))
    many = book_of(texts + '  d: {do: menu, say: d, options: {"1": hangup}, then: hangup}\n')
    (told,) = failures(many, "    steps: [hear: x]\n")
    assert told.startswith('4:19: expected to hear "x", heard "a", "b", "c" ...; ')


def test_part_of_what_is_said() -> None:
    welcome = Text("en", "Welcome  to\nNusantara, WELCOME")
    assert Spoken("welcome TO nusantara").within(welcome) == 20
    assert Spoken("welcome").within(welcome, 7) == 29
    assert Spoken("welcome").within(welcome, 29) == -1
    assert Spoken(play="hello").within(welcome) == -1
    hello = Sound(language="en", name="hello")
    assert (Spoken(play="hello").within(hello), Spoken(play="hello").within(hello, 1)) == (1, -1)
    assert (Spoken(play="bye").within(hello), Spoken("hello").within(hello)) == (-1, -1)


# ---------------------------------------------------------------- coverage


def test_what_no_test_comes_to_is_told_with_its_line(book: ivr.Book) -> None:
    passed = [one for case in GOOD for one in tried(book, case).path]
    sources = {"t.yaml": parse("t.yaml", FLOW), "u.yaml": parse("u.yaml", SUB)}
    main, sub = coverage(book, sources, passed)
    assert (main.flow, main.nodes, main.ways) == ("t", (13, 13), (21, 24))
    assert [str(way) for way in main.missing] == [
        "t.yaml:10 menu *", "t.yaml:13 number fail", "t.yaml:14 find none",
    ]  # fmt: skip
    assert (sub.flow, sub.nodes, sub.ways) == ("u", (1, 3), (1, 3))
    assert [str(way) for way in sub.missing] == ["u.yaml:5 a 1", "u.yaml:6 b", "u.yaml:7 c"]


def test_ways_that_are_not_written_are_not_counted(book: ivr.Book) -> None:
    gone = [("b", "done"), ("b", "fail"), ("a", "hangup"), ("c", "done")]
    sub = coverage(book, {}, [Passed("u", node, outcome) for node, outcome in gone])[1]
    assert (sub.nodes, sub.ways) == ((3, 3), (1, 3))
    assert [str(way) for way in sub.missing] == ["u.yaml:0 a 1", "u.yaml:0 a else"]
    dialled = book_of('  a: {do: dial, to: "1000", then: hangup, fail: hangup}\n')
    for outcome, missing in (("fail", "then"), ("busy", "fail")):
        (only,) = coverage(dialled, {}, [Passed("t", "a", outcome)])
        assert [way.outcome for way in only.missing] == [missing]
    bare = book_of('  a: {do: dial, to: "1000"}\n')
    assert coverage(bare, {}, [Passed("t", "a", "busy")])[0].ways == (0, 0)


# ---------------------------------------------------------------- keys in a queue

KEYED = """\
flow: t
language: en
start: wait
nodes:
  wait: {do: queue, queue: sales, options: {"1": back, "2": bye}, then: bye}
  back: {do: callback, queue: sales, then: bye}
  bye: {do: say, say: "Goodbye", then: hangup}
"""


@pytest.fixture(scope="module")
def keyed() -> ivr.Book:
    return book_of("", head=KEYED)


@pytest.mark.parametrize(
    "case",
    [
        '    steps: [press: "2", hear: Goodbye]\n    path: [wait 2, bye]\n',
        '    steps: [press: "92"]\n    path: [wait 2, bye]\n',
        '    given: {caller: "+62811555001"}\n    steps: [press: "1", press: "1"]\n    path: [wait 1, back, bye]\n'
        "    expect: {events: [{callback.requested: {queue: sales, priority: 0}}]}\n",
        "    steps: [queue: {sales: left}]\n    path: [wait left, bye]\n",
    ],
)
def test_keys_in_a_queue_lead_on(keyed: ivr.Book, case: str) -> None:
    assert failures(keyed, case) == []


def test_a_key_that_does_nothing_in_the_queue_is_told(keyed: ivr.Book) -> None:
    told = "4:20: `45` does nothing: the caller waits in queue sales, in `wait` (keys: 1, 2)"
    assert failures(keyed, '    steps: [press: "45"]\n') == [told]


def test_the_keys_of_a_queue_count_as_ways_out(keyed: ivr.Book) -> None:
    source = parse("t.yaml", KEYED)
    gone = [Passed("t", "wait", "1"), Passed("t", "back", "done"), Passed("t", "bye", "done")]
    found = coverage(keyed, {"t.yaml": source}, gone)[0]
    assert [str(way) for way in found.missing] == ["t.yaml:5 wait 2", "t.yaml:5 wait then"]


RULE = 'queues: {sales: {raise: [{when: "{{ call.repeat > 1 }}", by: 5}], last_agent: 20s}, support: {}}\n'


@pytest.mark.parametrize(("given", "priority"), [("", 0), ("call: {repeat: 1}", 0), ("call: {repeat: 2}", 5)])
def test_what_was_before_may_be_given(given: str, priority: int) -> None:
    book = book_of("", head=KEYED, queues=RULE)
    case = f'    given: {{caller: "+62811555001", {given}}}\n    steps: [press: "1", press: "1"]\n'
    expected = f"    expect: {{events: [{{callback.requested: {{priority: {priority}}}}}]}}\n"
    assert failures(book, case + expected) == []


def test_what_was_before_is_checked(keyed: ivr.Book) -> None:
    case = "flow: t\ntests: {a: {given: {call: {repeat: 6, last_agent: a b, id: 5}}, steps: [hang_up]}}\n"
    told = [str(one) for one in read_cases(parse("t.test.yaml", case), keyed, "UTC").problems]
    assert [one.split(": ", 1)[1] for one in told] == [
        "`repeat` must be a whole number from 0 to 5",
        "`a b` is no login name (letters, digits, `-`, `_` and `.`, at most 40)",
        "`id` is no key of `call` (known: callback, callback_tries, last_agent, repeat)",
    ]
