"""A record becomes callers and shifts; two configurations are compared."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from cti.core.acd_compare import Estimate, Setup, as_recorded, compare, estimate, play
from cti.core.acd_day import Caller, Miss
from cti.core.acd_days import completed, notes, recorded
from cti.core.acd_made import Plan, generated
from cti.core.acd_record import Handled, Patience, Record, Spell, Visit
from cti.core.ivr.expressions import Expression
from cti.core.queues import QueueConfig, Raise, Routing

SALES = {"sales": QueueConfig(name="sales", wrap_up=60)}


def visit(call_id: str, at: float, wait: float, result: str = "answered", **more: Any) -> Visit:
    return Visit(**{"call_id": call_id, "seq": 1, "queue": "sales", "entered_at": at, "wait": wait, "result": result}
                 | ({"agent": "ani", "talk": 100.0, "wrap": 20.0, "ringing": 4.0} if result == "answered" else {})
                 | more)  # fmt: skip


def spell(since: float, until: float, wish: str = "ready", work: str = "idle", **more: Any) -> Spell:
    return Spell(**{"agent": "ani", "wish": wish, "work": work, "call_id": "", "since": since, "until": until} | more)


def record(visits: list[Visit], spells: list[Spell] | None = None) -> Record:
    return Record(0, 1000, tuple(visits), tuple(spells or [spell(0, 1000)]), {"ani": {"sales": 3}})


# ---------------------------------------------------------------- patience


def test_the_law_of_patience_is_kaplan_meiers() -> None:
    law = Patience([(10, True), (20, False), (30, True), (40, False)])
    assert (law.times, law.stay) == ([10, 30], [0.75, 0.375])
    drawn = [law.draw(0, lambda u=u: u) for u in (0.1, 0.3, 0.5, 0.62)]  # type: ignore[misc]
    assert drawn == [10, 30, 30, 30]
    assert law.draw(0, lambda: 0.7) == pytest.approx(30 + math.log(0.375 / 0.3) / law.rate)
    assert law.draw(15, lambda: 0.4) == 30
    assert law.draw(50, lambda: 0.5) == pytest.approx(50 + math.log(2) / law.rate)


def test_where_nobody_left_patience_has_no_end() -> None:
    assert Patience([(5, False)]).draw(0, lambda: 0.9) == math.inf
    assert Patience([]).draw(0, lambda: 0.9) == math.inf
    assert Patience([(5, True)]).draw(9, lambda: 0.5) == math.inf  # nobody stayed so long: nothing is known of it
    assert Patience([(0, True)]).draw(0, lambda: 0.5) == math.inf


def test_the_law_is_found_again_in_a_censored_sample() -> None:
    rnd = random.Random(3)
    waits = []
    for _ in range(4000):
        patience, offered = rnd.expovariate(1 / 60), rnd.expovariate(1 / 90)
        waits.append((min(patience, offered), patience < offered))
    law = Patience(waits)
    drawn = sorted(law.draw(0, rnd.random) for _ in range(4000))
    assert drawn[2000] == pytest.approx(60 * math.log(2), rel=0.1)


# ---------------------------------------------------------------- handling


def test_a_call_keeps_its_rank_with_another_agent() -> None:
    visits = [visit("a", 0, 0, talk=10.0), visit("b", 1, 0, talk=50.0, agent="budi"),
              visit("c", 2, 0, talk=70.0), visit("d", 3, 0, talk=90.0, agent="budi")]  # fmt: skip
    handled = Handled([*visits, visit("e", 4, 9, "abandoned")])
    long = Caller(key="c", at=0, queue="sales", luck=handled.rank(visits[2]))
    assert handled(long, "ani") == (70, 20)
    assert handled(long, "budi") == (90, 20)
    assert handled(long, "never") == (90, 20)
    assert handled(Caller(key="x", at=0, queue="other"), "ani") == (0, 0)
    assert list(handled.told()) == [("ani", "sales", 120, 2), ("budi", "sales", 180, 2)]


# ---------------------------------------------------------------- a recorded day


def test_callers_are_those_of_the_record() -> None:
    visits = [
        visit("b", 30, 12, "abandoned", number="+62811", priority=5, skills={"english": 2}),
        visit("a", 10, 3), visit("c", 40, 7, "callback"),
        visit("d", 50, 20, "timeout"), visit("d", 75, 4, seq=2, queue="support"),
    ]  # fmt: skip
    day = recorded(record(visits), lambda: 0.5, SALES, SALES)
    first, second, third, fourth = day.callers
    assert (first.key, first.leaves, first.patience > 3) == ("a/1", "abandoned", True)
    assert (second.patience, second.number, second.priority, second.skills) == (12, "+62811", 5, {"english": 2})
    assert (third.patience, third.leaves) == (7, "callback")
    assert fourth.then is not None
    assert (fourth.then.at, fourth.then.queue, fourth.after_talk, fourth.then.after_talk) == (5, "support", False, True)


def test_shifts_are_when_agents_were_there_and_breaks_when_they_took_no_calls() -> None:
    spells = [
        spell(0, 100), spell(100, 150, work="reserved", call_id="a"), spell(150, 250, work="talking", call_id="a"),
        spell(250, 300, work="talking", call_id="else"), spell(300, 350, "not_ready"), spell(350, 400, "logged_out"),
        spell(400, 500), spell(0, 900, "logged_out", agent="budi"),
    ]  # fmt: skip
    (shift,) = recorded(record([visit("a", 90, 10)], spells), lambda: 0.5, SALES, SALES).shifts
    assert (shift.agent, shift.skills, shift.answer) == ("ani", {"sales": 3}, 4)
    assert (shift.spans, shift.breaks) == (((0, 350), (400, 500)), ((250, 350),))


def test_who_missed_an_offer_or_turned_it_down_would_have_done_so_for_a_while() -> None:
    spells = [
        spell(0, 100), spell(100, 115, work="reserved", call_id="a"), spell(115, 200, "not_ready", reason="missed"),
        spell(200, 210, work="reserved", call_id="b"), spell(210, 250, "not_ready", reason="rejected"),
        spell(250, 300, "not_ready", reason="lunch"), spell(300, 310, work="reserved", call_id="elsewhere"),
        spell(310, 320, "not_ready", reason="missed"), spell(320, 330),
        spell(330, 340, work="reserved", call_id="b"), spell(340, 400, "not_ready", reason="break"),
    ]  # fmt: skip
    told = record([visit("a", 90, 30, "abandoned"), visit("b", 199, 20, "abandoned")], spells)
    (shift,) = recorded(told, lambda: 0.25, SALES, SALES).shifts
    assert shift.misses == (Miss(75, 200, math.inf), Miss(200, 250, 10))
    assert shift.breaks == ((250, 320), (340, 400))  # what he did not take of other days' calls included
    assert notes(told, SALES) == [
        "Offers that were missed or turned down on that day: 2. Whatever these agents are offered while they were away "
        "they miss here, too; since when they were is drawn."
    ]  # fmt: skip


def test_who_was_called_back_is_so_once() -> None:
    spells = [
        spell(0, 300, "not_ready"), spell(300, 305, work="reserved", call_id="made"),
        spell(305, 400, work="talking", call_id="made"), spell(400, 500),
        spell(500, 520, work="reserved", call_id="in vain"), spell(520, 1000),
    ]  # fmt: skip
    reached = visit("a", 90, 10, "callback", agent="ani", talk=80.0, wrap=15.0, ringing=5.0, made="made", number="7")
    told = record([reached, visit("b", 95, 9, "callback")], spells)
    day = recorded(told, lambda: 0.5, SALES, SALES)
    assert [caller.reached for caller in day.callers] == [True, False]
    assert (day.shifts[0].breaks, day.shifts[0].answer) == (((0, 300), (500, 520)), 5)
    setup = Setup(SALES, Routing(), lambda calendar, at: True)
    was, again = as_recorded(told, SALES), play(day, setup)
    assert was["queues"]["sales"]["called_back"] == again["queues"]["sales"]["called_back"] == 1
    assert was["agents"]["ani"]["calls"] == again["agents"]["ani"]["calls"] == 1
    assert was["agents"]["ani"] == again["agents"]["ani"], "the call in vain counts in neither"
    assert again["agents"]["ani"]["busy"] == 100
    (said,) = notes(told, SALES)
    assert said.startswith("Who asked for a callback while he waited: 2, of whom reached: 1. ")


def test_priorities_are_those_of_the_other_queues() -> None:
    vip, old = "customer.tier == 'vip'", "call.repeat (>= 1)"

    def queues(priority: int, *raises: tuple[str, int], **more: Any) -> dict[str, QueueConfig]:
        rules = tuple(Raise(when=Expression(f"{{{{ {when} }}}}", []), by=by) for when, by in raises)
        return {"sales": QueueConfig(name="sales", priority=priority, raises=rules, **more)}

    present, other = queues(2, (vip, 10), (old, 5)), queues(4, (vip, 30), ("call.caller == '1'", 7), max_wait=9.0)
    visits = [
        visit("queue", 1, 0, priority=2), visit("node", 2, 0, priority=3), visit("moved", 3, 0, priority=2, moved=True),
        visit("vip", 4, 0, priority=17, raised=(f"{vip} (+10)", f"{old} (+5)"), max_wait=600.0),
        visit("most", 5, 0, priority=999, raised=(f"{vip} (+10)",), max_wait=50.0),
        visit("gone", 6, 0, queue="gone", priority=6, max_wait=70.0),
    ]  # fmt: skip
    told = record(visits)
    for under, priorities in ((present, [2, 3, 2, 17, 999, 6]), (other, [4, 3, 2, 34, 1000, 6])):
        day = recorded(told, lambda: 0.5, present, under)
        assert [caller.priority for caller in day.callers] == priorities
        assert [caller.max_wait for caller in day.callers] == [None, None, None, None, 50, None]
    assert notes(told, present) == []
    assert notes(told, other) == [
        "For whom the rule call.caller == '1' of sales holds is not recorded: nobody had it on that day, so nobody has "
        "it here."
    ]  # fmt: skip


def test_the_simulated_present_of_a_quiet_day_is_the_day() -> None:
    visits = [visit(f"c{n}", 200.0 * n, 4.0, talk=50.0 + n) for n in range(5)]
    spells = [spell(0, 204)]
    for n in range(1, 5):
        busy = 200.0 * n
        spells += [spell(busy, busy + 4, work="reserved", call_id=f"c{n}"),
                   spell(busy + 4, busy + 74 + n, work="talking", call_id=f"c{n}"),
                   spell(busy + 74 + n, busy + 200)]  # fmt: skip
    told = record(visits, [spell(0, 4, work="reserved", call_id="c0"), spell(4, 74, work="talking", call_id="c0"),
                           spell(74, 200), *spells[1:]])  # fmt: skip
    setup = Setup(SALES, Routing(), lambda calendar, at: True)
    was, again = as_recorded(told, SALES), play(recorded(told, random.Random(1).random, SALES, SALES), setup)
    assert was["queues"]["sales"] == again["queues"]["sales"]
    assert was["agents"]["ani"] == pytest.approx(again["agents"]["ani"])


def test_what_a_day_came_to_counts_every_state_and_every_agent_once() -> None:
    spells = [spell(0, 100), spell(100, 200, "not_ready"), spell(200, 300, "logged_out")]
    told = record([visit("a", 0, 3), visit("b", 1, 9, "full", agent="gone"), visit("c", 2, 1, agent="unknown")], spells)
    found = as_recorded(told, SALES)
    assert found["agents"] == {"ani": {"calls": 1, "busy": 0, "occupancy": 0}}
    assert found["queues"]["sales"]["lost"] == pytest.approx(1 / 3)
    empty = as_recorded(record([]), SALES)["queues"]["sales"]
    assert (empty["abandoned"], empty["lost"], empty["service_level"]) == (None, None, None)


# ---------------------------------------------------------------- a day that is made up


def test_a_made_up_day_has_what_was_asked_for() -> None:
    queues = {
        "sales": QueueConfig(name="sales"), "open": QueueConfig(name="open", skills={}),
        "dutch": QueueConfig(name="dutch", skills={"sales": 2, "any": [{"dutch": 1}, {"english": 3}]}, priority=4),
    }  # fmt: skip
    plan = Plan(calls=600, hours=2, agents=4, talk=60, wrap=5, patience=0, answer=2, serves=1)
    day = generated(plan, queues, random.Random(1).random, {})
    assert len(day.callers) == 600
    assert {caller.queue for caller in day.callers} == set(queues)
    assert {caller.priority for caller in day.callers if caller.queue == "dutch"} == {4}
    other = generated(plan, queues, random.Random(1).random, {"dutch": QueueConfig(name="dutch", priority=7)})
    assert [c.at for c in other.callers] == [c.at for c in day.callers]
    assert {(c.queue, c.priority) for c in other.callers} == {("dutch", 7), ("sales", 0), ("open", 0)}
    assert day.callers[0].patience == math.inf
    assert day.callers[-1].at == pytest.approx(7200, rel=0.2)
    assert [shift.skills for shift in day.shifts] == [
        {"sales": 9, "dutch": 9, "english": 9}, {}, {"sales": 9}, {"sales": 9, "dutch": 9, "english": 9},
    ]  # fmt: skip
    talks = [day.handling(caller, "agent001") for caller in day.callers]
    assert sum(talk for talk, _ in talks) / 600 == pytest.approx(60, rel=0.2)
    all_of = generated(Plan(calls=10, agents=1), queues, random.Random(2).random, {})
    assert all_of.shifts[0].skills == {"sales": 9, "dutch": 9, "english": 9}
    assert all_of.callers[0].patience < math.inf


# ---------------------------------------------------------------- side by side


def test_the_same_days_differ_by_the_configuration_alone() -> None:
    queues = {"sales": QueueConfig(name="sales", wrap_up=60), "idle": QueueConfig(name="idle")}
    plan = Plan(calls=150, hours=1, agents=8, talk=120, wrap=60)
    made = {"sales": queues["sales"]}
    days = [generated(plan, made, random.Random(seed).random, made) for seed in range(4)]
    always = Setup(queues, Routing(), lambda calendar, at: True)
    short = Setup({"sales": QueueConfig(name="sales", wrap_up=5)}, Routing(), always.is_open)
    now, other = [play(day, always) for day in days], [play(day, short) for day in days]
    table = compare(None, now, other)
    wait, level = table["queues"]["sales"]["wait_mean"], table["queues"]["sales"]["service_level"]
    assert wait.now and wait.other and wait.difference and level.difference and wait.difference.noise is not None
    assert wait.difference.mean < -wait.difference.noise < 0
    assert wait.difference.mean == pytest.approx(wait.other.mean - wait.now.mean)
    assert level.difference.mean > 0
    assert table["queues"]["idle"]["wait_mean"].difference is None
    assert table["agents"]["agent001"]["occupancy"].recorded is None
    assert compare(now[0], now, [])["queues"]["sales"]["offered"].recorded == 150


def test_the_noise_is_that_of_the_mean_over_days() -> None:
    assert estimate([None, None]) is None
    assert estimate([3.0, None]) == Estimate(3.0, None)
    assert estimate([1.0, 3.0]) == Estimate(2.0, pytest.approx(12.71))
    many = estimate([1.0, 3.0] * 50)
    assert many is not None and many.noise == pytest.approx(2.08 * math.sqrt(100 / 99 / 100))


def test_who_answered_before_anything_is_recorded_of_him_was_ready_from_his_first_call_to_his_last() -> None:
    calls = [visit("b", 130, 20, talk=100, wrap=30, ringing=5), visit("a", 100, 10, talk=30, wrap=10, ringing=5),
             visit("late", 600, 1, talk=5, wrap=0), visit("left", 50, 9, "abandoned", agent="")]  # fmt: skip
    whole, filled = completed(record(calls, [spell(200, 1000)]))
    assert filled == ("ani",)
    assert [(s.work, s.call_id, s.since, s.until) for s in whole.spells[1:]] == [
        ("talking", "a", 105, 150), ("talking", "b", 150, 200),
    ]  # fmt: skip
    quick = {"talk": 30, "wrap": 0, "ringing": 0}
    two = [visit("a", 100, 0, **quick), visit("b", 200, 0, **quick)]
    whole, _ = completed(record(two, [spell(500, 900, agent="budi")]))
    assert [(s.agent, s.work, s.since, s.until) for s in whole.spells[1:]] == [
        ("ani", "talking", 100, 130), ("ani", "idle", 130, 200), ("ani", "talking", 200, 230),
    ]  # fmt: skip
    assert completed(record([visit("a", 100, 0, talk=30)])) == (record([visit("a", 100, 0, talk=30)]), ())
