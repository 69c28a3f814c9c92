"""Wallboard figures: each definition, the day's border, and a slow recomputation that must agree."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core.messages import Event
from cti.core.stats import AgentFigures, QueueFigures, Stats, TalkSums, VisitSums, Waiting

DAY = 1_000_000.0


class Story:
    """Writes one call's events, numbered."""

    def __init__(self, call_id: str, queue: str = "sales") -> None:
        self.call_id, self.queue, self.events = call_id, queue, []  # type: ignore[var-annotated]

    def tell(self, type: str, at: float, agent: str = "", **data: Any) -> Story:
        seq = len(self.events) + 1
        self.events.append(
            Event(
                type=type,
                at=DAY + at,
                call_id=self.call_id,
                seq=seq,
                agent=agent,
                queue=self.queue,
                data=data,
            )
        )
        return self

    def waits(self, begin: float, end: float, result: str, agent: str = "") -> Story:
        self.tell("call.queued", begin, entered_at=DAY + begin, visit=1)
        return self.tell("call.dequeued", end, agent, result=result, visit=1)

    def talks(self, agent: str, begin: float, end: float, wrapped: float) -> Story:
        self.tell("call.connected", begin, agent).tell("call.disconnected", end, agent)
        return self.tell("call.wrapped", wrapped, agent)


def told(*stories: Story | Event) -> Stats:
    stats = Stats(DAY)
    stats.configure({"sales": 20.0})
    for story in stories:
        for event in story.events if isinstance(story, Story) else [story]:
            stats.apply(event)
    return stats


def state(at: float, agent: str = "ani", **data: Any) -> Event:
    return Event(type="agent.state_changed", at=DAY + at, agent=agent, data=data)


def test_a_queue_without_calls_has_no_means() -> None:
    assert told().queue("sales", DAY) == QueueFigures(
        "sales", 0, 0, 0, 0, 0, {}, None, None, 0.0, None, None, 0, None, ()
    )
    assert told().total_service_level() is None


def test_service_level_leaves_short_abandons_and_closed_hours_out() -> None:
    stats = told(
        Story("a").waits(0, 20, "answered", "ani"),
        Story("b").waits(0, 20.5, "answered", "ani"),
        Story("c").waits(0, 4, "short_abandon"),
        Story("d").waits(0, 40, "abandoned"),
        Story("e").waits(0, 60, "timeout"),
        Story("f").waits(0, 0, "closed"),
    )
    figures = stats.queue("sales", DAY + 100)
    assert (figures.offered, figures.answered, figures.answered_within) == (5, 2, 1)
    assert (figures.abandoned, figures.short_abandoned) == (1, 1)
    assert figures.service_level == 1 / 4
    assert figures.speed_of_answer == pytest.approx(20.25)
    assert figures.longest_wait_today == 60
    assert sum(figures.results.values()) == 6


def test_only_short_abandons_leave_the_service_level_open() -> None:
    assert told(Story("a").waits(0, 1, "short_abandon")).queue("sales", DAY).service_level is None


def test_the_total_is_over_all_queues_with_each_ones_own_threshold() -> None:
    stats = told(
        Story("a").waits(0, 10, "answered"),
        Story("b", "support").waits(0, 30, "answered"),
        Story("c", "support").waits(0, 3, "short_abandon"),
    )
    assert stats.total_service_level() == 1 / 2
    stats.configure({"support": 30.0})
    for event in Story("d", "support").waits(0, 30, "answered").events:
        stats.apply(event)
    assert stats.total_service_level() == 2 / 3


def test_talk_and_handle_means_are_of_the_queue_that_gave_the_call() -> None:
    stats = told(
        Story("a").talks("ani", 0, 100, 110),
        Story("b").talks("budi", 0, 200, 230),
        Story("c").talks("ani", 300, 360, 360),
    )
    figures = stats.queue("sales", DAY + 400)
    assert (figures.talk_mean, figures.handle_mean) == (120.0, pytest.approx(400 / 3))
    assert stats.agent("ani") == AgentFigures("ani", 2, 0, 160.0, "logged_out", "", None)


def test_the_waiting_are_listed_longest_first_and_count_into_the_longest_wait() -> None:
    stats = told(
        Story("young").tell("call.queued", 50, entered_at=DAY + 50),
        Story("old").tell("call.queued", 60, entered_at=DAY + 10),
        Story("gone").waits(0, 30, "abandoned"),
    )
    figures = stats.queue("sales", DAY + 70)
    assert figures.waiting_calls == (Waiting("old", DAY + 10), Waiting("young", DAY + 50))
    assert (figures.waiting, figures.longest_since, figures.longest_wait_today) == (2, DAY + 10, 60)


def test_a_call_waits_in_one_queue_at_a_time_and_in_none_when_it_ended() -> None:
    story = Story("a").tell("call.queued", 0)
    other = Story("a", "support")
    other.events = [None]
    other.tell("call.queued", 5)
    stats = told(story, other.events[1])
    assert (stats.queue("sales", DAY).waiting, stats.queue("support", DAY).waiting) == (0, 1)
    stats.apply(Event(type="call.ended", at=DAY + 9, call_id="a", seq=3))
    assert stats.queue("support", DAY).waiting == 0
    stats.apply(Event(type="call.ended", at=DAY + 9, call_id="never seen", seq=3))


def test_a_wait_whose_begin_was_never_told_counts_as_none() -> None:
    event = Event(
        type="call.dequeued", at=DAY + 9, call_id="a", seq=7, queue="sales", data={"result": "answered"}
    )
    figures = told(event).queue("sales", DAY + 9)
    assert (figures.answered, figures.speed_of_answer, figures.longest_wait_today) == (1, 0.0, 0.0)


def test_an_agents_state_is_the_work_unless_idle_and_since_moves_only_with_it() -> None:
    stats = told(
        state(1, wish="ready", reason="", work="idle"),
        state(2, wish="ready", reason="", work="idle", station="2001"),
    )
    assert stats.agent("ani")[-3:] == ("ready", "", DAY + 1)
    stats.apply(state(3, wish="ready", reason="", work="talking"))
    assert stats.agent("ani")[-3:] == ("talking", "", DAY + 3)
    stats.apply(state(4, wish="not_ready", reason="lunch", work="idle"))
    stats.apply(state(5, wish="not_ready", reason="training", work="idle"))
    assert stats.agent("ani")[-3:] == ("not_ready", "training", DAY + 5)


def test_the_first_word_of_a_logged_out_agent_sets_since() -> None:
    assert told(state(1, wish="logged_out", work="idle")).agent("ani")[-3:] == ("logged_out", "", DAY + 1)


def test_missed_offers_are_counted() -> None:
    story = Story("a").tell("offer.missed", 1, "ani").tell("offer.rejected", 2, "ani")
    assert told(story).agent("ani").missed == 1


@pytest.mark.parametrize("type", ["call.disconnected", "call.wrapped"])
def test_the_end_of_a_conversation_nobody_told_of_counts_nothing(type: str) -> None:
    stats = told(Story("a").tell(type, 1, "ani"))
    assert stats.queue("sales", DAY).talk_mean is None
    stats = told(Story("a").tell("call.connected", 1, "ani"), Story("b").tell(type, 2, "ani"))
    assert stats.queue("sales", DAY).talk_mean is None


def test_wrapped_before_disconnected_and_disconnected_again_are_no_harm() -> None:
    story = Story("a").tell("call.connected", 0, "ani").tell("call.wrapped", 1, "ani")
    story.tell("call.disconnected", 10, "ani").tell("call.disconnected", 20, "ani").tell(
        "call.wrapped", 25, "ani"
    )
    figures = told(story).queue("sales", DAY)
    assert (figures.talk_mean, figures.handle_mean) == (10.0, 25.0)


def test_a_new_day_counts_from_nothing_and_keeps_what_is_live() -> None:
    story = Story("late").tell("call.queued", 90, entered_at=DAY + 90)
    stats = told(
        Story("a").waits(0, 30, "answered").talks("ani", 30, 60, 70),
        Story("b").tell("offer.missed", 1, "ani"),
        state(80, wish="ready", work="idle"),
        story,
        Story("talking").tell("call.connected", 95, "budi"),
    )
    stats.roll(DAY + 100)
    stats.roll(DAY + 100)
    assert stats.queue("sales", DAY + 110)[1:9] == (0, 0, 0, 0, 0, {}, None, None)
    assert stats.queue("sales", DAY + 110).waiting == 1
    assert stats.agent("ani") == AgentFigures("ani", 0, 0, 0.0, "ready", "", DAY + 80)
    stats.apply(story.tell("call.dequeued", 120, result="answered").events[-1])
    stats.apply(
        Event(type="call.disconnected", at=DAY + 130, call_id="talking", seq=2, agent="budi", queue="sales")
    )
    figures = stats.queue("sales", DAY + 130)
    assert (figures.answered, figures.longest_wait_today, figures.talk_mean) == (1, 30, 35)


def test_an_event_that_comes_again_after_the_day_changed_is_still_known() -> None:
    story = Story("a").waits(0, 30, "answered")
    stats = told(story)
    stats.roll(DAY + 100)
    for event in story.events:
        stats.apply(event)
    assert stats.queue("sales", DAY + 110).waiting == 0
    assert stats.queue("sales", DAY + 110).offered == 0


def test_of_calls_long_over_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of a call that come again, come soon; one that goes on is kept however long."""
    monkeypatch.setattr(Stats, "KEEP_SEEN", 10)
    stats, long = Stats(DAY), Story("long").tell("call.queued", 0)
    for n in range(50):
        for event in [*Story(f"c{n}").waits(n, n + 1, "answered").events, *long.tell("call.queued", n).events[-1:]]:
            stats.apply(event)
    for event in [*Story("c49").waits(49, 50, "answered").events, *long.events]:
        stats.apply(event)
    assert stats.queue("sales", DAY).answered == 50
    assert len(stats._seen) == 10 and "long" in stats._seen


def test_yesterdays_events_tell_only_what_is_live() -> None:
    story = Story("a").waits(-100, -50, "answered").talks("ani", -50, -10, -5).tell("offer.missed", -4, "ani")
    stats = told(story, Story("b").tell("call.queued", -20, entered_at=DAY - 20))
    assert stats.queue("sales", DAY)[1:8] == (0, 0, 0, 0, 0, {}, None)
    assert stats.queue("sales", DAY).longest_since == DAY - 20
    assert stats.agent("ani")[1:4] == (0, 0, 0.0)


def test_sums_count_like_the_calls_they_are_made_of() -> None:
    calls = [
        Story("a").waits(0, 10, "answered", "ani").talks("ani", 10, 70, 75),
        Story("b").waits(0, 30, "answered", "ani").talks("ani", 80, 100, 110),
        Story("c").waits(0, 50, "abandoned").tell("offer.missed", 60, "ani"),
    ]
    last = Story("d").waits(100, 105, "answered", "ani").talks("ani", 200, 230, 240)
    stats = told(last)
    stats.add(
        [VisitSums("sales", "answered", 2, 40.0, 30.0, 1), VisitSums("sales", "abandoned", 1, 50.0, 50.0, 0)],
        [TalkSums("sales", "ani", 2, 1, 2, 80.0, 15.0)],
    )
    wanted = told(*calls, last)
    assert stats.queue("sales", DAY) == wanted.queue("sales", DAY)
    assert stats.agent("ani")[:4] == wanted.agent("ani")[:4]


def test_types_it_does_not_know_are_let_by() -> None:
    story = Story("a").tell("flow.node", 1).tell("call.priority_changed", 2)
    assert told(story).queue("sales", DAY).offered == 0


# ---------------------------------------------------------------- against a slow recomputation

RESULTS = [
    "answered",
    "abandoned",
    "short_abandon",
    "timeout",
    "full",
    "no_agents",
    "closed",
    "left",
    "callback",
]
times = st.floats(-500, 3000, allow_nan=False).map(lambda value: round(value, 1))


@st.composite
def calls(draw: st.DrawFn) -> list[Story]:
    stories = []
    for number in range(draw(st.integers(0, 12))):
        story = Story(f"call-{number}", draw(st.sampled_from(["sales", "support"])))
        begin, wait, talk, wrap = draw(times), draw(times), draw(times), draw(times)
        result = draw(st.sampled_from([*RESULTS, "still waiting"]))
        if result == "still waiting":
            story.tell("call.queued", begin, entered_at=DAY + begin)
        else:
            end = begin + abs(wait)
            story.waits(begin, end, result, f"agent-{number}")
            if result == "answered":
                story.talks(f"agent-{number}", end, end + abs(talk), end + abs(talk) + abs(wrap))
        stories.append(story)
    return stories


def slow(events: list[Event], queue: str, within: float) -> dict[str, Any]:
    """The same figures read from the whole list, one question at a time."""
    mine = [e for e in events if e.queue == queue]
    entered = {e.call_id: e.at for e in mine if e.type == "call.queued"}
    left = {e.call_id: e for e in mine if e.type == "call.dequeued"}
    today = [e for e in left.values() if e.at >= DAY and e.data["result"] != "closed"]
    waits = {e.call_id: e.at - entered[e.call_id] for e in left.values() if e.at >= DAY}
    answered = [e for e in today if e.data["result"] == "answered"]
    short = [e for e in today if e.data["result"] == "short_abandon"]
    spans: dict[str, dict[str, float]] = defaultdict(dict)
    for e in mine:
        spans[e.call_id][e.type] = e.at
    over = [span for span in spans.values() if span.get("call.disconnected", 0) >= DAY]
    talks = [span["call.disconnected"] - span["call.connected"] for span in over]
    good = [e for e in answered if waits[e.call_id] <= within]
    base = len(today) - len(short)
    return {
        "offered": len(today),
        "answered": len(answered),
        "service_level": len(good) / base if base else None,
        "speed_of_answer": sum(waits[e.call_id] for e in answered) / len(answered) if answered else None,
        "longest_wait_today": max(waits.values(), default=0.0),
        "talk_mean": sum(talks) / len(talks) if talks else None,
        "live": {call: at for call, at in entered.items() if call not in left},
    }


@settings(max_examples=150, deadline=None)
@given(calls(), st.randoms(use_true_random=False))
def test_the_fold_agrees_with_a_slow_one_also_when_mixed_and_doubled(
    stories: list[Story], random: Any
) -> None:
    queues = [list(story.events) for story in stories]
    stats, everything = Stats(DAY), []
    stats.configure({"sales": 20.0, "support": 60.0})
    while any(queues):
        event = random.choice([queue for queue in queues if queue]).pop(0)
        everything.append(event)
        for again in (event, *random.choices(everything, k=random.randint(0, 2))):
            stats.apply(again)
    now = DAY + 20_000
    for queue, within in (("sales", 20.0), ("support", 60.0)):
        fast, true = stats.queue(queue, now), slow(everything, queue, within)
        live = true.pop("live")
        if live:
            true["longest_wait_today"] = max(true["longest_wait_today"], now - min(live.values()))
        for name, value in true.items():
            assert getattr(fast, name) == (None if value is None else pytest.approx(value)), name
        assert dict(fast.waiting_calls) == live
        assert list(fast.waiting_calls) == sorted(fast.waiting_calls, key=lambda one: one.since)
