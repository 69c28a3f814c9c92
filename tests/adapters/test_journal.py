from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cti.adapters import journal as module
from cti.adapters.journal import Journal
from cti.core.messages import Event, decode
from cti.errors import Refused


def event(n: int, **data: Any) -> Event:
    return Event(type="call.test", at=float(n), seq=n, data=data)


def read_all(journal: Journal, step: int = 7) -> list[tuple[int, int]]:
    """(position, seq) of everything, read in small steps."""
    found: list[tuple[int, int]] = []
    position = 0
    while lines := journal.read(position, step):
        found += [(at, decode(line).seq) for at, line in lines]  # type: ignore[union-attr]
        position = lines[-1][0]
    return found


def test_what_is_appended_is_read_in_order_with_rising_positions(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    last = journal.append([event(1), event(2)])
    assert journal.append([event(3)]) == last + 1 == journal.last
    assert read_all(journal) == [(last - 1, 1), (last, 2), (last + 1, 3)]
    assert journal.read(last) == journal.read(last)[-1:] != []
    journal.close()


def test_positions_go_on_after_a_restart_and_over_segments(tmp_path: Path) -> None:
    seen: list[int] = []
    for start in range(4):
        journal = Journal.open(tmp_path, segment_bytes=500)
        seen += [journal.append([event(start * 20 + n)]) for n in range(20)]
        journal.close()
    assert len(list(tmp_path.glob("*.jsonl"))) > 5
    assert seen == list(range(seen[0], seen[0] + 80))
    journal = Journal.open(tmp_path, segment_bytes=500)
    assert read_all(journal) == [(seen[0] + n, n) for n in range(80)]
    assert [at for at, _ in journal.read(seen[40], 3)] == seen[41:44]  # back, then forth again
    assert [at for at, _ in journal.read(seen[70], 3)] == seen[71:74]
    journal.close()


def test_a_new_folder_begins_above_the_old_one(tmp_path: Path) -> None:
    old = Journal.open(tmp_path / "old")
    before = old.append([event(n) for n in range(1000)])
    new = Journal.open(tmp_path / "new")
    assert new.last + 1 > before - 1000 and new.id != old.id
    assert new.append([event(1)]) > before - 1000
    old.close()
    new.close()


def test_reading_goes_on_while_writing(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=400)
    position, got, rnd = 0, [], random.Random(4)
    for n in range(200):
        journal.append([event(n)])
        if rnd.random() < 0.4:
            for at, line in journal.read(position, 3):
                got.append(decode(line).seq)  # type: ignore[union-attr]
                position = at
    got += [seq for at, seq in read_all(journal) if at > position]
    assert got == list(range(200))
    journal.close()


@pytest.mark.parametrize("tail", [b'{"is":"Event","ty', b"\xff\xfe", b"{"])
def test_a_torn_line_is_cut_and_its_position_used_again(tmp_path: Path, tail: bytes, caplog: Any) -> None:
    journal = Journal.open(tmp_path)
    last = journal.append([event(1)])
    journal.close()
    with next(tmp_path.glob("*.jsonl")).open("ab") as file:
        file.write(tail)
    journal = Journal.open(tmp_path)
    assert "torn line" in caplog.text
    assert journal.last == last
    assert journal.append([event(2)]) == last + 1
    assert [seq for _, seq in read_all(journal)] == [1, 2]
    journal.close()


def test_what_was_appended_survives_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cti.adapters.journal import Journal;"
        "from cti.core.messages import Event; j = Journal.open(Path(sys.argv[1]), 5000)\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1; j.append([Event(type='t', at=1.0, seq=n)]); sys.stdout.write(f'{n}\\n'); sys.stdout.flush()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [int(child.stdout.readline()) for _ in range(200)]
    os.kill(child.pid, signal.SIGKILL)
    said += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    child.wait()
    child.stdout.close()
    journal = Journal.open(tmp_path)
    kept = [seq for _, seq in read_all(journal)]
    assert kept == list(range(1, len(kept) + 1)) and len(kept) >= said[-1] >= 200
    journal.close()


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    with pytest.raises(Refused, match="another server") as refused:
        Journal.open(tmp_path)
    assert refused.value.code == "journal_in_use"
    journal.close()
    Journal.open(tmp_path).close()


def test_full_segments_go_when_stored_and_old(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=300)
    for n in range(30):
        journal.append([event(n)])
    files = sorted(tmp_path.glob("*.jsonl"))
    stored = int(files[3].stem)  # the first line of the fourth: three are stored whole
    journal.drop(stored, time.time())
    assert sorted(tmp_path.glob("*.jsonl")) == files
    journal.drop(stored, time.time() + 25 * 3600)
    assert sorted(tmp_path.glob("*.jsonl")) == files[3:]
    journal.drop(journal.last, time.time() + 25 * 3600)
    assert sorted(tmp_path.glob("*.jsonl")) == files[-1:]
    last = journal.last
    journal.close()
    journal = Journal.open(tmp_path)
    assert journal.last == last
    journal.close()


@pytest.mark.parametrize(
    "data",
    [{"name": "a\0b"}, {"name": "x\ud800y"}, {"k\udfff": ["\0"]}, {"way": Path("/x")}, {"n": 2**70}, {1: {2: {3}}}],
    ids=["nul", "surrogate", "key", "path", "big", "set"],
)
def test_whatever_an_event_holds_becomes_one_line_that_can_be_read(tmp_path: Path, data: dict[Any, Any]) -> None:
    journal = Journal.open(tmp_path)
    journal.append([event(1), Event(type="call.odd", at=2.0, seq=2, agent="a\0", data=data), event(3)])
    lines = [line for _, line in journal.read(0)]
    assert [decode(line).seq for line in lines] == [1, 2, 3]  # type: ignore[union-attr]
    assert b"\\u0000" not in lines[1]
    journal.close()


def test_a_full_disk_drops_nothing_and_stops_nobody(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    journal = Journal.open(tmp_path)
    write, room = os.write, [40]

    def little_room(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(file, bytes(data[: room[0]]))
        room[0] -= written
        return written

    monkeypatch.setattr(module.os, "write", little_room)
    journal.append([event(1), event(2)])
    journal.append([event(3)])
    assert journal.read(0) == []  # nothing but half a line
    room[0] = 1 << 20
    journal.append([event(4)])
    assert [seq for _, seq in read_all(journal)] == [1, 2, 3, 4]
    assert caplog.text.count("cannot write") == 1 and caplog.text.count("can write again") == 1
    journal.close()


def test_synced_follows_last(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, segment_bytes=2000)
    for n in range(300):
        journal.append([event(n)])
    deadline = time.monotonic() + 10
    while journal.synced < journal.last and time.monotonic() < deadline:
        time.sleep(0.001)
    assert journal.synced == journal.last
    journal.close()


def test_a_disk_that_could_not_sync_is_synced_again_when_it_can(
    tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    """Nobody needs to append anything for that."""
    journal, sync, tries = Journal.open(tmp_path), os.fdatasync, []

    def broken(handle: int) -> None:
        tries.append(handle)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module.os, "fdatasync", broken)
    last = journal.append([event(1)])
    _until(lambda: tries)
    assert journal.synced == last - 1
    monkeypatch.setattr(module.os, "fdatasync", sync)
    _until(lambda: journal.synced == last)
    journal.close()
    assert caplog.text.count("cannot sync") == 1 and caplog.text.count("can sync again") == 1


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
