"""JSON in and out: strict reading of bodies and queries, times to ISO-8601, cursors that cannot be forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from cti.errors import BadInput

T = TypeVar("T")
MAX_DEPTH = 16
_TIME_KEYS = frozenset({"at", "since", "until"})
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:
    """One JSON text. Datetimes, UUIDs and Decimals are understood."""
    return _encoder.encode(value)


def iso(at: float) -> str:
    """Epoch seconds as ISO-8601 UTC with milliseconds and Z."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def jsonable(value: Any, key: str = "") -> Any:
    """A copy: numbers under at, since, until, *_at, *_since, *_until are ISO-8601 times, ids are text."""
    if isinstance(value, dict):
        return {k: jsonable(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(v) for v in value]
    if key.endswith("_id") and isinstance(value, int):
        return str(value)
    is_time = key in _TIME_KEYS or key.endswith(("_at", "_since", "_until"))
    if is_time and isinstance(value, int | float) and not isinstance(value, bool):
        return iso(value)
    return value


def read_json(body: bytes, shape: type[T]) -> T:
    """The body as `shape`. Raises BadInput: not JSON, doubled keys, too deep, NUL, wrong types."""
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_no_doubled_keys, parse_constant=_no_constant
        )
        _check(value, 0)
        return msgspec.convert(value, shape, strict=True)
    except RecursionError:
        raise BadInput("the JSON is nested too deeply", "bad_json") from None
    except msgspec.ValidationError as error:
        raise _bad_field(shape, str(error)) from None
    except ValueError as error:
        raise BadInput(f"not valid JSON: {error}", "bad_json") from None


_FIELD = re.compile(r" - at `\$\.(\w+)`$")


def _bad_field(shape: type[Any], text: str) -> BadInput:
    """Which field it is and what it may be, when one is to blame that has limits; else msgspec's own words."""
    found = _FIELD.search(text)
    allowed = _allowed(shape, found[1]) if found else ""
    if found is None or not allowed:
        return BadInput(text, "bad_field")
    return BadInput(f"{found[1]} is {allowed}", "bad_field", field=found[1], allowed=allowed)


def _allowed(shape: type[Any], name: str) -> str:
    """In words; empty: no limits are set."""
    about = msgspec.inspect.type_info(shape)
    fields = about.fields if isinstance(about, msgspec.inspect.StructType) else ()
    kind = next((field.type for field in fields if field.encode_name == name), None)
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return " or ".join(filter(None, map(_limits, kinds)))


def _limits(kind: Any) -> str:
    match kind:
        case msgspec.inspect.Metadata(extra_json_schema={"description": words}):
            return str(words)
        case msgspec.inspect.IntType(ge=least, le=most) if least is not None and most is not None:
            return f"a whole number from {least} to {most}"
        case msgspec.inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case msgspec.inspect.StrType(min_length=least, max_length=most) if most is not None:
            return f"a text of {least or 0} to {most} characters"
        case msgspec.inspect.BoolType():
            return "true or false"
    return ""


def _no_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({k for k, _ in pairs}) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text holds a NUL")
        value.encode("utf-8")
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth + 1)
            _check(item, depth + 1)


_MOMENT = re.compile(r"[0-9TWZ:.,+-]{11,40}")  # Python's own parser stops at a NUL


def read_time(name: str, text: str) -> float:
    """An ISO-8601 time with Z or an offset as epoch seconds. Raises BadInput; zones are not guessed."""
    try:
        moment = datetime.fromisoformat(text)
        if not _MOMENT.fullmatch(text) or moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        hint = "write it as 2026-11-22T08:30:00Z (a + must be sent as %2B)"
        raise BadInput(f"{name} is not a time in UTC: {hint}", "bad_time") from None


def read_limit(text: str, most: int = 200) -> int:
    """A page size of 1 to `most`; more is capped. Raises BadInput."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) > 0):
        raise BadInput("limit is a number from 1", "bad_limit")
    return min(int(text), most)


def seal(key: bytes, kind: str, cursor: str | None) -> str | None:
    """The store's cursor with a signature, so that only what we gave out comes back."""
    if cursor is None:
        return None
    raw = cursor.encode()
    return base64.urlsafe_b64encode(_mac(key, kind, raw) + raw).decode().rstrip("=")


def unseal(key: bytes, kind: str, text: str) -> str:
    """The inverse of `seal`. Raises BadInput."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        if len(text) < 4096 and hmac.compare_digest(data[:16], _mac(key, kind, data[16:])):
            return data[16:].decode()
    except ValueError:
        pass
    raise BadInput("the cursor is not one this server gave out", "bad_cursor")


def _mac(key: bytes, kind: str, raw: bytes) -> bytes:
    return hmac.digest(key, kind.encode() + b"\0" + raw, hashlib.sha256)[:16]
