"""Keys, recordings and sealed answers on the real Asterisk, with real phones."""

from __future__ import annotations

import asyncio
import itertools
import time
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import Caller, loudest, wav_tones
from real_asterisk import RealAsterisk, running

from cti.adapters import prompts_tones
from cti.adapters.agi import AgiServer
from cti.adapters.recordings import Recorder
from cti.core.messages import (
    Collect,
    FinishRecording,
    LineDone,
    LineLost,
    LineReady,
    Pause,
    Play,
    Prompt,
    Record,
    RecordingFinished,
    Release,
    Sealed,
    Text,
)
from cti.vault import Vault
from tests.kit_sound import wav

pytestmark = pytest.mark.services
ID = "01936a2b-0000-7000-8000-00000000000{}"
SILENCE = frozenset(b"\xff\x7f\xfe\x7e")  # u-law
WORDS = Text(language="en", text="words")  # a tone of 660 Hz, two seconds


class Line:
    """One caller with his session; the test is the decision maker."""

    def __init__(self, hall: Hall, caller: Caller, ready: LineReady) -> None:
        self.hall, self.caller, self.uniqueid = hall, caller, ready.uniqueid
        self._ops = itertools.count(1)

    async def do(self, kind: type, **more: Any) -> LineDone:
        return await self.done(self.begin(kind, **more))

    def begin(self, kind: type, **more: Any) -> int:
        op = next(self._ops)
        self.hall.agi.execute(kind(uniqueid=self.uniqueid, op=op, **more))
        return op

    async def done(self, op: int) -> LineDone:
        found: LineDone = await self.hall.see(lambda f: isinstance(f, LineDone) and self._mine(f) and f.op == op)
        return found

    def _mine(self, fact: Any) -> bool:
        return bool(fact.uniqueid == self.uniqueid)

    async def lost(self) -> None:
        await self.hall.see(lambda f: isinstance(f, LineLost) and self._mine(f))

    def press(self, keys: str, on: int = 60, off: int = 40) -> None:
        assert self.caller.call is not None and self.caller.call.media is not None
        media = self.caller.call.media
        media.key_frames, media.key_pause = on // 20, off // 20
        self.caller.call.press(keys)

    async def sounds(self) -> None:
        """Until something that is not silence is in his ear."""
        async with asyncio.timeout(5):
            while set(self.caller.heard[-160:]) <= SILENCE:
                await asyncio.sleep(0.02)

    async def leave(self) -> None:
        self.hall.agi.execute(Release(uniqueid=self.uniqueid))
        await self.caller.wait()


class Hall:
    """The switch with our FastAGI server, and nobody else."""

    def __init__(self, real: RealAsterisk, folder: Path) -> None:
        self.real, self.vault, self.facts, self._new = real, Vault(), list[Any](), asyncio.Event()
        self.tones = prompts_tones.make(folder)
        self.words = folder / "words.wav"
        self.spool = real.config.paths.recordings.resolve() / "spool"
        self.agi = AgiServer(
            host=real.config.agi.host, port=real.config.agi.port, submit=self.submit, render=self._render,
            now=time.time, seal=self.vault.put, beep=self.tones.beep, silence=self.tones.silence, spool=self.spool,
        )  # fmt: skip

    async def _render(self, prompt: Prompt) -> str:
        return str(self.words)

    def submit(self, fact: Any) -> None:
        self.facts.append(fact)
        self._new.set()

    async def see(self, true: Any, after: int = 0) -> Any:
        async with asyncio.timeout(15):
            while not (found := [fact for fact in self.facts[after:] if true(fact)]):
                self._new.clear()
                await self._new.wait()
        return found[0]

    async def spoken(self, recording: str, seconds: float) -> None:
        """From the beginning of the recording on he speaks so long."""
        async with asyncio.timeout(15):
            while not (self.spool / f"{recording}-caller.wav").exists():
                await asyncio.sleep(0.02)
        await asyncio.sleep(seconds)

    async def line(self, **more: Any) -> Line:
        mark = len(self.facts)
        caller = await Caller(self.real.sip, "6000", **more).start()
        line = Line(self, caller, await self.see(lambda f: isinstance(f, LineReady), mark))
        await line.do(Pause, seconds=0.3)
        return line


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAsterisk]:
    with running(tmp_path_factory.mktemp("asterisk")) as one:
        yield one


@pytest.fixture
async def hall(real: RealAsterisk) -> AsyncIterator[Hall]:
    hall = Hall(real, real.config.paths.sounds.resolve())
    steps = (9000 if n % 12 < 6 else -9000 for n in range(16000))  # 667 Hz
    hall.words.write_bytes(wav(b"".join(s.to_bytes(2, "little", signed=True) for s in steps)))
    await hall.agi.start()
    yield hall
    await hall.agi.close()


async def test_a_caller_who_knows_the_way_loses_no_key(hall: Hall) -> None:
    """Four menus, sixteen digits and one more key at 60 ms each with 40 ms between, straight through."""
    line = await hall.line()
    line.press("1234" + "4929123456781234" + "#9")
    menus = [(await line.do(Collect, prompts=(WORDS,), timeout=3)).digits for _ in range(4)]
    digits = (await line.do(Collect, prompts=(WORDS,), timeout=3, digit_timeout=2, most=20, terminator="#")).digits
    last = (await line.do(Collect, prompts=(WORDS,), timeout=3)).digits
    assert (menus, digits, last) == (["1", "2", "3", "4"], "4929123456781234", "9")
    await line.leave()


async def test_keys_pressed_while_nothing_is_asked_are_kept(hall: Hall) -> None:
    line = await hall.line()
    line.press("12A*", on=100, off=100)
    assert line.caller.call is not None and line.caller.call.media is not None
    async with asyncio.timeout(5):
        while line.caller.call.media.keys:
            await asyncio.sleep(0.02)
    assert (await line.do(Collect, prompts=(WORDS,), timeout=1, most=9, digit_timeout=1)).digits == "12A*"
    await line.leave()


async def test_the_timeout_starts_when_the_last_prompt_ends(hall: Hall) -> None:
    line = await hall.line()
    began = time.monotonic()
    assert (await line.do(Collect, prompts=(WORDS,), timeout=0.5)).outcome == "timeout"
    assert 2.4 < time.monotonic() - began < 3.2
    await line.leave()


async def test_where_it_must_be_heard_it_is_with_keys_pressed(hall: Hall) -> None:
    line = await hall.line()
    before = len(line.caller.heard)
    began = time.monotonic()
    op = line.begin(Collect, prompts=(WORDS,), timeout=3, most=3, barge_in=False)
    await line.caller.hears(660)
    line.press("147", on=100, off=100)
    assert (await line.done(op)).digits == "147"
    assert time.monotonic() - began >= 1.9
    sound = line.caller.heard[before:]
    tones = [loudest(sound[at : at + 800], (667, 1500)) for at in range(0, len(sound) - 800, 800)]
    assert tones.count(667) >= 18 and 0 not in tones[tones.index(667) : tones.index(667) + 18]
    await line.leave()


async def test_a_newer_command_cuts_at_once_and_nothing_is_logged(hall: Hall) -> None:
    line = await hall.line()
    for _ in range(20):
        line.begin(Play, prompts=(WORDS,) * 9)
        await asyncio.sleep(0)  # sent in the same moment, as two lines that the switch may read at once
        began = time.monotonic()
        assert (await line.do(Pause, seconds=0.01)).outcome == "done"
        assert time.monotonic() - began < 0.5
    log = (hall.real.config.paths.logs / "asterisk" / "messages").read_text()
    assert "something waiting" not in log
    await line.leave()


async def test_a_pause_with_music_hears_keys(hall: Hall) -> None:
    line = await hall.line()
    op = line.begin(Pause, seconds=1.5, music=True)
    await line.sounds()
    line.press("5", on=100)
    await line.done(op)
    assert (await line.do(Collect, prompts=(WORDS,), timeout=1)).digits == "5"
    await line.leave()


async def test_a_prompt_that_is_removed_while_it_plays_is_heard(hall: Hall) -> None:
    line = await hall.line()
    op = line.begin(Collect, prompts=(WORDS,), timeout=1, barge_in=False)
    await line.caller.hears(660)
    hall.words.unlink()
    line.press("1")
    assert (await line.done(op)).digits == "1"
    assert (await line.do(Play, prompts=(WORDS,))).outcome == "error"
    await line.leave()


# ------------------------------------------------------------------------------- recordings


async def finished(hall: Hall, recording: str) -> RecordingFinished:
    results: list[RecordingFinished] = []
    recorder = Recorder(hall.spool.parent, results.append, time.time)
    recorder.finish(FinishRecording(recording_id=recording, call_id="call", agent="", started_at=time.time()))
    await recorder.idle()
    return results[0]


async def test_a_message_ended_by_a_key_is_a_mono_file_of_his_voice(hall: Hall) -> None:
    line = await hall.line(hz=440)
    op = line.begin(Record, prompts=(WORDS,), recording_id=ID.format(1), longest=20, silence=4)
    await hall.spoken(ID.format(1), 1.5)
    line.press("#", on=100)
    done = await line.done(op)
    assert (done.outcome, done.gone) == ("done", False)
    told = await finished(hall, ID.format(1))
    path = hall.spool.parent / told.path
    assert wav_tones(path) == (440,)
    assert told.channels == 1 and 1 < told.seconds < 2.5
    assert (await line.do(Collect, prompts=(WORDS,), timeout=0.3)).outcome == "timeout"
    await line.leave()


async def test_who_hangs_up_while_he_speaks_has_left_a_message(hall: Hall) -> None:
    line = await hall.line(hz=440)
    op = line.begin(Record, prompts=(), recording_id=ID.format(2), longest=20, silence=4)
    await hall.spoken(ID.format(2), 1.5)
    line.caller.hang_up()
    await line.lost()
    (done,) = [f for f in hall.facts if isinstance(f, LineDone) and f.op == op and f.uniqueid == line.uniqueid]
    assert (done.outcome, done.gone) == ("done", True)
    told = await finished(hall, ID.format(2))
    assert 1 < told.seconds < 2.5 and wav_tones(hall.spool.parent / told.path) == (440,)
    await line.caller.wait()


async def test_silence_ends_a_message(hall: Hall) -> None:
    line = await hall.line()
    assert line.caller.call is not None and line.caller.call.media is not None
    line.caller.call.media.audio = b"\xff" * 160
    began = time.monotonic()
    assert (await line.do(Record, prompts=(), recording_id=ID.format(3), longest=20, silence=2)).outcome == "done"
    assert 1.5 < time.monotonic() - began < 4
    with wave.open(str(hall.spool / f"{ID.format(3)}-caller.wav")) as file:
        assert file.getnframes() < 8000 * 1.6
    assert (await line.do(Play, prompts=(WORDS,))).outcome == "done"
    await line.leave()


async def test_who_sends_no_sound_at_all_is_recorded_no_longer_than_asked(hall: Hall) -> None:
    line = await hall.line(hz=0)
    began = time.monotonic()
    done = await line.do(Record, prompts=(), recording_id=ID.format(4), longest=2, silence=4)
    assert done.outcome == "done" and 1.5 < time.monotonic() - began < 4
    told = await finished(hall, ID.format(4))
    assert (told.bytes, told.channels) == (0, 1)
    await line.leave()


async def test_sealed_digits_come_from_the_phone_into_the_vault(hall: Hall) -> None:
    line = await hall.line()
    op = line.begin(Collect, prompts=(WORDS,), timeout=3, most=19, terminator="#", seal="card", fresh=True)
    await line.caller.hears(660)
    line.press("4929123456781239#")
    done = await line.done(op)
    assert (done.digits, done.sealed) == ("", Sealed(length=16, good=False))
    assert hall.vault.get(line.uniqueid, "card") == "4929123456781239"
    await line.leave()
