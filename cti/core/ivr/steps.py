"""What passes between a call and the interpreter: position, answers, and actions. All serialisable."""

from __future__ import annotations

from typing import Any

import msgspec

from cti.core.messages import Prompt


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call is in its flow; serialisable. `how` it would end now; `failing`: inside a fail target."""

    version: int
    flow: str
    node: str
    language: str
    vars: dict[str, Any] = {}
    results: dict[str, Any] = {}
    tries: int = 0
    failing: bool = False
    hops: int = 0
    visits: int = 0
    spent: bool = False
    how: str = "flow_ended"


class Answer(msgspec.Struct, frozen=True):
    """How the last action ended: done, digits, timeout, error; a queue visit's result; or for a dialled
    number answered, busy, no_answer, fail. `data` becomes part of the node's result."""

    outcome: str
    digits: str = ""
    data: dict[str, Any] = {}


class Context(msgspec.Struct, frozen=True):
    """What expressions know of the call and its customer; fields that are not there are null."""

    call: dict[str, Any] = {}
    customer: dict[str, Any] = {}


class Visit(msgspec.Struct, frozen=True):
    """A node that was left: its outcome and the node or target that follows; variables it set."""

    node: str
    verb: str
    outcome: str
    to: str
    vars: dict[str, Any] = {}


class Say(msgspec.Struct, frozen=True):
    prompts: tuple[Prompt, ...]


class Menu(msgspec.Struct, frozen=True):
    """Ask for one key; `timeout` seconds after the last prompt."""

    prompts: tuple[Prompt, ...]
    timeout: float


class Enqueue(msgspec.Struct, frozen=True):
    """`skills` in the form of queues.yaml; None: as the queue says."""

    queue: str
    skills: dict[str, Any] = {}
    priority: int | None = None
    max_wait: float | None = None


class Dial(msgspec.Struct, frozen=True):
    """`to`: a station (2 to 6 digits) or E.164; `timeout`: seconds of ringing."""

    to: str
    timeout: float


class End(msgspec.Struct, frozen=True):
    """how: flow_ended, transferred_out, failed. `cause` is Q.850."""

    how: str
    cause: int = 16


Action = Say | Menu | Enqueue | Dial | End


class Turn(msgspec.Struct, frozen=True):
    line: Line
    trail: tuple[Visit, ...]
    action: Action
