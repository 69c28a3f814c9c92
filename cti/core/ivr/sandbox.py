"""The sandbox of expressions: what may be reached, and a budget that every operation pays from before it makes much."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import StrictUndefined, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cti.core.ivr import speech
from cti.core.ivr.problems import ExpressionError as ExpressionError

MAX_TEXT = 1_000  # characters of a result
BUDGET = 10_000  # characters and list items made in one evaluation

METHODS = frozenset({"startswith", "endswith", "strip", "lower", "upper", "isdigit"})
TESTS = frozenset({"defined", "undefined", "none", "number", "string", "boolean", "true", "false", "odd", "even", "in"})


class Record(dict[str, Any]):
    """A map whose unknown fields are null: `call` and `customer`."""


class Budget:
    """How much one evaluation may still make."""

    def __init__(self) -> None:
        self.left = BUDGET

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise ExpressionError("makes too much")


def _spend(context: Context, units: int) -> None:
    context["_budget"].spend(units)


def size_of(value: Any) -> int:
    """Characters and items in a value; counting stops when it is too much."""
    total, rest = 0, [value]
    while rest and total <= BUDGET:
        item = rest.pop()
        total += 1 + (len(item) if isinstance(item, str) else 0)
        if isinstance(item, int):
            total += item.bit_length() // 8
        if isinstance(item, list | tuple):
            rest.extend(item[:BUDGET])
        elif isinstance(item, dict):
            rest.extend(item.values())
    return total


def _multiply(context: Context, left: Any, right: Any) -> Any:
    for thing, count in ((left, right), (right, left)):
        if isinstance(thing, str | list | tuple):
            _spend(context, size_of(thing) * max(1, int(count)))
    return left * right


def _remainder(left: Any, right: Any) -> Any:
    if not isinstance(left, int | float):
        raise ExpressionError("% is for numbers")
    return left % right


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _spend(context, size_of(left) + size_of(right))
        if operator == "*":
            return _multiply(context, left, right)
        if operator == "%":
            return _remainder(left, right)
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict):
            return self.getitem(obj, attribute)
        if isinstance(obj, str) and attribute in METHODS:
            return getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Record):
            return obj.get(argument)
        if isinstance(obj, dict | list | tuple | str) and isinstance(argument, str | int | slice):
            try:
                return obj[argument]  # type: ignore[index]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)


# ---------------------------------------------------------------- filters


def _filter(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pays for what goes in and what comes out."""

    @pass_context
    def run(context: Context, *args: Any, **more: Any) -> Any:
        _spend(context, sum(map(size_of, args)))
        result = function(*args, **more)
        _spend(context, size_of(result))
        return result

    return run


def _spoken(function: Callable[..., str], zoned: bool = False) -> Callable[..., str]:
    """Says it in the language of the text around it: `_language` where that is not the caller's. Moments that are
    written with their offset are said in the site's time zone, `_zone`."""

    @pass_context
    def run(context: Context, *args: Any, **more: Any) -> str:
        _spend(context, sum(map(size_of, args)))
        language = context.get("_language") or context.get("language") or "en"
        zone = {"zone": context.get("_zone", "")} if zoned else {}
        spoken = function(language, *args, **zone, **more)
        _spend(context, len(spoken))
        return spoken

    return run


def _center(value: Any, width: int = 80) -> str:
    return str(value).center(min(int(width), MAX_TEXT))


def _replace(value: Any, old: str, new: str) -> str:
    held = str(value)
    if held.count(old) * len(new) > BUDGET:
        raise ExpressionError("makes too much")
    return held.replace(old, new)


def _default(value: Any, other: Any = "", boolean: bool = False) -> Any:
    missing = isinstance(value, StrictUndefined) or value is None
    return other if missing or (boolean and not value) else value


def _int(value: Any, default: int = 0) -> int:
    try:
        return int(value)
    except (ValueError, OverflowError):
        return default


def _float(value: Any, default: float = 0.0) -> float:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return default


def _join(values: Iterable[Any], between: str = "") -> str:
    return between.join(map(str, values))


@pass_context
def _map(context: Context, values: Iterable[Any], filter_name: str, *args: Any) -> list[Any]:
    return [context.environment.call_filter(filter_name, value, args, context=context) for value in values]


FILTERS: dict[str, Callable[..., Any]] = {
    "map": _map,
    "abs": _filter(abs),
    "capitalize": _filter(lambda value: str(value).capitalize()),
    "center": _filter(_center),
    "date": _spoken(speech.date, zoned=True),
    "default": _filter(_default),
    "digits": _spoken(speech.digits),
    "duration": _spoken(speech.duration),
    "first": _filter(lambda values: values[0]),
    "float": _filter(_float),
    "int": _filter(_int),
    "join": _filter(_join),
    "last": _filter(lambda values: values[-1]),
    "length": _filter(len),
    "lower": _filter(lambda value: str(value).lower()),
    "max": _filter(max),
    "min": _filter(min),
    "money": _spoken(speech.money),
    "number": _spoken(speech.number),
    "ordinal": _spoken(speech.ordinal),
    "phone": _spoken(speech.phone),
    "replace": _filter(_replace),
    "round": _filter(lambda value, digits=0: round(value, max(0, min(int(digits), 9)))),
    "string": _filter(str),
    "time": _spoken(speech.time, zoned=True),
    "trim": _filter(lambda value: str(value).strip()),
    "upper": _filter(lambda value: str(value).upper()),
}


def _sandbox() -> _Sandbox:
    made = _Sandbox(undefined=StrictUndefined, optimized=False, autoescape=False, cache_size=0)
    made.filters = dict(FILTERS)
    made.tests = {word: test for word, test in made.tests.items() if word in TESTS}
    made.globals = {}
    return made


SANDBOX = _sandbox()
