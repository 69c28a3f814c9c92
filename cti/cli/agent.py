"""`cti agent`: who takes calls, and what he can do."""

from __future__ import annotations

import argparse

from cti.adapters import postgres_people
from cti.adapters.postgres import Store
from cti.cli import database, decision, live, options
from cti.cli.user import skill_of
from cti.core.messages import AgentInfo


def register(sub: database.Subparsers) -> None:
    verbs = database.noun(sub, "agent", "who takes calls")
    database.verb(verbs, "list", "all agents with station and skills", _list, True)
    skill = database.verb(verbs, "skill", "set skills; level 0 takes one away; live at once", _skill)
    skill.add_argument("agent", metavar="NAME")
    why = database.verb(verbs, "why", "why an agent has no call though others wait; live", _why, True)
    why.add_argument("agent", metavar="NAME")
    skill.add_argument("skills", nargs="+", metavar="SKILL=LEVEL")


def _list(args: argparse.Namespace) -> int:
    async def work(store: Store) -> tuple[AgentInfo, ...]:
        return (await store.load_people())[0]

    agents = database.run(args, work)
    if args.json:
        options.print_json(
            [{"agent": a.agent, "name": a.name, "station": a.station or None, "skills": a.skills} for a in agents]
        )
        return 0
    rows = [(a.agent, a.station, a.name, " ".join(f"{k}={v}" for k, v in sorted(a.skills.items()))) for a in agents]
    print(database.table(["agent", "station", "name", "skills"], rows))
    return 0


def _skill(args: argparse.Namespace) -> int:
    wanted = dict(skill_of(text) for text in args.skills)

    async def work(store: Store) -> None:
        for skill, level in wanted.items():
            postgres_people.check_skill(skill, level or 1)
        for skill, level in wanted.items():
            await postgres_people.set_skill(store, args.agent, skill, level)
        await store.audit(database.actor(), "agent.skills_set", args.agent, wanted)

    database.run(args, work)
    print(f"{args.agent}: " + " ".join(f"{skill}={level}" for skill, level in wanted.items()))
    return 0


def _why(args: argparse.Namespace) -> int:
    said = live.ask(args, f"/api/v1/agents/{live.quoted(args.agent)}/why", f"there is no agent {args.agent}")
    return live.show(args, said, decision.of_agent)
