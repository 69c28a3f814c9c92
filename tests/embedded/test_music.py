"""Music for waiting callers: folders of the flows become classes, whatever lies in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cti import config as configuration
from cti.config import Config
from cti.embedded import music, render
from cti.embedded.places import Account
from tests.kit_sound import wav

ME = Account("me", os.geteuid(), os.getegid(), drop=False)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    found = configuration.load(None, {
        "CTI_HOME": str(tmp_path), "CTI_AMI__SECRET": "abcdefghijklmnop", "CTI_PATHS__FLOWS": str(tmp_path / "flows"),
    })
    found.asterisk.config_dir.mkdir(parents=True)
    return found


def put(config: Config, name: str, content: bytes = wav(b"\1\0" * 800)) -> Path:
    file = config.paths.flows / "music" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def made(config: Config, tmp_path: Path) -> dict[str, list[int]]:
    """By class: the bytes of its files."""
    found = music.prepare(config, tmp_path / "made", ME)
    return {name: sorted(file.stat().st_size for file in folder.iterdir()) for name, folder in found}


def test_folders_are_classes_and_their_files_are_brought_into_shape(config: Config, tmp_path: Path) -> None:
    put(config, "gold/one.wav")
    put(config, "gold/two.wav", wav(b"\2\0" * 400))
    put(config, "silver/one.wav")
    assert made(config, tmp_path) == {"gold": [800, 1600], "silver": [1600]}


def test_without_any_there_are_none(config: Config, tmp_path: Path) -> None:
    assert made(config, tmp_path) == {}


def test_a_second_start_makes_nothing_and_forgets_what_was_removed(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(config, "gold/one.wav")
    put(config, "gold/two.wav", wav(b"\2\0" * 400))
    made(config, tmp_path)
    (config.paths.flows / "music/gold/two.wav").unlink()
    monkeypatch.setattr(music.subprocess, "run", None)
    assert made(config, tmp_path) == {"gold": [1600]}


@pytest.mark.parametrize("bad", ["noise", "empty", "link", "pipe", "large"])
def test_what_cannot_be_played_is_left_out_and_named(
    config: Config, tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(config, "gold/good.wav")
    file = config.paths.flows / "music/gold/bad.wav"
    if bad == "link":
        file.symlink_to("/etc/passwd")
    elif bad == "pipe":
        os.mkfifo(file)
    else:
        put(config, "gold/bad.wav", {"noise": b"MZ" * 500, "empty": b"", "large": wav(b"\1\0" * 4000)}[bad])
        monkeypatch.setattr(music, "MOST", 4000)
    assert made(config, tmp_path) == {"gold": [1600]}
    assert "music/gold/bad.wav" in caplog.text


@pytest.mark.parametrize("name", ["default", "a b", "x]"])
def test_a_class_of_another_name_is_none(
    config: Config, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(config, f"{name}/one.wav")
    assert made(config, tmp_path) == {}
    assert "cannot be called so" in caplog.text


def test_a_class_with_nothing_to_play_is_none(
    config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(config, "gold/readme.txt", b"soon")
    assert made(config, tmp_path) == {}
    assert "nothing to play" in caplog.text


def test_asterisk_knows_them(config: Config, tmp_path: Path) -> None:
    tree = render.Tree(tmp_path, tmp_path, tmp_path, tmp_path, (22, 10, 1))
    render.write_all(config, tree, ME, [("gold", tmp_path / "made/gold")])
    text = (config.asterisk.config_dir / "musiconhold.conf").read_text()
    assert f"[gold]\nmode = files\ndirectory = {tmp_path}/made/gold\n" in text
    render.write_all(config, tree, ME)
    assert "[gold]" not in (config.asterisk.config_dir / "musiconhold.conf").read_text()
