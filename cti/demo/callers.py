"""The demo's customers: one calls every five seconds; some ask to be called back, and answer then."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random

from cti.demo.call import Call
from cti.demo.data import Customer, customers
from cti.demo.phone import Phone
from cti.demo.stage import Stage, digits, talk

log = logging.getLogger(__name__)
EVERY = 5.0  # seconds between callers
KEY_AFTER = (3.5, 4.5)  # seconds; once: it counts during the greeting too, and while waiting it means a callback
LIKES_CALLBACK = 8  # each so manieth asks to be called back, if no agent is faster than this many seconds
ASKS_AFTER = (0.8, 1.2)
CONFIRM_EVERY = 5.0  # s: only a key that comes while he is asked counts
NOT_REACHED = 0.15  # of those who are called back, at each try


async def callers(stage: Stage) -> None:
    """One more every five seconds, as long as the switch is there."""
    phone = Phone(stage.sip, "demo", host=stage.sip[0])
    people = customers()
    known = {number: one for one in reversed(people) for number in one.numbers}
    phone.on_call = lambda call: phone.spawn(called_back(stage, call, known.get(call.called)))
    await open_line(stage, phone)
    random.shuffle(people)
    people.sort(key=lambda one: one.language == "en", reverse=True)  # the shortest greeting comes first
    people[1:] = random.sample(people[1:], len(people) - 1)
    try:
        for n, customer in enumerate(itertools.cycle(people)):
            phone.spawn(call_in(stage, phone, customer, n % LIKES_CALLBACK == 3))
            await asyncio.sleep(EVERY)
    finally:
        await phone.close()


async def open_line(stage: Stage, phone: Phone) -> None:
    """Where the trunk calls them back; when that port is taken they still call in."""
    try:
        await phone.open(stage.line)
    except OSError as e:
        log.warning("demo callers: nobody can be called back: port %d: %s", stage.line, e.strerror)
        await phone.open()


async def called_back(stage: Stage, call: Call, customer: Customer | None) -> None:
    """A customer's phone: some are busy, the others answer soon, and talk until the agent hangs up."""
    call.ring()
    await asyncio.sleep(random.uniform(1, 3))
    if random.random() < NOT_REACHED:
        call.reject(486)
        return
    call.answer(stage.sounds.caller[customer.language if customer else "en"])
    if call.answered.is_set():
        await talk(stage, call, 90)


async def call_in(stage: Stage, phone: Phone, customer: Customer, back: bool) -> None:
    """One caller: listens, presses 1 or 2 (some nothing, some leave), waits, talks; or is to be called `back`."""
    call = phone.dial(
        stage.numbers.get(customer.language, stage.numbers[""]),
        caller=customer.numbers[0],
        name=customer.name,
        audio=stage.sounds.caller[customer.language],
    )
    answered = asyncio.ensure_future(call.answered.wait())
    ended = asyncio.ensure_future(call.ended.wait())
    try:
        await asyncio.wait((answered, ended), timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if not call.ended.is_set():
            await _wait_and_leave(stage, call, digits(customer.numbers[0]), back)
    finally:
        answered.cancel()
        ended.cancel()


async def _wait_and_leave(stage: Stage, call: Call, number: str, back: bool) -> None:
    mood = 1.0 if back else random.random()
    key = random.choice("112")
    if mood > 0.05:
        await asyncio.sleep(random.uniform(*KEY_AFTER))
        if not call.ended.is_set():
            call.press(key)
    if back:
        await _ask_for_callback(stage, call, number)
    patience = random.uniform(1, 12) if mood < 0.12 else random.uniform(60, 120)
    while not call.ended.is_set():
        try:
            await asyncio.wait_for(call.ended.wait(), patience)
        except TimeoutError:
            if number not in stage.talking:
                call.hang_up()
                return
            patience = 60.0


async def _ask_for_callback(stage: Stage, call: Call, number: str) -> None:
    """1 while he waits, and 1 again to confirm his number. Nothing when an agent was faster."""
    for wait in (random.uniform(*ASKS_AFTER), *[CONFIRM_EVERY] * 4):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(call.ended.wait(), wait)
        if call.ended.is_set() or number in stage.talking:
            return
        call.press("1")
