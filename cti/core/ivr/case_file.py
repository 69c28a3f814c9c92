"""Test files (`NAME.test.yaml`) as an admin writes them: read, and checked against the flows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cti.core.ivr.case_steps import read_expect, read_steps, read_way
from cti.core.ivr.cases import TASKS, Case, Cases, Expect, Given
from cti.core.ivr.model import Book
from cti.core.ivr.readers import login
from cti.core.ivr.source import Path, Read, Reader, Source, a_map, language, name, one_of, text, told, whole
from cti.core.ivr.steps import Answer
from cti.core.messages import Forced

NOON = "2026-01-07 12:00"  # when tests are that do not say when: a Wednesday, and no holiday
AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?")
PAST: Mapping[str, Read] = {  # of his calls before, as a test may give it
    "repeat": whole(0, 5), "last_agent": login, "callback": name, "callback_tries": whole(0, 20),
}  # fmt: skip
FOR_EVER = 1e11  # no test is that far from now, in seconds


class _Scope(msgspec.Struct, frozen=True):
    """What test files are read within: the flows, None when they are faulty themselves, and the site's time zone."""

    book: Book | None
    zone: ZoneInfo

    @property
    def flows(self) -> Mapping[str, Any]:
        return self.book.flows if self.book is not None else {}

    def verbs(self, node: str) -> set[str]:
        """The verbs of the nodes with this id, or of `flow/node`."""
        flow, _, inner = node.rpartition("/")
        flows = [self.flows[flow]] if flow in self.flows else [] if flow else self.flows.values()
        return {one.nodes[inner].verb for one in flows if inner in one.nodes}

    def known_node(self, reader: Reader, path: Path, node: str, of_key: bool = False) -> set[str]:
        """The verbs of a node that a test names; that there is none is a problem."""
        verbs = self.verbs(node)
        if self.book is not None and not verbs:
            known = {one for flow in self.flows.values() for one in flow.nodes}
            reader.unknown(path, f"`{node[:60]}` is no node", node[:60], known, of_key)
        return verbs


def read_cases(source: Source, book: Book | None, zone: str) -> Cases:
    """`book` None: whether nodes and flows are there is not looked at."""
    reader = Reader(source)
    scope = _Scope(book, ZoneInfo(zone))
    tests = () if source.data is None else _file(reader, scope)
    problems = tuple(told([reader]))
    return Cases(source.file, () if problems else tests, problems, reader.place)


# ---------------------------------------------------------------- the file


def _file(reader: Reader, scope: _Scope) -> tuple[Case, ...]:
    known: dict[str, Read] = {
        "flow": _flow(scope),
        "called": text,
        "given": _given(scope),
        "tests": lambda r, path, value: a_map(r, path, value, "`tests`"),
    }
    top = reader.fields((), reader.source.data, known, "a test file", ("tests",))
    tests = top.get("tests", {})
    if "tests" in top and not tests:
        reader.wrong(("tests",), "a test file needs at least one test", of_key=True)
    return tuple(case for key, value in tests.items() for case in _case(reader, scope, top, key, value))


def _case(reader: Reader, scope: _Scope, top: Mapping[str, Any], key: str, value: Any) -> list[Case]:
    path: Path = ("tests", key)
    known: dict[str, Read] = {
        "flow": _flow(scope),
        "called": text,
        "given": _given(scope),
        "answers": _answers(scope),
        "steps": read_steps,
        "path": read_way(scope.known_node),
        "expect": read_expect,
        "note": text,
    }
    found = reader.fields(path, value, known, "a test")
    if not any(word in found for word in ("steps", "path", "expect")):
        reader.wrong(path, f"test `{key[:60]}` asks for nothing", "`steps`, `path` or `expect`", of_key=True)
    given = {"at": _time(NOON, scope), **top.get("given", {}), **found.get("given", {})}
    if called := _called(top, found):
        given["called"] = called
    flow = _start(reader, scope, path, top, found, given)
    return [
        Case(
            name=key,
            flow=flow,
            given=Given(**given),
            answers=found.get("answers", {}),
            steps=found.get("steps", ()),
            way=found.get("path"),
            expect=found.get("expect", Expect()),
            path=path,
        )
    ]


def _called(top: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The number that is called; a test's own `flow` leaves that of the file out."""
    return str(found.get("called", "" if "flow" in found else top.get("called", "")))


def _start(
    reader: Reader,
    scope: _Scope,
    path: Path,
    top: Mapping[str, Any],
    found: Mapping[str, Any],
    given: dict[str, Any],
) -> str:
    """The flow a test begins with: as said, else as numbers.yaml leads the called number to it."""
    called, flow = given.get("called", ""), str(found.get("flow", "" if "called" in found else top.get("flow", "")))
    if flow:
        return flow
    if not called:
        if "flow" not in top and "flow" not in found:
            reader.wrong(path, "no flow to test", "`flow: NAME`, or `called: NUMBER` as in numbers.yaml", of_key=True)
        return ""
    led = scope.book.flow_for(called) if scope.book is not None else ("", "")
    if led is None:
        where: Path = (*path, "called") if "called" in found else ("called",)
        reader.wrong(where, f"numbers.yaml leads `{called[:40]}` to no flow")
        return ""
    given.setdefault("language", led[1] or None)
    return led[0]


def _flow(scope: _Scope) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> str:
        flow = name(reader, path, value)
        if flow and scope.book is not None and flow not in scope.flows:
            reader.unknown(path, f"flow `{flow}` is not in this folder", flow, scope.flows)
        return flow

    return read


# ---------------------------------------------------------------- what is given


def _given(scope: _Scope) -> Read:
    known: dict[str, Read] = {
        "caller": text,
        "at": lambda reader, path, value: _at(reader, path, value, scope),
        "language": language,
        "customer": lambda reader, path, value: a_map(reader, path, value, "`customer`"),
        "calendars": _calendars(scope),
        "call": lambda reader, path, value: reader.fields(path, value, PAST, "`call`"),
    }

    def read(reader: Reader, path: Path, value: Any) -> dict[str, Any]:
        found = reader.fields(path, value, known, "`given`")
        if "calendars" in found:
            found["forced"] = found.pop("calendars")
        if "call" in found:
            found["past"] = found.pop("call")
        return found

    return read


def _time(written: str, scope: _Scope) -> float:
    return datetime.fromisoformat(written).replace(tzinfo=scope.zone).timestamp()


def _at(reader: Reader, path: Path, value: Any, scope: _Scope) -> float:
    try:
        if isinstance(value, str) and AT.fullmatch(value):
            return _time(value, scope)
    except (ValueError, OverflowError):
        pass
    reader.wrong(path, f"`{str(value)[:60]}` is no time", f'like "{NOON}", in the time of the site')
    return 0.0


def at_time(written: str, zone: str) -> float | None:
    """Seconds since the epoch of a time as test files have it, or None."""
    reader = Reader(Source("", None))
    at = _at(reader, (), written, _Scope(None, ZoneInfo(zone)))
    return None if reader.problems else at


def _calendars(scope: _Scope) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> dict[str, Forced]:
        held = a_map(reader, path, value, "`calendars`")
        return {key: _forced(reader, scope, (*path, key), key, state) for key, state in held.items()}

    return read


def _forced(reader: Reader, scope: _Scope, path: Path, key: str, state: Any) -> Forced:
    if scope.book is not None and key not in scope.book.calendars:
        message = f"calendar `{key[:60]}` is not in calendars.yaml"
        reader.unknown(path, message, key[:60], scope.book.calendars, of_key=True)
    if state == "holiday":
        reader.wrong(path, "a calendar is opened or closed by hand", "a holiday is a matter of the day: set `at`")
    elif state != "open":
        one_of("open", "closed")(reader, path, state)
    return Forced("open" if state == "open" else "closed", FOR_EVER)


def _answers(scope: _Scope) -> Read:
    def read(reader: Reader, path: Path, value: Any) -> dict[str, tuple[Answer, ...]]:
        held = a_map(reader, path, value, "`answers`")
        return {key: _answered(reader, scope, (*path, key), key, inner) for key, inner in held.items()}

    return read


def _answered(reader: Reader, scope: _Scope, path: Path, key: str, value: Any) -> tuple[Answer, ...]:
    """An outcome, or {outcome, fields}; or a list of them: the first time, the second ..."""
    verbs = scope.known_node(reader, path, key, of_key=True)
    if verbs and not verbs & TASKS.keys():
        hint = f"answers are for {', '.join(TASKS)}"
        reader.wrong(path, f"nothing outside is asked by `{key}`, a {min(verbs)} node", hint, of_key=True)
    each = value if isinstance(value, list) else [value]
    places = [(*path, at) for at in range(len(each))] if isinstance(value, list) else [path]
    if not each:
        reader.wrong(path, "a list of answers needs at least one")
    return tuple(_answer(reader, verbs, at, one) for at, one in zip(places, each, strict=True))


def _answer(reader: Reader, verbs: set[str], path: Path, value: Any) -> Answer:
    data = dict(value) if isinstance(value, dict) else {"outcome": value}
    outcome = data.pop("outcome", "")
    at: Path = (*path, "outcome") if isinstance(value, dict) else path
    if not isinstance(outcome, str):
        reader.wrong(at, "an outcome must be text", "like found, none or error")
        return Answer("")
    known = sorted({word for verb in verbs for word in TASKS.get(verb, ())})
    if outcome and known and "script" not in verbs and outcome not in known:
        reader.unknown(at, f"`{outcome[:60]}` is none of {', '.join(known)}", outcome[:60], known)
    return Answer(outcome, data=data)
