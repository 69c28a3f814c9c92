"""What the pages, the API and `cti status` show of the live state: plain JSON-ready maps, times as epoch seconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cti.core.acd_why import why_idle, why_waiting
from cti.core.agent import Agent
from cti.core.call import Call
from cti.core.callbacks import Callback
from cti.core.ivr import Book
from cti.core.ivr.calendars import hours
from cti.core.messages import Forced
from cti.core.stats import Stats
from cti.core.switchboard import Switchboard

Row = dict[str, Any]


def agent_row(board: Switchboard, stats: Stats, agent: Agent, now: float) -> Row:
    """One agent: the two halves of his state, what is shown, and why he may get no calls."""
    figures = stats.agent(agent.agent)
    return {
        "agent_id": agent.agent, "agent": agent.agent, "name": agent.name or agent.agent, "wish": agent.wish,
        "reason": agent.reason, "work": agent.work, "state": agent.state, "next_wish": agent.next_wish,
        "next_state": agent.next_wish, "next_reason": agent.next_reason, "set_by": agent.by or None,
        "set_by_name": board.people.names.get(agent.by) or agent.by or None,
        "idle_since": agent.idle_since if agent.free else None, "over_limit_since": agent.over_since,
        "station": agent.station or None, "usual_station": agent.usual_station or None,
        "reachable": bool(board.people.stations.get(agent.station or agent.usual_station)),
        "call_id": agent.call_id or None, "since": agent.since or None, "skills": dict(agent.skills),
        "wrap_up_until": agent.wrap_until, "extended": agent.extended,
        "calls_today": figures.calls, "talk_seconds_today": figures.talk_seconds,
    }  # fmt: skip


def agents(board: Switchboard, stats: Stats, now: float) -> list[Row]:
    """All agents of the database, by name."""
    known = sorted((a for a in board.people.agents.values() if not a.gone), key=lambda agent: agent.agent)
    return [agent_row(board, stats, agent, now) for agent in known]


def live_call(call: Call, now: float) -> Row:
    offer = call.offer
    waiting = call.visit
    state = "talking" if offer and offer.connected_at else "ringing" if offer else "waiting" if waiting else "in_flow"
    if call.ended_at is not None:
        state = "ended"
    return {
        "call_id": call.call_id, "direction": call.direction, "caller": call.caller or None,
        "caller_name": call.caller_name, "called": call.called, "state": state,
        "queue": waiting.queue if waiting else offer.queue if offer else None,
        "agent": offer.agent if offer else call.agent or None, "started_at": call.arrived_at,
        "queued_at": waiting.entered_at if waiting else None, "connected_at": call.connected_at,
        "ended_at": call.ended_at, "disposition": call.disposition or None, "note": call.note or None,
    }  # fmt: skip


def live_calls(board: Switchboard, now: float) -> list[Row]:
    """The calls whose caller is on the line."""
    return [live_call(call, now) for call in board.calls.live.values() if call.ended_at is None]


def flow_callers(board: Switchboard, now: float) -> list[Row]:
    """Who is in which node of which flow now; a queue node also holds those who wait and talk."""
    return [
        {
            "call_id": call.call_id, "caller": call.caller or None, "caller_name": call.caller_name,
            "flow": call.line.get("flow", ""), "node": call.line.get("node", ""), "since": call.node_since,
            "version": call.version, "state": live_call(call, now)["state"],
        }
        for call in board.calls.live.values()
        if call.line and call.ended_at is None and not call.flow_over
    ]  # fmt: skip


def calendars(book: Book | None, forced: Mapping[str, Forced], now: float) -> list[Row]:
    """The calendars of a version: what holds now, by hand or by their own hours, and when they open next."""
    if book is None:
        return []
    rows = []
    for name, calendar in sorted(book.calendars.items()):
        hand = forced.get(name)
        hand = hand if hand is not None and now < hand.until else None
        found = hours(calendar, now, book.zone, hand)
        rows.append(
            {
                "calendar": name, "state": found.state, "holiday": found.holiday, "next_open": found.next_open,
                "time_zone": calendar.zone or book.zone, "forced": hand.state if hand else None,
                "forced_until": hand.until if hand else None,
            }
        )  # fmt: skip
    return rows


def queues(board: Switchboard, stats: Stats, now: float) -> list[Row]:
    """One row a queue, in the order of queues.yaml."""
    floor = board.floor
    talking: dict[str, int] = {}
    for call in board.calls.by_channel.values():
        if call.offer is not None and call.offer.connected_at is not None:
            talking[call.offer.queue] = talking.get(call.offer.queue, 0) + 1
    free = [board.people.agents[name] for name in board.router.agents]
    callbacks = board.callbacks.lengths()
    rows = []
    for name, settings in board.router.queues.items():
        figures = stats.queue(name, now)
        rows.append(
            {
                "queue": name, "waiting": figures.waiting, "longest_since": figures.longest_since,
                "callbacks": callbacks[name],
                "ready": sum(1 for agent in free if floor.can_serve(agent, name)), "talking": talking.get(name, 0),
                "offered_today": figures.offered, "answered_today": figures.answered,
                "abandoned_today": figures.abandoned, "short_abandoned_today": figures.short_abandoned,
                "service_level": figures.service_level, "service_level_within": settings.service_level.within,
                "service_level_target": settings.service_level.percent,
                "speed_of_answer": figures.speed_of_answer, "longest_wait_today": figures.longest_wait_today,
            }
        )  # fmt: skip
    return rows


def queues_of(board: Switchboard, name: str) -> list[str]:
    """The queues whose own rule an agent's skills meet."""
    agent = board.people.agents.get(name)
    return [queue for queue in board.router.queues if agent is not None and board.floor.can_serve(agent, queue)]


def wallboard(board: Switchboard, stats: Stats, now: float) -> Row:
    """Everything a supervisor's page needs, at one moment."""
    rows, people = queues(board, stats, now), agents(board, stats, now)
    signed_on = [agent for agent in people if agent["state"] != "logged_out"]
    states = ("ready", "reserved", "talking", "wrap_up", "not_ready", "logged_out")
    totals: Row = {state: sum(1 for agent in people if agent["state"] == state) for state in states}
    for name in ("waiting", "offered_today", "answered_today", "abandoned_today"):
        totals[name] = sum(row[name] for row in rows)
    totals["signed_on"] = len(signed_on)
    totals["longest_since"] = min((row["longest_since"] for row in rows if row["longest_since"]), default=None)
    totals["service_level"] = stats.total_service_level()
    return {"at": now, "queues": rows, "agents": people, "totals": totals}


def desk(board: Switchboard, stats: Stats, name: str, now: float) -> Row:
    """What an agent's page needs after it was loaded: his row, the running offer's or call's pop, the call."""
    agent = board.people.agents.get(name)
    if agent is None:
        return {"agent": None, "pop": None, "call": None, "stations": []}
    call = board.calls.live.get(agent.call_id)
    return {
        "agent": agent_row(board, stats, agent, now),
        "pop": board.floor.pop(call) if call else None,
        "call": live_call(call, now) if call else None,
        "stations": stations(board, agent),
    }


def stations(board: Switchboard, agent: Agent) -> list[Row]:
    """The stations this agent may sign on at: all but those others are signed on at."""
    others = (a for a in board.people.agents.values() if a is not agent)
    taken = {a.station for a in others if (a.wish, a.work) != ("logged_out", "idle")}
    known = sorted(board.people.stations.items(), key=lambda one: (len(one[0]), one[0]))
    return [{"station": number, "reachable": up} for number, up in known if number not in taken]


def why_agent(board: Switchboard, name: str, now: float) -> Row:
    """Why an agent gets no call. `why`: logged_out, not_ready (`reason`), unreachable, the work he does (reserved,
    talking, wrap_up), switch_away, or empty: he is free; then `queues` tells what keeps each of those who wait from
    him (`core.acd_why.why_idle`). Raises BadInput when there is no such agent."""
    agent = board.people.agent(name)
    why = agent.state if agent.state != "ready" else ""
    if not why and not board.people.stations.get(agent.station):
        why = "unreachable"
    if not why and board.floor.nodes_down:
        why = "switch_away"
    waiting = [] if why else why_idle(board.router, name, agent.skills, now)
    return {
        "agent": name, "state": agent.state, "reason": agent.reason, "why": why, "idle_since": agent.idle_since or None,
        "skills": dict(agent.skills), "waiting": len(board.router.stands), "queues": waiting,
    }  # fmt: skip


def why_call(board: Switchboard, call_id: str, now: float) -> Row | None:
    """Why a call waits (`core.acd_why.why_waiting`); why: ringing, with `for` the agent, while a phone rings for it;
    switch_away, when an agent is free and cannot be rung. None: it does not wait."""
    call = board.calls.live.get(call_id)
    if call is None or call.visit is None:
        return None
    visit, told = call.visit, {"entered_at": call.visit.entered_at, "raised": list(call.visit.raised)}
    if call_id in board.router.stands:
        row = why_waiting(board.router, call_id, now) | told
        away = not row["why"] and call.node in board.floor.nodes_down
        return row | {"why": "switch_away"} if away else row
    agent = call.offer.agent if call.offer is not None else None
    return {
        "call_id": call_id, "queue": visit.queue, "priority": visit.priority, "since": visit.since, "why": "ringing",
        "for": agent, **told,
    }  # fmt: skip


def waiting_calls(board: Switchboard, now: float, most: int | None = None) -> list[Row]:
    """Everybody who waits in a queue, in the order of the queues and of their places; at most so many, those who have
    waited longest."""
    waiting = sorted((call.visit.since, call.call_id) for call in board.calls.live.values() if call.visit is not None)
    rows = []
    for call in [board.calls.live[call_id] for _, call_id in waiting[:most]]:
        row = why_call(board, call.call_id, now) or {}
        rows.append({**row, "caller": call.caller or None, "caller_name": call.caller_name,
                     "language": call.language})  # fmt: skip
    return sorted(rows, key=lambda row: (row["queue"], row.get("position", 0), row["since"]))


def callbacks(board: Switchboard, queues: Collection[str] | None, now: float) -> list[Row]:
    """Callbacks that are open in these queues (None: in all), in the order in which they are to be called.

    why: calling (`for`: the agent, `made_id`: the call), what hinders it (`Callbacks.hindered`), soon (nothing; it is
    about to take its place), or what it waits for in its queue, as of a caller. position: None while it does not stand
    there."""
    known = [one for one in board.callbacks.open.values() if queues is None or one.queue in queues]
    known.sort(key=lambda one: (one.queue, *board.callbacks.turn(one)))
    return [_callback_row(board, one, now) for one in known]


def _callback_row(board: Switchboard, one: Callback, now: float) -> Row:
    rules, made = board.callbacks.rules(one), board.calls.live.get(one.made)
    stands = one.key in board.router.stands
    waits = why_waiting(board.router, one.key, now) if stands else {"why": "soon"}
    return {
        "callback_id": one.callback_id, "call_id": one.call_id, "queue": one.queue, "number": one.number,
        "state": "dialing" if one.made else "open", "requested_at": one.requested_at, "since": one.since,
        "priority": one.priority, "tries": one.tries, "tries_most": rules.tries,
        "next_try_at": one.not_before if one.not_before > now else None,
        "expires_at": one.requested_at + rules.expires, "position": waits.get("position"),
        "why": "calling" if one.made else board.callbacks.hindered(one, now) or waits["why"],
        "for": made.offer.agent if made is not None and made.offer is not None else None, "made_id": one.made or None,
        "signed_on": waits.get("signed_on"),
    }  # fmt: skip
