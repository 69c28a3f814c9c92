"""The minutes a caller is told, overflow by them, and the whisper before the connect."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from office import Caller, Office, queue

from cti.core.acd import Router
from cti.core.acd_match import Waiter
from cti.core.floor import BRIDGE_WITHIN
from cti.core.messages import ChannelGone, ChannelUp, HangUp, PastFound, Text
from cti.core.queues import WHISPER_MOST, Announce, Capacity, Overflow, QueueConfig, Routing, Whisper

WAIT = Announce(wait=True, first=10.0, every=20.0)
WORDS = Whisper(texts={"en": "A sales call"})


def office(agents: dict[str, dict[str, int]] | None = None, **settings: Any) -> Office:
    made = Office(agents=agents)
    queues = {"sales": queue(**settings), "support": QueueConfig(name="support")}
    made.board.waits.configure(queues, made.at, {}, Routing())
    return made


def handled(made: Office, calls: int, seconds: float) -> None:
    """So many calls, each of so long, then one that goes on."""
    made.ready()
    for number in range(calls + 1):
        caller = made.waiting_caller(f"08120001{number:02d}")
        caller.answer(f"b{number}")
        if number < calls:
            made.wait(seconds)
            caller.agent_hangs_up(f"b{number}")
            caller.hangs_up()


def minutes(made: Office) -> list[int | None]:
    return [event.data["minutes"] for event in made.events if event.type == "call.announced"]


def test_he_is_told_minutes_that_only_grow_fewer() -> None:
    made = office(announce=WAIT, wrap_up=0.0)
    handled(made, 5, 100.0)
    first, second = made.waiting_caller("0812000001"), made.waiting_caller("0812000002")
    made.wait(50)
    assert minutes(made) == [2, 4], "each once: 100 and 200 seconds, rounded up"
    first.hangs_up()
    made.wait(20)
    assert minutes(made) == [2, 4, 2]
    assert second.rings == []


def test_what_is_known_from_before_the_start_is_of_all_agents() -> None:
    made = office()
    took = (("ani", "sales", 100, 6_000.0), ("budi", "support", 9, 90.0), ("zoe", "sales", 60, 36_000.0))
    made.do(PastFound(at=made.at, handled=took))
    assert made.board.floor.expect.handling("sales") == pytest.approx(262.5)
    assert made.board.floor.expect.handling("support") == pytest.approx(10.0)
    assert made.board.router.handling("new", "sales") == pytest.approx(262.5), "an agent who is new counts as all do"


def test_nothing_is_told_of_a_wait_that_nobody_knows() -> None:
    made = office(announce=WAIT, wrap_up=0.0)
    handled(made, 4, 100.0)
    made.waiting_caller("0812000001")
    made.wait(50)
    assert minutes(made) == []


@pytest.mark.parametrize(("calls", "told"), [(1, [4]), (2, [2]), (0, [])])
def test_no_more_agents_are_counted_than_his_queue_may_have_at_once(calls: int, told: list[int]) -> None:
    made = office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}}, announce=WAIT, wrap_up=0.0)
    handled(made, 5, 100.0)
    made.waiting_caller("0812000001").answer("b9")
    settings = queue(announce=WAIT, wrap_up=0.0, capacity=(Capacity(calls),))
    made.board.waits.configure({"sales": settings}, made.at, {}, Routing())
    for number in range(2):
        made.waiting_caller(f"081200001{number}")
    made.wait(15)
    assert minutes(made)[1:] == told


def test_who_would_wait_too_long_does_not_begin_to() -> None:
    made = office(overflow=Overflow(wait=150.0), wrap_up=0.0)
    handled(made, 5, 100.0)
    waits, leaves = made.waiting_caller("0812000001"), made.waiting_caller("0812000002")
    gone = made.last("call.dequeued")
    assert (gone.call_id, gone.data["result"], gone.data["why"]) == (leaves.call_id, "full", "wait")
    assert made.board.calls.live[waits.call_id].visit is not None


def test_with_an_agent_free_for_him_nobody_waits_too_long() -> None:
    made = office(overflow=Overflow(wait=1.0), wrap_up=0.0)
    made.do(PastFound(at=made.at, handled=(("ani", "sales", 20, 2000.0),)))
    handled(made, 5, 100.0)
    assert made.last("call.connected") and not [e for e in made.events if e.data.get("why") == "wait"]


def test_who_waits_for_one_agent_alone_has_no_others_and_who_stands_before_him_is_counted() -> None:
    router = Router()
    router.configure({"sales": queue(), "support": QueueConfig(name="support")}, Routing(), 0.0)
    router.sign_on("ani", {"sales": 1}, 0.0)
    router.wait(Waiter(key="any", queue="sales", since=1.0), 3.0)
    router.wait(Waiter(key="other", queue="support", since=2.0), 3.0)
    router.wait(Waiter(key="hers", queue="sales", since=3.0, prefer="ani", prefer_until=99.0), 3.0)
    assert (router.servants("any"), router.servants("hers")) == (["ani"], [])
    assert (router.ahead("any"), router.ahead("hers")) == ({"sales": 1, "support": 0}, {"sales": 2, "support": 1})


def test_after_a_restart_they_are_told_one_by_one_as_before() -> None:
    made = office(announce=Announce(position=True, first=10.0, every=20.0))
    for number in range(5):
        made.waiting_caller(f"081200000{number}")
        made.wait(3)
    made.wait(30)
    made.board.waits._told.clear()
    made.board.out._due.clear()
    made.board.waits.configure(made.board.router.queues, made.at, {}, Routing())
    mark = len(made.events)
    made.wait(20)
    times = [event.at for event in made.events[mark:] if event.type == "call.announced"]
    assert len(times) == 5 and min(b - a for a, b in pairwise(times)) >= 2.9


# ---------------------------------------------------------------- whisper


def whispering(**settings: Any) -> tuple[Office, Caller]:
    made = office(whisper=WORDS, **settings)
    made.ready()
    caller = made.waiting_caller("0812000001")
    caller.rung()
    return made, caller


def up(made: Office, caller: Caller) -> None:
    made.do(ChannelUp(at=made.at, uniqueid=caller.leg))


def test_the_agent_s_ring_has_the_words_in_the_caller_s_language() -> None:
    _, caller = whispering()
    assert caller.rings[0].whisper == (Text(language="en", text="A sales call"),)


def test_a_whisper_has_its_time_before_the_bridge_is_given_up() -> None:
    made, caller = whispering(ring=10.0)
    made.wait(9)
    up(made, caller)
    assert HangUp(uniqueid=caller.leg) not in made.wait(WHISPER_MOST + BRIDGE_WITHIN - 0.1)
    assert HangUp(uniqueid=caller.leg) in made.wait(0.2)
    assert made.last("offer.cancelled").data["reason"] == "not_bridged"


@pytest.mark.parametrize("settings", [{}, {"ring": 10.0}])
def test_a_caller_who_leaves_in_the_whisper_ends_it_at_once(settings: dict[str, float]) -> None:
    made, caller = whispering(**settings)
    up(made, caller)
    done = made.do(caller.facts(ChannelGone))
    assert HangUp(uniqueid=caller.leg) in done
    made.do(ChannelGone(at=made.at, uniqueid=caller.leg))
    assert made.last("offer.caller_left").agent == "ani"
    assert made.last("call.dequeued").data["result"] == "short_abandon"
    assert made.state("ani") == ("ready", "")


def test_without_one_the_bridge_itself_tells() -> None:
    made = office()
    made.ready()
    caller = made.waiting_caller("0812000001")
    caller.rung()
    assert caller.rings[0].whisper == ()
    up(made, caller)
    assert HangUp(uniqueid=caller.leg) not in made.do(caller.facts(ChannelGone))
    assert HangUp(uniqueid=caller.leg) in made.wait(BRIDGE_WITHIN)
