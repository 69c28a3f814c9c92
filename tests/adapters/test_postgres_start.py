"""What a start of the server finds in a real PostgreSQL: what goes on, today's figures, what is over."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import kit_story
import pytest
from kit_pg import Cluster

from cti.adapters import passwords, postgres_people, postgres_start
from cti.adapters.journal import Journal
from cti.adapters.postgres import Store
from cti.adapters.postgres_people import NewUser
from cti.adapters.postgres_writer import Writer
from cti.core.messages import Event
from cti.core.stats import Stats
from cti.errors import Unavailable
from cti.figures import Figures

pytestmark = pytest.mark.services
NOON = 1_790_000_000 // 86400 * 86400 + 43200.0  # 12:00 UTC of some day
WITHIN = {"sales": 10.0}


async def keep(store: Store, folder: Path, events: list[Event]) -> None:
    journal = Journal.open(folder / "journal")
    journal.append(events)
    writer = Writer(store.dsn, journal)
    await writer.catch_up()
    await writer.drop_link()
    journal.close()


async def add_agent(store: Store, name: str) -> None:
    await postgres_people.add_user(store, NewUser(name=name, role="agent", secret=passwords.new_secret()))


async def test_restore_gives_unfinished_calls_and_the_present_state_of_agents(store: Store, tmp_path: Path) -> None:
    await add_agent(store, "ann")
    done, live, talked = kit_story.answered(seed=1), kit_story.answered(seed=2), kit_story.answered(seed=3)
    states = kit_story.states("ann", time.time() - 30)
    await keep(store, tmp_path, [*done.events, *live.events[5::-1], *talked.events[:15], *states])
    found = await postgres_start.restore(store)
    wanted = sorted([live.events[:6], talked.events[:15]], key=lambda events: events[0].call_id)
    assert [(e.call_id, e.seq, e.type) for e in found.events] == [
        (e.call_id, e.seq, e.type) for events in wanted for e in events
    ]
    assert [e.data for e in found.events] == [e.data for events in wanted for e in events]
    assert found.events[0].at == pytest.approx(wanted[0][0].at, abs=1e-5)
    assert [(e.agent, e.data["work"], e.at) for e in found.agents] == [("ann", "idle", pytest.approx(states[-1].at))]


async def test_the_state_decided_last_is_restored_not_the_one_with_the_latest_time(
    store: Store, tmp_path: Path
) -> None:
    """The agent wished something at the server's 5.02 s; the hang-up told after it happened at the switch's 5 s."""
    now = time.time()
    await add_agent(store, "ann")
    states = [("talking", now - 9), ("talking", now - 3.98), ("wrap_up", now - 4)]
    await keep(store, tmp_path, [
        Event(type="agent.state_changed", at=at, agent="ann", data={"wish": "ready", "work": work, "n": n})
        for n, (work, at) in enumerate(states)
    ])  # fmt: skip
    (last,) = (await postgres_start.restore(store)).agents
    assert (last.data["work"], last.data["n"], last.at) == ("wrap_up", 2, pytest.approx(now - 4, abs=1e-4))


async def test_a_call_is_restored_as_long_as_an_agent_wraps_up(store: Store, tmp_path: Path) -> None:
    story = kit_story.answered(time.time() - 3000)
    await add_agent(store, "ann")
    wraps = {"wish": "ready", "work": "wrap_up", "reason": ""}
    busy = Event(type="agent.state_changed", at=story.at + 47, agent="ann", call_id=story.call, seq=99, data=wraps)
    await keep(store, tmp_path, [*story.events[:14], busy])
    assert {event.call_id for event in (await postgres_start.restore(store)).events} == {story.call}
    free = Event(type="agent.state_changed", at=story.at + 90, agent="ann", data=wraps | {"work": "idle"})
    await keep(store, tmp_path, [free])
    assert (await postgres_start.restore(store)).events == []


def a_day(midnight: float) -> list[Event]:
    """Calls before, over and after midnight, some of them not over yet, each with its own agent; in order of time."""
    dice, stories = random.Random(5), []
    for n in range(60):
        at = midnight + dice.uniform(-120, 600)
        make = dice.choice((kit_story.answered, kit_story.answered, kit_story.timed_out, kit_story.never_queued))
        story = make(at, seed=n) if make is not kit_story.answered else kit_story.answered(at, f"a{n}", n)
        cut = dice.randint(1, len(story.events)) if n % 4 == 0 else None
        stories.append(story.events[:cut])
    events = [*(event for story in stories for event in story), *kit_story.states("a1", midnight + 5)]
    return sorted(events, key=lambda event: event.at)


def figures_of(stats: Stats, now: float) -> dict[str, Any]:
    queues = {name: stats.queue(name, now)._asdict() for name in ("sales", "support", "")}
    agents = {name: stats.agent(name)._asdict() for name in ("zoe", "ann", *(f"a{n}" for n in range(60)))}
    return {"queues": queues, "agents": agents, "total": stats.total_service_level()}


def alike(found: Any, wanted: Any) -> bool:
    """Numbers as good as equal: rows keep microseconds."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(alike(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, tuple):
        return len(found) == len(wanted) and all(map(alike, found, wanted))
    return bool(found == (pytest.approx(wanted, abs=1e-4) if isinstance(wanted, float) else wanted))


async def test_figures_after_a_start_are_those_before_it(store: Store, tmp_path: Path) -> None:
    midnight = time.time() // 86400 * 86400
    events, before = a_day(midnight), Stats(midnight)
    before.configure(WITHIN)
    for event in events:
        before.apply(event)
    await add_agent(store, "a1")
    await keep(store, tmp_path, events)
    after = Figures("UTC", lambda: midnight + 700)
    after.stats.configure(WITHIN)
    past = await postgres_start.restore(store)
    await after.restore(store, past, WITHIN)
    found, wanted = figures_of(after.stats, midnight + 700), figures_of(before, midnight + 700)
    assert wanted["queues"]["sales"]["answered"] > 10 and wanted["queues"]["sales"]["waiting"]
    assert len({event.call_id for event in past.events}) > 5
    assert alike(found, wanted), (found, wanted)


async def test_a_start_without_the_days_sums_is_a_start(pg: Cluster, caplog: Any) -> None:
    store = await Store.open(await pg.make_database(migrated=True))
    async with store.db.link() as link:
        await link.execute("ALTER TABLE crm.offers RENAME wrapped_at TO was_wrapped_at")
    figures, story = Figures("UTC", lambda: NOON), kit_story.timed_out(NOON - 100)
    await figures.restore(store, postgres_start.Restored(story.events[:3], []), {})
    assert figures.stats.queue("sales", NOON).waiting == 1
    assert "figures of today begin at nothing" in caplog.text
    await store.close()


async def test_what_is_over_is_known_since_a_time(store: Store, tmp_path: Path) -> None:
    assert await postgres_start.last_known(store) is None
    now = time.time()
    old, late = kit_story.answered(now - 900, seed=1), kit_story.answered(now - 90, seed=2)
    live = kit_story.Story(now - 5, random.Random(3))
    live.say("call.arrived", 0, uniqueid="u.1")
    live.say("call.ended", 5000, cause=16, side="caller")  # by a clock that is wrong
    await keep(store, tmp_path, [*old.events, *late.events])
    assert await postgres_start.last_known(store) == pytest.approx(late.at + 50.5, abs=1e-4)
    over = await postgres_start.over_since(store, late.at)
    assert [(e.call_id, e.type) for e in over] == [(late.call, "call.arrived"), (late.call, "call.ended")]
    await keep(store, tmp_path, live.events)
    assert await postgres_start.last_known(store) == pytest.approx(late.at + 50.5, abs=1e-4)


async def test_where_the_switch_told_nothing_all_of_it_is_asked_again(store: Store, tmp_path: Path) -> None:
    """Callers came while the link was down: they are known from the dialplan alone."""
    now = time.time()
    stories = [kit_story.answered(now - 900 + n, seed=n) for n in range(3)]
    await keep(store, tmp_path, [event for story in stories for event in story.events[:5]])
    assert await postgres_start.last_known(store) == pytest.approx(stories[0].at, abs=1e-4)


async def test_a_start_that_finds_nobody_is_unavailable(store: Store, tmp_path: Path) -> None:
    store.dsn = f"postgresql://cti@/cti?host={tmp_path}"
    for ask in (postgres_start.restore(store), postgres_start.today(store, 0, [], {})):
        with pytest.raises(Unavailable):
            await ask


async def test_who_left_a_queue_and_how_long_agents_take_is_known_again(store: Store, tmp_path: Path) -> None:
    now = time.time()
    left = kit_story.Story(now - 100, random.Random(7))
    left.say("call.arrived", 0, direction="inbound", caller="+62811", called="6000", node="main")
    left.say("call.queued", 1, queue="sales", visit=1, priority=0, skills={}, entered_at=left.at + 1)
    left.say("call.dequeued", 20, queue="sales", visit=1, result="abandoned")
    left.say("call.ended", 20, cause=16, side="caller", flow_result="")
    served = kit_story.answered(at=now - 300, caller="+62812")
    await keep(store, tmp_path, [*left.events, *served.events])
    found = await postgres_start.past(store, now)
    places = [(one.caller, one.queue, round(one.since - now), round(one.left_at - now)) for one in found.left]
    assert places == [("+62811", "sales", -99, -80)]
    assert [(agent, queue, calls, round(seconds)) for agent, queue, calls, seconds in found.handled] == [
        ("ann", "sales", 1, 38)
    ]
    back = kit_story.answered(at=now - 50, caller="+62811", seed=8)
    await keep(store, tmp_path / "later", back.events)
    assert not (await postgres_start.past(store, now)).left


async def test_who_left_again_left_the_place_that_he_had_and_who_waits_again_has_used_it(
    store: Store, tmp_path: Path
) -> None:
    now = time.time()
    left = kit_story.Story(now - 100, random.Random(7))
    left.say("call.arrived", 0, direction="inbound", caller="+62811", called="6000", node="main")
    left.say("call.queued", 1, queue="sales", visit=1, priority=0, skills={}, entered_at=left.at + 1)
    left.say("call.place_kept", 1, queue="sales", visit=1, since=left.at - 500, why="returned")
    left.say("call.dequeued", 20, queue="sales", visit=1, result="abandoned")
    left.say("call.ended", 20, cause=16, side="caller", flow_result="")
    await keep(store, tmp_path, left.events)
    found = (await postgres_start.past(store, now)).left
    assert [(one.queue, round(one.since - now), round(one.left_at - now)) for one in found] == [("sales", -600, -80)]
    back = kit_story.Story(now - 50, random.Random(8))
    back.say("call.arrived", 0, direction="inbound", caller="+62811", called="6000", node="main")
    back.say("call.queued", 1, queue="sales", visit=1, priority=0, skills={}, entered_at=back.at + 1)
    await keep(store, tmp_path / "later", back.events)
    assert not (await postgres_start.past(store, now)).left
