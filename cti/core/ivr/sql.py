"""The SQL of a lookup: one SELECT with named parameters, `:name`. Pure text work; the database has the last word.

`parameters` names what the text asks for, `translate` gives the text PostgreSQL takes, with $1, $2, ... A colon inside
a string, a quoted name, a comment, a dollar quote, a slice `[1:2]` or a cast `::date` is no parameter. Both raise
`BadSql`, whose text is for people, for whatever is more than one question: several statements, anything but SELECT (or
WITH ... SELECT), another spelling of parameters, and functions by which a query could leave its role.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 8_000  # characters
MOST = 50  # parameters

# In this order; what begins a string, a comment or a dollar quote and does not end is told apart below.
_PATTERNS = (
    ("comment", r"--[^\n]*"),
    ("block", r"/\*"),
    ("escaped", r"[eE]'(?:[^'\\]|''|\\.)*'"),
    ("unicode", r"[uU]&(?='|\")"),
    ("string", r"'(?:[^']|'')*'"),
    ("quoted", r'"(?:[^"]|"")*"'),
    ("dollar", r"\$(?P<tag>(?:[A-Za-z_\u0080-\uffff][\w]*)?)\$.*?\$(?P=tag)\$"),
    ("number", r"[0-9][0-9A-Za-z_.]*"),
    ("word", r"[A-Za-z_\u0080-\uffff][\w$]*"),
    ("cast", r"::|:="),
    ("name", r":[A-Za-z_][A-Za-z0-9_]*"),
    ("space", r"\s+"),
    ("other", r"."),
)
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS), re.DOTALL)
_CHANGES = {"insert", "update", "delete", "merge"}
# With these a query could change what it may do, or do it by another way than by being read here.
_REFUSED = re.compile(
    r"set_config|pg_(read|write|ls|stat)_.*|pg_(try_)?advisory_.*|pg_(terminate|cancel)_backend|pg_notify|pg_reload_conf"
    r"|(query|table|cursor|schema|database)_to_xml(schema|_and_xmlschema)?|lo_.*|loread|lowrite|dblink.*"
    r"|nextval|setval|txid_current|pg_current_xact_id|pg_logical_.*|pg_create_.*|ts_stat|ts_rewrite"
)


class BadSql(ValueError):
    """`hint`: what to write instead, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Token(NamedTuple):
    kind: str
    text: str


def parameters(sql: str) -> tuple[str, ...]:
    """The names of the parameters, each once, in the order of their first use."""
    return translate(sql)[1]


def translate(sql: str) -> tuple[str, tuple[str, ...]]:
    """The text with $1, $2, ... for the names, which are given in that order. A `;` at its end is dropped."""
    tokens = list(_tokens(sql))
    _check(tokens)
    names: dict[str, int] = {}
    out = []
    for token in tokens:
        if token.kind == "name":
            out.append(f"${names.setdefault(token.text[1:], len(names) + 1)}")
        else:
            out.append(token.text if token.text != ";" else "")
    if len(names) > MOST:
        raise BadSql(f"more than {MOST} parameters")
    return "".join(out).strip(), tuple(names)


def _tokens(sql: str) -> Iterator[Token]:
    if len(sql) > LONGEST:
        raise BadSql(f"longer than {LONGEST} characters")
    if "\0" in sql:
        raise BadSql("a NUL character")
    at, depth, slices = 0, 0, list[int]()
    while match := _TOKEN.match(sql, at):
        kind, text = str(match.lastgroup), match.group()
        if kind == "tag":
            kind = "dollar"
        if kind == "block":
            text = sql[at : _end_of_comment(sql, at)]
        if text == "[":
            slices.append(depth)
        elif text == "]" and slices:
            slices.pop()
        elif text in ("(", ")"):
            depth += 1 if text == "(" else -1
        if kind == "name" and slices and slices[-1] == depth and not _begins(sql, at):
            kind, text = "other", ":"  # the middle of a slice
        yield Token(kind, text)
        at += len(text)


def _begins(sql: str, at: int) -> bool:
    """Whether a parameter may begin there inside brackets: `[:n]` and `[1, :n]`, but `[a:n]` is a slice."""
    before = sql[:at].rstrip()
    return before[-1:] in ("[", ",", "+", "-", "*", "/", ":", "(")


def _end_of_comment(sql: str, at: int) -> int:
    """Comments of C's kind nest."""
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(sql, at):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    raise BadSql("a comment /* does not end")


def _check(tokens: list[Token]) -> None:
    said = [t for t in tokens if t.kind not in ("space", "comment", "block")]
    while said and said[-1].text == ";":
        said.pop()
    if not said:
        raise BadSql("no question", "write SELECT ...")
    if said[0].kind != "word" or said[0].text.lower() not in ("select", "with"):
        raise BadSql(f"it begins with {said[0].text[:20]!r}", "a lookup is one SELECT, or WITH ... SELECT")
    for before, token, after in zip([None, *said], said, [*said[1:], None], strict=False):
        _check_token(before, token, after)


def _check_token(before: Token | None, token: Token, after: Token | None) -> None:
    word = token.text.strip('"').lower()
    if token.text == ";":
        raise BadSql("several statements", "a lookup is one SELECT")
    if token.kind == "unicode":
        raise BadSql("U& strings and names are not read", "write the characters themselves")
    if token.kind == "other":
        _check_mark(token.text, after)
    if token.kind in ("word", "quoted") and _REFUSED.fullmatch(word):
        raise BadSql(f"{word} is not for lookups")
    if token.kind == "word" and word in _CHANGES and before is not None and before.text == "(" and _is_word(after):
        raise BadSql(f"{word.upper()} changes data", "a lookup only reads")
    if token.kind == "word" and word == "into":
        raise BadSql("INTO makes a table", "a lookup only reads")


def _is_word(token: Token | None) -> bool:
    return token is not None and token.kind in ("word", "quoted")


def _check_mark(mark: str, after: Token | None) -> None:
    if mark in ("'", '"', "$"):
        meant = after is not None and after.kind == "number"
        raise BadSql(f"{mark} without its end" if not meant else f"${after.text[:9] if after else ''} is no parameter",
                     "write a parameter as :name")  # fmt: skip
    if mark in ("?", "%") and after is not None and mark == "%" and after.text in ("s", "("):
        raise BadSql("%s is no parameter", "write it as :name")
    if mark == "\\":
        raise BadSql("a \\ outside of a string")
    if mark in ("@", "{") and after is not None and after.text == mark:
        raise BadSql(f"{mark}{mark} is no parameter", "write it as :name")
