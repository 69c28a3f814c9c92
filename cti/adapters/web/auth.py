"""Who is asking: passwords, sessions, API tokens, and the guards around them.

A session is a random token in a cookie (HttpOnly, SameSite=Strict); only its sha256 is stored. It ends at
logout, when unused for `idle_seconds` (its row expires then; use moves that on, so a restart forgets nothing),
and at the latest after `session_seconds`. While the database is away those it knew a minute ago may go on.
Unsafe methods with a cookie need `X-CSRF` (any value) and, where the browser says where the request comes from,
our own origin. A request with `Authorization: Bearer` needs neither: no other site can make a browser send it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import argon2
import msgspec
from aiohttp import web

from cti.adapters.web.known import Known
from cti.adapters.web.ports import Settings, Store, User
from cti.adapters.web.problems import Problem
from cti.errors import Unavailable

COOKIE = "cti_session"
BEARER = b"bearer "  # before an API token's sha256: what is no session's is remembered apart
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_WAITING = 100  # password checks in line before we say "later"
AWAY_SECONDS = 1.0  # a database that did not answer is not asked again before
_hasher = argon2.PasswordHasher()


class Who(msgspec.Struct, frozen=True):
    """The person behind a request. `session` is the sha256 of the session's token, empty for an API token."""

    user: User
    session: bytes = b""

    @property
    def name(self) -> str:
        return self.user.name

    @property
    def is_supervisor(self) -> bool:
        return self.user.role in ("supervisor", "admin")


def sha256(token: str) -> bytes:
    """Of the bytes the client sent: what is not UTF-8 comes from aiohttp as surrogates."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Throttle:
    """Counts failed tries per key in a sliding window. Time comes with each call."""

    def __init__(self, most: int, window: float) -> None:
        self._most = most
        self._window = window
        self._tries: dict[Any, deque[float]] = {}

    def wait(self, key: Any, now: float) -> float:
        """Seconds until this key may try again; 0 when it may now."""
        tries = self._tries.get(key)
        while tries and tries[0] <= now - self._window:
            tries.popleft()
        if not tries:
            self._tries.pop(key, None)
            return 0.0
        return tries[0] + self._window - now if len(tries) >= self._most else 0.0

    def failed(self, key: Any, now: float) -> None:
        if len(self._tries) > 20_000:
            for other in list(self._tries):
                self.wait(other, now)
        self._tries.setdefault(key, deque()).append(now)

    def take_back(self, key: Any) -> None:
        """The last try was none: it could not be checked."""
        if self._tries.get(key):
            self._tries[key].pop()

    def forget(self, key: Any) -> None:
        self._tries.pop(key, None)


class Passwords:
    """Argon2id checks off the loop, two at a time; an unknown name costs the same time as a known one."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2, "argon2")
        self._waiting = 0
        self._nobody = ""

    async def check(self, user: User | None, password: str) -> bool:
        """Whether this is the user's password. Raises Problem 503 when too many are waiting."""
        if self._waiting >= MAX_WAITING:
            raise Problem(503, "too many people log in at once", "busy", {"Retry-After": "2"})
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._verify, user, password)
        finally:
            self._waiting -= 1

    def _verify(self, user: User | None, password: str) -> bool:
        self._nobody = self._nobody or _hasher.hash(secrets.token_hex())
        known = (user.password_hash or None) if user is not None and not user.disabled else None
        try:
            return _hasher.verify(known or self._nobody, password) and known is not None
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False

    def close(self) -> None:
        self._pool.shutdown(wait=False)


class Auth:
    """Logs people in and out and tells who a request is from."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._passwords = Passwords()
        self._pairs = Throttle(10, 300.0)  # one name from one address
        self._addresses = Throttle(60, 300.0)  # any name from one address
        self._known = Known()
        self._away_until = 0.0

    async def login(self, name: str, password: str, ip: str) -> tuple[str, User]:
        """A new session's token. Raises Problem 401 or 429. Never says whether the name exists."""
        key = (name.casefold(), ip)
        self._guard(key, ip)
        try:
            user = await self._store.user_by_name(name)
            right = await self._passwords.check(user, password)
        except BaseException:
            self._pairs.take_back(key)
            raise
        if not right or user is None:
            self._addresses.failed(ip, time.monotonic())
            raise Problem(401, "the name or the password is wrong", "bad_login")
        self._pairs.forget(key)
        token = secrets.token_urlsafe(32)
        expires_at = time.time() + min(self._settings.idle_seconds, self._settings.session_seconds)
        await self._store.session_create(user.user_id, sha256(token), ip, expires_at)
        return token, user

    def _guard(self, key: tuple[str, str], ip: str) -> None:
        now = time.monotonic()
        wait = max(self._pairs.wait(key, now), self._addresses.wait(ip, now))
        if wait > 0:
            raise Problem(429, "too many failed tries", headers={"Retry-After": str(math.ceil(wait))})
        self._pairs.failed(key, now)  # counted before it is checked, so that many at once are no way around

    async def logout(self, session: bytes) -> None:
        """It ends here and now; its row goes, if the database can be reached, else when it was not used for long."""
        self._known.end(session)
        with contextlib.suppress(Unavailable):
            await self._store.session_delete(session)

    async def who(self, request: web.Request) -> Who | None:
        """The person of an Authorization header, else of the cookie; None without either or when it is void.

        A bearer header that is wrong is not rescued by a cookie."""
        if "Authorization" in request.headers:
            scheme, _, token = request.headers["Authorization"].partition(" ")
            if scheme.lower() != "bearer":
                return None
            user = await self._user(sha256(token.strip()), self._store.token_user, BEARER)
            return Who(user) if user is not None else None
        token = request.cookies.get(COOKIE, "")
        return await self.of_session(sha256(token)) if token else None

    async def of_session(self, session: bytes) -> Who | None:
        """The person of a session; using it keeps it alive, and its row is told so at most once a minute."""
        user = await self._user(session, self._store.session_user)
        if user is None:
            return None
        idle = self._settings.idle_seconds
        if self._known.touch_due(session, time.monotonic(), min(60.0, idle / 10)):
            with contextlib.suppress(Unavailable):
                await self._store.session_touch(session, time.time() + idle, self._settings.session_seconds)
        return Who(user, session)

    async def _user(
        self, token: bytes, ask: Callable[[bytes], Awaitable[User | None]], kind: bytes = b""
    ) -> User | None:
        """The database's answer; what it said before, while it is away. Raises Unavailable."""
        key = kind + token
        if self._known.has_ended(key):
            return None
        now = time.monotonic()
        if now < self._away_until and (user := self._known.recall(key, now)) is not None:
            return user
        try:
            user = await ask(token)
        except Unavailable:
            self._away_until = time.monotonic() + AWAY_SECONDS
            if (user := self._known.recall(key, time.monotonic())) is None:
                raise
            return user
        if user is None or user.disabled:
            if self._known.forget(key):  # expired, or ended elsewhere
                await self.logout(key)
            return None
        if self._known.has_ended(key):  # while we asked
            return None
        self._known.confirm(key, user, time.monotonic())
        return user

    def close(self) -> None:
        self._passwords.close()


def same_origin(request: web.Request, *, required: bool) -> bool:
    """Whether the browser says that our own page sent this. `required`: saying nothing is a no."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return not required
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == request.host.lower()


def check_csrf(request: web.Request, who: Who | None) -> None:
    """Raises Problem 403 for an unsafe request that another site could have caused."""
    if request.method in SAFE or "Authorization" in request.headers:
        return
    if not same_origin(request, required=False):
        raise Problem(403, "the request comes from another site", "csrf")
    if who is not None and "X-CSRF" not in request.headers:
        raise Problem(403, "send the header X-CSRF: 1 with a session cookie", "csrf")
