"""In which order the workers take the tests, and the PostgreSQL that each of them has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kit_pg import Cluster

WAITS = {"integration", "browser", "embedded", "demo"}  # for phones, pages and programs more than for the machine


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers, those that wait are spread among those that compute, and none of them comes last."""
    if not hasattr(config, "workerinput"):
        return
    folders = [item.nodeid.split("/")[1] for item in items]
    count, seen = Counter(folders), Counter[str]()
    turns: dict[str, float] = {}
    for item, folder in zip(items, folders, strict=True):
        turns[item.nodeid] = seen[folder] / count[folder] * (0.8 if folder in WAITS else 1.0)
        seen[folder] += 1
    items.sort(key=lambda item: turns[item.nodeid])


@pytest.fixture(scope="session")
def pg() -> Iterator[Cluster]:
    from tests.kit_pg import Cluster  # not for the core's tests

    cluster = Cluster.start()
    yield cluster
    cluster.close()
