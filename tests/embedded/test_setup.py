"""`make setup`: what it takes for the right Asterisk, and that a missing thing is one clear line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cti.embedded import setup
from tests.kit_until import wait_until

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


# ---------------------------------------------------------------- stopped half way, or twice at once


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project and a cache of its own; nothing is missing but Asterisk."""
    monkeypatch.setattr(setup, "PROJECT", tmp_path)
    monkeypatch.setattr(setup, "SHARED", tmp_path / "cache")
    monkeypatch.setattr(setup, "OWN", tmp_path / "cache")
    monkeypatch.setattr(setup, "POLICY", tmp_path / "policy-rc.d")
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = []\n')
    return tmp_path


def test_a_venv_whose_making_was_stopped_is_made_again(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def step(text: str, argv: list[str], env: dict[str, str] | None = None) -> str:
        steps.append(text)
        (machine / ".venv").mkdir(exist_ok=True)
        return ""

    monkeypatch.setattr(setup, "step", step)
    program = machine / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho No module named pip >&2; exit 1\n")
    program.chmod(0o755)
    setup.virtual_environment()
    assert steps[0] == "making .venv"


def test_a_tree_that_is_there_already_is_taken_and_half_of_one_replaced(machine: Path) -> None:
    tree, fresh = machine / "asterisk-1", machine / "fetching-1"
    for stamped in (True, False):
        for folder in (tree, fresh):
            folder.mkdir(exist_ok=True)
            (folder / folder.name).touch()
        (fresh / setup.STAMP).touch()
        (tree / setup.STAMP).touch() if stamped else (tree / setup.STAMP).unlink()
        setup._settle(fresh, tree)
        assert (tree / setup.STAMP).is_file()
        assert (tree / tree.name).exists() is stamped


def test_what_a_killed_fetch_left_is_removed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(target: Path) -> dict[str, dict[str, str]]:
        target.mkdir()
        return fetched(VERSION)

    monkeypatch.setattr(setup, "_fetch", fetch)
    (machine / "cache/fetching-4194305").mkdir(parents=True)  # above any pid
    (machine / f"cache/fetching-{os.getppid()}").mkdir()
    setup.asterisk()
    names = {path.name.split("-22")[0] for path in (machine / "cache").iterdir()}
    assert names == {"asterisk", f"fetching-{os.getppid()}"}


def test_a_policy_of_ours_that_was_left_is_removed_and_no_other(machine: Path) -> None:
    policy = machine / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    setup._services_kept_off.remove_leftover()
    assert policy.exists()
    policy.write_text(f"#!/bin/sh\n{setup.OURS}\nexit 101\n")
    setup._services_kept_off.remove_leftover()
    assert not policy.exists()


SETUP = """
import sys, pathlib
sys.path.insert(0, {root!r})
from cti.embedded import setup
here = pathlib.Path({here!r})
setup.PROJECT, setup.SHARED, setup.POLICY = here, here / "cache", here / "policy-rc.d"
setup.missing_packages = lambda: []
def packages():
    setup._services_kept_off.remove_leftover()
    with setup._services_kept_off() as _:
        setup.step("installing", ["sh", "-c", {work!r}])
setup.packages, setup.account, setup.virtual_environment, setup.asterisk = packages, int, lambda: 1, int
setup._services_kept_off.__init__ = lambda self: setattr(self, "made", {{setup.POLICY: setup.OURS}})
sys.exit(setup.main())
"""


def started(here: Path, work: str) -> subprocess.Popen[str]:
    code = SETUP.format(root=str(Path(__file__).parents[2]), here=str(here), work=work)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_removes_the_policy_and_ends_the_step_first(tmp_path: Path, number: signal.Signals) -> None:
    work = f"trap 'echo > {tmp_path}/ended; exit' TERM; echo > {tmp_path}/began; while :; do sleep 0.05; done"
    with started(tmp_path, work) as process:
        wait_until((tmp_path / "began").exists)
        assert (tmp_path / "policy-rc.d").exists()
        process.send_signal(number)
        assert process.wait(10) == 128 + number
    assert (tmp_path / "ended").exists()
    assert not (tmp_path / "policy-rc.d").exists()


def test_of_two_at_once_the_second_waits_and_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    work = f"echo began >> {log}; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo ended >> {log}"
    with started(tmp_path, work) as first:
        wait_until(log.exists)
        with started(tmp_path, work) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "setup: another `make setup` is running; waiting for it ...\n"
            (tmp_path / "go").touch()
            assert (first.wait(10), second.wait(10)) == (0, 0)
    assert log.read_text().split() == ["began", "ended"] * 2


@pytest.mark.services
def test_the_second_call_does_nothing_fast() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # we run inside of one
    began = time.monotonic()
    done = subprocess.run(["make", "setup"], cwd=setup.PROJECT, capture_output=True, text=True, check=True, env=env)
    assert time.monotonic() - began < 5
    assert done.stdout == ""
