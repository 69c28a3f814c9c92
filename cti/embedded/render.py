"""The generated Asterisk files: templates, and the one gate every value passes on its way into a file."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from cti.config import NAME, PROJECT, SECRET, Config, Trunk
from cti.embedded.account import Account, acting_as, owner_of
from cti.errors import BadInput

TEMPLATES = (PROJECT / "asterisk-conf", PROJECT / "dialplan")
SAFE = re.compile(r"[\w./:@+~= -]*")


@dataclass(frozen=True)
class Station:
    """A phone of ours: registers as `number` with `secret`."""

    number: str
    secret: str


def conf(value: Any) -> str:
    """A value as it may stand in an Asterisk file. BadInput for anything that could mean more than itself."""
    text = str(value)
    if not SAFE.fullmatch(text) or "\n" in text or text != text.strip():
        raise BadInput(f"{text!r} may not stand in an Asterisk file: letters, digits and ._/:@+~=- only")
    return text


ENVIRONMENT = jinja2.Environment(  # noqa: S701  (no HTML here; `finalize` is the gate)
    loader=jinja2.FileSystemLoader(TEMPLATES),
    undefined=jinja2.StrictUndefined,
    finalize=conf,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
FILES = (
    "asterisk.conf", "logger.conf", "modules.conf", "manager.conf", "pjsip.conf", "rtp.conf",
    "musiconhold.conf", "cel.conf", "cel_custom.conf", "cdr.conf", "codecs.conf", "features.conf",
    "indications.conf", "extensions.conf",
)  # fmt: skip
EMPTY = ("acl.conf", "udptl.conf", "pjproject.conf", "ccss.conf", "http.conf", "sorcery.conf")
SECRET_FILES = {"manager.conf", "pjsip_stations.conf", "asterisk.conf", "systemname"}


@dataclass(frozen=True)
class Tree:
    """Where an Asterisk's own files are: an extracted tree, or the system's."""

    modules: Path
    data: Path
    sounds: Path
    music: Path
    version: tuple[int, ...]


def write_all(config: Config, tree: Tree, account: Account, music: Sequence[tuple[str, Path]] = ()) -> str:
    """Render every file but the stations'; `music`: classes and their folders. Returns the new random system name, also
    kept in `systemname`."""
    name = "cti" + secrets.token_hex(8)
    values = _values(config, tree, name) | {"music": music}
    target = etc_dir(config)
    done = {file: ENVIRONMENT.get_template(f"{file}.j2").render(values) for file in FILES}
    done |= dict.fromkeys(EMPTY, "; empty on purpose: silences a warning\n")
    done["systemname"] = name
    for file, text in done.items():
        write_atomic(target / file, text, account, secret=file in SECRET_FILES)
    if not (target / "pjsip_stations.conf").exists():
        write_stations(target, [], account)
    return name


def write_stations(config_dir: Path, stations: Sequence[Station], account: Account | None = None) -> None:
    """Replace the stations' file; `asterisk.reload_pjsip` makes it count. BadInput: nothing was written."""
    for s in stations:
        if not NAME.fullmatch(s.number) or not SECRET.fullmatch(s.secret):
            raise BadInput(f"station {s.number!r}: number or secret has characters that are not allowed")
    text = ENVIRONMENT.get_template("pjsip_stations.conf.j2").render(stations=stations)
    folder = _unlinked(config_dir)
    write_atomic(folder / "pjsip_stations.conf", text, account or owner_of(folder), secret=True)


def write_atomic(path: Path, text: str, account: Account, secret: bool) -> None:
    """All or nothing, also when killed half way; with the rights of `account`. A secret is readable by it alone."""
    with acting_as(account):
        _write_atomic(path, text, secret)


def _write_atomic(path: Path, text: str, secret: bool) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _values(config: Config, tree: Tree, name: str) -> dict[str, Any]:
    paths = config.paths
    folder = etc_dir(config)
    return {
        "config": config,
        "tree": tree,
        "advanced_filters": tree.version >= (20, 11),
        "systemname": name,
        "etc": folder,
        "var": folder.parent,
        "agi": agi_dir(config),
        "run": (paths.home / "run").resolve(),
        "logs": paths.logs.resolve() / "asterisk",
        "identify": "username,ip" if overlaps(config.sip.trunks, config.sip.host) else "ip,username",
        "media_address": own_address(config.sip.host),
        "trunks": config.sip.trunks,
        "agi_host": config.agi.host,
        "agi_port": config.agi.port,
        "fallback_after": config.agi.fallback_after,
        "recordings_dir": paths.recordings.resolve(),
        "sounds_dir": paths.sounds.resolve(),
        "fallback_script": agi_dir(config) / "fallback.py",
    }


def agi_dir(config: Config) -> Path:
    """The scripts Asterisk runs; not in a folder that its account may write."""
    return etc_dir(config).parent.parent / "agi"


def etc_dir(config: Config) -> Path:
    """The folder of the generated files."""
    return _unlinked(config.asterisk.config_dir)


def _unlinked(folder: Path) -> Path:
    """Links above it are ours and followed; it stands in a folder of the account, which may have made it one."""
    return folder.parent.resolve() / folder.name


def overlaps(trunks: Sequence[Trunk], host: str) -> bool:
    """Can a station of ours call from an address that a trunk matches? (Then its name must count first.)"""
    networks = [ipaddress.ip_network(one, strict=False) for t in trunks for one in t.match]
    ours = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address(own_address(host))]
    lan = any(n.is_private and n.num_addresses > 1 for n in networks)
    return lan or any(a in n for a in ours for n in networks if n.version == a.version)


def own_address(host: str) -> str:
    """The address to write into SDP. Asterisk must not look up its host name for it."""
    if host != "0.0.0.0":  # noqa: S104
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; asks the routing table
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
