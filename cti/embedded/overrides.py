"""The `CTI_<SECTION>__<KEY>` variables of the `cti up` that runs a home, for the verbs of another terminal.

HOME/pids/overrides.json, 0600 because a setting may be a secret. It counts while that `cti up` runs, and while a
part runs that a killed one left; a stop removes it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from cti.embedded.supervisor import ORDER, Mark, mark_of, running_pid


class Overrides(msgspec.Struct, frozen=True):
    up: Mark
    variables: dict[str, str]


@contextlib.contextmanager
def kept(home: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Remember the overrides in `environ` as those of this process, until the end."""
    file = _file(home)
    up = mark_of(os.getpid())
    assert up is not None
    _write(file, msgspec.json.encode(Overrides(up, overriding(environ))))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def remembered(home: Path) -> dict[str, str]:
    """Those of the home's running `cti up`; none when nothing of it runs, or its settings are not ours to read."""
    try:
        found = msgspec.json.decode(_file(home).read_bytes(), type=Overrides)
    except (OSError, msgspec.MsgspecError):
        return {}
    return found.variables if mark_of(found.up.pid) == found.up or any_part(home) else {}


def overriding(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith("CTI_") and "__" in name}


def any_part(home: Path) -> bool:
    return any(running_pid(home / "pids", name) for name in ORDER)


def _file(home: Path) -> Path:
    return home / "pids/overrides.json"


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all, and never readable by others."""
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
    fresh.replace(file)
