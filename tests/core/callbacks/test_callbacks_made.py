"""A callback that succeeds: in its turn, the agent first, then the customer."""

from __future__ import annotations

import msgspec
import pytest

from cti.core.messages import (
    CallbackDue,
    ChannelGone,
    CustomerFound,
    FlowsPublished,
    HangupRequested,
    LookUpCustomer,
    Push,
    Ring,
    Sound,
    Text,
    Unbridged,
)
from cti.core.queues import Whisper
from cti.core.switchboard import AFTER_ALL
from tests.core.callbacks.desk import ASKS, AT_ONCE, NUMBER, Desk
from tests.core.office import START, book


def test_the_agent_is_rung_first_and_the_customer_when_he_has_answered(office: Desk) -> None:
    one = office.asks()
    assert office.standing() == [one.key]
    office.ready()
    made = office.made()
    arrived = office.last("call.arrived")
    assert (arrived.queue, arrived.agent) == ("sales", "ani")
    about = {"direction": "outbound", "called": NUMBER, "caller": "6000", "story_id": one.call_id,
             "callback": one.callback_id, "uniqueid": made.customer, "requested_at": one.requested_at,
             "tries": 0}  # fmt: skip
    assert about.items() <= arrived.data.items()
    dialed = office.last("callback.dialed")
    assert (dialed.call_id, dialed.seq >= AFTER_ALL) == (one.call_id, True)
    assert dialed.data == {"callback": one.callback_id, "to": made.call.call_id, "number": NUMBER, "try": 1}
    offered = office.last("call.offered")
    assert (offered.agent, offered.data["visit"], offered.data["recorded"]) == ("ani", None, True)
    assert offered.data["decision"]["rule"] == "next_caller"
    ring = office.commands[-2]
    assert isinstance(ring, Ring) and (ring.endpoint, ring.peer, ring.caller) == ("2001", "", NUMBER)
    assert ring.recording_id == offered.data["offer"] and office.state("ani")[0] == "reserved"
    assert office.commands[-1] == LookUpCustomer(call_id=made.call.call_id, caller=NUMBER)
    assert office.rings() == []

    (customer,) = made.agent_answers()
    assert customer == Ring(channel_id=made.customer, call_id=made.call.call_id, endpoint=f"{NUMBER}@t",
                            peer=made.channel, timeout=30.0, caller="6000")  # fmt: skip
    assert office.types()[-1] == "call.placed"
    made.customer_answers()
    assert office.state("ani")[0] == "talking"
    assert "call.dequeued" not in office.types(made.call.call_id)
    assert office.ended() == {"callback": one.callback_id, "state": "done", "by": "ani", "number": NUMBER,
                              "to": made.call.call_id}  # fmt: skip
    assert office.board.callbacks.open == {} and office.board.callbacks.of(NUMBER) == []
    office.wait(200)
    assert office.state("ani")[0] == "talking" and len(office.rings()) == 1


def test_after_the_talk_the_agent_wraps_up_and_the_call_is_over(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.talk()
    made.fact(HangupRequested, made.customer)
    made.fact(Unbridged, made.customer, bridge="b1")
    made.fact(Unbridged, made.agent, bridge="b1")
    made.fact(ChannelGone, made.agent)
    made.fact(ChannelGone, made.customer)
    ended = office.last("call.ended")
    assert (ended.call_id, ended.data["side"], ended.data["cause"]) == (made.call.call_id, "caller", 16)
    assert office.state("ani")[0] == "wrap_up"


def test_the_agent_may_end_the_talk(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.talk()
    made.fact(HangupRequested, made.agent)
    made.fact(Unbridged, made.agent, bridge="b1")
    made.fact(ChannelGone, made.agent)
    made.fact(ChannelGone, made.customer)
    assert office.last("call.ended").data["side"] == "agent"


def test_the_page_shows_that_it_is_a_callback_and_who_it_is(office: Desk) -> None:
    one = office.asks()
    office.ready()
    made = office.made()
    pop = next(c for c in office.commands if isinstance(c, Push) and c.type == "screen_pop")
    assert pop.data["call"]["callback"] == {"requested_at": one.requested_at, "tries": 0}
    assert (pop.data["call"]["called"], pop.data["call"]["queue"]) == (NUMBER, "sales")
    who = ({"customer_id": "7", "name": "Siti"},)
    (push,) = [c for c in office.do(CustomerFound(at=office.at, call_id=made.call.call_id, customers=who))
               if isinstance(c, Push)]  # fmt: skip
    assert push.data["customers"] == list(who) and push.data["call"]["identified_by"] == "number"


def test_what_waits_keeps_its_place_priority_and_skills() -> None:
    office = Desk(ASKS, agents={"ani": {"sales": 5, "english": 3}, "budi": {"sales": 5}})
    caller = office.waiting_caller(NUMBER)
    entered = office.at
    office.wait(61)
    caller.heard()
    office.do(caller.facts(ChannelGone))
    office.stored()
    data = office.last("callback.requested").data
    assert (data["since"], data["priority"], data["skills"], data["language"]) == (entered, 4, {"english": 2}, "en")
    later = office.caller("0812000002")
    later.arrive()
    office.ready("budi")
    assert office.state("budi")[0] == "ready"
    office.ready("ani")
    assert office.made().call.offer.agent == "ani"  # type: ignore[union-attr]


def test_a_callback_is_called_in_its_turn_among_the_callers(office: Desk) -> None:
    office = Desk(AT_ONCE)
    one = office.asks()
    due = CallbackDue(callback_id="b" * 8, call_id="c1", queue="sales", number="+62812000888", since=START - 90,
                      requested_at=START - 90)  # fmt: skip
    office.stored(due)
    office.ready()
    assert office.made().call.called == "+62812000888"
    assert office.standing() == [one.key]


def test_no_more_are_called_than_agents_are_free(office: Desk) -> None:
    for n in range(5):
        office.asks(f"+6281200010{n}")
    office.ready()
    assert office.types().count("callback.dialed") == 1
    assert len(office.standing()) == 4


def test_a_phone_that_is_told_to_be_up_twice_rings_the_customer_once(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    made.agent_answers()
    made.agent_answers()
    assert len(office.rings()) == 1


def test_a_caller_nobody_knows_shows_what_is_known_of_his_number(office: Desk) -> None:
    office.asks()
    office.ready()
    made = office.made()
    history = ({"call_id": "c0"},)
    (push,) = office.do(CustomerFound(at=office.at, call_id=made.call.call_id, history=history))
    assert isinstance(push, Push) and push.data["history"] == list(history)


@pytest.mark.parametrize(("spoke", "heard"), [("zh", "zh"), ("", "en")], ids=["asked in Chinese", "entered by hand"])
def test_the_agent_hears_the_whisper_in_the_customers_language(spoke: str, heard: str) -> None:
    office = Desk()
    office.board.publish(msgspec.structs.replace(book(AT_ONCE), version=2), FlowsPublished(at=office.at, version=2))
    office.settings(whisper=Whisper(texts={"id": "Penjualan", "en": "Sales", "zh": "销售"}, name="ding"))
    office.found(CallbackDue(callback_id="b", call_id="c", queue="sales", number=NUMBER, since=START,
                             requested_at=START, language=spoke))  # fmt: skip
    office.ready()
    (ring,) = (command for command in office.commands if isinstance(command, Ring))
    words = {"en": "Sales", "zh": "销售"}[heard]
    assert ring.whisper == (Sound(language=heard, name="ding", version=2), Text(language=heard, text=words))
