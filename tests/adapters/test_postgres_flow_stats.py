"""How callers went through the flows, on a real PostgreSQL."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from kit_story import Story

from cti.adapters.journal import Journal
from cti.adapters.postgres import Store

pytestmark = pytest.mark.services
START = 1_790_000_000.0
DAY = 86_400.0


class Caller(Story):
    """A call into flow main; `node` says that it left one."""

    def __init__(self, at: float, seed: int, version: int = 3) -> None:
        super().__init__(at, random.Random(seed))
        self.say("call.arrived", 0, direction="inbound", caller="+62811", called="6000", node="main")
        self.say("flow.started", 1, flow="main", version=version, language="en")

    def node(self, after: float, node: str, outcome: str, to: str = "", flow: str = "main") -> Caller:
        self.say(
            "flow.node", after, flow=flow, node=node, verb="menu" if node == "menu" else "say", outcome=outcome, to=to
        )
        return self

    def end(self, after: float, how: str = "flow_ended", side: str = "system") -> Caller:
        if how:
            self.say("flow.ended", after, flow="main", how=how)
        self.say("call.ended", after + 0.5, cause=16, side=side, flow_result=how)
        return self


def callers() -> list[Story]:
    served = (
        Caller(START, 1).node(3, "greet", "done", "menu").node(13, "menu", "1", "bye").node(15, "bye", "done", "hangup")
    )
    polite = (
        Caller(START + 60, 2).node(3, "greet", "done", "menu").node(23, "menu", "1", "bye").node(24, "bye", "hangup")
    )
    lost = Caller(START + 120, 3).node(2, "greet", "done", "menu").node(32, "menu", "hangup")
    queued = Caller(START + 180, 4, version=4).node(3, "greet", "done", "menu").node(5, "menu", "2", "sales")
    queued.say("call.queued", 5, queue="sales", visit=1, entered_at=queued.at + 5)
    broken = Caller(START + 240, 5, version=4).node(9, "greet", "error", "hangup")
    spoke = Caller(START + 300, 6, version=4).node(3, "greet", "done", "box")
    spoke.say("voicemail.left", 9, box="support", seconds=5.0, recording_id="r1")
    spoke.node(9, "box", "hangup")
    there = Caller(START + 360, 7, version=4).node(3, "greet", "done", "menu")
    other_day = Caller(START - 10, 8).node(3, "greet", "done", "menu").end(5, "")
    ended = [served.end(15), polite.end(24), lost.end(32), queued.end(60, ""), broken.end(9, "failed"), spoke.end(9)]
    return [*ended, there, other_day]


async def keep(store: Store, folder: Path, stories: list[Story]) -> None:
    journal = Journal.open(folder / "journal")
    journal.append([event for story in stories for event in story.events])
    await store.catch_up(journal)
    journal.close()


def near(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}


async def test_nodes_are_counted_with_ways_out_drop_offs_and_times(store: Store, tmp_path: Path) -> None:
    await keep(store, tmp_path, callers())
    rows = {row["node"]: near(row) for row in await store.flow_nodes("main", START, START + DAY)}
    assert set(rows) == {"greet", "menu", "bye", "box"}
    assert rows["menu"] == {
        "node": "menu", "verb": "menu", "visits": 4, "mean": 15.5, "median": 15.0, "p90": 27.0, "left": 1,
        "outcomes": [{"outcome": "1", "to": "bye", "count": 2}, {"outcome": "2", "to": "sales", "count": 1},
                     {"outcome": "hangup", "to": "", "count": 1}],
    }  # fmt: skip
    assert rows["greet"]["visits"] == 7 and rows["greet"]["left"] == 0
    [four] = [row for row in await store.flow_nodes("main", START, START + DAY, 4) if row["node"] == "greet"]
    assert four["visits"] == 4
    assert await store.flow_nodes("other", START, START + DAY) == []
    assert await store.flow_nodes("main", START + DAY, START + 2 * DAY) == []


async def test_a_node_that_calls_another_flow_counts_once_when_that_has_come_back(store: Store, tmp_path: Path) -> None:
    called = {"flow": "main", "node": "who", "verb": "call"}
    back, lost, named_alike = Caller(START, 1), Caller(START + 60, 2), Caller(START + 120, 3)
    for story in (back, lost):
        story.say("flow.node", 2, **called, outcome="done", to="identify")
    back.node(5, "pin", "done", "return", flow="identify").say("flow.node", 5, **called, outcome="known", to="bye")
    lost.node(9, "pin", "hangup", flow="identify").end(9)
    named_alike.say("flow.node", 2, **called, outcome="done", to="other")  # a node of this flow, and no flow
    named_alike.node(4, "other", "done", "hangup").end(4)
    await keep(store, tmp_path, [back.node(6, "bye", "done", "hangup").end(6), lost, named_alike])
    [who] = [row for row in await store.flow_nodes("main", START, START + DAY) if row["node"] == "who"]
    assert sorted((one["outcome"], one["to"], one["count"]) for one in who["outcomes"]) == [
        ("done", "other", 1), ("known", "bye", 1),
    ]  # fmt: skip


async def test_what_was_told_twice_counts_once(store: Store, tmp_path: Path) -> None:
    [story] = [Caller(START, 1).node(3, "greet", "done", "menu")]
    story.events.append(story.events[-1])
    await keep(store, tmp_path, [story])
    [row] = await store.flow_nodes("main", START, START + DAY)
    assert (row["visits"], row["mean"]) == (1, 2.0)


async def test_containment_by_version(store: Store, tmp_path: Path) -> None:
    await keep(store, tmp_path, callers())
    four, three = map(near, await store.flow_calls(START, START + DAY, ["main/bye"]))
    assert three == {
        "flow": "main", "version": 3, "calls": 3, "contained": 2, "people": 0, "dropped": 1, "failed": 0, "running": 0,
        "mean_seconds": 22.667,
    }  # fmt: skip
    assert four == {
        "flow": "main", "version": 4, "calls": 4, "contained": 1, "people": 1, "dropped": 0, "failed": 1, "running": 1,
        "mean_seconds": 6.667,
    }  # fmt: skip
    strict = {row["version"]: row for row in await store.flow_calls(START, START + DAY, [], "main")}
    assert strict[3]["dropped"] == 2  # without a last node every hang-up is one too early
    assert await store.flow_calls(START, START + DAY, [], "other") == []


async def test_the_path_of_a_call(store: Store, tmp_path: Path) -> None:
    first, *_ = stories = callers()
    await keep(store, tmp_path, stories)
    path = await store.flow_path(first.call)
    assert [(row["node"], row["outcome"], row["went_to"], row["seconds"]) for row in path] == [
        ("greet", "done", "menu", 2.0), ("menu", "1", "bye", 10.0), ("bye", "done", "hangup", 2.0),
    ]  # fmt: skip
    assert path[0]["entered_at"].endswith("Z") and path[1]["entered_at"] == path[0]["left_at"]
    assert await store.flow_path(Caller(time.time(), 99).call) == []
