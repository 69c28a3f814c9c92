"""How long a push takes to reach every page: python bench/ws_fanout.py [pages] [pushes]

Server and clients share one process and core; each client is a real websocket. Prints ms from push to receipt.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/adapters"))

from webkit import a_site, hear


async def main(pages: int, pushes: int) -> None:
    late: list[float] = []
    async with a_site() as site, site.client("sari", token=True) as client:
        sockets = [await client.ws_connect("/ws") for _ in range(pages)]
        for ws in sockets:
            await hear(ws, "wallboard")

        async def listen(ws: object) -> None:
            for _ in range(pushes):
                said = await hear(ws, "notice", within=60)  # type: ignore[arg-type]
                late.append(time.monotonic() - said["data"]["sent"])

        listeners = [asyncio.create_task(listen(ws)) for ws in sockets]
        began = time.monotonic()
        for _ in range(pushes):
            site.hub.push("notice", {"sent": time.monotonic(), "filler": "x" * 500})
            await asyncio.sleep(0.02)
        await asyncio.gather(*listeners)
        took = time.monotonic() - began
        for ws in sockets:
            await ws.close()
    late.sort()
    figures = {f"p{p}_ms": round(late[min(len(late) - 1, len(late) * p // 100)] * 1000, 1) for p in (50, 99, 100)}
    print(json.dumps({"pages": pages, "pushes": pushes, "messages_per_s": round(len(late) / took), **figures}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 100))
