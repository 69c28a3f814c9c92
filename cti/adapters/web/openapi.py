"""The OpenAPI 3.1 document, made from the table of routes: it cannot promise what is not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from cti.adapters.web.callbacks_api import State
from cti.adapters.web.ports import OUTCOMES, Settings

if TYPE_CHECKING:
    from cti.adapters.web.app import Route

_TIME = {"type": "string", "format": "date-time"}
_QUERY: dict[str, dict[str, Any]] = {
    "since": {**_TIME, "description": "calls that started at or after this"},
    "until": {**_TIME, "description": "calls that started before this"},
    "agent": {"type": "string", "maxLength": 64},
    "queue": {"type": "string", "maxLength": 64},
    "outcome": {"enum": sorted(OUTCOMES)},
    "version": {"type": "integer", "minimum": 1, "description": "of the flows; else the live one"},
    "style": {"enum": ["none"], "description": "without its style, for a page that has /drawing.css"},
    "to": {"type": "integer", "minimum": 1, "description": "the version it is compared with; else the live one"},
    "q": {"type": "string", "maxLength": 100, "description": "part of a name or number"},
    "state": {"enum": list(get_args(State)), "description": "of a callback"},
    "cursor": {"type": "string", "description": "next_cursor of the page before"},
    "limit": {"type": "integer", "minimum": 1, "default": 50, "description": "at most 200 are given"},
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable, for programs"},
        "detail": {"type": "string", "description": "for people"},
    },
}
_ABOUT = (
    "JSON API of the CTI server. Log in with POST /api/v1/session (cookie) or send "
    "`Authorization: Bearer TOKEN`. "
    "With the cookie every unsafe request needs the header `X-CSRF: 1`. Errors are RFC 9457 problems with a "
    "stable `code`. Times are ISO-8601 UTC, ids are text, lists are paged by `cursor`."
)


def document(routes: Sequence[Route], settings: Settings) -> dict[str, Any]:
    """The document as JSON-ready data."""
    shapes = [r.body for r in routes if r.body is not None]
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    bodies = dict(zip(shapes, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.path.startswith("/api/"):
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, bodies)
    schemes = {
        "cookie": {"type": "apiKey", "in": "cookie", "name": "cti_session"},
        "token": {"type": "http", "scheme": "bearer"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "cti", "version": settings.version, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": {**components, "Problem": _PROBLEM}, "securitySchemes": schemes},
    }


def _operation(route: Route, bodies: dict[Any, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", route.path)
    parameters = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
    parameters += [{"name": n, "in": "query", "schema": _QUERY[n]} for n in route.query]
    if route.open:
        security: list[dict[str, list[str]]] = []
    else:
        security = [{"cookie": []}, {"token": []}]
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "security": security,
        "parameters": parameters,
        "responses": {
            str(route.status): {"description": "done", **_content(route)},
            "default": {"description": "a problem", "content": problem},
        },
    }
    if route.body is not None:
        content = {"application/json": {"schema": bodies[route.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _content(route: Route) -> dict[str, Any]:
    if route.status == 204:
        return {}
    schema = (
        {"type": "object"} if route.gives == "application/json" else {"type": "string", "format": "binary"}
    )
    return {"content": {route.gives: {"schema": schema}}}
