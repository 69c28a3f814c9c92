"""A changed flows folder becomes the live version, also when the database is away at that moment."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cti.core.ivr import Book
from cti.errors import Unavailable
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
        site=SimpleNamespace(country="ID"),
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
