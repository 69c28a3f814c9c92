"""Rules that raise a caller's priority by what the database knows of him, on real calls; and the place he keeps, also
when he calls again before it is told that he has hung up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kit import Caller, World, new_number

from tests.kit_home import RunningHome, running

pytestmark = pytest.mark.services
FLOWS = {
    "main.yaml": """
flow: main
language: en
start: wait
nodes:
  wait: {do: queue, queue: sales, priority: 1, options: {"1": call_me}, then: hangup}
  call_me: {do: callback, queue: sales, ask: false, then: hangup}
""",
    "numbers.yaml": 'numbers: {"6000": main}\n',
    "queues.yaml": """
queues:
  sales:
    return_within: 10m
    raise:
      - {when: "{{ customer.tier == 'vip' }}", by: 10}
      - {when: "{{ customer.complaint and customer.open_cases == 2 }}", by: 20}
      - {when: "{{ call.repeat == 1 }}", by: 100}
      - {when: "{{ call.repeat >= 2 }}", by: 200}
      - {when: "{{ customer.attributes.not.there }}", by: 500}
""",
}
VISIT = ("SELECT v.* FROM crm.v_queue_visits v JOIN crm.v_calls c USING (call_id) WHERE c.caller = $1"
         " ORDER BY v.entered_at OFFSET $2")  # fmt: skip
ENDED = "SELECT 1 FROM crm.v_calls WHERE caller = $1 AND ended_at IS NOT NULL HAVING count(*) > $2"
CALLBACK = ("SELECT e.data, e.queue FROM crm.v_call_events e JOIN crm.v_calls c USING (call_id)"
            " WHERE c.caller = $1 AND e.type = 'callback.requested'")  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    with running(tmp_path_factory.mktemp("raising") / "home", FLOWS) as home:
        yield home


async def customer(world: World, caller: str) -> None:
    """A VIP who has complained."""
    await world.rows(
        "WITH c AS (INSERT INTO crm.customers (display_name, tier) VALUES ('Siti', 'vip') RETURNING customer_id),"
        " n AS (INSERT INTO crm.customer_numbers (customer_id, number) SELECT customer_id, $1 FROM c)"
        " INSERT INTO crm.cases (customer_id, title) SELECT customer_id, title FROM c,"
        " unnest(ARRAY['Complaint: late again', 'Wants an offer']) AS title", caller,
    )  # fmt: skip


async def test_who_complains_and_calls_again_unserved_comes_sooner_and_keeps_his_place(
    world: World,
) -> None:
    number = new_number()
    await customer(world, number)
    visits: list[dict[str, Any]] = []
    for before, expected in enumerate((31, 131, 231)):
        caller = await Caller(world.sip, "6000", number=number).start()
        visits.append(await world.row_when(VISIT, number, before))
        assert visits[-1]["priority"] == expected
        if before < 2:
            caller.hang_up()
            await caller.wait()
            await world.row_when(ENDED, number, before)
    await caller.answered()
    assert caller.call is not None
    caller.call.press("1")
    asked = await world.row_when(CALLBACK, number)
    await caller.wait()
    assert (asked["queue"], asked["data"]["priority"], asked["data"]["number"]) == ("sales", 231, number)
    assert abs(asked["data"]["since"] - visits[0]["entered_at"].timestamp()) < 0.01, "the place of his first call"


KEPT = ("SELECT e.* FROM crm.v_call_events e JOIN crm.v_calls c USING (call_id)"
        " WHERE c.caller = $1 AND e.type = 'call.place_kept'")  # fmt: skip


async def waits(world: World, number: str, before: int = 0) -> tuple[Caller, dict[str, Any]]:
    """He calls and waits, after so many calls of his; his visit."""
    caller = await Caller(world.sip, "6000", number=number, hz=0, listen=False).start()
    return caller, await world.row_when(VISIT, number, before)


async def test_who_calls_again_before_his_hang_up_is_told_has_his_place(world: World) -> None:
    number = new_number()
    first, visit = await waits(world, number)
    again, _ = await waits(world, number, 1)
    assert not await world.rows(KEPT, number)
    first.hang_up()
    kept = await world.row_when(KEPT, number)
    assert kept["data"]["why"] == "returned"
    assert abs(kept["data"]["since"] - visit["entered_at"].timestamp()) < 0.01
    again.hang_up()
    for caller in (first, again):
        await caller.wait()
    await world.row_when(ENDED, number, 1)


async def test_who_calls_again_in_the_instant_of_his_hang_up_has_his_place_each_time(world: World) -> None:
    number, times = new_number(), 12
    caller, visit = await waits(world, number)
    for n in range(1, times + 1):
        again = Caller(world.sip, "6000", number=number, hz=0, listen=False)
        if n % 2:
            caller.hang_up()
            await again.start()
        else:
            await again.start()
            caller.hang_up()
        await world.row_when(VISIT, number, n)
        await caller.wait()
        await world.row_when(ENDED, number, n - 1)
        caller = again
    caller.hang_up()
    await caller.wait()
    await world.row_when(ENDED, number, times)
    kept = await world.rows(KEPT, number)
    assert len(kept) == times
    assert all(abs(one["data"]["since"] - visit["entered_at"].timestamp()) < 0.01 for one in kept)
