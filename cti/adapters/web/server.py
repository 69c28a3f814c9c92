"""The server around the application: how it stops, and what it logs of clients that speak no HTTP."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import PayloadAccessError, RequestPayloadError

STOP_SECONDS = 2.0  # what still runs then is cut off, twice: to end, and to notice that it was cancelled
LINGER_SECONDS = 2.0  # for the rest of a body that nobody wants any more
CLIENTS_FAULTS = (HttpProcessingError, RequestPayloadError, PayloadAccessError, ConnectionError)


def make_runner(app: web.Application) -> web.AppRunner:
    """Runs the application. A client that is slow, or speaks nonsense, neither holds up a stop nor fills the log."""
    logging.getLogger("aiohttp.server").addFilter(one_line)
    return web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS, lingering_time=LINGER_SECONDS)


def one_line(record: logging.LogRecord) -> bool:
    """A client's fault is one line at INFO, without a traceback; everything else stays as it is."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, CLIENTS_FAULTS):
        what = " ".join(str(error).split())[:200]
        record.msg, record.args = "%s: %s: %r", (record.getMessage(), type(error).__name__, what)
        record.exc_info = None
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True
