"""What an agent hears first: made before his phone rings, and never in its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fake_asterisk import FakeAmi
from test_ami import Facts, Rig, ring

from cti.adapters import ami_actions, ami_whispers
from cti.adapters.ami import AmiLink
from cti.core.messages import HangUp, OriginateFailed, Prompt, Text
from cti.core.queues import WHISPER_MOST

FIRST, SECOND = Text(language="en", text="first"), Text(language="en", text="second")


class Studio:
    """Makes sounds of so many seconds when it is let; counts them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.may, self.asked = folder, asyncio.Event(), asyncio.Event()
        self.may.set()
        self.seconds = 1.0
        self.fails = False

    async def render(self, prompt: Prompt) -> str:
        assert isinstance(prompt, Text)
        self.asked.set()
        await self.may.wait()
        if self.fails:
            raise OSError("no voice")
        path = self.folder / prompt.text
        path.with_suffix(".wav").write_bytes(bytes(round(self.seconds * 16_000)))
        return str(path)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture
async def rig(studio: Studio) -> AsyncIterator[Rig]:
    facts = Facts()
    async with FakeAmi() as switch:
        link = AmiLink(host="127.0.0.1", port=switch.port, username="cti", secret="s3cret", submit=facts.submit,
                       cel=None, now=time.time, render=studio.render)  # fmt: skip
        rig = Rig(switch, facts, link)
        await rig.start()
        await rig.up()
        yield rig
        assert rig.task is not None
        rig.task.cancel()
        await asyncio.gather(rig.task, return_exceptions=True)


async def rung(rig: Rig, times: int = 1) -> str:
    await rig.switch.until(lambda: len(rig.switch.sent("Originate")) >= times)
    return rig.switch.sent("Originate")[-1]["Variable"]


async def test_its_files_go_with_the_ring(rig: Rig, studio: Studio) -> None:
    rig.link.execute(ring(whisper=(FIRST, SECOND)))
    assert f"CTI_WHISPER={studio.folder}/first&{studio.folder}/second" in await rung(rig)


async def test_without_one_nothing_is_played(rig: Rig) -> None:
    rig.link.execute(ring())
    assert "WHISPER" not in await rung(rig)


async def test_the_phone_does_not_wait_for_a_voice_that_is_slow(
    rig: Rig, studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ami_whispers, "WITHIN", 0.1)
    studio.may.clear()
    rig.link.execute(ring(whisper=(FIRST,)))
    assert "WHISPER" not in await rung(rig)
    assert "no whisper" in caplog.text


@pytest.mark.parametrize("trouble", ["fails", "long", "path"])
async def test_it_rings_without_what_cannot_be_played(
    rig: Rig, studio: Studio, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    if trouble == "fails":
        studio.fails = True
    elif trouble == "long":
        studio.seconds = WHISPER_MOST / 2 + 0.1
    else:
        studio.folder = studio.folder / "a,CTI_PEER=x"
        studio.folder.mkdir()
    rig.link.execute(ring(whisper=(FIRST, SECOND)))
    assert "WHISPER" not in await rung(rig)
    assert "no whisper" in caplog.text


async def test_of_one_that_is_too_long_it_is_said_once(
    rig: Rig, studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    studio.seconds = WHISPER_MOST + 1
    for n in range(3):
        rig.link.execute(ring(f"cti-1-{n}", whisper=(FIRST,)))
        assert "WHISPER" not in await rung(rig, n + 1)
    assert caplog.text.count("it lasts 21 s, of 20 at most: first") == 1


async def test_a_hang_up_overtakes_a_ring_that_is_being_prepared(rig: Rig, studio: Studio) -> None:
    studio.may.clear()
    rig.link.execute(ring(whisper=(FIRST,)))
    rig.link.execute(ring(whisper=(FIRST,)))  # the same once more
    await studio.asked.wait()
    rig.link.execute(HangUp(uniqueid="cti-1-a"))
    await rig.facts.until(lambda: rig.facts.of(OriginateFailed))
    assert [(f.uniqueid, f.reason) for f in rig.facts.of(OriginateFailed)] == [("cti-1-a", "no_answer")]
    studio.may.set()
    rig.link.execute(ring("cti-1-b"))
    await rung(rig)
    assert [a["ChannelId"] for a in rig.switch.sent("Originate")] == ["cti-1-b"]
    assert rig.switch.sent("Hangup") == []


async def test_a_link_that_broke_meanwhile_is_told(rig: Rig, studio: Studio) -> None:
    studio.may.clear()
    rig.link.execute(ring(whisper=(FIRST,)))
    await studio.asked.wait()
    rig.switch.cut()
    async with asyncio.timeout(5):
        while rig.link.connected:
            await asyncio.sleep(0.01)
    studio.may.set()
    await rig.facts.until(lambda: rig.facts.of(OriginateFailed))
    assert rig.facts.of(OriginateFailed)[0].reason == "failed"


@pytest.mark.parametrize("path", ["relative", "/a&b", "/a,b", "/${X}", "/a\r\nX: 1", "/a)", "", "/" + "a" * 400])
def test_odd_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError):
        ami_actions.whisper([path])


def test_too_much_for_a_line_is_refused() -> None:
    with pytest.raises(ValueError):
        ami_actions.whisper(["/" + "a" * 250] * 4)
