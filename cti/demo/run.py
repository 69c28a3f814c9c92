"""The demo's simulated people: four agents, a caller every five seconds, and the newcomer's phone.

One process, one event loop. Nothing here ends because a part is away: each loop starts again.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml

from cti.config import Config
from cti.demo import seed, voices
from cti.demo.call import Call
from cti.demo.data import PEOPLE, SIMULATED, STAFF, YOU, Customer, customers
from cti.demo.phone import Phone
from cti.demo.voices import Voices
from cti.embedded import http

log = logging.getLogger(__name__)
EVERY = 5.0  # seconds between callers
OPENING = 15.0  # the first talks are short, so that a newcomer soon sees a whole call and hears a recording
KEY_AFTER = (3.5, 4.5)  # seconds; once: it counts during the greeting too, and while waiting it would mean a callback
PICK_UP_WAIT = 3.0  # how long a pick_up may run ahead of its INVITE


class Stage:
    """What the people share. `talking`: the numbers of the callers who have an agent on the line."""

    def __init__(self, config: Config, sounds: Voices, stations: dict[str, str], tokens: dict[str, str]) -> None:
        self.sip = (config.sip.host, config.sip.port)
        self.url = http.url(config)
        self.sounds, self.stations, self.tokens = sounds, stations, tokens
        self.numbers = dialled(config.paths.flows)
        self.talking: set[str] = set()
        self.began = time.monotonic()

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}"}


async def run(config: Config) -> None:
    """Seed when needed, then simulate until cancelled. Raises BadInput, Unavailable when it cannot begin."""
    await seed.seed(config)
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


def dialled(flows: Path) -> dict[str, str]:
    """Language -> the number to dial, from numbers.yaml; "" -> the one for all others, 6000 without a file."""
    try:
        numbers = yaml.safe_load((flows / "numbers.yaml").read_text(encoding="utf-8"))["numbers"]
        speaks = {to.get("language", "") if isinstance(to, dict) else "": n for n, to in numbers.items()}
        return {"": str(next(iter(numbers)))} | {language: str(number) for language, number in speaks.items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration):
        return {"": "6000"}


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
        await _talk(stage, call, random.uniform(5, 7) if opening else random.uniform(6, 16))


async def _talk(stage: Stage, call: Call, seconds: float) -> None:
    number = digits(call.caller)
    stage.talking.add(number)
    try:
        await asyncio.wait_for(call.ended.wait(), seconds)
    except TimeoutError:
        call.hang_up()
    finally:
        stage.talking.discard(number)


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
    await _talk(stage, call, 3600)


# ---------------------------------------------------------------- callers


async def callers(stage: Stage) -> None:
    """One more every five seconds, as long as the switch is there."""
    phone = Phone(stage.sip, "demo", host=stage.sip[0])
    await phone.open()
    people = customers()
    random.shuffle(people)
    people.sort(key=lambda one: one.language == "en", reverse=True)  # the shortest greeting comes first
    people[1:] = random.sample(people[1:], len(people) - 1)
    try:
        for customer in itertools.cycle(people):
            phone.spawn(call_in(stage, phone, customer))
            await asyncio.sleep(EVERY)
    finally:
        await phone.close()


async def call_in(stage: Stage, phone: Phone, customer: Customer) -> None:
    """One caller: listens, presses 1 or 2 (some nothing, some leave), waits, talks."""
    call = phone.dial(
        stage.numbers.get(customer.language, stage.numbers[""]),
        caller=customer.numbers[0],
        name=customer.name,
        audio=stage.sounds.caller[customer.language],
    )
    answered = asyncio.ensure_future(call.answered.wait())
    ended = asyncio.ensure_future(call.ended.wait())
    try:
        await asyncio.wait((answered, ended), timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if not call.ended.is_set():
            await _wait_and_leave(stage, call, digits(customer.numbers[0]))
    finally:
        answered.cancel()
        ended.cancel()


async def _wait_and_leave(stage: Stage, call: Call, number: str) -> None:
    mood = random.random()
    key = random.choice("112")
    if mood > 0.05:
        await asyncio.sleep(random.uniform(*KEY_AFTER))
        if not call.ended.is_set():
            call.press(key)
    patience = random.uniform(1, 12) if mood < 0.12 else random.uniform(60, 120)
    while not call.ended.is_set():
        try:
            await asyncio.wait_for(call.ended.wait(), patience)
        except TimeoutError:
            if number not in stage.talking:
                call.hang_up()
                return
            patience = 60.0


def digits(text: str) -> str:
    """Only the digits, so that numbers compare however they are written."""
    return "".join(c for c in text if c.isdigit())
