from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from kit_pg import Cluster

from cti.adapters.postgres_db import connect, load_queries
from cti.adapters.postgres_migrations import FOLDER, migrate, read_folder, status
from cti.errors import BadInput, CtiError, Unavailable

pytestmark = pytest.mark.services


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "migrations"))


async def test_each_file_is_applied_once_also_by_several_at_a_time(pg: Cluster) -> None:
    dsn = await pg.make_database()
    assert all(s.applied_at is None for s in await status(dsn))
    done = await asyncio.gather(*(migrate(dsn) for _ in range(4)))
    names = [m.name for m in read_folder()]
    assert sorted(map(len, done)) == [0, 0, 0, len(names)] and names in done
    assert all(s.applied_at for s in await status(dsn))


async def test_a_new_file_is_applied_to_a_database_in_use(dsn: str, folder: Path) -> None:
    number = len(read_folder()) + 1
    (folder / f"{number:04d}_more.sql").write_text("CREATE TABLE crm.more (x int);")
    assert await migrate(dsn, folder) == [f"{number:04d}_more.sql"]
    with pytest.raises(BadInput, match="newer than this program"):
        await migrate(dsn)


async def test_a_file_changed_after_it_was_applied_is_refused(dsn: str, folder: Path) -> None:
    path = next(folder.glob("0002*"))
    path.write_text(path.read_text() + "\n-- later thought\n")
    for act in (migrate, status):
        with pytest.raises(BadInput, match=r"0002_customers\.sql was changed") as refused:
            await act(dsn, folder)
        assert refused.value.code == "changed_migration"


async def test_a_file_that_fails_leaves_nothing(pg: Cluster, dsn: str, folder: Path) -> None:
    number = len(read_folder()) + 1
    bad = folder / f"{number:04d}_bad.sql"
    bad.write_text("CREATE TABLE crm.half (x int); SELECT 1/0;")
    with pytest.raises(CtiError, match=r"bad\.sql: division by zero"):
        await migrate(dsn, folder)
    bad.write_text("CREATE TABLE crm.half (x int);")
    assert await migrate(dsn, folder) == [bad.name]


async def test_what_was_said_before_a_table_was_there_is_in_it(pg: Cluster, folder: Path) -> None:
    later = [path for path in sorted(folder.glob("*.sql")) if path.name >= "0007"]
    texts = {path: path.read_text() for path in later}
    for path in later:
        path.unlink()
    dsn = await pg.make_database()
    await migrate(dsn, folder)
    link = await connect(dsn)
    await link.execute("""INSERT INTO crm.events (event_id, call_id, seq, at, type, queue, data) VALUES
        (1, '0190f6a0-0000-7000-8000-000000000000', 1, now(), 'callback.requested', 'sales', '{"number": "+62211"}'),
        (2, '0190f6a0-0000-7000-8000-000000000000', 2, now(), 'voicemail.left', NULL, '{"file": "a.wav", "seconds": 3}')
    """)
    for path, text in texts.items():
        path.write_text(text)
    await migrate(dsn, folder)
    assert tuple(await link.fetchrow("SELECT queue, number, state FROM crm.v_callbacks")) == ("sales", "+62211", "open")
    assert tuple(await link.fetchrow("SELECT file, seconds FROM crm.v_voicemails")) == ("a.wav", 3)
    await link.close()


def test_a_missing_number_is_refused(folder: Path) -> None:
    next(folder.glob("0002*")).unlink()
    with pytest.raises(BadInput, match="numbered"):
        read_folder(folder)


async def test_no_database_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await migrate(f"postgresql://cti@/cti?host={tmp_path}")


async def test_every_table_view_and_column_says_what_it_is(dsn: str) -> None:
    link = await connect(dsn)
    rows = await link.fetch("""
        SELECT c.relname, a.attname FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'crm'
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
          AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)""")
    await link.close()
    assert [tuple(row) for row in rows] == []


CONTRACT = {
    "v_calls": "call_id, story_id, direction, caller, caller_name, called, customer_id, flow, flow_version, queue, "
    "agent, started_at, queued_at, offered_at, connected_at, ended_at, wrapped_at, outcome, voicemail, hangup_side, "
    "hangup_cause, disposition, campaign, recordings, attributes",
    "v_queue_visits": "call_id, seq, queue, entered_at, left_at, result, agent, priority, skills",
    "v_offers": "call_id, visit_seq, queue, agent, offered_at, ended_at, result, decision",
    "v_call_events": "event_id, call_id, seq, at, type, agent, queue, data",
    "v_agent_states": "agent, wish, reason, work, call_id, since, until",
    "v_attempts": "attempt_id, campaign, lead_id, number, call_id, dialed_at, answered_at, agent_connected_at, result, "
    "abandoned",
    "v_recordings": "recording_id, call_id, agent, started_at, seconds, channels, bytes, sha256, paused_seconds, path",
    "v_orders": "order_id, reference, customer_id, status, due, amount, currency, updated_at",
    "v_callbacks": "callback_id, call_id, queue, number, entered, requested_at, state, customer_id, since, priority, "
    "skills, language, tries, not_before, last_result, ended_at, ended_by, served_call_id, asked_by",
    "v_survey_answers": "call_id, seq, survey, question, answer, agent, at",
    "v_voicemails": "call_id, seq, box, recording_id, file, seconds, at",
}


async def test_the_views_have_the_columns_others_rely_on(dsn: str) -> None:
    link = await connect(dsn)
    for view, columns in CONTRACT.items():
        found = await link.prepare(f"SELECT * FROM crm.{view}")
        assert ", ".join(a.name for a in found.get_attributes()) == columns
    await link.close()


def test_queries_are_read_by_name() -> None:
    assert load_queries("-- head\n-- name: a\n-- why\nSELECT 1\n\n-- name: b\nSELECT 2\n") == {
        "a": "-- why\nSELECT 1", "b": "SELECT 2",
    }  # fmt: skip
