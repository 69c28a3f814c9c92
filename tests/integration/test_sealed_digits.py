"""A card number pressed at the phone of a whole home, its logs as talkative as can be, is found nowhere in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from cti.app import App
from cti.config import Config
from cti.core.messages import Collect, Record, Sealed
from cti.embedded import asterisk
from tests.adapters.real_asterisk import RealAsterisk, running
from tests.integration.kit import Caller
from tests.kit_home import FLOWS
from tests.kit_pg import Cluster
from tests.kit_ports import free_port

pytestmark = pytest.mark.services
CARD, PIN = "4929123456781236", "860735"
RECORDING = "01936a2b-0000-7000-8000-00000000000a"


def traces(text: str, digits: str) -> list[str]:
    """Where they stand together, spaced, quoted, in a list, or each in its own line; and where any key is told."""
    apart = re.compile(r"[^0-9A-Za-z]{0,6}".join(digits))
    lines = re.compile(r"[^\n]{0,80}\n[^\n]{0,80}?\b".join(rf"{digit}\b" for digit in digits))
    keys = re.compile(r"(?i)DTMF|^Digit: |result=[3-6][0-9]\b|WAIT FOR DIGIT|GET DATA", re.M)
    return [found[0][:80] for shape in (apart, lines, keys) if (found := shape.search(text))]


@pytest.mark.parametrize("text", [
    f"x{CARD}y", " ".join(CARD), ", ".join(f"'{digit}'" for digit in CARD), "\n".join(CARD),
    "".join(f"a line that tells of {digit}\n" for digit in CARD), "Event: DTMFEnd", "AGI Tx >> 200 result=52",
])  # fmt: skip
def test_a_trace_would_be_found(text: str) -> None:
    assert traces(text, CARD)


def written(place: Path, since: float) -> dict[Path, str]:
    """What was written there since then."""
    found = {}
    for folder, _, names in os.walk(place, followlinks=True):
        for path in (Path(folder) / name for name in names):
            if path.is_file() and path.stat().st_mtime >= since:
                found[path] = path.read_bytes().decode("latin-1")
    return found


async def dump(dsn: str) -> str:
    """Every row of every table."""
    link = await asyncpg.connect(dsn)
    try:
        tables = await link.fetch("SELECT format('%I.%I', schemaname, tablename) AS t FROM pg_tables"
                                  " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")  # fmt: skip
        rows = [await link.fetch(f"SELECT x::text AS row FROM {table['t']} x") for table in tables]
        return "\n".join(str(row["row"]) for found in rows for row in found)
    finally:
        await link.close()


@contextlib.asynccontextmanager
async def spy(config: Config) -> AsyncIterator[bytearray]:
    """All that an account for AMI events is told."""
    said = bytearray()
    reader, writer = await asyncio.open_connection(config.ami.host, config.ami.port)
    writer.write(f"Action: Login\r\nUsername: {config.ami.username}\r\nSecret: {config.ami.secret}\r\n\r\n".encode())

    async def listen() -> None:
        while data := await reader.read(65536):
            said.extend(data)

    task = asyncio.create_task(listen())
    try:
        yield said
    finally:
        task.cancel()
        writer.close()


@pytest.fixture
def switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealAsterisk]:
    cluster = Cluster.start()
    flows = tmp_path / "flows"
    flows.mkdir()
    for name, text in FLOWS.items():
        (flows / name).write_text(text)
    monkeypatch.setenv("CTI_POSTGRES__DSN", cluster.database(migrated=True))
    monkeypatch.setenv("CTI_PATHS__FLOWS", str(flows))
    monkeypatch.setenv("CTI_FLOWS__AUTO_PUBLISH", "true")
    monkeypatch.setenv("CTI_HTTP__PORT", str(free_port()))
    try:
        with running(tmp_path / "home") as real:
            yield real
    finally:
        cluster.close()


@pytest.fixture
async def app(switch: RealAsterisk) -> AsyncIterator[App]:
    log = logging.FileHandler(switch.config.paths.logs / "server.log")
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    app = App(switch.config, None)
    task = asyncio.create_task(app.run())
    async with asyncio.timeout(30):
        while not getattr(getattr(app, "agi", None), "listening", False):
            await asyncio.sleep(0.05)
    yield app
    app.stopping.set()
    await task
    root.handlers[:], root.level = before, level
    log.close()


async def answered(app: App, caller: Caller, name: str, keys: str) -> Sealed:
    """What is told of a sealed question whose answer is pressed slowly, during its prompt and after."""
    told: list[Sealed] = []
    put = app.vault.put
    session = next(iter(app.agi._held.values()))
    session._outside = session._outside._replace(seal=lambda *kept: told.append(put(*kept)) or told[-1])
    uniqueid = next(iter(app.agi._held))
    app.agi.execute(Collect(uniqueid=uniqueid, op=900, prompts=(), timeout=5, most=19, terminator="#", seal=name,
                            fresh=True))  # fmt: skip
    async with asyncio.timeout(5):
        while session._next is not None:  # taken: what was pressed before is dropped in the same step
            await asyncio.sleep(0.005)
    assert caller.call is not None
    caller.call.press(keys + "#")
    async with asyncio.timeout(15):
        while not told:
            await asyncio.sleep(0.05)
    assert app.vault.get(uniqueid, name) == keys
    return told[0]


async def test_sealed_digits_are_nowhere_in_a_home(app: App, switch: RealAsterisk) -> None:
    config, began = switch.config, time.time()
    for command in ("core set verbose 9", "core set debug 9", "agi set debug on"):
        await asterisk.control(config, command)
    async with spy(config) as events:
        caller = await Caller(switch.sip, "6000").start()
        await caller.answered()
        async with asyncio.timeout(10):
            while not app.agi.sessions:
                await asyncio.sleep(0.05)
        assert await answered(app, caller, "card", CARD) == Sealed(length=16, good=True, last4=CARD[-4:])
        assert await answered(app, caller, "pin", PIN) == Sealed(length=6)
        uniqueid, session = next(iter(app.agi._held.items()))
        app.agi.execute(Record(uniqueid=uniqueid, op=901, prompts=(), recording_id=RECORDING, longest=1, silence=0))
        spoken = config.paths.recordings.resolve() / "spool" / f"{RECORDING}-caller.wav"
        async with asyncio.timeout(10):
            while not spoken.exists() or session._recording is not None:
                await asyncio.sleep(0.02)
        caller.hang_up()
        await caller.wait()
        async with asyncio.timeout(10):
            while app.vault._kept or app.board.calls.live:
                await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        while "call.ended" not in (rows := await dump(config.postgres.dsn)):
            await asyncio.sleep(0.1)
    files = written(config.paths.home, began) | written(config.paths.logs, 0)
    for digits in (CARD, PIN):
        assert traces(rows, digits) == []
        assert traces(events.decode(errors="replace"), digits) == []
        assert {path: trace for path, text in files.items() if (trace := traces(text, digits))} == {}
    assert b"Event: Hangup" in events
    assert {"server.log", "cti.csv", "messages", f"{RECORDING}-caller.wav"} <= {path.name for path in files}
