"""A server killed at any moment and rebuilt from its events goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cti.core.messages import (
    AgentInfo,
    Bridged,
    ChangePriority,
    ChannelGone,
    ChannelUp,
    CustomerFound,
    Event,
    FinishRecording,
    FlowsPublished,
    LineReady,
    LiveChannel,
    PeopleChanged,
    RecordingFinished,
    Release,
    StationState,
    SwitchUp,
    Unbridged,
)  # fmt: skip
from cti.core.switchboard import Settings, Switchboard
from tests.core.office import Caller, Office, book


def reborn(office: Office, **queue: Any) -> None:
    """Kill the server and start it again, from the events alone."""
    board = Switchboard(2, Settings(country="ID", trunk="t"))
    board.publish(book(**queue), FlowsPublished(at=office.at, version=1))
    infos = tuple(AgentInfo(agent=n, skills=s, station=str(2001 + i)) for i, (n, s) in enumerate(office.agents.items()))
    last = {e.agent: e for e in office.events if e.type == "agent.state_changed"}
    open_calls = {c.call_id for c in office.board.calls.live.values()}
    past = sorted((e for e in office.events if e.call_id in open_calls), key=lambda e: (e.call_id, e.seq))
    office.board = board
    board.handle(PeopleChanged(at=office.at, agents=infos, stations=tuple(i.station for i in infos)))
    output = board.restore([*past, *last.values()], office.at)
    office.events += output.events
    office.commands = list(output.commands)


def switch_up(office: Office, *channels: tuple[str, str, str]) -> None:
    """(uniqueid, channel, bridge) of all that is live."""
    live = tuple(LiveChannel(uniqueid=u, channel=c, context="line", bridge=b) for u, c, b in channels)
    office.do(SwitchUp(at=office.at, channels=live, reachable=("2001", "2002")))


def test_a_waiting_caller_keeps_his_place() -> None:
    office = Office()
    first, second = office.waiting_caller("0812000001"), office.waiting_caller("0812000002")
    entered = office.last("call.queued").data["entered_at"]
    office.at += 20
    reborn(office)
    second.line()
    first.line()
    switch_up(office, (first.uniqueid, first.channel, ""), (second.uniqueid, second.channel, ""))
    office.ready()
    assert first.rings and not second.rings
    assert office.board.calls.live[second.call_id].visit.entered_at == entered  # type: ignore[union-attr]


def test_a_conversation_goes_on_and_its_end_is_seen() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    leg = caller.leg
    reborn(office)
    switch_up(office, (caller.uniqueid, caller.channel, "b1"), (leg, "PJSIP/2001-1", "b1"))
    assert office.state("ani")[0] == "talking"
    office.at += 5
    office.do(Unbridged(at=office.at, uniqueid=leg, bridge="b1"))
    office.do(ChannelGone(at=office.at, uniqueid=leg))
    office.do(caller.facts(LineReady, channel=caller.channel))
    assert office.state("ani")[0] == "wrap_up"
    assert office.last("flow.node").data["outcome"] == "answered"


def test_what_cel_tells_of_the_time_away_has_its_true_times() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    leg, t = caller.leg, office.at
    reborn(office)
    office.at += 4
    office.do(Bridged(at=t + 1, uniqueid=caller.uniqueid, bridge="b1"))
    office.do(Bridged(at=t + 1.1, uniqueid=leg, bridge="b1"))
    office.do(Unbridged(at=t + 2, uniqueid=leg, bridge="b1"))
    office.do(ChannelGone(at=t + 2.2, uniqueid=leg))
    office.do(ChannelGone(at=t + 2.1, uniqueid=caller.uniqueid))
    switch_up(office)
    assert office.last("call.connected").at == t + 1.1
    assert office.last("call.disconnected").at == t + 2
    assert office.last("call.ended").at == t + 2.1
    assert office.types().count("call.ended") == 1


def test_calls_and_offers_that_vanished_without_a_trace_are_closed() -> None:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}}, wrap_up="0s")
    office.ready()
    talking, ringing = office.waiting_caller("0812000001"), office.waiting_caller("0812000002")
    talking.answer()
    reborn(office, wrap_up="0s")
    switch_up(office)
    assert [office.state(name)[0] for name in ("ani", "budi")] == ["ready", "ready"]
    assert office.types().count("call.ended") == 2
    assert office.last("call.dequeued").call_id == ringing.call_id


def test_wrap_up_goes_on_with_its_own_end() -> None:
    office = Office(wrap_up="30s")
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    caller.hangs_up()
    office.at += 10
    reborn(office, wrap_up="30s")
    assert office.state("ani")[0] == "wrap_up"
    office.wait(19)
    assert office.state("ani")[0] == "wrap_up"
    office.wait(2)
    assert office.types()[-2:] == ["call.wrapped", "agent.state_changed"]


def test_a_conversation_that_goes_on_is_not_counted_as_over_for_what_the_agent_did_before() -> None:
    office = Office(wrap_up="10s")
    first, vip = office.waiting_caller("0812000001"), office.waiting_caller("0812000002")
    office.do(ChangePriority(at=office.at, by="sup", call_id=vip.call_id, priority=10))
    office.ready()
    vip.rung()
    office.do(ChannelGone(at=office.at, uniqueid=vip.leg, cause=21))
    office.do(ChangePriority(at=office.at, by="sup", call_id=first.call_id, priority=20))
    office.at += 5
    office.ready()
    first.answer()
    office.at += 60
    leg = first.leg
    reborn(office, wrap_up="10s")
    assert office.board.floor.expect.handling("sales") is None
    switch_up(office, (first.uniqueid, first.channel, "b1"), (leg, "PJSIP/2001-1", "b1"))
    office.do(Unbridged(at=office.at, uniqueid=leg, bridge="b1"))
    office.do(ChannelGone(at=office.at, uniqueid=leg))
    office.wait(11)
    assert round(office.board.floor.expect.handling("sales") or 0) == 70


def test_recordings_that_were_not_finished_are_asked_for_again() -> None:
    office = Office(wrap_up="0s")
    office.ready()
    caller = office.waiting_caller()
    caller.answer()
    name = office.last("recording.started").data["recording_id"]
    caller.hangs_up()
    assert caller.call_id in office.board.calls.live
    reborn(office, wrap_up="0s")
    [asked] = [c for c in office.commands if isinstance(c, FinishRecording)]
    assert asked.recording_id == name
    done = RecordingFinished(
        at=office.at, recording_id=name, call_id=caller.call_id, agent="ani", path="x.wav", started_at=1.0,
        seconds=2.0, channels=2, bytes=10, sha256="",
    )  # fmt: skip
    office.do(done)
    office.do(done)
    assert not office.board.calls.live
    stopped = [e for e in office.events if e.type == "recording.stopped"]
    assert [e.seq >= 1_000_000 for e in stopped] == [False, True], "told again, it is added at the end"
    office.do(msgspec.structs.replace(done, bytes=0))
    assert office.types().count("recording.stopped") == 2, "a failure of a closed call tells nothing new"


STAGES: list[Callable[[Office, Caller], None]] = [
    lambda o, c: c.arrive(found=False),
    lambda o, c: o.do(CustomerFound(at=o.at, call_id=c.call_id)) and None,
    lambda o, c: c.heard() and None,
    lambda o, c: c.rung(),
    lambda o, c: c.answer(),
    lambda o, c: c.agent_hangs_up(),
]


@pytest.mark.parametrize("stage", range(1, len(STAGES) + 1))
def test_killed_after_each_stage_the_call_still_ends_whole(stage: int) -> None:
    office = Office(wrap_up="10s")
    office.ready()
    caller = office.caller()
    for step in STAGES[:stage]:
        step(office, caller)
        office.at += 1
    connected = "call.connected" in office.types()
    leg = caller.rings[-1].channel_id if caller.rings else ""
    reborn(office, wrap_up="10s")
    together = "b1" if connected and "call.disconnected" not in office.types() else ""
    live = [(caller.uniqueid, caller.channel, together)] + ([(leg, "PJSIP/2001-1", together)] if leg else [])
    switch_up(office, *live)
    if not together:
        caller.line()
    office.at += 1
    for uniqueid in (leg, caller.uniqueid):
        if uniqueid:
            office.do(ChannelGone(at=office.at, uniqueid=uniqueid))
    office.do(StationState(at=office.at, station="2001", reachable=True))
    office.wait(30)
    assert office.types(caller.call_id).count("call.ended") == 1
    assert office.types().count("call.queued") == office.types().count("call.dequeued")
    assert office.types().count("call.offered") == sum(
        office.types().count(t) for t in ("call.connected", "offer.missed", "offer.cancelled", "offer.caller_left")
    )
    assert office.state("ani")[0] in ("ready", "not_ready")
    numbers = sorted(e.seq for e in office.events if e.call_id == caller.call_id)
    assert numbers == list(range(1, len(numbers) + 1))


def test_events_survive_the_wire() -> None:
    from cti.core.messages import decode, encode

    office = Office()
    office.ready()
    office.waiting_caller().answer()
    for message in [*office.events, *office.commands]:
        assert decode(encode(message)) == message
    assert any(isinstance(e, Event) for e in office.events)


def test_agents_are_not_kept_by_calls_that_are_forgotten() -> None:
    """The server was away so long that nothing is restored but what the agents did."""
    office = Office(agents={name: {"sales": 1} for name in ("ani", "budi", "chen")}, wrap_up="30s")
    office.ready()
    wrapping, talking, _ = (office.waiting_caller() for _ in range(3))
    wrapping.answer()
    talking.answer()
    wrapping.hangs_up()
    assert [office.state(name)[0] for name in office.agents] == ["wrap_up", "talking", "reserved"]
    office.board.calls.live.clear()
    reborn(office)
    office.wait(1000)
    switch_up(office)
    assert [office.board.people.agents[name].work for name in office.agents] == ["idle"] * 3


def test_an_offer_whose_both_ends_vanished_after_the_answer() -> None:
    office = Office()
    office.ready()
    caller = office.waiting_caller()
    caller.rung()
    office.do(ChannelUp(at=office.at, uniqueid=caller.leg))
    caller.hangs_up()
    reborn(office)
    switch_up(office)
    assert {"call.dequeued", "offer.caller_left"} <= set(office.types()[-4:])
    assert not office.board.calls.live and office.board.people.agents["ani"].work == "idle"


def test_a_number_that_was_never_dialled_does_not_keep_the_caller() -> None:
    """The server was killed between its decision to dial and the dialling."""
    nodes = {"phone": {"do": "dial", "to": "7001", "then": "hangup", "fail": "hangup"}}
    dial = {"flow": "main", "language": "en", "start": "phone", "nodes": nodes}
    office = Office(flow=dial)
    caller = office.caller()
    caller.arrive()
    reborn(office)
    office.board.publish(book(dial), FlowsPublished(at=office.at, version=1))
    caller.line()
    switch_up(office, (caller.uniqueid, caller.channel, ""))
    assert office.last("call.dial_ended").data["result"] == "fail"
    assert isinstance(office.commands[-1], Release)


def test_after_a_restart_each_recording_is_still_its_own_agents() -> None:
    nodes = {
        "first": {"do": "queue", "queue": "sales", "answered": "second"},
        "second": {"do": "queue", "queue": "support", "answered": "hangup"},
    }
    flow = {"flow": "main", "language": "en", "start": "first", "nodes": nodes}
    office = Office(flow=flow, agents={"ani": {"sales": 1}, "budi": {"support": 1}})
    office.ready()
    caller = office.caller()
    caller.arrive()
    began = {}
    for agent in office.agents:
        office.at += 5
        caller.answer()
        began[agent] = office.at
        caller.agent_hangs_up()
    reborn(office)
    asked = [(c.agent, c.started_at) for c in office.commands if isinstance(c, FinishRecording)]
    assert asked == list(began.items())
