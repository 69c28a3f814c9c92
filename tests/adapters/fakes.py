"""A small engine and store for the web's tests: they keep the promises of `ports.py`, in memory."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Collection, Sequence
from typing import Any

import argon2
import msgspec
from fake_flows import FILES, FlowsEngine, FlowsStore

from cti.adapters.web import Hub
from cti.core.messages import (
    AnswerCall,
    CancelCallback,
    ChangePriority,
    HangUpCall,
    MoveCall,
    RejectCall,
    SetAgentState,
    SetDisposition,
    WrapUp,
)  # fmt: skip
from cti.core.queues import CallbackRules, QueueConfig
from cti.errors import Refused, Unavailable

PASSWORD = "correct horse"
SHOWN_AS = {"anna": "Anna Wijaya", "budi": "Budi", "sari": "Sari Supervisor", "root": "Admin"}
_hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class FakeUser(msgspec.Struct):
    user_id: int
    name: str
    display_name: str
    role: str
    password_hash: str | None
    disabled: bool = False
    language: str | None = "en"
    station: str | None = None


class FakeStore(FlowsStore):
    """Users, sessions and rows. `asked` counts what reached the database."""

    def __init__(self) -> None:
        people = [
            (1, "anna", "Anna Wijaya", "agent", "2001"),
            (2, "budi", "Budi", "agent", "2002"),
            (3, "sari", "Sari Supervisor", "supervisor", None),
            (4, "root", "Admin", "admin", None),
        ]
        hashed = _hasher.hash(PASSWORD)
        self.users = {n: FakeUser(i, n, d, r, hashed, station=s) for i, n, d, r, s in people}
        self.sessions: dict[bytes, tuple[int, float]] = {}
        self.made: dict[bytes, float] = {}
        self.tokens = {hashlib.sha256(f"token-{n}".encode()).digest(): n for n in self.users}
        self.calls: list[dict[str, Any]] = []
        self.recordings: list[dict[str, Any]] = []
        self.customers = [{"customer_id": 7, "display_name": "王小明", "tier": "vip", "language": "zh"}]
        self.audited: list[tuple[str, str, str]] = []
        self.asked: list[dict[str, Any]] = []
        self.callbacks: list[dict[str, Any]] = []
        self.away = False
        self.start_flows({version: dict(files) for version, files in FILES.items()})

    async def user_by_name(self, name: str) -> FakeUser | None:
        return self.users.get(name)

    async def session_create(self, user_id: Any, token_sha256: bytes, ip: str | None, expires_at: float) -> None:
        assert len(token_sha256) == 32
        self.sessions[token_sha256] = (user_id, expires_at)
        self.made[token_sha256] = time.time()

    async def session_user(self, token_sha256: bytes) -> FakeUser | None:
        user_id, expires_at = self.sessions.get(token_sha256, (0, 0.0))
        if expires_at <= time.time():
            return None
        return next((u for u in self.users.values() if u.user_id == user_id), None)

    async def session_touch(self, token_sha256: bytes, expires_at: float, longest: float) -> None:
        user_id, _ = self.sessions[token_sha256]
        self.sessions[token_sha256] = (user_id, min(expires_at, self.made[token_sha256] + longest))

    async def session_delete(self, token_sha256: bytes) -> None:
        self.sessions.pop(token_sha256, None)

    async def token_user(self, token_sha256: bytes) -> FakeUser | None:
        return self.users.get(self.tokens.get(token_sha256, ""))

    async def set_language(self, user_id: Any, language: str) -> None:
        for user in self.users.values():
            if user.user_id == user_id:
                user.language = language

    def _page(
        self, rows: list[dict[str, Any]], cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        start = int(cursor or 0)
        more = start + limit < len(rows)
        return rows[start : start + limit], str(start + limit) if more else None

    async def list_calls(self, **asked: Any) -> tuple[list[dict[str, Any]], str | None]:
        self.asked.append(asked)
        rows = [r for r in self.calls if asked["agent"] in (None, r["agent"])]
        return self._page(rows, asked["cursor"], asked["limit"])

    async def get_call(self, call_id: str) -> dict[str, Any] | None:
        return next((r for r in self.calls if r["call_id"] == call_id), None)

    async def list_customers(self, q: str, cursor: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        return self._page([c for c in self.customers if q in str(c["display_name"])], cursor, limit)

    async def get_customer(self, customer_id: str) -> dict[str, Any] | None:
        return next((c for c in self.customers if str(c["customer_id"]) == customer_id), None)

    async def list_recordings(
        self, *, agent: str | None, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        return self._page([r for r in self.recordings if agent in (None, r["agent"])], cursor, limit)

    async def list_callbacks(self, **asked: Any) -> tuple[list[dict[str, Any]], str | None]:
        self.asked.append(asked)
        seen = [r for r in self.callbacks if asked["queues"] is None or r["queue"] in asked["queues"]]
        return self._page(seen, asked["cursor"], asked["limit"])

    async def callbacks_of(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        if self.away:
            raise Unavailable("PostgreSQL is away")
        names = ("entered", "last_result", "asked_by", "asked_by_name", "customer_name")
        rows = [r for r in self.callbacks if r["callback_id"] in ids]
        return {r["callback_id"]: {name: r.get(name) for name in names} for r in rows}

    async def get_callback(self, callback_id: str) -> dict[str, Any] | None:
        return next((r for r in self.callbacks if r["callback_id"] == callback_id), None)

    async def add_callback(self, **asked: Any) -> dict[str, Any]:
        if any((r["number"], r["queue"]) == (asked["number"], asked["queue"]) for r in self.callbacks):
            raise Refused("one is open already", "callback_open")
        self.callbacks.append({"callback_id": str(uuid.uuid4()), "state": "open", **asked})
        return self.callbacks[-1]

    async def cancel_callback(self, callback_id: str, by: str) -> dict[str, Any]:
        found = await self.get_callback(callback_id)
        if found is None or found.get("state") != "open":
            raise Refused("this callback is over", "callback_gone")
        found.update(state="cancelled", ended_by=by)
        return found

    async def get_recording(self, recording_id: str) -> dict[str, Any] | None:
        return next((r for r in self.recordings if r["recording_id"] == recording_id), None)

    async def audit(self, user: str, action: str, object: str, detail: dict[str, Any]) -> None:
        self.audited.append((user, action, object))


class FakeEngine(FlowsEngine):
    """Two agents and two queues. Wishes are obeyed; station 2404 is never reachable; `inputs` is what came."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.start_flows({version: dict(files) for version, files in FILES.items()})
        self.inputs: list[Any] = []
        self.rows: dict[str, dict[str, Any]] = {}
        for name, shown, station in (("anna", "Anna Wijaya", "2001"), ("budi", "Budi", "2002")):
            self.rows[name] = {
                "agent_id": name, "agent": name, "name": shown, "wish": "logged_out", "reason": "", "work": "idle",
                "state": "logged_out", "next_wish": None, "next_reason": "", "station": station, "reachable": True,
                "call_id": "", "since": time.time(), "skills": {"sales": 5}, "wrap_up_until": None,
            }  # fmt: skip
        self.phones = {"2001": True, "2009": True, "2404": False}
        self.pops: dict[str, dict[str, Any]] = {}
        self.waiting = {"sales": 0, "support": 0}
        self.longest: dict[str, float | None] = {"sales": None, "support": None}
        self.callers: list[dict[str, Any]] = []
        self.why: dict[str, Any] = {"why": "", "waiting": 0, "idle_since": time.time(), "queues": []}
        self.open_callbacks: list[str] = []
        self.callback_rows: list[dict[str, Any]] = []
        self.rules = CallbackRules()
        self.parts = {"ami": {"ok": True, "detail": "up", "age": 1.0}}

    def submit(self, message: Any) -> None:
        self.inputs.append(message)
        match message:
            case SetAgentState(station="2404"):
                raise Refused("station 2404 is not reachable", "station_unreachable")
            case SetAgentState() if self.rows[message.agent]["work"] != "idle":
                self.change(message.agent, next_wish=message.wish, next_reason=message.reason)
            case SetAgentState():
                station = message.station or self.rows[message.agent]["station"]
                self.change(message.agent, wish=message.wish, reason=message.reason, station=station,
                            set_by=message.by, set_by_name=SHOWN_AS.get(message.by, message.by), over_limit_since=None,
                            since=time.time())  # fmt: skip
            case WrapUp(action="finish") if self.rows[message.agent]["work"] == "idle":
                pass
            case WrapUp(action="finish"):
                self.change(message.agent, work="idle", call_id="", wrap_up_until=None)
            case WrapUp():
                self.change(message.agent, wrap_up_until=self.rows[message.agent]["wrap_up_until"] + 30)
            case AnswerCall():
                self._own(message)
                self.hub.push("pick_up", {"call_id": message.call_id}, message.agent)
            case RejectCall():
                self._own(message)
                self.change(message.agent, work="idle", wish="not_ready", reason="rejected", call_id="")
            case HangUpCall(agent=agent) if agent:
                self._own(message)
                self.change(agent, work="wrap_up", wrap_up_until=time.time() + 30)
            case SetDisposition():
                self._own(message)
                if not message.draft and self.rows[message.agent]["work"] == "wrap_up":
                    self.change(message.agent, work="idle", call_id="", wrap_up_until=None)
            case CancelCallback():
                if message.callback_id not in self.open_callbacks:
                    raise Refused("this callback is over", "callback_unknown")
                row = next((r for r in self.callback_rows if r["callback_id"] == message.callback_id), {})
                if row.get("state") == "dialing":
                    raise Refused("the customer is being called just now", "callback_dialing")
                self.callback_rows = [r for r in self.callback_rows if r is not row]
            case ChangePriority():
                self._waits(message.call_id)["priority"] = message.priority
            case MoveCall():
                self._waits(message.call_id)["queue"] = message.queue

    def _own(self, message: Any) -> None:
        if self.rows[message.agent]["call_id"] != message.call_id:
            raise Refused("this call is not with you", "not_your_call")

    def _waits(self, call_id: str) -> dict[str, Any]:
        row = next((row for row in self.callers if row["call_id"] == call_id), None)
        if row is None:
            raise Refused("this caller does not wait any more", "not_waiting")
        return row

    def change(self, agent: str, **changes: Any) -> None:
        row = self.rows[agent]
        if changes.get("work", row["work"]) != row["work"]:
            changes.setdefault("since", time.time())
        row.update(changes)
        row["state"] = row["wish"] if row["work"] == "idle" else row["work"]
        self.hub.push("agent_state", dict(row), agent)

    def ring(self, agent: str, pop: dict[str, Any] | None = None) -> str:
        """Offer a call: the pop first, then the state, as the real one does."""
        pop = pop or a_pop()
        self.pops[agent] = pop
        self.hub.push("screen_pop", pop, agent)
        self.change(agent, work="reserved", call_id=pop["call"]["call_id"])
        return str(pop["call"]["call_id"])

    def now(self) -> float:
        return time.time()

    def agents(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.rows.values()]

    def queues(self) -> list[dict[str, Any]]:
        return [
            {
                "queue": name, "waiting": waiting, "longest_since": self.longest[name], "ready": 1, "talking": 0,
                "callbacks": len(self.callbacks([name])), "offered_today": 40, "answered_today": 36,
                "abandoned_today": 2, "service_level": 0.86,
                "service_level_target": 80, "service_level_within": 20.0, "speed_of_answer": 7.2,
            }
            for name, waiting in self.waiting.items()
        ]  # fmt: skip

    def queues_of(self, agent: str) -> list[str]:
        return [name for name in self.waiting if name in self.rows[agent]["skills"]]

    def wallboard(self) -> dict[str, Any]:
        return {"at": time.time(), "queues": self.queues(), "agents": self.agents(), "totals": {},
                "waiting": self.waiting_calls()}  # fmt: skip

    def waiting_calls(self, most: int | None = None) -> list[dict[str, Any]]:
        return [dict(row) for row in self.callers]

    def callbacks(self, queues: Collection[str] | None) -> list[dict[str, Any]]:
        return [dict(row) for row in self.callback_rows if queues is None or row["queue"] in queues]

    def queue(self, name: str) -> QueueConfig | None:
        return QueueConfig(name=name, priority=7, callback=self.rules) if name in self.waiting else None

    def calls_back(self, queue: str = "sales", number: str = "+6281234567890", **more: Any) -> str:
        """A callback that is open, as `views.callbacks` tells of it."""
        now, callback_id = time.time(), more.pop("callback_id", None) or str(uuid.uuid4())
        self.callback_rows.append({
            "callback_id": callback_id, "call_id": str(uuid.uuid4()), "queue": queue, "number": number, "state": "open",
            "requested_at": now - 600, "since": now - 600, "priority": 0, "tries": 0, "tries_most": 3,
            "next_try_at": None, "expires_at": now + 86_400, "position": len(self.callback_rows) + 1, "why": "busy",
            "for": None, "made_id": None, "signed_on": 2,
        } | more)  # fmt: skip
        self.open_callbacks.append(callback_id)
        return callback_id

    def why_call(self, call_id: str) -> dict[str, Any] | None:
        return next((dict(row) for row in self.callers if row["call_id"] == call_id), None)

    def why_agent(self, agent: str) -> dict[str, Any]:
        row = self.rows[agent]
        return {"agent": agent, "state": row["state"], "reason": row["reason"], **self.why}

    def waits(self, queue: str = "sales", **more: Any) -> str:
        """A caller who waits, as `views.why_call` tells of him; `waited` seconds."""
        call_id = str(uuid.uuid4())
        now = time.time()
        since = now - more.pop("waited", 10.0)
        self.callers.append({
            "call_id": call_id, "caller": "+628123456780", "caller_name": "", "language": "en", "queue": queue,
            "position": len(self.callers) + 1, "priority": 0, "since": since, "entered_at": since, "step": 0,
            "steps": 1, "needs": {"sales": 1}, "signed_on": 3, "free": 0, "why": "busy", "for": None, "until": None,
            "next_step_at": None, "raised": [],
        } | more)  # fmt: skip
        return call_id

    def desk(self, agent: str) -> dict[str, Any]:
        row = self.rows[agent]
        stations = [{"station": number, "reachable": up} for number, up in self.phones.items()]
        pop = self.pops.get(agent) if row["call_id"] else None
        return {"agent": dict(row), "pop": pop, "call": None, "stations": stations}

    def stations(self) -> dict[str, bool]:
        return self.phones

    def live_calls(self) -> list[dict[str, Any]]:
        return [{**pop["call"], "agent": agent} for agent, pop in self.pops.items()]

    def health(self) -> dict[str, dict[str, Any]]:
        return self.parts

    def metrics(self) -> dict[str, Any]:
        return {"calls_live": len(self.pops)}


def a_pop(**call: Any) -> dict[str, Any]:
    """A screen-pop with one customer, two earlier calls and a case."""
    before = time.time() - 86400 * 3
    return {
        "call": {
            "call_id": str(uuid.uuid4()), "direction": "inbound", "caller": "+628123456789", "caller_name": "",
            "called": "+622129990000", "queue": "sales", "flow_path": ["greet", "open", "menu", "sales"],
            "variables": {"language": "zh"}, "waited_seconds": 12.0,
        } | call,
        "customers": [{
            "customer_id": 7, "display_name": "王小明", "tier": "vip", "language": "zh", "company": "Nusantara Tea",
            "email": "wang@example.test",
        }],
        "history": [
            {"call_id": str(uuid.uuid4()), "started_at": before, "queue": "sales", "agent": "budi",
             "outcome": "answered", "disposition": "sold", "note": "Ordered 40 boxes, wants delivery before Friday."},
            {"call_id": str(uuid.uuid4()), "started_at": before - 86400 * 9, "queue": "support", "agent": None,
             "outcome": "abandoned", "disposition": None},
        ],
        "cases": [{"case_id": 3, "title": "Delivery 4471 late", "created_at": before, "owner": "budi"}],
    }  # fmt: skip
