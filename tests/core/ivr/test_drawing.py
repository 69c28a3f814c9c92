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


def test_the_schema_that_is_shipped_is_the_one_of_the_verbs() -> None:
    assert json.loads(SHIPPED.read_text()) == schema()
    nodes = schema()["properties"]["nodes"]["additionalProperties"]["oneOf"]
    assert {one["properties"]["do"]["const"] for one in nodes} == set(VERBS)
