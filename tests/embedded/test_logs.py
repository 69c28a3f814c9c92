"""What is full is set aside, while it is written and without following a link."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from cti import config as configuration
from cti.embedded import logs
from cti.embedded.account import Account
from cti.errors import Unavailable

ME = Account("", os.geteuid(), os.getegid(), drop=False)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PART_MAX", 100)


def test_a_log_that_is_written_is_cut_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        logs.cut(log, ME)
        assert not (tmp_path / "server.log.1").exists(), "it is not full yet"
        for letter in (b"a", b"b"):
            writer.write(letter * 101)
            logs.cut(log, ME)
            writer.write(b"new\n")
            assert log.read_bytes() == b"new\n"
            assert (tmp_path / "server.log.1").read_bytes().endswith(letter * 101)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["server.log", "server.log.1"]


def test_a_log_that_was_removed_is_no_fault(tmp_path: Path) -> None:
    logs.cut(tmp_path / "server.log", ME)
    assert not list(tmp_path.iterdir())


def test_a_log_that_became_a_link_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x" * 200)
    (tmp_path / "server.log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        logs.cut(tmp_path / "server.log", ME)
    assert (tmp_path / "target").stat().st_size == 200


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("disk full")

    log = tmp_path / "server.log"
    log.write_text("x" * 200)
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="disk full"):
        logs.cut(log, ME)
    assert [(p.name, p.stat().st_size) for p in tmp_path.iterdir()] == [("server.log", 200)]


def test_what_is_not_there_or_not_full_stays(tmp_path: Path) -> None:
    file = tmp_path / "cti.csv"
    assert not logs.set_aside(file, 10, ME)
    file.write_text("x" * 10)
    assert not logs.set_aside(file, 10, ME)
    file.write_text("x" * 11)
    assert logs.set_aside(file, 10, ME)
    assert [p.name for p in tmp_path.iterdir()] == ["cti.csv.1"]


async def test_a_fault_is_said_once_and_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration.load(None, {"CTI_HOME": str(tmp_path)})
    said: list[str] = []
    looks: list[int] = []

    async def look(*_: object) -> None:
        looks.append(1)
        raise Unavailable("Asterisk's control socket: away")

    monkeypatch.setattr(logs, "look", look)
    task = asyncio.create_task(logs.keep(config, {}, ME, said.append, every=0.001))
    while len(looks) < 3:
        await asyncio.sleep(0.001)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert said == ["a log is full and cannot be set aside: Asterisk's control socket: away"]
