"""What a simulated day came to, by queue and by agent."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

import msgspec

from cti.core.queues import QueueConfig
from cti.core.stats import WITHIN, QueueFigures, Stats, VisitSums

AWAY, PAUSED, IDLE, BUSY = "away", "paused", "idle", "busy"  # what an agent does


class QueueOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Waits in seconds, None where nobody was answered; `wait_all` is the mean of all visits, the others are of those
    who were answered. `service_level` and `offered` as core.stats counts them; `called_back`: callbacks made."""

    offered: int
    answered: int
    results: Mapping[str, int]
    service_level: float | None
    wait_all: float | None
    wait_mean: float | None
    wait_p50: float | None
    wait_p90: float | None
    wait_p99: float | None
    wait_max: float | None
    called_back: int = 0


class AgentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; `busy`: phone ringing, talk and wrap-up; `occupancy`: busy / (busy + idle), None when he was neither."""

    calls: int
    busy: float
    idle: float
    paused: float
    occupancy: float | None


class Outcome(msgspec.Struct, frozen=True):
    queues: Mapping[str, QueueOutcome]
    agents: Mapping[str, AgentOutcome]


class _Waits:
    """One queue's: by result how many and how long together; the answered one by one."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.longest: dict[str, float] = {}
        self.answered = array("d")
        self.called_back = 0


class _Hours:
    """One agent's."""

    def __init__(self) -> None:
        self.calls = 0
        self.state, self.since = AWAY, 0.0
        self.seconds = dict.fromkeys((AWAY, PAUSED, IDLE, BUSY), 0.0)


class Tally:
    """Told of everything as it happens, in order of time."""

    def __init__(self, queues: Mapping[str, QueueConfig]) -> None:
        self._within = {name: queue.service_level.within for name, queue in queues.items()}
        self._queues = {name: _Waits() for name in queues}
        self._agents: dict[str, _Hours] = {}

    def ended(self, key: str, queue: str, result: str, waited: float) -> None:
        waits = self._queues.setdefault(queue, _Waits())
        waits.counts[result] = waits.counts.get(result, 0) + 1
        waits.seconds[result] = waits.seconds.get(result, 0.0) + waited
        waits.longest[result] = max(waits.longest.get(result, 0.0), waited)
        if result == "answered":
            waits.answered.append(waited)

    def called_back(self, queue: str) -> None:
        self._queues[queue].called_back += 1

    def answers(self, agent: str) -> None:
        self._agents[agent].calls += 1

    def becomes(self, agent: str, state: str, at: float) -> None:
        hours = self._agents.setdefault(agent, _Hours())
        hours.seconds[hours.state] += at - hours.since
        hours.state, hours.since = state, at

    def outcome(self, at: float) -> Outcome:
        for agent, hours in self._agents.items():
            self.becomes(agent, hours.state, at)
        queues = {name: self._queue(name, waits) for name, waits in self._queues.items()}
        return Outcome(queues, {name: _agent(hours) for name, hours in sorted(self._agents.items())})

    def _queue(self, name: str, waits: _Waits) -> QueueOutcome:
        answered = sorted(waits.answered)
        figures = self._stats(name, waits)
        visits = sum(waits.counts.values())
        return QueueOutcome(
            offered=figures.offered, answered=figures.answered, results=figures.results,
            service_level=figures.service_level, wait_mean=figures.speed_of_answer,
            wait_all=sum(waits.seconds.values()) / visits if visits else None,
            wait_p50=quantile(answered, 0.5), wait_p90=quantile(answered, 0.9), wait_p99=quantile(answered, 0.99),
            wait_max=answered[-1] if answered else None, called_back=waits.called_back,
        )  # fmt: skip

    def _stats(self, name: str, waits: _Waits) -> QueueFigures:
        """By the wallboard's own formulas."""
        stats = Stats()
        within = sum(wait <= self._within.get(name, WITHIN) for wait in waits.answered)
        stats.add(
            [
                VisitSums(name, result, count, waits.seconds[result], waits.longest[result],
                          within if result == "answered" else 0)
                for result, count in waits.counts.items()
            ],
            (),
        )  # fmt: skip
        return stats.queue(name, 0.0)


def quantile(ordered: Sequence[float], part: float) -> float | None:
    """The smallest value that so many of them do not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None


def _agent(hours: _Hours) -> AgentOutcome:
    busy, idle = hours.seconds[BUSY], hours.seconds[IDLE]
    return AgentOutcome(calls=hours.calls, busy=busy, idle=idle, paused=hours.seconds[PAUSED],
                        occupancy=busy / (busy + idle) if busy + idle else None)  # fmt: skip
