"""Every request in every state of an agent, with each next state: what happens stands in one table.

    =            nothing changes                     !code     it is refused
    wish/reason  the wish changes now                >wish     it becomes the next state
    over         the work ends: the next state, or what was wished before, holds
    rejected     the offer ends: the next state holds, or not_ready(rejected)
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cti.core.agent import WORK_MOVES
from cti.core.messages import (
    AgentInfo,
    AnswerCall,
    ChannelGone,
    HangUpCall,
    Input,
    PeopleChanged,
    RejectCall,
    SetAgentState,
    SetDisposition,
    StationState,
    WrapUp,
)  # fmt: skip
from cti.errors import BadInput, Refused
from tests.core.office import Office

NO_CALL = "018f0000-0000-7000-8000-000000000000"
Make = Callable[[Office, str], Input]


def wish(what: str, reason: str = "", by: str = "ani") -> Make:
    return lambda o, call: SetAgentState(at=o.at, by=by, agent="ani", wish=what, reason=reason)  # type: ignore[arg-type]


def wrap(action: str, by: str = "ani") -> Make:
    return lambda o, call: WrapUp(at=o.at, by=by, agent="ani", action=action)  # type: ignore[arg-type]


def people(skills: dict[str, int] | None) -> Make:
    agents = () if skills is None else (AgentInfo(agent="ani", name="Ani", skills=skills, station="2001"),)
    return lambda o, call: PeopleChanged(at=o.at, agents=agents, stations=("2001",))


def phone(reachable: bool) -> Make:
    return lambda o, call: StationState(at=o.at, station="2001", reachable=reachable)


DO: dict[str, Make] = {
    "ready": wish("ready"), "lunch": wish("not_ready", "lunch"), "off": wish("logged_out"),
    "forced_ready": wish("ready", by="sari"), "forced_meeting": wish("not_ready", "meeting", "sari"),
    "forced_off": wish("logged_out", by="sari"),
    "finish": wrap("finish"), "extend": wrap("extend"), "sup_finish": wrap("finish", "sari"),
    "reject": lambda o, call: RejectCall(at=o.at, by="ani", agent="ani", call_id=call),
    "answer": lambda o, call: AnswerCall(at=o.at, by="ani", agent="ani", call_id=call),
    "hang_up": lambda o, call: HangUpCall(at=o.at, by="ani", agent="ani", call_id=call),
    "sup_hang_up": lambda o, call: HangUpCall(at=o.at, by="sari", call_id=call),
    "dispose": lambda o, call: SetDisposition(at=o.at, by="ani", agent="ani", call_id=call, code="sold"),
    "draft": lambda o, call: SetDisposition(at=o.at, by="ani", agent="ani", call_id=call, code="sold", draft=True),
    "skills": people({"support": 1}), "removed": people(None), "lost": phone(False), "found": phone(True),
}  # fmt: skip

IDLE = {
    "ready": "ready/", "lunch": "not_ready/lunch", "off": "logged_out/", "forced_ready": "ready/",
    "forced_meeting": "not_ready/meeting", "forced_off": "logged_out/", "finish": "!not_in_wrap_up",
    "extend": "!not_in_wrap_up", "sup_finish": "!not_in_wrap_up", "reject": "!call_gone", "answer": "!call_gone",
    "hang_up": "!call_gone", "sup_hang_up": "!call_gone", "dispose": "!call_gone", "draft": "!call_gone", "skills": "=",
    "removed": "logged_out/removed", "lost": "=", "found": "=",
}  # fmt: skip
BUSY = {
    "ready": ">ready/", "lunch": ">not_ready/lunch", "off": ">logged_out/", "forced_ready": ">ready/",
    "forced_meeting": ">not_ready/meeting", "forced_off": ">logged_out/", "finish": "!not_in_wrap_up",
    "extend": "!not_in_wrap_up", "sup_finish": "!not_in_wrap_up", "answer": "=", "hang_up": "=", "sup_hang_up": "=",
    "dispose": "=", "draft": "=", "skills": "=", "removed": ">logged_out/removed", "lost": "=", "found": "=",
}  # fmt: skip
TABLE: dict[str, dict[str, str]] = {
    "logged_out/": IDLE,
    "not_ready/": IDLE,
    "not_ready/lunch": IDLE,
    "not_ready/missed": IDLE,
    "not_ready/rejected": IDLE,
    "not_ready/link": IDLE | {
        "ready": "!station_unreachable", "forced_ready": "!station_unreachable", "found": "ready/",
    },
    "ready/": IDLE | {"lost": "not_ready/link"},
    "reserved": BUSY | {"reject": "rejected"},
    "talking": BUSY | {"reject": "!already_answered"},
    "wrap_up": BUSY | {
        "reject": "!call_gone", "answer": "!call_gone", "hang_up": "!call_gone", "sup_hang_up": "!call_gone",
        "finish": "over", "sup_finish": "over", "dispose": "over", "extend": "=",
    },
}  # fmt: skip
NEXT = {"none": None, "ready": "ready/", "lunch": "not_ready/lunch", "off": "logged_out/"}


def in_state(state: str) -> tuple[Office, str]:
    """An office whose only agent is in this state, and his call."""
    office = Office(wrap_up="30s")
    want, _, reason = state.partition("/")
    if want == "logged_out":
        return office, NO_CALL
    office.ready()
    if state == "not_ready/link":
        office.do(phone(False)(office, ""))
    elif state in ("not_ready/", "not_ready/lunch"):
        office.do(wish("not_ready", reason)(office, ""))
    elif state != "ready/":
        return office, with_call(office, state)
    return office, NO_CALL


def with_call(office: Office, state: str) -> str:
    caller = office.waiting_caller()
    call = caller.call_id
    if state == "not_ready/missed":
        office.wait(30)
        caller.hangs_up()
    elif state == "not_ready/rejected":
        office.do(DO["reject"](office, call))
        caller.hangs_up()
    elif state != "reserved":
        caller.answer()
        if state == "wrap_up":
            caller.hangs_up()
    return call if state in ("reserved", "talking", "wrap_up") else NO_CALL


def seen(office: Office) -> tuple[str, str | None]:
    """(wish/reason when idle else the work, next)"""
    agent = office.board.people.agents["ani"]
    following = f"{agent.next_wish}/{agent.next_reason}" if agent.next_wish else None
    return (f"{agent.wish}/{agent.reason}" if agent.work == "idle" else agent.work), following


CASES = [
    pytest.param(state, following, what, id=f"{state}-{following}-{what}")
    for state, row in TABLE.items()
    for following in (NEXT if state in ("reserved", "talking", "wrap_up") else ["none"])
    for what in row
]


def test_the_table_is_whole() -> None:
    assert all(set(row) == set(DO) for row in TABLE.values())
    assert len(CASES) == (7 + 3 * 4) * len(DO)


@pytest.mark.parametrize(("state", "following", "what"), CASES)
def test_every_request_in_every_state(state: str, following: str, what: str) -> None:
    office, call = in_state(state)
    if following != "none":
        office.do(DO[following](office, call))
    before = seen(office)
    assert before == (state, NEXT[following])
    expected = TABLE[state][what]
    try:
        office.do(DO[what](office, call))
    except (Refused, BadInput) as refusal:
        assert f"!{refusal.code}" == expected
        assert seen(office) == before
    else:
        assert seen(office) == after(expected, state, NEXT[following])
    ends_well(office)


def after(expected: str, state: str, following: str | None) -> tuple[str, str | None]:
    if expected == "=":
        return state, following
    if expected == "over":
        return following or "ready/", None
    if expected == "rejected":
        return following if following not in (None, "ready/") else "not_ready/rejected", None
    return (state, expected[1:]) if expected.startswith(">") else (expected, None)


def ends_well(office: Office) -> None:
    """All phones fall silent; nothing raises, every move is in the table, and nobody is busy for ever."""
    for channel in [*office.board.calls.by_channel, *office.board.calls.by_uniqueid]:
        office.do(ChannelGone(at=office.at, uniqueid=channel))
    office.wait(300)
    works = [e.data["work"] for e in office.events if e.type == "agent.state_changed"]
    moves = {(a, b) for a, b in zip(["idle", *works], works, strict=False) if a != b}
    assert moves <= set(WORK_MOVES)
    assert not works or works[-1] == "idle"
    assert office.board.people.agents["ani"].next_wish is None
