"""The sections of `cti.toml`: every setting with its default."""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import Literal

import msgspec

NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
LIMIT = re.compile(r"0|(?:([0-9]{1,2})h)?(?:([0-9]{1,4})m)?(?:([0-9]{1,5})s)?")
SECRET = re.compile(r"[A-Za-z0-9_.~+/=-]{12,128}")
REASONS: dict[str, str | int] = {"break": "15m", "lunch": "60m", "training": 0, "meeting": 0, "admin": "30m"}
PROJECT = Path(__file__).resolve().parent.parent


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Trunk(Section, frozen=True, kw_only=True):
    """A line to the outside. `match`: addresses it calls from; `contact`: `sip:HOST:PORT` for calls out."""

    name: str
    match: tuple[str, ...]
    contact: str = ""
    codecs: tuple[Literal["alaw", "ulaw", "opus"], ...] = ("alaw", "ulaw", "opus")


class Http(Section, frozen=True, kw_only=True):
    """`trusted_proxies`: addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    host: str = "127.0.0.1"
    port: int = 8080
    trusted_proxies: tuple[str, ...] = ()


class Sip(Section, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 5060
    trunks: tuple[Trunk, ...] = ()


class Rtp(Section, frozen=True, kw_only=True):
    """UDP ports for sound, both included. `timeout`: a call is ended from whose far end nothing came for so many
    seconds (on hold ten times as long); 0: never."""

    first: int = 20000
    last: int = 21999
    timeout: int = 120


class Ami(Section, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 5038
    username: str = "cti"
    secret: str = ""


class Agi(Section, frozen=True, kw_only=True):
    """`fallback_after`: seconds a caller hears music while no server answers, before he may leave a message.

    `allow`: addresses or networks, besides this machine, whose Asterisk may hand callers over. There is no password."""

    host: str = "127.0.0.1"
    port: int = 4573
    allow: tuple[str, ...] = ()
    fallback_after: int = 60


class Postgres(Section, frozen=True, kw_only=True):
    """`lookup_dsn`: how lookups of flows log in. Empty: as `cti_lookup` where that needs no password, else as `dsn`."""

    dsn: str = ""
    lookup_dsn: str = ""


class Redis(Section, frozen=True, kw_only=True):
    url: str = ""


class Paths(Section, frozen=True, kw_only=True):
    home: Path = Path(".cti")
    flows: Path = PROJECT / "ivr_flows"
    recordings: Path = Path("recordings")
    sounds: Path = Path("sounds")
    logs: Path = Path("logs")
    journal: Path = Path("journal")


class Site(Section, frozen=True, kw_only=True):
    """`country`: default region of numbers (ISO 3166 alpha-2); `languages`: of the prompts, default first."""

    name: str = "CTI"
    country: str = "ID"
    time_zone: str = "Asia/Jakarta"
    languages: tuple[str, ...] = ("en", "zh", "id")


class Compliance(Section, frozen=True, kw_only=True):
    """No key yet: the outbound rules come with the dialer."""


class Recording(Section, frozen=True, kw_only=True):
    """No key yet: which calls are recorded stands in queues.yaml."""


class Agents(Section, frozen=True, kw_only=True):
    """`reasons`: why agents may be not ready, and for how long (15m, 90s, 1h30m; 0: no limit). A closed list."""

    reasons: dict[str, str | int] = msgspec.field(default_factory=lambda: dict(REASONS))

    @property
    def limits(self) -> dict[str, float]:
        """The reasons in their order, in seconds."""
        return {reason: seconds_of(limit) or 0.0 for reason, limit in self.reasons.items()}


def seconds_of(limit: str | int) -> float | None:
    """15m -> 900; a bare number other than 0 does not say of what. None: it is no time."""
    found = LIMIT.fullmatch(str(limit))
    if found is None or not str(limit):
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


class Flows(Section, frozen=True, kw_only=True):
    """`auto_publish`: publish changed flow files at start and on save."""

    auto_publish: bool = False


class Tts(Section, frozen=True, kw_only=True):
    """`command`: the program that speaks texts instead of espeak-ng: text on its standard input, a WAV file on its
    standard output; {language} in it stands for the language."""

    command: str = ""


class Asterisk(Section, frozen=True, kw_only=True):
    """`binary`: your own Asterisk (20 or newer); `root`: an extracted tree. Empty: what `make setup` fetched.

    `config_dir`: the folder of its generated files; holds `asterisk.conf`.
    """

    binary: str = ""
    root: str = ""
    config_dir: Path = Path("asterisk/etc")


class SecretOf(Section, frozen=True, kw_only=True):
    """`{secret = "NAME"}`: the value of that name under [secrets]."""

    secret: str


class Webhook(Section, frozen=True, kw_only=True):
    """Where a `message` node sends to."""

    url: str
    headers: dict[str, str | SecretOf] = {}


class Payment(Section, frozen=True, kw_only=True):
    """`url`: the tokeniser that card numbers go to; empty: flows cannot take payments. `timeout`: seconds."""

    url: str = ""
    headers: dict[str, str | SecretOf] = {}
    timeout: float = 10.0


class Outside(Section, frozen=True, kw_only=True):
    """`allow`: hosts, host:port, addresses or networks that flows may ask though they are not public."""

    allow: tuple[str, ...] = ()


class Config(Section, frozen=True, kw_only=True):
    http: Http = Http()
    sip: Sip = Sip()
    rtp: Rtp = Rtp()
    ami: Ami = Ami()
    agi: Agi = Agi()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    paths: Paths = Paths()
    site: Site = Site()
    compliance: Compliance = Compliance()
    recording: Recording = Recording()
    flows: Flows = Flows()
    agents: Agents = Agents()
    tts: Tts = Tts()
    asterisk: Asterisk = Asterisk()
    outside: Outside = Outside()
    payment: Payment = Payment()
    webhooks: dict[str, Webhook] = {}
    secrets: dict[str, str] = {}

    @property
    def status_key(self) -> str:
        """What `cti status` shows the server to read its live state: only who can read the secrets has it."""
        if not self.ami.secret:
            return ""
        return hmac.new(self.ami.secret.encode(), b"cti status", "sha256").hexdigest()


OPEN: dict[str, type[Webhook | str]] = {"webhooks": Webhook, "secrets": str}  # their keys are names of one's own
SECTIONS: dict[str, type[Section]] = {f.name: f.type for f in msgspec.structs.fields(Config) if f.name not in OPEN}
