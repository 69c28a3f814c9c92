"""The phone of `cti flow sim`: what is said is printed, what the caller and others do is typed, or piped in."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cti.core import ivr
from cti.core.ivr.cases import DIAL, QUEUE
from cti.core.ivr.phone import KEYS, Phone, words
from cti.core.ivr.problems import shown
from cti.core.ivr.trial import told
from cti.core.messages import Prompt, Text
from cti.core.queues import QueueConfig

HELP = "Keys: 0-9 * #, as many as you like. Enter or t: press nothing. h or Ctrl-D: hang up."
DOT = "\u2022"
SPOKE = 5.0  # seconds, when nothing else is said


def value_of(text: str) -> Any:
    """A number, true, false or null; else text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list | str) else value


class Terminal:
    """Prints, and asks; what is piped in is shown as if it had been typed."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._typed = sys.stdin.isatty()
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def say(self, text: str) -> None:
        print(shown(text))

    def dim(self, text: str) -> None:
        print(f"\x1b[2m  {shown(text)}\x1b[0m" if self._colours else f"  {shown(text)}")

    def ask(self, prompt: str, secret: bool = False) -> str | None:
        """A line; None: there is none any more. A secret one is shown as dots."""
        try:
            line = (getpass.getpass(prompt) if secret and self._typed else input(prompt)).strip()
        except EOFError:
            print()
            return None
        if secret or not self._typed:
            print(f"{prompt if secret and self._typed else ''}{DOT * len(line) if secret else shown(line)}")
        return line

    def time(self, at: float) -> str:
        return f"{datetime.fromtimestamp(at, self._zone):%a %Y-%m-%d %H:%M}"


def talk(phone: Phone, terminal: Terminal) -> None:
    """One call, from its first word to its end."""
    begun = phone.at
    _show(phone, terminal)
    while not phone.ended:
        if isinstance(phone.action, ivr.Task):
            on = _task(phone, phone.action, terminal)
        else:
            on = phone.advance() or _ask(phone, terminal)
        if on:
            _show(phone, terminal)
    _sum_up(phone, phone.at - begun, terminal)


def _show(phone: Phone, terminal: Terminal) -> None:
    """What the last step passed, said for the record, and spoke."""
    for one in phone.turn.trail:
        if isinstance(one, ivr.Visit):
            values = "".join(f", {key} = {value!r}" for key, value in one.vars.items())
            terminal.dim(f"{one.node}: {one.outcome} -> {one.to or 'the end'}{values}")
        else:
            terminal.dim(f"event {one.type} {_fields(one.data)}")
    told = len(phone.heard)
    for heard in phone.heard[told - len(phone.hear()) : told]:
        terminal.say(_who(heard.prompt))


def _who(prompt: Prompt) -> str:
    """Who speaks, and what."""
    return f'voice {prompt.language}: "{words(prompt)}"' if isinstance(prompt, Text) else f"recorded: {words(prompt)}"


def _fields(data: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_field(value)}" for key, value in data.items())


def _field(value: Any) -> str:
    """A value; digits and settings that nobody may see are dots."""
    if isinstance(value, dict) and len(value) == 1 and value.keys() & {"sealed", "secret"}:
        return DOT * 4
    if isinstance(value, dict):
        return f"{{{_fields(value)}}}"
    return str(value)


# ---------------------------------------------------------------- what is asked for


def _ask(phone: Phone, terminal: Terminal) -> bool:
    """Somebody does something; False: what was typed is not understood."""
    match phone.action:
        case ivr.Ask(seal=seal):
            so_far = f" ({DOT * len(phone.keys) if seal else phone.keys} so far)" if phone.keys else ""
            return _keys(phone, terminal.ask(f"keys{so_far}> ", secret=bool(seal)), terminal)
        case ivr.Enqueue() as wait:
            for line in _waiting(wait, phone.book.queues.get(wait.queue)):
                terminal.dim(line)
            return _ends(phone, QUEUE, phone.queue_ended, terminal, wait.keys)
        case ivr.Dial(to, timeout):
            terminal.dim(f"{to} is called, for up to {timeout:g} s")
            return _ends(phone, DIAL, phone.dial_ended, terminal)
        case ivr.Record(longest=longest):
            terminal.dim(f"beep; is recorded, for up to {longest:g} s")
            return _record(phone, terminal.ask(f"seconds [{SPOKE:g}]> "), terminal)
        case _:
            phone.hang_up()
            return True


def _waiting(wait: ivr.Enqueue, queue: QueueConfig | None) -> Iterator[str]:
    """With what he waits, and why so."""
    priority = wait.priority if wait.priority is not None else queue.priority if queue is not None else 0
    yield f"waits in queue {wait.queue}, priority {priority}, skills {wait.skills or 'of the queue'}"
    yield from (f"priority raised: {rule}" for rule in wait.raised)
    if wait.prefer:
        why = "is named by the node" if wait.prefer_why == "named" else "talked to him last"
        yield f"for {wait.prefer_for:g} s only {wait.prefer} is offered the call, who {why}"


def _left(phone: Phone, line: str | None, terminal: Terminal) -> bool:
    if line not in (None, "h"):
        return False
    terminal.say("(the caller hangs up)")
    phone.hang_up()
    return True


def _keys(phone: Phone, line: str | None, terminal: Terminal) -> bool:
    if _left(phone, line, terminal):
        return True
    if line in (None, "", "t"):
        phone.nothing()
        return True
    if line and set(line) <= KEYS:
        phone.press(line)
        return phone.advance()
    terminal.say(HELP)
    return False


def _ends(
    phone: Phone, results: tuple[str, ...], end: Callable[[str], None], terminal: Terminal, keys: str = ""
) -> bool:
    """`keys`: those that mean something meanwhile."""
    offered = ", ".join(results) + (f"; keys {' '.join(keys)}" if keys else "")
    line = terminal.ask(f"{offered} [{results[0]}]> ")
    if _left(phone, line, terminal):
        return True
    if line and set(line) & set(keys) and set(line) <= KEYS:
        phone.press(line)
        return True
    if (result := line or results[0]) in results:
        end(result)
        return True
    terminal.say(f"one of {offered}; h: hang up")
    return False


def _record(phone: Phone, line: str | None, terminal: Terminal) -> bool:
    if _left(phone, line, terminal):
        return True
    try:
        phone.recorded(max(0.0, float(line)) if line else SPOKE)
    except ValueError:
        terminal.say("seconds as a number; h: hang up")
        return False
    return True


def _task(phone: Phone, task: ivr.Task, terminal: Terminal) -> bool:
    """Enter takes the answer that was given; else `none`, or `found due=2026-12-01 status=sent`."""
    terminal.dim(f"{phone.line.node} asks {task.kind}: {_fields(task.args)}")
    given = phone.given()
    line = None if phone.left else terminal.ask(f"answer [{given.outcome} {_fields(given.data)}".rstrip() + "]> ")
    if not phone.left and _left(phone, line, terminal):
        return True
    try:
        parts = shlex.split(line or "")
    except ValueError:
        parts = [""]
    if any("=" not in part for part in parts[1:]) or parts[:1] == [""]:
        terminal.say("an outcome, then fields: found due=2026-12-01 status=sent")
        return False
    data = {key: value_of(text) for key, _, text in (part.partition("=") for part in parts[1:])}
    phone.task_ended(ivr.Answer(parts[0], data=data) if parts else given)
    return True


def _sum_up(phone: Phone, length: float, terminal: Terminal) -> None:
    cause = f", cause {phone.action.cause}" if isinstance(phone.action, ivr.End) else ""
    terminal.say(f"ended: {phone.outcome}{cause}, after {int(length) // 60}:{int(length) % 60:02d}")
    for title, items in (
        ("path", [told(one, phone.path[0].flow) for one in phone.path]),
        ("events", [f"{one.data.get('name', one.type)}" for one in phone.facts]),
        ("vars", [f"{key} = {value!r}" for key, value in phone.line.vars.items()]),
    ):
        if items:
            print(f"{title}: {', '.join(map(shown, items))}")
