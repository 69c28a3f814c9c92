"""The flows' part of the fake engine and store: two versions, some figures, callers that a test puts into nodes."""

from __future__ import annotations

import time
import uuid
from typing import Any

from cti.adapters import flow_files
from cti.adapters.flow_files import Sources
from cti.core.ivr import Book
from cti.errors import BadInput

MAIN = """\
flow: main
language: en
defaults: {fail: sorry}
start: greet
nodes:
  greet: {do: say, say: "Welcome", then: menu}
  menu:
    do: menu
    say: "Press 1 for sales"
    options: {"1": sales, "2": hours_info, "*": repeat}
    fail: sorry
  sales: {do: queue, queue: sales, answered: bye, then: sorry}
  hours_info: {do: say, say: "From eight to five", then: menu}
  bye: {do: say, say: "Goodbye", then: hangup}
  sorry: {do: say, say: "Please call again", then: hangup}
"""
NIGHT = """\
flow: night
language: en
start: a
nodes:
  a: {do: say, say: "<b>Closed</b>", then: hangup}
"""
FILES = {
    1: {"main.yaml": MAIN.replace("Welcome", "Hello"), "numbers.yaml": 'numbers: {"6000": main}\n',
        "queues.yaml": "queues: {sales: {}}\n"},
    2: {"main.yaml": MAIN, "numbers.yaml": 'numbers: {"6000": main}\n', "queues.yaml": "queues: {sales: {}}\n",
        "night.yaml": NIGHT},
}  # fmt: skip


def way(outcome: str, to: str, count: int) -> dict[str, Any]:
    return {"outcome": outcome, "to": to, "count": count}


def node(name: str, verb: str, visits: int, left: int, *ways: dict[str, Any]) -> dict[str, Any]:
    outcomes = [*ways, way("hangup", "", left)] if left else list(ways)
    times = {"mean": 4.2, "median": 3.5, "p90": 11.0}
    return {"node": name, "verb": verb, "visits": visits, "left": left, "outcomes": outcomes, **times}


class Wrong(BadInput):
    """As the engine says that the folder has mistakes."""

    code = "bad_flows"

    def __init__(self, *problems: str) -> None:
        super().__init__(f"the flows are not published: {problems[0]}")
        self.problems = problems


class FlowsEngine:
    """`wrong` holds what is wrong with the folder; `done` what was asked for."""

    def start_flows(self, files: dict[int, dict[str, str]]) -> None:
        self.versions = files
        self.live: int | None = 2
        self.canary: tuple[int, int] | None = None
        self.wrong: list[str] = []
        self.done: list[tuple[Any, ...]] = []
        self.callers: list[dict[str, Any]] = []
        self.dates: list[dict[str, Any]] = [
            {"calendar": "office", "state": "closed", "holiday": "", "next_open": "2026-11-26T08:00",
             "time_zone": "Asia/Jakarta", "forced": None, "forced_until": None},
        ]  # fmt: skip

    def put(self, node: str, flow: str = "main", caller: str = "+628123456789") -> dict[str, Any]:
        row = {"call_id": str(uuid.uuid4()), "caller": caller, "caller_name": "", "flow": flow, "node": node,
               "since": time.time() - 75, "version": self.live, "state": "in_flow"}  # fmt: skip
        self.callers.append(row)
        return row

    def flow_callers(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.callers]

    def calendars(self) -> list[dict[str, Any]]:
        return self.dates

    async def flows_state(self) -> dict[str, Any]:
        about = {"published_at": time.time() - 3600, "published_by": "root", "note": ""}
        live = {"version": self.live, "share": 100, **about} if self.live else None
        canary = {"version": self.canary[0], "share": self.canary[1], **about} if self.canary else None
        problems = [
            {"file": "main.yaml", "line": 3, "column": 7, "message": one, "hint": "", "text": one} for one in self.wrong
        ]
        return {"live": live, "canary": canary, "problems": problems, "problems_at": time.time() if problems else None,
                "folder_changed": bool(problems), "auto_publish": True}  # fmt: skip

    async def flows_book(self, version: int) -> Book | None:
        files = self.versions.get(version)
        return flow_files.load(Sources(files=files), version=version)[0] if files else None

    async def flows_publish(self, by: str, note: str, share: int) -> dict[str, Any]:
        if self.wrong:
            raise Wrong(*self.wrong)
        self.done.append(("publish", by, note, share))
        version = max(self.versions) + 1
        self.versions[version] = dict(self.versions[version - 1])
        if share == 100:
            self.live = version
        else:
            self.canary = (version, share)
        return {"version": version, "share": share}

    async def flows_rollback(self, by: str, version: int) -> dict[str, Any]:
        if version not in self.versions:
            raise BadInput(f"there is no version {version}", "no_version")
        before, self.live = self.live, version
        self.done.append(("rollback", by, version))
        return {"live": version, "withdrawn": before}

    async def flows_share(self, by: str, version: int, percent: int) -> dict[str, Any]:
        self.done.append(("share", by, version, percent))
        self.canary = (version, percent) if percent else None
        return {"version": version, "share": percent}


class FlowsStore:
    """`engine` is the fake engine: what serves is the same for both."""

    engine: FlowsEngine

    def start_flows(self, files: dict[int, dict[str, str]]) -> None:
        self.versions = files
        self.forced: list[tuple[Any, ...]] = []
        self.counted = 0  # how often the database was asked to count
        self.nodes = [
            node("greet", "say", 120, 3, way("done", "menu", 117)),
            node(
                "menu", "menu", 130, 26, way("1", "sales", 80), way("2", "hours_info", 13), way("timeout", "sorry", 11)
            ),
            node("sales", "queue", 80, 4, way("answered", "bye", 60), way("timeout", "sorry", 16)),
        ]
        figures = {"contained": 30, "people": 80, "dropped": 28, "failed": 1, "running": 1, "mean_seconds": 21.5}
        self.by_version = [{"flow": "main", "version": 2, "calls": 140, **figures}]
        self.path: list[dict[str, Any]] = []

    async def flow_nodes(self, flow: str, since: float, until: float, version: int | None) -> list[dict[str, Any]]:
        self.counted += 1
        return self.nodes if flow == "main" else []

    async def flow_calls(
        self, since: float, until: float, last_nodes: list[str], flow: str | None
    ) -> list[dict[str, Any]]:
        assert "main/bye" in last_nodes
        return [row for row in self.by_version if row["flow"] == flow]

    async def flow_path(self, call_id: str) -> list[dict[str, Any]]:
        return self.path

    async def flow_history(self) -> list[dict[str, Any]]:
        canary = self.engine.canary or (0, 0)
        return [
            {"version": version, "published_at": "2026-11-25T08:00:00Z", "published_by": "root",
             "note": f"<i>{version}</i>", "live": version == self.engine.live,
             "share": canary[1] if version == canary[0] else 0,
             "rolled_back_at": None, "calls": 10 * version}
            for version in sorted(self.versions, reverse=True)
        ]  # fmt: skip

    async def load_flows(self, version: int) -> dict[str, str] | None:
        return self.versions.get(version)

    async def force_calendar(self, calendar: str, state: str | None, until: float, by: str) -> None:
        self.forced.append((calendar, state, until, by))
        [row] = [one for one in self.engine.dates if one["calendar"] == calendar]
        row.update(forced=state, forced_until=until or None)
