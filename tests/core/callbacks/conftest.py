"""An office whose callers ask at once to be called back."""

import pytest

from tests.core.callbacks.desk import Desk


@pytest.fixture
def office() -> Desk:
    return Desk()
