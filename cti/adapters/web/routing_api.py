"""What a supervisor does with callers who wait: make them more urgent, move them, ask why."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from cti.adapters.web.api import Deps, Name, Priority, audit, body, live, need_supervisor, uuid_in
from cti.adapters.web.auth import Who
from cti.adapters.web.ports import Row
from cti.adapters.web.problems import Problem
from cti.core.messages import ChangePriority, MoveCall
from cti.errors import Unavailable


class PriorityChange(msgspec.Struct, forbid_unknown_fields=True):
    priority: Priority


class Move(msgspec.Struct, forbid_unknown_fields=True):
    queue: Name


async def change_priority(deps: Deps, request: web.Request, who: Who) -> Row:
    call_id = uuid_in(request)
    asked = await body(request, PriorityChange)
    at = deps.engine.now()
    deps.engine.submit(ChangePriority(at=at, by=who.name, call_id=call_id, priority=asked.priority))
    await audit(deps, who, "call.priority_set", call_id, {"priority": asked.priority})
    return _waiting(deps, call_id)


async def move(deps: Deps, request: web.Request, who: Who) -> Row:
    call_id = uuid_in(request)
    asked = await body(request, Move)
    deps.engine.submit(MoveCall(at=deps.engine.now(), by=who.name, call_id=call_id, queue=asked.queue))
    await audit(deps, who, "call.moved", call_id, {"queue": asked.queue})
    return _waiting(deps, call_id)


def _waiting(deps: Deps, call_id: str) -> Row:
    """How he waits now; when an agent was free for him at once, only that he does not."""
    return deps.engine.why_call(call_id) or {"call_id": call_id, "why": None}


async def waiting(deps: Deps, request: web.Request, who: Who) -> Row:
    return {"items": deps.engine.waiting_calls(), "next_cursor": None}


async def why_call(deps: Deps, request: web.Request, who: Who | None) -> Row:
    """Why a caller still waits, and why each of his offers went to that agent."""
    need_supervisor(deps, request, who)
    call_id = uuid_in(request)
    waits, now = deps.engine.why_call(call_id), live(deps, call_id)
    try:
        stored = await deps.store.get_call(call_id)
    except Unavailable:
        if waits is None:  # else what is known live is told
            raise
        stored = None
    if waits is None and stored is None and now is None:
        raise Problem(404, "there is no such call")
    offers = [_offer(offer) for offer in (stored or {}).get("offers", ())]
    return {"call_id": call_id, "waits": waits, "offers": offers}


def _offer(offer: Row) -> dict[str, Any]:
    return {key: offer.get(key) for key in ("agent", "queue", "offered_at", "ended_at", "result", "decision")}
