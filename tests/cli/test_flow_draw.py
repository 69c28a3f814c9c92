"""`cti flow draw`, as a person types it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from kit_pg import Cluster
from kit_story import answered

from cti.__main__ import main
from cti.adapters.journal import Journal
from cti.adapters.postgres import Store

FLOWS = Path(__file__).parents[1] / "flows"


def draw(*words: str) -> int:
    return main(["flow", "draw", "main", "--flows", str(FLOWS), *words])


def test_as_mermaid_or_as_a_picture(tmp_path: Path, capsys: Any) -> None:
    assert draw() == 0 and capsys.readouterr().out.startswith("flowchart TD\n")
    assert draw("--svg", "-") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("<svg ") and "<style>" in printed
    assert draw("--svg", str(tmp_path / "main.svg")) == 0 and (tmp_path / "main.svg").read_text() == printed
    assert capsys.readouterr().out == ""


def test_what_cannot_be_drawn_is_said(tmp_path: Path, capsys: Any) -> None:
    assert main(["flow", "draw", "mian", "--flows", str(FLOWS)]) == 1
    assert "there is no flow `mian`; there are: " in capsys.readouterr().err
    assert draw("--counts") == 2
    assert "--counts needs --svg" in capsys.readouterr().err
    assert draw("--svg", str(tmp_path / "none" / "main.svg")) == 2
    assert "No such file or directory" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        draw("--svg", "-", "--counts", "0")


@pytest.mark.services
def test_counts_come_from_the_database(pg: Cluster, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    dsn = pg.database(migrated=True)

    async def keep() -> None:
        store, journal = await Store.open(dsn), Journal.open(tmp_path / "journal")
        journal.append([event for seed in range(3) for event in answered(time.time() - 60, seed=seed).events])
        await store.catch_up(journal)
        journal.close()
        await store.close()

    asyncio.run(keep())
    monkeypatch.setenv("CTI_POSTGRES__DSN", dsn)
    assert draw("--svg", "-", "--counts", "2") == 0
    assert "menu: menu, visits 3, left here 0 (0 %)" in capsys.readouterr().out
