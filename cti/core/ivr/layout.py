"""Where the boxes of a drawing stand and how the lines run: layers from top to bottom, few crossings, short lines.

    loops found -> layers -> a slot for every line in every layer it passes -> order in the layers -> x -> routes

Every box stands at the top of its layer. A line leaves at the bottom of its box (at its chip), enters at the top of
the next, and passes other layers in a slot of its own: it can never cross a box. A line back up turns round below its
box, climbs beside it, and enters from above like the others. Lines to the same box share their slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

SWEEPS = 8
ROUNDS = 24
SPACE = 26.0  # between two boxes
SLOT = 10.0  # what a line that passes takes
GAP = 44.0  # between two layers, at least
TURN = 30.0  # how far a line that turns round swings out
PORT = 14.0  # between two arrows into the same box

Point = tuple[float, float]


class Box(msgspec.Struct, frozen=True):
    id: str
    width: float
    height: float


class Link(msgspec.Struct, frozen=True):
    """A line; `width`: of its chip at the bottom of the source. No target: a chip without a line."""

    source: str
    target: str
    width: float


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


class Slot(msgspec.Struct, frozen=True):
    """A place in a layer: of a box, or of the lines to the box `id` that pass (`way`: down, up; loop: its own)."""

    layer: int
    id: str
    way: str = ""


class _Net(msgspec.Struct):
    """`joins`: (upper slot, lower slot, link or -1) between neighbouring layers. `beside`: pairs in the same layer."""

    rows: list[list[Slot]]
    joins: list[tuple[Slot, Slot, int]]
    beside: list[tuple[Slot, Slot]]


def arrange(boxes: Sequence[Box], links: Sequence[Link]) -> Plan:
    """The plan of these boxes; the first one is the start. The same input gives the same plan."""
    depth = layers([box.id for box in boxes], [(link.source, link.target) for link in links])
    net = _net(boxes, links, depth)
    _order(net)
    sizes = {box.id: box for box in boxes}
    chips = _chips(net, links, depth)
    x = _columns(net, sizes, chips)
    return _routed(net, links, depth, sizes, chips, x)


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


def _net(boxes: Sequence[Box], links: Sequence[Link], depth: Mapping[str, int]) -> _Net:
    net = _Net([[] for _ in range(max(depth.values(), default=0) + 1)], [], [])
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


def _down(net: _Net, number: int, link: Link, depth: Mapping[str, int], known: set[Slot]) -> None:
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


def _up(net: _Net, link: Link, depth: Mapping[str, int], known: set[Slot]) -> None:
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


def _order(net: _Net) -> None:
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


def _neighbours(net: _Net) -> tuple[dict[Slot, list[Slot]], dict[Slot, list[Slot]]]:
    above: dict[Slot, list[Slot]] = {slot: [] for row in net.rows for slot in row}
    below: dict[Slot, list[Slot]] = {slot: [] for row in net.rows for slot in row}
    for upper, lower, _ in net.joins:
        above[lower].append(upper)
        below[upper].append(lower)
    return above, below


def _places(rows: Iterable[Sequence[Slot]]) -> dict[Slot, int]:
    return {slot: place for row in rows for place, slot in enumerate(row)}


def _sort(net: _Net, row: list[Slot], near: Mapping[Slot, Sequence[Slot]]) -> None:
    place = _places(net.rows)
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
    place = _places(rows)
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
    place = _places(rows)
    total = 0
    for row in rows:
        ends = [sorted(place[lower] for lower in below[slot]) for slot in row]
        flat = [end for one in ends for end in one]
        total += sum(1 for at, one in enumerate(flat) for other in flat[at + 1 :] if one > other)
    return total


# ---------------------------------------------------------------- chips and columns


def _chips(net: _Net, links: Sequence[Link], depth: Mapping[str, int]) -> list[float]:
    """How far each link's chip stands right of the middle of its box: chips in the order of their lines."""
    place = _places(net.rows)
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


def _columns(net: _Net, sizes: Mapping[str, Box], chips: Sequence[float]) -> dict[Slot, float]:
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
    net: _Net, links: Sequence[Link], depth: Mapping[str, int], sizes: Mapping[str, Box], chips: Sequence[float],
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
    net: _Net, sizes: Mapping[str, Box], x: Mapping[Slot, float], chips: Sequence[float]
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


def _ports(net: _Net, x: Mapping[Slot, float], depth: Mapping[str, int]) -> dict[tuple[Slot, str], float]:
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
