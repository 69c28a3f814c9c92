"""Scripts of flows: real processes, also those that do not want to end."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from cti.adapters.tasks import MASK, MOST, Fault, Tasks
from cti.adapters.tasks_script import AT_ONCE, Scripts
from cti.core.messages import RunTask

FILES = {
    "echo.py": "import json, sys; print(json.dumps(json.load(sys.stdin)))",
    "outcome.py": "print('{\"outcome\": \"vip\", \"discount\": 10}')",
    "nothing.py": "",
    "deaf.py": "print('{}')",
    "sleep.py": "import time; time.sleep(60)",
    "spin.py": "while True: pass",
    "stubborn.py": "import signal, time\nfor n in (15, 2, 1): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)",
    "children.py": "import os, time\nfor _ in range(3):\n    if os.fork() == 0: time.sleep(60)\nprint('{}')",
    "parent.py": "import subprocess; subprocess.run(['sleep', '60'])",
    "escaped.py": "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(60)\nelse: print('{}')",
    "daemon.py": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)\n"
        "os.wait()\ntime.sleep(60)"
    ),
    "given.py": "import json, os\nprint(json.dumps({'file': os.readlink('/proc/self/fd/0')}))",
    "memory.py": "x = 'x' * (1 << 30)",
    "flood.py": "import sys\nwhile True: sys.stdout.write('x' * 65536)",
    "errors.py": "import sys\nprint('\\x1b[31mhm\\nso' + 'y' * 100000, file=sys.stderr)\nprint('{}')",
    "tells.py": "import json, sys\na = json.load(sys.stdin)['args']\nprint('the pin is', a['pin'], file=sys.stderr)\n"
                "print(json.dumps(a))",
    "much.py": f"print('{{\"a\": \"' + 'x' * {MOST} + '\"}}')",
    "list.py": "print([1])",
    "text.py": "print('hello')",
    "deep.py": "print('[' * 8000)",
    "latin.py": "import sys; sys.stdout.buffer.write(b'{\"a\": \"\\xff\"}')",
    "fails.py": "print('{}'); raise SystemExit(3)",
    "raises.py": "raise ValueError('4111')",
    "syntax.py": "def",
    "killed.py": "import os; os.kill(os.getpid(), 9)",
    "bad_outcome.py": "print('{\"outcome\": \"../x\"}')",
    "no_outcome.py": "print('{\"outcome\": 1}')",
    "where.py": "import json, os, sys\nprint(json.dumps({'cwd': os.listdir('.'), 'env': sorted(os.environ), "
                "'cti': 'cti' in sys.modules, 'fds': len(os.listdir('/proc/self/fd')), 'argv': len(sys.argv)}))",
    "writes.py": "open('x', 'w').write('x' * (20 << 20))",
    "pyst.py": "import asterisk.agi; print('{}')",
    "pid.py": "import os, json, sys, time\nto = json.load(sys.stdin)['args']['to']\n"
              "open(to, 'w').write(str(os.getpid()))\ntime.sleep(60)",
}  # fmt: skip


@pytest.fixture
async def scripts() -> AsyncIterator[Scripts]:
    def text(version: int, name: str) -> str | None:
        return FILES.get(name) if version == 3 else None

    one = Scripts(text)
    yield one
    one.close()
    assert not one._cache.exists()


def ask(script: str, timeout: float = 10.0, **args: Any) -> RunTask:
    return RunTask(call_id="call", uniqueid="c1", op=1, kind="script", version=3, timeout=timeout,
                   args={"script": script, "args": args, "call": {"caller": "+62"}})  # fmt: skip


def mine(mark: str) -> list[int]:
    """Processes whose command line or environment has it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


async def gone(scripts: Scripts) -> bool:
    """Nothing that knows our folder runs; a killed process may take a moment."""
    for _ in range(200):
        if not mine(str(scripts._cache)):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_json_goes_in_and_out(scripts: Scripts) -> None:
    outcome, data = await scripts.script(ask("echo.py", name="王", n=1))
    assert (outcome, data) == ("done", {"args": {"name": "王", "n": 1}, "call": {"caller": "+62"}})
    assert await scripts.script(ask("outcome.py")) == ("vip", {"discount": 10})
    assert await scripts.script(ask("nothing.py")) == ("done", {})


async def test_a_script_need_not_read_what_it_is_given(scripts: Scripts) -> None:
    assert await scripts.script(ask("deaf.py", much="x" * 500_000)) == ("done", {})


@pytest.mark.parametrize("script", ["sleep.py", "spin.py", "stubborn.py", "parent.py", "daemon.py"])
async def test_what_does_not_end_is_killed_with_its_children(scripts: Scripts, script: str) -> None:
    began = time.monotonic()
    with pytest.raises(Fault, match=r"took longer than 0\.5 s and was killed"):
        await scripts.script(ask(script, timeout=0.5))
    assert time.monotonic() - began < 5
    assert await gone(scripts)


async def test_what_it_leaves_behind_is_killed_at_its_end(scripts: Scripts) -> None:
    began = time.monotonic()
    assert await scripts.script(ask("children.py")) == ("done", {})
    assert time.monotonic() - began < 5
    assert await gone(scripts)


async def test_one_that_left_its_session_is_killed_too(scripts: Scripts) -> None:
    began = time.monotonic()
    assert (await scripts.script(ask("escaped.py")))[0] == "done"
    assert time.monotonic() - began < 2.5
    assert await gone(scripts)


async def test_what_a_script_is_given_is_on_no_disk(scripts: Scripts) -> None:
    assert "memfd:" in (await scripts.script(ask("given.py")))[1]["file"]


async def test_a_stop_of_the_server_kills_what_runs(scripts: Scripts, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    task = asyncio.create_task(scripts.script(ask("pid.py", to=str(file))))
    while not (file.exists() and file.read_text()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{file.read_text()}").exists()


@pytest.mark.parametrize(("script", "said"), [
    ("memory.py", "ended with 1"), ("writes.py", "ended with"), ("fails.py", "ended with 3"),
    ("raises.py", "ended with 1"), ("syntax.py", "ended with 1"), ("killed.py", "ended with 137"),
    ("much.py", "more than 8192 bytes"), ("list.py", "no JSON object"), ("text.py", "no JSON object"),
    ("deep.py", "no JSON object"), ("latin.py", "no JSON object"), ("bad_outcome.py", "is no word"),
    ("no_outcome.py", "is no word"), ("none.py", "there is no scripts/'none.py' in flows version 3"),
    ("../echo.py", "there is no"), ("/etc/passwd", "there is no"), ("echo", "there is no"), ("", "there is no"),
])  # fmt: skip
async def test_a_bad_script_is_a_fault(scripts: Scripts, script: str, said: str) -> None:
    with pytest.raises(Fault, match=said):
        await scripts.script(ask(script))
    assert await gone(scripts)


async def test_one_that_prints_for_ever_is_ended_by_the_limit_of_a_file(scripts: Scripts) -> None:
    with pytest.raises(Fault, match=r"ended with (1|120|153)"):
        await scripts.script(ask("flood.py"))


async def test_what_it_says_besides_is_logged_up_to_a_limit(scripts: Scripts, caplog: Any) -> None:
    caplog.set_level("INFO")
    assert await scripts.script(ask("errors.py")) == ("done", {})
    (line,) = [record.getMessage() for record in caplog.records if "errors.py" in record.getMessage()]
    assert "hm | so" in line and len(line) < 2_200


async def test_digits_that_it_says_are_struck_out(scripts: Scripts, caplog: Any) -> None:
    caplog.set_level("INFO")
    tasks = Tasks({"script": scripts.script}, now=lambda: 1.0, sealed=lambda *_: "471100", secrets={})
    ask_sealed = RunTask(call_id="call", uniqueid="c1", op=1, kind="script", version=3, timeout=10.0,
                         args={"script": "tells.py", "args": {"pin": {"sealed": "pin"}}})  # fmt: skip
    done = await tasks.run(ask_sealed)
    assert (done.outcome, done.data) == ("done", {"pin": MASK})
    assert f"the pin is {MASK}" in caplog.text and "471100" not in caplog.text


async def test_it_sees_an_empty_folder_and_little_else(scripts: Scripts, monkeypatch: Any) -> None:
    monkeypatch.setenv("CTI_SECRETS__KEY", "s3cret")
    _, seen = await scripts.script(ask("where.py"))
    assert set(seen["env"]) <= {"PATH", "LANG", "HOME", "TMPDIR", "LC_CTYPE"}
    assert (seen["cwd"], seen["cti"], seen["argv"]) == ([], False, 1) and seen["fds"] <= 5


async def test_it_may_use_what_is_installed(scripts: Scripts) -> None:
    assert await scripts.script(ask("pyst.py")) == ("done", {})


async def test_only_so_many_run_at_once(scripts: Scripts, monkeypatch: Any) -> None:
    running, most = 0, 0
    real: Callable[..., Any] = Scripts._run

    async def counted(self: Scripts, *args: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await real(self, *args)
        finally:
            running -= 1

    monkeypatch.setattr(Scripts, "_run", counted)
    found = await asyncio.gather(*(scripts.script(ask("echo.py", 30, n=n)) for n in range(2 * AT_ONCE)))
    assert [data["args"]["n"] for _, data in found] == list(range(2 * AT_ONCE))
    assert most == AT_ONCE
