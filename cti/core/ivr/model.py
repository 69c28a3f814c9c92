"""A flows folder, checked: flows of nodes, queues and numbers. Everything here is frozen and holds no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from cti.core.ivr import phrases
from cti.core.ivr.calendars import Calendar
from cti.core.ivr.expressions import Expression
from cti.core.ivr.problems import Problem
from cti.core.messages import Prompt, Sound, Text
from cti.core.numbers import to_e164
from cti.core.queues import QueueConfig, Routing

Value = str | int | float | bool | Expression  # a constant, or what is computed for each call
TARGETS = ("hangup", "return", "repeat")


class Speech(msgspec.Struct, frozen=True):
    """What is said: recorded prompts by name, then text by language. Either may be empty."""

    names: tuple[str, ...] = ()
    texts: Mapping[str, str | Expression] = {}

    def __bool__(self) -> bool:
        return bool(self.names or self.texts)


MARKS = frozenset({"sealed", "secret"})


class Hidden(msgspec.Struct, frozen=True):
    """Stands for something the flow never sees: the secret digits of an `ask` node, or a setting of [secrets]."""

    kind: str  # sealed or secret
    name: str


Given = Value | Hidden
Map = Mapping[str, Given]


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """How a question bears misses. `retries`: forgiven of each kind; `timeout`: seconds after the last prompt;
    `digit_timeout`: after a key. What is said after the first, second ... miss; the last one again and again."""

    retries: int = 2
    timeout: float = 5.0
    digit_timeout: float = 3.0
    barge_in: bool = True
    invalid: tuple[Speech, ...] = ()
    silent: tuple[Speech, ...] = ()


# ---------------------------------------------------------------- what nodes do


class Say(msgspec.Struct, frozen=True):
    speech: Speech
    barge_in: bool = True


class Menu(msgspec.Struct, frozen=True):
    """The keys are in Node.to."""

    speech: Speech
    tries: Tries


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """`least` to `most` keys; `match`: a regular expression that digits must fit, empty: any."""

    speech: Speech
    tries: Tries
    kind: str = "digits"
    least: int = 1
    most: int = 20
    terminator: str = "#"
    match: str = ""
    confirm: bool = False
    secret: bool = False


class Language(msgspec.Struct, frozen=True):
    language: str | Expression


class Record(msgspec.Struct, frozen=True):
    """Seconds: the longest message, the silence that ends it, the shortest that counts."""

    speech: Speech
    longest: float = 60.0
    silence: float = 4.0
    shortest: float = 2.0


class Wait(msgspec.Struct, frozen=True):
    seconds: float
    music: bool = False


class Hours(msgspec.Struct, frozen=True):
    calendar: str


class Branch(msgspec.Struct, frozen=True):
    """The first condition that is true; the outcome is its place in the list, from "1"; else "else"."""

    when: tuple[Expression, ...]


class Split(msgspec.Struct, frozen=True):
    """Percent of callers by place in the list, from "1"; the rest: "else"."""

    shares: tuple[int, ...]


class Set(msgspec.Struct, frozen=True):
    vars: Mapping[str, Value]


class Goto(msgspec.Struct, frozen=True):
    times: int


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """`by`: number, customer_id or query."""

    by: str
    key: Value = ""
    query: str = ""
    binds: Map = {}
    many: bool = False
    timeout: float = 2.0


class Http(msgspec.Struct, frozen=True, kw_only=True):
    """`url`: what is put into it by expressions is encoded."""

    url: str | Expression
    method: str = "GET"
    headers: Map = {}
    json: Map | None = None
    form: Map | None = None
    get: Mapping[str, str] = {}
    timeout: float = 3.0


class Script(msgspec.Struct, frozen=True):
    run: str
    args: Map = {}
    timeout: float = 5.0


class Event(msgspec.Struct, frozen=True):
    event: str
    data: Mapping[str, Value] = {}


class Message(msgspec.Struct, frozen=True):
    webhook: str
    body: Map = {}
    timeout: float = 3.0


class Queue(msgspec.Struct, frozen=True):
    """The keys while waiting are in Node.to. `agent`: who alone is offered the call for `agent_for` seconds."""

    queue: str
    skills: Mapping[str, Any]
    priority: int | Expression | None
    max_wait: float | Expression | None
    agent: str | Expression = ""
    agent_for: float = 20.0


class Dial(msgspec.Struct, frozen=True):
    to: str | Expression
    ring: float


class Callback(msgspec.Struct, frozen=True):
    """`ask`: the caller confirms the number or gives another one."""

    queue: str
    number: Value
    ask: bool
    tries: Tries


class Voicemail(msgspec.Struct, frozen=True):
    box: str


class Survey(msgspec.Struct, frozen=True):
    survey: str
    tries: Tries


class Pay(msgspec.Struct, frozen=True):
    amount: Value
    currency: str
    reference: Value
    tries: Tries


class Authenticate(msgspec.Struct, frozen=True):
    customer_id: Value
    least: int
    most: int
    tries: Tries


class Call(msgspec.Struct, frozen=True):
    """`back`: the other flow comes back here (`call`), or never (`transfer`)."""

    flow: str
    args: Mapping[str, Value]
    back: bool


class Return(msgspec.Struct, frozen=True):
    outcome: str
    values: Mapping[str, Value]


class Hangup(msgspec.Struct, frozen=True):
    cause: int


Spec = (
    Say | Menu | Ask | Language | Record | Wait | Hours | Branch | Split | Set | Goto | Lookup | Http | Script | Event
    | Message | Queue | Dial | Callback | Voicemail | Survey | Pay | Authenticate | Call | Return | Hangup
)  # fmt: skip
ASKING = (Menu, Ask, Callback, Voicemail, Survey, Pay, Authenticate)  # these speak built-in phrases
SILENT = (Set, Branch, Split, Hours, Goto, Language, Lookup, Http, Script, Event, Message, Return, Hangup)


# ---------------------------------------------------------------- the files beside the flows


class Statement(msgspec.Struct, frozen=True):
    """A query of lookups.yaml. `many`: all its rows, not only the first."""

    sql: str
    names: tuple[str, ...] = ()
    many: bool = False
    timeout: float = 2.0


class Box(msgspec.Struct, frozen=True):
    """A voicemail box."""

    greeting: Speech
    longest: float = 120.0
    silence: float = 4.0
    shortest: float = 2.0


class Question(msgspec.Struct, frozen=True):
    speech: Speech
    keys: str
    retries: int | None = None  # None: as the node says


class Questions(msgspec.Struct, frozen=True):
    """A survey."""

    questions: Mapping[str, Question]
    intro: Speech = Speech()
    thanks: Speech = Speech()


# ---------------------------------------------------------------- flows


class Node(msgspec.Struct, frozen=True):
    """One step. `to`: named outcomes and menu keys; others go to `then`, `fail`, the flow's `fail`.

    `bad`: outcomes that never take `then`: what was asked for is not there."""

    id: str
    verb: str
    spec: Spec
    to: Mapping[str, str]
    then: str = ""
    fail: str = ""
    bad: tuple[str, ...] = ()


class Flow(msgspec.Struct, frozen=True):
    """`vars`: what they are at the beginning; `args`: what is given when nobody gives them, None: they must be."""

    name: str
    language: str
    start: str
    nodes: Mapping[str, Node]
    fail: str = ""
    file: str = ""
    on_hangup: str = ""
    vars: Mapping[str, Any] = {}
    args: Mapping[str, Any] = {}


class Number(msgspec.Struct, frozen=True):
    flow: str
    language: str = ""


class Book(msgspec.Struct, frozen=True):
    """One version of the whole folder. `allow`: kinds of numbers that may be dialled besides ordinary.

    `notes`: what its files ask for that this version does not do, by place. `phrases`: {id: {language: text}} that
    replace the built-in ones. `zone`: the site's time zone, of calendars that name none."""

    flows: Mapping[str, Flow]
    queues: Mapping[str, QueueConfig]
    numbers: Mapping[str, Number]
    version: int = 0
    country: str = "ID"
    allow: frozenset[str] = frozenset()
    notes: tuple[Problem, ...] = ()
    statements: Mapping[str, Statement] = {}
    boxes: Mapping[str, Box] = {}
    surveys: Mapping[str, Questions] = {}
    phrases: Mapping[str, Mapping[str, str]] = {}
    calendars: Mapping[str, Calendar] = {}
    zone: str = "UTC"
    routing: Routing = Routing()

    def flow_for(self, called: str) -> tuple[str, str] | None:
        """Flow and language of a called number, as entered in numbers.yaml or as E.164; None: not ours."""
        others = (to_e164(one, self.country) or "" for one in (called, f"+{called}"))
        number = next((self.numbers[one] for one in chain([called], others) if one in self.numbers), None)
        return None if number is None else (number.flow, number.language or self.flows[number.flow].language)

    def prompts(self) -> list[Prompt]:
        """Every prompt that does not depend on the call, to be made ready before the first call."""
        found: dict[Prompt, None] = {}
        spoken_in = languages(self.flows.values(), self.numbers.values())
        for name, flow in self.flows.items():
            for node in flow.nodes.values():
                for speech in (*speeches(node.spec), *beside(node.spec, self.boxes, self.surveys)):
                    found.update(dict.fromkeys(_constant(speech, spoken_in[name], self.version)))
            if any(isinstance(node.spec, ASKING) for node in flow.nodes.values()):
                found.update(dict.fromkeys(phrases.constant(self.phrases, spoken_in[name])))
        for name, codes in self.waited_in().items():
            for speech in said_by(self.queues[name]):
                found.update(dict.fromkeys(_constant(speech, codes, self.version)))
        return list(found)

    def waited_in(self) -> dict[str, list[str]]:
        """By queue: the languages of those who may wait in it, or be called back from it."""
        return waited_in(self.flows.values(), languages(self.flows.values(), self.numbers.values()))


def beside(spec: Spec, boxes: Mapping[str, Box], surveys: Mapping[str, Questions]) -> Iterator[Speech]:
    """What a node speaks that stands in voicemail.yaml or surveys.yaml."""
    if isinstance(spec, Voicemail) and spec.box in boxes:
        yield boxes[spec.box].greeting
    elif isinstance(spec, Survey) and spec.survey in surveys:
        survey = surveys[spec.survey]
        yield from (survey.intro, survey.thanks, *(question.speech for question in survey.questions.values()))


def speeches(spec: Spec) -> Iterator[Speech]:
    """What a node speaks that stands in it."""
    for field in msgspec.structs.fields(type(spec)):
        held = getattr(spec, field.name)
        if isinstance(held, Speech):
            yield held
        elif isinstance(held, Tries):
            yield from (*held.invalid, *held.silent)


def said_by(queue: QueueConfig) -> Iterator[Speech]:
    """What those hear who wait in a queue, and what their agents hear before they talk."""
    yield Speech(queue.announce.names, queue.announce.texts)
    yield Speech((queue.whisper.name,) if queue.whisper.name else (), queue.whisper.texts)


def waited_in(flows: Iterable[Flow], spoken_in: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """By queue: the languages of those who may wait in it, or be called back from it."""
    found: dict[str, dict[str, None]] = {}
    for flow in flows:
        for node in flow.nodes.values():
            if isinstance(node.spec, Queue | Callback):
                found.setdefault(node.spec.queue, {}).update(dict.fromkeys(spoken_in[flow.name]))
    return {queue: list(codes) for queue, codes in found.items()}


def chosen(flow: Flow) -> list[str | Expression]:
    """What its `language` nodes name."""
    return [node.spec.language for node in flow.nodes.values() if isinstance(node.spec, Language)]


def languages(flows: Iterable[Flow], numbers: Iterable[Number]) -> dict[str, list[str]]:
    """By flow: the languages it may have to speak, its own first: those that its numbers and any `language` node of
    the folder lead to, and those of the flows that call it."""
    flows = tuple(flows)
    named: dict[str, None] = {}
    found = {flow.name: {flow.language: None} for flow in flows}
    for flow in flows:
        named |= {code: None for code in chosen(flow) if isinstance(code, str)}
    for number in numbers:
        if number.language and number.flow in found:
            found[number.flow][number.language] = None
    _hand_on(flows, found)
    return {name: list(held | named) for name, held in found.items()}


def _hand_on(flows: Iterable[Flow], found: Mapping[str, dict[str, None]]) -> None:
    """A flow that another one calls speaks what the call spoke until then."""
    called = {
        flow.name: [node.spec.flow for node in flow.nodes.values() if isinstance(node.spec, Call)] for flow in flows
    }
    todo = list(found)
    while todo:
        name = todo.pop()
        for other in called[name]:
            if other in found and not found[name].keys() <= found[other].keys():
                found[other].update(found[name])
                todo.append(other)


def _constant(speech: Speech, languages: list[str], version: int) -> Iterator[Prompt]:
    """A text without a language (of a file beside the flows) is in that of the flow which uses it."""
    for language in languages:
        yield from (Sound(language=language, name=name, version=version) for name in speech.names)
    for language, text in speech.texts.items():
        if isinstance(text, str):
            yield Text(language=language or languages[0], text=text)
