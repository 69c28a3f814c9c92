"""The running home for these tests, and what they see of it."""

from tests.kit_home import home, own_home, pytest_runtest_makereport, world

__all__ = ["home", "own_home", "pytest_runtest_makereport", "world"]
