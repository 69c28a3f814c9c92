"""Clients that send nonsense, or nothing more: a clear answer, no traceback, and no hold on a stop."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
from typing import Any

import pytest
from webkit import Site, a_site

from cti.adapters.web import api


async def raw(port: int, said: bytes, head: bool = False) -> bytes:
    """What a client gets that sends just these bytes and then nothing more; `head`: the first lines of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n") if head else reader.read(), 5)
    finally:
        writer.close()


def get(path: bytes, headers: bytes = b"Connection: close\r\n") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n"


def post(body: bytes, headers: bytes = b"", length: bool = True, path: bytes = b"/api/v1/session") -> bytes:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return head + headers + (b"Content-Length: %d\r\n" % len(body) if length else b"") + b"\r\n" + body


LOGIN = b'{"username":"anna","password":"correct horse"}'
ANNA = b"Authorization: Bearer token-anna\r\n"
WS = ANNA + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
BOMB = gzip.compress(b" " * 10_000_000)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NONSENSE = {
    "authorization": (get(b"/api/v1/me", b"Authorization: Bearer \xff\r\n"), 401),
    "cookie": (get(b"/api/v1/me", b"Cookie: cti_session=\xff\r\n"), 401),
    "cookies of the login page": (get(b"/login", b"Cookie: cti_session=\xff; cti_language=\xff\r\n"), 200),
    "cookie at the login": (post(LOGIN, b"Cookie: cti_session=\xff\r\n"), 200),
    "status key": (get(b"/api/v1/status", b"X-Status-Key: \xff\r\n"), 401),
    "origin": (post(LOGIN, b"Origin: \xff\r\n"), 403),
    "languages": (get(b"/login?lang=%ff", b"Accept-Language: \xff;q=\xff,,,\r\n"), 200),
    "websocket version": (get(b"/ws", WS + b"Sec-WebSocket-Version: \xff\r\n"), 400),
    "no gzip": (post(b"junkjunkj", b"Content-Encoding: gzip\r\n"), 400),
    "no gzip that anybody reads": (post(b"junkjunkj", b"Content-Encoding: gzip\r\n", path=b"/none"), 404),
    "no deflate": (post(b"junkjunkj", b"Content-Encoding: deflate\r\n"), 400),
    "half a gzip": (post(BOMB[:20], b"Content-Encoding: gzip\r\n"), 400),
    "a bomb": (post(BOMB, b"Content-Encoding: gzip\r\n"), 413),
    "no chunk": (post(b"zz\r\nab\r\n", CHUNKED, length=False), 400),
    "no second chunk": (post(b"1\r\n{\r\nzz\r\n", CHUNKED, length=False), 400),
    "half a character": (post(b'{"username":"a","password":"\\ud800"}'), 400),
    "a long name of a file": (get(b"/static/" + b"a" * 3000), 404),
    "a NUL in the name of a file": (get(b"/static/%00"), 404),
    "header": (get(b"/login", b"a b: c\r\n"), 400),
    "header line": (get(b"/login", b"a: " + b"a" * 20_000 + b"\r\n"), 400),
    "address": (get(b"http://[::1/"), 400),
    "request line": (get(b"/" + b"a" * 20_000), 400),
    "version": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "length": (post(b"", b"Content-Length: -1\r\n", length=False), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "behind a refused upgrade": (get(b"/login", b"Connection: Upgrade\r\nUpgrade: x\r\n") + b"\xff\xff\r\n\r\n", 200),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_gets_an_answer_and_no_traceback(
    site: Site, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    said, status = NONSENSE[name]
    with caplog.at_level(logging.INFO):
        answer = await raw(site.port, said, head=True)
    assert int(answer.split()[1]) == status, answer[:200]
    quiet(caplog)


async def test_a_body_that_is_cut_off_is_no_fault_of_ours(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for abort in (True, False):
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(post(b"", b"Content-Length: 100\r\n", length=False) + b"{")
        await asyncio.sleep(0.05)  # the handler reads by now
        if abort:
            writer.transport.abort()
        else:
            writer.write_eof()
        await asyncio.sleep(0.1)
        writer.close()
    quiet(caplog)


FRAMES = [b"\xf1\x81aaaaa", b"\x81\x82\0\0\0\0\xff\xff", b"\xff" * 40, b"\x88\x81\0\0\0\0a"]


@pytest.mark.parametrize("frame", FRAMES)
async def test_frames_that_are_none_end_the_socket_quietly(
    site: Site, frame: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await raw(site.port, get(b"/ws", WS + b"Sec-WebSocket-Version: 13\r\n") + frame)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert len(site.hub) == 0
    quiet(caplog)


def quiet(caplog: pytest.LogCaptureFixture) -> None:
    for said in caplog.records:
        assert not said.exc_info and said.levelno < logging.ERROR and "\n" not in said.getMessage(), said


# ---------------------------------------------------------------- slow ones


async def test_a_body_is_waited_for_only_so_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "BODY_SECONDS", 0.1)
    began = time.monotonic()
    answer = await raw(site.port, post(b"", b"Content-Length: 100\r\n", length=False) + b"{")
    assert b" 408 " in answer and b'"code":"too_slow"' in answer
    assert time.monotonic() - began < 4.0


@pytest.mark.parametrize("path", [b"/api/v1/session", b"/none"])
async def test_a_body_that_does_not_end_holds_up_no_stop(path: bytes, caplog: pytest.LogCaptureFixture) -> None:
    writers: list[Any] = []
    async with a_site() as site:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(post(b"", b"Content-Length: 100\r\n", length=False, path=path) + b"{")
            writers.append(writer)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await site.runner.cleanup()
        assert time.monotonic() - began < 5.0
    for writer in writers:
        writer.close()
    quiet(caplog)
