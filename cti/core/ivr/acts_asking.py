"""Verbs that ask: one question (menu, ask) or several in a row (callback, survey, pay, authenticate).

A question bears `retries` misses of each kind, wrong keys and none at all; the next one ends the node. After a miss a
reprompt is spoken, then the question once more, and keys pressed before count no longer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import msgspec

from cti.core.ivr import model, speech
from cti.core.ivr.acts_queue import place
from cti.core.ivr.here import Act, Done, Here, Left
from cti.core.ivr.readers import KEYS
from cti.core.ivr.steps import Answer, Ask, Fact, Say, Task
from cti.core.messages import Prompt
from cti.core.numbers import dialable, for_callback

PHONE_KEYS = 16
CARD = (12, 19)  # digits of a card number, ISO/IEC 7812
TASK_SECONDS = 15.0
NOTHING: Mapping[str, Any] = {}


def _question(tries: model.Tries, prompts: tuple[Prompt, ...], **keys: Any) -> Ask:
    return Ask(
        prompts=prompts, timeout=tries.timeout, digit_timeout=tries.digit_timeout, barge_in=tries.barge_in, **keys
    )  # fmt: skip


def _missed(here: Here, tries: model.Tries, kind: str) -> tuple[Prompt, ...] | None:
    """What is said after one more miss of this kind (invalid or timeout); None: it was one too many."""
    line = here.line
    if kind == "invalid":
        here.change(no_match=line.no_match + 1)
        count, said = line.no_match + 1, tries.invalid
    else:
        here.change(no_input=line.no_input + 1)
        count, said = line.no_input + 1, tries.silent
    if count > tries.retries:
        return None
    return here.prompts(said[min(count, len(said)) - 1]) if said else (here.phrase(kind),)


def _over(here: Here, outcome: str, data: Mapping[str, Any] = NOTHING) -> Left:
    here.result(outcome, data)
    return Left(outcome)


# ---------------------------------------------------------------- menu


def _menu(here: Here, spec: model.Menu, reprompt: tuple[Prompt, ...] = (), fresh: bool = False) -> Done:
    return _question(spec.tries, (*reprompt, *here.prompts(spec.speech)), fresh=fresh)


def _chosen(here: Here, spec: model.Menu, answer: Answer) -> Done:
    key = answer.digits[:1] if answer.outcome == "digits" else ""
    here.result(answer.outcome, {"digits": key})
    if key in here.node.to and key in KEYS:
        here.change(hops=0)
        return Left(key)
    if answer.outcome == "error":
        return Left("error")
    kind = "invalid" if key else "timeout"
    reprompt = _missed(here, spec.tries, kind)
    return Left(kind) if reprompt is None else _menu(here, spec, reprompt, fresh=True)


# ---------------------------------------------------------------- ask

UNKNOWN: Mapping[str, Any] = {"value": None, "digits": ""}


def _ask(here: Here, spec: model.Ask, reprompt: tuple[Prompt, ...] = (), fresh: bool = False) -> Done:
    here.stage("")
    return _question(
        spec.tries, (*reprompt, *here.prompts(spec.speech)), least=spec.least, most=spec.most,
        terminator=spec.terminator, fresh=fresh or spec.secret, seal=here.node.id if spec.secret else "",
    )  # fmt: skip


def _asked(here: Here, spec: model.Ask, answer: Answer) -> Done:
    if here.line.stage == "confirm":
        return _confirmed(here, spec, answer)
    if answer.outcome == "error":
        return _over(here, "error")
    if answer.sealed is not None:
        right = spec.least <= answer.sealed.length <= spec.most
        return _given(here, spec, None, "") if right else _ask_again(here, spec, "invalid")
    if answer.outcome == "timeout" or not answer.digits:
        return _ask_again(here, spec, "timeout")
    value = None if spec.secret else _read(here, spec, answer.digits)
    if value is None:
        return _ask_again(here, spec, "invalid")
    if spec.confirm:
        here.stage("confirm", value=value, digits=answer.digits)
        return _confirm(here, spec)
    return _given(here, spec, value, answer.digits)


def _ask_again(here: Here, spec: model.Ask, kind: str) -> Done:
    reprompt = _missed(here, spec.tries, kind)
    return _over(here, kind, UNKNOWN) if reprompt is None else _ask(here, spec, reprompt, fresh=True)


def _read(here: Here, spec: model.Ask, digits: str) -> Any:
    """The value of what was entered; None: it cannot be one."""
    if spec.kind == "amount":
        return _amount(digits)
    if not (digits.isascii() and digits.isdigit() and spec.least <= len(digits) <= spec.most):
        return None
    if spec.kind == "digits":
        return digits if not spec.match or re.fullmatch(spec.match, digits) else None
    if spec.kind == "phone":
        verdict = dialable(digits, here.book.country)
        return verdict.number if verdict.kind == "ordinary" and not verdict.refused else None
    return _date(digits) if spec.kind == "date" else {"1": True, "2": False}.get(digits)


def _amount(keys: str) -> int | float | None:
    """`*` is the decimal point."""
    whole, point, part = keys.partition("*")
    if not (f"{whole}{part}".isascii() and f"{whole}{part}".isdigit()) or (point and not part):
        return None
    return float(f"{whole or 0}.{part}") if point else int(whole)


def _date(digits: str) -> str | None:
    """DDMMYYYY as ISO 8601."""
    try:
        return date(int(digits[4:]), int(digits[2:4]), int(digits[:2])).isoformat()
    except ValueError:
        return None


def _given(here: Here, spec: model.Ask, value: Any, digits: str) -> Done:
    outcome = ("yes" if value else "no") if spec.kind == "yes_no" else "done"
    here.result(outcome, {"value": value, "digits": digits})
    here.change(hops=0)
    return Left(outcome)


def _confirm(here: Here, spec: model.Ask, reprompt: tuple[Prompt, ...] = ()) -> Done:
    value = here.line.held["value"]
    sayers: dict[str, Callable[[str], str]] = {
        "digits": lambda language: speech.digits(language, value),
        "phone": lambda language: speech.phone(language, value),
        "date": lambda language: speech.date(language, value),
        "amount": lambda language: speech.number(language, value),
        "yes_no": lambda _: here.phrase("yes" if value else "no").text,
    }
    return _question(spec.tries, (*reprompt, here.phrase("confirm", value=sayers[spec.kind])), fresh=True)


def _confirmed(here: Here, spec: model.Ask, answer: Answer) -> Done:
    """1: right, 2: once more; that is a miss, too, so that it ends."""
    if answer.outcome == "error":
        return _over(here, "error")
    if answer.digits == "1":
        return _given(here, spec, here.line.held["value"], here.line.held["digits"])
    kind = "timeout" if answer.outcome == "timeout" else "invalid"
    reprompt = _missed(here, spec.tries, kind)
    if reprompt is None:
        return _over(here, kind, UNKNOWN)
    return _ask(here, spec, fresh=True) if answer.digits == "2" else _confirm(here, spec, reprompt)


# ---------------------------------------------------------------- callback

NO_NUMBER: Mapping[str, Any] = {"number": None}


def _callback(here: Here, spec: model.Callback) -> Done:
    if here.line.stage == "done":  # written already, before a restart
        return _thank(here)
    here.stage("")
    number = _number(here, spec, here.value(spec.number))
    if spec.ask:
        return _offer(here, spec, number) if number else _enter(here, spec)
    return _request(here, spec, number) if number else _over(here, "invalid", NO_NUMBER)


def _number(here: Here, spec: model.Callback, given: Any) -> str:
    """E.164 of a number that may be called back; empty: it is none. One of ours would only lead back to us."""
    queue = here.book.queues.get(spec.queue)
    verdict = for_callback(str(given or ""), here.book.country, queue.callback.countries if queue else ())
    return verdict.number if here.book.flow_for(verdict.number) is None else ""


def _offer(here: Here, spec: model.Callback, number: str, reprompt: tuple[Prompt, ...] = ()) -> Done:
    here.stage("offer", number=number)
    said = here.phrase("callback_offer", number=lambda language: speech.phone(language, number))
    return _question(spec.tries, (*reprompt, said), fresh=True)


def _enter(here: Here, spec: model.Callback, reprompt: tuple[Prompt, ...] = ()) -> Done:
    here.stage("enter")
    asked = (*reprompt, here.phrase("callback_enter"))
    return _question(spec.tries, asked, least=3, most=PHONE_KEYS, terminator="#", fresh=True)


def _called_back(here: Here, spec: model.Callback, answer: Answer) -> Done:
    stage, number = here.line.stage, here.line.held.get("number", "")
    if stage == "done":
        return Left("done")
    if answer.outcome == "error":
        return _over(here, "error", NO_NUMBER)
    if stage == "offer" and answer.digits == "1":
        return _request(here, spec, number)
    if stage == "offer" and answer.digits == "2" and "entered" not in here.line.held:
        return _enter(here, spec)
    if stage == "enter" and (entered := _number(here, spec, answer.digits)):
        here.change(held={"entered": answer.digits})
        return _offer(here, spec, entered)
    kind = "timeout" if answer.outcome == "timeout" else "invalid"
    reprompt = _missed(here, spec.tries, kind)
    if reprompt is None:
        return _over(here, kind, NO_NUMBER)
    if stage == "offer" and answer.digits == "2":  # one more number is a miss, so that it ends
        return _enter(here, spec)
    return _enter(here, spec, reprompt) if stage == "enter" else _offer(here, spec, number, reprompt)


def _request(here: Here, spec: model.Callback, number: str) -> Done:
    entered = here.line.held.get("entered", "")
    data = {"number": number, "entered": entered, "flow": here.flow.name, "node": here.node.id}
    data |= place(here, spec.queue)
    here.facts.append(Fact("callback.requested", data, spec.queue))
    here.result("done", {"number": number})
    here.change(hops=0)
    here.stage("done")
    return _thank(here)


def _thank(here: Here) -> Done:
    return Say((here.phrase("callback_done"),))


# ---------------------------------------------------------------- survey


def _survey(here: Here, spec: model.Survey, reprompt: tuple[Prompt, ...] = ()) -> Done:
    """The question whose turn it is; after a restart the same one."""
    survey = here.book.surveys[spec.survey]
    at = here.line.held.get("at", 0)
    if at >= len(survey.questions):
        here.stage("thanks")
        thanks = here.prompts(survey.thanks)
        return Say(thanks) if thanks else _surveyed(here, spec, Answer("done"))
    question = list(survey.questions.values())[at]
    intro = here.prompts(survey.intro) if at == 0 and not reprompt else ()
    return _question(spec.tries, (*reprompt, *intro, *here.prompts(question.speech)), fresh=bool(reprompt))


def _surveyed(here: Here, spec: model.Survey, answer: Answer) -> Done:
    answers = here.line.held.get("answers", {})
    if here.line.stage == "thanks":
        return _over(here, "done" if answers else "skipped", answers)
    if answer.outcome == "error":
        return _over(here, "error", answers)
    at = here.line.held.get("at", 0)
    name, question = list(here.book.surveys[spec.survey].questions.items())[at]
    key = answer.digits[:1]
    if key and key in question.keys:
        said = {"survey": spec.survey, "question": name, "answer": int(key)}
        here.facts.append(Fact("survey.answered", said))
        answers = {**answers, name: int(key)}
        here.change(hops=0)
    else:
        reprompt = _missed(here, _with_retries(spec.tries, question.retries), "invalid" if key else "timeout")
        if reprompt is not None:
            return _survey(here, spec, reprompt)
    here.change(no_match=0, no_input=0)
    here.stage("asking", at=at + 1, answers=answers)
    return _survey(here, spec)


def _with_retries(tries: model.Tries, retries: int | None) -> model.Tries:
    return tries if retries is None else msgspec.structs.replace(tries, retries=retries)


# ---------------------------------------------------------------- pay

CARD_PARTS: dict[str, dict[str, Any]] = {
    "card": {"least": CARD[0], "most": CARD[1], "terminator": "#"},
    "expiry": {"least": 4, "most": 4},
    "code": {"least": 3, "most": 4, "terminator": "#"},
}
AFTER = {"card": "expiry", "expiry": "code"}


def _pay(here: Here, spec: model.Pay) -> Done:
    here.stage("")
    amount = here.value(spec.amount)
    if isinstance(amount, bool) or not isinstance(amount, int | float) or amount <= 0:
        return _over(here, "error")
    return _part(here, spec, "card")


def _part(here: Here, spec: model.Pay, part: str, reprompt: tuple[Prompt, ...] = ()) -> Done:
    here.stage(part)
    keys = CARD_PARTS[part]
    return _question(spec.tries, (*reprompt, here.phrase(part)), fresh=True, seal=part, **keys)


def _paid(here: Here, spec: model.Pay, answer: Answer) -> Done:
    part = here.line.stage
    if part == "sent":
        return _over(here, answer.outcome if answer.outcome in ("done", "declined") else "error", answer.data)
    if answer.outcome == "error":
        return _over(here, "error")
    if answer.sealed is not None and answer.sealed.good:
        here.change(hops=0, no_match=0, no_input=0)
        return _part(here, spec, AFTER[part]) if part in AFTER else _charge(here, spec)
    kind = "timeout" if answer.outcome == "timeout" else "invalid"
    reprompt = _missed(here, spec.tries, kind)
    return _over(here, kind) if reprompt is None else _part(here, spec, part, reprompt)


def _charge(here: Here, spec: model.Pay) -> Done:
    here.stage("sent")
    args = {"amount": here.value(spec.amount), "currency": spec.currency}
    return Task("pay", {**args, "reference": str(here.value(spec.reference) or "")}, TASK_SECONDS)


# ---------------------------------------------------------------- authenticate

VERDICTS = ("done", "wrong", "locked", "no_pin")


def _authenticate(here: Here, spec: model.Authenticate, reprompt: tuple[Prompt, ...] = ()) -> Done:
    if here.value(spec.customer_id) in (None, ""):
        return _over(here, "no_pin")
    here.stage("pin")
    asked = (*reprompt, here.phrase("pin"))
    keys: dict[str, Any] = {"least": spec.least, "most": spec.most, "terminator": "#"}
    return _question(spec.tries, asked, fresh=True, seal="pin", **keys)


def _authenticated(here: Here, spec: model.Authenticate, answer: Answer) -> Done:
    if here.line.stage == "sent":
        return _verdict(here, spec, answer)
    if answer.outcome == "error":
        return _over(here, "error")
    if answer.sealed is not None and spec.least <= answer.sealed.length <= spec.most:
        here.stage("sent")
        return Task("authenticate", {"customer_id": str(here.value(spec.customer_id))}, TASK_SECONDS)
    kind = "timeout" if answer.outcome == "timeout" else "invalid"
    reprompt = _missed(here, spec.tries, kind)
    if reprompt is None:
        return _over(here, "timeout" if kind == "timeout" else "wrong")
    return _authenticate(here, spec, reprompt)


def _verdict(here: Here, spec: model.Authenticate, answer: Answer) -> Done:
    """A wrong PIN is a miss, and is asked for again while there are any left."""
    if answer.outcome == "wrong":
        here.change(no_match=here.line.no_match + 1)
        if here.line.no_match <= spec.tries.retries and answer.data.get("left", 1):
            return _authenticate(here, spec, (here.phrase("pin_wrong"),))
    whose = str(here.value(spec.customer_id))
    if answer.outcome == "done":
        here.change(hops=0, who=whose, proven=True)
    elif answer.outcome in ("wrong", "locked") and here.line.who == whose:
        here.change(who="", proven=False)
    return _over(here, answer.outcome if answer.outcome in VERDICTS else "error", answer.data)


ACTS: dict[type[Any], Act] = {
    model.Menu: Act(_menu, _chosen),
    model.Ask: Act(_ask, _asked),
    model.Callback: Act(_callback, _called_back),
    model.Survey: Act(_survey, _surveyed),
    model.Pay: Act(_pay, _paid),
    model.Authenticate: Act(_authenticate, _authenticated),
}
