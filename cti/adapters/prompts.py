"""Prompts as sound files: text through the voice, recordings converted; each made once and kept by content.

<sounds>/tts/<hash>.wav        text, by voice, language and words
<sounds>/prompts/<hash>.wav    recordings, by the SHA-256 of the file they were made from: a version knows its own
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path

from cti.core.ivr import Book
from cti.core.ivr.sounds import MAX_SOUND
from cti.core.messages import Prompt, Sound, Text
from cti.errors import CtiError, Unavailable
from cti.plain import read_plain, why

MAX_SPOKEN = 512 * 1024 * 1024  # bytes of spoken texts, above which old ones go
OLD = 30 * 86_400.0  # s without use
SWEEP_AFTER = 200  # texts newly spoken
AT_ONCE = 2
SECOND = 16_000  # bytes of a sound file

Speak = Callable[[str, str, Path], Awaitable[None]]
Convert = Callable[[Path, Path], Awaitable[None]]


class MissingPrompt(CtiError):
    """A recorded prompt is not there; the message names the file that should exist."""

    code = "missing_prompt"


class Prompts:
    """`speak(text, language, out)` and `convert(sound, out)` write one wav file, all at once."""

    def __init__(self, sounds: Path, flows: Path, speak: Speak, convert: Convert, voice: str = "espeak-2") -> None:
        self._sounds = sounds.absolute()
        self._flows = flows.absolute()
        self._speak = speak
        self._convert = convert
        self._voice = voice  # changes with the voice's settings: then everything is spoken anew
        self._recordings: dict[int, Mapping[str, str]] = {}
        self._lasting: set[Path] = set()  # what the versions say that this process serves
        self._spoken = 0
        self._sweeping: asyncio.Task[None] | None = None
        self._running: dict[Path, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def apart(self) -> Prompts:
        """The same files and voice, for a folder that is no version yet."""
        return Prompts(self._sounds, self._flows, self._speak, self._convert, self._voice)

    def know(self, version: int, recordings: Mapping[str, str]) -> None:
        """The recordings a version was published with: hash by `prompts/<language>/<name>.wav`."""
        self._recordings[version] = recordings

    def forget(self, but: Collection[int]) -> None:
        """No call runs in any version but these."""
        self._recordings = {version: known for version, known in self._recordings.items() if version in but}

    async def render(self, prompt: Prompt) -> str:
        """The absolute path of its sound file, without `.wav`, as Asterisk wants it.

        Raises MissingPrompt for a recording that is not there, Unavailable when the voice fails."""
        out = await self._text(prompt) if isinstance(prompt, Text) else await self._sound(prompt)
        return str(out.with_suffix(""))

    async def prepare(self, book: Book) -> list[str]:
        """Make every prompt that does not depend on a call. Returns what is wrong with those that failed."""
        return await self.make(book.prompts())

    async def make(self, prompts: Iterable[Prompt]) -> list[str]:
        """What is wrong with those that failed. Texts last for as long as this process runs."""
        wrong = []
        for prompt in prompts:  # one at a time, so that a call that needs another one now need not wait
            if isinstance(prompt, Text):
                self._lasting.add(self._place(prompt))
            try:
                await self.render(prompt)
            except CtiError as error:
                wrong.append(f'{prompt.language}: "{prompt.text}": {error}' if isinstance(prompt, Text) else str(error))
        return wrong

    async def lasts(self, prompts: Iterable[Prompt]) -> float:
        """Seconds of all of them together, as sound files. Raises as `render`."""
        return sum([_size(f"{await self.render(one)}.wav") for one in prompts]) / SECOND

    async def _text(self, text: Text) -> Path:
        out = self._place(text)
        if _is_there(out):
            _used(out)
            return out
        await self._once(out, lambda: self._speak(text.text, text.language, out))
        self._spoken += 1
        if self._spoken % SWEEP_AFTER == 0:
            sweep = asyncio.to_thread(_sweep, out.parent, frozenset(self._lasting))
            self._sweeping = asyncio.create_task(sweep)  # held, so that it is not collected while it works
        return out

    def _place(self, text: Text) -> Path:
        key = "\0".join((self._voice, text.language, text.text))
        return self._sounds / "tts" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.wav"

    async def _sound(self, sound: Sound) -> Path:
        """A version goes on with the recording it began with, whatever happens in the flows folder."""
        name = f"prompts/{sound.language}/{sound.name}.wav"
        digest = self._recordings.get(sound.version, {}).get(name)
        if digest is None or not _is_there(self._kept(digest)):
            content = await asyncio.to_thread(_content, self._flows, name)
            found = hashlib.sha256(content).hexdigest()
            if digest not in (None, found):
                raise MissingPrompt(f"the prompt {self._flows / name} is another one than version {sound.version} has")
            digest = found
            await self._once(self._kept(digest), lambda: self._converted(content, Path(name).name, self._kept(found)))
        return self._kept(digest)

    def _kept(self, digest: str) -> Path:
        return self._sounds / "prompts" / f"{digest}.wav"

    async def gone(self, recordings: Mapping[str, str]) -> list[str]:
        """Which recordings of a version can be had neither from what was kept nor from the folder."""
        had = self._can_be_had
        return [name for name, digest in recordings.items() if not await asyncio.to_thread(had, name, digest)]

    def _can_be_had(self, name: str, digest: str) -> bool:
        if _is_there(self._kept(digest)):
            return True
        with contextlib.suppress(MissingPrompt):
            return hashlib.sha256(_content(self._flows, name)).hexdigest() == digest
        return False

    def kept(self, prompt: Prompt) -> bool:
        """Whether a text was spoken already."""
        return isinstance(prompt, Text) and _is_there(self._place(prompt))

    async def _converted(self, content: bytes, file: str, out: Path) -> None:
        """From a copy of what was read: the file itself may be another one by now, or a pipe."""
        copy = out.with_name(f".{out.stem}.{uuid.uuid4().hex}") / file
        try:
            await asyncio.to_thread(_copied, content, copy)
            await self._convert(copy, out)
        finally:
            await asyncio.to_thread(shutil.rmtree, copy.parent, ignore_errors=True)

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
                _folder(out.parent)
                await make()
            except OSError as error:
                raise Unavailable(f"{out} cannot be written: {error.strerror}") from error


def _folder(folder: Path) -> None:
    """Its parent's owner has it: root at the command line makes it for a server that is not root."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        about = folder.parent.stat()
        with contextlib.suppress(OSError):
            os.chown(folder, about.st_uid, about.st_gid)


def _is_there(out: Path) -> bool:
    return out.exists()


def _size(file: str) -> int:
    return Path(file).stat().st_size


def _used(out: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(out)


def _sweep(folder: Path, lasting: frozenset[Path]) -> None:
    """Texts made from callers' names are without end: when there is too much, what was not used for long goes."""
    with contextlib.suppress(OSError):
        found = [(path.stat(), path) for path in folder.glob("*.wav")]
        too_much = sum(about.st_size for about, _ in found) - MAX_SPOKEN
        for about, path in sorted(found, key=lambda one: one[0].st_mtime):
            if too_much <= 0 or about.st_mtime > time.time() - OLD:
                return
            if path not in lasting:
                path.unlink()
                too_much -= about.st_size


def _content(flows: Path, name: str) -> bytes:
    try:
        content = read_plain(flows, name, MAX_SOUND)
    except FileNotFoundError as error:
        raise MissingPrompt(f"the prompt {flows / name} is missing") from error
    except OSError as error:
        raise MissingPrompt(f"the prompt {flows / name}: {why(error)}") from error
    if content is None:
        raise MissingPrompt(f"the prompt {flows / name} is larger than {MAX_SOUND // 1024 // 1024} MiB")
    return content


def _copied(content: bytes, to: Path) -> None:
    to.parent.mkdir(parents=True)
    to.write_bytes(content)
