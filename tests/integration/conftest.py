"""The running home for these tests; `from conftest import ...` gets its parts."""

from tests.kit_home import FLOWS, RunningHome, home, own_home, pytest_runtest_makereport, running

__all__ = ["FLOWS", "RunningHome", "home", "own_home", "pytest_runtest_makereport", "running"]
