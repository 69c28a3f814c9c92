"""The schema: `migrations/NNNN_name.sql`, plain SQL, forward only, each applied once in its own transaction.

What was applied is recorded with its checksum; a file that changed afterwards is refused, and so is a
database that is newer than this program. An advisory lock lets one migration run at a time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from cti.adapters.postgres_db import AWAY, connect, unavailable
from cti.errors import BadInput, CtiError

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
MIGRATE_SECONDS = 600.0

OWN_TABLE = """
CREATE SCHEMA IF NOT EXISTS crm;
CREATE TABLE IF NOT EXISTS crm.migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON SCHEMA crm IS 'Everything cti keeps.';
COMMENT ON TABLE  crm.migrations IS 'Which files of migrations/ this database has seen.';
COMMENT ON COLUMN crm.migrations.version IS 'Number of the file.';
COMMENT ON COLUMN crm.migrations.name IS 'Name of the file.';
COMMENT ON COLUMN crm.migrations.sha256 IS 'Of the file when it was applied.';
COMMENT ON COLUMN crm.migrations.applied_at IS 'When.';
"""


class Migration(msgspec.Struct, frozen=True):
    version: int
    name: str
    text: str
    sha256: str


class Status(msgspec.Struct, frozen=True):
    """One file: applied (at, ISO-8601) or pending (None)."""

    version: int
    name: str
    applied_at: str | None


def read_folder(folder: Path = FOLDER) -> list[Migration]:
    """The files in order. Raises BadInput when a number is missing or doubled."""
    found = [_read(path) for path in sorted(folder.glob("[0-9]*.sql"))]
    numbers = [m.version for m in found]
    if not found or numbers != list(range(1, len(found) + 1)):
        raise BadInput(f"{folder}: files must be numbered 0001, 0002, ...; found {numbers}", "bad_migrations")
    return found


def _read(path: Path) -> Migration:
    body = path.read_bytes()
    return Migration(int(path.name.split("_")[0]), path.name, body.decode(), hashlib.sha256(body).hexdigest())


async def migrate(dsn: str, folder: Path = FOLDER) -> list[str]:
    """Applies what is pending and returns the names. Raises BadInput (changed file, newer database),
    Unavailable."""
    files = read_folder(folder)
    link = await connect(dsn, MIGRATE_SECONDS)
    try:
        await link.execute("SELECT pg_advisory_lock(hashtext('crm.migrate'))")
        await link.execute(OWN_TABLE)
        pending = files[_applied(files, await _recorded(link)) :]
        for file in pending:
            await _apply(link, file)
        return [file.name for file in pending]
    except AWAY as e:
        raise unavailable(e) from e
    finally:
        await link.close()


async def status(dsn: str, folder: Path = FOLDER) -> list[Status]:
    """Every file and when it was applied. Raises like `migrate`, changes nothing."""
    files = read_folder(folder)
    link = await connect(dsn)
    try:
        exists = await link.fetchval("SELECT to_regclass('crm.migrations') IS NOT NULL")
        rows = await _recorded(link) if exists else []
    except AWAY as e:
        raise unavailable(e) from e
    finally:
        await link.close()
    _applied(files, rows)
    times: dict[int, str] = {row["version"]: row["applied_at"].isoformat() for row in rows}
    return [Status(file.version, file.name, times.get(file.version)) for file in files]


async def _recorded(link: Any) -> list[Any]:
    rows: list[Any] = await link.fetch("SELECT * FROM crm.migrations ORDER BY version")
    return rows


def _applied(files: list[Migration], rows: list[Any]) -> int:
    """How many of the files are applied, having checked that they are still the same."""
    if len(rows) > len(files):
        raise BadInput(f"the database is at {rows[-1]['name']}, newer than this program: update cti", "newer_database")
    for file, row in zip(files, rows, strict=False):
        if file.sha256 != row["sha256"]:
            raise BadInput(
                f"{file.name} was changed after it was applied: restore it and add a new file instead",
                "changed_migration",
            )
    return len(rows)


async def _apply(link: Any, file: Migration) -> None:
    try:
        async with link.transaction():
            await link.execute(file.text)
            await link.execute(
                "INSERT INTO crm.migrations (version, name, sha256) VALUES ($1, $2, $3)",
                file.version, file.name, file.sha256,
            )  # fmt: skip
    except AWAY[:6] as e:
        raise unavailable(e) from e
    except asyncpg.PostgresError as e:
        raise CtiError(f"{file.name}: {e}", "migration_failed") from e
