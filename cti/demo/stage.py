"""What the demo's people share."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import yaml

from cti.config import Config
from cti.demo.call import Call
from cti.demo.voices import Voices
from cti.embedded import http


class Stage:
    """What the people share. `talking`: the numbers of the callers who have an agent on the line."""

    def __init__(self, config: Config, sounds: Voices, stations: dict[str, str], tokens: dict[str, str]) -> None:
        self.sip = (config.sip.host, config.sip.port)
        self.url = http.url(config)
        self.sounds, self.stations, self.tokens = sounds, stations, tokens
        self.numbers = dialled(config.paths.flows)
        self.line = next((at for trunk in config.sip.trunks if (at := port_of(trunk.contact))), 0)
        self.talking: set[str] = set()
        self.began = time.monotonic()

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}"}


def dialled(flows: Path) -> dict[str, str]:
    """Language -> the number to dial, from numbers.yaml; "" -> the one for all others, 6000 without a file."""
    try:
        numbers = yaml.safe_load((flows / "numbers.yaml").read_text(encoding="utf-8"))["numbers"]
        speaks = {to.get("language", "") if isinstance(to, dict) else "": n for n, to in numbers.items()}
        return {"": str(next(iter(numbers)))} | {language: str(number) for language, number in speaks.items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration):
        return {"": "6000"}


def port_of(contact: str) -> int:
    """Where calls out of this machine's demo go; 0: nowhere."""
    host, _, port = contact.removeprefix("sip:").rpartition(":")
    return int(port) if host.startswith("127.") and port.isdigit() else 0


async def talk(stage: Stage, call: Call, seconds: float) -> None:
    number = digits(call.caller)
    stage.talking.add(number)
    try:
        await asyncio.wait_for(call.ended.wait(), seconds)
    except TimeoutError:
        call.hang_up()
    finally:
        stage.talking.discard(number)


def digits(text: str) -> str:
    """Only the digits, so that numbers compare however they are written."""
    return "".join(c for c in text if c.isdigit())
