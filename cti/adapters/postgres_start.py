"""What a start of the server asks of PostgreSQL. It costs what goes on and what was last, never what the day has seen.

Every function raises `Unavailable`. Call them after `Store.catch_up`: the journal's tail belongs to the answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from cti.adapters.postgres import Store
from cti.adapters.postgres_db import AWAY, QUERIES, connect, drop, unavailable
from cti.core.messages import Event, PastFound, PlaceLeft
from cti.core.stats import WITHIN, TalkSums, VisitSums

START_SECONDS = 10.0  # longer than a page would wait


class Restored(NamedTuple):
    """events: all of unfinished calls in (call_id, seq) order; agents: the last state change of each agent."""

    events: list[Event]
    agents: list[Event]


class Today(NamedTuple):
    """What core.stats adds."""

    visits: list[VisitSums]
    talks: list[TalkSums]


async def restore(store: Store) -> Restored:
    """What was going on."""
    return Restored(await _events(store, "unfinished_events"), await _events(store, "last_agent_events"))


async def today(store: Store, since: float, but_for: Collection[str], within: Mapping[str, float]) -> Today:
    """Sums of what happened since then to all calls but these. `within`: T of each queue."""
    calls = list(but_for)
    async with _patient(store) as link:
        visits = await link.fetch(QUERIES["day_visits"], since, calls, dict(within), WITHIN)
        talks = await link.fetch(QUERIES["day_talks"], since, calls)
    return Today([VisitSums(*row) for row in visits], [TalkSums(*row) for row in talks])


async def last_known(store: Store) -> float | None:
    """When the switch last told something of a call; None when there never was one."""
    at: float | None = await store.db.value("last_known")
    return at


async def over_since(store: Store, since: float) -> list[Event]:
    """How the calls began and ended that ended since then."""
    return await _events(store, "over_lately", since)


async def past(store: Store, at: float) -> PastFound:
    """Who left a queue lately, and how long agents take for the calls of each queue."""
    async with _patient(store) as link:
        left = await link.fetch(QUERIES["left_lately"])
        handled = await link.fetch(QUERIES["handled_lately"])
    places = [PlaceLeft(**dict(row)) for row in left]
    return PastFound(at=at, left=tuple(places), handled=tuple(tuple(row) for row in handled))


async def _events(store: Store, query: str, *args: Any) -> list[Event]:
    async with _patient(store) as link:
        return [_event(row) for row in await link.fetch(QUERIES[query], *args)]


@asynccontextmanager
async def _patient(store: Store) -> AsyncIterator[Any]:
    link = await connect(store.dsn, START_SECONDS)
    try:
        yield link
    except AWAY as e:
        raise unavailable(e) from e
    finally:
        await drop(link)


def _event(row: Any) -> Event:
    call_id = str(row["call_id"]) if row["call_id"] else ""
    return Event(
        type=row["type"], at=row["at"], call_id=call_id, seq=row["seq"], agent=row["agent"] or "",
        queue=row["queue"] or "", data=row["data"],
    )  # fmt: skip
