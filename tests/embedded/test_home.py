"""A home on the real PostgreSQL, Redis and Asterisk: start, stop, crash, leftovers. It lies under a 0700 folder."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from cti.adapters import postgres_migrations
from cti.cli import doctor, status
from cti.cli.up import server_part
from cti.config import load, private_dsn
from cti.embedded import asterisk, home, places, postgres, supervisor
from cti.errors import BadInput, CtiError, Unavailable
from tests.embedded.conftest import left_nothing
from tests.kit_until import until

pytestmark = pytest.mark.services
STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture(autouse=True)
def removed(tmp_path: Path) -> object:
    """The far state and the socket folder of the test's home go with it."""
    yield
    left_nothing(tmp_path / "home")


class Up:
    """`cti up` as a process; `lines` is what it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    async def end(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), 60)
        await self.reading
        return code


@asynccontextmanager
async def up(path: Path, environ: dict[str, str], *more: str) -> AsyncIterator[Up]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(STAND_IN), str(path), *more,
        env={**os.environ, **environ}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    running = Up(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await running.end()
        supervisor.stop_leftovers(path / "pids", lambda _: None)


async def value(dsn: str, sql: str) -> object:
    link = await asyncpg.connect(dsn)
    try:
        return await link.fetchval(sql)
    finally:
        await link.close()


async def test_data_outlives_a_restart_and_nothing_is_left_running(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "home"
    async with home.running(path, environ, lambda _: None) as here:
        pids = {name: one.pid for name, one in here.kept.items()}
        assert await value(here.config.postgres.dsn, "select current_user") == "cti"
        await value(here.config.postgres.dsn, "create table kept as select 7 as n")
        if os.geteuid() == 0:
            owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids.values()}
            assert owners == {here.places.account.uid}
            assert owners != {0}
    assert all(pid is not None and supervisor.mark_of(pid) is None for pid in pids.values())
    began = time.monotonic()
    async with home.running(path, environ, lambda _: None) as here:
        assert time.monotonic() - began < 15
        assert await value(here.config.postgres.dsn, "select n from kept") == 7


async def test_each_part_that_is_killed_comes_back(tmp_path: Path, environ: dict[str, str]) -> None:
    said: list[str] = []
    async with home.running(tmp_path / "home", environ, said.append) as here:
        name_before = asterisk.system_name(here.config)
        for name in ("asterisk", "redis", "postgres"):
            pid = here.kept[name].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda name=name: f"{name} is back" in said, 15)  # type: ignore[misc]
        assert await value(here.config.postgres.dsn, "select 1") == 1
        assert "Asterisk" in await asterisk.control(here.config, "core show version")
        assert asterisk.system_name(here.config) != name_before


async def test_a_killed_server_is_back_within_two_seconds(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "home"
    async with up(path, environ) as running:
        await until(lambda: running.said("CTI ready: http://127.0.0.1:" + environ["CTI_HTTP__PORT"]), 15)
        pid = supervisor.running_pid(path / "pids", "server")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: running.said("server is back"), 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_everything_in_order(
    tmp_path: Path, environ: dict[str, str], number: signal.Signals
) -> None:
    path = tmp_path / "home"
    async with up(path, environ) as running:
        await until(lambda: running.said("CTI ready"), 15)
        pids = [supervisor.running_pid(path / "pids", name) for name in supervisor.ORDER[1:]]
        assert all(pids)
        running.process.send_signal(number)
        assert await running.end() == 0
        assert running.lines[-1] == "cti: stopped"
        assert not any(supervisor.mark_of(pid) for pid in pids if pid)


async def test_it_is_stopped_also_when_nobody_reads_what_it_says(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "home"
    argv, env = [sys.executable, str(STAND_IN), str(path)], {**os.environ, **environ}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        assert b"ready" in run.stdout.readline()
        run.stdout.close()  # as `make run | head -1` does
        await until(lambda: supervisor.running_pid(path / "pids", "server") is not None, 30)
        pids = [supervisor.running_pid(path / "pids", name) for name in supervisor.ORDER[1:]]
        run.send_signal(signal.SIGINT)
        await asyncio.to_thread(run.wait, 40)
    assert not any(supervisor.mark_of(pid) for pid in pids if pid)


async def test_broken_flows_at_the_first_start_are_told_at_once_with_their_place(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "main.yaml").write_text("flow: main\nlanguage: en\nstart: a\nnodes:\n  a: {do: sya, then: hangup}\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cti", "up", "--home", str(tmp_path / "home"),
        env={**os.environ, **environ, "CTI_PATHS__FLOWS": str(flows)},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(50):  # the server is given 60 s to become ready
        _, said = await process.communicate()
    assert process.returncode == 2
    assert f"no flows to answer calls with in {flows}: main.yaml:5:" in said.decode()


async def test_leftovers_of_a_killed_run_are_cleaned(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "home"
    async with up(path, environ) as first:
        await until(lambda: first.said("CTI ready"), 15)
        left = [supervisor.running_pid(path / "pids", name) for name in supervisor.ORDER[1:]]
        first.process.kill()
        await first.end()
        assert all(pid and supervisor.mark_of(pid) for pid in left), "a killed supervisor drops no call"
        async with up(path, environ) as second:
            await until(lambda: second.said("CTI ready"), 15)
            assert not any(supervisor.mark_of(pid) for pid in left if pid)
            for name in supervisor.ORDER[1:]:
                assert second.said(f"stopping {name} left over from a run that was killed")


async def test_a_taken_port_is_one_clear_line(tmp_path: Path, environ: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environ["CTI_SIP__PORT"])))
        taken.listen()
        with pytest.raises(Unavailable) as caught:
            async with home.running(tmp_path / "home", environ, lambda _: None):
                pytest.fail("it must not start")
    port = environ["CTI_SIP__PORT"]
    assert str(caught.value) == (f"port {port} on 127.0.0.1 is taken: set [sip] port in cti.toml, or CTI_SIP__PORT")


async def test_the_demos_trunk_leads_to_its_customers_beside_the_phones(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    environ = {name: value for name, value in environ.items() if name != "CTI_SIP__TRUNKS"}
    config, _ = home.create(tmp_path / "demo", {**environ, "CTI_SIP__PORT": "15600"}, demo=True)
    (trunk,) = config.sip.trunks
    assert (trunk.name, trunk.match, trunk.contact) == ("demo", ("127.0.0.1",), "sip:127.0.0.1:15601")
    assert home.create(tmp_path / "home", environ)[0].sip.trunks == ()


async def test_of_two_first_starts_at_once_one_runs_and_the_other_is_told(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = tmp_path / "home"
    async with up(path, environ) as first, up(path, environ) as second:
        await until(lambda: first.said("CTI ready") or second.said("CTI ready"), 40)
        runs, told = (first, second) if first.said("CTI ready") else (second, first)
        assert await told.end() == 1
        assert told.lines == [f"cti: {path} is already running"]
        assert runs.process.returncode is None


async def test_a_home_runs_once(tmp_path: Path, environ: dict[str, str]) -> None:
    found = places.prepare(tmp_path / "home")
    with home.lock(found.home), pytest.raises(CtiError, match="already running"):
        async with home.running(tmp_path / "home", environ, lambda _: None):
            pytest.fail("it must not start")


async def test_the_demo_is_refused_on_other_addresses(tmp_path: Path, environ: dict[str, str]) -> None:
    async with up(tmp_path / "home", {**environ, "CTI_HTTP__HOST": "0.0.0.0"}, "--demo") as running:
        assert await running.end() != 0
        assert running.said("--demo works on loopback only, but [http] host is 0.0.0.0")
        assert not running.said("ready")
    assert not (tmp_path / "home").exists(), "nothing was made for it"


async def test_the_demo_is_refused_on_other_data_before_the_switch_starts(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = tmp_path / "home"

    async def other_data(found: places.Places) -> None:
        dsn = private_dsn(found.home)
        await postgres_migrations.migrate(dsn)
        await value(dsn, "insert into crm.users (name, display_name, role) values ('ann', 'Ann', 'agent')")
        raise BadInput("enough")

    with pytest.raises(BadInput, match="enough"):
        async with home.running(path, environ, lambda _: None, fill=other_data):
            pytest.fail("it must not start")
    async with up(path, environ, "--demo") as running:
        assert await running.end() != 0
    assert running.said("this home holds other data (crm.users is not empty)")
    assert running.said("postgres ready") and not running.said("redis ready") and not running.said("asterisk ready")


async def test_secrets_of_a_home_are_private_and_random(tmp_path: Path, environ: dict[str, str]) -> None:
    first, here = home.create(tmp_path / "home", environ)
    second, other = home.create(tmp_path / "other", environ)
    assert first.ami.secret != second.ami.secret
    assert (here.home / "cti.toml").stat().st_mode & 0o007 == 0
    assert home.create(tmp_path / "home", environ)[0] == first
    for folder in {other.state, other.run} - {other.home}:
        shutil.rmtree(folder)


@pytest.fixture
def far(tmp_path: Path) -> places.Places:
    """A home whose state lies elsewhere, with something in it."""
    found = places.prepare(tmp_path / "home")
    if found.state == found.home:
        pytest.skip("this account keeps its state in the home")
    (found.state / "recordings/old.wav").write_text("")
    return found


async def test_a_home_that_is_moved_keeps_its_state(tmp_path: Path, far: places.Places) -> None:
    moved = far.home.rename(tmp_path / "moved")
    assert (far.state, far.home) in places.orphans()
    found = places.prepare(moved)
    assert found.state == far.state
    assert (moved / "recordings/old.wav").exists()
    assert far.state not in dict(places.orphans())
    assert places.prepare(moved.rename(far.home)).state == far.state
    shutil.rmtree(found.run)


async def test_the_state_of_a_home_that_is_gone_stays(
    tmp_path: Path, far: places.Places, environ: dict[str, str]
) -> None:
    """It may be on a disk that is not mounted."""
    moved = far.home.rename(tmp_path / "moved")
    new = places.prepare(far.home)
    config, _ = home.create(far.home, environ)
    try:
        assert not (new.state / "recordings/old.wav").exists()
        assert (far.state / "recordings/old.wav").exists()
        assert [text for _, text in doctor.forgotten(config) if str(far.state) in text]
    finally:
        shutil.rmtree(new.state)
        shutil.rmtree(far.home)
        moved.rename(far.home)


async def test_a_copied_home_does_not_share_the_state(tmp_path: Path, far: places.Places) -> None:
    copy = shutil.copytree(far.home, tmp_path / "copy", symlinks=True)
    with pytest.raises(BadInput, match=r"copy of .*: remove .*/copy/\.home-id"):
        places.prepare(copy)
    (copy / ".home-id").unlink()
    found = places.prepare(copy)
    try:
        assert found.state != far.state
        assert (copy / "recordings").resolve() == found.state / "recordings"
    finally:
        shutil.rmtree(found.state)
        shutil.rmtree(found.run)


async def test_a_damaged_home_id_is_told(far: places.Places) -> None:
    text = (far.home / ".home-id").read_text()
    (far.home / ".home-id").write_text("../../etc")
    with pytest.raises(BadInput, match="damaged"):
        places.prepare(far.home)
    (far.home / ".home-id").write_text(text)


async def test_settings_half_written_are_none(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken, pytest.raises(OSError, match="disk full"):
        broken.setattr(os, "fsync", full)
        home.create(tmp_path / "home", environ)
    assert not [p.name for p in (tmp_path / "home").iterdir() if "toml" in p.name]
    assert home.create(tmp_path / "home", environ)[0].ami.secret


async def test_of_two_first_starts_at_once_one_writes_the_settings(tmp_path: Path, environ: dict[str, str]) -> None:
    found = places.prepare(tmp_path / "home")
    file = found.home / "cti.toml"
    home._write_first(file, "first")
    home._write_first(file, "second")
    assert file.read_text() == "first"
    assert not list(found.home.glob(".cti.toml*"))


async def test_an_empty_secret_is_refused_in_one_line(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/cti.toml").touch()
    with pytest.raises(BadInput, match=r"home/cti.toml: \[ami\] secret is empty") as caught:
        home.create(tmp_path / "home", environ)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("leftover", ["PG_VERSION", "base/1/pg_filenode.map"])
async def test_a_killed_initdb_leaves_the_home_usable(tmp_path: Path, leftover: str) -> None:
    found = places.prepare(tmp_path / "home")
    file = found.state / "postgres" / leftover
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("15\n")
    (found.state / "postgres.new-1").mkdir()
    postgres.prepare(found)
    postgres.prepare(found)
    names = [p.name for p in found.state.glob("postgres*")]
    assert (found.state / "postgres/global/pg_control").is_file()
    assert sorted(name.split("-")[0] for name in names) == ["postgres", "postgres.broken"], "it may be a damaged disk"
    assert (found.home / "postgres/PG_VERSION").exists()


async def test_a_stop_during_initdb_frees_the_home_only_when_nothing_goes_on(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = tmp_path / "home"
    async with up(path, environ) as first:
        await until(lambda: any(places.locate(path).state.glob("postgres.new-*/PG_VERSION")), 15)
        first.process.send_signal(signal.SIGTERM)
        async with up(path, environ) as second:
            if await second.end():
                assert second.said("already running")
        assert await first.end() == 0
    assert not list(places.locate(path).state.glob("postgres.new-*"))
    postgres.prepare(places.locate(path))


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "port 80 on 10.0.0.1 is for root only: set [http] port"),
     (errno.EADDRNOTAVAIL, "10.0.0.1 is no address of this machine: set [http] host"),
     (errno.ENETDOWN, "port 80 on 10.0.0.1: Network is down")],
)  # fmt: skip
async def test_a_port_that_cannot_be_had_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refused(*_: object) -> OSError:
        return OSError(number, os.strerror(number))

    monkeypatch.setattr(home, "_refusal", refused)
    config = load(None, {"CTI_HOME": str(tmp_path), "CTI_HTTP__HOST": "10.0.0.1", "CTI_HTTP__PORT": "80"})
    with pytest.raises(Unavailable) as caught:
        home.check_ports(config)
    assert str(caught.value).startswith(said)


async def test_an_address_of_another_machine_is_no_taken_port(tmp_path: Path, environ: dict[str, str]) -> None:
    config = load(None, {**environ, "CTI_HOME": str(tmp_path), "CTI_SIP__HOST": "192.0.2.77"})
    with pytest.raises(Unavailable) as caught:
        home.check_ports(config)
    assert str(caught.value) == (
        "192.0.2.77 is no address of this machine: set [sip] host in cti.toml, or CTI_SIP__HOST"
    )


async def test_a_server_that_serves_is_kept_while_redis_or_the_switch_is_away(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).split()[1]
        writer.write(b"HTTP/1.0 %d x\r\n\r\n" % (200 if path == b"/healthz" else 503))
        writer.close()

    config = load(None, {**environ, "CTI_HOME": str(tmp_path)})
    part = server_part(config, places.locate(tmp_path / "home"))
    async with await asyncio.start_server(answer, "127.0.0.1", config.http.port):
        assert await part.ready()
    assert not await part.ready()


async def test_the_demo_is_played_by_the_service_account_and_ends_with_us(
    open_path: Path, environ: dict[str, str]
) -> None:
    path = open_path / "home"
    async with up(path, environ, "--demo") as running:
        await until(lambda: running.said("CTI ready"), 40)
        pid = supervisor.running_pid(path / "pids", "demo")
        assert pid is not None
        config = load(path / "cti.toml", environ)
        assert Path(f"/proc/{pid}").stat().st_uid == server_part(config, places.locate(path)).account.uid
        sounds = config.paths.sounds
        await until(lambda: len(list(sounds.glob("demo-voices/*.ul"))) == 6, 30)
        running.process.kill()
        await running.end()
        await until(lambda: supervisor.mark_of(pid) is None, 15)


async def test_status_tells_where_things_are(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "home"
    async with up(path, environ) as running:
        await until(lambda: running.said("CTI ready"), 15)
        state = await status.gather(load(path / "cti.toml", environ))
        assert state["server"]["pid"] == supervisor.running_pid(path / "pids", "server")
        assert await value(state["postgres"]["dsn"], "select 1") == 1
        assert state["http"]["url"] == f"http://127.0.0.1:{environ['CTI_HTTP__PORT']}"
        assert Path(state["paths"]["recordings"]).is_dir()
        assert Path(state["paths"]["logs"], "postgres.log").is_file()
        assert json.dumps(state)


@pytest.mark.parametrize("whose", ["a zombie's", "another program's", "nobody's"])
async def test_the_lock_of_a_database_that_was_killed_is_removed(tmp_path: Path, whose: str) -> None:
    """PostgreSQL itself takes any process of that number for its own; where nobody buries the dead it never starts."""
    found = places.prepare(tmp_path / "home")
    dead = subprocess.Popen(["true" if whose == "a zombie's" else "sleep", "60"])
    try:
        if whose == "a zombie's":
            await until(lambda: ") Z " in Path(f"/proc/{dead.pid}/stat").read_text(), 15)
        (found.state / "postgres/global").mkdir()
        (found.state / "postgres/global/pg_control").touch()
        lock = found.state / "postgres/postmaster.pid"
        pid = 2**22 + 1 if whose == "nobody's" else dead.pid
        lock.write_text(f"{pid}\n{found.state}\n")
        postgres.prepare(found)
        assert not lock.exists()
    finally:
        dead.kill()
        dead.wait()


async def test_the_lock_of_a_database_that_runs_stays(tmp_path: Path, environ: dict[str, str]) -> None:
    async with home.running(tmp_path / "home", environ, lambda _: None) as here:
        postgres.prepare(here.places)
        assert (here.places.state / "postgres/postmaster.pid").exists()
