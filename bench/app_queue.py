"""The other way to queue calls: the same Asterisk with its own app_queue, no daemon, in a folder of its own.

Its files are ours (trunk, stations, codecs, music, modules) but for these: app_queue is loaded, callers go from the
trunk into Queue(), nobody journals channel events, the queue log is on as it is everywhere. With `records` it keeps
what a call centre looks up later, by Asterisk's own means: CDR, the same channel events as ours and the queue log go
into that PostgreSQL, and somebody listens to all events of AMI, as every wallboard does.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from cti.config import Config
from cti.embedded import asterisk, home, supervisor
from cti.embedded.account import Account
from cti.embedded.render import Station, etc_dir, write_atomic, write_stations
from tests.kit_home import TOML
from tests.kit_pg import Cluster
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
TABLES = """
CREATE TABLE cdr (calldate timestamptz, clid text, src text, dst text, dcontext text, channel text, dstchannel text,
  lastapp text, lastdata text, duration int, billsec int, disposition text, uniqueid text, linkedid text);
CREATE TABLE cel (eventtype text, eventtime timestamptz, cid_name text, cid_num text, exten text, context text,
  channame text, appname text, uniqueid text, linkedid text, extra text);
CREATE TABLE queue_log (id bigserial PRIMARY KEY, time text, callid text, queuename text, agent text, event text,
  data1 text, data2 text, data3 text, data4 text, data5 text);
"""


@dataclass(frozen=True)
class AppQueue:
    config: Config
    account: Account
    kept: supervisor.Kept
    database: str = ""  # where it keeps its records

    async def rows(self) -> dict[str, int]:
        """How many it has kept, by table."""
        link = await asyncpg.connect(self.database)
        try:
            tables = ("cdr", "cel", "queue_log")
            return {table: await link.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
        finally:
            await link.close()

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
async def running(path: Path, records: Cluster | None = None) -> AsyncIterator[AppQueue]:
    """Stopped at the end; `left_nothing(path)` removes what it keeps elsewhere. `records`: where to keep them."""
    database = await records.make_database() if records else ""
    more = await _records(records, database) if records else {"cel.conf": "[general]\nenable = no\n"}
    path.mkdir(mode=0o755)
    text = TOML.format(http=free_port(), sip=free_port(), ami=free_port(), agi=free_port(), rtp=RTP[0],
                       rtp_last=RTP[1], secret=secrets.token_urlsafe(24))  # fmt: skip
    (path / "cti.toml").write_text(text)
    (path / "cti.toml").chmod(0o600)
    config, places = home.create(path, {})
    binary = asterisk.find(config)

    def write() -> None:
        asterisk.prepare(config, binary, places.account)
        _rewrite(config, places.account, more)

    part = replace(home.asterisk_part(config, places, binary), before=write)
    async with supervisor.running([part], path / "pids", lambda text: None) as kept:
        listening = asyncio.create_task(_listen(config)) if records else None
        try:
            yield AppQueue(config, places.account, kept["asterisk"], database)
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.wait([listening])


async def _listen(config: Config) -> None:
    """To every event of AMI, and do nothing with it. Raises ConnectionError when the switch says no more."""
    reader, writer = await asyncio.open_connection(config.ami.host, config.ami.port)
    writer.write(f"Action: Login\r\nUsername: {config.ami.username}\r\nSecret: {config.ami.secret}\r\n\r\n".encode())
    while await reader.read(65536):
        pass
    raise ConnectionError("AMI is closed")


async def _records(cluster: Cluster, database: str) -> dict[str, str]:
    """Makes the tables; gives the files of a switch that keeps its records there."""
    link = await asyncpg.connect(database)
    try:
        await link.execute(TABLES)
        name = await link.fetchval("SELECT current_database()")
    finally:
        await link.close()
    to = f"user = cti\npassword = none\ndbname = {name}\n"
    return {
        "cdr.conf": "[general]\nenable = yes\n",
        "cdr_pgsql.conf": f"[global]\nhostname = {cluster.folder}\n{to}table = cdr\n",
        "cel_custom.conf": "[mappings]\n",
        "cel_pgsql.conf": f"[global]\nhostname = {cluster.folder}\n{to}table = cel\n",
        "res_pgsql.conf": f"[general]\nsocket = {cluster.folder}\n{to}",
        "extconfig.conf": "[settings]\nqueue_log => pgsql,general,queue_log\n",
    }


def _rewrite(config: Config, account: Account, more: Mapping[str, str]) -> None:
    folder = etc_dir(config)
    modules = (folder / "modules.conf").read_text()
    manager = (folder / "manager.conf").read_text().replace("read = call,", "read = agent,call,")
    if "cdr.conf" in more:
        modules += "".join(f"load = {name}.so\n" for name in ("res_config_pgsql", "cdr_pgsql", "cel_pgsql"))
    logger = (folder / "logger.conf").read_text().replace("queue_log = no", "queue_log = yes")
    files = {
        "modules.conf": modules + "load = app_queue.so\n",
        "extensions.conf": DIALPLAN,
        "queues.conf": "[general]\n",
        "logger.conf": logger,
        "manager.conf": manager,
        **more,
    }
    for name, text in files.items():
        write_atomic(folder / name, text, account, secret=False)
