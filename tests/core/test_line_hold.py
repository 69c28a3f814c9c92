"""A caller who waits with music: keys, announcements, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest
from office import Caller, Office

from cti.core.messages import ChannelUp, Collect, HangUp, Hold, LineDone, LineLost, MoveCall, Play, Record, Text
from cti.core.queues import Announce

FLOW: dict[str, Any] = {
    "flow": "main", "language": "en", "start": "sales",
    "nodes": {
        "sales": {"do": "queue", "queue": "sales", "options": {"1": "call_me", "2": "message", "9": "bye"},
                  "answered": "bye", "timeout": "bye"},
        "call_me": {"do": "callback", "queue": "sales", "then": "hangup"},
        "message": {"do": "voicemail", "box": "main", "then": "hangup"},
        "bye": {"do": "say", "say": {"en": "Goodbye"}, "then": "hangup"},
    },
}  # fmt: skip
EVERY = {"position": True, "every": "30s", "first": "10s"}


def waiting(**queue: Any) -> tuple[Office, Caller]:
    office = Office(FLOW, **queue)
    caller = office.caller()
    caller.arrive()
    return office, caller


def last(office: Office, kind: type) -> Any:
    return next(command for command in reversed(office.commands) if isinstance(command, kind))


def press(caller: Caller, key: str) -> list[Any]:
    """Over the music that is on now."""
    hold = last(caller.office, Hold)
    return caller.office.do(caller.facts(LineDone, op=hold.op, outcome="digits", digits=key))


def test_he_waits_with_the_queue_s_music_and_the_node_s_keys() -> None:
    office, caller = waiting(music="gold")
    assert last(office, Hold) == Hold(uniqueid=caller.uniqueid, op=last(office, Hold).op, keys="129", music="gold")
    assert office.last("call.queued").data["keys"] == "129"


@pytest.mark.parametrize(("key", "result", "then", "node"), [
    ("1", "callback", Collect, "call_me"), ("2", "left", Record, "message"), ("9", "left", Play, "bye"),
])  # fmt: skip
def test_a_key_ends_the_wait_and_leads_on(key: str, result: str, then: type, node: str) -> None:
    office, caller = waiting()
    office.wait(5)
    done = press(caller, key)
    dequeued = office.last("call.dequeued")
    assert (dequeued.data["result"], dequeued.data["key"]) == (result, key)
    assert [type(command) for command in done][-1] is then
    passed = office.last("flow.node").data
    assert (passed["node"], passed["outcome"], passed["to"]) == ("sales", key, node)
    assert press(caller, key) == [], "told once more it is stale"


def test_a_key_while_a_phone_rings_stops_it_and_the_agent_is_free() -> None:
    office, caller = waiting()
    office.ready()
    caller.rung()
    done = press(caller, "1")
    assert HangUp(uniqueid=caller.leg) in done
    assert office.last("offer.caller_left").agent == "ani"
    assert office.last("call.dequeued").data["result"] == "callback"
    assert office.state("ani") == ("ready", "")
    assert type(done[-1]) is Collect


def test_a_key_after_the_phone_was_answered_comes_too_late() -> None:
    office, caller = waiting()
    office.ready()
    caller.rung()
    office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
    first = last(office, Hold)
    (hold,) = press(caller, "1")
    assert isinstance(hold, Hold) and hold.op > first.op and hold.keys == "129"
    caller.answer()
    assert office.last("call.dequeued").data["result"] == "answered"


def test_a_key_of_the_moment_he_is_taken_out_of_the_loop_changes_nothing() -> None:
    office, caller = waiting()
    office.ready()
    caller.rung()
    office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
    op = last(office, Hold).op
    office.do(caller.facts(LineLost))
    assert office.do(caller.facts(LineDone, op=op, outcome="digits", digits="1")) == []


def test_who_comes_back_into_the_loop_has_his_keys_again() -> None:
    office, caller = waiting(music="gold")
    office.do(caller.facts(LineLost))
    (hold,) = caller.line()
    assert (hold.keys, hold.music) == ("129", "gold")
    press(caller, "2")
    assert office.last("call.dequeued").data["result"] == "left"


def test_who_is_moved_hears_the_other_queue_s_music_and_keeps_his_keys() -> None:
    office, caller = waiting(music="gold")
    done = office.do(MoveCall(at=office.at, by="sara", call_id=caller.call_id, queue="support"))
    (hold,) = [command for command in done if isinstance(command, Hold)]
    assert (hold.keys, hold.music) == ("129", "")
    press(caller, "9")
    assert office.last("call.dequeued").queue == "support"


# ---------------------------------------------------------------- announcements


def announced(office: Office, caller: Caller, queue: str, position: int | None = None) -> list[Any]:
    """What the line does when the floor says so."""
    office.board.out.emit("call.announced", office.at, call_id=caller.call_id, queue=queue, visit=1, position=position,
                          minutes=None)  # fmt: skip
    office.board._react()
    return list(office.board._take().commands)


def test_he_is_told_his_place_and_goes_back_to_the_music() -> None:
    office, first = waiting(announce=EVERY)
    office.at += 1
    second = office.caller()
    second.arrive()
    done = office.wait(10)
    plays = [command for command in done if isinstance(command, Play)]
    assert [(play.uniqueid, play.prompts, play.barge_in) for play in plays] == [
        (first.uniqueid, (Text(language="en", text="You are next in line."),), True),
        (second.uniqueid, (Text(language="en", text="You are number two in line."),), True),
    ]
    (hold,) = office.do(first.facts(LineDone, op=plays[0].op, outcome="done"))  # a key ends it, too
    assert isinstance(hold, Hold) and hold.keys == "129"
    assert [c for c in office.wait(30) if isinstance(c, Play)] != []


def test_one_that_still_goes_on_is_not_begun_anew() -> None:
    office, caller = waiting(announce=EVERY)
    (play,) = [command for command in office.wait(10) if isinstance(command, Play)]
    assert [c for c in office.wait(30) if isinstance(c, Play)] == [], "a newer command cuts it short"
    office.do(caller.facts(LineDone, op=play.op, outcome="done"))
    assert [type(c) for c in office.wait(30)] == [Play]


def test_a_prompt_that_cannot_be_played_changes_nothing() -> None:
    office, caller = waiting(announce=EVERY)
    play = next(command for command in office.wait(10) if isinstance(command, Play))
    (hold,) = office.do(caller.facts(LineDone, op=play.op, outcome="error"))
    assert isinstance(hold, Hold)


def test_nobody_is_told_anything_while_a_phone_rings_for_him_or_he_is_not_in_the_loop() -> None:
    office, caller = waiting(announce=EVERY, ring="60s")
    office.do(caller.facts(LineLost))
    assert not [c for c in office.wait(12) if isinstance(c, Play)], "in no loop"
    caller.line()
    office.ready()
    assert not [c for c in office.wait(29) if isinstance(c, Play)], "it rings"


def test_an_announcement_that_crosses_an_offer_is_left_out() -> None:
    """The floor never says one then; whatever it says, an agent's ring comes first."""
    office, caller = waiting(announce=EVERY)
    office.ready()
    visit = office.board.calls.live[caller.call_id].visit
    assert visit is not None and visit.offer
    assert announced(office, caller, "sales", position=1) == []


def test_a_wait_that_ends_in_an_announcement_goes_on_at_once() -> None:
    office, _ = waiting(announce=EVERY, max_wait="12s")
    assert [type(c) for c in office.wait(10)] == [Play]
    done = office.wait(2)
    assert [command.prompts for command in done if isinstance(command, Play)] == [
        (Text(language="en", text="Goodbye"),)
    ]


def test_where_there_is_nothing_to_say_the_music_goes_on() -> None:
    office, caller = waiting(announce={"say": {"en": "Thank you for waiting"}, "first": "10s", "every": "30s"})
    assert [c.prompts for c in office.wait(10) if isinstance(c, Play)] == [
        (Text(language="en", text="Thank you for waiting"),)
    ]
    queue = office.board.router.queue("support")
    assert queue.announce == Announce()
    office.do(MoveCall(at=office.at, by="sara", call_id=caller.call_id, queue="support"))
    assert announced(office, caller, "support") == []
    assert [type(c) for c in announced(office, caller, "support", position=1)] == [Play]
