"""The caller without a switch: keys as Collect takes them, a clock, answers from outside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from flowbook import HEAD, book_of

from cti.core import ivr
from cti.core.ivr import phone as phones
from cti.core.ivr.phone import Passed, Phone, taken
from cti.core.ivr.sealing import is_card, sealed
from cti.core.messages import Sealed

LOOP = '  bye: {do: say, say: "Goodbye", then: hangup}\n'


def on(nodes: str, **given: Any) -> Phone:
    phone = Phone(book_of(nodes), "t", **given)
    phone.settle()
    return phone


ASK = """\
  a: {do: ask, say: "Your number", length: "2-4", then: b, digit_timeout: 2s, input_timeout: 7s}
  b: {do: menu, say: "Right?", options: {"1": bye, "2": a}, then: bye}
""" + LOOP


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("most", "terminator", "keys", "expected"),
    [
        (1, "", "1", ("1", "")), (1, "", "12", ("1", "2")),
        (4, "#", "12#3", ("12", "3")), (4, "#", "1234#1", ("1234", "1")), (4, "#", "#1", ("", "1")),
        (4, "#", "12", None), (4, "", "12#", None), (4, "#", "", None), (4, "*", "1*", ("1", "")),
    ],
)  # fmt: skip
def test_an_entry_is_over_with_the_last_key_or_the_terminator(
    most: int, terminator: str, keys: str, expected: tuple[str, str] | None
) -> None:
    assert taken(ivr.Ask(prompts=(), timeout=5.0, most=most, terminator=terminator), keys) == expected


def test_keys_are_typed_ahead_and_what_they_answer_is_not_spoken() -> None:
    phone = on(ASK)
    assert phone.hear() == ["Your number"]
    phone.press("1234")
    phone.press("1")
    phone.settle()
    assert phone.hear() == ["Goodbye"]
    assert phone.path == [Passed("t", "a", "done"), Passed("t", "b", "1"), Passed("t", "bye", "done")]
    assert phone.outcome == "flow_ended"
    assert not phone.advance()


def test_an_entry_that_was_begun_ends_with_the_digit_timeout() -> None:
    phone = on(ASK)
    phone.press("12")
    phone.settle()
    assert phone.keys == "12" and phone.path == []
    before = phone.at
    phone.nothing()
    phone.settle()
    assert phone.at == pytest.approx(before + 2.0 + len("Right?") / phones.SPOKEN)
    assert phone.path == [Passed("t", "a", "done")]


def test_nothing_pressed_takes_the_input_timeout_and_is_asked_again() -> None:
    phone = on(ASK)
    before = phone.at
    phone.nothing()
    phone.settle()
    assert phone.at > before + 7.0
    assert "Your number" in phone.hear()
    phone.press("#")  # the terminator alone is nothing
    phone.settle()
    assert phone.path == []


def test_keys_pressed_before_a_question_that_is_asked_afresh_count_no_longer() -> None:
    phone = on(ASK)
    phone.press("1#2222")  # too short: asked again, and the rest is dropped
    phone.settle()
    assert phone.keys == "" and phone.path == []


def test_what_must_be_heard_is_heard() -> None:
    nodes = """\
  m: {do: menu, say: "One", options: {"1": a}, then: bye}
  a: {do: say, say: "By law", barge_in: false, then: b}
  b: {do: say, say: "Chatter", then: c}
  c: {do: menu, say: "Two", options: {"1": bye}, then: bye}
"""
    phone = Phone(book_of(nodes + LOOP, HEAD.replace("start: a", "start: m")), "t")
    phone.press("11")
    phone.settle()
    assert phone.hear() == ["One", "By law", "Goodbye"]


def test_the_terminator_alone_is_an_entry_where_none_is_needed() -> None:
    phone = on(ASK)
    phone.turn = ivr.Turn(phone.line, (), ivr.Ask(prompts=(), timeout=5.0, least=0, most=4, terminator="#"))
    phone.press("#")
    assert phone.advance()  # digits "", which the ask node hears as nothing
    assert isinstance(phone.action, ivr.Ask)


def test_keys_in_a_queue_are_for_nothing() -> None:
    menu = '  b: {do: menu, say: "x", options: {"1": bye}, then: bye}\n'
    phone = on("  a: {do: queue, queue: sales, then: b}\n" + menu + LOOP)
    phone.press("1")
    phone.nothing()
    phone.queue_ended("full")
    phone.settle()
    assert isinstance(phone.action, ivr.Ask)


# ---------------------------------------------------------------- secrets


def test_secret_digits_stay_in_the_phone() -> None:
    phone = on('  a: {do: ask, say: "PIN", length: 4, secret: true, then: bye}\n' + LOOP)
    phone.press("1234")
    phone.settle()
    assert phone.vault == {"a": "1234"}
    assert phone.outcome == "flow_ended"
    assert "1234" not in str(phone.turn)


def test_the_vault_tells_the_form_alone() -> None:
    assert sealed("card", "4111111111111111") == Sealed(length=16, good=True, last4="1111")
    assert sealed("card", "4111111111111112").good is False
    assert sealed("expiry", "1228") == Sealed(length=4)
    assert [sealed("expiry", digits).good for digits in ("1328", "0028", "128", "1*28")] == [False] * 4
    assert sealed("pin", "12") == Sealed(length=2)
    assert not sealed("card", "41111111111111*1").good and not sealed("code", "12").good and sealed("code", "1234").good
    assert not is_card("0000") and is_card("5500005555555559")


def test_what_follows_secret_digits_becomes_no_open_digits() -> None:
    nodes = """\
  a: {do: ask, say: "PIN", length: 4, secret: true, then: b}
  b: {do: say, say: "Thanks", then: m}
  m: {do: menu, say: "Now", options: {"1": bye}, then: hangup}
"""
    for keys, heard in (("12341", ["PIN", "Thanks", "Now"]), ("123#1", ["PIN", "Goodbye"])):
        phone = Phone(book_of(nodes.replace("length: 4", 'length: "3-4"') + LOOP), "t")
        phone.press(keys)
        phone.settle()
        assert phone.hear() == heard
        assert phone.vault == {"a": keys[: 4 if len(heard) == 3 else 3]}
    two = """\
  a: {do: ask, say: "PIN", length: 4, secret: true, then: b}
  b: {do: ask, say: "Once more", length: 4, secret: true, then: bye}
"""
    phone = Phone(book_of(two + LOOP), "t")
    phone.press("12345678")
    phone.settle()
    assert phone.vault == {"a": "1234"}, "what was pressed ahead is no secret"
    phone.press("5678")
    phone.settle()
    assert phone.vault == {"a": "1234", "b": "5678"}


# ---------------------------------------------------------------- time, queues, calls, recordings


def test_waits_take_time() -> None:
    nodes = """\
  a: {do: wait, time: 5s, then: b}
  b: {do: say, play: hello, then: c}
  c: {do: queue, queue: sales, timeout: d, then: hangup, max_wait: 2m}
  d: {do: dial, to: "1000", ring: 20s, no_answer: e, fail: hangup}
  e: {do: record, say: "Speak", then: f}
  f: {do: dial, to: "1000", then: hangup}
"""
    phone = on(nodes, at=100.0)
    assert phone.at == 108.0 and phone.hear() == ["prompts/en/hello.wav"]
    phone.queue_ended("timeout")
    assert phone.at == 228.0
    phone.dial_ended("no_answer")
    assert phone.at == pytest.approx(248.0 + 5 / phones.SPOKEN)
    phone.recorded(12.0)
    phone.dial_ended("answered")
    assert phone.outcome == "transferred_out"


def test_a_wait_in_a_queue_that_says_nothing_is_as_long_as_the_queues() -> None:
    phone = on("  a: {do: queue, queue: sales, then: hangup}\n", at=0.0)
    phone.queue_ended("timeout")
    assert phone.at == 600.0
    strange = on("  a: {do: queue, queue: sales, then: hangup}\n", at=0.0)
    strange.turn = ivr.Turn(strange.line, (), ivr.Enqueue("gone"))
    strange.queue_ended("timeout")
    assert strange.at == phones.WAITED


def test_a_caller_who_hangs_up_after_the_talk_was_answered() -> None:
    for nodes in ("  a: {do: queue, queue: sales, then: hangup}\n", '  a: {do: dial, to: "1000", then: hangup}\n'):
        phone = on(nodes)
        phone.queue_ended("talked")
        phone.dial_ended("talked")
        assert (phone.outcome, phone.path) == ("hung_up", [Passed("t", "a", "answered")])


def test_nobody_ends_what_has_not_begun() -> None:
    phone = on(ASK)
    phone.queue_ended("answered")
    phone.dial_ended("busy")
    assert isinstance(phone.action, ivr.Ask)


def test_a_key_cuts_the_words_before_a_recording_short_and_is_no_answer() -> None:
    nodes = """\
  a: {do: wait, time: 5s, then: b}
  b: {do: record, say: "Speak", then: c}
  c: {do: menu, say: "Again?", options: {"1": b}, then: bye}
"""
    phone = Phone(book_of(nodes + LOOP), "t")
    phone.press("1")
    phone.settle()
    assert phone.hear() == [] and phone.keys == ""
    phone.press("1")
    phone.recorded(3.0)
    phone.settle()
    assert phone.hear() == ["Again?"]


# ---------------------------------------------------------------- leaving


def test_hanging_up_runs_the_end_of_the_flow() -> None:
    head = HEAD.replace("start: a", "start: a\non_hangup: z")
    nodes = '  a: {do: menu, say: x, options: {"1": a}, then: hangup}\n  z: {do: event, event: left, then: hangup}\n'
    phone = Phone(book_of(nodes, head), "t")
    assert phone.outcome == ""
    phone.hang_up()
    phone.settle()
    assert phone.outcome == "hung_up"
    assert phone.path == [Passed("t", "a", "hangup"), Passed("t", "z", "done")]
    assert [fact.data["name"] for fact in phone.facts] == ["left"]
    phone.hang_up()
    assert len(phone.path) == 2


def test_no_call_is_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "MAX_STEPS", 5)
    phone = on('  a: {do: menu, say: x, options: {"1": repeat}, then: hangup}\n')
    phone.press("1" * 10)
    phone.settle()
    assert phone.outcome == "endless"


# ---------------------------------------------------------------- answers from outside

LOOKUP = "  a: {do: lookup, %s, found: b, none: c, several: hangup, error: d}\n" + "".join(
    f"  {node}: {{do: hangup, cause: {cause}}}\n" for node, cause in (("b", 1), ("c", 2), ("d", 3))
)
FILES = {"lookups": "lookups: {orders: {sql: 'select status from orders where reference = :ref'}}\n"}


def cause(phone: Phone) -> int:
    assert isinstance(phone.action, ivr.End)
    return phone.action.cause


def test_the_caller_is_found_when_a_customer_is_given() -> None:
    siti = {"customer_id": 7, "display_name": "Siti"}
    mine = LOOKUP % 'customer: "{{ call.caller }}"'
    assert cause(on(mine, caller="0812 3456 7890", customer=siti)) == 1
    assert cause(on(mine, caller="0812 3456 7890")) == 2
    typed = LOOKUP % 'customer_id: "%s"'
    assert cause(on(typed % 7, customer=siti)) == 1
    assert cause(on(typed % 8, customer=siti)) == 2
    found = on(mine, caller="0812 3456 7890", customer=siti)
    assert found.line.customer == siti and found.strange == []


def test_answers_are_given_by_node() -> None:
    book = book_of(LOOKUP % 'query: orders, with: {ref: "1"}', **FILES)

    def asked(**answers: list[ivr.Answer]) -> Phone:
        phone = Phone(book, "t", answers={key.replace("_", "/"): value for key, value in answers.items()})
        phone.settle()
        return phone

    assert cause(asked(a=[ivr.Answer("", data={"status": "sent"})])) == 1
    assert cause(asked(a=[ivr.Answer("none")])) == 2
    assert cause(asked(a=[ivr.Answer("several")])) == 16
    assert cause(asked(t_a=[ivr.Answer("none")], a=[ivr.Answer("")])) == 2
    nothing = asked()
    assert cause(nothing) == 3 and nothing.strange == [Passed("t", "a", "query")]


def test_a_list_answers_the_first_time_and_the_next() -> None:
    head = HEAD.replace("start: a", "start: m")
    menu = '  m: {do: menu, say: x, options: {"1": a}, then: hangup}\n'
    nodes = menu + "  a: {do: http, url: 'https://example.com/a', then: m, error: m}\n"
    phone = Phone(book_of(nodes, head), "t", answers={"a": [ivr.Answer("error"), ivr.Answer("")]})
    phone.press("111")
    phone.settle()
    assert [one.outcome for one in phone.path if one.node == "a"] == ["error", "done", "done"]


def test_what_is_given_when_nothing_is_asked() -> None:
    assert on(ASK).given() == ivr.Answer("error")


@pytest.mark.parametrize(("at", "way"), [("08:00-12:00", "timeout"), ("12:00-13:00", "closed")])
def test_a_queue_outside_of_its_calendar_is_closed_by_itself(at: str, way: str) -> None:
    calendars = f'calendars: {{office: {{time_zone: UTC, week: {{mon-sun: ["{at}"]}}}}}}\n'
    book = book_of("  a: {do: queue, queue: sales, then: hangup}\n", calendars=calendars,
                   queues="queues: {sales: {calendar: office}}\n")  # fmt: skip
    phone = Phone(book, "t", at=datetime(2026, 11, 25, 10, tzinfo=UTC).timestamp())
    phone.settle()
    phone.queue_ended("timeout")
    assert [one.outcome for one in phone.path] == [way]
