"""What each verb does: its first step, and what follows from how that ended.

`start(here, spec)` and `answered(here, spec, answer)` give what the switch has to do next, or how the node is left.
They may raise ExpressionError. Verbs that ask in several steps stand in `acts_asking`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from cti.core.ivr import acts_asking, acts_outside, acts_queue, model
from cti.core.ivr.calendars import hours
from cti.core.ivr.expressions import ExpressionError
from cti.core.ivr.here import Act, Back, Done, Here, Jump, Left
from cti.core.ivr.readers import kind_of
from cti.core.ivr.source import LANGUAGE
from cti.core.ivr.steps import Answer, Dial, End, Fact, Pause, Record, Say
from cti.core.numbers import dialable


def _ended(here: Here, spec: Any, answer: Answer) -> Done:
    """Nothing but how it ended."""
    here.result(answer.outcome, answer.data)
    return Left(answer.outcome)


# ---------------------------------------------------------------- speaking and recording


def _say(here: Here, spec: model.Say) -> Done:
    return Say(here.prompts(spec.speech), spec.barge_in)


def _wait(here: Here, spec: model.Wait) -> Done:
    return Pause(spec.seconds, spec.music)


def _record(here: Here, spec: model.Record) -> Done:
    return Record(here.prompts(spec.speech), spec.longest, spec.silence, spec.shortest)


def _voicemail(here: Here, spec: model.Voicemail) -> Done:
    box = here.book.boxes[spec.box]
    greeting = here.prompts(box.greeting) if box.greeting else (here.phrase("voicemail"),)
    return Record(greeting, box.longest, box.silence, box.shortest, spec.box)


def _recorded(here: Here, spec: model.Record | model.Voicemail, answer: Answer) -> Done:
    """One that is too short is none."""
    shortest = here.book.boxes[spec.box].shortest if isinstance(spec, model.Voicemail) else spec.shortest
    outcome = answer.outcome
    if outcome == "done" and float(answer.data.get("seconds", 0.0)) < max(shortest, 0.1):
        outcome = "empty"
    if outcome == "done" and isinstance(spec, model.Voicemail):
        here.change(how="voicemail")
    here.result(outcome, answer.data)
    return Left(outcome)


# ---------------------------------------------------------------- deciding


def _language(here: Here, spec: model.Language) -> Done:
    chosen = here.value(spec.language)
    if not (isinstance(chosen, str) and LANGUAGE.fullmatch(chosen)):
        return Left("error")
    here.change(language=chosen)
    return Left("done")


def _hours(here: Here, spec: model.Hours) -> Done:
    calendar = here.book.calendars[spec.calendar]
    forced = here.context.forced.get(spec.calendar)
    found = hours(calendar, here.context.at, here.book.zone, forced, here.line.language)
    here.result(found.state, {"state": found.state, "next_open": found.next_open, "holiday": found.holiday})
    return Left("closed" if found.state == "holiday" and "holiday" not in here.node.to else found.state)


def _branch(here: Here, spec: model.Branch) -> Done:
    names = here.names()
    return Left(next((str(at) for at, test in enumerate(spec.when, 1) if test.value(names)), "else"))


def _split(here: Here, spec: model.Split) -> Done:
    """The same caller always goes the same way."""
    who = here.context.call.get("caller") or here.context.call.get("id") or ""
    place = int.from_bytes(sha256(f"{here.flow.name}/{here.node.id}/{who}".encode()).digest()[:4], "big") % 100
    for at, share in enumerate(spec.shares, 1):
        place -= share
        if place < 0:
            return Left(str(at))
    return Left("else")


def _set(here: Here, spec: model.Set) -> Done:
    found = here.values(spec.vars)
    for name, value in found.items():
        if name in here.flow.vars and kind_of(value) != kind_of(here.flow.vars[name]):
            raise ExpressionError(f"`{name}` is of another type")
    return Left("done", found)


def _goto(here: Here, spec: model.Goto) -> Done:
    passed = here.line.counts.get(here.node.id, 0)
    here.change(counts={**here.line.counts, here.node.id: passed + 1})
    return Left("to" if passed < spec.times else "exhausted")


def _event(here: Here, spec: model.Event) -> Done:
    data = {"flow": here.flow.name, "node": here.node.id, "name": spec.event, "data": here.values(spec.data)}
    here.facts.append(Fact("flow.event", data))
    return Left("done")


# ---------------------------------------------------------------- other flows


def _call(here: Here, spec: model.Call) -> Done:
    return Jump(spec.flow, here.values(spec.args), spec.back)


def _return(here: Here, spec: model.Return) -> Done:
    return Back(spec.outcome, here.values(spec.values))


def _hangup(here: Here, spec: model.Hangup) -> Done:
    return End(here.line.how, spec.cause)


# ---------------------------------------------------------------- a number


def _dial(here: Here, spec: model.Dial) -> Done:
    verdict = dialable(str(here.value(spec.to)), here.book.country, here.book.allow)
    return Left("fail") if verdict.refused else Dial(verdict.number, spec.ring)


def _dialled(here: Here, spec: model.Dial, answer: Answer) -> Done:
    if answer.outcome == "answered":
        here.change(how="transferred_out")
    return _ended(here, spec, answer)


ACTS: dict[type[msgspec.Struct], Act] = {
    model.Say: Act(_say, _ended),
    model.Wait: Act(_wait, _ended),
    model.Record: Act(_record, _recorded),
    model.Voicemail: Act(_voicemail, _recorded),
    model.Language: Act(_language),
    model.Hours: Act(_hours),
    model.Branch: Act(_branch),
    model.Split: Act(_split),
    model.Set: Act(_set),
    model.Goto: Act(_goto),
    model.Event: Act(_event),
    model.Call: Act(_call),
    model.Return: Act(_return),
    model.Hangup: Act(_hangup),
    model.Dial: Act(_dial, _dialled),
    **acts_outside.ACTS,
    **acts_queue.ACTS,
    **acts_asking.ACTS,
}
