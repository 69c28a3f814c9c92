"""`cti calendar`, as a person types it."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from kit_cli import Cti, ask

from cti.cli.calendar import until_of
from cti.errors import BadInput

FLOWS = {
    "main.yaml": "flow: main\nlanguage: en\nstart: a\nnodes:\n  a: {do: hangup}\n",
    "calendars.yaml": 'calendars:\n  office: {week: {mon-sun: ["00:00-24:00"]}}\n  night: {time_zone: UTC}\n',
}


@pytest.fixture(autouse=True)
def flows(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    for name, text in FLOWS.items():
        (tmp_path / "flows" / name).write_text(text)


def listed(cti: Cti) -> dict[str, Any]:
    return {row["calendar"]: row for row in json.loads(cti("calendar", "list", "--json")[1])}


@pytest.mark.services
def test_a_calendar_is_closed_opened_and_freed(cti: Cti, dsn: str) -> None:
    rows = listed(cti)
    assert {name: (row["state"], row["forced"], row["zone"]) for name, row in rows.items()} == {
        "office": ("open", None, "Asia/Jakarta"), "night": ("closed", None, "UTC"),
    }  # fmt: skip
    code, out, _ = cti("calendar", "close", "office", "--until", "2h")
    assert code == 0 and re.fullmatch(r"office is closed until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d Asia/Jakarta\n", out)
    office = listed(cti)["office"]
    assert (office["state"], office["forced"]["state"]) == ("closed", "closed")
    opens = datetime.fromisoformat(office["next_open"]).replace(tzinfo=ZoneInfo("Asia/Jakarta")).timestamp()
    assert 0 <= opens - datetime.fromisoformat(office["forced"]["until"]).timestamp() < 60
    assert cti("calendar", "open", "night", "--until", "23:59")[0] == 0
    told = cti("calendar", "list")[1]
    assert re.search(r"(?m)^night +open +UTC +open until \S+ 23:59:00 by cli", told), told
    assert re.search(r"(?m)^office +closed +\S+ +Asia/Jakarta +closed until", told), told
    assert cti("calendar", "auto", "office")[:2] == (0, "office goes by its hours again\n")
    assert cti("calendar", "auto", "office")[:2] == (
        0, "office goes by its hours: it was not opened or closed by hand\n"
    )  # fmt: skip
    assert list(ask(dsn, lambda store: store.forced_calendars())) == ["night"]


@pytest.mark.services
def test_the_live_flows_say_which_calendars_there_are(cti: Cti, dsn: str) -> None:
    code, _, err = cti("calendar", "open", "ofice", "--until", "2h")
    assert (code, err) == (
        2, "cti: there is no calendar `ofice` in the live flows; there are: night, office\n"
    )  # fmt: skip
    cti("calendar", "open", "night", "--until", "2h")
    live = {**FLOWS, "calendars.yaml": "calendars: {}\n"}
    ask(dsn, lambda store: store.publish_flows(live, "x"))
    assert "there are none" in cti("calendar", "open", "office", "--until", "2h")[2]
    assert {name: row["state"] for name, row in listed(cti).items()} == {"night": None}
    assert re.search(r"(?m)^night +not in calendars.yaml +open until", cti("calendar", "list")[1])
    assert cti("calendar", "auto", "night")[0] == 0


@pytest.mark.services
def test_flows_that_cannot_be_read_are_told(cti: Cti, tmp_path: Path) -> None:
    (tmp_path / "flows/calendars.yaml").write_text("calendars: 3\n")
    code, _, err = cti("calendar", "list")
    assert code == 2 and err.startswith("cti: calendars.yaml:1:12: `calendars` must be a map")


@pytest.mark.services
def test_a_holiday_is_told_by_its_name(cti: Cti, tmp_path: Path) -> None:
    today = datetime.now(JAKARTA)
    days = ", ".join(f'"{today + timedelta(days=n):%Y-%m-%d}"' for n in (0, 1))
    (tmp_path / "flows/calendars.yaml").write_text(f"calendars: {{office: {{holidays: {{extra: [{days}]}}}}}}\n")
    assert listed(cti)["office"]["state"] == "holiday"


JAKARTA = ZoneInfo("Asia/Jakarta")
NOW = datetime(2026, 12, 21, 17, 0, tzinfo=JAKARTA).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18:00", "2026-12-21T18:00"),
        ("8:30", "2026-12-22T08:30"),
        ("17:00", "2026-12-22T17:00"),
        ("2h", "2026-12-21T19:00"),
        (" 90s ", "2026-12-21T17:01:30"),
        ("2026-12-24T18:00", "2026-12-24T18:00"),
        ("2026-12-24 18:00", "2026-12-24T18:00"),
        ("2026-12-25", "2026-12-25T00:00"),
        ("2026-12-24T18:00Z", "2026-12-25T01:00"),
    ],
)
def test_until(text: str, expected: str) -> None:
    assert datetime.fromtimestamp(until_of(text, NOW, JAKARTA), JAKARTA) == datetime.fromisoformat(
        expected
    ).replace(tzinfo=JAKARTA)  # fmt: skip


@pytest.mark.parametrize("text", ["", "x", "25:00", "2", "-2h", "0s", "2026-12-21T16:59", "2028-01-01", "400d",
                                  "0001-01-01", "9999-12-31T23:59"])  # fmt: skip
def test_no_such_time(text: str) -> None:
    with pytest.raises(BadInput, match="--until"):
        until_of(text, NOW, JAKARTA)
