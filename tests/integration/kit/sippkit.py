"""SIPp as child processes: callers at a rate, and a bank of agents' phones behind one port."""

from __future__ import annotations

import asyncio
import contextlib
import csv
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit_ports import free_port

SCENARIOS = Path(__file__).parent / "scenarios"
PCAPS = Path("/usr/share/sip-tester")
Server = tuple[str, int]


@dataclass
class LoadResult:
    """good, bad: calls that went as written or not; setup: seconds from INVITE to 200; errors: SIPp's."""

    good: int = 0
    bad: int = 0
    setup: list[float] = field(default_factory=list)
    errors: str = ""


def _rows(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    path.write_text("SEQUENTIAL\n" + "".join(";".join(row) + ";\n" for row in rows))
    return path


def _text(name: str) -> str:
    return (SCENARIOS / f"{name}.xml").read_text()


def _sent(capture: Path | None) -> str:
    return f'<nop><action><exec play_pcap_audio="{capture}"/></action></nop>' if capture else ""


def _scenario(folder: Path, name: str, **parts: str) -> Path:
    """The scenario with its parts put in, in this order: a later one may stand in an earlier one."""
    text = _text(name)
    for mark, part in parts.items():
        text = text.replace(f"@{mark}@", part)
    path = folder / f"{name}.xml"
    path.write_text(text)
    return path


async def _sipp(folder: Path, scenario: Path, server: Server, *args: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "sipp", f"{server[0]}:{server[1]}", "-sf", str(scenario), "-i", "127.0.0.1", "-mi", "127.0.0.1",
        "-nostdin", "-skip_rlimit", *args,
        cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        env={"TERM": "xterm", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


async def sipp_callers(
    server: Server,
    dials: str,
    folder: Path,
    *,
    count: int = 1,
    rate: float = 10,
    numbers: Sequence[tuple[str, str]] = (("+628111000001", "SIPp"),),
    key: str = "1",
    key_after: float = 1.0,
    talk: float = 0,
    sound: Path | None = None,
    media: int = 0,
    timeout: float = 120,
) -> LoadResult:
    """`count` calls at `rate` a second from the trunk, numbers [(number, name)] taken in turn.

    Each is answered, presses `key` (needs root: SIPp replays a capture) `key_after` seconds later, and hangs
    up `talk` seconds after that; 0: waits for the other side's BYE. `sound`, a capture, is sent (needs root) from the
    answer on. Four RTP ports a call from `media` on (0: from a free one on, which may pass over a port in use).
    `folder` takes the logs."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = _rows(folder / "callers.csv", [(number, name.replace(";", " ")) for number, name in numbers])
    press = PCAPS / f"dtmf_2833_{ {'*': 'star', '#': 'pound'}.get(key, key) }.pcap" if key else None
    scenario = _scenario(folder, "caller", KEY=_sent(press), KEY_AFTER=str(int(key_after * 1000)), SOUND=_sent(sound),
                         END=_text("end_bye" if talk else "end_wait"), TALK=str(int(talk * 1000)))  # fmt: skip
    process = await _sipp(
        folder, scenario, server, "-s", dials, "-inf", str(rows), "-m", str(count), "-r", str(rate),
        "-p", str(free_port()), "-mp", str(media or free_port()), "-l", str(count), "-trace_stat",
        "-stf", "stat.csv", "-fd", "1", "-trace_rtt", "-rtt_freq", "1",
        "-trace_err", "-error_file", "errors.log",
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _result(folder)


def _result(folder: Path) -> LoadResult:
    result = LoadResult()
    with contextlib.suppress(FileNotFoundError):
        result.errors = (folder / "errors.log").read_text(errors="replace")
    with contextlib.suppress(FileNotFoundError), (folder / "stat.csv").open() as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
        result.good, result.bad = int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])
    for path in folder.glob("*_rtt.csv"):
        with path.open() as file:
            result.setup += [float(line["response_time_ms"]) / 1000 for line in csv.DictReader(file, delimiter=";")]
    return result


@asynccontextmanager
async def sipp_agents(
    server: Server, secrets: dict[str, str], folder: Path, *, answer_after: float = 0.1, talk: float = 0,
    sound: Path | None = None, media: int = 0,
) -> AsyncIterator[None]:  # fmt: skip
    """All numbers register from one SIPp port, which then answers every call after `answer_after`
    seconds and hangs up `talk` seconds later; 0: waits for the other side's BYE. `sound`, a capture, is sent (needs
    root) from the answer on. `media` as for callers. Raises RuntimeError when a registration is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    port = str(free_port())
    users = _rows(
        folder / "agents.csv",
        [(n, f"[authentication username={n} password={s}]") for n, s in secrets.items()],
    )
    register = await _sipp(
        folder, SCENARIOS / "register.xml", server, "-inf", str(users), "-m", str(len(secrets)), "-r", "200",
        "-p", port, "-trace_err", "-error_file", "register.log", "-timeout", "20", "-timeout_error",
    )  # fmt: skip
    if await register.wait():
        raise RuntimeError("a registration was refused, see register.log")
    scenario = _scenario(folder, "agent", SOUND=_sent(sound), END=_text("agent_bye" if talk else "agent_wait"),
                         TALK=str(int(talk * 1000)))  # fmt: skip
    uas = await _sipp(
        folder, scenario, server, "-aa", "-p", port, "-mp", str(media or free_port()),
        "-d", str(int(answer_after * 1000)), "-trace_err", "-error_file", "agents.log",
        "-trace_shortmsg", "-shortmessage_file", "agents_messages.csv",
    )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            uas.kill()
        await uas.wait()
