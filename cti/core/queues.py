"""What queues.yaml says, and which agents fit: times in seconds, levels 1 to 9 (0: not needed).

needs      skill levels an agent must have, all of them: {english: 3}
any        alternatives, one of which is enough: {any: [{english: 3}, {dutch: 1}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Levels = tuple[tuple[str, int], ...]  # sorted by skill, levels 1 to 9
ANY = "any"  # no skill may be called so
PRIORITIES = (-1000, 1000)


class Requirement(msgspec.Struct, frozen=True):
    """What an agent must have: all of `needs`, and of each group in `any` one alternative; or all of one of `also`.
    Hashable."""

    needs: Levels = ()
    any: tuple[tuple[Levels, ...], ...] = ()
    also: tuple[Levels, ...] = ()


class Relax(msgspec.Struct, frozen=True):
    """After so many seconds of waiting: only these levels (0: not needed), agents with these skills too, or any."""

    after: float
    skills: dict[str, int] = {}
    also: dict[str, int] = {}
    any_agent: bool = False


class ServiceLevel(msgspec.Struct, frozen=True):
    percent: int = 80
    within: float = 20.0


class Announce(msgspec.Struct, frozen=True):
    """What a waiting caller is told, `every` so many seconds, the first time after `first`. `texts` (by language) and
    `names` (of prompts) are said each time besides."""

    position: bool = False
    wait: bool = False
    every: float = 60.0
    first: float = 15.0
    texts: dict[str, str] = {}
    names: tuple[str, ...] = ()

    @property
    def speaks(self) -> bool:
        return bool(self.position or self.wait or self.texts or self.names)


class Overflow(msgspec.Struct, frozen=True):
    """When a caller does not wait (any longer). wait: new callers whose expected wait is longer leave with `full`;
    ratio: likewise when more callers wait for each agent signed on; 0: no such limit. no_agents: seconds after which
    they leave with `no_agents` while nobody is signed on who could ever serve them; None: they wait.
    closing: those who wait leave with `closed` when the queue's calendar closes; else they are served."""

    wait: float = 0.0
    ratio: float = 0.0
    no_agents: float | None = None
    closing: bool = False


class Raise(msgspec.Struct, frozen=True):
    """A rule that makes a caller's priority higher (or lower) by so much when it holds; `when` is an expression."""

    when: Any
    by: int


class Capacity(msgspec.Struct, frozen=True):
    """At most so many of the queue's calls are with agents at once, while the calendar is open; empty: at all times.
    The first that holds counts."""

    calls: int
    calendar: str = ""


WHISPER_MOST = 20.0  # s that a whisper may last; one that is longer is left out


class Whisper(msgspec.Struct, frozen=True):
    """What the agent hears, alone, before he is connected: in the caller's language where there is that text."""

    texts: dict[str, str] = {}
    name: str = ""  # of a prompt


class CallbackRules(msgspec.Struct, frozen=True):
    """How those are called back who asked for it: `tries` calls, `every` so many seconds, until `expires` seconds after
    they asked; only while the calendar is open (empty: the queue's own). `ring`: seconds. `countries`: those whose
    numbers are called besides the site's own (ISO 3166 alpha-2)."""

    tries: int = 3
    every: float = 600.0
    expires: float = 86_400.0
    calendar: str = ""
    ring: float = 30.0
    countries: tuple[str, ...] = ()


class Routing(msgspec.Struct, frozen=True):
    """What holds for all queues of the site.

    aging: seconds of waiting that one point of priority is worth; 0: no waiting outweighs a higher priority.
    balance: of the first of each queue an agent takes the one who has waited longest in proportion to his queue's
    service level, not simply the first. outbound_counts: a call out makes an agent's idle time begin anew."""

    aging: float = 60.0
    balance: bool = False
    outbound_counts: bool = True


class QueueConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. `skills` None: the skill named like the queue; {}: every agent.

    idle_limit: an agent idle for longer is chosen first, whatever `agents` says (0: never). last_agent: seconds that a
    caller waits for the agent he talked to last. return_within: seconds in which who left and calls again has his place
    back. keep_idle: so many idle agents are left for callers when callbacks and campaigns are dialled."""

    name: str
    skills: dict[str, Any] | None = None
    relax: tuple[Relax, ...] = ()
    agents: str = "longest_idle"
    priority: int = 0
    service_level: ServiceLevel = ServiceLevel()
    ring: float = 15.0
    wrap_up: float = 30.0
    max_wait: float = 600.0
    max_size: int = 200
    short_abandon: float = 5.0
    recording: str = "always"
    calendar: str = ""
    announce: Announce = Announce()
    idle_limit: float = 0.0
    last_agent: float = 0.0
    raises: tuple[Raise, ...] = ()
    return_within: float = 0.0
    overflow: Overflow = Overflow()
    capacity: tuple[Capacity, ...] = ()
    keep_idle: int = 0
    music: str = ""
    whisper: Whisper = Whisper()
    callback: CallbackRules = CallbackRules()


# ---------------------------------------------------------------- matching


def required_skills(queue: QueueConfig, extra: Mapping[str, Any]) -> Requirement:
    """The queue's skills merged with a queue node's: the higher level wins, alternatives of both hold."""
    own: Mapping[str, Any] = {queue.name: 1} if queue.skills is None else queue.skills
    needs = _levels(own)
    for skill, level in _levels(extra).items():
        needs[skill] = max(level, needs.get(skill, 0))
    groups = [_group(skills[ANY]) for skills in (own, extra) if skills.get(ANY)]
    return Requirement(_frozen(needs), tuple(groups))


def asked(queue: QueueConfig, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What the queue and the queue node ask for together, as people write it: {skill: level, any: [...]}."""
    whole = required_skills(queue, extra)
    groups = [[dict(one) for one in group] for group in whole.any]
    return dict(whole.needs) | ({ANY: groups[0] if len(groups) == 1 else groups} if groups else {})


def relaxed(requirement: Requirement, step: Relax) -> Requirement:
    """What is still required after one more step. It shuts nobody out: a level that it gives counts where the skill is
    asked for, in whichever alternative, at a higher one."""
    if step.any_agent:
        return Requirement()
    return Requirement(
        _relaxed(requirement.needs, step.skills),
        tuple(tuple(_relaxed(one, step.skills) for one in group) for group in requirement.any),
        (*requirement.also, _frozen(step.also)) if step.also else requirement.also,
    )


def matches(requirement: Requirement, skills: Mapping[str, int]) -> bool:
    """Whether an agent with these levels may take the call."""
    for skill, level in requirement.needs:  # written out: this is the innermost step of routing
        if skills.get(skill, 0) < level:
            break
    else:
        if not requirement.any or all(any(_has(one, skills) for one in group) for group in requirement.any):
            return True
    return bool(requirement.also) and any(_has(one, skills) for one in requirement.also)


def _has(needs: Levels, skills: Mapping[str, int]) -> bool:
    for skill, level in needs:  # noqa: SIM110 (three times as fast)
        if skills.get(skill, 0) < level:
            return False
    return True


def _levels(skills: Mapping[str, Any]) -> dict[str, int]:
    return {skill: level for skill, level in skills.items() if skill != ANY}


def _group(alternatives: Sequence[Mapping[str, int]]) -> tuple[Levels, ...]:
    return tuple(_frozen(one) for one in alternatives)


def _frozen(levels: Mapping[str, int]) -> Levels:
    return tuple(sorted((skill, level) for skill, level in levels.items() if level > 0))


def _relaxed(needs: Levels, changed: Mapping[str, int]) -> Levels:
    return _frozen({skill: min(level, changed.get(skill, level)) for skill, level in needs})
