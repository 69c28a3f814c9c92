"""The other way to queue calls: the same Asterisk with its own app_queue, no daemon, in a folder of its own.

Its files are ours (trunk, stations, codecs, music, modules) but for these: app_queue is loaded, callers go from the
trunk into Queue(), nobody journals channel events, the queue log is on as it is everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cti.config import Config
from cti.embedded import asterisk, home, supervisor
from cti.embedded.account import Account
from cti.embedded.render import Station, etc_dir, write_atomic, write_stations
from tests.kit_home import TOML
from tests.kit_ports import RTP, free_port

# What Asterisk's sample files and its code say when nobody tunes it; autofill is what every guide sets.
DEFAULTS = {"timeout": "15", "retry": "5", "timeoutrestart": "no"}
TUNED = {"timeout": "15", "retry": "1", "timeoutrestart": "yes"}  # retry=0 means 5 to it
ALIKE = {"strategy": "leastrecent", "ringinuse": "no", "autofill": "yes", "musicclass": "default"}
DIALPLAN = """
[general]
autofallthrough=yes

[from-trunk]
exten => _X.,1,Answer()
 same => n,Queue(bench)
 same => n,Hangup()

[from-station]
exten => i,1,Hangup(21)
"""


@dataclass(frozen=True)
class AppQueue:
    config: Config
    account: Account
    kept: supervisor.Kept

    @property
    def sip(self) -> tuple[str, int]:
        return self.config.sip.host, self.config.sip.port

    async def queue(self, members: Iterable[str], how: Mapping[str, str], wrap_up: int, record: bool) -> None:
        """The one queue from now on, with these stations."""
        settings = {**ALIKE, **how, "wrapuptime": str(wrap_up)}
        if record:
            settings["monitor-format"] = "wav"
        lines = ["[general]", "persistentmembers = no", "[bench]", *(f"{k} = {v}" for k, v in settings.items())]
        lines += [f"member => PJSIP/{one}" for one in members]
        write_atomic(etc_dir(self.config) / "queues.conf", "\n".join(lines) + "\n", self.account, secret=False)
        await asterisk.control(self.config, "queue reload all")

    async def stations(self, secrets_of: Mapping[str, str]) -> None:
        stations = [Station(number, secret) for number, secret in secrets_of.items()]
        write_stations(etc_dir(self.config), stations, self.account)
        await asterisk.reload_pjsip(self.config)
        async with asyncio.timeout(20):
            while f" {stations[-1].number}/" not in await asterisk.control(self.config, "pjsip show endpoints"):
                await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def running(path: Path) -> AsyncIterator[AppQueue]:
    """Stopped at the end; `left_nothing(path)` removes what it keeps elsewhere."""
    path.mkdir(mode=0o755)
    text = TOML.format(http=free_port(), sip=free_port(), ami=free_port(), agi=free_port(), rtp=RTP[0],
                       rtp_last=RTP[1], secret=secrets.token_urlsafe(24))  # fmt: skip
    (path / "cti.toml").write_text(text)
    (path / "cti.toml").chmod(0o600)
    config, places = home.create(path, {})
    binary = asterisk.find(config)

    def write() -> None:
        asterisk.prepare(config, binary, places.account)
        _rewrite(config, places.account)

    part = replace(home.asterisk_part(config, places, binary), before=write)
    async with supervisor.running([part], path / "pids", lambda text: None) as kept:
        yield AppQueue(config, places.account, kept["asterisk"])


def _rewrite(config: Config, account: Account) -> None:
    folder = etc_dir(config)
    modules = (folder / "modules.conf").read_text()
    logger = (folder / "logger.conf").read_text().replace("queue_log = no", "queue_log = yes")
    files = {
        "modules.conf": modules + "load = app_queue.so\n",
        "extensions.conf": DIALPLAN,
        "queues.conf": "[general]\n",
        "logger.conf": logger,
        "cel.conf": "[general]\nenable = no\n",
    }
    for name, text in files.items():
        write_atomic(folder / name, text, account, secret=False)
