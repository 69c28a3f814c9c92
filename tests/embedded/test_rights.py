"""Root in the folders of the service account: it is not led elsewhere, and what it leaves there is the account's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cti.cli import up
from cti.config import PROJECT, Config
from cti.embedded import account, asterisk, home, places, render
from cti.embedded.account import acting_as
from cti.embedded.places import Places
from cti.errors import BadInput
from tests.embedded.conftest import left_nothing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to lose")


@pytest.fixture
def made(tmp_path: Path, environ: dict[str, str]) -> Iterator[tuple[Config, Places]]:
    yield home.create(tmp_path / "home", environ)
    left_nothing(tmp_path / "home")


@pytest.fixture
def roots(open_path: Path) -> Path:
    """A folder of root that everybody may look into."""
    (open_path / "roots/sounds").mkdir(parents=True)
    return open_path / "roots"


def contents(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(p.relative_to(folder)), p.lstat().st_uid) for p in (folder, *folder.rglob("*")))


@pytest.mark.services
@pytest.mark.parametrize("name", ["asterisk/etc", "asterisk/sounds"])
def test_a_link_of_the_account_leads_root_nowhere(made: tuple[Config, Places], roots: Path, name: str) -> None:
    config, found = made
    binary = asterisk.find(config)
    asterisk.prepare(config, binary, found.account)
    before = contents(roots)
    shutil.rmtree(found.state / name)
    (found.state / name).symlink_to(roots)
    with pytest.raises(PermissionError):
        asterisk.prepare(config, binary, found.account)
    assert contents(roots) == before


def test_root_writes_no_stations_through_a_link_and_no_start_takes_one(
    made: tuple[Config, Places], roots: Path
) -> None:
    """`cti serve` does it where the account cannot read the code."""
    config, found = made
    (found.state / "asterisk/etc").rmdir()
    (found.state / "asterisk/etc").symlink_to(roots)
    with pytest.raises(PermissionError):
        render.write_stations(config.asterisk.config_dir, [], found.account)
    with pytest.raises(BadInput, match="no link"):
        render.write_stations(config.asterisk.config_dir, [])
    with pytest.raises(BadInput, match="no link"):
        places.prepare(found.home)
    assert not (roots / "pjsip_stations.conf").exists()


@pytest.mark.services
def test_what_root_renders_is_the_accounts(made: tuple[Config, Places]) -> None:
    config, found = made
    asterisk.prepare(config, asterisk.find(config), found.account)
    render.write_stations(config.asterisk.config_dir, [render.Station("2001", "station-secret-2001")])
    files = [p for p in (found.state / "asterisk").rglob("*") if not p.is_symlink()]
    assert {p.stat().st_uid for p in files} == {found.account.uid}
    assert {p.stat().st_uid for p in (found.state / "agi").rglob("*")} == {0}


def test_rights_are_back_afterwards(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(PermissionError), acting_as(account.service_account()):
        (tmp_path / "x").touch()
    (tmp_path / "y").touch()
    assert (tmp_path / "y").stat().st_uid == 0


def test_what_a_server_left_that_ran_as_root_is_the_accounts_at_the_next_start(
    made: tuple[Config, Places], roots: Path
) -> None:
    _, found = made
    left = [found.state / "journal/1.journal", found.state / "recordings/2026/11/25/a.wav"]
    found.not_owned()  # as `cti up` does, when the account cannot read the code
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        file.chmod(0o600)
    foreign = roots / "secret"
    foreign.touch()
    (found.state / "journal/link").symlink_to(foreign)
    (found.state / "journal/second-name").hardlink_to(foreign)
    places.prepare(found.home)
    assert {p.stat().st_uid for file in left for p in (file, file.parent)} == {found.account.uid}
    assert foreign.stat().st_uid == 0


def test_folders_outside_the_home_are_made_and_owned(tmp_path: Path, environ: dict[str, str], roots: Path) -> None:
    for name in ("recordings", "sounds", "logs"):
        environ[f"CTI_PATHS__{name.upper()}"] = str(roots / f"far/{name}")
    config, found = home.create(tmp_path / "home", environ)
    try:
        assert found.logs == roots / "far/logs"
        for name in ("recordings/spool", "sounds", "logs/asterisk/cel-custom"):
            with acting_as(found.account):
                (roots / "far" / name / "written").touch()
        assert home.asterisk_part(config, found, asterisk.find(config)).log.parent == found.logs
    finally:
        left_nothing(tmp_path / "home")


def test_a_folder_that_is_somebody_elses_stays_his_and_is_told(
    tmp_path: Path, environ: dict[str, str], roots: Path
) -> None:
    (roots / "log").mkdir()
    try:
        with pytest.raises(BadInput, match=rf"cannot write .*chown -R \w+ {roots}/log, or choose another"):
            home.create(tmp_path / "home", {**environ, "CTI_PATHS__LOGS": str(roots / "log")})
        assert (roots / "log").stat().st_uid == 0
    finally:
        left_nothing(tmp_path / "home")


def test_what_keeps_the_server_root_is_named(made: tuple[Config, Places], open_path: Path) -> None:
    config, found = made
    if found.state != found.home:  # the account cannot enter the folder of the test
        assert up.unreadable(config, found) in {PROJECT / "cti/__main__.py", found.home / "cti.toml"}
    config, found = home.create(open_path / "home", {})
    assert up.unreadable(config, found) in {PROJECT / "cti/__main__.py", None}
