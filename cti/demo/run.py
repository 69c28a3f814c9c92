"""The demo's simulated people: four agents, a caller every five seconds, those who are called back, and the newcomer's
phone.

One process, one event loop. Nothing here ends because a part is away: each loop starts again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec

from cti.config import Config
from cti.demo import seed, voices
from cti.demo.call import Call
from cti.demo.callers import callers
from cti.demo.data import PEOPLE, SIMULATED, STAFF, YOU
from cti.demo.phone import Phone
from cti.demo.stage import Stage, talk

log = logging.getLogger(__name__)
OPENING = 15.0  # the first talks are short, so that a newcomer soon sees a whole call and hears a recording
OPEN_FOR = timedelta(days=1)
PICK_UP_WAIT = 3.0  # how long a pick_up may run ahead of its INVITE


async def run(config: Config) -> None:
    """Seed when needed, then simulate until cancelled. Raises BadInput, Unavailable when it cannot begin."""
    await seed.seed(config)
    await hold_open(config)
    stations, tokens = await credentials(config)
    stage = Stage(config, await voices.load(config.paths.sounds / "demo-voices"), stations, tokens)
    timeout = aiohttp.ClientTimeout(total=10, sock_read=None)
    async with aiohttp.ClientSession(stage.url, timeout=timeout) as http, asyncio.TaskGroup() as people:
        for agent in SIMULATED:
            people.create_task(agent_phone(stage, agent.station, agent.language))
        people.create_task(for_ever("agents", lambda: tend_agents(stage, http)))
        people.create_task(newcomer(stage, http))
        people.create_task(callers(stage))


async def for_ever(name: str, work: Callable[[], Awaitable[None]], pause: float = 2.0) -> None:
    """Run it again and again, whatever happens; a new kind of failure is said once."""
    said = ""
    while True:
        try:
            await work()
            said = ""
        except Exception as e:
            text = f"{type(e).__name__}: {e}"
            if text != said:
                log.warning("demo %s: %s; trying again", name, text)
            said = text
            await asyncio.sleep(pause)


async def credentials(config: Config) -> tuple[dict[str, str], dict[str, str]]:
    """Secrets of the stations, and a fresh API token for each user (number or name -> secret)."""
    link = await seed.connect(config.postgres.dsn)
    try:
        rows = await link.fetch("SELECT number, secret FROM crm.stations")
        tokens = {p.name: secrets.token_urlsafe(32) for p in PEOPLE}
        for name, token in tokens.items():
            await link.execute(
                "INSERT INTO crm.api_tokens (token_sha256, user_id, expires_at)"
                " SELECT $1, user_id, now() + interval '30 days' FROM crm.users WHERE name = $2",
                hashlib.sha256(token.encode()).digest(),
                name,
            )
        await link.execute("DELETE FROM crm.api_tokens WHERE expires_at < now()")
    finally:
        await link.close()
    return {row["number"]: row["secret"] for row in rows}, tokens


async def hold_open(config: Config) -> None:
    """Newcomers come at any hour, and callbacks are made while the office is open. What somebody has set by hand
    stays."""
    link = await seed.connect(config.postgres.dsn)
    try:
        await link.execute(
            "INSERT INTO crm.calendar_switches AS s (calendar, state, until, by)"
            " VALUES ('office', 'open', now() + $1, 'demo') ON CONFLICT (calendar) DO UPDATE"
            " SET (state, until, by, at) = (EXCLUDED.state, EXCLUDED.until, EXCLUDED.by, now())"
            " WHERE s.until < now() OR s.by = 'demo'",
            OPEN_FOR,
        )
    finally:
        await link.close()


# ---------------------------------------------------------------- agents


async def agent_phone(stage: Stage, station: str, language: str) -> None:
    """A desk phone that answers after 1-3 s, speaks, and hangs up after 6-16 s."""
    phone = Phone(stage.sip, station, stage.stations.get(station, ""), host=stage.sip[0])
    phone.on_call = lambda call: phone.spawn(_converse(stage, call, stage.sounds.agent[language]))
    await phone.open()
    phone.keep_registered()
    try:
        await asyncio.Event().wait()
    finally:
        await phone.close()


async def _converse(stage: Stage, call: Call, voice: bytes) -> None:
    call.ring()
    await asyncio.sleep(random.uniform(1, 3))
    call.answer(voice)
    if call.answered.is_set():
        opening = time.monotonic() < stage.began + OPENING
        await talk(stage, call, random.uniform(5, 7) if opening else random.uniform(6, 16))


async def tend_agents(stage: Stage, http: aiohttp.ClientSession) -> None:
    """Keep the simulated agents ready, but for those a supervisor gave a rest, and end their wrap-up after 2-5 s. One
    look a second."""
    simulated = {agent.name: agent for agent in SIMULATED}
    wrapping: dict[str, int] = {}
    while True:
        rows = await _get(stage, http, "/api/v1/agents")
        for row in rows:
            name = str(row.get("agent_id", ""))
            if name not in simulated:
                continue
            if row.get("work") == "wrap_up":
                wrapping[name] = wrapping.get(name, random.randint(2, 5)) - 1
                if wrapping[name] <= 0:
                    await _send(stage, http, "POST", name, "wrap-up", {"action": "finish"})
                continue
            wrapping.pop(name, None)
            rests = row.get("wish") == "not_ready" and row.get("set_by") not in (None, name)
            if row.get("wish") != "ready" and row.get("work") in ("idle", None) and not rests:
                wish = {"state": "ready", "station": simulated[name].station}
                await _send(stage, http, "PUT", name, "state", wish)
        await asyncio.sleep(1)


async def _get(stage: Stage, http: aiohttp.ClientSession, path: str) -> list[dict[str, Any]]:
    async with http.get(path, headers=stage.headers(STAFF[0].name)) as reply:
        reply.raise_for_status()
        data = msgspec.json.decode(await reply.read())
    return [row for row in data["items"] if isinstance(row, dict)]


async def _send(
    stage: Stage, http: aiohttp.ClientSession, method: str, name: str, verb: str, body: dict[str, str]
) -> None:
    """A refusal (station not registered yet, wrap-up just over) is no trouble: the next look tries again."""
    url = f"/api/v1/agents/{name}/{verb}"
    async with http.request(method, url, json=body, headers=stage.headers(name)) as reply:
        if reply.status not in (200, 204, 409):
            reply.raise_for_status()


# ---------------------------------------------------------------- the newcomer


async def newcomer(stage: Stage, http: aiohttp.ClientSession) -> None:
    """The phone of `you`: rings until the page says Answer (`pick_up` on /ws), hangs up only when told."""
    phone = Phone(stage.sip, YOU.station, stage.stations.get(YOU.station, ""), host=stage.sip[0])
    ringing: asyncio.Queue[Call] = asyncio.Queue()

    def rings(call: Call) -> None:
        call.ring()
        ringing.put_nowait(call)

    phone.on_call = rings
    await phone.open()
    phone.keep_registered()
    try:
        await for_ever("newcomer", lambda: _obey(stage, http, phone, ringing))
    finally:
        await phone.close()


async def _obey(stage: Stage, http: aiohttp.ClientSession, phone: Phone, ringing: asyncio.Queue[Call]) -> None:
    async with http.ws_connect("/ws", headers=stage.headers(YOU.name), heartbeat=15) as ws:
        await ws.send_json({"type": "phone", "data": {"station": YOU.station}})
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT and msgspec.json.decode(message.data)["type"] == "pick_up":
                phone.spawn(_pick_up(stage, ringing))
    await asyncio.sleep(1)


async def _pick_up(stage: Stage, ringing: asyncio.Queue[Call]) -> None:
    try:
        async with asyncio.timeout(PICK_UP_WAIT):
            while (call := await ringing.get()).ended.is_set():
                pass
    except TimeoutError:
        log.warning("demo newcomer: told to pick up, but nothing rings")
        return
    call.answer(stage.sounds.agent[YOU.language])
    await talk(stage, call, 3600)
