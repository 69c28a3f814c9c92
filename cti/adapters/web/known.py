"""What the database said of each token, for the minutes in which it is away.

Agents go on working then: their calls do. A token is good for `FRESH` seconds after it was last shown, and
never for more than `LONGEST` after the database confirmed it. What ended here stays ended.
"""

from __future__ import annotations

import msgspec

from cti.adapters.web.ports import User

FRESH = 60.0
LONGEST = 1800.0
MOST = 50_000  # tokens remembered


class _Confirmed(msgspec.Struct):
    user: User
    at: float
    shown: float
    touched: float  # when its row was last told that it is in use


class Known:
    """Tokens by their sha256. Times are monotonic and come with each call."""

    def __init__(self) -> None:
        self._confirmed: dict[bytes, _Confirmed] = {}
        self._ended: dict[bytes, None] = {}

    def confirm(self, key: bytes, user: User, now: float) -> None:
        old = self._confirmed.get(key)
        if len(self._confirmed) >= MOST and old is None:
            self._confirmed.clear()
        self._confirmed[key] = _Confirmed(user, now, now, old.touched if old else now)

    def recall(self, key: bytes, now: float) -> User | None:
        """Who it was, while the database cannot say."""
        found = self._confirmed.get(key)
        if found is None or now - found.shown > FRESH or now - found.at > LONGEST:
            return None
        found.shown = now
        return found.user

    def forget(self, key: bytes) -> bool:
        """Whether it was known."""
        return self._confirmed.pop(key, None) is not None

    def end(self, key: bytes) -> None:
        """It is over, whatever the database still says."""
        self._confirmed.pop(key, None)
        self._ended[key] = None
        if len(self._ended) > MOST:
            del self._ended[next(iter(self._ended))]

    def has_ended(self, key: bytes) -> bool:
        return key in self._ended

    def touch_due(self, key: bytes, now: float, every: float) -> bool:
        """Whether the row should be told again that its session is in use; it then counts as told."""
        found = self._confirmed.get(key)
        if found is None or now - found.touched < every:
            return False
        found.touched = now
        return True
