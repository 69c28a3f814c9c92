"""Requests on agents: their states, their wrap-up, and why one of them has no call."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from aiohttp import web

from cti.adapters.web.api import END, Deps, audit, body, need_supervisor
from cti.adapters.web.auth import Who
from cti.adapters.web.ports import SYSTEM_REASONS, Row
from cti.adapters.web.problems import Problem
from cti.core.messages import SetAgentState, WrapUp
from cti.errors import BadInput


class StateChange(msgspec.Struct, forbid_unknown_fields=True):
    state: Literal["ready", "not_ready", "logged_out"]
    reason: Annotated[
        str,
        msgspec.Meta(
            pattern=rf"^([a-z][a-z0-9_]{{0,31}})?{END}", description="empty, or 1 to 32 small letters, digits and _"
        ),
    ] = ""
    station: Annotated[
        str, msgspec.Meta(pattern=rf"^([0-9A-Za-z]{{1,20}})?{END}", description="empty, or 1 to 20 letters and digits")
    ] = ""


class WrapUpChange(msgspec.Struct, forbid_unknown_fields=True):
    action: Literal["extend", "finish"]


def agent_row(row: Row) -> Row:
    return {**row, "next_state": row.get("next_wish") or None}


def _agent(deps: Deps, name: str) -> Row:
    for row in deps.engine.agents():
        if row.get("agent_id") == name:
            return agent_row(row)
    raise Problem(404, "there is no such agent")


def _own_agent(request: web.Request, who: Who) -> str:
    """The agent in the path. Raises Problem 403 when an agent means another one."""
    name = request.match_info["id"]
    if name != who.name and not who.is_supervisor:
        raise Problem(403, "an agent changes only his own state")
    return name


async def agents(deps: Deps, request: web.Request, who: Who) -> Row:
    rows = [agent_row(a) for a in deps.engine.agents()]
    return {"items": [a for a in rows if who.is_supervisor or a["agent_id"] == who.name], "next_cursor": None}


def _check_reason(deps: Deps, reason: str) -> None:
    """Raises BadInput, Problem 400."""
    if reason in SYSTEM_REASONS:
        raise BadInput(f"{reason} is what the server says when it happened", "reserved_reason")
    known = deps.settings.reasons
    if reason and reason not in known:
        text = f"there is no reason {reason}; there are {', '.join(known) or 'none'}"
        raise Problem(400, text, "unknown_reason", more={"reasons": list(known)})


async def set_state(deps: Deps, request: web.Request, who: Who) -> Row:
    """A wish. Whoever states it for another: he is told, and it is in the audit."""
    name = _own_agent(request, who)
    asked = await body(request, StateChange)
    _check_reason(deps, asked.reason)
    before = _agent(deps, name)
    deps.engine.submit(
        SetAgentState(
            at=deps.engine.now(), by=who.name, agent=name, wish=asked.state, reason=asked.reason, station=asked.station
        )
    )  # fmt: skip
    after = _agent(deps, name)
    if name != who.name:
        later = after["work"] != "idle"
        if later or (before["wish"], before["reason"]) != (after["wish"], after["reason"]):
            said = {"code": "forced", "state": asked.state, "reason": asked.reason, "later": later}
            deps.hub.push("notice", {**said, "by": who.user.display_name or who.name}, name)
        await audit(deps, who, "agent.state_set", name, {"state": asked.state, "reason": asked.reason, "later": later})
    return after


async def wrap_up(deps: Deps, request: web.Request, who: Who) -> Row:
    name = _own_agent(request, who)
    asked = await body(request, WrapUpChange)
    _agent(deps, name)
    deps.engine.submit(WrapUp(at=deps.engine.now(), by=who.name, agent=name, action=asked.action))
    if name != who.name:
        said = {"code": f"wrap_up_{asked.action}", "by": who.user.display_name or who.name}
        deps.hub.push("notice", said, name)
        await audit(deps, who, "agent.wrap_up", name, {"action": asked.action})
    return _agent(deps, name)


async def why_agent(deps: Deps, request: web.Request, who: Who | None) -> Row:
    """Why an agent has no call though others wait."""
    need_supervisor(deps, request, who)
    name = request.match_info["id"]
    row = _agent(deps, name)
    kept = ("agent_id", "name", "since", "next_state", "next_reason", "station", "reachable")
    return {**{key: row.get(key) for key in kept}, **deps.engine.why_agent(name)}
