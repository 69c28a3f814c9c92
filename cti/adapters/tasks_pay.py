"""Card numbers, on their one way: from the vault to the tokeniser, and out of the vault.

The answer is {token, last4, brand?}, or {declined: reason}, or status 402. Only these fields come back, and nothing of
an answer in which the card number stands, in whatever spelling. No text of an answer is logged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cti.adapters.tasks import Done, Fault, Sealed
from cti.adapters.tasks_http import Client, key_of
from cti.core.messages import RunTask

NAMES = ("card", "expiry", "code")
LONGEST = 200  # characters of a token, a brand, a reason
Forget = Callable[[str, str], None]  # (uniqueid, name)


class Tokeniser(msgspec.Struct, frozen=True):
    """[payment], its secrets filled in."""

    url: str
    headers: Mapping[str, str]
    timeout: float


async def pay(client: Client, to: Tokeniser, sealed: Sealed, forget: Forget, command: RunTask) -> Done:
    """done {token, last4, brand?}, declined {reason?}. The digits are forgotten whatever comes."""
    try:
        digits = {name: sealed(command.uniqueid, name) for name in NAMES}
    finally:
        for name in NAMES:
            forget(command.uniqueid, name)
    card = digits["card"]
    if not to.url:
        raise Fault("there is no [payment] url in cti.toml")
    if not card:
        raise Fault("there is no card number any more")
    paid = {key: command.args.get(key) for key in ("amount", "currency", "reference")}
    return await _asked(client, to, command, card, msgspec.json.encode({**digits, **paid}))


async def _asked(client: Client, to: Tokeniser, command: RunTask, card: str, body: bytes) -> Done:
    headers = {**to.headers, "Content-Type": "application/json", "Idempotency-Key": key_of(command)}
    reply = await client.request("POST", to.url, min(command.timeout, to.timeout), headers, body)
    answer = _map(reply.body)
    if reply.status == 402 or (reply.good and answer.get("declined")):
        reason = _word(answer.get("declined"), card)
        return "declined", {"reason": reason} if reason else {}
    if not reply.good:
        raise Fault(f"the tokeniser answers {reply.status}")
    token, last4 = _word(answer.get("token"), card), answer.get("last4")
    if not token or not isinstance(last4, str) or not re.fullmatch(r"[0-9]{4}", last4):
        raise Fault("the tokeniser's answer has no token or last4, or repeats the card number")
    brand = _word(answer.get("brand"), card)
    return "done", {"token": token, "last4": last4, **({"brand": brand} if brand else {})}


def _map(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def _word(value: Any, card: str) -> str:
    """One line of an answer; empty when it is none, or repeats the card number."""
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        return ""
    return "" if card in re.sub(r"[^0-9]", "", value) else value
