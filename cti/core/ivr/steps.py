"""What passes between a call and the interpreter: position, answers, and actions. All serialisable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cti.core.messages import Forced, Prompt, Sealed


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A flow that called another one, as it will go on."""

    flow: str
    node: str
    vars: dict[str, Any] = {}
    results: dict[str, Any] = {}
    args: dict[str, Any] = {}
    counts: dict[str, int] = {}


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a call is in its flow; serialisable.

    `stage` and `held`: how far a node of several steps has come, and what it has so far. `no_input`, `no_match`:
    misses in this node. `how` it would end now; `failing`: inside a fail target; `leaving`: the caller has hung up and
    `on_hangup` runs; `since`: when the caller was last given to the flow, `customer`: who was found by a lookup.
    `who`: the id of the customer he is: whom a lookup found, or whose PIN he knew (`proven`); empty again when he did
    not."""

    version: int
    flow: str
    node: str
    language: str
    stage: str = ""
    held: dict[str, Any] = {}
    vars: dict[str, Any] = {}
    args: dict[str, Any] = {}
    results: dict[str, Any] = {}
    counts: dict[str, int] = {}
    stack: list[Frame] = []
    no_input: int = 0
    no_match: int = 0
    failing: bool = False
    hops: int = 0
    visits: int = 0
    spent: bool = False
    leaving: bool = False
    since: float = 0.0
    customer: dict[str, Any] | None = None
    who: str = ""
    proven: bool = False
    how: str = "flow_ended"


class Answer(msgspec.Struct, frozen=True):
    """How the last action ended.

    Say, Record, Pause: done, error. Ask: digits (in `digits` or `sealed`), timeout, error. Task: its outcome and
    data. Enqueue: the queue visit's result; the key that ended it in `digits`. Dial: answered, busy, no_answer, fail.
    Record: `seconds` is in data."""

    outcome: str
    digits: str = ""
    sealed: Sealed | None = None
    data: dict[str, Any] = {}


class Context(msgspec.Struct, frozen=True):
    """What the interpreter knows besides the flow: the call, its customer (fields that are not there are null), the
    time (seconds since the epoch) and the calendars opened or closed by hand. `waited`: by queue, the last wait of this
    call since an agent talked: since, priority, skills. `besides`: of customers, by id: open_cases, complaint."""

    call: dict[str, Any] = {}
    customer: dict[str, Any] = {}
    at: float = 0.0
    forced: Mapping[str, Forced] = {}
    waited: dict[str, dict[str, Any]] = {}
    besides: dict[str, dict[str, Any]] = {}


class Visit(msgspec.Struct, frozen=True):
    """A node that was left: its outcome and the node or target that follows; variables it set."""

    node: str
    verb: str
    outcome: str
    to: str
    vars: dict[str, Any] = {}
    flow: str = ""


class Fact(msgspec.Struct, frozen=True):
    """What a node says for the record: an event type of `messages.Event` (flow.event, callback.requested,
    survey.answered) with its data."""

    type: str
    data: dict[str, Any] = {}
    queue: str = ""


class Say(msgspec.Struct, frozen=True):
    prompts: tuple[Prompt, ...]
    barge_in: bool = True


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for keys: see `messages.Collect`, whose fields these are."""

    prompts: tuple[Prompt, ...]
    timeout: float
    digit_timeout: float = 3.0
    least: int = 1
    most: int = 1
    terminator: str = ""
    barge_in: bool = True
    fresh: bool = False
    seal: str = ""


class Record(msgspec.Struct, frozen=True):
    """Record the caller; `box`: the voicemail box it is for, empty: of a `record` node."""

    prompts: tuple[Prompt, ...]
    longest: float
    silence: float
    shortest: float
    box: str = ""


class Pause(msgspec.Struct, frozen=True):
    seconds: float
    music: bool = False


class Task(msgspec.Struct, frozen=True):
    """Work outside of the call: see `messages.RunTask`."""

    kind: str
    args: dict[str, Any]
    timeout: float


class Enqueue(msgspec.Struct, frozen=True):
    """`skills` in the form of queues.yaml; None: as the queue says. `closed`: nobody waits there now.

    `priority`: with what the rules of the queue add to it, those that held are in `raised`. `keys`: those that end the
    wait, see `interpreter.result_of`. `prefer`: an agent who alone is offered the call for `prefer_for` seconds;
    `prefer_why`: named (by the node) or last (he talked to the caller last)."""

    queue: str
    skills: dict[str, Any] = {}
    priority: int | None = None
    max_wait: float | None = None
    closed: bool = False
    keys: str = ""
    prefer: str = ""
    prefer_for: float = 0.0
    prefer_why: str = ""
    raised: tuple[str, ...] = ()


class Dial(msgspec.Struct, frozen=True):
    """`to`: a station (2 to 6 digits) or E.164; `timeout`: seconds of ringing."""

    to: str
    timeout: float


class End(msgspec.Struct, frozen=True):
    """how: flow_ended, voicemail, transferred_out, failed. `cause` is Q.850."""

    how: str
    cause: int = 16


Action = Say | Ask | Record | Pause | Task | Enqueue | Dial | End


class Turn(msgspec.Struct, frozen=True):
    """One step: the position now, what was passed and said on the way (in order), and what to do."""

    line: Line
    trail: tuple[Visit | Fact, ...]
    action: Action
