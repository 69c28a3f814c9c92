"""Which layer each box of a drawing stands in, and in which order: few crossings, lines downwards but for loops.

Every line has a slot of its own in every layer it passes, so that it never crosses a box. Lines to the same box share
their slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

SWEEPS = 8


class Box(msgspec.Struct, frozen=True):
    id: str
    width: float
    height: float


class Link(msgspec.Struct, frozen=True):
    """A line; `width`: of its chip at the bottom of the source. No target: a chip without a line."""

    source: str
    target: str
    width: float


class Slot(msgspec.Struct, frozen=True):
    """A place in a layer: of a box, or of the lines to the box `id` that pass (`way`: down, up; loop: its own)."""

    layer: int
    id: str
    way: str = ""


class Net(msgspec.Struct):
    """`joins`: (upper slot, lower slot, link or -1) between neighbouring layers. `beside`: pairs in the same layer."""

    rows: list[list[Slot]]
    joins: list[tuple[Slot, Slot, int]]
    beside: list[tuple[Slot, Slot]]


def ordered(boxes: Sequence[Box], links: Sequence[Link], depth: Mapping[str, int]) -> Net:
    """The slots of every layer, from left to right."""
    net = _net(boxes, links, depth)
    _order(net)
    return net


# ---------------------------------------------------------------- layers


def layers(ids: Sequence[str], links: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The layer of each box, from 0: one below the lowest of those that lead to it, loops left out. A box nothing
    leads to stands just above what it leads to."""
    to: dict[str, list[str]] = {one: [] for one in ids}
    for source, target in links:
        if target and source != target:
            to[source].append(target)
    order, back = _walk(ids, to)
    depth = dict.fromkeys(ids, 0)
    led = set()
    for source in order:
        for target in to[source]:
            if (source, target) not in back:
                depth[target] = max(depth[target], depth[source] + 1)
                led.add(target)
    for source in ids:
        below = [depth[target] for target in to[source] if (source, target) not in back]
        if source not in led and below:
            depth[source] = min(below) - 1
    return depth


def _walk(ids: Sequence[str], to: Mapping[str, Sequence[str]]) -> tuple[list[str], set[tuple[str, str]]]:
    """The boxes, each before those it leads to, and the links that make that impossible: loops back."""
    done: list[str] = []
    state: dict[str, int] = {}  # 1: on the way here, 2: done
    back: set[tuple[str, str]] = set()
    for first in ids:
        if first in state:
            continue
        state[first] = 1
        stack = [(first, iter(to[first]))]
        while stack:
            here, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                state[here] = 2
                done.append(here)
            elif following not in state:
                state[following] = 1
                stack.append((following, iter(to[following])))
            elif state[following] == 1:
                back.add((here, following))
    return done[::-1], back


# ---------------------------------------------------------------- slots


def _net(boxes: Sequence[Box], links: Sequence[Link], depth: Mapping[str, int]) -> Net:
    net = Net([[] for _ in range(max(depth.values(), default=0) + 1)], [], [])
    for box in boxes:
        net.rows[depth[box.id]].append(Slot(depth[box.id], box.id))
    known: set[Slot] = set()
    for number, link in enumerate(links):
        if link.target and depth[link.target] > depth[link.source]:
            _down(net, number, link, depth, known)
        elif link.target and link.target != link.source:
            _up(net, link, depth, known)
        elif link.target:
            slot = Slot(depth[link.source], link.source, "loop")
            net.rows[slot.layer].append(slot)
            net.beside.append((Slot(slot.layer, slot.id), slot))
    return net


def _down(net: Net, number: int, link: Link, depth: Mapping[str, int], known: set[Slot]) -> None:
    last = depth[link.target]
    upper, carried = Slot(depth[link.source], link.source), number
    for layer in range(upper.layer + 1, last):
        slot = Slot(layer, link.target, "down")
        net.joins.append((upper, slot, carried))
        if slot in known:
            return
        known.add(slot)
        net.rows[layer].append(slot)
        upper, carried = slot, -1
    net.joins.append((upper, Slot(last, link.target), carried))


def _up(net: Net, link: Link, depth: Mapping[str, int], known: set[Slot]) -> None:
    lower = Slot(depth[link.source], link.target, "up")
    net.beside.append((Slot(depth[link.source], link.source), lower))
    for layer in range(depth[link.source], depth[link.target] - 1, -1):
        slot = Slot(layer, link.target, "up")
        if slot not in known:
            known.add(slot)
            net.rows[layer].append(slot)
            if layer == depth[link.target]:
                net.beside.append((Slot(layer, link.target), slot))
        if layer < lower.layer and (slot, lower, -1) not in net.joins:
            net.joins.append((slot, lower, -1))
        lower = slot


# ---------------------------------------------------------------- order


def _order(net: Net) -> None:
    """Reorders the rows: sweeps by the middle of the neighbours, then swaps, as long as crossings get fewer."""
    above, below = _neighbours(net)
    best, fewest = [list(row) for row in net.rows], _crossings(net.rows, below)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        near = above if downwards else below
        rows = net.rows if downwards else net.rows[::-1]
        for row in rows:
            _sort(net, row, near)
        _swap(net.rows, above, below)
        crossings = _crossings(net.rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in net.rows], crossings
    net.rows[:] = best


def _neighbours(net: Net) -> tuple[dict[Slot, list[Slot]], dict[Slot, list[Slot]]]:
    above: dict[Slot, list[Slot]] = {slot: [] for row in net.rows for slot in row}
    below: dict[Slot, list[Slot]] = {slot: [] for row in net.rows for slot in row}
    for upper, lower, _ in net.joins:
        above[lower].append(upper)
        below[upper].append(lower)
    return above, below


def _sort(net: Net, row: list[Slot], near: Mapping[Slot, Sequence[Slot]]) -> None:
    place = places(net.rows)
    keys: dict[Slot, float] = {}
    for slot in row:
        found = near[slot] or [slot]  # parts of the row's length: rows differ
        length = len(net.rows[found[0].layer])
        keys[slot] = sum(place[one] + 0.5 for one in found) / len(found) / length
    for box, slot in net.beside:
        if slot in keys:
            keys[slot] = (keys[slot] + keys[box]) / 2 if near[slot] else keys[box] + 0.0001
    row.sort(key=lambda slot: keys[slot])


def _swap(rows: Sequence[list[Slot]], above: Mapping[Slot, list[Slot]], below: Mapping[Slot, list[Slot]]) -> None:
    """Changes neighbours of a row round where that makes crossings fewer."""
    place = places(rows)
    for row in rows:
        for at in range(len(row) - 1):
            left, right = row[at], row[at + 1]
            now = sum(_pair(place, near[left], near[right]) for near in (above, below))
            then = sum(_pair(place, near[right], near[left]) for near in (above, below))
            if then < now:
                row[at], row[at + 1] = right, left
                place[left], place[right] = at + 1, at


def _pair(place: Mapping[Slot, int], left: Sequence[Slot], right: Sequence[Slot]) -> int:
    """How many lines of the left one and of the right one cross."""
    return sum(1 for one in left for other in right if place[one] > place[other])


def _crossings(rows: Sequence[Sequence[Slot]], below: Mapping[Slot, Sequence[Slot]]) -> int:
    place = places(rows)
    total = 0
    for row in rows:
        ends = [sorted(place[lower] for lower in below[slot]) for slot in row]
        flat = [end for one in ends for end in one]
        total += sum(1 for at, one in enumerate(flat) for other in flat[at + 1 :] if one > other)
    return total


def places(rows: Iterable[Sequence[Slot]]) -> dict[Slot, int]:
    """How far from the left each slot stands in its layer."""
    return {slot: place for row in rows for place, slot in enumerate(row)}
