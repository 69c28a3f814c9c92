"""No call may go round for ever: every node must lead to one that waits for somebody, or to an end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from cti.core.ivr import model
from cti.core.ivr.model import Node
from cti.core.ivr.source import Reader

ASK = (  # they wait for somebody, or end the call
    model.Menu, model.Ask, model.Record, model.Queue, model.Dial, model.Callback, model.Voicemail, model.Survey,
    model.Pay, model.Authenticate, model.Hangup,
)  # fmt: skip
HANGUP, RETURN = ("", "hangup"), ("", "return")
At = tuple[str, str]  # flow and node


class Draft(Protocol):
    """A flow being read."""

    reader: Reader
    name: str
    start: str
    defaults: dict[str, Any]
    made: dict[str, Node]


def check_loops(drafts: Iterable[Draft]) -> None:
    """A node that is in a loop where nobody is asked is a problem. Of flows with other problems nothing is said."""
    sound = {draft.name: draft for draft in drafts if not draft.reader.problems}
    nodes = {(name, key): node for name, draft in sound.items() for key, node in draft.made.items()}
    ways = {at: _ways(sound, at, node) for at, node in nodes.items()}
    calls = {at: _start(sound, node) for at, node in nodes.items() if isinstance(node.spec, model.Call)}
    asking = {HANGUP, *(at for at, node in nodes.items() if isinstance(node.spec, ASK))}
    inside = {at: {*to, calls[at]} if at in calls else to for at, to in ways.items()}
    asked = _leading(inside, asking)
    asking |= {at for at, start in calls.items() if start in asked}
    ends = {RETURN, *(at for at, node in nodes.items() if isinstance(node.spec, model.Return))}
    for name, key in nodes.keys() - _leading(ways, asking | ends):
        message = f"node `{key}` is in a loop where nobody is asked and nothing ends"
        sound[name].reader.wrong(("nodes", key), message, of_key=True)


def goes_on(node: Node) -> bool:
    """Whether it may end well in a way that has no target of its own: it goes to `then` or `fail`."""
    match node.spec:
        case model.Branch() | model.Split() | model.Hours() | model.Return():
            return False
        case model.Goto():
            named: tuple[str, ...] = ("exhausted",)
        case model.Lookup(by="query"):
            named = ("found", "none")
        case model.Lookup():
            named = ("found", "none", "several")
        case _:
            return True
    return not all(outcome in node.to for outcome in named)


def _ways(sound: Mapping[str, Draft], at: At, node: Node) -> set[At]:
    """Where it may lead to when it ends well. What a failure leads to is no way out of a loop."""
    if isinstance(node.spec, model.Call) and not node.spec.back:
        return {_start(sound, node)}
    draft = sound[at[0]]
    ways = {target for outcome, target in node.to.items() if outcome != "error"}
    if goes_on(node):
        ways.add(node.then or node.fail or draft.defaults.get("fail", "") or "hangup")
    return {_place(at, target) for target in ways}


def _place(at: At, target: str) -> At:
    if target == "repeat":
        return at
    return ("", target) if target in model.TARGETS else (at[0], target)


def _start(sound: Mapping[str, Draft], node: Node) -> At:
    """Where the other flow begins; one that is not known counts as one that asks."""
    other = sound.get(node.spec.flow) if isinstance(node.spec, model.Call) else None
    return (other.name, other.start) if other is not None else HANGUP


def _leading(ways: Mapping[At, set[At]], ends: Iterable[At]) -> set[At]:
    """What leads to one of these, and they."""
    before: dict[At, list[At]] = {}
    for at, targets in ways.items():
        for target in targets:
            before.setdefault(target, []).append(at)
    todo, found = list(ends), set[At]()
    while todo:
        if (at := todo.pop()) not in found:
            found.add(at)
            todo += before.get(at, ())
    return found
