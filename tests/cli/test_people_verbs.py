"""The verbs on people, calls, recordings and the schema, as a person types them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import kit_story
import msgspec
import pytest
from kit_cli import Cti, ask
from kit_pg import Cluster

from cti.adapters.journal import Journal
from cti.adapters.postgres import Store
from cti.embedded import supervisor

pytestmark = pytest.mark.services


def keep(dsn: str, folder: Path, events: list[Any]) -> None:
    journal = Journal.open(folder / "journal")
    journal.append(events)
    ask(dsn, lambda store: store.catch_up(journal))
    journal.close()


def test_a_user_is_added_with_everything(cti: Cti, dsn: str) -> None:
    code, out, _ = cti("user", "add", "ann", "--role", "agent", "--password-stdin", "--name", "安妮", "--station",
                       "2001", "--skill", "english=3", "dutch=1", stdin="correct horse\n")  # fmt: skip
    assert (code, out) == (0, "added agent ann\n")
    ((agent,), (station,)) = ask(dsn, lambda store: store.load_people())
    assert (agent.name, agent.station, agent.skills) == ("安妮", "2001", {"english": 3, "dutch": 1})
    code, out, _ = cti("station", "secret", "2001")
    assert code == 0 and out.split()[-1] == station.secret and len(station.secret) >= 20
    assert "correct horse" not in cti("user", "list")[1] + cti("user", "list", "--json")[1]
    assert json.loads(cti("user", "list", "--json")[1])[0]["skills"] == {"english": 3, "dutch": 1}
    assert "安妮" in cti("agent", "list")[1] and "2001" in cti("station", "list")[1]


def test_names_of_every_script_are_names(cti: Cti) -> None:
    for n, name in enumerate(("O'Neil-王 小明", "محمد", "क्‍ष", "李\u3000明")):
        assert cti("user", "add", f"u{n}", "--role", "agent", "--name", name)[0] == 0
        assert json.loads(cti("user", "list", "--json")[1])[n]["display_name"] == name


def test_skills_change_and_go(cti: Cti, dsn: str) -> None:
    cti("user", "add", "ann", "--role", "agent", "--skill", "english=3")
    assert cti("agent", "skill", "ann", "english=0", "dutch=9")[0] == 0
    assert ask(dsn, lambda store: store.load_people())[0][0].skills == {"dutch": 9}


def test_a_token_is_the_last_word_and_works(cti: Cti, dsn: str) -> None:
    cti("user", "add", "ann", "--role", "admin")
    code, out, _ = cti("user", "token", "ann", "--days", "7")
    token = out.split()[-1]
    found = ask(dsn, lambda store: store.token_user(hashlib.sha256(token.encode()).digest()))
    assert code == 0 and found.name == "ann" and found.role == "admin"
    cti("user", "disable", "ann")
    assert ask(dsn, lambda store: store.token_user(hashlib.sha256(token.encode()).digest())) is None


def test_tokens_are_revoked_at_once_and_only_his(cti: Cti, dsn: str) -> None:
    tokens = {}
    for name in ("ann", "bob"):
        cti("user", "add", name, "--role", "admin")
        tokens[name] = hashlib.sha256(cti("user", "token", name)[1].split()[-1].encode()).digest()
    assert cti("user", "token", "ann", "--revoke")[:2] == (0, "all tokens of ann are revoked\n")
    assert ask(dsn, lambda store: store.token_user(tokens["ann"])) is None
    assert ask(dsn, lambda store: store.token_user(tokens["bob"])).name == "bob"
    assert cti("user", "token", "nobody", "--revoke")[0] == 1
    assert cti("user", "token", "ann", "--revoke", "--days", "3")[0] == 2


def test_a_new_secret_replaces_the_old_one(cti: Cti) -> None:
    cti("user", "add", "ann", "--role", "agent", "--station", "2001")
    old, new = cti("station", "secret", "2001")[1].split()[-1], cti("station", "secret", "2001", "--new")[1].split()[-1]
    assert old != new == cti("station", "secret", "2001")[1].split()[-1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("user", "add", "a b", "--role", "agent"), 2, "name 'a b'"),
        (("user", "add", "ann", "--role", "god"), 2, "invalid choice"),
        (("user", "add", "ann", "--role", "agent", "--skill", "english"), 2, "english=3"),
        (("user", "add", "ann", "--role", "agent", "--skill", "english=99"), 2, "1 to 9"),
        (("user", "add", "ann", "--role", "agent", "--station", "x"), 2, "digits"),
        (("user", "add", "ann", "--role", "agent", "--password-stdin"), 2, "no password was given"),
        (("user", "add", "ann", "--role", "agent", "--name", "a\nb\x1b[2J"), 2, r"'a\nb\x1b[2J': U+000A is no"),
        (("user", "add", "ann", "--role", "agent", "--name", "a\u202eb"), 2, "U+202E"),
        (("user", "add", "ann", "--role", "agent", "--name", "a\udcff"), 2, "U+DCFF"),
        (("user", "token", "nobody"), 1, "no user nobody"),
        (("user", "token", "nobody", "--days", "0"), 2, "--days"),
        (("user", "disable", "nobody"), 1, "no user nobody"),
        (("station", "secret", "9999"), 1, "no station 9999"),
        (("agent", "skill", "nobody", "english=1"), 1, "no user nobody"),
        (("call", "show", "x"), 2, "id"),
        (("call", "show", "00000000-0000-7000-8000-000000000000"), 1, "no call"),
        (("call", "list", "--since", "yesterday"), 2, "no time"),
        (("call", "list", "--outcome", "bogus"), 2, "'bogus': it is one of abandoned, answered, busy, "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(cti: Cti, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = cti(*words)
    assert found == code and said in err and out == ""
    assert "Traceback" not in err


def test_a_name_is_not_used_again(cti: Cti) -> None:
    cti("user", "add", "ann", "--role", "agent")
    code, _, err = cti("user", "add", "Ann", "--role", "agent")
    assert code == 1 and "not used again" in err


def test_no_database_is_exit_3(cti: Cti, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("CTI_POSTGRES__DSN", f"postgresql://cti@/cti?host={tmp_path}")
    for words in (("user", "list"), ("db", "status"), ("db", "migrate"), ("call", "list")):
        code, _, err = cti(*words)
        assert code == 3 and err.startswith("cti: ") and err.count("\n") == 1


def test_a_home_that_is_stopped_is_told_as_that(cti: Cti, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("CTI_POSTGRES__DSN")
    home = tmp_path / "home"
    said = f"cti: the home {home} is not running: start `cti up --home {home}`\n"
    for words in (("user", "list"), ("db", "status"), ("db", "migrate"), ("call", "list"), ("recording", "verify")):
        assert cti(*words) == (3, "", said)
    (home / "pids").mkdir(parents=True)
    mark = supervisor.mark_of(os.getpid())
    (home / "pids/server.json").write_bytes(msgspec.json.encode(mark))
    assert cti("call", "list")[2].startswith("cti: cannot use PostgreSQL: "), "it runs, its database does not"


def without_terminal(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """A verb where nobody can be asked: (exit code, standard output, standard error)."""
    argv = [sys.executable, "-m", "cti", *words]
    done = subprocess.run(argv, input=stdin, capture_output=True, start_new_session=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_password_that_is_not_given_is_one_line(cti: Cti) -> None:
    cti("user", "add", "ann", "--role", "agent")
    nothing = (2, "", "cti: no password was given: standard input is at its end\n")
    assert without_terminal("user", "passwd", "ann") == nothing
    assert without_terminal("user", "passwd", "ann", "--password-stdin") == nothing
    assert without_terminal("user", "add", "bob", "--role", "agent", "--password-stdin") == nothing
    for short in ("\n", "1234567\n"):
        code, _, err = cti("user", "add", "bob", "--role", "agent", "--password-stdin", stdin=short)
        assert code == 2 and "8 to 256" in err
    assert "bob" not in cti("user", "list")[1]
    changed = without_terminal("user", "passwd", "ann", stdin=b"correct horse\ncorrect horse\n")
    assert changed == (0, "password of ann changed\n", "")
    code, _, err = without_terminal("user", "passwd", "ann", "--password-stdin", stdin=b"\xff" * 12 + b"\n")
    assert (code, err) == (2, "cti: the password is not valid UTF-8\n")


def test_no_password_is_asked_for_a_user_who_is_not_there(cti: Cti, monkeypatch: Any) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _: pytest.fail("it must not ask"))
    cti("user", "add", "bob", "--role", "agent")
    cti("user", "disable", "bob")
    for name in ("nobody", "bob"):
        code, _, err = cti("user", "passwd", name)
        assert (code, err) == (1, f"cti: there is no user {name}, or he is disabled\n")


def test_the_schema(cti: Cti, pg: Cluster, monkeypatch: Any) -> None:
    monkeypatch.setenv("CTI_POSTGRES__DSN", pg.database())
    code, _, err = cti("user", "list")
    assert code == 3 and "cti db migrate" in err
    assert cti("db", "status")[0] == 1
    assert "applied 0001_people.sql" in cti("db", "migrate")[1]
    assert cti("db", "migrate") == (0, "the schema is up to date\n", "")
    code, out, _ = cti("db", "status", "--json")
    assert code == 0 and all(row["applied_at"] for row in json.loads(out))


def test_the_story_of_a_call(cti: Cti, dsn: str, tmp_path: Path) -> None:
    cti("user", "add", "ann", "--role", "agent", "--name", "Ann Lee")
    at = 1_700_000_000.0  # 2023-11-15 05:13:20 in Jakarta
    story = kit_story.answered(at)
    keep(dsn, tmp_path, story.events)
    code, out, _ = cti("call", "show", story.call)
    lines = out.splitlines()
    assert code == 0
    assert lines[1:4] == [
        '  +6281234567890 "王小明" called 6000',
        "  Wednesday 15 November 2023 05:13:20 WIB, lasted 50.5 s",
        "  Outcome: answered, waited 16.5 s, ended by the caller, cause 16, disposition sold",
    ]
    for line in ("05:13:20.500     +0.500  waits in queue sales, priority 3, needs english 1",
                 "05:13:35.600    +15.600  zoe did not pick up (no_answer)",
                 "05:13:37.000    +17.000  talks to Ann Lee (ann)",
                 "05:14:07.000    +47.000  conversation with Ann Lee (ann) ended by the agent"):  # fmt: skip
        assert line in lines
    assert cti("call", "show", story.call[:13])[1] == out
    assert json.loads(cti("call", "show", story.call, "--json")[1])["call_id"] == story.call
    assert story.call in cti("call", "list")[1]
    assert [c["call_id"] for c in json.loads(cti("call", "list", "--json", "--agent", "ann")[1])] == [story.call]
    assert cti("call", "list", "--since", "1h", "--json")[1] == "[]\n"
    assert story.call in cti("call", "list", "--outcome", "answered")[1]
    assert story.call not in cti("call", "list", "--outcome", "abandoned")[1]


def test_times_for_people_are_the_sites_and_say_so(cti: Cti, dsn: str, tmp_path: Path) -> None:
    story = kit_story.answered(1_700_000_000.0)  # 2023-11-15 05:13:20 in Jakarta, the day before in UTC
    keep(dsn, tmp_path, story.events)
    for noun, at in (("call", "2023-11-15 05:13:20"), ("recording", "2023-11-15 05:13:37")):
        head, row = cti(noun, "list")[1].splitlines()
        assert head.startswith("started (Asia/Jakarta)  ") and row.startswith(at + " ")
        assert json.loads(cti(noun, "list", "--json")[1])[0]["started_at"].startswith("2023-11-14T22:13:")
    head, row = cti("db", "status")[1].splitlines()[:2]
    applied = json.loads(cti("db", "status", "--json")[1])[0]["applied_at"]
    here = datetime.fromisoformat(applied).astimezone(ZoneInfo("Asia/Jakarta"))
    assert head.endswith("applied (Asia/Jakarta)") and row.endswith(f" {here:%Y-%m-%d %H:%M:%S}")
    assert applied.endswith("+00:00")
    assert story.call in cti("call", "list", "--since", "2023-11-15T05:13")[1]
    assert story.call in cti("call", "list", "--since", "2023-11-14T22:13Z")[1]
    assert story.call not in cti("call", "list", "--since", "2023-11-15T05:14")[1]


def test_the_tail_says_the_sites_time_with_its_offset(cti: Cti, dsn: str, tmp_path: Path) -> None:
    story = kit_story.Story(time.time(), random.Random(1))
    story.say("call.arrived", 0, caller="+62811", called="6000")
    keep(dsn, tmp_path, story.events)
    line = cti("call", "tail", "--once")[1].split()
    assert line[1].endswith("+07:00") and "T" not in line[0]
    assert json.loads(cti("call", "tail", "--once", "--json")[1])["at"].endswith("Z")


def test_what_a_caller_sends_does_not_reach_the_terminal(cti: Cti, dsn: str, tmp_path: Path) -> None:
    story = kit_story.Story(time.time(), random.Random(1))
    story.say("call.arrived", 0, caller="+62811", caller_name="\x1b]0;pwn\x07\x1b[2J\u202e", called="6000")
    story.say("call.strange", 1, text="\x1b[2J")
    keep(dsn, tmp_path, story.events)
    for words in (("call", "show", story.call), ("call", "list"), ("call", "tail", "--once")):
        out = cti(*words)[1]
        assert "6000" in out and not {"\x1b", "\x07", "\u202e"} & set(out)


def test_recordings_are_compared_with_their_files(cti: Cti, dsn: str, tmp_path: Path) -> None:
    root, sound = tmp_path / "home" / "recordings", b"RIFF" * 100
    stories = [kit_story.answered(seed=n) for n in range(4)]
    for n, story in enumerate(stories):
        data = story.events[-1].data
        data |= {"bytes": len(sound), "sha256": hashlib.sha256(sound).hexdigest(), "path": f"{n}.wav"}
        (root / str(data["path"])).parent.mkdir(parents=True, exist_ok=True)
        (root / str(data["path"])).write_bytes(sound)
    stories[3].events[-1].data["path"] = "../../etc/passwd"
    keep(dsn, tmp_path, [e for s in stories[:3] for e in s.events])
    assert cti("recording", "verify")[:2] == (0, "3 good, 0 bad\n")
    (root / "0.wav").unlink()
    (root / "1.wav").write_bytes(sound[:-1] + b"X")
    keep(dsn, tmp_path, stories[3].events)
    code, out, _ = cti("recording", "verify")
    assert code == 1 and out.endswith("1 good, 3 bad\n")
    assert "is missing: 0.wav" in out and "was changed: 1.wav" in out and "outside" in out
    assert len(json.loads(cti("recording", "list", "--json")[1])) == 4
    message = kit_story.wishes(time.time())
    message.say("recording.stopped", 20, recording_id="r1", path="r1.wav", bytes=9, seconds=7.5, channels=1)
    keep(dsn, tmp_path, message.events)
    assert "(caller)" in cti("recording", "list")[1]


def test_a_recording_without_sound_is_no_damaged_one(cti: Cti, dsn: str, tmp_path: Path) -> None:
    story = kit_story.answered()
    data = story.events[-1].data
    data |= {"bytes": 0, "sha256": "", "path": ""}
    keep(dsn, tmp_path, story.events)
    name = data["recording_id"]
    assert cti("recording", "verify")[:2] == (0, f"{name}: no sound was sent\n0 good, 0 bad, 1 without sound\n")
    (tmp_path / "home/recordings/spool").mkdir(parents=True)
    (tmp_path / f"home/recordings/spool/{name}.json").touch()  # what a failed one leaves
    code, out, _ = cti("recording", "verify")
    assert code == 1 and f"{name}: is not finished, " in out and out.endswith("0 good, 1 bad\n") and ": \n" not in out
    code, out, _ = cti("recording", "verify", "--json")
    found = json.loads(out)
    assert (code, found["good"], found["bad"], found["silent"]) == (1, 0, 1, 0)
    assert (found["recordings"][0]["recording_id"], found["recordings"][0]["verdict"]) == (name, "bad")


def test_rows_can_be_computed_again(cti: Cti, dsn: str, tmp_path: Path) -> None:
    story = kit_story.answered()
    keep(dsn, tmp_path, story.events)
    before = ask(dsn, lambda store: store.get_call(story.call))

    async def spoil(store: Store) -> None:
        async with store.db.link() as link:
            await link.execute("UPDATE crm.calls SET agent = 'x'; DELETE FROM crm.queue_visits; DELETE FROM crm.offers")

    ask(dsn, spoil)
    assert cti("db", "refold")[:2] == (0, "1 calls computed again\n")
    assert ask(dsn, lambda store: store.get_call(story.call)) == before
