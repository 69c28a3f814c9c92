"""A running home for the tests: `cti up` as a child process, on ports of its own, with small fast flows.

`home` is shared by all tests of a worker; `own_home` is a fresh one for tests that kill or stop parts of it. A module
with flows of its own has a fixture `home` of its own; all its tests are run by one worker."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "integration"))

from kit.world import World

from tests.embedded.conftest import left_nothing
from tests.kit_ports import RTP, free_port

TOML = """
[http]
port = {http}
[sip]
port = {sip}
trunks = [{{name = "t", match = ["127.0.0.1"]}}]
[ami]
port = {ami}
secret = "{secret}"
[agi]
port = {agi}
[rtp]
first = {rtp}
last = {rtp_last}
[flows]
auto_publish = true
[paths]
flows = "flows"
"""
FLOWS = {
    "main.yaml": """
flow: main
language: en
start: menu
nodes:
  menu:
    do: menu
    say: {en: "Press one"}
    options: {"1": sales, "2": support, "3": short, "4": phone}
    input_timeout: 3s
    fail: bye
  sales: {do: queue, queue: sales, answered: thanks, then: bye}
  support: {do: queue, queue: support, answered: hangup, then: bye}
  short: {do: queue, queue: short, answered: hangup, then: bye}
  phone: {do: dial, to: "7001", then: bye, fail: bye}
  thanks: {do: say, say: {en: "Thank you"}, then: hangup}
  bye: {do: say, say: {en: "Goodbye"}, then: hangup}
""",
    "direct.yaml": """
flow: direct
language: en
start: wait
nodes:
  wait: {do: queue, queue: sales, answered: hangup, then: hangup}
""",
    "welcome.yaml": """
flow: welcome
language: en
start: greet
nodes:
  greet: {do: say, say: {en: "Welcome to this company, we are very glad that you call us again today"}, then: ask}
  ask: {do: menu, say: {en: "Press one"}, options: {"1": wait}, input_timeout: 1s, retries: 0, fail: hangup}
  wait: {do: queue, queue: sales, answered: hangup, then: hangup}
""",
    "vip.yaml": """
flow: vip
language: en
start: wait
nodes:
  wait:
    do: queue
    queue: vips
    priority: "{{ 10 if customer.tier == 'vip' else 0 }}"
    answered: hangup
    then: hangup
""",
    "desk.yaml": """
flow: desk
language: en
start: which
nodes:
  which: {do: menu, say: {en: "Press one"}, options: {"1": wait}, input_timeout: 3s, fail: wait}
  wait: {do: queue, queue: desk, answered: hangup, then: hangup}
""",
    "numbers.yaml": 'numbers: {"6000": main, "6100": direct, "6200": vip, "6400": welcome, "6300": desk}\n',
    "queues.yaml": """
queues:
  sales: {ring: 5s, wrap_up: 1s, short_abandon: 1s}
  support: {ring: 5s, wrap_up: 0s, recording: never}
  short: {max_wait: 2s, ring: 5s}
  vips: {ring: 5s, wrap_up: 0s}
  desk: {ring: 20s, wrap_up: 60s}
""",
    "calendars.yaml": "calendars: {}\n",
}


Files = Mapping[str, str | bytes]  # of the folder of flows, by their names in it


def more_flows(numbers: Mapping[str, str], queues: str = "", **flows: str) -> dict[str, str | bytes]:
    """FLOWS and these, their numbers, and more lines of queues.yaml."""
    lines = "".join(f'"{number}": {flow}, ' for number, flow in numbers.items())
    return {
        **FLOWS,
        "numbers.yaml": FLOWS["numbers.yaml"].replace("{", "{" + lines),
        "queues.yaml": FLOWS["queues.yaml"] + queues,
        **{f"{name}.yaml": text for name, text in flows.items()},
    }


class RunningHome:
    """`cti up --home path`; `output` is what it has printed, `environ` what its environment has besides."""

    def __init__(self, path: Path, flows: Files = FLOWS) -> None:
        self.path = path
        self.environ: dict[str, str] = {}
        path.mkdir()
        (path / "cti.toml").write_text(
            TOML.format(http=free_port(), sip=free_port(), ami=free_port(), agi=free_port(), rtp=RTP[0],
                        rtp_last=RTP[1], secret=secrets.token_urlsafe(24))
        )  # fmt: skip
        (path / "cti.toml").chmod(0o600)
        for name, content in flows.items():
            file = path / "flows" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.process: subprocess.Popen[bytes] | None = None

    def change(self, before: str, after: str) -> None:
        """A part of cti.toml, before it is started."""
        settings = self.path / "cti.toml"
        assert before in settings.read_text()
        settings.write_text(settings.read_text().replace(before, after))

    def start(self, timeout: float = 60) -> None:
        argv = [sys.executable, "-m", "cti", "up", "--home", str(self.path)]
        env = {k: v for k, v in os.environ.items() if not k.startswith("CTI_")} | self.environ
        with (self.path / "up.log").open("wb") as output:
            self.process = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        until = time.monotonic() + timeout
        while "\nCTI ready" not in self.output:
            assert self.process.poll() is None and time.monotonic() < until, self.output + self.logs()
            time.sleep(0.05)

    @property
    def output(self) -> str:
        return (self.path / "up.log").read_text()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def status(self) -> dict[str, object]:
        argv = [sys.executable, "-m", "cti", "status", "--home", str(self.path), "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def pid(self, part: str) -> int:
        return int(self.status()["parts"][part]["pid"])  # type: ignore[index]

    def logs(self) -> str:
        files = sorted((self.path / "logs").rglob("*.log"))
        return "".join(f"\n== {f.name}\n{f.read_text(errors='replace')[-6000:]}" for f in files if f.is_file())


@contextlib.contextmanager
def clean(home: RunningHome) -> Iterator[RunningHome]:
    """Stopped at the end, without a traceback in any log; nothing of it stays outside its folder."""
    try:
        yield home
    finally:
        home.stop()
        logs = home.logs()
        left_nothing(home.path)
    for bad in ("Traceback", "a bug in the core"):
        assert bad not in logs, logs


@contextlib.contextmanager
def running(path: Path, flows: Files = FLOWS, changes: Mapping[str, str] | None = None) -> Iterator[RunningHome]:
    """One with these flows and with these changes of cti.toml."""
    home = RunningHome(path, flows)
    for before, after in (changes or {}).items():
        home.change(before, after)
    with clean(home):
        home.start()
        yield home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHome]:
    with running(tmp_path_factory.mktemp("shared") / "home") as home:
        yield home


@pytest.fixture
def world(home: RunningHome) -> World:
    return World(home.path)


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[RunningHome]:
    with running(tmp_path / "home") as home:
        yield home


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows what its home has said."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, RunningHome):
                report.sections.append(("the home", value.output + value.logs()))
    return report
