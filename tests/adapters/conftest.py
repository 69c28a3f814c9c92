"""A PostgreSQL of its own for the tests of the store; one a process, one database a test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from kit_pg import Cluster


@pytest.fixture(scope="session")
def pg() -> Iterator[Cluster]:
    cluster = Cluster.start()
    yield cluster
    cluster.close()


@pytest.fixture
async def dsn(pg: Cluster) -> str:
    """An empty database with the schema."""
    return await pg.make_database(migrated=True)
