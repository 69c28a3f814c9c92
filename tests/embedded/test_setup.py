"""`make setup`: what it takes for the right Asterisk, and that a missing thing is one clear line."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from cti.embedded import setup

VERSION = "1:22.10.1+dfsg-1"


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "asterisk.lock"
    file.write_text(f"# comment\nversion {VERSION}\nasterisk amd64 aaaa\n")
    monkeypatch.setattr(setup, "LOCK", file)
    monkeypatch.setattr(setup, "_ubuntu", lambda: False)


def fetched(version: str, digest: str = "aaaa") -> dict[str, dict[str, str]]:
    return {"asterisk": {"version": version, "architecture": "amd64", "sha256": digest}}


def test_the_locked_version_with_its_hash_is_taken_silently(capsys: pytest.CaptureFixture[str]) -> None:
    setup._compare(fetched(VERSION))
    assert capsys.readouterr().out == ""


def test_the_locked_version_with_another_hash_is_refused() -> None:
    with pytest.raises(setup.SetupError, match=r"is not the file in asterisk\.lock"):
        setup._compare(fetched(VERSION, "bbbb"))


@pytest.mark.parametrize("version", ["1:23.0.0-1", "1:21.9.0-1"])
def test_another_major_version_is_refused_in_one_line(version: str) -> None:
    with pytest.raises(setup.SetupError, match=r"asterisk\.lock wants 22\.x") as caught:
        setup._compare(fetched(version))
    assert "\n" not in str(caught.value)


def test_a_newer_minor_is_taken_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    setup._compare(fetched("1:22.11.0-1", "cccc"))
    assert "newer than 1:22.10.1" in capsys.readouterr().out


def test_an_older_minor_is_refused() -> None:
    with pytest.raises(setup.SetupError, match="older"):
        setup._compare(fetched("1:22.9.0-1"))


@pytest.mark.parametrize(
    ("text", "expected"), [("1:22.10.1~dfsg+~cs6-1", (22, 10, 1)), ("20.6.0", (20, 6, 0)), ("x", (0,))]
)
def test_versions(text: str, expected: tuple[int, ...]) -> None:
    assert setup.version_of(text) == expected


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "NEEDED", {"/no/such/*": "some-package", "sh": "dash"})
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(setup.SetupError, match=r"apt-get install -y --no-install-recommends some-package$"):
        setup.packages()


def test_a_failing_step_says_its_last_words() -> None:
    with pytest.raises(setup.SetupError, match="doing it failed: no network"):
        setup.step("doing it", ["sh", "-c", "echo no network; exit 1"])


def test_a_linter_rule_installs_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "PROJECT", tmp_path)
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\ndependencies = ["a"]\n\n[tool.ruff]\nx = 1\n')
    first = setup._wanted()
    file.write_text('[project]\ndependencies = ["a"]\n\n[tool.ruff]\nx = 2\n')
    assert setup._wanted() == first
    file.write_text('[project]\ndependencies = ["b"]\n\n[tool.ruff]\nx = 2\n')
    assert setup._wanted() != first


@pytest.mark.services
def test_the_second_call_does_nothing_fast() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # we run inside of one
    began = time.monotonic()
    done = subprocess.run(["make", "setup"], cwd=setup.PROJECT, capture_output=True, text=True, check=True, env=env)
    assert time.monotonic() - began < 5
    assert done.stdout == ""
