"""`cti doctor`: each fault of a machine is named, with what mends it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cti import config as configuration
from cti.__main__ import main
from cti.cli import doctor
from cti.config import Config

Check = Callable[[Config], Iterator[doctor.Row]]


def problems(check: Check, config: Config) -> list[str]:
    return [text for verdict, text in doctor._safely(check, config) if verdict != "ok"]


@pytest.fixture
def config(tmp_path: Path, environ: dict[str, str]) -> Callable[..., Config]:
    (tmp_path / "flows").mkdir()
    (tmp_path / "cti.toml").write_text("")

    def made(**more: str) -> Config:
        base = {"CTI_PATHS__FLOWS": str(tmp_path / "flows")}
        return configuration.load(tmp_path / "cti.toml", {**environ, **base, **more})

    return made


def test_no_asterisk(config: Callable[..., Config], tmp_path: Path) -> None:
    wrong = problems(doctor.switch, config(CTI_ASTERISK__ROOT=str(tmp_path)))
    assert wrong == [f"{tmp_path} holds no extracted Asterisk: run `make setup`"]


def test_sounds_that_are_dead_links_or_not_there(tmp_path: Path) -> None:
    assert doctor.sound_files("sounds", tmp_path / "none")[1].startswith("no sounds in ")
    (tmp_path / "good.gsm").write_text("x")
    assert doctor.sound_files("sounds", tmp_path) == ("ok", f"sounds: 1 files in {tmp_path}")
    (tmp_path / "beep.gsm").symlink_to("/nowhere/beep.gsm")
    verdict, text = doctor.sound_files("sounds", tmp_path)
    assert (verdict, text.split(",")[:2]) == ("problem", ["1 dead links", " as beep.gsm"])


def test_a_host_name_that_does_not_resolve(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    monkeypatch.setattr(socket, "gethostname", lambda: "lonely")
    (text,) = problems(doctor.host_name, config())
    assert "add `127.0.1.1 lonely` to /etc/hosts" in text


def test_a_taken_port(config: Callable[..., Config]) -> None:
    here = config()
    assert problems(doctor.ports, here) == []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", here.ami.port))
        taken.listen()
        (text,) = problems(doctor.ports, here)
    assert text == f"port {here.ami.port} on 127.0.0.1 is taken: set [ami] port in cti.toml, or CTI_AMI__PORT"


def test_no_voice(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert problems(doctor.voices, config()) == ["no voice for prompts: apt-get install -y espeak-ng sox"]


def test_broken_flows_and_dead_prompts(config: Callable[..., Config], tmp_path: Path) -> None:
    here, folder = config(), tmp_path / "flows"
    (folder / "main.yaml").write_text("flow: main\nlanguage: en\nstart: a\nnodes:\n  a: {do: sya, then: hangup}\n")
    (text,) = problems(doctor.flows, here)
    assert text.startswith(f"{folder}/main.yaml:5:")
    (folder / "main.yaml").write_text("flow: main\nlanguage: en\nstart: a\nnodes:\n  a: {do: hangup}\n")
    assert problems(doctor.flows, here) == []
    (folder / "prompts/en").mkdir(parents=True)
    (folder / "prompts/en/hello.wav").symlink_to("/nowhere.wav")
    (text,) = problems(doctor.flows, here)
    assert f"{folder}/prompts/en/hello.wav is a dead link to /nowhere.wav" in text


def test_a_home_that_does_not_exist_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new"
    monkeypatch.setattr(doctor, "CHECKS", (doctor.disk,))
    assert main(["doctor", "--home", str(new)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"warning  the home {new} does not exist yet: `cti up --home {new}` makes it"
    assert second.endswith(f"free on the disk of {tmp_path}")
    assert not new.exists()
    assert main(["doctor", "--config", str(new / "cti.toml")]) == 2
    new.mkdir()
    (new / "cti.toml").touch()
    capsys.readouterr()
    assert main(["doctor", "--home", str(new)]) == 0
    assert "does not exist" not in capsys.readouterr().out


def test_another_home_that_uses_the_same_ports_for_sound(config: Callable[..., Config], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "cti.toml").write_text("[rtp]\nfirst = 3000\nlast = 3999\n")
    argv = [sys.executable, "-c", "input()", "cti", "serve", "--config", str(other / "cti.toml")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        said = problems(doctor.neighbours, config(CTI_RTP__FIRST="3999", CTI_RTP__LAST="5000"))
        apart = problems(doctor.neighbours, config(CTI_RTP__FIRST="4000", CTI_RTP__LAST="5000"))
        server.communicate(b"\n")
    assert [text for text in said if str(other) in text] == [
        f"[rtp] 3999-5000 and 3000-3999 of the running home {other} overlap: "
        "set [rtp] first, last, or CTI_RTP__FIRST, CTI_RTP__LAST"
    ]
    assert [text for text in apart if str(other) in text] == []


def test_who_lookups_run_as(config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(doctor.lookups, config()) == []  # no database runs: nothing is known

    async def own(*_: object) -> tuple[str, dict[str, str]]:
        return "own", {}

    monkeypatch.setattr("cti.adapters.postgres_lookups.how", own)
    (text,) = problems(doctor.lookups, config())
    assert text.startswith("lookups of flows run as the server's own account")
    assert "CREATE ROLE cti_lookup LOGIN" in text


def test_a_tokeniser_that_cannot_be_reached_or_is_not_allowed(config: Callable[..., Config]) -> None:
    assert problems(doctor.payment, config()) == []
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen()
        place = f"127.0.0.1:{there.getsockname()[1]}"
        url = {"CTI_PAYMENT__URL": f"http://{place}/tokens"}
        assert problems(doctor.payment, config(**url)) == [
            f"[payment] url is on this machine: put {place} into [outside] allow"
        ]
        assert problems(doctor.payment, config(**url, CTI_OUTSIDE__ALLOW=place)) == []
    (text,) = problems(doctor.payment, config(**url))
    assert text == f"the tokeniser of [payment], {place}, cannot be reached: Connection refused"
