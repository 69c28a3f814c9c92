"""How the flows folder becomes a version: read while nobody writes to it, checked, its prompts made, then kept.

Whole, or not at all: until the last step nothing that serves has changed, and the last step is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cti.adapters import flow_files, tts
from cti.adapters.flow_files import Sources
from cti.adapters.postgres import Store
from cti.adapters.prompts import Prompts
from cti.config import Config
from cti.core.ivr import Book, Problem
from cti.errors import BadInput
from cti.sections import Site

Row = dict[str, Any]


class Rejected(BadInput):
    """The folder is not fit to answer calls with; `problems` are all there are."""

    code = "bad_flows"

    def __init__(self, problems: Sequence[Problem]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"the flows are not published: {problems[0]}{more}")
        self.problems = tuple(problems)


def prompts_of(config: Config, flows: Path | None = None) -> Prompts:
    """The prompts of a home, spoken by the voice it has chosen."""
    voice = tts.Voice(config.tts.command)
    sounds = config.paths.sounds.resolve()
    return Prompts(sounds, flows or config.paths.flows, voice.speak, tts.convert, voice.name)


async def publish(
    store: Store, sources: Sources, prompts: Prompts, site: Site, *, by: str, note: str = "", share: int = 100,
    actor: str = "",
) -> Row:  # fmt: skip
    """Publish a folder, as a person asks for it: `prompts` are of that folder. Returns version and share.

    Raises Rejected, Refused (`unchanged`, `no_live`), Unavailable."""
    await ready(sources, prompts, site)
    return await store.publish_flows(sources.files, by, note, share, actor)


async def ready(sources: Sources, prompts: Prompts, site: Site) -> Book:
    """The folder, checked, with every prompt made that does not depend on a call. Raises Rejected."""
    book = await checked(sources, site)
    prompts.know(0, flow_files.recordings(sources.files))
    if wrong := await prompts.prepare(book):
        raise Rejected([Problem("prompts", 0, 0, text) for text in wrong])
    return book


async def checked(sources: Sources, site: Site) -> Book:
    """Raises Rejected."""
    book = await flow_files.loaded(sources, country=site.country, zone=site.time_zone)
    if isinstance(book, list):
        raise Rejected(book)
    if not book.flows:
        raise Rejected([Problem("the folder", 0, 0, "holds no flow")])
    return book
