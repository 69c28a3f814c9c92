from __future__ import annotations

import json
from pathlib import Path

from flowbook import book_of

from cti.core.ivr.drawing import mermaid, schema
from cti.core.ivr.verbs import VERBS

SHIPPED = Path(__file__).parents[3] / "ivr_flows" / "flow.schema.json"


def test_every_way_on_is_an_arrow() -> None:
    nodes = """\
  a-b: {do: menu, say: x, options: {"1": c, "*": repeat}, fail: c}
  c: {do: say, say: x, then: hangup}
"""
    drawn = mermaid(book_of(nodes, "flow: t\nlanguage: en\ndefaults: {fail: repeat}\nstart: a-b\nnodes:\n").flows["t"])
    for line in (
        "start((start)) --> n_a__b",
        'n_a__b -->|"1"| n_c',
        'n_a__b -->|"*"| n_a__b',
        'n_a__b -.->|"fail"| n_c',
        "n_c --> hangup",
        'any(("not named")) -.-> hangup',
    ):
        assert f"  {line}\n" in drawn


def test_every_kind_of_node_has_its_shape() -> None:
    nodes = """\
  a: {do: branch, when: [{if: "{{ true }}", to: b}], else: c}
  b: {do: event, event: x, then: d}
  c: {do: queue, queue: sales, then: e}
  d: {do: ask, say: x, length: 1, then: e}
  e: {do: hangup}
  f: {do: event, event: gone, then: hangup}
"""
    head = "flow: t\nlanguage: en\nstart: a\non_hangup: f\nnodes:\n"
    drawn = mermaid(book_of(nodes, head).flows["t"])
    for shown in ('n_a{"a: branch"}', 'n_b[/"b: event"/]', 'n_c[["c: queue"]]', 'n_d{{"d: ask"}}', 'n_e(["e: hangup"])',
                  'gone(("caller gone")) -.-> n_f'):  # fmt: skip
        assert shown in drawn, shown


def test_the_schema_that_is_shipped_is_the_one_of_the_verbs() -> None:
    assert json.loads(SHIPPED.read_text()) == schema()
    nodes = schema()["properties"]["nodes"]["additionalProperties"]["oneOf"]
    assert {one["properties"]["do"]["const"] for one in nodes} == set(VERBS)
