"""The smallest HTTP client: is the server there, and what does it say."""

from __future__ import annotations

import asyncio

from cti.config import Config

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def url(config: Config) -> str:
    host = ANY.get(config.http.host, config.http.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.http.port}"


async def get(config: Config, path: str, seconds: float = 3.0) -> tuple[int, bytes]:
    """Status and body. Raises OSError, TimeoutError, or ValueError when that was no HTTP."""
    host = ANY.get(config.http.host, config.http.host)
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, config.http.port)
        try:
            key = f"X-Status-Key: {config.status_key}\r\n" if path.endswith(("/status", "/why")) else ""
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{config.http.port}\r\n{key}\r\n".encode())
            head, _, body = (await reader.read(4 << 20)).partition(b"\r\n\r\n")
            while more := await reader.read(4 << 20):
                body += more
        finally:
            writer.close()
    return int(head.split(b" ", 2)[1][:3] if head.startswith(b"HTTP/") else b"-"), body


async def status(config: Config, path: str) -> int | None:
    """The status code, None when nothing answers."""
    try:
        return (await get(config, path))[0]
    except (OSError, TimeoutError, ValueError):
        return None
