"""The same days through two configurations, side by side: each figure's mean over the days, and how far chance alone
may have moved it (95 %, by Student's law over the days; of the difference, day by day, which is less)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from cti.core.acd import Router
from cti.core.acd_day import Day
from cti.core.acd_days import there
from cti.core.acd_record import Handled, Record
from cti.core.acd_sim import simulate
from cti.core.acd_tally import AWAY, BUSY, IDLE, PAUSED, Outcome, Tally
from cti.core.queues import QueueConfig, Routing

Figures = dict[str, dict[str, dict[str, float | None]]]  # queues and agents: name: figure
QUEUE = ("offered", "answered", "service_level", "abandoned", "lost", "wait_mean", "wait_p50", "wait_p90", "wait_max",
         "called_back")  # fmt: skip
# Student's 97.5 % by the number of days, from two on; of more, the normal law's, and a little.
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10,
           2.09, 2.09)  # fmt: skip
AGENT = ("calls", "busy", "occupancy")


class Setup(msgspec.Struct, frozen=True):
    """A configuration. `is_open`: whether a calendar is, at a time."""

    queues: Mapping[str, QueueConfig]
    routing: Routing
    is_open: Callable[[str, float], bool]


class Estimate(msgspec.Struct, frozen=True):
    """`noise` None: of a single day it is not known."""

    mean: float
    noise: float | None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: as recorded (None: it was not), with the present configuration, with the other one."""

    recorded: float | None = None
    now: Estimate | None = None
    other: Estimate | None = None
    difference: Estimate | None = None


Table = dict[str, dict[str, dict[str, Compared]]]


def play(day: Day, setup: Setup) -> Figures:
    router = Router()
    router.is_open = setup.is_open
    if isinstance(day.handling, Handled):
        router.known((agent, queue, calls, seconds) for agent, queue, seconds, calls in day.handling.told())
    return figures(simulate(day.callers, day.shifts, setup.queues, setup.routing, day.handling, router=router))


def figures(outcome: Outcome) -> Figures:
    """Shares 0 to 1, waits of the answered and busy times in seconds. abandoned: the share who left before an agent
    came, short abandons too; lost: the share who were sent away (timeout, full, no_agents, closed, failed)."""
    queues: dict[str, dict[str, float | None]] = {}
    for name, one in outcome.queues.items():
        count, all_of = one.results.get, sum(one.results.values()) or None
        left = count("abandoned", 0) + count("short_abandon", 0)
        sent = sum(count(result, 0) for result in ("timeout", "full", "no_agents", "closed", "failed"))
        queues[name] = {
            "offered": one.offered, "answered": one.answered, "service_level": one.service_level,
            "abandoned": left / all_of if all_of else None, "lost": sent / all_of if all_of else None,
            "wait_mean": one.wait_mean, "wait_p50": one.wait_p50, "wait_p90": one.wait_p90, "wait_max": one.wait_max,
            "called_back": one.called_back,
        }  # fmt: skip
    agents = {name: dict[str, float | None](calls=one.calls, busy=one.busy, occupancy=one.occupancy)
              for name, one in outcome.agents.items()}  # fmt: skip
    return {"queues": queues, "agents": agents}


def as_recorded(record: Record, queues: Mapping[str, QueueConfig]) -> Figures:
    """What the day itself came to, by the same formulas: an agent on other calls is away for a while."""
    tally, takes_calls = Tally(queues), there(record)
    for spell in sorted(record.spells, key=lambda one: one.since):
        away = AWAY if (spell.wish, spell.work) == ("logged_out", "idle") else PAUSED
        here = IDLE if spell.work == "idle" else BUSY
        tally.becomes(spell.agent, here if takes_calls(spell) else away, spell.since)
    for agent in {spell.agent for spell in record.spells}:
        last = max((spell for spell in record.spells if spell.agent == agent), key=lambda one: one.until)
        tally.becomes(agent, AWAY, last.until)
    known = {spell.agent for spell in record.spells}
    for one in record.visits:
        tally.ended(one.call_id, one.queue, one.result, one.wait)
        if one.made:
            tally.called_back(one.queue)
        if one.served and one.agent in known:
            tally.answers(one.agent)
    return figures(tally.outcome(record.until))


def compare(recorded: Figures | None, now: Sequence[Figures], other: Sequence[Figures]) -> Table:
    """By queue and by agent, figure by figure; `other` may be empty."""
    return {
        kind: {
            name: {figure: _one(kind, name, figure, recorded, now, other) for figure in which}
            for name in sorted({name for day in (*now, *other) for name in day[kind]})
        }
        for kind, which in (("queues", QUEUE), ("agents", AGENT))
    }  # fmt: skip


def _one(
    kind: str, name: str, figure: str, recorded: Figures | None, now: Sequence[Figures], other: Sequence[Figures]
) -> Compared:
    def of(day: Figures) -> float | None:
        return day[kind].get(name, {}).get(figure)

    before, after = [of(day) for day in now], [of(day) for day in other]
    pairs = [b - a for a, b in zip(before, after, strict=False) if a is not None and b is not None]
    return Compared(
        recorded=of(recorded) if recorded else None, now=estimate(before), other=estimate(after),
        difference=estimate(pairs),
    )  # fmt: skip


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """Of those days that have the figure."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return Estimate(mean, None)
    spread = math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1)
    times = STUDENT[len(known) - 2] if len(known) - 2 < len(STUDENT) else 2.08
    return Estimate(mean, times * math.sqrt(spread / len(known)))
