"""Whom a flow may ask over HTTP, and that no answer costs more than its deadline: real servers on this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cti.adapters.tasks import Fault
from cti.adapters.tasks_http import AGENT, Breaker, Client, http, message, pointed
from cti.adapters.tasks_net import Allowed, PublicOnly, checked, public
from cti.core.messages import RunTask


class Server:
    """Answers by path; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections = 0
        self.stuck = asyncio.Event()

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def close(self) -> None:
        self.stuck.set()
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.asked.append((method, path, headers, body))
        await ANSWERS[path.split("?")[0].split("/")[1]](self, path, writer)
        return True


def reply(status: str, body: bytes = b"", *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""]).encode() + body


async def ok(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(reply("200 OK", b'{"status": "shipped", "items": [{"n": 1}], "a/b": "c"}', "Set-Cookie: a=b"))


async def status(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(path.split("/")[2] + " Said", b"no json"))


async def to(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    """/to?CODE?URL"""
    _, code, where = path.split("?", 2)
    writer.write(reply(f"{code} Elsewhere", b"", f"Location: {where.replace('HERE', self.url)}"))


async def hang(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    await self.stuck.wait()


async def slow(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    while not self.stuck.is_set():
        writer.write(b"1")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    """1 GB, as long as somebody reads."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1 << 14):
        writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        await writer.drain()
    self.asked.append(("read it all", "", {}, b""))


async def declared(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    await self.stuck.wait()


async def cut(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    raise OSError


async def broken(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    raise OSError


async def once(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    if sum(1 for one in self.asked if one[1] == path) < 2:
        raise OSError
    writer.write(reply("200 OK", b"{}"))


async def zipped(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(reply("200 OK", b"\x1f\x8b\x08\x00" + b"0" * 20, "Content-Encoding: gzip"))


async def deep(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(reply("200 OK", b"[" * 100_000))


async def latin(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(reply("200 OK", b'{"a": "\xff"}'))


async def garbage(self: Server, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff not http at all\r\n\r\n")


ANSWERS: dict[str, Callable[[Server, str, asyncio.StreamWriter], Awaitable[None]]] = {
    f.__name__: f
    for f in (ok, status, to, hang, slow, endless, declared, cut, broken, once, zipped, deep, garbage, latin)
}  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    await one.start()
    yield one
    await one.close()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    """May ask the server, and nothing else that is not public."""
    one = Client((f"127.0.0.1:{server.port}",))
    yield one
    await one.close()


def ask(url: str, timeout: float = 5.0, **args: Any) -> RunTask:
    return RunTask(call_id="call", uniqueid="c1", op=7, kind="http", args={"url": url, **args}, timeout=timeout)


# ---------------------------------------------------------------- whom a flow may ask


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:6379/", "http://127.0.0.1:5038/", "http://2130706433/", "http://0177.0.0.1/",
    "http://crm.example@127.0.0.1/", "http://127.1/", "http://0x7f.1/", "http://0x7f000001/", "http://127.0.0.1./",
    "http://127.0.0.01/", "http://1.2.3/", "http://0/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/", "http://[::127.0.0.1]/", "http://[fe80::1%25eth0]/",
    "http://[fe80::1]/", "http://[fc00::1]/", "http://[2002:7f00:1::]/", "http://10.1.2.3/", "http://172.31.0.1/",
    "http://192.168.1.1/", "http://169.254.169.254/latest/", "http://100.64.0.1/", "http://0.0.0.0/", "http://[::]/",
    "http://224.0.0.1/", "http://255.255.255.255/", "http://１２７.0.0.1/", "http://①②⑦.0.0.1/",
    "http://me@public.example/", "http://:pw@public.example/", "http://@public.example/",
    "http://public.example\\@127.0.0.1/", "http://public.example /", "http://public.example/\r\nX: y", "ftp://a.example/",
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "//127.0.0.1/", "127.0.0.1:80", "http://", "http:///x", "",
    "http://a.example:0/", "http://a.example:99999/", "http://[::1/", "javascript:1", "http://a.example/" + "x" * 2000,
    "unix:///run/redis.sock", "http+unix://x/", "http://\x00/",
])  # fmt: skip
async def test_no_connection_is_made_to_what_is_not_public(url: str) -> None:
    """webhook_url: ssrf_localhost_redis, ssrf_ami, ssrf_decimal, ssrf_octal, ssrf_userinfo."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]  # a parser that takes it for a name gains nothing either

    client = Client(resolve=resolve)
    with pytest.raises(Fault):
        await http(client, ask(url))
    await client.close()


@pytest.mark.parametrize("address", [
    "1.1.1.1", "93.184.216.34", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1",
    "::ffff:1.1.1.1", "64:ff9b::101:101",
])  # fmt: skip
def test_public_addresses_are_public(address: str) -> None:
    assert public(ipaddress.ip_address(address))


async def test_every_address_of_a_name_is_checked_not_just_the_first() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["1.1.1.1", "127.0.0.1"]

    with pytest.raises(Fault, match=r"mixed\.example is 127\.0\.0\.1, which is not public"):
        await PublicOnly(Allowed(), resolve).resolve("mixed.example", 80)


async def test_a_name_that_leads_elsewhere_the_next_moment_gains_nothing(server: Server) -> None:
    """webhook_url: ssrf_dns_rebind. One look-up a connection, and the connection goes to what was checked."""
    answers = iter([["1.2.3.4"], ["127.0.0.1"], ["127.0.0.1"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    reached: list[str] = []
    resolver = PublicOnly(Allowed(), resolve)
    found = await resolver.resolve("rebind.example", server.port)
    reached += [one["host"] for one in found]
    assert reached == ["1.2.3.4"]
    client = Client(resolve=resolve)
    for _ in range(2):
        with pytest.raises(Fault):
            await http(client, ask(f"http://rebind.example:{server.port}/ok"))
    await client.close()
    assert server.connections == 0


async def test_the_connection_goes_to_the_address_that_was_checked(server: Server) -> None:
    looked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        looked.append(host)
        return ["127.0.0.1"]

    client = Client(("crm.example",), resolve=resolve)
    outcome, data = await http(client, ask(f"http://crm.example:{server.port}/ok"))
    await client.close()
    assert (outcome, data, looked) == ("done", {"status": 200}, ["crm.example"])
    assert server.asked[0][2]["host"] == f"crm.example:{server.port}"


@pytest.mark.parametrize(("allow", "url", "good"), [
    ("10.0.0.0/8", "http://10.1.2.3/", True), ("10.0.0.0/8", "http://11.1.2.3:80/", True),
    ("10.0.0.0/8", "http://192.168.0.1/", False), ("10.0.0.0/8", "http://[::ffff:10.0.0.1]/", True),
    ("127.0.0.1:8099", "http://127.0.0.1:8099/", True), ("127.0.0.1:8099", "http://127.0.0.1:5038/", False),
    ("[::1]:80", "http://[::1]/", True), ("[::1]:80", "http://[::1]:81/", False), ("::1", "http://[::1]:81/", True),
    ("127.0.0.1", "http://2130706433/", False),
])  # fmt: skip
def test_what_is_allowed_is_asked(allow: str, url: str, good: bool) -> None:
    try:
        checked(url, Allowed([allow]))
        assert good
    except Fault:
        assert not good


async def test_a_name_that_is_not_known_is_a_fault() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    client = Client(resolve=resolve)
    with pytest.raises(Fault, match=r"nowhere\.example is not known"):
        await http(client, ask("http://nowhere.example/"))
    await client.close()


async def test_names_are_asked_of_the_system(server: Server) -> None:
    client = Client()
    with pytest.raises(Fault, match=r"localhost is (127|::1).*not public"):
        await http(client, ask(f"http://localhost:{server.port}/ok"))
    await client.close()


# ---------------------------------------------------------------- redirects


async def test_a_redirect_is_followed_where_the_first_might_have_gone(server: Server, client: Client) -> None:
    outcome, data = await http(client, ask(f"{server.url}/to?302?HERE/ok", get={"s": "/status"}))
    assert (outcome, data) == ("done", {"status": 200, "s": "shipped"})


@pytest.mark.parametrize("where", [
    "http://127.0.0.1:5038/", "//127.0.0.1:6379/", "http://[::1]/", "http://2130706433/", "file:///etc/passwd",
    "http://me:pw@127.0.0.1/", "http://[", "http://169.254.169.254/",
])  # fmt: skip
async def test_a_redirect_to_what_is_not_public_is_not_followed(server: Server, client: Client, where: str) -> None:
    """webhook_url: ssrf_redirect."""
    with pytest.raises(Fault):
        await http(client, ask(f"{server.url}/to?302?{where}"))
    assert len(server.asked) == 1


async def test_redirects_end(server: Server, client: Client) -> None:
    with pytest.raises(Fault, match="redirects more than 3 times"):
        await http(client, ask(f"{server.url}/to?302?{'/to?302?' * 9}/ok"))
    assert len(server.asked) == 4


async def test_a_post_is_never_sent_elsewhere(server: Server, client: Client) -> None:
    with pytest.raises(Fault, match="the answer is 307") as fault:
        await http(client, ask(f"{server.url}/to?307?HERE/ok", method="POST", json={"a": 1}))
    assert fault.value.data == {"status": 307} and len(server.asked) == 1


async def test_headers_stay_with_the_first_host(server: Server) -> None:
    other = Server()
    await other.start()
    client = Client(("127.0.0.0/8",))
    headers = {"Authorization": "s3cret"}
    await http(client, ask(f"{server.url}/to?302?{other.url}/ok", headers=headers))
    await http(client, ask(f"{server.url}/to?302?HERE/ok", headers=headers))
    await client.close()
    await other.close()
    assert "authorization" not in other.asked[0][2]
    assert [one[2].get("authorization") for one in server.asked] == ["s3cret"] * 3


# ---------------------------------------------------------------- what is sent and read


async def test_what_was_encoded_stays_so(server: Server, client: Client) -> None:
    """`..;` is another place for some servers; the fragment stays here."""
    await http(client, ask(f"{server.url}/ok/..%3B/a%2Fb%27?q=%3B%26%27&x=%2B#part"))
    await http(client, ask(f"{server.url}/ok?é=ü"))
    assert [path for _, path, *_ in server.asked] == ["/ok/..%3B/a%2Fb%27?q=%3B%26%27&x=%2B", "/ok?%C3%A9=%C3%BC"]


async def test_json_and_forms_are_sent_and_pointers_read(server: Server, client: Client) -> None:
    get = {"s": "/status", "n": "/items/0/n", "slash": "/a~1b", "no": "/items/1/n", "all": "/items"}
    outcome, data = await http(client, ask(f"{server.url}/ok", method="post", json={"a": [1, "é"]}, get=get))
    assert (outcome, data) == (
        "done", {"status": 200, "s": "shipped", "n": 1, "slash": "c", "no": None, "all": [{"n": 1}]},
    )  # fmt: skip
    await http(client, ask(f"{server.url}/ok", method="PUT", form={"a b": "c&d", "t": True, "n": None}))
    await http(client, ask(f"{server.url}/ok", method="POST", json={}, headers={"content-type": "application/x+json"}))
    (_, _, first, body), (_, _, second, form), (_, _, third, _) = server.asked
    assert (first["content-type"], json.loads(body)) == ("application/json", {"a": [1, "é"]})
    assert first["user-agent"] == AGENT
    assert (second["content-type"], form) == ("application/x-www-form-urlencoded", b"a+b=c%26d&t=true&n=")
    assert third["content-type"] == "application/x+json"
    assert not [one for one in server.asked if "cookie" in one[2]]  # it was given one each time


@pytest.mark.parametrize("code", [400, 404, 500, 410, 201])
async def test_the_status_decides(server: Server, client: Client, code: int) -> None:
    task = ask(f"{server.url}/status/{code}")
    if code == 201:
        assert await http(client, task) == ("done", {"status": 201})
        return
    with pytest.raises(Fault) as fault:
        await http(client, task)
    assert fault.value.data == {"status": code}


@pytest.mark.parametrize(("path", "said"), [
    ("endless", "answers more than 256 KiB"), ("declared", "answers more than 256 KiB"), ("zipped", "is no JSON"),
    ("deep", "is no JSON"), ("latin", "is no JSON"),
    ("status/200", "is no JSON"), ("cut", "cannot be asked"), ("garbage", "cannot be asked"),
    ("broken", "cannot be asked"),
])  # fmt: skip
async def test_a_bad_answer_is_a_fault(server: Server, client: Client, path: str, said: str) -> None:
    with pytest.raises(Fault, match=said):
        await http(client, ask(f"{server.url}/{path}", get={"a": "/a"}))
    assert "read it all" not in [one[0] for one in server.asked]


@pytest.mark.parametrize("path", ["hang", "slow"])
async def test_the_deadline_holds_for_all_of_it(server: Server, client: Client, path: str) -> None:
    """webhook_url: slow_body; and one that hangs."""
    with pytest.raises(Fault, match=r"took longer than 0\.2 s"):
        await http(client, ask(f"{server.url}/{path}", timeout=0.2))


@pytest.mark.parametrize("args", [
    {"method": "TRACE"}, {"method": "GET x"}, {"headers": {"Host": "a"}}, {"headers": {"A:b": "c"}},
    {"headers": {"A": "b\r\nX: y"}}, {"headers": {"Transfer-Encoding": "chunked"}}, {"get": {"a": "status"}},
    {"get": {"a": "/a~2"}},
])  # fmt: skip
async def test_what_would_break_a_request_is_a_fault(server: Server, client: Client, args: dict[str, Any]) -> None:
    with pytest.raises(Fault):
        await http(client, ask(f"{server.url}/ok", **args))


def test_pointers() -> None:
    document = {"a": [10, {"~": 1}], "": 2, "m~n": 3}
    assert pointed(document, "") == document and pointed(document, "/") == 2
    assert pointed(document, "/a/1/~0") == 1 and pointed(document, "/m~0n") == 3
    assert [pointed(document, p) for p in ("/a/-", "/a/01", "/a/2", "/a/0/x", "/b", "/a/99999999999")] == [None] * 6


async def test_a_proxy_of_the_environment_is_not_used(server: Server, client: Client, monkeypatch: Any) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await http(client, ask(f"{server.url}/ok")))[0] == "done"


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    argv = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 " \
           "-addext subjectAltName=IP:127.0.0.1 -keyout key -out cert"  # fmt: skip
    subprocess.run(argv.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listening:
        client = Client(("127.0.0.0/8",))
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        with pytest.raises(Fault, match="CertificateError"):
            await http(client, ask(url, headers={"Authorization": "s3cret"}))
        await client.close()
    assert asked in ([], [b""])


# ---------------------------------------------------------------- again, and not again


async def test_a_get_is_tried_again_once(server: Server, client: Client) -> None:
    assert (await http(client, ask(f"{server.url}/once")))[0] == "done"
    with pytest.raises(Fault):
        await http(client, ask(f"{server.url}/broken"))
    assert [one[1] for one in server.asked] == ["/once", "/once", "/broken", "/broken"]


async def test_nothing_else_is_tried_again(server: Server, client: Client) -> None:
    for method in ("POST", "PUT", "DELETE"):
        with pytest.raises(Fault):
            await http(client, ask(f"{server.url}/broken", method=method))
    assert len(server.asked) == 3


async def test_gets_share_connections(server: Server, client: Client) -> None:
    for _ in range(5):
        await http(client, ask(f"{server.url}/ok"))
    assert server.connections == 1


async def test_a_host_that_fails_is_left_alone_for_a_while(server: Server) -> None:
    now = [100.0]
    client = Client(("127.0.0.0/8",), clock=lambda: now[0])
    for n in range(7):
        with pytest.raises(Fault) as fault:
            await http(client, ask(f"{server.url}/{'hang' if n % 2 else 'status/500'}", timeout=0.05))
    assert "failed 5 times in a row" in str(fault.value) and len(server.asked) == 5
    now[0] += 31
    assert (await http(client, ask(f"{server.url}/ok")))[0] == "done"
    assert (await http(client, ask(f"{server.url}/ok")))[0] == "done"
    await client.close()


def test_one_request_tries_when_the_while_is_over() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(5):
        breaker.check("a")
        breaker.ended("a", False)
    now[0] = 31
    breaker.check("a")
    with pytest.raises(Fault):
        breaker.check("a")
    breaker.ended("a", False)
    with pytest.raises(Fault):
        breaker.check("a")
    for n in range(3000):
        breaker.ended(f"h{n}", False)
    breaker.check("a")  # forgotten


# ---------------------------------------------------------------- webhooks


async def test_a_message_is_posted_with_a_key_that_makes_it_one(server: Server, client: Client) -> None:
    hooks = {"crm": (f"{server.url}/ok", {"Authorization": "s3cret"}), "bad": (f"{server.url}/status/503", {})}
    task = ask("", webhook="CRM", body={"caller": "+62"})
    assert await message(client, hooks, task) == ("done", {"status": 200})
    method, _, headers, body = server.asked[0]
    assert (method, json.loads(body)) == ("POST", {"caller": "+62"})
    assert (headers["idempotency-key"], headers["authorization"]) == ("call:7", "s3cret")
    for name, said in (("bad", "the webhook bad answers 503"), ("none", "there is no 'none' under \\[webhooks\\]")):
        with pytest.raises(Fault, match=said):
            await message(client, hooks, ask("", webhook=name))

