"""One frozen config: defaults < `cti.toml` < `CTI_<SECTION>__<KEY>`. Every problem is reported at once.

The file is the one given, else `cti.toml` in the home (`CTI_HOME`, else `.cti`). Relative paths start at
its folder. `postgres.dsn` and `redis.url` left empty mean the private ones of the home (`cti up`).

Values that end in generated Asterisk files are checked here: addresses are IP addresses, names plain words.
"""

from __future__ import annotations

import contextlib
import difflib
import hmac
import ipaddress
import locale
import re
import tomllib
import zoneinfo
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import phonenumbers

from cti.errors import BadInput

NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
SECRET = re.compile(r"[A-Za-z0-9_.~+/=-]{12,128}")
CONTACT = re.compile(r"sip:[A-Za-z0-9][A-Za-z0-9.-]{0,253}(:[0-9]{1,5})?")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
TRUNKS = '[{"name": "carrier", "match": ["192.0.2.10"], "contact": "sip:192.0.2.10:5060"}]'
SPOKEN_HERE = {"ace", "ban", "bjn", "bug", "jv", "mad", "min", "su"}  # Indonesia's, which the system does not list
LANGUAGES = {re.split("[_.@]", name)[0] for name in locale.locale_alias.values()} | SPOKEN_HERE  # ISO 639
SECRET_KEYS = {"ami.secret", "postgres.dsn", "redis.url"}
PROJECT = Path(__file__).resolve().parent.parent


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Trunk(Section, frozen=True, kw_only=True):
    """A line to the outside. `match`: addresses it calls from; `contact`: `sip:HOST:PORT` for calls out."""

    name: str
    match: tuple[str, ...]
    contact: str = ""
    codecs: tuple[Literal["alaw", "ulaw", "opus"], ...] = ("alaw", "ulaw", "opus")


class Http(Section, frozen=True, kw_only=True):
    """`trusted_proxies`: addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    host: str = "127.0.0.1"
    port: int = 8080
    trusted_proxies: tuple[str, ...] = ()


class Sip(Section, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 5060
    trunks: tuple[Trunk, ...] = ()


class Rtp(Section, frozen=True, kw_only=True):
    """UDP ports for sound, both included. `timeout`: a call is ended from whose far end nothing came for so many
    seconds (on hold ten times as long); 0: never."""

    first: int = 20000
    last: int = 21999
    timeout: int = 120


class Ami(Section, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 5038
    username: str = "cti"
    secret: str = ""


class Agi(Section, frozen=True, kw_only=True):
    """`fallback_after`: seconds a caller hears music while no server answers, before he may leave a message.

    `allow`: addresses or networks, besides this machine, whose Asterisk may hand callers over. There is no password."""

    host: str = "127.0.0.1"
    port: int = 4573
    allow: tuple[str, ...] = ()
    fallback_after: int = 60


class Postgres(Section, frozen=True, kw_only=True):
    dsn: str = ""


class Redis(Section, frozen=True, kw_only=True):
    url: str = ""


class Paths(Section, frozen=True, kw_only=True):
    home: Path = Path(".cti")
    flows: Path = PROJECT / "ivr_flows"
    recordings: Path = Path("recordings")
    sounds: Path = Path("sounds")
    logs: Path = Path("logs")
    journal: Path = Path("journal")


class Site(Section, frozen=True, kw_only=True):
    """`country`: default region of numbers (ISO 3166 alpha-2); `languages`: of the prompts, default first."""

    name: str = "CTI"
    country: str = "ID"
    time_zone: str = "Asia/Jakarta"
    languages: tuple[str, ...] = ("en", "zh", "id")


class Compliance(Section, frozen=True, kw_only=True):
    """No key yet: the outbound rules come with the dialer."""


class Recording(Section, frozen=True, kw_only=True):
    """No key yet: which calls are recorded stands in queues.yaml."""


class Flows(Section, frozen=True, kw_only=True):
    """`auto_publish`: publish changed flow files at start and on save."""

    auto_publish: bool = False


class Asterisk(Section, frozen=True, kw_only=True):
    """`binary`: your own Asterisk (20 or newer); `root`: an extracted tree. Empty: what `make setup` fetched.

    `config_dir`: the folder of its generated files; holds `asterisk.conf`.
    """

    binary: str = ""
    root: str = ""
    config_dir: Path = Path("asterisk/etc")


class Config(Section, frozen=True, kw_only=True):
    http: Http = Http()
    sip: Sip = Sip()
    rtp: Rtp = Rtp()
    ami: Ami = Ami()
    agi: Agi = Agi()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    paths: Paths = Paths()
    site: Site = Site()
    compliance: Compliance = Compliance()
    recording: Recording = Recording()
    flows: Flows = Flows()
    asterisk: Asterisk = Asterisk()

    @property
    def status_key(self) -> str:
        """What `cti status` shows the server to read its live state: only who can read the secrets has it."""
        if not self.ami.secret:
            return ""
        return hmac.new(self.ami.secret.encode(), b"cti status", "sha256").hexdigest()


SECTIONS: dict[str, type[Section]] = {f.name: f.type for f in msgspec.structs.fields(Config)}


class ConfigError(BadInput):
    """`problems`: one line each, with the file or variable and the key."""

    code = "bad_config"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Raises ConfigError with every problem at once."""
    return load_with_origins(path, environ)[0]


def load_with_origins(path: Path | None, environ: Mapping[str, str]) -> tuple[Config, dict[str, str]]:
    """The config, and for each `section.key` where its value came from: "default", a file or a variable."""
    file = path or home_of(environ) / "cti.toml"
    problems: list[str] = []
    values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    origins = {f"{s}.{f.name}": "default" for s, t in SECTIONS.items() for f in msgspec.structs.fields(t)}
    rows = _from_file(file, path is not None, problems) + _from_environ(environ)
    for key, value, origin, strict in rows:
        _take(key, value, origin, strict, values, origins, problems)
    config = _with_home(values, file)
    problems += [f"{origins.get(key, key)}: {key}: {text}" for key, text in _faults(config)]
    if problems:
        raise ConfigError(problems)
    return config, origins


def home_of(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("CTI_HOME") or ".cti").absolute()


def shown(config: Config, origins: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    """Rows (key, value, origin) for people: secrets masked."""
    data = msgspec.to_builtins(config, enc_hook=str)
    rows = [(f"{s}.{k}", v) for s, section in data.items() for k, v in section.items()]
    return [(key, _masked(key, value), origins.get(key, "default")) for key, value in rows]


def _masked(key: str, value: Any) -> Any:
    if key == "ami.secret":
        return "********" if value else ""
    if key in SECRET_KEYS:
        value = re.sub(r"(password=)[^&\s]+", r"\1********", value)
        return re.sub(r"(://[^:/@]*:)[^@]+@", r"\1********@", value)
    return value


def _from_file(file: Path, required: bool, problems: list[str]) -> list[tuple[str, Any, str, bool]]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            problems.append(f"{file}: no such file; `cti up` makes one, or give --config FILE")
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        problems.append(f"{file}: {e}")
        return []
    rows: list[tuple[str, Any, str, bool]] = []
    for section, table in tables.items():
        if isinstance(table, dict):
            rows += [(f"{section}.{key}", value, str(file), True) for key, value in table.items()]
            if not table and section not in SECTIONS:
                problems.append(f"{file}: [{section}]: unknown section{_meant(section, SECTIONS)}")
        else:
            problems.append(f"{file}: {section}: a setting belongs into a section, as [http] port")
    return rows


def _from_environ(environ: Mapping[str, str]) -> list[tuple[str, Any, str, bool]]:
    names = sorted(name for name in environ if name.startswith("CTI_") and "__" in name)
    return [(n[4:].lower().replace("__", ".", 1), environ[n], n, False) for n in names]


def _take(
    key: str,
    value: Any,
    origin: str,
    strict: bool,
    values: dict[str, dict[str, Any]],
    origins: dict[str, str],
    problems: list[str],
) -> None:
    section, _, name = key.partition(".")
    if section not in SECTIONS:
        problems.append(f"{origin}: [{section}]: unknown section{_meant(section, SECTIONS)}")
        return
    fields = {f.name: f.type for f in msgspec.structs.fields(SECTIONS[section])}
    if name not in fields:
        problems.append(f"{origin}: {key}: unknown key{_meant(name, fields)}")
        return
    try:
        values[section][name] = _converted(value, fields[name], strict)
        origins[key] = origin
    except (msgspec.ValidationError, msgspec.DecodeError) as e:
        problems.append(f"{origin}: {key}: {str(e)[:1].lower()}{str(e)[1:]}")


def _converted(value: Any, kind: Any, strict: bool) -> Any:
    if not strict and isinstance(value, str) and getattr(kind, "__origin__", None) is tuple:
        value = _list(value.strip(), kind.__args__[0])
    return msgspec.convert(value, kind, strict=strict, dec_hook=_path)


def _list(text: str, kind: Any) -> Any:
    """A list that stands in a variable: JSON; one of plain words also as `a, b`."""
    if kind is not Trunk and not text.startswith("["):
        return [v.strip() for v in text.split(",")]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        form = f"in a variable this list is JSON, as {TRUNKS}" if kind is Trunk else 'write a, b or ["a", "b"]'
        raise msgspec.ValidationError(form) from None


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value and not re.search(r"[\x00-\x1f\x7f]", value):
        with contextlib.suppress(RuntimeError):  # nobody's `~`
            return Path(value).expanduser()
    raise msgspec.ValidationError("expected a path")


def _meant(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known) or 'none'}"


def _with_home(values: dict[str, dict[str, Any]], file: Path) -> Config:
    sections: dict[str, Any] = {name: SECTIONS[name](**given) for name, given in values.items()}
    config = Config(**sections)
    base = file.absolute().parent
    home = base / values["paths"].get("home", base)
    given = {k: base / v for k, v in values["paths"].items()}
    paths = {f.name: given.get(f.name, home / f.default) for f in msgspec.structs.fields(Paths)}
    chosen = values["asterisk"].get("config_dir")
    folder = base / chosen if chosen else home / "asterisk/etc"
    return msgspec.structs.replace(
        config,
        paths=Paths(**{**paths, "home": home}),
        postgres=config.postgres if config.postgres.dsn else Postgres(dsn=private_dsn(home)),
        redis=config.redis if config.redis.url else Redis(url=private_redis(home)),
        asterisk=msgspec.structs.replace(config.asterisk, config_dir=folder),
    )


def run_dir(home: Path) -> Path:
    """The folder of the home's sockets: `HOME/run` links to a short path (the limit is 107 bytes)."""
    link = home / "run"
    return link.readlink() if link.is_symlink() else link


def private_dsn(home: Path) -> str:
    return f"postgresql://cti@/cti?host={run_dir(home)}"


def private_redis(home: Path) -> str:
    return f"unix://{run_dir(home)}/redis.sock"


# ---------------------------------------------------------------- faults of single values


def _faults(config: Config) -> list[tuple[str, str]]:
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
    _check_site(config.site, check)
    _check_trunks(config.sip.trunks, check)
    return found


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
