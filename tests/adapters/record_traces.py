"""Records every scene on the real Asterisk: `python tests/adapters/record_traces.py` writes tests/traces/.

NAME.ami     the raw frames of the switch, as they came
NAME.facts   every input the adapters made of them and of FastAGI, one line of JSON each, in order"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from real_asterisk import RealAsterisk, running  # noqa: E402
from scenes import SCENES, stage  # noqa: E402

from cti.adapters import ami_session  # noqa: E402
from cti.adapters.ami_frames import Framer  # noqa: E402
from cti.core.messages import encode  # noqa: E402

TRACES = HERE.parent / "traces"
SYSTEM = "ctitrace"


class Tee(Framer):
    frames: ClassVar[list[bytes]] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        for frame in super().feed(data):
            self.frames.append(frame)
            yield frame


def sanitised(data: bytes, system: str) -> bytes:
    data = data.replace(system.encode(), SYSTEM.encode())
    return re.sub(rb"(ActionID: )[0-9a-f]{32}", rb"\1trace", data)


async def record(real: RealAsterisk, name: str) -> None:
    Tee.frames = []
    async with stage(real) as on:
        await SCENES[name](on)
        facts = b"".join(encode(fact) + b"\n" for fact in on.facts)
    system = (real.config.asterisk.config_dir / "systemname").read_text().strip()
    TRACES.mkdir(exist_ok=True)
    frames = b"".join(frame + b"\r\n\r\n" for frame in Tee.frames)
    (TRACES / f"{name}.ami").write_bytes(sanitised(frames, system))
    (TRACES / f"{name}.facts").write_bytes(sanitised(facts, system))


def main() -> None:
    ami_session.Framer = Tee  # type: ignore[misc]
    for name in SCENES:
        with tempfile.TemporaryDirectory() as home, running(Path(home)) as real:
            asyncio.run(record(real, name))
            print(name)


if __name__ == "__main__":
    main()
