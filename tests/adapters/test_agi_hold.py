"""Who waits with music: keys that mean something meanwhile, and which music it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fake_phone import FakePhone
from test_agi import UNIQUEID
from test_agi_calls import LONG, SHORT, Office

from cti.adapters import agi_session
from cti.core.messages import Hold, LineDone, Release

MUSIC = 'EXEC "StartMusicOnHold" ""'
LISTENS = "WAIT FOR DIGIT"


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    await office.open()
    yield office
    await office.server.close()
    for channel in office.channels:
        await channel.close()


def hold(office: Office, op: int, keys: str = "12", music: str = "") -> FakePhone:
    office.server.execute(Hold(uniqueid=UNIQUEID, op=op, keys=keys, music=music))
    return office.phone


def told(office: Office) -> list[tuple[int, str, str]]:
    return [(f.op, f.outcome, f.digits) for f in office.of(LineDone)]


async def test_a_key_over_the_music_is_told_once_and_the_music_goes_on(office: Office) -> None:
    phone = hold(office, 1)
    await phone.doing(LISTENS)
    phone.press("91")
    assert (await office.done(1)).digits == "1", "9 means nothing"
    await phone.until(lambda: not phone.now)
    count = len(phone.commands)
    phone.press("2")
    hold(office, 2)
    await phone.said(MUSIC, 2)
    assert told(office) == [(1, "digits", "1")]
    assert not any("Stop" in command for command in phone.commands)
    assert phone.commands[count:][0] == MUSIC, "nobody listens between"


async def test_without_keys_nobody_listens(office: Office) -> None:
    phone = hold(office, 1, keys="")
    await phone.said(MUSIC)
    await asyncio.sleep(agi_session.HOLD / 4)
    assert phone.commands[-1] == MUSIC and not phone.now


@pytest.mark.parametrize("newer", ["release", "play", "hold"])
async def test_a_newer_command_waits_for_one_look_at_most(
    office: Office, monkeypatch: pytest.MonkeyPatch, newer: str
) -> None:
    monkeypatch.setattr(agi_session, "HOLD", 0.2)
    phone = hold(office, 1)
    await phone.doing(LISTENS)
    if newer == "release":
        office.server.execute(Release(uniqueid=UNIQUEID))
        await asyncio.wait_for(phone.closed.wait(), 2)
    elif newer == "play":
        office.play(2, SHORT)
        await asyncio.wait_for(office.done(2), 2)
    else:
        hold(office, 2, keys="")
        await asyncio.wait_for(phone.said(MUSIC, 2), 2)
    assert all(outcome == "done" for _, outcome, _ in told(office))


async def test_a_key_during_an_announcement_counts_when_it_is_over(office: Office) -> None:
    phone = hold(office, 1)
    await phone.doing(LISTENS)
    phone.sounds["/long"] = 0.3
    office.play(2, LONG, barge_in=False)
    await phone.doing("STREAM FILE /long")
    phone.press("2")
    assert (await office.done(2)).outcome == "done"
    hold(office, 3)
    assert (await office.done(3)).digits == "2"


async def test_a_key_from_before_the_words_does_not_count(office: Office) -> None:
    office.ask(1, SHORT, timeout=5)
    await office.phone.doing("STREAM FILE /silence")
    office.phone.press("11")
    assert (await office.done(1)).digits == "1"
    office.play(2, SHORT, barge_in=False)
    await office.done(2)
    phone = hold(office, 3)
    await phone.doing(LISTENS)
    phone.press("2")
    assert (await office.done(3)).digits == "2"


async def test_the_music_s_class_is_the_channel_s_own(office: Office) -> None:
    """So the dialplan plays it too while no server is there."""
    phone = hold(office, 1, keys="", music="gold")
    await phone.said(MUSIC)
    hold(office, 2, keys="", music="gold")
    await phone.said(MUSIC, 2)
    hold(office, 3, keys="")
    await phone.said(MUSIC, 3)
    sets = [command for command in phone.commands if command.startswith(("SET", "EXEC"))]
    assert sets == ['SET VARIABLE "CHANNEL(musicclass)" "gold"', MUSIC, MUSIC, 'SET VARIABLE "CHANNEL(musicclass)" ""',
                    MUSIC]  # fmt: skip
