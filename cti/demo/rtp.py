"""One call's sound: G.711 u-law over RTP, looping one recording, with keys by RFC 4733."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
import time

FRAME = 160  # samples and bytes in 20 ms
KEYS = "0123456789*#ABCD"
KEY_FRAMES = KEY_PAUSE = 5  # of 20 ms: a key lasts 100 ms, and so does the pause after it
HEARD_LIMIT = 8000 * 600  # ten minutes


class Media:
    """Sends `audio` (u-law, 8 kHz) in a loop; None: sends nothing but keys.

    `heard` gathers what came in when `listen`, else nothing is read at all, which costs nothing."""

    def __init__(self, host: str, audio: bytes | None, *, listen: bool = False) -> None:
        self.loop = asyncio.get_running_loop()
        self.audio, self.heard = audio, bytearray()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, 0))
        self.port: int = self.socket.getsockname()[1]
        self.to: tuple[str, int] | None = None
        self.key_type, self.keys = -1, list[str]()
        self._sequence, self._stamp, self._position = secrets.randbelow(30000), 0, 0
        self._source = secrets.randbits(32)
        self.key_frames, self.key_pause = KEY_FRAMES, KEY_PAUSE
        self.pressed = list[float]()  # when each key's end was first said, time.monotonic()
        self._key_frame, self._pause = 0, 0
        self._timer: asyncio.TimerHandle | None = None
        if listen:
            self.loop.add_reader(self.socket, self._read)

    def start(self, host: str, port: int, key_type: int) -> None:
        """Send to there from now on; again: only the address changes."""
        self.to, self.key_type = (host, port), key_type
        if self._timer is None:
            self._next = self.loop.time()
            self._tick()

    def press(self, keys: str) -> None:
        """Press keys one after the other, `key_frames` and `key_pause` long. Raises ValueError."""
        if any(key not in KEYS for key in keys):
            raise ValueError("not a key of a phone")
        self.keys += keys

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.loop.remove_reader(self.socket)
        self.socket.close()

    def _tick(self) -> None:
        if self.keys and not self._pause and self.key_type >= 0:
            self._send_key()
        else:
            self._pause = max(0, self._pause - 1)
            self._send_audio()
        self._stamp += FRAME
        self._next = max(self._next + 0.02, self.loop.time() - 0.2)
        self._timer = self.loop.call_at(self._next, self._tick)

    def _send_audio(self) -> None:
        if self.audio is None:
            return
        frame = self.audio[self._position : self._position + FRAME].ljust(FRAME, b"\xff")
        self._position = self._position + FRAME if self._position + FRAME < len(self.audio) else 0
        self._send(0, False, self._stamp, frame)

    def _send_key(self) -> None:
        """One packet each 20 ms with the growing length; the end is said three times."""
        code, frame = KEYS.index(self.keys[0]), self._key_frame
        ends = frame == self.key_frames
        for _ in range(3 if ends else 1):
            payload = struct.pack("!BBH", code, 10 | (0x80 if ends else 0), (frame + 1) * FRAME)
            self._send(self.key_type, frame == 0, self._stamp - frame * FRAME, payload)
        self._key_frame += 1
        if ends:
            del self.keys[0]
            self.pressed.append(time.monotonic())
            self._key_frame, self._pause = 0, self.key_pause - 1

    def _send(self, kind: int, marker: bool, stamp: int, payload: bytes) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        second = kind | (0x80 if marker else 0)
        head = struct.pack("!BBHII", 0x80, second, self._sequence, stamp & 0xFFFFFFFF, self._source)
        with contextlib.suppress(OSError):
            self.socket.sendto(head + payload, self.to or ("", 0))

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            packet = self.socket.recv(2048)
            if len(packet) > 12 and packet[1] & 0x7F == 0 and len(self.heard) < HEARD_LIMIT:
                self.heard += packet[12:]
