"""A SIP phone in one event loop: registers, is called, calls, speaks, presses keys.

    phone = Phone(("127.0.0.1", 5060), "2001", "secret", on_call=lambda call: call.answer(audio))
    await phone.open(); phone.keep_registered(); await phone.registered.wait()
    call = phone.dial("6000", caller="+628111", name="Siti", audio=audio)
    await call.answered.wait(); call.press("1"); await call.ended.wait()

UDP only, G.711 u-law only, one call per Call-ID. A number without a secret is a trunk: it never registers.
Nothing here raises because of what comes in from the network.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from cti.demo import sip
from cti.demo.call import Call
from cti.demo.rtp import Media
from cti.demo.sip import Packet

T1 = 0.5
REASONS = {180: "Ringing", 200: "OK", 404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here"}
REASONS |= {100: "Trying", 481: "No Such Call", 487: "Request Terminated", 488: "Not Acceptable Here"}
REASONS |= {503: "Service Unavailable", 603: "Decline"}


class Phone(asyncio.DatagramProtocol):
    """`on_call` is told each new incoming call and may answer it now or later; none: it just rings.

    silent: drop everything that comes in, as a phone that lost its power. listen: keep what is heard."""

    def __init__(
        self,
        server: tuple[str, int],
        number: str,
        secret: str = "",
        *,
        host: str = "127.0.0.1",
        on_call: Callable[[Call], None] | None = None,
        listen: bool = False,
    ) -> None:
        self.server, self.number, self.secret, self.host = server, number, secret, host
        self.on_call, self.listen, self.silent = on_call, listen, False
        self.calls: dict[str, Call] = {}
        self.registered = asyncio.Event()
        self.port = 0
        self._waiting: dict[str, asyncio.Queue[Packet]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    # ---- life

    async def open(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, (self.host, port))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    async def close(self) -> None:
        """Hang up, unregister (1 s at most) and stop."""
        for call in list(self.calls.values()):
            call.hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(*(call.ended.wait() for call in list(self.calls.values())))
                if self.registered.is_set() and not self.silent:
                    await self.register(0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in list(self.calls.values()):
            call.finish("us")
        if self._transport is not None:
            self._transport.close()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, call: Call) -> None:
        """Answer repeats for a while, then drop the call."""
        asyncio.get_running_loop().call_later(5, self.calls.pop, call.call_id, None)

    # ---- registration

    def keep_registered(self, expires: int = 120) -> None:
        self.spawn(self._keep_registered(expires))

    async def _keep_registered(self, expires: int) -> None:
        while True:
            try:
                good = await self.register(expires) == 200
            except TimeoutError:
                good = False
            (self.registered.set if good else self.registered.clear)()
            await asyncio.sleep(expires / 4 if good else 2)

    async def register(self, expires: int) -> int:
        """One REGISTER, its final status. Raises TimeoutError."""
        uri, me = f"sip:{self.server[0]}:{self.server[1]}", f"<sip:{self.number}@{self.server[0]}>"
        call_id, tag = sip.word(), sip.word()

        def make(cseq: int) -> Packet:
            head = (("From", f"{me};tag={tag}"), ("To", me), ("Call-ID", call_id))
            more = (("Contact", self.contact), ("Expires", str(expires)))
            return self._request("REGISTER", uri, cseq, head, more)

        return (await self._signed(make)).status

    # ---- calls out

    def dial(
        self, number: str, *, caller: str = "", name: str = "", audio: bytes | None = None, source: str = ""
    ) -> Call:
        """Call a number. `source` replaces the whole From value (without tag), for hostile ones."""
        call = Call(self, sip.word(), incoming=False)
        self.calls[call.call_id] = call
        user = (caller or self.number).replace(" ", "")
        shown = (sip.quoted(name) + " ") if name else ""
        call.local = (source or f"{shown}<sip:{user}@{self.host}>") + f";tag={sip.word()}"
        call.target = f"sip:{number}@{self.server[0]}:{self.server[1]}"
        call.remote = f"<{call.target}>"
        call.media = Media(self.host, audio, listen=self.listen)
        self.spawn(self._dial(call))
        return call

    async def _dial(self, call: Call) -> None:
        assert call.media is not None
        body, target = sip.write_sdp(self.host, call.media.port), call.target

        def make(cseq: int) -> Packet:
            call.cseq = cseq
            call.invite = self._request("INVITE", target, cseq, self._dialog(call), (), body)
            call.note("invite")
            return call.invite

        try:
            reply = await self._signed(make, call)
        except TimeoutError:
            call.status = 408
            call.finish("refused")
            return
        if reply.status >= 300:
            call.finish("us" if call.leaving else "refused")
            return
        call.remote, call.target = reply.get("to"), sip.uri_of(reply.get("contact")) or target
        self._ack(reply)
        remote = sip.read_sdp(reply.body)
        call.media.start(remote.host, remote.port, remote.keys)
        call.answered.set()
        if call.leaving:
            await self.bye(call)

    def _provisional(self, call: Call, reply: Packet) -> None:
        call.status = reply.status
        call.note(str(reply.status))
        if reply.status < 200:
            call.trying.set()
        if 100 < reply.status < 200:
            call.ringing.set()

    async def cancel(self, call: Call) -> None:
        """CANCEL as soon as a response has come; the INVITE's own end is then told by `_dial`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(call.trying.wait(), 8)
        if call.invite is None or call.ended.is_set() or call.answered.is_set():
            return
        via = (("Via", call.invite.get("via")), ("Max-Forwards", "70"))
        head = (*via, *self._dialog(call), ("CSeq", f"{call.cseq} CANCEL"))
        try:
            await self._final(Packet(f"CANCEL {call.target} SIP/2.0", head), None)
        except TimeoutError:
            call.finish("us")

    async def bye(self, call: Call) -> None:
        call.cseq += 1
        with contextlib.suppress(TimeoutError):
            await self._final(self._request("BYE", call.target, call.cseq, self._dialog(call)), None)
        call.finish("us")

    # ---- requests

    @property
    def contact(self) -> str:
        return f"<sip:{self.number}@{self.host}:{self.port}>"

    def _dialog(self, call: Call) -> tuple[tuple[str, str], ...]:
        return (("From", call.local), ("To", call.remote), ("Call-ID", call.call_id))

    def _request(
        self,
        method: str,
        uri: str,
        cseq: int,
        dialog: tuple[tuple[str, str], ...],
        more: tuple[tuple[str, str], ...] = (),
        body: str = "",
    ) -> Packet:
        via = f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{sip.word()};rport"
        head = (("Via", via), ("Max-Forwards", "70"), *dialog, ("CSeq", f"{cseq} {method}"))
        if method == "INVITE":
            more = (("Contact", self.contact), ("Content-Type", "application/sdp"), *more)
        return Packet(f"{method} {uri} SIP/2.0", head + more, body)

    async def _signed(self, make: Callable[[int], Packet], call: Call | None = None) -> Packet:
        """Send; when asked for the secret, once more with it. The final response."""
        first = make(1)
        reply = await self._final(first, call)
        if reply.status not in (401, 407) or not self.secret:
            return reply
        again = make(2)
        auth = sip.digest(reply, again.method, again.start.split(" ")[1], self.number, self.secret)
        again = Packet(again.start, (*again.headers, auth), again.body)
        return await self._final(again, call)

    async def _final(self, request: Packet, call: Call | None) -> Packet:
        """Repeat a request until it is answered; its final response. Raises TimeoutError after 8 s
        without any answer."""
        key = request.branch + request.method
        queue = self._waiting[key] = asyncio.Queue()
        wait, until, heard = T1, asyncio.get_running_loop().time() + 8, False
        self._send(request)
        try:
            while True:
                try:
                    reply = await asyncio.wait_for(queue.get(), None if heard else wait)
                except TimeoutError:
                    if asyncio.get_running_loop().time() > until:
                        raise
                    wait = min(wait * 2, 4)
                    self._send(request)
                    continue
                heard = request.method == "INVITE"
                if call is not None:
                    self._provisional(call, reply)
                if reply.status >= 200:
                    if request.method == "INVITE" and reply.status >= 300:
                        self._ack(reply)
                    return reply
        finally:
            self._waiting.pop(key, None)

    def _ack(self, reply: Packet) -> None:
        """The ACK of a final response to an INVITE: within its transaction when it refused."""
        number, contact = reply.cseq, sip.uri_of(reply.get("contact"))
        dialog = (("From", reply.get("from")), ("To", reply.get("to")), ("Call-ID", reply.get("call-id")))
        uri = contact or sip.uri_of(reply.get("to"))
        ack = self._request("ACK", uri, number, dialog)
        if reply.status >= 300:
            ack = Packet(ack.start, (("Via", reply.get("via")), *ack.headers[1:]))
        self._send(ack)

    def _send(self, packet: Packet) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(packet.encode(), self.server)

    # ---- what comes in

    def error_received(self, exc: Exception) -> None:
        """The server is not there (yet); the repeats go on."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        packet = sip.parse(data)
        if packet is None or self.silent:
            return
        if not packet.status:
            self._requested(packet)
        elif (queue := self._waiting.get(packet.branch + packet.method)) is not None:
            queue.put_nowait(packet)
        elif packet.method == "INVITE" and packet.status >= 200:
            self._ack(packet)

    def _requested(self, packet: Packet) -> None:
        call = self.calls.get(packet.get("call-id"))
        if packet.method == "INVITE":
            self._invited(packet, call)
        elif packet.method == "ACK":
            if call is not None:
                call.acked.set()
        elif call is None and packet.method in ("BYE", "CANCEL"):
            self._reply(packet, 481)
        else:
            self._reply(packet, 200)
            if call is not None and packet.method in ("BYE", "CANCEL"):
                self._left(call, packet.method)

    def _left(self, call: Call, method: str) -> None:
        call.note(method.lower())
        if method == "CANCEL":
            if call.answered.is_set() or call.ended.is_set():
                return
            self.respond(call, 487)
        call.finish("them")

    def _invited(self, packet: Packet, call: Call | None) -> None:
        if call is None:
            call = Call(self, packet.get("call-id"), incoming=True)
            self.calls[call.call_id] = call
            call.invite = packet
            call.local = packet.get("to") + f";tag={sip.word()}"
            call.remote, call.target = packet.get("from"), sip.uri_of(packet.get("contact"))
            call.note("invite")
            self._reply(packet, 100)
            (self.on_call or Call.ring)(call)
        elif call.incoming and call.invite is not None and packet.cseq == call.invite.cseq:
            if call.last is not None:
                self._send(call.last)
        elif call.media is not None and call.answered.is_set():
            remote = sip.read_sdp(packet.body)
            if remote.port:
                call.media.start(remote.host, remote.port, remote.keys)
            sdp = sip.write_sdp(self.host, call.media.port, max(remote.keys, 96))
            self._reply(packet, 200, call.local, sdp)

    def _reply(self, packet: Packet, status: int, to: str = "", body: str = "") -> Packet:
        names = ("via", "from", "call-id", "cseq")
        head = tuple((k, v) for k, v in packet.headers if sip.COMPACT.get(k.lower(), k.lower()) in names)
        head += (("To", to or packet.get("to")), ("Contact", self.contact))
        if body:
            head += (("Content-Type", "application/sdp"),)
        reply = Packet(f"SIP/2.0 {status} {REASONS.get(status, 'Other')}", head, body)
        self._send(reply)
        return reply

    def respond(self, call: Call, status: int, body: str = "") -> None:
        """Our response to the INVITE of an incoming call."""
        if call.invite is not None and not call.ended.is_set():
            call.status = status
            call.note(str(status))
            call.last = self._reply(call.invite, status, call.local, body)

    async def repeat_answer(self, call: Call) -> None:
        """Repeat the 200 until its ACK; without one in 8 s the call is over."""
        wait = T1
        while not call.acked.is_set() and wait < 8 and not call.ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(call.acked.wait(), wait)
                return
            wait *= 2
            if call.last is not None and not call.ended.is_set():
                self._send(call.last)
        if not call.ended.is_set():
            call.hang_up()
