"""What a node names must be there: queues, calendars, boxes, surveys, queries, scripts, other flows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from cti.core.ivr.model import Node, Statement
from cti.core.ivr.source import Path, Reader

# by verb: the key that names something, and the file that holds it
NAMED = {
    "queue": ("queue", "queues.yaml"),
    "callback": ("queue", "queues.yaml"),
    "hours": ("calendar", "calendars.yaml"),
    "voicemail": ("box", "voicemail.yaml"),
    "survey": ("survey", "surveys.yaml"),
    "lookup": ("query", "lookups.yaml"),
}


class Draft(Protocol):
    """A flow being read."""

    reader: Reader
    name: str
    nodes: dict[str, Any]
    args: dict[str, Any]
    made: dict[str, Node]


def check_references(
    drafts: Iterable[Draft], known: Mapping[str, Mapping[str, Any]], unread: Collection[str],
    scripts: Collection[str] | None,
) -> None:  # fmt: skip
    """`known`: by file, what it holds. `unread`: files of which nobody knows what they hold."""
    flows = {draft.name: draft for draft in drafts}
    whole = all(file.endswith(".yaml") and file in known for file in unread)  # else one of them may be the flow
    for draft in flows.values():
        for key, node in draft.nodes.items():
            verb = node.get("do") if isinstance(node, dict) else None
            path: Path = ("nodes", key)
            if isinstance(verb, str) and verb in NAMED:
                _named(draft.reader, path, node, *NAMED[verb], known, unread)
            if verb in ("call", "transfer") and whole:
                _flow(draft.reader, path, node, flows)
            if verb == "script" and scripts is not None:
                _script(draft.reader, path, node.get("run"), scripts)
        _binds(draft, known.get("lookups.yaml", {}))


def _named(
    reader: Reader, path: Path, node: Mapping[str, Any], key: str, file: str, known: Mapping[str, Mapping[str, Any]],
    unread: Collection[str],
) -> None:  # fmt: skip
    wanted = node.get(key)
    if isinstance(wanted, str) and file not in unread and wanted not in known.get(file, {}):
        what = f"{key} `{wanted[:60]}` is not in {file}"
        reader.unknown((*path, key), what, wanted[:60], known.get(file, {}))


def _script(reader: Reader, path: Path, wanted: Any, scripts: Collection[str]) -> None:
    if isinstance(wanted, str) and wanted not in scripts:
        reader.unknown((*path, "run"), f"the script scripts/{wanted[:60]} is missing", wanted[:60], scripts)


def _flow(reader: Reader, path: Path, node: Mapping[str, Any], flows: Mapping[str, Draft]) -> None:
    """The flow that is called, and what it must be given."""
    wanted, written = node.get("flow"), node.get("args", {})
    if not isinstance(wanted, str) or not isinstance(written, dict):
        return
    if wanted not in flows:
        reader.unknown((*path, "flow"), f"flow `{wanted[:60]}` is not in this folder", wanted[:60], flows)
        return
    known = flows[wanted].args
    for key in written.keys() - known.keys():
        reader.unknown((*path, "args", key), f"flow `{wanted}` takes no `{key[:60]}`", key[:60], known, of_key=True)
    for key, default in known.items():
        if default is None and key not in written:
            reader.wrong((*path, "args"), f"flow `{wanted}` needs `{key}`", f"args: {{{key}: ...}}", of_key=True)
    if isinstance(node.get("outcomes"), dict):
        _returned(reader, path, node["outcomes"], flows[wanted])


def _returned(reader: Reader, path: Path, outcomes: Mapping[str, Any], called: Draft) -> None:
    """The outcomes of a call are those that the flow returns; without a name it is `done`."""
    returns = [node for node in called.nodes.values() if isinstance(node, dict) and node.get("do") == "return"]
    known = {"done", *(str(node.get("outcome", "done")) for node in returns)}
    for key in outcomes.keys() - known:
        message = f"flow `{called.name}` never returns `{key[:60]}`"
        reader.unknown((*path, "outcomes", key), message, key[:60], known, of_key=True)


def _binds(draft: Draft, statements: Mapping[str, Statement]) -> None:
    """A query must be given exactly what it asks for."""
    for key, node in draft.nodes.items():
        named = node.get("query") if isinstance(node, dict) and node.get("do") == "lookup" else None
        given = node.get("with", {}) if named else {}
        if not isinstance(named, str) or named not in statements or not isinstance(given, dict):
            continue
        path: Path = ("nodes", key, "with")
        names = statements[named].names
        for word in given.keys() - set(names):
            draft.reader.unknown((*path, word), f"query `{named}` has no `:{word[:60]}`", word[:60], names, of_key=True)
        for word in set(names) - given.keys():
            draft.reader.wrong(path, f"query `{named}` needs `{word}`", f"with: {{{word}: ...}}", of_key=True)
