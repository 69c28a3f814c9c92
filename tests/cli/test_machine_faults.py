"""What the machine does to us is one line and an exit code, no traceback."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import asyncpg
import pytest

from cti.__main__ import main
from cti.adapters import postgres_db
from cti.config import PROJECT
from cti.embedded import account
from cti.errors import BadInput


def test_an_impossible_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file/home", tmp_path / ("x" * 300)):
        assert main(["up", "--home", str(home)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"cti: {home}") and said.count("\n") == 1, said


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("cti.config.load_with_origins", full)
    assert main(["config", "show"]) == 1
    assert capsys.readouterr().err == "cti: No space left on device\n"


def test_an_account_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(BadInput, match=r"no account with the number \d+, .* add it to /etc/passwd"):
        account.ourselves()


def test_nobodys_home_in_a_path(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CTI_PATHS__LOGS", "~nosuchaccount/logs")
    assert main(["config", "show"]) == 2
    assert capsys.readouterr().err == "cti: CTI_PATHS__LOGS: paths.logs: expected a path\n"


@pytest.mark.parametrize("fault", [OSError(2, "x"), TimeoutError(), asyncpg.UndefinedTableError("x")])
def test_the_api_page_names_the_code_of_a_database_that_is_away(fault: Exception) -> None:
    assert f"`{postgres_db.unavailable(fault).code}`" in (PROJECT / "docs/api.md").read_text()
