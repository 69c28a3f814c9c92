"""Which versions of the flows folder this server answers new calls with: what the database says, told to the core.

Everything that changes what is live goes through the database, also what this server publishes itself; so any number
of servers and command lines agree. A version is whole and its prompts are made before the first call meets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import msgspec

from cti import publishing
from cti.adapters import flow_files
from cti.adapters.flow_files import Sources
from cti.adapters.postgres import Store
from cti.adapters.prompts import Prompts
from cti.config import Config
from cti.core import said
from cti.core.ivr import Book, Problem
from cti.core.ivr.shares import Serving
from cti.core.queues import WHISPER_MOST
from cti.errors import BadInput, CtiError, Refused, Unavailable
from cti.publishing import Rejected, Row

AGAIN = 5.0  # s until what failed for no fault of the folder's is tried again
READY_WITHIN = 5.0  # s a new version waits for its prompts; what is not made by then is made beside the calls
START_WITHIN = 3.0  # the same at a start: callers wait
log = logging.getLogger(__name__)
Publish = Callable[[Book, int], None]  # FlowsPublished: the version, for so many percent of the new callers


class LiveFlows:
    """`publish(book, share)` tells the core; `in_use()` are the versions of the calls that run."""

    def __init__(
        self, config: Config, store: Store, prompts: Prompts, publish: Publish, in_use: Callable[[], Collection[int]]
    ) -> None:
        self._folder = config.paths.flows
        self._site = config.site
        self._auto = config.flows.auto_publish
        self._store = store
        self._prompts = prompts
        self._publish = publish
        self._in_use = in_use
        self.serving = Serving()  # as the core was told
        self._rows: dict[int, Row] = {}  # of what serves: who published it, and when
        self._books: dict[int, Book] = {}
        self._contents: dict[int, str] = {}
        self._scripts: dict[int, dict[str, str]] = {}
        self._digest = ""  # of the folder as it was looked at last
        self._content = ""
        self._again = False  # it could not be kept, and is to be looked at again
        self.problems: tuple[Problem, ...] = ()  # what is wrong with the folder now
        self.problems_at = 0.0
        self.failures = 0
        self._changing = asyncio.Lock()
        self._preparing: set[asyncio.Task[Any]] = set()

    # ------------------------------------------------------------ running

    async def start(self) -> None:
        """The versions that running calls began with, those that serve, then the folder if it may publish itself.

        Raises BadInput when there is nothing to answer calls with, so that it is said at once."""
        for version in sorted(self._in_use()):
            if (book := await self._load(version)) is not None:
                self._publish(book, 100)
        await self._take_over(START_WITHIN)
        await self._changed(await asyncio.to_thread(flow_files.read_folder, self._folder))
        if not self.serving.live:
            why = str(self.problems[0]) if self.problems else "they could not be kept in the database"
            raise BadInput(f"no flows to answer calls with in {self._folder}: {why}; `cti flow check` tells more")

    async def watch(self) -> None:
        """Look at every change of the folder, and publish it where that is wanted; until cancelled."""
        while True:
            try:
                await flow_files.watch(self._folder, self._until_kept, live="" if self._again else self._digest)
            except Exception:  # nothing about a folder is worth the server's end
                log.exception("the flows folder cannot be watched")
                await asyncio.sleep(AGAIN)

    async def follow(self) -> None:
        """Serve what others publish, roll back and share; until cancelled."""
        await self._store.watch_flows(self._take_over)

    async def book(self, version: int) -> Book | None:
        """Any version, to be looked at; None: there is none, or it cannot be read any more. Raises Unavailable."""
        if version in self._books:
            return self._books[version]
        files = await self._store.load_flows(version) if 0 < version < 2**31 else None
        return None if files is None else await self._read(version, files)

    def script_text(self, version: int, name: str) -> str | None:
        """The text of `scripts/NAME` in a version that serves or that a call runs in."""
        return self._scripts.get(version, {}).get(name)

    # ------------------------------------------------------------ what people ask for

    async def publish(self, by: str, note: str = "", share: int = 100) -> Row:
        """Returns version and share. Raises Rejected (`problems`), Refused, BadInput, Unavailable."""
        try:
            sources = await flow_files.read_steady(self._folder)
            done = await publishing.publish(
                self._store, sources, self._prompts.apart(), self._site, by=by, note=note, share=share
            )
        except Rejected as error:
            self._tell_problems(error.problems)
            raise
        self._tell_problems(())
        self._content = flow_files.content(sources.files)
        await self._take_over()
        return done

    async def rollback(self, by: str, version: int | None = None) -> Row:
        """Returns live and withdrawn. Raises Refused, BadInput, Unavailable."""
        done = await self._store.rollback_flows(version, by)
        await self._take_over()
        return done

    async def share(self, by: str, version: int, percent: int) -> Row:
        """Returns version and share. Raises Refused, BadInput, Unavailable."""
        done = await self._store.share_flows(version, percent, by)
        await self._take_over()
        return done

    def state(self) -> Row:
        """live and canary: version, share, published_at, published_by, note, or None; problems of the folder: rows of
        file, line, column, message, hint, text; problems_at; folder_changed: it is not what is live; auto_publish."""
        rows = [{**msgspec.to_builtins(one), "text": str(one)} for one in self.problems]
        return {
            "live": self._rows.get(self.serving.live), "canary": self._rows.get(self.serving.canary),
            "problems": rows, "problems_at": self.problems_at or None,
            "folder_changed": self._content != self._contents.get(self.serving.live), "auto_publish": self._auto,
        }  # fmt: skip

    def detail(self) -> str:
        """One line for `cti status`."""
        now = self.serving
        canary = f", version {now.canary} for {now.share} % of the callers" if now.canary else ""
        wrong = f"; the folder cannot be published: {self.problems[0]}" if self.problems else ""
        return f"version {now.live}{canary}{wrong}"

    # ------------------------------------------------------------ from the database to the core

    async def _take_over(self, within: float = READY_WITHIN) -> None:
        """Load whatever serves by now and tell the core, in one step, when all of it is ready. Raises Unavailable."""
        async with self._changing:
            rows = dict(zip(("live", "canary"), await self._store.serving_flows(), strict=True))
            for role, row in rows.items():
                if row is not None and await self._loaded(row["version"], within) is None:
                    rows[role] = self._rows.get(getattr(self.serving, role))  # it goes on as it was
            live, canary = rows["live"], rows["canary"]
            if live is not None:
                self._tell(live, canary if canary and canary["version"] != live["version"] else None)

    async def _loaded(self, version: int, within: float) -> Book | None:
        if version not in self._books:
            book = await self._load(version)
            if book is None:
                return None
            await self._prepared(book, within)
            self._books[version] = book
            for note in book.notes:
                log.warning("flows version %d: %s", version, note)
        return self._books[version]

    def _tell(self, live: Row, canary: Row | None) -> None:
        before = self.serving
        now = Serving(live["version"], *((canary["version"], canary["share"]) if canary else ()))
        if before.canary and before.canary not in (now.canary, now.live):
            self._publish(self._books[before.canary], 0)
        if now.live != before.live:
            self._publish(self._books[now.live], 100)
        if canary and (now.canary, now.share) != (before.canary, before.share):
            self._publish(self._books[now.canary], now.share)
        self.serving, self._rows = now, {row["version"]: row for row in (live, canary) if row}
        if now != before:
            self._said(now)
        self._forget()

    def _said(self, now: Serving) -> None:
        log.info("flows version %d is live for new calls", now.live)
        if now.canary:
            log.info("flows version %d serves %d %% of the new callers", now.canary, now.share)

    def _forget(self) -> None:
        serves = {self.serving.live, self.serving.canary}
        kept = serves | set(self._in_use())
        self._books = {version: book for version, book in self._books.items() if version in serves}
        self._contents = {version: content for version, content in self._contents.items() if version in serves}
        self._scripts = {version: scripts for version, scripts in self._scripts.items() if version in kept}
        self._prompts.forget(kept | {0})

    async def _load(self, version: int) -> Book | None:
        files = await self._store.load_flows(version)
        if files is None:
            log.error("flows version %d is not in the database any more", version)
            return None
        book = await self._read(version, files)
        if book is None:
            return None
        self._contents[version] = flow_files.content(files)
        self._scripts[version] = flow_files.scripts(files)
        self._prompts.know(version, flow_files.recordings(files))
        return book

    async def _read(self, version: int, files: dict[str, str]) -> Book | None:
        book = await flow_files.loaded(
            Sources(files=files), version=version, country=self._site.country, zone=self._site.time_zone
        )  # fmt: skip
        if isinstance(book, list):
            log.error("flows version %d cannot be loaded any more: %s", version, book[0])
            return None
        return book

    async def _prepared(self, book: Book, within: float) -> None:
        task = self._beside(self._prepare(book))
        await asyncio.wait({task}, timeout=within)
        self._beside(self._prompts.make(said.places_and_waits(book)))

    def _beside(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        return task

    async def _prepare(self, book: Book) -> None:
        for problem in await self._prompts.prepare(book):
            log.error("a prompt of flows version %d will not be heard: %s", book.version, problem)
        for queue, language, prompts in said.whispers(book):
            with contextlib.suppress(CtiError, OSError):  # which was told just now
                if (seconds := await self._prompts.lasts(prompts)) > WHISPER_MOST:
                    log.error("flows version %d: queue %s: the whisper in `%s` is left out: it lasts %.0f s, of %g at"
                              " most", book.version, queue, language, seconds, WHISPER_MOST)  # fmt: skip

    # ------------------------------------------------------------ from the folder to the database

    async def _until_kept(self, sources: Sources) -> None:
        """An edit made while the database is away is not lost."""
        await self._changed(sources)
        while self._again:
            await asyncio.sleep(AGAIN)
            await self._changed(await asyncio.to_thread(flow_files.read_folder, self._folder))

    async def _changed(self, sources: Sources) -> None:
        """Publish it if it is another one and good; whatever is wrong with it, the live version serves on."""
        self._digest, self._content, self._again = sources.digest, flow_files.content(sources.files), False
        served = self._contents.values()
        try:
            if sources.problems or self._content not in served:
                await self._looked_at(sources)
            else:
                self._tell_problems(())
        except Rejected as error:
            self._tell_problems(error.problems)
        except Refused as error:
            log.info("flows not published: %s", error)
        except Unavailable as error:
            self._failed("flows not published: %s", error)
            self._again = True
        except Exception:
            self.failures += 1
            log.exception("flows not published")

    async def _looked_at(self, sources: Sources) -> None:
        wanted = self._auto or not self.serving.live
        if wanted and self.serving.live:
            book = await publishing.ready(sources, self._prompts.apart(), self._site)
        else:  # who calls when nothing is live yet should not wait for the voice
            book = await publishing.checked(sources, self._site)
        self._refuse_emptied(book)
        self._tell_problems(())
        if wanted:
            await self._store.publish_flows(sources.files, "auto", "files changed", None)
            await self._take_over(READY_WITHIN if self.serving.live else START_WITHIN)

    def _refuse_emptied(self, book: Book) -> None:
        """Files that are gone are a slip (another branch, half a copy), not a wish to answer no call."""
        live = self._books.get(self.serving.live)
        if not book.numbers and live is not None and live.numbers:
            what = "leads no number to a flow any more (numbers.yaml), but the live version does"
            raise Rejected([Problem("the folder", 0, 0, what)])

    def _tell_problems(self, problems: Collection[Problem]) -> None:
        for problem in problems:
            self._failed("flows not published: %s", problem, count=0)
        self.failures += bool(problems)
        self.problems, self.problems_at = tuple(problems), time.time() if problems else 0.0

    def _failed(self, text: str, error: CtiError | Problem, count: int = 1) -> None:
        log.error(text, error)
        self.failures += count
