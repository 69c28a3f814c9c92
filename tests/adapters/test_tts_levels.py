"""Recordings of any kind become alike: rate, loudness, no silence at the ends."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from cti.adapters import tts
from cti.adapters.tts_levels import LOUDNESS, PEAK, level, measure
from cti.errors import BadInput

pytestmark = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("sox")), reason="needs espeak-ng and sox (make setup)"
)


async def tone(file: Path, *effects: str, channels: str = "2", seconds: str = "1") -> Path:
    kind = ("-r", "44100", "-c", channels, "-b", "16")
    await tts.run("sox", "-n", *kind, str(file), "synth", seconds, "sine", "440", *effects)
    return file


@pytest.mark.parametrize("gain", ["-3", "-15", "-30"])
async def test_loud_and_faint_recordings_become_alike(tmp_path: Path, gain: str) -> None:
    heard = await level(await tone(tmp_path / "a.wav", "gain", gain, "pad", "2", "3"), tmp_path / "out.wav")
    assert abs(heard.loudness - LOUDNESS) < 1
    assert 1.1 < heard.seconds < 1.3, "the silence at its ends is cut"
    assert heard == measure(tmp_path / "out.wav")
    assert {file.name for file in tmp_path.iterdir()} == {"a.wav", "out.wav"}


async def test_speech_with_a_pause_keeps_the_pause(tmp_path: Path) -> None:
    await tone(tmp_path / "a.wav", "pad", "1", "1")
    await tts.run("sox", str(tmp_path / "a.wav"), str(tmp_path / "a.wav"), str(tmp_path / "b.wav"))
    heard = await level(tmp_path / "b.wav", tmp_path / "out.wav")
    assert 4.0 < heard.seconds < 4.3 and abs(heard.loudness - LOUDNESS) < 1, "and the pause does not count as faint"


async def test_peaks_are_limited(tmp_path: Path) -> None:
    """A click in a faint recording."""
    await tone(tmp_path / "a.wav", "gain", "-30")
    await tone(tmp_path / "click.wav", "gain", "-1", seconds="0.003")
    await tts.run("sox", *(str(tmp_path / name) for name in ("a.wav", "click.wav", "a.wav", "b.wav")))
    heard = await level(tmp_path / "b.wav", tmp_path / "out.wav")
    assert heard.peak <= PEAK + 0.3


async def test_a_spoken_prompt_is_about_as_loud_as_a_recorded_one(tmp_path: Path) -> None:
    await tts.speak("For sales, press one. For support, press two.", "en", tmp_path / "spoken.wav")
    assert abs(measure(tmp_path / "spoken.wav").loudness - LOUDNESS) < 6


async def test_nothing_to_hear_is_refused(tmp_path: Path) -> None:
    await tts.run("sox", "-n", "-r", "8000", "-c", "1", str(tmp_path / "a.wav"), "trim", "0", "2")
    await tone(tmp_path / "b.wav", seconds="0.02")
    for name in ("a.wav", "b.wav"):
        with pytest.raises(BadInput, match=f"{name}: nothing is to be heard"):
            await level(tmp_path / name, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("content", [
    b"", b"not a sound at all" * 100, b"RIFF\0\0\0\0WAVEfmt ", b"ID3\x04" + bytes(500),
])  # fmt: skip
async def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("a.wav", "a.mp3", "a"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=f"^{name} is no sound file"):
            await level(tmp_path / name, tmp_path / "out.wav")
        assert not (tmp_path / "out.wav").exists()


async def test_without_sox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await tone(tmp_path / "a.wav")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tts.Unspeakable, match="sox cannot be started"):
        await level(file, tmp_path / "out.wav")


async def test_only_what_asterisk_plays_is_measured(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not 8 kHz"):
        measure(await tone(tmp_path / "a.wav", channels="1"))
    for content in (b"", b"x" * 50):
        (tmp_path / "b.wav").write_bytes(content)
        with pytest.raises(BadInput, match="no WAV file"):
            measure(tmp_path / "b.wav")
    await tts.run("sox", "-n", *tts.PLAIN, str(tmp_path / "c.wav"), "trim", "0", "1")
    heard = measure(tmp_path / "c.wav")
    assert heard.loudness == -math.inf and heard.seconds == 1
