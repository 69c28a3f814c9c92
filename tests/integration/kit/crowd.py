"""Many agents at once, hired without forty runs of the command line; and what the switch has now."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cti.adapters import passwords
from cti.adapters.postgres_people import NewUser
from cti.embedded import asterisk
from kit.world import World

RUNNING = re.compile(r"^0x\S+ \d+ (pbx_thread|pbx_outgoing_exec|bridge_channel_\w+) ", re.M)  # threads of channels


async def hire(world: World, stations: Mapping[str, str], skills: Mapping[str, int]) -> dict[str, str]:
    """Agents {name: station} with these skills and an API token each; the secrets of their stations.

    `boss`, a supervisor, is hired beside them to look at everybody."""
    secrets = {station: passwords.new_secret() for station in stations.values()}
    boss = [] if "boss" in world.tokens else [NewUser(name="boss", role="supervisor")]
    await world.hire(*boss, *(
        NewUser(name=name, role="agent", station=station, secret=secrets[station], skills=skills)
        for name, station in stations.items()
    ))  # fmt: skip
    await until_known(world, stations.values())
    return secrets


async def until_known(world: World, stations: Iterable[str], timeout: float = 20) -> None:
    """Until Asterisk has these stations. Raises TimeoutError."""
    wanted = set(stations)
    async with asyncio.timeout(timeout):
        while not wanted <= set(re.findall(r"^ Endpoint: +(\d+)", await _ask(world, "pjsip show endpoints"), re.M)):
            await asyncio.sleep(0.2)


async def _ask(world: World, command: str) -> str:
    return await asterisk.control(world.config, command)


async def channels(world: World) -> int:
    """How many channels the switch has now."""
    found = re.search(r"(\d+) active channel", await _ask(world, "core show channels count"))
    assert found, "Asterisk does not say how many channels it has"
    return int(found[1])


async def no_channels(world: World, timeout: float) -> None:
    """Until the switch has none but `phantoms`. Raises AssertionError with their list."""
    end = asyncio.get_running_loop().time() + timeout
    while await channels(world) > await phantoms(world):
        assert asyncio.get_running_loop().time() < end, await _ask(world, "core show channels concise")
        await asyncio.sleep(0.1)


async def phantoms(world: World) -> int:
    """Channels that have ended and stay in Asterisk's list for good (docs/operators.md, "Watching"). 0 while any thread
    runs a channel: only when none does, nothing can be behind those names."""
    found = len(re.findall(r"^Surrogate/", await _ask(world, "core show channels concise"), re.M))
    if not found or RUNNING.search(await _ask(world, "core show threads")):
        return 0
    print(f"\n{found} phantom channels in Asterisk's list")
    return found


async def agents(world: World) -> dict[str, dict[str, Any]]:
    """Every agent's row, by name."""
    found = (await world.call("GET", "/agents", "boss"))[1]["items"]
    return {row["agent"]: row for row in found}
