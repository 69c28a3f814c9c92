"""What an agent hears before he is connected becomes sound files before his phone rings.

Mostly they are there already. A phone does not wait longer than WITHIN for them, then it rings without; a HangUp that
comes meanwhile ends it before it rang.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from cti.adapters import ami_actions
from cti.core.messages import Prompt, Ring, Text
from cti.core.queues import WHISPER_MOST

log = logging.getLogger("cti.ami")

WITHIN = 1.0  # s that a phone waits for the files
SECOND = 16_000  # bytes of a sound file that we made

Renderer = Callable[[Prompt], Awaitable[str]]


class Whispers:
    """`render` gives a prompt's file. `ring` takes a Ring with the files of its whisper, `failed` one that was ended
    before."""

    def __init__(
        self, node: str, render: Renderer, ring: Callable[[Ring, tuple[str, ...]], None],
        failed: Callable[[Ring], None],
    ) -> None:  # fmt: skip
        self._node, self._render, self._ring, self._failed = node, render, ring, failed
        self._left_out: set[tuple[Prompt, ...]] = set()  # those of which it was said that they are too long
        self._making: dict[str, tuple[Ring, asyncio.Task[None]]] = {}  # by channel_id

    def prepare(self, command: Ring) -> None:
        """The second one with the same channel_id is the first one."""
        if command.channel_id not in self._making:
            task = asyncio.get_running_loop().create_task(self._prepare(command))
            self._making[command.channel_id] = command, task

    def cancel(self, channel_id: str) -> bool:
        """Whether it was one that does not ring yet; it will not."""
        command, task = self._making.pop(channel_id, (None, None))
        if command is None or task is None:
            return False
        task.cancel()
        self._failed(command)
        return True

    async def _prepare(self, command: Ring) -> None:
        files: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(WITHIN):
                made = await asyncio.gather(*(self._render(prompt) for prompt in command.whisper))
            ami_actions.whisper(made)
            files = tuple(made) if self._short_enough(command, made) else ()
        except Exception as error:
            log.error("%s: no whisper for %s: %r", self._node, command.channel_id, error)
        del self._making[command.channel_id]
        self._ring(command, files)

    def _short_enough(self, command: Ring, files: Iterable[str]) -> bool:
        seconds = sum(Path(f"{file}.wav").stat().st_size for file in files) / SECOND
        if seconds > WHISPER_MOST and command.whisper not in self._left_out:
            self._left_out.add(command.whisper)
            log.error("%s: no whisper for %s, nor for those after it: it lasts %.0f s, of %g at most: %s", self._node,
                      command.channel_id, seconds, WHISPER_MOST, words(command.whisper))  # fmt: skip
        return seconds <= WHISPER_MOST


def words(prompts: Iterable[Prompt]) -> str:
    return " ".join(one.text if isinstance(one, Text) else f"prompts/{one.language}/{one.name}.wav" for one in prompts)
