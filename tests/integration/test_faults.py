"""A part of the home that dies, hangs or is broken: calls go on, the log says so in one line, nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import Caller, World, crew, new_number, siege, wav_tones

from cti.embedded import supervisor
from tests.embedded.conftest import left_nothing
from tests.kit_home import RunningHome, more_flows, running
from tests.kit_sound import sine

pytestmark = pytest.mark.services
DIRECT = "6100"  # queue `sales` at once
JINGLE = "6931"  # a recorded prompt, then `sales`
SILENT = "6932"  # a menu that soon gives up
MORE_FLOWS = {
    "jingle": """
flow: jingle
language: en
start: hello
nodes:
  hello: {do: say, play: hello, then: wait, fail: wait}
  wait: {do: queue, queue: sales, answered: hangup, then: hangup}
""",
    "silent": """
flow: silent
language: en
defaults: {input_timeout: 1s, retries: 1}
start: menu
nodes:
  menu: {do: menu, say: {en: "Press one"}, options: {"1": wait}, fail: bye}
  wait: {do: queue, queue: sales, answered: hangup, then: hangup}
  bye: {do: say, say: {en: "Goodbye"}, then: hangup}
""",
}


FILES = more_flows({JINGLE: "jingle", SILENT: "silent"}, "", **MORE_FLOWS) | {"prompts/en/hello.wav": sine(660, 3)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    """One that every test here hurts and that must recover each time."""
    with running(tmp_path_factory.mktemp("hurt") / "home", FILES) as home:
        yield home


async def talking(world: World, **more: Any) -> Caller:
    """A new caller who hears his agent."""
    caller = await Caller(world.sip, DIRECT, number=new_number(), **more).start()
    await caller.hears(880)
    return caller


async def exact(world: World, left: dict[str, float]) -> list[Any]:
    """The ids of these callers' calls, which are stored once, whole, with the time each was really over."""
    rows = [await siege.over(world, number, 20) for number in left]
    for row in rows:
        assert row["outcome"] == "answered", row
        assert abs(siege.seconds(row, "ended_at") - left[row["caller"]]) < 0.5, row
    calls = [row["call_id"] for row in rows]
    await siege.recorded(world, calls, 20)
    await siege.whole(world, calls)
    return calls


# ---------------------------------------------------------------- the switch


async def test_asterisk_killed_during_calls(world: World) -> None:
    async with crew(world, 2) as phones:
        callers = [await talking(world) for _ in range(2)]
        waiter = await Caller(world.sip, DIRECT, number=new_number()).start()
        await siege.visit(world, waiter.number)
        await asyncio.sleep(3)  # something to be recorded: MixMonitor writes every 2 s
        at = time.time()
        old = siege.kill(world.path, "asterisk", signal.SIGKILL)
        rows = [await siege.over(world, caller.number, 10) for caller in (*callers, waiter)]
        assert time.time() - at < 10
        assert [row["outcome"] for row in rows] == ["answered", "answered", "abandoned"]
        await siege.another_pid(world.path, "asterisk", old)
        for phone in phones.values():
            phone.call.finish("them")
            async with asyncio.timeout(10):
                while await phone.phone.register(120) != 200:
                    await asyncio.sleep(0.2)
        for name in phones:
            row = await world.until(lambda d: d["items"][0]["state"] == "ready", "/agents", name)
            assert row["items"][0]["work"] == "idle"
        calls = [row["call_id"] for row in rows]
        for recording in await siege.recorded(world, calls[:2]):
            assert 1 < recording["seconds"] < 6, recording
            assert wav_tones(world.config.paths.recordings / recording["path"]) == (440, 880)
        await siege.whole(world, calls)
        for caller in (*callers, waiter):
            caller.phone.silent = True  # its call is nobody's any more
        await asyncio.gather(*(caller.phone.close() for caller in (*callers, waiter)))
        await exact(world, await siege.away(await talking(world)))
    assert "killed by SIGKILL" in await siege.logged(world, "asterisk ended")


# ---------------------------------------------------------------- PostgreSQL


async def test_postgres_killed_and_away_during_calls(world: World) -> None:
    async with crew(world, 3):
        first, second = await talking(world), await talking(world)
        config = (world.config.paths.home / "postgres").resolve() / "postgresql.conf"
        config.rename(config.with_suffix(".away"))  # it cannot start again
        try:
            siege.kill(world.path, "postgres", signal.SIGKILL)
            left = await siege.away(first)
            await world.serves(False)
            assert "events wait in the journal" in await siege.logged(world, "PostgreSQL is away")
            third = await talking(world)
            await asyncio.sleep(5)
            left |= await siege.away(third)
            assert not second.ended_by and set(siege.tones(second, 8000)) <= {880}
        finally:
            config.with_suffix(".away").rename(config)
        await world.serves(True, 30)
        left |= await siege.away(second)
        await exact(world, left)


async def test_postgres_hangs_during_calls(world: World) -> None:
    async with crew(world, 2):
        first = await talking(world)
        pid = siege.pid(world.path, "postgres")
        frozen = [pid, *(int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        for one in frozen:
            os.kill(one, signal.SIGSTOP)
        try:
            left = await siege.away(first)
            second = await talking(world)
            await asyncio.sleep(4)
        finally:
            for one in frozen:
                os.kill(one, signal.SIGCONT)
        left |= await siege.away(second)
        await exact(world, left)


# ---------------------------------------------------------------- Redis


async def test_redis_killed_during_calls(world: World) -> None:
    async with crew(world, 2):
        first = await talking(world)
        old = siege.kill(world.path, "redis", signal.SIGKILL)
        second = await talking(world)
        await siege.another_pid(world.path, "redis", old)
        await world.serves()
        assert set(siege.tones(first, 8000)) <= {880}
        await exact(world, await siege.away(first, second))


# ---------------------------------------------------------------- flow files


async def test_a_broken_flow_file_changes_nothing_and_the_repaired_one_is_published(world: World) -> None:
    file = world.config.paths.flows / "direct.yaml"
    good = file.read_text()
    async with crew(world, 1):
        file.write_text(good.replace("queue: sales", "queue: salse"))
        line = await siege.logged(world, "salse")
        assert "direct.yaml:6:" in line and "ERROR" in line, line
        before = await siege.away(await talking(world))
        file.write_text(good + "# repaired\n")
        version = (await siege.over(world, next(iter(before))))["flow_version"]
        newer = "SELECT version FROM crm.flow_versions WHERE live AND version > $1"
        live = (await world.row_when(newer, version))["version"]
        await siege.logged(world, f"flows version {live} is live")
        after = await siege.away(await talking(world))
        assert (await siege.over(world, next(iter(after))))["flow_version"] == live
        await exact(world, before | after)


async def test_a_recorded_prompt_is_heard(world: World) -> None:
    caller = await Caller(world.sip, JINGLE, number=new_number()).start()
    await caller.hears(660)
    await siege.away(caller)


async def test_a_prompt_file_that_is_missing_is_logged_and_passed_over(world: World) -> None:
    source = world.config.paths.flows / "prompts/en/hello.wav"
    content = source.read_bytes()
    async with crew(world, 1):
        source.unlink()
        for cached in (world.config.paths.sounds / "prompts").iterdir():
            cached.unlink()
        try:
            caller = await Caller(world.sip, JINGLE, number=new_number()).start()
            await caller.hears(880)
            assert "hello" in await siege.logged(world, "no sound for")
            await exact(world, await siege.away(caller))
        finally:
            source.write_bytes(content)


# ---------------------------------------------------------------- callers


async def test_a_caller_who_says_and_presses_nothing_is_let_go_by_the_flow(world: World) -> None:
    caller = await (await Caller(world.sip, SILENT, number=new_number(), hz=0).start()).wait(20)
    assert caller.ended_by == "them"
    row = await siege.over(world, caller.number)
    assert (row["outcome"], row["hangup_side"]) == ("flow_ended", "system")


async def test_a_caller_without_sound_is_connected(world: World) -> None:
    async with crew(world, 1):
        await exact(world, await siege.away(await talking(world, hz=0)))


# ---------------------------------------------------------------- ports


async def test_strangers_on_the_fastagi_port_disturb_nobody(world: World) -> None:
    where = (world.config.agi.host, world.config.agi.port)
    junk = [b"", b"\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff\x00" * 50_000, b"agi_uniqueid: 1.1\n\n"]
    async with crew(world, 1):
        caller = await talking(world)
        links = [socket.create_connection(where) for _ in range(50)]  # say nothing at all
        for bytes_ in junk:
            with socket.create_connection(where) as link:
                link.sendall(bytes_)
        await siege.logged(world, "connection from 127.0.0.1 closed")
        await siege.away(caller)
        await exact(world, await siege.away(await talking(world)))
        for one in links:
            one.settimeout(5)
            assert one.recv(1) == b"", "kept open"
            one.close()


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    home = RunningHome(tmp_path / "home")
    port = World(home.path).config.http.port
    with socket.create_server(("127.0.0.1", port)):
        argv = [sys.executable, "-m", "cti", "up", "--home", str(home.path)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == 3, done
    said = (done.stdout + done.stderr).strip().splitlines()
    left_nothing(home.path)
    assert [line for line in said if f"port {port} on 127.0.0.1 is taken: set [http] port in cti.toml" in line]
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- nobody to restart anything


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[RunningHome]:
    """A home whose callers may soon leave a message when no server answers."""
    changes = {"[agi]\n": '[site]\nlanguages = ["en"]\n[agi]\nfallback_after = 2\n'}
    with running(tmp_path / "home", FILES, changes) as home:
        yield home


async def test_without_a_server_for_long_callers_leave_a_message(lonely: RunningHome) -> None:
    world = World(lonely.path)
    assert lonely.process is not None
    lonely.process.send_signal(signal.SIGSTOP)
    old = siege.kill(world.path, "server", signal.SIGKILL)
    caller = await Caller(world.sip, DIRECT, number=new_number()).start()
    folder = (world.path / "voicemail").resolve()
    async with asyncio.timeout(25):
        while not [f for f in folder.glob("*.wav") if f.stat().st_size > 16_000]:
            await asyncio.sleep(0.1)
    left = await siege.away(caller)
    async with asyncio.timeout(5):
        while not list(folder.glob("*.json")):
            await asyncio.sleep(0.1)
    (note,) = folder.glob("*.json")
    message = json.loads(note.read_text())
    assert (message["caller"], message["called"]) == (caller.number, DIRECT)
    assert wav_tones(folder / message["file"]) == (440,)
    lonely.process.send_signal(signal.SIGCONT)
    await siege.another_pid(world.path, "server", old)
    await world.serves()
    row = await siege.over(world, caller.number)
    assert abs(siege.seconds(row, "ended_at") - left[caller.number]) < 0.5
    sql = "SELECT 1 FROM crm.v_call_events WHERE call_id = $1 AND type = 'voicemail.left'"
    await world.row_when(sql, row["call_id"])
    assert (await siege.over(world, caller.number))["outcome"] == "voicemail"
    await siege.whole(world, [row["call_id"]])


async def test_cti_up_itself_killed(lonely: RunningHome) -> None:
    world = World(lonely.path)
    assert lonely.process is not None
    old = {part: siege.pid(world.path, part) for part in ("postgres", "redis", "asterisk", "server")}
    async with crew(world, 1) as phones:
        caller = await talking(world)
        lonely.process.kill()
        lonely.process.wait()
        start = len(siege.heard(caller))
        await asyncio.sleep(1)
        assert siege.tones(caller, start) and set(siege.tones(caller, start)) == {880}, "the call goes on"
        assert siege.pid(world.path, "server") == old["server"]
        await asyncio.to_thread(lonely.start)
        assert lonely.output.count("left over from a run that was killed") == 4, lonely.output
        assert not [pid for pid in old.values() if supervisor.mark_of(pid)]
        await siege.away(caller)
        row = await siege.over(world, caller.number)
        assert row["outcome"] == "answered"
        for name, phone in phones.items():
            assert await phone.phone.register(120) == 200
            await world.ready(name, phone.phone.number)
        await exact(world, await siege.away(await talking(world)))
        await siege.whole(world, [row["call_id"]])
