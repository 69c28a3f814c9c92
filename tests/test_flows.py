"""A changed flows folder becomes the live version, also when the database is away at that moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit_sound import wav

from cti.adapters.prompts import Prompts
from cti.core.ivr import Book
from cti.core.messages import Sound
from cti.errors import BadInput, Unavailable
from cti.flows import LiveFlows


def write(folder: Path, words: str) -> None:
    """JSON is YAML."""
    nodes = {"greet": {"do": "say", "say": {"en": words}, "then": "hangup"}}
    flow = {"flow": "main", "language": "en", "start": "greet", "nodes": nodes}
    files = {"main": flow, "numbers": {"numbers": {"6000": "main"}}, "queues": {"queues": {}}}
    for name, data in files.items():
        (folder / f"{name}.yaml").write_text(json.dumps(data))


class Database:
    """Keeps versions, unless it is away."""

    def __init__(self) -> None:
        self.away = 0  # so many more tries fail
        self.kept: list[dict[str, str]] = []
        self.live = self.canary = 0
        self.share = 0
        self.changed = asyncio.Event()

    async def serving_flows(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        live = {"version": self.live, "share": 100} if self.live else None
        return live, {"version": self.canary, "share": self.share} if self.canary else None

    async def load_flows(self, version: int) -> dict[str, str] | None:
        return self.kept[version - 1] if 0 < version <= len(self.kept) else None

    async def publish_flows(
        self, files: dict[str, str], by: str, note: str, share: int | None, actor: str = ""
    ) -> dict[str, Any]:
        if self.away:
            self.away -= 1
            raise Unavailable("away", "postgres_unavailable")
        self.kept.append(files)
        self.serve(len(self.kept), share or 100)
        return {"version": len(self.kept), "share": share or 100}

    def serve(self, version: int, share: int) -> None:
        if share == 100:
            self.live, self.canary = version, 0
        else:
            self.canary, self.share = (version, share) if share else (0, 0)
        self.changed.set()

    async def watch_flows(self, changed: Callable[[], Any]) -> None:
        while True:
            await self.changed.wait()
            self.changed.clear()
            await changed()


class Silent(Prompts):
    """A voice that takes no time; it fails for what is in `fails`, takes 21 s for `long`, and waits for `gate`."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.fails = self.long = ""
        self.gate = asyncio.Event()
        self.gate.set()
        super().__init__(folder.with_name(f"{folder.name}-sounds"), folder, self._say, self._take)

    async def _say(self, text: str, language: str, out: Path) -> None:
        await self.gate.wait()
        if self.fails and self.fails in text:
            raise Unavailable(f"cannot say {text}")
        self.said.append(text)
        out.write_bytes(b"x" if text != self.long else bytes(21 * 16_000))

    async def _take(self, sound: Path, out: Path) -> None:
        self.said.append(sound.name)
        shutil.copy(sound, out)


class Told(list[Book]):
    """What the core was told."""

    def __init__(self) -> None:
        self.shares: list[tuple[int, int]] = []
        self.in_use: set[int] = set()

    def publish(self, book: Book, share: int) -> None:
        self.append(book)
        self.shares.append((book.version, share))


def live_flows(folder: Path, database: Database, told: Told, *, auto: bool = True, voice: Any = None) -> LiveFlows:
    config: Any = SimpleNamespace(
        paths=SimpleNamespace(flows=folder), flows=SimpleNamespace(auto_publish=auto),
        site=SimpleNamespace(country="ID", time_zone="Asia/Jakarta"),
    )  # fmt: skip
    return LiveFlows(config, database, voice or Silent(folder), told.publish, lambda: told.in_use)  # type: ignore[arg-type]


@pytest.mark.parametrize("running", [True, False])
async def test_an_edit_while_the_database_is_away_is_live_when_it_is_back(
    tmp_path: Path, running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edited while the server ran, or before it started."""
    monkeypatch.setattr("cti.flows.AGAIN", 0.01)
    database, live = Database(), Told()
    write(tmp_path, "One")
    flows = live_flows(tmp_path, database, live)
    await flows.start()
    if not running:
        write(tmp_path, "Two")
        database.away = 1
        flows = live_flows(tmp_path, database, live)
        await flows.start()
    watching = asyncio.create_task(flows.watch())
    if running:
        database.away = 2
        write(tmp_path, "Two")
    async with asyncio.timeout(6):
        while len(database.kept) < 2:
            await asyncio.sleep(0.01)
        while live[-1].version < 2:
            await asyncio.sleep(0.01)
    watching.cancel()
    assert "Two" in database.kept[-1]["main.yaml"]


QUEUES = {"sales": {"announce": {"position": True, "wait": True}, "whisper": {"en": "A call", "id": "Panggilan"}}}


async def test_what_those_who_wait_will_hear_is_made_and_a_whisper_that_is_too_long_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "One")
    node = {"greet": {"do": "queue", "queue": "sales"}}
    flow = {"flow": "main", "language": "en", "start": "greet", "nodes": node}
    (tmp_path / "main.yaml").write_text(json.dumps(flow))
    (tmp_path / "queues.yaml").write_text(json.dumps({"queues": QUEUES}))
    (tmp_path / "numbers.yaml").write_text('{"numbers": {"6000": "main", "6001": {"flow": "main", "language": "id"}}}')
    voice = Silent(tmp_path)
    voice.long = "Panggilan"
    await live_flows(tmp_path, Database(), Told(), voice=voice).start()
    async with asyncio.timeout(6):
        while len(voice.said) < 82:
            await asyncio.sleep(0.01)
    assert voice.said[:2] == ["A call", "Panggilan"]
    assert {"You are next in line.", "You will wait about twenty minutes.", "Anda berikutnya dalam antrean."} <= {
        *voice.said
    }
    told = "flows version 1: queue sales: the whisper in `id` is left out: it lasts 21 s, of 20 at most"
    assert [one.getMessage() for one in caplog.records if "left out" in one.getMessage()] == [told]


class Running:
    """Started on a good folder, and watching it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database, self.live = folder, Database(), Told()
        self.voice = Silent(folder)
        self.flows = live_flows(folder, self.database, self.live, voice=self.voice)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(6):
            while not true():
                await asyncio.sleep(0.01)

    async def next_version(self) -> Book:
        count = len(self.live)
        await self.until(lambda: len(self.live) > count)
        return self.live[-1]


@contextlib.asynccontextmanager
async def watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr("cti.flows.AGAIN", 0.01)
    monkeypatch.setattr("cti.adapters.flow_files.watch.__kwdefaults__", {"live": "", "every": 0.02})
    running = Running(folder)
    write(folder, "One")
    await running.flows.start()
    watching = [asyncio.create_task(running.flows.watch()), asyncio.create_task(running.flows.follow())]
    try:
        yield running
        for task in watching:
            assert not task.done(), task.exception()
    finally:
        for task in watching:
            task.cancel()


@pytest.mark.parametrize(
    "name", [b"main.yaml", b"caf\xe9.yaml", b"prompts/en/caf\xe9.wav"], ids=["escape", "flow name", "prompt name"]
)
async def test_what_cannot_be_read_is_told_and_neither_ends_the_server_nor_bars_its_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: bytes
) -> None:
    (tmp_path / "prompts/en").mkdir(parents=True)
    async with watched(tmp_path, monkeypatch) as running:
        bad = Path(os.fsdecode(bytes(tmp_path) + b"/" + name))
        bad.write_text('flow: main\nlanguage: "\\UFFFFFFFF"\n')
        await running.until(lambda: "flows not published" in caplog.text)
        again = Told()
        await live_flows(tmp_path, running.database, again).start()
        assert [book.version for book in again] == [1]
        bad.unlink()
        write(tmp_path, "Two")
        assert (await running.next_version()).version == 2


async def test_a_bug_met_by_one_content_is_told_once_and_the_next_content_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        monkeypatch.setattr(running.database, "publish_flows", None)
        write(tmp_path, "Two")
        await running.until(lambda: "Traceback" in caplog.text)
        monkeypatch.undo()
        write(tmp_path, "Three")
        await running.next_version()
        assert "Three" in running.database.kept[-1]["main.yaml"]


@pytest.mark.parametrize("gone", [["main.yaml", "numbers.yaml", "queues.yaml"], ["numbers.yaml"]])
async def test_a_folder_that_was_emptied_is_not_published_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, gone: list[str]
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        for name in gone:
            (tmp_path / name).unlink()
        await running.until(lambda: "flows not published" in caplog.text)
        again = Told()
        await live_flows(tmp_path, running.database, again).start()
        assert [book.version for book in again] == [1] and again[0].flow_for("6000")
        write(tmp_path, "Two")
        assert (await running.next_version()).version == 2
    assert len(running.database.kept) == 2


async def test_an_empty_folder_is_no_first_version(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no flow"):
        await live_flows(tmp_path, Database(), Told()).start()


async def test_a_prompt_recorded_anew_is_a_new_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        (tmp_path / "prompts/en").mkdir(parents=True)
        for sound in (wav(b"one_"), wav(b"two_")):
            (tmp_path / "prompts/en/welcome.wav").write_bytes(sound)
            await running.next_version()
        shutil.copystat(tmp_path, tmp_path / "prompts/en/welcome.wav")
        again = Told()
        await live_flows(tmp_path, running.database, again).start()
        assert [book.version for book in again] == [3]


async def test_what_is_not_acted_on_yet_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "One")
    (tmp_path / "queues.yaml").write_text("queues: {sales: {recording: on_demand}}")
    await live_flows(tmp_path, Database(), Told()).start()
    note = "flows version 1: queues.yaml:1:18: queue sales: `recording: on_demand` is not acted on yet"
    assert [one.getMessage() for one in caplog.records if one.levelname == "WARNING"] == [note]


# ---------------------------------------------------------------- what others publish


async def test_what_others_publish_roll_back_and_share_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        database, flows = running.database, running.flows
        for words in ("Two", "Three"):
            write(tmp_path, words)
            await running.next_version()
        told = running.live.shares
        told.clear()
        for version, share in ((1, 100), (2, 10), (2, 30), (3, 20), (3, 100), (2, 5), (2, 0)):
            before = len(told)
            database.serve(version, share)
            await running.until(lambda before=before: len(told) > before)  # type: ignore[misc]
        assert told == [(1, 100), (2, 10), (2, 30), (2, 0), (3, 20), (3, 100), (2, 5), (2, 0)]
        assert (flows.serving.live, flows.serving.canary) == (3, 0)


async def test_the_prompts_of_a_version_are_made_before_calls_meet_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        other = json.loads(json.dumps(running.database.kept[-1]).replace("One", "Nine"))
        running.database.kept.append(other)
        running.voice.gate.clear()
        running.database.serve(2, 100)
        await asyncio.sleep(0.05)
        assert running.live.shares == [(1, 100)] and "Nine" not in running.voice.said
        running.voice.gate.set()
        await running.next_version()
        assert "Nine" in running.voice.said


async def test_a_voice_that_hangs_holds_a_version_up_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.flows.LiveFlows._take_over.__defaults__", (0.05,))
    async with watched(tmp_path, monkeypatch) as running:
        running.database.kept.append(json.loads(json.dumps(running.database.kept[-1]).replace("One", "Nine")))
        running.voice.gate.clear()
        running.database.serve(2, 100)
        assert (await running.next_version()).version == 2
        running.voice.gate.set()
        await running.until(lambda: "Nine" in running.voice.said)


async def test_a_version_that_cannot_be_loaded_leaves_what_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        running.database.kept.append({"main.yaml": "flow: ["})
        running.database.serve(2, 100)
        await running.until(lambda: "version 2 cannot be loaded any more: main.yaml:1" in caplog.text)
        running.database.serve(2, 10)
        running.database.serve(1, 100)
        await running.until(lambda: not running.database.changed.is_set())
        assert running.live.shares == [(1, 100)] and running.flows.serving.live == 1


async def test_scripts_are_kept_as_long_as_a_call_runs_in_their_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/due.py").write_text("one")
    async with watched(tmp_path, monkeypatch) as running:
        flows = running.flows
        running.live.in_use = {1}
        for words in ("two", "three"):
            (tmp_path / "scripts/due.py").write_text(words)
            await running.next_version()
        await running.until(lambda: flows.script_text(2, "due.py") is None)
        assert [flows.script_text(version, "due.py") for version in (1, 2, 3)] == ["one", None, "three"]
        assert flows.script_text(3, "other.py") is None and flows.script_text(9, "due.py") is None
        again, told = live_flows(tmp_path, running.database, Told()), Told()
        again._in_use = lambda: {1, 2}
        again._publish = told.publish
        await again.start()
        assert told.shares == [(1, 100), (2, 100), (3, 100)]
        assert [again.script_text(version, "due.py") for version in (1, 2, 3)] == ["one", "two", "three"]


async def test_a_call_hears_the_recording_of_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced, deleted, and the server restarted."""
    (tmp_path / "prompts/en").mkdir(parents=True)
    file = tmp_path / "prompts/en/hello.wav"
    file.write_bytes(wav(b"one_"))
    async with watched(tmp_path, monkeypatch) as running:
        nodes = {"greet": {"do": "say", "play": "hello", "then": "hangup"}}
        flow = {"flow": "main", "language": "en", "start": "greet", "nodes": nodes}
        (tmp_path / "main.yaml").write_text(json.dumps(flow))
        assert (await running.next_version()).version == 2
        running.live.in_use = {2}
        file.write_bytes(wav(b"two_"))
        assert (await running.next_version()).version == 3
        again = live_flows(tmp_path, running.database, running.live, auto=False)
        file.unlink()
        await again.start()
        for flows in (running.flows, again):
            for version, content in ((2, wav(b"one_")), (3, wav(b"two_"))):
                made = await flows._prompts.render(Sound("en", "hello", version))
                assert Path(f"{made}.wav").read_bytes() == content


# ---------------------------------------------------------------- what is wrong with the folder


async def test_problems_are_told_until_they_are_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        flows = running.flows
        assert flows.state()["problems"] == [] and not flows.state()["folder_changed"]
        good = (tmp_path / "main.yaml").read_text()
        (tmp_path / "main.yaml").write_text("flow: main\nlanguage: en\nstart: nowhere\nnodes: {}\n")
        await running.until(lambda: bool(flows.problems))
        state = flows.state()
        assert state["problems"][0]["file"] == "main.yaml" and state["problems"][0]["text"].startswith("main.yaml:")
        assert state["folder_changed"] and state["problems_at"] and state["live"]["version"] == 1
        assert flows.failures == 1 and "version 1; the folder cannot be published: main.yaml" in flows.detail()
        (tmp_path / "main.yaml").write_text(good)
        await running.until(lambda: not flows.problems)
        assert not flows.state()["folder_changed"] and flows.detail() == "version 1"
        running.database.kept.append(running.database.kept[-1])
        running.database.serve(2, 10)
        await running.until(lambda: flows.serving.canary == 2)
        assert flows.detail() == "version 1, version 2 for 10 % of the callers"
        assert flows.state()["canary"]["share"] == 10


async def test_a_prompt_that_cannot_be_made_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        running.voice.fails = "Unheard"
        monkeypatch.setattr(running.voice, "apart", lambda: running.voice)
        write(tmp_path, "Unheard")
        await running.until(lambda: bool(running.flows.problems))
        assert str(running.flows.problems[0]) == 'prompts: en: "Unheard": cannot say Unheard'
        assert len(running.database.kept) == 1


async def test_without_auto_publish_the_folder_is_looked_at_and_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "One")
    told, database = Told(), Database()
    flows = live_flows(tmp_path, database, told, auto=False)
    await flows.start()  # nothing is live: then it is
    assert told.shares == [(1, 100)]
    write(tmp_path, "Two")
    flows = live_flows(tmp_path, database, told, auto=False)
    await flows.start()
    assert told.shares == [(1, 100)] * 2 and flows.state()["folder_changed"] and not flows.problems
    (tmp_path / "main.yaml").write_text("flow: [")
    flows = live_flows(tmp_path, database, told, auto=False)
    await flows.start()
    assert flows.problems and flows.state()["live"]["version"] == 1


async def test_a_person_publishes_from_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.adapters.flow_files.read_steady.__defaults__", (0.02, 1.0))
    write(tmp_path, "One")
    told, database = Told(), Database()
    flows = live_flows(tmp_path, database, told, auto=False)
    await flows.start()
    write(tmp_path, "Two")
    assert await flows.publish("ann", "try it", 10) == {"version": 2, "share": 10}
    assert told.shares == [(1, 100), (2, 10)]
    (tmp_path / "main.yaml").write_text("flow: [")
    with pytest.raises(BadInput) as raised:
        await flows.publish("ann")
    assert raised.value.code == "bad_flows" and raised.value.problems == flows.problems != ()  # type: ignore[attr-defined]
    for name in ("main.yaml", "numbers.yaml", "queues.yaml"):
        (tmp_path / name).unlink()
    with pytest.raises(BadInput, match="holds no flow"):
        await flows.publish("ann")
    write(tmp_path, "Three")
    await flows.publish("ann")
    assert flows.problems == () and told.shares[-1] == (3, 100)


# ---------------------------------------------------------------- writers that are killed

WRITER = """
import os, sys
folder, texts = sys.argv[1], sys.argv[2:]
for number in range(1000):
    with open(f"{folder}/.main.yaml.new", "w") as file:
        file.write(texts[number % 2])
        file.flush()
        os.fsync(file.fileno())
    os.rename(file.name, f"{folder}/main.yaml")
"""
BYTES = """
import os, sys, time
file = os.open(f"{sys.argv[1]}/main.yaml", os.O_WRONLY | os.O_TRUNC)
for byte in sys.argv[2].encode():
    os.write(file, bytes([byte]))
    time.sleep(0.001)
"""


def text(words: str) -> str:
    nodes = {"greet": {"do": "say", "say": {"en": words}, "then": "hangup"}}
    return json.dumps({"flow": "main", "language": "en", "start": "greet", "nodes": nodes})


async def test_a_storm_of_renames_whose_writer_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every version is one of the two texts, whole; in the end the live one is what stands in the file."""
    texts = [text("Left"), text("Right") + "\n" * 20_000]
    chance = random.Random(3)
    async with watched(tmp_path, monkeypatch) as running:
        for _ in range(6):
            writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(tmp_path), *texts)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(0.1, 0.4)):
                    await writer.wait()
            with contextlib.suppress(ProcessLookupError):
                writer.kill()
            await writer.wait()
        left = (tmp_path / "main.yaml").read_text()
        await running.until(lambda: running.database.kept[-1]["main.yaml"] == left)
        await running.until(lambda: running.live[-1].version == len(running.database.kept))
        assert {files["main.yaml"] for files in running.database.kept[1:]} <= set(texts)
        assert "not published" not in caplog.text and running.flows.failures == 0


async def test_a_file_saved_byte_by_byte_is_published_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", BYTES, str(tmp_path), text("Two"))
        await running.until(lambda: len(running.database.kept) > 1)
        await writer.wait()
        assert [files["main.yaml"] for files in running.database.kept[1:]] == [text("Two")]


async def test_a_writer_killed_in_the_middle_leaves_the_live_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(tmp_path, monkeypatch) as running:
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", BYTES, str(tmp_path), text("Two" * 300))
        await running.until(lambda: 300 < (tmp_path / "main.yaml").stat().st_size < 5000)
        writer.kill()
        await writer.wait()
        await running.until(lambda: bool(running.flows.problems))
        assert running.live.shares == [(1, 100)] and running.flows.problems[0].file == "main.yaml"
