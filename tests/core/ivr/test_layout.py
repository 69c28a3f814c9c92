"""Boxes never overlap, lines never cross a box, and the same flow gives the same picture."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator

import pytest

from cti.core.ivr.layers import Box, Link, layers
from cti.core.ivr.layout import Plan, arrange


def a_graph(seed: int) -> tuple[list[Box], list[Link]]:
    """Forwards, backwards, to itself, and chips without a line."""
    chance = random.Random(seed)
    boxes = [Box(f"n{n}", chance.randint(60, 300), chance.choice([24, 72, 90])) for n in range(chance.randint(1, 40))]
    links = []
    for box in boxes:
        targets = chance.sample([one.id for one in boxes], k=min(len(boxes), chance.randint(0, 4)))
        width = box.width / 6
        links += [Link(box.id, target if chance.random() < 0.9 else "", width) for target in targets]
    return boxes, links


def points(path: str) -> Iterator[tuple[float, float]]:
    """The path as many points."""
    x = y = 0.0
    for letter, rest in re.findall(r"([MVC])([^MVC]*)", path):
        numbers = [float(one) for one in rest.split()]
        if letter == "M":
            x, y = numbers
        elif letter == "V":
            yield from ((x, y + (numbers[0] - y) * step / 20) for step in range(21))
            y = numbers[0]
        else:
            a, b, c, d, e, f = numbers
            for step in range(41):
                t = step / 40
                u = 1 - t
                yield (u**3 * x + 3 * u * u * t * a + 3 * u * t * t * c + t**3 * e,
                       u**3 * y + 3 * u * u * t * b + 3 * u * t * t * d + t**3 * f)  # fmt: skip
            x, y = e, f


def sides(box: Box, plan: Plan) -> tuple[float, float, float, float]:
    x, y = plan.at[box.id]
    return x - box.width / 2, x + box.width / 2, y, y + box.height


@pytest.mark.parametrize("seed", range(40))
def test_boxes_keep_apart_and_lines_go_round_them(seed: int) -> None:
    boxes, links = a_graph(seed)
    plan = arrange(boxes, links)
    assert arrange(boxes, links) == plan
    places = [sides(box, plan) for box in boxes]
    for one, other in itertools.combinations(places, 2):
        assert one[1] < other[0] or other[1] < one[0] or one[3] < other[2] or other[3] < one[2]
    for route in plan.routes:
        for x, y in points(route.path):
            assert -0.1 <= x <= plan.width + 0.1 and -0.1 <= y <= plan.height + 0.1
            assert not [p for p in places if p[0] + 0.2 < x < p[1] - 0.2 and p[2] + 0.2 < y < p[3] - 0.2]


@pytest.mark.parametrize("seed", range(40))
def test_a_line_goes_from_its_chip_to_the_top_of_its_target(seed: int) -> None:
    boxes, links = a_graph(seed)
    plan, sizes = arrange(boxes, links), {box.id: box for box in boxes}
    for link, route in zip(links, plan.routes, strict=True):
        left, right, _, bottom = sides(sizes[link.source], plan)
        assert left <= route.chip[0] <= right and route.chip[1] == bottom
        if link.target:
            first, *_, last = points(route.path)
            assert first == pytest.approx(route.chip, abs=0.1) and last == pytest.approx(route.tip, abs=0.1)
            assert route.tip[1] == plan.at[link.target][1]
            assert route.back == (plan.at[link.target][1] <= plan.at[link.source][1])
        else:
            assert route.path == ""


def test_layers_go_down_loops_left_out() -> None:
    links = [("a", "b"), ("b", "c"), ("c", "a"), ("a", "c"), ("c", "c"), ("x", "c"), ("y", "")]
    assert layers(["a", "b", "c", "x", "y"], links) == {"a": 0, "b": 1, "c": 2, "x": 1, "y": 0}


def test_lines_that_cross_are_untangled() -> None:
    boxes = [Box(name, 60, 20) for name in ("s", "a", "b", "x", "y")]
    links = [Link("s", "a", 20), Link("s", "b", 20), Link("a", "y", 20), Link("b", "x", 20)]
    plan = arrange(boxes, links)
    assert (plan.at["a"][0] < plan.at["b"][0]) == (plan.at["y"][0] < plan.at["x"][0])


def test_nothing_is_no_picture() -> None:
    assert arrange([], []).routes == ()
