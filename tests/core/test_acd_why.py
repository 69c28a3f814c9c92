"""Why an agent is idle while others wait, and why a call waits."""

from __future__ import annotations

import pytest

from cti.core import views
from cti.core.acd_why import lacking, why_idle, why_waiting
from cti.core.messages import SetAgentState, StationState, SwitchDown
from cti.core.queues import Capacity, Relax, Requirement
from cti.errors import BadInput
from tests.core.office import Office
from tests.core.test_router import hire, router, wait


def test_what_keeps_the_waiting_from_an_agent() -> None:
    relax = (Relax(after=30.0, skills={"sales": 2}), Relax(after=60.0, skills={"sales": 0, "vip": 5}))
    made = router(
        sales={"skills": {"sales": 5}, "relax": relax}, full={"skills": {}, "capacity": (Capacity(calls=0),)},
        own={}, back={"skills": {}, "keep_idle": 1},
    )  # fmt: skip
    hire(made, "ani", sales=2)
    made.sign_on("budi", {"sales": 9, "own": 1}, 0.0)
    wait(made, "s1", 0.0)
    wait(made, "s2", 1.0)
    wait(made, "f", 2.0, queue="full")
    wait(made, "o", 3.0, queue="own", prefer="budi", prefer_until=99.0)
    wait(made, "callback/b", 4.0, queue="back", callback=True)
    wait(made, "any", 5.0, queue="back")
    rows = {(row["queue"], row["why"]): row for row in why_idle(made, "ani", {"sales": 2}, 10.0)}
    assert list(rows) == [
        ("sales", "skills"), ("full", "capacity"), ("own", "preferred"), ("back", "keep_idle"), ("back", "")
    ]  # fmt: skip
    sales = rows["sales", "skills"]
    assert sales["waiting"] == 2 and sales["longest_since"] == 0.0 and sales["opens_at"] == 30.0
    assert sales["lacks"] == [{"skill": "sales", "needs": 5, "has": 2}]
    assert (rows["own", "preferred"]["for"], rows["own", "preferred"]["until"]) == ("budi", 99.0)
    others = [row["queue"] for row in why_idle(made, "budi", {"sales": 9}, 10.0)]
    assert others == ["sales", "full", "own", "back", "back"]


def test_of_those_who_lack_the_same_the_first_moment_is_told() -> None:
    made = router(sales={"skills": {"sales": 5}, "relax": (Relax(after=30.0, skills={"sales": 2}),)}, own={})
    hire(made, "ani", sales=2)
    made.sign_on("budi", {"sales": 9}, 0.0)
    wait(made, "late", 20.0)
    wait(made, "callback/early", 5.0, callback=True)
    for key, until in (("b1", 99.0), ("b2", 60.0)):
        wait(made, key, 20.0, queue="own", prefer="budi", prefer_until=until)
    first, other = why_idle(made, "ani", {"sales": 2}, 21.0)
    assert (first["why"], first["waiting"], first["opens_at"], first["longest_since"]) == ("skills", 2, 35.0, 5.0)
    assert (other["why"], other["waiting"], other["opens_at"], other["until"]) == ("preferred", 2, None, 60.0)


def test_who_waits_for_this_agent_alone_is_told_of_too() -> None:
    made = router(full={"capacity": (Capacity(calls=0),)}, own={})
    hire(made, "ani", own=1)
    wait(made, "f", 0.0, queue="full", prefer="ani", prefer_until=99.0)
    wait(made, "o", 1.0, queue="own", prefer="ani", prefer_until=99.0)
    rows = why_idle(made, "ani", {"own": 1}, 10.0)
    assert [(row["queue"], row["why"], row["for"], row["until"]) for row in rows] == [
        ("full", "capacity", None, None), ("own", "", None, None)
    ]  # fmt: skip


def test_the_way_that_lacks_least_is_told() -> None:
    needs = Requirement(needs=(("a", 1), ("b", 2)), any=(((("c", 3), ("d", 4)), (("e", 5),)),), also=((("f", 9),),))
    assert lacking(needs, {"a": 1}) == [{"skill": "f", "needs": 9, "has": 0}]
    assert lacking(needs, {"a": 1, "b": 2}) == [{"skill": "e", "needs": 5, "has": 0}]
    assert lacking(needs, {"a": 1, "b": 2, "c": 3, "d": 4}) == []


def test_why_a_call_waits() -> None:
    made = router(
        sales={"relax": (Relax(after=30.0, any_agent=True),)}, full={"skills": {}, "capacity": (Capacity(calls=0),)},
        back={"skills": {}, "keep_idle": 1}, none={},
    )  # fmt: skip
    hire(made, "ani", sales=1)
    made.busy("ani")
    wait(made, "s", 0.0)
    row = why_waiting(made, "s", 10.0)
    assert (row["why"], row["position"], row["signed_on"], row["free"]) == ("busy", 1, 1, 0)
    assert (row["step"], row["steps"], row["next_step_at"], row["needs"]) == (0, 2, 30.0, {"sales": 1})
    made.free("ani", {"sales": 1}, 0.0)
    assert why_waiting(made, "s", 40.0)["why"] == "" and why_waiting(made, "s", 40.0)["next_step_at"] is None
    for key, queue, more in (("f", "full", {}), ("n", "none", {}), ("callback/b", "back", {"callback": True})):
        wait(made, key, 0.0, queue=queue, **more)
    wait(made, "p", 0.0, prefer="ani", prefer_until=50.0)
    found = {key: why_waiting(made, key, 10.0)["why"] for key in ("f", "n", "callback/b", "p")}
    assert found == {"f": "capacity", "n": "nobody", "callback/b": "keep_idle", "p": "preferred"}


def test_what_the_pages_show_of_it() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"support": 1}})
    see = lambda name: views.why_agent(office.board, name, office.at)["why"]  # noqa: E731
    assert see("ani") == "logged_out"
    office.ready("budi")
    waiting = office.waiting_caller()
    row = views.why_call(office.board, waiting.call_id, office.at)
    assert row is not None and row["why"] == "nobody" and row["raised"] == []
    assert [one["call_id"] for one in views.waiting_calls(office.board, office.at)] == [waiting.call_id]
    row = views.why_agent(office.board, "budi", office.at)
    assert row["why"] == "" and row["waiting"] == 1 and row["queues"][0]["why"] == "skills"
    office.ready("ani")
    assert see("ani") == "reserved"
    row = views.why_call(office.board, waiting.call_id, office.at)
    assert row is not None and (row["why"], row["for"]) == ("ringing", "ani")
    waiting.hangs_up()
    assert views.why_call(office.board, waiting.call_id, office.at) is None
    office.board.people.stations["2002"] = False  # not yet known after a start
    assert see("budi") == "unreachable"
    office.board.people.stations["2002"] = True
    office.do(SwitchDown(at=office.at))
    assert see("budi") == "switch_away"
    office.do(SetAgentState(at=office.at, by="ani", agent="ani", wish="ready"))
    waiting = office.waiting_caller()
    row = views.why_call(office.board, waiting.call_id, office.at)
    assert row is not None and row["why"] == "switch_away"
    office.do(SetAgentState(at=office.at, by="ani", agent="ani", wish="not_ready", reason="lunch"))
    assert views.why_agent(office.board, "ani", office.at)["reason"] == "lunch"
    office.do(StationState(at=office.at, station="2002", reachable=False))
    assert see("budi") == "not_ready"
    with pytest.raises(BadInput):
        see("nobody")
