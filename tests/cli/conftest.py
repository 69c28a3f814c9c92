"""A database of its own for each test of the verbs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from kit_cli import Cti, typed
from kit_pg import Cluster


@pytest.fixture
def dsn(pg: Cluster) -> str:
    """An empty database with the schema."""
    return pg.database(migrated=True)


@pytest.fixture
def cti(dsn: str, tmp_path: Path, monkeypatch: Any, capsys: Any) -> Cti:
    """With that database; its folder of flows is `flows`, whether it is there or not."""
    return typed(monkeypatch, capsys, tmp_path / "home", POSTGRES__DSN=dsn, PATHS__FLOWS=tmp_path / "flows")
