"""Readers of nodes that do something outside of the call: requests, queries, scripts, other flows."""

from __future__ import annotations

import re
from typing import Any

from cti.core.ivr import model
from cti.core.ivr.expressions import is_template
from cti.core.ivr.readers import Scope, expression, text_of
from cti.core.ivr.source import Path, Read, Reader, a_list, a_map, name, whole

MAX_GIVEN = 50
MAX_SHARES = 20
FILE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}\.py")
CURRENCY = re.compile(r"[A-Z]{3}")
POINTER = re.compile(r"(/[^/]{0,60}){1,10}")
URL = re.compile(r"https?://[A-Za-z0-9.-]+(:([0-9]{1,5}))?([/?].*)?")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,60}")
NEVER_SENT = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect",
    "proxy-authorization", "proxy-connection", "accept-encoding", "user-agent",
})  # fmt: skip
PORTS = 65_535
SECRET_NAME = re.compile(r"authori[sz]ation|cookie|token|secret|passw(or)?d|api[-_]?key", re.IGNORECASE)
SIGNED_IN_URL = re.compile(r"https?://[^/?#{]*@[^/{]")
SECRET_IN_URL = re.compile(
    r"[?&](([a-z]+[_-])?(token|secret|passw(or)?d|(api)?key|signature))=[^&{]", re.IGNORECASE
)  # fmt: skip
KEYS_OF_A_NODE = ("then", "fail", "error", "hangup")
HIDDEN = {"digits": "sealed", "secret": "secret"}


def value_of(scope: Scope) -> Read:
    """A constant, or an expression."""

    def read(reader: Reader, path: Path, value: Any) -> Any:
        if isinstance(value, str):
            return expression(reader, path, value, scope) if is_template(value) else value
        if not isinstance(value, int | float):
            reader.wrong(path, f"`{path[-1]}` must be text, a number, true or false")
        return value

    return read


def values(scope: Scope) -> Read:
    """{name: constant or expression}"""
    return _map_of(value_of(scope))


def given(scope: Scope) -> Read:
    """{name: constant, expression, {digits: ASK NODE} or {secret: NAME}}"""
    plain = value_of(scope)

    def read(reader: Reader, path: Path, value: Any) -> Any:
        return _hidden(reader, path, value, scope) if isinstance(value, dict) else plain(reader, path, value)

    return _map_of(read)


def _map_of(inner: Read) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
        held = a_map(reader, path, value, f"`{path[-1]}`")
        if len(held) > MAX_GIVEN:
            reader.wrong(path, f"`{path[-1]}` has at most {MAX_GIVEN} names", of_key=True)
        for key in held:
            if not 1 <= len(key) <= 60 or not key.isprintable():
                reader.wrong((*path, key), f"`{key[:60]}` is too long, or not to be seen", of_key=True)
        return {key: inner(reader, (*path, key), one) for key, one in held.items()}

    return read


def _hidden(reader: Reader, path: Path, value: dict[str, Any], scope: Scope) -> model.Hidden | None:
    kind = next(iter(value), "")
    if len(value) != 1 or kind not in HIDDEN:
        reader.wrong(path, f"`{path[-1]}` must be a value", "or {digits: NODE}, or {secret: NAME}")
        return None
    named = name(reader, (*path, kind), value[kind])
    if kind == "digits" and named and named not in scope.secret:
        message = f"`{named}` is no `ask` node with `secret: true`"
        reader.unknown((*path, kind), message, named, scope.secret)
    return model.Hidden(HIDDEN[kind], named)


def headers(scope: Scope) -> Read:
    """As `given`, without digits of callers; what looks like a secret must not stand in a flow."""
    inner = given(scope)

    def read(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
        found: dict[str, Any] = inner(reader, path, value)
        for key, held in found.items():
            if not HEADER.fullmatch(key):
                reader.wrong((*path, key), f"`{key[:60]}` is no name of a header", of_key=True)
            if key.lower() in NEVER_SENT:
                reader.wrong((*path, key), f"the header `{key}` is not a flow's to send", "leave it out", of_key=True)
            if isinstance(held, model.Hidden) and held.kind == "sealed":
                reader.wrong((*path, key), "digits of a caller do not go into headers", "send them in `json` or `form`")
            if isinstance(held, str) and SECRET_NAME.search(key):
                hint = f"{key}: {{secret: NAME}}, and NAME in [secrets] of cti.toml"
                reader.wrong((*path, key), f"`{key}` holds a secret, in a file that many read", hint)
        return found

    return read


def url(scope: Scope) -> Read:
    """Where a request goes: which host must stand in the file, not come out of an expression."""

    def read(reader: Reader, path: Path, value: Any) -> Any:
        written = text_of(scope)(reader, path, value)
        found = URL.fullmatch(value) if isinstance(value, str) else None
        if isinstance(value, str) and SIGNED_IN_URL.match(value):
            reader.wrong(path, "a name or password in an address would be seen in logs", "send it in `headers`")
        elif found is None:
            reader.wrong(path, "`url` must begin with http:// or https:// and a host", "the host is no expression")
        elif found[2] and not 1 <= int(found[2]) <= PORTS:
            reader.wrong(path, f"`{found[2]}` is no port", f"1 to {PORTS}")
        elif secret := SECRET_IN_URL.search(found[0]):
            reader.wrong(path, f"`{secret[1]}` in an address would be seen in logs", "send it in `headers`")
        return written

    return read


def pointers(reader: Reader, path: Path, value: Any) -> dict[str, str]:
    """{name: JSON pointer into the answer}, RFC 6901."""
    held = a_map(reader, path, value, "`get`")
    for key, pointer in held.items():
        _result(reader, (*path, key), key)
        if not (isinstance(pointer, str) and POINTER.fullmatch(pointer)):
            reader.wrong((*path, key), f"`{str(pointer)[:60]}` is no JSON pointer", 'like "/order/status"')
    return held


def script(reader: Reader, path: Path, value: Any) -> str:
    if isinstance(value, str) and FILE.fullmatch(value):
        return value
    reader.wrong(path, f"`{str(value)[:60]}` is no script", "the name of a .py file in scripts/")
    return ""


def currency(reader: Reader, path: Path, value: Any) -> str:
    if isinstance(value, str) and CURRENCY.fullmatch(value):
        return value
    reader.wrong(path, f"`{str(value)[:60]}` is no currency", "three capital letters, like IDR")
    return ""


def outcome_map(reader: Reader, path: Path, value: Any) -> dict[str, tuple[Path, Any]]:
    """{outcome: target}; targets are checked later, with the others."""
    held = a_map(reader, path, value, "`outcomes`")
    for key in held:
        if name(reader, (*path, key), key, of_key=True) and key in KEYS_OF_A_NODE:
            reader.wrong((*path, key), f"`{key}` is no outcome to be chosen", f"write `{key}:` beside `outcomes`", True)
    return {key: ((*path, key), target) for key, target in held.items()}


def outcome(reader: Reader, path: Path, value: Any) -> str:
    """How a flow ends for the one that called it."""
    written = name(reader, path, value)
    if written in ("then", "fail", "hangup"):
        reader.wrong(path, f"`{written}` cannot be an outcome", "it has a meaning of its own in every node")
    return written


def results(scope: Scope) -> Read:
    """As `values`, which become the result of a node."""
    inner = values(scope)

    def read(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
        found: dict[str, Any] = inner(reader, path, value)
        for key in found:
            _result(reader, (*path, key), key)
        return found

    return read


def _result(reader: Reader, path: Path, key: str) -> None:
    if name(reader, path, key, of_key=True) == "outcome":
        reader.wrong(path, "`outcome` of a node is how it ended", "choose another name", of_key=True)


SHARE = {"percent": whole(1, 99), "to": lambda _reader, path, value: (path, value)}


def shares(reader: Reader, path: Path, value: Any) -> list[dict[str, Any]]:
    listed = a_list(reader, path, value, "`shares`")
    if not 1 <= len(listed) <= MAX_SHARES:
        reader.wrong(path, f"`shares` needs 1 to {MAX_SHARES} parts")
    found = [
        reader.fields((*path, at), one, SHARE, "a share", ("percent", "to"))
        for at, one in enumerate(listed[:MAX_SHARES])
    ]
    if sum(one.get("percent", 0) for one in found) > 100:
        reader.wrong(path, "the shares come to more than 100 percent")
    return found
