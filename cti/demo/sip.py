"""SIP as text: parse, build, sign. No I/O. Only what a phone on a local network needs."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}


@dataclass(frozen=True)
class Packet:
    """A request or a response. `start` is its first line; header names keep their order and case."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order. `name` in lower case."""
        return [value for key, value in self.headers if COMPACT.get(key.lower(), key.lower()) == name]

    def get(self, name: str) -> str:
        """The first value of a header, or an empty text."""
        return next(iter(self.all(name)), "")

    @property
    def status(self) -> int:
        """The status of a response, 0 for a request."""
        return int(self.start[8:11]) if re.match(r"SIP/2\.0 \d{3}", self.start) else 0

    @property
    def method(self) -> str:
        """Of a request; of a response the method it answers."""
        return self.get("cseq").rpartition(" ")[2] if self.status else self.start.partition(" ")[0]

    @property
    def cseq(self) -> int:
        number = self.get("cseq").partition(" ")[0]
        return int(number) if number.isdecimal() else 0

    @property
    def branch(self) -> str:
        return parameter(self.get("via"), "branch")

    def encode(self) -> bytes:
        body = self.body.encode()
        lines = [self.start, *(f"{k}: {v}" for k, v in self.headers), f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def parse(data: bytes) -> Packet | None:
    """A datagram as a packet; None when it is not SIP."""
    head, _, body = data.decode("utf-8", "surrogateescape").partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    if "SIP/2.0" not in start:
        return None
    pairs = (line.partition(":") for line in lines if ":" in line)
    return Packet(start, tuple((k.strip(), v.strip()) for k, _, v in pairs), body)


def parameter(value: str, name: str) -> str:
    """`name=value` or `name="value"` inside a header; empty when absent."""
    found = re.search(rf'[;,\s]{name}="?([^";,\s>]*)', " " + value)
    return found[1] if found else ""


def uri_of(value: str) -> str:
    """The URI inside `"Name" <uri>;tag=x`, or of a bare `uri;tag=x`."""
    found = re.search(r"<([^>]*)>", re.sub(r'^\s*"(\\.|[^"\\])*"', "", value))
    return found[1] if found else value.partition(";")[0].strip()


def word() -> str:
    """A fresh random word for tags, branches and call ids."""
    return secrets.token_hex(8)


def quoted(name: str) -> str:
    """A display name as a quoted string."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()


def digest(reply: Packet, method: str, uri: str, user: str, secret: str) -> tuple[str, str]:
    """The header that answers a 401 or 407: its name and value (RFC 2617, MD5)."""
    asked, name = ("proxy-authenticate", "Proxy-Authorization")
    if reply.status == 401:
        asked, name = ("www-authenticate", "Authorization")
    challenge = next((c for c in reply.all(asked) if "SHA-" not in c), "")
    realm = parameter_text(challenge, "realm")
    nonce, cnonce = parameter(challenge, "nonce"), word()
    a1, a2 = _md5(user, realm, secret), _md5(method, uri)
    answer = _md5(a1, nonce, "00000001", cnonce, "auth", a2)
    tail = f', cnonce="{cnonce}", nc=00000001, qop=auth'
    if "qop" not in challenge:
        answer, tail = _md5(a1, nonce, a2), ""
    if opaque := parameter(challenge, "opaque"):
        tail += f', opaque="{opaque}"'
    head = f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    return name, f'{head}, response="{answer}", algorithm=MD5{tail}'


def parameter_text(value: str, name: str) -> str:
    """Like `parameter`, for a quoted value with spaces or commas."""
    found = re.search(rf'{name}="([^"]*)"', value)
    return found[1] if found else ""


@dataclass(frozen=True)
class Remote:
    """What the other side's SDP says: where to send, and its number for telephone-event (-1: none)."""

    host: str
    port: int
    ulaw: bool
    keys: int


def read_sdp(body: str) -> Remote:
    """The audio line of an SDP; port 0 when it has none."""
    host = re.search(r"^c=IN IP4 (\S+)", body, re.M)
    audio = re.search(r"^m=audio (\d+) \S+ ([\d ]+)", body, re.M)
    keys = re.search(r"^a=rtpmap:(\d+) telephone-event/8000", body, re.M)
    if not host or not audio:
        return Remote("", 0, False, -1)
    return Remote(host[1], int(audio[1]), "0" in audio[2].split(), int(keys[1]) if keys else -1)


def write_sdp(host: str, port: int, keys: int = 101) -> str:
    """G.711 u-law and telephone-event on one port."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP 0 {keys}", "a=rtpmap:0 PCMU/8000"]
    lines += [f"a=rtpmap:{keys} telephone-event/8000", f"a=fmtp:{keys} 0-16", "a=ptime:20", "a=sendrecv", ""]
    return "\r\n".join(lines)
