"""How long one waits: what is said, and whether it comes true in a simulated office."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Mapping
from itertools import count
from statistics import mean

import pytest

from cti.core.expect import FEWEST, LAST, LONGEST, WINDOW, Expect, spoken


def known(calls: int = 10, seconds: float = 60.0, agents: int = 2) -> Expect:
    expect = Expect()
    for number in range(calls):
        expect.handled(f"a{number % agents}", "sales", seconds, 100.0 + number)
    return expect


def test_position_over_completions() -> None:
    expect = known()
    assert expect.wait("sales", {"sales": 4}, ["a0", "a1"], 200.0) == 120.0
    assert expect.wait("sales", {"sales": 4}, ["a0", "a1", "new"], 200.0) == 80.0


def test_silent_when_unsure() -> None:
    assert known(FEWEST - 1).wait("sales", {"sales": 1}, ["a0", "a1"], 200.0) is None
    assert known(FEWEST).wait("sales", {"sales": 1}, ["a0", "a1"], 200.0) == 30.0
    assert known(FEWEST).wait("sales", {"sales": 1}, [], 200.0) is None, "nobody is there"
    assert known().wait("sales", {"sales": 1}, ["a0", "a1"], 100.0 + WINDOW + 6) is None, "long ago"
    assert known(seconds=LONGEST).wait("sales", {"sales": 2}, ["a0", "a1"], 200.0) == LONGEST
    assert known(seconds=LONGEST).wait("sales", {"sales": 3}, ["a0", "a1"], 200.0) is None, "too long to say"
    assert Expect().handling("sales") is None


def test_what_its_agents_do_for_other_queues_is_before_him_too() -> None:
    expect = known()
    for number in range(4):  # one of the four support calls was theirs
        expect.handled("a0" if number == 0 else "other", "support", 120.0, 150.0)
    ahead = {"sales": 2, "support": 4, "unknown": 9}
    assert expect.wait("sales", ahead, ["a0", "a1"], 200.0) == (2 * 60 + 4 * 120 / 4) / 2


def test_the_last_calls_count_also_those_from_before_the_start() -> None:
    expect = Expect()
    expect.before("sales", 200, 200 * 30.0)
    assert expect.handling("sales") == 30.0
    for _ in range(LAST):
        expect.handled("a", "sales", 90.0, 1.0)
    assert expect.handling("sales") == 90.0
    expect.handled("a", "other", 0.0, 1.0)
    assert expect.handling("other") == 0.1


@pytest.mark.parametrize(("wait", "told", "minutes"), [
    (0.0, None, 1), (60.0, None, 1), (60.1, None, 2), (240.0, 5, 4), (241.0, 5, None), (600.0, 4, None),
    (None, None, None), (None, 4, None),
])  # fmt: skip
def test_minutes_are_rounded_up_and_said_when_there_are_fewer(
    wait: float | None, told: int | None, minutes: int | None
) -> None:
    assert spoken(wait, told) == minutes


# ---------------------------------------------------------------- the promise, in an office of random calls


def promises(queues: Mapping[str, tuple[float, float]], agents: Mapping[str, str], hours: float, seed: int
             ) -> dict[str, list[tuple[float, float]]]:  # fmt: skip
    """By queue: what who had to wait was told, and how long he waited; seconds.

    `queues`: calls a second and mean handling; `agents`: the queues of each, by letters. First come, first served."""
    dice, expect, number = random.Random(seed), Expect(), count()
    events = [(dice.expovariate(rate), next(number), queue, "", 0.0) for queue, (rate, _) in queues.items()]
    heapq.heapify(events)
    free = dict.fromkeys(agents, 0.0)
    waiting: list[tuple[float, str, float | None]] = []
    told: list[tuple[str, float, float]] = []
    serve = {queue: [agent for agent, can in agents.items() if queue in can] for queue in queues}

    def begin(agent: str, queue: str, at: float) -> None:
        del free[agent]
        seconds = dice.expovariate(1 / queues[queue][1])
        heapq.heappush(events, (at + seconds, next(number), queue, agent, seconds))

    while events[0][0] < hours * 3600:
        at, _, queue, agent, seconds = heapq.heappop(events)
        if agent:
            expect.handled(agent, queue, seconds, at)
            free[agent] = at
            first = next((one for one in waiting if one[1] in agents[agent]), None)
            if first is not None:
                waiting.remove(first)
                begin(agent, first[1], at)
                if first[2] is not None:
                    told.append((first[1], first[2], at - first[0]))
            continue
        heapq.heappush(events, (at + dice.expovariate(queues[queue][0]), next(number), queue, "", 0.0))
        idle = [one for one in serve[queue] if one in free]
        if idle:
            begin(min(idle, key=free.__getitem__), queue, at)
        else:
            ahead = Counter([*(one[1] for one in waiting), queue])
            waiting.append((at, queue, expect.wait(queue, ahead, serve[queue], at)))
    return {queue: [(said, was) for name, said, was in told if name == queue] for queue in queues}


def staff(**shares: int) -> dict[str, str]:
    return {f"{can}{number}": can for can, many in shares.items() for number in range(many)}


OFFICES = {
    "one queue": ({"a": (0.92 * 10 / 180, 180)}, staff(a=10)),
    "three agents": ({"a": (0.88 * 3 / 120, 120)}, staff(a=3)),
    "all serve both": ({"a": (0.60 * 10 / 180, 180), "b": (0.33 * 10 / 120, 120)}, staff(ab=10)),
    "long and short": ({"a": (0.60 * 10 / 300, 300), "b": (0.33 * 10 / 50, 50)}, staff(ab=10)),
    "some serve both": ({"a": (0.46 * 12 / 180, 180), "b": (0.46 * 12 / 120, 120)}, staff(a=4, b=4, ab=4)),
    "a chain": ({"a": (0.31 * 20 / 180, 180), "b": (0.31 * 20 / 240, 240), "c": (0.31 * 20 / 90, 90)},
                staff(ab=7, bc=7, ca=6)),
}  # fmt: skip


@pytest.mark.parametrize("office", OFFICES)
def test_what_is_told_comes_true(office: str) -> None:
    """On average nobody waits longer than he was told, nor a fifth shorter; and most not longer than the minutes."""
    queues, agents = OFFICES[office]
    for queue, found in promises(queues, agents, 60, 1).items():
        said, was = mean(one for one, _ in found), mean(one for _, one in found)
        kept = mean((spoken(one, None) or 0) * 60 >= two for one, two in found)
        print(f"{office}, {queue}: {len(found)} told {said:.0f} s, waited {was:.0f} s, {kept:.0%} at most the minutes")
        assert len(found) > 300
        assert 0.97 < said / was < 1.20
        assert kept > 0.6
