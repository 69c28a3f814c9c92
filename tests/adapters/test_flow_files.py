from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from kit_sound import wav

from cti.__main__ import main
from cti.adapters.flow_files import (
    MAX_BYTES,
    MAX_TOTAL,
    Sources,
    check,
    content,
    load,
    read_folder,
    read_steady,
    recordings,
    scripts,
    watch,
)  # fmt: skip
from cti.core.ivr.sounds import MAX_SOUND
from cti.core.ivr.verbs import VERBS
from tests.kit_until import until

FLOW = """\
flow: t
language: en
start: a
nodes:
  a: {do: say, say: {en: "Welcome"}, then: b}
  b: {do: queue, queue: sales, answered: hangup, timeout: hangup}
"""
SHIPPED = Path(__file__).parents[2] / "ivr_flows"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "flows"
    here.mkdir()
    (here / "queues.yaml").write_text("queues: {sales: {}}\n")
    (here / "t.yaml").write_text(FLOW)
    return here


def told(folder: Path) -> list[str]:
    return [str(problem) for problem in check(folder)[1]]


# ---------------------------------------------------------------- the folder


def test_what_follows_from_bad_writing_is_not_told_again(folder: Path) -> None:
    (folder / "t.yaml").write_text(FLOW.replace("then: b", "then: on") + "  c: {do: say, then: 010}\n")
    assert [line.split(" ")[0] for line in told(folder)] == ["t.yaml:5:44:", "t.yaml:7:3:", "t.yaml:7:22:"]


def test_what_a_file_that_cannot_be_read_would_hold_is_not_missed(folder: Path) -> None:
    (folder / "queues.yaml").write_bytes(b"queues: {}\n# \xff\n")
    assert told(folder) == ["queues.yaml:2:1: not UTF-8 text (save the file as UTF-8)"]


def test_a_good_folder(folder: Path) -> None:
    book, problems = check(folder)
    assert problems == []
    assert book is not None and set(book.flows) == {"t"}


def test_byte_order_mark_and_windows_lines(folder: Path) -> None:
    (folder / "t.yaml").write_bytes(b"\xef\xbb\xbf" + FLOW.replace("\n", "\r\n").encode())
    assert told(folder) == []
    (folder / "t.yaml").write_bytes(FLOW.replace("\n", "\r\n").replace("queue: sales", "queue: x").encode())
    assert told(folder)[0].startswith("t.yaml:6:25: ")


def test_every_length_of_a_file_being_written_is_whole_or_refused(folder: Path) -> None:
    for length in range(len(FLOW)):
        (folder / "t.yaml").write_text(FLOW[:length])
        book, problems = check(folder)
        assert (book is None) == bool(problems)
        assert book is None or length >= len(FLOW.rstrip())


def test_only_regular_files_of_a_sane_size_are_read(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.yaml"
    outside.write_text(FLOW.replace("flow: t", "flow: secret"))
    (folder / "link.yaml").symlink_to(outside)
    (folder / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    (folder / "dir.yaml").mkdir()
    (folder / "big.yaml").write_text(FLOW + "# x\n" * (MAX_BYTES // 4))
    (folder / "latin.yaml").write_bytes(FLOW.encode() + b"# caf\xe9\n")
    (folder / "short.yml").write_text(FLOW)
    (folder / ".hidden.yaml").write_text("no: [")
    (folder / "t.test.yaml").write_text("no: [")
    (folder / "t.yaml~").write_text("no: [")
    os.mkfifo(folder / "pipe.yaml")
    begun = time.perf_counter()
    sources = read_folder(folder)
    assert time.perf_counter() - begun < 1
    assert sorted(sources.files) == ["queues.yaml", "t.test.yaml", "t.yaml"]
    assert [str(problem) for problem in sources.problems] == [
        "big.yaml: larger than a flow file may be (256 KiB)",
        "dangling.yaml: a link is not followed",
        "dir.yaml: not a regular file",
        "latin.yaml:7:1: not UTF-8 text (save the file as UTF-8)",
        "link.yaml: a link is not followed",
        "pipe.yaml: not a regular file",
        "short.yml: flow files end in .yaml (short.yaml)",
    ]
    assert load(sources)[0] is None


def test_scripts_and_tests_belong_to_a_version_and_are_no_flows(folder: Path, tmp_path: Path) -> None:
    (folder / "t.test.yaml").write_text("no: [")
    (folder / "scripts/deep").mkdir(parents=True)
    for name in ("due.py", ".due.py.swp", ".hidden.py", "notes.txt", "deep/other.py"):
        (folder / "scripts" / name).write_text("print('{}')")
    before = read_folder(folder)
    assert set(before.files) == {"queues.yaml", "t.yaml", "t.test.yaml", "scripts/due.py"}
    assert scripts(before.files) == {"due.py": "print('{}')"}
    assert load(before)[1] == []
    (folder / "scripts/due.py").write_text("print('[]')")
    after = read_folder(folder)
    assert after.digest != before.digest and content(after.files) != content(before.files)
    assert content(dict(reversed(after.files.items()))) == content(after.files)


def test_a_script_is_read_like_a_flow_file(folder: Path, tmp_path: Path) -> None:
    (folder / "scripts").mkdir()
    (folder / "scripts/big.py").write_text("#" * (MAX_BYTES + 1))
    (folder / "scripts/latin.py").write_bytes(b"\n# caf\xe9")
    (folder / "scripts/link.py").symlink_to("/etc/passwd")
    (folder / "scripts/new\nline.py").write_text("")
    (folder / "scripts/nul.py").write_text("one\ntwo\0")
    os.mkfifo(folder / "scripts/pipe.py")
    assert [str(problem) for problem in read_folder(folder).problems] == [
        "scripts/big.py: larger than a flow file may be (256 KiB)",
        "scripts/latin.py:2:1: not UTF-8 text (save the file as UTF-8)",
        "scripts/link.py: a link is not followed",
        "scripts/new\\u000aline.py: its name holds a control character (rename it, in plain letters a-z)",
        "scripts/nul.py:2:1: holds a NUL character (take it out)",
        "scripts/pipe.py: not a regular file",
    ]


def test_a_script_is_python(folder: Path) -> None:
    (folder / "scripts").mkdir()
    (folder / "scripts/odd.py").write_text("x = 1\nif x\n  print()\n")
    (folder / "scripts/deep.py").write_text("-" * 30_000 + "1")
    (folder / "scripts/chain.py").write_text("a." * 15_000 + "b")
    (folder / "scripts/good.py").write_bytes(b"\xef\xbb\xbfimport re\r\nprint('{}')\r\n")
    (folder / "scripts/coded.py").write_text("# coding: nosuch\n")
    assert [str(problem) for problem in read_folder(folder).problems] == [
        "scripts/chain.py: not Python: nested too deep",
        "scripts/coded.py:1:1: not Python: unknown encoding: nosuch",
        "scripts/deep.py: not Python: nested too deep",
        "scripts/odd.py:2:5: not Python: expected ':'",
    ]


def test_a_linked_scripts_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/due.py").write_text("print('{}')")
    (folder / "scripts").symlink_to(tmp_path / "elsewhere")
    sources = read_folder(folder)
    assert "scripts/due.py" not in sources.files and len(sources.problems) == 1


def test_a_version_knows_its_recordings(folder: Path) -> None:
    (folder / "prompts/en").mkdir(parents=True)
    (folder / "prompts/en/two  words.wav").write_bytes(wav())
    digest = hashlib.sha256(wav()).hexdigest()
    assert recordings(read_folder(folder).files) == {"prompts/en/two  words.wav": digest}
    assert recordings({}) == {}


async def test_a_folder_is_read_when_nobody_writes_to_it(folder: Path) -> None:
    async def write() -> None:
        for length in range(len(FLOW) + 1):
            (folder / "t.yaml").write_text(FLOW[:length])
            await asyncio.sleep(0.001)

    writing = asyncio.create_task(write())
    sources = await read_steady(folder, quiet=0.05)
    assert writing.done() and sources.files["t.yaml"] == FLOW


async def test_a_folder_that_never_rests_is_a_problem(folder: Path) -> None:
    async def write() -> None:
        for number in itertools.count():
            (folder / "t.yaml").write_text(f"{FLOW}# {number}")
            await asyncio.sleep(0.001)

    writing = asyncio.create_task(write())
    sources = await read_steady(folder, quiet=0.03, within=0.1)
    writing.cancel()
    assert sources.files == {} and "is being written to all the time" in str(sources.problems[0])


def test_a_folder_has_a_limit(folder: Path) -> None:
    for number in range(MAX_TOTAL // MAX_BYTES + 1):
        (folder / f"f{number:02}.yaml").write_text("#" * (MAX_BYTES - 1))
    assert any("the folder is larger than it may be" in str(problem) for problem in read_folder(folder).problems)


def test_no_folder(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in told(tmp_path / "nowhere")[0]


def test_one_file_is_checked_among_its_neighbours(folder: Path) -> None:
    (folder / "z.yaml").write_text("flow: [\n")
    assert check(folder / "t.yaml")[1] == []
    assert [problem.file for problem in check(folder / "z.yaml")[1]] == ["z.yaml"]
    (folder / "notes.txt").write_text("x")
    assert "not a .yaml file" in str(check(folder / "notes.txt")[1][0])


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 300 + ".yaml", "a/" * 3000])
def test_a_path_that_cannot_be_is_a_problem_and_no_traceback(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flow", "check", str(folder / name)]) == 1
    assert "cannot be read: File name too long" in capsys.readouterr().out
    assert main(["flow", "sim", "main", "--flows", str(folder / name)]) == 1


def test_a_file_that_the_server_would_not_read_is_not_called_good(folder: Path) -> None:
    for name in (".t.yaml", "t.test.yaml"):
        (folder / name).write_text("no: [")
        assert "not read: its name" in str(check(folder / name)[1][0])


def test_a_file_in_a_folder_that_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    assert [str(one) for one in check(folder / "t.yaml")[1]] == [f"{folder}: cannot be read: Permission denied"]


def test_a_version_from_elsewhere_is_the_same_book(folder: Path) -> None:
    book, problems = load(Sources(dict(read_folder(folder).files)), version=7)
    assert problems == []
    assert book is not None and book.version == 7


def test_recorded_prompts_are_looked_for(folder: Path) -> None:
    (folder / "t.yaml").write_text(FLOW.replace('say: {en: "Welcome"}', "play: welcome"))
    assert told(folder) == [
        "t.yaml:5:22: the prompt prompts/en/welcome.wav is missing"
        " (`cti flow prompts import` puts one there, or use `say`)"
    ]
    (folder / "prompts/en").mkdir(parents=True)
    before = read_folder(folder).digest
    (folder / "prompts/en/welcome.wav").write_bytes(wav())
    assert told(folder) == []
    assert read_folder(folder).digest != before
    (folder / "prompts/en/other.wav").symlink_to("/etc/passwd")
    assert read_folder(folder).sounds == {"prompts/en/welcome.wav": 2 / 8000}, "and how long it lasts"


def test_music_and_whispers_that_nobody_would_hear_are_noted_where_they_are_written(folder: Path) -> None:
    (folder / "t.yaml").write_text(FLOW.replace('do: say, say: {en: "Welcome"}', "do: queue, queue: sales"))
    (folder / "queues.yaml").write_text("queues:\n  sales:\n    music: gld\n    whisper: {play: long}\n")
    for name, sound in (("music/gold/one", wav()), ("prompts/en/long", wav(bytes(16_000 * 21)))):
        (folder / name).parent.mkdir(parents=True)
        (folder / f"{name}.wav").write_bytes(sound)
    (folder / "music/empty").mkdir()
    book, problems = check(folder)
    assert problems == [] and book is not None
    assert [str(one) for one in book.notes if one.file == "queues.yaml"] == [
        "queues.yaml:3:5: queue sales: no folder music/gld/ with WAV files, so the default music is heard, if Asterisk"
        " has no class of that name; there is `gold`",
        "queues.yaml:4:15: queue sales: prompts/en/long.wav lasts 21.0 s, as a whisper of at most 20 s it is left out",
    ]


def test_a_linked_prompts_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/en").mkdir(parents=True)
    (tmp_path / "elsewhere/en/welcome.wav").write_bytes(wav())
    (folder / "prompts").symlink_to(tmp_path / "elsewhere")
    assert read_folder(folder).sounds == {}
    (folder / "prompts").unlink()
    (folder / "prompts").mkdir()
    (folder / "prompts/en").symlink_to(tmp_path / "elsewhere/en")
    assert read_folder(folder).sounds == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not a WAV file"),
        (b"RIFF", "not a WAV file"),
        (b"ID3" + bytes(100), "not a WAV file"),
        (b"RIFX" + wav()[4:], "not a WAV file"),
        (wav()[:20], "not a WAV file: it does not say how it was recorded"),
        (wav(b""), "a WAV file without a sound in it"),
        (wav()[:44], "a WAV file without a sound in it"),
    ],
)
def test_a_recorded_prompt_must_be_one(folder: Path, content: bytes, problem: str) -> None:
    (folder / "t.yaml").write_text(FLOW.replace('say: {en: "Welcome"}', "play: welcome"))
    (folder / "prompts/en").mkdir(parents=True)
    (folder / "prompts/en/welcome.wav").write_bytes(content)
    assert f"prompts/en/welcome.wav: {problem} (record it anew, or save it as WAV)" in told(folder)
    assert check(folder / "t.yaml")[0] is None and check(folder / "t.yaml")[1]


def test_a_recorded_prompt_has_a_limit(folder: Path) -> None:
    (folder / "prompts/en").mkdir(parents=True)
    (folder / "prompts/en/welcome.wav").write_bytes(wav())
    os.truncate(folder / "prompts/en/welcome.wav", MAX_SOUND + 1)
    assert told(folder) == ["prompts/en/welcome.wav: larger than a recorded prompt may be (20 MiB)"]


def test_a_name_that_is_not_utf_8_is_a_problem(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "prompts/en").mkdir(parents=True)
    for name in (b"caf\xe9.yaml", b"prompts/en/na\xefve.wav"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_text(FLOW)
    assert told(folder) == [
        "caf\\xe9.yaml: its name is not UTF-8 (rename it, in plain letters a-z)",
        "prompts/en/na\\xefve.wav: its name is not UTF-8 (rename it, in plain letters a-z)",
    ]
    assert check(folder / os.fsdecode(b"caf\xe9.yaml"))[1]
    assert main(["flow", "check", str(folder)]) == 1
    assert "its name is not UTF-8" in capsys.readouterr().out


def test_what_editors_leave_beside_a_file_is_not_read(folder: Path) -> None:
    (folder / "prompts/en").mkdir(parents=True)
    before = read_folder(folder)
    for name in (".t.yaml.swp", ".t.yaml", "prompts/en/.x.wav", "prompts/en/.\udcff.wav"):
        (folder / name).write_text("no: [")
    assert read_folder(folder) == before


def test_a_prompt_recorded_anew_is_a_change_and_a_touched_one_is_none(folder: Path) -> None:
    file = folder / "prompts/en/welcome.wav"
    file.parent.mkdir(parents=True)
    file.write_bytes(wav(b"one_"))
    first = read_folder(folder)
    os.utime(file, (1, 1))
    assert read_folder(folder) == first
    file.write_bytes(wav(b"two_"))
    second = read_folder(folder)
    assert second.files != first.files and second.digest != first.digest


# ---------------------------------------------------------------- watching


@contextlib.asynccontextmanager
async def watching(folder: Path, live: str = "") -> AsyncIterator[Callable[[], list[Sources]]]:
    seen: list[Sources] = []

    async def changed(sources: Sources) -> None:
        seen.append(sources)

    task = asyncio.create_task(watch(folder, changed, live=live, every=0.02))
    try:
        yield lambda: seen
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_every_new_content_is_told_once(folder: Path) -> None:
    async with watching(folder, live=read_folder(folder).digest) as seen:
        os.utime(folder / "t.yaml", (1, 1))  # touched, not changed
        (folder / "t.yaml").write_text(FLOW + "# new\n")
        await until(lambda: bool(seen()))
        assert seen()[0].files["t.yaml"].endswith("# new\n")
        (folder / "u.yaml").write_text("broken: [\n")
        await until(lambda: len(seen()) == 2)
        assert load(seen()[1])[0] is None
        (folder / "u.yaml").unlink()
        await until(lambda: len(seen()) == 3)
        assert load(seen()[2])[0] is not None


async def test_what_is_there_at_first_is_told_and_a_pipe_or_a_missing_folder_does_not_stop_it(folder: Path) -> None:
    os.mkfifo(folder / "p.yaml")
    async with watching(folder) as seen:
        await until(lambda: len(seen()) == 1)
        folder.rename(folder.with_name("away"))
        await until(lambda: len(seen()) == 2)
        assert seen()[1].files == {}
        folder.with_name("away").rename(folder)
        await until(lambda: len(seen()) == 3)


async def test_a_storm_of_renames_ends_in_the_last_file_and_never_shows_half(folder: Path) -> None:
    texts = [FLOW, FLOW.replace("Welcome", "Good day")]

    def storm() -> None:
        for turn in range(500):
            new = folder / ".t.yaml.new"
            new.write_text(texts[turn % 2])
            new.rename(folder / "t.yaml")

    async with watching(folder) as seen:
        await asyncio.to_thread(storm)
        await until(lambda: bool(seen()) and seen()[-1].files["t.yaml"] == texts[1])
        assert all(sources.files["t.yaml"] in texts and not sources.problems for sources in seen())


async def test_a_file_written_slowly_is_waited_for(folder: Path) -> None:
    def write() -> None:
        with (folder / "t.yaml").open("w") as file:
            for char in FLOW.replace("Welcome", "Slow"):
                file.write(char)
                file.flush()

    async with watching(folder, live=read_folder(folder).digest) as seen:
        await asyncio.to_thread(write)
        await until(lambda: bool(seen()))
        assert "Slow" in seen()[-1].files["t.yaml"]


# ---------------------------------------------------------------- the command line


def test_cti_flow_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "check", str(folder)]) == 0
    assert "flows: 1" in capsys.readouterr().out
    (folder / "t.yaml").write_text(FLOW.replace("then: b", "then: c"))
    assert main(["flow", "check", str(folder)]) == 1
    assert capsys.readouterr().out == (
        "t.yaml:5:44: target `c` is no node (known: a, b, hangup, repeat, return)\n"
    )
    assert main(["flow", "check", "--json", str(folder)]) == 1
    assert '"line": 5' in capsys.readouterr().out


def test_cti_flow_check_tells_what_is_not_acted_on_yet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "queues.yaml").write_text("queues: {sales: {recording: on_demand}}\n")
    assert main(["flow", "check", str(folder)]) == 0
    note = "queues.yaml:1:18: queue sales: `recording: on_demand` is not acted on yet"
    assert capsys.readouterr().out == f"note: {note}\nok; flows: 1, queues: 1, numbers: 0\n"
    assert main(["flow", "check", "--json", str(folder)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] and said["notes"][0]["message"] == note.split(": ", 1)[1]
    assert main(["flow", "check", str(folder / "t.yaml")]) == 0
    assert "note" not in capsys.readouterr().out


def test_cti_flow_sim_and_draw(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    keys = iter(["", "1", "timeout", "", ""])  # who presses nothing when nobody is there is told so
    monkeypatch.setattr("builtins.input", lambda _: next(keys))
    assert main(["flow", "sim", "main", "--flows", str(SHIPPED), "--customer", "tier=vip", "--language", "id"]) == 0
    heard = capsys.readouterr().out
    assert "Selamat datang" in heard and "queue sales, priority 10" in heard and "flow_ended" in heard
    assert main(["flow", "draw", "main", "--flows", str(SHIPPED)]) == 0
    assert 'n_menu -->|"1"| n_sales' in capsys.readouterr().out
    assert main(["flow", "draw", "other", "--flows", str(SHIPPED)]) == 1
    assert main(["flow", "schema"]) == 0


def test_the_caller_in_the_terminal_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    assert main(["flow", "sim", "main", "--flows", str(SHIPPED)]) == 0


def test_the_examples_of_the_manual_are_good() -> None:
    manual = (SHIPPED.parent / "docs/flows.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)
    words = {"main": "flow:", "numbers": "numbers:", "queues": "queues:", "calendars": "calendars:"}
    files = {f"{name}.yaml": next(b for b in blocks if word in b) for name, word in words.items()}
    assert load(Sources(files))[1] == []
    for verb in VERBS:
        assert f"| `{verb}` |" in manual


def test_the_shipped_flows(capsys: pytest.CaptureFixture[str]) -> None:
    book, problems = check(SHIPPED)
    assert problems == []
    assert book is not None
    assert book.flow_for("6000") == ("main", "en")
    assert book.flow_for("6001") == ("main", "id")
    assert book.flow_for("6002") == ("main", "zh")
    assert {"sales", "support"} <= set(book.queues)
    for node in book.flows["main"].nodes.values():
        speech = getattr(node.spec, "speech", None)
        assert speech is None or set(speech.texts) == {"en", "zh", "id"}, node.id
    assert main(["queue", "list"]) == 0
    assert "sales" in capsys.readouterr().out
    assert main(["queue", "list", "--json"]) == 0
