"""What is shown of callers who wait: plain JSON-ready maps, times as epoch seconds."""

from __future__ import annotations

from cti.core.switchboard import Switchboard
from cti.core.views import Row


def waiting_calls(board: Switchboard, now: float) -> list[Row]:
    """Whom nobody is offered yet, the next of each queue first."""
    rows: list[Row] = []
    for call in board.calls.live.values():
        visit = call.visit
        if visit is not None and not visit.offer and call.ended_at is None:
            rows.append({
                "call_id": call.call_id, "caller": call.caller or None, "caller_name": call.caller_name,
                "queue": visit.queue, "priority": visit.priority, "queued_at": visit.entered_at,
            })  # fmt: skip
    rows.sort(key=lambda row: (row["queue"], -row["priority"], row["queued_at"]))
    places: dict[str, int] = {}
    for row in rows:
        row["position"] = places[row["queue"]] = places.get(row["queue"], 0) + 1
    return rows


def why_call(board: Switchboard, call_id: str, now: float) -> list[Row] | None:
    """Nothing is known yet."""
    return None


def why_agent(board: Switchboard, agent: str, now: float) -> list[Row]:
    """Nothing is known yet."""
    return []
