"""What becomes of keys, prompts, pauses and recordings while somebody is at the phone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fake_asterisk import environment
from fake_phone import FakePhone
from test_agi import UNIQUEID, Desk

from cti.adapters import agi_channel
from cti.adapters.agi import AgiServer
from cti.core.messages import (
    Collect,
    Hold,
    LineDone,
    LineLost,
    LineReady,
    Pause,
    Play,
    Prompt,
    Record,
    Release,
    Sealed,
    Text,
)
from cti.vault import Vault

ID = "01936a2b-0000-7000-8000-000000000001"
SHORT, LONG, GONE, SLOW = (Text(language="en", text=name) for name in ("short", "long", "gone", "slow"))


class Office(Desk):
    """A desk with a vault, a beep and silence; `phone` is the caller's."""

    def __init__(self) -> None:
        super().__init__()
        self.vault = Vault()
        self.rendered = asyncio.Event()
        self.server = AgiServer(
            host="127.0.0.1", port=0, submit=self.submit, render=self.render, now=time.time, seal=self.vault.put,
            beep="/beep", silence="/silence", spool=Path("/spool"),
        )  # fmt: skip

    async def render(self, prompt: Prompt) -> str:
        assert isinstance(prompt, Text)
        if prompt is SLOW:
            await self.rendered.wait()
        return f"/{prompt.text}.wav"

    async def open(self) -> None:
        await self.server.start()
        self.phone = FakePhone(self.server.port)
        self.phone.sounds = {"/short": 0.05, "/long": 30.0, "/slow": 0.02, "/beep": 0.02, "/silence": 60.0}
        await self.phone.connect(environment())
        self.channels.append(self.phone)
        await self.until(lambda: self.of(LineReady))

    def ask(self, op: int, *prompts: Prompt, **more: Any) -> None:
        self.server.execute(Collect(uniqueid=UNIQUEID, op=op, prompts=prompts, **({"timeout": 0.1} | more)))

    async def asked(self, op: int, *prompts: Prompt, **more: Any) -> tuple[str, str]:
        self.ask(op, *prompts, **more)
        done = await self.done(op)
        return done.outcome, done.digits

    def play(self, op: int, *prompts: Prompt, barge_in: bool = True) -> None:
        self.server.execute(Play(uniqueid=UNIQUEID, op=op, prompts=prompts, barge_in=barge_in))

    def record(self, op: int, *prompts: Prompt, longest: float = 30) -> None:
        self.server.execute(Record(uniqueid=UNIQUEID, op=op, prompts=prompts, recording_id=ID, longest=longest,
                                   silence=4.0))  # fmt: skip

    async def pressed(self, keys: str, while_: str = "STREAM FILE /silence") -> None:
        """Each once Asterisk does that."""
        for key in keys:
            await self.phone.doing(while_)
            taken = len(self.phone.commands)
            self.phone.press(key)
            await self.phone.until(lambda taken=taken: len(self.phone.commands) > taken)  # type: ignore[misc]


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    await office.open()
    yield office
    await office.server.close()
    for channel in office.channels:
        await channel.close()


async def answered(office: Office) -> FakePhone:
    """Whose caller has heard the welcome and is asked nothing."""
    office.play(99, SHORT)
    await office.done(99)
    await office.phone.doing("STREAM FILE /silence")
    return office.phone


# ------------------------------------------------------------------------------- several keys


@pytest.mark.parametrize(("pressed", "more", "digits", "left"), [
    ("1", {}, "1", ""),
    ("12", {}, "1", "2"),
    ("1234", {"most": 4}, "1234", ""),
    ("12345#", {"most": 4}, "1234", "5#"),
    ("12#34", {"most": 4, "terminator": "#"}, "12", "34"),
    ("12*34", {"most": 4, "terminator": "*"}, "12", "34"),
    ("12#4", {"most": 4}, "12#4", ""),
    ("1*2#", {"most": 9, "terminator": "#"}, "1*2", ""),
    ("#12", {"most": 4, "least": 0, "terminator": "#"}, "", "12"),
    ("1A", {"most": 2}, "1A", ""),
    ("1234567890*#ABCD1234", {"most": 20}, "1234567890*#ABCD1234", ""),
])  # fmt: skip
async def test_what_is_dialled_ahead_is_the_answer_and_the_rest_stays(
    office: Office, pressed: str, more: dict[str, Any], digits: str, left: str
) -> None:
    await answered(office)
    await office.pressed(pressed)
    assert await office.asked(1, LONG, **more) == ("digits", digits)
    assert "/long" not in " ".join(office.phone.commands)
    rest = await office.asked(2, most=20, digit_timeout=0.1)
    assert rest == (("digits", left) if left else ("timeout", ""))


async def test_the_terminator_alone_is_a_timeout_where_something_must_come(office: Office) -> None:
    await answered(office)
    await office.pressed("#1")
    assert await office.asked(1, LONG, terminator="#", most=4, timeout=9) == ("timeout", "")
    assert await office.asked(2, LONG) == ("digits", "1")


async def test_keys_after_the_prompt_each_in_its_time(office: Office) -> None:
    office.ask(1, SHORT, most=3, timeout=9, digit_timeout=0.2)
    await office.pressed("12", 'STREAM FILE /silence')
    done = await office.done(1)
    assert (done.outcome, done.digits) == ("digits", "12")  # the third did not come
    starts = [int(c.split('"')[5]) for c in office.phone.commands if c.startswith("STREAM FILE \"/silence") and
              c.count('"') > 4]  # fmt: skip
    assert starts == [51 * 8000, round(59.8 * 8000), round(59.8 * 8000)]


async def test_a_key_in_the_prompt_ends_it_and_is_the_first(office: Office) -> None:
    office.ask(1, LONG, LONG, most=2, timeout=9, digit_timeout=9)
    await office.pressed("1", "STREAM FILE /long")
    await office.pressed("2")
    assert (await office.done(1)).digits == "12"
    assert sum("/long" in c for c in office.phone.commands) == 1


async def test_where_a_prompt_must_be_heard_keys_are_kept_and_it_goes_on(office: Office) -> None:
    office.phone.sounds["/long"] = 0.3
    office.ask(1, LONG, SHORT, most=2, barge_in=False)
    await office.pressed("12", "STREAM FILE /long")
    assert (await office.done(1)).digits == "12"
    assert office.phone.heard[:2] == ["/long", "/short"]
    played = [c for c in office.phone.commands if "/long" in c]
    starts = [int(c.split('"')[5]) if c.count('"') > 4 else 0 for c in played]
    assert len(starts) == 3 and starts == sorted(starts)


async def test_what_was_dialled_ahead_cuts_no_prompt_that_must_be_heard(office: Office) -> None:
    await answered(office)
    await office.pressed("1")
    office.play(1, SHORT, barge_in=False)
    await office.done(1)
    assert office.phone.heard == ["/short", "/short"]
    assert await office.asked(2, SHORT, barge_in=False) == ("digits", "1")
    assert office.phone.heard == ["/short"] * 3


async def test_fresh_drops_what_was_pressed_before(office: Office) -> None:
    await answered(office)
    await office.pressed("12")
    office.ask(1, LONG, fresh=True)
    await office.pressed("7", "STREAM FILE /long")
    assert (await office.done(1)).digits == "7"


async def test_hold_drops_what_was_pressed_before(office: Office) -> None:
    await answered(office)
    await office.pressed("12")
    office.server.execute(Hold(uniqueid=UNIQUEID))
    await office.phone.said('EXEC "StartMusicOnHold"')
    assert await office.asked(1, SHORT) == ("timeout", "")


async def test_keys_pressed_while_a_prompt_is_made_are_kept(office: Office) -> None:
    await answered(office)
    office.ask(1, SLOW, most=2, timeout=9)
    await office.phone.until(lambda: office.phone.commands[-1].startswith('STREAM FILE "/silence"'))
    await office.pressed("1")
    office.rendered.set()
    await office.pressed("2")
    assert (await office.done(1)).digits == "12"


async def test_a_prompt_is_made_before_the_channel_is_answered(office: Office) -> None:
    office.play(1, SLOW)
    office.rendered.set()
    await office.done(1)
    assert office.phone.commands[0] == "ANSWER"
    assert office.phone.lost == ""


async def test_a_newer_command_does_not_wait_for_a_prompt_that_is_being_made(office: Office) -> None:
    office.play(1, SLOW)
    office.play(2, SHORT)
    assert (await office.done(2)).outcome == "done"


# ------------------------------------------------------------------------------- pauses


async def test_a_pause_keeps_keys_and_its_length(office: Office) -> None:
    await answered(office)
    began = time.monotonic()
    office.server.execute(Pause(uniqueid=UNIQUEID, op=1, seconds=0.3))
    await office.pressed("12")
    await office.done(1)
    assert 0.3 <= time.monotonic() - began < 0.6
    assert await office.asked(2, LONG, most=2) == ("digits", "12")


async def test_a_pause_with_music_keeps_keys_too(office: Office) -> None:
    await answered(office)
    office.server.execute(Pause(uniqueid=UNIQUEID, op=1, seconds=0.3, music=True))
    await office.pressed("1", "WAIT FOR DIGIT")
    await office.done(1)
    assert await office.asked(2, LONG) == ("digits", "1")
    assert [c.split('"')[1] for c in office.phone.commands if c.startswith("EXEC")] == [
        "StartMusicOnHold", "StopMusicOnHold",
    ]  # fmt: skip


# ------------------------------------------------------------------------------- what must be seen nowhere


async def test_sealed_keys_are_in_the_vault_and_nowhere_else(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await answered(office)
    await office.pressed("4111111111111111#")
    office.ask(1, LONG, most=19, terminator="#", seal="card")
    done = await office.done(1)
    assert done == LineDone(at=done.at, uniqueid=UNIQUEID, op=1, outcome="digits",
                            sealed=Sealed(length=16, good=True, last4="1111"))  # fmt: skip
    assert office.vault.get(UNIQUEID, "card") == "4111111111111111"
    assert "41111" not in str(office.facts) + caplog.text
    assert await office.asked(2, seal="code") == ("timeout", "")
    assert office.vault.get(UNIQUEID, "code") is None


@pytest.mark.parametrize(("keys", "most", "next_"), [
    ("12345", 4, ("timeout", "")),  # may be the rest of it
    ("1234#5", 9, ("digits", "5")),  # what comes behind the terminator is not
])  # fmt: skip
async def test_the_rest_of_a_sealed_answer_answers_no_open_question(
    office: Office, keys: str, most: int, next_: tuple[str, str]
) -> None:
    await answered(office)
    await office.pressed(keys)
    office.ask(1, most=most, terminator="#", seal="pin")
    await office.done(1)
    office.play(2, SHORT)
    await office.done(2)
    assert await office.asked(3, SHORT) == next_


async def test_the_next_sealed_question_gets_it(office: Office) -> None:
    await answered(office)
    await office.pressed("123499")
    for op, most in ((1, 4), (2, 2)):
        office.ask(op, LONG, most=most, seal=f"pin{op}")
        await office.done(op)
    assert (office.vault.get(UNIQUEID, "pin1"), office.vault.get(UNIQUEID, "pin2")) == ("1234", "99")


# ------------------------------------------------------------------------------- recordings


async def test_a_message_after_the_beep_until_a_key(office: Office) -> None:
    office.record(1, SHORT)
    await office.pressed("1", "RECORD FILE")
    done = await office.done(1)
    assert (done.outcome, done.gone) == ("done", False)
    assert office.phone.heard == ["/short", "/beep"]
    line = await office.phone.said("RECORD FILE")
    assert line == f'RECORD FILE "/spool/{ID}-caller" "wav" "0123456789*#ABCD" "30000" "s=4"'
    assert await office.asked(2, SHORT) == ("timeout", "")  # the key that ended it answers nothing


async def test_a_key_in_the_greeting_only_cuts_it(office: Office) -> None:
    office.record(1, LONG, longest=0.1)
    await office.pressed("1", "STREAM FILE /long")
    assert (await office.done(1)).outcome == "done"
    assert office.phone.heard == ["/beep"]
    assert await office.asked(2, SHORT) == ("timeout", "")


async def test_who_hangs_up_while_he_speaks_has_left_a_message(office: Office) -> None:
    office.record(1, SHORT)
    await office.phone.doing("RECORD FILE")
    office.phone.hang_up()
    await office.until(lambda: office.of(LineLost))
    assert [(type(f), getattr(f, "gone", None)) for f in office.facts[-2:]] == [(LineDone, True), (LineLost, None)]
    assert office.of(LineDone)[0].outcome == "done"


@pytest.mark.parametrize("phase", ["STREAM FILE /long", "STREAM FILE /silence"])
async def test_who_hangs_up_before_the_beep_has_left_none(office: Office, phase: str) -> None:
    if "silence" in phase:
        await answered(office)
        office.record(1, SLOW)  # still being made
    else:
        office.record(1, LONG)
    await office.phone.doing(phase)
    office.phone.hang_up()
    await office.until(lambda: office.of(LineLost))
    assert [f for f in office.of(LineDone) if f.op == 1] == []


async def test_a_link_that_breaks_while_he_speaks_is_told_as_his_end(office: Office) -> None:
    office.record(1, SHORT)
    await office.phone.doing("RECORD FILE")
    office.phone.writer.transport.abort()
    assert (await office.done(1)).gone


async def test_a_server_that_stops_says_nothing_of_a_recording(office: Office) -> None:
    office.record(1, SHORT)
    await office.phone.doing("RECORD FILE")
    await office.server.close()
    assert office.of(LineDone) == []


async def test_a_disk_that_takes_nothing_is_an_error(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.phone.refused = "200 result=-1 (writefile)"
    office.record(1, SHORT)
    assert (await office.done(1)).outcome == "error"
    assert f"cannot record {ID}" in caplog.text
    assert await office.asked(2, SHORT) == ("timeout", "")


async def test_without_its_greeting_nobody_is_asked_to_speak(office: Office) -> None:
    office.record(1, GONE)
    assert (await office.done(1)).outcome == "error"
    assert not any(c.startswith("RECORD") for c in office.phone.commands)


# ------------------------------------------------------------------------------- prompts that fail


async def test_a_prompt_that_vanishes_while_it_plays_is_over(office: Office) -> None:
    office.ask(1, LONG, most=1, barge_in=False, timeout=0.1)
    await office.phone.doing("STREAM FILE /long")
    del office.phone.sounds["/long"]
    office.phone.press("1")  # it cannot go on from here
    assert (await office.done(1)).digits == "1"


async def test_a_question_none_of_whose_prompts_can_be_heard_is_an_error(office: Office) -> None:
    assert await office.asked(1, GONE, GONE) == ("error", "")
    assert await office.asked(2, GONE, SHORT) == ("timeout", "")


async def test_without_the_file_of_silence_it_goes_on(office: Office) -> None:
    del office.phone.sounds["/silence"]
    office.ask(1, SHORT, timeout=9)
    await office.phone.doing("WAIT FOR DIGIT")
    office.phone.press("5")
    assert (await office.done(1)).digits == "5"
    assert await office.asked(2, SHORT) == ("timeout", "")


# ------------------------------------------------------------------------------- worst moments

PHASES = {
    "prompt": lambda office: office.play(1, LONG),
    "no barge-in": lambda office: office.play(1, LONG, barge_in=False),
    "question": lambda office: office.ask(1, LONG, timeout=9),
    "waiting for the first key": lambda office: office.ask(1, SHORT, timeout=9),
    "pause": lambda office: office.server.execute(Pause(uniqueid=UNIQUEID, op=1, seconds=9)),
    "music": lambda office: office.server.execute(Pause(uniqueid=UNIQUEID, op=1, seconds=9, music=True)),
    "greeting": lambda office: office.record(1, LONG),
    "being made": lambda office: office.play(1, SLOW),
    "queue": lambda office: office.server.execute(Hold(uniqueid=UNIQUEID)),
}
DOING = {"prompt": "STREAM FILE /long", "no barge-in": "STREAM FILE /long", "question": "STREAM FILE /long",
         "greeting": "STREAM FILE /long", "music": "WAIT FOR DIGIT", "queue": ""}  # fmt: skip


async def began(office: Office, phase: str) -> None:
    await answered(office)
    PHASES[phase](office)
    if phase == "queue":
        await office.phone.said('EXEC "StartMusicOnHold"')
    await office.phone.doing(DOING.get(phase, "STREAM FILE /silence"))


@pytest.mark.parametrize("phase", PHASES)
async def test_a_newer_command_waits_a_second_at_most(office: Office, phase: str) -> None:
    await began(office, phase)
    start = time.monotonic()
    office.play(2, SHORT)
    assert (await office.done(2)).outcome == "done"
    assert time.monotonic() - start < (1.5 if phase == "music" else 0.6)
    assert await office.asked(3, SHORT) == ("timeout", "")
    office.server.execute(Release(uniqueid=UNIQUEID))
    await asyncio.wait_for(office.phone.closed.wait(), 5)


@pytest.mark.parametrize("phase", PHASES)
async def test_a_caller_who_hangs_up_is_lost_and_nothing_is_done(office: Office, phase: str) -> None:
    await began(office, phase)
    if phase == "queue":
        office.phone.say(b"HANGUP\n")
    else:
        office.phone.hang_up()
    await office.until(lambda: office.of(LineLost))
    assert [f.op for f in office.of(LineDone)] == [99]


async def test_a_mark_that_is_not_seen_is_sent_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Asterisk reads it together with the line before it."""
    monkeypatch.setattr(agi_channel, "AGAIN", 0.01)
    channel = await office.channel(uniqueid="sys-2.2", channel="PJSIP/trunk-00000002", state="Up")
    channel.replies = {"STREAM": None, "GET FULL": None}
    office.server.execute(Play(uniqueid="sys-2.2", op=5, prompts=(LONG,)))
    await channel.said("STREAM")
    office.server.execute(Play(uniqueid="sys-2.2", op=6, prompts=(SHORT,)))
    await channel.said("GET FULL", 2)
    channel.replies["STREAM"] = b"200 result=0 endpos=400\n"
    channel.replies["GET FULL"] = b"200 result=0\n"
    marks = sum(c.startswith("GET FULL") for c in channel.commands)
    for number in range(1, marks + 1):
        assert not [f for f in office.of(LineDone) if f.op == 6]
        channel.say(f"200 result=1 (cti-mark-{number})\n".encode())
    assert (await office.done(6)).outcome == "done"


async def test_a_key_that_comes_with_the_cut_is_kept(office: Office) -> None:
    channel = await office.channel(uniqueid="sys-2.2", channel="PJSIP/trunk-00000002", state="Up")
    channel.replies = {"STREAM": None, "GET FULL": None}
    office.server.execute(Play(uniqueid="sys-2.2", op=5, prompts=(LONG,)))
    await channel.said("STREAM")
    office.server.execute(Collect(uniqueid="sys-2.2", op=6, prompts=(LONG,), timeout=9))
    await channel.said("GET FULL")
    channel.say(b"200 result=52 endpos=400\n" + b"".join(f"200 result=1 (cti-mark-{n})\n".encode() for n in (1, 2, 3)))
    assert (await office.done(6)).digits == "4"
