"""Whom a flow may reach: only what is public, and what `[outside] allow` names.

A URL is checked as text (`checked`), the addresses its host leads to when a connection is made (`PublicOnly`), and the
connection goes to exactly those addresses: a name that leads elsewhere the next moment gains nothing. Every address of
a host must be good, not just the first.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from cti.adapters.tasks import Fault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]
LONGEST_URL = 2_000
RESOLVERS = 8  # threads: a name server that hangs holds up no other work of the server
NUMERIC = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)\.?")

# IANA's special purpose registries. Of IPv6, what is public lies in 2000::/3.
NOT_PUBLIC = tuple(map(ipaddress.ip_network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
    "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)))  # fmt: skip
PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Allowed:
    """`[outside] allow`: hosts, host:port, addresses or networks."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._hosts.add(entry.lower())

    def names(self, host: str, port: int) -> bool:
        """Whether the host is allowed by its name, wherever that leads."""
        shown = f"[{host}]" if ":" in host else host.lower().rstrip(".")
        return shown in self._hosts or f"{shown}:{port}" in self._hosts

    def holds(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def checked(text: str, allowed: Allowed) -> URL:
    """The URL, if a flow may ask it as far as its text tells. Raises Fault."""
    if len(text) > LONGEST_URL or re.search(r"[\x00-\x20\x7f\\]", text):
        raise Fault("the URL is too long, or has spaces, controls or a backslash in it")
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except ValueError:
        raise Fault("this is no URL") from None
    if url.scheme not in ("http", "https") or not host or not port:
        raise Fault("only http://HOST/ and https://HOST/ are asked")
    if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
        raise Fault("a user name in a URL is not taken")
    literal = _literal(host)
    if literal is not None:
        check_address(literal, host, port, allowed)
    return _as_written(text, url)


def _as_written(text: str, url: URL) -> URL:
    """yarl takes back what was encoded without need: `..%3B`, out of an expression, would be a `..;` of the path."""
    if not text.isascii():
        return url.with_fragment(None)
    _, _, path, query, _ = urlsplit(text)
    return URL.build(
        scheme=url.scheme, authority=url.raw_authority, path=path or "/", query_string=query, encoded=True
    )  # fmt: skip


def _literal(host: str) -> Address | None:
    """The address that the host is, or None for a name. Raises Fault for odd spellings, as 0177.0.0.1, 2130706433."""
    last = host.rstrip(".").rpartition(".")[2]
    if ":" not in host and not NUMERIC.fullmatch(last):
        return None
    try:
        if "%" in host:
            raise ValueError
        return ipaddress.ip_address(host)
    except ValueError:
        raise Fault("the host is an address in an odd spelling") from None


def check_address(address: Address, host: str, port: int, allowed: Allowed) -> None:
    """Raises Fault for one that is not public and not allowed."""
    if not (public(address) or allowed.names(host, port) or allowed.holds(inner(address))):
        raise Fault(f"{host} is {address}, which is not public, and [outside] allow does not name it")


def inner(address: Address) -> Address:
    """The IPv4 address that some IPv6 addresses stand for."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def public(address: Address) -> bool:
    real = inner(address)
    if real.version == 6 and real not in PUBLIC_6:
        return False
    return not any(real in network for network in NOT_PUBLIC if network.version == real.version)


class PublicOnly(AbstractResolver):
    """Looks names up and gives their addresses if all are good; aiohttp connects to these and asks nobody again."""

    def __init__(self, allowed: Allowed, resolve: Resolve | None = None) -> None:
        self._allowed = allowed
        self._threads = ThreadPoolExecutor(RESOLVERS, "resolver")
        self._resolve = resolve or self._ask_system

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = [ipaddress.ip_address(one.partition("%")[0]) for one in await self._resolve(host, port)]
        for address in found:
            check_address(address, host, port, self._allowed)
        return [
            ResolveResult(
                hostname=host, host=str(address), port=port, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
            )
            for address in found
        ]  # fmt: skip

    async def _ask_system(self, host: str, port: int) -> list[str]:
        def ask() -> list[str]:
            return [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]

        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
