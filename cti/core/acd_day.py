"""What a day in the queues is made of: who calls when and how patient he is, who works when."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

Seconds = tuple[float, float]  # of talk, of wrap-up


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who enters a queue `at` a time (seconds since any moment).

    patience    seconds after which he leaves the queue, as `leaves` says: abandoned, left (another key) or callback
                (he keeps his place and is called back)
    number      who he is: one who left and calls again within the queue's `return_within` has his place back
    reached     of one who leaves for a callback: he is called back at his turn
    max_wait    instead of the queue's
    luck        0 to 1: where this call's handling stands among those of whoever takes it
    then        where he goes on, its `at` being seconds after he left this queue; after an answered wait with
                `after_talk`, else when he was sent away"""

    key: str
    at: float
    queue: str
    skills: dict[str, Any] = {}
    priority: int = 0
    number: str = ""
    patience: float = math.inf
    leaves: str = "abandoned"
    reached: bool = True
    max_wait: float | None = None
    luck: float = 0.5
    prefer: str = ""
    prefer_for: float = 0.0
    prefer_why: str = "named"
    then: Caller | None = None
    after_talk: bool = False


class Miss(msgspec.Struct, frozen=True):
    """For a time an agent counts as ready and is not there, or turns calls down: one that he is offered rings so long
    (at most as long as the queue rings), and then he is not ready until the end of it."""

    since: float
    until: float
    rings: float


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's day: when he is signed on, and when he takes no calls meanwhile."""

    agent: str
    skills: dict[str, int]
    spans: tuple[tuple[float, float], ...]
    breaks: tuple[tuple[float, float], ...] = ()
    misses: tuple[Miss, ...] = ()
    answer: float = 0.0  # seconds until he picks up


Handling = Callable[[Caller, str], Seconds]  # how long an agent takes for a caller
Chance = Callable[[], float]  # the next number from 0 to 1


class Day(msgspec.Struct, frozen=True):
    callers: Sequence[Caller]
    shifts: Sequence[Shift]
    handling: Handling
