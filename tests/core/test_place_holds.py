"""Whatever brings a caller and a free agent together: the agent takes the first of all whom he may serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cti.core.messages import (
    ChangePriority,
    ChannelGone,
    ChannelUp,
    LiveChannel,
    MoveCall,
    SwitchDown,
    SwitchUp,
    Tick,
)
from cti.core.queues import Capacity, QueueConfig, Relax, Routing
from tests.core.office import Caller, Office

BOTH = {"ani": {"sales": 1, "support": 1}}

def office(agents: Mapping[str, dict[str, int]] = BOTH, **queues: dict[str, Any]) -> Office:
    made = Office(agents=dict(agents))
    set_queues(made, **queues)
    return made


def set_queues(made: Office, **queues: dict[str, Any]) -> None:
    configs = {name: QueueConfig(name=name, **queues.get(name, {})) for name in ("sales", "support")}
    made.board.waits.configure(configs, made.at, {}, Routing())


def offered(made: Office) -> list[tuple[str, str]]:
    return [(e.call_id, e.agent) for e in made.events if e.type == "call.offered"]


def move(made: Office, caller: Caller, queue: str) -> None:
    made.do(MoveCall(at=made.at, by="sup", call_id=caller.call_id, queue=queue))


def raise_to(made: Office, caller: Caller, priority: int) -> None:
    made.do(ChangePriority(at=made.at, by="sup", call_id=caller.call_id, priority=priority))


def test_a_caller_who_was_rung_in_vain_is_not_before_one_with_a_better_place() -> None:
    made = office()
    made.ready()
    rung, vip = made.waiting_caller("0812000001"), made.waiting_caller("0812000002")
    raise_to(made, vip, 10)
    rung.rung()
    made.do(ChannelUp(at=made.at, uniqueid=rung.leg))
    made.do(ChannelGone(at=made.at, uniqueid=rung.leg))
    assert made.last("offer.cancelled").data["reason"] == "not_bridged"
    assert offered(made)[1:] == [(vip.call_id, "ani")]


def test_room_in_a_queue_is_not_before_a_better_place_in_another() -> None:
    made = office(sales={"capacity": (Capacity(1),)})
    made.ready()
    rung, first, second = (made.waiting_caller(f"081200000{n}") for n in range(3))
    move(made, first, "support")
    made.at += 10
    rung.hangs_up()
    assert offered(made)[1:] == [(first.call_id, "ani")] and second.rings == []


def test_a_newcomer_is_not_before_those_whose_queue_has_just_got_room() -> None:
    capacity = (Capacity(1, "lunch"), Capacity(2))
    made = office({"ani": {"sales": 1}, "budi": {"sales": 1}}, sales={"capacity": capacity})
    lunch = {"open": True}
    made.board.router.is_open = lambda calendar, at: lunch["open"]
    made.ready()
    made.waiting_caller("0812000001")
    waits = made.waiting_caller("0812000002")
    made.wait(1)
    lunch["open"] = False
    made.waiting_caller("0812000003")
    assert offered(made)[1:] == [(waits.call_id, "budi")]


def test_new_settings_let_those_with_the_best_place_in_first() -> None:
    made = office(agents={"ani": {"sales": 1}}, sales={"skills": {"sales": 9}})
    made.ready()
    made.waiting_caller("0812000001")
    vip = made.waiting_caller("0812000002")
    raise_to(made, vip, 10)
    set_queues(made)
    made.wait(0)
    assert offered(made) == [(vip.call_id, "ani")]


def test_of_several_agents_the_queue_s_own_comes_first_when_the_link_is_back() -> None:
    made = office(agents={"ani": {"sales": 1}, "budi": {"sales": 9}}, sales={"agents": "best_level"})
    made.ready()
    made.do(SwitchDown(at=made.at))
    caller = made.waiting_caller()
    live = (LiveChannel(uniqueid=caller.uniqueid, channel=caller.channel, context="line"),)
    made.do(SwitchUp(at=made.at, channels=live, reachable=("2001", "2002")))
    assert offered(made) == [(caller.call_id, "budi")]
    assert made.last("call.offered").data["decision"]["rule"] == "best_level"


def test_who_is_let_in_at_the_same_moment_comes_by_his_place() -> None:
    relax = (Relax(after=30.0, skills={"sales": 1}),)
    made = office({"ani": {"sales": 1}, "budi": {"sales": 9}}, sales={"skills": {"sales": 9}, "relax": relax})
    made.ready("ani")
    made.ready("budi")
    talks = made.waiting_caller("0812000000")
    talks.answer()
    made.waiting_caller("0812000001")
    vip = made.waiting_caller("0812000002")
    raise_to(made, vip, 10)
    made.wait(40)
    assert offered(made)[1:] == [(vip.call_id, "ani")]


def test_room_is_offered_to_the_first_of_each_line_and_not_to_all() -> None:
    made = office(sales={"skills": {"sales": 9}, "capacity": (Capacity(1),)})
    made.ready()
    for number in range(3):
        made.waiting_caller(f"081200000{number}")
    assert len(list(made.board.router.in_turn("sales", made.at))) == 1


def test_a_queue_that_is_closed_takes_nobody_even_if_an_agent_is_free_at_that_moment() -> None:
    nodes = {
        "first": {"do": "queue", "queue": "support", "max_wait": "30s", "timeout": "second", "answered": "hangup"},
        "second": {"do": "queue", "queue": "sales", "then": "hangup"},
    }
    flow = {"flow": "main", "language": "en", "start": "first", "nodes": nodes}
    made = Office(flow=flow, agents={"ani": {"support": 9, "sales": 1}}, calendar="office")
    made.ready()
    served, waits = made.caller("0812000001"), made.caller("0812000002")
    served.arrive()
    served.answer()
    waits.arrive()
    served.agent_hangs_up()
    made.at += 31
    made.do(Tick(at=made.at))
    results = [(e.queue, e.data["result"]) for e in made.events if e.type == "call.dequeued"]
    assert results[1:] == [("support", "timeout"), ("sales", "closed")]
    assert len(offered(made)) == 1
