"""How long a caller will wait: the work that stands before him, over the agents who do it.

    wait = sum over queues of (calls ahead * handling * part) / agents

agents      who are signed on and may take his call
handling    mean seconds of the queue's last LAST calls, wrap-up included
part        of the queue's calls of the last WINDOW seconds, those that these agents took; of his own queue: all

A queue of which only so many calls may be with agents at once has no more agents than that for its own calls.

With one queue this is his position over the calls that its agents finish a second. With more it counts what they have
to do for others before they come to him. It is silent (None) when it cannot know: fewer than FEWEST calls of his queue
were finished lately, nobody is there to take one, or it would be longer than LONGEST.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from math import ceil, inf

import msgspec

WINDOW = 1800.0  # s
LAST = 50  # calls
FEWEST = 5  # calls
LONGEST = 3600.0  # s
SHORTEST = 0.1  # s of handling: a call takes some time


class _Done(msgspec.Struct, frozen=True):
    at: float
    agent: str
    queue: str


class Expect:
    """Fed with every call that an agent has dealt with; asked for the wait of a caller."""

    def __init__(self) -> None:
        self._lately: deque[_Done] = deque()
        self._calls: Counter[str] = Counter()  # of them by queue
        self._of: dict[str, Counter[str]] = {}  # and by agent and queue
        self._last: dict[str, deque[float]] = {}

    def handled(self, agent: str, queue: str, seconds: float, at: float) -> None:
        """`agent` has finished a call of the queue that took him so long, wrap-up included."""
        self._lately.append(_Done(at, agent, queue))
        self._calls[queue] += 1
        self._of.setdefault(agent, Counter())[queue] += 1
        self._remember(queue, seconds)

    def before(self, queue: str, calls: int, seconds: float) -> None:
        """What is known from before the start: so many calls took so long in all."""
        for _ in range(min(calls, LAST)):
            self._remember(queue, seconds / calls)

    def shift(self, by: float) -> None:
        """The clock was set: what was lately is as long ago as it was."""
        self._lately = deque(_Done(done.at + by, done.agent, done.queue) for done in self._lately)

    def handling(self, queue: str) -> float | None:
        """Mean seconds of the queue's last calls; None: there were none."""
        last = self._last.get(queue)
        return sum(last) / len(last) if last else None

    def wait(
        self, queue: str, ahead: Mapping[str, float], agents: Iterable[str], at: float, longest: float = LONGEST,
        most: float = inf,
    ) -> float | None:  # fmt: skip
        """Seconds that he will wait. `ahead`: by queue, callers and callbacks whose place is before his; in his own
        queue with himself, so that is his position. `most`: so many of its calls may be with agents at once."""
        self._forget(at - WINDOW)
        there = [self._of.get(agent, Counter[str]()) for agent in agents]
        calls = sum(one[queue] for one in there)
        if calls < FEWEST or not most:
            return None
        handling = {name: self.handling(name) or 0.0 for name in ahead}
        work = sum(many * self._part(name, queue, there) * handling[name] for name, many in ahead.items())
        wait = max(work / len(there), ahead[queue] * handling[queue] / most)
        return wait if wait <= longest else None

    def _part(self, name: str, own: str, there: Iterable[Counter[str]]) -> float:
        if name == own:
            return 1.0
        return sum(one[name] for one in there) / (self._calls[name] or 1)

    def _remember(self, queue: str, seconds: float) -> None:
        self._last.setdefault(queue, deque(maxlen=LAST)).append(max(seconds, SHORTEST))

    def _forget(self, before: float) -> None:
        while self._lately and self._lately[0].at < before:
            done = self._lately.popleft()
            self._calls[done.queue] -= 1
            self._of[done.agent][done.queue] -= 1


def spoken(wait: float | None, told: int | None) -> int | None:
    """Minutes to say, rounded up: only when they are fewer than what he was told last. None: nothing."""
    if wait is None:
        return None
    minutes = max(1, ceil(wait / 60))
    return minutes if told is None or minutes < told else None
