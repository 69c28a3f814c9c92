"""Card numbers go to the tokeniser and are seen nowhere else."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cti.adapters.tasks import Tasks
from cti.adapters.tasks_http import Client
from cti.adapters.tasks_pay import Tokeniser as Where
from cti.adapters.tasks_pay import pay
from cti.core.messages import RunTask, TaskDone
from cti.demo.tokeniser import DECLINED, Tokeniser, decided

CARD = "4111111111111111"


class Vault:
    def __init__(self, **digits: str) -> None:
        self.kept = {("c1", name): value for name, value in digits.items()}

    def get(self, uniqueid: str, name: str) -> str | None:
        return self.kept.get((uniqueid, name))

    def forget(self, uniqueid: str, name: str) -> None:
        self.kept.pop((uniqueid, name), None)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    one = Client(("127.0.0.0/8",))
    yield one
    await one.close()


@pytest.fixture
def vault() -> Vault:
    return Vault(card=CARD, expiry="1299", code="123", other="77")


Pay = Callable[..., Awaitable[TaskDone]]


@pytest.fixture
def paid(client: Client, vault: Vault) -> Pay:
    async def run(url: str, op: int = 7, **args: Any) -> TaskDone:
        where = Where(url, {"Authorization": "s3cret"}, 10.0)
        tasks = Tasks({"pay": lambda command: pay(client, where, vault.get, vault.forget, command)}, now=lambda: 1.0,
                      sealed=vault.get, secrets={})  # fmt: skip
        given = {"amount": 125000.5, "currency": "IDR", "reference": "1001", **args}
        return await tasks.run(RunTask(call_id="call", uniqueid="c1", op=op, kind="pay", args=given, timeout=2.0))

    return run


async def test_a_payment_brings_a_token_and_the_digits_are_gone(paid: Pay, vault: Vault, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    async with Tokeniser() as url:
        done = await paid(url)
    assert done.outcome == "done" and done.data.pop("token").startswith("tok_")
    assert done.data == {"last4": "1111", "brand": "visa"}
    assert vault.kept == {("c1", "other"): "77"}
    assert CARD not in caplog.text and "1299" not in caplog.text


async def test_a_card_may_be_declined(paid: Pay, vault: Vault) -> None:
    async with Tokeniser() as url:
        vault.kept["c1", "card"] = DECLINED
        assert (await paid(url)).outcome == "declined"
        vault.kept["c1", "card"] = CARD
        declined = await paid(url, op=8, amount=-1)
    assert (declined.outcome, declined.data) == ("declined", {"reason": "do_not_honor"})


async def test_without_a_card_or_a_tokeniser_it_is_an_error(paid: Pay, vault: Vault, caplog: Any) -> None:
    assert (await paid("")).outcome == "error"
    assert "there is no [payment] url in cti.toml" in caplog.text
    async with Tokeniser() as url:
        assert (await paid(url)).outcome == "error"  # the first try took the digits
    assert "there is no card number any more" in caplog.text and CARD not in caplog.text


def answering(text: str, status: int = 200, asked: list[Any] | None = None) -> TestServer:
    async def answer(request: web.Request) -> web.Response:
        if asked is not None:
            asked.append((dict(request.headers), await request.json()))
        return web.Response(text=text, status=status)

    app = web.Application()
    app.router.add_post("/tokens", answer)
    return TestServer(app)


async def test_what_is_sent(paid: Pay) -> None:
    asked: list[Any] = []
    async with answering('{"token": "t", "last4": "1111"}', asked=asked) as server:
        done = await paid(str(server.make_url("/tokens")))
    ((headers, body),) = asked
    assert done.data == {"token": "t", "last4": "1111"}
    assert body == {"card": CARD, "expiry": "1299", "code": "123", "amount": 125000.5, "currency": "IDR",
                    "reference": "1001"}  # fmt: skip
    assert (headers["Idempotency-Key"], headers["Authorization"]) == ("call:7", "s3cret")


@pytest.mark.parametrize(("text", "status", "outcome", "data"), [
    ('{"token": "t", "last4": "1111", "card": "x", "more": {"a": 1}}', 200, "done", {"token": "t", "last4": "1111"}),
    ('{"token": "t", "last4": "1111", "brand": 7}', 201, "done", {"token": "t", "last4": "1111"}),
    ('{"declined": "no money"}', 200, "declined", {"reason": "no money"}),
    ('{"declined": true}', 200, "declined", {}),
    ("no json", 402, "declined", {}),
    (f'{{"declined": "card {CARD} is bad"}}', 402, "declined", {}),
    (f'{{"token": "tok-{CARD}", "last4": "1111"}}', 200, "error", {}),
    ('{"token": "4111 1111-1111 1111", "last4": "1111"}', 200, "error", {}),
    ('{"token": "t", "last4": "1111", "brand": "4111111111111111"}', 200, "done", {"token": "t", "last4": "1111"}),
    ('{"token": "t", "last4": "4111111111111111"}', 200, "error", {}),
    ('{"token": "t", "last4": 1111}', 200, "error", {}),
    ('{"token": "", "last4": "1111"}', 200, "error", {}),
    ('{"token": ["t"], "last4": "1111"}', 200, "error", {}),
    ('{"token": "' + "t" * 201 + '", "last4": "1111"}', 200, "error", {}),
    ('{"token": "t\\n", "last4": "1111"}', 200, "error", {}),
    ("[]", 200, "error", {}), ("", 200, "error", {}), ("null", 200, "error", {}), ("[" * 9999, 200, "error", {}),
    ('{"token": "t", "last4": "1111"}', 500, "error", {}), ('{"error": "4111111111111111"}', 400, "error", {}),
    ("{}", 302, "error", {}),
])  # fmt: skip
async def test_of_an_answer_only_what_is_known_is_taken(
    paid: Pay, caplog: Any, text: str, status: int, outcome: str, data: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with answering(text, status) as server:
        done = await paid(str(server.make_url("/tokens")))
    assert (done.outcome, done.data) == (outcome, data)
    assert CARD not in caplog.text + repr(done) and "4111 1111" not in caplog.text + repr(done)


async def test_one_that_is_away_is_an_error_and_the_digits_are_gone(paid: Pay, vault: Vault, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    assert (await paid("http://127.0.0.1:1/tokens")).outcome == "error"
    assert ("c1", "card") not in vault.kept and CARD not in caplog.text


async def test_one_order_is_taken_once() -> None:
    order = {"card": CARD, "expiry": "1299", "code": "1", "amount": 5, "currency": "IDR", "reference": "r"}
    tokeniser, client = Tokeniser(), Client(("127.0.0.0/8",))
    async with tokeniser as url:
        body = json.dumps(order).encode()
        replies = [await client.request("POST", url, 2, {"Idempotency-Key": k}, body) for k in ("a", "a", "b")]
        bad = [(await client.request("POST", url, 2, {}, text)).status for text in (b"", b"{}", b"[]", b'{"card": 1}')]
    await client.close()
    tokens = [reply.json()["token"] for reply in replies]
    assert tokens[0] == tokens[1] != tokens[2] and tokeniser.asked == 7
    assert bad == [400] * 4


@pytest.mark.parametrize(("card", "expiry", "amount", "said"), [
    ("4111111111111112", "1299", 1, "invalid_number"), ("x", "1299", 1, "invalid_number"),
    (CARD, "0120", 1, "expired_card"), (CARD, "1399", 1, "expired_card"), (DECLINED, "1299", 1, "do_not_honor"),
    (CARD, "", 1, None), ("378282246310005", "1299", 100_000_000, None),
])  # fmt: skip
def test_how_the_demo_decides(card: str, expiry: str, amount: float, said: str | None) -> None:
    assert decided({"card": card, "expiry": expiry, "amount": amount}).get("declined") == said
