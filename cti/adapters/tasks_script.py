"""Scripts of a flows version, each run in a process of its own that cannot hold up a call or the server.

JSON comes on its standard input: {"args": ..., "call": ...}; it prints one JSON object, whose `outcome`, if it is
there, picks the node's outcome. What it prints on standard error goes to the log.

The process is a session of its own, in an empty folder that is removed, with an almost empty environment and limits on
CPU time, memory, files and their size; it and all that it started, daemons too, is killed at the deadline, and at its
end. What it is given may be secret, and goes through memory, never through a disk. Not limited: the number of
processes, which Linux counts by account (Asterisk's threads would count), and what the server's account may read: a
script is as trusted as the flows it comes with.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import msgspec

from cti.adapters.tasks import HIDDEN, MOST, Done, Fault, masked
from cti.core.messages import RunTask

log = logging.getLogger(__name__)
Text = Callable[[int, str], str | None]  # (version, file under scripts/): its text
AT_ONCE = 8
MEMORY = 512 << 20  # bytes of address space
FILES, FILE_SIZE = 64, 16 << 20
SAID = 2_000  # bytes of standard error that are logged
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
SIGNALLED = 128  # plus the signal, as a shell tells it
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\.py")
OUTCOME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
GRACE = 1.0  # s for ending all that a script has started
# A keeper and the script, its child. Who loses his parent becomes the keeper's child, whatever session he is in, and is
# killed with the script or after it. The alarms end both even when the server was killed.
LAUNCH = f"""
import ctypes, os, resource, runpy, signal, sys
path, seconds = sys.argv[1], float(sys.argv[2])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
ctypes.CDLL(None).prctl({SUBREAPER}, 1, 0, 0, 0)
script = os.fork()
if script:
    code = 1
    def end(*_):
        try:
            while True:
                for pid in open(f"/proc/self/task/{{os.getpid()}}/children").read().split():
                    os.kill(int(pid), signal.SIGKILL)
                os.wait()
        except ChildProcessError:
            os._exit(code if code >= 0 else {SIGNALLED} - code)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    code = os.waitstatus_to_exitcode(os.waitpid(script, 0)[1])
    end()
for what, most in ((resource.RLIMIT_CPU, int(seconds) + 1), (resource.RLIMIT_AS, {MEMORY}),
                   (resource.RLIMIT_NOFILE, {FILES}), (resource.RLIMIT_FSIZE, {FILE_SIZE})):
    resource.setrlimit(what, (most, most))
signal.setitimer(signal.ITIMER_REAL, seconds + 1)
sys.argv = [path]
del ctypes, resource, script, signal, most, what, seconds
runpy.run_path(path, run_name="__main__")
"""


class Scripts:
    """Close it: what runs is killed with the tasks that wait for it, the texts are removed."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._cache = Path(tempfile.mkdtemp(prefix="cti-scripts-"))

    def close(self) -> None:
        shutil.rmtree(self._cache, ignore_errors=True)

    async def script(self, command: RunTask) -> Done:
        """`outcome` of what it printed, else done, with the rest of it."""
        name = str(command.args.get("script") or "")
        text = self._text(command.version, name) if NAME.fullmatch(name) else None
        if text is None:
            raise Fault(f"there is no scripts/{name[:60]!a} in flows version {command.version}")
        given = {"args": command.args.get("args") or {}, "call": command.args.get("call") or {}}
        async with self._turns:
            code, out, said = await self._run(self._file(text), msgspec.json.encode(given), command.timeout)
        if said:
            log.info("script %s of call %s says: %s", name, command.call_id, masked(said, HIDDEN.get([])))
        return _read(name, code, out)

    def _file(self, text: str) -> Path:
        body = text.encode("utf-8", "replace")
        file = self._cache / f"{hashlib.sha256(body).hexdigest()}.py"
        if not file.exists():
            made = file.with_suffix(".new")
            made.write_bytes(body)
            made.chmod(0o600)
            made.replace(file)
        return file

    async def _run(self, file: Path, given: bytes, seconds: float) -> tuple[int, bytes, str]:
        folder = tempfile.mkdtemp(dir=self._cache)
        try:
            return await _process(file, folder, given, seconds)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


async def _process(file: Path, folder: str, given: bytes, seconds: float) -> tuple[int, bytes, str]:
    """Its exit code and what it printed. Nothing of its session runs on afterwards.

    Through files without a name: nobody who holds a pipe open can make us wait, and their size is limited."""
    argv = (sys.executable, "-I", "-c", LAUNCH, str(file), f"{seconds:.3f}")
    with _in_memory() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
        stdin.write(given)
        stdin.seek(0)
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=folder, env=_environment(folder), stdin=stdin, stdout=stdout, stderr=stderr,
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
        except TimeoutError:
            raise Fault(f"the script took longer than {seconds:g} s and was killed") from None
        finally:
            await _ended(process)
        return code, _start_of(stdout, MOST + 1), _shown(_start_of(stderr, SAID))


def _in_memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("cti-script"), "w+b")


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Its keeper ends all of them; when that is held up, at least its session is killed."""
    try:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
    finally:
        _kill(process.pid)
        await process.wait()


def _start_of(file: IO[bytes], most: int) -> bytes:
    file.seek(0)
    return file.read(most)


def _environment(folder: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder}


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _shown(said: bytes) -> str:
    return " | ".join(line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip())


def _read(name: str, code: int, out: bytes) -> Done:
    if code != 0:
        raise Fault(f"the script {name} ended with {code}")
    if len(out) > MOST:
        raise Fault(f"the script {name} printed more than {MOST} bytes")
    try:
        data = msgspec.json.decode(out, type=dict[str, Any]) if out.strip() else {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Fault(f"what the script {name} printed is no JSON object") from None
    outcome = data.pop("outcome", "done")
    if not isinstance(outcome, str) or not OUTCOME.fullmatch(outcome):
        raise Fault(f"the outcome that the script {name} printed is no word")
    return outcome, data
