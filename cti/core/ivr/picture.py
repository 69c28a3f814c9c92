"""What is drawn of a flow, and how large: boxes, the chips of their ways out, ways in, and what nothing leads to."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import msgspec

from cti.core.ivr.layers import Box, Link, layers
from cti.core.ivr.layout import Plan, arrange
from cti.core.ivr.model import TARGETS, Flow, Node

NAMED = ("queue", "flow", "calendar", "box", "survey", "query", "webhook", "run", "to")  # what a node may name
WORDS = {
    "start": "start", "fail": "any outcome not named", "gone": "caller hangs up", "hangup": "hang up",
    "return": "return", "lost": "Nothing leads here:", "visits": "visits", "left": "left here", "now": "now",
}  # fmt: skip
CROWD = 4  # a box that more lead to is reached from afar by its name on the chip, not by a line
LONGEST = 26  # characters of a name that are shown
CHIP_SPACE = 6.0
GLYPH = 7.0  # px that a small letter takes


class Chip(msgspec.Struct, frozen=True):
    """A way out: the outcomes that lead to the same target. `shown`: a line is drawn to it."""

    source: str
    target: str
    labels: tuple[str, ...]
    outcomes: frozenset[str]
    fail: bool = False
    shown: bool = True

    @property
    def end(self) -> bool:
        return self.target in ("hangup", "return")


class Size(msgspec.Struct, frozen=True):
    """What the sizes depend on: `counted`, with room for counts; the words of the reader's language."""

    counted: bool
    words: Mapping[str, str]


class Picture(msgspec.Struct, frozen=True):
    """A flow laid out; may be kept, and drawn again with other counts. `lost`: the part that nothing leads to."""

    flow: Flow
    size: Size
    chips: tuple[Chip, ...]
    plan: Plan
    lost_chips: tuple[Chip, ...]
    lost: Plan


def picture(flow: Flow, *, counted: bool = False, words: Mapping[str, str] = WORDS) -> Picture:
    """The flow laid out. `counted`: with room for counts; `words`: as in WORDS, in the reader's language."""
    reached = _reached(flow)
    chips = [chip for node in flow.nodes.values() for chip in _chips(node)]
    known = set(flow.nodes)
    chips = [chip for chip in chips if chip.end or chip.target in known]
    nodes = [node for node in flow.nodes if node in reached]
    main = _thinned([chip for chip in chips if chip.source in reached], nodes)
    apart = [
        msgspec.structs.replace(chip, shown=chip.target not in reached and not chip.end)
        for chip in chips if chip.source not in reached
    ]  # fmt: skip
    rest = [node for node in flow.nodes if node not in reached]
    size = Size(counted, words)
    return Picture(
        flow, size, tuple(main), _plan(flow, nodes, main, entries(flow), size),
        tuple(apart), _plan(flow, rest, apart, [], size),
    )  # fmt: skip


def entries(flow: Flow) -> list[tuple[str, str]]:
    """(word, node) of the ways into the flow."""
    ways = [("start", flow.start), ("fail", flow.fail), ("gone", flow.on_hangup)]
    return [(word, node) for word, node in ways if node in flow.nodes]


def _reached(flow: Flow) -> set[str]:
    found: set[str] = set()
    todo = [node for _, node in entries(flow)]
    while todo:
        here = todo.pop()
        if here in flow.nodes and here not in found:
            found.add(here)
            node = flow.nodes[here]
            todo += [*node.to.values(), node.then, node.fail]
    return found


def _chips(node: Node) -> list[Chip]:
    """One for each target, in the order of the file."""
    ways: dict[str, list[str]] = {}
    for outcome, target in node.to.items():
        ways.setdefault(goal(node, target), []).append(outcome)
    extra = [(name, target) for name, target in (("then", node.then), ("fail", node.fail)) if target]
    for name, target in extra:
        ways.setdefault(goal(node, target), []).append(name)
    bad = {"fail", "error", "timeout", "invalid"}
    return [
        Chip(node.id, target, tuple(labels), frozenset(node.to) & frozenset(labels), fail=set(labels) <= bad,
             shown=target not in TARGETS)
        for target, labels in ways.items()
    ]  # fmt: skip


def goal(node: Node, target: str) -> str:
    return node.id if target == "repeat" else target


def _thinned(chips: Sequence[Chip], nodes: Sequence[str]) -> list[Chip]:
    """Far lines into a box that many lead to are left out: their chips name it."""
    depth = layers(nodes, [(chip.source, chip.target) for chip in chips if chip.shown])
    into: dict[str, list[int]] = {}
    for chip in chips:
        if chip.shown:
            into.setdefault(chip.target, []).append(depth[chip.target] - depth[chip.source])
    kept = []
    for chip in chips:
        spans = [span for span in into.get(chip.target, []) if span > 0]
        span = depth.get(chip.target, 0) - depth[chip.source]
        far = len(spans) > CROWD and span > max(1, min(spans))
        kept.append(msgspec.structs.replace(chip, shown=False) if far and chip.shown else chip)
    return kept


# ---------------------------------------------------------------- sizes


def text_width(text: str, size: float = 1.0) -> float:
    """About how wide a text is."""
    wide = sum(1 for char in text if unicodedata.east_asian_width(char) in "WF")
    return (wide * 13.0 + (len(text) - wide) * GLYPH) * size


def short(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def label(chip: Chip, size: Size) -> str:
    words = short(", ".join(chip.labels), 30)
    if chip.end:
        return f"{words} ⇥ {size.words[chip.target]}"
    return words if chip.shown else f"{words} → {short(chip.target, 20)}"


def chip_width(chip: Chip, size: Size) -> float:
    return text_width(label(chip, size)) + 14.0 + (44.0 if size.counted else 0.0) + CHIP_SPACE


def box_of(node: Node, chips: Sequence[Chip], size: Size) -> Box:
    title = text_width(short(node.id), 1.3) + 30.0 + (56.0 if size.counted else 0.0)
    ways = sum(chip_width(chip, size) for chip in chips) + 10.0
    title = max(title, text_width(verb_of(node)) + 32.0)
    return Box(node.id, max(150.0 if size.counted else 110.0, title, ways), 90.0 if size.counted else 72.0)


def entry_width(word: str, size: Size) -> float:
    return text_width(size.words[word]) + 24.0


def _plan(
    flow: Flow, nodes: Sequence[str], chips: Sequence[Chip], entries: Sequence[tuple[str, str]], size: Size
) -> Plan:
    """The plan of a part: chips first, then entries. The names of entries cannot be names of nodes."""
    if not nodes:
        return Plan({}, (), 0.0, 0.0)
    of: dict[str, list[Chip]] = {}
    for chip in chips:
        of.setdefault(chip.source, []).append(chip)
    boxes = [Box(f"({word})", entry_width(word, size), 24.0) for word, _ in entries]
    boxes += [box_of(flow.nodes[node], of.get(node, []), size) for node in nodes]
    links = [Link(chip.source, chip.target if chip.shown else "", chip_width(chip, size)) for chip in chips]
    return arrange(boxes, [*links, *(Link(f"({word})", node, 0.0) for word, node in entries)])


def verb_of(node: Node) -> str:
    """The verb, and what it names: a queue, a flow, a calendar."""
    named = next((held for name in NAMED if isinstance(held := getattr(node.spec, name, None), str) and held), "")
    return f"{node.verb} · {short(named, 20)}" if named else node.verb
