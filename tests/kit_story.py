"""Events of calls for tests: what the core says of a call that was answered, abandoned, sent away."""

from __future__ import annotations

import random
import time
import uuid
from typing import Any

from cti.core.messages import Event


def call_id(at: float, rnd: random.Random) -> str:
    """A UUIDv7 of that time."""
    low = rnd.getrandbits(12) << 64 | 2 << 62 | rnd.getrandbits(62)
    return str(uuid.UUID(int=int(at * 1000) << 80 | 7 << 76 | low))


class Story:
    """Collects the events of one call; `say` numbers them."""

    def __init__(self, at: float, rnd: random.Random) -> None:
        self.at, self.call, self.events = at, call_id(at, rnd), list[Event]()

    def say(self, kind: str, after: float, agent: str = "", queue: str = "", **data: Any) -> None:
        self.events.append(
            Event(type=kind, at=self.at + after, call_id=self.call, seq=len(self.events) + 1, agent=agent, queue=queue,
                  data=data)
        )  # fmt: skip


def answered(at: float | None = None, agent: str = "ann", seed: int = 1, caller: str = "+6281234567890") -> Story:
    """Missed by zoe, then answered; the agent hangs up first, a survey follows, everything is wrapped up."""
    rnd = random.Random(seed)
    s = Story(time.time() - 60 if at is None else at, rnd)
    first, second = str(uuid.UUID(int=rnd.getrandbits(128))), str(uuid.UUID(int=rnd.getrandbits(128)))
    s.say("call.arrived", 0, direction="inbound", caller=caller, caller_name="王小明", called="6000", node="main")
    s.say("flow.started", 0.1, flow="main", version=3, language="en")
    s.say("flow.node", 0.2, flow="main", node="menu", verb="menu", outcome="1", to="sales", vars={"choice": "1"})
    s.say("call.queued", 0.5, queue="sales", visit=1, priority=3, skills={"english": 1}, entered_at=s.at + 0.5)
    s.say("call.offered", 0.6, "zoe", "sales", offer=first, visit=1, decision={"why": "longest idle"}, station="2002")
    s.say("offer.missed", 15.6, "zoe", "sales", offer=first, reason="no_answer")
    s.say("call.offered", 15.7, agent, "sales", offer=second, visit=1, decision={"why": "next"}, station="2001")
    s.say("call.connected", 17, agent, "sales", offer=second, visit=1, bridge="b1")
    s.say("call.dequeued", 17, agent, "sales", visit=1, result="answered")
    s.say("recording.started", 17, agent, recording_id=second)
    s.say("call.disconnected", 47, agent, offer=second, by="agent")
    s.say("flow.node", 48, flow="main", node="rate_us", verb="survey", outcome="done", vars={"choice": "5"})
    s.say("flow.ended", 50, flow="main", how="flow_ended")
    s.say("call.ended", 50.5, cause=16, side="caller", flow_result="flow_ended")
    s.say("call.disposition_set", 52, agent, code="sold", note="yes")
    s.say("call.wrapped", 55, agent, how="finish")
    s.say("recording.stopped", 56, agent, recording_id=second, path=f"2026/{second}.wav", started_at=s.at + 17,
          seconds=30.0, channels=2, bytes=480044, sha256="ab" * 32)  # fmt: skip
    return s


def timed_out(at: float, seed: int = 2) -> Story:
    """Two visits: one ran out of time, in the other the caller gave up while a phone rang; withheld number."""
    rnd = random.Random(seed)
    s = Story(at, rnd)
    s.say("call.arrived", 0, direction="inbound", caller="", called="6000")
    s.say("flow.started", 0.1, flow="main", version=3, language="zh")
    s.say("call.queued", 1, queue="sales", visit=1, priority=0, skills={})
    s.say("call.dequeued", 31, queue="sales", visit=1, result="timeout")
    s.say("call.queued", 32, queue="support", visit=2, priority=0, skills={})
    s.say("call.priority_changed", 33, queue="support", visit=2, priority=9)
    s.say("call.offered", 34, "ann", "support", offer="o3", visit=2, decision={})
    s.say("offer.caller_left", 36, "ann", "support", offer="o3")
    s.say("call.dequeued", 36, queue="support", visit=2, result="abandoned")
    s.say("call.ended", 36, cause=16, side="caller", flow_result="")
    return s


def never_queued(at: float, seed: int = 3) -> Story:
    s = Story(at, random.Random(seed))
    s.say("call.arrived", 0, direction="inbound", caller="+622112345678", called="6001")
    s.say("flow.started", 0.1, flow="shop", version=4, language="id")
    s.say("voicemail.left", 9, box="support")
    s.say("flow.ended", 10, flow="shop", how="voicemail")
    s.say("call.ended", 10, cause=16, side="system", flow_result="voicemail")
    return s


def wishes(at: float, seed: int = 4) -> Story:
    """Asks to be called back, answers a survey, leaves a message."""
    s = Story(at, random.Random(seed))
    s.say("call.arrived", 0, direction="inbound", caller="+622112345678", called="6001")
    s.say("call.identified", 0.1, customers=["7"])
    s.say("flow.started", 0.2, flow="main", version=3, language="id")
    s.say("callback.requested", 5, queue="sales", number="+622112345678", entered="021 12345678", node="call_me")
    s.say("survey.answered", 8, "ann", survey="after_call", question="kind", answer="4")
    s.say("survey.answered", 9, "ann", survey="after_call", question="again", answer="1")
    s.say("voicemail.left", 20, box="support", seconds=7.5, recording_id="r1")
    s.say("flow.ended", 21, flow="main", how="voicemail")
    s.say("call.ended", 21, cause=16, side="caller", flow_result="voicemail")
    return s


def states(agent: str, at: float) -> list[Event]:
    """not_ready, ready, talking, wrap_up, idle again; a second apart."""
    steps = [("not_ready", "idle", "login"), ("ready", "idle", ""), ("ready", "reserved", ""), ("ready", "talking", ""),
             ("ready", "wrap_up", ""), ("ready", "idle", "")]  # fmt: skip
    return [
        Event(type="agent.state_changed", at=at + n, agent=agent, data={"wish": wish, "work": work, "reason": reason})
        for n, (wish, work, reason) in enumerate(steps)
    ]
