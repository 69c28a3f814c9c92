"""Text that every store takes: NUL and lone surrogates, which PostgreSQL refuses, become U+FFFD."""

from __future__ import annotations

import re
from typing import Any

REFUSED = re.compile("[\0\ud800-\udfff]")


def storable(value: Any) -> Any:
    """The value (text, or maps and lists of it) as it can be stored; tuples become lists."""
    if isinstance(value, str):
        return REFUSED.sub("\ufffd", value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value
