"""The generated Asterisk files: nothing but plain values gets in, secrets stay private, a write is all or nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import jinja2
import pytest

from cti import config as configuration
from cti.adapters import ami_facts
from cti.config import Config, Trunk
from cti.embedded import render
from cti.embedded.places import Account
from cti.errors import BadInput

ME = Account("me", os.geteuid(), os.getegid(), drop=False)
SECRET = "abcdefghijklmnop"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    found = configuration.load(None, {"CTI_HOME": str(tmp_path), "CTI_AMI__SECRET": SECRET})
    found.asterisk.config_dir.mkdir(parents=True)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> render.Tree:
    return render.Tree(tmp_path, tmp_path, tmp_path, tmp_path, (22, 10, 1))


HOSTILE = [
    "abc;def", "agent1](!,template", "Main) same => n,System(id", "a\nb", "a\r\nb", "a\0b", "#exec id", "a#b",
    "[x]", "{{ 1 }}", "${SHELL(id)}", "a,b", "a\\b", "a|b", "a\u2028b", "a\n", " a", "a=>b", '"a"', "a&b", "\x85",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_that_means_more_than_itself_never_reaches_a_file(value: str) -> None:
    template = render.ENVIRONMENT.from_string("x = {{ value }}\n")
    with pytest.raises(BadInput):
        template.render(value=value)


def test_a_forgotten_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render.ENVIRONMENT.from_string("x = {{ nothing }}").render()


def test_plain_values_pass() -> None:
    template = render.ENVIRONMENT.from_string("{{ a }}|{{ b }}|{{ c }}|{{ d }}")
    values = {"a": "sip:10.0.0.1:5060", "b": 5060, "c": Path("/tmp/a b/é"), "d": "10.0.0.0/8"}
    assert template.render(values) == "sip:10.0.0.1:5060|5060|/tmp/a b/é|10.0.0.0/8"


@pytest.mark.parametrize("number", [v for v in HOSTILE if v.strip()])
def test_a_hostile_station_changes_nothing(config: Config, number: str) -> None:
    folder = config.asterisk.config_dir
    render.write_stations(folder, [render.Station("2001", SECRET)])
    before = (folder / "pjsip_stations.conf").read_text()
    for bad in (render.Station(number, SECRET), render.Station("2002", number + SECRET)):
        with pytest.raises(BadInput):
            render.write_stations(folder, [render.Station("2001", SECRET), bad])
    assert (folder / "pjsip_stations.conf").read_text() == before
    assert [p.name for p in folder.iterdir()] == ["pjsip_stations.conf"]


def test_a_hostile_home_is_refused(config: Config, tree: render.Tree, tmp_path: Path) -> None:
    bad = tmp_path / "x;y"
    bad.mkdir()
    tree = render.Tree(bad, bad, bad, bad, (22, 10, 1))
    with pytest.raises(BadInput):
        render.write_all(config, tree, ME)
    assert not list(config.asterisk.config_dir.iterdir())


def test_files_with_secrets_are_private(config: Config, tree: render.Tree) -> None:
    render.write_all(config, tree, ME)
    render.write_stations(config.asterisk.config_dir, [render.Station("2001", "station-secret-1")])
    system = (config.asterisk.config_dir / "systemname").read_text()
    for file in config.asterisk.config_dir.iterdir():
        if any(secret in file.read_text() for secret in (SECRET, "station-secret-1", system)):
            assert file.stat().st_mode & 0o077 == 0, file.name


def test_the_system_name_is_new_each_time(config: Config, tree: render.Tree) -> None:
    assert render.write_all(config, tree, ME) != render.write_all(config, tree, ME)


def test_stations_survive_rendering(config: Config, tree: render.Tree) -> None:
    render.write_stations(config.asterisk.config_dir, [render.Station("2001", SECRET)])
    render.write_all(config, tree, ME)
    assert "[2001](station)" in (config.asterisk.config_dir / "pjsip_stations.conf").read_text()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.conf"
    render.write_atomic(file, "old", ME, secret=True)

    def broken(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        render.write_atomic(file, "new", ME, secret=True)
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.conf"]


@pytest.mark.parametrize(
    ("match", "host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.0/8", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("198.51.100.7", "192.0.2.7", False),
        ("10.0.0.0/8", "192.0.2.7", True),
        ("10.0.0.9", "192.0.2.7", False),
        ("0.0.0.0/0", "192.0.2.7", True),
        ("2001:db8::1", "192.0.2.7", False),
    ],
)
def test_when_a_trunk_overlaps_our_stations(match: str, host: str, expected: bool) -> None:
    assert render.overlaps([Trunk(name="t", match=(match,))], host) is expected


def test_every_interpolated_file_has_a_template() -> None:
    names = {p.name.removesuffix(".j2") for folder in render.TEMPLATES for p in folder.glob("*.j2")}
    assert names == {*render.FILES, "pjsip_stations.conf"}


def test_old_asterisk_gets_old_filters(config: Config, tmp_path: Path) -> None:
    old = render.Tree(tmp_path, tmp_path, tmp_path, tmp_path, (20, 6, 0))
    render.write_all(config, old, ME)
    text = (config.asterisk.config_dir / "manager.conf").read_text()
    assert "eventfilter = !Event: VarSet" in text
    assert "action(exclude)" not in text


def test_the_manager_account_has_no_more_than_it_needs(config: Config, tree: render.Tree) -> None:
    render.write_all(config, tree, ME)
    lines = (config.asterisk.config_dir / "manager.conf").read_text().splitlines()
    write = next(line for line in lines if line.startswith("write = "))
    assert set(write.split("= ")[1].split(",")) == {"call", "originate", "reporting"}


def test_no_event_that_the_server_reads_is_filtered_out(config: Config, tree: render.Tree) -> None:
    render.write_all(config, tree, ME)
    text = (config.asterisk.config_dir / "manager.conf").read_text()
    dropped = set(re.findall(r"^eventfilter\(action\(exclude\),name\((\w+)\)\)", text, re.M))
    assert "VarSet" in dropped
    assert not dropped & ({name.decode() for name in ami_facts.WANTED} | {"FullyBooted", "CoreShowChannel"})
