"""The verbs of a flow node: the keys each one reads, those it needs, the outcomes it can have, and its spec.

A new verb is one row here, one struct in `model`, and one case in the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from cti.core.ivr import model
from cti.core.ivr.expressions import MAX_SOURCE, Expression, ExpressionError, Names, UnknownWord, is_template, load
from cti.core.ivr.source import (
    Path,
    Read,
    Reader,
    a_list,
    a_map,
    duration,
    language,
    name,
    text,
    whole,
)  # fmt: skip
from cti.core.numbers import dialable
from cti.core.queues import skills

KEYS = frozenset("0123456789*#")
KEY_WORDS = {"star": "*", "hash": "#"}
LATER = frozenset(
    {
        "hours",
        "callback",
        "voicemail",
        "survey",
        "ask",
        "language",
        "record",
        "wait",
        "split",
        "goto",
        "lookup",
    }
    | {"http", "script", "event", "message", "transfer", "pay", "authenticate", "call", "return"}
)
MAX_WHEN = 50
MAX_VARS = 50


class Scope(msgspec.Struct, frozen=True):
    """What a node is read within: language and defaults of its flow, its variables, where we dial from."""

    language: str
    defaults: Mapping[str, Any]
    names: Names
    country: str
    allow: Collection[str]


Build = Callable[[Scope, dict[str, Any]], model.Spec]


class Verb(msgspec.Struct, frozen=True):
    """`keys` gives the readers; `outcomes` are keys that hold targets, besides `then` and `fail`."""

    keys: Callable[[Scope], Mapping[str, Read]]
    outcomes: tuple[str, ...]
    build: Build
    needed: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()  # at least one of these


# ---------------------------------------------------------------- readers


def _expression(reader: Reader, path: Path, value: str, scope: Scope) -> Expression | str:
    try:
        return load(value, scope.names)
    except UnknownWord as error:
        reader.unknown(path, error.message, error.word, error.known)
    except ExpressionError as error:
        reader.wrong(path, str(error))
    return ""


def _text(scope: Scope) -> Read:
    """Text, perhaps with `{{ }}` in it."""

    def read(reader: Reader, path: Path, value: Any) -> str | Expression:
        written = text(reader, path, value)
        if len(written) > MAX_SOURCE:
            reader.wrong(path, f"a text has at most {MAX_SOURCE} characters")
            return ""
        return _expression(reader, path, written, scope) if is_template(written) else written

    return read


def _or_template(inner: Read, scope: Scope) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> Any:
        if isinstance(value, str) and is_template(value):
            return _expression(reader, path, value, scope)
        return inner(reader, path, value)

    return read


def _texts(scope: Scope) -> Read:
    """{language: text}, or text alone in the flow's language."""
    one = _text(scope)

    def read(reader: Reader, path: Path, value: Any) -> dict[str, str | Expression]:
        if isinstance(value, str):
            return {scope.language: one(reader, path, value)}
        held = a_map(reader, path, value, "`say`")
        if isinstance(value, dict) and scope.language and scope.language not in held:
            reader.wrong(path, f"`say` has no text in `{scope.language}`, the language of the flow", of_key=True)
        for key in held:
            language(reader, (*path, key), key, of_key=True)
        return {key: one(reader, (*path, key), inner) for key, inner in held.items()}

    return read


def _names(reader: Reader, path: Path, value: Any) -> tuple[str, ...]:
    """The name of a recorded prompt, or a list of them."""
    listed = value if isinstance(value, list) else [value]
    return tuple(name(reader, (*path, at) if listed is value else path, one) for at, one in enumerate(listed))


def _options(reader: Reader, path: Path, value: Any) -> dict[str, tuple[Path, Any]]:
    """{key of the phone: target}; targets are checked later, with the other outcomes."""
    found: dict[str, tuple[Path, Any]] = {}
    for key, target in a_map(reader, path, value, "`options`").items():
        pressed = KEY_WORDS.get(key, key)
        if pressed not in KEYS:
            reader.wrong((*path, key), f"`{key}` is no key of a phone", "0 to 9, * or #", of_key=True)
        elif pressed in found:
            reader.wrong((*path, key), f"key {pressed} is there twice", of_key=True)
        found[pressed] = ((*path, key), target)
    if not found:
        reader.wrong(path, "`options` needs at least one key")
    return found


def _vars(scope: Scope) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
        held = a_map(reader, path, value, "`vars`")
        if not 1 <= len(held) <= MAX_VARS:
            reader.wrong(path, f"`vars` needs 1 to {MAX_VARS} variables")
        for key in held:
            _identifier(reader, (*path, key), key)
        return {key: _var(reader, (*path, key), inner, scope) for key, inner in held.items()}

    return read


def _var(reader: Reader, path: Path, value: Any, scope: Scope) -> Any:
    if isinstance(value, str):
        return _expression(reader, path, value, scope) if is_template(value) else value
    if not isinstance(value, int | float):
        reader.wrong(path, f"`{path[-1]}` must be text, a number, true or false")
    return value


def _identifier(reader: Reader, path: Path, key: str) -> None:
    if name(reader, path, key, of_key=True) and "-" in key:
        reader.wrong(path, f"a variable like `{key}` has no -", f"`{key.replace('-', '_')}`", of_key=True)


def _condition(scope: Scope) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> Any:
        written = text(reader, path, value)
        if written and not (written.strip().startswith("{{") and written.strip().endswith("}}")):
            reader.wrong(path, "a condition is one expression", "like \"{{ customer.tier == 'vip' }}\"")
            return ""
        return _expression(reader, path, written.strip(), scope) if written else ""

    return read


def _when(scope: Scope) -> Read:
    known = {"if": _condition(scope), "to": lambda _reader, path, value: (path, value)}

    def read(reader: Reader, path: Path, value: Any) -> list[dict[str, Any]]:
        listed = a_list(reader, path, value, "`when`")
        if not 1 <= len(listed) <= MAX_WHEN:
            reader.wrong(path, f"`when` needs 1 to {MAX_WHEN} conditions")
        return [
            reader.fields((*path, at), one, known, "a condition", ("if", "to"))
            for at, one in enumerate(listed[:MAX_WHEN])
        ]

    return read


def _dialled(scope: Scope) -> Read:
    """A station or a number that may be dialled; the result of a template is looked at during the call."""

    def read(reader: Reader, path: Path, value: Any) -> str | Expression:
        written = text(reader, path, value)
        if is_template(written):
            return _expression(reader, path, written, scope)
        if written and (refused := dialable(written, scope.country, scope.allow).refused):
            reader.wrong(path, f"`{written[:40]}` cannot be dialled: {refused}")
        return written

    return read


def _max_wait(scope: Scope) -> Read:
    return _or_template(duration(1, 86400), scope)


# ---------------------------------------------------------------- the table


def _speech(found: Mapping[str, Any]) -> model.Speech:
    return model.Speech(names=found.get("play", ()), texts=found.get("say", {}))


def _spoken(scope: Scope) -> dict[str, Read]:
    return {"say": _texts(scope), "play": _names}


def _build_menu(scope: Scope, found: dict[str, Any]) -> model.Spec:
    retries = found.get("retries", scope.defaults.get("retries", 2))
    timeout = found.get("input_timeout", scope.defaults.get("input_timeout", 5.0))
    return model.Menu(_speech(found), retries, timeout)


def _build_queue(scope: Scope, found: dict[str, Any]) -> model.Spec:
    return model.Queue(found["queue"], found.get("skills", {}), found.get("priority"), found.get("max_wait"))


VERBS: dict[str, Verb] = {
    "say": Verb(
        keys=_spoken,
        one_of=("say", "play"),
        outcomes=("error",),
        build=lambda _, found: model.Say(_speech(found)),
    ),
    "menu": Verb(
        keys=lambda scope: {
            **_spoken(scope),
            "options": _options,
            "retries": whole(0, 9),
            "input_timeout": duration(1, 60),
        },
        needed=("options",),
        one_of=("say", "play"),
        outcomes=("timeout", "invalid", "error"),
        build=_build_menu,
    ),
    "set": Verb(
        keys=lambda scope: {"vars": _vars(scope)},
        needed=("vars",),
        outcomes=("error",),
        build=lambda _, found: model.Set(found["vars"]),
    ),
    "branch": Verb(
        keys=lambda scope: {"when": _when(scope)},
        needed=("when", "else"),
        outcomes=("else", "error"),
        build=lambda _, found: model.Branch(tuple(case["if"] for case in found["when"])),
    ),
    "queue": Verb(
        keys=lambda scope: {
            "queue": name,
            "skills": skills,
            "priority": _or_template(whole(-1000, 1000), scope),
            "max_wait": _max_wait(scope),
        },
        needed=("queue",),
        outcomes=("answered", "timeout", "full", "no_agents", "closed", "left", "failed", "error"),
        build=_build_queue,
    ),
    "dial": Verb(
        keys=lambda scope: {"to": _dialled(scope), "ring": duration(5, 120)},
        needed=("to",),
        outcomes=("answered", "busy", "no_answer", "error"),
        build=lambda _, found: model.Dial(found["to"], found.get("ring", 30.0)),
    ),
    "hangup": Verb(
        keys=lambda _: {"cause": whole(1, 127)},
        outcomes=(),
        build=lambda _, found: model.Hangup(found.get("cause", 16)),
    ),
}
COMMON = ("then", "fail")


def unknown_verb(reader: Reader, path: Path, verb: str) -> None:
    """A verb that cannot be used: of a later version, or none at all."""
    if verb in LATER:
        reader.wrong(path, f"`{verb}` is not available in this version", f"available: {', '.join(VERBS)}")
    else:
        reader.unknown(path, f"`{verb[:60]}` is no verb", verb[:60], VERBS)
