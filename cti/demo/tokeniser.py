"""A tokeniser for the demo and for tests: takes card numbers as a payment provider does, and keeps none of them.

    async with Tokeniser() as url:      http://127.0.0.1:PORT/tokens
    python -m cti.demo.tokeniser        the same at port 8098, for trying out

A card that fails Luhn, is over, or is 4000 0000 0000 0002 is declined; amounts over 100 million, too.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import date
from typing import Any

from aiohttp import web

BRANDS = {"3": "amex", "4": "visa", "5": "mastercard", "6": "discover"}
DECLINED = "4000000000000002"
MOST = 100_000_000


class Tokeniser:
    """`asked` counts requests; the same Idempotency-Key gets the same answer."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host, self._port = host, port
        self._answers: dict[str, dict[str, Any]] = {}
        self.asked = 0

    async def __aenter__(self) -> str:
        app = web.Application(client_max_size=10_000)
        app.router.add_post("/tokens", self._tokens)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"http://{self._host}:{port}/tokens"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _tokens(self, request: web.Request) -> web.Response:
        self.asked += 1
        key = request.headers.get("Idempotency-Key", "")
        try:
            order = await request.json()
            answer = self._answers.get(key) or decided(order)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise web.HTTPBadRequest(text="not an order") from None
        if key:
            self._answers[key] = answer
        return web.json_response(answer, status=402 if "declined" in answer else 200)


def decided(order: dict[str, Any]) -> dict[str, Any]:
    """{token, last4, brand} or {declined}. Raises ValueError, KeyError for what is no order."""
    card, expiry, amount = str(order["card"]), str(order["expiry"] or ""), float(order["amount"] or 0)
    if not luhn(card):
        return {"declined": "invalid_number"}
    if expiry and is_over(expiry, date.today()):
        return {"declined": "expired_card"}
    if card == DECLINED or not 0 < amount <= MOST:
        return {"declined": "do_not_honor"}
    return {"token": f"tok_{secrets.token_hex(12)}", "last4": card[-4:], "brand": BRANDS.get(card[0], "card")}


def luhn(card: str) -> bool:
    if not (card.isascii() and card.isdigit() and 12 <= len(card) <= 19):
        return False
    doubled = [int(c) * (1 + n % 2) for n, c in enumerate(reversed(card))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def is_over(expiry: str, today: date) -> bool:
    """`expiry` is MMYY."""
    month, year = int(expiry[:2]), 2000 + int(expiry[2:])
    return not 1 <= month <= 12 or (year, month) < (today.year, today.month)


async def main() -> None:
    async with Tokeniser(port=8098) as url:
        print(f"[payment] url = {url!r}; [outside] allow = ['127.0.0.1:8098']")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
