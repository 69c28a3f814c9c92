"""A flow as text that others draw: Mermaid for people, JSON Schema for editors; as a picture: `svg`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cti.core.ivr.checker import DEFAULTS
from cti.core.ivr.expressions import Names
from cti.core.ivr.model import TARGETS, Flow, Node
from cti.core.ivr.svg import KINDS, svg
from cti.core.ivr.traffic import Count, counts_of
from cti.core.ivr.verbs import COMMON, VERBS, Scope

__all__ = ["Count", "counts_of", "mermaid", "schema", "svg"]
SHAPES = {"menu": ("{{", "}}"), "ask": ("{{", "}}")}
KIND_SHAPES = {"decide": ("{", "}"), "route": ("[[", "]]"), "data": ("[/", "/]"), "structure": ("([", "])")}


def mermaid(flow: Flow) -> str:
    """The flow as a Mermaid flowchart; dotted lines are what happens when an outcome is not named."""
    lines = ["flowchart TD", f"  start((start)) --> n_{_id(flow.start)}"]
    for node in flow.nodes.values():
        left, right = SHAPES.get(node.verb) or KIND_SHAPES.get(KINDS.get(node.verb, ""), ("[", "]"))
        lines.append(f'  n_{_id(node.id)}{left}"{node.id}: {node.verb}"{right}')
        lines += _arrows(node)
    if flow.fail:
        lines += [f'  any(("not named")) -.-> {_target(flow.nodes.get(flow.fail), flow.fail)}']
    if flow.on_hangup:
        lines += [f'  gone(("caller gone")) -.-> n_{_id(flow.on_hangup)}']
    return "\n".join([*lines, "  hangup((hangup))", ""])


def _arrows(node: Node) -> Iterator[str]:
    for outcome, target in node.to.items():
        yield f'  n_{_id(node.id)} -->|"{outcome}"| {_target(node, target)}'
    if node.then:
        yield f"  n_{_id(node.id)} --> {_target(node, node.then)}"
    if node.fail:
        yield f'  n_{_id(node.id)} -.->|"fail"| {_target(node, node.fail)}'


def _target(node: Node | None, target: str) -> str:
    if target == "repeat" and node is not None:
        return f"n_{_id(node.id)}"
    return "hangup" if target in TARGETS else f"n_{_id(target)}"


def _id(name: str) -> str:
    return name.replace("-", "__")


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a flow file: its keys, verbs and outcomes. `cti flow check` knows more."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cti flow",
        "type": "object",
        "required": ["flow", "language", "start", "nodes"],
        "additionalProperties": False,
        "properties": {
            "flow": {"type": "string"},
            "language": {"type": "string"},
            "start": {"type": "string"},
            "defaults": {
                "type": "object",
                "properties": dict.fromkeys(DEFAULTS, True),
                "additionalProperties": False,
            },
            "nodes": {
                "type": "object",
                "additionalProperties": {"required": ["do"], "oneOf": [_verb(name) for name in VERBS]},
            },
        },
    }


def _verb(name: str) -> dict[str, Any]:
    verb = VERBS[name]
    keys = dict.fromkeys(verb.keys(Scope("en", {}, Names((), {}), "", ())), True)
    targets = (*verb.outcomes, *(COMMON if verb.outcomes else ()))
    outcomes = {word: {"type": "string"} for word in targets}
    return {
        "type": "object",
        "properties": {"do": {"const": name}, "note": {"type": "string"}, **keys, **outcomes},
        "required": ["do", *verb.needed],
        "additionalProperties": False,
    }
