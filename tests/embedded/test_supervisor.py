"""The supervisor, with tiny programs in the place of the parts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cti.embedded import supervisor
from cti.embedded.part import Part
from cti.embedded.places import Account
from cti.errors import Unavailable
from tests.kit_until import until

ME = Account("", os.geteuid(), os.getegid(), drop=False)


def program(tmp_path: Path, code: str, name: str = "server") -> Part:
    return Part(name, [sys.executable, "-c", code], tmp_path / f"{name}.log", ME)


@asynccontextmanager
async def running(tmp_path: Path, *parts: Part) -> AsyncIterator[tuple[dict[str, supervisor.Kept], list[str]]]:
    said: list[str] = []
    async with supervisor.running(parts, tmp_path, said.append) as kept:
        yield kept, said


SLEEP = "import time; time.sleep(600)"


async def test_a_part_that_is_killed_comes_back_within_two_seconds_and_is_said(tmp_path: Path) -> None:
    async with running(tmp_path, program(tmp_path, SLEEP)) as (kept, said):
        first = kept["server"].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: kept["server"].pid not in {None, first} and "server is back" in said, 2)
        assert any("server ended (killed by SIGKILL)" in line for line in said)
        assert supervisor.running_pid(tmp_path, "server") == kept["server"].pid
    assert supervisor.running_pid(tmp_path, "server") is None


async def test_a_part_that_keeps_ending_is_started_ever_slower(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x')"
    ready = replace(program(tmp_path, code), ready=_written(count))
    async with running(tmp_path, ready) as (_, said):
        await asyncio.sleep(2)  # the span in which the starts are counted
        assert 2 <= len(count.read_text()) <= 6
        assert said


async def test_a_part_that_cannot_come_back_is_tried_again_and_stopping_still_works(tmp_path: Path) -> None:
    script = tmp_path / "part"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{SLEEP}'\n")
    script.chmod(0o755)
    part = replace(program(tmp_path, SLEEP), argv=[str(script)])
    other = program(tmp_path, SLEEP, "redis")
    async with running(tmp_path, other, part) as (kept, said):
        pid, left = kept["server"].pid, kept["redis"].pid
        script.rename(tmp_path / "away")
        assert pid is not None and left is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: sum("No such file" in line for line in said) >= 2)
        (tmp_path / "away").rename(script)
        await until(lambda: "server is back" in said)
        script.unlink()
        os.kill(kept["server"].pid or 0, signal.SIGKILL)
        await until(lambda: sum("No such file" in line for line in said) >= 3)
    assert not Path(f"/proc/{left}").exists()


def _written(path: Path) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return path.exists()

    return ready


async def test_a_frozen_part_is_killed_and_started_again(tmp_path: Path) -> None:
    async def alive() -> bool:
        return state["alive"]

    state = {"alive": True}
    part = replace(program(tmp_path, SLEEP), alive=alive, watch_seconds=0.5)
    async with running(tmp_path, part) as (kept, said):
        first = kept["server"].pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        state["alive"] = False
        await until(lambda: any("has not answered for 0.5 s: killed" in line for line in said))
        state["alive"] = True
        await until(lambda: kept["server"].pid not in {None, first})


async def test_a_part_that_cannot_start_says_its_last_words_and_stops_the_others(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    first = program(tmp_path, SLEEP, "redis")
    second = replace(program(tmp_path, "import sys; sys.exit('no such table')"), ready=never)
    with pytest.raises(Unavailable, match="server ended at once: no such table"):
        async with running(tmp_path, first, second):
            pytest.fail("it must not start")
    assert not list(tmp_path.glob("*.json"))


async def test_parts_stop_in_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        f"def end(*_): open({str(order)!r}, 'a').write(sys.argv[1] + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    parts = []
    for name in ("postgres", "asterisk", "server"):
        part = program(tmp_path, code, name)
        log = part.log

        async def ready(log: Path = log) -> bool:
            return "up" in log.read_text()

        parts.append(replace(part, argv=[*part.argv, name], ready=ready))
    async with running(tmp_path, *parts):
        pass
    assert order.read_text().split() == ["server", "asterisk", "postgres"]


async def test_a_part_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    part = program(tmp_path, code)

    async def ready() -> bool:
        return "up" in part.log.read_text()

    async with running(tmp_path, replace(part, ready=ready, stop_seconds=0.2)) as (kept, said):
        pid = kept["server"].pid
    assert pid is not None
    assert supervisor.mark_of(pid) is None
    assert "server did not stop in 0.2 s: killed" in said


async def test_leftovers_are_stopped_but_never_a_stranger_with_the_same_pid(tmp_path: Path) -> None:
    ours, stranger = [await asyncio.create_subprocess_exec(sys.executable, "-c", SLEEP) for _ in range(2)]
    try:
        mark, other = supervisor.mark_of(ours.pid), supervisor.mark_of(stranger.pid)
        assert mark is not None
        assert other is not None
        (tmp_path / "server.json").write_bytes(msgspec.json.encode(mark))
        older = supervisor.Mark(other.pid, other.started - 1)
        (tmp_path / "redis.json").write_bytes(msgspec.json.encode(older))
        (tmp_path / "postgres.json").write_text("garbage")
        said: list[str] = []
        await asyncio.to_thread(supervisor.stop_leftovers, tmp_path, said.append)
        assert await asyncio.wait_for(ours.wait(), 5) == -signal.SIGTERM
        assert supervisor.mark_of(stranger.pid) == other
        assert len(said) == 1
        assert not list(tmp_path.glob("*.json"))
    finally:
        stranger.kill()
        await stranger.wait()


async def test_a_log_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("")
    part = program(tmp_path, SLEEP)
    part.log.symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        async with running(tmp_path, part):
            pytest.fail("it must not start")


async def test_stopping_at_the_instant_a_restarted_part_is_asked_whether_it_is_ready(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def ready() -> bool:
        if first:
            asked.set()
            await asyncio.sleep(0)  # the answer and the stop arrive in the same turn of the loop
        return True

    first: list[int] = []
    async with asyncio.timeout(20):
        for _ in range(5):
            async with running(tmp_path, replace(program(tmp_path, SLEEP), ready=ready)) as (kept, _said):
                pid = kept["server"].pid
                assert pid is not None
                first.append(pid)
                os.kill(pid, signal.SIGKILL)
                await asked.wait()
            asked.clear()
            first.clear()
