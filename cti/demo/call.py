"""One call of a phone: what happened, and what one can do with it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from cti.demo import sip
from cti.demo.rtp import Media

if TYPE_CHECKING:
    from cti.demo.phone import Phone


class Call:
    """One call of a phone. `events` is [(time.time(), what)]; `status` the last response to the INVITE.

    ended_by: empty while it lasts, then "us", "them" or "refused" (the INVITE had no success)."""

    def __init__(self, phone: Phone, call_id: str, *, incoming: bool) -> None:
        self.phone, self.call_id, self.incoming = phone, call_id, incoming
        self.ringing, self.answered, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.trying, self.acked = asyncio.Event(), asyncio.Event()
        self.events: list[tuple[float, str]] = []
        self.status, self.ended_by = 0, ""
        self.local = self.remote = self.target = ""  # From/To of our requests, the far Contact
        self.cseq = 1
        self.invite: sip.Packet | None = None
        self.last: sip.Packet | None = None  # our last response to the INVITE
        self.media: Media | None = None
        self.leaving = False

    def note(self, what: str) -> None:
        self.events.append((time.time(), what))

    def at(self, what: str) -> float:
        """When it first happened, 0.0 if it did not."""
        return next((at for at, name in self.events if name == what), 0.0)

    @property
    def caller(self) -> str:
        """The number shown by an incoming call."""
        return sip.uri_of(self.remote).removeprefix("sip:").partition("@")[0]

    @property
    def called(self) -> str:
        """The number that an incoming call is for."""
        return self.invite.start.partition("sip:")[2].partition("@")[0] if self.invite is not None else ""

    def ring(self) -> None:
        self.phone.respond(self, 180)

    def reject(self, status: int = 486) -> None:
        self.phone.respond(self, status)
        self.finish("us")

    def answer(self, audio: bytes | None = None) -> None:
        """200 OK and speak. Does nothing when the call is already over."""
        if self.ended.is_set() or self.answered.is_set() or self.invite is None:
            return
        remote = sip.read_sdp(self.invite.body)
        if not remote.ulaw:
            self.reject(488)
            return
        self.media = Media(self.phone.host, audio, listen=self.phone.listen)
        self.phone.respond(self, 200, sip.write_sdp(self.phone.host, self.media.port, max(remote.keys, 96)))
        self.media.start(remote.host, remote.port, remote.keys)
        self.note("answered")
        self.answered.set()
        self.phone.spawn(self.phone.repeat_answer(self))

    def press(self, keys: str) -> None:
        if self.media is not None:
            self.note("pressed")
            self.media.press(keys)

    def hang_up(self) -> None:
        """BYE, CANCEL or refuse: whatever ends the call at this stage."""
        if self.ended.is_set() or self.leaving:
            return
        self.leaving = True
        self.note("hang_up")
        if self.answered.is_set():
            self.phone.spawn(self.phone.bye(self))
        elif self.incoming:
            self.reject(480)
        else:
            self.phone.spawn(self.phone.cancel(self))

    def finish(self, by: str) -> None:
        if not self.ended.is_set():
            self.ended_by = by
            self.note("ended")
            if self.media is not None:
                self.media.stop()
            self.ended.set()
            self.phone.forget(self)
