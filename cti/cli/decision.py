"""A routing decision in plain words: why this agent, why not yet, why nobody. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

Row = Mapping[str, Any]
SAID = {
    "longest_idle": "idle longest ({idle}) of {candidates}",
    "fastest": "the fastest in this queue ({handling} a call) of {candidates}",
    "best_level": "the best level of {candidates}",
    "idle_limit": "idle for longer than the limit ({idle}), of {candidates}",
    "named_agent": "asked for by name",
    "last_agent": "talked to this caller last",
    "next_caller": "became free; this caller came first",
}
CALL_WHY = {
    "": "an agent is free for it",
    "busy": "none of the {signed_on} signed on who could take it is free",
    "nobody": "nobody is signed on who could take it",
    "capacity": "as many of the queue's calls are with agents as it allows",
    "preferred": "it waits for {for} alone until {until}",
    "keep_idle": "idle agents are kept for callers",
    "ringing": "it rings at {for}",
    "switch_away": "an agent is free, but the telephone system does not answer",
}
AGENT_WHY = {
    "logged_out": "is signed off", "not_ready": "is not ready",
    "unreachable": "is ready, but the phone is not reachable",
    "reserved": "has a call ringing", "talking": "is on a call", "wrap_up": "wraps up",
    "switch_away": "is ready, but the telephone system does not answer",
}  # fmt: skip
QUEUE_WHY = {
    "": "one of them is being offered", "capacity": "as many of the queue's calls are with agents as it allows",
    "keep_idle": "idle agents are kept for callers",
}  # fmt: skip


def told(decision: Row | None) -> str:
    """Of an offer; older ones know less. Empty: nothing is known."""
    rule = (decision or {}).get("rule")
    if not decision or not rule:
        return ""
    who = f"{decision.get('candidates') or 1} who could"
    values = {"idle": length(decision.get("idle")), "handling": length(decision.get("handling")), "candidates": who}
    parts = [SAID.get(rule, str(rule)).format(**values)]
    if (waited := decision.get("waited")) is not None:
        parts.append(f"the caller had waited {length(waited)}, priority {decision.get('priority', 0)}")
    if needs := skills(decision.get("needs")):
        parts.append(f"needs {needs}, has {skills(decision.get('levels')) or 'none'}")
    if decision.get("step"):
        parts.append(f"relax step {decision['step']}")
    if over := [_over(one) for one in decision.get("over") or ()]:
        parts.append(f"before {', '.join(over)}")
    return "; ".join(parts)


def _over(one: Row) -> str:
    if "agent" in one:
        return f"{one['agent']} ({length(one.get('idle'))})"
    kind, _, key = str(one.get("call_id")).rpartition("/")
    return f"{f'{kind} ' if kind else ''}{key[:13]} in {one.get('queue')} ({length(one.get('waited'))})"


def skills(needs: Any) -> str:
    """english 3, sales 1, and one of dutch 1 / english 5. Empty: nothing is asked for, and anybody may take it."""
    if not isinstance(needs, Mapping):
        return ""
    parts = [f"{skill} {level}" for skill, level in needs.items() if skill not in ("any", "also")]
    groups = needs.get("any") or []
    for group in groups if groups and isinstance(groups[0], list) else [groups] if groups else []:
        parts.append("one of " + " / ".join(skills(way) for way in group))
    also = [skills(way) for way in needs.get("also") or ()] if parts else []
    return ", or ".join([", ".join(parts), *also])


def of_call(said: Row, zone: tzinfo) -> Iterator[str]:
    """What `GET /api/v1/calls/ID/why` says."""
    waits = said["waits"]
    if waits is None and not said["offers"]:
        yield f"{said['call_id']} waits in no queue and was offered to nobody"
    if waits is not None:
        place = f", place {waits['position']}" if waits.get("position") else ""
        yield f"{said['call_id']} waits in {waits['queue']}{place}, priority {waits['priority']}"
        values = {**waits, "until": clock(waits.get("until"), zone)}
        yield "  " + CALL_WHY.get(waits["why"], waits["why"]).format(**values)
        if waits.get("steps"):
            step = f" (relax step {waits['step']} of {waits['steps'] - 1})" if waits["steps"] > 1 else ""
            yield f"  needs {skills(waits['needs']) or 'nobody special'}{step}"
        if waits.get("next_step_at"):
            yield f"  next step at {clock(waits['next_step_at'], zone)}"
        for rule in waits.get("raised") or ():
            yield f"  priority changed by the rule {rule}"
    for offer in said["offers"]:
        why = told(offer["decision"])
        yield f"{clock(offer['offered_at'], zone)} offered to {offer['agent']} ({offer['result'] or 'rings'})" + (
            f": {why}" if why else ""
        )


def of_agent(said: Row, zone: tzinfo) -> Iterator[str]:
    """What `GET /api/v1/agents/NAME/why` says."""
    name = said.get("name") or said["agent"]
    who = f"{name} ({said['agent']})" if name != said["agent"] else name
    if said["why"]:
        reason = f" ({said['reason']})" if said["why"] == "not_ready" and said["reason"] else ""
        yield f"{who} {AGENT_WHY.get(said['why'], said['why'])}{reason}"
        return
    yield f"{who} is free since {clock(said['idle_since'], zone)}; {said['waiting']} wait"
    for row in said["queues"]:
        yield f"  {row['queue']}: {row['waiting']} since {clock(row['longest_since'], zone)}: {_of_queue(row, zone)}"


def _of_queue(row: Row, zone: tzinfo) -> str:
    if row["why"] == "skills":
        lacks = ", ".join(f"{one['skill']} {one['needs']} (has {one['has']})" for one in row["lacks"])
        opens = f"; may take them from {clock(row['opens_at'], zone)}" if row["opens_at"] else ""
        return f"lacks {lacks}{opens}"
    if row["why"] == "preferred":
        return f"they wait for {row['for']} until {clock(row['until'], zone)}"
    return QUEUE_WHY.get(row["why"], str(row["why"]))


def clock(text: str | None, zone: tzinfo) -> str:
    """An ISO-8601 time as the clock in `zone` shows it."""
    return f"{datetime.fromisoformat(text).astimezone(zone):%H:%M:%S}" if text else "?"


def length(seconds: Any) -> str:
    """12 s, 4 min, 1 h 5 min."""
    if not isinstance(seconds, int | float):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
