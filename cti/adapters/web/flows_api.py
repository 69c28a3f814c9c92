"""Requests on flows: what they are, what callers do in them, their versions, and calendars opened or closed by hand.

Supervisors read, and open or close calendars; only admins change what answers calls. The store writes every change
into the audit together with the change itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from cti.adapters.web.api import Deps, body, uuid_in
from cti.adapters.web.auth import Who
from cti.adapters.web.flows_diff import changes
from cti.adapters.web.kept import Kept
from cti.adapters.web.pages import PAGES
from cti.adapters.web.ports import Row
from cti.adapters.web.problems import Problem
from cti.adapters.web.wire import read_time
from cti.core.ivr import Book, Flow, Node
from cti.core.ivr.picture import WORDS, Picture, picture
from cti.core.ivr.svg import render
from cti.core.ivr.traffic import counts_of, last_nodes
from cti.errors import BadInput

LONGEST = 100 * 86_400.0  # s of a period
FORCED = 31 * 86_400.0  # s a calendar may be held open or closed by hand
KEPT = web.AppKey("kept", Kept)
DRAWN = {  # an SVG file is a page of its own when it is opened: nothing in it may run or be fetched
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


class Publish(msgspec.Struct, forbid_unknown_fields=True):
    note: Annotated[str, msgspec.Meta(max_length=500)] = ""
    share: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100


class Share(msgspec.Struct, forbid_unknown_fields=True):
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)]


class Force(msgspec.Struct, forbid_unknown_fields=True):
    state: Literal["open", "closed"]
    until: Annotated[str, msgspec.Meta(max_length=40)]


# ---------------------------------------------------------------- what is asked for


def _number(text: str, name: str) -> int:
    """A version. Raises BadInput."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 2**31):
        raise BadInput(f"{name} is the number of a version", "bad_version")
    return int(text)


def _version_in(request: web.Request) -> int:
    """The version in the path; what is none cannot be there: Problem 404."""
    try:
        return _number(request.match_info["n"], "n")
    except BadInput:
        raise Problem(404, "there is no such version") from None


def _asked_version(request: web.Request) -> int | None:
    text = request.query.get("version")
    return _number(text, "version") if text else None


def _period(deps: Deps, request: web.Request) -> tuple[float, float]:
    """`since` and `until`; today, where nothing is said. Raises BadInput."""
    now = deps.engine.now()
    midnight = datetime.fromtimestamp(now, ZoneInfo(deps.settings.time_zone)).replace(hour=0, minute=0, second=0)
    asked = request.query
    since = read_time("since", asked["since"]) if asked.get("since") else float(int(midnight.timestamp()))
    until = read_time("until", asked["until"]) if asked.get("until") else float(int(now) // 60 * 60 + 60)
    if not 0 < until - since <= LONGEST:
        raise BadInput(f"a period is at most {LONGEST / 86_400:.0f} days and ends after it begins", "bad_period")
    return since, until


async def _kept(request: web.Request, *key: Any, make: Any) -> Any:
    return await request.app[KEPT].get(key, make)


async def _book(deps: Deps, request: web.Request, version: int) -> Book | None:
    book: Book | None = await _kept(request, "book", version, make=lambda: deps.engine.flows_book(version))
    return book


async def _live(deps: Deps) -> int:
    """The number of the live version, 0: there is none."""
    live = (await deps.engine.flows_state())["live"]
    return int(live["version"]) if live else 0


async def _flow(deps: Deps, request: web.Request) -> tuple[Flow, Book]:
    """The flow in the path, in the version asked for, else in the live one. Raises Problem 404."""
    version = _asked_version(request) or await _live(deps)
    book = await _book(deps, request, version) if version else None
    flow = book.flows.get(request.match_info["name"]) if book else None
    if book is None or flow is None:
        raise Problem(404, "there is no such flow in this version")
    return flow, book


# ---------------------------------------------------------------- flows


async def flows(deps: Deps, request: web.Request, who: Who) -> Row:
    """What answers calls now, and what is wrong with the folder."""
    state = await deps.engine.flows_state()
    live = state["live"]
    book = await _book(deps, request, live["version"]) if live else None
    here: dict[str, int] = {}
    for caller in deps.engine.flow_callers():
        here[caller["flow"]] = here.get(caller["flow"], 0) + 1
    rows = [_flow_row(flow, book, here) for flow in book.flows.values()] if book else []
    return {"items": rows, "next_cursor": None, "callers": sum(here.values()), **state}


def _flow_row(flow: Flow, book: Book, here: Mapping[str, int]) -> Row:
    numbers = [number for number, to in book.numbers.items() if to.flow == flow.name]
    return {
        "flow": flow.name, "file": flow.file, "nodes": len(flow.nodes), "language": flow.language,
        "numbers": numbers, "callers": here.get(flow.name, 0), "version": book.version,
    }  # fmt: skip


async def flow(deps: Deps, request: web.Request, who: Who) -> Row:
    found, book = await _flow(deps, request)
    files = await deps.store.load_flows(book.version) or {}
    return {
        "flow": found.name, "file": found.file, "version": book.version, "language": found.language,
        "start": found.start, "fail": found.fail or None, "nodes": [_node_row(node) for node in found.nodes.values()],
        "source": files.get(found.file),
    }  # fmt: skip


def _node_row(node: Node) -> Row:
    ways = {"to": dict(node.to), "then": node.then or None, "fail": node.fail or None}
    return {"node": node.id, "verb": node.verb, **ways}


async def drawing(deps: Deps, request: web.Request, who: Who) -> web.Response:
    """The flow as SVG, with how many went where in the period and who stands where now. `style=none`: for a page that
    has /drawing.css."""
    found, book = await _flow(deps, request)
    rows = await _nodes(deps, request, found.name)
    language = request.app[PAGES].language(request, who)
    texts = request.app[PAGES].catalogs[language]

    words = {word: texts[f"drawing.{word}"] for word in WORDS}

    async def lay_out() -> Picture:
        return await asyncio.to_thread(picture, found, counted=True, words=words)  # callers do not wait for it

    drawn = await _kept(request, "drawing", found.name, book.version, language, make=lay_out)
    now: dict[str, int] = {}
    for caller in _callers(deps, found.name, _asked_version(request)):
        now[caller["node"]] = now.get(caller["node"], 0) + 1
    styled = request.query.get("style") != "none"
    text = render(drawn, counts_of(rows), now, styled=styled)
    return web.Response(text=text, content_type="image/svg+xml", headers=DRAWN)


def _callers(deps: Deps, flow: str, version: int | None) -> list[Row]:
    here = deps.engine.flow_callers()
    return [row for row in here if row["flow"] == flow and version in (None, row["version"])]


async def _nodes(deps: Deps, request: web.Request, flow: str) -> list[Row]:
    since, until = _period(deps, request)
    version = _asked_version(request)
    key = ("nodes", flow, since, request.query.get("until"), version)
    rows: list[Row] = await _kept(request, *key, make=lambda: deps.store.flow_nodes(flow, since, until, version))
    return rows


async def stats(deps: Deps, request: web.Request, who: Who) -> Row:
    """Figures of a flow: by node, and by version of the calls that came into it first."""
    found, book = await _flow(deps, request)
    since, until = _period(deps, request)
    nodes = await _nodes(deps, request, found.name)
    ends = last_nodes(book.flows.values())
    key = ("calls", found.name, since, request.query.get("until"), book.version)
    rows = await _kept(request, *key, make=lambda: deps.store.flow_calls(since, until, ends, found.name))
    asked = _asked_version(request)
    return {
        "flow": found.name, "since": since, "until": until, "version": asked,
        "nodes": nodes, "versions": [row for row in rows if asked in (None, row["version"])],
    }  # fmt: skip


async def callers(deps: Deps, request: web.Request, who: Who) -> Row:
    return {"items": deps.engine.flow_callers(), "next_cursor": None}


async def path(deps: Deps, request: web.Request, who: Who) -> Row:
    return {"items": await deps.store.flow_path(uuid_in(request)), "next_cursor": None}


# ---------------------------------------------------------------- versions


async def versions(deps: Deps, request: web.Request, who: Who) -> Row:
    return {"items": await _kept(request, "versions", make=deps.store.flow_history), "next_cursor": None}


async def _files(deps: Deps, version: int) -> dict[str, str]:
    files = await deps.store.load_flows(version)
    if files is None:
        raise Problem(404, "there is no such version")
    return files


async def version(deps: Deps, request: web.Request, who: Who) -> Row:
    number = _version_in(request)
    files = await _files(deps, number)
    row = next((one for one in await deps.store.flow_history() if one["version"] == number), {"version": number})
    return {**row, "files": files}


async def diff(deps: Deps, request: web.Request, who: Who) -> Row:
    """What changes on the way from this version to `to` (the live one), file by file."""
    number = _version_in(request)
    to = _number(request.query["to"], "to") if request.query.get("to") else await _live(deps)
    found = await asyncio.to_thread(changes, await _files(deps, number), await _files(deps, to))
    return {"version": number, "to": to, "files": found}


async def publish(deps: Deps, request: web.Request, who: Who) -> Row:
    """Make the folder as it is now the live version, or give it a share of the callers."""
    asked = await body(request, Publish)
    try:
        return _changed(request, await deps.engine.flows_publish(who.name, asked.note, asked.share))
    except BadInput as error:
        wrong = [str(problem) for problem in getattr(error, "problems", ())]
        raise Problem(400, str(error), error.code, more={"problems": wrong} if wrong else {}) from error


def _changed(request: web.Request, done: Row) -> Row:
    request.app[KEPT].forget()
    return done


async def rollback(deps: Deps, request: web.Request, who: Who) -> Row:
    return _changed(request, await deps.engine.flows_rollback(who.name, _version_in(request)))


async def share(deps: Deps, request: web.Request, who: Who) -> Row:
    asked = await body(request, Share)
    return _changed(request, await deps.engine.flows_share(who.name, _version_in(request), asked.percent))


# ---------------------------------------------------------------- calendars


async def calendars(deps: Deps, request: web.Request, who: Who) -> Row:
    return {"items": deps.engine.calendars(), "next_cursor": None}


def _calendar_in(deps: Deps, request: web.Request) -> str:
    name = request.match_info["name"]
    if not any(row["calendar"] == name for row in deps.engine.calendars()):
        raise Problem(404, "there is no such calendar")
    return name


async def force(deps: Deps, request: web.Request, who: Who) -> Row:
    """Open or close a calendar by hand, until a time."""
    asked = await body(request, Force)
    name, until = _calendar_in(deps, request), read_time("until", asked.until)
    if not 0 < until - deps.engine.now() <= FORCED:
        raise BadInput(f"until is a time within the next {FORCED / 86_400:.0f} days", "bad_until")
    await deps.store.force_calendar(name, asked.state, until, who.name)
    return {"calendar": name, "state": asked.state, "until": until}


async def unforce(deps: Deps, request: web.Request, who: Who) -> Row:
    """Let the calendar's own hours count again."""
    name = _calendar_in(deps, request)
    await deps.store.force_calendar(name, None, 0.0, who.name)
    return {"calendar": name}
