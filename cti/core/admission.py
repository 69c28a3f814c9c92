"""Who gets into a queue, at which place, and who is sent out of it without an agent: the rules alone.

`core.waits` asks them for the callers on the line, `core.acd_sim` for those of a simulated day; each of them says what
happens, and sees to what follows.
"""

from __future__ import annotations

from collections import Counter

from cti.core.acd import Router
from cti.core.expect import LONGEST, Expect
from cti.core.queues import QueueConfig

CLOSING_EVERY = 10.0  # s between two looks whether a queue with callers has closed, or its capacity has changed
KEPT_PLACES = 20_000
GAVE_UP = ("abandoned", "short_abandon")  # results of those who hung up before they were served


class Admission:
    """`lengths`: who waits or is being offered, by queue; whoever lets somebody in or out counts here."""

    def __init__(self, router: Router, expect: Expect) -> None:
        self.router, self.expect = router, expect
        self.lengths: Counter[str] = Counter()
        self.watched: set[str] = set()  # queues that are looked at every CLOSING_EVERY
        self._left: dict[tuple[str, str], tuple[float, float]] = {}  # (caller, queue): the place he left, and when
        self._alone: dict[str, float] = {}  # whom nobody signed on could ever serve, and since when

    # ------------------------------------------------------------ entering

    def refuses(self, key: str, queue: str, closed: bool, at: float, moved: bool = False) -> tuple[str, str]:
        """The result of one who is in the router and counted already, but may not stay, and why; empty: he may.
        Size, ratio and expected wait send nobody away whom a supervisor has `moved`."""
        if queue not in self.router.queues:
            return "failed", ""
        if closed:
            return "closed", ""
        why = "" if moved else self.overfull(key, self.lengths[queue], at)
        return ("full", why) if why else ("", "")

    def overfull(self, key: str, waiting: int, at: float) -> str:
        """Why a queue in which, with this one, so many wait takes nobody more: size, ratio or wait; empty: it does.
        Whom an agent is free for gets in, as long as there is room to stand."""
        why = self.router.overfull(key, waiting)
        longest = self.router.queue(self.router.stands[key].waiter.queue).overflow.wait
        if not why and longest and (self.expected(key, at, float("inf")) or 0.0) > longest:
            why = "wait"
        return "" if why in ("ratio", "wait") and self.router.agent_for(key, at) is not None else why

    def expected(self, key: str, at: float, longest: float = LONGEST) -> float | None:
        """Seconds that one who waits will wait yet; None: not known, or longer than that."""
        queue = self.router.stands[key].waiter.queue
        most = self.router.most(queue, at)
        return self.expect.wait(queue, self.router.ahead(key), self.router.servants(key), at, longest, most)

    # ------------------------------------------------------------ kept places

    def leaves_place(self, caller: str, queue: str, result: str, since: float, at: float) -> None:
        """Whoever hung up before he was served may call again."""
        if caller and result in GAVE_UP:
            self._left[caller, queue] = since, at
            while len(self._left) > KEPT_PLACES:
                del self._left[next(iter(self._left))]

    def place_of(self, caller: str, queue: str, called: float) -> float | None:
        """Since when he waits who has called again in time, at `called`. It is his once."""
        since, left_at = self._left.pop((caller, queue), (None, 0.0))
        within = self.router.queue(queue).return_within
        return since if within and called - left_at <= within else None

    # ------------------------------------------------------------ nobody is there

    def alone_until(self, key: str, at: float) -> float | None:
        """When he leaves with `no_agents`, unless somebody signs on before; None: somebody is there who could serve him
        now or later, or his queue lets him wait."""
        patience = self.router.queue(self.router.stands[key].waiter.queue).overflow.no_agents
        if patience is None or self.router.staffed(key):
            self._alone.pop(key, None)
            return None
        return self._alone.setdefault(key, at) + patience

    def gone(self, key: str) -> None:
        """He waits no more, or is being offered."""
        self.router.leave(key)
        self._alone.pop(key, None)

    # ------------------------------------------------------------ as time goes by

    def watches(self, queue: QueueConfig) -> bool:
        """Whether somebody must begin to look at it every CLOSING_EVERY."""
        timed = any(limit.calendar for limit in queue.capacity)
        if not ((queue.overflow.closing and queue.calendar) or timed) or queue.name in self.watched:
            return False
        self.watched.add(queue.name)
        return True

    def watches_on(self, queue: str) -> bool:
        """Whether to look again: as long as anybody waits."""
        if not self.lengths[queue]:
            self.watched.discard(queue)
        return queue in self.watched

    def shuts(self, queue: QueueConfig, at: float) -> bool:
        """Whether those who wait must leave with `closed`."""
        return queue.overflow.closing and self.closed(queue, at)

    def closed(self, queue: QueueConfig, at: float) -> bool:
        return bool(queue.calendar) and not self.router.is_open(queue.calendar, at)

    def clock_stepped(self, by: float) -> None:
        """Everybody has been alone, and gone, as long as he was."""
        self._left = {who: (since + by, at + by) for who, (since, at) in self._left.items()}
        self._alone = {key: since + by for key, since in self._alone.items()}


def gave_up(queue: QueueConfig, waited: float) -> str:
    """The result of one who hung up."""
    return "short_abandon" if waited < queue.short_abandon else "abandoned"
