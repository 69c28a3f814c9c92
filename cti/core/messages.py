"""The whole language of the system on one page: inputs, events, commands.

    inputs    what happened outside (a fact of the switch) or what a person asks (a request)
    events    what is now true, past tense, numbered per call; they alone change state and are stored
    commands  what an adapter has to do, imperative

Rules
- Everything here is frozen and serialisable (`encode`/`decode`): it is the wire between machines.
- `at` is seconds since the epoch, UTC. A fact carries the switch's own time, a request the server's.
- A fact is never refused. A request may raise `cti.errors.Refused`.
- A channel is named by (node, uniqueid). `channel` is Asterisk's channel name, needed to act on it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

MAIN = "main"  # the node that the plain [ami] [sip] [agi] sections describe


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="is", kw_only=True):
    """Every message is one of these; the class name is its tag on the wire."""


# ---------------------------------------------------------------- inputs: facts of the switch


class Fact(Message, frozen=True, kw_only=True):
    at: float
    node: str = MAIN


class ChannelNew(Fact, frozen=True, kw_only=True):
    """A channel came into being. `called` is the dialled number, `context` where it entered the dialplan."""

    uniqueid: str
    channel: str
    context: str
    called: str = ""
    caller: str = ""
    caller_name: str = ""


class ChannelUp(Fact, frozen=True, kw_only=True):
    """The far end answered, or we answered it."""

    uniqueid: str


class HangupRequested(Fact, frozen=True, kw_only=True):
    """The far end of this channel hung up. If ChannelGone does not follow at once it is a ghost."""

    uniqueid: str


class ChannelGone(Fact, frozen=True, kw_only=True):
    """The channel ended. `cause` is the Q.850 code."""

    uniqueid: str
    cause: int = 16


class Bridged(Fact, frozen=True, kw_only=True):
    uniqueid: str
    bridge: str


class Unbridged(Fact, frozen=True, kw_only=True):
    uniqueid: str
    bridge: str


class OriginateFailed(Fact, frozen=True, kw_only=True):
    """Our Originate ended without an answer. `uniqueid` is the channel_id we gave."""

    uniqueid: str
    reason: Literal["no_answer", "unreachable", "failed"]


class StationState(Fact, frozen=True, kw_only=True):
    """Whether a station's phone is registered."""

    station: str
    reachable: bool


class LiveChannel(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the switch's list of channels. `bridge` is empty when it is in none."""

    uniqueid: str
    channel: str
    context: str
    state: str = "Up"
    bridge: str = ""
    accountcode: str = ""
    caller: str = ""
    caller_name: str = ""
    called: str = ""


class SwitchUp(Fact, frozen=True, kw_only=True):
    """The link to a node is (again) up. All its live channels, and which stations are reachable.

    Facts that were missed and are known from CEL were submitted before this one, with their true times.
    `asked_at`: when the channels were asked for; a call that began after it may be missing in the list.
    `gone_at`: when calls that are missing, and of which CEL did not tell either, were last known to be alive."""

    asked_at: float | None = None
    gone_at: float | None = None
    channels: tuple[LiveChannel, ...] = ()
    reachable: tuple[str, ...] = ()


class SwitchDown(Fact, frozen=True, kw_only=True):
    """The link to a node broke. Its calls most likely go on."""


class LineReady(Fact, frozen=True, kw_only=True):
    """A caller's channel stands in the FastAGI loop and waits for an instruction (first time or again)."""

    uniqueid: str
    channel: str
    called: str = ""
    caller: str = ""
    caller_name: str = ""


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """All that is told of digits that must be seen nowhere; they themselves stay in the vault of the call's node.

    `good`: they have the form of what was asked for (a card: Luhn; an expiry: a month). `last4`: of a card."""

    length: int
    good: bool = True
    last4: str = ""


class LineDone(Fact, frozen=True, kw_only=True):
    """A Play, Collect, Record or Pause ended. `op` is that command's. Stale ops are ignored.

    outcome: done, digits (see `digits`, or `sealed`), timeout (nothing pressed), error (a prompt could not be played,
    nothing could be recorded). `gone`: the caller hung up during it; told of a Record only."""

    uniqueid: str
    op: int
    outcome: Literal["done", "digits", "timeout", "error"]
    digits: str = ""
    sealed: Sealed | None = None
    gone: bool = False


class LineLost(Fact, frozen=True, kw_only=True):
    """The FastAGI session ended: the channel was pulled into a bridge, hung up, or the link broke."""

    uniqueid: str


class RecordingFinished(Fact, frozen=True, kw_only=True):
    """The stereo file of one conversation is complete. `bytes` 0 means it failed; `path` is relative."""

    recording_id: str
    call_id: str
    agent: str
    path: str
    started_at: float
    seconds: float
    channels: int
    bytes: int
    sha256: str


class MessageLeft(Fact, frozen=True, kw_only=True):
    """A caller whom no server answered left a message; `file` lies in the home's voicemail folder."""

    uniqueid: str
    file: str
    seconds: float


class CustomerFound(Fact, frozen=True, kw_only=True):
    """Answer to LookUpCustomer: 0, 1 or many customers, the last calls and open cases (JSON-ready maps).

    `customer_id`: that of the question."""

    call_id: str
    customer_id: str = ""  # as asked
    customers: tuple[dict[str, Any], ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    cases: tuple[dict[str, Any], ...] = ()


class TaskDone(Fact, frozen=True, kw_only=True):
    """Answer to RunTask: always one, `error` on any trouble and when it took too long. `data` becomes the node's
    result: JSON-ready, at most 8 KiB."""

    call_id: str
    op: int
    outcome: str
    data: dict[str, Any] = {}


class Tick(Fact, frozen=True, kw_only=True):
    """Time has passed; whatever was due by `at` happens now."""


class CallbackDue(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that is open, as the database has it. `since`: the place it keeps; `not_before`: the next try."""

    callback_id: str
    call_id: str  # in which it was asked for
    queue: str
    number: str
    since: float
    priority: int = 0
    skills: dict[str, Any] = {}
    requested_at: float
    tries: int = 0
    not_before: float = 0.0
    barred: bool = False  # the number may not be called (do not call)
    language: str = ""
    ours: str = ""  # the number of ours that he had called


class CallbacksFound(Fact, frozen=True, kw_only=True):
    """All callbacks that are open, as they are now in the database; at the start and after a change there."""

    callbacks: tuple[CallbackDue, ...]


class PlaceLeft(msgspec.Struct, frozen=True, kw_only=True):
    """A caller who left a queue before he was served, for when he calls again."""

    caller: str
    queue: str
    since: float
    left_at: float


class PastFound(Fact, frozen=True, kw_only=True):
    """What the core must know from before its start: who left a queue lately, and how long agents take for a call of
    each queue: (agent, queue, calls, seconds with wrap-up of all)."""

    left: tuple[PlaceLeft, ...] = ()
    handled: tuple[tuple[str, str, int, float], ...] = ()


class ClockStepped(Fact, frozen=True, kw_only=True):
    """The machine's clock was set, by so many seconds: what is due in ten seconds is still due in ten seconds."""

    by: float


# ---------------------------------------------------------------- inputs: configuration


class AgentInfo(msgspec.Struct, frozen=True, kw_only=True):
    agent: str  # the login name
    name: str = ""
    skills: dict[str, int] = {}
    station: str = ""  # the usual one; another may be chosen at sign-on


class PeopleChanged(Fact, frozen=True, kw_only=True):
    """All agents and all stations as they are now in the database. `names`: of everybody who may log in, by login."""

    agents: tuple[AgentInfo, ...]
    stations: tuple[str, ...]
    names: dict[str, str] = {}


class FlowsPublished(Fact, frozen=True, kw_only=True):
    """A version of the flows folder became the live one for new calls. The engine holds its parsed form.

    `share` under 100: it serves only so many of a hundred callers, always the same ones; the live one serves the rest.
    0: it serves none any more."""

    version: int
    share: int = 100


class Forced(msgspec.Struct, frozen=True):
    """A calendar that somebody has opened or closed by hand, until then (seconds since the epoch)."""

    state: Literal["open", "closed"]
    until: float


class CalendarsForced(Fact, frozen=True, kw_only=True):
    """All the calendars that are opened or closed by hand, by name, as they are now in the database."""

    calendars: dict[str, Forced]


# ---------------------------------------------------------------- inputs: requests


class Request(Message, frozen=True, kw_only=True):
    at: float
    by: str  # who asks: a login name


Wish = Literal["logged_out", "not_ready", "ready"]
Work = Literal["idle", "reserved", "talking", "wrap_up"]


class SetAgentState(Request, frozen=True, kw_only=True):
    agent: str
    wish: Wish
    reason: str = ""
    station: str = ""


class WrapUp(Request, frozen=True, kw_only=True):
    agent: str
    action: Literal["extend", "finish"]


class AnswerCall(Request, frozen=True, kw_only=True):
    call_id: str
    agent: str


class RejectCall(Request, frozen=True, kw_only=True):
    call_id: str
    agent: str


class HangUpCall(Request, frozen=True, kw_only=True):
    """An agent ends his own call; a supervisor any call."""

    call_id: str
    agent: str = ""


class ChangePriority(Request, frozen=True, kw_only=True):
    """A supervisor makes a waiting caller more or less urgent; it counts at once."""

    call_id: str
    priority: int


class MoveCall(Request, frozen=True, kw_only=True):
    """A supervisor moves a waiting caller to another queue; he keeps how long he has waited."""

    call_id: str
    queue: str


class CancelCallback(Request, frozen=True, kw_only=True):
    callback_id: str


class SetDisposition(Request, frozen=True, kw_only=True):
    """How a call ended; it ends the agent's wrap-up, but for a draft (what a page keeps while he types). `note` None:
    as it was."""

    call_id: str
    agent: str
    code: str
    note: str | None = None
    draft: bool = False


# ---------------------------------------------------------------- events


class Event(Message, frozen=True, kw_only=True):
    """What is now true. Types and their data:

    call.arrived          direction, caller, caller_name, called, caller_entered, node, uniqueid, channel; made for a
                          callback: queue, agent; story_id, callback, requested_at, tries, language, version
    call.identified       customers: [customer ids], by: number (who has it), flow (a lookup found him), pin (he
                          knew it); the last one counts
    flow.started          flow, version, language
    flow.node             flow, node, verb, outcome (hangup: the caller left), to (next node or target); vars when some
                          were set
    flow.at               line: the caller's position, as core.ivr gave it (for the next start of the server)
    flow.event            flow, node, name, data: what an `event` node says
    flow.ended            flow, how
    callback.requested    queue; number, entered, node, since (the place kept), priority, skills, language
    callback.dialed       queue, agent; callback (its id), to (the call made for it), number, try
    callback.failed       queue; callback, to, number, result (busy, no_answer, invalid_number, dropped, fail, stopped,
                          agent_left; no_agent is no try), not_before (next try)
    callback.moved        queue; callback, since, priority: a later request had a better place; requested_at, not_before
                          (0: at any time) too: the clock was set
    callback.ended        queue; callback, state (done, expired, cancelled, merged, barred, failed), by, number, to (the
                          call in which he is served)
    call.placed           queue, agent; to, channel_id: the phone of a customer who is called back is rung
    survey.answered       survey, question, answer; agent who talked last
    call.queued           queue; visit, priority, skills (the node's), needs (the queue's with them), entered_at,
                          max_wait, node (flow node), closed (its calendar: he leaves at once), keys, prefer (an agent),
                          prefer_for (seconds), prefer_why (named, last), raised (rules that changed the priority),
                          since (of a caller who was moved: his place)
    call.place_kept       queue; visit, since, why (returned: he had left and called again; again: in the same call)
    call.clock_set        by: the machine's clock was set by so many seconds; was: the time that it showed. After it was
                          set back, later events of the call are stored as of then, with their own time in `told_at`
    call.pressed          queue; visit, key, result: he ends his wait by a key
    call.priority_changed queue; visit, priority, by
    call.announced        queue; visit, position, minutes (null: not said)
    call.dequeued         queue; visit, result (of the queue visit), agent when answered; why (of full: size, wait,
                          ratio), key (that was pressed), to (the queue he was moved to)
    call.offered          queue, agent; offer, visit, decision, station, channel_id, recorded
    offer.missed          queue, agent; offer       (likewise offer.rejected, offer.cancelled,
                          offer.caller_left): the offer ended without a connect; reason
    call.connected        queue, agent; offer, visit, bridge
    call.disconnected     agent; offer, by (caller, agent, system): the conversation ended
    recording.started     agent; recording_id; a caller's message: message, box (empty: of a `record` node), shortest
    recording.stopped     agent; all of RecordingFinished
    call.dialed           to, channel_id; then call.dial_connected  to; call.dial_ended  to, result
    call.ended            cause, side (caller, agent, system), flow_result, leaving (on_hangup has still to end)
    voicemail.left        box, seconds; recording_id, or file (of the fallback)
    call.wrapped          agent; how (finish, disposition, timer, supervisor, none: the queue has none), by
    call.disposition_set  agent; code, note
    agent.state_changed   agent; wish, reason, by (who stated it; empty: the system), work, station, next_wish,
                          next_reason, next_by, idle_since, wrap_until, extended, keeps_idle (call_id while busy);
                          since: the clock was set, and he is in his state since then
    agent.over_limit      agent; reason, since: he is not ready for longer than the site allows for that reason
    """

    type: str
    at: float
    call_id: str = ""  # empty for events of an agent alone
    seq: int = 0  # order within the call, from 1; 0 without a call
    agent: str = ""
    queue: str = ""
    data: dict[str, Any] = {}


# ---------------------------------------------------------------- commands


class Command(Message, frozen=True, kw_only=True):
    node: str = MAIN


class Text(msgspec.Struct, frozen=True, tag=True):
    """Words to be spoken by the offline voice."""

    language: str
    text: str


class Sound(msgspec.Struct, frozen=True, tag=True):
    """A recorded prompt: prompts/<language>/<name>.wav of a flows version."""

    language: str
    name: str
    version: int = 0


Prompt = Text | Sound


class Play(Command, frozen=True, kw_only=True):
    """Answer the channel if need be, then play. Ends with LineDone(done|error).

    `barge_in`: a key ends it. Keys are kept for the next Collect either way."""

    uniqueid: str
    op: int
    prompts: tuple[Prompt, ...]
    barge_in: bool = True


class Collect(Command, frozen=True, kw_only=True):
    """Play, then take keys: up to `most` of them, or until `terminator` (a key, or empty: none). The first may come
    `timeout` seconds after the end of the last prompt, each further one `digit_timeout` after the one before.

    Ends with LineDone(digits|timeout|error). Whether the keys fit (too few, another key) is the flow's matter.
    The terminator alone, with nothing before it, is digits "" when `least` is 0, else timeout.
    `barge_in`: a key ends the prompt; else it is kept and the prompt goes on. `fresh`: keys pressed before are dropped.
    `seal`: the keys go into the vault under that name, LineDone tells `sealed` alone."""

    uniqueid: str
    op: int
    prompts: tuple[Prompt, ...]
    timeout: float
    digit_timeout: float = 3.0
    least: int = 1
    most: int = 1
    terminator: str = ""
    barge_in: bool = True
    fresh: bool = False
    seal: str = ""


class Record(Command, frozen=True, kw_only=True):
    """Play, beep, then record the caller as `recording_id` until a key, `silence` seconds of silence, `longest`
    seconds, or his hang-up. Ends with LineDone(done|error); what was recorded is then finished by FinishRecording."""

    uniqueid: str
    op: int
    prompts: tuple[Prompt, ...]
    recording_id: str
    longest: float
    silence: float


class Pause(Command, frozen=True, kw_only=True):
    """Wait, with music or in silence. Ends with LineDone(done). Keys are kept for the next Collect."""

    uniqueid: str
    op: int
    seconds: float
    music: bool = False


class RunTask(Command, frozen=True, kw_only=True):
    """Work outside of the call that a flow asks for; always answered by TaskDone, within `timeout` seconds.

    kind, its args, and the outcomes of TaskDone besides error:
    customer      number (E.164) or customer_id           found {customer fields}, none, several
    query         query (name in lookups.yaml), sql, with {name: value}, many   found {columns} or {rows}, none
    http          method, url, headers, json or form, get {name: JSON pointer}   done {status, ...}; error {status?}
    message       webhook (name in cti.toml), body          done
    script        script (file under scripts/), args        done {...}, or `outcome` of what it printed
    pay           amount, currency, reference               done {token, last4, brand?}, declined {reason?}
    authenticate  customer_id                               done, wrong {left}, locked {until}, no_pin

    A value {"sealed": NAME} in `with`, `json`, `form`, `args` stands for digits in the vault, {"secret": NAME} for a
    setting of [secrets]. pay reads card, expiry and code, authenticate reads pin from the vault.
    `key`: the same when the same node asks again after a restart, for the other side to know it."""

    call_id: str
    uniqueid: str
    op: int
    key: str = ""
    kind: Literal["customer", "query", "http", "message", "script", "pay", "authenticate"]
    args: dict[str, Any]
    timeout: float
    version: int = 0


class Hold(Command, frozen=True, kw_only=True):
    """Answer the channel if need be and play music on hold until something else happens to it.

    `keys`: those that mean something meanwhile; the first of them is told once by LineDone(digits) with this `op`, and
    the music goes on. `music`: the class, empty: the default."""

    uniqueid: str
    op: int = 0
    keys: str = ""
    music: str = ""


class Release(Command, frozen=True, kw_only=True):
    """Let the caller's channel leave the FastAGI loop and hang up with `cause` (Q.850)."""

    uniqueid: str
    cause: int = 16


class Ring(Command, frozen=True, kw_only=True):
    """Originate `endpoint` (a station, or NUMBER@TRUNK); when it answers the dialplan bridges it with
    `peer`, the caller's channel name. `channel_id` is the idempotency key and becomes the uniqueid.

    recording_id: record the conversation under that name, from the dialplan; empty: do not.
    whisper: what is said to whoever answers before the bridge. final: when they part the switch hangs up the peer, too;
    else that goes on in the dialplan. `peer` empty: the phone that answers waits in the
    dialplan, hearing ringing, for a second Ring that has it as its peer."""

    channel_id: str
    call_id: str
    endpoint: str
    peer: str
    timeout: float
    caller: str = ""
    caller_name: str = ""
    recording_id: str = ""
    whisper: tuple[Prompt, ...] = ()
    final: bool = False


class HangUp(Command, frozen=True, kw_only=True):
    """Hang up exactly this channel."""

    uniqueid: str
    cause: int = 16


class LookUpCustomer(Command, frozen=True, kw_only=True):
    """Find the customers of a number in the CRM, or the one whose id is given; always answered by CustomerFound, empty
    on any trouble."""

    call_id: str
    caller: str  # E.164, or empty when withheld
    customer_id: str = ""


class FinishRecording(Command, frozen=True, kw_only=True):
    """The conversation, or the message, ended: merge, repair, measure the file; answered by RecordingFinished."""

    recording_id: str
    call_id: str
    agent: str  # empty: the caller alone was recorded, one channel
    started_at: float


class PickUp(Command, frozen=True, kw_only=True):
    """Make the agent's phone answer; only to phones that said they can be told so over /ws."""

    agent: str
    call_id: str


class Push(Command, frozen=True, kw_only=True):
    """Send {type, data} to the pages of one agent (or of every supervisor when `agent` is empty)."""

    type: str
    agent: str = ""
    data: dict[str, Any]


Input = (
    ChannelNew | ChannelUp | HangupRequested | ChannelGone | Bridged | Unbridged | OriginateFailed
    | StationState | SwitchUp | SwitchDown | LineReady | LineDone | LineLost | RecordingFinished
    | MessageLeft | CustomerFound | TaskDone | CallbacksFound | PastFound
    | Tick | ClockStepped | PeopleChanged | FlowsPublished | CalendarsForced
    | SetAgentState | WrapUp | AnswerCall | RejectCall | HangUpCall | ChangePriority | MoveCall | CancelCallback
    | SetDisposition
)  # fmt: skip
AnyCommand = (
    Play | Collect | Record | Pause | Hold | Release | Ring | HangUp | LookUpCustomer | RunTask | FinishRecording
    | PickUp | Push
)  # fmt: skip
AnyMessage = Input | Event | AnyCommand

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """One line of JSON."""
    return _encoder.encode(message)


def decode(line: bytes) -> AnyMessage:
    """The inverse of `encode`. Raises msgspec.ValidationError."""
    return _decoder.decode(line)
