"""Where the boxes of a drawing stand and how the lines run: layers from top to bottom, short lines.

Every box stands at the top of its layer. A line leaves at the bottom of its box (at its chip), enters at the top of
the next, and passes other layers in a slot of its own. A line back up turns round below its box, climbs beside it,
and enters from above like the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from cti.core.ivr.layers import Box, Link, Net, Slot, layers, ordered, places

ROUNDS = 24
SPACE = 26.0  # between two boxes
SLOT = 10.0  # what a line that passes takes
GAP = 44.0  # between two layers, at least
TURN = 30.0  # how far a line that turns round swings out
PORT = 14.0  # between two arrows into the same box

Point = tuple[float, float]


class Route(msgspec.Struct, frozen=True):
    """`chip`: middle of the chip. `path`: SVG path data; `tip`: where the arrow ends; `back`: it runs upwards."""

    chip: Point
    path: str = ""
    tip: Point = (0.0, 0.0)
    back: bool = False


class Plan(msgspec.Struct, frozen=True):
    """`at`: the top middle of each box. `routes`: in the order of the links."""

    at: Mapping[str, Point]
    routes: tuple[Route, ...]
    width: float
    height: float


def arrange(boxes: Sequence[Box], links: Sequence[Link]) -> Plan:
    """The plan of these boxes; the first one is the start. The same input gives the same plan."""
    depth = layers([box.id for box in boxes], [(link.source, link.target) for link in links])
    net = ordered(boxes, links, depth)
    sizes = {box.id: box for box in boxes}
    chips = _chips(net, links, depth)
    x = _columns(net, sizes, chips)
    return _routed(net, links, depth, sizes, chips, x)


# ---------------------------------------------------------------- chips and columns


def _chips(net: Net, links: Sequence[Link], depth: Mapping[str, int]) -> list[float]:
    """How far each link's chip stands right of the middle of its box: chips in the order of their lines."""
    place = places(net.rows)
    of: dict[str, list[int]] = {}
    for number, link in enumerate(links):
        of.setdefault(link.source, []).append(number)
    offsets = [0.0] * len(links)
    for numbers in of.values():
        numbers.sort(key=lambda n: _leaning(links[n], depth, place))
        left = -sum(links[n].width for n in numbers) / 2
        for n in numbers:
            offsets[n] = left + links[n].width / 2
            left += links[n].width
    return offsets


def _leaning(link: Link, depth: Mapping[str, int], place: Mapping[Slot, int]) -> float:
    here = depth[link.source]
    if not link.target:
        return 1e6
    if depth[link.target] > here:
        return place[_next(link.target, here, depth)]
    return 1e7 if place[_up_slot(link, here)] > place[Slot(here, link.source)] else -1.0


def _up_slot(link: Link, layer: int) -> Slot:
    return Slot(layer, link.target, "loop" if link.source == link.target else "up")


def _next(target: str, layer: int, depth: Mapping[str, int]) -> Slot:
    return Slot(layer + 1, target, "" if layer + 1 == depth[target] else "down")


def _columns(net: Net, sizes: Mapping[str, Box], chips: Sequence[float]) -> dict[Slot, float]:
    """The middle of each slot: as near as can be to those it is joined to, none over another."""
    pulls: dict[Slot, list[tuple[Slot, float, float, int]]] = {slot: [] for row in net.rows for slot in row}
    for upper, lower, number in net.joins:
        shift = chips[number] if number >= 0 else 0.0
        weight = 12.0 if upper.way and lower.way else 1.0
        pulls[lower].append((upper, shift, weight, -1))
        pulls[upper].append((lower, -shift, weight, 1))
    for box, slot in net.beside:
        pulls[slot].append((box, sizes[box.id].width / 2, 2.0, 0))
    x: dict[Slot, float] = {}
    for row in net.rows:
        x.update(_spread(row, [0.0] * len(row), [1.0] * len(row), sizes))
    for turn in range(ROUNDS):
        sides = ({-1, 0}, {1, 0})[turn % 2] if turn < ROUNDS - 8 else {-1, 0, 1}
        for row in net.rows if turn % 2 == 0 else net.rows[::-1]:
            wishes = [_wish(slot, pulls[slot], sides, x) for slot in row]
            x.update(_spread(row, [wish for wish, _ in wishes], [weight for _, weight in wishes], sizes))
    return x


def _wish(
    slot: Slot, pulls: Sequence[tuple[Slot, float, float, int]], sides: set[int], x: Mapping[Slot, float]
) -> tuple[float, float]:
    found = [(x[other] + shift, weight) for other, shift, weight, side in pulls if side in sides]
    total = sum(weight for _, weight in found)
    return (sum(at * weight for at, weight in found) / total, total) if found else (x[slot], 0.05)


def _half(slot: Slot, sizes: Mapping[str, Box]) -> float:
    return SLOT / 2 if slot.way else sizes[slot.id].width / 2


def _spread(
    row: Sequence[Slot], wishes: Sequence[float], weights: Sequence[float], sizes: Mapping[str, Box]
) -> dict[Slot, float]:
    """The places nearest to the wishes (least squares) that keep order and distance: pools of slots that touch."""
    offset, offsets = 0.0, []
    for at, slot in enumerate(row):
        if at:
            lines = bool(row[at - 1].way) + bool(slot.way)
            offset += _half(row[at - 1], sizes) + _half(slot, sizes) + (SPACE, SPACE / 2, SLOT)[lines]
        offsets.append(offset)
    pools: list[list[float]] = []  # [mean, weight, how many]
    for wish, weight, moved in zip(wishes, weights, offsets, strict=True):
        pools.append([wish - moved, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, heavy, count = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * heavy) / (last[1] + heavy)
            last[1], last[2] = last[1] + heavy, last[2] + count
    means = [mean for mean, _, count in pools for _ in range(int(count))]
    return {slot: mean + moved for slot, mean, moved in zip(row, means, offsets, strict=True)}


# ---------------------------------------------------------------- routes


class _Frame(msgspec.Struct, frozen=True):
    """All that a route needs to know. `top`, `bottom`: of each layer. `ports`: where lines enter a box, by the slot
    they come from."""

    x: Mapping[Slot, float]
    top: Sequence[float]
    bottom: Sequence[float]
    depth: Mapping[str, int]
    sizes: Mapping[str, Box]
    ports: Mapping[tuple[Slot, str], float]


def _routed(
    net: Net, links: Sequence[Link], depth: Mapping[str, int], sizes: Mapping[str, Box], chips: Sequence[float],
    x: Mapping[Slot, float],
) -> Plan:  # fmt: skip
    left = min((x[slot] - _half(slot, sizes) for row in net.rows for slot in row), default=0.0)
    x = {slot: at - left for slot, at in x.items()}
    top, bottom = _heights(net, sizes, x, chips)
    frame = _Frame(x, top, bottom, depth, sizes, _ports(net, x, depth))
    routes = tuple(_route(frame, link, chips[number]) for number, link in enumerate(links))
    width = max((x[slot] + _half(slot, sizes) for row in net.rows for slot in row), default=0.0)
    at = {one: (x[Slot(layer, one)], top[layer]) for one, layer in depth.items()}
    return Plan(at, routes, width, bottom[-1] + (TURN if net.beside else 0.0))


def _heights(
    net: Net, sizes: Mapping[str, Box], x: Mapping[Slot, float], chips: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Top and bottom of the layers; where lines run far to the side there is more room between two."""
    far = [0.0] * len(net.rows)
    for upper, lower, number in net.joins:
        shift = chips[number] if number >= 0 else 0.0
        far[upper.layer] = max(far[upper.layer], abs(x[lower] - x[upper] - shift))
    y = TURN if any(slot.layer == 0 for _, slot in net.beside) else 0.0
    top, bottom = [], []
    for layer, row in enumerate(net.rows):
        top.append(y)
        bottom.append(y + max((sizes[slot.id].height for slot in row if not slot.way), default=SLOT))
        y = bottom[-1] + GAP + min(60.0, far[layer] * 0.06)
    return top, bottom


def _ports(net: Net, x: Mapping[Slot, float], depth: Mapping[str, int]) -> dict[tuple[Slot, str], float]:
    into: dict[str, dict[Slot, float]] = {}
    for upper, lower, _ in net.joins:
        if not lower.way:
            into.setdefault(lower.id, {})[upper] = x[upper]
    for _, slot in net.beside:
        if slot.layer == depth[slot.id]:
            into.setdefault(slot.id, {})[slot] = x[slot]
    found = {}
    for target, sources in into.items():
        ordered = sorted(sources, key=lambda slot: sources[slot])
        middle = x[Slot(depth[target], target)]
        for place, slot in enumerate(ordered):
            found[slot, target] = middle + PORT * (place - (len(ordered) - 1) / 2)
    return found


def _route(frame: _Frame, link: Link, shift: float) -> Route:
    layer = frame.depth[link.source]
    slot = Slot(layer, link.source)
    x, y = frame.x[slot] + shift, frame.top[layer] + frame.sizes[link.source].height
    if not link.target:
        return Route((x, y))
    path = [f"M{x:.1f} {y:.1f}", f"V{frame.bottom[layer]:.1f}"]
    if frame.depth[link.target] > layer:
        return _falling(frame, link, slot, path, (x, y))
    return _climbing(frame, link, path, (x, y))


def _falling(frame: _Frame, link: Link, slot: Slot, path: list[str], chip: Point) -> Route:
    at = chip[0]
    for layer in range(slot.layer, frame.depth[link.target]):
        following = _next(link.target, layer, frame.depth)
        to = frame.x[following] if following.way else frame.ports[slot, link.target]
        path.append(_bend((at, frame.bottom[layer]), (to, frame.top[layer + 1])))
        if following.way:
            path.append(f"V{frame.bottom[layer + 1]:.1f}")
        at, slot = to, following
    return Route(chip, "".join(path), (at, frame.top[frame.depth[link.target]]))


def _climbing(frame: _Frame, link: Link, path: list[str], chip: Point) -> Route:
    at, here, there = chip[0], frame.depth[link.source], frame.depth[link.target]
    for layer in range(here, there - 1, -1):
        to = frame.x[_up_slot(link, layer)]
        low = frame.bottom[layer]
        path.append(_turn(at, to, low, TURN) if layer == here else _bend((at, frame.top[layer + 1]), (to, low)))
        path.append(f"V{frame.top[layer]:.1f}")
        at = to
    port = frame.ports[_up_slot(link, there), link.target]
    path.append(_turn(at, port, frame.top[there], -TURN))
    return Route(chip, "".join(path), (port, frame.top[there]), back=True)


def _bend(start: Point, end: Point) -> str:
    middle = (start[1] + end[1]) / 2
    return f"C{start[0]:.1f} {middle:.1f} {end[0]:.1f} {middle:.1f} {end[0]:.1f} {end[1]:.1f}"


def _turn(start: float, end: float, y: float, out: float) -> str:
    return f"C{start:.1f} {y + out:.1f} {end:.1f} {y + out:.1f} {end:.1f} {y:.1f}"
