"""Calls whose end nobody told."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from cti import lost
from cti.core.messages import ChannelGone
from tests.core.office import Office


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost, "EVERY", 0.01)
    monkeypatch.setattr(lost, "AGAIN", 0.01)


async def test_what_the_switch_has_twice_not_got_is_over() -> None:
    office = Office()
    stays, hides, gone = (office.waiting_caller(f"081200000{n}") for n in range(3))
    everything = frozenset({stays.uniqueid, hides.uniqueid, gone.uniqueid})
    answers = [None, everything, everything - {gone.uniqueid, hides.uniqueid}]
    said: list[ChannelGone] = []
    told = asyncio.Event()

    async def channels() -> frozenset[str] | None:
        return answers.pop(0) if answers else everything - {gone.uniqueid}

    def submit(fact: ChannelGone) -> None:
        said.append(fact)
        office.do(fact)
        told.set()

    task = asyncio.create_task(lost.end_lost(office.board.calls, channels, submit, lambda: office.at + 60))
    await asyncio.wait_for(told.wait(), 5)
    await asyncio.sleep(0.1)
    task.cancel()
    assert [fact.uniqueid for fact in said] == [gone.uniqueid]
    assert office.last("call.ended").call_id == gone.call_id


async def test_the_mark_tells_until_when_the_switch_was_alive(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    assert lost.alive_until(file) == 0.0
    task = asyncio.create_task(lost.keep_alive_mark(file, lambda: True))
    async with asyncio.timeout(5):
        while not file.exists():
            await asyncio.sleep(0.01)
    task.cancel()
    os.utime(file, (1_800_000_000, 1_800_000_000))
    assert lost.alive_until(file) == 1_800_000_000
    away = asyncio.create_task(lost.keep_alive_mark(tmp_path / "nowhere/alive", lambda: True))
    await asyncio.sleep(0.05)
    assert not away.done()
    away.cancel()
    dead = asyncio.create_task(lost.keep_alive_mark(file, lambda: False))
    await asyncio.sleep(0.05)
    dead.cancel()
    assert lost.alive_until(file) == 1_800_000_000
