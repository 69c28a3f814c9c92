"""FastAGI's wire: environment, commands, replies."""

from __future__ import annotations

import pytest
from fake_asterisk import environment
from hypothesis import given
from hypothesis import strategies as st

from cti.adapters.agi_wire import (
    COMMAND_CAP,
    REPLY_LINES,
    Environment,
    Hangup,
    Replies,
    Reply,
    WireError,
    command,
    mark,
    set_variable,
)
from cti.adapters.agi_wire import environment as parse


def read(data: bytes) -> Environment:
    """As the server reads it: up to the first empty line."""
    return parse(data.split(b"\n\n")[0].split(b"\n"), "line")


def test_an_environment() -> None:
    assert read(environment(sent_at="1795367326.095")) == Environment(
        uniqueid="sys-1795000000.1", channel="PJSIP/trunk-00000001", called="6000", caller="+628111",
        caller_name="王小明", sent_at=1795367326.095, up=False,
    )  # fmt: skip


@pytest.mark.parametrize("caller", ["", "unknown", "anonymous", "1" * 33, "a;b", "<script>", "\u0661"])
def test_a_caller_who_is_not_a_number_is_unknown(caller: str) -> None:
    assert read(environment(caller=caller)).caller == ""


@pytest.mark.parametrize("sent_at", ["", "x", "-1", "1e9", "nan", "1" * 12])
def test_an_odd_time_is_none(sent_at: str) -> None:
    assert read(environment(sent_at=sent_at)).sent_at is None


def test_what_a_caller_writes_changes_neither_channel_nor_script_nor_number() -> None:
    forged = (
        "Bob\nagi_uniqueid: victim\nagi_channel: PJSIP/2001-00000001\nagi_network_script: admin\n"
        "agi_arg_1: 9999\nagi_arg_2: 5\nagi_arg_3: Up\nagi_calleridname: King"
    )
    env = read(environment(caller=forged, sent_at="1795367326.095"))
    assert (env.uniqueid, env.channel) == ("sys-1795000000.1", "PJSIP/trunk-00000001")
    assert (env.called, env.caller, env.sent_at, env.up) == ("6000", "", 1795367326.095, False)


def test_an_environment_that_a_caller_ended_is_told_apart() -> None:
    with pytest.raises(WireError) as caught:
        read(environment(caller="1\n\nSET VARIABLE X 1"))
    assert caught.value.cut


@pytest.mark.parametrize(
    "change",
    [
        {"uniqueid": ""},
        {"uniqueid": "a b"},
        {"uniqueid": "u" * 150},
        {"channel": "PJSIP/x"},
        {"channel": "/.*/"},
    ],
)
def test_without_a_channel_of_ours_there_is_no_session(change: dict[str, str]) -> None:
    with pytest.raises(WireError) as caught:
        read(environment(**change))
    assert not caught.value.cut


def test_another_script_is_not_served() -> None:
    with pytest.raises(WireError):
        parse([b"agi_network_script: admin", b"agi_uniqueid: 1.1"], "line")


def test_bytes_that_are_not_text_are_replaced() -> None:
    lines = environment().replace("王".encode(), b"\xff").split(b"\n")
    assert parse(lines, "line").caller_name == "\ufffd小明"


def test_commands_are_quoted() -> None:
    assert command("ANSWER") == b"ANSWER\n"
    assert command("EXEC", "StopMusicOnHold", "") == b'EXEC "StopMusicOnHold" ""\n'
    assert command("STREAM FILE", 'a "b" \\', "12") == b'STREAM FILE "a \\"b\\" \\\\" "12"\n'
    assert set_variable("CTI_DONE", "16") == b'SET VARIABLE "CTI_DONE" "16"\n'


@pytest.mark.parametrize("text", ['x"\nEXEC System "id', "a\rb", "a\0b", "A" * COMMAND_CAP])
def test_an_argument_that_would_be_more_than_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        command("STREAM FILE", text)


@pytest.mark.parametrize("name", ["CURL(http://127.0.0.1:6379/)", "SHELL(id)", "X", "CTI_DONE\n", ""])
def test_only_variables_on_the_list_are_set(name: str) -> None:
    with pytest.raises(ValueError):
        set_variable(name, "1")


@pytest.mark.parametrize("name", ["", "exec", "EXEC\nHANGUP", "EXEC ", "A  B"])
def test_odd_commands_are_refused(name: str) -> None:
    with pytest.raises(ValueError):
        command(name)


@given(st.lists(st.text(max_size=50), max_size=4))
def test_a_command_is_one_line(arguments: list[str]) -> None:
    try:
        line = command("EXEC", *arguments)
    except ValueError:
        return
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def feed(text: str) -> list[object]:
    replies = Replies()
    found = [replies.feed(line.encode()) for line in text.splitlines(keepends=True)]
    return [f for f in found if f is not None]


def test_replies() -> None:
    assert feed("200 result=1\n200 result=-1 endpos=0\n200 result=49 endpos=800\n") == [
        Reply(200, 1), Reply(200, -1, "endpos=0"), Reply(200, 49, "endpos=800"),
    ]  # fmt: skip
    assert feed("200 result=0 (timeout)\n510 Invalid or unknown command\n511 Command Not Permitted\n") == [
        Reply(200, 0, "(timeout)"), Reply(510, -1), Reply(511, -1),
    ]  # fmt: skip
    (hangup,) = feed("HANGUP\n")
    assert isinstance(hangup, Hangup)


def test_a_520_is_read_to_its_end_and_the_next_reply_fits() -> None:
    text = "520-Invalid command syntax.  Proper usage follows:\nfoo\n200 result=7\n520 End of proper usage.\n"
    assert feed(text + "200 result=1\n") == [Reply(520, -1), Reply(200, 1)]


def test_a_value_of_several_lines_is_one_reply() -> None:
    assert feed("200 result=1 (x\n200 result=1 (admin)\n200 result=0\n") == [Reply(200, 1, "(x"), Reply(200, 0)]


def test_an_endless_reply_is_an_error() -> None:
    replies = Replies()
    replies.feed(b"520-x\n")
    with pytest.raises(WireError):
        for _ in range(REPLY_LINES + 1):
            replies.feed(b"more\n")


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_no_line_raises(lines: list[bytes]) -> None:
    replies = Replies()
    for line in lines:
        replies.feed(line)


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_no_environment_raises_anything_else(lines: list[bytes]) -> None:
    with pytest.raises(WireError):
        parse(lines, "line")


def test_what_a_reply_tells_besides_its_number() -> None:
    (reply,) = feed("200 result=35 (dtmf) endpos=16000\n")
    assert (reply.key, reply.endpos, reply.good) == ("#", 16000, True)
    (reply,) = feed("200 result=-1 (hangup) endpos=7\n")
    assert (reply.key, reply.endpos, reply.good) == ("", 7, False)
    assert [feed(f"200 result={n}\n")[0].key for n in (0, 1, 49, 65, 69, 999999)] == ["", "", "1", "A", "", ""]
    assert feed("510 result=49\n")[0].key == ""
    assert "49" not in repr(feed("200 result=49 endpos=8\n"))


def test_a_mark_is_told_by_its_reply() -> None:
    line, held = mark(7)
    assert line == b'GET FULL VARIABLE "cti-mark-7"\n'
    assert feed(f"200 result=1 {held}\n") == [Reply(200, 1, held)]
