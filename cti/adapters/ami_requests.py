"""The actions of one AMI connection that wait for their answers or for the rows of a list.

Actions are answered within ACTION_TIMEOUT or forgotten, and die with the connection: none is ever sent
twice.

panoramisk's `Message` reads the answers to our actions. Events are not read with it: it takes the last of
doubled headers that differ in case, makes lists of the others, and reads all of every event. Its `Action`
checks nothing and needs an event loop to be written as text.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from panoramisk.message import Message

from cti.adapters import ami_actions
from cti.adapters.ami_frames import CHANNEL, UNIQUEID, Rejected, action_id, headers

ACTION_TIMEOUT = 5.0
WRITE_CAP = 1 << 20  # bytes waiting to be sent on a link that does not take them


class LinkError(Exception):
    """The connection is of no use; the message says why."""


@dataclass
class Counters:
    frames: int = 0
    rejected: int = 0
    orphans: int = 0
    unanswered: int = 0
    connects: int = 0


@dataclass
class _Listing:
    item: bytes
    rows: list[dict[str, str]] = field(default_factory=list)
    items: int = 0  # rows and rows left out as hostile
    done: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Requests:
    """Writes actions, each with an ActionID nobody can guess, and takes the frames that answer them."""

    def __init__(self, writer: asyncio.StreamWriter, counters: Counters) -> None:
        self._writer, self._count = writer, counters
        self._loop = asyncio.get_running_loop()
        self._token = secrets.token_hex(16)
        self._number = 0
        self._answers: dict[str, asyncio.Future[Message]] = {}
        self._listings: dict[str, _Listing] = {}

    # ------------------------------------------------------------ out

    def next_id(self) -> str:
        self._number += 1
        return f"{self._token}-{self._number}"

    async def ask(
        self, action: str, more: Iterable[tuple[str, str]] = (), action_id: str | None = None
    ) -> Message:
        """The answer. Raises LinkError or TimeoutError when there is none in time."""
        name = action_id or self.next_id()
        answer = self.send(ami_actions.encode(action, [("ActionID", name), *more]), name)
        try:
            async with asyncio.timeout(ACTION_TIMEOUT + 1):  # for an answer that Message cannot read
                return await answer
        except asyncio.CancelledError:
            if answer.cancelled() and not _cancelling():
                raise LinkError(f"{action} was not answered") from None
            raise

    def post(self, action: str) -> None:
        """Sends an action whose answer nobody waits for."""
        name = self.next_id()
        self.send(ami_actions.encode(action, [("ActionID", name)]), name)

    def send(self, data: bytes, name: str) -> asyncio.Future[Message]:
        """Sends the encoded action with the ActionID `name`; the answer is cancelled when it is forgotten."""
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answers[name] = answer
        self._writer.write(data)
        self._loop.call_later(ACTION_TIMEOUT, self._forget, name)
        return answer

    def _forget(self, name: str) -> None:
        answer = self._answers.pop(name, None)
        if answer is not None:
            self._count.unanswered += 1
            answer.cancel()

    def stuck(self) -> bool:
        """Whether the switch does not take what we write."""
        return self._writer.transport.get_write_buffer_size() > WRITE_CAP

    def hang_up(self, channel: str, cause: int) -> None:
        """Hangup of `channel`, by its name. Raises ValueError before anything is sent."""
        name = self.next_id()
        self.send(ami_actions.hang_up(channel, cause, name), name)

    async def list_rows(self, action: str, item: bytes) -> list[dict[str, str]]:
        """All rows of a list action. A list that does not add up is asked for again, three times at most."""
        for _ in range(3):
            listing = _Listing(item)
            name = self.next_id()
            self._listings[name] = listing
            try:
                await self.ask(action, action_id=name)
                async with asyncio.timeout(ACTION_TIMEOUT):
                    if await listing.done == listing.items:
                        return listing.rows
            finally:
                del self._listings[name]
        raise LinkError(f"{action} does not add up")

    # ------------------------------------------------------------ in

    def answered(self, frame: bytes) -> None:
        """Takes a frame that is no event; one that answers nothing of ours is an orphan."""
        waiting = None
        if frame.startswith(b"Response: "):
            waiting = self._answers.pop(action_id(frame), None)
        if waiting is None:
            self._count.orphans += 1
        elif not waiting.done():
            waiting.set_result(Message.from_line(frame.decode("utf-8", "replace")))

    def listed(self, name: bytes, frame: bytes) -> bool:
        """Whether the frame belongs to a list asked for. Raises Rejected for a hostile row, which counts."""
        listing = self._listings.get(action_id(frame))
        if listing is None:
            return False
        h, wrong = headers(frame)
        if name != listing.item:
            if not listing.done.done():
                items = h.get("ListItems", "")
                listing.done.set_result(int(items) if items.isascii() and items.isdigit() else -1)
            return True
        listing.items += 1
        if name == b"CoreShowChannel" and not wrong and not UNIQUEID.fullmatch(h.get("Uniqueid", "")):
            wrong = "cut before Uniqueid"
        if wrong:
            channel = h.get("Channel", "")
            raise Rejected(wrong, channel if CHANNEL.fullmatch(channel) else "")
        listing.rows.append(h)
        return True


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
