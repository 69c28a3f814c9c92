"""Expressions in flow files: `{{ ... }}` of jinja2's sandbox, cut down to what ends soon and reaches nothing.

An expression may use variables, literals, comparisons, arithmetic without powers, `x if y else z`, the
FILTERS, the TESTS and the METHODS of `sandbox`. What is refused, is refused on the parsed tree, before anything is
compiled or folded. At run time every operation that makes something big pays from a budget first, so the time
is bounded too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import TemplateExpression

from cti.core.ivr.problems import meant
from cti.core.ivr.sandbox import (
    FILTERS,
    MAX_TEXT,
    METHODS,
    SANDBOX,
    TESTS,
    Budget,
    ExpressionError,
    Record,
    size_of,
)  # fmt: skip

__all__ = ["MAX_SOURCE", "Expression", "ExpressionError", "Names", "Record", "UnknownWord", "is_template", "load"]

MAX_SOURCE = 1_000  # characters of one expression
MAX_DEPTH = 40
MAX_NODES = 300
MAX_DIGITS = 30  # of a number
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

ALLOWED = (
    nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List, nodes.Dict, nodes.Pair,
    nodes.Tuple, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add,
    nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat, nodes.Getattr,
    nodes.Getitem, nodes.Slice, nodes.Keyword, nodes.Filter, nodes.Test, nodes.Call,
)  # fmt: skip


class UnknownWord(ExpressionError):
    """A word in an expression that is not one of `known`. What was meant is looked for only when it is told."""

    def __init__(self, message: str, word: str, known: Collection[str]) -> None:
        super().__init__(message)
        self.message = message
        self.word = word
        self.known = known

    def __str__(self) -> str:
        hint = meant(self.word, self.known)
        return self.message + (f", {hint}" if hint else "")


class Expression:
    """Text with `{{ }}` in it, checked and compiled."""

    def __init__(self, source: str, parts: list[str | TemplateExpression]) -> None:
        self.source = source
        self._parts = parts

    @property
    def lone(self) -> bool:
        """Whether it is one `{{ }}` and nothing else."""
        return len(self._parts) == 1 and not isinstance(self._parts[0], str)

    def value(self, names: Mapping[str, Any]) -> Any:
        """The value of a lone `{{ }}` in its own type, else the whole as text. Raises ExpressionError."""
        if len(self._parts) == 1 and not isinstance(self._parts[0], str):
            return self._evaluate(self._parts[0], {**names, "_budget": Budget()})
        return self.text(names)

    def text(self, names: Mapping[str, Any], *, encode: bool = False) -> str:
        """The whole as text; null is nothing. `encode`: what expressions put in is a part of an address (RFC 3986).

        Raises ExpressionError."""
        scope = {**names, "_budget": Budget()}
        encoded = _encoded if encode else str
        pieces = [part if isinstance(part, str) else encoded(self._text(part, scope)) for part in self._parts]
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
        if size_of(value) > MAX_TEXT:
            raise ExpressionError(f"the value is longer than {MAX_TEXT} characters")
        return _plain(value)


def _encoded(text: str) -> str:
    """Dots alone would lead to another place on the same host."""
    if text in (".", ".."):
        raise ExpressionError("dots alone are no part of an address")
    return "".join(chr(byte) if chr(byte) in UNRESERVED else f"%{byte:02X}" for byte in text.encode())


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
        tree = SANDBOX.parse(source)
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
    return TemplateExpression(SANDBOX.from_string(nodes.Template([result], lineno=1)), undefined_to_none=False)


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
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Getattr) and not (isinstance(node, nodes.Call) and child is node.node):
            _check_uncalled(child)
    if isinstance(node, nodes.Const):
        _check_literal(node.value)
    elif isinstance(node, nodes.Name):
        _check_name(node.name, names)
    elif isinstance(node, nodes.Getattr | nodes.Getitem):
        _check_field(node, names)
    elif isinstance(node, nodes.Filter):
        _check_word("filter", node.name, FILTERS)
        _check_mapped(node)
        if node.name == "money" and not (node.args or node.kwargs):
            raise ExpressionError("`money` needs a currency: `money('USD')`")
    elif isinstance(node, nodes.Test):
        _check_word("test", node.name, TESTS)
    elif isinstance(node, nodes.Call):
        _check_call(node)


def _check_literal(value: Any) -> None:
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise ExpressionError(f"a number has at most {MAX_DIGITS} digits")
    if isinstance(value, float) and not isfinite(value):
        raise ExpressionError("the number is too big")


def _check_word(kind: str, word: str, known: Collection[str]) -> None:
    if word not in known:
        raise UnknownWord(f"`{word}` is no {kind} a flow has", word, known)


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
    word = node.attr if isinstance(node, nodes.Getattr) else arg.value if isinstance(arg, nodes.Const) else None
    if not isinstance(word, str):
        return
    if word.startswith("_"):
        raise ExpressionError("names that begin with an underscore are out of reach")
    if isinstance(node.node, nodes.Name) and node.node.name in names.fields:
        known = names.fields[node.node.name]
        if word not in known:
            raise UnknownWord(f"`{node.node.name}.{word}` is no variable a flow has", word, known)


def _check_uncalled(node: nodes.Getattr) -> None:
    """A method that is not called would be spoken as what Python calls it. Maps have fields of any name."""
    is_map = isinstance(node.node, nodes.Name) and node.node.name != "language"
    if node.attr in METHODS and not is_map:
        raise ExpressionError(f"`.{node.attr}` needs brackets: `.{node.attr}()`")


def _check_call(node: nodes.Call) -> None:
    method = node.node.attr if isinstance(node.node, nodes.Getattr) else ""
    if method not in METHODS or node.dyn_args or node.dyn_kwargs:
        raise ExpressionError(f"only these may be called: {', '.join(sorted(METHODS))}")
