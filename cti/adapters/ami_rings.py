"""The Originates of one AMI connection whose outcome is not known yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from panoramisk.message import Message

from cti.adapters import ami_actions
from cti.adapters.ami_requests import Requests
from cti.core.messages import Ring

log = logging.getLogger("cti.ami")

UNSEEN_AFTER = 0.2  # a failed Originate's Newchannel may come this late

Why = Literal["no_answer", "unreachable", "failed"]


@dataclass
class _Ringing:
    """An Originate whose outcome is not known. `hang_up`: end it with this cause as soon as it is seen."""

    channel_id: str
    until: float
    seen: bool = False
    hang_up: int | None = None


class Rings:
    """`channels`: uniqueid -> channel name, kept by the session. `failed` takes the channel_id of a Ring that
    came to nothing, why, and the time of it (None: that of the last event)."""

    def __init__(
        self,
        node: str,
        requests: Requests,
        channels: Mapping[str, str],
        failed: Callable[[str, Why, float | None], None],
    ) -> None:
        self._node, self._requests, self._channels, self._failed = node, requests, channels, failed
        self._loop = asyncio.get_running_loop()
        self._rings: dict[str, _Ringing] = {}  # by ActionID
        self._ringing: dict[str, _Ringing] = {}  # by channel_id

    def ring(self, command: Ring, whisper: Sequence[str] = ()) -> None:
        """Raises ValueError before anything is sent."""
        name = self._requests.next_id()
        data = ami_actions.ring(command, name, whisper)
        ringing = _Ringing(command.channel_id, self._loop.time() + command.timeout + 30)
        self._rings[name] = self._ringing[command.channel_id] = ringing
        self._requests.send(data, name).add_done_callback(lambda answer: self._on_ack(name, answer))

    def hang_up_when_seen(self, channel_id: str, cause: int) -> bool:
        """Whether it is one that we ring."""
        ringing = self._ringing.get(channel_id)
        if ringing is None:
            return False
        ringing.hang_up = cause
        return True

    def _on_ack(self, name: str, answer: asyncio.Future[Message]) -> None:
        """Only a refusal ends it; success means queued, silence means unknown: facts will tell."""
        ringing = self._rings.get(name)
        if ringing is None or answer.cancelled() or answer.result().success:
            return
        log.error("%s: Originate refused: %s", self._node, str(answer.result().get("Message", ""))[:200])
        del self._rings[name]
        self._fail(ringing, "failed", None)

    def seen(self, uniqueid: str) -> None:
        """A channel is there, in `channels` too. Most are not ours."""
        ringing = self._ringing.get(uniqueid)
        if ringing is None:
            return
        ringing.seen = True
        if ringing.hang_up is not None:
            self._requests.hang_up(self._channels[uniqueid], ringing.hang_up)

    def outcome(self, h: dict[str, str]) -> bool:
        """Takes an OriginateResponse. Whether it is of a Ring of this connection."""
        ringing = self._rings.pop(h["ActionID"], None)
        if ringing is None:
            return False
        if h["Response"] == "Success":
            self._ringing.pop(ringing.channel_id, None)
        elif h["Reason"] == "3":
            self._fail(ringing, "no_answer", float(h["Timestamp"]))
        else:
            why: Why = "unreachable" if h["Reason"] == "0" else "failed"
            at = float(h["Timestamp"])
            self._loop.call_later(UNSEEN_AFTER, self._fail_unseen, ringing, why, at)
        return True

    def _fail_unseen(self, ringing: _Ringing, why: Why, at: float) -> None:
        """A channel that was seen tells by its ChannelGone; one that is there already was dialled before."""
        if ringing.seen or ringing.channel_id in self._channels:
            self._ringing.pop(ringing.channel_id, None)
        else:
            self._fail(ringing, why, at)

    def _fail(self, ringing: _Ringing, why: Why, at: float | None) -> None:
        self._ringing.pop(ringing.channel_id, None)
        self._failed(ringing.channel_id, why, at)

    def forget(self, now: float) -> None:
        """Drops those whose outcome has not come long after it was due; `now` is the loop's time."""
        for name in [n for n, r in self._rings.items() if r.until < now]:
            self._ringing.pop(self._rings.pop(name).channel_id, None)
