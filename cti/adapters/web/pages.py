"""The pages: jinja2 templates with the reader's catalogue. Files under webui/src are served as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from cti.adapters.web.api import Deps, me_row
from cti.adapters.web.auth import Who
from cti.adapters.web.ports import DISPOSITIONS, Settings
from cti.adapters.web.problems import Problem
from cti.core.ivr.svg_style import STYLE
from cti.core.queues import PRIORITIES

LANGUAGE_COOKIE = "cti_language"
HTML_LANG = {"zh": "zh-CN"}
LOCALE = {**HTML_LANG, "en": "en-GB"}  # how times and numbers are written
Catalog = dict[str, str]


def read_catalogs(folder: Path) -> dict[str, Catalog]:
    """language -> id -> text, of every `<language>.json` in the folder."""
    return {p.stem: json.loads(p.read_text("utf-8")) for p in sorted(folder.glob("*.json"))}


class Pages:
    """Renders the pages."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.catalogs = read_catalogs(settings.webui / "i18n")
        loader = jinja2.FileSystemLoader(settings.webui / "templates")
        self._env = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)

    def render(self, name: str, language: str, **values: Any) -> web.Response:
        catalog = self.catalogs[language]
        names = {code: self.catalogs[code]["language.name"] for code in self._languages()}
        boot = {
            "language": language,
            "locale": LOCALE.get(language, language),
            "time_zone": self._settings.time_zone,
            "country": self._settings.country,
            "texts": catalog,
            **values,
        }
        html = self._env.get_template(name).render(
            t=catalog.__getitem__,
            lang=HTML_LANG.get(language, language),
            language=language,
            languages=names,
            site=self._settings.site_name,
            version=self._settings.version,
            boot=boot,
            page=name.removesuffix(".html"),
            **values,
        )
        return web.Response(text=html, content_type="text/html", headers={"Vary": "Cookie, Accept-Language"})

    def _languages(self) -> list[str]:
        return [code for code in self._settings.languages if code in self.catalogs] or ["en"]

    def language(self, request: web.Request, who: Who | None) -> str:
        """The reader's: asked for now, chosen earlier, the browser's, the site's first."""
        known = self._languages()
        accepted = [
            p.split(";")[0].strip()[:2].lower() for p in request.headers.get("Accept-Language", "").split(",")
        ]
        wishes = [
            request.query.get("lang"),
            who.user.language if who else None,
            request.cookies.get(LANGUAGE_COOKIE),
            *accepted,
        ]
        return next((wish for wish in wishes if wish in known), known[0])


async def root(deps: Deps, request: web.Request, who: Who | None) -> web.StreamResponse:
    raise web.HTTPFound(home(who))


def home(who: Who | None) -> str:
    if who is None:
        return "/login"
    return "/wallboard" if who.is_supervisor else "/agent"


async def login(deps: Deps, request: web.Request, who: Who | None) -> web.StreamResponse:
    if who is not None:
        raise web.HTTPFound(home(who))
    pages: Pages = request.app[PAGES]
    language = pages.language(request, who)
    response = pages.render("login.html", language)
    if request.query.get("lang") == language:
        response.set_cookie(LANGUAGE_COOKIE, language, samesite="Strict", path="/", max_age=365 * 86400)
    return response


async def agent(deps: Deps, request: web.Request, who: Who | None) -> web.StreamResponse:
    me = _me(deps, who)
    if me["agent_id"] is None:
        raise web.HTTPFound("/wallboard")
    pages: Pages = request.app[PAGES]
    return pages.render(
        "agent.html", pages.language(request, who), me=me, reasons=_reasons(deps), dispositions=DISPOSITIONS
    )


async def wallboard(deps: Deps, request: web.Request, who: Who | None) -> web.StreamResponse:
    return _for_supervisors(deps, request, who, "wallboard", reasons=_reasons(deps))


async def callbacks(deps: Deps, request: web.Request, who: Who | None) -> web.StreamResponse:
    return _for_supervisors(deps, request, who, "callbacks", priorities=PRIORITIES)


async def admin(deps: Deps, request: web.Request, who: Who | None) -> web.StreamResponse:
    return _for_supervisors(deps, request, who, "admin")


def _for_supervisors(deps: Deps, request: web.Request, who: Who | None, name: str, **values: Any) -> web.Response:
    me = _me(deps, who)
    if who is not None and not who.is_supervisor:
        raise Problem(403, "this page is for supervisors and admins")
    pages: Pages = request.app[PAGES]
    return pages.render(f"{name}.html", pages.language(request, who), me=me, **values)


async def drawing_style(deps: Deps, request: web.Request, who: Who | None) -> web.StreamResponse:
    """The style of drawn flows, for a page they stand in."""
    return web.Response(text=STYLE, content_type="text/css", headers={"Cache-Control": "no-cache"})


def _reasons(deps: Deps) -> list[dict[str, Any]]:
    """What agents may choose from, in the site's own order, with seconds."""
    return [{"reason": reason, "limit": limit} for reason, limit in deps.settings.reasons.items()]


def _me(deps: Deps, who: Who | None) -> dict[str, Any]:
    if who is None:
        raise web.HTTPFound("/login")
    return me_row(deps, who)


PAGES = web.AppKey("pages", Pages)
