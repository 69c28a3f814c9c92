"""Errors as RFC 9457 problem+json with a stable `code`, and the headers every answer carries."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from cti.adapters.web.wire import encode
from cti.errors import BadInput, CtiError, Refused, Unavailable

log = logging.getLogger("cti.web")

CODES = {
    400: "bad_request",
    401: "not_logged_in",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "refused",
    410: "gone",
    413: "too_large",
    415: "json_only",
    416: "bad_range",
    426: "websocket_only",
    429: "too_many_tries",
    500: "internal",
    503: "unavailable",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=(self)",
}


class Problem(Exception):
    """Raised by a handler: becomes the answer. `code` defaults to the status's usual one; `more`: further members."""

    def __init__(
        self, status: int, detail: str = "", code: str = "", headers: dict[str, str] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code or CODES.get(status, "error")
        self.headers = headers or {}
        self.more = more or {}

    def response(self) -> web.Response:
        body = {
            "type": f"urn:cti:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail or HTTPStatus(self.status).phrase,
            **self.more,
        }
        return web.Response(
            status=self.status,
            body=encode(body),
            content_type="application/problem+json",
            headers=self.headers,
        )


def problem_of(error: Exception) -> Problem:
    """The problem that tells this exception; what nobody foresaw is logged and becomes 500."""
    match error:
        case Problem():
            return error
        case Refused():
            return Problem(409, str(error), error.code, more={**error.about})
        case BadInput():
            return Problem(400, str(error), error.code, more={**error.about})
        case Unavailable():
            return Problem(503, str(error), error.code, {"Retry-After": "1"})
        case web.HTTPException():
            keep = {k: v for k, v in error.headers.items() if k in ("Allow", "Content-Range", "Retry-After")}
            return Problem(error.status, code=CODES.get(error.status, "error"), headers=keep)
        case RequestPayloadError() | ConnectionError():
            return Problem(400, "the body is damaged or was cut off", "bad_body")
        case UnicodeEncodeError():  # surrogates: half a character, or bytes that are not UTF-8; only clients send them
            return Problem(400, "the request is not valid UTF-8")
        case CtiError():
            return Problem(500, str(error), error.code)
        case _:
            log.error("request failed", exc_info=error)
            return Problem(500)


async def add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """on_response_prepare: the security headers, and no caching unless the handler chose otherwise."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.pop("Server", None)
