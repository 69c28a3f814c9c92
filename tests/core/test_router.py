"""The matcher alone: who is first, who gets him, and why."""

from __future__ import annotations

from typing import Any

from cti.core.acd import LOOK, Router
from cti.core.acd_match import Waiter
from cti.core.queues import Capacity, QueueConfig, Relax, Routing, ServiceLevel

PLAIN = Routing()


def router(routing: Routing = PLAIN, **queues: QueueConfig | dict[str, Any]) -> Router:
    made = Router()
    configs = {
        name: one if isinstance(one, QueueConfig) else QueueConfig(name=name, **one)
        for name, one in (queues or {"sales": {}}).items()
    }
    made.configure(configs, routing, 0.0)
    return made


def hire(made: Router, name: str, idle_since: float = 0.0, **skills: int) -> None:
    made.sign_on(name, skills, 0.0)
    made.free(name, skills, idle_since)


def wait(made: Router, key: str, at: float = 0.0, since: float | None = None, queue: str = "sales", **more: Any) -> Any:
    return made.wait(Waiter(key=key, queue=queue, since=at if since is None else since, **more), at)


def taken(made: Router, agent: str, at: float = 100.0) -> str | None:
    match = made.caller_for(agent, at)
    return match.key if match else None


def test_a_point_of_priority_is_worth_a_minute_of_waiting() -> None:
    made = router()
    hire(made, "ani", sales=1)
    wait(made, "old", 0.0)
    wait(made, "vip", 599.0, priority=10)
    assert taken(made, "ani", 600.0) == "vip"
    made.leave("vip")
    wait(made, "late vip", 601.0, priority=10)
    assert taken(made, "ani", 700.0) == "old"


def test_without_aging_no_waiting_outweighs_a_priority() -> None:
    made = router(Routing(aging=0))
    hire(made, "ani", sales=1)
    wait(made, "old", 0.0)
    wait(made, "vip", 99_999.0, priority=1)
    assert taken(made, "ani", 100_000.0) == "vip"


def test_one_order_over_all_queues_and_balance_by_service_level() -> None:
    soon, late = ServiceLevel(within=10), ServiceLevel(within=60)
    queues = {"sales": {"service_level": soon}, "support": {"service_level": late}}
    for balance, first in ((False, "s1"), (True, "b1")):
        made = router(Routing(balance=balance), **queues)
        hire(made, "ani", sales=1, support=1)
        wait(made, "s1", 0.0, queue="support")
        wait(made, "b1", 5.0, queue="sales")
        assert taken(made, "ani", 20.0) == first
    made = router(Routing(balance=True, aging=0), **queues)
    hire(made, "ani", sales=1, support=1)
    wait(made, "s1", 0.0, queue="support", priority=1)
    wait(made, "b1", 0.0, queue="sales")
    assert taken(made, "ani", 20.0) == "s1"


def test_of_many_callers_the_first_six_are_compared() -> None:
    made = router(sales={}, support={})
    hire(made, "ani", sales=1, support=1)
    for number in range(8):
        wait(made, f"s{number}", float(number), queue="sales")
        wait(made, f"t{number}", number + 0.5, queue="support")
    wait(made, "late", 9.0, queue="support", skills={"sales": 1})
    match = made.caller_for("ani", 10.0)
    assert match is not None and (match.key, match.decision.candidates) == ("s0", 6)
    assert [one["call_id"] for one in match.decision.over] == ["t0", "s1", "t1", "s2", "t2"]
    assert made.first_of("ani", 10.0, 1) == ["s0"]


def test_with_balance_those_who_wait_for_an_agent_alone_come_in_proportion_too() -> None:
    soon, late = ServiceLevel(within=10), ServiceLevel(within=60)
    made = router(Routing(balance=True), sales={"service_level": soon}, support={"service_level": late})
    hire(made, "ani")
    wait(made, "late", 0.0, queue="support", prefer="ani", prefer_until=99.0)
    wait(made, "soon", 5.0, queue="sales", prefer="ani", prefer_until=99.0)
    assert taken(made, "ani", 20.0) == "soon"


def test_the_longest_idle_who_fits() -> None:
    made = router(sales={"skills": {"sales": 3}})
    hire(made, "ani", 10.0, sales=3)
    hire(made, "budi", 5.0, sales=3)
    hire(made, "chen", 1.0, sales=2)
    wait(made, "a")
    match = made.agent_for("a", 20.0)
    assert match is not None and match.agent == "budi"
    assert match.decision.rule == "longest_idle" and match.decision.candidates == 2 and match.decision.idle == 15.0
    assert match.decision.over == [{"agent": "ani", "idle": 10.0}]
    assert match.decision.needs == {"sales": 3} and match.decision.levels == {"sales": 3}


def test_alternatives_and_also() -> None:
    queue = QueueConfig(
        name="sales", skills={"any": [{"english": 3}, {"dutch": 1, "sales": 2}]},
        relax=(Relax(after=10.0, also={"support": 5}), Relax(after=20.0, any_agent=True)),
    )  # fmt: skip
    made = router(sales=queue)
    hire(made, "dutch", 3.0, dutch=1, sales=2)
    hire(made, "helper", 2.0, support=5)
    hire(made, "nobody", 1.0)
    wait(made, "a")
    found = []
    for at in (0.0, 10.0, 20.0):
        wait(made, "a", at, since=0.0)
        match = made.agent_for("a", at)
        assert match is not None
        found.append((match.agent, match.decision.step))
        made.busy(match.agent)
    assert found == [("dutch", 0), ("helper", 1), ("nobody", 2)]
    assert made.agent_for("a", 30.0) is None


def test_a_decision_tells_of_alternatives_as_people_write_them() -> None:
    groups = [{"english": 1}, {"dutch": 1}]
    made = router(sales={"skills": {"any": groups}, "relax": (Relax(after=5, also={"x": 1}),)})
    hire(made, "ani", english=2)
    wait(made, "a", skills={"any": [{"vip": 1}, {"english": 2}]})
    wait(made, "a", 6.0, since=0.0, skills={"any": [{"vip": 1}, {"english": 2}]})
    match = made.agent_for("a", 6.0)
    assert match is not None and match.decision.levels == {"english": 2}
    assert match.decision.needs == {"any": [groups, [{"vip": 1}, {"english": 2}]], "also": [{"x": 1}]}


def test_of_many_free_agents_the_longest_idle_are_compared() -> None:
    made = router(sales={"agents": "fastest"})
    for n in range(LOOK + 1):
        hire(made, f"a{n}", float(n), sales=1)
        made.handled(f"a{n}", "sales", 900.0 if n < LOOK - 1 else 100.0)
    wait(made, "a", 200.0)
    match = made.agent_for("a", 200.0)
    assert match is not None and (match.agent, match.decision.candidates) == (f"a{LOOK - 1}", LOOK)


def test_the_fastest_but_whoever_is_idle_too_long_goes_first() -> None:
    made = router(sales={"agents": "fastest", "idle_limit": 60.0})
    for name, seconds, idle in (("slow", 300.0, 0.0), ("quick", 100.0, 10.0), ("new", 0.0, 20.0)):
        hire(made, name, idle, sales=1)
        for _ in range(10 if seconds else 0):
            made.handled(name, "sales", seconds)
    wait(made, "a")
    match = made.agent_for("a", 50.0)
    assert match is not None and (match.agent, match.decision.rule) == ("quick", "fastest")
    assert match.decision.handling is not None and 100.0 < match.decision.handling < 200.0
    assert [one["agent"] for one in match.decision.over] == ["new", "slow"]
    match = made.agent_for("a", 61.0)
    assert match is not None and (match.agent, match.decision.rule) == ("slow", "idle_limit")


def test_an_agent_s_handling_fades_and_leans_on_the_queue_s() -> None:
    made = router()
    made.handled("ani", "sales", 100.0 * 100, calls=100)
    made.handled("ani", "sales", 1000.0 * 1000, calls=1000)
    assert 900 < made.handling("ani", "sales") < 1000
    assert made.handling("nobody", "other") == 0.0


def test_the_best_level() -> None:
    made = router(sales={"agents": "best_level", "skills": {"sales": 1, "english": 1}})
    hire(made, "ani", 0.0, sales=9, english=1)
    hire(made, "budi", 5.0, sales=5, english=6)
    wait(made, "a")
    match = made.agent_for("a", 50.0)
    assert match is not None and (match.agent, match.decision.rule) == ("budi", "best_level")


def test_a_preferred_agent_is_waited_for_alone_as_long_as_he_serves() -> None:
    made = router()
    hire(made, "other", sales=1)
    made.sign_on("his", {}, 0.0)
    assert wait(made, "a", prefer="his", prefer_until=20.0) == 20.0
    assert made.agent_for("a", 1.0) is None and taken(made, "other") is None
    made.free("his", {}, 5.0)
    match = made.caller_for("his", 6.0)
    assert match is not None and (match.key, match.decision.rule) == ("a", "named_agent")
    match = made.agent_for("a", 6.0)
    assert match is not None and match.agent == "his"
    made.busy("his")
    made.sign_on("his", {}, 7.0, serving=False)
    assert made.moved == {"a"} and taken(made, "other") == "a"
    made.sign_on("his", {}, 8.0)
    wait(made, "a", 9.0, since=0.0, prefer="his", prefer_until=20.0)
    assert taken(made, "other") is None
    wait(made, "a", 20.0, since=0.0, prefer="his", prefer_until=20.0)
    assert taken(made, "other") == "a"


def test_his_own_caller_comes_at_his_place_among_all() -> None:
    made = router()
    hire(made, "his", sales=1)
    wait(made, "first", 0.0)
    wait(made, "own", 1.0, prefer="his", prefer_until=50.0, prefer_why="last")
    assert taken(made, "his") == "first"
    made.leave("first")
    match = made.caller_for("his", 10.0)
    assert match is not None and match.decision.rule == "last_agent"
    made.sign_off("his", 11.0)
    assert made.caller_for("gone", 1.0) is None


def test_a_full_queue_gets_nobody_until_a_call_is_done() -> None:
    limits = (Capacity(calls=1, calendar="lunch"), Capacity(calls=2))
    made = router(sales={"capacity": limits}, support={})
    made.is_open = lambda calendar, at: at >= 100.0
    hire(made, "ani", sales=1)
    wait(made, "a")
    wait(made, "p", prefer="ani", prefer_until=500.0)
    made.taken("sales")
    assert taken(made, "ani", 50.0) == "a"
    assert taken(made, "ani", 100.0) is None and made.agent_for("a", 100.0) is None
    made.done("sales")
    assert taken(made, "ani", 100.0) == "a"


def test_a_queue_only_open_by_calendar_has_no_limit_outside_of_it() -> None:
    made = router(sales={"capacity": (Capacity(calls=1, calendar="lunch"),)})
    made.is_open = lambda calendar, at: False
    made.taken("sales")
    assert made.has_room("sales", 0.0)


def test_idle_agents_are_kept_from_callbacks() -> None:
    made = router(sales={"keep_idle": 1})
    hire(made, "ani", sales=1)
    wait(made, "callback/1", callback=True)
    assert made.agent_for("callback/1", 1.0) is None and taken(made, "ani") is None
    wait(made, "call", 50.0)
    assert taken(made, "ani") == "call"
    made.leave("call")
    hire(made, "budi", sales=1)
    assert taken(made, "budi") == "callback/1" and made.agent_for("callback/1", 1.0) is not None


def test_position_and_staff() -> None:
    made = router(sales={"relax": (Relax(after=10, any_agent=True),)}, support={})
    wait(made, "a", 0.0)
    wait(made, "b", 1.0)
    wait(made, "s", 0.0, queue="support")
    assert [made.position(key) for key in ("a", "b", "s")] == [1, 2, 1]
    assert not made.staffed("a") and not made.staffed("s")
    made.sign_on("ani", {"other": 1}, 2.0)
    assert made.staffed("a") and not made.staffed("s")
    assert {"a", "b"} <= made.moved
    made.sign_on("ani", {"support": 1}, 3.0)
    assert made.staffed("s")
    made.sign_off("ani", 4.0)
    assert not made.staffed("a")


def test_who_changes_his_place_still_hears_of_those_who_sign_on() -> None:
    made = router(sales={"relax": (Relax(after=10, skills={"sales": 5}),)})
    wait(made, "a", 0.0)
    wait(made, "a", 1.0, since=0.5)
    made.moved.clear()
    made.sign_on("ani", {"sales": 1}, 2.0)
    made.sign_on("budi", {"sales": 1}, 2.0)
    made.sign_off("ani", 3.0)
    assert made.moved == {"a"} and made.staffed("a")
    made.moved.clear()
    made.sign_off("budi", 3.0)
    assert made.moved == {"a"} and not made.staffed("a")


def test_settings_change_under_those_who_wait() -> None:
    made = router()
    hire(made, "ani", sales=1)
    wait(made, "a")
    made.configure({"sales": QueueConfig(name="sales", skills={"sales": 9})}, Routing(balance=True), 1.0)
    assert taken(made, "ani") is None
    made.configure({"sales": QueueConfig(name="sales")}, Routing(balance=True), 2.0)
    made.configure({"sales": QueueConfig(name="sales")}, Routing(), 2.0)
    assert taken(made, "ani") == "a"
    made.leave("a")
    made.configure({}, Routing(), 3.0)
    assert not made.stands and not made.order and not len(made.lines)


def test_many_lines_and_agents_come_and_go() -> None:
    made = router(sales={"skills": {}})
    hire(made, "ani", sales=2, english=1)
    for number in range(5):
        wait(made, f"c{number}", number, skills={"sales": 1 + number % 3})
    assert taken(made, "ani") == "c0"
    assert "c0" in made.lines and len(made.lines) == 5 and len(list(made.lines)) == 3
    for key in ("c0", "c1", "c3"):
        made.leave(key)
    assert taken(made, "ani") == "c4"
    made.busy("ani")
    made.busy("ani")
    made.leave("never")
    assert len(made.agents) == 0 and made.caller_for("ani", 9.0) is None


def test_an_agent_who_fits_in_two_ways_is_found_once() -> None:
    made = router(sales={"skills": {"any": [{"english": 1}, {"dutch": 1}]}})
    hire(made, "ani", english=1, dutch=1)
    hire(made, "budi", 5.0, dutch=1)
    wait(made, "a")
    match = made.agent_for("a", 10.0)
    assert match is not None and match.agent == "ani" and match.decision.candidates == 2
