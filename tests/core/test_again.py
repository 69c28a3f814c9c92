"""What a caller keeps of a wait in the same call: his place, unless he was served, for the queue and for a callback."""

from __future__ import annotations

from typing import Any

from tests.core.office import Caller, Office

NODES: dict[str, Any] = {
    "q": {"do": "queue", "queue": "sales", "priority": 3, "options": {"1": "me", "2": "q", "3": "other"},
          "answered": "q", "then": "hangup"},
    "other": {"do": "queue", "queue": "support", "options": {"1": "me", "2": "q"}, "answered": "q", "then": "hangup"},
    "me": {"do": "callback", "queue": "sales", "ask": False, "then": "q"},
}  # fmt: skip
FLOW = {"flow": "main", "language": "en", "start": "q", "nodes": NODES}


def waits(office: Office) -> Caller:
    """A caller who is in the queue for a minute."""
    caller = office.caller()
    caller.arrive()
    office.wait(60)
    return caller


def since(office: Office) -> float:
    """The place of who waits."""
    (stand,) = office.board.router.stands.values()
    return stand.waiter.since


def test_who_presses_a_key_that_leads_back_keeps_his_place() -> None:
    office = Office(flow=FLOW)
    caller = waits(office)
    began = office.last("call.queued").at
    caller.heard("digits", "2")
    assert office.last("call.queued").at == began + 60 and since(office) == began


def test_a_callback_after_a_wait_keeps_its_place_and_priority() -> None:
    office = Office(flow=FLOW)
    caller = waits(office)
    began = office.last("call.queued").at
    caller.heard("digits", "1")
    asked = office.last("callback.requested")
    assert (office.last("call.dequeued").data["result"], asked.queue) == ("callback", "sales")
    assert (asked.data["since"], asked.data["priority"], asked.at) == (began, 3, began + 60)


def test_a_wait_elsewhere_meanwhile_takes_no_place_away() -> None:
    office = Office(flow=FLOW)
    caller = waits(office)
    began = office.last("call.queued").at
    caller.heard("digits", "3")
    assert since(office) == began + 60, "in another queue he is new"
    office.wait(60)
    caller.heard("digits", "2")
    assert office.last("call.queued").queue == "sales" and since(office) == began


def test_a_callback_of_the_queue_before_keeps_the_place_there() -> None:
    office = Office(flow=FLOW)
    caller = waits(office)
    began = office.last("call.queued").at
    caller.heard("digits", "3")
    office.wait(60)
    caller.heard("digits", "1")
    asked = office.last("callback.requested")
    assert (asked.queue, asked.data["since"], asked.data["priority"]) == ("sales", began, 3)


def test_who_was_served_elsewhere_waits_from_now_on() -> None:
    office = Office(flow=FLOW, agents={"ani": {"support": 1}})
    caller = waits(office)
    caller.heard("digits", "3")
    office.ready()
    caller.answer()
    office.wait(100)
    caller.agent_hangs_up()
    assert office.last("call.queued").queue == "sales" and since(office) == office.last("call.queued").at


def test_who_has_been_served_waits_from_now_on_and_so_does_his_callback() -> None:
    office = Office(flow=FLOW)
    caller = waits(office)
    office.ready()
    caller.answer()
    office.wait(100)
    caller.agent_hangs_up()
    served = office.last("call.queued").at
    assert office.types().count("call.queued") == 2 and since(office) == served, "he does not come before others"
    caller.heard("digits", "1")
    assert office.last("callback.requested").data["since"] == served
