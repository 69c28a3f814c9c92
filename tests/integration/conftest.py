"""The running home for these tests, and what they see of it."""

import pytest
from kit import World

from tests.kit_home import RunningHome, home, own_home, pytest_runtest_makereport

__all__ = ["home", "own_home", "pytest_runtest_makereport", "world"]


@pytest.fixture
def world(home: RunningHome) -> World:
    return World(home.path)
