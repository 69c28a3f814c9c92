"""What `cti call show` tells of an event, in plain words."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from cti.cli.story import tell

CALL = {
    "call_id": "c1", "direction": "inbound", "caller": "+62811", "caller_name": "", "called": "6000", "customer": None,
    "started_at": "2026-11-25T03:00:00Z", "ended_at": None, "outcome": None, "recordings": [],
}  # fmt: skip
LEFT = {"flow": "main", "node": "menu", "verb": "menu", "outcome": "hangup", "to": ""}
CHOSE = LEFT | {"outcome": "1", "to": "sales"}


@pytest.mark.parametrize(("type", "agent", "data", "words"), [
    ("call.identified", "", {"customers": ["7"], "by": "number"}, "looked up: customer 7"),
    ("call.identified", "", {"customers": ["7", "8"]}, "looked up: 2 customers have this number"),
    ("call.identified", "", {"customers": ["8"], "by": "flow"}, "the flow takes the caller for customer 8"),
    ("call.identified", "", {"customers": ["8"], "by": "pin"},
     "the flow takes the caller for customer 8, who knew the PIN"),
    ("flow.node", "", CHOSE, "flow main: menu (menu) 1 -> sales"),
    ("flow.node", "", LEFT, "flow main: menu (menu): the caller hangs up here"),
    ("flow.event", "", {"flow": "main", "node": "n", "name": "vip", "data": {"from": "+62811"}},
     "flow main notes: vip (from +62811)"),
    ("flow.event", "", {"flow": "main", "node": "n", "name": "vip", "data": {}}, "flow main notes: vip"),
    ("callback.requested", "", {"number": "+62811", "entered": "", "node": "call_me"},
     "wants to be called back at +62811 from queue sales"),
    ("survey.answered", "ani", {"survey": "after_call", "question": "satisfied", "answer": "5"},
     "answers 5 to satisfied of survey after_call, about Ani (ani)"),
    ("survey.answered", "", {"survey": "s", "question": "q", "answer": "1"}, "answers 1 to q of survey s"),
    ("recording.started", "", {"recording_id": "r", "message": True, "box": "b"}, "recording of the caller begins"),
    ("recording.started", "ani", {"recording_id": "r"}, "recording of Ani (ani) begins"),
    ("recording.stopped", "", {"bytes": 9, "seconds": 3.0}, "recording of the caller stored: 3.0 s"),
    ("recording.stopped", "ani", {"bytes": 0}, "recording of Ani (ani) failed"),
    ("voicemail.left", "", {"box": "support", "seconds": 3.0}, "left a message in support, 3.0 s"),
    ("call.dialed", "", {"to": "2001", "channel_id": "x"}, "2001 is called"),
    ("call.dial_ended", "", {"to": "2001", "result": "busy"}, "the call to 2001 is over: busy"),
    ("call.offered", "ani", {"station": "2001"}, "offered to Ani (ani) at 2001"),
    ("call.dequeued", "", {"result": "left", "to": "support", "by": "sari"},
     "leaves queue sales: left (to support, by sari)"),
    ("call.dequeued", "", {"result": "answered"}, "leaves queue sales: answered"),
    ("call.queued", "", {"priority": 3, "skills": {"sales": 2, "any": [{"en": 3}, {"nl": 1}]}},
     "waits in queue sales, priority 3, needs sales 2, one of en 3 / nl 1"),
    ("call.queued", "", {"priority": 10, "raised": ["customer.tier == 'vip' (+10)"]},
     "waits in queue sales, priority 10, raised by customer.tier == 'vip' (+10)"),
    ("call.place_kept", "", {"why": "returned", "since": 1}, "keeps his place in queue sales: he called again in time"),
    ("call.priority_changed", "", {"priority": 5, "by": "sari"}, "priority 5 in queue sales, by sari"),
    ("call.pressed", "", {"visit": 1, "key": "1", "result": "callback"}, "presses 1 while he waits"),
    ("call.announced", "", {"position": 2, "minutes": None}, "is told: position 2"),
    ("agent.state_changed", "ani", {"work": "idle", "wish": "not_ready", "reason": "meeting", "by": "sari"},
     "Ani (ani) is idle, wants not_ready (meeting), set by sari"),
    ("agent.state_changed", "ani", {"work": "idle", "wish": "ready", "by": "ani"}, "Ani (ani) is idle, wants ready"),
    ("agent.state_changed", "ani",
     {"work": "talking", "wish": "ready", "next_wish": "not_ready", "next_reason": "training", "next_by": "sari"},
     "Ani (ani) is talking, wants ready, then not_ready (training), set by sari"),
    ("agent.over_limit", "ani", {"reason": "break", "since": 1},
     "Ani (ani) is not ready (break) for longer than allowed"),
    ("odd.one", "ani", {"a": 1, "visit": 2}, "odd.one ani sales a=1"),
])  # fmt: skip
def test_an_event_in_words(type: str, agent: str, data: dict[str, Any], words: str) -> None:
    event = {"type": type, "at": "2026-11-25T03:00:01.5Z", "agent": agent, "queue": "sales", "data": data}
    line = list(tell(CALL | {"events": [event]}, {"ani": "Ani"}, UTC))[5]
    assert line == f"03:00:01.500     +1.500  {words}"


def test_events_are_told_in_the_order_of_time() -> None:
    """What is written of a call when it is over, a callback's tries, comes from another line and in another order."""
    events = [{"type": "callback.ended", "at": "2026-11-25T03:02:00Z", "agent": "", "queue": "sales",
               "data": {"state": "done", "by": "ani"}},
              {"type": "callback.failed", "at": "2026-11-25T03:01:00Z", "agent": "", "queue": "sales",
               "data": {"result": "busy"}}]  # fmt: skip
    lines = list(tell(CALL | {"events": events}, {}, UTC))[5:]
    assert [line[:8] for line in lines] == ["03:01:00", "03:02:00"]
