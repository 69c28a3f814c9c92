"""How many AMI events a second: our framing, vetting and facts beside panoramisk's parser alone, in one run.

    python bench/ami_parse.py [SECONDS]

`all events wanted` replays recorded calls; `as filtered` mixes in the events nobody reads, as they come."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from panoramisk.message import Message

from cti.adapters import ami_facts
from cti.adapters.ami_frames import Framer, Vetting, event_name

ROOT = Path(__file__).parents[1]


def frames() -> list[bytes]:
    found: list[bytes] = []
    for trace in sorted((ROOT / "tests" / "traces").glob("*.ami")):
        found += [f for f in Framer().feed(trace.read_bytes()) if b"\r\nSequenceNumber: " in f]
    return found


def numbered(frame: bytes, number: int) -> bytes:
    """With a SequenceNumber of its own, or it would be passed over as a repetition."""
    return re.sub(rb"SequenceNumber: [0-9]+", b"SequenceNumber: %d" % number, frame)


def ours(stream: bytes) -> None:
    vetting, facts = Vetting("ctitrace"), 0
    for frame in Framer().feed(stream):
        name = event_name(frame)
        if name in ami_facts.WANTED:
            headers = vetting.accept(frame, ami_facts.WANTED[name])
            facts += headers is not None and ami_facts.fact(name, headers, "main") is not None


def theirs(stream: bytes) -> None:
    for frame in stream.decode("utf-8", "ignore").split("\r\n\r\n"):
        if frame:
            Message.from_line(frame)


def rate(work: Callable[[bytes], None], stream: bytes, count: int, seconds: float) -> float:
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work(stream)
        best = max(best, count / (time.perf_counter() - start))
    return best


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    everything = frames()
    wanted = [f for f in everything if event_name(f) in ami_facts.WANTED]
    print(f"{'events/s, best of the run':<28}{'ours':>12}{'panoramisk':>12}{'times':>8}")
    for label, chosen in (("all events wanted", wanted), ("as filtered", everything)):
        many = chosen * (5000 // len(chosen) + 1)
        stream = b"".join(numbered(f, n) + b"\r\n\r\n" for n, f in enumerate(many, 1))
        a, b = (rate(work, stream, len(many), seconds) for work in (ours, theirs))
        print(f"{label:<28}{a:>12,.0f}{b:>12,.0f}{a / b:>8.1f}")


if __name__ == "__main__":
    main()
