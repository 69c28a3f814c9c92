"""`cti acd replay` of a day that the real server has recorded: an offer that was missed, a rule that raised a priority,
a caller who was called back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from kit import Caller, World, crew, new_number
from kit.customers import Customers

from tests.kit_home import RunningHome, clean
from tests.kit_ports import free_port

pytestmark = pytest.mark.services
QUEUES = """
queues:
  day:
    ring: 5s
    wrap_up: 0s
    skills: {sales: 1}
    raise: [{when: "{{ customer.tier == 'vip' }}", by: 10}]
    callback: {tries: 2, every: 60s, ring: 15s}
"""
FLOW = """
flow: day
language: en
start: wait
nodes:
  wait: {do: queue, queue: day, options: {"1": call_me}, answered: hangup, then: hangup}
  call_me: {do: callback, queue: day, ask: false, then: hangup}
"""
CUSTOMER = ("WITH c AS (INSERT INTO crm.customers (display_name, tier) VALUES ('Siti', 'vip') RETURNING customer_id)"
            " INSERT INTO crm.customer_numbers (customer_id, number) SELECT customer_id, $1 FROM c")  # fmt: skip
OVER = ("SELECT v.*, extract(epoch FROM v.left_at - v.entered_at) AS wait FROM crm.v_queue_visits v"
        " JOIN crm.v_calls c USING (call_id) WHERE c.caller = $1 AND v.result = $2")  # fmt: skip


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[RunningHome]:
    home = RunningHome(tmp_path_factory.mktemp("replayed") / "home")
    toml = home.path / "cti.toml"
    trunk = 'match = ["127.0.0.1"]'
    toml.write_text(toml.read_text().replace(trunk, f'{trunk}, contact = "sip:127.0.0.1:{port}"'))
    flows = home.path / "flows"
    for old in flows.iterdir():
        old.unlink()
    for name, text in {"queues": QUEUES, "day": FLOW, "numbers": 'numbers: {"6950": day}\n'}.items():
        (flows / f"{name}.yaml").write_text(text)
    with clean(home):
        home.start()
        yield home


async def test_the_day_that_was_comes_out_again(home: RunningHome, port: int) -> None:
    world, patient, vip = World(home.path), new_number(), f"+62812{uuid.uuid4().int % 10**8:08d}"
    await world.rows(CUSTOMER, vip)
    async with Customers(world, port) as customers:
        customers.answer[patient] = 1.0
        asks = await Caller(world.sip, "6950", number=patient, keys=[(1.0, "1")]).start()
        await asks.wait()
        async with crew(world, 1) as phones:
            ((name, phone),) = phones.items()
            (await phone.next_call()).at("invite")
            customer = await customers.rung(patient)
            await world.work(name, "talking")
            customer.hang_up()
            await world.row_when("SELECT 1 FROM crm.v_callbacks WHERE number = $1 AND state = 'done'", patient)
            await world.work(name, "idle")
            phone.answer_after = None  # he is not at his desk
            caller = await Caller(world.sip, "6950", number=vip).start()
            await world.until(lambda d: d["items"][0]["reason"] == "missed", "/agents", name, 15)
            phone.answer_after = 0.1
            await world.ready(name, phone.phone.number)
            await world.work(name, "talking")
            caller.hang_up()
            await caller.wait()
            visit = await world.row_when(OVER, vip, "answered")
            await world.work(name, "idle")
    assert (visit["priority"], visit["wait"] > 5) == (10, True)
    await judge(world, home, name, float(visit["wait"]))


async def judge(world: World, home: RunningHome, name: str, wait: float) -> None:
    other = home.path / "other.yaml"
    other.write_text(QUEUES.replace("by: 10}", 'by: 30}, {when: "{{ call.repeat }}", by: 3}'))
    today = datetime.now(ZoneInfo(world.config.site.time_zone)).date().isoformat()
    ended = "SELECT 1 FROM crm.v_agent_states WHERE agent = $1 AND wish = 'logged_out' AND until IS NULL"
    await world.row_when(ended, name)
    told = json.loads(await world.cti("acd", "replay", "--day", today, "--queues", str(other), "--json"))
    day, agent = told["queues"]["day"], told["agents"][name]

    def means(row: dict[str, Any]) -> tuple[float, float, float]:
        return row["recorded"], row["now"]["mean"], row["other"]["mean"]

    assert means(day["offered"]) == (2, 2, 2) and means(day["answered"]) == (1, 1, 1)
    assert means(day["called_back"]) == (1, 1, 1)
    assert means(agent["calls"]) == (2, 2, 2)
    recorded, now, _ = means(day["wait_mean"])
    assert recorded == pytest.approx(wait, abs=0.01)
    assert now == pytest.approx(recorded, abs=1.5), "he was rung in vain for five seconds here, too"
    assert told["notes"] == [
        "Offers that were missed or turned down on that day: 1. Whatever these agents are offered while they were away "
        "they miss here, too; since when they were is drawn.",
        "Who asked for a callback while he waited: 1, of whom reached: 1. These are called back here at their turn; "
        "all other calls out keep agents busy when they did.",
        "For whom the rule call.repeat of day holds is not recorded: nobody had it on that day, so nobody has it here.",
    ]
