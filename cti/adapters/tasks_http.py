"""HTTP for flows: one client for `http`, `message` and `pay`, with limits on everything.

Whom it reaches is told in tasks_net. A request has one deadline for all it does; of an answer at most 256 KiB are read,
nothing compressed, and JSON is parsed only from what fits. Redirects are followed for GET only, three at most, each
checked like the first; what the flow put into headers stays with the first host. A host that failed five times in a row
is not asked for 30 s. No cookies are kept, no proxy of the environment is used.
"""

from __future__ import annotations

import asyncio
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from cti import __version__
from cti.adapters.tasks import Done, Fault
from cti.adapters.tasks_net import Allowed, PublicOnly, Resolve, checked
from cti.core.ivr.readers_outside import NEVER_SENT
from cti.core.messages import RunTask

MOST = 256 * 1024  # bytes of an answer that are read
REDIRECTS = 3
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
FAILURES, OPEN_FOR = 5, 30.0  # in a row; s
HOSTS = 1_000  # that are watched; the oldest is forgotten first
AGENT = f"cti/{__version__}"
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}")


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Raises Fault."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Fault("the answer is no JSON", {"status": self.status}) from None


class Breaker:
    """Who failed too often in a row is left alone for a while; then one request tries."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def check(self, host: str) -> None:
        """Raises Fault while the host is left alone."""
        if self._failed.get(host, 0) < FAILURES:
            return
        if self._clock() < self._until[host]:
            raise Fault(f"{host} failed {FAILURES} times in a row and is not asked now")
        self._until[host] = self._clock() + OPEN_FOR

    def ended(self, host: str, good: bool) -> None:
        if good:
            self._failed.pop(host, None)
            self._until.pop(host, None)
            return
        self._failed[host] = self._failed.pop(host, 0) + 1
        self._until[host] = self._clock() + OPEN_FOR
        if len(self._failed) > HOSTS:
            oldest = next(iter(self._failed))
            del self._failed[oldest], self._until[oldest]


class Client:
    """Made inside a running loop. Close it."""

    def __init__(
        self, allow: tuple[str, ...] = (), resolve: Resolve | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._allowed = Allowed(allow)
        self._resolver = PublicOnly(self._allowed, resolve)
        self._breaker = Breaker(clock)
        # What is not GET gets a fresh connection: on a kept one nobody knows whether a request that broke was heard.
        self._gets, self._others = self._session(False), self._session(True)

    def _session(self, fresh: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver, use_dns_cache=False, limit=200, limit_per_host=20, force_close=fresh
        )
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False,
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity"}, read_bufsize=65_536,
            timeout=aiohttp.ClientTimeout(total=None), requote_redirect_url=False,
        )  # fmt: skip
        session._retry_connection = False  # it would send PUT and DELETE again
        return session

    async def close(self) -> None:
        await self._gets.close()
        await self._others.close()
        await self._resolver.close()

    def check(self, url: str) -> URL:
        """Raises Fault for a URL that is not asked, as far as its text tells."""
        return checked(url, self._allowed)

    async def request(
        self, method: str, url: str, seconds: float, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """Raises Fault when no whole answer came in time. An answer of any status is one."""
        target, sent = self.check(url), _headers(headers or {})
        try:
            async with asyncio.timeout(seconds):
                for _ in range(REDIRECTS + 1):
                    reply, onward = await self._at(method, target, sent, body)
                    if onward is None or method != "GET":
                        return reply
                    target, sent = self._follow(target, onward, sent)
        except TimeoutError:
            raise Fault(f"{target.host} took longer than {seconds:g} s") from None
        raise Fault(f"{target.host} redirects more than {REDIRECTS} times")

    def _follow(self, here: URL, onward: str, sent: dict[str, str]) -> tuple[URL, dict[str, str]]:
        try:
            there = here.join(URL(onward))
        except ValueError:
            raise Fault(f"{here.host} redirects to what is no URL") from None
        there = self.check(str(there))
        if here.scheme == "https" and there.scheme != "https":
            raise Fault(f"{here.host} redirects from https to http")
        return there, sent if here.origin() == there.origin() else {}

    async def _at(
        self, method: str, url: URL, headers: dict[str, str], body: bytes | None
    ) -> tuple[Reply, str | None]:
        """The answer, and where it redirects to."""
        host = url.raw_authority
        self._breaker.check(host)
        good = False
        try:
            reply, onward = await self._patiently(method, url, headers, body)
            good = reply.status < 500
        except aiohttp.ClientConnectorDNSError as error:
            raise Fault(f"{url.host} is not known") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Fault(f"{url.host} cannot be asked: {type(error).__name__}") from error
        finally:
            self._breaker.ended(host, good)
        return reply, onward

    async def _patiently(
        self, method: str, url: URL, headers: dict[str, str], body: bytes | None
    ) -> tuple[Reply, str | None]:
        """GET is asked again, once, when the connection failed."""
        if method == "GET":
            with suppress(aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                return await self._once(self._gets, method, url, headers, body)
            return await self._once(self._gets, method, url, headers, body)
        return await self._once(self._others, method, url, headers, body)

    async def _once(
        self, session: aiohttp.ClientSession, method: str, url: URL, headers: dict[str, str], body: bytes | None
    ) -> tuple[Reply, str | None]:
        async with session.request(method, url, headers=headers, data=body, allow_redirects=False) as response:
            try:
                content = await _read(response)
            except BaseException:
                response.close()
                raise
            onward = response.headers.get("Location") if response.status in (301, 302, 303, 307, 308) else None
            return Reply(response.status, content), onward


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    if (response.content_length or 0) <= MOST:
        async for chunk in response.content.iter_chunked(16_384):
            content += chunk
            if len(content) > MOST:
                break
        else:
            return content
    raise Fault(f"{response.url.host} answers more than {MOST // 1024} KiB", {"status": response.status})


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if not HEADER.fullmatch(name) or name.lower() in NEVER_SENT:
            raise Fault(f"the header {name[:80]!a} is not sent")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise Fault(f"the header {name} has controls in its value")
    return dict(given)


# ---------------------------------------------------------------- the kinds


async def http(client: Client, command: RunTask) -> Done:
    """done {status, names of `get`}; error {status} when the status is not 2xx."""
    args = command.args
    method = str(args.get("method") or "GET").upper()
    if method not in METHODS:
        raise Fault(f"the method {method[:20]!a} is not one of {', '.join(METHODS)}")
    headers = {str(name): _text(value) for name, value in (args.get("headers") or {}).items()}
    body = _body(args, headers)
    reply = await client.request(method, str(args.get("url") or ""), command.timeout, headers, body)
    told = {"status": reply.status}
    if not reply.good:
        raise Fault(f"the answer is {reply.status}", told)
    wanted: dict[str, str] = args.get("get") or {}
    document = reply.json() if wanted else None
    return "done", {**{name: pointed(document, str(where)) for name, where in wanted.items()}, **told}


async def message(client: Client, hooks: Mapping[str, tuple[str, Mapping[str, str]]], command: RunTask) -> Done:
    """POSTs `body` to a webhook: (url, headers), secrets filled in."""
    name = str(command.args.get("webhook") or "")
    if name.lower() not in hooks:
        raise Fault(f"there is no {name[:40]!a} under [webhooks] of cti.toml")
    url, given = hooks[name.lower()]
    headers = {**given, "Content-Type": "application/json", "Idempotency-Key": key_of(command)}
    body = msgspec.json.encode(command.args.get("body") or {})
    reply = await client.request("POST", url, command.timeout, headers, body)
    if not reply.good:
        raise Fault(f"the webhook {name} answers {reply.status}", {"status": reply.status})
    return "done", {"status": reply.status}


def _body(args: Mapping[str, Any], headers: dict[str, str]) -> bytes | None:
    """Also sets the type, unless the flow did."""
    if args.get("json") is not None:
        kind, body = "application/json", msgspec.json.encode(args["json"])
    elif args.get("form") is not None:
        fields = {str(name): _text(value) for name, value in args["form"].items()}
        kind, body = "application/x-www-form-urlencoded", urllib.parse.urlencode(fields).encode()
    else:
        return None
    if "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = kind
    return body


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def pointed(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) points to; None when there is nothing. Raises Fault for what is no pointer."""
    if pointer and (not pointer.startswith("/") or re.search(r"~(?![01])", pointer)):
        raise Fault(f"{pointer[:80]!a} is no JSON pointer, as /items/0/name")
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(key)
        elif isinstance(document, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) and int(key) < len(document):
            document = document[int(key)]
        else:
            return None
    return document


def key_of(command: RunTask) -> str:
    """The same for the same work, also when a restarted server asks again."""
    return command.key or f"{command.call_id}:{command.op}"
