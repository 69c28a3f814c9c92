"""PINs: five wrong ones lock, whoever asks and however many at once."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cti.adapters import passwords
from cti.adapters.postgres import Store
from cti.adapters.postgres_pins import LOCKED, TRIES, authenticate, set_pin

pytestmark = pytest.mark.services
ZONE = ZoneInfo("Asia/Jakarta")


@pytest.fixture
async def ani(store: Store) -> str:
    who = await store.add_customer("Ani", [])
    await set_pin(store, who, "the hash of 4711")
    return who


def check(pin_hash: str | None, pin: str) -> bool:
    """As slow as the real one, for its order: the tries of many are under way at once."""
    time.sleep(0.01)
    return pin_hash == f"the hash of {pin}"


async def tried(store: Store, who: str, pin: str) -> Any:
    return await authenticate(store, check, who, pin, ZONE)


async def test_wrong_ones_are_counted_and_a_right_one_begins_anew(store: Store, ani: str) -> None:
    for _ in range(2):
        assert [await tried(store, ani, "0000") for _ in range(4)] == [("wrong", {"left": n}) for n in (4, 3, 2, 1)]
        assert await tried(store, ani, "4711") == ("done", {})


async def test_the_fifth_wrong_one_locks_for_a_while(store: Store, ani: str) -> None:
    outcomes = [await tried(store, ani, "0000") for _ in range(TRIES)]
    assert outcomes[-1][0] == "locked" and outcomes[-2] == ("wrong", {"left": 1})
    until = datetime.fromisoformat(outcomes[-1][1]["until"])
    assert abs(until.timestamp() - time.time() - LOCKED) < 30 and until.utcoffset() == ZONE.utcoffset(until)
    assert await tried(store, ani, "4711") == outcomes[-1]  # the right one is not even looked at
    async with store.db.link() as link:
        await link.execute("UPDATE crm.customer_pins SET locked_until = now() - interval '1 second'")
    assert await tried(store, ani, "0000") == ("wrong", {"left": 4})
    assert await tried(store, ani, "4711") == ("done", {})


async def test_many_at_once_get_no_more_tries_than_one(store: Store, ani: str) -> None:
    looked: list[str] = []

    def counted(pin_hash: str | None, pin: str) -> bool:
        if pin_hash is not None:
            looked.append(pin)
        return check(pin_hash, pin)

    found = await asyncio.gather(*(authenticate(store, counted, ani, f"{n:04}", ZONE) for n in range(40)))
    assert len(looked) == TRIES
    assert sorted(outcome for outcome, _ in found) == ["locked"] * 36 + ["wrong"] * 4


@pytest.mark.parametrize("who", ["", "77", "1 OR 1=1", "9" * 30, "None", "٧"])
async def test_who_has_none_is_told_so_and_it_takes_as_long(store: Store, who: str) -> None:
    asked: list[str | None] = []

    def seen(pin_hash: str | None, pin: str) -> bool:
        asked.append(pin_hash)
        return False

    assert await authenticate(store, seen, who, "4711", ZONE) == ("no_pin", {})
    assert asked == [None]


def test_the_real_check() -> None:
    made = passwords.hash_pin("4711")
    assert made.startswith("$argon2id$")
    assert passwords.check_pin(made, "4711")
    for pin_hash, pin in ((made, "4712"), (None, "4711"), ("", "4711"), ("no hash", "4711")):
        assert not passwords.check_pin(pin_hash, pin)
