"""Recorded frames of the real switch become the facts that were recorded with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cti.adapters import ami_facts
from cti.adapters.ami_frames import Framer, Vetting, event_name
from cti.core.messages import (
    Bridged,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    Fact,
    HangupRequested,
    Unbridged,
    decode,
)

TRACES = sorted((Path(__file__).parents[1] / "traces").glob("*.ami"))
KINDS = (ChannelNew, ChannelUp, HangupRequested, ChannelGone, Bridged, Unbridged)


def replay(data: bytes) -> list[Fact]:
    vetting = Vetting("ctitrace")
    found: list[Fact] = []
    for frame in Framer().feed(data):
        name = event_name(frame)
        if name not in ami_facts.WANTED or b"\r\nSequenceNumber: " not in frame:
            continue  # rows of the snapshot
        headers = vetting.accept(frame, ami_facts.WANTED[name])
        assert headers is not None
        fact = ami_facts.fact(name, headers, "main")
        if isinstance(fact, KINDS):
            found.append(fact)
    return found


@pytest.mark.parametrize("trace", TRACES, ids=lambda p: p.stem)
def test_a_trace_gives_its_facts(trace: Path) -> None:
    wanted = [decode(line) for line in trace.with_suffix(".facts").read_bytes().splitlines()]
    found = replay(trace.read_bytes())
    assert found
    assert found == [f for f in wanted if isinstance(f, KINDS)]


@pytest.mark.parametrize("trace", TRACES, ids=lambda p: p.stem)
def test_a_trace_doubled_frame_by_frame_counts_once(trace: Path) -> None:
    vetting = Vetting("ctitrace")
    for frame in Framer().feed(trace.read_bytes()):
        name = event_name(frame)
        if name in ami_facts.WANTED and b"\r\nSequenceNumber: " in frame:
            assert vetting.accept(frame, ami_facts.WANTED[name]) is not None
            assert vetting.accept(frame, ami_facts.WANTED[name]) is None


def test_there_are_traces() -> None:
    assert len(TRACES) >= 6
