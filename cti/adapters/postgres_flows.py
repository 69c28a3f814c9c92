"""Versions of the flows folder in the database: which is live, which has a share, and how that changes.

At most one version is live and at most one other, the canary, serves `share` percent of the new callers. Every change
is one transaction, audited, behind one lock: two who publish at the same time do so one after the other. Running
servers are told by NOTIFY crm_flows. Methods raise `Unavailable` when PostgreSQL does not answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cti.adapters.postgres_db import QUERIES, Database, Row, plain
from cti.core.storable import storable
from cti.errors import BadInput, Refused

HISTORY = 100  # versions told


class FlowStore:
    """The part of the store that keeps versions."""

    db: Database

    async def serving_flows(self) -> tuple[Row | None, Row | None]:
        """The live version and the canary, each with version, share (100: live), published_at, published_by, note."""
        async with self.db.link() as link:
            live, canary = await _serving(link)
        return _told(live), _told(canary)

    async def publish_flows(
        self, files: dict[str, str], by: str, note: str = "", share: int | None = 100, actor: str = ""
    ) -> Row:
        """Keep the folder as the next version, for all new callers or `share` percent. Returns version and share.

        `share` None is a folder that publishes itself: it takes the share of a running canary, and files that were
        rolled back stay so. Raises Refused: `unchanged` (these files serve so already), `rolled_back`, `no_live`."""
        if share is not None and not 1 <= share <= 100:
            raise BadInput(f"a share is 1 to 100 percent, not {share}", "bad_share")
        files = storable(files)
        async with self._changing() as link:
            live, canary = await _serving(link)
            wanted = share if share is not None else canary["share"] if canary else 100
            version = await _same(link, files, live, canary, share)
            if version is None:
                _refuse_share(live, wanted)
                version = await link.fetchval(QUERIES["add_flows"], files, storable(by), storable(note))
            await _serve(link, version, wanted, withdrawn=False)
            detail = {"share": wanted, "note": note}
            await _audit(link, actor or by, "flows.published", version, detail)
        return {"version": version, "share": wanted}

    async def rollback_flows(self, version: int | None, by: str, actor: str = "") -> Row:
        """Make an earlier version live and end a canary. Without `version` the last publishing is undone: the canary
        goes, or if there is none the version that was live before comes back. Returns live and withdrawn.

        Raises BadInput (`no_version`) or Refused (`unchanged`, `no_earlier`)."""
        async with self._changing() as link:
            live, canary = await _serving(link)
            target = await _before(link, live, canary) if version is None else await _known(link, version)
            gone = [row["version"] for row in (live, canary) if row and row["version"] != target]
            if not gone:
                raise Refused(f"version {target} is live already", "unchanged")
            await link.execute(QUERIES["end_share"], True)
            if live is None or live["version"] != target:
                await link.execute(QUERIES["end_live"], True)
                await link.execute(QUERIES["make_live"], target)
            await _audit(link, actor or by, "flows.rolled_back", target, {"withdrawn": gone})
        return {"live": target, "withdrawn": gone}

    async def share_flows(self, version: int, percent: int, by: str, actor: str = "") -> Row:
        """Give a version so many percent of the new callers; 100 makes it live, 0 withdraws it.

        Raises BadInput (`no_version`, `bad_share`) or Refused (`unchanged`, `is_live`, `no_share`, `no_live`)."""
        if not 0 <= percent <= 100:
            raise BadInput(f"a share is 0 to 100 percent, not {percent}", "bad_share")
        async with self._changing() as link:
            live, canary = await _serving(link)
            await _known(link, version)
            _refuse_live(live, version, percent)
            _refuse_share(live, percent)
            if percent == (canary["share"] if canary and canary["version"] == version else 0):
                raise Refused(f"version {version} serves {percent} % of the new callers already", "unchanged")
            await _serve(link, version, percent, withdrawn=percent == 0)
            await _audit(link, actor or by, "flows.shared", version, {"share": percent})
        return {"version": version, "share": percent}

    async def load_flows(self, version: int) -> dict[str, str] | None:
        """The files of a version."""
        return await self.db.value("load_flows", version)  # type: ignore[no-any-return]

    async def flow_history(self, limit: int = HISTORY) -> list[Row]:
        """Versions, newest first, without their files: version, published_at, published_by, note, live, share,
        live_at, rolled_back_at, calls (that began in it)."""
        return list(plain(await self.db.rows("flow_history", limit)))

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[Any]:
        async with self.db.link() as link, link.transaction():
            await link.execute(QUERIES["lock_flows"])
            yield link


async def _serving(link: Any) -> tuple[Row | None, Row | None]:
    rows = [dict(row) for row in await link.fetch(QUERIES["serving_flows"])]
    live = next((row for row in rows if row["live"]), None)
    return live, next((row for row in rows if not row["live"]), None)


def _told(row: Row | None) -> Row | None:
    if row is None:
        return None
    about = {name: value for name, value in row.items() if name != "live"}
    return dict(plain({**about, "share": 100 if row["live"] else row["share"]}))


async def _same(
    link: Any, files: dict[str, str], live: Row | None, canary: Row | None, share: int | None
) -> int | None:
    """The canary when it has these files and is only to be given another share; None: a version is to be made."""
    row = await link.fetchrow(QUERIES["same_flows"], files)
    if row is None:
        return None
    version: int = row["version"]
    if live and version == live["version"]:
        raise Refused(f"nothing changed: version {version} has these files and is live", "unchanged")
    if canary and version == canary["version"]:
        if share in (None, canary["share"]):
            what = f"version {version} has these files and serves {canary['share']} % of the new callers"
            raise Refused(f"nothing changed: {what}", "unchanged")
        return version
    if share is None and row["rolled_back"]:
        what = f"version {version} had these files and was rolled back"
        raise Refused(f"{what}: they are not published again by themselves, `cti flow publish` does", "rolled_back")
    return None


async def _serve(link: Any, version: int, share: int, withdrawn: bool) -> None:
    """Whatever had a share has it no more: one canary at most, and none beside a version that became live later."""
    await link.execute(QUERIES["end_share"], withdrawn)
    if share == 100:
        await link.execute(QUERIES["end_live"], False)
        await link.execute(QUERIES["make_live"], version)
    elif share:
        await link.execute(QUERIES["give_share"], version, share)


async def _known(link: Any, version: int) -> int:
    if not 0 < version < 2**31 or await link.fetchval(QUERIES["is_flows"], version) is None:
        raise BadInput(f"there is no version {version}", "no_version")
    return version


async def _before(link: Any, live: Row | None, canary: Row | None) -> int:
    if live is not None and canary is not None:
        return int(live["version"])
    found = await link.fetchval(QUERIES["live_before"], live["version"] if live else 0)
    if found is None:
        raise Refused("there is no earlier version to go back to", "no_earlier")
    return int(found)


def _refuse_live(live: Row | None, version: int, percent: int) -> None:
    if live and live["version"] == version:
        if percent == 100:
            raise Refused(f"version {version} is live already", "unchanged")
        raise Refused(f"version {version} is the live one: roll back, or give a share to another one", "is_live")


def _refuse_share(live: Row | None, percent: int) -> None:
    if live is None and percent != 100:
        raise Refused("no version is live that could serve the other callers", "no_live")


async def _audit(link: Any, actor: str, action: str, version: int, detail: Row) -> None:
    await link.execute(QUERIES["audit"], storable(actor), action, str(version), storable(detail))
