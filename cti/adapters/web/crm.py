"""Requests on customers and recordings."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from cti.adapters.web.api import Deps, page, paging, short, uuid_in
from cti.adapters.web.auth import Who
from cti.adapters.web.ports import Row
from cti.adapters.web.problems import Problem
from cti.errors import BadInput


async def customers(deps: Deps, request: web.Request, who: Who) -> Row:
    """Customers whose name or number holds `q`; % and _ are letters."""
    q = request.query.get("q", "").strip()
    if len(q) > 100 or not q.isprintable():
        raise BadInput("q is at most 100 letters", "bad_filter")
    cursor, limit = paging(deps, request, "customers")
    return page(deps, "customers", await deps.store.list_customers(q, cursor, limit))


async def customer(deps: Deps, request: web.Request, who: Who) -> Row:
    customer_id = request.match_info["id"]
    known = customer_id.isascii() and customer_id.isdigit() and len(customer_id) <= 18
    found = await deps.store.get_customer(customer_id) if known else None
    if found is None:
        raise Problem(404, "there is no such customer")
    return found


async def recordings(deps: Deps, request: web.Request, who: Who) -> Row:
    """Recordings, newest first. An agent gets his own only."""
    agent = short(request, "agent")
    if not who.is_supervisor:
        if agent not in (None, who.name):
            raise Problem(403, "an agent hears only his own calls")
        agent = who.name
    cursor, limit = paging(deps, request, "recordings")
    return page(deps, "recordings", await deps.store.list_recordings(agent=agent, cursor=cursor, limit=limit))


async def audio(deps: Deps, request: web.Request, who: Who) -> web.StreamResponse:
    """The sound of a recording, in ranges if asked; every listening is audited before the first byte."""
    recording_id = uuid_in(request)
    found = await deps.store.get_recording(recording_id)
    if found is None or not (who.is_supervisor or found.get("agent") == who.name):
        raise Problem(404, "there is no such recording")
    path = inside(deps.settings.recordings, str(found.get("path") or ""))
    if path is None or found.get("bytes") == 0:
        raise Problem(410, "the recording failed or was deleted", "no_audio")
    await deps.store.audit(
        who.name, "recording.listened", recording_id, {"range": request.headers.get("Range")}
    )
    headers = {
        "Content-Type": "audio/wav",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'inline; filename="{recording_id}.wav"',
    }
    return web.FileResponse(path, headers=headers)


def inside(root: Path, relative: str) -> Path | None:
    """The file, if it is a plain one under root reached without a link or `..`; else None."""
    if not relative or "\0" in relative or Path(relative).is_absolute():
        return None
    root = root.resolve()
    path = root / relative
    try:
        plain = path.resolve() == path and path.is_relative_to(root) and path.is_file()
        return path if plain and path.stat().st_size > 0 else None
    except (OSError, ValueError):
        return None
