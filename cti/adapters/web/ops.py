"""What machines ask: alive, ready, figures."""

from __future__ import annotations

from aiohttp import web

from cti.adapters.web.api import Deps, reply
from cti.adapters.web.auth import Who
from cti.adapters.web.problems import Problem
from cti.adapters.web.proxies import is_local

SPARE = {"redis"}  # holds only what can be made again


async def healthz(deps: Deps, request: web.Request, _: Who | None) -> web.StreamResponse:
    """The process runs and its loop turns."""
    return reply({"ok": True})


async def readyz(deps: Deps, request: web.Request, _: Who | None) -> web.StreamResponse:
    """200 when every part that calls need is reachable, else 503; with which are not. Says no details: it is open to
    all."""
    parts = {name: bool(part.get("ok")) for name, part in deps.engine.health().items()}
    ok = all(well for name, well in parts.items() if name not in SPARE)
    return reply({"ok": ok, "parts": parts}, 200 if ok else 503)


async def metrics(deps: Deps, request: web.Request, who: Who | None) -> web.StreamResponse:
    """Figures in Prometheus' text form, for this machine and for supervisors' tokens."""
    if not (is_local(request) or (who and who.is_supervisor)):
        raise Problem(403, "figures are for this machine or a supervisor's token")
    figures = {**deps.engine.metrics(), "web_sockets": len(deps.hub)}
    lines = [
        f"{name if name.startswith('cti_') else 'cti_' + name} {value}\n" for name, value in figures.items()
    ]
    return web.Response(text="".join(lines), content_type="text/plain", charset="utf-8")

