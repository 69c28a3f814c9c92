"""The verbs of a flow node: the keys each one reads, those it needs, the outcomes it can have, and its spec.

A new verb is one row here, one struct in `model`, and one row in `acts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cti.core.ivr import model
from cti.core.ivr import readers as r
from cti.core.ivr import readers_outside as out
from cti.core.ivr.expressions import Names
from cti.core.ivr.queue_skills import skills
from cti.core.ivr.readers import KEYS, Scope
from cti.core.ivr.source import Path, Read, Reader, duration, flag, language, name, one_of, whole

__all__ = ["ASK_KINDS", "COMMON", "FIELDS", "KEYS", "VERBS", "Scope", "Verb", "unknown_verb"]

Build = Callable[[Scope, dict[str, Any]], model.Spec]
FAILURES = ("timeout", "invalid", "error", "empty", "declined", "wrong", "locked", "no_pin")
LONGEST_QUERY = 10.0
VAULT = {"card": "pay", "expiry": "pay", "code": "pay", "pin": "authenticate"}  # secret digits of these verbs
ASK_KINDS = {"digits": (1, 20), "phone": (3, 16), "date": (8, 8), "amount": (1, 12), "yes_no": (1, 1)}


class Verb(msgspec.Struct, frozen=True):
    """`keys` gives the readers; `outcomes` are keys that hold targets, besides `then` and `fail`.

    `strict`: its FAILURES never take `then`. `fields`: what its result holds besides `outcome`; None: not known
    beforehand. `ends`: nothing comes after it."""

    keys: Callable[[Scope], Mapping[str, Read]]
    outcomes: tuple[str, ...]
    build: Build
    needed: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()  # at least one of these
    strict: bool = False
    fields: tuple[str, ...] | None = ()
    ends: bool = False
    check: Callable[[Reader, Path, Mapping[str, Any]], None] | None = None  # what keys must fit each other


# ---------------------------------------------------------------- builders


def _speech(found: Mapping[str, Any]) -> model.Speech:
    return model.Speech(names=found.get("play", ()), texts=found.get("say", {}))


def _spoken(scope: Scope) -> dict[str, Read]:
    return {"say": r.texts(scope), "play": r.prompt_names}


def _struct(kind: type[Any], found: Mapping[str, Any], **renamed: str) -> Any:
    """A spec from the keys that are named like its fields, or `field="key"`; the others keep their defaults."""
    names = {field: renamed.get(field, field) for field in kind.__struct_fields__}
    return kind(**{field: found[key] for field, key in names.items() if key in found})


def _build_ask(scope: Scope, found: dict[str, Any]) -> model.Spec:
    kind = found.get("kind", "digits")
    least, most = found.get("length", ASK_KINDS[kind])
    exact = kind in ("date", "yes_no")
    return model.Ask(
        speech=_speech(found), tries=r.tries(scope, found), kind=kind, least=least, most=most,
        terminator="" if exact else found.get("terminator", "#"), match=found.get("match", ""),
        confirm=found.get("confirm", False), secret=found.get("secret", False),
    )  # fmt: skip


def _build_lookup(scope: Scope, found: dict[str, Any]) -> model.Spec:
    timeout, many = found.get("timeout", 2.0), found.get("many", False)
    if "query" in found:
        timeout = found.get("timeout", LONGEST_QUERY)  # the query has one of its own; the shorter one holds
        return model.Lookup(
            by="query", query=found["query"], binds=found.get("with", {}), many=many, timeout=timeout
        )  # fmt: skip
    if "customer_id" in found:
        return model.Lookup(by="customer_id", key=found["customer_id"], timeout=timeout)
    return model.Lookup(by="number", key=found.get("customer", r.built_in("{{ call.caller }}")), timeout=timeout)


def _build_queue(scope: Scope, found: dict[str, Any]) -> model.Spec:
    plain: dict[str, Any] = {"skills": {}, "priority": None, "max_wait": None}
    return _struct(model.Queue, {**plain, **found})  # type: ignore[no-any-return]


def _build_callback(scope: Scope, found: dict[str, Any]) -> model.Spec:
    number = found.get("number", r.built_in("{{ call.caller }}"))
    return model.Callback(found["queue"], number, found.get("ask", True), r.tries(scope, found))


def _build_authenticate(scope: Scope, found: dict[str, Any]) -> model.Spec:
    who = found.get("customer_id", r.built_in("{{ customer.customer_id }}"))
    least, most = found.get("length", (4, 8))
    return model.Authenticate(who, least, most, r.tries(scope, found))


# ---------------------------------------------------------------- keys that must fit each other


def _check_ask(reader: Reader, path: Path, found: Mapping[str, Any]) -> None:
    kind = found.get("kind", "digits")
    for key in ("length", "match", "secret"):
        if key in found and kind != "digits":
            reader.wrong((*path, key), f"`{key}` goes with `kind: digits` only", of_key=True)
    if "terminator" in found and kind in ("date", "yes_no"):
        reader.wrong((*path, "terminator"), f"`kind: {kind}` has no `terminator`", "it is always as long", True)
    if found.get("terminator") == "*" and kind == "amount":
        reader.wrong((*path, "terminator"), "`*` is the decimal point of an amount", '"#", or "" for none')
    for key in ("yes", "no"):
        if key in found and kind != "yes_no":
            reader.wrong((*path, key), f"`{key}` is an outcome of `kind: yes_no` only", of_key=True)
    for key in ("match", "confirm"):
        if found.get(key) and found.get("secret"):
            reader.wrong((*path, key), f"`{key}` does not go with `secret: true`", "nobody may see the digits", True)


def _check_lookup(reader: Reader, path: Path, found: Mapping[str, Any]) -> None:
    named = [key for key in ("customer", "customer_id", "query") if key in found]
    if len(named) > 1:
        reader.wrong((*path, named[1]), f"`{named[1]}` does not go with `{named[0]}`", of_key=True)
    for key in ("with", "many"):
        if key in found and "query" not in found:
            reader.wrong((*path, key), f"`{key}` goes with `query` only", of_key=True)


def _check_queue(reader: Reader, path: Path, found: Mapping[str, Any]) -> None:
    if "agent_for" in found and "agent" not in found:
        reader.wrong((*path, "agent_for"), "`agent_for` goes with `agent` only", of_key=True)


def _check_http(reader: Reader, path: Path, found: Mapping[str, Any]) -> None:
    if "json" in found and "form" in found:
        reader.wrong((*path, "form"), "`form` does not go with `json`", of_key=True)
    for key in ("json", "form"):
        if key in found and found.get("method", "GET") in ("GET", "DELETE"):
            reader.wrong((*path, key), f"`{key}` needs a method that sends something", "method: POST", of_key=True)


def _check_pay(reader: Reader, path: Path, found: Mapping[str, Any]) -> None:
    amount = found.get("amount", 1)
    if isinstance(amount, str | bool) or (isinstance(amount, int | float) and amount <= 0):
        reader.wrong((*path, "amount"), "`amount` must be a number above 0", "or an expression that comes to one")


# ---------------------------------------------------------------- the table

SPEECH = ("say", "play")

VERBS: dict[str, Verb] = {
    "say": Verb(
        keys=lambda scope: {**_spoken(scope), "barge_in": flag},
        one_of=SPEECH, outcomes=("error",),
        build=lambda _, found: model.Say(_speech(found), found.get("barge_in", True)),
    ),
    "menu": Verb(
        keys=lambda scope: {**_spoken(scope), "options": r.options, **r.tries_keys(scope)},
        needed=("options",), one_of=SPEECH, outcomes=("timeout", "invalid", "error"), fields=("digits",),
        build=lambda scope, found: model.Menu(_speech(found), r.tries(scope, found)),
    ),
    "ask": Verb(
        keys=lambda scope: {
            **_spoken(scope), **r.tries_keys(scope), "kind": one_of(*ASK_KINDS), "length": r.length,
            "terminator": r.terminator, "match": r.pattern, "confirm": flag, "secret": flag,
        },
        one_of=SPEECH, outcomes=("yes", "no", "timeout", "invalid", "error"),
        strict=True, fields=("value", "digits"),
        build=_build_ask, check=_check_ask,
    ),
    "language": Verb(
        keys=lambda scope: {"language": r.or_template(language, scope)}, needed=("language",), outcomes=("error",),
        strict=True, build=lambda _, found: model.Language(found["language"]),
    ),
    "record": Verb(
        keys=lambda scope: {
            **_spoken(scope), "max": duration(1, 600), "silence": duration(1, 30), "min": duration(0, 60),
        },
        outcomes=("empty", "error"), strict=True, fields=("recording_id", "seconds"),
        check=lambda reader, path, found: r.check_lengths(reader, path, found, 60.0),
        build=lambda _, found: _struct(
            model.Record, {**found, "speech": _speech(found)}, longest="max", shortest="min"
        ),
    ),
    "wait": Verb(
        keys=lambda scope: {"time": duration(0.1, 600), "music": flag}, needed=("time",), outcomes=(),
        build=lambda _, found: model.Wait(found["time"], found.get("music", False)),
    ),
    "hours": Verb(
        keys=lambda _: {"calendar": name}, needed=("calendar", "open", "closed"),
        outcomes=("open", "closed", "holiday", "error"), fields=("state", "next_open", "holiday"),
        build=lambda _, found: model.Hours(found["calendar"]),
    ),
    "branch": Verb(
        keys=lambda scope: {"when": r.when(scope)}, needed=("when", "else"), outcomes=("else", "error"),
        build=lambda _, found: model.Branch(tuple(case["if"] for case in found["when"])),
    ),
    "split": Verb(
        keys=lambda _: {"shares": out.shares}, needed=("shares", "else"), outcomes=("else",),
        build=lambda _, found: model.Split(tuple(share["percent"] for share in found["shares"])),
    ),
    "set": Verb(
        keys=lambda scope: {"vars": r.variables(scope)}, needed=("vars",), outcomes=("error",),
        build=lambda _, found: model.Set(found["vars"]),
    ),
    "goto": Verb(
        keys=lambda _: {"times": whole(1, 20)}, needed=("to",), outcomes=("to", "exhausted"),
        build=lambda _, found: model.Goto(found.get("times", 3)),
    ),
    "lookup": Verb(
        keys=lambda scope: {
            "customer": out.value_of(scope), "customer_id": out.value_of(scope), "query": name,
            "with": out.given(scope), "many": flag, "timeout": duration(0.1, 10),
        },
        outcomes=("found", "none", "several", "error"), strict=True, fields=None, build=_build_lookup,
        check=_check_lookup,
    ),
    "http": Verb(
        keys=lambda scope: {
            "url": out.url(scope), "method": one_of("GET", "POST", "PUT", "PATCH", "DELETE"),
            "headers": out.headers(scope), "json": out.given(scope), "form": out.given(scope),
            "get": out.pointers, "timeout": duration(0.1, 15),
        },
        needed=("url",), outcomes=("error",), strict=True, fields=("status",),
        build=lambda _, found: _struct(model.Http, found), check=_check_http,
    ),
    "script": Verb(
        keys=lambda scope: {
            "run": out.script, "args": out.given(scope), "timeout": duration(0.1, 30), "outcomes": out.outcome_map,
        },
        needed=("run",), outcomes=("error",), strict=True, fields=None,
        build=lambda _, found: _struct(model.Script, found),
    ),
    "event": Verb(
        keys=lambda scope: {"event": name, "data": out.values(scope)}, needed=("event",), outcomes=("error",),
        build=lambda _, found: _struct(model.Event, found),
    ),
    "message": Verb(
        keys=lambda scope: {"webhook": name, "body": out.given(scope), "timeout": duration(0.1, 15)},
        needed=("webhook",), outcomes=("error",), strict=True, build=lambda _, found: _struct(model.Message, found),
    ),
    "queue": Verb(
        keys=lambda scope: {
            "queue": name, "skills": skills, "priority": r.or_template(whole(-1000, 1000), scope),
            "max_wait": r.max_wait(scope), "options": r.options, "agent": r.or_template(r.login, scope),
            "agent_for": duration(1, 3600),
        },
        needed=("queue",), fields=None,
        outcomes=("answered", "timeout", "full", "no_agents", "closed", "left", "failed", "error"),
        build=_build_queue, check=_check_queue,
    ),
    "dial": Verb(
        keys=lambda scope: {"to": r.dialled(scope), "ring": duration(5, 120)}, needed=("to",),
        outcomes=("answered", "busy", "no_answer", "error"), fields=None,
        build=lambda _, found: model.Dial(found["to"], found.get("ring", 30.0)),
    ),
    "callback": Verb(
        keys=lambda scope: {"queue": name, "number": out.value_of(scope), "ask": flag, **r.tries_keys(scope)},
        needed=("queue",), outcomes=("timeout", "invalid", "error"), fields=("number",), build=_build_callback,
    ),
    "voicemail": Verb(
        keys=lambda _: {"box": name}, needed=("box",), outcomes=("empty", "error"), fields=("recording_id", "seconds"),
        build=lambda _, found: model.Voicemail(found["box"]),
    ),
    "transfer": Verb(
        keys=lambda scope: {"flow": name, "args": out.values(scope)}, needed=("flow",), outcomes=("error",),
        build=lambda _, found: model.Call(found["flow"], found.get("args", {}), False), ends=True,
    ),
    "survey": Verb(
        keys=lambda scope: {"survey": name, **r.tries_keys(scope)}, needed=("survey",),
        outcomes=("skipped", "error"), fields=None,
        build=lambda scope, found: model.Survey(found["survey"], r.tries(scope, found)),
    ),
    "pay": Verb(
        keys=lambda scope: {
            "amount": out.value_of(scope), "currency": out.currency, "reference": out.value_of(scope),
            **r.tries_keys(scope),
        },
        needed=("amount", "currency"), outcomes=("declined", "timeout", "invalid", "error"), strict=True,
        fields=("token", "last4", "brand", "reason"), check=_check_pay,
        build=lambda scope, found: model.Pay(
            found["amount"], found["currency"], found.get("reference", ""), r.tries(scope, found)
        ),
    ),
    "authenticate": Verb(
        keys=lambda scope: {"customer_id": out.value_of(scope), "length": r.length, **r.tries_keys(scope)},
        outcomes=("wrong", "locked", "no_pin", "timeout", "error"),
        strict=True, fields=("left", "until"),
        build=_build_authenticate,
    ),
    "call": Verb(
        keys=lambda scope: {"flow": name, "args": out.values(scope), "outcomes": out.outcome_map}, needed=("flow",),
        outcomes=("error",), strict=True, fields=None,
        build=lambda _, found: model.Call(found["flow"], found.get("args", {}), True),
    ),
    "return": Verb(
        keys=lambda scope: {"outcome": out.outcome, "values": out.results(scope)}, outcomes=(), ends=True,
        build=lambda _, found: model.Return(found.get("outcome", "done"), found.get("values", {})),
    ),
    "hangup": Verb(
        keys=lambda _: {"cause": whole(1, 127)}, outcomes=(), ends=True,
        build=lambda _, found: model.Hangup(found.get("cause", 16)),
    ),
}  # fmt: skip
COMMON = ("then", "fail")
FIELDS = {verb: row.fields for verb, row in VERBS.items()}


def unknown_verb(reader: Reader, path: Path, verb: str) -> None:
    reader.unknown(path, f"`{verb[:60]}` is no verb", verb[:60], VERBS)


def empty_scope() -> Scope:
    """For who wants to know which keys there are, not what is in them."""
    return Scope("en", {}, Names((), {}), "", ())
