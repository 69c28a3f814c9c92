"""A few calls of `bench/ivr_latency.py`: nobody waits for his prompt, no key is lost, no sound has holes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import ivr_latency
from tests.kit_home import RunningHome, clean

pytestmark = pytest.mark.services


@pytest.fixture
def tones(tmp_path: Path) -> Iterator[RunningHome]:
    home = RunningHome(tmp_path / "home")
    ivr_latency.prepare(home)
    with clean(home):
        home.start()
        yield home


async def test_what_a_few_callers_hear_and_when(tones: RunningHome) -> None:
    found = await ivr_latency.bench(tones.path, rate=5, calls=20, callers=0, seconds=0)
    ours = [figures for title, figures in found.items() if title.startswith("flow")]
    assert [(figures.calls, figures.failed, figures.deaf) for figures in ours] == [(10, 0, 0)] * 2
    # Half of the calls of the better turn: what the others wait for may be this machine's other work.
    for name, longest in (("answers", 0.25), ("waits", 0.15), ("gaps", 0.1)):
        assert min(ivr_latency.at_percent(getattr(figures, name), 50) for figures in ours) < longest, name
