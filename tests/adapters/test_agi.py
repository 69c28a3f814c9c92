"""The FastAGI server: sessions, commands, and everybody who is not a caller."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fake_asterisk import FakeChannel, environment

from cti.adapters import agi, agi_channel, agi_sounds
from cti.adapters.agi import AgiServer
from cti.adapters.agi_sounds import Renderer
from cti.adapters.agi_wire import KEYS
from cti.core.messages import (
    Collect,
    Hold,
    Input,
    LineDone,
    LineLost,
    LineReady,
    Play,
    Prompt,
    Release,
    Sound,
    Text,
)

UNIQUEID = "sys-1795000000.1"
HELLO = Text(language="en", text="hello")
MENU = Sound(language="en", name="menu", version=1)
NONE = Sound(language="en", name="none", version=1)


class Desk:
    """The server, what it told, and channels that come to it."""

    def __init__(self) -> None:
        self.facts: list[Any] = []
        self._new = asyncio.Event()
        self.fail = False
        self.channels: list[FakeChannel] = []
        self.server = AgiServer(host="127.0.0.1", port=0, submit=self.submit, render=self.render, now=time.time)

    def submit(self, fact: Input) -> None:
        self.facts.append(fact)
        self._new.set()
        if self.fail:
            raise RuntimeError("the receiver's own fault")

    async def render(self, prompt: Prompt) -> str:
        if prompt == NONE:
            raise FileNotFoundError("no such prompt")
        return "/sounds/hello.wav" if prompt == HELLO else "/sounds/menu"

    async def channel(self, **values: str) -> FakeChannel:
        count = len(self.of(LineReady))
        channel = await FakeChannel(self.server.port).connect(environment(**values))
        self.channels.append(channel)
        await self.until(lambda: len(self.of(LineReady)) > count)
        return channel

    def of(self, kind: type) -> list[Any]:
        return [f for f in self.facts if isinstance(f, kind)]

    async def until(self, met: Callable[[], object], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not met():
                self._new.clear()
                await self._new.wait()

    async def done(self, op: int) -> LineDone:
        await self.until(lambda: [f for f in self.of(LineDone) if f.op == op])
        found: LineDone = next(f for f in self.of(LineDone) if f.op == op)
        return found


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    await desk.server.start()
    yield desk
    await desk.server.close()
    for channel in desk.channels:
        await channel.close()


def renders_with(desk: Desk, render: Renderer) -> None:
    session = desk.server._held[UNIQUEID]
    session._outside = session._outside._replace(render=render)


def play(op: int, *prompts: Prompt) -> Play:
    return Play(uniqueid=UNIQUEID, op=op, prompts=prompts)


def collect(op: int, *prompts: Prompt, timeout: float = 3) -> Collect:
    return Collect(uniqueid=UNIQUEID, op=op, prompts=prompts, timeout=timeout)


# ------------------------------------------------------------------------------- the caller


async def test_a_caller_is_told_with_the_switch_s_time(desk: Desk) -> None:
    sent_at = f"{time.time() - 2:.3f}"
    channel = await desk.channel(sent_at=sent_at)
    (ready,) = desk.facts
    assert ready == LineReady(
        at=float(sent_at), node="main", uniqueid=UNIQUEID, channel="PJSIP/trunk-00000001", called="6000",
        caller="+628111", caller_name="王小明",
    )  # fmt: skip
    assert desk.server.sessions == 1
    await channel.close()


async def test_a_time_that_cannot_be_is_ours(desk: Desk) -> None:
    channel = await desk.channel(sent_at="1000000000.000")
    assert desk.facts[0].at == pytest.approx(time.time(), abs=5)
    await channel.close()


async def test_play_answers_stops_the_music_and_plays(desk: Desk) -> None:
    channel = await desk.channel()
    desk.server.execute(play(1, HELLO, MENU))
    assert (await desk.done(1)).outcome == "done"
    desk.server.execute(play(2, HELLO))
    await desk.done(2)
    assert channel.commands == [
        "ANSWER", f'STREAM FILE "/sounds/hello" "{KEYS}"',
        f'STREAM FILE "/sounds/menu" "{KEYS}"', f'STREAM FILE "/sounds/hello" "{KEYS}"',
    ]  # fmt: skip
    await channel.close()


async def test_a_channel_that_is_up_is_not_answered_again(desk: Desk) -> None:
    channel = await desk.channel(state="Up")
    desk.server.execute(Hold(uniqueid=UNIQUEID))
    await channel.said("EXEC")
    assert "ANSWER" not in channel.commands
    await channel.close()


async def test_music_is_off_before_a_prompt_and_on_at_hold(desk: Desk) -> None:
    channel = await desk.channel()
    for op in (1, 2):
        desk.server.execute(Hold(uniqueid=UNIQUEID))
        await channel.said('EXEC "StartMusicOnHold" ""', op)
        desk.server.execute(play(op, HELLO))
        await desk.done(op)
    assert [c.split('"')[1] for c in channel.commands if c.startswith(("EXEC", "STREAM"))] == [
        "StartMusicOnHold", "StopMusicOnHold", "/sounds/hello",
    ] * 2  # fmt: skip
    await channel.close()


async def test_a_key_cuts_the_prompt_short(desk: Desk) -> None:
    channel = await desk.channel()
    channel.replies["STREAM FILE"] = b"200 result=35 endpos=800\n"
    desk.server.execute(collect(1, HELLO, MENU))
    done = await desk.done(1)
    assert (done.outcome, done.digits) == ("digits", "#")
    assert channel.commands[-1] == 'STREAM FILE "/sounds/hello" "0123456789*#ABCD"'
    await channel.close()


async def test_a_key_during_a_text_is_for_the_next_question(desk: Desk) -> None:
    channel = await desk.channel()
    channel.replies["STREAM FILE"] = b"200 result=49 endpos=800\n"
    desk.server.execute(play(1, HELLO, MENU))
    assert (await desk.done(1)).outcome == "done"
    desk.server.execute(play(2, MENU))
    assert (await desk.done(2)).outcome == "done"
    desk.server.execute(collect(3, MENU))
    done = await desk.done(3)
    assert (done.outcome, done.digits) == ("digits", "1")
    assert sum(c.startswith("STREAM") for c in channel.commands) == 1
    channel.replies["STREAM FILE"] = b"200 result=0 endpos=800\n"
    desk.server.execute(collect(4, MENU))
    assert (await desk.done(4)).outcome == "timeout", "one key answers one question"
    await channel.close()


async def test_a_key_pressed_before_the_queue_answers_nothing_after_it(desk: Desk) -> None:
    channel = await desk.channel()
    channel.replies["STREAM FILE"] = b"200 result=49 endpos=800\n"
    desk.server.execute(play(1, HELLO))
    await desk.done(1)
    desk.server.execute(Hold(uniqueid=UNIQUEID))
    await channel.said('EXEC "StartMusicOnHold" ""')
    channel.replies["STREAM FILE"] = b"200 result=0 endpos=800\n"
    desk.server.execute(collect(2, MENU))
    assert (await desk.done(2)).outcome == "timeout"
    await channel.close()


async def test_a_key_after_the_prompt(desk: Desk) -> None:
    channel = await desk.channel()
    channel.replies["WAIT FOR DIGIT"] = b"200 result=49\n"
    desk.server.execute(collect(1, HELLO, timeout=2.5))
    done = await desk.done(1)
    assert (done.outcome, done.digits) == ("digits", "1")
    assert channel.commands[-1] == 'WAIT FOR DIGIT "300"'  # in pieces: a newer command is not kept waiting
    await channel.close()


async def test_no_key_is_a_timeout_also_without_a_prompt(desk: Desk) -> None:
    channel = await desk.channel()
    desk.server.execute(collect(1, HELLO))
    desk.server.execute(collect(2))
    assert (await desk.done(2)).outcome == "timeout"
    await channel.close()


async def test_release_ends_the_session(desk: Desk) -> None:
    channel = await desk.channel()
    desk.server.execute(Release(uniqueid=UNIQUEID, cause=17))
    await asyncio.wait_for(channel.closed.wait(), 5)
    assert channel.commands == ['SET VARIABLE "CTI_DONE" "17"']
    await desk.until(lambda: desk.of(LineLost))
    assert desk.server.sessions == 0


async def test_a_newer_command_cuts_the_prompt_that_plays(desk: Desk) -> None:
    channel = await desk.channel()
    channel.replies["STREAM FILE"] = None
    channel.replies["GET FULL"] = b"200 result=1 (cti-mark-1)\n"
    desk.server.execute(play(1, HELLO, MENU))
    await channel.said("STREAM FILE")
    desk.server.execute(Release(uniqueid=UNIQUEID))
    desk.server.execute(Hold(uniqueid=UNIQUEID))  # too late: a Release stays
    await asyncio.wait_for(channel.closed.wait(), 5)
    assert [c.split(" ")[0] for c in channel.commands[-3:]] == ["STREAM", "GET", "SET"]
    assert channel.commands[-1] == 'SET VARIABLE "CTI_DONE" "16"'


async def test_a_command_for_nobody_is_left_out(desk: Desk) -> None:
    desk.server.execute(play(1, HELLO))
    assert desk.facts == []


# ------------------------------------------------------------------------------- prompts that fail


async def test_a_prompt_without_a_sound_is_skipped_and_named(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    channel = await desk.channel()
    desk.server.execute(play(1, NONE, HELLO))
    assert (await desk.done(1)).outcome == "done"
    assert "en/none" in caplog.text
    desk.server.execute(play(2, NONE, NONE))
    assert (await desk.done(2)).outcome == "error"
    desk.server.execute(play(3))
    assert (await desk.done(3)).outcome == "done"
    await channel.close()


async def test_a_file_that_the_switch_cannot_play_is_an_error(desk: Desk) -> None:
    channel = await desk.channel()
    channel.replies["STREAM FILE"] = b"200 result=-1 endpos=0\n"
    desk.server.execute(play(1, HELLO))
    assert (await desk.done(1)).outcome == "error"
    desk.server.execute(collect(2, HELLO))
    assert (await desk.done(2)).outcome == "error"
    assert not any(c.startswith("WAIT") for c in channel.commands)
    await channel.close()


async def test_a_path_with_a_line_break_breaks_its_session_only(desk: Desk) -> None:
    other = await desk.channel(uniqueid="sys-2.2", channel="PJSIP/trunk-00000002")
    channel = await desk.channel()

    async def evil(prompt: Prompt) -> str:
        return 'x"\nEXEC System "id'

    renders_with(desk, evil)
    desk.server.execute(play(1, HELLO))
    await asyncio.wait_for(channel.closed.wait(), 5)
    assert not any("System" in c for c in channel.commands)
    desk.server.execute(Play(uniqueid="sys-2.2", op=9, prompts=(HELLO,)))
    assert (await desk.done(9)).outcome == "done"
    await other.close()


async def test_a_render_that_hangs_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_sounds, "RENDER", 0.05)
    channel = await desk.channel()

    async def hang(prompt: Prompt) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    renders_with(desk, hang)
    desk.server.execute(play(1, HELLO))
    assert (await desk.done(1)).outcome == "error"
    await channel.close()


# ------------------------------------------------------------------------------- sessions that end


@pytest.mark.parametrize("end", [b"HANGUP\n", b"511 Command Not Permitted on a dead channel\n"])
async def test_the_end_of_a_session_is_told_once_and_the_socket_is_closed(desk: Desk, end: bytes) -> None:
    channel = await desk.channel()
    channel.say(end)
    await asyncio.wait_for(channel.closed.wait(), 5)
    await desk.until(lambda: desk.of(LineLost))
    await channel.close()
    assert [f.uniqueid for f in desk.of(LineLost)] == [UNIQUEID]


async def test_a_caller_who_hangs_up_in_a_prompt_is_lost_and_nothing_is_done(desk: Desk) -> None:
    channel = await desk.channel()
    channel.replies["STREAM FILE"] = b"200 result=-1 endpos=100\nHANGUP\n"
    desk.server.execute(play(1, HELLO))
    await desk.until(lambda: desk.of(LineLost))
    assert desk.of(LineDone) == []
    await channel.close()


async def test_a_hangup_inside_an_answer_is_no_answer(desk: Desk) -> None:
    channel = await desk.channel()
    channel.replies["STREAM FILE"] = b"HANGUP\n200 result=49 endpos=100\n"
    desk.server.execute(collect(1, HELLO))
    await desk.until(lambda: desk.of(LineLost))
    assert desk.of(LineDone) == []
    await channel.close()


async def test_eof_is_the_end_of_the_session(desk: Desk) -> None:
    channel = await desk.channel()
    await channel.close()
    await desk.until(lambda: desk.of(LineLost))


async def test_a_channel_that_comes_back_is_a_new_session(desk: Desk) -> None:
    first = await desk.channel()
    second = await desk.channel()
    await asyncio.wait_for(first.closed.wait(), 5)
    assert [type(f) for f in desk.facts] == [LineReady, LineLost, LineReady]
    desk.server.execute(play(1, HELLO))
    await desk.done(1)
    assert second.commands and not first.commands
    assert len(desk.of(LineLost)) == 1
    await second.close()


async def test_a_switch_that_does_not_answer_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_channel, "SHORT", 0.05)
    channel = await desk.channel()
    channel.replies["ANSWER"] = None
    desk.server.execute(Hold(uniqueid=UNIQUEID))
    await desk.until(lambda: desk.of(LineLost))
    await channel.close()


async def test_stray_lines_and_a_520_do_not_shift_the_answers(desk: Desk) -> None:
    channel = await desk.channel()
    channel.say(b"200 result=55 (x\n200 result=1 (admin)\ngarbage\n")
    channel.replies["ANSWER"] = b"520-Invalid command syntax.\nfoo\n520 End of proper usage.\n"
    channel.replies["STREAM FILE"] = b"200 result=52 endpos=1\n"
    desk.server.execute(collect(1, HELLO))
    assert (await desk.done(1)).digits == "4"
    await channel.close()


async def test_close_lets_go_of_callers_without_a_word(desk: Desk) -> None:
    channel = await desk.channel()
    await desk.server.close()
    await asyncio.wait_for(channel.closed.wait(), 5)
    assert [type(f) for f in desk.facts] == [LineReady]
    assert not any("CTI_DONE" in c for c in channel.commands)  # so the dialplan keeps the caller


async def test_a_receiver_that_raises_does_not_end_the_session(desk: Desk) -> None:
    desk.fail = True
    channel = await desk.channel()
    desk.server.execute(play(1, HELLO))
    assert (await desk.done(1)).outcome == "done"
    await channel.close()


# ------------------------------------------------------------------------------- everybody else


async def closed(desk: Desk, data: bytes, seconds: float = 5) -> bytes:
    """What the server says to `data` until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.server.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), seconds)
    except ConnectionResetError:  # closed with bytes of ours unread
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00\xff" * 3000 + b"\n\n",
        b"a" * 100_000,
        b"agi_x: 1\n" * 500 + b"\n",
        b"agi_network: yes\nagi_network_script: admin\n\n",
        b"agi_calleridname: Bob\nagi_accountcode: vip\nagi_network_script: admin\n\n",
        environment(uniqueid="a b"),
    ],
)
async def test_garbage_is_closed_with_one_line(desk: Desk, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert await closed(desk, data) == b""
    assert desk.facts == []
    assert desk.server.refused == 1
    assert len(caplog.records) == 1


async def test_a_connection_that_says_nothing_blocks_nobody(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A port scan: connect and close, also within the header. The loop is never held."""
    for data in (b"", b"agi_network: yes\n", b"agi_network: y"):
        _, writer = await asyncio.open_connection("127.0.0.1", desk.server.port)
        writer.write(data)
        writer.close()
    start = time.monotonic()
    channel = await desk.channel()
    assert time.monotonic() - start < 1
    await channel.close()
    async with asyncio.timeout(5):
        while desk.server.refused < 3:
            await asyncio.sleep(0.01)
    assert not [r for r in caplog.records if r.exc_info]


async def test_a_slow_header_meets_its_deadline(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi, "HEADER_TIMEOUT", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.server.port)
    start = time.monotonic()
    while time.monotonic() - start < 3 and not reader.at_eof():
        writer.write(b"a")
        try:
            await asyncio.wait_for(reader.read(1), 0.05)
        except (TimeoutError, ConnectionResetError):
            continue
    assert time.monotonic() - start < 1
    writer.close()


async def test_who_cuts_the_environment_is_sent_out(desk: Desk) -> None:
    said = await closed(desk, environment(caller="1\n\nagi_x: 1"))
    assert said == b'SET VARIABLE "CTI_DONE" "21"\n'
    assert desk.facts == []


@pytest.mark.parametrize(
    ("peer", "allowed", "may"),
    [
        ("127.0.0.1", [], True),
        ("::1", [], True),
        ("192.0.2.7", [], False),
        ("192.0.2.7", ["192.0.2.0/24"], True),
        ("?", ["0.0.0.0/0"], False),
    ],
)
def test_only_allowed_addresses(peer: str, allowed: list[str], may: bool) -> None:
    async def render(prompt: Prompt) -> str:
        return ""

    server = AgiServer(host="", port=0, submit=lambda f: None, render=render, now=time.time, allowed=allowed)
    assert server._may(peer) is may


@pytest.mark.parametrize(("host", "peer", "may"), [("192.0.2.7", "192.0.2.7", True), ("192.0.2.7", "192.0.2.8", False)])
def test_a_switch_on_this_machine_may_also_where_we_listen_on_its_address(host: str, peer: str, may: bool) -> None:
    async def render(prompt: Prompt) -> str:
        return ""

    server = AgiServer(host=host, port=0, submit=lambda f: None, render=render, now=time.time)
    assert server._may(peer) is may


async def test_neither_digits_nor_words_are_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    channel = await desk.channel()
    channel.replies["STREAM FILE"] = b"200 result=55 endpos=1\n"
    desk.server.execute(collect(1, HELLO, Text(language="en", text="you typed 4711")))
    assert (await desk.done(1)).digits == "7"

    async def fail(prompt: Prompt) -> str:
        raise OSError("disk full")

    renders_with(desk, fail)
    desk.server.execute(play(2, Text(language="en", text="you typed 4711")))
    await desk.done(2)
    said = " ".join(r.getMessage() for r in caplog.records if r.name.startswith("cti"))
    assert "4711" not in said
    assert "7" not in said.replace("1795000000", "")
    await channel.close()
