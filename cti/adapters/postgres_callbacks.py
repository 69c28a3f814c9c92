"""Callbacks as the server, the pages and the command line see them. Functions over an open Store.

They raise Refused for what cannot be, BadInput for a cursor that is not ours, Unavailable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from cti.adapters.postgres import Page, Store, like, page_of, place_of
from cti.adapters.postgres_db import QUERIES, Row, plain
from cti.core.ids import entered_id
from cti.core.messages import CallbackDue
from cti.errors import Refused


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """One that somebody enters by hand. `number`: E.164, `entered`: as he wrote it."""

    number: str
    entered: str
    queue: str
    by: str
    customer_id: int | None = None


async def open_callbacks(store: Store) -> tuple[CallbackDue, ...]:
    """All that are open, those under way too."""
    return tuple(CallbackDue(**row) for row in await store.db.rows("open_callbacks"))


async def watch_callbacks(store: Store, changed: Callable[[], Awaitable[None] | None]) -> None:
    """Calls `changed` at first, and after every change of callbacks or of who may not be called, until cancelled."""
    await store.watch("crm_callbacks", changed, lost=True)


async def list_callbacks(
    store: Store, *, state: str | None = None, queues: Sequence[str] | None = None, q: str = "",
    cursor: str | None = None, limit: int = 50,
) -> Page:  # fmt: skip
    """Newest first. `queues` None: of all of them; `q` is looked for in numbers and customers' names."""
    at, after = place_of(cursor)
    known = None if queues is None else list(queues)
    rows = await store.db.rows("list_callbacks", state, known, like(q), at, after, limit + 1)
    return page_of(rows, limit, "requested_at", "callback_id")


async def get_callback(store: Store, callback_id: str) -> Row | None:
    return plain(await store.db.row("get_callback", callback_id))  # type: ignore[no-any-return]


async def add_callback(store: Store, asked: Entered, at: float) -> Row:
    """Audited. Running servers follow at once."""
    name = entered_id(asked.number, asked.queue, asked.by, at)
    if await store.db.value("is_barred", asked.number):
        raise Refused(f"{asked.number} is on the do-not-call list", "do_not_call")
    async with store.db.link() as link, link.transaction():
        made = await link.fetchval(
            QUERIES["add_callback"], name, asked.queue, asked.number, asked.entered, at, asked.customer_id, asked.by
        )
        if made is None:
            raise Refused(f"a callback to {asked.number} is open in {asked.queue} already", "callback_open")
        detail = {"queue": asked.queue, "number": asked.number}
        await link.execute(QUERIES["audit"], asked.by, "callback.entered", name, detail)
    found = await get_callback(store, name)
    assert found is not None
    return found


async def cancel_callback(store: Store, callback_id: str, by: str) -> Row:
    """By hand, when it is open and not under way. Audited. Running servers follow at once."""
    async with store.db.link() as link, link.transaction():
        row = await link.fetchrow(QUERIES["cancel_callback"], callback_id, by)
        if row is None:
            raise Refused("this callback is under way, over, or there is none such", "callback_gone")
        await link.execute(QUERIES["audit"], by, "callback.cancelled", callback_id, dict(row))
    return dict(row)


async def callback_like(store: Store, beginning: str) -> list[str]:
    """The ids that begin so; at most two."""
    return [row["callback_id"] for row in await store.db.rows("callbacks_like", f"{beginning.lower()}%")]
