"""The SQL of a lookup is one question with named parameters, or it is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.ivr.sql import LONGEST, MOST, BadSql, parameters, translate


@pytest.mark.parametrize(("sql", "text", "names"), [
    ("select 1", "select 1", ()),
    ("  SELECT a FROM t WHERE r = :ref ;\n", "SELECT a FROM t WHERE r = $1", ("ref",)),
    ("select :b, :a, :b", "select $1, $2, $1", ("b", "a")),
    ("with x as (select :n as n) select n from x", "with x as (select $1 as n) select n from x", ("n",)),
    ("select ':no', 'it''s :no', :yes", "select ':no', 'it''s :no', $1", ("yes",)),
    (r"select E'a\':no', e'\\', :yes", r"select E'a\':no', e'\\', $1", ("yes",)),
    (r"select 'a\', :yes", r"select 'a\', $1", ("yes",)),
    ('select ":no", "a"":no"', 'select ":no", "a"":no"', ()),
    ("select due::date, :n::int, a::text::int", "select due::date, $1::int, a::text::int", ("n",)),
    ("select :n::int[]", "select $1::int[]", ("n",)),
    ("select 1 -- :no; drop\n, :yes", "select 1 -- :no; drop\n, $1", ("yes",)),
    ("select /* :no /* nested ; */ ' */ :yes", "select /* :no /* nested ; */ ' */ $1", ("yes",)),
    ("select $$ :no; ' $$, $tag$ $$ :no $tag$, :yes", "select $$ :no; ' $$, $tag$ $$ :no $tag$, $1", ("yes",)),
    ("select a[1:n], a[:n], a[1, :n], a[(:n)], a[1 : :n]",
     "select a[1:n], a[$1], a[1, $1], a[($1)], a[1 : $1]", ("n",)),
    ("select f(a => :n, b := :n)", "select f(a => $1, b := $1)", ("n",)),
    ("select d ? 'key', d ?| :keys, d @> :d, 5 % 3, 1.5e3, tab$le from t",
     "select d ? 'key', d ?| $1, d @> $2, 5 % 3, 1.5e3, tab$le from t", ("keys", "d")),
    ("select 名 from 表 where 名 = :name", "select 名 from 表 where 名 = $1", ("name",)),
    ("select date'2026-11-25', :n", "select date'2026-11-25', $1", ("n",)),
    ("select updated_at, (deleted) from t", "select updated_at, (deleted) from t", ()),
    ("/* why */ select 1 -- end", "/* why */ select 1 -- end", ()),
    ("select ')', (1)", "select ')', (1)", ()),
])  # fmt: skip
def test_names_become_numbers(sql: str, text: str, names: tuple[str, ...]) -> None:
    assert translate(sql) == (text, names)
    assert parameters(sql) == names


@pytest.mark.parametrize(("sql", "said"), [
    ("", "no question"),
    (" -- only a comment", "no question"),
    (";", "no question"),
    ("delete from crm.customers", "it begins with 'delete'"),
    ("(select 1)", "it begins with '('"),
    ("values (1)", "it begins with 'values'"),
    ("explain select 1", "it begins with 'explain'"),
    ("'select' 1", "it begins with \"'select'\""),
    ("select 1; select 2", "several statements"),
    ("select 1;;", "several statements"),
    ("select 1 /* a */; -- b\n drop table t", "several statements"),
    ("with x as (delete from t returning 1) select 1 from x", "DELETE changes data"),
    ("with x as materialized (\n/* now */ Update t set a = 1 returning 1) select 1", "UPDATE changes data"),
    ("select a into b from t", "INTO makes a table"),
    ("select 1) as a, (select 2", "a ) too many"),
    ("select a[1]]", "a ] too many"),
    ("select $1", "$ is no parameter"),
    ("select a from t where b = %s", "%s is no parameter"),
    ("select a from t where b = %(name)s", "%(name)s is no parameter"),
    ("select a from t where b = ?", "? is no parameter"),
    ("select f(?, 2)", "? is no parameter"),
    ("select a from t where b = @name", "@name is no parameter"),
    ("select {{ x }}", "{ is no parameter"),
    ("select a from t where b = '{{ x }}", "a ' without its end"),
    ("select E'abc\\'", "a ' without its end"),
    ('select "abc', 'a " without its end'),
    ("select $a$ $b$", "$ is no parameter"),
    ("select /* /* */ 1", "a comment /* does not end"),
    ("select U&'d\\0061t'", "U& strings and names are not read"),
    ('select u&"d\\0061t"', "U& strings and names are not read"),
    ("select set_config('role', 'none', true)", "set_config is not for lookups"),
    ("select pg_catalog.\"set_config\"('role', 'none', true)", "set_config is not for lookups"),
    ("select query_to_xml('select 1', true, true, '')", "query_to_xml is not for lookups"),
    ("select PG_READ_FILE('/etc/passwd')", "pg_read_file is not for lookups"),
    ("select pg_advisory_lock(1)", "pg_advisory_lock is not for lookups"),
    ("select '\0'", "a NUL character"),
    ("select " + "1" * LONGEST, f"longer than {LONGEST} characters"),
    ("select " + ", ".join(f":p{n}" for n in range(MOST + 1)), f"more than {MOST} parameters"),
])  # fmt: skip
def test_whatever_is_not_one_question_is_refused(sql: str, said: str) -> None:
    with pytest.raises(BadSql) as refused:
        parameters(sql)
    assert str(refused.value) == said


def test_a_refusal_says_what_to_write() -> None:
    with pytest.raises(BadSql) as refused:
        parameters("select a from t where b = ?")
    assert refused.value.hint == "write it as :name, and its value under `with`"


@given(st.text(alphabet="select'\"$:;-/*[]()ab1 \n\\eE&U?%@{,", max_size=60).map("select ".__add__))
def test_any_text_is_read_or_refused_and_nothing_is_lost(sql: str) -> None:
    try:
        text, names = translate(sql)
    except BadSql:
        return
    for number, name in reversed(list(enumerate(names, 1))):
        text = text.replace(f"${number}", f":{name}")
    assert "".join(text.split()) == "".join(sql.rstrip("; \n").split()) or ";" in sql
