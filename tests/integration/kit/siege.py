"""Breaking parts of a home while people talk, and what must hold of all calls afterwards."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from cti.core.switchboard import AFTER_ALL  # what is learnt of a call after it was closed
from cti.embedded.supervisor import running_pid
from kit.people import Agent, Caller
from kit.sound import loudest
from kit.world import World

CHUNK = 2000  # samples, a quarter of a second
Person = Caller | Agent


# ---------------------------------------------------------------- parts


def pid(home: Path, part: str) -> int:
    """Raises AssertionError when it does not run."""
    found = running_pid(home / "pids", part)
    assert found is not None, f"{part} does not run"
    return found


def pid_or_none(home: Path, part: str) -> int | None:
    return running_pid(home / "pids", part)


def kill(home: Path, part: str, signal: int) -> int:
    """Send the signal to the part; its pid."""
    found = pid(home, part)
    os.kill(found, signal)
    return found


async def another_pid(home: Path, part: str, old: int, timeout: float = 15) -> int:
    """The pid of the part once it was started anew. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while (found := running_pid(home / "pids", part)) in (None, old):
            await asyncio.sleep(0.02)
    assert found is not None
    return found


async def logged(world: World, text: str, timeout: float = 10) -> str:
    """The first line of any log, or of what `cti up` printed, that has this text. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while True:
            lines = (world.log() + (world.path / "up.log").read_text()).splitlines()
            if found := next((line for line in lines if text in line), ""):
                return found
            await asyncio.sleep(0.1)


# ---------------------------------------------------------------- people


async def away(*callers: Caller) -> dict[str, float]:
    """All hang up (or have); when each was over, by number."""
    for caller in callers:
        if not caller.ended_by:
            caller.hang_up()
    for caller in callers:
        await caller.wait()
    return {caller.number: caller.call.at("ended") for caller in callers if caller.call is not None}


# ---------------------------------------------------------------- what they hear


def heard(one: Person) -> bytes:
    if isinstance(one, Caller):
        return one.heard
    return bytes(one.call.media.heard) if one.call.media else b""


def tones(one: Person, start: int) -> list[int]:
    """What dominated each quarter of a second since then: a tone, or 0."""
    return [loudest(piece) for piece in _pieces(one, start)]


async def until_sound(one: Person) -> None:
    """Until something is to be heard that is no silence. Raises TimeoutError."""
    async with asyncio.timeout(10):
        while len(set(heard(one)[-CHUNK:])) < 20:
            await asyncio.sleep(0.05)


def silence(one: Person, start: int) -> list[int]:
    """Which quarters of a second since then had no sound at all."""
    return [n for n, piece in enumerate(_pieces(one, start)) if len(set(piece)) < 8]


def _pieces(one: Person, start: int) -> list[bytes]:
    sound = heard(one)[start:]
    return [sound[at : at + CHUNK] for at in range(0, len(sound) - CHUNK, CHUNK)]


# ---------------------------------------------------------------- what is stored


async def visit(world: World, caller: str, timeout: float = 10) -> dict[str, Any]:
    """The caller's first queue visit, as soon as it is stored."""
    sql = (
        "SELECT v.* FROM crm.v_queue_visits v JOIN crm.v_calls c USING (call_id) WHERE c.caller = $1 ORDER BY v.seq"
    )
    return await world.row_when(sql, caller, timeout=timeout)


def seconds(row: dict[str, Any], name: str) -> float:
    """When that was."""
    value: float = row[name].timestamp()
    return value


async def over(world: World, caller: str, timeout: float = 15) -> dict[str, Any]:
    """The row of the call that has ended."""
    sql = "SELECT * FROM crm.v_calls WHERE caller = $1 AND ended_at IS NOT NULL"
    return await world.row_when(sql, caller, timeout=timeout)


async def offers(world: World, call: Any) -> list[str]:
    """Results of the call's offers, in order."""
    rows = await world.rows("SELECT result FROM crm.v_offers WHERE call_id = $1 ORDER BY offered_at", call)
    return [row["result"] for row in rows]


async def whole(world: World, calls: list[Any]) -> None:
    """What must hold of every finished call, whatever happened. Raises AssertionError."""
    events = await world.rows("SELECT call_id, seq FROM crm.v_call_events WHERE call_id = ANY($1)", calls)
    for call in calls:
        seqs = sorted(e["seq"] for e in events if e["call_id"] == call and e["seq"] < AFTER_ALL)
        assert seqs == list(range(1, len(seqs) + 1)), (call, seqs)
    rows = await world.rows("SELECT * FROM crm.v_calls WHERE call_id = ANY($1)", calls)
    assert sorted(str(r["call_id"]) for r in rows) == sorted(map(str, calls)), "not one row a call"
    visits = await world.rows("SELECT * FROM crm.v_queue_visits WHERE call_id = ANY($1)", calls)
    made = await world.rows("SELECT * FROM crm.v_offers WHERE call_id = ANY($1)", calls)
    for row in rows:
        times = [row[n] for n in ("started_at", "queued_at", "offered_at", "connected_at", "ended_at")]
        told = [t for t in times if t is not None]
        assert told == sorted(told), row
        answered = [v for v in visits if v["call_id"] == row["call_id"] and v["result"] == "answered"]
        taken = [o for o in made if o["call_id"] == row["call_id"] and o["result"] == "answered"]
        assert len(taken) == (row["outcome"] == "answered"), (row, taken)
        assert len(answered) == (len(taken) if row["direction"] == "inbound" else 0), (row, answered)
    for one in visits:
        assert one["result"] and one["left_at"] >= one["entered_at"], one
    for one in made:
        assert one["result"] and one["ended_at"] >= one["offered_at"], one


async def recorded(world: World, calls: list[Any], timeout: float = 15) -> list[dict[str, Any]]:
    """The recordings of answered calls once each has one, and one only, with its file. Raises TimeoutError."""
    sql = "SELECT * FROM crm.v_recordings WHERE call_id = ANY($1) AND bytes > 0"
    async with asyncio.timeout(timeout):
        while len(found := await world.rows(sql, calls)) < len(calls):
            await asyncio.sleep(0.1)
    assert sorted(str(r["call_id"]) for r in found) == sorted(map(str, calls))
    for row in found:
        path = world.config.paths.recordings / row["path"]
        assert path.stat().st_size == row["bytes"] and row["channels"] == 2, row
    return found
