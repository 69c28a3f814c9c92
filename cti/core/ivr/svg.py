"""A flow as an SVG picture: boxes with the ways out of them, and on wish how many callers went which way.

Readable without colour (every sign has its word), in light and in dark, alone in a file and inside a page: the classes
are the page's to restyle, `STYLE` is what a file brings along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import msgspec

from cti.core.ivr.layers import Box
from cti.core.ivr.layout import Plan, Route
from cti.core.ivr.model import Flow, Node
from cti.core.ivr.picture import (
    CHIP_SPACE,
    Chip,
    Picture,
    Size,
    box_of,
    chip_width,
    entries,
    entry_width,
    goal,
    label,
    picture,
    short,
    text_width,
    verb_of,
)  # fmt: skip
from cti.core.ivr.svg_style import STYLE
from cti.core.ivr.traffic import Count, Counts

KINDS = {
    **dict.fromkeys(("say", "menu", "ask", "language", "record", "wait", "survey", "pay", "authenticate"), "talk"),
    **dict.fromkeys(("hours", "branch", "split", "set", "goto"), "decide"),
    **dict.fromkeys(("lookup", "http", "script", "event", "message"), "data"),
    **dict.fromkeys(("queue", "dial", "callback", "voicemail"), "route"),
    **dict.fromkeys(("transfer", "call", "return", "hangup"), "structure"),
}
MARGIN = 20.0


class Way(msgspec.Struct, frozen=True):
    """A chip as it is drawn; `amount`: how many went that way, None: not counted."""

    chip: Chip
    route: Route
    amount: int | None


def svg(flow: Flow, counts: Counts | None = None, now: Mapping[str, int] | None = None) -> str:
    """The flow as a stand-alone SVG file. `counts`, by node; `now`: how many callers stand in it."""
    return render(picture(flow, counted=counts is not None), counts, now)


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
    for route, (word, _) in zip(plan.routes[len(chips) :], entries(drawn.flow), strict=False):
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
        unnamed = outcome not in node.to and bool(to) and goal(node, to) == chip.target
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


def _entry(size: Size, word: str, at: tuple[float, float], route: Route) -> str:
    width = entry_width(word, size)
    return (
        f'<g class="entry{"" if word == "start" else " fail"}">{_path(route)}<g class="chip end">'
        f'<rect x="{at[0] - width / 2:.1f}" y="{at[1]:.1f}" width="{width:.1f}" height="24" rx="12"/>'
        f'<text x="{at[0]:.1f}" y="{at[1] + 16:.1f}" text-anchor="middle">{escape(size.words[word])}</text></g></g>'
    )


def _node(
    size: Size, node: Node, at: tuple[float, float], ways: Sequence[Way], counts: Counts | None, now: int
) -> Iterable[str]:
    box = box_of(node, [way.chip for way in ways], size)
    x, y = at[0] - box.width / 2, at[1]
    kind = KINDS.get(node.verb, "other")
    count = None if counts is None else counts.get(node.id, Count())
    said = _said(size.words, node, count, now)
    yield f'<g class="node {kind}" data-node="{escape(node.id)}" role="img" aria-label="{said}"><title>{said}</title>'
    yield from _frame(kind, x, y, box)
    yield f'<text class="id" x="{x + 16:.1f}" y="{y + 22:.1f}">{escape(short(node.id))}</text>'
    yield f'<text class="verb" x="{x + 16:.1f}" y="{y + 38:.1f}">{escape(verb_of(node))}</text>'
    if now:
        yield _now(x + box.width - 10.0, y + 8.0, now)
    if count is not None:
        yield from _figures(x, y, box.width, count)
    yield from (_chip(way, size) for way in ways)
    yield "</g>"


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
    width = text_width(text) + 12.0
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


def _chip(way: Way, size: Size) -> str:
    chip, at, amount = way.chip, way.route.chip, way.amount
    width = chip_width(chip, size) - CHIP_SPACE
    x, y = at[0] - width / 2, at[1] - 24.0
    full = escape(f"{', '.join(chip.labels)} → {chip.target}")
    classes = "chip" + " end" * chip.end + " idle" * (amount == 0)
    number = f' <tspan class="n">{short_number(amount)}</tspan>' if amount is not None else ""
    return (
        f'<g class="{classes}"><title>{full}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="20" rx="10"/>'
        f'<text x="{at[0]:.1f}" y="{y + 14:.1f}" text-anchor="middle">{escape(label(chip, size))}{number}</text></g>'
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
