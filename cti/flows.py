"""Which version of the flows folder is live, and how a changed folder becomes one: whole, or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from cti.adapters import flow_files
from cti.adapters.flow_files import Sources
from cti.adapters.postgres import Store
from cti.config import Config
from cti.core.ivr import Book
from cti.errors import BadInput, Unavailable

AGAIN = 5.0  # s until an edit that the database could not keep is tried again
log = logging.getLogger(__name__)


class LiveFlows:
    """`publish(book)` makes a version the one for new calls. An invalid edit leaves the live version serving."""

    def __init__(self, config: Config, store: Store, publish: Callable[[Book], None]) -> None:
        self._folder = config.paths.flows
        self._auto = config.flows.auto_publish
        self._country = config.site.country
        self._store = store
        self._publish = publish
        self._files: dict[str, str] = {}  # of the live version
        self._digest = ""
        self._version = 0

    async def start(self, in_use: Collection[int]) -> None:
        """The versions that running calls began with, the live one, then the folder if it may publish itself.

        Raises BadInput when there is nothing to answer calls with, so that it is said at once."""
        live = await self._store.live_flows()
        for version in sorted(set(in_use) - ({live[0]} if live else set())):
            files = await self._store.load_flows(version)
            if files is not None:
                self._revive(version, files)
        if live is not None:
            self._revive(*live)
        if self._auto or live is None:
            await self._changed(await asyncio.to_thread(flow_files.read_folder, self._folder))
        if not self._version:
            sources = await asyncio.to_thread(flow_files.read_folder, self._folder)
            _, problems = flow_files.load(sources, country=self._country)
            why = f"{self._folder}/{problems[0]}" if problems else "they could not be kept in the database"
            raise BadInput(f"no flows to answer calls with: {why}; `cti flow check` tells every problem")

    async def watch(self) -> None:
        """Publish every valid change of the folder, where that is wanted; until cancelled."""
        if self._auto:
            await flow_files.watch(self._folder, self._until_kept, live=self._digest)

    async def _until_kept(self, sources: Sources) -> None:
        """An edit made while the database is away is not lost: `_changed` leaves no digest then."""
        await self._changed(sources)
        while not self._digest:
            await asyncio.sleep(AGAIN)
            await self._changed(await asyncio.to_thread(flow_files.read_folder, self._folder))

    def _revive(self, version: int, files: dict[str, str]) -> None:
        book, problems = flow_files.load(Sources(files=files), version=version, country=self._country)
        if book is None:
            log.error("flows version %d cannot be loaded any more: %s", version, problems[0])
            return
        self._live(book, files)

    def _live(self, book: Book, files: dict[str, str]) -> None:
        self._version, self._files = book.version, dict(files)
        self._publish(book)

    async def _changed(self, sources: Sources) -> None:
        self._digest = sources.digest
        if sources.files == self._files:
            return
        book, problems = await asyncio.to_thread(flow_files.load, sources, country=self._country)
        for problem in problems:
            log.error("flows not published: %s", problem)
        if book is None:
            return
        try:
            version = await self._store.save_flows(sources.files, "auto", "files changed")
        except Unavailable as error:
            log.error("flows not published: %s", error)
            self._digest = ""
            return
        book, _ = await asyncio.to_thread(flow_files.load, sources, version=version, country=self._country)
        if book is not None:
            self._live(book, sources.files)
            log.info("flows version %d is live for new calls", version)
