"""Decisions in plain words, and the verbs that ask a running server why."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from kit_cli import typed

from cti.cli.decision import length, of_agent, of_call, skills, told
from cti.config import load

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))

from webkit import Site

BASE = {"waited": 12.3, "priority": 10, "candidates": 3, "idle": 241.0}
OVER = [{"agent": "budi", "idle": 120.0}]
NEXT = [{"call_id": "018f0000-0000-7000-8000-000000000001", "queue": "support", "priority": 0, "waited": 4.0},
        {"call_id": "callback/8cee0000-1111-7000-8000-000000000001", "queue": "support", "priority": 0, "waited": 9.0}]


@pytest.mark.parametrize(("decision", "words"), [
    (None, ""),
    ({}, ""),
    (BASE | {"rule": "longest_idle"}, "idle longest (4 min) of 3 who could; the caller had waited 12 s, priority 10"),
    (BASE | {"rule": "longest_idle", "over": OVER, "needs": {"english": 3}, "levels": {"english": 5}, "step": 1},
     "idle longest (4 min) of 3 who could; the caller had waited 12 s, priority 10; needs english 3, has english 5; "
     "relax step 1; before budi (2 min)"),
    (BASE | {"rule": "fastest", "handling": 95.0},
     "the fastest in this queue (2 min a call) of 3 who could; the caller had waited 12 s, priority 10"),
    (BASE | {"rule": "best_level"}, "the best level of 3 who could; the caller had waited 12 s, priority 10"),
    (BASE | {"rule": "idle_limit"},
     "idle for longer than the limit (4 min), of 3 who could; the caller had waited 12 s, priority 10"),
    (BASE | {"rule": "named_agent"}, "asked for by name; the caller had waited 12 s, priority 10"),
    (BASE | {"rule": "last_agent"}, "talked to this caller last; the caller had waited 12 s, priority 10"),
    (BASE | {"rule": "next_caller", "over": NEXT},
     "became free; this caller came first; the caller had waited 12 s, priority 10; "
     "before 018f0000-0000 in support (4 s), callback 8cee0000-1111 in support (9 s)"),
    ({"rule": "something_old", "waited": 1}, "something_old; the caller had waited 1 s, priority 0"),
])  # fmt: skip
def test_a_decision_in_words(decision: dict[str, Any] | None, words: str) -> None:
    assert told(decision) == words


def test_skills_and_lengths() -> None:
    assert skills({"english": 3, "sales": 1}) == "english 3, sales 1"
    assert skills({"sales": 1, "any": [{"dutch": 1}, {"english": 5}]}) == "sales 1, one of dutch 1 / english 5"
    both = {"any": [[{"dutch": 1}], [{"tea": 2}]], "also": [{"boss": 1}]}
    assert skills(both) == "one of dutch 1, one of tea 2, or boss 1"
    assert skills(None) == skills({}) == skills({"also": [{"boss": 1}]}) == "", "whoever it is"
    said = [length(seconds) for seconds in (0, 59.4, 60, 3599, 3900, None)]
    assert said == ["0 s", "59 s", "1 min", "1 h 0 min", "1 h 5 min", "?"]


WAITS = {
    "queue": "sales", "position": 2, "priority": 5, "why": "busy", "signed_on": 3, "for": None, "until": None,
    "step": 1, "steps": 3, "needs": {"english": 1}, "next_step_at": "2026-11-25T03:00:30Z",
    "raised": ["{{ customer.tier }}"],
}  # fmt: skip
BEST = {"rule": "best_level"}
OFFER = {"agent": "ani", "offered_at": "2026-11-25T03:00:00Z", "result": "missed", "decision": BEST}


def test_why_a_call_waits_in_lines() -> None:
    said = {"call_id": "c1", "waits": WAITS, "offers": [OFFER, OFFER | {"result": None, "decision": None}]}
    assert list(of_call(said, UTC)) == [
        "c1 waits in sales, place 2, priority 5",
        "  none of the 3 signed on who could take it is free",
        "  needs english 1 (relax step 1 of 2)",
        "  next step at 03:00:30",
        "  priority changed by the rule {{ customer.tier }}",
        "03:00:00 offered to ani (missed): the best level of 1 who could",
        "03:00:00 offered to ani (rings)",
    ]
    preferred = {"why": "preferred", "for": "budi", "until": "2026-11-25T03:00:20Z"}
    lines = list(of_call({"call_id": "c1", "waits": WAITS | preferred, "offers": []}, UTC))
    assert lines[1] == "  it waits for budi alone until 03:00:20"
    assert list(of_call({"call_id": "c1", "waits": None, "offers": []}, UTC)) == [
        "c1 waits in no queue and was offered to nobody"
    ]


def test_why_an_agent_is_idle_in_lines() -> None:
    row = {"queue": "sales", "waiting": 2, "longest_since": "2026-11-25T03:00:00Z", "lacks": [], "opens_at": None}
    said = {
        "agent": "ani", "name": "Ani", "why": "", "idle_since": "2026-11-25T02:00:00Z", "waiting": 4, "reason": "",
        "queues": [
            row | {"why": "skills", "lacks": [{"skill": "english", "needs": 3, "has": 1}],
                   "opens_at": "2026-11-25T03:01:00Z"},
            row | {"why": "preferred", "for": "budi", "until": "2026-11-25T03:00:20Z"},
            row | {"why": "capacity"}, row | {"why": "skills", "lacks": [{"skill": "tea", "needs": 1, "has": 0}]},
        ],
    }  # fmt: skip
    assert list(of_agent(said, UTC)) == [
        "Ani (ani) is free since 02:00:00; 4 wait",
        "  sales: 2 since 03:00:00: lacks english 3 (has 1); may take them from 03:01:00",
        "  sales: 2 since 03:00:00: they wait for budi until 03:00:20",
        "  sales: 2 since 03:00:00: as many of the queue's calls are with agents as it allows",
        "  sales: 2 since 03:00:00: lacks tea 1 (has 0)",
    ]
    busy = said | {"why": "not_ready", "reason": "lunch", "name": "ani"}
    assert list(of_agent(busy, UTC)) == ["ani is not ready (lunch)"]


# ---------------------------------------------------------------- the verbs


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Site]:
    """A server of the home `tmp_path`, that knows its key, on another thread."""
    (tmp_path / "cti.toml").write_text('[ami]\nsecret = "a-secret-of-twenty-letters"\n')
    key = load(tmp_path / "cti.toml", {}).status_key
    loop, made = asyncio.new_event_loop(), threading.Event()
    sites: list[Site] = []

    def serve() -> None:
        asyncio.set_event_loop(loop)
        sites.append(Site(status_key=key))
        loop.run_until_complete(sites[0].start())
        made.set()
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert made.wait(10)
    yield sites[0]
    asyncio.run_coroutine_threadsafe(sites[0].runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_the_verbs_ask_the_running_server(running: Site, monkeypatch: Any, capsys: Any, tmp_path: Path) -> None:
    cti = typed(monkeypatch, capsys, tmp_path, HTTP__PORT=running.port)
    code, out, err = cti("agent", "why", "anna")
    assert (code, err) == (0, "") and out.startswith("Anna Wijaya (anna) is free since")
    running.engine.why = {"why": "not_ready", "reason": "lunch", "waiting": 0, "queues": []}
    assert cti("agent", "why", "anna")[1] == "Anna Wijaya (anna) is not ready (lunch)\n"
    code, out, err = cti("agent", "why", "nobody")
    assert code == 1 and "there is no agent nobody" in err

    call_id = running.engine.waits(why="nobody", signed_on=0)
    running.engine.pops["x"] = {"call": {"call_id": call_id}}  # on the line
    code, out, _ = cti("call", "why", call_id[:8])
    assert code == 0 and "nobody is signed on who could take it" in out
    code, out, _ = cti("call", "why", call_id, "--json")
    assert code == 0 and '"why": "nobody"' in out


def test_without_a_server_the_verbs_say_so(monkeypatch: Any, capsys: Any, tmp_path: Path) -> None:
    cti = typed(monkeypatch, capsys, tmp_path, HTTP__PORT=1)
    for words in (("agent", "why", "anna"), ("call", "why", "018f0000")):
        code, _, err = cti(*words)
        assert code == 3 and "does not answer" in err
