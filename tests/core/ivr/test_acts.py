"""Verbs that speak, record, decide, wait, and lead to other flows."""

from __future__ import annotations

import pytest
from flowbook import HEAD, NOW, Phone, book_of

from cti.core import ivr
from cti.core.ivr import interpreter
from cti.core.messages import Forced, Text

REST = """\
  good: {do: hangup, cause: 16}
  bad: {do: hangup, cause: 21}
  odd: {do: hangup, cause: 34}
"""
GOOD, BAD, ODD = (ivr.End("flow_ended", cause) for cause in (16, 21, 34))


def phone(node: str, head: str = HEAD, language: str | None = None, **files: str) -> Phone:
    """One who called a flow that begins with this node."""
    return Phone(book_of(f"  a: {node}\n{REST}", head, **files), language=language)


# ---------------------------------------------------------------- speaking


def test_what_is_said_is_in_the_language_of_its_text() -> None:
    text = "say: {{en: \"Due {{{{ '2027-01-15' | date }}}}\"{more}}}"
    for language, more, spoken in [
        ("zh", "", "en"), ("zh-CN", ', zh: "{{ 5 | number }}"', "zh"), ("id", ', zh: "x"', "en"),
    ]:  # fmt: skip
        action = phone(f"{{do: say, {text.format(more=more)}, then: good}}", language=language).action
        assert isinstance(action, ivr.Say)
        assert isinstance(said := action.prompts[0], Text)
        assert said.language == spoken
        assert said.text == "五" if spoken == "zh" else "January" in said.text


def test_a_moment_is_said_in_the_time_zone_of_the_site() -> None:
    nodes = '  a: {do: say, say: "{{ call.at | time }}, {{ call.at }}", then: hangup}\n'
    book = book_of(nodes)
    at_utc = Phone(book).heard
    assert at_utc.startswith("eight") and at_utc.endswith(", 2027-01-15T08:00:00+00:00")


def test_a_node_with_a_hyphen_has_an_underscore_in_expressions() -> None:
    caller = phone('{do: menu, say: x, options: {"1": a-b}}\n  a-b: {do: set, vars: {x: 1}, then: c}\n'
                   '  c: {do: say, say: "{{ a.digits }} {{ a_b.outcome | default(\'-\') }}", then: good}')  # fmt: skip
    caller.press("1")
    assert caller.path[:2] == ["a/1", "a-b/done"]
    caller = phone('{do: call, flow: sub, then: c}\n  c: {do: say, say: "{{ a.x }}", then: good}',
                   sub=HEAD.replace("flow: t", "flow: sub") + "  a: {do: return, values: {x: 7}}\n")  # fmt: skip
    assert caller.heard == "7"


def test_a_node_may_be_called_as_jinja_calls_its_own_things() -> None:
    for name in ("result", "context", "range", "loop_", "caller", "namespace", "dict"):
        nodes = f'  a: {{do: menu, say: x, options: {{"1": {name}}}}}\n'
        nodes += f'  {name}: {{do: menu, say: y, options: {{"2": b}}}}\n'
        caller = Phone(book_of(f'{nodes}  b: {{do: say, say: "{{{{ {name}.digits }}}}", then: hangup}}\n'))
        caller.press("1")
        caller.press("2")
        assert caller.heard == "2", name


def test_waiting() -> None:
    caller = phone("{do: wait, time: 1m, music: true, then: good}")
    assert caller.action == ivr.Pause(60.0, True)
    assert caller.answer("done") == GOOD
    assert phone("{do: wait, time: 500ms, then: good}").action == ivr.Pause(0.5)


# ---------------------------------------------------------------- recording


@pytest.mark.parametrize(
    ("outcome", "data", "then", "how"),
    [
        ("done", {"recording_id": "r", "seconds": 3.0}, "done", "voicemail"),
        ("done", {"recording_id": "r", "seconds": 2.9}, "empty", "flow_ended"),
        ("done", {}, "empty", "flow_ended"),
        ("empty", {}, "empty", "flow_ended"),
        ("error", {}, "error", "flow_ended"),
    ],
)  # fmt: skip
def test_a_message_counts_when_it_is_long_enough(outcome: str, data: dict[str, object], then: str, how: str) -> None:
    ways = "then: good, empty: bad, error: odd"
    ends = {"done": 16, "empty": 21, "error": 34}
    caller = phone(f"{{do: record, say: Speak, max: 30s, silence: 5s, min: 3s, {ways}}}")
    assert caller.action == ivr.Record((Text("en", "Speak"),), 30.0, 5.0, 3.0)
    assert caller.answer(outcome, **data) == ivr.End("flow_ended", ends[then])
    assert caller.result == {**data, "outcome": then}
    caller = phone(f"{{do: voicemail, box: main, {ways}}}", voicemail="boxes: {main: {min: 3s}}\n")
    assert caller.heard.startswith("Please leave a message")
    assert isinstance(caller.action, ivr.Record) and caller.action.box == "main"
    assert caller.answer(outcome, **data) == ivr.End(how, ends[then])


def test_a_recording_of_no_length_is_none_even_if_the_admin_asks_for_none() -> None:
    caller = phone("{do: record, min: 0s, then: good, empty: bad}")
    assert caller.action == ivr.Record((), 60.0, 4.0, 0.0)
    assert caller.answer("done", seconds=0.0) == BAD
    assert phone("{do: record, min: 0s, then: good}").answer("empty") == ivr.End("failed", 16), "no `then` for it"


def test_a_box_greets_in_words_of_its_own() -> None:
    boxes = "boxes: {main: {say: Hello, max: 1m}, only: {say: {zh: 您好}}}\n"
    caller = phone("{do: voicemail, box: main, then: good}", voicemail=boxes, language="id")
    assert caller.action == ivr.Record((Text("en", "Hello"),), 60.0, 4.0, 2.0, "main")
    caller = phone("{do: voicemail, box: only, then: good}", voicemail=boxes, language="id")
    assert caller.heard == "您好", "rather in another language than not at all"
    assert Text("zh", "您好") in caller.book.prompts()
    used = "{do: voicemail, box: main, then: good}"
    assert Text("en", "Hello") in phone(used, voicemail=boxes).book.prompts()


# ---------------------------------------------------------------- deciding


@pytest.mark.parametrize(("given", "spoken"), [("zh", "zh"), ("pt-BR", "pt-BR"), ("Zh", ""), (5, ""), (None, "")])
def test_the_language_of_a_call(given: object, spoken: str) -> None:
    book = book_of(f'  a: {{do: language, language: "{{{{ customer.l }}}}", then: good, error: bad}}\n{REST}')
    caller = Phone(book, l=given)
    assert caller.action == (GOOD if spoken else BAD)
    assert caller.turn.line.language == (spoken or "en")
    assert phone("{do: language, language: id, then: good}").turn.line.language == "id"


OFFICE = (
    'calendars: {o: {week: {mon-fri: ["09:00-17:00"]}, holidays: {extra: ["2027-01-15"]}, time_zone: Asia/Tokyo}}\n'
)


def test_hours() -> None:
    week = OFFICE.replace(', holidays: {extra: ["2027-01-15"]}', "")
    both = "{do: hours, calendar: o, open: good, closed: bad, holiday: odd}"
    assert phone(both, calendars=week).action == BAD  # 17:00 in Tokyo
    assert phone(both, calendars=OFFICE).action == ODD
    closed = phone("{do: hours, calendar: o, open: good, closed: bad}", calendars=OFFICE)
    assert closed.action == BAD, "a holiday without a way of its own"
    assert closed.result == {"state": "holiday", "next_open": "2027-01-18T09:00", "holiday": "", "outcome": "holiday"}
    forced = ivr.Context(at=NOW, forced={"o": Forced("open", NOW + 60)})
    assert ivr.begin(closed.book, "t", None, forced).action == GOOD


def test_a_share_of_callers_is_the_same_callers_every_time() -> None:
    book = book_of("  a: {do: split, shares: [{percent: 20, to: good}, {percent: 30, to: bad}], else: odd}\n" + REST)
    ends = []
    for number in range(2_000):
        context = ivr.Context(call={"caller": f"+62811{number}", "id": str(number)})
        ends.append(ivr.begin(book, "t", None, context).action)
        assert ivr.begin(book, "t", "zh", ivr.Context(call={"caller": f"+62811{number}", "id": "x"})).action == ends[-1]
    for end, percent in ((GOOD, 20), (BAD, 30), (ODD, 50)):
        assert abs(ends.count(end) / 20 - percent) < 4
    withheld = [ivr.begin(book, "t", None, ivr.Context(call={"caller": "", "id": str(n)})).action for n in range(200)]
    assert {GOOD, BAD, ODD} == set(withheld), "who hides his number is told apart by his call"


def test_two_splits_are_two_throws() -> None:
    other = book_of(
        "  b: {do: split, shares: [{percent: 50, to: good}], else: bad}\n" + REST, HEAD.replace("start: a", "start: b")
    )
    one = book_of("  a: {do: split, shares: [{percent: 50, to: good}], else: bad}\n" + REST)
    callers = [ivr.Context(call={"caller": f"+62811{number}"}) for number in range(500)]
    same = [ivr.begin(one, "t", None, who).action == ivr.begin(other, "t", None, who).action for who in callers]
    assert 150 < sum(same) < 350


def test_a_variable_keeps_the_type_it_was_declared_with() -> None:
    head = HEAD.replace("start: a", "vars: {n: 0, s: x, f: false}\nstart: a")
    for given, right in [
        ({"n": 2.5}, True), ({"n": "2"}, False), ({"s": "y"}, True), ({"s": 1}, False), ({"f": True}, True),
        ({"f": 1}, False), ({"n": True}, False), ({"n": None}, False), ({"n": [1]}, False),
    ]:  # fmt: skip
        word = next(iter(given))
        written = f'{{do: set, vars: {{{word}: "{{{{ customer.v }}}}"}}, then: good, error: bad}}'
        caller = Phone(book_of(f"  a: {written}\n{REST}", head), v=given[word])
        assert caller.action == (GOOD if right else BAD), given
        assert caller.turn.line.vars == {"n": 0, "s": "x", "f": False, **(given if right else {})}


def test_a_guard_lets_a_loop_pass_so_often_and_no_more() -> None:
    caller = phone("{do: say, say: x, then: g}\n  g: {do: goto, to: a, times: 2, exhausted: bad}")
    assert [caller.answer("done") for _ in range(3)] == [caller.book and ivr.Say((Text("en", "x"),))] * 2 + [BAD]
    assert caller.path == ["a/done", "g/to", "a/done", "g/to", "a/done", "g/exhausted", "bad/done"]
    for way, end in (("then: bad", BAD), ("fail: bad", BAD), ("times: 1", ivr.End("failed", 16))):
        caller = phone(f"{{do: say, say: x, then: g}}\n  g: {{do: goto, to: a, {way}}}")
        while isinstance(caller.action, ivr.Say):
            caller.answer("done")
        assert caller.action == end, way


def test_an_event_says_what_the_admin_wants_to_count() -> None:
    written = '{do: event, event: reached, data: {tier: "{{ customer.tier }}", n: 1}, then: good, error: bad}'
    caller = phone(written)
    assert caller.action == GOOD
    data = {"flow": "t", "node": "a", "name": "reached", "data": {"tier": None, "n": 1}}
    assert caller.facts == [ivr.Fact("flow.event", data)]
    assert isinstance(caller.turn.trail[0], ivr.Fact), "told before the node is left"
    broken = phone('{do: event, event: reached, data: {n: "{{ 1 // 0 }}"}, then: good, error: bad}')
    assert broken.action == BAD
    assert broken.facts == []


# ---------------------------------------------------------------- other flows

SUB = """\
flow: sub
language: en
args: {ref: null, note: none}
vars: {n: 1}
start: ask
nodes:
  ask:
    do: menu
    say: "{{ args.ref }} {{ args.note }} {{ vars.n }}"
    options: {"1": ok, "2": return, "3": drop, "4": wrong}
  ok: {do: return, outcome: ok, values: {ref: "{{ args.ref }}", key: "{{ ask.digits }}"}}
  wrong: {do: return, outcome: error}
  drop: {do: hangup, cause: 19}
"""
CALL = '{do: call, flow: sub, args: {ref: "{{ vars.r }}"}, outcomes: {ok: said}, then: good, error: bad}'
SAID = '{do: say, say: "{{ c.ref }} {{ vars.r }}", then: good}'
CALLS = f"{{do: set, vars: {{r: R1}}, then: c}}\n  c: {CALL}\n  said: {SAID}"


def test_a_flow_that_is_called_comes_back_with_its_values() -> None:
    caller = phone(CALLS, sub=SUB)
    assert caller.heard == "R1 none 1"
    assert caller.turn.line.stack[0].node == "c" and caller.turn.line.vars == {"n": 1}
    assert isinstance(caller.back(), ivr.Ask), "and after a restart it is still there"
    caller.press("1")
    assert caller.heard == "R1 R1"
    assert caller.turn.line.results["c"] == {"ref": "R1", "key": "1", "outcome": "ok"}
    assert caller.path == ["a/done", "c/done", "ask/1", "ok/ok", "c/ok"]
    assert [v.to for v in caller.turn.trail if isinstance(v, ivr.Visit)] == ["ok", "return", "said"]
    assert caller.turn.line.stack == []


@pytest.mark.parametrize(("key", "end"), [("2", GOOD), ("3", ivr.End("flow_ended", 19)), ("4", BAD)])
def test_a_flow_that_is_called_ends_in_other_ways(key: str, end: ivr.End) -> None:
    caller = phone(CALLS, sub=SUB)
    assert caller.press(key) == end


def test_a_transfer_never_comes_back() -> None:
    caller = phone("{do: transfer, flow: sub, args: {ref: 5, note: given}, error: bad}", sub=SUB)
    assert caller.heard == "5 given 1"
    assert caller.press("1") == ivr.End("flow_ended", 16)
    broken = phone('{do: transfer, flow: sub, args: {ref: "{{ 1 // 0 }}"}, error: bad}', sub=SUB)
    assert broken.action == BAD


def test_flows_that_call_themselves_come_to_an_end() -> None:
    caller = phone("{do: call, flow: t, error: bad}")
    assert caller.action == ivr.End("failed", 16) or caller.action == BAD
    assert caller.path.count("a/done") == interpreter.MAX_DEPTH
    around = phone('{do: menu, say: x, options: {"1": c}}\n  c: {do: transfer, flow: t, fail: bad}')
    while isinstance(around.action, ivr.Ask):
        around.press("1")
    assert around.action == BAD
    assert around.path.count("c/done") < interpreter.MAX_NODES / 2
    out = HEAD.replace("flow: t", "flow: sub") + "  a: {do: transfer, flow: t}\n"
    away = phone('{do: menu, say: x, options: {"1": c}}\n  c: {do: call, flow: sub, then: good}', sub=out)
    for _ in range(interpreter.MAX_DEPTH + 2):
        assert isinstance(away.press("1"), ivr.Ask), "who is transferred leaves nothing behind"


def test_a_call_into_a_flow_without_a_budget_for_it_has_failed() -> None:
    """The node that fails is in the flow where it stands, also when one of its nodes is called like the flow."""
    sub = HEAD.replace("flow: t", "flow: sub") + '  a: {do: menu, say: in, options: {"1": return}}\n'
    head = HEAD.replace("start: a", "defaults: {fail: sub}\nstart: a")
    nodes = (
        "{do: set, vars: {x: 1}, then: c}\n  c: {do: call, flow: sub, then: c}\n"  # so it is `c` that is the last one
    )
    caller = phone(nodes + '  sub: {do: menu, say: last, options: {"1": good}}', head, sub=sub)
    heard = []
    while caller.heard == "in":
        heard.append(caller.heard)
        caller.press("1")
    assert 5 < len(heard) <= interpreter.MAX_NODES / 2
    assert caller.heard == "last" and caller.turn.line.stack == []
    assert caller.press("1") == GOOD


# ---------------------------------------------------------------- the end of time


def test_thirty_minutes_in_a_flow_are_enough() -> None:
    head = HEAD.replace("start: a", "defaults: {fail: last}\nstart: a")
    caller = phone(
        '{do: menu, say: x, options: {"1": repeat}}\n  last: {do: menu, say: last, options: {"1": repeat}}', head
    )
    late = ivr.Context(at=NOW + interpreter.MAX_SECONDS + 1)
    assert isinstance(caller.press("1"), ivr.Ask)
    caller.context = late
    caller.press("1")
    assert caller.heard == "last" and caller.turn.line.spent and caller.turn.line.failing
    caller.context = ivr.Context(at=late.at + interpreter.MAX_SECONDS + 1)
    assert caller.press("1") == ivr.End("failed", 16)


def test_a_position_stored_by_an_earlier_server_has_all_its_time() -> None:
    caller = phone('{do: menu, say: x, options: {"1": repeat}}')
    old = ivr.Line(version=3, flow="t", node="a", language="en", visits=1)
    assert isinstance(ivr.proceed(caller.book, old, ivr.Answer("digits", "1"), caller.context).action, ivr.Ask)


def test_a_conversation_does_not_count() -> None:
    caller = phone("{do: queue, queue: sales, answered: b, left: b}\n  b: {do: say, say: x, then: a}")
    for outcome in ("answered", "left"):
        caller.context = ivr.Context(at=caller.context.at + 10 * interpreter.MAX_SECONDS)
        assert isinstance(caller.answer(outcome), ivr.Say)
        assert caller.turn.line.since == caller.context.at
        caller.answer("done")


def test_visits_only_grow_so_that_no_work_has_the_number_of_another() -> None:
    head = HEAD.replace("start: a", "defaults: {fail: a}\non_hangup: h\nstart: a")
    caller = phone('{do: menu, say: x, options: {"1": repeat}}\n  h: {do: message, webhook: w, then: hangup}', head)
    seen = [caller.turn.line.visits]
    while isinstance(caller.action, ivr.Ask):
        last = caller.turn.line
        caller.press("1")
        seen.append(caller.turn.line.visits)
    assert seen == sorted(seen)
    assert seen[-1] <= interpreter.MAX_NODES + interpreter.MAX_HOPS
    turn = ivr.hung_up(caller.book, last, caller.context)
    assert isinstance(turn.action, ivr.Task) and turn.line.visits > last.visits


# ---------------------------------------------------------------- the caller is gone

LEAVES = HEAD.replace("start: a", "on_hangup: h\nstart: a")
AFTER = """\
  h: {do: message, webhook: w, body: {digits: "{{ a.digits | default('') }}"}, then: e, fail: e}
  e: {do: event, event: left}
"""


def test_who_hangs_up_leaves_the_rest_to_the_flow() -> None:
    caller = Phone(
        book_of('  a: {do: menu, say: x, options: {"1": b}}\n  b: {do: say, say: y, then: hangup}\n' + AFTER, LEAVES)
    )
    caller.press("1")
    assert caller.leave() == ivr.Task("message", {"webhook": "w", "body": {"digits": "1"}}, 3.0)
    assert caller.path[-1] == "b/hangup"
    assert [v.to for v in caller.turn.trail if isinstance(v, ivr.Visit)] == [""]
    assert caller.turn.line.leaving
    assert caller.answer("error") == ivr.End("failed", 16)
    assert caller.path[-2:] == ["h/error", "e/done"]
    assert [fact.data["name"] for fact in caller.facts] == ["left"]
    again = Phone(caller.book)
    again.leave("answered")
    assert again.path == ["a/answered"]
    assert again.leave() == ivr.End("flow_ended"), "told twice"


def test_without_on_hangup_nothing_is_done() -> None:
    caller = phone("{do: say, say: x, then: good}")
    assert caller.leave() == ivr.End("flow_ended")
    assert caller.path == ["a/hangup"]


def test_the_innermost_flow_has_the_last_word_and_no_other() -> None:
    sub = SUB.replace("start: ask", "on_hangup: log\nstart: ask") + "  log: {do: script, run: log.py, then: return}\n"
    caller = phone(
        CALLS.replace("then: good, error", "then: never, error") + "\n  never: {do: message, webhook: w}", sub=sub
    )
    assert caller.leave() == ivr.Task("script", {"script": "log.py", "args": {}}, 5.0)
    assert caller.answer("done") == ivr.End("flow_ended"), "it did not return, its caller is gone"
    outer = phone(CALLS + "\n  h: {do: script, run: out.py}", LEAVES, sub=SUB)
    assert outer.leave() == ivr.Task("script", {"script": "out.py", "args": {}}, 5.0)
    assert outer.path[-1] == "ask/hangup" and outer.turn.line.flow == "t"


@pytest.mark.parametrize("fail", ["op", "sub"])
def test_a_fail_target_that_speaks_or_calls_is_not_for_one_who_is_gone(fail: str) -> None:
    head = LEAVES.replace("on_hangup", f"defaults: {{fail: {fail}}}\non_hangup")
    ways = "  op: {do: say, say: sorry, then: hangup}\n  sub: {do: call, flow: x}\n"
    hook = "  h: {do: message, webhook: w}\n"
    after = HEAD.replace("flow: t", "flow: x") + "  a: {do: message, webhook: w}\n"
    caller = Phone(book_of(f"  a: {{do: say, say: x, then: hangup}}\n{ways}{hook}", head, x=after))
    assert isinstance(caller.leave(), ivr.Task)
    assert isinstance(caller.answer("error"), ivr.End)


def test_what_is_done_for_one_who_is_gone_ends() -> None:
    nodes = "  a: {do: say, say: x, then: hangup}\n  h: {do: message, webhook: w, then: g}\n"
    nodes += "  g: {do: goto, to: h, times: 20}\n"
    caller = Phone(book_of(nodes, LEAVES))
    caller.leave()
    sent = 0
    while isinstance(caller.action, ivr.Task):
        sent += 1
        caller.answer("done")
    assert 5 < sent <= interpreter.MAX_HOPS
    assert isinstance(caller.action, ivr.End)
