"""The link against a switch that misbehaves: every trap of AMI and of AMI libraries, once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fake_asterisk import SYSTEM, Action, FakeAmi, channel, frame

from cti.adapters import ami, ami_requests, ami_rings, ami_session
from cti.adapters.ami import AmiLink
from cti.core.messages import (
    ChannelGone,
    ChannelNew,
    ChannelUp,
    HangUp,
    Input,
    OriginateFailed,
    Ring,
    StationState,
    SwitchDown,
    SwitchUp,
)

CALLER = "PJSIP/trunk-00000001"
AGENT = "PJSIP/2001-00000002"


class Facts(list[Any]):
    """Everything submitted; `fail` makes the receiver raise."""

    fail = False

    def __init__(self) -> None:
        super().__init__()
        self._new = asyncio.Event()

    def submit(self, fact: Input) -> None:
        self.append(fact)
        self._new.set()
        if self.fail:
            raise ValueError("the receiver's own fault")

    def of(self, *kinds: type) -> list[Any]:
        return [f for f in self if isinstance(f, kinds)]

    async def until(self, met: Callable[[], object], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not met():
                self._new.clear()
                await self._new.wait()


class Rig:
    def __init__(self, switch: FakeAmi, facts: Facts, link: AmiLink) -> None:
        self.switch, self.facts, self.link = switch, facts, link
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.task = asyncio.create_task(self.link.run())

    async def up(self, times: int = 1) -> None:
        await self.facts.until(lambda: len(self.facts.of(SwitchUp)) >= times)

    async def settled(self) -> None:
        """Until all that the switch said so far was read: a marker event came through."""
        self.switch.event("Newchannel", **channel("marker", "PJSIP/marker-00000000"))
        await self.facts.until(lambda: [f for f in self.facts.of(ChannelNew) if f.uniqueid == "marker"])


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(ami, "BACKOFF", (0.01, 0.05))
    monkeypatch.setattr(ami, "AFTER_REFUSAL", 0.05)
    facts = Facts()
    async with FakeAmi() as switch:
        link = AmiLink(
            host="127.0.0.1", port=switch.port, username="cti", secret="s3cret",
            submit=facts.submit, cel=None, now=time.time,
        )  # fmt: skip
        rig = Rig(switch, facts, link)
        yield rig
        if rig.task is not None:
            rig.task.cancel()
            await asyncio.gather(rig.task, return_exceptions=True)


def ring(channel_id: str = "cti-1-a", **change: Any) -> Ring:
    values = {"call_id": "c1", "endpoint": "2001", "peer": CALLER, "timeout": 15.0} | change
    return Ring(channel_id=channel_id, **values)


def outcome(action: Action, uniqueid: str, response: str = "Failure", reason: str = "0") -> dict[str, str]:
    return {"ActionID": action["ActionID"], "Response": response, "Channel": "PJSIP/2001",
            "Context": "agent", "Exten": "s", "Reason": reason, "Uniqueid": uniqueid}  # fmt: skip


# ------------------------------------------------------------------------------- coming up


async def test_the_snapshot_is_told_before_anything_live(rig: Rig) -> None:
    rig.switch.channels = [channel("u1", CALLER, BridgeId="b1", AccountCode="c1", Context="line")]
    rig.switch.devices = {"PJSIP/2001": "NOT_INUSE", "PJSIP/2002": "UNAVAILABLE", "PJSIP/2003-web": "INUSE"}
    await rig.start()
    await rig.up()
    up = rig.facts[0]
    assert isinstance(up, SwitchUp)
    assert [(c.uniqueid, c.channel, c.bridge, c.accountcode, c.caller) for c in up.channels] == [
        ("u1", CALLER, "b1", "c1", "+628111")
    ]
    assert up.reachable == ("2001",)
    assert rig.link.connected


async def test_events_during_the_snapshot_come_after_it_and_older_ones_not_at_all(rig: Rig) -> None:
    rig.switch.on["CoreSettings"] = lambda a: (
        rig.switch.event("Newchannel", **channel("old", CALLER)),
        rig.switch.send(frame(("Response", "Success"), ("ActionID", a["ActionID"]), ("SystemName", rig.switch.system))),
    )[0]
    rig.switch.on["CoreShowChannels"] = lambda a: (
        rig.switch.event("Newchannel", **channel("new", "PJSIP/trunk-00000002")),
        rig.switch.on.pop("CoreShowChannels"),
        rig.switch._answer(a, rig.switch._writers[0]),
    )[0]
    await rig.start()
    await rig.up()
    await rig.settled()
    assert [type(f) for f in rig.facts[:2]] == [SwitchUp, ChannelNew]
    assert [f.uniqueid for f in rig.facts.of(ChannelNew)] == ["new", "marker"]


async def test_what_cel_knows_is_told_before_the_snapshot(rig: Rig) -> None:
    asked: list[float] = []

    def cel(since: float) -> list[Input]:
        asked.append(since)
        return [ChannelGone(at=1.0, uniqueid="x", cause=16)]

    rig.link._cel = cel
    await rig.start()
    await rig.up()
    assert asked == [0.0]
    assert [type(f) for f in rig.facts] == [ChannelGone, SwitchUp]
    await rig.settled()
    rig.switch.cut()
    await rig.up(2)
    last = rig.facts.of(ChannelNew)[-1].at
    assert asked[1] == pytest.approx(last - ami.OVERLAP, abs=1e-3)


async def test_a_cel_that_cannot_be_read_does_not_keep_the_link_down(rig: Rig) -> None:
    def cel(since: float) -> list[Input]:
        raise OSError("gone")

    rig.link._cel = cel
    await rig.start()
    await rig.up()


async def test_a_list_that_does_not_add_up_is_asked_again(rig: Rig) -> None:
    rig.switch.count_off = 1
    await rig.start()
    await rig.switch.until(lambda: len(rig.switch.sent("DeviceStateList")) == 2)
    rig.switch.count_off = 0
    await rig.up()
    assert rig.switch.connections == 1


async def test_login_refused_is_an_alarm_and_tried_again(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.switch.refuse_login = True
    await rig.start()
    await rig.switch.until(lambda: len(rig.switch.sent("Login")) == 3)
    assert "ALARM" in caplog.text
    assert "s3cret" not in caplog.text
    assert not rig.facts
    rig.switch.refuse_login = False
    await rig.up()


async def test_a_switch_without_a_system_name_is_refused(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.switch.system = ""
    await rig.start()
    await rig.switch.until(lambda: rig.switch.connections >= 2)
    assert "systemname" in caplog.text
    assert not rig.facts


# ------------------------------------------------------------------------------- going down


async def test_a_broken_link_is_told_and_comes_back_by_itself(rig: Rig) -> None:
    await rig.start()
    await rig.up()
    rig.switch.cut()
    await rig.up(2)
    assert [type(f) for f in rig.facts] == [SwitchUp, SwitchDown, SwitchUp]


async def test_a_link_that_is_silent_is_given_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_session, "PING_EVERY", 0.05)
    monkeypatch.setattr(ami_session, "DEAD_AFTER", 0.3)
    await rig.start()
    await rig.up()
    await rig.switch.until(lambda: len(rig.switch.sent("Ping")) >= 10)  # a living one is kept
    assert rig.switch.connections == 1
    rig.switch.mute = {"Ping"}
    await rig.facts.until(lambda: rig.facts.of(SwitchDown))
    rig.switch.mute = set()
    await rig.up(2)


async def test_an_originate_that_was_not_answered_is_never_sent_again(rig: Rig) -> None:
    rig.switch.cut_on = "Originate"
    await rig.start()
    await rig.up()
    rig.link.execute(ring())
    await rig.up(2)
    await rig.settled()
    assert len(rig.switch.sent("Originate")) == 1
    assert not rig.facts.of(OriginateFailed)  # unknown is not failed: the snapshot tells


async def test_without_a_link_a_ring_fails_and_nothing_raises(rig: Rig) -> None:
    rig.link.execute(ring())
    rig.link.execute(HangUp(uniqueid="u1"))
    await rig.facts.until(lambda: rig.facts)
    assert [(f.uniqueid, f.reason) for f in rig.facts.of(OriginateFailed)] == [("cti-1-a", "failed")]


# ------------------------------------------------------------------------------- bad frames


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n",
        b"garbage\r\n\r\n",
        b"\xff\xfe\x00\r\n\r\n",
        b"Event: VarSet\r\nChanVariable: novalue\r\n\r\n",
        b"Event: Hangup\r\ngarbage line\r\nUniqueid: 1.1\r\n\r\n",
        b"Event: Hangup\r\nUniqueid: \r\nChannel: \r\n\r\n",
        b"Event: Newchannel\r\nUniqueid: 1.1\r\nUniqueid: 2.2\r\n\r\n",
        b"Event: CoreShowChannelsComplete\r\nActionID: x\r\nListItems: 99\r\n\r\n",
        b"Event: Hangup\r\nUniqueid: victim\r\nChannel: PJSIP/2001-00000001\r\nCause: 16\r\n\r\n",
        b"Event: FullyBooted\r\n\r\n",
        b"Response: Success\r\n\r\n",
        b"Response: Success\r\nActionID: someone-else\r\n\r\n",
        b"Event: X\r\n" + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_no_bad_frame_closes_the_link_or_becomes_a_fact(rig: Rig, data: bytes) -> None:
    await rig.start()
    await rig.up()
    rig.switch.send(data)
    await rig.settled()
    assert [f.uniqueid for f in rig.facts.of(ChannelNew, ChannelGone)] == ["marker"]
    assert rig.switch.connections == 1
    assert not rig.switch.sent("Hangup")


async def test_orphan_answers_are_counted(rig: Rig) -> None:
    await rig.start()
    await rig.up()
    rig.switch.send(b"Response: Success\r\nActionID: someone-else\r\n\r\n")
    rig.switch.send(b"Response: Error\r\nMessage: Failed to parse message: line too long\r\n\r\n")
    rig.switch.event("OriginateResponse", ActionID="nobody", Response="Failure", Reason="0", Uniqueid="u")
    await rig.settled()
    assert rig.link.counters["orphans"] == 3
    assert not rig.facts.of(OriginateFailed)


async def test_who_writes_into_the_stream_is_hung_up(rig: Rig) -> None:
    await rig.start()
    await rig.up()
    forged = "1\r\n\r\nEvent: Hangup\r\nUniqueid: victim"
    rig.switch.event("Newchannel", **channel("evil", CALLER, CallerIDNum=forged))
    await rig.switch.until(lambda: rig.switch.sent("Hangup"))
    await rig.settled()
    assert [a["Channel"] for a in rig.switch.sent("Hangup")] == [CALLER]
    assert [f.uniqueid for f in rig.facts.of(ChannelNew, ChannelGone)] == ["marker"]
    assert rig.link.counters["rejected"] >= 2


async def test_a_forged_row_of_the_snapshot_is_left_out_and_hung_up(rig: Rig) -> None:
    forged = channel("evil", CALLER, CallerIDNum="1\r\n\r\nEvent: CoreShowChannel\r\nUniqueid: x")
    rig.switch.channels = [forged, channel("good", AGENT)]
    await rig.start()
    await rig.up()
    assert [c.uniqueid for c in rig.facts[0].channels] == ["good"]
    await rig.switch.until(lambda: rig.switch.sent("Hangup"))
    assert [a["Channel"] for a in rig.switch.sent("Hangup")] == [CALLER]


async def test_an_event_that_comes_twice_counts_once(rig: Rig) -> None:
    await rig.start()
    await rig.up()
    gone = rig.switch.real("Hangup", channel("u1", CALLER, Cause="16"))
    rig.switch.send(gone + gone)
    await rig.settled()
    assert len(rig.facts.of(ChannelGone)) == 1


async def test_a_name_split_between_segments_is_whole(rig: Rig) -> None:
    await rig.start()
    await rig.up()
    data = rig.switch.real("Newchannel", channel("u1", CALLER, CallerIDName="王小明"))
    cut = data.index("小".encode()) + 1
    rig.switch.send(data[:cut])
    await asyncio.sleep(0.02)  # the point is two segments
    rig.switch.send(data[cut:])
    await rig.settled()
    assert rig.facts.of(ChannelNew)[0].caller_name == "王小明"


async def test_a_receiver_that_raises_hurts_neither_the_link_nor_the_order(rig: Rig) -> None:
    await rig.start()
    await rig.up()
    rig.facts.fail = True
    for n in range(300):
        rig.switch.event("Newstate", **channel(f"u{n}", CALLER))
    await rig.settled()
    assert [f.uniqueid for f in rig.facts.of(ChannelUp)] == [f"u{n}" for n in range(300)]
    assert rig.switch.connections == 1


async def test_a_station_is_told_once_per_change(rig: Rig) -> None:
    rig.switch.devices = {"PJSIP/2001": "NOT_INUSE"}
    await rig.start()
    await rig.up()
    for state in ("INUSE", "RINGING", "UNAVAILABLE", "UNAVAILABLE", "NOT_INUSE"):
        rig.switch.event("DeviceStateChange", Device="PJSIP/2001", State=state)
    await rig.settled()
    assert [f.reachable for f in rig.facts.of(StationState)] == [False, True]


# ------------------------------------------------------------------------------- hanging up


async def test_a_channel_that_survives_its_hang_up_is_hung_up_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_session, "HANG_UP_AGAIN", 0.05)
    await rig.start()
    await rig.up()
    rig.switch.event("Newchannel", **channel("u1", CALLER))
    rig.switch.event("Newchannel", **channel("u2", AGENT))
    await rig.settled()
    for uniqueid in ("u1", "u2"):
        rig.link.execute(HangUp(uniqueid=uniqueid, cause=17))
    rig.switch.event("Hangup", **channel("u2", AGENT, Cause="17"))
    await rig.switch.until(lambda: len([a for a in rig.switch.sent("Hangup") if a["Channel"] == CALLER]) == 4)
    assert [a["Cause"] for a in rig.switch.sent("Hangup") if a["Channel"] == AGENT] == ["17"]


# ------------------------------------------------------------------------------- ringing


async def originated(rig: Rig, command: Ring) -> Action:
    count = len(rig.switch.sent("Originate"))
    rig.link.execute(command)
    await rig.switch.until(lambda: len(rig.switch.sent("Originate")) > count)
    return rig.switch.sent("Originate")[-1]


@pytest.mark.parametrize(
    ("reason", "seen", "told"),
    [
        ("3", True, ["no_answer"]),
        ("0", False, ["unreachable"]),
        ("0", True, []),  # busy, declined: the channel's end tells
        ("8", False, ["failed"]),
    ],
)
async def test_outcomes(rig: Rig, reason: str, seen: bool, told: list[str]) -> None:
    await rig.start()
    await rig.up()
    action = await originated(rig, ring())
    if seen:
        rig.switch.event("Newchannel", **channel("cti-1-a", AGENT))
        rig.switch.event("Hangup", **channel("cti-1-a", AGENT, Cause="17"))
    rig.switch.event("OriginateResponse", **outcome(action, "cti-1-a", reason=reason))
    await asyncio.sleep(ami_rings.UNSEEN_AFTER + 0.1)  # the time a late Newchannel is given
    assert [f.reason for f in rig.facts.of(OriginateFailed)] == told
    assert len(rig.facts.of(ChannelGone)) == int(seen)


async def test_the_outcome_may_come_before_the_answer_and_before_the_channel(rig: Rig) -> None:
    rig.switch.mute = {"Originate"}
    await rig.start()
    await rig.up()
    action = await originated(rig, ring())
    rig.switch.event("OriginateResponse", **outcome(action, "<unknown>"))
    rig.switch.event("Newchannel", **channel("cti-1-a", AGENT))
    rig.switch.event("Hangup", **channel("cti-1-a", AGENT, Cause="17"))
    rig.switch.send(frame(("Response", "Success"), ("ActionID", action["ActionID"])))
    await asyncio.sleep(ami_rings.UNSEEN_AFTER + 0.1)
    assert not rig.facts.of(OriginateFailed)
    assert rig.facts.of(ChannelGone)[0].cause == 17


async def test_a_channel_id_that_is_there_already_was_dialled_before(rig: Rig) -> None:
    rig.switch.channels = [channel("cti-1-a", AGENT)]
    await rig.start()
    await rig.up()
    action = await originated(rig, ring())
    rig.switch.event("OriginateResponse", **outcome(action, "cti-1-a"))
    await asyncio.sleep(ami_rings.UNSEEN_AFTER + 0.1)
    assert not rig.facts.of(OriginateFailed)


async def test_a_refused_originate_failed(rig: Rig) -> None:
    rig.switch.on["Originate"] = lambda a: rig.switch.send(
        frame(("Response", "Error"), ("ActionID", a["ActionID"]), ("Message", "Permission denied"))
    )
    await rig.start()
    await rig.up()
    rig.link.execute(ring())
    await rig.facts.until(lambda: rig.facts.of(OriginateFailed))
    assert rig.facts.of(OriginateFailed)[0].reason == "failed"


async def test_bad_values_leave_no_byte_on_the_wire(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    await rig.start()
    await rig.up()
    before = len(rig.switch.raw)
    rig.link.execute(ring(caller_name="Bob\r\n\r\nAction: Command\r\nCommand: core stop now"))
    rig.link.execute(ring(peer="/.*/"))
    rig.link.execute(ring(endpoint="2001&2002"))
    await rig.settled()
    await rig.facts.until(lambda: len(rig.facts.of(OriginateFailed)) == 3)
    assert rig.switch.raw[before:] == b""
    assert caplog.text.count("Ring not sent") == 3


async def test_hang_up_names_exactly_the_channel_of_the_uniqueid(rig: Rig) -> None:
    rig.switch.channels = [channel("u1", CALLER)]
    await rig.start()
    await rig.up()
    rig.switch.event("Newchannel", **channel("u2", AGENT))
    await rig.settled()
    for uniqueid in ("u1", "u2", "nobody"):
        rig.link.execute(HangUp(uniqueid=uniqueid, cause=17))
    await rig.switch.until(lambda: len(rig.switch.sent("Hangup")) == 2)
    assert [(a["Channel"], a["Cause"]) for a in rig.switch.sent("Hangup")] == [(CALLER, "17"), (AGENT, "17")]


async def test_the_name_of_a_gone_channel_is_forgotten(rig: Rig) -> None:
    await rig.start()
    await rig.up()
    rig.switch.event("Newchannel", **channel("u2", AGENT))
    rig.switch.event("Hangup", **channel("u2", AGENT, Cause="16"))
    await rig.settled()
    rig.link.execute(HangUp(uniqueid="u2"))
    rig.link.execute(HangUp(uniqueid="marker"))
    await rig.switch.until(lambda: rig.switch.sent("Hangup"))
    assert [a["Channel"] for a in rig.switch.sent("Hangup")] == ["PJSIP/marker-00000000"]


async def test_a_phone_that_is_hung_up_before_its_channel_appears_does_not_ring_on(rig: Rig) -> None:
    await rig.start()
    await rig.up()
    await originated(rig, ring())
    rig.link.execute(HangUp(uniqueid="cti-1-a", cause=26))
    await rig.settled()
    assert not rig.switch.sent("Hangup")
    rig.switch.event("Newchannel", **channel("cti-1-a", AGENT))
    await rig.switch.until(lambda: rig.switch.sent("Hangup"))
    assert rig.switch.sent("Hangup")[0]["Channel"] == AGENT


async def test_actions_that_are_not_answered_are_forgotten(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.start()
    await rig.up()
    monkeypatch.setattr(ami_requests, "ACTION_TIMEOUT", 0.05)
    rig.switch.mute = {"Originate"}
    for n in range(100):
        rig.link.execute(ring(f"cti-1-{n}"))
    async with asyncio.timeout(5):
        while rig.link.counters["unanswered"] < 100:
            await asyncio.sleep(0.01)
    assert rig.link._session is not None
    assert not rig.link._session._requests._answers
    assert not rig.facts.of(OriginateFailed)  # silence is not a failure
    assert rig.link.connected


async def test_the_system_name_is_never_logged(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await rig.start()
    await rig.up()
    rig.switch.event("Newchannel", **channel("evil", CALLER, CallerIDNum="1\r\nExten: 9"))
    await rig.settled()
    assert SYSTEM not in caplog.text
