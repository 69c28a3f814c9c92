"""A simulated day: who is answered when, how waits end, what agents do; and the textbook's figures."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from cti.core.acd import Router
from cti.core.acd_day import Caller, Miss, Shift
from cti.core.acd_sim import simulate
from cti.core.acd_tally import Outcome, Tally
from cti.core.queues import CallbackRules, Capacity, Overflow, QueueConfig, Relax, Routing, ServiceLevel

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from erlang import by_speed, erlang_a, erlang_c, recursion, two_speeds

DAY = ((0.0, 36_000.0),)


def queue(name: str = "sales", **settings: Any) -> QueueConfig:
    return QueueConfig(name=name, **{"wrap_up": 0.0, "skills": {}} | settings)


def agent(name: str = "ani", skills: dict[str, int] | None = None, **settings: Any) -> Shift:
    return Shift(agent=name, skills=skills or {}, **{"spans": DAY} | settings)


class Said(Tally):
    """Keeps how each wait ended: {key: (result, seconds)}."""

    def __init__(self, queues: dict[str, QueueConfig]) -> None:
        super().__init__(queues)
        self.said: dict[str, tuple[str, float]] = {}

    def ended(self, key: str, queue: str, result: str, waited: float) -> None:
        super().ended(key, queue, result, waited)
        self.said[key] = result, waited


def day(
    calls: list[tuple[float, dict[str, Any]]], shifts: list[Shift], *queues: QueueConfig, talk: float = 60.0,
    wrap: float = 0.0, router: Router | None = None,
) -> tuple[dict[str, tuple[str, float]], Outcome]:  # fmt: skip
    """Callers c0, c1, ... at these times."""
    held = {one.name: one for one in queues or (queue(),)}
    first = next(iter(held))
    callers = [Caller(**{"key": f"c{n}", "at": at, "queue": first} | more) for n, (at, more) in enumerate(calls)]
    tally = Said(held)
    outcome = simulate(callers, shifts, held, Routing(), lambda caller, who: (talk, wrap), tally=tally, router=router)
    return tally.said, outcome


# ---------------------------------------------------------------- waits and how they end


def test_one_agent_serves_three_callers_in_turn() -> None:
    said, outcome = day([(0, {}), (10, {}), (20, {})], [agent()])
    assert said == {"c0": ("answered", 0), "c1": ("answered", 50), "c2": ("answered", 100)}
    sales, ani = outcome.queues["sales"], outcome.agents["ani"]
    assert (sales.offered, sales.answered, sales.wait_mean, sales.wait_max) == (3, 3, 50, 100)
    assert (sales.wait_p50, sales.wait_p90, sales.service_level) == (50, 100, 1 / 3)
    assert (ani.calls, ani.busy, ani.idle, ani.paused) == (3, 180, 35_820, 0)
    assert ani.occupancy == pytest.approx(0.005)


def test_a_priority_is_worth_its_minutes_as_on_the_floor() -> None:
    said, _ = day([(0, {}), (1, {}), (50, {"priority": 1})], [agent()])
    assert (said["c2"], said["c1"]) == (("answered", 10), ("answered", 119))


def test_how_waits_end_without_an_agent() -> None:
    said, outcome = day(
        [(0, {}), (1, {"patience": 3}), (1, {"patience": 20}), (1, {"patience": 9, "leaves": "left"}), (1, {}),
         (2, {}), (3, {"queue": "nowhere"})],
        [agent()], queue(max_wait=30.0, max_size=4), talk=100,
    )  # fmt: skip
    assert said == {
        "c0": ("answered", 0), "c1": ("short_abandon", 3), "c2": ("abandoned", 20), "c3": ("left", 9),
        "c4": ("timeout", 30), "c5": ("full", 0), "c6": ("failed", 0),
    }  # fmt: skip
    assert outcome.queues["sales"].wait_all == pytest.approx((3 + 20 + 9 + 30) / 6)
    assert outcome.queues["sales"].service_level == 1 / 5
    assert outcome.queues["nowhere"].wait_mean is None


def test_the_expected_wait_and_the_callers_to_an_agent_send_new_ones_away() -> None:
    early: list[tuple[float, dict[str, Any]]] = [(n * 5.0, {}) for n in range(60)]
    said, _ = day(early, [agent()], queue(overflow=Overflow(wait=60)), talk=10)
    assert said["c11"][0] == "answered" and said["c59"] == ("full", 0)
    assert max(waited for _, waited in said.values()) <= 60
    said, _ = day([(0, {}), (1, {}), (2, {}), (3, {})], [agent()], queue(overflow=Overflow(ratio=2)))
    assert [said[f"c{n}"][0] for n in range(4)] == ["answered", "answered", "answered", "full"]


def test_nobody_is_there_who_could_ever_serve_him() -> None:
    for patience, waited in ((0.0, 0), (30.0, 30)):
        said, _ = day([(0, {})], [agent(spans=((100, 200),))], queue(overflow=Overflow(no_agents=patience)))
        assert said["c0"] == ("no_agents", waited)
    said, _ = day([(0, {})], [agent(spans=((20, 200),))], queue(overflow=Overflow(no_agents=30.0)))
    assert said["c0"] == ("answered", 20)


def test_the_last_agent_who_goes_leaves_nobody() -> None:
    said, _ = day(
        [(0, {}), (1, {})], [agent(spans=((0, 10),))], queue(overflow=Overflow(no_agents=0.0)), talk=50
    )  # fmt: skip
    assert said == {"c0": ("answered", 0), "c1": ("no_agents", 49)}


def test_the_patience_with_nobody_begins_anew_when_somebody_was_there() -> None:
    some = queue(overflow=Overflow(no_agents=30.0))
    said, _ = day([(0, {}), (0, {})], [agent(spans=((10, 12),))], some, talk=15)
    assert said == {"c0": ("answered", 10), "c1": ("no_agents", 55)}


def test_who_is_not_for_one_agent_any_more_is_for_nobody() -> None:
    said, _ = day([(0, {"prefer": "ani", "prefer_for": 20.0}), (1, {"prefer": "ani", "prefer_for": 20.0})], [agent()],
                  queue(skills={"sales": 1}, overflow=Overflow(no_agents=0.0)), talk=50)  # fmt: skip
    assert said == {"c0": ("answered", 0), "c1": ("no_agents", 20)}


def test_a_closed_queue_and_one_that_closes() -> None:
    router = Router()
    router.is_open = lambda calendar, at: at < 100
    closing = queue(calendar="office", overflow=Overflow(closing=True))
    said, _ = day([(0, {}), (5, {}), (150, {})], [agent()], closing, talk=300, router=router)
    assert said == {"c0": ("answered", 0), "c1": ("closed", 95), "c2": ("closed", 0)}


def test_steps_widen_the_choice_and_the_last_of_a_kind_who_leaves_too() -> None:
    english = queue(skills={"english": 3}, relax=(Relax(30, any_agent=True),))
    said, _ = day([(1, {}), (2, {})], [agent("ani", {"english": 5}), agent("budi")], english, talk=100)
    assert said == {"c0": ("answered", 0), "c1": ("answered", 30)}
    away = [agent("ani", {"english": 5}, spans=((0, 10),), breaks=((0, 5),)), agent("budi")]
    said, _ = day([(1, {}), (2, {})], [away[0], away[1]], english, talk=100)
    assert said["c0"] == ("answered", 4)
    assert said["c1"] == ("answered", 30)
    said, _ = day([(2, {})], [agent("ani", {"english": 5}, spans=((0, 10),), breaks=((1, 20),)), away[1]], english)
    assert said["c0"] == ("answered", 8)


def test_he_waits_for_the_agent_he_prefers_alone() -> None:
    two = [agent("ani"), agent("budi")]
    said, outcome = day([(0, {"prefer": "budi", "prefer_for": 30}), (1, {"prefer": "budi", "prefer_for": 30})], two)
    assert said["c1"] == ("answered", 30)
    assert outcome.agents["ani"].calls == 1


def test_who_left_and_calls_again_has_his_place_back() -> None:
    calls: list[tuple[float, dict[str, Any]]] = [
        (0, {}), (1, {"number": "7", "patience": 10}), (5, {}), (20, {"number": "7"})
    ]  # fmt: skip
    for within, first in ((60.0, "c3"), (5.0, "c2")):
        said, _ = day(calls, [agent()], queue(return_within=within))
        assert said[first] == ("answered", 60 - calls[int(first[1])][0])


def test_what_follows_a_wait() -> None:
    then = Caller(key="then", at=5, queue="support")
    for more, calls in (({"then": then}, 1), ({"then": then, "after_talk": True}, 0)):
        said, _ = day([(0, {}), (1, more)], [agent()], queue(max_wait=20.0), queue("support"), talk=100)
        assert said.get("then") == (("answered", 74) if calls else None)
    said, _ = day([(0, {"then": then, "after_talk": True})], [agent()], queue(), queue("support"), talk=3)
    assert said["then"] == ("answered", 0)
    said, _ = day([(0, {}), (1, {"then": then, "patience": 9})], [agent()], queue(), queue("support"))
    assert "then" not in said


def test_a_callback_keeps_the_place_and_leaves_agents_for_callers() -> None:
    rules = queue(keep_idle=1, callback=CallbackRules())
    calls: list[tuple[float, dict[str, Any]]] = [(0, {}), (1, {}), (2, {"patience": 5, "leaves": "callback"}), (3, {})]
    said, outcome = day(calls, [agent("ani"), agent("budi")], rules)
    assert said["c2"] == ("callback", 5)
    assert said["c3"] == ("answered", 57)  # of the two agents one stays free for callers
    assert (outcome.queues["sales"].called_back, outcome.queues["sales"].offered) == (1, 4)
    nobody = queue(overflow=Overflow(no_agents=0.0))
    _, outcome = day([calls[0], calls[2]], [agent(spans=((0, 10), (90, 200)))], nobody, talk=20)
    assert outcome.queues["sales"].called_back == 1


def test_who_calls_again_before_he_is_called_back_has_the_callbacks_place() -> None:
    asks = {"number": "7", "patience": 4, "leaves": "callback", "priority": 1}
    said, outcome = day([(0, {}), (1, asks), (9, {}), (20, {"number": "7"}), (21, {"number": "8"})], [agent()])
    assert (said["c3"], said["c2"], said["c4"]) == (("answered", 40), ("answered", 111), ("answered", 159))
    assert (outcome.queues["sales"].called_back, outcome.agents["ani"].calls) == (0, 4)
    said, outcome = day([(0, {"patience": 1, "leaves": "callback", "number": "7"}), (6, {"number": "7"})],
                        [agent(spans=((5, 900),), answer=4)])  # fmt: skip
    assert said["c1"] == ("answered", 67)  # he was being called just then
    assert outcome.queues["sales"].called_back == 1


def test_who_was_not_reached_is_not_called_back() -> None:
    asks = {"number": "7", "patience": 4, "leaves": "callback", "reached": False}
    said, outcome = day([(0, {}), (1, asks)], [agent()])
    assert (said["c1"], outcome.queues["sales"].called_back) == (("callback", 4), 0)


def test_callbacks_are_made_while_their_calendar_is_open_and_only_so_long() -> None:
    for opens, expires, made in ((100, 86_400.0, 1), (100, 50.0, 0), (3, 86_400.0, 1), (1000, 86_400.0, 0)):
        router = Router()
        router.is_open = lambda calendar, at, opens=opens: opens <= at < 400 or calendar == "always"  # type: ignore[misc]
        rules = CallbackRules(calendar="office", expires=expires)
        _, outcome = day([(0, {"patience": 1, "leaves": "callback"})], [agent(spans=((2, 600),))],
                         queue(callback=rules, calendar="always"), router=router)  # fmt: skip
        assert outcome.queues["sales"].called_back == made
        assert outcome.agents["ani"].busy == 60 * made
    router = Router()
    router.is_open = lambda calendar, at: at < 50
    busy: list[tuple[float, dict[str, Any]]] = [(0, {}), (1, {"patience": 4, "leaves": "callback"})]
    _, outcome = day(busy, [agent()], queue(callback=CallbackRules(calendar="office", expires=500.0)), router=router)
    assert outcome.queues["sales"].called_back == 0  # it closed while he stood in line
    always = queue(calendar="office", overflow=Overflow(closing=True), callback=CallbackRules(calendar="always"))
    router.is_open = lambda calendar, at: at < 50 or calendar == "always"
    said, outcome = day([*busy, (2, {})], [agent()], always, router=router)
    assert (said["c2"][0], outcome.queues["sales"].called_back) == ("closed", 1)


def test_capacity_holds_calls_back_and_room_lets_them_go() -> None:
    two = [agent("ani"), agent("budi"), agent("cici")]
    said, _ = day([(0, {}), (1, {}), (2, {})], two, queue(capacity=(Capacity(1),)))
    assert said["c2"] == ("answered", 118)
    router = Router()
    router.is_open = lambda calendar, at: at < 25
    said, _ = day([(0, {}), (1, {})], two, queue(capacity=(Capacity(1, "lunch"),)), router=router)
    assert said["c1"] == ("answered", 29)  # looked at every ten seconds


# ---------------------------------------------------------------- agents


def test_a_phone_rings_for_a_while_and_the_caller_may_leave() -> None:
    said, outcome = day([(0, {"patience": 6}), (1, {"patience": 2}), (2, {})], [agent(answer=4)], talk=10)
    assert said == {"c0": ("answered", 4), "c1": ("short_abandon", 2), "c2": ("answered", 16)}
    said, outcome = day([(0, {"patience": 6}), (2, {})], [agent(answer=9)])
    assert said == {"c0": ("abandoned", 6), "c1": ("answered", 13)}
    assert outcome.agents["ani"].busy == 6 + 9 + 60


def test_no_time_runs_out_while_a_phone_rings() -> None:
    said, _ = day([(0, {"patience": 50})], [agent(answer=9)], queue(max_wait=5.0))
    assert said["c0"] == ("answered", 9)
    router = Router()
    router.is_open = lambda calendar, at: at < 5
    said, _ = day([(0, {})], [agent(answer=15)], queue(calendar="o", overflow=Overflow(closing=True)), router=router)
    assert said["c0"] == ("answered", 15)
    said, _ = day([(0, {})], [agent(spans=((7, 99),), answer=9)], queue(overflow=Overflow(no_agents=10.0)))
    assert said["c0"] == ("answered", 16)


def test_an_offer_is_missed_and_the_caller_keeps_his_place() -> None:
    away = agent(misses=(Miss(5, 100, math.inf),))
    said, outcome = day([(10, {}), (12, {})], [away, agent("budi", spans=((40, 900),))], queue(ring=15.0))
    assert said == {"c0": ("answered", 30), "c1": ("answered", 88)}  # ani is there again at 100, and longest idle
    assert outcome.agents["ani"].paused == 75
    said, _ = day([(4, {}), (101, {})], [away], talk=1)
    assert said == {"c0": ("answered", 0), "c1": ("answered", 0)}  # nobody called him while he was away
    said, outcome = day([(10, {}), (60, {})], [agent(misses=(Miss(5, 100, 3.0),))], talk=20)
    assert said == {"c0": ("answered", 90), "c1": ("answered", 60)}  # he turned it down after three seconds
    assert outcome.agents["ani"].paused == 87
    said, outcome = day([(10, {"patience": 2}), (30, {})], [away], queue(short_abandon=0.0))
    assert said == {"c0": ("abandoned", 2), "c1": ("answered", 70)}  # rung twice: the first left before he missed it
    assert outcome.agents["ani"].paused == 55


def test_what_fell_due_while_a_phone_rang_in_vain_is_done_then() -> None:
    away = agent(misses=(Miss(5, 100, math.inf),))
    said, _ = day([(10, {})], [away], queue(max_wait=8.0))
    assert said["c0"] == ("timeout", 15)
    said, _ = day([(10, {"max_wait": 20.0}), (11, {"max_wait": 400.0})], [away], queue(max_wait=8.0))
    assert said == {"c0": ("timeout", 20), "c1": ("answered", 89)}
    said, _ = day([(10, {})], [agent(spans=((0, 20),), misses=away.misses)], queue(overflow=Overflow(no_agents=0.0)))
    assert said["c0"] == ("no_agents", 15)
    back: list[tuple[float, dict[str, Any]]] = [(3, {"patience": 1, "leaves": "callback"})]
    for expires, made in ((5.0, 0), (900.0, 1)):
        rules = queue(callback=CallbackRules(expires=expires))
        _, outcome = day(back, [agent(spans=((5, 600),), misses=away.misses)], rules)
        assert outcome.queues["sales"].called_back == made


def test_room_is_made_when_a_phone_rang_in_vain() -> None:
    other = queue("sales", capacity=(Capacity(1),))
    said, _ = day([(10, {}), (11, {})], [agent(misses=(Miss(5, 100, math.inf),)), agent("budi", answer=1)], other)
    assert said == {"c0": ("answered", 16), "c1": ("answered", 76)}


def test_a_break_that_begins_when_he_is_back_or_talks_again() -> None:
    ani = agent(misses=(Miss(5, 50, math.inf),), breaks=((50, 70),))
    said, outcome = day([(10, {})], [ani])
    assert (said["c0"], outcome.agents["ani"].paused) == (("answered", 60), 45)
    said, _ = day([(10, {}), (11, {})], [agent(misses=(Miss(5, 14, math.inf),))], queue(ring=15.0))
    assert said["c0"] == ("answered", 15)


def test_wrap_up_is_no_longer_than_the_queue_gives() -> None:
    said, outcome = day([(0, {}), (1, {})], [agent()], queue(wrap_up=5.0), wrap=30)
    assert said["c1"] == ("answered", 64)
    assert outcome.agents["ani"].busy == 130


def test_breaks_and_the_end_of_the_day_wait_for_the_call() -> None:
    ani = agent(spans=((0, 300), (400, 500)), breaks=((20, 100), (90, 110)))
    said, outcome = day([(0, {}), (50, {}), (290, {}), (291, {})], [ani])
    assert said == {"c0": ("answered", 0), "c1": ("answered", 60), "c2": ("answered", 0), "c3": ("answered", 109)}
    one = outcome.agents["ani"]
    assert (one.busy, one.paused, one.idle) == (240, 50, 120 + 40)
    said, _ = day([(0, {})], [agent(spans=((0, 10), (20, 500)))], talk=30)
    assert said["c0"] == ("answered", 0)
    said, _ = day([(0, {}), (1, {})], [agent(breaks=((10, 20),))])  # over before the call is
    assert said["c1"] == ("answered", 59)


def test_an_agent_nobody_calls_and_a_queue_without_calls() -> None:
    _, outcome = day([], [agent(spans=((0, math.inf),)), agent("budi", spans=((5, 5),))])
    assert outcome.agents["budi"].occupancy is None
    assert outcome.queues["sales"].service_level is None
    assert outcome.queues["sales"].wait_all is None


def test_a_tally_and_a_router_of_ones_own_are_used() -> None:
    calls = [Caller(key="a", at=0.0, queue="sales")]
    outcome = simulate(calls, [agent()], {"sales": queue()}, Routing(), lambda caller, who: (1.0, 0.0))
    assert outcome.queues["sales"].answered == 1


# ---------------------------------------------------------------- theory (the whole table: bench/acd_theory.py)


def sample(calls: int, rate: float, patience: float = math.inf) -> list[Caller]:
    rnd, at, made = random.Random(7), 0.0, []
    for n in range(calls):
        at += rnd.expovariate(rate)
        gives_up = rnd.expovariate(1 / patience) if patience < math.inf else math.inf
        made.append(Caller(key=f"c{n}", at=at, queue="sales", luck=rnd.random(), patience=gives_up))
    return made


def exponential(mean: float) -> Any:
    return lambda caller, who: (-mean * math.log(1 - caller.luck), 0.0)


@pytest.mark.parametrize("patience", [math.inf, 90.0])
def test_every_wait_is_that_of_the_textbook_recursion(patience: float) -> None:
    open_end = queue(max_wait=math.inf, max_size=10**9)
    tally, calls = Said({"sales": open_end}), sample(8_000, 1 / 18, patience)
    shifts = [agent(f"a{n}", spans=((0.0, math.inf),)) for n in range(11)]
    simulate(calls, shifts, {"sales": open_end}, Routing(), exponential(180), tally=tally)
    handles = [-180 * math.log(1 - caller.luck) for caller in calls]
    exact = recursion(11, [c.at for c in calls], handles, [c.patience for c in calls])
    assert max(abs(tally.said[c.key][1] - wait) for c, wait in zip(calls, exact, strict=True)) < 1e-6
    assert max(exact) > 60


def test_every_wait_is_that_of_the_recursion_with_agents_of_two_speeds() -> None:
    open_end = queue(max_wait=math.inf, max_size=10**9)
    tally, calls = Said({"sales": open_end}), sample(8_000, 1 / 10.2)
    shifts = [agent(f"a{n:02}", spans=((0.0, math.inf),)) for n in range(20)]
    handles, speeds = [-math.log(1 - caller.luck) for caller in calls], [(126.0, 234.0)[n % 2] for n in range(20)]

    def handling(caller: Caller, who: str) -> tuple[float, float]:
        return -math.log(1 - caller.luck) * speeds[int(who[1:])], 0.0

    simulate(calls, shifts, {"sales": open_end}, Routing(), handling, tally=tally)
    exact = by_speed(speeds, False, [c.at for c in calls], handles)
    assert max(abs(tally.said[c.key][1] - wait) for c, wait in zip(calls, exact, strict=True)) < 1e-6
    assert max(exact) > 60


def runs(agents: int, mean: Any, rate: float, order: str, patience: float = math.inf) -> list[tuple[float, float]]:
    """(share answered within 20 s, mean wait of all) of ten parts of a day, the first left out."""
    held = {"sales": queue(max_wait=math.inf, max_size=10**9, agents=order, service_level=ServiceLevel(80, 20))}
    tally, calls, size = Said(held), sample(22_000, rate, patience), 2000
    shifts = [agent(f"a{n}", spans=((0.0, math.inf),)) for n in range(agents)]
    simulate(calls, shifts, held, Routing(), mean, tally=tally)
    found = []
    for begin in range(size, len(calls), size):
        ends = [tally.said[c.key] for c in calls[begin : begin + size]]
        within = sum(result == "answered" and waited <= 20 for result, waited in ends)
        found.append((within / size, sum(waited for _, waited in ends) / size))
    return found


def agrees(values: list[float], exact: float) -> bool:
    """Within what chance does to the mean of ten parts once in ten thousand times (Student, 9 degrees: 6.6)."""
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return abs(mean - exact) < 6.6 * spread and spread < 0.25 * abs(exact)


def test_erlang_c_and_a_come_out() -> None:
    exact = erlang_c(13, 1 / 18, 180)
    assert (round(exact.delayed, 4), round(exact.level, 4), round(exact.wait, 2)) == (0.2853, 0.7956, 17.12)
    found = runs(13, exponential(180), 1 / 18, "longest_idle")
    assert agrees([level for level, _ in found], exact.level)
    assert agrees([wait for _, wait in found], exact.wait)
    found = runs(11, exponential(180), 1 / 18, "longest_idle", patience=120.0)
    assert agrees([wait for _, wait in found], erlang_a(11, 1 / 18, 180, 120).wait)


def test_fastest_first_waits_less_and_as_theory_says() -> None:
    rate = 0.85 * 10 * (1 / 126 + 1 / 234)

    def mean(caller: Caller, who: str) -> tuple[float, float]:
        return -(126 if int(who[1:]) % 2 else 234) * math.log(1 - caller.luck), 0.0

    waits = {}
    for order in ("longest_idle", "fastest"):
        exact = two_speeds(10, 10, rate, (126, 234), order == "fastest")
        found = runs(20, mean, rate, order)
        waits[order] = sum(wait for _, wait in found) / len(found)
        assert agrees([level for level, _ in found], exact.level)
        assert agrees([wait for _, wait in found], exact.wait)
    assert waits["fastest"] < 0.95 * waits["longest_idle"]
