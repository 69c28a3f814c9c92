"""Strict YAML."""

from __future__ import annotations

import time

import pytest

from cti.adapters.flow_yaml import parse


def test_plain_data_with_places() -> None:
    source = parse("x", "a: 1\nb:\n  - x\n  - {c: true, d: -2.5, e: ~, f: '01'}\n")
    assert source.data == {"a": 1, "b": ["x", {"c": True, "d": -2.5, "e": None, "f": "01"}]}
    assert source.keys[("b",)] == (2, 1)
    assert source.values[("b", 0)] == (3, 5)
    assert source.keys[("b", 1, "d")] == (4, 15)
    assert source.values[("b", 1, "d")] == (4, 18)
    assert source.problems == ()


@pytest.mark.parametrize(
    "word",
    [
        "on", "Off", "YES", "no", "01000", "0812", "0o17", "0x1F", "0b11", "8:30", "1:20:30", "+628123", "1_000", "1e3",
        ".5", "1.", "1.5e3", ".inf", "2026-12-31", "2026-12-31 10:00:00", "=", "<<", "12345678901234567",
        "-012", "+1", "00",
    ],
)  # fmt: skip
def test_what_readers_disagree_about_must_be_quoted(word: str) -> None:
    problems = parse("x", f"ok: 1\nk: {word}\n").problems
    assert [(one.line, one.column) for one in problems] == [(2, 4)]
    assert "quoted" in problems[0].message
    assert parse("x", f'k: "{word}"\n').data == {"k": word}


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("1_000", "; digits alone where a quantity is meant"),  # in quotes it would be refused as no number
        ("+5", "; digits alone where a quantity is meant"),
        ("12345678901234567", "; digits alone where a quantity is meant"),
        ("no", "; write true or false where that is meant"),
        ("8:30", ""),
        ("2026-12-31", ""),
    ],
)
def test_what_to_write_where_no_text_is_meant(word: str, instead: str) -> None:
    assert parse("x", f"k: {word}\n").problems[0].hint == f'"{word}"{instead}'


@pytest.mark.parametrize("word", ["hello", "10", "0", "-0", "-7", "1.25", "true", "False", "null", "5s", "a:b", "y"])
def test_what_all_readers_agree_about_is_plain(word: str) -> None:
    assert parse("x", f"k: {word}\n").problems == ()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "`a` is there twice"),
        ("a: {x: 1, x: {y: 1}}\n", 1, "`x` is there twice"),
        ("1: a\n", 1, "the key `1` must be quoted"),
        ("on: a\n", 1, "`on` must be quoted"),
        ("? [a]\n: b\n", 1, "a key must be text"),
        ("a: {{ b }}\n", 1, "a key must be text (text with {{ }} needs quotes"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "tags are not allowed"),
        ("a: !x b\n", 1, "tags are not allowed"),
        ("a: &b c\n", 1, "anchors and aliases are not allowed"),
        ("a: 1\nb: *a\n", 2, "anchors and aliases are not allowed"),
        ("a: 1\n*: x\n", 2, "anchors and aliases are not allowed"),
        ("%YAML 1.1\n---\na: 1\n", 1, "one document a file"),
        ("a: 1\n---\nb: 1\n", 2, "one document a file"),
        ("a: {b: 1,\nc: [1\n", 3, "the file ends inside something that is still open"),
        ('a: "b\nc', 2, "the file ends inside something"),
        ("a:\n\tb: 1\n", 2, "not YAML: a tab (write spaces)"),
        ("a: @b\n", 1, "not YAML: a text may not begin so (put it in quotes"),
        ("a: b: c\n", 1, "not YAML: a `:` is not expected here (a text with `: ` in it needs quotes"),
        ("a: {b: c: d}\n", 1, "not YAML: a `:` is not expected here (a comma or bracket is missing before it"),
        ('a:\n  b: "c\n  d: "e f"\n', 3, "not YAML: text after the end of a value (a quote before it is not closed"),
        ("a:\n  b: 1\n c: 2\n", 3, "not YAML: the line is indented otherwise than those it belongs to (begun in"),
        ("a: - b\n", 1, "not YAML: sequence entries are not allowed here"),
        ("a: \x07\n", 1, "the character U+0007 is not allowed"),
        ("x: 1\na: b\x00\n", 2, "the character U+0000 is not allowed"),
        ('a: "\\e[31m"\n', 1, "the character U+001B is not allowed"),
        ('a: "\\ud800"\n', 1, "the character U+D800 is not allowed"),
        ('x: 1\na: "\\UFFFFFFFF"\n', 2, "an escape that is no character"),
        ('x: 1\na: "b\\U00110000"\n', 2, "an escape that is no character"),
        (f"%YAML 1.{'9' * 5000}\n---\na: 1\n", 1, "a number that is too large"),
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        ("[" * 30 + "]" * 30, 1, "nested too deep"),
        ("a: " + "[" * 50_000, 1, "nested too deep"),
        ("[" + "1," * 30_000 + "1]", 1, "more than 20000 values"),
    ],
)
def test_a_problem_has_its_line(text: str, line: int, message: str) -> None:
    begun = time.perf_counter()
    problems = parse("x", text).problems
    assert time.perf_counter() - begun < 2
    assert message in str(problems[0])
    assert problems[0].line == line


@pytest.mark.parametrize(
    ("text", "place", "char"),
    [
        ("a: 1\rb: on\r", (1, 5), "U+000D"),
        ("a: 1\r\nb: 2\r\r\nc: on\n", (2, 5), "U+000D"),
        ("a: 1\nb: x\x85y\nc: on\n", (2, 5), "U+0085"),
        ("a: 1\n# x\u2028\nc: on\n", (2, 4), "U+2028"),
        ("a: 1\nb: 'x\u2029y'\nc: on\n", (2, 6), "U+2029"),
        ("\ufeffa: 1\nb: \u2028", (2, 4), "U+2028"),
        ("\ufeffa: 1\n\x07b: 1\n", (2, 1), "U+0007"),
    ],
)
def test_what_ends_a_line_for_yaml_alone_is_refused_where_it_stands(
    text: str, place: tuple[int, int], char: str
) -> None:
    """It is no line to an editor, so that every later problem would be told too far down."""
    problems = parse("x", text).problems
    assert [(one.line, one.column) for one in problems] == [place]
    assert problems[0].message == f"the character {char} is not allowed"


def test_a_double_is_told_once_with_the_first_place_and_the_first_counts() -> None:
    source = parse("x", "a: {v: 1}\nb: 1\na: {v: 2, w: {v: 3}}\n")
    assert [(one.line, one.hint) for one in source.problems] == [(3, "the first is in line 1")]
    assert source.data == {"a": {"v": 1}, "b": 1}
