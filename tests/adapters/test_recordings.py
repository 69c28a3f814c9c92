"""Recordings are finished from the switch's two files: whatever dies, breaks or is full meanwhile."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from cti.adapters import recordings_merge
from cti.adapters.recordings import Recorder
from cti.core.messages import FinishRecording, RecordingFinished, encode
from tests.kit_until import wait_until

ID = "01936a2b-0000-7000-8000-000000000001"
STARTED = 1_780_000_000.0  # 2026-05-28 20:26:40 UTC
PLACE = f"2026/05/28/{ID}.wav"
RATE = 8000


def command(recording_id: str = ID) -> FinishRecording:
    return FinishRecording(recording_id=recording_id, call_id="call", agent="ani", started_at=STARTED)


def tone(hertz: float, seconds: float) -> bytes:
    step = 2 * math.pi * hertz / RATE
    return array("h", (int(9000 * math.sin(step * i)) for i in range(int(RATE * seconds)))).tobytes()


def wav(samples: bytes, riff: int | None = None, data: int | None = None) -> bytes:
    """As the switch writes it; zeros for both lengths is what a killed switch leaves."""
    riff = len(samples) + 36 if riff is None else riff
    data = len(samples) if data is None else data
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return struct.pack("<4sI8s20s4sI", b"RIFF", riff, b"WAVEfmt ", form, b"data", data) + samples


def loudest(samples: array[int], candidates: tuple[int, ...] = (400, 1000, 1700)) -> int:
    """The candidate frequency with the most power (Goertzel); 0 when all is silence."""

    def power(hertz: int) -> float:
        factor = 2 * math.cos(2 * math.pi * hertz / RATE)
        one = two = 0.0
        for sample in samples:
            one, two = sample + factor * one - two, one
        return one * one + two * two - factor * one * two

    return max(candidates, key=power) if any(samples) else 0


def channels(path: Path) -> tuple[array[int], array[int]]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, RATE, 2)
        both = array("h", file.readframes(file.getnframes()))
    return both[0::2], both[1::2]


class Room:
    """A recordings folder with its recorder and what it submitted."""

    def __init__(self, root: Path) -> None:
        self.root, self.spool = root, root / "spool"
        self.spool.mkdir(parents=True, exist_ok=True)
        self.results: list[RecordingFinished] = []
        self.recorder = Recorder(root, self.results.append, lambda: STARTED + 60, settle=0.1)

    def put(self, caller: bytes | None, agent: bytes | None, recording_id: str = ID) -> None:
        for side, content in (("caller", caller), ("agent", agent)):
            if content is not None:
                (self.spool / f"{recording_id}-{side}.wav").write_bytes(content)

    async def run(self, *commands: FinishRecording) -> RecordingFinished:
        for one in commands:
            self.recorder.finish(one)
        await self.recorder.idle()
        return self.results[-1]

    @property
    def left(self) -> list[str]:
        return sorted(p.name for p in self.spool.iterdir())


@pytest.fixture
async def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "recordings")


async def test_two_sides_become_one_stereo_file_and_the_spool_is_empty(room: Room) -> None:
    room.put(wav(tone(400, 2)), wav(tone(1000, 1)))
    done = await room.run(command())
    path = room.root / PLACE
    left, right = channels(path)
    assert (loudest(left), loudest(right[:RATE]), loudest(right[RATE:])) == (400, 1000, 0)
    content = path.read_bytes()
    assert done == RecordingFinished(
        at=STARTED + 60, recording_id=ID, call_id="call", agent="ani", path=PLACE, started_at=STARTED,
        seconds=2.0, channels=2, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o640
    assert room.left == []
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("seconds", [0.5, 65536 / RATE, 20.3])
async def test_no_sample_is_lost_over_block_boundaries(room: Room, seconds: float) -> None:
    caller, agent = tone(400, seconds), tone(1000, seconds)
    room.put(wav(caller), wav(agent))
    await room.run(command())
    left, right = channels(room.root / PLACE)
    assert (left.tobytes(), right.tobytes()) == (caller, agent)


async def test_lengths_left_at_zero_by_a_killed_switch_are_taken_from_the_file(room: Room) -> None:
    room.put(wav(tone(400, 1.5), 0, 0), wav(tone(1000, 1.5), 0, 0) + b"\x01")  # and half a sample
    done = await room.run(command())
    assert done.seconds == 1.5
    assert loudest(channels(room.root / PLACE)[1]) == 1000


EMPTY = {"missing": None, "0 bytes": b"", "head": wav(b""), "unclosed": wav(b"", 0, 0)}


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
async def test_one_side_without_sound_is_silence(room: Room, empty: bytes | None) -> None:
    room.put(wav(tone(400, 1)), empty)
    done = await room.run(command())
    left, right = channels(room.root / PLACE)
    assert (done.seconds, loudest(left), loudest(right)) == (1.0, 400, 0)


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
async def test_nothing_recorded_is_a_recording_without_sound_and_one_line(
    room: Room, empty: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    room.put(empty, empty)
    done = await room.run(command())
    assert (done.bytes, done.path, done.sha256, done.seconds) == (0, "", "", 0.0)
    assert caplog.messages == [f"recording {ID} of call: nobody sent any sound"]
    assert caplog.records[0].levelname == "WARNING"
    assert room.left == []


async def test_a_file_that_still_grows_is_waited_for(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.recorder = Recorder(room.root, room.results.append, time.time, settle=0)
    room.put(wav(tone(400, 1), 0, 0), wav(tone(1000, 3)))
    looks = []

    def grow(root: Path, place: Path, sides: recordings_merge.Sides) -> list[recordings_merge.Side]:
        if len(looks) < 5:
            with (room.spool / f"{ID}-caller.wav").open("ab") as file:
                file.write(tone(400, 0.5))
        looks.append(look(root, place, sides))
        return looks[-1]

    look = recordings_merge.look
    monkeypatch.setattr(recordings_merge, "look", grow)
    assert (await room.run(command())).seconds == 3.5
    assert len(looks) == 6  # five that differ, and the one that does not


async def test_closed_files_are_not_waited_for(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.recorder = Recorder(tmp_path, room.results.append, time.time, settle=3600)
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))
    done = await asyncio.wait_for(room.run(command()), 10)
    assert done.seconds == 1.0


async def test_asked_twice_at_once_it_is_done_once_and_again_it_says_the_same(room: Room) -> None:
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))
    first = await room.run(command(), command())
    assert len(room.results) == 1
    inode = (room.root / PLACE).stat().st_ino
    assert await room.run(command()) == first
    assert (room.root / PLACE).stat().st_ino == inode


async def test_many_at_once_all_end(room: Room) -> None:
    ids = [f"01936a2b-0000-7000-8000-{n:012d}" for n in range(30)]
    for one in ids:
        room.put(wav(tone(400, 0.1)), wav(tone(1000, 0.1)), one)
    await room.run(*map(command, ids))
    assert sorted(r.recording_id for r in room.results) == ids
    assert all(r.seconds == 0.1 for r in room.results)
    assert room.left == []


# ---------------------------------------------------------------- a caller alone


def message(recording_id: str = ID) -> FinishRecording:
    return FinishRecording(recording_id=recording_id, call_id="call", agent="", started_at=STARTED)


async def test_a_caller_alone_becomes_one_mono_file(room: Room) -> None:
    said = tone(400, 20.3)
    room.put(wav(said, 0, 0), None)  # as a killed switch leaves it
    done = await room.run(message())
    content = (room.root / PLACE).read_bytes()
    with wave.open(str(room.root / PLACE)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, RATE, 2)
        assert file.readframes(file.getnframes()) == said
    assert done == RecordingFinished(
        at=STARTED + 60, recording_id=ID, call_id="call", agent="", path=PLACE, started_at=STARTED, seconds=20.3,
        channels=1, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    assert room.left == []
    assert await room.run(message()) == done


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
async def test_a_caller_who_said_nothing(room: Room, empty: bytes | None) -> None:
    room.put(empty, None)
    done = await room.run(message())
    assert (done.bytes, done.path, done.channels, done.seconds) == (0, "", 1, 0.0)
    assert room.left == []


async def test_a_message_is_taken_up_again_as_one(room: Room) -> None:
    room.put(wav(tone(400, 1)), None)
    (room.spool / f"{ID}.json").write_bytes(encode(message()))
    await room.recorder.recover()
    await room.recorder.idle()
    assert [(r.agent, r.channels, r.seconds) for r in room.results] == [("", 1, 1.0)]


async def test_a_message_is_not_waited_for_where_it_is_closed(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.recorder = Recorder(tmp_path, room.results.append, time.time, settle=3600)
    room.put(wav(tone(400, 1)), None)
    assert (await asyncio.wait_for(room.run(message()), 10)).seconds == 1.0


# ---------------------------------------------------------------- hostile names and files


@pytest.mark.parametrize("name", [
    "../../../etc/passwd", "%2e%2e%2fetc%2fpasswd", "rec.wav\0.png", "..\\..\\win.ini", "%s%n.wav", "",
    "/etc/x", ID.upper().replace("936A", "936A\n"), ID + "/../x", f"{ID}\n",
])  # fmt: skip
async def test_an_id_that_is_no_uuid_touches_no_file(room: Room, name: str) -> None:
    done = await room.run(command(name))
    assert (done.bytes, done.path) == (0, "")
    assert list(room.root.rglob("*")) == [room.spool]


async def test_a_link_in_the_spool_is_not_followed(room: Room, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(tone(1700, 1)))
    room.put(None, wav(tone(1000, 1)))
    (room.spool / f"{ID}-caller.wav").symlink_to(secret)
    done = await room.run(command())
    assert done.bytes == 0
    assert not (room.root / PLACE).exists()
    assert secret.read_bytes() == wav(tone(1700, 1))


async def test_a_pipe_in_the_spool_does_not_block(room: Room) -> None:
    room.put(None, wav(tone(1000, 1)))
    os.mkfifo(room.spool / f"{ID}-caller.wav")
    assert (await asyncio.wait_for(room.run(command()), 10)).bytes == 0


async def test_a_day_that_is_a_link_out_of_the_folder_is_refused(room: Room, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (room.root / "2026").symlink_to(elsewhere)
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))
    assert (await room.run(command())).bytes == 0
    assert list(elsewhere.rglob("*.wav")) == []
    assert f"{ID}-caller.wav" in room.left


async def test_links_where_the_drafts_go_are_replaced_not_written_through(room: Room, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (room.root / PLACE).parent.mkdir(parents=True)
    (room.root / PLACE).with_name(f".{ID}.tmp").symlink_to(victim)
    (room.spool / f"{ID}.claim").symlink_to(victim)
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))
    assert (await room.run(command())).seconds == 1.0
    assert victim.read_text() == "mine"


# ---------------------------------------------------------------- trouble


async def test_a_full_disk_marks_it_failed_keeps_the_material_and_the_next_start_mends_it(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recordings_merge, "_interleave", full)
        assert (await room.run(command())).bytes == 0
    assert caplog.messages == [f"recording '{ID}' of call failed: ALARM: the disk is full"]
    assert room.left == [f"{ID}-agent.wav", f"{ID}-caller.wav", f"{ID}.json"]
    assert list((room.root / PLACE).parent.iterdir()) == []
    again = Room(room.root)
    await again.recorder.recover()
    await again.recorder.idle()
    assert again.results[0].seconds == 1.0


async def test_a_disk_that_lies_is_noticed_before_the_material_is_removed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))
    monkeypatch.setattr(recordings_merge, "measure", lambda _: recordings_merge.Stored(1, 0, "other"))
    assert (await room.run(command())).bytes == 0
    assert not (room.root / PLACE).exists()
    assert f"{ID}-caller.wav" in room.left


async def test_recover_knows_who_a_file_belongs_to(room: Room) -> None:
    room.put(wav(tone(400, 1), 0, 0), wav(tone(1000, 1), 0, 0))
    (room.spool / f"{ID}.json").write_bytes(encode(command()))
    await room.recorder.recover()
    await room.recorder.idle()
    assert [(r.recording_id, r.agent, r.seconds) for r in room.results] == [(ID, "ani", 1.0)]
    assert room.left == []


@pytest.mark.parametrize("claim", [b"", b"{", b"[]", json.dumps({"is": "HangUp", "uniqueid": "1"}).encode(),
                                   encode(command("01936a2b-0000-7000-8000-000000000002"))])  # fmt: skip
async def test_recover_survives_a_claim_that_makes_no_sense(
    room: Room, claim: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (room.spool / f"{ID}.json").write_bytes(claim)
    await room.recorder.recover()
    await room.recorder.idle()
    assert room.results == []
    assert f"{ID}.json cannot be used" in caplog.text


async def test_files_without_an_owner_stay_and_are_reported_after_a_day(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))
    for side, age in (("caller", 25 * 3600), ("agent", 3600)):
        os.utime(room.spool / f"{ID}-{side}.wav", (STARTED + 60 - age,) * 2)
    await room.recorder.recover()
    await room.recorder.idle()
    assert room.results == []
    assert caplog.messages == [
        f"recording spool: {ID}-caller.wav, 25 hours old, belongs to no known call"
    ]
    assert room.left == [f"{ID}-agent.wav", f"{ID}-caller.wav"]


async def test_close_leaves_what_waits_to_the_next_start(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.recorder = Recorder(tmp_path, room.results.append, time.time, settle=3600)
    room.put(wav(tone(400, 1), 0, 0), None)
    room.recorder.finish(command())
    while not (room.spool / f"{ID}.json").exists():
        await asyncio.sleep(0.01)
    await room.recorder.close()
    assert room.results == []
    again = Room(tmp_path)
    await again.recorder.recover()
    await again.recorder.idle()
    assert again.results[0].seconds == 1.0


async def test_after_close_nothing_is_begun(room: Room) -> None:
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))
    await room.recorder.close()
    room.recorder.finish(command())
    await room.recorder.idle()
    assert room.left == [f"{ID}-agent.wav", f"{ID}-caller.wav"]


async def test_asked_again_with_another_start_the_first_one_holds(room: Room) -> None:
    room.put(wav(tone(400, 1)), wav(tone(1000, 1)))
    (room.spool / f"{ID}.json").write_bytes(encode(command()))
    later = FinishRecording(recording_id=ID, call_id="call", agent="ani", started_at=STARTED + 86400)
    assert (await room.run(later)).path == PLACE


KILLED = """
import asyncio, os, signal, sys, pathlib
from cti.adapters import recordings, recordings_merge
from cti.core.messages import FinishRecording
root, target = pathlib.Path(sys.argv[1]), int(sys.argv[2])
steps = 0
def count(event, args):
    global steps
    if event in ("os.rename", "os.remove", "open") and str(root) in str(args[0]):
        steps += 1
        if steps == target:
            os.kill(os.getpid(), signal.SIGKILL)
def submit(result):
    print("submitted", flush=True)
async def main():
    recorder = recordings.Recorder(root, submit, lambda: 0.0, settle=0.05)
    sys.addaudithook(count)
    recorder.finish(FinishRecording(recording_id=sys.argv[3], call_id="call", agent="ani", started_at=1.78e9))
    await recorder.idle()
asyncio.run(main())
"""


def _run_and_kill(root: Path, step: int) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", KILLED, str(root), str(step), ID]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


async def test_killed_before_any_step_on_a_file_it_ends_with_exactly_one_copy(tmp_path: Path) -> None:
    caller, agent = tone(400, 0.2), tone(1000, 0.2)
    for step in range(1, 60):
        room = Room(tmp_path / str(step))
        room.put(wav(caller), wav(agent))
        killed = _run_and_kill(room.root, step)
        assert killed.returncode in (0, -signal.SIGKILL), killed.stderr
        claimed = (room.spool / f"{ID}.json").exists()
        assert claimed or "submitted" in killed.stdout or len(room.left) >= 2  # never forgotten
        done = await room.run(command())
        left, right = channels(room.root / done.path)
        assert (left.tobytes(), right.tobytes()) == (caller, agent)
        assert [p for p in room.root.rglob("*") if p.is_file()] == [room.root / PLACE]
        shutil.rmtree(room.root)
        if killed.returncode == 0:
            assert step > 8
            return
    pytest.fail("the work never ended by itself")


# ---------------------------------------------------------------- the real switch

GIVEN = os.environ.get("CTI_TEST_ASTERISK")
CACHES = (Path("/var/cache/cti"), Path.home() / ".cache/cti")  # where `make setup` puts it
TREES = [Path(GIVEN)] if GIVEN else [tree for cache in CACHES for tree in sorted(cache.glob("*"))]
TREE = next((t for t in TREES if (t / "usr/sbin/asterisk").exists()), None)
LIB = "usr/lib/x86_64-linux-gnu"
FOLDERS = ("etc", "varlib", "db", "key", "agi", "spool", "run", "log")
MODULES = [
    "app_mixmonitor", "app_playtones", "app_bridgeaddchan", "bridge_simple", "func_periodic_hook", "func_cut",
    "func_uri", "format_wav", "pbx_config", "res_timing_timerfd", "codec_ulaw", "func_groupcount",
    "func_global", "res_clioriginate", "app_chanspy",
]  # fmt: skip
CONF = {
    "asterisk.conf": "[directories]\nastmoddir => {tree}/{lib}/asterisk/modules\n"
    "astdatadir => {tree}/usr/share/asterisk\n" + "".join(f"ast{name}dir => {{home}}\n" for name in FOLDERS),
    "modules.conf": "[modules]\nautoload=no\n" + "".join(f"load={m}.so\n" for m in MODULES),
    "logger.conf": "[logfiles]\nfull => notice,warning,error\n",
    "extensions.conf": """[voice]
exten => _X.,1,Answer()
 same => n,Playtones(${{EXTEN}})
 same => n,Wait(60)
[caller]
exten => s,1,Set(GLOBAL(PEER)=${{CHANNEL}})
 same => n,Wait(60)
[agent]
exten => s,1,MixMonitor(,bSr({spool}/{id}-agent.wav)t({spool}/{id}-caller.wav))
 same => n,Bridge(${{PEER}})
""",
}  # fmt: skip


class Switch:
    def __init__(self, home: Path, process: subprocess.Popen[bytes]) -> None:
        self.home, self.process = home, process

    def cli(self, line: str) -> str:
        argv = [*_asterisk(self.home), "-rx", line]
        return subprocess.run(argv, capture_output=True, text=True, timeout=20).stdout


def _asterisk(home: Path) -> list[str]:
    assert TREE
    parts = [TREE / LIB / "ld-linux-x86-64.so.2", "--library-path", TREE / LIB, TREE / "usr/sbin/asterisk"]
    return [*map(str, parts), "-C", str(home / "asterisk.conf")]


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    if TREE is None:
        pytest.fail("no Asterisk tree: run make setup, or set CTI_TEST_ASTERISK")
    home, spool = tmp_path / "asterisk", tmp_path / "recordings/spool"
    home.mkdir()
    spool.mkdir(parents=True)
    for name, text in CONF.items():
        (home / name).write_text(text.format(home=home, tree=TREE, lib=LIB, spool=spool, id=ID))
    (home / "stasis.conf").touch()
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*_asterisk(home), "-f"], stdout=quiet, stderr=quiet) as process:
        try:
            one = Switch(home, process)
            wait_until(lambda: "fully booted" in one.cli("core waitfullybooted"), 20)
            yield one
        finally:
            process.kill()


def _talk(switch: Switch, spool: Path) -> None:
    switch.cli("channel originate Local/400@voice/n extension s@caller")
    wait_until(lambda: "PEER=Local" in switch.cli("dialplan show globals"), 20)
    switch.cli("channel originate Local/1000@voice/n extension s@agent")
    sides = [spool / f"{ID}-{side}.wav" for side in ("caller", "agent")]
    wait_until(lambda: all(path.exists() and path.stat().st_size > 30_000 for path in sides), 20)


@pytest.mark.services
async def test_the_real_switch_each_voice_on_its_side(switch: Switch, tmp_path: Path) -> None:
    room = Room(tmp_path / "recordings")
    room.recorder = Recorder(room.root, room.results.append, time.time)
    await asyncio.to_thread(_talk, switch, room.spool)
    await asyncio.to_thread(switch.cli, "channel request hangup all")
    done = await room.run(command())
    left, right = channels(room.root / PLACE)
    assert (loudest(left), loudest(right)) == (400, 1000)
    assert done.seconds > 1.5
    assert room.left == []


@pytest.mark.services
async def test_the_real_switch_killed_the_sound_so_far_is_kept(switch: Switch, tmp_path: Path) -> None:
    room = Room(tmp_path / "recordings")
    room.recorder = Recorder(room.root, room.results.append, time.time)
    await asyncio.to_thread(_talk, switch, room.spool)
    switch.process.kill()
    switch.process.wait()
    sides = [room.spool / f"{ID}-{side}.wav" for side in ("caller", "agent")]
    assert all(path.read_bytes()[40:44] == b"\0\0\0\0" for path in sides)  # what the repair is for
    longest = max(path.stat().st_size for path in sides)
    done = await room.run(command())
    left, right = channels(room.root / PLACE)
    assert (loudest(left), loudest(right)) == (400, 1000)
    assert done.seconds == (longest - 44) // 2 / RATE
