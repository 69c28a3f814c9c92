"""`cti flow publish`, `history`, `diff`, `rollback`, `share`, as a person types them, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import getpass
import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kit_cli import Cti, typed

from cti.adapters.postgres import Store

pytestmark = pytest.mark.services
FLOW = 'flow: main\nlanguage: en\nstart: a\nnodes:\n  a: {do: say, say: {en: "Welcome"}, then: hangup}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "main.yaml").write_text(FLOW)
    (folder / "numbers.yaml").write_text('numbers: {"6000": main}\n')
    return folder


@pytest.fixture
def cti(dsn: str, folder: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> Cti:
    monkeypatch.setattr("cti.adapters.flow_files.read_steady.__defaults__", (0.01, 1.0))
    return partial(typed(monkeypatch, capsys, tmp_path / "home", POSTGRES__DSN=dsn, PATHS__FLOWS=folder), "flow")


def edit(folder: Path, words: str) -> None:
    (folder / "main.yaml").write_text(FLOW.replace("Welcome", words))


def test_a_folder_is_published_once(cti: Cti, folder: Path, tmp_path: Path) -> None:
    assert cti("publish", "--note", "first") == (0, "version 1 is live for new calls\n", "")
    spoken = list((tmp_path / "home/sounds/tts").glob("*.wav"))
    assert len(spoken) == 1, "its prompts are made"
    assert cti("publish") == (0, "nothing changed: version 1 has these files and is live\n", "")
    edit(folder, "Hello")
    assert cti("publish", "--by", "ann") == (0, "version 2 is live for new calls\n", "")
    nothing = {"ok": True, "version": None, "share": None, "problems": []}
    assert json.loads(cti("publish", "--json")[1]) == nothing, "it is live already"
    _, out, _ = cti("history", "--json")
    rows = [(r["version"], r["published_by"], r["note"], r["live"], r["calls"]) for r in json.loads(out)]
    assert rows == [(2, "ann", "", True, 0), (1, getpass.getuser(), "first", False, 0)]


def test_a_bad_folder_is_told_and_nothing_is_published(cti: Cti, folder: Path) -> None:
    cti("publish")
    (folder / "main.yaml").write_text(FLOW.replace("start: a", "start: b"))
    code, out, _ = cti("publish")
    assert code == 1 and out.startswith("main.yaml:3:")
    code, out, _ = cti("publish", "--json")
    assert code == 1 and json.loads(out)["problems"][0]["line"] == 3
    (folder / "main.yaml").write_text(FLOW.replace("en\n", "qq\n").replace("{en", "{qq"))
    code, out, _ = cti("publish")
    assert code == 1 and "espeak-ng does not speak `qq`" in out, "what nobody would hear is not published"
    code, _, err = cti("publish", str(folder / "main.yaml"))
    assert code == 2 and "is no folder" in err
    assert len(json.loads(cti("history", "--json")[1])) == 1


def test_a_folder_that_is_not_the_configured_one(cti: Cti, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "main.yaml").write_text(FLOW)
    assert cti("publish", str(other))[0] == 0
    assert "+++ folder/numbers.yaml" in cti("diff")[1]


def test_a_canary_from_the_command_line(cti: Cti, folder: Path) -> None:
    assert cti("publish", "--share", "10")[0] == 1  # beside what?
    cti("publish")
    edit(folder, "Hello")
    assert cti("publish", "--share", "0")[0] == 2
    assert cti("publish", "--share", "10")[1] == "version 2 serves 10 % of the new callers\n"
    out = cti("history")[1].splitlines()
    assert out[0].startswith("version  published (Asia/Jakarta)") and "10 % of the callers" in out[1]
    assert cti("share", "2", "50")[1] == "version 2 serves 50 % of the new callers\n"
    assert cti("share", "2", "0")[1] == "version 2 serves nobody any more\n"
    assert "rolled back 20" in cti("history")[1].splitlines()[1]
    assert cti("share", "2", "100")[1] == "version 2 is live for new calls\n"
    assert cti("rollback")[1] == "version 1 is live for new calls; rolled back: 2\n"
    assert cti("rollback") == (1, "", "cti: there is no earlier version to go back to\n")
    assert cti("rollback", "9")[0] == 2 and cti("share", "9", "5")[0] == 2 and cti("share", "2", "x")[0] == 2
    assert cti("publish")[1] == "version 3 is live for new calls\n"


def test_a_recording_that_nobody_has_any_more_is_told(cti: Cti, folder: Path, tmp_path: Path) -> None:
    (folder / "prompts/en").mkdir(parents=True)
    file = folder / "prompts/en/hello.wav"
    subprocess.run(["sox", "-n", "-r", "8000", "-b", "16", str(file), "synth", "1", "sine", "440"], check=True)
    (folder / "main.yaml").write_text(FLOW.replace('say: {en: "Welcome"}', "play: hello"))
    assert cti("publish")[0] == 0
    edit(folder, "Hello")
    file.unlink()
    assert cti("publish")[0] == 0
    assert cti("rollback")[2] == "", "it was kept"
    for kept in (tmp_path / "home/sounds/prompts").iterdir():
        kept.unlink()
    assert cti("share", "2", "100")[2] == ""
    code, out, err = cti("share", "1", "10")
    warning = "cti: warning: prompts/en/hello.wav of this version is not there any more and will not be heard\n"
    assert (code, err) == (0, warning) and out == "version 1 serves 10 % of the new callers\n"
    assert cti("rollback", "1")[2] == warning


def test_diff(cti: Cti, folder: Path) -> None:
    assert cti("diff")[1].startswith("--- /dev/null\n+++ folder/main.yaml\n")
    cti("publish")
    assert cti("diff") == (0, "", "version 1 and folder are the same\n")
    edit(folder, "Hello")
    (folder / "scripts").mkdir()
    (folder / "scripts/due.py").write_text("print('\x1b[2J')\n")
    out = cti("diff")[1]
    assert '-  a: {do: say, say: {en: "Welcome"}' in out and "+++ folder/scripts/due.py" in out and "\x1b" not in out
    cti("publish")
    assert cti("diff", "1")[1] == out.replace("folder/", "version 2/")
    assert cti("diff", "1", "2")[1] == cti("diff", "1")[1]
    assert cti("diff", "1", "--folder")[1] == out
    assert cti("diff", "2")[1] == cti("diff", "2", "2")[1] == ""
    told = json.loads(cti("diff", "1", "--json")[1])
    assert (told["from"], told["to"], told["changed"]) == ("version 1", "version 2", ["main.yaml", "scripts/due.py"])
    assert "+print" in told["diff"]
    assert cti("diff", "9")[0] == 2 and cti("diff", "1", "2", "--folder")[0] == 2


def test_the_login_is_audited(cti: Cti, dsn: str) -> None:
    cti("publish", "--by", "ann")

    async def audit() -> list[tuple[str, str]]:
        store = await Store.open(dsn)
        async with store.db.link() as link:
            rows = await link.fetch("SELECT actor, action FROM crm.audit")
        await store.close()
        return [tuple(row) for row in rows]

    assert asyncio.run(audit()) == [(f"cli:{getpass.getuser()}", "flows.published")]


def test_without_a_database(cti: Cti, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("CTI_POSTGRES__DSN", f"postgresql://cti@/x?host={tmp_path}")
    for words in (("publish",), ("history",), ("diff",), ("rollback",), ("share", "1", "10")):
        code, out, err = cti(*words)
        assert code == 3 and out == "" and err.startswith("cti: "), words
