"""Framing and vetting: what a caller writes into the event stream is never an event."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.adapters import ami_facts
from cti.adapters.ami_frames import FRAME_CAP, WINDOW, Framer, Rejected, Vetting, action_id, event_name, headers
from cti.core.messages import ChannelGone, ChannelNew, ChannelUp, StationState

SYSTEM = "ctisecret"
CHANNEL = "PJSIP/trunk-00000001"
NEEDS = ami_facts.WANTED


def event(name: str, sequence: int = 1, system: str = SYSTEM, **more: str) -> bytes:
    lines = [f"Event: {name}", "Privilege: call,all", "Timestamp: 1795366991.060777",
             f"SequenceNumber: {sequence}", f"SystemName: {system}"]  # fmt: skip
    return "\r\n".join([*lines, *(f"{k}: {v}" for k, v in more.items())]).encode()


def new_channel(sequence: int = 1, number: str = "+628111", name: str = "王小明") -> bytes:
    return event(
        "Newchannel", sequence, Channel=CHANNEL, ChannelState="4", CallerIDNum=number, CallerIDName=name,
        Context="from-trunk", Exten="6000", Priority="1", Uniqueid="sys-1.1", Linkedid="sys-1.1",
    )  # fmt: skip


@given(st.lists(st.integers(min_value=0, max_value=700)))
def test_no_way_of_cutting_the_stream_changes_a_frame(cuts: list[int]) -> None:
    frames = [new_channel(1), event("Hangup", 2, Channel=CHANNEL, Uniqueid="sys-1.1", Cause="16")]
    stream = b"".join(f + b"\r\n\r\n" for f in frames)
    at = sorted({0, len(stream), *(c % len(stream) for c in cuts)})
    framer = Framer()
    found = [f for a, b in itertools.pairwise(at) for f in framer.feed(stream[a:b])]
    assert found == frames
    assert headers(found[0])[0]["CallerIDName"] == "王小明"


def test_every_single_cut_inside_a_chinese_name_keeps_it() -> None:
    stream = new_channel() + b"\r\n\r\n"
    for cut in range(len(stream)):
        framer = Framer()
        (frame,) = [*framer.feed(stream[:cut]), *framer.feed(stream[cut:])]
        assert headers(frame)[0]["CallerIDName"] == "王小明"


def test_an_endless_frame_is_skipped_and_the_next_one_read() -> None:
    framer = Framer()
    assert list(framer.feed(b"Event: X\r\n" + b"a" * (FRAME_CAP + 10))) == []
    assert list(framer.feed(b"b" * FRAME_CAP)) == []
    assert list(framer.feed(b"\r\n\r\nEvent: Y\r\n\r\n")) == [b"Event: Y"]
    assert framer.oversized == 1
    assert list(framer.feed(b"c" * (FRAME_CAP + 1) + b"\r\n\r\nEvent: Z\r\n\r\n")) == [b"Event: Z"]
    assert framer.oversized == 2


def test_memory_of_an_endless_frame_is_bounded() -> None:
    framer = Framer()
    for _ in range(20):
        list(framer.feed(b"x" * FRAME_CAP))
    assert len(framer._buffer) <= FRAME_CAP


def test_names_are_read_without_parsing() -> None:
    assert event_name(b"Event: Hangup\r\nX: 1") == b"Hangup"
    assert event_name(b"Response: Success\r\nEvent: Hangup") == b""
    assert action_id(b"Response: Success\r\nActionID: a-1\r\nActionID: b") == "a-1"
    assert action_id(b"Response: Success") == ""


def test_a_real_event_becomes_its_fact() -> None:
    vetting = Vetting(SYSTEM)
    h = vetting.accept(new_channel(), NEEDS[b"Newchannel"])
    assert h is not None
    assert ami_facts.fact(b"Newchannel", h, "main") == ChannelNew(
        at=1795366991.060777, node="main", uniqueid="sys-1.1", channel=CHANNEL, context="from-trunk",
        called="6000", caller="+628111", caller_name="王小明",
    )  # fmt: skip


@pytest.mark.parametrize("without", ["Privilege", "Timestamp", "SequenceNumber", "SystemName"])
def test_without_one_line_of_the_envelope_it_is_no_event_and_names_no_channel(without: str) -> None:
    lines = [x for x in new_channel().split(b"\r\n") if not x.startswith(without.encode())]
    with pytest.raises(Rejected) as caught:
        Vetting(SYSTEM).accept(b"\r\n".join(lines), NEEDS[b"Newchannel"])
    assert caught.value.channel == ""


@pytest.mark.parametrize(
    "number",
    [
        "1\r\n\r\nEvent: Hangup\r\nUniqueid: victim-1\r\n",  # ends the frame, begins another
        "1\r\nUniqueid: victim-1",  # doubles a header that comes later
        "1\r\nContext: from-station",
        "1\r\nEvent: Hangup",
        "1\nUniqueid: victim-1",  # a bare LF
        "1\rX",
        "1\x00",
        "1\r\nno colon here",
    ],
)
def test_what_a_caller_writes_taints_his_own_channel_only(number: str) -> None:
    vetting = Vetting(SYSTEM)
    framer = Framer()
    channels = []
    for frame in framer.feed(new_channel(number=number) + b"\r\n\r\n"):
        with pytest.raises(Rejected) as caught:
            vetting.accept(frame, NEEDS.get(event_name(frame), ("Uniqueid",)))
        channels.append(caught.value.channel)
    assert channels[0] == CHANNEL
    assert set(channels[1:]) <= {""}


def test_a_forged_frame_cannot_name_a_victim_to_be_hung_up() -> None:
    forged = event("Hangup", 9, system="guess", Channel="PJSIP/2001-00000009", Uniqueid="a", Cause="16")
    with pytest.raises(Rejected) as caught:
        Vetting(SYSTEM).accept(forged + b"\r\nCause: 17", NEEDS[b"Hangup"])
    assert caught.value.channel == ""


@pytest.mark.parametrize("uniqueid", ["", "a b", "u" * 150, "1;System(id)", "../x", "1.1\u0661"])
def test_a_uniqueid_of_odd_form_is_refused(uniqueid: str) -> None:
    frame = event("Hangup", Channel=CHANNEL, Uniqueid=uniqueid, Cause="16")
    with pytest.raises(Rejected):
        Vetting(SYSTEM).accept(frame, NEEDS[b"Hangup"])


def test_a_scalar_never_becomes_a_list_and_the_first_one_is_kept() -> None:
    found, wrong = headers(b"Event: Newchannel\r\nUniqueid: 1.1\r\nUniqueid: 2.2")
    assert found["Uniqueid"] == "1.1"
    assert wrong == "Uniqueid twice"


def test_headers_that_real_frames_repeat_are_no_fault() -> None:
    assert headers(b"Event: VarSet\r\nChanVariable: novalue\r\nChanVariable: b=2")[1] == ""


def test_an_event_counts_once_and_neighbours_may_be_swapped() -> None:
    vetting = Vetting(SYSTEM)

    def taken(sequence: int) -> bool:
        return vetting.accept(new_channel(sequence), NEEDS[b"Newchannel"]) is not None

    assert [taken(s) for s in (23, 22, 24, 22, 24)] == [True, True, True, False, False]
    assert taken(24 + 5 * WINDOW)
    assert not taken(30)  # far behind: a replay
    assert all(taken(24 + 5 * WINDOW + n) for n in range(1, 3 * WINDOW))
    assert len(vetting._seen) <= 2 * WINDOW + 1


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_rejected(data: bytes) -> None:
    vetting = Vetting(SYSTEM)
    for frame in Framer().feed(data + b"\r\n\r\n"):
        event_name(frame), action_id(frame)
        with pytest.raises(Rejected):
            vetting.accept(frame, ("Uniqueid",))


def test_states_and_causes() -> None:
    base = {"Timestamp": "5.5", "Uniqueid": "u", "Channel": CHANNEL}
    assert ami_facts.fact(b"Newstate", base | {"ChannelState": "5"}, "n") is None
    assert ami_facts.fact(b"Newstate", base | {"ChannelState": "6"}, "n") == ChannelUp(at=5.5, node="n", uniqueid="u")
    for text, cause in {"17": 17, "": 0, "x": 0, "-1": 0, "99999": 0}.items():
        gone = ami_facts.fact(b"Hangup", base | {"Cause": text}, "n")
        assert gone == ChannelGone(at=5.5, node="n", uniqueid="u", cause=cause)


@pytest.mark.parametrize(
    ("device", "state", "fact"),
    [
        ("PJSIP/2001", "NOT_INUSE", ("2001", True)),
        ("PJSIP/2001", "UNAVAILABLE", ("2001", False)),
        ("PJSIP/2001", "INVALID", ("2001", False)),
        ("PJSIP/2001-web", "NOT_INUSE", None),
        ("PJSIP/trunk-demo", "UNAVAILABLE", None),
        ("Local/2001@x", "INUSE", None),
    ],
)
def test_stations_are_desk_phones(device: str, state: str, fact: tuple[str, bool] | None) -> None:
    found = ami_facts.fact(b"DeviceStateChange", {"Timestamp": "1", "Device": device, "State": state}, "n")
    wanted = StationState(at=1.0, node="n", station=fact[0], reachable=fact[1]) if fact else None
    assert found == wanted


def test_a_number_is_digits_and_a_name_has_no_control_characters() -> None:
    assert [ami_facts.number(n) for n in ("+62811", "<unknown>", "anonymous", "1" * 33, "a;b")] == [
        "+62811", "", "", "", "",
    ]  # fmt: skip
    assert ami_facts.name("王\x00小\u2028明<b>") == "王小明<b>"
    assert ami_facts.name(r"O\'Brien \"Bob\" \? \n") == "O'Brien \"Bob\" ?"
    assert ami_facts.name(r"\\\"Bob\\\" C:\\\\new") == '"Bob" C:\\new'  # sent as "\"Bob\" C:\\new"
    assert ami_facts.name("<unknown>") == ""
    assert len(ami_facts.name("x" * 500)) == 80
