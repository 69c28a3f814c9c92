"""`cti up` with a stand-in for the server, as a process of its own: python stand_in.py HOME"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

SERVER = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""

if __name__ == "__main__":
    from cti.cli.up import until_stopped
    from cti.errors import CtiError

    server = [sys.executable, "-c", SERVER, os.environ["CTI_HTTP__PORT"]]
    try:
        sys.exit(asyncio.run(until_stopped(Path(sys.argv[1]), os.environ, "--demo" in sys.argv, server)))
    except CtiError as e:
        sys.exit(f"cti: {e}")
