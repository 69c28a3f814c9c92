"""In which order the workers take the tests, and the PostgreSQL that each of them has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kit_pg import Cluster

WAITS = {"integration", "browser", "embedded", "demo"}  # for phones, pages and programs more than for the machine


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers, tests that wait are spread among those that compute, and none of them comes last."""
    if not hasattr(config, "workerinput"):
        return
    folders = [item.nodeid.split("/")[1] for item in items]
    count, seen = Counter(folders), Counter[str]()
    turns: dict[str, float] = {}
    for item, folder in zip(items, folders, strict=True):
        turns[item.nodeid] = seen[folder] / count[folder] * (0.8 if folder in WAITS else 1.0)
        seen[folder] += 1
    items.sort(key=lambda item: turns[item.nodeid])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests go to the workers one by one, but those of a module that makes something for all of them (a home, a
    switch) to one worker. The `xdist_group` of xdist 3.8 does nothing with pytest 9."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModuleThatShares(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if shares(config.rootpath / file) else nodeid

    return ByModuleThatShares(config, log)


@cache
def shares(file: Path) -> bool:
    return 'scope="module"' in file.read_text()


@pytest.fixture(scope="session")
def pg() -> Iterator[Cluster]:
    from tests.kit_pg import Cluster  # not for the core's tests

    cluster = Cluster.start()
    yield cluster
    cluster.close()
