from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import wave
from array import array
from pathlib import Path

import pytest

from cti.adapters import tts
from cti.adapters.flow_files import Sources, load
from cti.adapters.prompts import MissingPrompt, Prompts
from cti.core.messages import Sound, Text
from cti.errors import CtiError

pytestmark = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("sox")), reason="needs espeak-ng and sox (make setup)"
)


def heard(file: Path) -> tuple[float, int]:
    """Seconds and loudest sample, of a file as Asterisk plays it."""
    with wave.open(str(file)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (8000, 1, 2)
        samples = array("h", sound.readframes(sound.getnframes()))
    return len(samples) / 8000, max(map(abs, samples), default=0)


def only_file(folder: Path) -> Path:
    found = list(folder.iterdir())
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "For sales, press 1."), ("zh", "销售请按1，客服请按2。"), ("id", "Untuk penjualan, tekan 1.")],
)
async def test_three_languages_are_audible_and_not_clipped(tmp_path: Path, language: str, text: str) -> None:
    await tts.speak(text, language, tmp_path / "x.wav")
    seconds, loudest = heard(only_file(tmp_path))
    assert 0.8 < seconds < 8
    assert 12_000 < loudest < 28_000


@pytest.mark.parametrize("text", ["-w /tmp/owned.wav", "--help", "$(touch x); `touch y`", "<speak>hi</speak>"])
async def test_text_is_only_spoken(tmp_path: Path, text: str) -> None:
    await tts.speak(text, "en", tmp_path / "x.wav")
    assert heard(only_file(tmp_path))[0] > 0.3


@pytest.mark.parametrize("text", ["", "   ", "\x00\x1b", "…"])
async def test_nothing_to_say_is_a_short_silence(tmp_path: Path, text: str) -> None:
    await tts.speak(text, "en", tmp_path / "x.wav")
    assert heard(tmp_path / "x.wav")[0] < 1.5


def test_control_characters_and_phoneme_codes_are_not_spoken() -> None:
    assert tts.clean("a\x00b\nc [[h@l'oU]] d") == "a b c [ h@l'oU]] d"
    assert len(tts.clean("a" * 9000)) == tts.MAX_TEXT


async def test_an_unknown_voice_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(tts.Unspeakable, match=r"espeak-ng does not speak `\w+`; \[tts\] command"):
        await tts.speak("hello", "qq", tmp_path / "x.wav")
    assert list(tmp_path.iterdir()) == []


async def test_a_program_that_is_missing_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(tts.Unspeakable, match="cannot be started"):
        await tts.run("no-such-program-here")
    monkeypatch.setattr(tts, "TIMEOUT", 0.05)
    with pytest.raises(tts.Unspeakable, match="took longer"):
        await tts.run("sleep", "60")


# ---------------------------------------------------------------- prompts as files


class Voice:
    """Counts what is spoken; `gate` holds it back."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def speak(self, text: str, language: str, out: Path) -> None:
        self.said.append(f"{language}:{text}")
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        out.write_bytes(b"x")

    async def convert(self, sound: Path, out: Path) -> None:
        self.said.append(sound.name)
        shutil.copy(sound, out)


@pytest.fixture
def voice() -> Voice:
    return Voice()


@pytest.fixture
def prompts(tmp_path: Path, voice: Voice) -> Prompts:
    return Prompts(tmp_path / "sounds", tmp_path / "flows", voice.speak, voice.convert)


async def test_a_text_is_spoken_once_and_kept_by_content(tmp_path: Path, prompts: Prompts, voice: Voice) -> None:
    first = await prompts.render(Text("en", "hello"))
    assert Path(f"{first}.wav").is_file() and first.startswith(str(tmp_path / "sounds/tts/"))
    assert await prompts.render(Text("en", "hello")) == first
    assert await prompts.render(Text("id", "hello")) != first
    assert voice.said == ["en:hello", "id:hello"]
    again = Prompts(tmp_path / "sounds", tmp_path / "flows", voice.speak, voice.convert)
    assert await again.render(Text("en", "hello")) == first
    assert len(voice.said) == 2


async def test_who_asks_meanwhile_waits_for_the_same_work(prompts: Prompts, voice: Voice) -> None:
    voice.gate.clear()
    asking = [asyncio.create_task(prompts.render(Text("en", "hello"))) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    while not voice.said:
        await asyncio.sleep(0)
    voice.gate.set()
    paths = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(paths[0], asyncio.CancelledError)
    assert len(set(paths[1:])) == 1
    assert voice.said == ["en:hello"]


async def test_a_failed_voice_is_asked_again_next_time(prompts: Prompts, voice: Voice) -> None:
    voice.error = tts.Unspeakable("no voice")
    with pytest.raises(CtiError, match="no voice"):
        await prompts.render(Text("en", "hello"))
    voice.error = None
    assert await prompts.render(Text("en", "hello"))


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, prompts: Prompts) -> None:
    (tmp_path / "sounds").write_text("a file")
    with pytest.raises(CtiError, match="cannot be written"):
        await prompts.render(Text("en", "hello"))


async def test_a_missing_recording_names_its_file(tmp_path: Path, prompts: Prompts) -> None:
    with pytest.raises(MissingPrompt, match=str(tmp_path / "flows/prompts/en/hello.wav")):
        await prompts.render(Sound("en", "hello"))


def know(prompts: Prompts, version: int, content: bytes) -> None:
    prompts.know(version, {"prompts/en/hello.wav": hashlib.sha256(content).hexdigest()})


async def test_a_version_never_takes_the_recording_of_another_one(tmp_path: Path, prompts: Prompts) -> None:
    file = tmp_path / "flows/prompts/en/hello.wav"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"two")
    know(prompts, 1, b"one")
    with pytest.raises(MissingPrompt, match="is another one than version 1 has"):
        await prompts.render(Sound("en", "hello", 1))
    assert not (tmp_path / "sounds").exists()


async def test_a_version_keeps_its_recording_when_the_file_changes_or_goes(
    tmp_path: Path, prompts: Prompts, voice: Voice
) -> None:
    file = tmp_path / "flows/prompts/en/hello.wav"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one")
    know(prompts, 1, b"one")
    first = await prompts.render(Sound("en", "hello", 1))
    file.write_bytes(b"two")
    know(prompts, 2, b"two")
    second = await prompts.render(Sound("en", "hello", 2))
    file.unlink()
    again = Prompts(tmp_path / "sounds", tmp_path / "flows", voice.speak, voice.convert)
    know(again, 1, b"one")
    for one in (prompts, again):  # also after a restart
        assert await one.render(Sound("en", "hello", 1)) == first
    prompts.forget({2})
    assert await prompts.render(Sound("en", "hello", 2)) == second
    assert (Path(f"{first}.wav").read_bytes(), Path(f"{second}.wav").read_bytes()) == (b"one", b"two")
    assert voice.said == ["hello.wav", "hello.wav"]


async def test_a_recording_that_is_too_large(tmp_path: Path, prompts: Prompts) -> None:
    file = tmp_path / "flows/prompts/en/hello.wav"
    file.parent.mkdir(parents=True)
    file.touch()
    os.truncate(file, 21 * 1024 * 1024)
    with pytest.raises(MissingPrompt, match="larger than 20 MiB"):
        await prompts.render(Sound("en", "hello"))


async def test_a_recording_that_became_a_pipe_or_a_link_holds_nobody_up(tmp_path: Path, prompts: Prompts) -> None:
    """A thread that opened a pipe waited for its writer, and with all of them gone nothing was spoken any more."""
    file = tmp_path / "flows/prompts/en/hello.wav"
    file.parent.mkdir(parents=True)
    os.mkfifo(file)
    async with asyncio.timeout(5):
        for _ in range(40):
            with pytest.raises(MissingPrompt, match="not a regular file"):
                await prompts.render(Sound("en", "hello"))
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(MissingPrompt, match="a link is not followed"):
        await prompts.render(Sound("en", "hello"))
    file.unlink()
    file.parent.rmdir()
    file.parent.symlink_to(tmp_path)
    (tmp_path / "hello.wav").write_bytes(b"one")
    with pytest.raises(MissingPrompt, match="cannot be read"):
        await prompts.render(Sound("en", "hello"))


async def test_what_is_converted_is_what_was_read(tmp_path: Path, voice: Voice) -> None:
    file = tmp_path / "flows/prompts/en/hello.wav"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one")

    async def late(sound: Path, out: Path) -> None:
        file.write_bytes(b"two")
        await voice.convert(sound, out)

    made = await Prompts(tmp_path / "sounds", tmp_path / "flows", voice.speak, late).render(Sound("en", "hello"))
    assert Path(f"{made}.wav").read_bytes() == b"one"
    assert only_file(tmp_path / "sounds/prompts") == Path(f"{made}.wav")


async def test_everything_constant_is_ready_before_the_first_call(prompts: Prompts, voice: Voice) -> None:
    flow = """\
flow: t
language: en
start: a
nodes:
  a: {do: say, play: intro, say: {en: "Hello", id: "Halo"}, then: b}
  b: {do: say, say: "Hi {{ customer.name }}", then: hangup}
"""
    book, _ = load(Sources({"t.yaml": flow}))
    assert book is not None
    wrong = await prompts.prepare(book)
    assert sorted(voice.said) == ["en:Hello", "id:Halo"]
    assert len(wrong) == 1 and wrong[0].endswith("prompts/en/intro.wav is missing")
    voice.error = tts.Unspeakable("no voice")
    again, _ = load(Sources({"t.yaml": flow.replace("Halo", "Apa kabar")}))
    assert again is not None
    assert 'id: "Apa kabar": no voice' in await prompts.prepare(again), "a text that is not spoken is named"


async def test_how_long_prompts_last_together(prompts: Prompts) -> None:
    one, two = Text("en", "One"), Text("en", "Two")
    files = [Path(f"{await prompts.render(text)}.wav") for text in (one, two)]
    for file in files:
        file.write_bytes(bytes(8_000))
    assert await prompts.lasts([one, two]) == 1.0


async def test_texts_not_spoken_for_long_go_when_there_is_too_much(
    prompts: Prompts, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.adapters.prompts.SWEEP_AFTER", 4)
    monkeypatch.setattr("cti.adapters.prompts.MAX_SPOKEN", 1)
    flow = "flow: t\nlanguage: en\nstart: a\nnodes:\n  a: {do: say, say: Welcome, then: hangup}\n"
    book, _ = load(Sources({"t.yaml": flow}))
    assert book is not None and await prompts.prepare(book) == []
    names = {text: Path(await prompts.render(Text("en", text)) + ".wav") for text in ("Welcome", "Ani", "Budi")}
    for file in names.values():
        os.utime(file, (1, 1))
    await prompts.render(Text("en", "Budi"))
    new = Path(await prompts.render(Text("en", "Chen")) + ".wav")
    assert prompts._sweeping is not None
    await prompts._sweeping
    assert {text for text, file in names.items() if file.exists()} == {"Welcome", "Budi"}, "live, and used now"
    assert new.exists()
    assert voice.said == ["en:Welcome", "en:Ani", "en:Budi", "en:Chen"]


async def test_nothing_goes_while_there_is_room(prompts: Prompts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.adapters.prompts.SWEEP_AFTER", 1)
    old = Path(await prompts.render(Text("en", "Ani")) + ".wav")
    os.utime(old, (1, 1))
    await prompts.render(Text("en", "Budi"))
    assert prompts._sweeping is not None
    await prompts._sweeping
    assert old.exists()


async def test_a_recording_of_any_rate_becomes_what_asterisk_plays(tmp_path: Path) -> None:
    file = tmp_path / "flows/prompts/en/hello.wav"
    file.parent.mkdir(parents=True)
    await tts.run("sox", "-n", "-r", "44100", "-c", "2", str(file), "synth", "1", "sine", "440")
    prompts = Prompts(tmp_path / "sounds", tmp_path / "flows", tts.speak, tts.convert)
    seconds, loudest = heard(Path(await prompts.render(Sound("en", "hello")) + ".wav"))
    assert 0.95 < seconds < 1.05
    assert loudest > 10_000
    file.write_bytes(b"not a sound")
    with pytest.raises(tts.Unspeakable, match="sox failed"):
        await prompts.render(Sound("en", "hello", 2))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders for others")
async def test_what_root_makes_belongs_to_the_owner_of_the_sounds(tmp_path: Path, prompts: Prompts) -> None:
    """`cti flow prompts render` as root, before a server that runs as another account has spoken anything."""
    (tmp_path / "sounds").mkdir()
    os.chown(tmp_path / "sounds", 12345, 12346)
    await prompts.render(Text("en", "hello"))
    about = (tmp_path / "sounds/tts").stat()
    assert (about.st_uid, about.st_gid) == (12345, 12346)
