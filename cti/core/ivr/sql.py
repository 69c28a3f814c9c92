"""The SQL of a lookup: one SELECT with named parameters, `:name`. Pure text work; the database has the last word.

`parameters` names what the text asks for, `translate` gives the text PostgreSQL takes, with $1, $2, ... A colon inside
a string, a quoted name, a comment, a dollar quote, a slice `[1:2]` or a cast `::date` is no parameter. Both raise
`BadSql` for whatever is more than one question: several statements, anything but SELECT (or WITH ... SELECT), another
spelling of parameters, and functions by which a query could leave its role.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

LONGEST = 8_000  # characters
MOST = 50  # parameters

_TOKEN = re.compile(
    r"""(?P<comment> --[^\n]* )
      | (?P<block>   /\* )
      | (?P<string>  [eE]'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*' )
      | (?P<quoted>  "(?:[^"]|"")*" )
      | (?P<dollar>  \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
      | (?P<strange> [uU]&['"] | [eE]?' | ["{\\$] | %s\b | %\(\w+\)s\b | @[^\W\d]\w* | \?(?=\s*(?:[,);]|$)) )
      | (?P<number>  [0-9][0-9A-Za-z_.]* )
      | (?P<word>    [^\W\d][\w$]* )
      | (?P<cast>    :: | := )
      | (?P<name>    :[A-Za-z_][A-Za-z0-9_]* )
      | (?P<space>   \s+ )
      | (?P<mark>    . )""",
    re.DOTALL | re.VERBOSE,
)
_BLOCK = re.compile(r"/\*|\*/")
_CHANGES = frozenset({"insert", "update", "delete", "merge"})
# With these a query could change what it may do, reach files or hold up others.
_REFUSED = re.compile(
    r"set_config|pg_(read|write|ls|stat)_.*|pg_(try_)?advisory_.*|pg_(terminate|cancel)_backend|pg_notify"
    r"|pg_reload_conf|pg_rotate_.*|pg_logical_.*|pg_create_.*|pg_drop_.*|(query|table|cursor|schema|database)_to_xml.*"
    r"|lo_.*|loread|lowrite|dblink.*|nextval|setval|ts_stat|ts_rewrite"
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
    """The text with $1, $2, ... for the names, and the names in that order. A `;` at its end is dropped."""
    tokens = list(_tokens(sql))
    _check(tokens)
    names: dict[str, int] = {}
    out = []
    for kind, text in tokens:
        out.append(f"${names.setdefault(text[1:], len(names) + 1)}" if kind == "name" else text.rstrip(";"))
    if len(names) > MOST:
        raise BadSql(f"more than {MOST} parameters")
    return "".join(out).strip(), tuple(names)


def _tokens(sql: str) -> Iterator[Token]:
    if len(sql) > LONGEST or "\0" in sql:
        raise BadSql(f"longer than {LONGEST} characters" if "\0" not in sql else "a NUL character")
    at, brackets, last = 0, list[str](), ""
    while match := _TOKEN.match(sql, at):
        kind, text = str(match.lastgroup), match.group()
        if kind == "block":
            text = sql[at : _end_of_comment(sql, at)]
        elif kind == "mark" and text in "[]()":
            if not brackets and text in "])":
                raise BadSql(f"a {text} too many")  # it would end what the text is put into
            brackets = [*brackets, text] if text in "[(" else brackets[:-1]
        elif kind == "name" and brackets[-1:] == ["["] and last not in ("[", ",", ":", "+", "-"):
            kind, text = "mark", ":"  # of a slice [1:n]
        yield Token(kind, text)
        last = last if kind in ("space", "comment", "block") else text
        at += len(text)


def _end_of_comment(sql: str, at: int) -> int:
    """Comments of this kind nest."""
    depth = 0
    for match in _BLOCK.finditer(sql, at):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    raise BadSql("a comment /* does not end")


def _check(tokens: list[Token]) -> None:
    said = [token for token in tokens if token.kind not in ("space", "comment", "block")]
    if said and said[-1].text == ";":
        said.pop()
    if not said or said[0].text.lower() not in ("select", "with"):
        begins = f"it begins with {said[0].text[:20]!r}" if said else "no question"
        raise BadSql(begins, "a lookup is one SELECT, or WITH ... SELECT")
    for token in said:
        _check_token(token)
    for before, token in pairwise(said):
        if before.text == "(" and token.kind == "word" and token.text.lower() in _CHANGES:
            raise BadSql(f"{token.text.upper()} changes data", "a lookup only reads")


def _check_token(token: Token) -> None:
    word = token.text.strip('"').lower()
    if token.text == ";":
        raise BadSql("several statements", "a lookup is one SELECT")
    if token.kind == "strange":
        raise BadSql(*_strange(token.text))
    if token.kind in ("word", "quoted") and _REFUSED.fullmatch(word):
        raise BadSql(f"{word} is not for lookups")
    if token.kind == "word" and word == "into":
        raise BadSql("INTO makes a table", "a lookup only reads")


def _strange(text: str) -> tuple[str, str]:
    if text[-1] in "'\"" and text[0] in "uU":
        return "U& strings and names are not read", "write the characters themselves"
    if text[-1] in "'\"":
        return f"a {text[-1]} without its end", ""
    return f"{text} is no parameter", "write it as :name, and its value under `with`"
