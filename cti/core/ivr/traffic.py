"""What is counted of the callers in a flow, and what the flow itself says of its nodes for that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cti.core.ivr.model import Flow


class Count(msgspec.Struct, frozen=True):
    """Of a node, in some time: how often callers were in it; by (outcome, next node or target), how often they left."""

    visits: int = 0
    ways: Mapping[tuple[str, str], int] = {}

    @property
    def left(self) -> int:
        """How many hung up in it."""
        return sum(count for (outcome, to), count in self.ways.items() if outcome == "hangup" and not to)


Counts = Mapping[str, Count]


def counts_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Count]:
    """From rows {node, visits, outcomes: [{outcome, to, count}]}, as the statistics give them."""
    return {
        row["node"]: Count(row["visits"], {(way["outcome"], way["to"]): way["count"] for way in row["outcomes"]})
        for row in rows
    }


def last_nodes(flows: Iterable[Flow]) -> list[str]:
    """FLOW/NODE of the nodes after which, whatever happens, the call ends: a caller who hangs up there was served.

    Only what is named counts: what goes wrong in a good-bye leads elsewhere, and that is no other way on."""
    found = []
    for flow in flows:
        for node in flow.nodes.values():
            ways = {*node.to.values(), node.then} - {""}
            if ways == {"hangup"} or (not ways and node.verb == "hangup"):
                found.append(f"{flow.name}/{node.id}")
    return found
