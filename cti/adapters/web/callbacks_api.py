"""Requests on callbacks: a supervisor sees and changes all, an agent sees those he may serve."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

import msgspec
from aiohttp import web

from cti.adapters.web.api import END, Deps, Name, Priority, audit, body, page, paging, short, uuid_in
from cti.adapters.web.auth import Who
from cti.adapters.web.numbers import national
from cti.adapters.web.ports import Row
from cti.adapters.web.problems import Problem
from cti.adapters.web.wire import iso, read_time
from cti.core.messages import CancelCallback
from cti.core.numbers import for_callback
from cti.errors import BadInput, Refused, Unavailable

CustomerId = Annotated[str, msgspec.Meta(pattern=rf"^[0-9]{{1,18}}{END}", description="1 to 18 digits")]
SHOWN = 200
State = Literal["open", "dialing", "done", "expired", "cancelled", "merged", "barred", "failed"]


class NewCallback(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody is to be called back, in his turn from now on, but not before `not_before`. Without a priority it has
    the queue's own."""

    number: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    queue: Name
    customer_id: CustomerId | None = None
    priority: Priority | None = None
    not_before: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None


def _seen(deps: Deps, who: Who) -> list[str] | None:
    """The queues whose callbacks he sees; None: all."""
    return None if who.is_supervisor else list(deps.engine.queues_of(who.name))


def _queues(deps: Deps, request: web.Request, who: Who) -> list[str] | None:
    """Those that are asked for, of those he sees; None: all."""
    seen, queue = _seen(deps, who), short(request, "queue")
    return seen if queue is None else [queue] if seen is None or queue in seen else []


async def callbacks(deps: Deps, request: web.Request, who: Who) -> Row:
    """Callbacks, newest first."""
    state = request.query.get("state") or None
    if state is not None and state not in get_args(State):
        raise BadInput(f"state is one of {', '.join(get_args(State))}", "bad_filter")
    cursor, limit = paging(deps, request, "callbacks")
    found = await deps.store.list_callbacks(
        states=[state] if state else None, queues=_queues(deps, request, who), q=short(request, "q") or "",
        cursor=cursor, limit=limit,
    )  # fmt: skip
    return page(deps, "callbacks", found)


async def open_callbacks(deps: Deps, request: web.Request, who: Who) -> Row:
    """Those that are open, in the order in which they are to be called: the first SHOWN, and how many there are. What
    the database knows of them is null while it is away."""
    found = deps.engine.callbacks(_queues(deps, request, who))
    rows, country = found[:SHOWN], deps.settings.country
    about: Mapping[str, Row] = {}
    with contextlib.suppress(Unavailable):
        about = await deps.store.callbacks_of([row["callback_id"] for row in rows])
    unknown = dict.fromkeys(("entered", "last_result", "asked_by", "asked_by_name", "customer_name"))
    items = [
        {**row, **about.get(row["callback_id"], unknown), "number_national": national(row["number"], country)}
        for row in rows
    ]
    return {"items": items, "total": len(found), "next_cursor": None}


async def callback(deps: Deps, request: web.Request, who: Who) -> Row:
    """One of them. One of a queue that an agent does not serve is as if it were not there."""
    found = await deps.store.get_callback(uuid_in(request))
    seen = _seen(deps, who)
    if found is None or not (seen is None or found.get("queue") in seen):
        raise Problem(404, "there is no such callback")
    return found


async def cancel_callback(deps: Deps, request: web.Request, who: Who) -> Row:
    """The customer is not called back. 409 callback_gone when it is over, callback_dialing while he is being called."""
    callback_id = uuid_in(request)
    try:
        deps.engine.submit(CancelCallback(at=deps.engine.now(), by=who.name, callback_id=callback_id))
    except Refused as refused:
        if refused.code != "callback_unknown":
            raise
        await deps.store.cancel_callback(callback_id, who.name)  # entered a moment ago: the server has not read it yet
    else:
        await audit(deps, who, "callback.cancelled", callback_id, {})
    return {"callback_id": callback_id}


async def add_callback(deps: Deps, request: web.Request, who: Who) -> Row:
    """Enter one by hand. 409 callback_open when one of the number and queue is open, do_not_call."""
    asked = await body(request, NewCallback)
    queue, seen, now = deps.engine.queue(asked.queue), _seen(deps, who), deps.engine.now()
    if queue is None:
        raise BadInput(f"there is no queue {asked.queue}", "no_such_queue")
    if seen is not None and asked.queue not in seen:
        raise Problem(403, "you do not serve this queue")
    verdict = for_callback(asked.number, deps.settings.country, queue.callback.countries)
    if verdict.refused:
        raise BadInput(verdict.refused, "not_dialable", kind=verdict.kind)
    return await deps.store.add_callback(
        number=verdict.number, entered=asked.number, queue=queue.name, by=who.name, at=now,
        customer_id=int(asked.customer_id) if asked.customer_id else None,
        priority=queue.priority if asked.priority is None else asked.priority,
        not_before=_not_before(asked.not_before, now, queue.callback.expires) if asked.not_before else None,
    )  # fmt: skip


def _not_before(text: str, now: float, expires: float) -> float | None:
    """None: at once. Raises BadInput when it would have expired by then."""
    at = read_time("not_before", text)
    if at >= now + expires:
        raise BadInput(f"not_before is before {iso(now + expires)}: this queue's callbacks expire then", "too_late")
    return at if at > now else None
