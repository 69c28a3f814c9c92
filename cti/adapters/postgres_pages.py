"""Pages of lists: where one ends is told by a cursor, the sort key of its last row. And what is looked for in them."""

from __future__ import annotations

import base64
from datetime import datetime

import msgspec

from cti.adapters.postgres_db import Row, plain
from cti.errors import BadInput

Page = tuple[list[Row], str | None]


def like(q: str) -> str | None:
    """A LIKE pattern that finds q anywhere, None for no q; % and _ in q are letters."""
    q = q.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{q}%" if q else None


def page_of(rows: list[Row], limit: int, time: str, key: str) -> Page:
    last = rows[limit - 1] if len(rows) > limit else None
    return plain(rows[:limit]), join(last[time].isoformat(), str(last[key])) if last else None


def join(first: str, second: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([first, second])).decode()


def split(cursor: str | None) -> tuple[str | None, str | None]:
    if not cursor:
        return None, None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[str, str])
    except ValueError as e:
        raise BadInput("the cursor is not one of ours", "bad_cursor") from e


def place_of(cursor: str | None) -> tuple[datetime | None, str | None]:
    at, key = split(cursor)
    try:
        return (datetime.fromisoformat(at) if at else None), key
    except ValueError as e:
        raise BadInput("the cursor is not one of ours", "bad_cursor") from e
