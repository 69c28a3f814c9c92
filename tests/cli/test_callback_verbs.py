"""`cti callback`, as a person types it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from kit_cli import Cti, ask

FLOWS = {
    "main.yaml": "flow: main\nlanguage: en\nstart: a\nnodes:\n  a: {do: hangup}\n",
    "queues.yaml": "queues:\n  sales: {priority: 4}\n  support: {callback: {countries: [SG]}}\n",
}
pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def flows(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    for name, text in FLOWS.items():
        (tmp_path / "flows" / name).write_text(text)


def listed(cti: Cti, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(cti("callback", "list", "--json", *words)[1])
    return rows


def test_a_number_is_entered_listed_and_cancelled(cti: Cti, dsn: str) -> None:
    code, out, _ = cti("callback", "add", "021 1234 5678", "sales")
    assert code == 0
    found = re.fullmatch(r"\+622112345678 is called back by sales: (\S+)\n", out)
    assert found
    name = found[1]
    (row,) = listed(cti)
    assert (row["callback_id"], row["number"], row["entered"]) == (name, "+622112345678", "021 1234 5678")
    assert row["asked_by"].startswith("cli") and row["priority"] == 4, "the queue's own"
    told = cti("callback", "list")[1]
    assert re.search(rf"(?m)^{name[:13]} +\+622112345678 +sales +open +0 ", told), told
    assert "waits since (Asia/Jakarta)" in told
    assert listed(cti, "--queue", "support") == [] == listed(cti, "--state", "done")
    assert cti("callback", "cancel", name[:13].upper()) == (0, "+622112345678 is not called back by sales\n", "")
    assert listed(cti) == []
    (row,) = listed(cti, "--state", "all")
    assert (row["state"], row["ended_by"]) == ("cancelled", row["asked_by"])
    code, _, err = cti("callback", "cancel", name)
    assert (code, err) == (1, "cti: this callback is under way, over, or there is none such\n")
    actions = ask(dsn, lambda store: store.db.rows("callbacks_like", "%"))
    assert len(actions) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "2001", "sales"), "2001: this is a telephone of ours, not a customer's"),
        (("add", "112", "sales"), "112: emergency numbers may not be dialled"),
        (("add", "Budi", "sales"), "Budi: this is neither a station"),
        (("add", "+628121234567", "sale"), "there is no queue `sale` in the live flows; there are: sales, support"),
        (("add", "+6562123456", "sales"), "+6562123456: numbers of SG are not called back"),
        (("add", "+628121234567", "sales", "--priority", "3000"), "--priority is -1000 to 1000"),
        (("cancel", "0190"), "0190: there is no such callback"),
        (("cancel", "%%%%"), "'%%%%': an id, or its first 4 letters at least"),
        (("list", "--limit", "0"), "--limit is 1 to 1000"),
    ],
)
def test_what_cannot_be_is_said(cti: Cti, words: tuple[str, ...], said: str) -> None:
    code, out, err = cti("callback", *words)
    assert (code, out) == (2, "") and err.startswith(f"cti: {said}")


def test_with_another_priority_and_abroad(cti: Cti) -> None:
    assert cti("callback", "add", "+6562123456", "support", "--priority", "-7")[0] == 0
    assert [(row["number"], row["priority"]) for row in listed(cti)] == [("+6562123456", -7)]


def test_a_beginning_that_two_have_is_not_enough(cti: Cti) -> None:
    for number in ("+628121234567", "+628121234568"):
        assert cti("callback", "add", number, "sales")[0] == 0
    name = listed(cti)[0]["callback_id"][:6]
    assert cti("callback", "cancel", name)[::2] == (2, f"cti: {name}: more than one callback begins so\n")


def test_a_number_on_the_list_is_not_called(cti: Cti, dsn: str) -> None:
    async def bar(store: Any) -> None:
        async with store.db.link() as link:
            await link.execute("INSERT INTO crm.do_not_call (number) VALUES ('+628121234567')")

    ask(dsn, bar)
    code, _, err = cti("callback", "add", "+628121234567", "sales")
    assert (code, err) == (1, "cti: +628121234567 is on the do-not-call list\n")
    assert cti("callback", "add", "+628121234568", "sales")[0] == 0
    assert cti("callback", "add", "+628121234568", "sales")[2] == (
        "cti: a callback to +628121234568 is open in sales already\n"
    )
