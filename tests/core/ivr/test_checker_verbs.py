"""What the checker says of each verb, of what nodes refer to, and of the files beside the flows."""

from __future__ import annotations

import pytest
from flowbook import HEAD, book_of, problems_of

from cti.core.ivr import Source, load_book
from cti.core.ivr.expressions import Names
from cti.core.ivr.readers import Scope
from cti.core.ivr.verbs import VERBS

LOOKUPS = 'lookups: {orders: {sql: "select 1 as a where 1 = :ref"}}\n'
VOICEMAIL = "boxes: {main: {say: hello}}\n"
SURVEYS = 'surveys: {after: {questions: {q: {say: x, keys: "1-5"}}}}\n'
CALENDARS = "calendars: {office: {}}\n"
SUB = """\
flow: sub
language: en
args: {ref: null, note: x}
start: a
nodes:
  a: {do: menu, say: x, options: {"1": b}}
  b: {do: return, outcome: paid}
"""


def told(nodes: str, head: str = HEAD, **files: str) -> list[str]:
    beside = {"lookups": LOOKUPS, "voicemail": VOICEMAIL, "surveys": SURVEYS, "calendars": CALENDARS, "sub": SUB}
    return problems_of(nodes, head, **{**beside, **files})


GOOD = [
    "{do: ask, say: x, kind: amount, terminator: '', then: hangup}",
    "{do: lookup, query: orders, with: {ref: 1}, many: true}",
    "{do: lookup, several: hangup}", "{do: call, flow: sub, args: {ref: 1}, outcomes: {paid: hangup, done: hangup}}",
    "{do: http, url: 'https://a.b:8080?keyword=1&monkey=2', headers: {X: {secret: s}}}", "{do: voicemail, box: main}",
    "{do: survey, survey: after}", "{do: hours, calendar: office, open: hangup, closed: hangup}",
    "{do: pay, amount: 1.5, currency: IDR}", "{do: split, shares: [{percent: 99, to: hangup}], else: hangup}",
    "{do: ask, say: x, match: '(08|628)[0-9]{8,11}', then: hangup}", "{do: goto, to: hangup}",
]  # fmt: skip


@pytest.mark.parametrize("node", GOOD)
def test_what_is_right(node: str) -> None:
    assert told(f"  a: {node}\n") == []


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        # keys
        ("{do: ask, then: hangup}", "5:3: a ask node needs `say` or `play`"),
        ("{do: ask, say: x, kind: digit}",
         "5:30: `kind` must be one of digits, phone, date, amount, yes_no (did you mean"),
        ("{do: ask, say: x, length: 0}", "5:32: `length` is a number of keys from 1 to 20"),
        ('{do: ask, say: x, length: "8-4"}', "`length` is a number of keys"),
        ("{do: ask, say: x, length: true}", "`length` is a number of keys"),
        ('{do: ask, say: x, terminator: "1"}', "5:36: `terminator` ends what is entered"),
        ('{do: ask, say: x, match: "[a-z]+"}', "5:31: `match` cannot be used: only digits"),
        ('{do: ask, say: x, match: "[9-0]"}', "`match` cannot be used: bad character range"),
        ('{do: ask, say: x, match: "[0-9]{9,1}"}', "`match` cannot be used: min repeat greater than max"),
        ('{do: ask, say: x, match: "[0-9]?[0-9]?[0-9]?[0-9]?"}', "at most 3 of {2,5} and ?, and 9 of |"),
        ('{do: ask, say: x, match: "(1|2|3|4|5|6)(1|2|3|4|5|6)"}', "at most 3 of {2,5} and ?, and 9 of |"),
        ("{do: ask, say: x, kind: date, length: 8}", "5:36: `length` goes with `kind: digits` only"),
        ("{do: ask, say: x, kind: date, secret: true}", "`secret` goes with `kind: digits` only"),
        ('{do: ask, say: x, kind: phone, match: "1"}', "`match` goes with `kind: digits` only"),
        ('{do: ask, say: x, kind: date, terminator: "#"}',
         "5:36: `kind: date` has no `terminator` (it is always as long)"),
        ('{do: ask, say: x, kind: amount, terminator: "*"}', "5:50: `*` is the decimal point of an amount"),
        ('{do: ask, say: x, "yes": hangup}', "5:24: `yes` is an outcome of `kind: yes_no` only"),
        ("{do: ask, say: x, secret: true, confirm: true}",
         "5:38: `confirm` does not go with `secret: true` (nobody may see"),
        ('{do: ask, say: x, secret: true, match: "1"}', "`match` does not go with `secret: true`"),
        ("{do: menu, say: x, options: {'1': hangup}, invalid_say: []}", "`invalid_say` needs 1 to 9 texts"),
        ("{do: menu, say: x, options: {'1': hangup}, timeout_say: [{zh: x}]}", "`say` has no text in `en`"),
        ("{do: language}", "a language node needs `language`"),
        ("{do: language, language: english}", "5:31: `english` is no language"),
        ("{do: record, min: 2}", "`min` must be a duration"),
        ("{do: wait}", "a wait node needs `time`"),
        ("{do: wait, time: 1h}", "`time` must be from 0.1s to 10m"),
        ("{do: hours, calendar: office, open: hangup}", "a hours node needs `closed`"),
        ("{do: split, else: hangup}", "a split node needs `shares`"),
        ("{do: split, shares: [], else: hangup}", "`shares` needs 1 to 20 parts"),
        ("{do: split, shares: [{percent: 60, to: hangup}, {percent: 50, to: hangup}], else: hangup}",
         "more than 100 percent"),
        ("{do: split, shares: [{percent: 100, to: hangup}], else: hangup}",
         "`percent` must be a whole number from 1 to 99"),
        ("{do: split, shares: [{percent: 10, to: hangpu}], else: hangup}",
         "target `hangpu` is no node (did you mean `hangup`?)"),
        ("{do: goto, times: 2}", "a goto node needs `to`"),
        ("{do: goto, to: hangup, times: 21}", "`times` must be a whole number from 1 to 20"),
        ("{do: lookup, customer: x, query: orders}", "`query` does not go with `customer`"),
        ("{do: lookup, with: {ref: 1}}", "5:19: `with` goes with `query` only"),
        ("{do: lookup, many: true}", "5:19: `many` goes with `query` only"),
        ("{do: lookup, query: orders, with: {ref: 1}, many: hangup}", "`many` must be true or false"),
        ("{do: lookup, customer_id: [1]}", "5:32: `customer_id` must be text, a number, true or false"),
        ("{do: http}", "a http node needs `url`"),
        ('{do: http, url: "{{ vars.x }}"}',
         "`url` must begin with http:// or https:// and a host (the host is no expression)"),
        ('{do: http, url: "https://{{ call.caller }}.example/"}', "the host is no expression"),
        ('{do: http, url: "https://a.example{{ call.caller }}"}', "the host is no expression"),
        ('{do: http, url: "https://a.example@{{ call.caller }}/"}', "the host is no expression"),
        ("{do: http, url: https://me:word@a.example}", "a name or password in an address would be seen in logs"),
        ("{do: http, url: ftp://a.example}", "`url` must begin with http:// or https://"),
        ('{do: http, url: " https://a.example"}', "`url` must begin with http:// or https://"),
        ('{do: http, url: "https://a.example/\\n"}', "`url` must begin with http:// or https://"),
        ("{do: http, url: 5}", "`url` must be text"),
        ("{do: http, url: 'http://a.example:65536/'}", "`65536` is no port (1 to 65535)"),
        ("{do: http, url: 'http://a.example:0'}", "`0` is no port"),
        ("{do: http, url: https://a.example, headers: {Host: b}}", "the header `Host` is not a flow's to"),
        ("{do: http, url: https://a.example, headers: {content-length: 5}}", "the header `content-length` is not"),
        ("{do: record, max: 2s, min: 3s}", "5:33: `min` is longer than `max`"),
        ("{do: http, url: 'https://a.example/?api_key=abc'}",
         "`api_key` in an address would be seen in logs (send it in"),
        ("{do: http, url: 'https://a.example/?a=1&token=abc'}", "`token` in an address would be seen"),
        ("{do: http, url: https://a.example, headers: {Authorization: Bearer x}}",
         "`Authorization` holds a secret, in a file"),
        ("{do: http, url: https://a.example, headers: {x-api-key: abc}}", "`x-api-key` holds a secret"),
        ('{do: http, url: https://a.example, headers: {"a b": x}}', "`a b` is no name of a header"),
        ("{do: http, url: https://a.example, method: GET, json: {}}", "`json` needs a method that sends something"),
        ("{do: http, url: https://a.example, form: {}}", "`form` needs a method that sends something"),
        ("{do: http, url: https://a.example, method: POST, json: {}, form: {}}", "`form` does not go with `json`"),
        ("{do: http, url: https://a.example, get: {x: y}}", "`y` is no JSON pointer"),
        ("{do: http, url: https://a.example, get: {outcome: /y}}", "`outcome` of a node is how it ended"),
        ("{do: http, url: https://a.example, method: PUT, json: {a: {b: 1}}}",
         "`a` must be a value (or {digits: NODE}, or"),
        ("{do: http, url: https://a.example, method: PUT, json: {a: [1]}}",
         "`a` must be text, a number, true or false"),
        ("{do: http, url: https://a.example, method: PUT, json: {a: {secret: ../x}}}", "`../x` is not a plain name"),
        (f"{{do: event, event: x, data: {{{', '.join(f'n{n}: 1' for n in range(51))}}}}}",
         "`data` has at most 50 names"),
        ("{do: http, url: https://a.example, method: PUT, json: {'': 1}}", "is too long, or not to be seen"),
        ("{do: http, url: https://a.example, method: PUT, json: {a: {digits: a}}}",
         "`a` is no `ask` node with `secret: true`"),
        ("{do: script, run: ../a.py}", "`../a.py` is no script (the name of a .py file in scripts/)"),
        ("{do: script, run: a.py, outcomes: {error: hangup}}",
         "`error` is no outcome to be chosen (write `error:` beside"),
        ("{do: script, run: a.py, outcomes: {then: hangup}}", "`then` is no outcome to be chosen"),
        ("{do: script, run: a.py, outcomes: {'a b': hangup}}", "`a b` is not a plain name"),
        ("{do: script, run: a.py, outcomes: {low: b}}", "target `b` is no node"),
        ("{do: event, event: 'a b'}", "`a b` is not a plain name"),
        ("{do: event, event: x, data: {a: {secret: s}}}", "`a` must be text, a number, true or false"),
        ("{do: message}", "a message node needs `webhook`"),
        ("{do: pay, amount: 0, currency: IDR}", "`amount` must be a number above 0"),
        ("{do: pay, amount: '5', currency: IDR}", "`amount` must be a number above 0"),
        ("{do: pay, amount: 5, currency: rp}", "`rp` is no currency (three capital letters, like IDR)"),
        ("{do: transfer, flow: sub, args: {ref: 1}, then: hangup}", "`then` is no key of a transfer node"),
        ("{do: return, outcome: hangup}", "`hangup` cannot be an outcome"),
        ("{do: return, values: {outcome: 1}}", "`outcome` of a node is how it ended"),
        # what is referred to
        ("{do: hours, calendar: offic, open: hangup, closed: hangup}",
         "5:28: calendar `offic` is not in calendars.yaml (did you mean"),
        ("{do: voicemail, box: mian}", "5:27: box `mian` is not in voicemail.yaml (did you mean `main`?)"),
        ("{do: survey, survey: aftr}", "5:27: survey `aftr` is not in surveys.yaml (did you mean `after`?)"),
        ("{do: callback, queue: sale}", "queue `sale` is not in queues.yaml (did you mean `sales`?)"),
        ("{do: lookup, query: order, with: {ref: 1}}",
         "5:26: query `order` is not in lookups.yaml (did you mean `orders`?)"),
        ("{do: lookup, query: orders, with: {reff: 1, ref: 1}}",
         "5:41: query `orders` has no `:reff` (did you mean `ref`?)"),
        ("{do: lookup, query: orders}", "query `orders` needs `ref` (with: {ref: ...})"),
        ("{do: call, flow: sbu, args: {}}", "5:23: flow `sbu` is not in this folder (did you mean `sub`?)"),
        ("{do: transfer, flow: sub}", "flow `sub` needs `ref` (args: {ref: ...})"),
        ("{do: call, flow: sub, args: {ref: 1, nte: 2}}", "5:43: flow `sub` takes no `nte` (did you mean `note`?)"),
        ("{do: call, flow: sub, args: {ref: 1}, outcomes: {pay: hangup}}", "flow `sub` never returns `pay`"),
    ],
)  # fmt: skip
def test_a_problem_is_told_where_it_is(node: str, problem: str) -> None:
    found = told(f"  a: {node}\n")
    wanted = f"t.yaml:{problem}" if problem[:2] == "5:" else problem
    assert any(wanted in one for one in found), found


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ("  pin: {do: ask, say: x, secret: true, then: a}\n  a: {do: authenticate}\n",
         "5:3: `pin` are secret digits of `authenticate` already (give this node another name)"),
        ("  card: {do: ask, say: x, secret: true, then: a}\n  a: {do: pay, amount: 5, currency: IDR}\n",
         "5:3: `card` are secret digits of `pay` already"),
        ("  a-b: {do: hangup}\n  a_b: {do: hangup}\n  a: {do: hangup}\n",
         "5:3: `a-b` and `a_b` would be the same in expressions"),
        ('  a: {do: ask, say: x, secret: true, then: b}\n  b: {do: say, say: "{{ a.value }}", then: hangup}\n',
         "`a.value` is no variable a flow has (known: outcome)"),
        ("  self: {do: hangup}\n  a: {do: hangup}\n", "5:3: a node cannot be called `self`"),
        ('  a: {do: menu, say: x, options: {"1": b}}\n  b: {do: say, say: "{{ a.digit }}", then: hangup}\n',
         "6:21: `a.digit` is no variable a flow has (did you mean `digits`?)"),
        ('  a-b: {do: ask, say: x, then: a}\n  a: {do: say, say: "{{ a-b.value }}", then: hangup}\n',
         "`b` is no variable"),
        ('  a: {do: ask, say: x, then: b}\n  b: {do: say, say: "{{ args.x }}", then: hangup}\n',
         "`args.x` is no variable"),
        ('  a: {do: http, url: https://a.example, get: {state: /s}, then: b}\n'
         '  b: {do: say, say: "{{ a.stat }}", then: a}\n',
         "`a.stat` is no variable a flow has (did you mean `state`?)"),
        ("  a: {do: ask, say: x, then: b}\n"
         "  b: {do: http, url: https://a.example, method: PUT, form: {p: {digits: a}}}\n",
         "`a` is no `ask` node with `secret: true`"),
        ("  a: {do: ask, say: x, secret: true, then: b}\n"
         "  b: {do: http, url: https://a.example, headers: {p: {digits: a}}, then: hangup}\n",
         "digits of a caller do not go into headers"),
        ("  a: {do: say, say: x, then: g}\n  g: {do: say, say: y, then: a}\n", "node `a` is in a loop"),
    ],
)  # fmt: skip
def test_of_several_nodes(nodes: str, problem: str) -> None:
    found = told(nodes)
    assert any((f"t.yaml:{problem}" if problem[1:2] == ":" else problem) in one for one in found), found


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("on_hangup: b", "target `b` is no node"),
        ("on_hangup: say", "9:13: `say` needs a caller, and `on_hangup` leads here"),
        ("on_hangup: then", "9:13: `say` needs a caller"), ("on_hangup: rec", "`queue` needs a caller"),
        ("vars: {x-y: 1}", "a variable like `x-y` has no -"),
        ("vars: {x: null}", "`x` must be text, a number, true or false"),
        ("vars: {x: [1]}", "`x` must be text"),
        ("args: {x: [1]}", "`x` must be text"),
        ("vars: 5", "`vars` must be a map"),
        ('vars: {x: "{{ 1 }}"}', "`x` must be a constant here (compute it in a `set` node)"),
        ("vars: {n: 5}", "`n` is a number"),
        ("vars: {" + ", ".join(f"v{n}: 1" for n in range(51)) + "}", "`vars` has at most 50 names"),
    ],
)  # fmt: skip
def test_the_head_of_a_flow(line: str, problem: str) -> None:
    head = f"flow: t\nlanguage: en\n{line}\nstart: a\nnodes:\n"
    nodes = (
        "  a: {do: menu, say: x, options: {'1': hangup, '2': then, '3': rec}}\n"
        "  then: {do: message, webhook: w, then: loop}\n"
        "  loop: {do: set, vars: {n: x}, then: say, fail: then}\n"
        "  say: {do: say, say: x, then: hangup}\n"
        "  rec: {do: message, webhook: w, fail: q}\n"
        "  q: {do: queue, queue: sales}\n"
    )
    found = told(nodes, head)
    assert any(problem in one for one in found), found


def test_what_is_silent_may_follow_a_hangup() -> None:
    head = "flow: t\nlanguage: en\non_hangup: b\nargs: {x: null}\nstart: a\nnodes:\n"
    nodes = "  a: {do: say, say: x, then: hangup}\n  b: {do: message, webhook: w, then: c, fail: c}\n"
    assert told(nodes + "  c: {do: branch, when: [{if: '{{ args.x }}', to: return}], else: hangup}\n", head) == []


def test_a_secret_may_be_called_pin_where_no_other_pin_is_asked_for() -> None:
    assert told("  a: {do: pay, amount: 5, currency: IDR, then: pin}\n  pin: {do: ask, say: x, secret: true}\n") == []


def test_a_number_gives_no_arguments() -> None:
    found = told("  a: {do: hangup}\n", numbers='numbers: {"6000": sub}\n')
    assert found == ["numbers.yaml:1:19: flow `sub` needs `ref`, which a number cannot give (give it a default)"]


def test_notes_on_what_is_right_but_odd() -> None:
    nodes = "  a: {do: say, say: x}\n  b: {do: say, say: y, then: hangup}\n  c: {do: ask, say: z, invalid: hangup}\n"
    notes = [str(note) for note in book_of(nodes).notes]
    assert notes == [
        "t.yaml:5:3: node `a` names no `then`: after it the call ends",
        "t.yaml:6:3: nothing leads to node `b`",
        "t.yaml:7:3: nothing leads to node `c`",
    ]
    fine = "flow: t\nlanguage: en\non_hangup: b\ndefaults: {fail: c}\nstart: a\nnodes:\n"
    assert book_of(nodes.replace("do: say, say: y", "do: event, event: y"), fine).notes == ()


def test_a_guarded_loop_and_one_through_another_flow_may_be_written() -> None:
    assert told("  a: {do: say, say: x, then: g}\n  g: {do: goto, to: a}\n") == []
    assert told("  a: {do: call, flow: sub, args: {ref: 1}, then: a}\n") == []


def test_scripts_and_prompts_that_are_missing() -> None:
    flow = {
        "flow": "t", "language": "en", "start": "a",
        "nodes": {
            "a": {"do": "script", "run": "stok.py", "then": "b"}, "b": {"do": "voicemail", "box": "main", "then": "c"},
            "c": {"do": "survey", "survey": "after"},
        },
    }  # fmt: skip
    files = {
        "t.yaml": flow, "voicemail.yaml": {"boxes": {"main": {"play": "greet"}}},
        "surveys.yaml": {"surveys": {"after": {"questions": {"q": {"play": "ask", "keys": "12"}}}}},
    }  # fmt: skip
    sources = {name: Source(name, data) for name, data in files.items()}
    found = load_book(sources, scripts={"stock.py"}, sounds=set())
    assert isinstance(found, list)
    assert [problem.message for problem in found] == [
        "the prompt prompts/en/ask.wav is missing", "the prompt prompts/en/greet.wav is missing",
        "the script scripts/stok.py is missing",
    ]  # fmt: skip
    assert found[-1].hint == "did you mean `stock.py`?"
    there = {"prompts/en/ask.wav", "prompts/en/greet.wav"}
    assert not isinstance(load_book(sources, scripts={"stok.py"}, sounds=there), list)


# ---------------------------------------------------------------- the files beside the flows


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("lookups", 'lookups: {a: {sql: "delete from x"}}', "1:20: this query cannot be used: it begins with 'delete'"),
        ("lookups", 'lookups: {a: {sql: ""}}', "`sql` is empty"),
        ("lookups", "lookups: {a: {many: true}}", "a lookup needs `sql`"),
        ("lookups", "lookups: {a b: {sql: select 1}}", "`a b` is not a plain name"),
        ("lookups", "lookups: {a: {sql: select 1, timeout: 60s}}", "`timeout` must be from 0.1s to 10s"),
        ("lookups", "lookups: []", "`lookups` must be a map"), ("lookups", "a: 1", "`a` is no key of lookups.yaml"),
        ("voicemail", "boxes: {main: {max: 1h}}", "`max` must be from 1s to 10m"),
        ("voicemail", "boxes: {main: 5}", "a box must be a map"),
        ("voicemail", "boxes: {main: {say: x, max: 2s, min: 3s}}", "1:38: `min` is longer than `max`"),
        ("voicemail", "boxes: {main: {say: x, max: 1s}}", "1:29: `min` is longer than `max`"),
        ("voicemail", "boxes: {main: {greeting: x}}", "`greeting` is no key of a box"),
        ("voicemail", 'boxes: {main: {say: "{{ vars.x }}"}}', "`vars` is no variable"),
        ("surveys", "surveys: {after: {}}", "a survey needs `questions`"),
        ("surveys", "surveys: {after: {questions: {}}}", "a survey has 1 to 10 questions"),
        ("surveys", 'surveys: {after: {questions: {q: {keys: "12"}}}}', "a question needs `say` or `play`"),
        ("surveys", "surveys: {after: {questions: {q: 5}}}", "a question must be a map"),
        ("surveys", "surveys: {after: {questions: {q: {say: x}}}}", "a question needs `keys`"),
        ("surveys",
         'surveys: {after: {questions: {q: {say: x, keys: "5-1"}}}}', '`keys` are digits (like "1-5" or "12")'),
        ("surveys", 'surveys: {after: {questions: {q: {say: x, keys: "11"}}}}', "`keys` are digits"),
        ("surveys", 'surveys: {after: {questions: {q: {say: x, keys: "*"}}}}', "`keys` are digits"),
        ("surveys",
         'surveys: {after: {questions: {outcome: {say: x, keys: "12"}}}}', "a question cannot be called `outcome`"),
        ("surveys", 'surveys: {after: {questions: {"1": {say: x, keys: "12"}}}}', "`1` is not a plain name"),
        ("surveys", 'surveys: {after: {intro: {sya: x}, questions: {q: {say: x, keys: "1"}}}}', "did you mean `say`?"),
        ("phrases", "phrases: {invaild: {en: x}}", "1:11: `invaild` is no phrase (did you mean `invalid`?)"),
        ("phrases", "phrases: {invalid: {EN: x}}", "`EN` is no language"),
        ("phrases", "phrases: {invalid: x}", "a phrase must be a map"),
        ("phrases", "phrases: {confirm: {en: sure}}", "1:25: this phrase needs {value} (that is where it is said)"),
        ("phrases", "phrases: {callback_offer: {pt: certo}}", "this phrase needs {number}"),
        ("phrases", "phrases: {invalid: {en: 5}}", "`en` must be text"),
        ("phrases", 'phrases: {confirm: {en: "{value} {valeu}"}}', "into `{valeu}` here (only into {value})"),
        ("phrases", 'phrases: {invalid: {en: "no {{ 9 * 9 }}"}}', "nothing is filled into `{` here"),
    ],
)  # fmt: skip
def test_the_files_beside(file: str, text: str, problem: str) -> None:
    found = told("  a: {do: hangup}\n", **{file: f"{text}\n"})
    wanted = f"{file}.yaml:{problem}" if problem[:2] == "1:" else problem
    assert any(wanted in one for one in found), found


def test_phrases_of_ones_own() -> None:
    own = 'phrases: {invalid: {en: Nope, fr: Non}, confirm: {fr: "Vous avez {value}"}}\n'
    book = book_of('  a: {do: menu, say: x, options: {"1": hangup}}\n', phrases=own)
    assert book.phrases["invalid"] == {"en": "Nope", "fr": "Non"}
    said = {prompt.text for prompt in book.prompts() if hasattr(prompt, "text")}
    assert {"Nope", "Sorry, we did not hear anything."} <= said and "Non" not in said


def test_what_is_made_ready_before_the_first_call() -> None:
    head = HEAD.replace("language: en", "language: fr")
    asking = book_of('  a: {do: menu, say: x, options: {"1": hangup}}\n', head, numbers='numbers: {"6000": t}\n')
    said = {(prompt.language, prompt.text) for prompt in asking.prompts() if hasattr(prompt, "text")}
    assert ("fr", "x") in said and ("en", "Sorry, that was not valid.") in said, "rather in English than not at all"
    assert len(book_of("  a: {do: say, say: x, then: hangup}\n").prompts()) == 1


def test_a_broken_neighbour_does_not_make_false_problems() -> None:
    nodes = "  a: {do: voicemail, box: main, then: b}\n  b: {do: call, flow: sub, args: {ref: 1}, then: c}\n"
    nodes += "  c: {do: lookup, query: orders, with: {ref: 1}}\n"
    for file in ("voicemail", "sub", "lookups"):
        found = told(nodes, **{file: "x: [\n"})
        assert [one.split(":")[0] for one in found] == [f"{file}.yaml"]


NO_MAPS = [
    "5", "{do: 5}", "{do: [x], secret: true}", "{do: null, secret: true}", "{do: lookup, query: 5}",
    "{do: call, flow: 5}", "{do: call, flow: sub, args: 5}",
    "{do: lookup, query: orders, with: 5}", "{do: call, flow: sub, args: {ref: 1}, outcomes: 5}",
    "{do: set, vars: 5}", "{do: http, url: https://a.example, get: 5}",
]  # fmt: skip


@pytest.mark.parametrize("node", NO_MAPS)
def test_what_is_no_map_is_one_problem_and_no_exception(node: str) -> None:
    assert told(f"  a: {node}\n")


def test_no_key_of_a_verb_is_called_like_one_of_its_outcomes() -> None:
    scope = Scope("en", {}, Names((), {}), "ID", ())
    both = {(verb, key) for verb, row in VERBS.items() for key in row.keys(scope) if key in row.outcomes}
    assert both == set()
