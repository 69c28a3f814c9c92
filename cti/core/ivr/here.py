"""A call in one of its nodes: what the node may read, what it may change, and how it can be left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from cti.core.ivr import model, phrases
from cti.core.ivr.expressions import Expression, ExpressionError, Record
from cti.core.ivr.model import Book, Flow, Node, Speech
from cti.core.ivr.steps import Action, Answer, Context, Fact, Line
from cti.core.messages import Prompt, Sound, Text


class Left(msgspec.Struct, frozen=True):
    """The node is over."""

    outcome: str
    vars: dict[str, Any] = {}


class Jump(msgspec.Struct, frozen=True):
    """Another flow goes on; `back`: this node is left when that one returns."""

    flow: str
    args: dict[str, Any]
    back: bool


class Back(msgspec.Struct, frozen=True):
    """This flow is over, and the one that called it goes on."""

    outcome: str
    values: dict[str, Any] = {}


Done = Action | Left | Jump | Back


class Here:
    """`line` is the position as it is now; `facts` is what the node says for the record."""

    def __init__(self, book: Book, context: Context, line: Line) -> None:
        self.book = book
        self.context = context
        self.line = line
        self.facts: list[Fact] = []

    @property
    def flow(self) -> Flow:
        return self.book.flows[self.line.flow]

    @property
    def node(self) -> Node:
        return self.flow.nodes[self.line.node]

    @property
    def customer(self) -> dict[str, Any]:
        """Whom a lookup has found, else whose number it is; with what is known besides of him."""
        who = self.context.customer if self.line.customer is None else self.line.customer
        return {**self.context.besides.get(str(who.get("customer_id")), {}), **who}

    def change(self, **changes: Any) -> None:
        self.line = msgspec.structs.replace(self.line, **changes)

    def stage(self, name: str, **held: Any) -> None:
        """The next step of a node of several; `held` is added to what it has so far."""
        self.change(stage=name, held={**self.line.held, **held} if name else held)

    def result(self, outcome: str, data: Mapping[str, Any]) -> None:
        """How the node ended, and what came of it; `data` may have names of any kind."""
        self.change(results={**self.line.results, self.node.id: {**data, "outcome": outcome}})

    # ------------------------------------------------------------ values

    def names(self) -> dict[str, Any]:
        """What expressions may use. A node `a-b` is `a_b` there, where - is minus."""
        line, at = self.line, datetime.fromtimestamp(self.context.at, UTC).isoformat(timespec="seconds")
        known = {"call": Record({"at": at, **self.context.call}), "customer": Record(self.customer)}
        results = {node.replace("-", "_"): found for node, found in line.results.items()}
        own = {"vars": line.vars, "args": line.args, "language": line.language, "_zone": self.book.zone}
        return {**results, **known, **own}

    def value(self, given: Any) -> Any:
        return given.value(self.names()) if isinstance(given, Expression) else given

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Constants, values of expressions, and marks for what is hidden. Raises ExpressionError."""
        names = self.names()
        return {key: _given(one, names) for key, one in given.items()}

    # ------------------------------------------------------------ speech

    def prompts(self, speech: Speech) -> tuple[Prompt, ...]:
        """In the caller's language, else in the flow's, else in any there is. Raises ExpressionError."""
        line = self.line
        sounds = (Sound(language=line.language, name=name, version=line.version) for name in speech.names)
        return (*sounds, *self._text(speech.texts))

    def _text(self, texts: Mapping[str, str | Expression]) -> Iterable[Prompt]:
        written = next((one for one in (*self._languages(), *texts) if one in texts), "")
        language, text = written or self.flow.language, texts.get(written, "")
        words = text.text({**self.names(), "_language": language}) if isinstance(text, Expression) else text
        return [Text(language=language, text=words)] if words.strip() else []

    def _languages(self) -> tuple[str, ...]:
        return (self.line.language, self.line.language.partition("-")[0], self.flow.language)

    def phrase(self, name: str, **filled: phrases.Filled) -> Text:
        """What the server says of itself."""
        language, text = phrases.phrase(self.book.phrases, name, self._languages())
        return Text(language=language, text=phrases.filled_in(text, language, filled))


class Act(NamedTuple):
    """A verb's first step, and what follows from how an action of its ended."""

    start: Callable[[Here, Any], Done]
    answered: Callable[[Here, Any, Answer], Done] = lambda _here, _spec, answer: Left(answer.outcome)


def _given(one: model.Given, names: Mapping[str, Any]) -> Any:
    if isinstance(one, model.Hidden):
        return {one.kind: one.name}
    value = one.value(names) if isinstance(one, Expression) else one
    if _is_mark(value):
        raise ExpressionError("only a flow says where a secret goes, not what came from outside")
    return value


def _is_mark(value: Any) -> bool:
    """Whether a value, or one inside it, would be taken for the mark of something hidden."""
    if isinstance(value, dict):
        return bool(value.keys() & model.MARKS) or any(map(_is_mark, value.values()))
    return isinstance(value, list) and any(map(_is_mark, value))
