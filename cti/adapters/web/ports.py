"""What the web needs of the rest, as Protocols: adapters import neither the engine nor each other.

Times are seconds since the epoch on the engine's side and become ISO-8601 UTC in JSON (`wire.jsonable`).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from cti.core.ivr import Book
from cti.core.messages import Input
from cti.core.queues import QueueConfig

Role = Literal["agent", "supervisor", "admin"]
Row = dict[str, Any]
Page = tuple[list[Row], str | None]  # rows and the cursor of the next page, None when this was the last

DISPOSITIONS = ("sold", "resolved", "callback_needed", "wrong_number", "no_interest", "other")
REASONS = {"break": 900.0, "lunch": 3600.0, "training": 0.0, "meeting": 0.0, "admin": 1800.0}  # and for how long
SYSTEM_REASONS = ("link", "missed", "rejected", "busy", "removed")  # what only the server may say
OUTCOMES = frozenset(
    [
        "answered",
        "abandoned",
        "short_abandon",
        "timeout",
        "full",
        "no_agents",
        "closed",
        "left",
        "callback",
        "failed",
        "flow_ended",
        "voicemail",
        "transferred_out",
        "refused",
        "no_answer",
        "busy",
        "machine",
        "invalid_number",
        "dropped",
    ]
)


class User(Protocol):
    """A person who may log in. `password_hash` is argon2id; the store's own type fits by shape."""

    @property
    def user_id(self) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def display_name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def password_hash(self) -> str | None: ...
    @property
    def disabled(self) -> bool: ...
    @property
    def language(self) -> str | None: ...
    @property
    def station(self) -> str | None: ...


class Engine(Protocol):
    def submit(self, message: Input) -> object:
        """Act on it now. Raises cti.errors.Refused when a wish is impossible."""

    def now(self) -> float: ...

    def agents(self) -> list[Row]:
        """agent_id, agent, name, wish, reason, work, state, next_wish, next_reason, set_by, set_by_name, station,
        reachable, call_id, since, idle_since, over_limit_since, skills, wrap_up_until."""

    def queues(self) -> list[Row]:
        """queue, waiting, longest_since, ready, talking, offered_today, answered_today, abandoned_today,
        service_level (0..1 or None)."""

    def wallboard(self) -> Row:
        """at, queues, agents, totals."""

    def desk(self, agent: str) -> Row:
        """agent (its row), pop (screen_pop data or None), call (or None): all a page needs after a load."""

    def stations(self) -> Mapping[str, bool]:
        """number -> whether its phone can be reached."""

    def live_calls(self) -> list[Row]: ...
    def waiting_calls(self, most: int | None = None) -> list[Row]:
        """Callers who wait, the next of each queue first: the row of `why_call` with caller, caller_name, language."""

    def callbacks(self, queues: Collection[str] | None) -> list[Row]:
        """Those that are open in these queues (None: in all), in the order in which they are to be called: callback_id,
        queue, number, state, requested_at, since, priority, tries, tries_most, next_try_at, expires_at, position, why,
        for (the agent), made_id, signed_on."""

    def queue(self, name: str) -> QueueConfig | None:
        """Its settings; None: there is no such queue."""

    def why_call(self, call_id: str) -> Row | None:
        """Where a caller stands who waits, and for what: call_id, queue, position, priority, since, entered_at, step,
        needs, why, raised (rules that changed the priority) and more; None: he does not wait."""

    def why_agent(self, agent: str) -> Row:
        """why (empty: he is free), state, reason, idle_since, skills, waiting, queues: what keeps those who wait from
        him."""

    def health(self) -> dict[str, Row]:
        """name -> ok, detail, age."""

    def metrics(self) -> Mapping[str, Any]: ...

    def queues_of(self, agent: str) -> Sequence[str]:
        """The queues whose calls he may get by their own rule."""

    def flow_callers(self) -> list[Row]:
        """Who is in a flow now: call_id, caller, caller_name, flow, node, since, version, state."""

    def calendars(self) -> list[Row]:
        """Of the live version: calendar, state (open, closed, holiday), holiday, next_open (local ISO text or None),
        time_zone, forced (open, closed or None), forced_until."""

    async def flows_state(self) -> Row:
        """live and canary: version, share, published_at, published_by, note, or None; problems of the folder: file,
        line, column, message, hint, text; problems_at, folder_changed, auto_publish."""

    async def flows_book(self, version: int) -> Book | None:
        """A version as the flows it holds, to be looked at; None: there is none, or it cannot be read any more."""

    async def flows_publish(self, by: str, note: str, share: int) -> Row:
        """version and share. Raises BadInput, with its `problems` when the folder has any, or Refused."""

    async def flows_rollback(self, by: str, version: int) -> Row:
        """live and withdrawn. Raises BadInput, Refused."""

    async def flows_share(self, by: str, version: int, percent: int) -> Row:
        """version and share. Raises BadInput, Refused."""


class Store(Protocol):
    async def user_by_name(self, name: str) -> User | None: ...
    async def session_create(
        self, user_id: Any, token_sha256: bytes, ip: str | None, expires_at: float
    ) -> object: ...
    async def session_touch(self, token_sha256: bytes, expires_at: float, longest: float) -> object:
        """It lives until then, but never more than `longest` seconds after it was made."""

    async def session_user(self, token_sha256: bytes) -> User | None: ...
    async def session_delete(self, token_sha256: bytes) -> object: ...
    async def token_user(self, token_sha256: bytes) -> User | None: ...
    async def set_language(self, user_id: Any, language: str) -> object: ...
    async def list_calls(
        self,
        *,
        since: float | None,
        until: float | None,
        agent: str | None,
        queue: str | None,
        outcome: str | None,
        cursor: str | None,
        limit: int,
    ) -> Page: ...
    async def get_call(self, call_id: str) -> Row | None: ...
    async def list_customers(self, q: str, cursor: str | None, limit: int) -> Page: ...
    async def get_customer(self, customer_id: str) -> Row | None: ...
    async def list_recordings(self, *, agent: str | None, cursor: str | None, limit: int) -> Page: ...
    async def get_recording(self, recording_id: str) -> Row | None: ...
    async def list_callbacks(
        self, *, states: Sequence[str] | None, queues: Sequence[str] | None, q: str, cursor: str | None, limit: int
    ) -> Page:
        """states, queues None: of all of them."""

    async def callbacks_of(self, ids: Sequence[str]) -> Mapping[str, Row]:
        """By id: entered, last_result, asked_by, asked_by_name, customer_name."""

    async def get_callback(self, callback_id: str) -> Row | None: ...
    async def cancel_callback(self, callback_id: str, by: str) -> Row:
        """Raises Refused callback_gone when it is under way or over."""
        ...

    async def add_callback(
        self, *, number: str, entered: str, queue: str, by: str, at: float, priority: int, customer_id: int | None,
        not_before: float | None,
    ) -> Row:  # fmt: skip
        """Raises Refused. Audited."""

    async def flow_nodes(self, flow: str, since: float, until: float, version: int | None) -> list[Row]: ...
    async def flow_calls(
        self, since: float, until: float, last_nodes: Sequence[str], flow: str | None
    ) -> list[Row]: ...
    async def flow_path(self, call_id: str) -> list[Row]: ...
    async def flow_history(self) -> list[Row]: ...
    async def load_flows(self, version: int) -> dict[str, str] | None: ...
    async def force_calendar(self, calendar: str, state: str | None, until: float, by: str) -> object:
        """state None: its own hours count again. Audited."""

    async def audit(self, user: str, action: str, object: str, detail: Row) -> object: ...


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the web is told of the configuration. `recordings` is the root under which every file must lie."""

    site_name: str = "cti"
    time_zone: str = "UTC"
    country: str = "ID"
    languages: tuple[str, ...] = ("en", "zh", "id")
    recordings: Path = Path("recordings")
    webui: Path = Path(__file__).parents[3] / "webui"
    version: str = "0.1.0"
    trusted_proxies: tuple[str, ...] = ()  # whose X-Forwarded-For and -Proto are believed
    session_seconds: float = 12 * 3600.0
    idle_seconds: float = 1800.0
    reasons: Mapping[str, float] = msgspec.field(default_factory=lambda: dict(REASONS))  # seconds; 0: no limit
    status_key: str = ""  # lets `cti status` of this machine read the live state; empty: supervisors only
    cursor_key: bytes = msgspec.field(default_factory=lambda: secrets.token_bytes(32))
    wallboard_seconds: float = 1.0
    beat_seconds: float = 5.0
