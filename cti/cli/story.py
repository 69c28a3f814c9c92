"""The story of a call in plain lines, as a person reads it at three in the morning. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from cti.cli import decision

Row = Mapping[str, Any]
NOBODY = "?"
QUIET = {"result", "decision", "channel_id", "channel", "uniqueid", "bridge", "visit", "offer", "skills", "entered_at"}


def tell(call: Row, names: Mapping[str, str], zone: tzinfo) -> Iterator[str]:
    """`call` is what Store.get_call gives; `names`: login name -> display name; times are shown in `zone`."""
    start = _time(call["started_at"])
    yield f"Call {call['call_id']}, {call['direction']}"
    yield f"  {_called(call)}"
    yield f"  {start.astimezone(zone):%A %d %B %Y %H:%M:%S %Z}, {_length(call, start)}"
    yield f"  {_ending(call)}"
    yield ""
    for event in sorted(call["events"], key=lambda event: _time(event["at"])):
        if event["type"] == "flow.at":  # the position, for the next start of the server
            continue
        at = _time(event["at"])
        yield f"{at.astimezone(zone):%H:%M:%S.%f}"[:12] + f"  {_since(start, at):>9}  {_line(event, names, call)}"
    if call["recordings"]:
        yield ""
    for recording in call["recordings"]:
        sound = f"{_seconds(recording['seconds'])}, {recording['bytes']} bytes, {recording['path']}"
        yield f"Recording {recording['recording_id']}: {sound if recording['bytes'] else 'failed'}"


def _called(call: Row) -> str:
    if call["direction"] == "outbound":
        return f"We called {call['called']}{_customer(call)}"
    return f"{_who(call)} called {call['called'] or 'nobody'}"


def _customer(call: Row) -> str:
    return f" ({call['customer']['name']}, customer {call['customer_id']})" if call["customer"] else ""


def _who(call: Row) -> str:
    number = call["caller"] or "a withheld number"
    said = f' "{call["caller_name"]}"' if call["caller_name"] else ""
    return f"{number}{said}{_customer(call)}"


def _length(call: Row, start: datetime) -> str:
    return f"lasted {_seconds((_time(call['ended_at']) - start).total_seconds())}" if call["ended_at"] else "goes on"


def _ending(call: Row) -> str:
    if call["ended_at"] is None:
        return f"Not over yet; so far: {call['outcome'] or 'not answered'}"
    parts = [f"Outcome: {call['outcome']}"]
    if call["queued_at"] and call["connected_at"]:
        waited = (_time(call["connected_at"]) - _time(call["queued_at"])).total_seconds()
        parts.append(f"waited {_seconds(waited)}")
    if call["hangup_side"]:
        parts.append(f"ended by the {call['hangup_side']}")
    if call["hangup_cause"] is not None:
        parts.append(f"cause {call['hangup_cause']}")
    if call["disposition"]:
        parts.append(f"disposition {call['disposition']}")
    return ", ".join(parts)


def _line(event: Row, names: Mapping[str, str], call: Row) -> str:
    data = event["data"]
    name = names.get(event["agent"] or "", "")
    agent = f"{name} ({event['agent']})" if name and name != event["agent"] else event["agent"] or NOBODY
    known = SENTENCES.get(event["type"])
    if known is not None:
        return known(data, agent, event["queue"] or "?")
    rest = " ".join(f"{key}={value}" for key, value in data.items() if key not in QUIET and value not in ("", None))
    return " ".join(part for part in (event["type"], event["agent"], event["queue"], rest) if part)


def _arrived(d: Row, agent: str, queue: str) -> str:
    if d.get("direction") == "outbound":
        return f"placed to {d.get('called')} for queue {queue}, as asked in call {d.get('story_id')}"
    return f"arrived from {d.get('caller') or 'a withheld number'} for {d.get('called') or '?'}"


def _identified(d: Row, agent: str, queue: str) -> str:
    found = d.get("customers") or []
    if d.get("by") in ("flow", "pin"):
        return f"the flow takes the caller for customer {found[0]}" + (", who knew the PIN" if d["by"] == "pin" else "")
    words = {0: "unknown caller", 1: f"customer {found[0] if found else ''}"}
    return f"looked up: {words.get(len(found), f'{len(found)} customers have this number')}"


def _node(d: Row, agent: str, queue: str) -> str:
    step = f"flow {d.get('flow')}: {d.get('node')} ({d.get('verb')})"
    if d.get("outcome") == "hangup" and not d.get("to"):
        return f"{step}: the caller hangs up here"
    return step + (f" {d['outcome']}" if d.get("outcome") else "") + (f" -> {d['to']}" if d.get("to") else "")


def _queued(d: Row, agent: str, queue: str) -> str:
    skills = decision.skills(d.get("skills"))
    raised = "".join(f", raised by {rule}" for rule in d.get("raised") or ())
    return f"waits in queue {queue}, priority {d.get('priority', 0)}{raised}" + (f", needs {skills}" if skills else "")


def _offered(d: Row, agent: str, queue: str) -> str:
    why = decision.told(d.get("decision"))
    return f"offered to {agent}" + (f" at {d['station']}" if d.get("station") else "") + (f": {why}" if why else "")


def _wished_state(d: Row, agent: str, queue: str) -> str:
    then = f", then {_wish(d, agent, 'next_')}" if d.get("next_wish") else ""
    return f"{agent} is {d.get('work')}, wants {_wish(d, agent)}{then}"


def _wish(d: Row, agent: str, when: str = "") -> str:
    reason, who = d.get(f"{when}reason"), d.get(f"{when}by")
    by = f", set by {who}" if who and who != agent and not agent.endswith(f"({who})") else ""
    return str(d.get(f"{when}wish")) + (f" ({reason})" if reason else "") + by


def _over_limit(d: Row, agent: str, queue: str) -> str:
    return f"{agent} is not ready ({d.get('reason')}) for longer than allowed"


def _placed(d: Row, agent: str, queue: str) -> str:
    words = {"returned": "he called again in time", "again": "he waited here before in this call",
             "callback": "he was to be called back"}
    return f"keeps his place in queue {queue}: {words.get(str(d.get('why')), d.get('why'))}"


def _announced(d: Row, agent: str, queue: str) -> str:
    parts = [f"{name} {d[name]}" for name in ("position", "minutes") if d.get(name) is not None]
    return "is told: " + (", ".join(parts) or "the queue's words")


def _dequeued(d: Row, agent: str, queue: str) -> str:
    more = ", ".join(f"{name} {d[name]}" for name in ("why", "key", "to", "by") if d.get(name))
    return f"leaves queue {queue}: {d.get('result')}" + (f" ({more})" if more else "")


def _ended_offer(word: str) -> Callable[[Row, str, str], str]:
    return lambda d, agent, queue: f"{agent} {word}" + (f" ({d['reason']})" if d.get("reason") else "")


def _recorded(d: Row, agent: str, queue: str) -> str:
    whose = "the caller" if agent == NOBODY else agent
    return f"recording of {whose} " + (f"stored: {_seconds(d.get('seconds', 0))}" if d.get("bytes") else "failed")


def _recording(d: Row, agent: str, queue: str) -> str:
    return f"recording of {'the caller' if d.get('message') else agent} begins"


def _noted(d: Row, agent: str, queue: str) -> str:
    """What an `event` node says."""
    said = ", ".join(f"{key} {value}" for key, value in (d.get("data") or {}).items())
    return f"flow {d.get('flow')} notes: {d.get('name')}" + (f" ({said})" if said else "")


def _wished(d: Row, agent: str, queue: str) -> str:
    return f"wants to be called back at {d.get('number')} from queue {queue}"


def _called_back(d: Row, agent: str, queue: str) -> str:
    return f"is called back by {agent}, try {d.get('try')}: call {d.get('to')}"


def _not_reached(d: Row, agent: str, queue: str) -> str:
    if d.get("result") == "no_agent":
        return "callback: the agent did not take it; it is no try"
    if d.get("result") == "agent_left":
        return "callback: the agent hung up while the customer's phone was rung"
    return f"callback: not reached ({d.get('result')})"


def _seen_to(d: Row, agent: str, queue: str) -> str:
    to = f", in call {d['to']}" if d.get("to") else ""
    return f"callback from queue {queue} is over: {d.get('state')}, by {d.get('by')}{to}"


def _surveyed(d: Row, agent: str, queue: str) -> str:
    about = "" if agent == NOBODY else f", about {agent}"
    return f"answers {d.get('answer')} to {d.get('question')} of survey {d.get('survey')}{about}"


SENTENCES: dict[str, Callable[[Row, str, str], str]] = {
    "call.arrived": _arrived,
    "call.identified": _identified,
    "flow.started": lambda d, a, q: f"flow {d.get('flow')} begins (version {d.get('version')}, {d.get('language')})",
    "flow.node": _node,
    "flow.ended": lambda d, a, q: f"flow {d.get('flow')} ends: {d.get('how')}",
    "call.queued": _queued,
    "call.dequeued": _dequeued,
    "call.place_kept": _placed,
    "call.priority_changed": lambda d, a, q: f"priority {d.get('priority')} in queue {q}, by {d.get('by')}",
    "call.announced": _announced,
    "call.pressed": lambda d, a, q: f"presses {d.get('key')} while he waits",
    "call.offered": _offered,
    "offer.missed": _ended_offer("did not pick up"),
    "offer.rejected": _ended_offer("rejected it"),
    "offer.cancelled": _ended_offer("is not rung any more"),
    "offer.caller_left": _ended_offer("was rung when the caller left"),
    "call.connected": lambda d, a, q: f"talks to {a}",
    "call.disconnected": lambda d, a, q: f"conversation with {a} ended by the {d.get('by')}",
    "call.dialed": lambda d, a, q: f"{d.get('to')} is called",
    "call.dial_connected": lambda d, a, q: f"talks to {d.get('to')}",
    "call.dial_ended": lambda d, a, q: f"the call to {d.get('to')} is over: {d.get('result')}",
    "recording.started": _recording,
    "recording.stopped": _recorded,
    "call.ended": lambda d, a, q: f"ended by the {d.get('side')}, cause {d.get('cause')}",
    "call.wrapped": lambda d, a, q: f"{a} has finished wrap-up ({d.get('how')})",
    "call.disposition_set": lambda d, a, q: f"{a} noted: {d.get('code')}" + (f", {d['note']}" if d.get("note") else ""),
    "agent.state_changed": _wished_state,
    "agent.over_limit": _over_limit,
    "voicemail.left": lambda d, a, q: f"left a message in {d.get('box', '?')}, {_seconds(d.get('seconds') or 0)}",
    "callback.requested": _wished,
    "callback.dialed": _called_back,
    "callback.failed": _not_reached,
    "callback.moved": lambda d, a, q: f"callback: has a better place in queue {q}",
    "callback.ended": _seen_to,
    "call.placed": lambda d, a, q: f"{a} waits; the phone of {d.get('to')} rings",
    "survey.answered": _surveyed,
    "flow.event": _noted,
}  # fmt: skip


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _since(start: datetime, at: datetime) -> str:
    return f"{(at - start).total_seconds():+.3f}"


def _seconds(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
