"""What the pages are shown of the live state."""

from __future__ import annotations

import json

from cti.core import ivr, views
from cti.core.ivr.calendars import Calendar, Span
from cti.core.messages import AgentInfo, ChannelGone, Forced, PeopleChanged, SetAgentState, StationState
from cti.core.stats import Stats
from cti.core.storable import storable
from tests.core.office import Office


def office_with_calls() -> tuple[Office, Stats]:
    office = Office(agents={"ani": {"sales": 1}, "budi": {"sales": 1}, "chen": {"support": 1}})
    office.ready("ani", "chen")
    talking = office.waiting_caller("0812000001")
    talking.answer()
    office.ready("budi")
    office.waiting_caller("0812000002")
    office.waiting_caller("0812000003")
    office.caller("0812000004").arrive()
    stats = Stats(office.at - 3600)
    for event in office.events:
        stats.apply(event)
    return office, stats


def test_the_wallboard_at_one_moment() -> None:
    office, stats = office_with_calls()
    board = views.wallboard(office.board, stats, office.at)
    assert [a["state"] for a in board["agents"]] == ["talking", "reserved", "ready"]
    assert {k: board["totals"][k] for k in ("talking", "reserved", "ready", "signed_on")} == {
        "talking": 1, "reserved": 1, "ready": 1, "signed_on": 3,
    }  # fmt: skip
    rows = {row["queue"]: row for row in board["queues"]}
    assert rows["sales"]["waiting"] == 2 and rows["sales"]["talking"] == 1 and rows["sales"]["ready"] == 0
    assert rows["support"]["ready"] == 1
    json.dumps(board)


def test_who_set_a_state_is_told_by_name() -> None:
    office = Office()
    ani = AgentInfo(agent="ani", name="Ani", skills={"sales": 1}, station="2001")
    office.do(PeopleChanged(at=office.at, agents=(ani,), stations=("2001",), names={"sue": "Sue Lestari"}))
    for by, shown, reason in (("sue", "Sue Lestari", "lunch"), ("cli:root", "cli:root", "break")):
        office.do(SetAgentState(at=office.at, by=by, agent="ani", wish="not_ready", reason=reason))
        row = views.desk(office.board, Stats(office.at), "ani", office.at)["agent"]
        assert (row["set_by"], row["set_by_name"]) == (by, shown)
    office.do(StationState(at=office.at, station="2001", reachable=True))
    office.do(SetAgentState(at=office.at, by="ani", agent="ani", wish="ready"))
    office.do(StationState(at=office.at, station="2001", reachable=False))
    row = views.desk(office.board, Stats(office.at), "ani", office.at)["agent"]
    assert (row["reason"], row["set_by"], row["set_by_name"]) == ("link", None, None)


def test_live_calls_and_the_desk() -> None:
    office, stats = office_with_calls()
    states = [call["state"] for call in views.live_calls(office.board, office.at)]
    assert states == ["talking", "ringing", "waiting", "in_flow"]
    desk = views.desk(office.board, stats, "budi", office.at)
    assert desk["agent"]["work"] == "reserved" and desk["pop"]["call"]["caller"] == "+62812000002"
    assert desk["call"]["state"] == "ringing"
    idle = views.desk(office.board, stats, "chen", office.at)
    assert idle["pop"] is None and idle["call"] is None
    nobody = views.desk(office.board, stats, "nobody", office.at)
    assert (nobody["agent"], nobody["pop"], nobody["call"]) == (None, None, None)


def test_a_page_that_is_loaded_during_the_talk_shows_what_it_showed_while_it_rang() -> None:
    office = Office()
    caller = office.waiting_caller()
    office.wait(40)
    office.ready()
    rang = views.desk(office.board, Stats(office.at), "ani", office.at)["pop"]["call"]
    assert rang["waited_seconds"] == rang["decision"]["waited"] >= 40.0
    caller.answer()
    office.wait(20)
    desk = views.desk(office.board, Stats(office.at), "ani", office.at)
    assert desk["agent"]["work"] == "talking" and desk["pop"]["call"] == rang


def test_a_call_that_is_over_and_wrapped_up_still_shows_on_the_desk() -> None:
    office, stats = office_with_calls()
    call = office.board.calls.live[office.board.people.agents["ani"].call_id]
    assert call.offer is not None
    office.do(ChannelGone(at=office.at, uniqueid=call.offer.channel_id))
    office.do(ChannelGone(at=office.at, uniqueid=call.uniqueid))
    desk = views.desk(office.board, stats, "ani", office.at)
    assert desk["call"]["state"] == "ended" and desk["pop"]["call"]["call_id"] == call.call_id
    assert call.call_id not in [c["call_id"] for c in views.live_calls(office.board, office.at)]


def test_storable_text_has_no_nul_and_no_half_characters() -> None:
    dirty = {"a\x00": ["x\x00y", "\ud800z", 1, None], "t": ("b\x00",)}
    clean = json.dumps(storable(dirty))
    assert "\\u0000" not in clean and "\\ud800" not in clean


def test_who_is_in_which_node_and_since_when() -> None:
    office, _ = office_with_calls()
    rows = {row["caller"]: row for row in views.flow_callers(office.board, office.at)}
    waiting = rows["+62812000003"]
    assert (waiting["flow"], waiting["version"], waiting["state"]) == ("main", 1, "waiting")
    assert waiting["node"] in office.board.lines.books[1].flows["main"].nodes
    assert office.at - 3600 < waiting["since"] <= office.at
    json.dumps(list(rows.values()))


def test_calendars_by_their_own_hours_and_by_hand() -> None:
    never, always = Calendar(name="never"), Calendar(name="always", zone="UTC", week=((Span(0, 1440),),) * 7)
    book = ivr.Book({}, {}, {}, calendars={"never": never, "always": always}, zone="Asia/Jakarta")
    forced = {"always": Forced("closed", 2000.0), "never": Forced("open", 900.0)}
    always_row, never_row = views.calendars(book, forced, 1000.0)
    assert (always_row["state"], always_row["forced"], always_row["forced_until"]) == ("closed", "closed", 2000.0)
    assert (always_row["next_open"], always_row["time_zone"]) == ("1970-01-01T00:34", "UTC")
    assert (never_row["state"], never_row["forced"], never_row["time_zone"]) == ("closed", None, "Asia/Jakarta")
    assert views.calendars(None, forced, 1000.0) == []


def test_the_queues_that_an_agent_serves() -> None:
    office = Office(agents={"ani": {"sales": 1}, "chen": {"support": 1}})
    assert [views.queues_of(office.board, name) for name in ("ani", "chen", "nobody")] == [["sales"], ["support"], []]
