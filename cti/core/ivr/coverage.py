"""Which nodes of the flows, and which of the ways out of them that are written there, tests have gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from cti.core.ivr.model import Book, Flow, Node
from cti.core.ivr.phone import Passed
from cti.core.ivr.source import Path, Place, Source

WORDS = {"*": "star", "#": "hash"}


class Way(NamedTuple):
    """A node (`outcome` empty), or a way out of it: an outcome, `then` or `fail`, as it is written."""

    file: str
    line: int
    flow: str
    node: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.node} {self.outcome}".rstrip()


class Coverage(NamedTuple):
    """Of one flow: how many nodes and ways were gone, of how many; and those that were not."""

    flow: str
    nodes: tuple[int, int]
    ways: tuple[int, int]
    missing: tuple[Way, ...]


def coverage(book: Book, sources: Mapping[str, Source], passed: Iterable[Passed]) -> list[Coverage]:
    """`sources`: the flow files, for the lines."""
    gone = {(one.flow, one.node, word) for one in passed for word in ("", _gone(book, one))}
    return [_of_flow(flow, sources.get(flow.file), gone) for _, flow in sorted(book.flows.items())]


def _gone(book: Book, one: Passed) -> str:
    """The way out that an outcome took, as it is written; empty: by the flow's `fail`, or to the end."""
    node = book.flows[one.flow].nodes[one.node]
    if one.outcome in node.to:
        return one.outcome
    if one.outcome == "hangup" or (node.verb == "hangup"):
        return ""
    if one.outcome == "fail" and node.fail:
        return "fail"
    if node.then and one.outcome not in node.bad:
        return "then"
    return "fail" if node.fail else ""


def _of_flow(flow: Flow, source: Source | None, gone: set[tuple[str, str, str]]) -> Coverage:
    nodes = [Way(flow.file, _line(source, node.id, ""), flow.name, node.id, "") for node in flow.nodes.values()]
    ways = [
        Way(flow.file, _line(source, node.id, word), flow.name, node.id, word)
        for node in flow.nodes.values()
        for word in _written(node)
    ]
    lost_nodes = [way for way in nodes if way[2:] not in gone]
    lost_ways = [way for way in ways if way[2:] not in gone]
    missing = [*lost_nodes, *(way for way in lost_ways if (*way[2:4], "") in gone)]
    return Coverage(
        flow.name,
        (len(nodes) - len(lost_nodes), len(nodes)),
        (len(ways) - len(lost_ways), len(ways)),
        tuple(sorted(missing)),
    )


def _written(node: Node) -> list[str]:
    return [*node.to, *(["then"] if node.then else []), *(["fail"] if node.fail else [])]


def _line(source: Source | None, node: str, outcome: str) -> int:
    """The line in which a way is written; else that of the node; 0: there are no lines."""
    if source is None:
        return 0
    places = (_place(source, ("nodes", node, *rest)) for rest in (*_where(outcome), ()))
    return next((place[0] for place in places if place), 0)


def _place(source: Source, path: Path) -> Place | None:
    return source.keys.get(path) or source.values.get(path)


def _where(outcome: str) -> Iterator[Path]:
    """The places in a node where a way out may be written."""
    if not outcome:
        return
    yield (outcome,)
    for key in ("options", "outcomes"):
        yield (key, outcome)
        yield (key, WORDS.get(outcome, outcome))
    if outcome.isdecimal():
        for key in ("when", "shares"):
            yield (key, int(outcome) - 1, "to")
