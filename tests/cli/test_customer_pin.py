"""`cti customer pin`: what is typed is nowhere to be seen, and works on the phone."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from kit_cli import Cti, ask

from cti.adapters import passwords
from cti.adapters.postgres import Store
from cti.adapters.postgres_pins import authenticate

pytestmark = pytest.mark.services


def test_a_pin_is_set_replaced_and_taken_away(cti: Cti, dsn: str) -> None:
    who = ask(dsn, lambda store: store.add_customer("Ani", []))

    def tried(pin: str) -> Any:
        return ask(dsn, lambda store: authenticate(store, passwords.check_pin, who, pin, ZoneInfo("Asia/Jakarta")))[0]

    assert tried("4711") == "no_pin"
    assert cti("customer", "pin", who, stdin="4711\n") == (0, f"customer {who} has a new PIN\n", "")
    assert tried("4711") == "done" and tried("4712") == "wrong"
    for _ in range(5):
        tried("0000")
    assert tried("4711") == "locked"
    assert cti("customer", "pin", who, stdin="081234\n")[0] == 0
    assert (tried("4711"), tried("081234")) == ("wrong", "done")
    assert cti("customer", "pin", who, "--remove") == (0, f"customer {who} has no PIN any more\n", "")
    assert tried("081234") == "no_pin"
    rows = ask(dsn, lambda store: _audit(store))
    assert [(r["action"], r["object"]) for r in rows] == [
        ("customer.pin_set", who), ("customer.pin_set", who), ("customer.pin_removed", who),
    ]  # fmt: skip
    assert "4711" not in str(rows)


async def _audit(store: Store) -> list[dict[str, Any]]:
    async with store.db.link() as link:
        return [dict(row) for row in await link.fetch("SELECT * FROM crm.audit ORDER BY at")]


@pytest.mark.parametrize(("words", "stdin", "code", "said"), [
    (("1",), "12\n", 2, "a PIN has 4 to 20 digits"), (("1",), "12a4\n", 2, "a PIN has 4 to 20 digits"),
    (("1",), "", 2, "no PIN was given"), (("1",), "4711\n", 1, "there is no customer 1"),
    (("ani",), "4711\n", 2, "customer 'ani': a number"), (("1", "--remove"), "", 1, "customer 1 has no PIN"),
    (("9" * 30,), "4711\n", 2, "a number"),
])  # fmt: skip
def test_what_cannot_be_is_said(cti: Cti, words: tuple[str, ...], stdin: str, code: int, said: str) -> None:
    got, out, err = cti("customer", "pin", *words, stdin=stdin)
    assert got == code and said in err and "4711" not in out + err
