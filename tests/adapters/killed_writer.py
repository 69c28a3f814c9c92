"""A writer that kills itself: `python killed_writer.py JOURNAL DSN STEP`. It dies at the STEPth moment between two
things it asks of PostgreSQL, and exits 0 when there were not so many."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from cti.adapters import postgres_writer
from cti.adapters.journal import Journal


class Deadly:
    """A connection; before and after each call a chance to die."""

    def __init__(self, link: Any, left: list[int]) -> None:
        self._link, self._left = link, left

    def moment(self) -> None:
        self._left[0] -= 1
        if self._left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._link, name)
        if name == "terminate":
            return real
        if name == "transaction":
            return lambda: Transaction(real(), self)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.moment()
            result = await real(*args, **kwargs)
            self.moment()
            return result

        return call


class Transaction:
    def __init__(self, real: Any, deadly: Deadly) -> None:
        self._real, self._deadly = real, deadly

    async def __aenter__(self) -> None:
        await self._real.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        self._deadly.moment()
        await self._real.__aexit__(*error)
        self._deadly.moment()


async def main(folder: str, dsn: str, step: str) -> None:
    left, connect = [int(step)], postgres_writer.connect

    async def deadly(*args: Any) -> Any:
        return Deadly(await connect(*args), left)

    postgres_writer.connect = deadly  # type: ignore[assignment]
    postgres_writer.BATCH = 7
    writer = postgres_writer.Writer(dsn, Journal.open(Path(folder)))
    await writer.catch_up()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
