"""New callers' numbers, and new agents with registered phones for as long as a block lasts."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cti.adapters.postgres_people import NewUser
from kit.people import Agent
from kit.world import World


def new_number() -> str:
    """A caller nobody else is, in E.164."""
    return f"+62812{uuid.uuid4().int % 10**8:08d}"


def new_agent(skills: dict[str, int], **more: Any) -> NewUser:
    """Whose name and station nobody else has."""
    word = uuid.uuid4()
    return NewUser(name=f"crew{word.hex[:8]}", role="agent", station=f"5{word.int % 10**6:06d}", secret=word.hex,
                   skills=skills, **more)  # fmt: skip


async def supervisor(world: World, **more: Any) -> str:
    """A new one's name."""
    user = NewUser(name=f"sup{uuid.uuid4().hex[:8]}", role="supervisor", **more)
    await world.hire(user)
    return user.name


@asynccontextmanager
async def hired(world: World, *users: NewUser, **treat: Any) -> AsyncIterator[dict[str, Agent]]:
    """These agents by name, at registered phones that treat calls so; signed off afterwards."""
    await world.hire(*users)
    phones = {user.name: Agent(world.sip, user.station or "", user.secret, **treat) for user in users}
    try:
        await asyncio.gather(*(phone.start() for phone in phones.values()))
        yield phones
    finally:
        await world.serves()
        for name in phones:
            await world.call("PUT", f"/agents/{name}/state", name, {"state": "logged_out"})
        await asyncio.gather(*(phone.stop() for phone in phones.values()))


@asynccontextmanager
async def crew(world: World, count: int, skill: str = "sales", **treat: Any) -> AsyncIterator[dict[str, Agent]]:
    """New agents by name, ready one after the other."""
    async with hired(world, *(new_agent({skill: 5}) for _ in range(count)), **treat) as phones:
        for name, phone in phones.items():
            await world.ready(name, phone.phone.number)
        yield phones


@asynccontextmanager
async def at_work(world: World, skill: str = "sales", *, ready: bool = True, level: int = 5, **treat: Any
                  ) -> AsyncIterator[tuple[str, Agent]]:  # fmt: skip
    """One new agent and his phone; `ready` False: he has not signed on yet."""
    async with hired(world, new_agent({skill: level}), **treat) as phones:
        ((name, phone),) = phones.items()
        if ready:
            await world.ready(name, phone.phone.number)
        yield name, phone
