"""How long one waits for anybody who could serve him: `overflow.no_agents`."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core.messages import AgentInfo, ClockStepped, FlowsPublished, PeopleChanged, SetAgentState, Wish
from cti.core.switchboard import Settings, Switchboard
from tests.core.office import START, Office, book


def office(no_agents: str) -> Office:
    return Office(overflow={"no_agents": no_agents})


def wish(made: Office, wish: Wish, reason: str = "") -> None:
    made.do(SetAgentState(at=made.at, by="ani", agent="ani", wish=wish, reason=reason, station="2001"))


def left(made: Office) -> list[tuple[str, float]]:
    return [(e.data["result"], round(e.at - START)) for e in made.events if e.type == "call.dequeued"]


def publish(made: Office, **queue: Any) -> None:
    made.board.publish(book(**queue), FlowsPublished(at=made.at, version=1))


def test_the_time_begins_anew_when_somebody_was_there_meanwhile() -> None:
    made = office("120s")
    made.waiting_caller()
    made.wait(60)
    wish(made, "not_ready", "break")
    made.wait(50)
    wish(made, "logged_out")
    made.wait(119)
    assert left(made) == []
    made.wait(1)
    assert left(made) == [("no_agents", 230)]


@pytest.mark.parametrize(("no_agents", "ends"), [("0s", 0), ("60s", 60)])
def test_while_nobody_is_there_it_decides_and_not_how_many_wait_for_each_agent(no_agents: str, ends: int) -> None:
    made = Office(overflow={"no_agents": no_agents, "ratio": 3})
    made.waiting_caller()
    made.wait(ends)
    assert left(made) == [("no_agents", ends)]


def test_whoever_he_waits_for_alone_is_one_who_may_take_him() -> None:
    nodes = {"q": {"do": "queue", "queue": "sales", "agent": "ani", "then": "hangup"}}
    flow = {"flow": "main", "language": "en", "start": "q", "nodes": nodes}
    made = Office(flow=flow, agents={"ani": {}}, overflow={"ratio": 2})
    made.ready()
    for _ in range(3):
        made.caller().arrive()
    assert [e.agent for e in made.events if e.type == "call.offered"] == ["ani"]
    assert left(made) == [("full", 0)], "two wait for her alone, three are too many"


def test_the_only_skill_is_taken_away() -> None:
    made = office("0s")
    wish(made, "not_ready", "break")
    made.waiting_caller()
    made.wait(5)
    ani = AgentInfo(agent="ani", name="Ani", skills={}, station="2001")
    made.do(PeopleChanged(at=made.at, agents=(ani,), stations=("2001",)))
    assert left(made) == [("no_agents", 5)]


def test_the_only_agent_leaves_while_his_phone_rings() -> None:
    made = office("0s")
    made.ready()
    made.waiting_caller()
    wish(made, "logged_out")
    assert left(made) == []
    made.wait(30)
    assert left(made) == [("no_agents", 18)]
    assert made.state("ani")[0] == "logged_out"


@pytest.mark.parametrize(("patience", "at"), [("10s", 15), ("0s", 5)])
def test_what_is_published_holds_for_those_who_wait(patience: str, at: int) -> None:
    made = Office()
    made.waiting_caller()
    made.wait(5)
    publish(made, overflow={"no_agents": patience})
    made.wait(11)
    assert left(made) == [("no_agents", at)]


def test_a_restart_lets_nobody_wait_for_ever() -> None:
    made = office("120s")
    made.waiting_caller()
    made.wait(10)
    made.board = Switchboard(2, Settings(country="ID", trunk="t"))
    made.board.restore(made.events, made.at)
    publish(made, overflow={"no_agents": "120s"})
    made.wait(121)
    assert left(made) == [("no_agents", 130)]


def test_a_clock_that_is_set_ends_no_patience() -> None:
    made = office("120s")
    made.waiting_caller()
    made.wait(60)
    made.at += 1000
    made.do(ClockStepped(at=made.at, by=1000))
    made.wait(59)
    assert left(made) == []
    made.wait(2)
    assert left(made) == [("no_agents", 1120)]


def test_who_waits_for_one_agent_alone_is_not_without_any() -> None:
    flow = {
        "flow": "main", "language": "en", "start": "sales",
        "nodes": {"sales": {"do": "queue", "queue": "sales", "agent": "ani", "agent_for": "60s", "then": "hangup"}},
    }  # fmt: skip
    made = Office(flow, {"ani": {}}, overflow={"no_agents": "0s"})
    made.ready()
    talking = made.caller()
    talking.arrive()
    assert len(talking.rings) == 1
    made.waiting_caller("0812000002")
    made.wait(5)
    assert left(made) == []
    made.wait(60)
    assert {result for result, _ in left(made)} == {"no_agents"}
