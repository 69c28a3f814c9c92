"""What is wrong with single values of a config.

Values that end in generated Asterisk files are checked here: addresses are IP addresses, names plain words.
"""

from __future__ import annotations

import ipaddress
import locale
import re
import shlex
import urllib.parse
import zoneinfo
from collections.abc import Callable, Mapping

import phonenumbers

from cti.sections import NAME, SECRET, Agents, Config, SecretOf, Site, Trunk, seconds_of

CONTACT = re.compile(r"sip:[A-Za-z0-9][A-Za-z0-9.-]{0,253}(:[0-9]{1,5})?")
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_-][A-Za-z0-9_.-]{0,252})(:[0-9]{1,5})?")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}")
REASON = re.compile(r"[a-z][a-z0-9_]{0,31}")
OURS = {"missed", "rejected", "busy", "link", "removed"}  # what the server says itself
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
SPOKEN_HERE = {"ace", "ban", "bjn", "bug", "jv", "mad", "min", "su"}  # Indonesia's, which the system does not list
LANGUAGES = {re.split("[_.@]", name)[0] for name in locale.locale_alias.values()} | SPOKEN_HERE  # ISO 639


def faults(config: Config) -> list[tuple[str, str]]:
    """(section.key, what is wrong) of each."""
    found: list[tuple[str, str]] = []

    def check(key: str, ok: bool, text: str) -> None:
        if not ok:
            found.append((key, text))

    for name in ("http", "sip", "ami", "agi"):
        section = getattr(config, name)
        check(f"{name}.host", _is_address(section.host), f"{section.host!r} is no IP address, as 127.0.0.1")
        ours = name == "http" or ":" not in section.host  # Asterisk writes the others into its files and addresses
        check(f"{name}.host", ours, f"{section.host!r}: only IPv4 addresses, as 127.0.0.1, work here")
        check(f"{name}.port", 1 <= section.port <= 65535, f"{section.port} is no port (1 to 65535)")
    for one in config.http.trusted_proxies:
        check("http.trusted_proxies", _is_network(one), f"{one!r} is no IP address or network")
    for name in ("first", "last"):
        check(f"rtp.{name}", 1024 <= getattr(config.rtp, name) <= 65535, "is no port (1024 to 65535)")
    check("rtp.timeout", 0 <= config.rtp.timeout <= 3600, "must be 0 to 3600 seconds")
    check("rtp.last", config.rtp.last - config.rtp.first >= 3, "must be at least first + 3")
    for one in config.agi.allow:
        check("agi.allow", _is_network(one), f"{one!r} is no IP address or network, as 192.0.2.10")
    check("agi.fallback_after", 1 <= config.agi.fallback_after <= 3600, "is 1 to 3600 seconds")
    check("ami.username", _is(NAME, config.ami.username), "letters, digits, _ . - (1 to 40)")
    secret = config.ami.secret
    check("ami.secret", not secret or _is(SECRET, secret), "12 to 128 letters and digits")
    check("tts.command", _is_command(config.tts.command), "its quotes are not closed, or it holds a control character")
    _check_reasons(config.agents, check)
    _check_site(config.site, check)
    _check_trunks(config.sip.trunks, check)
    _check_outside(config, check)
    return found


def _check_outside(config: Config, check: Callable[[str, bool, str], None]) -> None:
    """What flows may ask of others. No text of a secret is in what is said."""
    for one in config.outside.allow:
        good = _is_network(one) or _is(HOST, one)
        check("outside.allow", good, f"{one!r} is no host, host:port, IP address or network")
    for name, value in config.secrets.items():
        check(f"secrets.{name}", _is(NAME, name), "name: letters, digits, _ . - (1 to 40)")
        check(f"secrets.{name}", bool(value) and value.isascii() and value.isprintable(), "one line of ASCII text")
    for name, hook in config.webhooks.items():
        check(f"webhooks.{name}", _is(NAME, name), "name: letters, digits, _ . - (1 to 40)")
        check(f"webhooks.{name}", _is_url(hook.url), "url: write https://HOST/PATH, without a user name")
        _check_headers(f"webhooks.{name}", hook.headers, config.secrets, check)
    payment = config.payment
    check("payment.url", not payment.url or _is_url(payment.url), "write https://HOST/PATH, without a user name")
    secure = not payment.url.startswith("http:") or _is_here(payment.url)
    check("payment.url", secure, "card numbers go over https only (http: to this machine, for tests)")
    check("payment.timeout", 1 <= payment.timeout <= 60, "is 1 to 60 seconds")
    _check_headers("payment.headers", payment.headers, config.secrets, check)


def _check_headers(
    key: str, headers: Mapping[str, str | SecretOf], secrets: Mapping[str, str], check: Callable[[str, bool, str], None]
) -> None:
    for name, value in headers.items():
        check(key, _is(HEADER, name), f"{name!r} is no name of a header")
        if isinstance(value, SecretOf):
            known = value.secret.lower() in secrets
            check(key, known, f"header {name}: there is no {value.secret!r} under [secrets]")
        else:
            check(key, value.isascii() and value.isprintable(), f"header {name}: one line of ASCII text")


def _is_url(text: str) -> bool:
    try:
        url = urllib.parse.urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and "@" not in url.netloc and url.port != 0
    except ValueError:
        return False


def _is_here(text: str) -> bool:
    """A URL of this machine, by its address: a name may lead anywhere."""
    try:
        return ipaddress.ip_address(urllib.parse.urlsplit(text).hostname or "").is_loopback
    except ValueError:
        return False


def _is_command(text: str) -> bool:
    try:
        return text.isprintable() and bool(shlex.split(text)) == bool(text)
    except ValueError:
        return False


def _check_reasons(agents: Agents, check: Callable[[str, bool, str], None]) -> None:
    for reason, limit in agents.reasons.items():
        key, name = "agents.reasons", repr(reason)
        check(key, _is(REASON, reason), f"{name}: small letters, digits and _ (1 to 32), a letter first")
        check(key, reason not in OURS, f"{name}: the server says this itself when it happened; choose another name")
        check(key, seconds_of(limit) is not None, f"{name}: {limit!r} is no time, as 15m, 90s or 1h30m (0: no limit)")
    check("agents.reasons", len(agents.reasons) <= 30, "are more than 30; nobody reads such a list")


def _check_site(site: Site, check: Callable[[str, bool, str], None]) -> None:
    check("site.name", bool(site.name) and site.name.isprintable(), "one line of text")
    country = site.country in phonenumbers.SUPPORTED_REGIONS
    check("site.country", country, f"{site.country!r} is no country with numbers: two capital letters, as ID")
    check("site.time_zone", _is_zone(site.time_zone), f"{site.time_zone!r} is no time zone, as Asia/Jakarta")
    languages = bool(site.languages) and all(_is(LANGUAGE, one) for one in site.languages)
    check("site.languages", languages, 'a list as ["en", "zh", "id"]')
    for one in filter(LANGUAGE.fullmatch, site.languages):
        check("site.languages", one.split("-")[0] in LANGUAGES, f"{one!r} is no language that is known, as en, zh, id")


def _check_trunks(trunks: tuple[Trunk, ...], check: Callable[[str, bool, str], None]) -> None:
    for t in trunks:
        key = "sip.trunks"
        check(key, _is(NAME, t.name), f"name {t.name!r}: letters, digits, _ . - (1 to 40)")
        check(key, bool(t.match), f"{t.name}: match is empty")
        for one in t.match:
            check(key, _is_network(one), f"{t.name}: match {one!r} is no IP address or network")
        contact = not t.contact or _is(CONTACT, t.contact)
        check(key, contact, f"{t.name}: contact {t.contact!r}: write sip:HOST:PORT")
    names = [t.name.lower() for t in trunks]
    check("sip.trunks", len(names) == len(set(names)), "two trunks have the same name")


def _is(pattern: re.Pattern[str], value: str) -> bool:
    return pattern.fullmatch(value) is not None


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def _is_network(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return "%" not in value


def _is_zone(value: str) -> bool:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
