"""Verbs that have something done outside of the call: lookups, requests, messages, scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cti.core.ivr import model
from cti.core.ivr.expressions import Expression
from cti.core.ivr.here import Act, Done, Here, Left
from cti.core.ivr.source import NAME
from cti.core.ivr.steps import Answer, Task
from cti.core.numbers import to_e164


def _lookup(here: Here, spec: model.Lookup) -> Done:
    if spec.by == "query":
        known = here.book.statements[spec.query]
        args = {"query": spec.query, "sql": known.sql, "with": here.values(spec.binds)}
        return Task("query", {**args, "many": spec.many or known.many}, min(spec.timeout, known.timeout))
    key = here.value(spec.key)
    if key is None or key == "":
        here.result("none", {})
        return Left("none")
    if spec.by == "number":
        return Task("customer", {"number": to_e164(str(key), here.book.country) or str(key)}, spec.timeout)
    return Task("customer", {"customer_id": str(key)}, spec.timeout)


def _looked_up(here: Here, spec: model.Lookup, answer: Answer) -> Done:
    here.result(answer.outcome, answer.data)
    if answer.outcome == "found" and spec.by != "query":
        who = str(answer.data.get("customer_id") or "")
        here.change(customer=dict(answer.data), who=who, proven=here.line.proven and who == here.line.who)
    return Left(answer.outcome)


def _http(here: Here, spec: model.Http) -> Done:
    url = spec.url.text(here.names(), encode=True) if isinstance(spec.url, Expression) else spec.url
    args: dict[str, Any] = {"method": spec.method, "url": url, "headers": here.values(spec.headers)}
    bodies: Mapping[str, model.Map | None] = {"json": spec.json, "form": spec.form}
    args |= {name: here.values(held) for name, held in bodies.items() if held is not None}
    return Task("http", {**args, "get": dict(spec.get)}, spec.timeout)


def _message(here: Here, spec: model.Message) -> Done:
    return Task("message", {"webhook": spec.webhook, "body": here.values(spec.body)}, spec.timeout)


def _script(here: Here, spec: model.Script) -> Done:
    return Task("script", {"script": spec.run, "args": here.values(spec.args)}, spec.timeout)


def _done(here: Here, spec: Any, answer: Answer) -> Done:
    here.result(answer.outcome, answer.data)
    return Left(answer.outcome)


def _printed(here: Here, spec: model.Script, answer: Answer) -> Done:
    """What a script printed may be anything; an outcome is a name."""
    known = answer.outcome if NAME.fullmatch(answer.outcome) else "error"
    return _done(here, spec, Answer(known, data=answer.data))


ACTS: dict[type[Any], Act] = {
    model.Lookup: Act(_lookup, _looked_up),
    model.Http: Act(_http, _done),
    model.Message: Act(_message, _done),
    model.Script: Act(_script, _printed),
}
