"""What keeps a callback from being made at the last moment, and what that does to agents and to other callers."""

from __future__ import annotations

import msgspec
import pytest

from cti.core.callbacks import MONTH
from cti.core.messages import (
    CalendarsForced,
    CallbackDue,
    ChannelGone,
    FlowsPublished,
    Forced,
    HangUpCall,
    LiveChannel,
    LookUpCustomer,
    Push,
    Ring,
    SwitchDown,
    SwitchUp,
    Unbridged,
    WrapUp,
)
from cti.core.queues import CallbackRules, QueueConfig, Routing
from tests.core.callbacks.desk import AT_ONCE, NUMBER, Desk, due_of
from tests.core.office import START, Caller, book

BOTH = {"sales": 1, "support": 1}
WAITS = {"flow": "main", "language": "en", "start": "wait", "nodes": {"wait": {"do": "queue", "queue": "sales"}}}


def due(queue: str = "sales") -> CallbackDue:
    """It has waited for longer than anybody on the line."""
    return CallbackDue(callback_id=f"of-{queue}", call_id=f"asked-{queue}", queue=queue, number=NUMBER,
                       since=START - 100, requested_at=START)  # fmt: skip


def callers_wait(office: Desk) -> None:
    """From now on callers wait in the queue."""
    office.board.publish(book(WAITS), FlowsPublished(at=office.at, version=2))
    office.settings()


def talks(office: Desk, number: str) -> Caller:
    caller = office.caller(number)
    caller.arrive()
    caller.answer(f"b{number}")
    return caller


def free_again(office: Desk, agent: str, caller: Caller) -> None:
    caller.agent_hangs_up()
    office.do(WrapUp(at=office.at, by=agent, agent=agent, action="finish"))


def opens_for(office: Desk, seconds: float) -> None:
    office.do(CalendarsForced(at=office.at, calendars={"office": Forced("open", office.at + seconds)}))


# ---------------------------------------------------------------- an agent passes on


def test_an_agent_who_may_not_have_the_first_callback_has_the_caller_behind_it() -> None:
    office = Desk(rules=CallbackRules(calendar="office"))
    callers_wait(office)
    opens_for(office, 20)
    office.ready()
    before = talks(office, "0812000555")
    office.found(due())
    waits = office.caller("0812000999")
    waits.arrive()
    office.at += 22  # it has closed, and nobody has looked yet
    free_again(office, "ani", before)
    assert office.state("ani")[0] == "reserved" and len(waits.rings) == 1


def test_an_agent_passes_over_all_callbacks_of_a_number_that_is_being_called() -> None:
    office = Desk(agents={"ani": BOTH, "budi": BOTH})
    callers_wait(office)
    office.ready()
    one, two = talks(office, "0812000555"), talks(office, "0812000556")
    office.found(due("sales"), due("support"))
    waits = office.caller("0812000999")
    waits.arrive()
    free_again(office, "ani", one)
    assert office.made().call.called == NUMBER
    free_again(office, "budi", two)
    assert office.state("budi")[0] == "reserved" and len(waits.rings) == 1


# ---------------------------------------------------------------- the customer is on the line


def test_who_is_still_on_the_line_is_not_called() -> None:
    office = Desk()
    office.ready()
    caller = office.caller(NUMBER)
    caller.arrive()
    (one,) = office.board.callbacks.open.values()
    assert office.board.callbacks.hindered(one, office.at) == "on_line"
    assert office.state("ani")[0] == "ready" and "callback.dialed" not in office.types()
    caller.heard()
    office.do(caller.facts(ChannelGone))
    office.stored()
    assert office.made().call.callback == one.callback_id


def test_a_customer_who_is_being_served_is_not_called_for_another_queue() -> None:
    office = Desk(agents={"ani": {"sales": 1}, "budi": {"support": 1}})
    office.found(due("sales"), due("support"))
    office.ready("ani")
    made = office.made()
    made.talk()
    office.ready("budi")
    assert office.types().count("callback.dialed") == 1 and office.state("budi")[0] == "ready"
    made.fact(Unbridged, made.agent, bridge="b1")
    made.fact(ChannelGone, made.agent)
    made.fact(ChannelGone, made.customer)
    assert office.last("callback.dialed").queue == "support"


# ---------------------------------------------------------------- while the agent's phone rings


def test_a_number_that_is_barred_while_the_agents_phone_rings_is_not_rung(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    office.found(due_of(one, barred=True))
    made.agent_answers()
    assert (office.rings(), office.hung_up(), office.state("ani")[0]) == ([], [made.agent], "ready")
    assert (office.last("callback.failed").data["result"], office.ended()["state"]) == ("no_agent", "barred")


def test_nobody_is_rung_after_hours_because_the_agent_was_slow_to_answer() -> None:
    office = Desk(calendar="office")
    opens_for(office, 5)
    one = office.asks()
    office.ready()
    office.at += 6
    office.made().agent_answers()
    assert (office.rings(), one.tries, office.standing()) == ([], 0, [])
    opens_for(office, 50)
    office.wait(0)
    office.made().agent_answers()
    assert len(office.rings()) == 1


def test_nobody_is_rung_whose_callback_has_expired_meanwhile() -> None:
    office = Desk(rules=CallbackRules(expires=60))
    office.asks()
    office.wait(55)
    office.ready()
    office.at += 6
    office.made().agent_answers()
    assert (office.rings(), office.ended()["state"]) == ([], "expired")


@pytest.mark.parametrize("answers", [True, False])
def test_one_that_is_cancelled_in_the_database_while_it_is_called_is_called_no_more(
    office: Desk, answers: bool
) -> None:
    one = office.asks()
    office.found(due_of(one))
    office.ready()
    made = office.made()
    office.found()
    if answers:
        made.agent_answers()
    else:
        made.fact(ChannelGone, made.agent, cause=19)
        office.ready()
    assert (office.rings(), office.board.callbacks.open, office.state("ani")[0]) == ([], {}, "ready")
    assert office.types().count("callback.dialed") == 1
    assert (office.ended()["state"], office.ended()["by"]) == ("cancelled", ""), "the row says by whom"


def test_after_a_gap_he_is_not_rung_either() -> None:
    office = Desk(calendar="office")
    opens_for(office, 5)
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    office.do(SwitchDown(at=office.at))
    office.at += 60
    agent = LiveChannel(uniqueid=made.agent, channel=made.channel, context="agent", state="Up", bridge="")
    office.do(SwitchUp(at=office.at, channels=(agent,), reachable=("2001",)))
    assert len(office.rings()) == 1 and made.agent in office.hung_up()


def test_a_call_that_is_stopped_before_the_customer_was_rung_is_no_try_and_is_not_made_at_once() -> None:
    office = Desk(rules=CallbackRules(tries=1, every=120))
    one = office.asks()
    office.ready()
    made = office.made()
    made.rung()
    office.do(HangUpCall(at=office.at, by="sue", call_id=made.call.call_id))
    assert (one.tries, office.hung_up(), office.state("ani")[0]) == (0, [made.customer, made.agent], "ready")
    office.wait(119)
    assert office.types().count("callback.dialed") == 1
    office.wait(2)
    assert office.types().count("callback.dialed") == 2


def test_nobody_is_called_before_the_database_has_told_whether_he_may_be() -> None:
    office = Desk()
    office.ready()
    caller = office.caller(NUMBER)
    caller.arrive()
    office.do(caller.facts(ChannelGone))
    (one,) = office.board.callbacks.open.values()
    assert office.board.callbacks.hindered(one, office.at) == "soon"
    office.wait(3600)  # PostgreSQL is away
    assert "callback.dialed" not in office.types()
    office.found(due_of(one, barred=True))
    assert office.ended()["state"] == "barred"


def test_a_queue_that_is_gone_for_a_while_ends_none_of_its_callbacks() -> None:
    """Its own rules hold, which nobody knows any more: not those that a queue has by default."""
    office = Desk(rules=CallbackRules(tries=5, expires=7 * 86400, countries=("SG",)))
    far = msgspec.structs.replace(due(), callback_id="far", number="+6591234567")
    old = msgspec.structs.replace(due(), callback_id="old", requested_at=START - 3 * 86400)
    tried = msgspec.structs.replace(due(), callback_id="tried", number="+62812000778", tries=4)
    office.found(far, old, tried)
    office.board.waits.configure({"support": QueueConfig(name="support")}, office.at, {}, Routing())
    office.board.callbacks.configured(office.at)
    office.wait(0)
    assert office.board.callbacks.open.keys() == {"far", "old", "tried"} and office.standing() == []
    office.settings()
    assert len(office.standing()) == 3
    office.board.waits.configure({}, office.at, {}, Routing())
    office.wait(MONTH)
    assert office.board.callbacks.open == {} and office.ended()["state"] == "expired"


def test_whose_calendar_is_gone_is_not_called_at_any_hour() -> None:
    """The queue stays for those who wait in it; its calendar went with it."""
    office = Desk(calendar="office")
    office.found(due())
    gone = msgspec.structs.replace(book(), calendars={})
    office.board.publish(gone, FlowsPublished(at=office.at, version=2))
    office.settings(calendar="office")
    office.ready()
    assert "callback.dialed" not in office.types()


def test_a_calendar_of_a_version_that_serves_some_callers_counts() -> None:
    office = Desk()
    some = book(AT_ONCE)
    some = msgspec.structs.replace(some, calendars={"new": some.calendars["office"]})
    office.board.publish(some, FlowsPublished(at=office.at, version=2, share=50))
    office.settings(calendar="new")
    office.found(due())
    office.ready()
    assert "callback.dialed" not in office.types()
    office.do(CalendarsForced(at=office.at, calendars={"new": Forced("open", office.at + 50)}))
    office.wait(0)
    assert office.made()


def test_what_other_settings_lead_to_is_done_at_the_next_tick() -> None:
    """A version goes live between two inputs: what it put out by itself would lie there until somebody calls."""
    office = Desk(calendar="office")
    office.found(due())
    office.ready()
    office.rules = CallbackRules()
    office.board.publish(book(AT_ONCE), FlowsPublished(at=office.at, version=2))
    assert (office.board.out.events, office.board.out.commands, office.board.next_at) == ([], [], office.at)
    assert [type(command) for command in office.wait(0)] == [Push, Ring, LookUpCustomer]
