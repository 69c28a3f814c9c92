"""What the benchmark reads off the wire: one call from INVITE to the agent's voice, and who was free for whom."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "bench"))

from wire import AGENT_SPEAKS, MARK, Call, Offer, Packet, fold, freed_to_next, offered, write_sound

SIP, CALLER, AGENTS = 5060, 6000, 6001


def said(at: float, source: int, target: int, first: str, name: str, sequence: str = "1 INVITE") -> Packet:
    text = f'{first}\r\nFrom: "x" <sip:+62811@127.0.0.1>;tag=1\r\nCall-ID: {name}\r\nCSeq: {sequence}\r\n\r\n'
    return Packet(at, source, target, (text + "m=audio 27000 RTP/AVP 0\r\n").encode())


def test_one_call() -> None:
    invite, ok = "INVITE sip:6800@127.0.0.1 SIP/2.0", "SIP/2.0 200 OK"
    ring = "INVITE sip:3000@127.0.0.1:6001 SIP/2.0"
    voice = Packet(1.5, 20600, 27000, b"\0" * 12 + MARK)
    packets = [
        said(1.0, CALLER, SIP, invite, "c"),
        said(1.1, CALLER, SIP, invite, "c"),  # sent again: the first one counts
        said(1.2, SIP, AGENTS, ring, "a"),
        said(1.3, AGENTS, SIP, ok, "a"),
        said(1.4, SIP, CALLER, ok, "c"),
        voice._replace(at=1.45, data=b"\0" * 12 + b"\xff" * 160),  # music is not the agent
        voice,
        voice._replace(at=1.6),
        said(4.3, AGENTS, SIP, "BYE sip:x SIP/2.0", "a", "1 BYE"),
        said(4.31, SIP, AGENTS, ok, "a", "1 BYE"),
        said(4.4, SIP, CALLER, "BYE sip:x SIP/2.0", "c", "1 BYE"),
        said(9.0, CALLER, 7777, invite, "another switch's"),
    ]
    calls, offers = fold(packets, SIP)
    assert calls == [Call("62811", 1.0, 27000, answered=1.4, heard=1.5, ended=4.4)]
    assert offers == [Offer("3000", "62811", 1.2, answered=1.3, freed=4.3)]
    assert offered(calls, offers) == pytest.approx([0.2])


def test_an_agent_is_free_for_the_next_only_where_somebody_waits() -> None:
    calls = [Call("1", 0.0, 2, answered=0.0), Call("2", 1.0, 4, answered=1.0), Call("3", 9.0, 6, answered=9.0)]
    offers = [Offer("3000", "1", 0.1, freed=3.0), Offer("3000", "2", 3.5, freed=6.0), Offer("3000", "3", 9.1)]
    assert freed_to_next(calls, offers) == [0.5]
    assert freed_to_next(calls, offers, wrap_up=0.25) == [0.25]


def test_a_capture_has_every_packet_at_its_time(tmp_path: Path) -> None:
    data = write_sound(tmp_path / "agent.pcap", MARK, AGENT_SPEAKS).read_bytes()
    step = 16 + 14 + 20 + 8 + 12 + len(MARK)
    records = [data[at : at + step] for at in range(24, len(data), step)]
    at = [int.from_bytes(r[:4], "little") * 1000 + int.from_bytes(r[4:8], "little") // 1000 for r in records]
    assert at == list(AGENT_SPEAKS)
    assert all(r.endswith(MARK) for r in records)
