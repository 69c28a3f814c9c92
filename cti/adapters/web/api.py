"""Requests on people who log in, queues and calls. Handlers get (deps, request, who), answer JSON-ready data."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
from typing import Annotated, Any
from uuid import UUID

import msgspec
from aiohttp import web

from cti.adapters.web.auth import COOKIE, Auth, Who, sha256
from cti.adapters.web.hub import Hub
from cti.adapters.web.ports import DISPOSITIONS, OUTCOMES, Engine, Page, Row, Settings, Store
from cti.adapters.web.problems import Problem
from cti.adapters.web.wire import T, encode, jsonable, read_json, read_limit, read_time, seal, unseal
from cti.adapters.web.ws import Sockets, is_agent
from cti.core.messages import AnswerCall, HangUpCall, RejectCall, SetDisposition
from cti.core.queues import PRIORITIES
from cti.errors import BadInput, Unavailable

END = r"(?![\s\S])"  # as \Z, in words that JSON Schema has too; Python's $ lets a line break through
BODY_SECONDS = 10.0  # a body that comes slower is not waited for
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Priority = Annotated[int, msgspec.Meta(ge=PRIORITIES[0], le=PRIORITIES[1])]


class Deps(msgspec.Struct, frozen=True):
    """What handlers work with."""

    engine: Engine
    store: Store
    hub: Hub
    auth: Auth
    sockets: Sockets
    settings: Settings


class Login(msgspec.Struct, forbid_unknown_fields=True):
    username: Name
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class MePatch(msgspec.Struct, forbid_unknown_fields=True):
    language: Annotated[str, msgspec.Meta(pattern=rf"^[a-z]{{2}}{END}")]


class Disposition(msgspec.Struct, forbid_unknown_fields=True):
    """`draft`: kept while the agent still types; it does not end his wrap-up. Without `note` that stays as it is."""

    code: Name
    note: Annotated[str, msgspec.Meta(max_length=4000)] | None = None
    draft: bool = False


def reply(data: Any, status: int = 200) -> web.Response:
    """JSON; times become ISO-8601."""
    return web.Response(status=status, body=encode(jsonable(data)), content_type="application/json")


async def body(request: web.Request, shape: type[T]) -> T:
    """The JSON body. Raises BadInput, Problem 408, 413 or 415."""
    if request.content_type != "application/json":
        raise Problem(415, "send Content-Type: application/json")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise Problem(408, f"the body did not come within {BODY_SECONDS:g} seconds") from None
    return read_json(raw, shape)


def uuid_in(request: web.Request, name: str = "id") -> str:
    """The id in the path in its plain form; what is not a UUID cannot be there: Problem 404."""
    text = request.match_info[name]
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        raise Problem(404)
    return str(UUID(text))


def short(request: web.Request, name: str) -> str | None:
    """A short text of the query, or None. Raises BadInput."""
    text = request.query.get(name)
    if text is None or text == "":
        return None
    if len(text) > 64 or not text.isprintable():
        raise BadInput(f"{name} is a short text", "bad_filter")
    return text


def paging(deps: Deps, request: web.Request, kind: str) -> tuple[str | None, int]:
    cursor = request.query.get("cursor")
    return (
        unseal(deps.settings.cursor_key, kind, cursor) if cursor else None,
        read_limit(request.query.get("limit", "50")),
    )


def page(deps: Deps, kind: str, found: Page) -> Row:
    rows, cursor = found
    return {"items": rows, "next_cursor": seal(deps.settings.cursor_key, kind, cursor)}


# ---------------------------------------------------------------- who


def me_row(deps: Deps, who: Who) -> Row:
    user = who.user
    return {
        "user_id": str(user.user_id),
        "username": user.name,
        "name": user.display_name or user.name,
        "role": user.role,
        "language": user.language,
        "station": user.station or None,
        "agent_id": user.name if is_agent(deps.engine, who) else None,
    }


async def login(deps: Deps, request: web.Request, _: Who | None) -> web.StreamResponse:
    asked = await body(request, Login)
    old = request.cookies.get(COOKIE)
    token, user = await deps.auth.login(asked.username, asked.password, request.remote or "")
    if old:
        await _drop_session(deps, old)
    response = reply(me_row(deps, Who(user)))
    response.set_cookie(COOKIE, token, httponly=True, samesite="Strict", path="/", secure=request.secure)
    return response


async def _drop_session(deps: Deps, token: str) -> None:
    await deps.auth.logout(sha256(token))
    deps.hub.close_session(sha256(token))


async def logout(deps: Deps, request: web.Request, who: Who) -> web.StreamResponse:
    if who.session:
        await deps.auth.logout(who.session)
        deps.hub.close_session(who.session)
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/")
    return response


async def me(deps: Deps, request: web.Request, who: Who) -> Row:
    return me_row(deps, who)


async def patch_me(deps: Deps, request: web.Request, who: Who) -> Row:
    asked = await body(request, MePatch)
    if asked.language not in deps.settings.languages:
        raise BadInput(f"language is one of {', '.join(deps.settings.languages)}", "bad_language")
    await deps.store.set_language(who.user.user_id, asked.language)
    return {**me_row(deps, who), "language": asked.language}


# ---------------------------------------------------------------- live figures


async def queues(deps: Deps, request: web.Request, who: Who) -> Row:
    return {"items": deps.engine.queues(), "next_cursor": None}


async def wallboard(deps: Deps, request: web.Request, who: Who) -> Row:
    return deps.engine.wallboard()


def need_supervisor(deps: Deps, request: web.Request, who: Who | None) -> None:
    """A supervisor, or a verb of `cti` on this machine, which knows the installation's key. Raises Problem 401, 403."""
    key = request.headers.get("X-Status-Key", "").encode("utf-8", "surrogateescape")
    if not (deps.settings.status_key and hmac.compare_digest(key, deps.settings.status_key.encode())):
        if who is None:
            raise Problem(401, "log in first")
        if not who.is_supervisor:
            raise Problem(403, "your role may not do this")


async def audit(deps: Deps, who: Who, action: str, about: str, detail: Row) -> None:
    """Of something that is done already and whose event names who did it: no database that is away is waited for."""
    with contextlib.suppress(Unavailable):
        await deps.store.audit(who.name, action, about, detail)


async def status(deps: Deps, request: web.Request, who: Who | None) -> Row:
    need_supervisor(deps, request, who)
    engine = deps.engine
    return {
        "at": engine.now(),
        "version": deps.settings.version,
        "sockets": len(deps.hub),
        "adapters": engine.health(),
        "calls": engine.live_calls(),
        "queues": engine.queues(),
        "agents": engine.agents(),
    }


# ---------------------------------------------------------------- calls


async def calls(deps: Deps, request: web.Request, who: Who) -> Row:
    """Stored calls, newest first. An agent gets his own only."""
    agent = short(request, "agent")
    if not who.is_supervisor:
        if agent not in (None, who.name):
            raise Problem(403, "an agent sees only his own calls")
        agent = who.name
    outcome = request.query.get("outcome") or None
    if outcome is not None and outcome not in OUTCOMES:
        raise BadInput("outcome is not one of the known ones", "bad_filter")
    times = {n: read_time(n, request.query[n]) if request.query.get(n) else None for n in ("since", "until")}
    cursor, limit = paging(deps, request, "calls")
    queue = short(request, "queue")
    found = await deps.store.list_calls(
        **times, agent=agent, queue=queue, outcome=outcome, cursor=cursor, limit=limit
    )
    return page(deps, "calls", found)


def live(deps: Deps, call_id: str) -> Row | None:
    return next((c for c in deps.engine.live_calls() if str(c.get("call_id")) == call_id), None)


def _concerns(call: Row, agent: str) -> bool:
    """Whether this agent took part: as the call's agent or in one of its offers or events."""
    parts = [call, *call.get("offers", ()), *call.get("story", ()), *call.get("events", ())]
    return any(part.get("agent") == agent for part in parts)


async def call(deps: Deps, request: web.Request, who: Who) -> Row:
    """One call with its story. Another's call is as if it were not there."""
    call_id = uuid_in(request)
    found = await deps.store.get_call(call_id) or live(deps, call_id)
    if found is None or not (who.is_supervisor or _concerns(found, who.name)):
        raise Problem(404, "there is no such call")
    return found


async def answer_call(deps: Deps, request: web.Request, who: Who) -> Row:
    """Make the agent's phone answer. 409 pick_up_phone when nothing here can do that."""
    call_id = uuid_in(request)
    if not deps.hub.can_answer(who.name):
        raise Problem(409, "this phone cannot be answered from here: pick it up", "pick_up_phone")
    deps.engine.submit(AnswerCall(at=deps.engine.now(), by=who.name, call_id=call_id, agent=who.name))
    return {"call_id": call_id}


async def reject_call(deps: Deps, request: web.Request, who: Who) -> Row:
    call_id = uuid_in(request)
    deps.engine.submit(RejectCall(at=deps.engine.now(), by=who.name, call_id=call_id, agent=who.name))
    return {"call_id": call_id}


async def hang_up_call(deps: Deps, request: web.Request, who: Who) -> Row:
    """An agent ends his own call; a supervisor any call."""
    call_id = uuid_in(request)
    own = "" if who.is_supervisor else who.name
    deps.engine.submit(HangUpCall(at=deps.engine.now(), by=who.name, call_id=call_id, agent=own))
    return {"call_id": call_id}


async def set_disposition(deps: Deps, request: web.Request, who: Who) -> Row:
    call_id = uuid_in(request)
    asked = await body(request, Disposition)
    if asked.code not in DISPOSITIONS:
        raise BadInput(f"code is one of {', '.join(DISPOSITIONS)}", "bad_disposition")
    deps.engine.submit(
        SetDisposition(
            at=deps.engine.now(),
            by=who.name,
            call_id=call_id,
            agent=who.name,
            code=asked.code,
            note=asked.note,
            draft=asked.draft,
        )
    )
    return {"call_id": call_id, "code": asked.code, "note": asked.note}
