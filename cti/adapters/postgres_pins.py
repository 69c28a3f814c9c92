"""PINs by which callers prove who they are. Five wrong ones in a row lock one for a quarter of an hour.

With four digits, that leaves a thief about 1 chance in 2,000 an hour; a caller who errs is not kept out for the day.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from cti.adapters.postgres import Store
from cti.errors import BadInput, Refused

TRIES, LOCKED = 5, 900.0  # wrong ones in a row; s
CUSTOMER = re.compile(r"[0-9]{1,18}")
Check = Callable[[str | None, str], bool]  # (hash or None, pin); slow
Found = tuple[str, dict[str, Any]]


async def authenticate(store: Store, check: Check, customer_id: str, pin: str, zone: ZoneInfo) -> Found:
    """done, wrong {left}, locked {until: in that zone}, or no_pin. Each takes the time of one check."""
    who = int(customer_id) if CUSTOMER.fullmatch(customer_id) else 0
    tried = await store.db.row("pin_try", who, TRIES, LOCKED)
    right = await asyncio.to_thread(check, tried["pin_hash"] if tried else None, pin)
    if tried is None:
        known = await store.db.row("pin_lock", who)
        return ("locked", _until(known["locked_until"], zone)) if known and known["locked_until"] else ("no_pin", {})
    if right:
        await store.db.rows("pin_right", who)
        return "done", {}
    if tried["locked_until"] is not None:
        return "locked", _until(tried["locked_until"], zone)
    return "wrong", {"left": TRIES - tried["failed"]}


def _until(at: Any, zone: ZoneInfo) -> dict[str, Any]:
    return {"until": at.astimezone(zone).isoformat(timespec="seconds")}


async def set_pin(store: Store, customer_id: str, pin_hash: str | None) -> None:
    """None takes it away. A lock ends. Raises BadInput, Refused."""
    if not CUSTOMER.fullmatch(customer_id):
        raise BadInput(f"customer {customer_id!r}: a number, as `customer_id` in the CRM", "bad_customer")
    who = int(customer_id)
    if pin_hash is None:
        if not await store.db.rows("drop_pin", who):
            raise Refused(f"customer {customer_id} has no PIN", "no_pin")
    elif not await store.db.rows("set_pin", who, pin_hash):
        raise Refused(f"there is no customer {customer_id}", "no_customer")
