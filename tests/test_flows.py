"""A changed flows folder becomes the live version, also when the database is away at that moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit_sound import wav

from cti.core.ivr import Book
from cti.errors import BadInput, Unavailable
from cti.flows import LiveFlows


def write(folder: Path, words: str) -> None:
    """JSON is YAML."""
    nodes = {"greet": {"do": "say", "say": {"en": words}, "then": "hangup"}}
    flow = {"flow": "main", "language": "en", "start": "greet", "nodes": nodes}
    files = {"main": flow, "numbers": {"numbers": {"6000": "main"}}, "queues": {"queues": {}}}
    for name, data in files.items():
        (folder / f"{name}.yaml").write_text(json.dumps(data))


class Database:
    """Keeps versions, unless it is away."""

    def __init__(self) -> None:
        self.away = 0  # so many more tries fail
        self.kept: list[dict[str, str]] = []

    async def live_flows(self) -> tuple[int, dict[str, str]] | None:
        return (len(self.kept), self.kept[-1]) if self.kept else None

    async def save_flows(self, files: dict[str, str], by: str, comment: str) -> int:
        if self.away:
            self.away -= 1
            raise Unavailable("away", "postgres_unavailable")
        self.kept.append(files)
        return len(self.kept)


def live_flows(folder: Path, database: Database, live: list[Book]) -> LiveFlows:
    config: Any = SimpleNamespace(
        paths=SimpleNamespace(flows=folder), flows=SimpleNamespace(auto_publish=True),
        site=SimpleNamespace(country="ID", time_zone="UTC"),
    )  # fmt: skip
    return LiveFlows(config, database, live.append)  # type: ignore[arg-type]


@pytest.mark.parametrize("running", [True, False])
async def test_an_edit_while_the_database_is_away_is_live_when_it_is_back(
    tmp_path: Path, running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edited while the server ran, or before it started."""
    monkeypatch.setattr("cti.flows.AGAIN", 0.01)
    database, live = Database(), list[Book]()
    write(tmp_path, "One")
    flows = live_flows(tmp_path, database, live)
    await flows.start(())
    if not running:
        write(tmp_path, "Two")
        database.away = 1
        flows = live_flows(tmp_path, database, live)
        await flows.start(())
    watching = asyncio.create_task(flows.watch())
    if running:
        database.away = 2
        write(tmp_path, "Two")
    async with asyncio.timeout(6):
        while len(database.kept) < 2:
            await asyncio.sleep(0.01)
        while live[-1].version < 2:
            await asyncio.sleep(0.01)
    watching.cancel()
    assert "Two" in database.kept[-1]["main.yaml"]


class Running:
    """Started on a good folder, and watching it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database, self.live = folder, Database(), list[Book]()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(6):
            while not true():
                await asyncio.sleep(0.01)

    async def next_version(self) -> Book:
        count = len(self.live)
        await self.until(lambda: len(self.live) > count)
        return self.live[-1]


@contextlib.asynccontextmanager
async def watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr("cti.flows.AGAIN", 0.01)
    monkeypatch.setattr("cti.adapters.flow_files.watch.__kwdefaults__", {"live": "", "every": 0.02})
    running = Running(folder)
    write(folder, "One")
    flows = live_flows(folder, running.database, running.live)
    await flows.start(())
    watching = asyncio.create_task(flows.watch())
    try:
        yield running
        assert not watching.done(), watching.exception()
    finally:
        watching.cancel()


@pytest.mark.parametrize(
    "name", [b"main.yaml", b"caf\xe9.yaml", b"prompts/en/caf\xe9.wav"], ids=["escape", "flow name", "prompt name"]
)
async def test_what_cannot_be_read_is_told_and_neither_ends_the_server_nor_bars_its_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: bytes
) -> None:
    (tmp_path / "prompts/en").mkdir(parents=True)
    async with watched(tmp_path, monkeypatch) as running:
        bad = Path(os.fsdecode(bytes(tmp_path) + b"/" + name))
        bad.write_text('flow: main\nlanguage: "\\UFFFFFFFF"\n')
        await running.until(lambda: "flows not published" in caplog.text)
        again = list[Book]()
        await live_flows(tmp_path, running.database, again).start(())
        assert [book.version for book in again] == [1]
        bad.unlink()
        write(tmp_path, "Two")
        assert (await running.next_version()).version == 2


async def test_a_bug_met_by_one_content_is_told_once_and_the_next_content_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        monkeypatch.setattr(running.database, "save_flows", None)
        write(tmp_path, "Two")
        await running.until(lambda: "Traceback" in caplog.text)
        monkeypatch.undo()
        write(tmp_path, "Three")
        await running.next_version()
        assert "Three" in running.database.kept[-1]["main.yaml"]


@pytest.mark.parametrize("gone", [["main.yaml", "numbers.yaml", "queues.yaml"], ["numbers.yaml"]])
async def test_a_folder_that_was_emptied_is_not_published_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, gone: list[str]
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        for name in gone:
            (tmp_path / name).unlink()
        await running.until(lambda: "flows not published" in caplog.text)
        again = list[Book]()
        await live_flows(tmp_path, running.database, again).start(())
        assert [book.version for book in again] == [1] and again[0].flow_for("6000")
        write(tmp_path, "Two")
        assert (await running.next_version()).version == 2
    assert len(running.database.kept) == 2


async def test_an_empty_folder_is_no_first_version(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no flow"):
        await live_flows(tmp_path, Database(), []).start(())


async def test_a_prompt_recorded_anew_is_a_new_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        (tmp_path / "prompts/en").mkdir(parents=True)
        for sound in (wav(b"one_"), wav(b"two_")):
            (tmp_path / "prompts/en/welcome.wav").write_bytes(sound)
            await running.next_version()
        shutil.copystat(tmp_path, tmp_path / "prompts/en/welcome.wav")
        again = list[Book]()
        await live_flows(tmp_path, running.database, again).start(())
        assert [book.version for book in again] == [3]


async def test_what_is_not_acted_on_yet_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "One")
    (tmp_path / "queues.yaml").write_text("queues: {sales: {recording: on_demand}}")
    await live_flows(tmp_path, Database(), []).start(())
    note = "flows version 1: queues.yaml:1:18: queue sales: `recording: on_demand` is not acted on yet"
    assert [one.getMessage() for one in caplog.records if one.levelname == "WARNING"] == [note]
