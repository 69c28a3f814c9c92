"""One program that the supervisor keeps running."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cti.embedded.account import Account


async def always() -> bool:
    return True


def nothing() -> None:
    pass


@dataclass(frozen=True)
class Part:
    """`before` runs before each start; `ready` and `alive` are asked while it runs; an OSError means no.

    `start_seconds`: time to become ready. `watch_seconds`: killed when not `alive` for so long (0: never).
    """

    name: str
    argv: Sequence[str]
    log: Path
    account: Account
    ready: Callable[[], Awaitable[bool]] = always
    alive: Callable[[], Awaitable[bool]] = always
    before: Callable[[], None] = nothing
    env: dict[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    start_seconds: float = 60.0
    watch_seconds: float = 0.0
    dies_with_us: bool = False
