"""The same flow takes the same path in the text phone, in a test file and on a real call, for every node there is."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kit import Caller, World

from cti.adapters import flow_cases, flow_files
from cti.core import ivr
from cti.core.ivr import trial
from cti.core.ivr.phone import Phone
from cti.core.ivr.verbs import VERBS
from cti.demo.tokeniser import Tokeniser
from tests.kit_home import RunningHome, clean
from tests.kit_ports import free_port

pytestmark = pytest.mark.services
FOLDER = Path(__file__).parent / "every_node"
CALLER = "+628123456001"
CARD, SECRET, PIN = "4242424242424242", "314159", "271828"
# What the caller does each time a node asks; a node of several steps by its stage. "": presses nothing.
KEYS: dict[tuple[str, str], list[str]] = {
    ("menu", ""): ["7", "1"],
    ("order", ""): ["41#", "4142#"],
    ("order", "confirm"): ["1"],
    ("sure", ""): ["1"],
    ("number", ""): ["08123456777#"],
    ("day", ""): ["24122026"],
    ("sum", ""): ["12*50#"],
    ("secret", ""): [SECRET],
    ("call_me", "offer"): ["2", "1"],
    ("call_me", "enter"): ["08123456888#"],
    ("pin", "pin"): ["000000#", f"{PIN}#"],
    ("card", "card"): [f"{CARD}#"],
    ("card", "expiry"): ["1229"],
    ("card", "code"): ["987#"],
    ("rate", ""): ["4"],
    ("rate", "asking"): ["2"],
}
LEAVES_IN = "bye"
ANSWERS: dict[str, list[ivr.Answer]] = {
    "find": [ivr.Answer("found", data={"status": "sent", "amount": 150000})],
    "stock": [ivr.Answer("done", data={"status": 200, "left": 7})],
    "price": [ivr.Answer("cheap", data={"price": 5})],
    "told": [ivr.Answer("done")],
    "by_secret": [ivr.Answer("found", data={"status": "sent"})],
    "pin": [ivr.Answer("wrong", data={"left": 4}), ivr.Answer("done")],
    "card": [ivr.Answer("done", data={"token": "t", "last4": "4242"})],
    "left": [ivr.Answer("done")],
}
Way = list[tuple[str, str, str]]


def in_the_text_phone(book: ivr.Book) -> Way:
    customer = {"customer_id": "1", "display_name": "Siti", "tier": "vip"}
    phone = Phone(book, "every", caller=CALLER, called="6000", customer=customer, answers=ANSWERS)
    keys = {place: list(pressed) for place, pressed in KEYS.items()}
    phone.settle()
    while not phone.ended:
        node = phone.line.node
        match phone.action:
            case ivr.Ask() if node == LEAVES_IN:
                phone.hang_up()
            case ivr.Ask():
                phone.press(keys[node, phone.line.stage].pop(0))
            case ivr.Record():
                phone.recorded(2.0)
            case ivr.Enqueue():
                phone.queue_ended("timeout")
            case ivr.Dial():
                phone.dial_ended("fail")
            case other:
                raise AssertionError(f"{node}: {other}")
        phone.settle()
    assert not any(keys.values()), keys
    return [(one.flow, one.node, one.outcome) for one in phone.path]


def in_a_test_file(book: ivr.Book) -> Way:
    """What `cti flow test` runs."""
    (cases,) = flow_cases.load([FOLDER / "every.test.yaml"], book, "Asia/Jakarta")
    assert cases.problems == ()
    (case,) = cases.tests
    result = trial.run(book, cases, case)
    assert not result.failures, result.failures
    return [(one.flow, one.node, one.outcome) for one in result.path]


# ---------------------------------------------------------------- the real call


class Others:
    """The other side of `http` and `message`."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    @asynccontextmanager
    async def at(self, port: int) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/stock/{order}", self._stock)
        app.router.add_post("/sms", self._sms)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _stock(self, request: web.Request) -> web.Response:
        self.heard.append((request.headers.get("Authorization", ""), request.match_info["order"]))
        return web.json_response({"stock": {"left": 7}})

    async def _sms(self, request: web.Request) -> web.Response:
        self.heard.append(("sms", await request.json()))
        return web.json_response({})


@pytest.fixture
def every_home(tmp_path: Path) -> Iterator[tuple[RunningHome, int, int]]:
    """A home with those flows; the ports of its stock server and its tokeniser."""
    home, stock, tokens = RunningHome(tmp_path / "home"), free_port(), free_port()
    shutil.rmtree(home.path / "flows")
    shutil.copytree(FOLDER, home.path / "flows", ignore=shutil.ignore_patterns("*.test.yaml"))  # it holds the digits
    flow = home.path / "flows/every.yaml"
    flow.write_text(flow.read_text().replace("8099", str(stock)))
    with (home.path / "cti.toml").open("a") as toml:
        toml.write(
            f'[outside]\nallow = ["127.0.0.1"]\n[secrets]\nerp_key = "Bearer only-for-erp"\n'
            f'[webhooks.sms]\nurl = "http://127.0.0.1:{stock}/sms"\n'
            f'[payment]\nurl = "http://127.0.0.1:{tokens}/tokens"\n'
        )
    with clean(home):
        home.start()
        yield home, stock, tokens


async def on_a_real_call(world: World) -> Way:
    caller = await Caller(world.sip, "6000", number=CALLER).start()
    await caller.answered()
    keys = {place: list(pressed) for place, pressed in KEYS.items()}
    seen = 0
    async with asyncio.timeout(90):
        while not caller.ended_by:
            steps = await world.rows(
                "SELECT e.seq, e.data -> 'line' ->> 'node' AS node, coalesce(e.data -> 'line' ->> 'stage', '') AS stage"
                " FROM crm.v_call_events e JOIN crm.v_calls c USING (call_id)"
                " WHERE c.caller = $1 AND e.type = 'flow.at' AND e.seq > $2 ORDER BY e.seq",
                CALLER, seen,
            )  # fmt: skip
            for step in steps:
                seen = step["seq"]
                if step["node"] == LEAVES_IN:
                    caller.hang_up()
                elif waiting := keys.get((step["node"], step["stage"])):
                    assert caller.call is not None
                    caller.call.press(waiting.pop(0))
                elif step["node"] in ("wish", "leave"):
                    await spoken(world)
                    assert caller.call is not None
                    caller.call.press("#")
            await asyncio.sleep(0.05)
    await caller.wait()
    row = await world.row_when("SELECT call_id FROM crm.calls WHERE caller = $1 AND finished", CALLER)
    nodes = await world.rows(
        "SELECT data ->> 'flow' AS flow, data ->> 'node' AS node, data ->> 'outcome' AS outcome"
        " FROM crm.v_call_events WHERE call_id = $1 AND type = 'flow.node' ORDER BY seq",
        row["call_id"],
    )  # fmt: skip
    assert not any(keys.values()), keys
    return [(one["flow"], one["node"], one["outcome"]) for one in nodes]


async def spoken(world: World, seconds: float = 2.0) -> None:
    """Until so much of a message is on the disk."""
    spool = world.config.paths.recordings / "spool"
    async with asyncio.timeout(20):
        while not any(file.stat().st_size > seconds * 16_000 for file in spool.glob("*-caller.wav")):
            await asyncio.sleep(0.05)


async def prepare(world: World) -> None:
    """An order, a customer with a PIN."""
    rows = await world.rows(
        "WITH c AS (INSERT INTO crm.customers (display_name, tier) VALUES ('Siti', 'vip') RETURNING customer_id),"
        " n AS (INSERT INTO crm.customer_numbers (customer_id, number) SELECT customer_id, $1 FROM c)"
        " INSERT INTO crm.orders (reference, customer_id, status, due, amount, currency)"
        " SELECT o, customer_id, 'sent', DATE '2026-12-01', 150000, 'IDR' FROM c, unnest(ARRAY['4142', $2]) AS o"
        " RETURNING customer_id",
        CALLER, SECRET,
    )  # fmt: skip
    await world.cti("customer", "pin", str(rows[0]["customer_id"]), given=f"{PIN}\n")


async def test_every_node_takes_the_same_path_everywhere(every_home: tuple[RunningHome, int, int]) -> None:
    home, stock, tokens = every_home
    world, others = World(home.path), Others()
    book, problems = flow_files.check(home.path / "flows", zone="Asia/Jakarta")
    assert book is not None, problems
    assert {node.verb for flow in book.flows.values() for node in flow.nodes.values()} == set(VERBS)
    expected = in_the_text_phone(book)
    assert in_a_test_file(book) == expected
    nodes = {node for flow in book.flows.values() for node in flow.nodes}
    assert nodes - {node for _, node, _ in expected} == {"failed"}

    await prepare(world)
    async with others.at(stock), Tokeniser(port=tokens):
        assert await on_a_real_call(world) == expected
    assert others.heard == [
        ("Bearer only-for-erp", "4142"),
        ("sms", {"to": CALLER, "left": 7}),
        ("sms", {"left_in": "bye"}),
    ]
    await left_behind(world)
    left_nowhere(home)


async def left_behind(world: World) -> None:
    """What the call has written down."""
    call = (await world.rows("SELECT * FROM crm.v_calls WHERE caller = $1", CALLER))[0]
    assert call["voicemail"] and call["recordings"] == 2 and call["flow"] == "every", call
    (asked,) = await world.rows("SELECT * FROM crm.v_callbacks WHERE call_id = $1", call["call_id"])
    assert (asked["number"], asked["queue"]) == ("+628123456888", "sales")
    answers = await world.rows("SELECT question, answer FROM crm.v_survey_answers WHERE call_id = $1", call["call_id"])
    assert {(one["question"], int(one["answer"])) for one in answers} == {("good", 4), ("again", 2)}
    (message,) = await world.rows("SELECT * FROM crm.v_voicemails WHERE call_id = $1", call["call_id"])
    assert message["box"] == "support" and message["seconds"] >= 1, message
    recordings = await world.rows("SELECT * FROM crm.v_recordings WHERE call_id = $1", call["call_id"])
    assert [(one["channels"], one["agent"], one["bytes"] > 8000) for one in recordings] == [(1, None, True)] * 2
    said = await world.rows(
        "SELECT data -> 'data' ->> 'n' AS n, data ->> 'name' AS name FROM crm.v_call_events"
        " WHERE call_id = $1 AND type = 'flow.event' ORDER BY seq", call["call_id"],
    )  # fmt: skip
    assert [(one["name"], one["n"]) for one in said] == [("half_way", "2"), ("left", None)]


def left_nowhere(home: RunningHome) -> None:
    """Card, code, PIN and secret digits are in no file of the home: no log, journal, recording, nor the database."""
    spellings = [word.encode() for word in (CARD, CARD[:12], PIN)]
    for file in sorted(home.path.rglob("*")):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            assert [word for word in spellings if word in content] == [], file
