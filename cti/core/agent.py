"""An agent's state: what he wants and what he does. All allowed moves are in the two tables.

    wish   logged_out, not_ready(reason), ready          stated by the agent or a supervisor, or by the system
    work   idle -> reserved -> talking -> wrap_up -> idle  follows from offers and channels only

A wish stated while busy is kept as `next` and takes effect when the work is idle again.
Shown to people: the work unless idle, else the wish.
"""

from __future__ import annotations

import msgspec

from cti.core.messages import Wish, Work

# What a wish becomes at once, by the work at that moment: "now" or "next".
WISH_MOVES: dict[Work, str] = {"idle": "now", "reserved": "next", "talking": "next", "wrap_up": "next"}

# From which work to which, and what causes it.
WORK_MOVES: dict[tuple[Work, Work], str] = {
    ("idle", "reserved"): "an offer starts",
    ("reserved", "idle"): "the offer ended without a connect",
    ("reserved", "talking"): "bridged with the caller",
    ("talking", "wrap_up"): "the conversation ended",
    ("talking", "idle"): "the conversation ended and the queue has no wrap-up",
    ("wrap_up", "idle"): "finished by the agent, his disposition, the timer or a supervisor",
    ("idle", "talking"): "found bridged after a restart",
}

# Reasons the system gives; people choose from the site's own list.
MISSED, REJECTED, BUSY, LINK, REMOVED = "missed", "rejected", "busy", "link", "removed"

# Who comes back from these goes on being idle since before: he got no call, and wins no rest by it.
STILL_IDLE = frozenset({MISSED, REJECTED, BUSY})
MOMENT = 60.0  # s a phone may be away (link) without its agent losing how long he has been idle


class Agent(msgspec.Struct, kw_only=True):
    """`since` is when the shown state began, `idle_since` when the agent last became free for a call.

    by, next_by: who stated the wish, the next one; empty: the system. keeps_idle: the call he talks or wraps up about
    does not count as work. over_since: when the reason's limit was passed. disposed: a disposition ended his last
    wrap-up, and no conversation began after it."""

    agent: str
    name: str = ""
    skills: dict[str, int] = {}
    usual_station: str = ""
    station: str = ""
    wish: Wish = "logged_out"
    reason: str = ""
    work: Work = "idle"
    next_wish: Wish | None = None
    next_reason: str = ""
    by: str = ""
    next_by: str = ""
    since: float = 0.0
    idle_since: float = 0.0
    call_id: str = ""
    wrap_until: float | None = None
    extended: bool = False
    keeps_idle: bool = False
    over_since: float | None = None
    disposed: bool = False
    gone: bool = False  # no longer in the database

    @property
    def state(self) -> str:
        return self.wish if self.work == "idle" else self.work

    @property
    def free(self) -> bool:
        return self.wish == "ready" and self.work == "idle"


def may(before: Work, after: Work) -> bool:
    """Whether the work may move so; staying is always allowed."""
    return before == after or (before, after) in WORK_MOVES


def idle_from(agent: Agent, at: float) -> float:
    """Since when the agent counts as idle when he wants calls (again) from now on."""
    if agent.wish == "ready" or (agent.wish == "not_ready" and agent.reason in STILL_IDLE):
        return agent.idle_since
    away = agent.wish == "not_ready" and agent.reason == LINK
    return agent.idle_since if away and at - agent.since <= MOMENT else at
