"""The files beside the flows: queries, voicemail boxes, surveys, phrases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from typing import Any

import msgspec

from cti.core.ivr import sql
from cti.core.ivr.expressions import Names
from cti.core.ivr.model import Box, Question, Questions, Speech, Statement
from cti.core.ivr.phrases import BLANKS, PHRASES
from cti.core.ivr.readers import Scope, check_lengths, prompt_names, texts
from cti.core.ivr.source import Path, Reader, a_map, duration, flag, language, name, text, whole

FILES = ("lookups.yaml", "voicemail.yaml", "surveys.yaml", "phrases.yaml")
NOWHERE = Scope("", {}, Names({"call", "customer", "language"}, {}), "", ())  # what is not part of a flow


class Beside(msgspec.Struct, frozen=True):
    statements: Mapping[str, Statement] = {}
    boxes: Mapping[str, Box] = {}
    surveys: Mapping[str, Questions] = {}
    phrases: Mapping[str, Mapping[str, str]] = {}

    @property
    def names(self) -> dict[str, Mapping[str, Any]]:
        """By file, what flows may name."""
        return {"lookups.yaml": self.statements, "voicemail.yaml": self.boxes, "surveys.yaml": self.surveys}


def read(readers: Mapping[str, Reader]) -> Beside:
    """Problems go to the readers."""
    return Beside(
        statements=_top(readers.get("lookups.yaml"), "lookups", _statement),
        boxes=_top(readers.get("voicemail.yaml"), "boxes", _box),
        surveys=_top(readers.get("surveys.yaml"), "surveys", _survey),
        phrases=_top(readers.get("phrases.yaml"), "phrases", _phrase, PHRASES),
    )


def _top(reader: Reader | None, word: str, inner: Any, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """{name: ...} under the one key of a file."""
    if reader is None:
        return {}
    file = reader.source.file
    maps = {word: lambda r, path, value: a_map(r, path, value, f"`{word}`")}
    found = reader.fields((), reader.source.data, maps, file, (word,)).get(word, {})
    for key in found:
        if known is not None and key not in known:
            reader.unknown((word, key), f"`{key[:60]}` is no phrase", key[:60], known, of_key=True)
        else:
            name(reader, (word, key), key, of_key=True)
    return {key: inner(reader, (word, key), value) for key, value in found.items()}


# ---------------------------------------------------------------- queries


def _sql(reader: Reader, path: Path, value: Any) -> str:
    written = text(reader, path, value)
    try:
        sql.parameters(written or "select")
    except sql.BadSql as error:
        reader.wrong(path, f"this query cannot be used: {error}")
        return "select"
    return written


STATEMENT = {"sql": _sql, "many": flag, "timeout": duration(0.1, 10)}


def _statement(reader: Reader, path: Path, value: Any) -> Statement:
    found = reader.fields(path, value, STATEMENT, "a lookup", ("sql",))
    written = found.get("sql", "select") or "select"
    return Statement(**{**found, "sql": written, "names": sql.parameters(written)})


# ---------------------------------------------------------------- voicemail and surveys

SPEECH = {"say": texts(NOWHERE), "play": prompt_names}
BOX = {**SPEECH, "max": duration(1, 600), "silence": duration(1, 30), "min": duration(0, 60)}
QUESTION = {**SPEECH, "keys": text, "retries": whole(0, 9)}
SURVEY = {
    "questions": lambda r, path, value: a_map(r, path, value, "`questions`"),
    "intro": lambda r, path, value: _speech(r.fields(path, value, SPEECH, "what is said")),
    "thanks": lambda r, path, value: _speech(r.fields(path, value, SPEECH, "what is said")),
}
MAX_QUESTIONS = 10


def _speech(found: Mapping[str, Any]) -> Speech:
    return Speech(names=found.get("play", ()), texts=found.get("say", {}))


def _box(reader: Reader, path: Path, value: Any) -> Box:
    found = reader.fields(path, value, BOX, "a box")
    check_lengths(reader, path, found, 120.0)
    return Box(_speech(found), found.get("max", 120.0), found.get("silence", 4.0), found.get("min", 2.0))


def _survey(reader: Reader, path: Path, value: Any) -> Questions:
    found = reader.fields(path, value, SURVEY, "a survey", ("questions",))
    asked = found.get("questions", {})
    if "questions" in found and not 1 <= len(asked) <= MAX_QUESTIONS:
        reader.wrong((*path, "questions"), f"a survey has 1 to {MAX_QUESTIONS} questions", of_key=True)
    questions = {key: _question(reader, (*path, "questions", key), one) for key, one in asked.items()}
    return Questions(questions, found.get("intro", Speech()), found.get("thanks", Speech()))


def _question(reader: Reader, path: Path, value: Any) -> Question:
    if name(reader, path, str(path[-1]), of_key=True) == "outcome":
        reader.wrong(path, "a question cannot be called `outcome`", of_key=True)
    found = reader.fields(path, value, QUESTION, "a question", ("keys",))
    if isinstance(value, dict) and "say" not in value and "play" not in value:
        reader.wrong(path, "a question needs `say` or `play`", of_key=True)
    keys = _keys(found.get("keys", "1-5"))
    if not keys:
        reader.wrong((*path, "keys"), "`keys` are digits", 'like "1-5" or "12"')
    return Question(_speech(found), keys or "12345", found.get("retries"))


def _keys(written: str) -> str:
    """The digits of `1-5`, or those that are written; empty: it is neither."""
    first, to, last = written.partition("-")
    if to and len(first) == len(last) == 1 and (first + last).isascii() and (first + last).isdigit() and first < last:
        return "".join(str(digit) for digit in range(int(first), int(last) + 1))
    return written if written.isascii() and written.isdigit() and len(set(written)) == len(written) else ""


# ---------------------------------------------------------------- phrases

BRACES = re.compile(r"[{}][^{}]*}?")


def _fillable(blanks: list[str]) -> str:
    return f"only into {blanks[0]}" if blanks else "write it without braces"


def _phrase(reader: Reader, path: Path, value: Any) -> dict[str, str]:
    """{language: text}; what is filled in must stay."""
    held = a_map(reader, path, value, "a phrase")
    blanks = [blank for blank in BLANKS if blank in PHRASES.get(str(path[-1]), {}).get("en", "")]
    for key, inner in held.items():
        language(reader, (*path, key), key, of_key=True)
        written = text(reader, (*path, key), inner)
        for blank in blanks:
            if written and blank not in written:
                reader.wrong((*path, key), f"this phrase needs {blank}", "that is where it is said")
        if strange := BRACES.search(reduce(lambda left, blank: left.replace(blank, ""), blanks, written)):
            reader.useless((*path, key), f"nothing is filled into `{strange[0][:40]}` here", _fillable(blanks))
    return {key: str(inner) for key, inner in held.items()}
