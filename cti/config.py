"""One frozen config: defaults < `cti.toml` < `CTI_<SECTION>__<KEY>`. Every problem is reported at once.

The file is the one given, else `cti.toml` in the home (`CTI_HOME`, else `.cti`). Relative paths start at
its folder. `postgres.dsn` and `redis.url` left empty mean the private ones of the home (`cti up`).
"""

from __future__ import annotations

import contextlib
import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cti.config_faults import faults
from cti.errors import BadInput
from cti.sections import (
    NAME,
    OPEN,
    PROJECT,
    SECRET,
    SECTIONS,
    Config,
    Http,
    Paths,
    Payment,
    Postgres,
    Redis,
    SecretOf,
    Sip,
    Trunk,
    Webhook,
)  # fmt: skip

__all__ = [
    "NAME", "PROJECT", "SECRET", "Config", "ConfigError", "Http", "Payment", "Postgres", "SecretOf", "Sip",
    "Trunk", "Webhook", "home_of", "load", "load_with_origins", "private_dsn", "private_redis", "shown",
]  # fmt: skip
TRUNKS = '[{"name": "carrier", "match": ["192.0.2.10"], "contact": "sip:192.0.2.10:5060"}]'
SECRET_KEYS = {"ami.secret", "postgres.dsn", "postgres.lookup_dsn", "redis.url"}
MASK = "********"
REASONS = dict[str, str | int]


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
    values: dict[str, dict[str, Any]] = {name: {} for name in (*SECTIONS, *OPEN)}
    origins = {f"{s}.{f.name}": "default" for s, t in SECTIONS.items() for f in msgspec.structs.fields(t)}
    rows = _from_file(file, path is not None, problems) + _from_environ(environ)
    for key, value, origin, strict in rows:
        _take(key, value, origin, strict, values, origins, problems)
    config = _with_home(values, file)
    problems += [f"{origins.get(key, key)}: {key}: {text}" for key, text in faults(config)]
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
    section = key.partition(".")[0]
    if key == "ami.secret" or section == "secrets":
        return MASK if value else ""
    if key in SECRET_KEYS:
        value = re.sub(r"(password=)[^&\s]+", rf"\1{MASK}", value)
        return re.sub(r"(://[^:/@]*:)[^@]+@", rf"\1{MASK}@", value)
    if section == "webhooks":  # whoever knows the path of some may send
        url = re.sub(r"(://[^/?#]*).+", rf"\1/{MASK}", value["url"])
        return {**value, "url": url, "headers": _masked_headers(value["headers"])}
    return _masked_headers(value) if key == "payment.headers" else value


def _masked_headers(headers: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, dict) else MASK for name, value in headers.items()}


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
            if not table and section not in (*SECTIONS, *OPEN):
                problems.append(f"{file}: [{section}]: unknown section{_meant(section, (*SECTIONS, *OPEN))}")
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
    if section not in (*SECTIONS, *OPEN):
        problems.append(f"{origin}: [{section}]: unknown section{_meant(section, (*SECTIONS, *OPEN))}")
        return
    if section in OPEN:  # of names of one's own; the case of their letters does not count, variables have none
        key, name = key.lower(), name.lower()
        fields: dict[str, Any] = {name: OPEN[section]}
    else:
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
    elif not strict and (kind is Webhook or getattr(kind, "__origin__", None) is dict):
        value = _map(value, kind)
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


def _map(text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        example = '{"break": "15m"}' if kind == REASONS else '{"Authorization": {"secret": "NAME"}}'
        form = '{"url": "https://..."}' if kind is Webhook else example
        raise msgspec.ValidationError(f"in a variable this is JSON, as {form}") from None


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value and not re.search(r"[\x00-\x1f\x7f]", value):
        with contextlib.suppress(RuntimeError):  # nobody's `~`
            return Path(value).expanduser()
    raise msgspec.ValidationError("expected a path")


def _meant(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known) or 'none'}"


def _with_home(values: dict[str, dict[str, Any]], file: Path) -> Config:
    sections: dict[str, Any] = {n: SECTIONS[n](**given) if n in SECTIONS else given for n, given in values.items()}
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
        postgres=config.postgres if config.postgres.dsn else _private(config.postgres, home),
        redis=config.redis if config.redis.url else Redis(url=private_redis(home)),
        asterisk=msgspec.structs.replace(config.asterisk, config_dir=folder),
    )


def run_dir(home: Path) -> Path:
    """The folder of the home's sockets: `HOME/run` links to a short path (the limit is 107 bytes)."""
    link = home / "run"
    return link.readlink() if link.is_symlink() else link


def _private(postgres: Postgres, home: Path) -> Postgres:
    return msgspec.structs.replace(postgres, dsn=private_dsn(home))


def private_dsn(home: Path) -> str:
    return f"postgresql://cti@/cti?host={run_dir(home)}"


def private_redis(home: Path) -> str:
    return f"unix://{run_dir(home)}/redis.sock"
