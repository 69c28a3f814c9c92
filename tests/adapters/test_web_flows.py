"""Flows, their figures, versions and calendars over HTTP."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from webkit import CSRF, Site, code

from cti.adapters.web.flows_diff import changes
from cti.adapters.web.kept import Kept

V1 = "/api/v1"


async def get(client: Any, path: str) -> Any:
    answer = await client.get(f"{V1}{path}")
    assert answer.status == 200, await answer.text()
    return await answer.json()


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


async def test_agents_see_nothing_supervisors_read_admins_change(site: Site) -> None:
    reads = ["/flows", "/flows/live", "/flows/main", "/flows/main/drawing", "/flows/main/stats", "/flow-versions",
             "/flow-versions/1", "/flow-versions/1/diff", "/calendars", f"/calls/{uuid.uuid4()}/path"]  # fmt: skip
    changes = [("/flow-versions", {"note": "x"}), ("/flow-versions/1/rollback", None),
               ("/flow-versions/1/share", {"percent": 5})]  # fmt: skip
    async with site.client("anna") as agent, site.client("sari") as supervisor, site.client("root") as admin:
        for path in reads:
            assert await code(await agent.get(V1 + path)) == (403, "forbidden"), path
            assert (await supervisor.get(V1 + path)).status == (await admin.get(V1 + path)).status == 200, path
        for path, asked in changes:
            assert await code(await supervisor.post(V1 + path, json=asked, headers=CSRF)) == (403, "forbidden"), path
        assert site.engine.done == []
        for path, asked in changes:
            assert (await admin.post(V1 + path, json=asked, headers=CSRF)).status in (200, 201), path
    assert site.engine.done == [("publish", "root", "x", 100), ("rollback", "root", 1), ("share", "root", 1, 5)]


async def test_flows_tell_what_is_live_and_what_is_wrong(site: Site) -> None:
    site.engine.put("menu")
    site.engine.wrong = ["main.yaml:3:7: no such node"]
    async with site.client("sari") as client:
        said = await get(client, "/flows")
        assert [(row["flow"], row["nodes"], row["callers"]) for row in said["items"]] == [
            ("main", 6, 1),
            ("night", 1, 0),
        ]
        assert said["items"][0]["numbers"] == ["6000"] and said["live"]["version"] == 2
        assert said["problems"][0]["text"] == "main.yaml:3:7: no such node" and said["problems_at"].endswith("Z")
        site.engine.live = None
        assert (await get(client, "/flows"))["items"] == []
        assert await code(await client.get(f"{V1}/flows/main")) == (404, "not_found")


async def test_a_flow_of_any_version_has_its_source(site: Site) -> None:
    async with site.client("sari") as client:
        assert "Welcome" in (await get(client, "/flows/main"))["source"]
        old = await get(client, "/flows/main?version=1")
        assert "Hello" in old["source"] and old["version"] == 1 and old["start"] == "greet"
        assert old["nodes"][0] == {"node": "greet", "verb": "say", "to": {}, "then": "menu", "fail": None}
        for wrong in ("/flows/night?version=1", "/flows/none", "/flows/main?version=77"):
            assert (await client.get(V1 + wrong)).status == 404
        assert await code(await client.get(f"{V1}/flows/main?version=one")) == (400, "bad_version")


async def test_the_drawing_has_counts_and_who_is_there(site: Site) -> None:
    site.engine.put("menu")
    site.engine.put("menu")
    site.engine.put("a", "night")
    site.store.users["sari"].language = "zh"
    async with site.client("sari") as client:
        answer = await client.get(f"{V1}/flows/main/drawing")
        text = await answer.text()
        assert answer.content_type == "image/svg+xml" and "sandbox" in answer.headers["Content-Security-Policy"]
        for shown in ("● 2", "▼ 20 %", "挂断", '1 <tspan class="n">80</tspan>'):
            assert shown in text, shown
        await client.get(f"{V1}/flows/main/drawing")
        await client.get(f"{V1}/flows/main/stats")
        assert site.store.counted == 1  # many pages look, the database counts once
        other = await (await client.get(f"{V1}/flows/main/drawing?version=1")).text()
        assert "● 2" not in other and site.store.counted == 2


async def test_figures_of_a_period(site: Site) -> None:
    async with site.client("sari") as client:
        said = await get(client, "/flows/main/stats")
        midnight = datetime.fromisoformat(said["since"]).astimezone()
        assert said["since"] < said["until"] and said["since"].endswith("T17:00:00.000Z"), midnight  # Jakarta's
        assert [row["node"] for row in said["nodes"]] == ["greet", "menu", "sales"]
        assert said["versions"][0]["contained"] == 30
        assert (await get(client, "/flows/main/stats?version=1"))["versions"] == []
        for wrong in ("since=yesterday", f"since={iso(time.time() + 999)}", f"since={iso(time.time() - 200 * 86400)}"):
            assert (await client.get(f"{V1}/flows/main/stats?{wrong}")).status == 400


async def test_who_is_where_and_the_path_of_a_call(site: Site) -> None:
    row = site.engine.put("menu")
    site.store.path = [{"seq": 3, "node": "greet"}]
    async with site.client("sari") as client:
        [live] = (await get(client, "/flows/live"))["items"]
        assert (live["call_id"], live["node"], live["since"][-1]) == (row["call_id"], "menu", "Z")
        assert (await get(client, f"/calls/{row['call_id']}/path"))["items"] == [{"seq": 3, "node": "greet"}]


async def test_versions_and_what_differs(site: Site) -> None:
    async with site.client("sari") as client:
        assert [row["version"] for row in (await get(client, "/flow-versions"))["items"]] == [2, 1]
        one = await get(client, "/flow-versions/1")
        assert one["published_by"] == "root" and "Hello" in one["files"]["main.yaml"]
        diff = await get(client, "/flow-versions/1/diff")
        assert (diff["version"], diff["to"]) == (1, 2)
        assert [(file["file"], file["change"]) for file in diff["files"]] == [
            ("main.yaml", "changed"),
            ("night.yaml", "added"),
        ]
        signs = [(line["sign"], line["text"]) for line in diff["files"][0]["parts"][0] if line["sign"] != " "]
        assert signs == [
            ("-", '  greet: {do: say, say: "Hello", then: menu}'),
            ("+", '  greet: {do: say, say: "Welcome", then: menu}'),
        ]
        assert (await get(client, "/flow-versions/2/diff?to=2"))["files"] == []
        for wrong in ("77", "0", "x", "9" * 30, "77/diff", "1/diff?to=77"):
            assert (await client.get(f"{V1}/flow-versions/{wrong}")).status == 404, wrong


async def test_a_folder_with_mistakes_is_not_published_and_all_of_them_are_told(site: Site) -> None:
    site.engine.wrong = ["main.yaml:3:7: no such node", "main.yaml:9:1: no such queue"]
    async with site.client("root") as client:
        answer = await client.post(f"{V1}/flow-versions", json={"note": "try"}, headers=CSRF)
        assert await code(answer) == (400, "bad_flows")
        assert (await answer.json(content_type=None))["problems"] == site.engine.wrong
        for wrong in ({"note": "x" * 501}, {"share": 0}, {"share": 101}, {"share": True}, {"other": 1}):
            assert (await client.post(f"{V1}/flow-versions", json=wrong, headers=CSRF)).status == 400, wrong
        missing = await client.post(f"{V1}/flow-versions/9/rollback", headers=CSRF)
        assert await code(missing) == (400, "no_version")
    assert site.engine.done == []


async def test_a_calendar_is_held_open_until_a_time_and_let_go(site: Site) -> None:
    until = time.time() + 3600
    async with site.client("sari") as client:
        path = f"{V1}/calendars/office"
        assert (
            await client.post(f"{path}/force", json={"state": "open", "until": iso(until)}, headers=CSRF)
        ).status == 200
        assert (await get(client, "/calendars"))["items"][0]["forced_until"] == iso(until)[:23] + "Z"
        assert (await client.post(f"{path}/auto", headers=CSRF)).status == 200
        for asked in ({"state": "open", "until": iso(time.time() - 5)}, {"state": "ajar", "until": iso(until)},
                      {"state": "open", "until": iso(time.time() + 9e6)}, {"state": "open"}):  # fmt: skip
            assert (await client.post(f"{path}/force", json=asked, headers=CSRF)).status == 400, asked
        assert (await client.post(f"{V1}/calendars/none/auto", headers=CSRF)).status == 404
    assert [one[:2] + one[3:] for one in site.store.forced] == [("office", "open", "sari"), ("office", None, "sari")]


async def test_the_page_is_for_supervisors(site: Site) -> None:
    async with site.client() as client:
        answer = await client.get("/admin", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, "/login")
        assert ".cti-flow" in await (await client.get("/drawing.css")).text()
    async with site.client("anna") as client:
        assert (await client.get("/admin")).status == 403
    async with site.client("sari") as client:
        html = await (await client.get("/admin")).text()
        assert "<style" not in html and " style=" not in html and 'href="/wallboard"' in html


async def test_what_is_costly_is_made_once_and_failures_are_not_kept() -> None:
    kept, made = Kept(60.0), []

    async def make() -> int:
        made.append(1)
        if len(made) == 1:
            raise OSError
        return len(made)

    with pytest.raises(OSError):
        await kept.get("a", make)
    assert [await kept.get("a", make), await kept.get("a", make), await kept.get("b", make)] == [2, 2, 3]


def test_changes_are_told_by_line() -> None:
    old = {"a": "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "gone": "x\n", "same": "y"}
    new = {"a": "1\n2\n3\n4\n5\n6\n7\n8\nnine\n", "new": "", "same": "y"}
    one, gone, added = changes(old, new)
    assert [(line["sign"], line["old"], line["new"]) for line in one["parts"][0]] == [
        (" ", 6, 6), (" ", 7, 7), (" ", 8, 8), ("-", 9, None), ("+", None, 9),
    ]  # fmt: skip
    assert (gone["change"], gone["parts"][0][0]["sign"]) == ("removed", "-") and (added["change"], added["parts"]) == (
        "added",
        [],
    )
