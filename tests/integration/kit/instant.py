"""Two things done so many milliseconds apart, exactly."""

from __future__ import annotations

import time
from collections.abc import Callable


def strike(answer: Callable[[], None], hang_up: Callable[[], None], after: float) -> float:
    """Answer, and hang up `after` seconds later (negative: before). When both were done, by the time of day.

    Blocks the loop for these few milliseconds: a sleep would not be exact enough."""
    steps = [(0.0, answer), (after, hang_up)]
    began = time.perf_counter() + max(0.0, -after)
    for at, act in sorted(steps, key=lambda step: step[0]):
        while time.perf_counter() < began + at:
            pass
        act()
    return time.time()
