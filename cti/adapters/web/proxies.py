"""Behind a proxy that does TLS: who really asked, and whether over TLS.

Only what a proxy of `[http] trusted_proxies` says is believed. From the right of X-Forwarded-For the first
address that is no such proxy is the client; whatever stands left of it the client may have made up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def address(text: str | None) -> Address | None:
    try:
        found = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def seen_through(request: web.Request, trusted: Sequence[Network]) -> web.Request:
    """The request as the outermost trusted proxy got it; without one, as it is."""
    if not _is_trusted(peer := address(request.remote), trusted):
        return request
    for hop in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
        if (known := address(hop)) is None:
            break
        peer = known
        if not _is_trusted(peer, trusted):
            break
    said = request.headers.getall("X-Forwarded-Proto", [request.scheme])[-1].rpartition(",")[2].strip().lower()
    return request.clone(remote=str(peer), scheme="https" if said == "https" else "http")


def is_local(request: web.Request) -> bool:
    """Whether a program of this machine asks, and no proxy for somebody else."""
    peer = address(request.remote)
    return peer is not None and peer.is_loopback and "X-Forwarded-For" not in request.headers


def _is_trusted(peer: Address | None, trusted: Sequence[Network]) -> bool:
    return peer is not None and any(peer in network for network in trusted)
