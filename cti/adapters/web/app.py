"""The web application: one table of routes, the order of checks around every handler, start and stop.

For each request: who is it -> may another site have caused it -> may this role -> handler -> answer or
problem.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from cti.adapters.web import agents_api, api, callbacks_api, crm, flows_api, ops, pages, routing_api
from cti.adapters.web.api import Deps
from cti.adapters.web.auth import Auth, Who, check_csrf
from cti.adapters.web.hub import Hub
from cti.adapters.web.kept import Kept
from cti.adapters.web.openapi import document
from cti.adapters.web.ports import Engine, Settings, Store
from cti.adapters.web.problems import Problem, add_headers, problem_of
from cti.adapters.web.proxies import networks, seen_through
from cti.adapters.web.ws import Sockets, seat

MAX_BODY = 64 * 1024
SUPERVISORS = frozenset({"supervisor", "admin"})
ADMINS = frozenset({"admin"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One request that can be made. `roles` empty: everybody who is logged in; `open`: anybody."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    summary: str = ""
    body: type | None = None
    query: tuple[str, ...] = ()
    roles: frozenset[str] = frozenset()
    open: bool = False
    status: int = 200
    gives: str = "application/json"


async def openapi(deps: Deps, request: web.Request, who: Who | None) -> Any:
    return document(ROUTES, deps.settings)


async def websocket(deps: Deps, request: web.Request, who: Who) -> web.StreamResponse:
    return await deps.sockets.handle(request, who)


def _get(path: str, handler: Callable[..., Awaitable[Any]], summary: str = "", **more: Any) -> Route:
    return Route(method="GET", path=path, handler=handler, summary=summary, **more)


def _post(path: str, handler: Callable[..., Awaitable[Any]], summary: str, **more: Any) -> Route:
    return Route(method="POST", path=path, handler=handler, summary=summary, **more)


def _put(path: str, handler: Callable[..., Awaitable[Any]], summary: str, **more: Any) -> Route:
    return Route(method="PUT", path=path, handler=handler, summary=summary, **more)


V1 = "/api/v1"
PAGED = ("cursor", "limit")
PERIOD = ("since", "until", "version")
VERSION = f"{V1}/flow-versions/{{n}}"
FLOWS = (
    _get(f"{V1}/flows", flows_api.flows, "flows, what is live, what is wrong with the folder", roles=SUPERVISORS),
    _get(f"{V1}/flows/live", flows_api.callers, "who is in which node now", roles=SUPERVISORS),
    _get(f"{V1}/flows/{{name}}", flows_api.flow, "one flow", query=("version",), roles=SUPERVISORS),
    _get(f"{V1}/flows/{{name}}/drawing", flows_api.drawing, "the flow as a picture, with counts of the period and now",
         query=(*PERIOD, "style"), roles=SUPERVISORS, gives="image/svg+xml"),
    _get(f"{V1}/flows/{{name}}/stats", flows_api.stats, "visits, ways out, drop-offs, times, containment",
         query=PERIOD, roles=SUPERVISORS),
    _get(f"{V1}/flow-versions", flows_api.versions, "versions, newest first", roles=SUPERVISORS),
    _post(f"{V1}/flow-versions", flows_api.publish, "publish the folder; audited", body=flows_api.Publish,
          roles=ADMINS, status=201),
    _get(VERSION, flows_api.version, "one version with its files", roles=SUPERVISORS),
    _get(f"{VERSION}/diff", flows_api.diff, "what changes from it to another one", query=("to",), roles=SUPERVISORS),
    _post(f"{VERSION}/rollback", flows_api.rollback, "make it live again; audited", roles=ADMINS),
    _post(f"{VERSION}/share", flows_api.share, "let it serve a share of the callers; audited", body=flows_api.Share,
          roles=ADMINS),
    _get(f"{V1}/calls/{{id}}/path", flows_api.path, "the nodes a call went through", roles=SUPERVISORS),
    _get(f"{V1}/calendars", flows_api.calendars, "calendars now", roles=SUPERVISORS),
    _post(f"{V1}/calendars/{{name}}/force", flows_api.force, "open or close it by hand; audited", body=flows_api.Force,
          roles=SUPERVISORS),
    _post(f"{V1}/calendars/{{name}}/auto", flows_api.unforce, "its own hours again; audited", roles=SUPERVISORS),
)  # fmt: skip
ROUTES = (
    _post(f"{V1}/session", api.login, "log in; sets the cookie", body=api.Login, open=True),
    Route(method="DELETE", path=f"{V1}/session", handler=api.logout, summary="log out", status=204),
    _get(f"{V1}/me", api.me, "who am I"),
    Route(method="PATCH", path=f"{V1}/me", handler=api.patch_me, summary="my language", body=api.MePatch),
    _get(f"{V1}/agents", agents_api.agents, "agents and what they do; an agent sees himself"),
    _put(
        f"{V1}/agents/{{id}}/state",
        agents_api.set_state,
        "wish a state, now or as the next; audited when it is another's",
        body=agents_api.StateChange,
    ),
    _post(f"{V1}/agents/{{id}}/wrap-up", agents_api.wrap_up, "extend or finish wrap-up", body=agents_api.WrapUpChange),
    _get(f"{V1}/agents/{{id}}/why", agents_api.why_agent, "why an agent has no call; supervisors", open=True),
    _get(f"{V1}/queues", api.queues, "queues now"),
    _get(f"{V1}/wallboard", api.wallboard, "all live figures", roles=SUPERVISORS),
    _get(
        f"{V1}/calls",
        api.calls,
        "calls, newest first",
        query=("since", "until", "agent", "queue", "outcome", *PAGED),
    ),
    _get(f"{V1}/calls/{{id}}", api.call, "one call and its story"),
    _post(f"{V1}/calls/{{id}}/answer", api.answer_call, "make my phone answer"),
    _post(f"{V1}/calls/{{id}}/reject", api.reject_call, "decline an offer"),
    _post(f"{V1}/calls/{{id}}/hangup", api.hang_up_call, "end a call"),
    _post(f"{V1}/calls/{{id}}/priority", routing_api.change_priority, "make a waiting caller more urgent; audited",
          body=routing_api.PriorityChange, roles=SUPERVISORS),
    _post(f"{V1}/calls/{{id}}/move", routing_api.move, "move a waiting caller to another queue; audited",
          body=routing_api.Move, roles=SUPERVISORS),
    _get(f"{V1}/calls/{{id}}/why", routing_api.why_call, "why a caller waits, why that agent; supervisors", open=True),
    _get(f"{V1}/waiting", routing_api.waiting, "callers who wait, the next of each queue first", roles=SUPERVISORS),
    _put(f"{V1}/calls/{{id}}/disposition", api.set_disposition, "how the call ended", body=api.Disposition),
    _get(f"{V1}/customers", crm.customers, "customers", query=("q", *PAGED)),
    _get(f"{V1}/customers/{{id}}", crm.customer, "one customer"),
    _get(f"{V1}/recordings", crm.recordings, "recordings, newest first", query=("agent", *PAGED)),
    _get(f"{V1}/recordings/{{id}}/audio", crm.audio, "listen; ranges; audited", gives="audio/wav"),
    _get(f"{V1}/callbacks", callbacks_api.callbacks, "callbacks, newest first; an agent sees those he may serve",
         query=("state", "queue", "q", *PAGED)),
    _post(f"{V1}/callbacks", callbacks_api.add_callback, "enter one by hand; audited", body=callbacks_api.NewCallback,
          status=201),
    _get(f"{V1}/callbacks/open", callbacks_api.open_callbacks, "those that are open, the next of each queue first",
         query=("queue",)),
    _get(f"{V1}/callbacks/{{id}}", callbacks_api.callback, "one callback"),
    _post(f"{V1}/callbacks/{{id}}/cancel", callbacks_api.cancel_callback, "call back no more; audited",
          roles=SUPERVISORS),
    *FLOWS,
    _get(f"{V1}/status", api.status, "the server's state; supervisors", open=True),
    _get(f"{V1}/openapi.json", openapi, "this document", open=True),
    _get("/healthz", ops.healthz, open=True),
    _get("/readyz", ops.readyz, open=True),
    _get("/metrics", ops.metrics, open=True),
    _get("/ws", websocket),
    _get("/", pages.root, open=True),
    _get("/login", pages.login, open=True),
    _get("/agent", pages.agent, open=True),
    _get("/wallboard", pages.wallboard, open=True),
    _get("/callbacks", pages.callbacks, open=True),
    _get("/admin", pages.admin, open=True),
    _get("/drawing.css", pages.drawing_style, open=True),
)  # fmt: skip


def make_app(engine: Engine, store: Store, settings: Settings, hub: Hub) -> web.Application:
    """The application; run it with `aiohttp.web.AppRunner`. The caller owns the hub and pushes into it."""
    auth = Auth(store, settings)
    hub.seat_of = lambda agent: seat(engine.desk(agent)["agent"] or {})
    sockets = Sockets(engine, hub, auth, settings)
    deps = Deps(engine=engine, store=store, hub=hub, auth=auth, sockets=sockets, settings=settings)
    app = web.Application(middlewares=[_outer], client_max_size=MAX_BODY)
    app[pages.PAGES] = pages.Pages(settings)
    app[flows_api.KEPT] = Kept()
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _around(route, deps))
    app.router.add_static("/static/", settings.webui / "src", follow_symlinks=False)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(_clocks(deps))
    app.on_shutdown.append(_close_sockets(hub))
    return app


def _around(route: Route, deps: Deps) -> Handler:
    trusted = networks(deps.settings.trusted_proxies)

    async def handle(request: web.Request) -> web.StreamResponse:
        request = seen_through(request, trusted)
        who = await deps.auth.who(request)
        check_csrf(request, None if route.handler is api.login else who)
        if not route.open and who is None:
            raise Problem(401, "log in first")
        if route.roles and (who is None or who.user.role not in route.roles):
            raise Problem(403, "your role may not do this")
        done = await route.handler(deps, request, who)
        return done if isinstance(done, web.StreamResponse) else api.reply(done, route.status)

    return handle


@web.middleware
async def _outer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as a problem; browsers asking for a page get one that can be read."""
    try:
        response = await handler(request)
    except web.HTTPRedirection:
        raise
    except Exception as error:
        unknown = isinstance(error, OSError) and request.path.startswith("/static/")
        problem = Problem(404) if unknown else problem_of(error)
        if request.method == "GET" and not request.path.startswith("/api/") and _wants_page(request):
            page = request.app[pages.PAGES]
            response = page.render("error.html", page.language(request, None), problem_code=problem.code)
            response.set_status(problem.status)
            return response
        return problem.response()
    if request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-cache"
    return response


def _wants_page(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _clocks(deps: Deps) -> Callable[[web.Application], AsyncIterator[None]]:
    async def run(app: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(t) for t in (deps.sockets.beats(), deps.sockets.boards(), deps.sockets.desks())]
        yield
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        deps.auth.close()

    return run


def _close_sockets(hub: Hub) -> Callable[[web.Application], Awaitable[None]]:
    async def close(app: web.Application) -> None:
        hub.close_all()

    return close
