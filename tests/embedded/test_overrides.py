"""The variables `cti up` runs with, as the verbs of another terminal find them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec
import pytest

from cti.__main__ import main
from cti.cli import options
from cti.embedded import home, overrides, supervisor
from tests.embedded.conftest import left_nothing


@pytest.mark.services
async def test_a_verb_of_another_terminal_uses_the_variables_that_the_home_runs_with(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home"
    args = argparse.Namespace(home=path, config=None)
    port = int(environ["CTI_HTTP__PORT"])
    async with home.running(path, environ, lambda _: None):
        assert (path / "pids/overrides.json").stat().st_mode & 0o077 == 0
        assert options.load(args).http.port == port
        assert options.load(argparse.Namespace(home=None, config=path / "cti.toml")).http.port == port
        monkeypatch.setenv("CTI_HTTP__PORT", "9999")
        assert options.load(args).http.port == 9999, "what the verb is given wins"
        monkeypatch.delenv("CTI_HTTP__PORT")
    assert not (path / "pids/overrides.json").exists()
    assert options.load(args).http.port == 8080
    left_nothing(path)


def test_variables_of_a_run_that_was_killed_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    gone = overrides.Overrides(supervisor.Mark(os.getpid(), 1), {"CTI_HTTP__PORT": "9999"})
    (tmp_path / "pids/overrides.json").write_bytes(msgspec.json.encode(gone))
    assert overrides.remembered(tmp_path) == {}
    left = supervisor.mark_of(os.getpid())
    (tmp_path / "pids/server.json").write_bytes(msgspec.json.encode(left))
    assert overrides.remembered(tmp_path) == {"CTI_HTTP__PORT": "9999"}, "its parts still run with them"
    (tmp_path / "pids/overrides.json").write_text("{")
    assert overrides.remembered(tmp_path) == {}


def test_the_variables_of_a_home_show_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pids").mkdir()
    (tmp_path / "cti.toml").touch()
    secret = "postgresql://u:hunter2-hunter2@h/db"
    with overrides.kept(tmp_path, {"CTI_POSTGRES__DSN": secret, "CTI_HOME": "x", "PATH": "y"}):
        assert main(["config", "show", "--home", str(tmp_path)]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("postgres.dsn"))
    assert "hunter2" not in row and row.endswith("(CTI_POSTGRES__DSN of the running `cti up`)")
