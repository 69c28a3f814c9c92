"""Requests on callbacks: a supervisor sees and changes all, an agent sees those he may serve."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from aiohttp import web

from cti.adapters.web.api import Deps, Name, audit, body, page, paging, short, uuid_in
from cti.adapters.web.auth import Who
from cti.adapters.web.ports import Row
from cti.adapters.web.problems import Problem
from cti.core.messages import CancelCallback
from cti.core.numbers import dialable
from cti.errors import BadInput, Refused

State = Literal["open", "dialing", "done", "expired", "cancelled", "merged", "barred", "failed"]


class NewCallback(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody is to be called back, in his turn from now on."""

    number: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    queue: Name
    customer_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}(?![\s\S])")] | None = None


def _seen(deps: Deps, who: Who) -> list[str] | None:
    """The queues whose callbacks he sees; None: all."""
    return None if who.is_supervisor else list(deps.engine.queues_of(who.name))


async def callbacks(deps: Deps, request: web.Request, who: Who) -> Row:
    """Callbacks, newest first."""
    state, queue = request.query.get("state") or None, short(request, "queue")
    if state is not None and state not in get_args(State):
        raise BadInput(f"state is one of {', '.join(get_args(State))}", "bad_filter")
    seen = _seen(deps, who)
    queues = seen if queue is None else [queue] if seen is None or queue in seen else []
    cursor, limit = paging(deps, request, "callbacks")
    found = await deps.store.list_callbacks(
        state=state, queues=queues, q=short(request, "q") or "", cursor=cursor, limit=limit
    )
    return page(deps, "callbacks", found)


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
    verdict = dialable(asked.number, deps.settings.country)
    if verdict.kind != "ordinary":
        raise BadInput(verdict.refused or "this is a telephone of ours, not a customer's", "not_dialable")
    if asked.queue not in {row["queue"] for row in deps.engine.queues()}:
        raise BadInput(f"there is no queue {asked.queue}", "no_such_queue")
    seen = _seen(deps, who)
    if seen is not None and asked.queue not in seen:
        raise Problem(403, "you do not serve this queue")
    return await deps.store.add_callback(
        number=verdict.number, entered=asked.number, queue=asked.queue, by=who.name, at=deps.engine.now(),
        customer_id=int(asked.customer_id) if asked.customer_id else None,
    )  # fmt: skip
