"""The beep and silence: there, right, and no reason for a server not to start."""

from __future__ import annotations

import math
import wave
from array import array
from itertools import pairwise
from pathlib import Path

import pytest

from cti.adapters import prompts_tones
from cti.adapters.prompts_tones import HERTZ, RATE, SILENCE, make


def samples(path: str) -> array[int]:
    with wave.open(f"{path}.wav") as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, RATE, 2)
        return array("h", file.readframes(file.getnframes()))


def test_they_are_what_they_are_called(tmp_path: Path) -> None:
    tones = make(tmp_path)
    beep, silence = samples(tones.beep), samples(tones.silence)
    assert len(silence) == SILENCE * RATE and not any(silence)
    crossings = sum(a < 0 <= b for a, b in pairwise(beep))
    assert math.isclose(crossings / (len(beep) / RATE), HERTZ, rel_tol=0.02)
    assert max(abs(a - b) for a, b in pairwise(beep[:20])) < max(beep) // 4  # no click


def test_they_are_made_once_and_again_where_they_are_gone(tmp_path: Path) -> None:
    tones = make(tmp_path)
    file = Path(f"{tones.beep}.wav")
    before = file.stat().st_mtime_ns
    Path(f"{tones.silence}.wav").unlink()
    assert make(tmp_path) == tones
    assert (file.stat().st_mtime_ns, Path(f"{tones.silence}.wav").exists()) == (before, True)
    assert len(list(file.parent.iterdir())) == 2


def test_a_place_that_cannot_be_written_is_said_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tones").write_text("a file where a folder should be")
    assert make(tmp_path) == prompts_tones.Tones("", "")
    assert len(caplog.records) == 2
