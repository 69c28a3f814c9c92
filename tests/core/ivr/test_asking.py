"""Verbs that ask: what counts as an answer, how misses are borne, and that secret digits are seen nowhere."""

from __future__ import annotations

import msgspec
import pytest
from flowbook import HEAD, NOW, Phone, book_of

from cti.core import ivr
from cti.core.messages import Sealed, Text

REST = """\
  good: {do: hangup, cause: 16}
  bad: {do: hangup, cause: 21}
  odd: {do: hangup, cause: 34}
"""
GOOD, BAD, ODD = (ivr.End("flow_ended", cause) for cause in (16, 21, 34))
INVALID, SILENT = "Sorry, that was not valid.", "Sorry, we did not hear anything."
SURVEYS = """\
surveys:
  after:
    intro: {say: Two questions}
    questions:
      help: {say: "Helped?", keys: "1-5", retries: 0}
      again: {say: "Again?", keys: "12"}
    thanks: {say: Thanks}
  short: {questions: {one: {say: "One?", keys: "19"}}}
"""


def phone(node: str, head: str = HEAD, language: str | None = None, **customer: object) -> Phone:
    book = book_of(f"  a: {node}\n{REST}", head, surveys=SURVEYS)
    return Phone(book, language=language, **customer)


def asked(caller: Phone) -> ivr.Ask:
    assert isinstance(caller.action, ivr.Ask), caller.action
    return caller.action


# ---------------------------------------------------------------- misses


def test_reprompts_escalate_and_each_kind_of_miss_counts_for_itself() -> None:
    caller = phone(
        '{do: menu, say: Q, options: {"1": good}, retries: 3, invalid_say: ["no", {en: really no, zh: 不}],'
        " timeout_say: quiet, invalid: bad, timeout: odd}"
    )
    assert not asked(caller).fresh, "who knows the way dials ahead"
    for key, said in [("9", "no Q"), ("", "quiet Q"), ("8", "really no Q"), ("", "quiet Q"), ("7", "really no Q")]:
        caller.answer("digits" if key else "timeout", key)
        assert caller.heard == said
        assert asked(caller).fresh, "what was pressed before was meant for another question"
    assert caller.turn.line.no_match == 3 and caller.turn.line.no_input == 2
    assert caller.press("9") == BAD
    assert caller.path == ["a/invalid", "bad/done"]


def test_the_built_in_reprompts_are_in_the_language_of_the_caller() -> None:
    for language, invalid, silent in [
        ("zh", "对不起，您的输入无效。", "对不起，没有收到您的输入。"),
        ("fr", INVALID, SILENT),
    ]:
        caller = phone('{do: menu, say: Q, options: {"1": good}, then: bad}', language=language)
        caller.press("5")
        assert caller.heard == f"{invalid} Q"
        caller.answer("timeout")
        assert caller.heard == f"{silent} Q"


def test_a_reprompt_that_cannot_be_said_is_an_error() -> None:
    caller = phone('{do: menu, say: Q, options: {"1": good}, invalid_say: "{{ 1 // 0 }}", error: odd}')
    assert caller.press("2") == ODD


def test_failures_never_take_the_way_of_success() -> None:
    caller = phone("{do: ask, say: Q, retries: 0, then: good}")
    assert caller.answer("timeout") == ivr.End("failed", 16)
    caller = phone("{do: ask, say: Q, retries: 0, then: good, fail: bad}")
    assert caller.answer("timeout") == BAD
    assert caller.result == {"value": None, "digits": "", "outcome": "timeout"}
    head = HEAD.replace("start: a", "defaults: {fail: odd, retries: 0}\nstart: a")
    assert phone("{do: ask, say: Q, then: good}", head).answer("error") == ODD


def test_defaults_of_the_flow_hold_for_every_question() -> None:
    head = HEAD.replace("start: a", "defaults: {input_timeout: 9s, digit_timeout: 2s, retries: 0}\nstart: a")
    caller = phone("{do: ask, say: Q, length: 4, barge_in: false, invalid: bad}", head)
    assert asked(caller) == ivr.Ask(
        prompts=(Text("en", "Q"),), timeout=9.0, digit_timeout=2.0, least=4, most=4, terminator="#", barge_in=False
    )  # fmt: skip
    assert caller.press("123") == BAD


# ---------------------------------------------------------------- ask


@pytest.mark.parametrize(
    ("keys", "digits", "value"),
    [
        ("", "0012", "0012"), ("length: 4", "123", None),
        ('length: "2-3"', "12", "12"), ('length: "2-3"', "1234", None),
        ('match: "62[0-9]{2}|9"', "6212", "6212"),
        ('match: "62[0-9]{2}|9"', "9", "9"), ('match: "62[0-9]{2}"', "612", None),
        ("", "12*", None), ("", "١٢", None), ("", "A", None),
        ("kind: phone", "0811555666", "+62811555666"), ("kind: phone", "12", None), ("kind: phone", "110", None),
        ("kind: phone", "0809555666", None), ("kind: phone", "1234", None),
        ("kind: date", "31122026", "2026-12-31"), ("kind: date", "29022026", None), ("kind: date", "3112202", None),
        ("kind: date", "00000000", None), ("kind: amount", "150", 150), ("kind: amount", "12*5", 12.5),
        ("kind: amount", "*5", 0.5), ("kind: amount", "5*", None), ("kind: amount", "*", None),
        ("kind: amount", "1*2*3", None), ("kind: amount", "1#", None), ("kind: yes_no", "1", True),
        ("kind: yes_no", "2", False), ("kind: yes_no", "3", None), ("kind: yes_no", "*", None),
    ],
)  # fmt: skip
def test_what_was_entered_is_read_as_what_was_asked_for(keys: str, digits: str, value: object) -> None:
    caller = phone(f"{{do: ask, say: Q, {keys}{', ' if keys else ''}retries: 0, invalid: bad, then: good}}")
    assert caller.press(digits) == (BAD if value is None else GOOD)
    assert caller.result["value"] == value and type(caller.result["value"]) is type(value)
    assert caller.result["digits"] == ("" if value is None else digits)
    ways = {"True": "yes", "False": "no", "None": "invalid"}
    assert caller.path[0] == f"a/{ways.get(str(value), 'done')}"


def test_how_many_keys_each_kind_takes() -> None:
    for keys, least, most, terminator in [
        ("", 1, 20, "#"), ("kind: phone", 3, 16, "#"), ("kind: date", 8, 8, ""), ("kind: amount", 1, 12, "#"),
        ("kind: yes_no", 1, 1, ""), ('length: 6, terminator: ""', 6, 6, ""), ('terminator: "*"', 1, 20, "*"),
    ]:  # fmt: skip
        question = asked(phone(f"{{do: ask, say: Q, then: good{', ' if keys else ''}{keys}}}"))
        assert (question.least, question.most, question.terminator) == (least, most, terminator), keys


def test_yes_and_no_are_ways_of_their_own() -> None:
    both = "{do: ask, say: Q, kind: yes_no, then: good, %s}"
    assert phone(both % '"yes": bad').press("1") == BAD
    assert phone(both % '"no": odd').press("2") == ODD
    assert phone(both % '"no": odd').press("1") == GOOD


@pytest.mark.parametrize(
    ("keys", "digits", "spoken"),
    [
        ("length: 3", "123", "You entered one two three."), ("kind: date", "31122026", "December"),
        ("kind: amount", "12*5", "twelve point five"), ("kind: yes_no", "2", "You entered no."),
        ("kind: phone", "0811555666", "You entered"),
    ],
)  # fmt: skip
def test_what_was_entered_is_read_out_and_confirmed(keys: str, digits: str, spoken: str) -> None:
    node = f"{{do: ask, say: Q, {keys}, confirm: true, retries: 1, then: good, invalid: bad, timeout: odd}}"
    caller = phone(node)
    caller.press(digits)
    assert spoken in caller.heard.replace(", ", " ") and caller.turn.line.stage == "confirm"
    assert (asked(caller).least, asked(caller).most, asked(caller).fresh) == (1, 1, True)
    assert "a" not in caller.turn.line.results, "it holds only when it is confirmed"
    assert caller.press("1") == GOOD
    assert caller.result["digits"] == digits


CONFIRM = "{do: ask, say: Q, length: 3, confirm: true, retries: 1, then: good, invalid: bad, timeout: odd}"


def test_who_does_not_confirm_is_asked_again_but_not_for_ever() -> None:
    caller = phone(CONFIRM)
    caller.press("123")
    caller.press("2")
    assert caller.heard == "Q" and caller.turn.line.held == {}
    caller.press("124")
    caller.answer("timeout")
    assert caller.heard.startswith(SILENT + " You entered")
    assert caller.press("2") == BAD
    assert caller.result == {"value": None, "digits": "", "outcome": "invalid"}
    for answers, end in [(["timeout", "timeout"], ODD), (["error"], ivr.End("failed", 16))]:
        caller = phone(CONFIRM)
        caller.press("123")
        assert [caller.answer(one) for one in answers][-1] == end
    caller = phone(CONFIRM)
    caller.press("123")
    caller.press("7")
    assert caller.heard.startswith(INVALID + " You entered")


def test_after_a_restart_the_question_comes_first() -> None:
    caller = phone(CONFIRM)
    caller.press("123")
    caller.back()
    assert caller.heard == "Q" and caller.turn.line.stage == ""
    caller.press("321")
    assert caller.press("1") == GOOD
    assert caller.result["digits"] == "321"


def test_what_is_read_out_is_in_the_language_of_the_phrase() -> None:
    caller = phone("{do: ask, say: Q, length: 2, confirm: true, then: good}", language="fr")
    caller.press("12")
    assert caller.action == ivr.Ask(
        prompts=(Text("en", "You entered one two. If this is right, press 1. To enter it again, press 2."),),
        timeout=5.0, fresh=True,
    )  # fmt: skip


def test_secret_digits_are_seen_nowhere() -> None:
    send = "{digits: a}"
    caller = phone(
        '{do: ask, say: Q, secret: true, length: "4-6", retries: 1, then: send, invalid: bad, timeout: odd}\n'
        f"  send: {{do: http, url: https://x.example, method: POST, json: {{code: {send}}}, then: good}}"
    )
    assert asked(caller).seal == "a" and asked(caller).fresh, "no key that was pressed in the open"
    caller.seal(3)
    assert caller.heard == f"{INVALID} Q"
    assert caller.seal(4) == ivr.Task(
        "http",
        {"method": "POST", "url": "https://x.example", "headers": {}, "json": {"code": {"sealed": "a"}}, "get": {}},
        3.0,
    )  # fmt: skip
    assert caller.result == {"value": None, "digits": "", "outcome": "done"}


def test_secret_digits_that_come_in_the_open_all_the_same_are_not_kept() -> None:
    caller = phone("{do: ask, say: Q, secret: true, retries: 1, then: good, invalid: bad, timeout: odd}")
    assert isinstance(caller.press("4711"), ivr.Ask)
    assert caller.press("4711") == BAD
    for node in (
        '{do: authenticate, customer_id: "7", retries: 1, fail: bad}',
        "{do: pay, amount: 5, currency: IDR, fail: bad}",
    ):
        paid = phone(node)
        paid.press("4711")
        caller.path += paid.path
        assert b"4711" not in msgspec.json.encode(paid.turn.line)
    assert b"4711" not in msgspec.json.encode((caller.turn.line, caller.path, list(caller.facts)))


# ---------------------------------------------------------------- callback

BACK = "{do: callback, queue: sales, retries: 1, then: good, invalid: bad, timeout: odd}"


def test_a_callback_to_the_number_one_calls_from() -> None:
    caller = phone(BACK)
    assert "We will call you back on" in caller.heard
    assert caller.press("1") == ivr.Say((Text("en", "Thank you. We will call you back."),))
    place = {"since": NOW, "priority": 0, "skills": {}, "language": "en"}
    data = {"number": "+62811555001", "entered": "", "flow": "t", "node": "a", **place}
    assert caller.facts == [ivr.Fact("callback.requested", data, "sales")]
    caller.back()
    assert caller.heard.startswith("Thank you"), "the request is written, a restart does not write it again"
    assert caller.answer("error") == GOOD
    assert len(caller.facts) == 1 and caller.result == {"number": "+62811555001", "outcome": "done"}


def test_a_callback_to_another_number() -> None:
    caller = phone(BACK)
    caller.press("2")
    assert caller.heard.startswith("Please enter the number")
    assert (asked(caller).least, asked(caller).most, asked(caller).terminator, asked(caller).fresh) == (
        3,
        16,
        "#",
        True,
    )
    caller.press("12")
    assert caller.heard.startswith(f"{INVALID} Please enter")
    caller.press("0811555666")
    assert "We will call you back on" in caller.heard
    caller.press("1")
    assert caller.facts[0].data["number"] == "+62811555666" and caller.facts[0].data["entered"] == "0811555666"


def test_a_callback_cannot_be_corrected_for_ever() -> None:
    caller = phone(BACK)
    caller.press("2")
    turns = 0
    while isinstance(caller.action, ivr.Ask) and turns < 20:
        caller.press("0811555666" if caller.turn.line.stage == "enter" else "2")
        turns += 1
    assert caller.action == BAD and turns < 10
    assert caller.result == {"number": None, "outcome": "invalid"}


def test_a_callback_without_a_number_that_may_be_called() -> None:
    for number in ("", "anonymous", "+881621234567", "110", "2001"):
        caller = phone(BACK.replace("retries", f'number: "{number}", retries'))
        assert caller.heard.startswith("Please enter"), number
        silent = phone(BACK.replace("retries", f'number: "{number}", ask: false, retries'))
        assert silent.action == BAD, number
    assert phone(BACK.replace("retries", "ask: false, retries")).heard.startswith("Thank you")


def test_a_callback_to_another_country() -> None:
    """He who calls from there is asked for a number that is called back."""
    for number, countries, heard in (("+1 809 555 1234", "", "Please enter"), ("+6562123456", "", "Please enter"),
                                     ("+6562123456", "SG", "We will call you back"),
                                     ("+1 809 555 1234", "US", "Please enter"),
                                     ("+80012345678", "SG", "Please enter")):  # fmt: skip
        queues = f"queues: {{sales: {{callback: {{countries: [{countries}]}}}}}}\n"
        node = BACK.replace("retries", f'number: "{number}", retries')
        caller = Phone(book_of(f"  a: {node}\n{REST}", queues=queues))
        assert caller.heard.startswith(heard), (number, countries)
    caller.press("+1 809 555 1234")
    assert caller.heard.startswith(f"{INVALID} Please enter")


def test_a_callback_to_a_number_of_ours() -> None:
    node = BACK.replace("retries", 'number: "021 2999 0000", ask: false, retries')
    book = book_of(f"  a: {node}\n{REST}", numbers='numbers: {"+622129990000": t}\n')
    assert Phone(book).action == BAD


def test_a_callback_that_nobody_confirms() -> None:
    caller = phone(BACK)
    caller.press("5")
    assert caller.heard.startswith(f"{INVALID} We will call")
    caller.answer("timeout")
    assert caller.answer("timeout") == ODD
    assert caller.facts == []
    assert phone(BACK.replace("timeout: odd", "error: odd")).answer("error") == ODD
    entering = phone(BACK)
    entering.press("2")
    entering.back()
    assert "We will call you back on" in entering.heard


# ---------------------------------------------------------------- survey


def test_a_survey() -> None:
    caller = phone("{do: survey, survey: after, then: good, skipped: bad}")
    assert caller.heard == "Two questions Helped?"
    caller.press("5")
    assert caller.heard == "Again?"
    caller.back()
    assert caller.heard == "Again?", "after a restart the same question"
    caller.press("9")
    assert caller.heard == f"{INVALID} Again?"
    assert caller.press("1") == ivr.Say((Text("en", "Thanks"),))
    caller.back()
    assert caller.heard == "Thanks"
    assert caller.answer("done") == GOOD
    assert caller.result == {"help": 5, "again": 1, "outcome": "done"}
    said = [(fact.data["question"], fact.data["answer"]) for fact in caller.facts]
    assert said == [("help", 5), ("again", 1)]
    assert {fact.type for fact in caller.facts} == {"survey.answered"}


def test_a_question_that_nobody_answers_is_left_out() -> None:
    caller = phone("{do: survey, survey: after, retries: 2, then: good, skipped: bad}")
    caller.answer("timeout")
    assert caller.heard == "Again?", "this question asks once"
    for kind, said in ((SILENT, ""), (INVALID, "5"), (SILENT, ""), (INVALID, "12")):
        caller.answer("digits" if said else "timeout", said[:1] if said != "12" else "0")
        assert caller.heard == f"{kind} Again?", "and this one as often as the node says"
    caller.answer("timeout")
    assert caller.heard == "Thanks"
    assert caller.answer("done") == BAD
    assert caller.path[0] == "a/skipped"


def test_a_survey_that_cannot_be_played_keeps_what_was_answered() -> None:
    caller = phone("{do: survey, survey: after, then: good, error: odd}")
    caller.press("3")
    assert caller.answer("error") == ODD
    assert caller.result == {"help": 3, "outcome": "error"}
    short = phone("{do: survey, survey: short, then: good}")
    assert short.heard == "One?"
    assert short.press("9") == GOOD


# ---------------------------------------------------------------- pay

PAY = (
    "{do: pay, amount: 150000, currency: IDR, reference: A1, retries: 1, then: good, declined: bad, timeout: odd,"
    " fail: bad}"
)


def test_paying() -> None:
    caller = phone(PAY)
    for seal, least, most, terminator in [("card", 12, 19, "#"), ("expiry", 4, 4, ""), ("code", 3, 4, "#")]:
        question = asked(caller)
        assert (question.seal, question.least, question.most, question.terminator) == (seal, least, most, terminator)
        assert question.fresh and caller.turn.line.stage == seal
        caller.seal(most)
    assert caller.action == ivr.Task("pay", {"amount": 150000, "currency": "IDR", "reference": "A1"}, 15.0)
    assert caller.answer("done", token="tok", last4="4242") == GOOD
    assert caller.result == {"token": "tok", "last4": "4242", "outcome": "done"}


def test_after_a_restart_the_card_is_asked_for_once_more_under_the_same_number_of_the_visit() -> None:
    caller = phone(PAY)
    for _ in range(3):
        caller.seal(16)
    before = caller.turn.line
    caller.back()
    assert asked(caller).seal == "card"
    assert caller.turn.line.visits == before.visits and caller.turn.line.no_match == before.no_match == 0


@pytest.mark.parametrize(
    ("outcome", "data", "end", "told"),
    [
        ("declined", {"reason": "no money"}, BAD, "declined"), ("error", {}, BAD, "error"),
        ("found", {}, BAD, "error"), ("", {}, BAD, "error"),
    ],
)  # fmt: skip
def test_only_what_was_paid_is_paid(outcome: str, data: dict[str, object], end: ivr.End, told: str) -> None:
    caller = phone(PAY)
    for _ in range(3):
        caller.seal(16)
    assert caller.answer(outcome, **data) == end
    assert caller.path[0] == f"a/{told}"


def test_a_card_that_cannot_be_right_is_a_miss() -> None:
    caller = phone(PAY)
    caller.seal(12, good=False)
    assert caller.heard.startswith(INVALID + " Please enter your card number")
    caller.answer("timeout")
    assert caller.heard.startswith(SILENT)
    assert caller.seal(12, good=False) == BAD
    assert caller.path[0] == "a/invalid"
    caller = phone(PAY)
    caller.seal(16)
    assert caller.turn.line.no_match == 0
    assert [caller.answer("timeout"), caller.answer("timeout")][-1] == ODD
    assert phone(PAY).answer("error") == BAD


@pytest.mark.parametrize("amount", [0, -5, True, "150", None, "x"])
def test_nothing_is_paid_without_an_amount(amount: object) -> None:
    caller = phone('{do: pay, amount: "{{ customer.due }}", currency: IDR, then: good, error: odd}', due=amount)
    assert caller.action == ODD, "and nobody is asked for his card"
    assert isinstance(
        phone('{do: pay, amount: "{{ customer.due }}", currency: IDR, then: good}', due=0.5).action, ivr.Ask
    )


# ---------------------------------------------------------------- authenticate

WHO = '{do: authenticate, customer_id: "{{ customer.customer_id }}", length: 4, retries: 2, then: good, %s}'
WAYS = "wrong: bad, locked: odd, no_pin: odd, timeout: odd, error: odd"


def test_the_right_pin() -> None:
    caller = phone(WHO % WAYS, customer_id=7)
    assert (asked(caller).seal, asked(caller).least, asked(caller).most, asked(caller).fresh) == ("pin", 4, 4, True)
    assert caller.seal(4) == ivr.Task("authenticate", {"customer_id": "7"}, 15.0)
    caller.back()
    assert asked(caller).seal == "pin"
    caller.seal(4)
    assert caller.answer("done") == GOOD


def test_a_wrong_pin_is_asked_for_again_and_then_not_any_more() -> None:
    caller = phone(WHO % WAYS, customer_id=7)
    numbers = set()
    for left in (5, 4):
        caller.seal(4)
        numbers.add((caller.turn.line.visits, caller.turn.line.no_match))
        caller.answer("wrong", left=left)
        assert caller.heard.startswith("This PIN is not right. Please enter your PIN")
    caller.seal(4)
    numbers.add((caller.turn.line.visits, caller.turn.line.no_match))
    assert len(numbers) == 3, "each is work of its own"
    assert caller.answer("wrong", left=3) == BAD
    assert caller.result == {"left": 3, "outcome": "wrong"}
    last = phone(WHO % WAYS, customer_id=7)
    last.seal(4)
    assert last.answer("wrong", left=0) == BAD, "the next one would lock it"


@pytest.mark.parametrize(
    ("outcome", "told"),
    [("locked", "locked"), ("no_pin", "no_pin"), ("error", "error"), ("", "error"), ("found", "error")],
)
def test_nobody_is_let_in_by_an_answer_that_is_not_yes(outcome: str, told: str) -> None:
    for ways, end in ((WAYS, ODD), ("fail: bad", BAD)):
        caller = phone(WHO % ways, customer_id=7)
        caller.seal(4)
        assert caller.answer(outcome) == end
        assert caller.path[0] == f"a/{told}"


def test_no_pin_for_a_customer_who_is_not_known() -> None:
    for unknown in (None, ""):
        assert phone(WHO % WAYS, customer_id=unknown).path[0] == "a/no_pin"
    assert phone("{do: authenticate, then: good, no_pin: bad}").action == BAD


def test_a_pin_that_is_too_short_or_never_comes() -> None:
    caller = phone(WHO % WAYS, customer_id=7)
    caller.seal(3)
    assert caller.heard.startswith(INVALID)
    caller.reply(ivr.Answer("digits", sealed=Sealed(length=5)))
    assert caller.seal(9) == BAD, "too often is wrong"
    silent = phone(WHO % WAYS, customer_id=7)
    assert [silent.answer("timeout") for _ in range(3)][-1] == ODD
    assert silent.path[0] == "a/timeout"
    assert phone(WHO % WAYS, customer_id=7).answer("error") == ODD
