"""A day as it was, and the laws that it tells: how patient callers are, and how long agents take."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from cti.core.acd_day import Caller, Chance, Seconds

LEFT = ("abandoned", "short_abandon", "left", "callback")


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded wait. Seconds; `entered_at` since the epoch.

    priority    the one he had last; `moved`: not the one he came with. raised: the rules of the queue that held for him
    max_wait    that he came with; None: not known
    made        of one who left for a callback and was reached: the call that was made for him; `agent`, `ringing`,
                `talk` and `wrap` are of that call, else of the answered"""

    call_id: str
    seq: int
    queue: str
    entered_at: float
    wait: float
    result: str
    agent: str = ""
    priority: int = 0
    moved: bool = False
    raised: tuple[str, ...] = ()
    max_wait: float | None = None
    prefer: str = ""
    prefer_for: float = 0.0
    prefer_why: str = "named"
    made: str = ""
    skills: dict[str, Any] = {}
    number: str = ""
    ringing: float = 0.0  # from the offer to the answer
    talk: float = 0.0
    wrap: float = 0.0

    @property
    def served(self) -> bool:
        """An agent talked to him, at once or when he was called back."""
        return self.result == "answered" or bool(self.made)


class Spell(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent wanted and did for a time."""

    agent: str
    wish: str
    work: str
    call_id: str
    since: float
    until: float
    reason: str = ""


class Record(msgspec.Struct, frozen=True):
    """A day from `since` to `until`. `skills`: of every agent, as they are now."""

    since: float
    until: float
    visits: tuple[Visit, ...]
    spells: tuple[Spell, ...]
    skills: Mapping[str, dict[str, int]]


# ---------------------------------------------------------------- patience


class Patience:
    """Of the callers of one queue: (seconds waited, whether he then left)."""

    def __init__(self, waits: Iterable[tuple[float, bool]]) -> None:
        ordered = sorted(waits)
        self.times: list[float] = []  # at which somebody left
        self.stay: list[float] = []  # the share still there after it
        share, gone = 1.0, 0
        for n, (seconds, left) in enumerate(ordered):
            if left:
                gone += 1
                share *= 1 - 1 / (len(ordered) - n)
                self.times.append(seconds)
                self.stay.append(share)
        waited = math.fsum(seconds for seconds, _ in ordered)
        self.rate = gone / waited if waited else 0.0  # of leaving, a second

    def draw(self, beyond: float, chance: Chance) -> float:
        """How patient somebody is who has waited so long already. Infinite where nobody left."""
        known = bisect_right(self.times, beyond)
        share = (1 - chance()) * (self.stay[known - 1] if known else 1.0)
        for n in range(known, len(self.times)):
            if self.stay[n] < share:
                return self.times[n]
        least = self.stay[-1] if self.stay else 1.0
        if not self.rate or share <= 0:
            return math.inf
        begin = max(beyond, self.times[-1] if self.times else 0.0)
        return begin + math.log(max(1.0, least / share)) / self.rate


# ---------------------------------------------------------------- handling


class Handled:
    """How long agents take: by agent and queue, in order, talk and wrap-up together first."""

    def __init__(self, visits: Iterable[Visit]) -> None:
        self._by: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
        for one in visits:
            if one.served:
                for agent in (one.agent, ""):
                    self._by.setdefault((agent, one.queue), []).append((one.talk + one.wrap, one.talk, one.wrap))
        for known in self._by.values():
            known.sort()

    def told(self) -> Iterator[tuple[str, str, float, int]]:
        """(agent, queue, seconds of all calls, calls)"""
        for (agent, queue), known in sorted(self._by.items()):
            if agent:
                yield agent, queue, math.fsum(seconds for seconds, _, _ in known), len(known)

    def rank(self, one: Visit) -> float:
        known = self._by[one.agent, one.queue]
        return (bisect_left(known, (one.talk + one.wrap, one.talk, one.wrap)) + 0.5) / len(known)

    def __call__(self, caller: Caller, agent: str) -> Seconds:
        known = self._by.get((agent, caller.queue)) or self._by.get(("", caller.queue))
        if not known:
            return 0.0, 0.0
        _, talk, wrap = known[min(len(known) - 1, int(caller.luck * len(known)))]
        return talk, wrap
