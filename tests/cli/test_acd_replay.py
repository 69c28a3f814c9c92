"""`cti acd replay` as a supervisor types it, on a recorded day in a real database and on a made-up one."""

from __future__ import annotations

import asyncio
import json
import os
import random
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from kit_cli import Cti, ask, typed
from kit_story import Story

from cti.adapters.journal import Journal
from cti.adapters.postgres_writer import Writer
from cti.core.messages import Event

NOON = datetime(2026, 3, 2, 12, tzinfo=ZoneInfo("Asia/Jakarta")).timestamp()
QUEUES = "queues:\n  sales: {wrap_up: 60s, service_level: {percent: 80, within: 10s}}\n"


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "queues.yaml").write_text(QUEUES)
    return folder


@pytest.fixture
def cti(monkeypatch: Any, capsys: Any, tmp_path: Path, flows: Path) -> Cti:
    return typed(monkeypatch, capsys, tmp_path, PATHS__FLOWS=flows)


@pytest.fixture
def on_record(monkeypatch: Any, capsys: Any, tmp_path: Path, flows: Path, dsn: str) -> Cti:
    """A database with a noon: forty callers a minute apart for one agent, who needs 50 s and a minute of wrap-up."""
    asyncio.run(store(dsn, tmp_path, noon()))
    return typed(monkeypatch, capsys, tmp_path, PATHS__FLOWS=flows, POSTGRES__DSN=dsn)


def noon() -> list[Event]:
    rnd, free, events = random.Random(5), NOON, [state(NOON, "ready", "idle")]
    for n in range(40):
        at = NOON + 60 * n
        story = Story(at, rnd)
        begin = max(at, free) - at
        story.say("call.arrived", 0, direction="inbound", caller=f"+6281{n}", called="6000", node="main")
        story.say("call.queued", 0, queue="sales", visit=1, priority=0, skills={}, entered_at=at)
        if begin > 240:
            story.say("call.dequeued", 240, queue="sales", visit=1, result="abandoned")
            story.say("call.ended", 240, cause=16, side="caller", flow_result="")
        else:
            free = at + begin + 4 + 50 + 60
            story.say("call.offered", begin, "ani", "sales", offer=f"o{n}", visit=1, decision={}, station="2001")
            story.say("call.connected", begin + 4, "ani", "sales", offer=f"o{n}", visit=1, bridge="b")
            story.say("call.dequeued", begin + 4, "ani", "sales", visit=1, result="answered")
            story.say("call.disconnected", begin + 54, "ani", offer=f"o{n}", by="agent")
            story.say("call.wrapped", begin + 114, "ani", how="timer")
            story.say("call.ended", begin + 54, cause=16, side="caller", flow_result="")
            for after, work in ((0, "reserved"), (4, "talking"), (54, "wrap_up"), (114, "idle")):
                events.append(state(at + begin + after, "ready", work, story.call if work != "idle" else ""))
        events += story.events
    return [*events, state(NOON + 3 * 3600, "logged_out", "idle")]


def state(at: float, wish: str, work: str, call: str = "") -> Event:
    data = {"wish": wish, "work": work, "reason": "", "station": "2001"}
    return Event(type="agent.state_changed", at=at, agent="ani", call_id=call, data=data)


async def store(dsn: str, folder: Path, events: list[Event]) -> None:
    journal = Journal.open(folder)
    journal.append(events)
    writer = Writer(dsn, journal)
    await writer.catch_up()
    await writer.drop_link()
    journal.close()


def test_a_recorded_day_through_a_shorter_wrap_up(on_record: Cti, dsn: str, tmp_path: Path) -> None:
    on_record("user", "add", "ani", "--role", "agent", "--skill", "sales=5")
    other = tmp_path / "other.yaml"
    other.write_text(QUEUES.replace("60s", "5s"))
    code, out, err = on_record("acd", "replay", "--day", "2026-03-02", "--queues", str(other), "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    sales, ani = told["queues"]["sales"], told["agents"]["ani"]
    assert sales["offered"]["recorded"] == 40
    assert sales["answered"]["now"]["mean"] == pytest.approx(sales["answered"]["recorded"], abs=2)
    assert sales["wait_mean"]["now"]["mean"] == pytest.approx(sales["wait_mean"]["recorded"], rel=0.1)
    assert sales["service_level"]["other"]["mean"] > 0.9 > 0.2 > sales["service_level"]["now"]["mean"]
    assert sales["wait_mean"]["difference"]["mean"] < -60
    assert ani["calls"]["recorded"] == sales["answered"]["recorded"]
    assert ani["calls"]["other"]["mean"] == 40

    before = ask(dsn, lambda one: one.db.rows("replay_visits", 0.0, 4e9))
    code, out, _ = on_record("acd", "replay", "--day", "2026-03-02", "--queues", str(other), "--seeds", "2")
    assert code == 0
    assert "queue sales" in out and "recorded" in out and "difference" in out
    assert "The simulated present beside what was recorded: service level of sales" in out
    assert ask(dsn, lambda one: one.db.rows("replay_visits", 0.0, 4e9)) == before
    code, out, _ = on_record("acd", "replay", "--day", "2026-03-02", "--seeds", "1")
    assert code == 0 and "difference" not in out and "+-" not in out.split("\n", 2)[2]


def test_who_has_left_since_then_works_on_that_day(on_record: Cti) -> None:
    on_record("user", "add", "ani", "--role", "agent", "--skill", "sales=5")
    on_record("user", "disable", "ani")
    code, out, _ = on_record("acd", "replay", "--day", "2026-03-02", "--seeds", "2", "--json")
    answered = json.loads(out)["queues"]["sales"]["answered"]
    assert code == 0 and answered["now"]["mean"] == pytest.approx(answered["recorded"], abs=2)


def test_a_day_that_is_not_there(on_record: Cti) -> None:
    for day, words in (("2026-03-01", "nobody waited"), ("2026-13-01", "write it as"), ("3026-03-01", "has not begun")):
        code, out, err = on_record("acd", "replay", "--day", day)
        assert (code, out) == (2, "") and words in err


def test_a_made_up_day_needs_no_database(cti: Cti, tmp_path: Path) -> None:
    words = ("acd", "replay", "--generate", "calls=200,hours=2,agents=7,talk=180,wrap=60", "--seeds", "3")
    code, out, err = cti(*words, "--json")
    assert (code, err) == (0, "")
    assert cti(*words, "--json") == (0, out, "")  # the same seeds, the same days
    told = json.loads(out)
    assert told["queues"]["sales"]["offered"]["now"]["mean"] == 200
    assert told["queues"]["sales"]["offered"]["recorded"] is None
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "queues.yaml").write_text(QUEUES.replace("60s", "0s"))
    code, out, err = cti(*words, "--queues", str(folder))
    assert (code, err) == (0, "")
    assert "agent007" in out and "recorded" not in out


@pytest.mark.parametrize(("plan", "words"), [
    ("calls=x", "calls=x is no whole number"), ("talk=", "talk= is no number"), ("cals=3", "cals is not known"),
    ("calls=0", "calls must be from 1 to 200000"), ("calls=1,calls=2", "calls is given twice"),
    ("hours=nan", "hours must be from"),
])  # fmt: skip
def test_a_plan_that_is_none(cti: Cti, plan: str, words: str) -> None:
    code, out, err = cti("acd", "replay", "--generate", plan)
    assert (code, out) == (2, "") and words in err


def test_what_is_wrong_is_told_of_the_file_that_was_named(cti: Cti, tmp_path: Path) -> None:
    words = ("acd", "replay", "--generate", "calls=5", "--queues")
    (other := tmp_path / "other.yaml").write_text("queues:\n  sales: {rings: 5s}\n")
    code, out, err = cti(*words, str(other))
    assert (code, out) == (1, "") and err.startswith(f"{other}:2:11: `rings` is no key")
    other.write_bytes(b"#" * 300_000)
    assert cti(*words, str(other)) == (2, "", f"cti: {other}: larger than 256 KiB\n")
    os.mkfifo(pipe := tmp_path / "pipe.yaml")
    assert cti(*words, str(pipe)) == (2, "", f"cti: {pipe}: not a regular file\n")
    (folder := tmp_path / "folder").mkdir()
    (folder / "queues.yaml").write_bytes(b"queues: {}\n# \xff\n")
    told = f"{folder}/queues.yaml:2:1: not UTF-8 text (save the file as UTF-8)\n"
    assert cti(*words, str(folder)) == (1, "", told)


def test_other_queues_that_are_none(cti: Cti, tmp_path: Path) -> None:
    words = ("acd", "replay", "--generate", "calls=5", "--queues")
    code, out, err = cti(*words, str(tmp_path / "nowhere.yaml"))
    assert (code, out) == (2, "") and "nowhere.yaml: No such file" in err
    bad = tmp_path / "bad.yaml"
    bad.write_text("queues:\n  sales: {rings: 5s}\n")
    code, out, err = cti(*words, str(bad))
    assert (code, out) == (1, "") and "bad.yaml:2:11" in err
    bad.write_bytes(b"\xff\xfe")
    assert cti(*words, str(bad))[0] == 2
    (tmp_path / "empty").mkdir()
    code, out, err = cti(*words, str(tmp_path / "empty"))
    assert (code, out) == (2, "") and "empty: there are no queues in it" in err
    assert cti("acd", "replay", "--generate", "calls=5", "--seeds", "0")[0] == 2
    assert cti("acd", "replay")[0] == 2


def test_a_site_that_has_no_queues(cti: Cti, flows: Path) -> None:
    (flows / "queues.yaml").unlink()
    code, out, err = cti("acd", "replay", "--generate", "calls=5")
    assert (code, out) == (2, "") and "flows: there are no queues in it" in err


def test_a_database_that_is_away(monkeypatch: Any, capsys: Any, tmp_path: Path, flows: Path) -> None:
    cti = typed(monkeypatch, capsys, tmp_path, PATHS__FLOWS=flows, POSTGRES__DSN="postgresql://u@127.0.0.1:9/x")
    assert cti("acd", "replay", "--day", "2026-03-02")[0] == 3
