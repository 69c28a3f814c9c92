"""A Book from text, as an admin writes it."""

from __future__ import annotations

import msgspec

from cti.adapters.flow_files import Sources, load
from cti.core import ivr
from cti.core.messages import Sealed

QUEUES = "queues: {sales: {}, support: {}}\n"
NOW = 1_800_000_000.0  # Friday 15 January 2027, 8:00 UTC
HEAD = "flow: t\nlanguage: en\nstart: a\nnodes:\n"


def problems_of(nodes: str, head: str = HEAD, **files: str) -> list[str]:
    """What `check` says about a flow `t.yaml` with these nodes, beside queues.yaml and `files` (name: text)."""
    texts = {"t.yaml": head + nodes, "queues.yaml": QUEUES}
    texts.update({f"{name}.yaml": text for name, text in files.items()})
    return [str(problem) for problem in load(Sources(texts))[1]]


def book_of(nodes: str, head: str = HEAD, **files: str) -> ivr.Book:
    texts = {"t.yaml": head + nodes, "queues.yaml": QUEUES}
    texts.update({f"{name}.yaml": text for name, text in files.items()})
    book, problems = load(Sources(texts), version=3)
    assert book is not None, "\n".join(map(str, problems))
    return book


class Phone:
    """A caller: plays the part of the switch."""

    def __init__(self, book: ivr.Book, flow: str = "t", language: str | None = None, **customer: object) -> None:
        self.book = book
        self.context = ivr.Context(call={"caller": "+62811555001"}, customer=customer, at=NOW)
        self.path: list[str] = []
        self.facts: list[ivr.Fact] = []
        self.turn = self._took(ivr.begin(book, flow, language, self.context))

    def _took(self, turn: ivr.Turn) -> ivr.Turn:
        self.path += [f"{visit.node}/{visit.outcome}" for visit in turn.trail if isinstance(visit, ivr.Visit)]
        self.facts += [fact for fact in turn.trail if isinstance(fact, ivr.Fact)]
        self.turn = turn
        return turn

    def answer(self, outcome: str, digits: str = "", **data: object) -> ivr.Action:
        reply = ivr.Answer(outcome, digits, data=data)
        return self._took(ivr.proceed(self.book, self.turn.line, reply, self.context)).action

    def reply(self, reply: ivr.Answer) -> ivr.Action:
        return self._took(ivr.proceed(self.book, self.turn.line, reply, self.context)).action

    def press(self, key: str) -> ivr.Action:
        return self.answer("digits", key)

    def seal(self, length: int, good: bool = True) -> ivr.Action:
        """Digits that nobody sees."""
        return self.reply(ivr.Answer("digits", sealed=Sealed(length=length, good=good)))

    def back(self) -> ivr.Action:
        """After a restart, with the position as it was stored."""
        stored = msgspec.json.decode(msgspec.json.encode(self.turn.line), type=ivr.Line)
        assert stored == self.turn.line
        return self._took(ivr.again(self.book, stored, self.context)).action

    def leave(self, outcome: str = "hangup") -> ivr.Action:
        return self._took(ivr.hung_up(self.book, self.turn.line, self.context, outcome)).action

    @property
    def result(self) -> dict[str, object]:
        """Of the first node."""
        found: dict[str, object] = self.turn.line.results["a"]
        return found

    @property
    def action(self) -> ivr.Action:
        return self.turn.action

    @property
    def heard(self) -> str:
        action = self.turn.action
        assert isinstance(action, ivr.Say | ivr.Ask | ivr.Record), action
        return " ".join(getattr(prompt, "text", "") or prompt.name for prompt in action.prompts)
