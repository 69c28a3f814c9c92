"""`cti flow prompts list`, `render` and `import`, as a person types them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kit_cli import Cti, typed

from cti.adapters.tts_levels import measure

pytestmark = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("sox")), reason="needs espeak-ng and sox (make setup)"
)
FLOW = """\
flow: main
language: en
start: a
nodes:
  a: {do: say, play: hello, say: {en: "Welcome", id: "Selamat datang"}, then: b}
  b: {do: say, say: "Hi {{ customer.name }}", then: hangup}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "main.yaml").write_text(FLOW)
    (folder / "numbers.yaml").write_text('numbers: {"6000": main, "6001": {flow: main, language: id}}\n')
    return folder


@pytest.fixture
def cti(folder: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> Cti:
    return partial(typed(monkeypatch, capsys, tmp_path / "home", PATHS__FLOWS=folder), "flow", "prompts")


def record(file: Path, *effects: str, rate: str = "44100") -> Path:
    argv = ["sox", "-n", "-r", rate, "-c", "2", "-b", "16", str(file), "synth", "1", "sine", "440", *effects]
    subprocess.run(argv, check=True)
    return file


def test_missing_ones_come_first_then_recorded_then_spoken(cti: Cti, folder: Path, tmp_path: Path) -> None:
    assert cti("import", str(record(tmp_path / "hello.wav", "pad", "1", "1")), "--language", "en")[0] == 0
    code, out, _ = cti("list", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [(r["language"], r["state"], r["prompt"], r["ready"]) for r in rows] == [
        ("id", "missing", "prompts/id/hello.wav", False), ("en", "recorded", "prompts/en/hello.wav", True),
        ("en", "spoken", "Welcome", False), ("id", "spoken", "Selamat datang", False),
    ]  # fmt: skip
    assert 1.0 < rows[1]["seconds"] < 1.3 and -24 < rows[1]["level"] < -20 and rows[0]["problem"].endswith("is missing")
    missing = f"the prompt {folder}/prompts/id/hello.wav is missing"
    assert cti("render") == (1, f"{missing}\nprompts made: 3, failed: 1\n", "")
    cti("import", str(tmp_path / "hello.wav"), "--language", "id")
    assert cti("render") == (0, "prompts made: 4, failed: 0\n", "")
    lines = cti("list")[1].splitlines()
    assert lines[0].split() == ["language", "state", "seconds", "dB", "flows", "prompt"]
    assert lines[3].split() == ["en", "spoken,", "made", "main", '"Welcome"']


def test_a_folder_with_problems_is_told(cti: Cti, folder: Path) -> None:
    (folder / "main.yaml").write_text(FLOW.replace("start: a", "start: z"))
    for verb in ("list", "render"):
        code, out, _ = cti(verb)
        assert code == 1 and out.startswith("main.yaml:3:")


def test_an_import_replaces_at_once_and_leaves_nothing_else(cti: Cti, folder: Path, tmp_path: Path) -> None:
    file = record(tmp_path / "Studio take 3.wav", "gain", "-30")
    assert cti("import", str(file), "--language", "en")[0] == 2, "that is no name"
    for _ in range(2):
        code, out, _ = cti("import", str(file), "--language", "en", "--name", "hello")
        assert code == 0 and out.startswith("prompts/en/hello.wav: 1.1 s, -22.")
    made = folder / "prompts/en/hello.wav"
    assert [path.name for path in made.parent.iterdir()] == ["hello.wav"] and measure(made).seconds > 1
    made.unlink()
    made.symlink_to(tmp_path / "outside.wav")
    assert cti("import", str(file), "--language", "en", "--name", "hello")[0] == 0
    assert not made.is_symlink() and not (tmp_path / "outside.wav").exists()


def test_several_files_and_one_of_them_bad(cti: Cti, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("not a sound")
    record(tmp_path / "one.wav")
    record(tmp_path / "two.flac")
    files = [str(tmp_path / name) for name in ("one.wav", "bad.wav", "two.flac")]
    code, _, err = cti("import", *files, "--language", "en")
    assert code == 1 and f"cti: {tmp_path}/bad.wav: sound.wav is no sound file" in err
    assert sorted(path.name for path in (folder / "prompts/en").iterdir()) == ["one.wav", "two.wav"]


@pytest.mark.parametrize("words", [
    ("x.wav", "--language", "../en"), ("x.wav", "--language", "en", "--name", "../../etc/x"),
    ("x.wav", "y.wav", "--language", "en", "--name", "x"), ("a/x.wav", "b/x.wav", "--language", "en"), ("x.wav",),
    ("x.wav", "--language", "en", "--name", ""),
])  # fmt: skip
def test_what_is_misspelt_is_refused_before_anything_is_written(cti: Cti, folder: Path, words: tuple[str, ...]) -> None:
    assert cti("import", *words)[0] == 2
    assert not (folder / "prompts").exists()


def test_files_that_are_none(cti: Cti, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link.wav").symlink_to("/etc/passwd")
    (tmp_path / "dir.wav").mkdir()
    for name in ("pipe", "link", "dir", "nowhere"):
        code, _, err = cti("import", str(tmp_path / f"{name}.wav"), "--language", "en")
        assert code == 1 and f"{name}.wav: " in err
    assert not list((folder / "prompts/en").iterdir())


def test_nothing_is_written_through_a_link(cti: Cti, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "prompts").symlink_to(tmp_path / "elsewhere")
    code, _, err = cti("import", str(record(tmp_path / "hello.wav")), "--language", "en")
    assert code == 2 and "is a link" in err and not list((tmp_path / "elsewhere").iterdir())


def test_another_voice_by_configuration(cti: Cti, folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """A program that reads words and writes sound; what espeak-ng had said is not taken for it."""
    (folder / "main.yaml").write_text(FLOW.replace("play: hello, ", ""))
    assert cti("render")[0] == 0
    voice = tmp_path / "my voice"
    voice.write_text(f'#!/bin/sh\ncat >> "{tmp_path}/said"\necho " $1" >> "{tmp_path}/said"\n'
                     "exec sox -n -t wav -r 22050 -c 1 -b 16 - synth 0.5 sine 300\n")  # fmt: skip
    voice.chmod(0o755)
    monkeypatch.setenv("CTI_TTS__COMMAND", f"'{voice}' --lang={{language}}")
    assert [row["ready"] for row in json.loads(cti("list", "--json")[1])] == [False, False]
    assert cti("render")[0] == 0
    assert sorted((tmp_path / "said").read_text().splitlines()) == ["Selamat datang --lang=id", "Welcome --lang=en"]
    assert len(list((tmp_path / "home/sounds/tts").glob("*.wav"))) == 4
    monkeypatch.setenv("CTI_TTS__COMMAND", "/bin/false {language}")
    code, out, _ = cti("render")
    assert code == 1 and "/bin/false failed" in out
    monkeypatch.setenv("CTI_TTS__COMMAND", "piper 'unclosed")
    assert cti("render")[0] == 2
