"""One datagram, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from cti.demo import sip


async def send_raw(
    server: tuple[str, int],
    payload: str,
    *,
    did: str = "6000",
    host: str = "127.0.0.1",
    encoding: str = "utf-8",
) -> list[int]:
    """Send one packet, {HOST} {PORT} {SRC} {DID} {BR} {TAG} {CID} filled in; the responses of one second.

    Nobody hangs up a call that was answered."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        s.bind((host, 0))
        fill = {"HOST": server[0], "PORT": str(server[1]), "SRC": f"{host}:{s.getsockname()[1]}", "DID": did}
        fill |= {"BR": sip.word(), "TAG": sip.word(), "CID": sip.word()}
        for key, value in fill.items():
            payload = payload.replace("{" + key + "}", value)
        await loop.sock_sendto(s, payload.encode(encoding), server)
        statuses: list[int] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    packet = sip.parse(await loop.sock_recv(s, 65535))
                    if packet is not None and packet.status:
                        statuses.append(packet.status)
    return statuses
