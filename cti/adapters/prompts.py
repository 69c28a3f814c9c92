"""Prompts as sound files: text through the voice, recordings converted; each made once and kept by content.

<sounds>/tts/<hash>.wav        text, by voice, language and words
<sounds>/prompts/<hash>.wav    recordings, by their content
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from cti.core.ivr import Book
from cti.core.messages import Prompt, Sound, Text
from cti.errors import CtiError, Unavailable

MAX_SOUND = 20 * 1024 * 1024  # bytes of a recorded prompt
AT_ONCE = 2

Speak = Callable[[str, str, Path], Awaitable[None]]
Convert = Callable[[Path, Path], Awaitable[None]]


class MissingPrompt(CtiError):
    """A recorded prompt is not there; the message names the file that should exist."""

    code = "missing_prompt"


class Prompts:
    """`speak(text, language, out)` and `convert(sound, out)` write one wav file, all at once."""

    def __init__(self, sounds: Path, flows: Path, speak: Speak, convert: Convert, voice: str = "espeak-1") -> None:
        self._sounds = sounds.absolute()
        self._flows = flows.absolute()
        self._speak = speak
        self._convert = convert
        self._voice = voice  # changes with the voice's settings: then everything is spoken anew
        self._known: dict[Sound, Path] = {}
        self._running: dict[Path, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def render(self, prompt: Prompt) -> str:
        """The absolute path of its sound file, without `.wav`, as Asterisk wants it.

        Raises MissingPrompt for a recording that is not there, Unavailable when the voice fails."""
        out = await self._text(prompt) if isinstance(prompt, Text) else await self._sound(prompt)
        return str(out.with_suffix(""))

    async def prepare(self, book: Book) -> list[str]:
        """Make every prompt that does not depend on a call. Returns what is wrong with those that failed."""
        wrong = []
        for prompt in book.prompts():  # one at a time, so that a call that needs another one now need not wait
            try:
                await self.render(prompt)
            except CtiError as error:
                wrong.append(str(error))
        return wrong

    async def _text(self, text: Text) -> Path:
        key = "\0".join((self._voice, text.language, text.text))
        out = self._sounds / "tts" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.wav"
        await self._once(out, lambda: self._speak(text.text, text.language, out))
        return out

    async def _sound(self, sound: Sound) -> Path:
        """A version goes on with the recording it began with, whatever happens in the flows folder."""
        known = self._known.get(sound)
        if known is not None and _is_there(known):
            return known
        source = self._flows / "prompts" / sound.language / f"{sound.name}.wav"
        content = await asyncio.to_thread(_content, source)
        out = self._sounds / "prompts" / f"{hashlib.sha256(content).hexdigest()[:32]}.wav"
        await self._once(out, lambda: self._convert(source, out))
        self._known[sound] = out
        return out

    async def _once(self, out: Path, make: Callable[[], Awaitable[None]]) -> None:
        """Make a file unless it is there; who asks meanwhile waits for the same work."""
        if _is_there(out):
            return
        task = self._running.get(out)
        if task is None:
            task = self._running[out] = asyncio.create_task(self._make(out, make))
            task.add_done_callback(lambda _: self._running.pop(out, None))
        await asyncio.shield(task)

    async def _make(self, out: Path, make: Callable[[], Awaitable[None]]) -> None:
        async with self._slots:
            try:
                out.parent.mkdir(parents=True, exist_ok=True)
                await make()
            except OSError as error:
                raise Unavailable(f"{out} cannot be written: {error.strerror}") from error


def _is_there(out: Path) -> bool:
    return out.exists()


def _content(source: Path) -> bytes:
    try:
        if source.stat().st_size > MAX_SOUND:
            raise MissingPrompt(f"the prompt {source} is larger than {MAX_SOUND // 1024 // 1024} MiB")
        return source.read_bytes()
    except OSError as error:
        raise MissingPrompt(f"the prompt {source} is missing") from error
