"""A flow as an SVG picture: boxes with the ways out of them, and on wish how many callers went which way.

Readable without colour (every sign has its word), in light and in dark, alone in a file and inside a page: the classes
are the page's to restyle, `STYLE` is what a file brings along.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import msgspec

from cti.core.ivr.layout import Box, Link, Plan, Route, arrange, layers
from cti.core.ivr.model import TARGETS, Flow, Node
from cti.core.ivr.traffic import Count, Counts

KINDS = {
    **dict.fromkeys(("say", "menu", "ask", "language", "record", "wait", "survey", "pay", "authenticate"), "talk"),
    **dict.fromkeys(("hours", "branch", "split", "set", "goto"), "decide"),
    **dict.fromkeys(("lookup", "http", "script", "event", "message"), "data"),
    **dict.fromkeys(("queue", "dial", "callback", "voicemail"), "route"),
    **dict.fromkeys(("transfer", "call", "return", "hangup"), "structure"),
}
NAMED = ("queue", "flow", "calendar", "box", "survey", "query", "webhook", "run", "to")  # what a node may name
STYLE = """\
.cti-flow{font:13px system-ui,"Segoe UI",Roboto,"Noto Sans","Noto Sans CJK SC",sans-serif;fill:#14202f}
.cti-flow .paper{fill:#fff}
.cti-flow .box{fill:#f4f7fb;stroke:#6b7a92;stroke-width:1.3}
.cti-flow .talk .box{fill:#e6effd;stroke:#2f5fc4}.cti-flow .talk .mark{fill:#2f5fc4}
.cti-flow .decide .box{fill:#fff3d6;stroke:#946200}.cti-flow .decide .mark{fill:#946200}
.cti-flow .data .box{fill:#e0f4ea;stroke:#1a7547}.cti-flow .data .mark{fill:#1a7547}
.cti-flow .route .box{fill:#f2e8fb;stroke:#7a3fb0}.cti-flow .route .mark{fill:#7a3fb0}
.cti-flow .structure .box{fill:#eceff4;stroke:#53617a}.cti-flow .structure .mark{fill:#53617a}
.cti-flow .mark{fill:#6b7a92}
.cti-flow .id{font-weight:650;font-size:14px}.cti-flow .verb,.cti-flow .small{font-size:12px;fill:#46546b}
.cti-flow .chip rect{fill:#fff;stroke:#8593aa}.cti-flow .chip text{font-size:12px}
.cti-flow .chip .n,.cti-flow .visits{font-weight:650}
.cti-flow .end rect{fill:#3d4a5f;stroke:#3d4a5f}.cti-flow .end text{fill:#fff}
.cti-flow .line{fill:none;stroke:#6b7a92;stroke-width:1.5}.cti-flow .tip{fill:#6b7a92}
.cti-flow .fail .line,.cti-flow .line.fail{stroke-dasharray:5 4}
.cti-flow .back .line{stroke:#2f5fc4}.cti-flow .back .tip{fill:#2f5fc4}
.cti-flow .w2 .line{stroke-width:2.5}.cti-flow .w3 .line{stroke-width:4}.cti-flow .w4 .line{stroke-width:6}
.cti-flow .left{fill:#a3131b;font-size:12px;font-weight:650}.cti-flow .lost{fill:#c4272f}
.cti-flow .track{fill:#14202f;fill-opacity:.1}
.cti-flow .now rect{fill:#0f6b3c}.cti-flow .now text{fill:#fff;font-size:12px;font-weight:650}
.cti-flow .idle{opacity:.65}
@media (prefers-color-scheme:dark){
.cti-flow{fill:#e9eef6}.cti-flow .paper{fill:#18212e}
.cti-flow .box{fill:#222d3c;stroke:#8593aa}
.cti-flow .talk .box{fill:#1b2c50;stroke:#7ea6ff}.cti-flow .talk .mark{fill:#7ea6ff}
.cti-flow .decide .box{fill:#3b2e12;stroke:#e2ae4d}.cti-flow .decide .mark{fill:#e2ae4d}
.cti-flow .data .box{fill:#133526;stroke:#5cc690}.cti-flow .data .mark{fill:#5cc690}
.cti-flow .route .box{fill:#332148;stroke:#c69af0}.cti-flow .route .mark{fill:#c69af0}
.cti-flow .structure .box{fill:#263140;stroke:#a3b1c6}.cti-flow .structure .mark{fill:#a3b1c6}
.cti-flow .verb,.cti-flow .small{fill:#b9c5d6}
.cti-flow .chip rect{fill:#18212e;stroke:#6b7a92}.cti-flow .end rect{fill:#c9d3e0;stroke:#c9d3e0}
.cti-flow .end text{fill:#14202f}
.cti-flow .line{stroke:#93a2b8}.cti-flow .tip{fill:#93a2b8}
.cti-flow .back .line{stroke:#7ea6ff}.cti-flow .back .tip{fill:#7ea6ff}
.cti-flow .left{fill:#ff9a9a}.cti-flow .lost{fill:#ff7b7b}.cti-flow .track{fill:#fff;fill-opacity:.16}
.cti-flow .now rect{fill:#77dba2}.cti-flow .now text{fill:#0d2b1b}
}
"""
WORDS = {
    "start": "start", "fail": "any outcome not named", "gone": "caller hangs up", "hangup": "hang up",
    "return": "return", "lost": "Nothing leads here:", "visits": "visits", "left": "left here", "now": "now",
}  # fmt: skip
MARGIN = 20.0
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


class Way(msgspec.Struct, frozen=True):
    """A chip as it is drawn; `amount`: how many went that way, None: not counted."""

    chip: Chip
    route: Route
    amount: int | None


class _Size(msgspec.Struct, frozen=True):
    """What the sizes depend on: `counted`, with room for counts; the words of the reader's language."""

    counted: bool
    words: Mapping[str, str]


class Picture(msgspec.Struct, frozen=True):
    """A flow laid out; may be kept, and drawn again with other counts. `lost`: the part that nothing leads to."""

    flow: Flow
    size: _Size
    chips: tuple[Chip, ...]
    plan: Plan
    lost_chips: tuple[Chip, ...]
    lost: Plan


def svg(flow: Flow, counts: Counts | None = None, now: Mapping[str, int] | None = None) -> str:
    """The flow as a stand-alone SVG file. `counts`, by node; `now`: how many callers stand in it."""
    return render(picture(flow, counted=counts is not None), counts, now)


# ---------------------------------------------------------------- what is drawn


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
    size = _Size(counted, words)
    return Picture(
        flow, size, tuple(main), _plan(flow, nodes, main, _entries(flow), size),
        tuple(apart), _plan(flow, rest, apart, [], size),
    )  # fmt: skip


def _entries(flow: Flow) -> list[tuple[str, str]]:
    """(word, node) of the ways into the flow."""
    ways = [("start", flow.start), ("fail", flow.fail), ("gone", flow.on_hangup)]
    return [(word, node) for word, node in ways if node in flow.nodes]


def _reached(flow: Flow) -> set[str]:
    found: set[str] = set()
    todo = [node for _, node in _entries(flow)]
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
        ways.setdefault(_goal(node, target), []).append(outcome)
    extra = [(name, target) for name, target in (("then", node.then), ("fail", node.fail)) if target]
    for name, target in extra:
        ways.setdefault(_goal(node, target), []).append(name)
    bad = {"fail", "error", "timeout", "invalid"}
    return [
        Chip(node.id, target, tuple(labels), frozenset(node.to) & frozenset(labels), fail=set(labels) <= bad,
             shown=target not in TARGETS)
        for target, labels in ways.items()
    ]  # fmt: skip


def _goal(node: Node, target: str) -> str:
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


def _width(text: str, size: float = 1.0) -> float:
    """About how wide a text is."""
    wide = sum(1 for char in text if unicodedata.east_asian_width(char) in "WF")
    return (wide * 13.0 + (len(text) - wide) * GLYPH) * size


def _short(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _label(chip: Chip, size: _Size) -> str:
    words = _short(", ".join(chip.labels), 30)
    if chip.end:
        return f"{words} ⇥ {size.words[chip.target]}"
    return words if chip.shown else f"{words} → {_short(chip.target, 20)}"


def _chip_width(chip: Chip, size: _Size) -> float:
    return _width(_label(chip, size)) + 14.0 + (44.0 if size.counted else 0.0) + CHIP_SPACE


def _box(node: Node, chips: Sequence[Chip], size: _Size) -> Box:
    title = _width(_short(node.id), 1.3) + 30.0 + (56.0 if size.counted else 0.0)
    ways = sum(_chip_width(chip, size) for chip in chips) + 10.0
    title = max(title, _width(_verb(node)) + 32.0)
    return Box(node.id, max(150.0 if size.counted else 110.0, title, ways), 90.0 if size.counted else 72.0)


def _entry_width(word: str, size: _Size) -> float:
    return _width(size.words[word]) + 24.0


def _plan(
    flow: Flow, nodes: Sequence[str], chips: Sequence[Chip], entries: Sequence[tuple[str, str]], size: _Size
) -> Plan:
    """The plan of a part: chips first, then entries. The names of entries cannot be names of nodes."""
    if not nodes:
        return Plan({}, (), 0.0, 0.0)
    of: dict[str, list[Chip]] = {}
    for chip in chips:
        of.setdefault(chip.source, []).append(chip)
    boxes = [Box(f"({word})", _entry_width(word, size), 24.0) for word, _ in entries]
    boxes += [_box(flow.nodes[node], of.get(node, []), size) for node in nodes]
    links = [Link(chip.source, chip.target if chip.shown else "", _chip_width(chip, size)) for chip in chips]
    return arrange(boxes, [*links, *(Link(f"({word})", node, 0.0) for word, node in entries)])


# ---------------------------------------------------------------- drawing


def render(
    drawn: Picture, counts: Counts | None = None, now: Mapping[str, int] | None = None, *, styled: bool = True
) -> str:
    """The picture as SVG text. `styled`: it brings its style along, as a file must."""
    below = drawn.plan.height + (56.0 if drawn.lost.at else 0.0)
    width = max(drawn.plan.width, drawn.lost.width, 240.0) + 2 * MARGIN
    height = below + drawn.lost.height + 2 * MARGIN
    name = escape(drawn.flow.name)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cti-flow" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="group" aria-label="{name}"><title>{name}</title>',
        *([f"<style>{STYLE}</style>"] if styled else []),
        f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>',
        f'<g transform="translate({MARGIN:.0f} {MARGIN:.0f})">',
        *_part(drawn, drawn.plan, drawn.chips, counts, now),
        "</g>",
    ]
    if drawn.lost.at:
        parts += [
            f'<g transform="translate({MARGIN:.0f} {MARGIN + below:.0f})" class="lost-part">',
            f'<text class="small" y="-14">{escape(drawn.size.words["lost"])}</text>',
            *_part(drawn, drawn.lost, drawn.lost_chips, counts, now),
            "</g>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def _part(
    drawn: Picture, plan: Plan, chips: Sequence[Chip], counts: Counts | None, now: Mapping[str, int] | None
) -> Iterable[str]:
    ways = [
        Way(chip, route, _amount(drawn.flow, chip, counts)) for chip, route in zip(chips, plan.routes, strict=False)
    ]
    most = max([1, *(way.amount or 0 for way in ways)])
    for way in ways:
        yield from _line(way, most)
    for route, (word, _) in zip(plan.routes[len(chips) :], _entries(drawn.flow), strict=False):
        yield _entry(drawn.size, word, plan.at[f"({word})"], route)
    for node in drawn.flow.nodes.values():
        if node.id in plan.at:
            here = [way for way in ways if way.chip.source == node.id]
            yield from _node(drawn.size, node, plan.at[node.id], here, counts, (now or {}).get(node.id, 0))


def _amount(flow: Flow, chip: Chip, counts: Counts | None) -> int | None:
    """How many went this way: by a named outcome, or by one that is not named and led to the same target."""
    if counts is None:
        return None
    node, total = flow.nodes[chip.source], 0
    for (outcome, to), count in counts.get(chip.source, Count()).ways.items():
        unnamed = outcome not in node.to and bool(to) and _goal(node, to) == chip.target
        if outcome in chip.outcomes or (unnamed and {"then", "fail"} & set(chip.labels)):
            total += count
    return total


def _line(way: Way, most: int) -> Iterable[str]:
    if not way.route.path:
        return
    classes = ["way"] + ["fail"] * way.chip.fail + ["back"] * way.route.back
    if way.amount is not None:
        classes.append(f"w{1 + min(3, int(4 * way.amount / most))}" if way.amount else "idle")
    yield f'<g class="{" ".join(classes)}">{_path(way.route)}</g>'


def _path(route: Route) -> str:
    x, y = route.tip
    return f'<path class="line" d="{route.path}"/><path class="tip" d="M{x - 5:.1f} {y - 9:.1f}h10l-5 9z"/>'


def _entry(size: _Size, word: str, at: tuple[float, float], route: Route) -> str:
    width = _entry_width(word, size)
    return (
        f'<g class="entry{"" if word == "start" else " fail"}">{_path(route)}<g class="chip end">'
        f'<rect x="{at[0] - width / 2:.1f}" y="{at[1]:.1f}" width="{width:.1f}" height="24" rx="12"/>'
        f'<text x="{at[0]:.1f}" y="{at[1] + 16:.1f}" text-anchor="middle">{escape(size.words[word])}</text></g></g>'
    )


def _node(
    size: _Size, node: Node, at: tuple[float, float], ways: Sequence[Way], counts: Counts | None, now: int
) -> Iterable[str]:
    box = _box(node, [way.chip for way in ways], size)
    x, y = at[0] - box.width / 2, at[1]
    kind = KINDS.get(node.verb, "other")
    count = None if counts is None else counts.get(node.id, Count())
    said = _said(size.words, node, count, now)
    yield f'<g class="node {kind}" data-node="{escape(node.id)}" role="img" aria-label="{said}"><title>{said}</title>'
    yield from _frame(kind, x, y, box)
    yield f'<text class="id" x="{x + 16:.1f}" y="{y + 22:.1f}">{escape(_short(node.id))}</text>'
    yield f'<text class="verb" x="{x + 16:.1f}" y="{y + 38:.1f}">{escape(_verb(node))}</text>'
    if now:
        yield _now(x + box.width - 10.0, y + 8.0, now)
    if count is not None:
        yield from _figures(x, y, box.width, count)
    yield from (_chip(way, size) for way in ways)
    yield "</g>"


def _verb(node: Node) -> str:
    """The verb, and what it names: a queue, a flow, a calendar."""
    named = next((held for name in NAMED if isinstance(held := getattr(node.spec, name, None), str) and held), "")
    return f"{node.verb} · {_short(named, 20)}" if named else node.verb


def _said(words: Mapping[str, str], node: Node, count: Count | None, now: int) -> str:
    said = [f"{node.id}: {node.verb}"]
    if count is not None:
        left = f"{words['left']} {count.left} ({share(count.left, count.visits)})"
        said += [f"{words['visits']} {count.visits}", left]
    return escape(", ".join(said + ([f"{words['now']} {now}"] if now else [])))


def _frame(kind: str, x: float, y: float, box: Box) -> Iterable[str]:
    """The box; each kind has an outline of its own, so that no colour is needed."""
    w, h = box.width, box.height
    if kind == "decide":
        yield (f'<path class="box" d="M{x + 12:.1f} {y:.1f}h{w - 24:.1f}l12 12v{h - 24:.1f}l-12 12h{24 - w:.1f}'
               f'l-12 -12v{24 - h:.1f}z"/>')  # fmt: skip
    else:
        round_ = {"talk": 14, "structure": 6}.get(kind, 2)
        yield f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{round_}"/>'
    if kind == "route":
        yield f'<path class="mark" d="M{x:.1f} {y:.1f}h6v{h:.1f}h-6zM{x + w - 6:.1f} {y:.1f}h6v{h:.1f}h-6z"/>'
    if kind == "data":
        yield f'<path class="mark" d="M{x:.1f} {y:.1f}h{w:.1f}v4h{-w:.1f}z"/>'


def _now(right: float, y: float, now: int) -> str:
    text = f"● {short_number(now)}"
    width = _width(text) + 12.0
    return (f'<g class="now"><rect x="{right - width:.1f}" y="{y:.1f}" width="{width:.1f}" height="20" rx="10"/>'
            f'<text x="{right - width / 2:.1f}" y="{y + 14.5:.1f}" text-anchor="middle">{text}</text></g>')  # fmt: skip


def _figures(x: float, y: float, width: float, count: Count) -> Iterable[str]:
    """Visits, and the part that hung up here: as a figure and as a bar."""
    yield f'<text class="verb visits" x="{x + 16:.1f}" y="{y + 55:.1f}">{short_number(count.visits)}</text>'
    if count.left:
        part = share(count.left, count.visits)
        yield f'<text class="left" x="{x + width - 12:.1f}" y="{y + 55:.1f}" text-anchor="end">▼ {part}</text>'
        full = width - 28.0
        lost = max(2.0, full * min(1.0, count.left / max(count.visits, 1)))
        yield f'<rect class="track" x="{x + 16:.1f}" y="{y + 59:.1f}" width="{full:.1f}" height="3"/>'
        yield f'<rect class="lost" x="{x + 16:.1f}" y="{y + 59:.1f}" width="{lost:.1f}" height="3"/>'


def _chip(way: Way, size: _Size) -> str:
    chip, at, amount = way.chip, way.route.chip, way.amount
    width = _chip_width(chip, size) - CHIP_SPACE
    x, y = at[0] - width / 2, at[1] - 24.0
    full = escape(f"{', '.join(chip.labels)} → {chip.target}")
    classes = "chip" + " end" * chip.end + " idle" * (amount == 0)
    number = f' <tspan class="n">{short_number(amount)}</tspan>' if amount is not None else ""
    return (
        f'<g class="{classes}"><title>{full}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="20" rx="10"/>'
        f'<text x="{at[0]:.1f}" y="{y + 14:.1f}" text-anchor="middle">{escape(_label(chip, size))}{number}</text></g>'
    )


def share(part: int, whole: int) -> str:
    """12 %; under one: 0.4 %."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.1f} %" if 0 < percent < 1 else f"{int(percent + 0.5)} %"


def short_number(n: int) -> str:
    """At most five characters: 9999, 12.3k, 1.2M."""
    if n < 10_000:
        return str(n)
    if n < 999_500:
        return f"{n / 1000:.1f}k" if n < 99_950 else f"{n / 1000:.0f}k"
    return f"{n / 1e6:.1f}M"
