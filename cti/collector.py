"""Python's collector of cyclic garbage, kept from holding up calls.

What a start has made stays, and is not looked at any more. Young objects are collected as ever (a millisecond); all of
them, which takes 50 to 100 ms while thousands wait, when few calls are there, at the latest after `LATEST`.
Measured by bench/gc_pauses.py.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

EVERY = 30.0  # s between two looks
QUIET = 300  # calls
LATEST = 3600.0  # s
NEVER = 1_000_000_000


async def collect_when_quiet(live: Callable[[], int], every: float = EVERY, latest: float = LATEST) -> None:
    """Until cancelled. `live()`: how many calls there are."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*before[:2], NEVER)
    last = time.monotonic()
    try:
        while True:
            await asyncio.sleep(every)
            if live() <= QUIET or time.monotonic() - last >= latest:
                gc.collect()
                last = time.monotonic()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
