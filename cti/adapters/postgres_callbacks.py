"""Callbacks as the server, the pages and the command line see them.

Methods raise Refused for what cannot be, BadInput for a cursor that is not ours, Unavailable.
"""

from __future__ import annotations

from collections.abc import Sequence

from cti.adapters.postgres_db import QUERIES, Database, Row, plain
from cti.adapters.postgres_pages import Page, like, page_of, place_of
from cti.core.ids import entered_id
from cti.core.messages import CallbackDue
from cti.errors import BadInput, Refused


class CallbackStore:
    """The part of the store that keeps callbacks."""

    db: Database

    async def open_callbacks(self) -> tuple[CallbackDue, ...]:
        """All that are open, those under way too."""
        return tuple(CallbackDue(**row) for row in await self.db.rows("open_callbacks"))

    async def list_callbacks(
        self, *, states: Sequence[str] | None = None, queues: Sequence[str] | None = None, q: str = "",
        cursor: str | None = None, limit: int = 50,
    ) -> Page:  # fmt: skip
        """Newest first. `states`, `queues` None: of all of them; `q` is looked for in numbers and customers' names."""
        at, after = place_of(cursor)
        chosen = [None if names is None else list(names) for names in (states, queues)]
        rows = await self.db.rows("list_callbacks", *chosen, like(q), at, after, limit + 1)
        return page_of(rows, limit, "requested_at", "callback_id")

    async def get_callback(self, callback_id: str) -> Row | None:
        return plain(await self.db.row("get_callback", callback_id))  # type: ignore[no-any-return]

    async def callbacks_of(self, ids: Sequence[str]) -> dict[str, Row]:
        """By id: entered, last_result, asked_by, asked_by_name, customer_name."""
        rows = await self.db.rows("callbacks_of", list(ids))
        return {row["callback_id"]: dict(row) for row in rows}

    async def add_callback(
        self, *, number: str, entered: str, queue: str, by: str, at: float, priority: int,
        customer_id: int | None = None, not_before: float | None = None,
    ) -> Row:  # fmt: skip
        """One that `by` enters by hand. `number`: E.164, `entered`: as he wrote it; `not_before`: when it may be tried
        first. Audited. Running servers follow at once."""
        name = entered_id(number, queue, by, at)
        if await self.db.value("is_barred", number):
            raise Refused(f"{number} is on the do-not-call list", "do_not_call")
        if customer_id is not None and await self.db.row("get_customer", customer_id) is None:
            raise BadInput(f"there is no customer {customer_id}", "no_such_customer")
        async with self.db.link() as link, link.transaction():
            await link.execute(QUERIES["one_callback_at_a_time"], queue, number)
            made = await link.fetchval(
                QUERIES["add_callback"], name, queue, number, entered, at, customer_id, by, priority, not_before
            )  # fmt: skip
            if made is None:
                raise Refused(f"a callback to {number} is open in {queue} already", "callback_open")
            detail = {"queue": queue, "number": number, "priority": priority}
            await link.execute(QUERIES["audit"], by, "callback.entered", name, detail)
        found = await self.get_callback(name)
        assert found is not None
        return found

    async def cancel_callback(self, callback_id: str, by: str) -> Row:
        """By hand, when it is open and not under way. Audited. Running servers follow at once."""
        async with self.db.link() as link, link.transaction():
            row = await link.fetchrow(QUERIES["cancel_callback"], callback_id, by)
            if row is None:
                raise Refused("this callback is under way, over, or there is none such", "callback_gone")
            await link.execute(QUERIES["audit"], by, "callback.cancelled", callback_id, dict(row))
        return dict(row)

    async def callback_like(self, beginning: str) -> list[str]:
        """The ids that begin so; at most two."""
        return [row["callback_id"] for row in await self.db.rows("callbacks_like", f"{beginning.lower()}%")]
