"""The picture of a flow: everything in it is there, named, counted, and safe."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from flowbook import book_of

from cti.core.ivr import model
from cti.core.ivr.model import Flow, Node
from cti.core.ivr.picture import WORDS, picture
from cti.core.ivr.svg import render, share, short_number, svg
from cti.core.ivr.svg_style import STYLE
from cti.core.ivr.traffic import Count, counts_of, last_nodes

SVG = "{http://www.w3.org/2000/svg}"


def a_node(id: str, verb: str = "say", to: dict[str, str] | None = None, then: str = "", fail: str = "") -> Node:
    return Node(id, verb, model.Hangup(16), to or {}, then, fail)


def a_flow(*nodes: Node, fail: str = "") -> Flow:
    return Flow("t", "en", nodes[0].id, {node.id: node for node in nodes}, fail)


def texts(drawn: str) -> list[str]:
    return ["".join(one.itertext()) for one in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


MENU = a_flow(
    a_node("greet", then="menu"),
    a_node("menu", "menu", {"1": "sales", "2": "sales", "*": "repeat", "9": "hangup"}, fail="sorry"),
    a_node("sales", "queue", {"answered": "return"}),
    a_node("sorry", then="hangup"),
    a_node("lost", "hours", {"open": "menu", "closed": "lost2"}),
    a_node("lost2", "lookup", {"none": "gone_away"}, then="hangup"),
    fail="sorry",
)


def test_every_node_and_way_out_is_named_even_those_nothing_leads_to() -> None:
    found = texts(svg(MENU))
    for shown in ("greet", "say", "menu", "1, 2", "*", "9 ⇥ hang up", "answered ⇥ return", "fail", "start",
                  "any outcome not named", "Nothing leads here:", "lost2", "closed", "open → menu"):  # fmt: skip
        assert shown in found, shown
    assert not [one for one in found if "gone_away" in one]  # a target that is not there cannot be drawn


def test_a_file_stands_alone_and_is_the_same_each_time() -> None:
    drawn = svg(MENU)
    assert drawn == svg(MENU)
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg" and f"<style>{STYLE}</style>" in drawn and "href" not in drawn
    for verb in ("say", "hours", "lookup", "queue", "hangup", "unheard_of"):
        assert ElementTree.fromstring(svg(a_flow(a_node("a", verb)))) is not None


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x>', "a&b", "]]>"])
def test_names_are_text(evil: str) -> None:
    drawn = svg(a_flow(a_node(evil, evil, {evil: evil}), a_node("b")), {evil: Count(3, {(evil, evil): 1})}, {evil: 1})
    assert "<script" not in drawn and "<img" not in drawn
    assert evil in texts(drawn)


def test_counts_stand_at_the_ways_they_went() -> None:
    counts = {
        "greet": Count(100, {("done", "menu"): 90, ("hangup", ""): 10}),
        "menu": Count(120, {("1", "sales"): 50, ("2", "sales"): 20, ("*", "menu"): 30, ("timeout", "sorry"): 5,
                            ("hangup", ""): 15}),
    }  # fmt: skip
    drawn = svg(MENU, counts, {"menu": 4})
    found = texts(drawn)
    for shown in ("then 90", "▼ 10 %", "1, 2 70", "* 30", "fail 5", "▼ 13 %", "● 4", "120"):
        assert shown in found, shown
    assert "menu: menu, visits 120, left here 15 (13 %), now 4" in drawn
    assert "sales: queue, visits 0, left here 0 (0 %)" in drawn


def test_the_places_do_not_depend_on_the_counts() -> None:
    """So that a page that is told new counts does not jump."""

    def places(drawn: str) -> list[Any]:
        return [(one.get("x"), one.get("y"), one.get("d")) for one in ElementTree.fromstring(drawn).iter()
                if one.get("class") in ("box", "line", "id")]  # fmt: skip

    kept = picture(MENU, counted=True)
    busy = {node: Count(987_654_321, {("hangup", ""): 1}) for node in MENU.nodes}
    assert places(render(kept, {})) == places(render(kept, busy, dict.fromkeys(MENU.nodes, 99)))


def test_far_lines_into_a_crowded_box_become_names() -> None:
    chain = [a_node(f"n{n}", "menu", {"1": f"n{n + 1}"}, fail="sorry") for n in range(9)]
    found = texts(svg(a_flow(*chain, a_node("n9", then="sorry"), a_node("sorry", then="hangup"))))
    assert found.count("fail → sorry") == 9 and "then" in found


def test_inside_a_page_the_style_is_the_pages() -> None:
    assert "<style" not in render(picture(MENU), styled=False)


def test_words_are_the_readers() -> None:
    words = {**WORDS, "hangup": "挂断", "start": "开始"}
    found = texts(render(picture(a_flow(a_node("a", then="hangup")), words=words)))
    assert "then ⇥ 挂断" in found and "开始" in found


def test_a_shipped_style_flow_draws() -> None:
    assert "start" in texts(svg(book_of("  a: {do: say, say: x, then: hangup}\n").flows["t"]))


@pytest.mark.parametrize(("number", "shown"), [
    (0, "0"), (9999, "9999"), (12_345, "12.3k"), (99_949, "99.9k"), (123_456, "123k"), (999_499, "999k"),
    (1_234_567, "1.2M"),
])  # fmt: skip
def test_numbers_stay_short(number: int, shown: str) -> None:
    assert short_number(number) == shown


def test_small_shares_are_not_nothing() -> None:
    assert [share(*pair) for pair in ((0, 0), (1, 8), (1, 500))] == ["0 %", "13 %", "0.2 %"]


def test_counts_come_from_the_statistics() -> None:
    rows = [{"node": "a", "visits": 3, "outcomes": [{"outcome": "hangup", "to": "", "count": 2}]}]
    assert counts_of(rows)["a"].left == 2


def test_last_nodes_are_those_after_which_nothing_comes_but_the_end() -> None:
    flow = a_flow(
        a_node("bye", then="hangup", fail="sorry"), a_node("end", "hangup"), a_node("menu", "menu", {"1": "hangup"},
        then="bye"), a_node("back", then="return"), a_node("sorry", to={"error": "hangup"}, then="hangup"),
        a_node("open_end"),
    )  # fmt: skip
    assert last_nodes([flow]) == ["t/bye", "t/end", "t/sorry"]
