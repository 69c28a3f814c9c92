"""Which version of the flows folder is live, and how a changed folder becomes one: whole, or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial

from cti.adapters import flow_files
from cti.adapters.flow_files import Sources
from cti.adapters.postgres import Store
from cti.config import Config
from cti.core.ivr import Book
from cti.errors import BadInput, Unavailable

AGAIN = 5.0  # s until what failed for no fault of the folder's is tried again
log = logging.getLogger(__name__)


class LiveFlows:
    """`publish(book)` makes a version the one for new calls. An invalid edit leaves the live version serving."""

    def __init__(self, config: Config, store: Store, publish: Callable[[Book], None]) -> None:
        self._folder = config.paths.flows
        self._auto = config.flows.auto_publish
        site = config.site
        self._load = partial(flow_files.load, country=site.country, zone=site.time_zone)
        self._store = store
        self._publish = publish
        self._book: Book | None = None  # the live version, and its texts
        self._files: dict[str, str] = {}
        self._digest = ""  # of the folder as it was looked at last
        self._again = False  # it could not be kept, and is to be looked at again

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
        if self._book is None:
            sources = await asyncio.to_thread(flow_files.read_folder, self._folder)
            book, problems = self._load(sources)
            empty = f"{self._folder} {self._emptied(book)}" if book is not None and self._emptied(book) else ""
            why = f"{self._folder}/{problems[0]}" if problems else empty or "they could not be kept in the database"
            raise BadInput(f"no flows to answer calls with: {why}; `cti flow check` tells every problem")

    async def watch(self) -> None:
        """Publish every valid change of the folder, where that is wanted; until cancelled."""
        while self._auto:
            try:
                await flow_files.watch(self._folder, self._until_kept, live="" if self._again else self._digest)
            except Exception:  # nothing about a folder is worth the server's end
                log.exception("the flows folder cannot be watched")
                await asyncio.sleep(AGAIN)

    async def _until_kept(self, sources: Sources) -> None:
        """An edit made while the database is away is not lost."""
        await self._changed(sources)
        while self._again:
            await asyncio.sleep(AGAIN)
            await self._changed(await asyncio.to_thread(flow_files.read_folder, self._folder))

    def _revive(self, version: int, files: dict[str, str]) -> None:
        book, problems = self._load(Sources(files=files), version=version)
        if book is None:
            log.error("flows version %d cannot be loaded any more: %s", version, problems[0])
            return
        self._live(book, files)

    def _live(self, book: Book, files: dict[str, str]) -> None:
        self._book, self._files = book, dict(files)
        self._publish(book)

    async def _changed(self, sources: Sources) -> None:
        """Publish it if it is another one and good; whatever is wrong with it, the live version serves on."""
        self._digest, self._again = sources.digest, False
        if sources.files == self._files and not sources.problems:
            return
        try:
            await self._published(sources)
        except Unavailable as error:
            log.error("flows not published: %s", error)
            self._again = True
        except Exception:
            log.exception("flows not published")

    async def _published(self, sources: Sources) -> None:
        book, problems = await asyncio.to_thread(self._load, sources)
        for problem in problems:
            log.error("flows not published: %s", problem)
        if book is None:
            return
        if why := self._emptied(book):
            log.error("flows not published: %s %s", self._folder, why)
            return
        version = await self._store.save_flows(sources.files, "auto", "files changed")
        book, _ = await asyncio.to_thread(self._load, sources, version=version)
        if book is not None:
            self._live(book, sources.files)
            log.info("flows version %d is live for new calls", version)
            for note in book.notes:
                log.warning("flows version %d: %s", version, note)

    def _emptied(self, book: Book) -> str:
        """Files that are gone are a slip (another branch, half a copy), not a wish to answer no call; else empty."""
        if not book.flows:
            return "holds no flow"
        if not book.numbers and self._book is not None and self._book.numbers:
            return "leads no number to a flow any more (numbers.yaml), but the live version does"
        return ""
