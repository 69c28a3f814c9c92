"""The generated configuration on the real Asterisk: who may call, what the manager may do, what CEL writes."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cti.adapters import cel
from cti.config import Config
from cti.core.messages import ChannelNew
from cti.embedded import asterisk, home, logs, places, render, supervisor
from tests.embedded.conftest import left_nothing
from tests.kit_until import until

pytestmark = pytest.mark.services
SECRET = "station-secret-2001"
OPEN: list[socket.socket] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


@asynccontextmanager
async def switch(tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[Config]:
    """Asterisk alone, with station 2001."""
    config, found = home.create(tmp_path / "home", environ)
    part = home.asterisk_part(config, found, asterisk.find(config))
    render.write_stations(config.asterisk.config_dir, [render.Station("2001", SECRET)], found.account)
    try:
        async with supervisor.running([part], found.home / "pids", lambda _: None):
            yield config
    finally:
        left_nothing(tmp_path / "home")


class Phone:
    """A SIP phone of a few lines on 127.0.0.1."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        OPEN.append(self.socket)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        sound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # never read: it overflows, the SIP socket must not
        OPEN.append(sound)
        sound.bind(("127.0.0.1", 0))
        self.sound = sound.getsockname()[1]
        self.call, self.tag = secrets.token_hex(8), secrets.token_hex(4)

    async def send(self, method: str, uri: str, user: str, sequence: int, extra: str = "", to_tag: str = "") -> str:
        """Send a request; the first final answer's text."""
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.sound} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        )
        body = sdp if method == "INVITE" else ""
        kind = "Content-Type: application/sdp\r\n" if body else ""
        to_uri = f"sip:{user}@127.0.0.1" if method == "REGISTER" else uri
        text = (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{secrets.token_hex(6)};rport\r\n"
            f"From: <sip:{user}@127.0.0.1>;tag={self.tag}\r\nTo: <{to_uri}>{to_tag}\r\n"
            f"Call-ID: {self.call}\r\nCSeq: {sequence} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:{user}@127.0.0.1:{self.port}>\r\n{extra}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self.socket, text.encode(), ("127.0.0.1", self.config.sip.port))
        while method != "ACK":
            answer = (await asyncio.wait_for(loop.sock_recv(self.socket, 8192), 5)).decode(errors="replace")
            if re.match(r"SIP/2\.0 [2-6]", answer) and f"CSeq: {sequence} {method}" in answer:
                return answer
        return ""

    async def register(self, secret: str) -> int:
        uri = "sip:127.0.0.1"
        first = await self.send("REGISTER", uri, "2001", 1)
        realm, nonce = (re.search(rf'{key}="([^"]+)"', first) for key in ("realm", "nonce"))
        assert realm is not None
        assert nonce is not None

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        secret_hash, request = md5(f"2001:{realm[1]}:{secret}"), md5(f"REGISTER:{uri}")
        proof = md5(f"{secret_hash}:{nonce[1]}:00000001:abcdef:auth:{request}")
        login = (
            f'Authorization: Digest username="2001", realm="{realm[1]}", nonce="{nonce[1]}", uri="{uri}", '
            f'response="{proof}", qop=auth, nc=00000001, cnonce="abcdef", algorithm=MD5\r\n'
        )
        return code(await self.send("REGISTER", uri, "2001", 2, login))

    async def invite(self, number: str, user: str) -> str:
        uri = f"sip:{number}@127.0.0.1:{self.config.sip.port}"
        answer = await self.send("INVITE", uri, user, 1)
        tag = re.search(r"\r\nTo: [^\r]*(;tag=[^\r;]+)", answer)
        self.to_tag = tag[1] if tag else ""
        await self.send("ACK", uri, user, 1, to_tag=self.to_tag)
        return answer

    async def bye(self, number: str, user: str) -> None:
        await self.send("BYE", f"sip:{number}@127.0.0.1:{self.config.sip.port}", user, 2, to_tag=self.to_tag)


def code(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


class Manager:
    """A manager link of a few lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.events: list[dict[str, str]] = []

    async def ask(self, **fields: str) -> dict[str, str]:
        number = secrets.token_hex(4)
        lines = {"Action": fields.pop("Action"), "ActionID": number, **fields}
        self.writer.write("".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + b"\r\n")
        while True:
            frame = await self.frame()
            if frame.get("ActionID") == number and "Response" in frame:
                return frame
            self.events.append(frame)

    async def frame(self) -> dict[str, str]:
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        return dict(line.split(": ", 1) for line in text.split("\r\n") if ": " in line)

    async def event(self, name: str) -> dict[str, str]:
        while True:
            for one in self.events:
                if one.get("Event") == name:
                    self.events.remove(one)
                    return one
            self.events.append(await self.frame())


@asynccontextmanager
async def manager(config: Config) -> AsyncIterator[Manager]:
    reader, writer = await asyncio.open_connection(config.ami.host, config.ami.port)
    link = Manager(reader, writer)
    try:
        login = await link.ask(Action="Login", Username=config.ami.username, Secret=config.ami.secret)
        assert login["Response"] == "Success"
        yield link
    finally:
        writer.close()
        await writer.wait_closed()


async def test_station_and_trunk_on_one_address(tmp_path: Path, environ: dict[str, str]) -> None:
    """Where the trunk's address is also a station's, the name counts first."""
    async with switch(tmp_path, environ) as config:
        assert await Phone(config).register(SECRET) == 200
        assert await Phone(config).register("wrong-secret-wrong") == 401
        caller = Phone(config)
        assert code(await caller.invite("6000", "0811999")) == 200
        await caller.bye("6000", "0811999")
        assert code(await Phone(config).invite("6000", "2001")) == 401


async def test_station_and_trunk_on_different_addresses(tmp_path: Path, environ: dict[str, str]) -> None:
    """Where they do not overlap the address counts first; who is neither is refused."""
    environ["CTI_SIP__TRUNKS"] = '[{"name": "far", "match": ["192.0.2.1"]}]'
    async with switch(tmp_path, environ) as config:
        assert "endpoint_identifier_order = ip,username" in (config.asterisk.config_dir / "pjsip.conf").read_text()
        assert await Phone(config).register(SECRET) == 200
        async with manager(config) as link:
            assert code(await Phone(config).invite("6000", "0811999")) == 401
            assert (await link.ask(Action="CoreShowChannels"))["Response"] == "Success"
            assert (await link.event("CoreShowChannelsComplete"))["ListItems"] == "0"


async def test_a_caller_reaches_numbers_only(tmp_path: Path, environ: dict[str, str]) -> None:
    hostile = ["s", "line", "2001%40agent", "500&PJSIP%2Ftrunk%2F0025", "100%2CHangup%7C1", "_X.", "100%0Aagi_x%3A%201"]
    async with switch(tmp_path, environ) as config:
        for number in hostile:
            assert code(await Phone(config).invite(number, "0811999")) == 404, number


async def test_a_new_station_needs_no_restart(tmp_path: Path, environ: dict[str, str]) -> None:
    async with switch(tmp_path, environ) as config:
        render.write_stations(config.asterisk.config_dir, [])
        await asterisk.reload_pjsip(config)
        assert code(await Phone(config).send("REGISTER", "sip:127.0.0.1", "2001", 1)) != 200
        render.write_stations(config.asterisk.config_dir, [render.Station("2001", SECRET)])
        await asterisk.reload_pjsip(config)
        end = time.monotonic() + 5
        while "realm=" not in await Phone(config).send("REGISTER", "sip:127.0.0.1", "2001", 1):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        assert await Phone(config).register(SECRET) == 200


async def test_the_manager_account(tmp_path: Path, environ: dict[str, str]) -> None:
    """What it must be able to do, what it must not, and what real events carry."""
    async with switch(tmp_path, environ) as config, manager(config) as link:
        for action in ("Command", "GetConfig", "UpdateConfig", "ModuleLoad", "Reload", "MixMonitor"):
            answer = await link.ask(Action=action, Command="core show version", Filename="x.conf", Channel="x")
            assert (answer["Response"], answer["Message"]) == ("Error", "Permission denied"), action
        blocked = await link.ask(
            Action="Originate", Channel="PJSIP/2001", Application="System", Data="id", Async="true"
        )
        assert blocked["Response"] == "Error"
        for action in ("Bridge", "Redirect", "Hangup", "PlayDTMF", "MixMonitorMute", "StopMixMonitor", "Setvar"):
            assert "Permission" not in (await link.ask(Action=action, Channel="no")).get("Message", ""), action
        caller = Phone(config)
        await caller.invite("6000", "0811999")
        event = await link.event("Newchannel")
        assert {"Timestamp", "SequenceNumber", "SystemName", "Privilege"} <= event.keys()
        assert event["SystemName"] == asterisk.system_name(config)
        assert event["CallerIDNum"] == "0811999"
        assert event["Context"] == "from-trunk"
        await caller.bye("6000", "0811999")
        await link.event("HangupRequest")
        await link.event("Hangup")
        names = {one.get("Event") for one in link.events}
        assert not names & {"VarSet", "Newexten", "TestEvent", "RTCPSent", "DTMFEnd"}


async def test_cel_has_the_columns_and_the_time_as_seconds(tmp_path: Path, environ: dict[str, str]) -> None:
    async with switch(tmp_path, environ) as config:
        caller, began = Phone(config), time.time()
        await caller.invite("6000", "0811999")
        await caller.bye("6000", "0811999")
        file = config.paths.logs / "asterisk/cel-custom/cti.csv"
        await until(lambda: file.exists() and "HANGUP" in file.read_text(), 15)
        rows = list(csv.reader(file.read_text().splitlines()))
    kinds = [row[0] for row in rows]
    assert kinds[0] == "CHAN_START"
    assert {"ANSWER", "HANGUP"} <= set(kinds)
    assert {len(row) for row in rows} == {11}
    for row in rows:
        assert re.fullmatch(r"[0-9]{10}\.[0-9]{3}", row[1])
        assert began - 1 < float(row[1]) < time.time() + 1
        assert row[2] == rows[0][2]
        assert row[4].startswith("PJSIP/trunk-t-")
        assert row[7] == "0811999"
    assert json.loads(rows[kinds.index("HANGUP")][10])["hangupsource"].startswith("PJSIP/trunk-t-")


async def test_full_logs_are_set_aside_while_calls_go_on(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """cel_custom opens its file anew for each record; `messages` is opened anew when told."""

    async def call(number: str) -> None:
        caller = Phone(config)
        await caller.invite("6000", number)
        await caller.bye("6000", number)
        await until(lambda: file.exists() and "HANGUP" in file.read_text() and number in file.read_text(), 15)

    monkeypatch.setattr(logs, "CEL_MAX", 10)
    monkeypatch.setattr(logs, "PART_MAX", 10)
    async with switch(tmp_path, environ) as config:
        folder = config.paths.logs / "asterisk"
        file, began = folder / "cel-custom/cti.csv", time.time()
        await call("0811001")
        assert (folder / "messages").stat().st_size > 10
        account = places.locate(tmp_path / "home").account
        await logs.look(config, {}, account)
        assert not file.exists()
        await call("0811002")
        assert "0811001" not in file.read_text()
        facts = cel.read_facts(file, began - 1, "main")
        assert [one.caller for one in facts if isinstance(one, ChannelNew)] == ["0811001", "0811002"]
        assert (folder / "messages.1").stat().st_size > 10
        await until((folder / "messages").exists, 15)
        assert os.geteuid() != 0 or {p.stat().st_uid for p in folder.rglob("*")} == {account.uid}


async def test_the_fallback_takes_a_message(tmp_path: Path, environ: dict[str, str]) -> None:
    async with switch(tmp_path, environ) as config, manager(config) as link:
        caller = Phone(config)
        await caller.invite("6000", "0811999")
        channel = await link.event("Newchannel")
        moved = await link.ask(
            Action="Redirect", Channel=channel["Channel"], Context="fallback", Exten="s", Priority="1"
        )
        assert moved["Response"] == "Success"
        box = config.paths.home / "voicemail"
        await until(lambda: any(box.glob("*.wav")), 30)
        await caller.bye("6000", "0811999")
        await until(lambda: any(box.glob("*.json")), 15)
        message = json.loads(next(box.glob("*.json")).read_text())
        assert (box / message["file"]).is_file()
    assert message["caller"] == "0811999"
    assert message["called"] == "6000"
    assert message["uniqueid"] == channel["Uniqueid"]


async def test_the_log_has_no_warning(tmp_path: Path, environ: dict[str, str]) -> None:
    async with switch(tmp_path, environ) as config:
        caller = Phone(config)
        await caller.invite("6000", "0811999")
        await caller.bye("6000", "0811999")
        lines = (config.paths.logs / "asterisk/messages").read_text().splitlines()
    bad = [line for line in lines if re.search(r"\b(WARNING|ERROR)\[", line) and "res_agi" not in line]
    assert not bad
