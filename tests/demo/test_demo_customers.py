"""The demo's customers: they call, some ask to be called back, and they answer then."""

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from cti.config import Config
from cti.demo import callers, run, seed
from cti.demo.data import customers
from cti.demo.phone import Phone
from cti.demo.stage import port_of
from tests.kit_ports import free_port


@pytest.fixture
def stage() -> Any:
    sounds = SimpleNamespace(caller={language: bytes([n]) * 800 for n, language in enumerate(("en", "id", "zh"))})
    port = free_port()
    return SimpleNamespace(sip=("127.0.0.1", port), line=port + 1, sounds=sounds, talking=set())


@pytest.fixture
async def customer(stage: Any) -> AsyncIterator[Phone]:
    """The phone of them all, at which the first one of the demo is known."""
    one = customers()[0]
    phone = Phone(stage.sip, "demo")
    known = {one.numbers[0]: one}
    phone.on_call = lambda call: phone.spawn(callers.called_back(stage, call, known.get(call.called)))
    await callers.open_line(stage, phone)
    yield phone
    await phone.close()


@pytest.fixture
async def trunk(stage: Any) -> AsyncIterator[Phone]:
    phone = Phone(("127.0.0.1", stage.line), "6000")
    await phone.open(stage.sip[1])
    yield phone
    await phone.close()


@pytest.mark.parametrize("known", [True, False])
async def test_a_customer_who_is_called_back_answers_and_waits_for_the_agent_to_end_it(
    customer: Phone, trunk: Phone, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(callers, "NOT_REACHED", 0.0)
    number = customers()[0].numbers[0] if known else "+6281234567890"
    call = trunk.dial(number)
    async with asyncio.timeout(10):
        await call.ringing.wait()
        await call.answered.wait()
        (theirs,) = customer.calls.values()
        assert theirs.called == number
        call.hang_up()
        await theirs.ended.wait()
    assert theirs.ended_by == "them"


async def test_some_are_busy(customer: Phone, trunk: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "NOT_REACHED", 1.1)
    call = trunk.dial("+6281234567890")
    async with asyncio.timeout(10):
        await call.ended.wait()
    assert (call.status, call.ended_by) == (486, "refused")


async def test_they_call_all_the_same_when_their_port_is_taken(stage: Any, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", stage.line))
        phone = Phone(stage.sip, "demo")
        await callers.open_line(stage, phone)
    assert phone.port and phone.port != stage.line
    assert f"nobody can be called back: port {stage.line}" in caplog.text
    await phone.close()


class Line:
    """A call that ends when 1 was pressed so often."""

    def __init__(self, stage: Any, ends_after: int) -> None:
        self.pressed, self.ended, self.ends_after = list[str](), asyncio.Event(), ends_after

    def press(self, key: str) -> None:
        self.pressed.append(key)
        if len(self.pressed) == self.ends_after:
            self.ended.set()


@pytest.mark.parametrize(("talks", "presses"), [(False, 2), (True, 0)])
async def test_one_asks_to_be_called_back_unless_an_agent_was_faster(
    stage: Any, monkeypatch: pytest.MonkeyPatch, talks: bool, presses: int
) -> None:
    monkeypatch.setattr(callers, "ASKS_AFTER", (0.01, 0.02))
    monkeypatch.setattr(callers, "CONFIRM_EVERY", 0.01)
    if talks:
        stage.talking.add("62811")
    line: Any = Line(stage, 2)
    async with asyncio.timeout(5):
        await callers._ask_for_callback(stage, line, "62811")
    assert line.pressed == ["1"] * presses


@pytest.mark.parametrize(
    ("contact", "port"),
    [("sip:127.0.0.1:5061", 5061), ("", 0), ("sip:192.0.2.10:5060", 0), ("sip:127.0.0.1", 0), ("sip:127.0.0.1:x", 0)],
)
def test_where_the_trunk_of_this_machine_leads(contact: str, port: int) -> None:
    assert port_of(contact) == port


@pytest.mark.services
async def test_the_office_is_held_open_but_for_what_somebody_has_set(config: Config) -> None:
    async def held() -> tuple[str, str, bool]:
        link = await seed.connect(config.postgres.dsn)
        row = await link.fetchrow("SELECT state, by, until > now() + interval '23 hours' FROM crm.calendar_switches")
        await link.close()
        return tuple(row)

    async def do(sql: str) -> None:
        link = await seed.connect(config.postgres.dsn)
        await link.execute(sql)
        await link.close()

    await run.hold_open(config)
    assert await held() == ("open", "demo", True)
    await do("UPDATE crm.calendar_switches SET until = now() + interval '1 hour'")
    await run.hold_open(config)
    assert await held() == ("open", "demo", True)
    await do("UPDATE crm.calendar_switches SET state = 'closed', by = 'sup', until = now() + interval '1 hour'")
    await run.hold_open(config)
    assert await held() == ("closed", "sup", False)
    await do("UPDATE crm.calendar_switches SET until = now() - interval '1 hour'")
    await run.hold_open(config)
    assert await held() == ("open", "demo", True)
