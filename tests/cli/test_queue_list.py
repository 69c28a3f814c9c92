"""`cti queue list`: what a supervisor reads of the queues, and what a script does; and what it says of a bad file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kit_cli import Cti, typed

from cti.core.ivr.queue_source import queue_keys

QUEUES = """routing: {aging: 0s, balance: true, outbound_counts: false}
queues:
  plain: {}
  sales:
    skills: {english: 2, any: [{dutch: 1}, {german: 1, french: 2}]}
    relax: [{after: 30s, skills: {english: 1}, also: {support: 3}}, {after: 60s, any_agent: true}]
    agents: fastest
    idle_limit: 5m
    last_agent: 20s
    keep_idle: 2
    priority: 3
    raise: [{when: "{{ customer.tier == 'vip' }}", by: 10}]
    calendar: office
    overflow: {wait: 5m, ratio: 3, no_agents: 0s, closing: true}
    return_within: 10m
    capacity: [{calls: 5, calendar: lunch}, {calls: 10}]
    music: jazz
    announce: {position: true, every: 45s, say: {en: "Hold on"}, play: hello}
    whisper: {en: "Sales"}
  other: {skills: {}, calendar: office, announce: {wait: true}, whisper: {play: beep}, capacity: 4}
"""
BOMBS = {
    "types": "routing: [1]\nqueues: {sales: {ring: [5s], relax: 7, raise: {a: b}, capacity: {}, whisper: true}}\n",
    "no numbers": "queues: {sales: {ring: .nan, max_wait: 1e9s, idle_limit: -5s, overflow: {ratio: -.inf}}}\n",
    "a long list": "queues: {sales: {relax: [" + ", ".join(["{after: 1s, any_agent: true}"] * 3_000) + "]}}\n",
    "unknown keys": "queues: {sales: {\u202eevil: 1, Ring: 5s, '\\e[2J': 1}}\n",
    "letters": "queues: {s\u0430les: {}, '\U0001f600': {}}\n",
    "aliases": "queues: {a: &a {ring: 5s}, b: *a}\n",
    "an expression": 'queues: {sales: {raise: [{when: "{{ 9**9**9 }}", by: 1}, {when: "{{ x.__init__ }}", by: 1}]}}\n',
    "contradictions": "queues: {sales: {relax: [{after: 5s, any_agent: true}, {after: 5s, skills: {sales: 9}}]}}\n",
    "half a file": "queues: {sales: {ring: 5s",
    "no text": "\x00\x01\x02",
}
LINES = """routing: priority alone decides; whose queue is furthest behind its goal comes first; \
a call out leaves the idle time of an agent as it is
plain            needs plain 1                      ring 15s  wrap-up 30s  at most 10m  goal 80 % in 20s
    callbacks: 3 tries, one every 10m, within 1d
sales            needs english 2, one of dutch 1 / french 2, german 1 ring 15s  wrap-up 30s  at most 10m  \
goal 80 % in 20s
    relaxed: after 30s english 1, also support 3; after 1m any agent
    agents: fastest, before that who is idle for 5m, the last one alone for 20s, 2 kept for callers
    priority: 3; customer.tier == 'vip' (+10)
    leaves: new callers while office is closed, and those who wait, expected wait over 5m, \
more than 3 callers for each agent, nobody signed on, his place is kept for 10m
    at once: 5 while lunch is open, else 10
    heard: position and text in en and hello after 15s, then every 45s, music jazz, agents hear a whisper in en
    callbacks: 3 tries, one every 10m, within 1d while office is open
other            needs nobody special               ring 15s  wrap-up 30s  at most 10m  goal 80 % in 20s
    leaves: new callers while office is closed
    at once: 4
    heard: wait after 15s, then every 1m, agents hear beep
    callbacks: 3 tries, one every 10m, within 1d while office is open
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "queues.yaml").write_text(QUEUES)
    (flows / "calendars.yaml").write_text("calendars: {office: {}, lunch: {}}\n")
    return flows


@pytest.fixture
def cti(monkeypatch: Any, capsys: Any, tmp_path: Path, folder: Path) -> Cti:
    return typed(monkeypatch, capsys, tmp_path, PATHS__FLOWS=folder)


def test_every_setting_that_is_not_the_usual_one_is_told(cti: Cti) -> None:
    assert cti("queue", "list") == (0, LINES, "")


def test_the_usual_routing(cti: Cti, folder: Path) -> None:
    (folder / "queues.yaml").write_text("queues: {}\n")
    assert cti("queue", "list") == (0, "routing: a point of priority is worth 1m\n", "")


def test_all_settings_as_json(cti: Cti) -> None:
    code, out, _ = cti("queue", "list", "--json")
    found = {queue["name"]: queue for queue in json.loads(out)}
    assert code == 0 and list(found) == ["plain", "sales", "other"]
    sales = found["sales"]
    assert set(sales) == {"name", "routing", *queue_keys()}
    assert sales["raise"] == [{"when": "{{ customer.tier == 'vip' }}", "by": 10}]
    assert (sales["announce"]["say"], sales["announce"]["play"]) == ({"en": "Hold on"}, ["hello"])
    assert sales["whisper"] == {"en": "Sales"} and found["other"]["whisper"] == {"play": "beep"}
    assert found["plain"]["skills"] == {"plain": 1} and found["other"]["skills"] == {}
    assert sales["routing"] == {"aging": 0.0, "balance": True, "outbound_counts": False}
    assert sales["overflow"] == {"wait": 300.0, "ratio": 3.0, "no_agents": 0.0, "closing": True}
    assert sales["capacity"] == [{"calls": 5, "calendar": "lunch"}, {"calls": 10, "calendar": ""}]
    assert found["plain"]["callback"]["tries"] == 3


def test_a_bad_file_is_told_and_nothing_else(cti: Cti, folder: Path) -> None:
    (folder / "queues.yaml").write_text("queues: {sales: {capacity: none}}\n")
    for more in ((), ("--json",)):
        code, out, err = cti("queue", "list", *more)
        assert (code, out) == (1, "") and "queues.yaml:1:28: `capacity` must be a whole number" in err


@pytest.mark.parametrize("name", BOMBS)
def test_whatever_is_written_is_told_in_lines(cti: Cti, folder: Path, name: str) -> None:
    """Each with its place; no traceback, nothing that a terminal would not show as it is."""
    (folder / "queues.yaml").write_text(BOMBS[name], encoding="utf-8", errors="surrogatepass")
    for words in (("flow", "check", str(folder)), ("queue", "list")):
        code, out, err = cti(*words)
        lines = (out + err).splitlines()
        assert code == 1 and lines and "Traceback" not in out + err
        assert all(line.startswith("queues.yaml") for line in lines), lines[:3]
        assert all(line.isprintable() for line in lines)
