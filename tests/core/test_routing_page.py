"""What docs/routing.md foretells, told by the router itself: the same callers, agents and numbers."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core.acd import Router
from cti.core.acd_match import Waiter
from cti.core.acd_why import why_idle
from cti.core.expect import Expect, spoken
from cti.core.queues import Capacity, Overflow, QueueConfig, Relax, Routing, ServiceLevel

TEN = 36_000.0  # 10:00:00
SKILLS = {"sales": 1, "support": 1}


def clock(text: str) -> float:
    hours, minutes, seconds = map(int, text.split(":"))
    return hours * 3600.0 + minutes * 60 + seconds


def router(routing: Routing = Routing(), at: float = TEN, **queues: dict[str, Any]) -> Router:  # noqa: B008
    made = Router()
    made.configure({name: QueueConfig(name=name, **settings) for name, settings in queues.items()}, routing, at)
    return made


def served(made: Router, agent: str, skills: dict[str, int] = SKILLS, at: float = TEN) -> list[str]:
    """The callers an agent takes one after the other."""
    made.sign_on(agent, skills, at)
    made.free(agent, skills, at)
    found = []
    while (match := made.caller_for(agent, at)) is not None:
        found.append(match.key)
        made.leave(match.key)
    return found


CALLERS = {
    "Ani": ("sales", "9:57:00", 0), "Budi": ("sales", "9:58:30", 0), "Chen": ("sales", "9:59:30", 10),
    "Dewi": ("support", "9:56:00", 0),
}  # fmt: skip
BOTH: dict[str, dict[str, Any]] = {
    "sales": {"service_level": ServiceLevel(80, 20)},
    "support": {"service_level": ServiceLevel(80, 30)},
}


def waiting(routing: Routing = Routing(), **changed: tuple[str, str, int]) -> Router:  # noqa: B008
    made = router(routing, **BOTH)
    for key, (queue, since, priority) in {**CALLERS, **changed}.items():
        made.wait(Waiter(key=key, queue=queue, since=clock(since), priority=priority), TEN)
    return made


def test_one_rule() -> None:
    assert served(waiting(), "Eka") == ["Chen", "Dewi", "Ani", "Budi"]
    assert served(waiting(), "Eka", {"sales": 1}) == ["Chen", "Ani", "Budi"]
    assert served(waiting(Ani=("sales", "9:49:00", 0)), "Eka")[0] == "Ani"
    assert served(waiting(Budi=("sales", "9:58:30", 10)), "Eka")[0] == "Budi"
    assert served(waiting(Routing(aging=0.0), Ani=("sales", "9:00:00", 0)), "Eka")[0] == "Chen"


@pytest.mark.parametrize("skills", [{"sales": 1, "support": 1}, {"support": 1, "sales": 1}])
def test_who_came_after_is_kept(skills: dict[str, int]) -> None:
    made = waiting()
    made.free("Eka", skills, TEN)
    match = made.caller_for("Eka", TEN)
    assert match is not None and match.decision.candidates == 4
    over = [(one["call_id"], one["waited"]) for one in match.decision.over]
    assert over == [("Dewi", 240), ("Ani", 180), ("Budi", 90)]


def test_balance() -> None:
    made = waiting(Routing(balance=True))
    made.leave("Chen")
    assert served(made, "Eka")[0] == "Ani"
    made = waiting()
    made.leave("Chen")
    assert served(made, "Eka")[0] == "Dewi"


SUPPORT = {
    "skills": {"support": 3},
    "relax": (Relax(30.0, skills={"support": 1}), Relax(60.0, also={"sales": 5})),
}
HADI, INDAH, JOKO = ("Hadi", {"support": 4}), ("Indah", {"support": 1}), ("Joko", {"sales": 6})


@pytest.mark.parametrize(
    ("signed_on", "free", "agent", "after"),
    [
        ((HADI, INDAH, JOKO), (INDAH, JOKO), "Indah", 30.0),
        ((HADI, JOKO), (JOKO,), "Joko", 60.0),
        ((INDAH, JOKO), (INDAH, JOKO), "Indah", 0.0),
        ((JOKO,), (JOKO,), "Joko", 0.0),
    ],
)
def test_relaxation(signed_on: Any, free: Any, agent: str, after: float) -> None:
    made = router(support=SUPPORT)
    for name, skills in signed_on:
        made.sign_on(name, skills, TEN)
    for name, skills in free:
        made.free(name, skills, TEN - 60)
    waiter, at = Waiter(key="c", queue="support", since=TEN), TEN
    while (match := _offered(made, waiter, at)) is None:
        at += 1.0
    assert (match, at - TEN) == (agent, after)


def _offered(made: Router, waiter: Waiter, at: float) -> str | None:
    made.wait(waiter, at)
    match = made.agent_for(waiter.key, at)
    return match.agent if match is not None else None


def test_a_step_holds_again_when_somebody_signs_on() -> None:
    made = router(support=SUPPORT)
    made.sign_on(*JOKO, TEN)
    made.wait(Waiter(key="c", queue="support", since=TEN), TEN)
    made.sign_on(*HADI, TEN + 10)
    made.free(*HADI, TEN + 10)
    made.free(*JOKO, TEN)
    match = made.agent_for("c", TEN + 10)
    assert match is not None and match.agent == "Hadi"


@pytest.mark.parametrize(
    ("settings", "agent", "rule"),
    [
        ({}, "Eka", "longest_idle"),
        ({"agents": "fastest"}, "Fajar", "fastest"),
        ({"agents": "best_level"}, "Gita", "best_level"),
        ({"agents": "fastest", "idle_limit": 240.0}, "Eka", "idle_limit"),
        ({"agents": "best_level", "idle_limit": 240.0}, "Eka", "idle_limit"),
    ],
)
def test_which_agent(settings: dict[str, Any], agent: str, rule: str) -> None:
    made = router(english=settings)
    for name, idle, level, seconds in (("Eka", 300, 3, 240), ("Fajar", 120, 5, 150), ("Gita", 60, 9, 200)):
        made.sign_on(name, {"english": level}, TEN)
        made.free(name, {"english": level}, TEN - idle)
        made.handled(name, "english", seconds * 20.0, 20.0)
    made.wait(Waiter(key="c", queue="english", since=TEN), TEN)
    match = made.agent_for("c", TEN)
    assert match is not None and (match.agent, match.decision.rule) == (agent, rule)


def test_one_agent_first() -> None:
    made = router(sales={})
    made.sign_on("Eka", {"sales": 1}, TEN)
    made.free("Eka", {"sales": 1}, TEN)
    made.sign_on("Budi", {}, TEN)  # talks, and has no such skill
    waiter = Waiter(key="c", queue="sales", since=TEN, prefer="Budi", prefer_until=TEN + 20)
    assert _offered(made, waiter, TEN) is None
    assert [(row["why"], row["for"]) for row in why_idle(made, "Eka", {"sales": 1}, TEN)] == [("preferred", "Budi")]
    assert _offered(made, waiter, TEN + 20) == "Eka"
    made.free("Budi", {}, TEN)
    assert _offered(made, waiter, TEN) == "Budi"
    made.sign_on("Budi", {}, TEN, serving=False)  # not ready
    assert _offered(made, waiter, TEN) == "Eka"


def test_a_callback_keeps_the_place_and_leaves_an_agent() -> None:
    made = router(sales={"keep_idle": 1})
    for key, since in (("early", "9:48:00"), ("late", "9:53:00")):
        made.wait(Waiter(key=key, queue="sales", since=clock(since)), TEN)
    made.wait(Waiter(key="callback/1", queue="sales", since=clock("9:50:00"), callback=True), TEN)
    assert [made.position(key) for key in ("early", "callback/1", "late")] == [1, 2, 3]
    made.free("other", {"sales": 1}, TEN)
    assert served(made, "Eka", {"sales": 1}) == ["early", "callback/1", "late"]
    made.wait(Waiter(key="callback/2", queue="sales", since=TEN, callback=True), TEN)
    made.busy("other")
    assert served(made, "Eka", {"sales": 1}) == []
    assert why_idle(made, "Eka", {"sales": 1}, TEN)[0]["why"] == "keep_idle"


def test_what_he_is_told() -> None:
    expect = Expect()
    for agent in ("Eka", "Fajar") * 3:
        expect.handled(agent, "sales", 240.0, TEN)
    told = None
    for position, agents, said in ((3, ["Eka", "Fajar"], 6), (2, ["Eka", "Fajar"], 4)):
        told = spoken(expect.wait("sales", {"sales": position}, agents, TEN + 60), told)
        assert told == said
    for _ in range(2):
        expect.handled("Eka", "sales", 240.0, TEN)  # or fewer than five were finished
    assert spoken(expect.wait("sales", {"sales": 2}, ["Eka"], TEN + 60), told) is None
    assert expect.wait("sales", {"sales": 2}, ["Eka"], TEN + 60) == 480.0
    assert expect.wait("sales", {"sales": 2}, ["Fajar"], TEN + 60) is None


def test_the_seventh_of_two_agents() -> None:
    made = router(sales={"overflow": Overflow(ratio=3.0)})
    for name in ("Eka", "Fajar"):
        made.sign_on(name, {"sales": 1}, TEN)
    made.wait(Waiter(key="c", queue="sales", since=TEN), TEN)
    assert [made.overfull("c", waiting) for waiting in (6, 7)] == ["", "ratio"]


def test_capacity() -> None:
    made = router(sales={"capacity": (Capacity(2, "lunch"), Capacity(10))})
    for _ in range(2):
        made.taken("sales")
    made.is_open = lambda calendar, at: at < TEN
    assert [made.has_room("sales", at) for at in (TEN - 1, TEN)] == [False, True]
