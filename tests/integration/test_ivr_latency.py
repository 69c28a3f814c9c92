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
    for figures in ours:  # the middle one: what the worst waits for may be this machine's other work
        assert ivr_latency.at_percent(figures.answers, 50) < 0.25
        assert ivr_latency.at_percent(figures.waits, 50) < 0.15
        assert ivr_latency.at_percent(figures.gaps, 50) < 0.1
