"""Messages of the stand-alone script are told once, in order; what is broken is set aside."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from cti.adapters.voicemail import read_in
from cti.core.messages import MessageLeft

SCRIPT = Path(__file__).parents[2] / "asterisk-conf/fallback.py"


def note(folder: Path, name: str, **more: object) -> None:
    text = {"file": f"/x/{name}.wav", "uniqueid": f"cti-{name}.1", "at": 5.0, "seconds": 2.5, **more}
    (folder / f"{name}.new").write_text(json.dumps(text))
    (folder / f"{name}.new").rename(folder / f"{name}.json")


def the_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fallback", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_messages_are_read_in_once(tmp_path: Path) -> None:
    told: list[MessageLeft] = []
    note(tmp_path, "1800000002")
    note(tmp_path, "1800000001", called=None)
    note(tmp_path, "1800000003", uniqueid=None)
    (tmp_path / "1800000004.json").write_text("{half")
    task = asyncio.create_task(read_in(tmp_path, told.append, every=0.01))
    async with asyncio.timeout(5):
        while list(tmp_path.glob("*.json")):
            await asyncio.sleep(0.01)
    note(tmp_path, "1800000005")
    async with asyncio.timeout(5):
        while len(told) < 3:
            await asyncio.sleep(0.01)
    task.cancel()
    assert [m.file for m in told] == ["1800000001.wav", "1800000002.wav", "1800000005.wav"]
    assert sorted(p.name for p in tmp_path.glob("*.bad")) == ["1800000003.bad", "1800000004.bad"]


async def test_a_note_that_cannot_be_set_aside_stops_nobody(tmp_path: Path) -> None:
    """It is told or complained of once, and the others are read."""
    told: list[MessageLeft] = []
    note(tmp_path, "1800000001")
    (tmp_path / "1800000001.read").mkdir()
    (tmp_path / "1800000001.bad").mkdir()
    note(tmp_path, "1800000002", at=1e999)
    task = asyncio.create_task(read_in(tmp_path, told.append, every=0.01))
    async with asyncio.timeout(5):
        note(tmp_path, "1800000003")
        while not (tmp_path / "1800000003.read").exists():
            await asyncio.sleep(0.01)
        note(tmp_path, "1800000004")
        while not (tmp_path / "1800000004.read").exists():
            await asyncio.sleep(0.01)
    task.cancel()
    assert [m.file for m in told if m.file != "1800000002.wav"] == [
        "1800000001.wav", "1800000003.wav", "1800000004.wav",
    ]  # fmt: skip


def test_a_note_half_written_is_seen_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader would set it aside, and the message would be lost."""
    seen: list[list[Path]] = []

    def write(path: Path, text: str) -> None:
        path.write_bytes(text[:10].encode())
        seen.append(list(tmp_path.glob("*.json")))
        path.write_bytes(text.encode())

    (tmp_path / "1.wav").touch()
    script = the_script()
    monkeypatch.setattr(Path, "write_text", write)
    script.keep(tmp_path / "1", {"uniqueid": "cti-1.1"})
    assert seen == [[]]
    assert [json.loads(p.read_text()) for p in tmp_path.glob("*.json")] == [{"file": "1.wav", "uniqueid": "cti-1.1"}]
