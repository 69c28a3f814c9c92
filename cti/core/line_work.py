"""What a call's flow has done besides speaking and asking: messages recorded, and work outside of the call.

Both go on when the caller has left: what he said becomes a file, what `on_hangup` asks for is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cti.core import ivr
from cti.core.call import Call, Calls
from cti.core.ids import message_id
from cti.core.messages import Event, FinishRecording, Pause, Record, RunTask, TaskDone
from cti.core.outbox import Outbox

MUSIC_AFTER = 1.0  # s of work outside after which a caller hears music
LATE = 1.0  # s that the answer to a task may be late before it is given up
FILE_WITHIN = 6.0  # s for a message that was recorded to become a file


class Left(msgspec.Struct, frozen=True):
    """How the caller's channel ended, kept until his conversation is told to be over: a story is told in order."""

    at: float
    cause: int
    side: str


class Step(msgspec.Struct):
    """What a call's channel is doing for the flow; not kept over a restart, the flow's node is entered again."""

    present: bool = False
    op: int = 0
    looked_up: bool = False
    busy: bool = False  # a Play, Collect, Record, Pause or RunTask is running
    task: float = 0.0  # when the task that runs is given up; 0: none does
    recording: str = ""  # the message whose file the flow waits for
    trouble: bool = False  # it could not be recorded
    says: int = -1  # the op of the last announcement; it goes on as long as that is `op`
    answer: ivr.Answer | None = None  # how work ended while the channel was away: the flow goes on when it is back
    left: Left | None = None


def fields(action: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(action, name) for name in action.__struct_fields__}


def _key(call: Call) -> str:
    """The same when a node asks again after a restart; another one for each visit of a node, and each wrong PIN."""
    line = call.line or {}
    return f"{call.call_id}:{line.get('visits', 0)}:{line.get('no_match', 0)}"


class Work:
    """`steps` are those of the calls that live, by call id; `proceed` takes a flow on with an answer."""

    def __init__(
        self, out: Outbox, calls: Calls, epoch: int, steps: dict[str, Step],
        proceed: Callable[[Call, ivr.Answer, float], None],
    ) -> None:  # fmt: skip
        self.out = out
        self.calls = calls
        self.epoch = epoch
        self.steps = steps
        self.proceed = proceed
        self.begun: dict[str, dict[str, Any]] = {}  # messages being recorded: the event that began them
        self.filing: set[str] = set()  # messages whose file is being made
        self.deadlines: dict[str, Callable[[str, float], None]] = {
            "task": self._due_task, "music": self._due_music, "file": self._due_file,
        }  # fmt: skip

    def step(self, call: Call) -> Step:
        return self.steps.setdefault(call.call_id, Step())

    def start(self, call: Call) -> int:
        step = self.step(call)
        step.op, step.busy, step.task, step.trouble = step.op + 1, True, 0.0, False
        return step.op

    # ------------------------------------------------------------ messages of callers

    def apply(self, event: Event) -> None:
        if event.type == "recording.started" and event.data.get("message"):
            self.begun[event.data["recording_id"]] = event.data

    def restored(self) -> None:
        """Of the messages that were begun, those count that are not filed yet."""
        open_ = {name for call in self.calls.live.values() for name in call.recordings}
        self.begun = {name: begun for name, begun in self.begun.items() if name in open_}

    def record(self, call: Call, action: ivr.Record, at: float) -> None:
        op = self.start(call)
        name = message_id(call.call_id, call.messages + 1, self.epoch, at)
        self.step(call).recording = name
        self.out.emit("recording.started", at, call_id=call.call_id, recording_id=name, message=True, box=action.box,
                      shortest=action.shortest)  # fmt: skip
        self.out.command(
            Record(
                node=call.node, uniqueid=call.uniqueid, op=op, prompts=action.prompts, recording_id=name,
                longest=action.longest, silence=action.silence,
            )
        )  # fmt: skip

    def finish_message(self, call: Call, at: float) -> None:
        """What the caller recorded is made a file of, once; the flow waits for it, but not for ever."""
        name = self.step(call).recording
        begun = call.recordings.get(name)
        if begun is not None and name not in self.filing:
            self.filing.add(name)
            self.out.command(
                FinishRecording(
                    node=call.node, recording_id=name, call_id=call.call_id, agent="", started_at=begun.started_at
                )
            )  # fmt: skip
            self.out.wake(at + FILE_WITHIN, "file", f"{call.call_id}/{name}")

    def filed(self, event: Event) -> None:
        """The file is there: the message counts when it is long enough, and a caller who is still there goes on."""
        name, seconds = event.data["recording_id"], event.data["seconds"]
        begun = self.begun.pop(name, None)
        self.filing.discard(name)
        if begun is None:
            return
        made = bool(event.data["bytes"])
        if made and begun["box"] and seconds >= begun["shortest"]:
            self.out.emit("voicemail.left", event.at, call_id=event.call_id, box=begun["box"], recording_id=name,
                          seconds=seconds)  # fmt: skip
        data = {"recording_id": name, "seconds": seconds}
        call = self.calls.live[event.call_id]
        outcome = "done" if made else "error" if self.step(call).trouble else "empty"
        self._message_over(call, name, outcome, data, event.at)

    def _message_over(self, call: Call, name: str, outcome: str, data: dict[str, Any], at: float) -> None:
        step = self.step(call)
        if step.recording == name:
            step.recording = ""
            if not call.leaving:
                self._over(call, ivr.Answer(outcome=outcome, data=data), at)

    def _over(self, call: Call, answer: ivr.Answer, at: float) -> None:
        """Go on with it, or keep it for a channel that is not in the loop just now."""
        step = self.step(call)
        if call.leaving or (step.present and call.ended_at is None):
            self.proceed(call, answer, at)
        elif call.ended_at is None:
            step.answer = answer

    def _due_file(self, key: str, at: float) -> None:
        call_id_, _, name = key.partition("/")
        call = self.calls.live.get(call_id_)
        if call is not None:
            self._message_over(call, name, "error", {}, at)

    # ------------------------------------------------------------ work outside of the call

    def task(self, call: Call, action: ivr.Task, at: float) -> None:
        op, step = self.start(call), self.step(call)
        step.task = at + action.timeout + LATE
        self.out.command(
            RunTask(
                node=call.node, call_id=call.call_id, uniqueid=call.uniqueid, op=op, version=call.version,
                key=_key(call), **fields(action),
            )
        )  # fmt: skip
        self.out.wake(step.task, "task", f"{call.call_id}/{op}")
        if call.ended_at is None:
            self.out.wake(at + MUSIC_AFTER, "music", f"{call.call_id}/{op}")

    def task_done(self, m: TaskDone) -> None:
        call = self.calls.live.get(m.call_id)
        step = self.steps.get(m.call_id)
        if call is not None and step is not None and step.busy and step.task and step.op == m.op:
            step.busy, step.task = False, 0.0
            self._over(call, ivr.Answer(outcome=m.outcome, data=m.data), m.at)

    def _of_task(self, key: str) -> Call | None:
        name, _, op = key.partition("/")
        call, step = self.calls.live.get(name), self.steps.get(name)
        return call if step is not None and step.busy and step.task and step.op == int(op) else None

    def _due_task(self, key: str, at: float) -> None:
        call = self._of_task(key)
        if call is not None:
            step = self.step(call)
            step.busy, step.task = False, 0.0
            self._over(call, ivr.Answer(outcome="error"), at)

    def _due_music(self, key: str, at: float) -> None:
        call = self._of_task(key)
        if call is not None and self.step(call).present:
            self.music(call, at)

    def music(self, call: Call, at: float) -> None:
        """While he waits for a task; what he presses meanwhile counts for the next question."""
        step = self.step(call)
        seconds = max(0.1, step.task - at)
        self.out.command(Pause(node=call.node, uniqueid=call.uniqueid, op=step.op, seconds=seconds, music=True))
