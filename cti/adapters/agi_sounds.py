"""The prompts of one command become sound files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cti.core.messages import Prompt, Sound

log = logging.getLogger("cti.agi")

RENDER = 15.0  # seconds for one prompt to become a file
_SOUNDS = (".wav", ".sln", ".sln16", ".gsm", ".ulaw", ".alaw")

Renderer = Callable[[Prompt], Awaitable[str]]


async def files(render: Renderer, who: str, prompts: tuple[Prompt, ...]) -> list[str]:
    """Paths as Asterisk wants them. What cannot be made is named in the log and left out."""
    paths = await asyncio.gather(*(_file(render, prompt) for prompt in prompts), return_exceptions=True)
    found = []
    for prompt, path in zip(prompts, paths, strict=True):
        if isinstance(path, str):
            found.append(_bare(path))
        elif isinstance(path, Exception):
            log.error("%s: no sound for %s: %r", who, _which(prompt), path)
        else:
            raise path
    return found


async def _file(render: Renderer, prompt: Prompt) -> str:
    async with asyncio.timeout(RENDER):
        return await render(prompt)


def _bare(path: str) -> str:
    """Asterisk looks for the ending itself."""
    return next((path.removesuffix(end) for end in _SOUNDS if path.endswith(end)), path)


def _which(prompt: Prompt) -> str:
    """Names a prompt without its words: they may hold what a caller typed."""
    if isinstance(prompt, Sound):
        return f"{prompt.language}/{prompt.name}"
    return f"{len(prompt.text)} characters of {prompt.language}"
