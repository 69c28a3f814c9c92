from __future__ import annotations

import msgspec
import pytest
from flowbook import HEAD, Phone, book_of

from cti.core import ivr
from cti.core.ivr import interpreter
from cti.core.messages import Sound, Text

MAIN = """\
flow: t
language: en
defaults: {input_timeout: 4s, retries: 1, fail: op}
start: greet
nodes:
  greet: {do: say, say: {en: "Hi {{ customer.name }}", zh: "你好"}, then: ask}
  ask:
    do: menu
    say: {en: "Press", zh: "请按"}
    options: {"1": sales, "2": pick, star: repeat, hash: hangup}
    fail: support
  sales:
    do: queue
    queue: sales
    skills: {english: 3}
    priority: "{{ 10 if customer.tier == 'vip' else 0 }}"
    max_wait: 5m
    timeout: sorry
    answered: thanks
  support: {do: queue, queue: support, answered: thanks, timeout: sorry}
  pick: {do: set, vars: {n: "{{ ask.digits | int + 1 }}", note: plain}, then: choose}
  choose:
    do: branch
    when: [{if: "{{ vars.n > 5 }}", to: sales}, {if: "{{ vars.n == 3 }}", to: support}]
    else: sorry
  sorry: {do: say, say: Sorry, then: hangup}
  thanks: {do: say, play: thanks, then: bye}
  bye: {do: hangup, cause: 17}
  op: {do: dial, to: "1000", ring: 20s, then: hangup}
"""


@pytest.fixture
def main() -> ivr.Book:
    return book_of("", head=MAIN)


def test_greet_ask_queue_thank(main: ivr.Book) -> None:
    phone = Phone(main, tier="vip", name="Siti")
    assert phone.action == ivr.Say((Text("en", "Hi Siti"),))
    assert phone.answer("done") == ivr.Ask(prompts=(Text("en", "Press"),), timeout=4.0)
    assert phone.press("1") == ivr.Enqueue("sales", {"english": 3}, 10, 300.0)
    assert phone.answer("answered", agent="ani") == ivr.Say((Sound("en", "thanks", 3),))
    assert phone.answer("done") == ivr.End("flow_ended", 17)
    assert phone.path == ["greet/done", "ask/1", "sales/answered", "thanks/done", "bye/done"]
    assert phone.turn.line.results["sales"] == {"outcome": "answered", "agent": "ani", "key": ""}


def test_the_language_of_the_number_and_the_flow_s_where_there_is_no_text(main: ivr.Book) -> None:
    phone = Phone(main, language="zh")
    assert phone.heard == "你好"
    assert phone.answer("done") == ivr.Ask(prompts=(Text("zh", "请按"),), timeout=4.0)
    phone.press("2")
    assert phone.answer("timeout") == ivr.Say((Text("en", "Sorry"),))
    assert Phone(main).turn.line.language == "en"


def test_unknown_fields_of_a_customer_are_silent(main: ivr.Book) -> None:
    assert Phone(main).heard == "Hi "


def test_misses_are_forgiven_then_fail(main: ivr.Book) -> None:
    phone = Phone(main)
    phone.answer("done")
    for kind, said in (("timeout", "Sorry, we did not hear anything."), ("digits", "Sorry, that was not valid.")):
        once_more = ivr.Ask(prompts=(Text("en", said), Text("en", "Press")), timeout=4.0, fresh=True)
        assert phone.answer(kind, "9" if kind == "digits" else "") == once_more, "each kind is forgiven once"
    assert phone.path == ["greet/done"]
    assert phone.press("9") == ivr.Enqueue("support")
    assert phone.path[-1] == "ask/invalid"


def test_nothing_pressed_is_a_timeout_and_star_repeats_with_fresh_tries(main: ivr.Book) -> None:
    phone = Phone(main)
    ask = phone.answer("done")
    assert phone.answer("timeout") != ask
    assert phone.press("*") == ask
    assert isinstance(phone.answer("timeout"), ivr.Ask)
    assert phone.answer("timeout") == ivr.Enqueue("support")
    assert phone.path[-2:] == ["ask/*", "ask/timeout"]


@pytest.mark.parametrize("digits", ["", "A", "99", "\x00", "一", "*#"])
def test_odd_digits_are_never_an_error(main: ivr.Book, digits: str) -> None:
    phone = Phone(main)
    phone.answer("done")
    assert isinstance(phone.press(digits), ivr.Ask)


def test_variables_are_set_and_decide(main: ivr.Book) -> None:
    phone = Phone(main)
    phone.answer("done")
    assert phone.press("2") == ivr.Enqueue("support")
    assert phone.path[-3:] == ["ask/2", "pick/done", "choose/2"]
    assert phone.turn.trail[1].vars == {"n": 3, "note": "plain"}
    assert phone.turn.line.vars == {"n": 3, "note": "plain"}


def test_the_hash_key_hangs_up(main: ivr.Book) -> None:
    phone = Phone(main)
    phone.answer("done")
    assert phone.press("#") == ivr.End("flow_ended", 16)


def test_fall_back_order() -> None:
    head = HEAD.replace("start: a", "defaults: {fail: d}\nstart: a")
    rest = "  n: {do: hangup, cause: 1}\n  t: {do: hangup, cause: 2}\n  f: {do: hangup, cause: 3}\n"
    rest += "  d: {do: hangup, cause: 4}\n"
    for keys, cause in [
        ("timeout: n, then: t, fail: f", 1),
        ("then: t, fail: f", 2),
        ("fail: f", 3),
        ("answered: n", 4),
    ]:
        phone = Phone(book_of(f"  a: {{do: queue, queue: sales, {keys}}}\n{rest}", head))
        assert phone.answer("timeout") == ivr.End("flow_ended", cause), keys
    phone = Phone(book_of("  a: {do: queue, queue: sales, answered: hangup}\n"))
    assert phone.answer("full") == ivr.End("failed", 16)


def test_a_failure_inside_a_fail_target_hangs_up(main: ivr.Book) -> None:
    phone = Phone(main)
    phone.answer("done")
    phone.press("1")
    assert phone.answer("full") == ivr.Dial("1000", 20.0)
    assert phone.turn.line.failing
    assert phone.answer("busy") == ivr.End("flow_ended", 16)  # `then` is named
    two = "  a: {do: menu, say: x, options: {}, fail: b}\n  b: {do: menu, say: y, options: {}, fail: a}\n"
    two = two.replace("options: {}", 'options: {"1": hangup}').replace("say:", "retries: 0, say:")
    lost = Phone(book_of(two))
    assert isinstance(lost.answer("timeout"), ivr.Ask)
    assert lost.answer("timeout") == ivr.End("failed", 16)


def test_a_way_out_that_worked_ends_the_failing() -> None:
    nodes = """\
  a: {do: queue, queue: sales, fail: b}
  b: {do: say, say: wait, then: c}
  c: {do: queue, queue: support, fail: d}
  d: {do: say, say: bye, then: hangup}
"""
    phone = Phone(book_of(nodes))
    assert phone.answer("full") == ivr.Say((Text("en", "wait"),))
    assert phone.answer("done") == ivr.Enqueue("support")
    assert phone.answer("no_agents") == ivr.Say((Text("en", "bye"),))


def test_dialling() -> None:
    nodes = "  a: {do: dial, to: \"{{ customer.desk }}\", fail: b}\n  b: {do: hangup, cause: 21}\n"
    book = book_of(nodes)
    assert Phone(book, desk="1000").action == ivr.Dial("1000", 30.0)
    assert Phone(book, desk=1000).action == ivr.Dial("1000", 30.0)
    assert Phone(book, desk="0811 555 666").action == ivr.Dial("+62811555666", 30.0)
    for bad in ("+881621234567", "+19005551234", "", None, "1000@evil", "1000,2000", "x" * 2000, "٠٨١١٥٥٥٦٦٦"):
        phone = Phone(book, desk=bad)
        assert phone.action == ivr.End("flow_ended", 21), bad
        assert phone.path[0] == "a/fail"
    for result in ("busy", "no_answer", "fail"):
        assert Phone(book, desk="1000").answer(result) == ivr.End("flow_ended", 21)
    assert Phone(book_of("  a: {do: dial, to: \"1000\", then: hangup}\n")).answer("answered") == ivr.End(
        "transferred_out", 16
    )


@pytest.mark.parametrize(
    ("written", "given", "priority"),
    [
        ('"{{ customer.p }}"', 7, 7), ('"{{ customer.p }}"', "12", 12), ('"{{ customer.p }}"', True, 1),
        ('"{{ customer.p }}"', 10**12, 1000), ('"{{ customer.p }}"', -5000, -1000), ("4", None, 4),
    ],
)  # fmt: skip
def test_priority(written: str, given: object, priority: int) -> None:
    book = book_of(f"  a: {{do: queue, queue: sales, priority: {written}, then: hangup}}\n")
    assert Phone(book, p=given).action == ivr.Enqueue("sales", {}, priority)


@pytest.mark.parametrize(("given", "seconds"), [(90, 90.0), ("2m", 120.0), (10**9, 86400.0), (0, 1.0)])
def test_max_wait(given: object, seconds: float) -> None:
    book = book_of('  a: {do: queue, queue: sales, max_wait: "{{ customer.w }}", then: hangup}\n')
    assert Phone(book, w=given).action == ivr.Enqueue("sales", {}, None, seconds)


@pytest.mark.parametrize(("key", "given"), [("p", None), ("p", "x"), ("p", [1]), ("w", None), ("w", "soon")])
def test_an_expression_without_a_value_takes_the_error_path(key: str, given: object) -> None:
    nodes = (
        '  a: {do: queue, queue: sales, priority: "{{ customer.p }}", max_wait: "{{ customer.w }}", error: b}\n'
        "  b: {do: hangup, cause: 34}\n"
    )
    phone = Phone(book_of(nodes), **{"p": 1, "w": 60, key: given})
    assert phone.action == ivr.End("flow_ended", 34)
    assert phone.path == ["a/error", "b/done"]


def test_errors_of_prompts_and_unset_variables() -> None:
    nodes = """\
  a: {do: menu, say: x, options: {"1": b}, error: c}
  b: {do: say, say: "{{ vars.x }}", error: d, then: hangup}
  c: {do: set, vars: {x: "{{ 1 // 0 }}"}, fail: b}
  d: {do: hangup, cause: 38}
"""
    phone = Phone(book_of(nodes))
    assert phone.answer("error") == ivr.End("flow_ended", 38)
    assert phone.path == ["a/error", "c/error", "b/error", "d/done"]


def test_text_that_comes_to_nothing_is_not_spoken() -> None:
    assert Phone(book_of('  a: {do: say, say: "{{ customer.x }}"}\n')).action == ivr.Say(())
    book = book_of("  a: {do: say, play: [one, two]}\n")
    assert Phone(book).heard == "one two"


def test_again_asks_the_same(main: ivr.Book) -> None:
    phone = Phone(main)
    phone.answer("done")
    stored = msgspec.json.decode(msgspec.json.encode(phone.turn.line), type=ivr.Line)
    assert stored == phone.turn.line
    turn = ivr.again(main, stored, phone.context)
    assert (turn.action, turn.line, turn.trail) == (phone.action, stored, ())
    phone.press("1")
    assert ivr.again(main, phone.turn.line, phone.context).action == phone.action
    silent = book_of('  a: {do: set, vars: {x: 1}, then: b}\n  b: {do: say, say: x, then: hangup}\n')
    assert ivr.again(silent, ivr.Line(version=0, flow="t", node="a", language="en"), phone.context).line.node == "b"


def test_twenty_hops_without_the_caller_end_in_the_fail_target() -> None:
    nodes = """\
  a: {do: say, say: x, then: b}
  b: {do: branch, when: [{if: "{{ customer.out }}", to: hangup}], else: a}
  sorry: {do: say, say: sorry, then: a}
"""
    for head, spoken in ((HEAD, 11), (HEAD.replace("start: a", "defaults: {fail: sorry}\nstart: a"), 22)):
        phone = Phone(book_of(nodes, head))
        heard = []
        while not isinstance(phone.action, ivr.End):
            heard.append(phone.heard)
            phone.answer("done")
        assert phone.action == ivr.End("failed", 16)
        assert len(heard) == spoken
        assert heard.count("sorry") == (0 if head == HEAD else 1)


def test_a_key_pressed_for_ever_ends_after_two_hundred_nodes() -> None:
    phone = Phone(book_of('  a: {do: menu, say: x, options: {"*": repeat}}\n'))
    asked = 0
    while not isinstance(phone.action, ivr.End):
        asked += 1
        phone.press("*")
    assert asked == interpreter.MAX_NODES
    assert phone.action.how == "failed"


def test_waiting_in_a_queue_counts_as_something_happening() -> None:
    nodes = "  a: {do: queue, queue: sales, timeout: b, full: a, answered: hangup}\n  b: {do: say, say: x, then: a}\n"
    phone = Phone(book_of(nodes))
    for _ in range(40):
        assert isinstance(phone.answer("timeout"), ivr.Say)
        assert isinstance(phone.answer("done"), ivr.Enqueue)
    refused = 0
    while phone.action == ivr.Enqueue("sales"):
        phone.answer("full")
        refused += 1
    assert phone.action == ivr.End("failed", 16)
    assert refused < interpreter.MAX_HOPS


@pytest.mark.parametrize("node", ["", "nowhere", "ask"])
def test_a_position_that_is_not_in_the_book_ends_the_call(main: ivr.Book, node: str) -> None:
    line = ivr.Line(version=3, flow="gone" if node == "ask" else "t", node=node, language="en")
    for turn in (ivr.proceed(main, line, ivr.Answer("done"), ivr.Context()), ivr.again(main, line, ivr.Context())):
        assert turn.action == ivr.End("failed", interpreter.CAUSE_FAILED)
    assert ivr.begin(main, "gone", None, ivr.Context()).action == ivr.End("failed", interpreter.CAUSE_FAILED)


def test_prompts_to_make_ready(main: ivr.Book) -> None:
    numbers = 'numbers: {"6002": {flow: t, language: zh}}\n'
    found = book_of("", head=MAIN, numbers=numbers).prompts()
    assert Text("zh", "你好") in found
    assert not any(isinstance(prompt, Text) and "{{" in prompt.text for prompt in found)
    assert Sound("en", "thanks", 3) in found and Sound("zh", "thanks", 3) in found
    assert len(found) == len(set(found))
