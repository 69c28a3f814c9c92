"""Versions of the flows folder on a real PostgreSQL: one live, one canary at most, whoever changes them at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cti.adapters.postgres import Store
from cti.errors import BadInput, CtiError, Refused

pytestmark = pytest.mark.services
A, B, C = ({"main.yaml": text} for text in ("a: 1", "王", "c: 3"))


async def serves(store: Store) -> tuple[int, int, int]:
    """live, canary, share; 0: none."""
    live, canary = await store.serving_flows()
    return live["version"] if live else 0, canary["version"] if canary else 0, canary["share"] if canary else 0


async def published(store: Store, *versions: Any) -> None:
    for files in versions:
        await store.publish_flows(files, "ann")


async def code_of(doing: Any) -> str:
    with pytest.raises(CtiError) as raised:
        await doing
    return raised.value.code


async def test_versions_are_numbered_and_the_last_one_is_live(store: Store) -> None:
    assert await serves(store) == (0, 0, 0)
    assert await store.publish_flows(A, "ann", "first") == {"version": 1, "share": 100}
    assert await store.publish_flows(B, "ben") == {"version": 2, "share": 100}
    assert await serves(store) == (2, 0, 0)
    assert await store.load_flows(2) == B and await store.load_flows(1) == A and await store.load_flows(9) is None
    live, _ = await store.serving_flows()
    assert live is not None and (live["published_by"], live["share"]) == ("ben", 100)
    assert live["published_at"].endswith("Z")


async def test_the_same_files_are_not_published_again(store: Store) -> None:
    await published(store, A)
    assert await code_of(store.publish_flows(dict(A), "ann")) == "unchanged"
    assert await code_of(store.publish_flows(dict(A), "ann", "", 10)) == "unchanged"
    await published(store, B, A)  # but an earlier version's are
    assert await serves(store) == (3, 0, 0)


async def test_a_rollback_goes_back_step_by_step(store: Store) -> None:
    assert await code_of(store.rollback_flows(None, "ann")) == "no_earlier"
    await published(store, A, B, C)
    assert await store.rollback_flows(None, "ann") == {"live": 2, "withdrawn": [3]}
    assert await store.rollback_flows(None, "ann") == {"live": 1, "withdrawn": [2]}
    assert await code_of(store.rollback_flows(None, "ann")) == "no_earlier"
    await store.publish_flows({"main.yaml": "d"}, "ann")
    assert await store.rollback_flows(None, "ann") == {"live": 1, "withdrawn": [4]}, "what was taken back stays so"
    assert await store.rollback_flows(3, "ann") == {"live": 3, "withdrawn": [1]}
    assert await serves(store) == (3, 0, 0)
    for version, code in ((3, "unchanged"), (9, "no_version"), (0, "no_version"), (-1, "no_version"),
                          (2**40, "no_version")):  # fmt: skip
        assert await code_of(store.rollback_flows(version, "ann")) == code
    assert await serves(store) == (3, 0, 0)


async def test_what_was_rolled_back_is_published_again_only_by_a_person(store: Store) -> None:
    await published(store, A, B)
    await store.rollback_flows(None, "ann")
    assert await code_of(store.publish_flows(B, "auto", "", None)) == "rolled_back"
    assert await store.publish_flows(B, "ann") == {"version": 3, "share": 100}
    await published(store, C)
    assert (await store.publish_flows(B, "auto", "", None))["version"] == 5, "it was wanted after that"


async def test_a_canary_grows_and_becomes_the_live_one(store: Store) -> None:
    assert await code_of(store.publish_flows(A, "ann", "", 10)) == "no_live"
    await published(store, A)
    assert await store.publish_flows(B, "ann", "try it", 10) == {"version": 2, "share": 10}
    assert await serves(store) == (1, 2, 10)
    assert await code_of(store.publish_flows(B, "ann", "", 10)) == "unchanged"
    assert await code_of(store.share_flows(2, 10, "ann")) == "unchanged"
    assert await store.share_flows(2, 99, "ann") == {"version": 2, "share": 99}
    assert await serves(store) == (1, 2, 99)
    assert await store.share_flows(2, 100, "ann") == {"version": 2, "share": 100}
    assert await serves(store) == (2, 0, 0)
    assert await store.rollback_flows(None, "ann") == {"live": 1, "withdrawn": [2]}


async def test_publishing_the_files_of_the_canary_only_changes_its_share(store: Store) -> None:
    await published(store, A)
    await store.publish_flows(B, "ann", "", 10)
    assert await store.publish_flows(B, "ann", "", 20) == {"version": 2, "share": 20}
    assert await code_of(store.publish_flows(B, "auto", "", None)) == "unchanged"
    assert await store.publish_flows(B, "ann") == {"version": 2, "share": 100}
    assert await serves(store) == (2, 0, 0)


async def test_there_is_one_canary_and_a_folder_that_publishes_itself_takes_its_share(store: Store) -> None:
    await published(store, A)
    await store.publish_flows(B, "ann", "", 10)
    assert await store.publish_flows(C, "auto", "", None) == {"version": 3, "share": 10}
    assert await serves(store) == (1, 3, 10)
    await store.share_flows(2, 30, "ann")
    assert await serves(store) == (1, 2, 30)
    await store.publish_flows({"main.yaml": "d"}, "ann")
    assert await serves(store) == (4, 0, 0), "a version that became live later ends it"


@pytest.mark.parametrize("how", ["share 0", "rollback", "rollback to the live one"])
async def test_a_canary_is_withdrawn(store: Store, how: str) -> None:
    await published(store, A)
    await store.publish_flows(B, "ann", "", 10)
    if how == "share 0":
        await store.share_flows(2, 0, "ann")
    else:
        done = await store.rollback_flows(None if how == "rollback" else 1, "ann")
        assert done == {"live": 1, "withdrawn": [2]}
    assert await serves(store) == (1, 0, 0)
    assert await code_of(store.publish_flows(B, "auto", "", None)) == "rolled_back"


@pytest.mark.parametrize(("version", "percent", "code"), [
    (1, 10, "is_live"), (1, 0, "is_live"), (1, 100, "unchanged"), (2, 0, "unchanged"), (9, 10, "no_version"),
    (2, -1, "bad_share"), (2, 101, "bad_share"),
])  # fmt: skip
async def test_shares_that_cannot_be(store: Store, version: int, percent: int, code: str) -> None:
    await published(store, B, A)
    await store.rollback_flows(1, "ann")
    assert await code_of(store.share_flows(version, percent, "ann")) == code
    for share in (0, 101, -5):
        with pytest.raises(BadInput):
            await store.publish_flows(C, "ann", "", share)
    assert await serves(store) == (1, 0, 0)


async def test_history_tells_what_serves_and_how_many_calls_it_served(store: Store) -> None:
    await published(store, A, B)
    await store.publish_flows(C, "ben", "try", 10)
    await store.rollback_flows(1, "ann")
    async with store.db.link() as link:
        for version in (1, 2, 2, None):
            await link.execute(
                "INSERT INTO crm.calls (call_id, story_id, direction, started_at, flow_version, voicemail, recordings,"
                " attributes, finished) VALUES (gen_random_uuid(), gen_random_uuid(), 'inbound', now(), $1, false, 0,"
                " '{}', true)", version,
            )  # fmt: skip
    rows = await store.flow_history()
    told = [(r["version"], r["live"], r["share"], r["rolled_back_at"] is None, r["calls"], r["note"]) for r in rows]
    assert told == [(3, False, 0, False, 0, "try"), (2, False, 0, False, 2, ""), (1, True, 0, True, 1, "")]
    assert len(await store.flow_history(2)) == 2


async def test_every_change_is_audited(store: Store) -> None:
    await store.publish_flows(A, "ann", "first\0", actor="cli:ann")
    await store.publish_flows(B, "ann", "", 10)
    await store.share_flows(2, 20, "ben")
    await store.rollback_flows(None, "eve")
    with pytest.raises(Refused):
        await store.rollback_flows(None, "eve")
    rows = await _audit(store)
    assert rows == [
        ("cli:ann", "flows.published", "1", {"note": "first\ufffd", "share": 100}),
        ("ann", "flows.published", "2", {"note": "", "share": 10}),
        ("ben", "flows.shared", "2", {"share": 20}),
        ("eve", "flows.rolled_back", "1", {"withdrawn": [2]}),
    ]


async def _audit(store: Store) -> list[tuple[Any, ...]]:
    async with store.db.link() as link:
        rows = await link.fetch("SELECT actor, action, object, detail FROM crm.audit ORDER BY audit_id")
    return [tuple(row) for row in rows]


async def test_publishers_at_the_same_time_publish_one_after_the_other(store: Store, dsn: str) -> None:
    other = await Store.open(dsn)
    await published(store, A)

    async def one(number: int) -> str:
        kept = (store, other)[number % 2]
        try:
            match number % 4:
                case 0 | 1:
                    await kept.publish_flows({"main.yaml": f"n: {number // 2}"}, "ann", "", 100 if number % 3 else 10)
                case 2:
                    await kept.rollback_flows(None, "ann")
                case 3:
                    await kept.publish_flows({"main.yaml": f"n: {number}"}, "auto", "", None)
        except (Refused, BadInput) as error:
            return error.code
        return ""

    codes = await asyncio.gather(*(one(number) for number in range(80)))
    live, canary, share = await serves(store)
    assert live and live != canary and (share > 0) == (canary > 0)
    rows = await store.flow_history(200)
    assert sum(row["live"] for row in rows) == 1
    assert [row["version"] for row in rows] == list(range(len(rows), 0, -1)), "no number is lost or doubled"
    assert codes.count("") == len(await _audit(store)) - 1
    await other.close()


async def test_a_change_is_told_and_what_was_missed_before_the_first_look_too(store: Store, dsn: str) -> None:
    other, seen = await Store.open(dsn), asyncio.Event()
    watching = asyncio.create_task(store.watch_flows(seen.set))
    for change in (None, A, B):
        if change is not None:
            await other.publish_flows(change, "ann")
        async with asyncio.timeout(1 if change else 5):
            await seen.wait()
        await asyncio.sleep(0.1)  # told twice is once
        seen.clear()
    watching.cancel()
    await other.close()


