"""Verbs as a person types them, and questions to the database behind them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cti.__main__ import main
from cti.adapters.postgres import Store

Cti = Callable[..., tuple[int, str, str]]


def typed(monkeypatch: Any, capsys: Any, home: Path, **settings: object) -> Cti:
    """Runs a verb on a home with these settings, as `POSTGRES__DSN=...`: (exit code, output, errors)."""
    for name, value in {"HOME": home, "SITE__TIME_ZONE": "Asia/Jakarta", **settings}.items():
        monkeypatch.setenv(f"CTI_{name}", str(value))

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        try:
            code = main(words)
        except SystemExit as e:  # argparse
            code = int(e.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def ask(dsn: str, question: Callable[[Store], Any]) -> Any:
    async def work() -> Any:
        store = await Store.open(dsn)
        try:
            return await question(store)
        finally:
            await store.close()

    return asyncio.run(work())
