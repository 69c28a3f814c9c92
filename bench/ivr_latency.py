"""What a caller hears, and when: `python bench/ivr_latency.py [--rate 10] [--calls 200] [--callers 300]`.

A fresh home, callers who send sound as a phone does and press keys by RFC 4733; prompts are tones, so that the first
packet of each can be told. Times of packets are the kernel's. Beside it, in the same run and in turns, the same menu as
plain dialplan of the same Asterisk (Background, WaitExten): nothing decided outside.

answer  from the 200 OK to the first packet with sound
key     from the last packet of a key to the first packet of the next prompt
gap     the longest time between two packets that a caller got, while no key was to be answered; over: callers with one
        over 100 ms
lag     how late the clock of this program was at worst: keys and gaps of that size may be its own

Two loads: callers coming at a steady rate, three keys each; and many callers in menus at once, a key every 2 to 4 s.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import os
import platform
import random
import socket
import struct
import sys
import tempfile
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

from kit import World  # noqa: E402
from kit.sound import tone  # noqa: E402

from cti.demo import phone as phones  # noqa: E402
from cti.demo.call import Call  # noqa: E402
from cti.demo.phone import Phone  # noqa: E402
from cti.embedded import asterisk  # noqa: E402
from tests.kit_home import RunningHome, clean  # noqa: E402

RATE, FRAME = 8000, 160
TONES = {"a": 500, "b": 1000}  # Hz; 10 and 20 whole waves a packet
PROMPT = 12.0  # s; nobody hears one to its end
OURS, PLAIN = "6900", "6901"
KEY_FRAMES, KEY_ENDS = 5, 3
LOUD = 500  # mean amplitude of a packet with sound
STAMPS, BIG = 35, 33  # SO_TIMESTAMPNS, SO_RCVBUFFORCE
HEADER = struct.Struct("!BBHII")
MENU = """
flow: tones
language: en
start: a
nodes:
  a: {do: menu, play: tone_a, options: {"1": b}, input_timeout: 30s, fail: hangup}
  b: {do: menu, play: tone_b, options: {"1": a}, input_timeout: 30s, fail: hangup}
"""


def _linear(byte: int) -> int:
    byte = ~byte & 0xFF
    value = (((byte & 0x0F) << 3) + 132 << (byte >> 4 & 7)) - 132
    return -value if byte & 0x80 else value


LINEAR = [_linear(byte) for byte in range(256)]


def heard(payload: bytes) -> str:
    """Which prompt a packet is of, by how often it crosses zero; empty for silence."""
    samples = [LINEAR[byte] for byte in payload]
    if sum(map(abs, samples)) < LOUD * len(samples):
        return ""
    crossings = sum((one < 0) != (two < 0) for one, two in itertools.pairwise(samples))
    return "a" if crossings < 30 else "b"


class Ears:
    """One socket for everybody, which keeps this process out of the way: calls are told apart by the switch's ports."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, STAMPS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, BIG, 8 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.by_source: dict[tuple[str, int], Ear] = {}
        self.early: dict[tuple[str, int], list[tuple[bytes, float]]] = {}
        self.worst = 0.0  # seconds, how late our own clock came: what is worse than this we have measured of ourselves

    def read(self) -> None:
        receive, stamp, known = self.socket.recvmsg, struct.Struct("qq").unpack_from, self.by_source
        with contextlib.suppress(OSError):
            for _ in range(1000):
                data, extra, _, source = receive(200, 64)
                seconds, nanoseconds = stamp(extra[0][2])
                at = seconds + nanoseconds / 1e9
                ear = known.get(source)
                if ear is not None:
                    ear.packet(data, at)
                else:
                    self.early.setdefault(source, []).append((data, at))

    async def tick(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self.socket, self.read)
        due = loop.time()
        while True:
            for ear in list(self.by_source.values()):
                ear.tick()
            self.read()
            due += 0.02
            late = loop.time() - due
            self.worst = max(self.worst, late)
            if late > 0.2:
                due = loop.time()
            await asyncio.sleep(max(0.0, due - loop.time()))


class Ear:
    """A call's sound, as `cti.demo.rtp.Media`. Arrivals are timed by the kernel."""

    all: ClassVar[Ears]
    quiet = tone(200, 0.02)[:FRAME]

    def __init__(self, host: str, audio: bytes | None, *, listen: bool = False) -> None:
        self.port = self.all.port
        self.to, self.key_type = ("", 0), -1
        self.heard = bytearray()
        self.first = self.last = self.gap = 0.0
        self.now = ""  # the prompt that is heard
        self.waits: list[float] = []
        self._pressed, self._key = 0.0, 0
        self._source, self._sequence, self._stamp = random.getrandbits(32), random.getrandbits(15), 0

    def start(self, host: str, port: int, key_type: int) -> None:
        self.to, self.key_type = (host, port), key_type
        for data, at in self.all.early.pop(self.to, []):
            self.packet(data, at)
        self.all.by_source[self.to] = self

    def stop(self) -> None:
        self.all.by_source.pop(self.to, None)
        self.all.early.clear()

    def press(self, keys: str) -> None:
        self._key = KEY_FRAMES + 1

    def tick(self) -> None:
        """20 ms of sound, or of a key, `1`."""
        self._stamp += FRAME
        if not self._key:
            self._send(0, self._stamp, self.quiet)
            return
        done = KEY_FRAMES + 1 - self._key
        self._key -= 1
        for _ in range(1 if self._key else KEY_ENDS):
            flags = 10 if self._key else 10 | 0x80
            begin = self._stamp - done * FRAME
            self._send(self.key_type | (0 if done else 0x80), begin, struct.pack("!BBH", 1, flags, (done + 1) * FRAME))
        if not self._key:
            self._pressed = time.time()

    def _send(self, kind: int, stamp: int, payload: bytes) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        head = HEADER.pack(0x80, kind, self._sequence, stamp & 0xFFFFFFFF, self._source)
        with contextlib.suppress(OSError):
            self.all.socket.sendto(head + payload, self.to)

    def packet(self, data: bytes, at: float) -> None:
        if len(data) < 12 + FRAME or data[1] & 0x7F:
            return
        if self.last and not self._pressed and at - self.last > self.gap:
            self.gap = at - self.last
        self.last = at
        if self._pressed or not self.first:
            self._sound(heard(data[12:]), at)

    def _sound(self, prompt: str, at: float) -> None:
        if prompt and not self.first:
            self.first, self.now = at, prompt
        elif self._pressed and prompt not in ("", self.now):
            self.waits.append(at - self._pressed)
            self.now, self._pressed = prompt, 0.0


class Figures:
    def __init__(self) -> None:
        self.calls = self.failed = self.deaf = 0
        self.answers: list[float] = []
        self.waits: list[float] = []
        self.gaps: list[float] = []

    def take(self, call: Call, keys: int) -> None:
        ear = call.media
        assert isinstance(ear, Ear)
        self.calls += 1
        if not ear.first:
            self.failed += 1
            return
        self.answers.append(ear.first - call.at("200"))
        self.waits += ear.waits
        self.deaf += keys - len(ear.waits)
        self.gaps.append(ear.gap)


async def one_call(phone: Phone, number: str, keys: int, pause: tuple[float, float], figures: Figures) -> None:
    """A key a while after each prompt has begun."""
    call, pressed = phone.dial(number, caller=f"+62811{random.randrange(10**7):07d}"), 0
    try:
        async with asyncio.timeout(15):
            await call.answered.wait()
        while pressed < keys and not call.ended.is_set():
            await asyncio.sleep(random.uniform(*pause))
            call.press("1")
            pressed += 1
        await asyncio.sleep(1)
    except TimeoutError:
        pass
    figures.take(call, pressed)
    call.hang_up()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(call.ended.wait(), 5)


async def load(
    world: World, number: str, calls: int, rate: float, keys: int, pause: tuple[float, float]
) -> Figures:
    figures, phone = Figures(), Phone(world.sip, "trunk")
    await phone.open()
    loop = asyncio.get_running_loop()
    began, running = loop.time(), []
    for n in range(calls):
        await asyncio.sleep(max(0.0, began + n / rate - loop.time()))
        running.append(asyncio.create_task(one_call(phone, number, keys, pause, figures)))
    await asyncio.gather(*running)
    await phone.close()
    return figures


# ---------------------------------------------------------------- the two systems


def prepare(home: RunningHome) -> None:
    flows = home.path / "flows"
    (flows / "prompts/en").mkdir(parents=True)
    for name, hertz in TONES.items():
        with wave.open(str(flows / f"prompts/en/tone_{name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            count = int(PROMPT * RATE)
            wavy = (int(9000 * math.sin(2 * math.pi * hertz * (n + 0.5) / RATE)) for n in range(count))
            file.writeframes(b"".join(struct.pack("<h", sample) for sample in wavy))
    (flows / "tones.yaml").write_text(MENU)
    numbers = (flows / "numbers.yaml").read_text().replace("{", f'{{"{OURS}": tones, ', 1)
    (flows / "numbers.yaml").write_text(numbers)


async def plain_dialplan(world: World) -> None:
    """The same menu in the switch alone, playing the very files that the server has made."""
    sounds = world.config.paths.sounds.resolve() / "prompts"
    files = {heard_in(file): file.with_suffix("") for file in sounds.glob("*.wav")}
    lines = [f"{PLAIN},1,Answer() into from-trunk", f"{PLAIN},2,Goto(plain-a,s,1) into from-trunk"]
    for one, other in (("a", "b"), ("b", "a")):
        lines += [f"s,1,Background({files[one]}) into plain-{one}", f"s,2,WaitExten(30) into plain-{one}",
                  f"1,1,Goto(plain-{other},s,1) into plain-{one}"]  # fmt: skip
    for line in lines:
        start = asterisk.start_argv(world.config, asterisk.find(world.config))[:-1]
        argv = [*start, "-rx", f"dialplan add extension {line}"]
        process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0


def heard_in(file: Path) -> str:
    with wave.open(str(file)) as sound:
        samples = struct.unpack(f"<{FRAME}h", sound.readframes(FRAME))
    crossings = sum((one < 0) != (two < 0) for one, two in itertools.pairwise(samples))
    return "a" if crossings < 30 else "b"


# ---------------------------------------------------------------- the table


def at_percent(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def row(name: str, figures: Figures) -> str:
    def three(values: Sequence[float]) -> str:
        return "".join(f"{at_percent(values, percent) * 1000:>7.0f}" for percent in (50, 99, 100))

    late, Ear.all.worst = Ear.all.worst, 0.0
    holes = sum(gap > 0.1 for gap in figures.gaps)
    return (f"{name:<30} {figures.calls:>6} {figures.failed:>6} {three(figures.answers)} "
            f" {len(figures.waits):>6} {figures.deaf:>5} {three(figures.waits)}  {three(figures.gaps)} {holes:>5}"
            f" {late * 1000:>6.0f}")  # fmt: skip


HEAD = (f"{'':<30} {'':>6} {'':>6} {'answer, ms':^21}  {'':>6} {'':>5} {'key, ms':^21}  {'gap, ms':^21} {'over':>5}"
        f" {'lag,':>6}\n"
        f"{'':<30} {'calls':>6} {'failed':>6} {'p50':>7}{'p99':>7}{'worst':>7}  {'keys':>6} {'lost':>5}"
        f" {'p50':>7}{'p99':>7}{'worst':>7}  {'p50':>7}{'p99':>7}{'worst':>7} {'0.1 s':>5} {'ms':>6}")  # fmt: skip


async def bench(home: Path, rate: float, calls: int, callers: int, seconds: float) -> dict[str, Figures]:
    world, media, Ear.all = World(home), phones.Media, Ears()
    phones.Media = Ear  # type: ignore[misc, assignment]
    ticking = asyncio.create_task(Ear.all.tick())
    try:
        return await in_turns(world, rate, calls, callers, seconds)
    finally:
        phones.Media = media  # type: ignore[misc]
        ticking.cancel()
        asyncio.get_running_loop().remove_reader(Ear.all.socket)
        Ear.all.socket.close()


async def in_turns(world: World, rate: float, calls: int, callers: int, seconds: float) -> dict[str, Figures]:
    await load(world, OURS, 3, 3, 1, (1, 1))  # everything has been opened once
    await plain_dialplan(world)
    print(HEAD, flush=True)
    both, found = (("flow", OURS), ("plain dialplan", PLAIN)), {}
    for turn, (name, number) in itertools.product((1, 2), both):
        title = f"{name}, {rate:g}/s, turn {turn}"
        found[title] = await load(world, number, max(1, calls // 2), rate, 3, (0.8, 1.6))
        print(row(title, found[title]), flush=True)
    for name, number in both if callers else ():
        title = f"{name}, {callers} at once"
        found[title] = await load(world, number, callers, 15, int(seconds / 3), (2, 4))
        print(row(title, found[title]), flush=True)
    return found


def processor() -> str:
    names = [x.partition(":")[2].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
    return names[0] if names else platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=10, help="calls a second")
    parser.add_argument("--calls", type=int, default=200, help="calls of each system at that rate, in two turns")
    parser.add_argument("--callers", type=int, default=300, help="callers in menus at once; 0: leave it out")
    parser.add_argument("--seconds", type=float, default=30, help="how long each of them stays")
    args = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} x {processor()}, load {os.getloadavg()[0]:.1f}, "
          f"Python {platform.python_version()}; callers on the same machine")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cti-bench-") as folder:
        Path(folder).chmod(0o755)
        home = RunningHome(Path(folder) / "home")
        prepare(home)
        with clean(home):
            home.start()
            found = asyncio.run(bench(home.path, args.rate, args.calls, args.callers, args.seconds))
    return 0 if all(figures.calls and not figures.failed for figures in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
