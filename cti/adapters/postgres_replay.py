"""A day as it was, for the simulator: reads only."""

from __future__ import annotations

from typing import Any

from cti.adapters.postgres import Store
from cti.adapters.postgres_db import AWAY, QUERIES, connect, drop, unavailable
from cti.core.acd_record import Record, Spell, Visit

SECONDS = 20.0  # a day of a large site


async def record(store: Store, since: float, until: float) -> Record:
    """The visits that began in [since, until) and have ended, and what the agents did meanwhile. Raises Unavailable."""
    link = await connect(store.dsn, SECONDS)
    try:
        visits = await link.fetch(QUERIES["replay_visits"], since, until)
        spells = await link.fetch(QUERIES["replay_spells"], since, until)
        skills = await link.fetch(QUERIES["replay_skills"])
    except AWAY as e:
        raise unavailable(e) from e
    finally:
        await drop(link)
    return Record(
        since, until, tuple(_visit(row) for row in visits), tuple(Spell(**_plain(row)) for row in spells),
        {row["agent"]: row["skills"] for row in skills},
    )  # fmt: skip


def _visit(row: Any) -> Visit:
    found = _plain(row)
    return Visit(**found | {"raised": tuple(found.get("raised", ()))})


def _plain(row: Any) -> dict[str, Any]:
    return {name: value for name, value in dict(row).items() if value is not None}
