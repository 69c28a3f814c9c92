"""Expressions in flow files: `{{ ... }}` of jinja2's sandbox, cut down to what ends soon and reaches nothing.

An expression may use variables, literals, comparisons, arithmetic without powers, `x if y else z`, the
FILTERS, the TESTS and the METHODS below. What is refused, is refused on the parsed tree, before anything is
compiled or folded. At run time every operation that makes something big pays from a budget first, so the time
is bounded too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from math import isfinite
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes, pass_context
from jinja2.environment import TemplateExpression
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cti.core.ivr.source import meant

MAX_SOURCE = 1_000  # characters of one expression
MAX_DEPTH = 40
MAX_NODES = 300
MAX_TEXT = 1_000  # characters of a result
BUDGET = 10_000  # characters and list items made in one evaluation
MAX_DIGITS = 30  # of a number

METHODS = frozenset({"startswith", "endswith", "strip", "lower", "upper", "isdigit"})
TESTS = frozenset(
    {"defined", "undefined", "none", "number", "string", "boolean", "true", "false", "odd", "even", "in"}
)
ALLOWED = (
    nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List, nodes.Dict, nodes.Pair,
    nodes.Tuple, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add,
    nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat, nodes.Getattr,
    nodes.Getitem, nodes.Slice, nodes.Keyword, nodes.Filter, nodes.Test, nodes.Call,
)  # fmt: skip


class ExpressionError(Exception):
    """This expression may not be used (at load), or came to no value (at run time)."""


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


def _size(value: Any) -> int:
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
            _spend(context, _size(thing) * max(1, int(count)))
    return left * right


def _remainder(left: Any, right: Any) -> Any:
    if not isinstance(left, int | float):
        raise ExpressionError("% is for numbers")
    return left % right


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _spend(context, _size(left) + _size(right))
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
        _spend(context, sum(map(_size, args)))
        result = function(*args, **more)
        _spend(context, _size(result))
        return result

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
    "default": _filter(_default),
    "first": _filter(lambda values: values[0]),
    "float": _filter(_float),
    "int": _filter(_int),
    "join": _filter(_join),
    "last": _filter(lambda values: values[-1]),
    "length": _filter(len),
    "lower": _filter(lambda value: str(value).lower()),
    "max": _filter(max),
    "min": _filter(min),
    "replace": _filter(_replace),
    "round": _filter(lambda value, digits=0: round(value, max(0, min(int(digits), 9)))),
    "string": _filter(str),
    "trim": _filter(lambda value: str(value).strip()),
    "upper": _filter(lambda value: str(value).upper()),
}


def _sandbox() -> _Sandbox:
    made = _Sandbox(undefined=StrictUndefined, optimized=False, autoescape=False, cache_size=0)
    made.filters = dict(FILTERS)
    made.tests = {word: test for word, test in made.tests.items() if word in TESTS}
    made.globals = {}
    return made


_SANDBOX = _sandbox()


# ---------------------------------------------------------------- loading


class Expression:
    """Text with `{{ }}` in it, checked and compiled."""

    def __init__(self, source: str, parts: list[str | TemplateExpression]) -> None:
        self.source = source
        self._parts = parts

    def value(self, names: Mapping[str, Any]) -> Any:
        """The value of a lone `{{ }}` in its own type, else the whole as text. Raises ExpressionError."""
        if len(self._parts) == 1 and not isinstance(self._parts[0], str):
            return self._evaluate(self._parts[0], {**names, "_budget": Budget()})
        return self.text(names)

    def text(self, names: Mapping[str, Any]) -> str:
        """The whole as text; null is nothing. Raises ExpressionError."""
        scope = {**names, "_budget": Budget()}
        pieces = [part if isinstance(part, str) else self._text(part, scope) for part in self._parts]
        whole = "".join(pieces)
        if len(whole) > MAX_TEXT:
            raise ExpressionError(f"the text is longer than {MAX_TEXT} characters")
        return whole

    def _text(self, part: TemplateExpression, scope: Mapping[str, Any]) -> str:
        value = self._evaluate(part, scope)
        return "" if value is None else str(value)

    def _evaluate(self, part: TemplateExpression, scope: Mapping[str, Any]) -> Any:
        try:
            value = part(scope)
        except Exception as error:
            raise ExpressionError(str(error)) from error
        if _size(value) > MAX_TEXT:
            raise ExpressionError(f"the value is longer than {MAX_TEXT} characters")
        return _plain(value)


def _plain(value: Any) -> Any:
    """The value as JSON can hold it. Raises ExpressionError."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not isfinite(value):
        raise ExpressionError("the value is no number")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ExpressionError("the number is too big")
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise ExpressionError("the text holds half a character")
    if value is None or isinstance(value, str | int | float):
        return value
    raise ExpressionError("there is no such value")


class Names:
    """The variables an expression may use: `known` by name, with the fields of those that have fixed ones."""

    def __init__(self, known: Collection[str], fields: Mapping[str, Collection[str]]) -> None:
        self.known = known
        self.fields = fields


def is_template(text: str) -> bool:
    return any(mark in text for mark in ("{{", "{%", "{#"))


def load(source: str, names: Names) -> Expression:
    """Check and compile. Raises ExpressionError with a message for the admin."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"an expression has at most {MAX_SOURCE} characters")
    try:
        tree = _SANDBOX.parse(source)
        _check(tree, names)
        return Expression(source, [_compile(part) for output in tree.body for part in _children(output)])
    except TemplateSyntaxError as error:
        raise ExpressionError(f"not an expression: {error.message}") from error
    except (RecursionError, MemoryError, SyntaxError, ValueError) as error:
        raise ExpressionError("the expression is nested too deep") from error


def _children(output: nodes.Node) -> list[nodes.Node]:
    return list(output.iter_child_nodes())


def _compile(part: nodes.Node) -> str | TemplateExpression:
    if isinstance(part, nodes.TemplateData):
        return part.data
    result = nodes.Assign(nodes.Name("result", "store", lineno=1), part, lineno=1)
    return TemplateExpression(
        _SANDBOX.from_string(nodes.Template([result], lineno=1)), undefined_to_none=False
    )


def _check(tree: nodes.Template, names: Names) -> None:
    """Refuse what is not allowed; of several faults the innermost is told."""
    if not all(isinstance(node, nodes.Output) for node in tree.body):
        raise ExpressionError("only `{{ expression }}` is allowed, no statements")
    level, seen = [*tree.body], 0
    fault: ExpressionError | None = None
    for _ in range(MAX_DEPTH):
        for node in level:
            fault = _fault(node, names) or fault
        seen += len(level)
        level = [child for node in level for child in node.iter_child_nodes()]
    if fault or level or seen > MAX_NODES:
        raise fault or ExpressionError("the expression is too long or nested too deep")


def _fault(node: nodes.Node, names: Names) -> ExpressionError | None:
    try:
        _check_node(node, names)
    except ExpressionError as error:
        return error
    return None


def _check_node(node: nodes.Node, names: Names) -> None:
    if not isinstance(node, ALLOWED):
        what = "powers (`**`)" if isinstance(node, nodes.Pow) else type(node).__name__
        raise ExpressionError(f"{what} are not allowed")
    if isinstance(node, nodes.Const):
        _check_literal(node.value)
    elif isinstance(node, nodes.Name):
        _check_name(node.name, names)
    elif isinstance(node, nodes.Getattr | nodes.Getitem):
        _check_field(node, names)
    elif isinstance(node, nodes.Filter):
        _check_word("filter", node.name, FILTERS)
        _check_mapped(node)
    elif isinstance(node, nodes.Test):
        _check_word("test", node.name, TESTS)
    elif isinstance(node, nodes.Call):
        _check_call(node)


def _check_literal(value: Any) -> None:
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise ExpressionError(f"a number has at most {MAX_DIGITS} digits")


def _check_word(kind: str, word: str, known: Collection[str]) -> None:
    if word not in known:
        hint = meant(word, known)
        raise ExpressionError(f"`{word}` is no {kind} a flow has" + (f", {hint}" if hint else ""))


def _check_mapped(node: nodes.Filter) -> None:
    if node.name == "map":
        first = node.args[0] if node.args else None
        if not isinstance(first, nodes.Const) or first.value == "map":
            raise ExpressionError("`map` needs the name of a filter")
        _check_word("filter", str(first.value), FILTERS)


def _check_name(word: str, names: Names) -> None:
    if word.startswith("_"):
        raise ExpressionError("names that begin with an underscore are out of reach")
    _check_word("variable", word, names.known)


def _check_field(node: nodes.Getattr | nodes.Getitem, names: Names) -> None:
    arg = node.arg if isinstance(node, nodes.Getitem) else None
    word = (
        node.attr if isinstance(node, nodes.Getattr) else arg.value if isinstance(arg, nodes.Const) else None
    )
    if not isinstance(word, str):
        return
    if word.startswith("_"):
        raise ExpressionError("names that begin with an underscore are out of reach")
    if isinstance(node.node, nodes.Name) and node.node.name in names.fields:
        known = names.fields[node.node.name]
        if word not in known:
            hint = meant(word, known)
            raise ExpressionError(
                f"`{node.node.name}.{word}` is no variable a flow has" + (f", {hint}" if hint else "")
            )


def _check_call(node: nodes.Call) -> None:
    method = node.node.attr if isinstance(node.node, nodes.Getattr) else ""
    if method not in METHODS or node.dyn_args or node.dyn_kwargs:
        raise ExpressionError(f"only these may be called: {', '.join(sorted(METHODS))}")
