"""What a flow has done besides speaking: messages, work outside, and what is done when the caller has left."""

from __future__ import annotations

from typing import Any

import pytest

from cti.core import line, line_work
from cti.core.messages import (
    CalendarsForced,
    ChannelGone,
    Collect,
    FinishRecording,
    FlowsPublished,
    Forced,
    LineDone,
    LineLost,
    Pause,
    Play,
    Record,
    RecordingFinished,
    Release,
    RunTask,
    SwitchUp,
    TaskDone,
)  # fmt: skip
from tests.core.office import START, Caller, Office, book

BYE = {"do": "say", "say": "Bye", "then": "hangup"}
SORRY = {"do": "say", "say": "Sorry", "then": "hangup"}


def flow(on_hangup: str = "", **nodes: Any) -> dict[str, Any]:
    more = {"on_hangup": on_hangup} if on_hangup else {}
    return {"flow": "main", "language": "en", "start": next(iter(nodes)), "nodes": nodes, **more}


def called(script: dict[str, Any], **agents: Any) -> tuple[Office, Caller]:
    office = Office(flow=script, **agents)
    caller = office.caller()
    caller.arrive()
    return office, caller


def last(office: Office, kind: type) -> Any:
    return next(command for command in reversed(office.commands) if isinstance(command, kind))


# ---------------------------------------------------------------- messages

BOX = flow(
    v={"do": "voicemail", "box": "main", "then": "bye", "empty": "sorry", "error": "hangup"}, bye=BYE, sorry=SORRY
)
TAKE = flow(r={"do": "record", "min": "2s", "then": "bye", "empty": "sorry", "error": "hangup"}, bye=BYE, sorry=SORRY)


def filed(office: Office, caller: Caller, seconds: float = 5.0, size: int = 1000, name: str = "") -> list[Any]:
    made = last(office, FinishRecording)
    return office.do(
        RecordingFinished(
            at=office.at, recording_id=name or made.recording_id, call_id=caller.call_id, agent="", path="x.wav",
            started_at=START, seconds=seconds, channels=1, bytes=size, sha256="",
        )
    )  # fmt: skip


def spoken(commands: list[Any]) -> str:
    return " ".join(prompt.text for prompt in commands[-1].prompts)


def test_a_message_is_recorded_filed_and_the_flow_goes_on() -> None:
    office, caller = called(BOX)
    record = last(office, Record)
    assert (spoken([record]), record.longest, record.silence) == ("Speak", 120.0, 4.0)
    assert office.last("recording.started").data == {
        "recording_id": record.recording_id, "message": True, "box": "main", "shortest": 2.0,
    }  # fmt: skip
    assert caller.heard() == [
        FinishRecording(recording_id=record.recording_id, call_id=caller.call_id, agent="", started_at=office.at)
    ]
    assert caller.line() == [], "he waits for the file, and is not asked to speak again"
    assert spoken(filed(office, caller)) == "Bye"
    assert office.last("voicemail.left").data == {"box": "main", "recording_id": record.recording_id, "seconds": 5.0}
    assert filed(office, caller) == [], "told twice"
    caller.heard()
    assert office.last("flow.ended").data["how"] == "voicemail"
    assert office.types().count("voicemail.left") == 1


@pytest.mark.parametrize(
    ("outcome", "seconds", "size", "said"),
    [("done", 1.9, 500, "Sorry"), ("done", 0.0, 0, "Sorry"), ("error", 0.0, 0, ""), ("error", 3.0, 900, "Bye")],
)
def test_a_message_that_is_none(outcome: str, seconds: float, size: int, said: str) -> None:
    for script in (BOX, TAKE):
        office, caller = called(script)
        caller.heard(outcome)
        done = filed(office, caller, seconds, size)
        assert isinstance(done[-1], Release) if not said else spoken(done) == said
        assert ("voicemail.left" in office.types()) is (said == "Bye" and script is BOX)


def test_a_file_that_never_comes_is_an_error_and_when_it_comes_late_it_is_still_a_message() -> None:
    office, caller = called(BOX)
    caller.heard()
    assert office.wait(line_work.FILE_WITHIN - 0.1) == []
    assert isinstance(office.wait(0.2)[-1], Release)
    office.do(caller.facts(ChannelGone))
    assert caller.call_id in office.board.calls.live, "its recording is not finished"
    assert filed(office, caller) == []
    assert office.last("voicemail.left").data["seconds"] == 5.0
    assert not office.board.calls.live and not office.board.lines.work.begun and not office.board.lines.work.filing


@pytest.mark.parametrize("order", ["done gone lost", "gone lost done", "lost gone", "gone", "lost done gone"])
def test_who_hangs_up_while_he_speaks_has_left_a_message(order: str) -> None:
    office, caller = called(BOX)
    op = office.board.lines.steps[caller.call_id].op
    facts = {
        "done": caller.facts(LineDone, op=op, outcome="done", gone=True), "lost": caller.facts(LineLost),
        "gone": caller.facts(ChannelGone),
    }  # fmt: skip
    for one in order.split():
        office.do(facts[one])
    assert [type(c) for c in office.commands].count(FinishRecording) == 1
    node = office.last("flow.node")
    assert (node.data["node"], node.data["outcome"], node.data["to"]) == ("v", "hangup", "")
    assert filed(office, caller) == []
    assert office.types(caller.call_id)[-3:] == ["call.ended", "recording.stopped", "voicemail.left"]
    assert not office.board.calls.live and not office.board.lines.steps
    office.wait(60)
    assert office.types()[-1] == "voicemail.left"


def test_a_session_that_breaks_during_a_message_is_not_asked_for_another_one() -> None:
    office, caller = called(BOX)
    office.do(caller.facts(LineLost))
    assert filed(office, caller) == [], "he is not there"
    assert spoken(caller.line()) == "Bye"
    assert office.types().count("recording.started") == 1
    office, caller = called(BOX)
    office.do(caller.facts(LineLost))
    assert caller.line() == []
    assert spoken(filed(office, caller)) == "Bye", "he came back before his file was there"


def test_two_messages_are_two_files() -> None:
    twice = flow(r={"do": "record", "then": "s"}, s={"do": "record", "then": "bye"}, bye=BYE)
    office, caller = called(twice)
    caller.heard()
    filed(office, caller)
    first, second = (c.recording_id for c in office.commands if isinstance(c, Record))
    assert first != second
    filed(office, caller, name=first)
    assert not isinstance(office.commands[-1], Play)
    caller.heard()
    assert spoken(filed(office, caller)) == "Bye"
    assert "voicemail.left" not in office.types()


def test_after_a_restart_what_is_filed_already_is_not_waited_for() -> None:
    office, caller = called(BOX)
    caller.heard()
    filed(office, caller)
    after = Office(flow=BOX)
    output = after.board.restore([e for e in office.events if e.call_id], office.at)
    assert not any(isinstance(c, FinishRecording) for c in output.commands)
    assert after.board.lines.work.begun == {}
    back = Caller(after, caller.uniqueid, caller.number, caller.called)
    assert spoken(back.line()) == "Bye"


def test_after_a_restart_what_was_recorded_is_filed_and_the_caller_asked_again() -> None:
    office, caller = called(BOX)
    after = Office(flow=BOX)
    after.events = list(office.events)
    output = after.board.restore([e for e in office.events if e.call_id], office.at)
    finish = [c for c in output.commands if isinstance(c, FinishRecording)]
    assert [c.recording_id for c in finish] == [last(office, Record).recording_id]
    after.commands += output.commands
    back = Caller(after, caller.uniqueid, caller.number, caller.called)
    again = back.line()[-1]
    assert isinstance(again, Record) and again.recording_id != finish[0].recording_id
    filed(after, back, name=finish[0].recording_id)
    assert after.last("voicemail.left").data["recording_id"] == finish[0].recording_id
    assert after.board.lines.steps[caller.call_id].recording == again.recording_id


# ---------------------------------------------------------------- work outside

HTTP = {"do": "http", "url": "https://x.example", "timeout": "4s", "then": "bye", "error": "sorry"}
WORK = flow(w=HTTP, bye=BYE, sorry=SORRY)


def told(office: Office, caller: Caller, outcome: str = "done", op: int = 0) -> list[Any]:
    return office.do(TaskDone(at=office.at, call_id=caller.call_id, op=op or last(office, RunTask).op, outcome=outcome))


def test_work_is_done_and_told_once() -> None:
    office, caller = called(WORK)
    task = last(office, RunTask)
    assert (task.kind, task.timeout, task.version, task.uniqueid) == ("http", 4.0, 1, caller.uniqueid)
    assert task.key == f"{caller.call_id}:1:0"
    office.do(caller.facts(LineDone, op=task.op, outcome="done"))
    assert spoken(told(office, caller)) == "Bye"
    before = len(office.events)
    assert told(office, caller, "error", op=task.op) == []
    office.do(TaskDone(at=office.at, call_id="0", op=1, outcome="done"))
    assert len(office.events) == before


def test_who_waits_for_long_hears_music() -> None:
    office, caller = called(WORK)
    assert office.wait(line_work.MUSIC_AFTER - 0.01) == []
    (music,) = office.wait(0.02)
    assert isinstance(music, Pause) and music.music and music.uniqueid == caller.uniqueid
    office.do(caller.facts(LineDone, op=music.op, outcome="done"))
    assert office.types()[-1] == "flow.started", "the end of the music is no answer"
    assert spoken(told(office, caller)) == "Bye"
    quick, other = called(WORK)
    told(quick, other)
    assert not any(isinstance(c, Pause) for c in quick.wait(3)), "not into what he hears now"


def test_work_that_is_never_answered_is_an_error_and_a_late_answer_is_nothing() -> None:
    office, caller = called(WORK)
    office.wait(4.0 + line_work.LATE - 0.01)
    assert not isinstance(office.commands[-1], Play)
    assert spoken(office.wait(0.02)) == "Sorry"
    assert told(office, caller) == []


def test_a_session_that_breaks_meanwhile_is_nothing_to_the_work() -> None:
    office, caller = called(WORK)
    office.do(caller.facts(LineLost))
    assert office.wait(1.5) == [], "no music for a channel that is not there"
    (music,) = caller.line()
    assert isinstance(music, Pause) and music.music
    assert spoken(told(office, caller)) == "Bye"
    office, caller = called(WORK)
    office.do(caller.facts(LineLost))
    assert told(office, caller) == []
    assert spoken(caller.line()) == "Bye", "it is not done twice"
    assert [type(c) for c in office.commands].count(RunTask) == 1
    office, caller = called(WORK)
    office.do(caller.facts(LineLost))
    office.wait(6)
    assert spoken(caller.line()) == "Sorry"


def test_who_leaves_meanwhile_has_left() -> None:
    office, caller = called(WORK)
    call_id = caller.call_id
    caller.hangs_up()
    assert not office.board.calls.live
    office.do(TaskDone(at=office.at, call_id=call_id, op=1, outcome="done"))
    office.wait(20)
    assert office.types()[-2:] == ["flow.ended", "call.ended"]


def test_after_a_restart_the_same_work_has_the_same_number() -> None:
    office, caller = called(WORK)
    after = Office(flow=WORK)
    after.board.restore([e for e in office.events if e.call_id], office.at)
    again = Caller(after, caller.uniqueid, caller.number, caller.called).line()[-1]
    assert isinstance(again, RunTask) and again.key == last(office, RunTask).key


def test_a_pause() -> None:
    office, caller = called(flow(w={"do": "wait", "time": "3s", "music": True, "then": "bye"}, bye=BYE))
    assert office.commands[-1] == Pause(uniqueid=caller.uniqueid, op=1, seconds=3.0, music=True)
    assert spoken(caller.heard()) == "Bye"


# ---------------------------------------------------------------- the caller is gone

AFTER = {"do": "message", "webhook": "crm", "then": "hangup", "fail": "hangup"}
SALES = {"do": "queue", "queue": "sales", "then": "bye"}
MENU = {"do": "menu", "say": "x", "options": {"1": "q", "2": "d"}, "fail": "hangup"}
DIAL = {"do": "dial", "to": "7001", "then": "bye"}
LEAVES = flow("log", m=MENU, q=SALES, d=DIAL, bye=BYE, log=AFTER)


def ended(office: Office, caller: Caller) -> None:
    """His flow has ended and nothing of him stays."""
    assert office.last("flow.ended").call_id == caller.call_id
    assert not office.board.calls.live and not office.board.lines.steps and not office.board.lines.callers.known


@pytest.mark.parametrize(
    ("keys", "node", "outcome"),
    [("", "m", "hangup"), ("1", "q", "hangup"), ("2", "d", "hangup"), ("1a", "q", "answered")],
)
def test_wherever_a_caller_leaves_the_flow_says_so_and_has_its_last_word(keys: str, node: str, outcome: str) -> None:
    office, caller = called(LEAVES)
    if keys:
        caller.heard("digits", keys[0])
    if keys == "1a":
        office.ready()
        caller.answer()
        caller.hangs_up()
        office.wait(2)
    else:
        caller.hangs_up()
    left = [e for e in office.events if e.type == "flow.node" and e.call_id == caller.call_id][-1].data
    assert (left["node"], left["outcome"], left["to"]) == (node, outcome, "")
    end = office.last("call.ended")
    assert end.data["leaving"] is True
    assert last(office, RunTask).kind == "message"
    assert caller.call_id in office.board.calls.live
    assert told(office, caller) == [], "nobody is there to be released"
    assert office.types(caller.call_id).count("flow.ended") == 1
    if keys == "1a":
        office.wait(60)
        filed(office, caller)
    ended(office, caller)


def test_who_leaves_before_the_flow_began_was_in_none() -> None:
    office = Office(flow=LEAVES)
    caller = office.caller()
    caller.arrive(found=False)
    caller.hangs_up()
    assert office.last("call.ended").data["leaving"] is False
    assert "flow.node" not in office.types() and "flow.ended" not in office.types()
    assert not office.board.calls.live


def test_who_is_released_by_the_flow_has_not_left_it() -> None:
    office, caller = called(flow("log", bye=BYE, log=AFTER))
    caller.heard()
    office.do(caller.facts(ChannelGone))
    assert not any(isinstance(c, RunTask) for c in office.commands)
    assert [e.data["outcome"] for e in office.events if e.type == "flow.node"] == ["done"]
    ended(office, caller)


def test_the_last_word_may_take_only_so_long() -> None:
    slow = flow("log", m=MENU, q=SALES, d=DIAL, bye=BYE, log={**AFTER, "timeout": "15s"})
    office, caller = called(slow)
    caller.hangs_up()
    office.wait(line.LEAVING - 0.1)
    assert "flow.ended" not in office.types()
    task = last(office, RunTask)
    office.wait(0.2)
    ended(office, caller)
    late = office.last("flow.node").data
    assert (late["node"], late["outcome"], late["to"]) == ("log", "error", ""), "the story says what was not done"
    before = len(office.events)
    office.do(TaskDone(at=office.at, call_id=task.call_id, op=task.op, outcome="done"))
    office.do(caller.facts(ChannelGone))
    office.wait(20)
    assert len(office.events) == before


def test_a_last_word_that_fails_is_the_end() -> None:
    slow = flow("log", m=MENU, q=SALES, d=DIAL, bye=BYE, log={**AFTER, "timeout": "1s"})
    office, caller = called(slow)
    caller.hangs_up()
    office.wait(2.1)
    assert [e.data["outcome"] for e in office.events if e.type == "flow.node"][-1] == "error"
    ended(office, caller)


def test_an_answer_to_earlier_work_is_none_to_the_last_word() -> None:
    office, caller = called(flow("log", w=HTTP, bye=BYE, sorry=SORRY, log=AFTER))
    first = last(office, RunTask)
    caller.hangs_up()
    assert told(office, caller, op=first.op) == []
    assert "flow.ended" not in office.types()
    told(office, caller)
    ended(office, caller)
    keys = [c.key for c in office.commands if isinstance(c, RunTask)]
    assert len(set(keys)) == 2


def test_a_message_that_is_filed_while_the_last_word_is_said_is_no_answer_to_it() -> None:
    office, caller = called(flow("log", v={"do": "voicemail", "box": "main", "then": "bye"}, bye=BYE, log=AFTER))
    caller.hangs_up()
    filed(office, caller)
    assert office.types()[-1] == "voicemail.left" and "flow.ended" not in office.types()
    told(office, caller)
    ended(office, caller)


def test_after_a_restart_the_last_word_is_over() -> None:
    office, caller = called(LEAVES)
    caller.hangs_up()
    after = Office(flow=LEAVES)
    output = after.board.restore([e for e in office.events if e.call_id], office.at + 60)
    assert [e.type for e in output.events] == ["flow.ended"]
    assert not after.board.calls.live, "and the call is closed"


def test_a_caller_who_was_lost_while_no_server_ran_has_left_too() -> None:
    office, caller = called(LEAVES)
    office.do(SwitchUp(at=office.at + 100, asked_at=office.at + 100))
    assert office.last("flow.node").data["outcome"] == "hangup"
    told(office, caller)
    ended(office, caller)


# ---------------------------------------------------------------- calendars, surveys, secrets


def test_a_calendar_that_is_opened_by_hand() -> None:
    hours = flow(h={"do": "hours", "calendar": "office", "open": "bye", "closed": "sorry"}, bye=BYE, sorry=SORRY)
    office = Office(flow=hours)
    heard = []
    for forced in ({}, {"office": Forced("open", office.at + 60)}, {"office": Forced("open", office.at - 1)}):
        office.do(CalendarsForced(at=office.at, calendars=forced))
        office.caller().arrive()
        heard.append(spoken(office.commands))
    assert heard == ["Sorry", "Bye", "Sorry"]


def test_an_answer_to_a_survey_is_the_agents_who_talked() -> None:
    script = flow(
        q={"do": "queue", "queue": "sales", "then": "s"}, s={"do": "survey", "survey": "after", "then": "hangup"}
    )
    office, caller = called(script)
    office.ready()
    caller.answer()
    office.wait(10)
    caller.agent_hangs_up()
    assert isinstance(office.commands[-1], Collect)
    caller.heard("digits", "4")
    said = office.last("survey.answered")
    assert (said.agent, said.data) == ("ani", {"survey": "after", "question": "help", "answer": 4})


def test_a_callback_is_asked_for_in_its_queue() -> None:
    office = Office(flow=flow(c={"do": "callback", "queue": "support", "then": "hangup"}))
    caller = office.caller("0811555666")
    caller.arrive()
    caller.heard("digits", "1")
    asked = office.last("callback.requested")
    assert asked.queue == "support"
    place = {"since": asked.at, "priority": 0, "skills": {}, "language": "en"}
    assert asked.data == {"number": "+62811555666", "entered": "", "flow": "main", "node": "c", **place}


def test_what_a_flow_publishes_and_a_call_keeps_its_version() -> None:
    office, caller = called(flow(m=MENU, q=SALES, d=DIAL, bye=BYE))
    office.board.publish(book(flow(bye=SORRY)), FlowsPublished(at=office.at, version=2))
    caller.heard("digits", "1")
    assert office.last("call.queued").queue == "sales"


def test_outside_of_its_calendar_a_queue_takes_nobody() -> None:
    ways = {"q": {"do": "queue", "queue": "sales", "closed": "sorry"}, "sorry": {"do": "say", "say": "Closed"}}
    script = {"flow": "main", "language": "en", "start": "q", "nodes": ways}
    office = Office(flow=script, calendar="office")
    office.ready()
    caller = office.caller()
    caller.arrive()
    assert office.last("call.dequeued").data == {"visit": 1, "result": "closed"}
    assert spoken(office.commands[-1:]) == "Closed" and not caller.rings
    forced = {"office": Forced(state="open", until=office.at + 60.0)}
    office.do(CalendarsForced(at=office.at, calendars=forced))
    later = office.caller("0812000002")
    later.arrive()
    assert len(later.rings) == 1
