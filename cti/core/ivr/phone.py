"""A caller on a flow, without a switch: what he hears, presses and does, on a clock of his own.

    phone = Phone(book, "main", caller="+62811...", at=...)
    phone.settle()           everything happens that needs nobody
    phone.press("1")         keys, as many as you like: what the flow does not ask for yet is kept, as on the line
    phone.settle()
    phone.hear()             what was spoken since it was asked last

Keys are taken as `messages.Collect` says. Prompts take time, so that calendars and limits of time do what they
would do in a call. No call goes on for ever: after MAX_STEPS nothing happens any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cti.core.ivr import interpreter
from cti.core.ivr.model import Book
from cti.core.ivr.sealing import sealed
from cti.core.ivr.steps import (
    Action,
    Answer,
    Ask,
    Context,
    Dial,
    End,
    Enqueue,
    Fact,
    Line,
    Pause,
    Record,
    Say,
    Task,
    Turn,
    Visit,
)  # fmt: skip
from cti.core.messages import Forced, Prompt, Text
from cti.core.numbers import to_e164

KEYS = frozenset("0123456789*#")
MAX_STEPS = 1_000
SPOKEN = 15.0  # characters a second
PLAYED = 3.0  # seconds of a recorded prompt
KEY = 0.3  # seconds from key to key
WORK = 0.1  # seconds of a task
WAITED = 20.0  # seconds in a queue until an agent answers
TALK = 60.0
TALKED = "talked"  # an agent answered, and the caller hung up first
LOOKUPS = frozenset({"customer", "query"})


class Passed(NamedTuple):
    """A node that was left, and how; `hangup`: the caller left in it."""

    flow: str
    node: str
    outcome: str


class Heard(NamedTuple):
    prompt: Prompt
    flow: str
    node: str


class Phone:
    """`past`: `repeat` and `last_agent` of his calls before. `answers`: what tasks come to, by node id or flow/node:
    the first time, the second ..., the last for ever; an outcome "" is the good one. `turn`: the step the call is in;
    `path`, `facts`, `heard`: all until now; `keys`: pressed and not taken yet; `vault`: secret digits by name;
    `waited`: by queue, the last wait since an agent talked; `strange`: tasks nobody gave an answer for."""

    def __init__(
        self,
        book: Book,
        flow: str,
        language: str | None = None,
        *,
        caller: str = "",
        called: str = "",
        customer: Mapping[str, Any] | None = None,
        at: float = 0.0,
        forced: Mapping[str, Forced] | None = None,
        answers: Mapping[str, Sequence[Answer]] | None = None,
        past: Mapping[str, Any] | None = None,
    ) -> None:
        self.book = book
        self.at = at
        self.customer = dict(customer or {})
        number = to_e164(caller, book.country) or caller or None
        self.call: dict[str, Any] = {"id": "trial", "caller": number, "called": called or None}
        self.call |= {"repeat": 0, "last_agent": None, "callback": None, "callback_tries": 0, **(past or {})}
        self.forced = dict(forced or {})
        self.answers = dict(answers or {})
        self.path: list[Passed] = []
        self.facts: list[Fact] = []
        self.heard: list[Heard] = []
        self.strange: list[Passed] = []
        self.vault: dict[str, str] = {}
        self.keys = ""
        self.left = False
        self._guarded = False  # after secret digits without a terminator: what comes may be more of them
        self.waited: dict[str, dict[str, Any]] = {}
        self._queued_at = at
        self._steps = 0
        self._told = 0
        self._asked: dict[str, int] = {}
        self.turn: Turn
        self._took(interpreter.begin(book, flow, language, self.context))

    @property
    def context(self) -> Context:
        return Context(
            call=self.call, customer=self.customer, at=self.at, forced=self.forced, waited=self.waited
        )  # fmt: skip

    @property
    def action(self) -> Action:
        return self.turn.action

    @property
    def line(self) -> Line:
        return self.turn.line

    @property
    def ended(self) -> bool:
        return isinstance(self.action, End) or self._steps >= MAX_STEPS

    @property
    def outcome(self) -> str:
        """How the call ended: as `End` says, `hung_up` by the caller, `endless`; empty: it goes on."""
        if not self.ended:
            return ""
        if self.left:
            return "hung_up"
        return self.action.how if isinstance(self.action, End) else "endless"

    def hear(self) -> list[str]:
        """The texts spoken since this was asked last; recorded prompts by file name."""
        told, self._told = self._told, len(self.heard)
        return [words(one.prompt) for one in self.heard[told:]]

    # ------------------------------------------------------------ time goes by

    def settle(self) -> None:
        """Go on until somebody has to do something, or the call is over."""
        while self.advance():
            pass

    def advance(self) -> bool:
        """One step that needs nobody: speech, a pause, a task, an entry that is complete. False: there is none."""
        if self.ended:
            return False
        match self.action:
            case Say():
                self._proceed(Answer("done"))
            case Pause(seconds):
                self.at += seconds
                self._proceed(Answer("done"))
            case Task():
                self.task_ended(self.given())
            case Enqueue(closed=True):
                self._over("closed")
            case Ask() as ask if entry := taken(ask, self.keys):
                ended = len("".join(entry)) < len(self.keys)
                digits, self.keys = entry
                self._entered(ask, digits, ended)
            case _:
                return False
        return True

    # ------------------------------------------------------------ what the caller does

    def press(self, keys: str) -> None:
        """Keys that no question takes are kept for the next one. In a queue the first of those that mean something
        there ends the wait; all others there, and in a talk, are for nothing."""
        self.at += KEY * len(keys)
        if isinstance(wait := self.action, Enqueue):
            if chosen := next((key for key in keys if key in wait.keys), ""):
                self._no_longer(wait)
                self._proceed(Answer(interpreter.result_of(self.book, self.line, chosen), chosen))
        elif not isinstance(self.action, Dial | Record):
            self.keys += keys

    def nothing(self) -> None:
        """Press nothing, until the flow does not wait any longer: an entry that was begun is over then, too."""
        if isinstance(ask := self.action, Ask):
            digits, self.keys = self.keys, ""
            self.at += ask.digit_timeout if digits else ask.timeout
            if digits:
                self._entered(ask, digits)
            else:
                self._proceed(Answer("timeout"))

    def recorded(self, seconds: float) -> None:
        """The caller spoke for so long."""
        self.at += seconds
        self._proceed(Answer("done", data={"recording_id": f"recording-{self._steps}", "seconds": seconds}))

    def hang_up(self, outcome: str = "hangup") -> None:
        """The caller leaves; what the flow does then has begun. `outcome`: how the node ended in which he left."""
        if self.ended:
            return
        self.left = True
        self._took(interpreter.hung_up(self.book, self.line, self.context, outcome))

    # ------------------------------------------------------------ what others do

    def queue_ended(self, result: str) -> None:
        """How the wait in the queue ended: answered (the talk is over, the caller is still there), talked (he hung up
        first), timeout, full, no_agents, closed, left, failed."""
        if isinstance(wait := self.action, Enqueue):
            queue = self.book.queues.get(wait.queue)
            longest = wait.max_wait or (queue.max_wait if queue else WAITED)
            self._no_longer(wait)
            if result in ("answered", TALKED):  # who was served begins to wait anew
                self.waited = {}
            self.at += {"answered": WAITED + TALK, TALKED: WAITED + TALK, "timeout": longest}.get(result, 0.0)
            self._over(result)

    def _no_longer(self, wait: Enqueue) -> None:
        """What is kept of a wait: for a callback, or when he waits there again."""
        queue, before = self.book.queues.get(wait.queue), self.waited.get(wait.queue)
        since = self._queued_at if before is None else before["since"]
        priority = wait.priority if wait.priority is not None else queue.priority if queue else 0
        self.waited[wait.queue] = {"since": since, "priority": priority, "skills": wait.skills}

    def dial_ended(self, result: str) -> None:
        """answered, talked, as of a queue; busy, no_answer, fail."""
        if isinstance(dial := self.action, Dial):
            self.at += {"answered": TALK, TALKED: TALK, "no_answer": dial.timeout}.get(result, 1.0)
            self._over(result)

    def _over(self, result: str) -> None:
        if result == TALKED:
            self.hang_up("answered")
        else:
            self._proceed(Answer(result))

    def task_ended(self, answer: Answer) -> None:
        self.at += WORK
        self._asked[self.line.node] = self._asked.get(self.line.node, 0) + 1
        self._proceed(answer)

    def given(self) -> Answer:
        """What the task the call waits for comes to: as was given, else what makes sense; `error` when nothing does."""
        node, task = self.line.node, self.action
        kind, args = (task.kind, task.args) if isinstance(task, Task) else ("", {})
        answers = self.answers.get(f"{self.line.flow}/{node}") or self.answers.get(node)
        if answers:
            answer = answers[min(self._asked.get(node, 0), len(answers) - 1)]
            good = "found" if kind in LOOKUPS else "done"
            return answer if answer.outcome else Answer(good, data=answer.data)
        if kind == "customer":
            return Answer("found", data=self.customer) if self._is_he(args) else Answer("none")
        self.strange.append(Passed(self.line.flow, node, kind))
        return Answer("error")

    def _is_he(self, args: Mapping[str, Any]) -> bool:
        """Whether a customer was given, and is the one looked for."""
        known = {str(self.call["caller"]), str(self.customer.get("customer_id", ""))}
        return bool(self.customer) and any(str(value) in known for value in args.values())

    # ------------------------------------------------------------ one step

    def _proceed(self, answer: Answer) -> None:
        self._took(interpreter.proceed(self.book, self.line, answer, self.context))

    def _took(self, turn: Turn) -> None:
        self.turn = turn
        self._steps += 1
        for one in turn.trail:
            if isinstance(one, Visit):
                self.path.append(Passed(one.flow, one.node, one.outcome))
            else:
                self.facts.append(one)
        self._listen(turn.action)

    def _listen(self, action: Action) -> None:
        """The prompts of an action are spoken, if no key was pressed that cuts them short; a queue, a call and a
        recording take all keys."""
        if isinstance(action, Enqueue | Dial):
            self.keys, self._queued_at = "", self.at
        if not isinstance(action, Say | Ask | Record | Pause):
            return
        fresh, seal = (action.fresh, action.seal) if isinstance(action, Ask) else (False, "")
        if fresh or (self._guarded and not seal):
            self.keys = ""
        self._guarded = self._guarded and not isinstance(action, Ask)
        prompts = () if isinstance(action, Pause) else action.prompts
        if not (self.keys and (isinstance(action, Record | Pause) or action.barge_in)):
            self._speak(prompts)
        if isinstance(action, Record):
            self.keys = ""

    def _speak(self, prompts: tuple[Prompt, ...]) -> None:
        for prompt in prompts:
            self.at += len(prompt.text) / SPOKEN if isinstance(prompt, Text) else PLAYED
            self.heard.append(Heard(prompt, self.line.flow, self.line.node))

    def _entered(self, ask: Ask, digits: str, ended: bool = False) -> None:
        """`ended`: by the terminator."""
        if not digits and ask.least:
            self._proceed(Answer("timeout"))
        elif ask.seal:
            self.vault[ask.seal], self._guarded = digits, not ended
            self._proceed(Answer("digits", sealed=sealed(ask.seal, digits)))
        else:
            self._proceed(Answer("digits", digits))


def taken(ask: Ask, keys: str) -> tuple[str, str] | None:
    """An entry that is complete, and the keys after it; None: more may come."""
    for at, key in enumerate(keys):
        if key == ask.terminator:
            return keys[:at], keys[at + 1 :]
        if at + 1 >= ask.most:
            rest = keys[at + 1 :]
            late = ask.most > 1 and rest[:1] == (ask.terminator or "#")  # it belongs to the answer that was full before
            return keys[: at + 1], rest[late:]
    return None


def words(prompt: Prompt) -> str:
    return prompt.text if isinstance(prompt, Text) else f"prompts/{prompt.language}/{prompt.name}.wav"
