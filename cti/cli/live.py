"""What the verbs that ask the running server share."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo
from typing import Any
from urllib.parse import quote

from cti.cli import database, options
from cti.embedded import http
from cti.errors import CtiError, Refused, Unavailable

Row = Mapping[str, Any]


def quoted(text: str) -> str:
    return quote(text, safe="")


def ask(args: argparse.Namespace, path: str, missing: str = "") -> Any:
    """The server's JSON. Raises Refused (`missing`, on 404), Unavailable when it does not answer, ConfigError."""
    config = options.load(args)
    try:
        code, body = asyncio.run(http.get(config, path))
        data = json.loads(body)
    except (OSError, TimeoutError, ValueError) as e:
        text = f"the server at {http.url(config)} does not answer: is `cti up` or `cti serve` running?"
        raise Unavailable(text, "server_away") from e
    if code == 404:
        raise Refused(missing or "the server knows nothing of it", "not_found")
    if code != 200:
        raise CtiError(f"the server says: {data.get('detail', code)}", data.get("code"))
    return data


def show(args: argparse.Namespace, said: Row, lines: Callable[[Row, tzinfo], Iterator[str]]) -> int:
    if args.json:
        options.print_json(said)
    else:
        print("\n".join(database.safe(line) for line in lines(said, database.zone(args))))
    return 0
