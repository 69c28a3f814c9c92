"""Digits that must be seen nowhere: a card, a PIN. They live here, in memory, and nowhere else.

A flow, an event, a log line knows of them only what `put` gives back. Who sends them on (a payment, a PIN check)
takes them with `get` at that moment. They go when the call ends, and after LONGEST in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from cti.core.ivr.sealing import sealed
from cti.core.messages import Sealed

LONGEST = 15 * 60.0  # seconds


class _Kept(NamedTuple):
    digits: str
    at: float


class Vault:
    """Of one process. `now` gives seconds since the epoch, as the `at` of `put`."""

    __slots__ = ("_kept", "_now")

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._kept: dict[str, dict[str, _Kept]] = {}
        self._now = now

    def put(self, uniqueid: str, name: str, digits: str, at: float) -> Sealed:
        """Keep what the caller of this channel has pressed; a second one of a name replaces the first."""
        self._drop_old(at)
        self._kept.setdefault(uniqueid, {})[name] = _Kept(digits, at)
        return sealed(name, digits)

    def get(self, uniqueid: str, name: str) -> str | None:
        """The digits, or None when there are none (any more)."""
        self._drop_old(self._now())
        kept = self._kept.get(uniqueid, {}).get(name)
        return kept.digits if kept else None

    def forget(self, uniqueid: str, name: str = "") -> None:
        """All of a channel, or what has that name."""
        if name:
            self._kept.get(uniqueid, {}).pop(name, None)
        else:
            self._kept.pop(uniqueid, None)
        self._drop_old(self._now())

    def _drop_old(self, now: float) -> None:
        for uniqueid, names in list(self._kept.items()):
            for name in [name for name, kept in names.items() if now - kept.at > LONGEST]:
                del names[name]
            if not names:
                del self._kept[uniqueid]

    def __repr__(self) -> str:
        return "<Vault>"

    def __reduce__(self) -> str:
        raise TypeError("a vault is not copied")
