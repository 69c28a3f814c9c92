"""What the keys of a flow node may hold: readers of what an admin wrote, within the scope of his flow."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from cti.core.ivr import model
from cti.core.ivr.expressions import MAX_SOURCE, Expression, ExpressionError, Names, UnknownWord, is_template, load
from cti.core.ivr.source import (
    NAME,
    Path,
    Read,
    Reader,
    a_list,
    a_map,
    duration,
    flag,
    language,
    name,
    text,
    whole,
)  # fmt: skip
from cti.core.numbers import dialable

KEYS = frozenset("0123456789*#")
CALL_FIELDS = ("id", "caller", "caller_name", "called", "at", "repeat", "last_agent", "callback",
               "callback_tries")  # fmt: skip
KEY_WORDS = {"star": "*", "hash": "#"}
MAX_WHEN = 50
MAX_VARS = 50
MAX_REPROMPTS = 9
MAX_KEYS = 20  # of one answer
MAX_PATTERN = 100
MAX_OPEN = 3
MAX_OTHERS = 9
LOGIN = re.compile(r"[A-Za-z0-9_.-]{1,40}")
LENGTH = re.compile(r"[0-9]{1,2}(-[0-9]{1,2})?")
PATTERN = re.compile(r"([0-9]|\[[0-9-]{1,20}\](\{[0-9,]{1,5}\}|\?)?|\([0-9|]+\)|\||\?|[0-9]\{[0-9,]{1,5}\})+")


class Scope(msgspec.Struct, frozen=True):
    """What a node is read within: language and defaults of its flow, its variables, where we dial from, and the nodes
    that ask for secret digits."""

    language: str
    defaults: Mapping[str, Any]
    names: Names
    country: str
    allow: Collection[str]
    secret: Collection[str] = ()


def expression(reader: Reader, path: Path, value: str, scope: Scope) -> Expression | str:
    try:
        return load(value, scope.names)
    except UnknownWord as error:
        reader.unknown(path, error.message, error.word, error.known)
    except ExpressionError as error:
        reader.wrong(path, str(error))
    return ""


def text_of(scope: Scope) -> Read:
    """Text, perhaps with `{{ }}` in it."""

    def read(reader: Reader, path: Path, value: Any) -> str | Expression:
        written = text(reader, path, value)
        if len(written) > MAX_SOURCE:
            reader.wrong(path, f"a text has at most {MAX_SOURCE} characters")
            return ""
        return expression(reader, path, written, scope) if is_template(written) else written

    return read


def or_template(inner: Read, scope: Scope) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> Any:
        if isinstance(value, str) and is_template(value):
            return expression(reader, path, value, scope)
        return inner(reader, path, value)

    return read


def texts(scope: Scope) -> Read:
    """{language: text}, or text alone in the flow's language."""
    one = text_of(scope)

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


def prompt_names(reader: Reader, path: Path, value: Any) -> tuple[str, ...]:
    """The name of a recorded prompt, or a list of them."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        reader.wrong(path, "`play` needs at least one prompt", "name one, or remove `play`")
    return tuple(_prompt_name(reader, (*path, at) if listed is value else path, one) for at, one in enumerate(listed))


def _prompt_name(reader: Reader, path: Path, value: Any) -> str:
    if isinstance(value, str) and value.endswith(".wav") and NAME.fullmatch(bare := value.removesuffix(".wav")):
        reader.wrong(path, f"`{value[:60]}` is not a plain name", f"write `{bare}`, without .wav")
        return ""
    return name(reader, path, value)


def check_lengths(reader: Reader, path: Path, found: Mapping[str, Any], longest: float) -> None:
    """Of a recording: else every one would be too short."""
    if found.get("min", 2.0) > found.get("max", longest):
        at = (*path, "min" if "min" in found else "max")
        reader.useless(at, "`min` is longer than `max`: every message would be too short")


def options(reader: Reader, path: Path, value: Any) -> dict[str, tuple[Path, Any]]:
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


def variables(scope: Scope) -> Read:
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
        return expression(reader, path, value, scope) if is_template(value) else value
    if not isinstance(value, int | float):
        reader.wrong(path, f"`{path[-1]}` must be text, a number, true or false")
    return value


def _identifier(reader: Reader, path: Path, key: str) -> None:
    if name(reader, path, key, of_key=True) and "-" in key:
        reader.wrong(path, f"a variable like `{key}` has no -", f"`{key.replace('-', '_')}`", of_key=True)


def condition(scope: Scope) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> Any:
        written = text(reader, path, value)
        if written and not (written.strip().startswith("{{") and written.strip().endswith("}}")):
            reader.wrong(path, "a condition is one expression", "like \"{{ customer.tier == 'vip' }}\"")
            return ""
        found = expression(reader, path, written.strip(), scope) if written else ""
        if isinstance(found, Expression) and not found.lone:
            hint = "it is always true: write one {{ }} around all of it"
            reader.useless(path, "a condition is one expression, this is text with several", hint)
        return found

    return read


def when(scope: Scope) -> Read:
    known = {"if": condition(scope), "to": lambda _reader, path, value: (path, value)}

    def read(reader: Reader, path: Path, value: Any) -> list[dict[str, Any]]:
        listed = a_list(reader, path, value, "`when`")
        if not 1 <= len(listed) <= MAX_WHEN:
            reader.wrong(path, f"`when` needs 1 to {MAX_WHEN} conditions")
        return [
            reader.fields((*path, at), one, known, "a condition", ("if", "to"))
            for at, one in enumerate(listed[:MAX_WHEN])
        ]

    return read


def dialled(scope: Scope) -> Read:
    """A station or a number that may be dialled; the result of a template is looked at during the call."""

    def read(reader: Reader, path: Path, value: Any) -> str | Expression:
        written = text(reader, path, value)
        if is_template(written):
            return expression(reader, path, written, scope)
        if written and written != written.strip():
            reader.wrong(path, f"`{written[:40]}` begins or ends with a blank", "write the number alone")
        elif written and (refused := dialable(written, scope.country, scope.allow).refused):
            reader.wrong(path, f"`{written[:40]}` cannot be dialled: {refused}")
        return written

    return read


def login(reader: Reader, path: Path, value: Any) -> str:
    """The login name of an agent. Who there is stands in the database, so nobody can tell whether there is one."""
    if isinstance(value, str) and LOGIN.fullmatch(value):
        return value
    reader.wrong(path, f"`{str(value)[:60]}` is no login name", "letters, digits, `-`, `_` and `.`, at most 40")
    return ""


def max_wait(scope: Scope) -> Read:
    return or_template(duration(1, 86400), scope)


# ---------------------------------------------------------------- questions


def reprompts(scope: Scope) -> Read:
    """What is said after a miss: a text, or a list of them of which each further miss takes the next."""
    one = texts(scope)

    def read(reader: Reader, path: Path, value: Any) -> tuple[model.Speech, ...]:
        listed = value if isinstance(value, list) else [value]
        if not 1 <= len(listed) <= MAX_REPROMPTS:
            reader.wrong(path, f"`{path[-1]}` needs 1 to {MAX_REPROMPTS} texts")
        return tuple(
            model.Speech(texts=one(reader, (*path, at) if listed is value else path, inner))
            for at, inner in enumerate(listed[:MAX_REPROMPTS])
        )

    return read


def tries_keys(scope: Scope) -> dict[str, Read]:
    return {
        "retries": whole(0, 9),
        "input_timeout": duration(1, 60),
        "digit_timeout": duration(1, 60),
        "barge_in": flag,
        "invalid_say": reprompts(scope),
        "timeout_say": reprompts(scope),
    }


def tries(scope: Scope, found: Mapping[str, Any]) -> model.Tries:
    """Of a node, else of its flow's defaults."""
    held = {**scope.defaults, **found}
    return model.Tries(
        retries=held.get("retries", 2), timeout=held.get("input_timeout", 5.0),
        digit_timeout=held.get("digit_timeout", 3.0), barge_in=held.get("barge_in", True),
        invalid=held.get("invalid_say", ()), silent=held.get("timeout_say", ()),
    )  # fmt: skip


def length(reader: Reader, path: Path, value: Any) -> tuple[int, int]:
    """How many keys: a number, or `"4-8"`."""
    written = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    parts = written.split("-") if isinstance(written, str) and LENGTH.fullmatch(written) else []
    if not parts or not 1 <= int(parts[0]) <= int(parts[-1]) <= MAX_KEYS:
        reader.wrong(path, f"`{path[-1]}` is a number of keys from 1 to {MAX_KEYS}", 'like 6, or "4-8"')
        return 1, MAX_KEYS
    return int(parts[0]), int(parts[-1])


def terminator(reader: Reader, path: Path, value: Any) -> str:
    if value not in ("#", "*", ""):
        reader.wrong(path, "`terminator` ends what is entered", '"#", "*", or "" for none')
        return "#"
    return str(value)


def pattern(reader: Reader, path: Path, value: Any) -> str:
    """A regular expression over digits, of a kind that cannot take long: few ways in which it could match."""
    written = text(reader, path, value)
    try:
        if len(written) > MAX_PATTERN or not PATTERN.fullmatch(written):
            raise re.error("only digits, [0-9], {3}, {2,5}, ? and (one|other) are allowed")
        if written.count(",") + written.count("?") > MAX_OPEN or written.count("|") > MAX_OTHERS:
            raise re.error(f"at most {MAX_OPEN} of {{2,5}} and ?, and {MAX_OTHERS} of |")
        re.compile(written)
    except (re.error, OverflowError) as error:
        reader.wrong(path, f"`match` cannot be used: {error}", 'like "62[0-9]{6,10}"')
        return ""
    return written


def variable_defaults(of_args: bool) -> Read:
    """{name: what it is at first}; of arguments null: it must be given."""

    def read(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
        held = a_map(reader, path, value, f"`{path[-1]}`")
        if len(held) > MAX_VARS:
            reader.wrong(path, f"`{path[-1]}` has at most {MAX_VARS} names")
        for key, inner in held.items():
            _identifier(reader, (*path, key), key)
            if not (isinstance(inner, str | int | float) or (inner is None and of_args)):
                reader.wrong((*path, key), f"`{key}` must be text, a number, true or false")
            elif isinstance(inner, str) and is_template(inner):
                reader.wrong((*path, key), f"`{key}` must be a constant here", "compute it in a `set` node")
        return held

    return read


def built_in(written: str) -> Expression:
    """A default that is itself an expression."""
    return load(written, Names({"call", "customer"}, {}))


def kind_of(value: Any) -> str:
    """The type of a variable: text, number or flag; empty: none that one may have."""
    if isinstance(value, bool):
        return "flag"
    return "text" if isinstance(value, str) else "number" if isinstance(value, int | float) else ""
