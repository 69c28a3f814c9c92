"""How callers go through the flows, as the database computes it from events (migrations/0009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cti.adapters.postgres_db import AWAY, QUERIES, Database, Row, connect, drop, plain, unavailable
from cti.core.storable import storable

SECONDS = 20.0  # a question about many days may take so long; it has a connection of its own


class FlowStats:
    """The part of the store that counts. A period means the calls that started in [since, until), in seconds since the
    epoch; `version` None: all of them. Every method raises Unavailable."""

    dsn: str
    db: Database

    async def flow_nodes(self, flow: str, since: float, until: float, version: int | None = None) -> list[Row]:
        """Each node that somebody was in: node, verb, visits, left (hung up there), mean, median and p90 seconds,
        outcomes: [{outcome, to, count}], the most frequent first."""
        rows = await self._slow("flow_nodes", flow, since, until, version)
        ways: dict[str, list[Row]] = {}
        for row in rows:
            if not row["whole"]:
                way = {"outcome": row["outcome"], "to": row["went_to"], "count": row["visits"]}
                ways.setdefault(row["node"], []).append(way)
        return [_node(row, ways[row["node"]]) for row in rows if row["whole"]]

    async def flow_calls(
        self, since: float, until: float, last_nodes: Sequence[str], flow: str | None = None
    ) -> list[Row]:
        """By first flow and version: calls, how many of each result (see crm.flow_calls), mean seconds in the flow."""
        return await self._slow("flow_calls", since, until, list(last_nodes), flow)

    async def flow_path(self, call_id: str) -> list[Row]:
        """The nodes a call went through, in order, with times."""
        return list(plain(await self.db.rows("flow_path", call_id)))

    async def _slow(self, query: str, *args: Any) -> list[Row]:
        link = await connect(self.dsn, SECONDS)
        try:
            return [dict(row) for row in await link.fetch(QUERIES[query], *map(storable, args))]
        except AWAY as e:
            raise unavailable(e) from e
        finally:
            await drop(link)


def _node(row: Row, ways: list[Row]) -> Row:
    left = sum(way["count"] for way in ways if way["outcome"] == "hangup" and not way["to"])
    names = ("node", "verb", "visits", "mean", "median", "p90")
    return {**{name: row[name] for name in names}, "left": left, "outcomes": ways}
