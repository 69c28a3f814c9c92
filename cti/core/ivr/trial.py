"""Runs the tests of flows: each is a call of its own on a `Phone`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from cti.core.ivr.cases import Case, Cases, Spoken, Step
from cti.core.ivr.model import Book
from cti.core.ivr.phone import Passed, Phone, words
from cti.core.ivr.problems import Problem
from cti.core.ivr.source import Path
from cti.core.ivr.steps import Ask, Dial, Enqueue, Fact, Record

MAX_HEARD = 3  # prompts that are told of when another was expected


class Result(msgspec.Struct, frozen=True):
    """`failures`: what was not as expected, and where that is written; `path`: the nodes the call passed, `hints`:
    what may have led it there."""

    case: Case
    failures: tuple[Problem, ...]
    path: tuple[Passed, ...]
    hints: tuple[str, ...] = ()

    def way(self) -> list[str]:
        """The path as text, as a test file has it."""
        return [told(one, self.case.flow) for one in self.path]


class _Failed(Exception):
    def __init__(self, path: Path, message: str, hint: str = "") -> None:
        self.path = path
        self.message = message
        self.hint = hint


def run(book: Book, file: Cases, case: Case) -> Result:
    trial = _Trial(book, case)
    failed = trial.run()
    failures = [Problem(file.file, *file.place(one.path), one.message, one.hint) for one in failed]
    return Result(case, tuple(sorted(failures)), tuple(trial.phone.path), tuple(trial.hints()))


def told(passed: Passed, flow: str) -> str:
    node = passed.node if passed.flow == flow else f"{passed.flow}/{passed.node}"
    return node if passed.outcome == "done" else f"{node} {passed.outcome}"


class _Trial:
    """One test: `since` is the place in what was heard from which on the next `hear` looks: prompt and character."""

    def __init__(self, book: Book, case: Case) -> None:
        self.case = case
        given = case.given
        self.phone = Phone(
            book,
            case.flow,
            given.language,
            caller=given.caller,
            called=given.called,
            customer=given.customer,
            at=given.at,
            forced=given.forced,
            answers=case.answers,
            past=given.past,
        )
        self.since = (0, 0)

    def run(self) -> list[_Failed]:
        """What failed: the first step that did, else all that came otherwise in the end."""
        self.phone.settle()
        try:
            for step in self.case.steps:
                self._do(step)
        except _Failed as failed:
            return [failed]
        self._finish_entry()
        self.phone.hang_up()
        self.phone.settle()
        return [*self._way(), *self._expected()]

    def hints(self) -> Iterator[str]:
        for one in dict.fromkeys(self.phone.strange):
            yield f"`{one.node}` asked outside ({one.outcome}), and `answers:` has nothing for it: error"

    # ------------------------------------------------------------ steps

    def _do(self, step: Step) -> None:
        if step.do == "hear":
            self._hear(step)
            return
        if step.do not in ("press", "wait"):
            self._finish_entry()
        if self.phone.ended:
            raise _Failed(step.path, f"`{step.do}` comes too late: {self._state()}")
        heard = len(self.phone.heard)
        ACTS[step.do](self, step)
        self.since = (heard, 0)
        self.phone.settle()

    def _finish_entry(self) -> None:
        """Who does something else than press keys has ended the entry he was in."""
        if self.phone.keys and isinstance(self.phone.action, Ask):
            self.phone.nothing()
            self.phone.settle()

    def _hear(self, step: Step) -> None:
        found = self._heard(step.spoken)
        if not found and self.phone.keys:
            self._finish_entry()
            found = self._heard(step.spoken)
        if not found:
            raise _Failed(step.path, f"expected to hear {step.spoken}, heard {self._since()}; {self._state()}")

    def _heard(self, spoken: Spoken) -> bool:
        first, begin = self.since
        for at, one in enumerate(self.phone.heard[first:], first):
            end = spoken.within(one.prompt, begin if at == first else 0)
            if end >= 0:
                self.since = (at, end)
                return True
        return False

    def _press(self, step: Step) -> None:
        keys = self.phone.action.keys if isinstance(self.phone.action, Enqueue) else ""
        if not keys and not isinstance(self.phone.action, Ask):
            raise _Failed(step.path, f"nobody asks for keys: {self._state()}")
        if keys and not set(keys) & set(step.word):
            raise _Failed(step.path, f"`{step.word}` does nothing: {self._state()}", f"keys: {', '.join(keys)}")
        self.phone.press(step.word)

    def _wait(self, step: Step) -> None:
        if not isinstance(self.phone.action, Ask):
            raise _Failed(step.path, f"nobody waits for keys: {self._state()}")
        self.phone.nothing()

    def _queue(self, step: Step) -> None:
        action = self.phone.action
        if not isinstance(action, Enqueue) or step.what not in ("", action.queue):
            raise _Failed(step.path, f"expected the caller in queue {step.what}".rstrip() + f": {self._state()}")
        self.phone.queue_ended(step.word)

    def _dial(self, step: Step) -> None:
        action = self.phone.action
        if not isinstance(action, Dial) or step.what not in ("", action.to):
            raise _Failed(step.path, f"expected a call to {step.what or 'a number'}: {self._state()}")
        self.phone.dial_ended(step.word)

    def _record(self, step: Step) -> None:
        if not isinstance(self.phone.action, Record):
            raise _Failed(step.path, f"nothing is recorded: {self._state()}")
        self.phone.recorded(step.seconds)

    def _hang_up(self, _step: Step) -> None:
        self.phone.hang_up()

    # ------------------------------------------------------------ what came of it

    def _way(self) -> Iterator[_Failed]:
        if self.case.way is None:
            return
        passed = self.phone.path
        ends = {0}  # how many nodes the path so far may have covered
        for at, item in enumerate(self.case.way):
            if item == "...":
                ends = set(range(min(ends), len(passed) + 1))
                continue
            after = {end + 1 for end in ends if end < len(passed) and _is(item, passed[end])}
            if not after:
                there = f"`{told(passed[max(ends)], self.case.flow)}`" if max(ends) < len(passed) else "the end"
                yield _Failed((*self.case.path, "path", at), f"the path does not come to `{item}`, but to {there}")
                return
            ends = after
        if len(passed) not in ends:
            here = told(passed[max(ends)], self.case.flow)
            yield _Failed((*self.case.path, "path"), f"the path goes on after its end: `{here}`", "`...` for any nodes")

    def _expected(self) -> Iterator[_Failed]:
        expect, path = self.case.expect, (*self.case.path, "expect")
        if expect.outcome not in ("", self.phone.outcome):
            message = f"expected the outcome {expect.outcome}, it was {self.phone.outcome}"
            yield _Failed((*path, "outcome"), message)
        for key, value in expect.vars.items():
            if (found := self.phone.line.vars.get(key)) != value or isinstance(found, bool) != isinstance(value, bool):
                yield _Failed((*path, "vars", key), f"expected vars.{key} = {value!r}, it was {found!r}")
        for at, (name, data) in enumerate(expect.events):
            if not any(_fits(fact, name, data) for fact in self.phone.facts):
                yield _Failed((*path, "events", at), f"expected the event {name}{_with(data)}, {self._facts()}")
        yield from self._said(path)

    def _said(self, path: Path) -> Iterator[_Failed]:
        for word, wanted in (("said", True), ("not_said", False)):
            for at, one in enumerate(getattr(self.case.expect, word)):
                if any(one.within(heard.prompt) >= 0 for heard in self.phone.heard) != wanted:
                    found = "was never said" if wanted else "was said"
                    yield _Failed((*path, word, at), f"{one} {found}")

    # ------------------------------------------------------------ in words

    def _state(self) -> str:
        if self.phone.ended:
            return f"the call is over ({self.phone.outcome})"
        node = told(Passed(self.phone.line.flow, self.phone.line.node, "done"), self.case.flow)
        match self.phone.action:
            case Enqueue(queue):
                return f"the caller waits in queue {queue}, in `{node}`"
            case Dial(to):
                return f"{to} is called, in `{node}`"
            case Record():
                return f"the caller is recorded, in `{node}`"
            case _:
                return f"the flow waits for keys in `{node}`"

    def _since(self) -> str:
        heard = [one.prompt for one in self.phone.heard[self.since[0] :]]
        said = ", ".join(f'"{words(one)}"' for one in heard[:MAX_HEARD])
        return f"{said} ..." if len(heard) > MAX_HEARD else said or "nothing"

    def _facts(self) -> str:
        names = [str(fact.data.get("name", fact.type)) for fact in self.phone.facts]
        return f"there were: {', '.join(names)}" if names else "there was none"


ACTS: Mapping[str, Callable[[_Trial, Step], None]] = {
    "press": _Trial._press,
    "wait": _Trial._wait,
    "queue": _Trial._queue,
    "dial": _Trial._dial,
    "record": _Trial._record,
    "hang_up": _Trial._hang_up,
}


def _is(item: str, passed: Passed) -> bool:
    node, _, outcome = item.partition(" ")
    return node in (passed.node, f"{passed.flow}/{passed.node}") and outcome in ("", passed.outcome)


def _fits(fact: Fact, name: str, data: Mapping[str, Any]) -> bool:
    """By type, or by the name an `event` node gave it; `data` may be less than there is."""
    own = fact.data.get("data", {}) if fact.type == "flow.event" else {}
    known = {"queue": fact.queue, **fact.data, **own}
    return name in (fact.type, fact.data.get("name")) and all(known.get(key) == data[key] for key in data)


def _with(data: Mapping[str, Any]) -> str:
    return f" with {', '.join(f'{key} = {value!r}' for key, value in data.items())}" if data else ""
