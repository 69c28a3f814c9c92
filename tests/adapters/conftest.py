"""A database of its own for each test of the store; a website with nothing real behind it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from kit_pg import Cluster
from webkit import Site, a_site

from cti.adapters.postgres import Store


@pytest.fixture
async def dsn(pg: Cluster) -> str:
    """An empty database with the schema."""
    return await pg.make_database(migrated=True)


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    store = await Store.open(dsn)
    yield store
    await store.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with a_site() as site:
        yield site
