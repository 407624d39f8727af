"""One side of a connection whose TLS ends here: a Peer whose bytes are those inside.

Rule 1: what the other end can cause (a bad record, an alert, an end without one) is its fault, as in peer.py.
Rule 2: a stream that ends without saying so (RFC 8446 6.1) was cut off, and is no clean end.
Rule 3: bytes are copied no more often than OpenSSL's own memory asks for, and it is asked for none that it can't have:
each call gives the interpreter's lock up.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import ssl
from collections.abc import Callable
from typing import cast

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.proxy.peer import READ_BYTES, Count, Peer

HTTP_1, HTTP_2 = "http/1.1", "h2"
"""What may be spoken inside, by its ALPN name."""

_OTHER_PROTOCOL = "tlsv1 alert no application protocol"
_TOO_OLD = ("tlsv1 alert protocol version", "unsupported protocol")
_UNREADABLE = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

LARGE_READ_BYTES = 128 * 1024
"""One read where the last one was full, and one write: bodies come a tenth faster than with READ_BYTES. Twice as much
would be faster still, and OpenSSL keeps what it once needed for as long as the connection lasts."""

_room = memoryview(bytearray(LARGE_READ_BYTES))
"""Where each read puts what it decrypts, in a turn of the loop; nothing stays there."""


class OtherProtocol(UpstreamError):
    """An upstream speaks none of the protocols that it was offered (RFC 7301 3.2)."""


class TooOld(UpstreamError):
    """An upstream speaks no TLS that may be spoken."""


class SecurePeer(Peer):
    """Made over another peer, whose socket and bytes read ahead it takes over; `handshake` comes first."""

    __slots__ = (
        "_fed",
        "_incoming",
        "_is_upstream",
        "_keeps_coming",
        "_late",
        "_outgoing",
        "_read_into",
        "_sending",
        "_tls",
        "_unsent",
    )

    splices = False
    most = LARGE_READ_BYTES

    def __init__(self, plain: Peer, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """A server's side; a client's where `server_name` is who the other end must be."""
        super().__init__(plain.sock, plain._fault)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(plain.take())
        self._fed = True
        self._keeps_coming = False
        self._sending = trio.Lock()
        self._unsent = memoryview(b"")
        self._late: ssl.SSLError | None = None
        self._is_upstream = server_name is not None
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        # Any memory will do for it; typeshed knows of `bytearray` alone, and of no count.
        self._read_into = cast("Callable[[int, memoryview], int]", self._tls.read)

    @property
    def version(self) -> str | None:
        """Of the protocol, in OpenSSL's words."""
        return self._tls.version()

    @property
    def multiplexes(self) -> bool:
        """Whether both ends agreed on HTTP/2."""
        return self._tls.selected_alpn_protocol() == HTTP_2

    async def handshake(self) -> None:
        """Raises this side's fault, of an upstream OtherProtocol or TooOld where it speaks nothing that was offered;
        ssl.SSLCertVerificationError where it is not who it must be."""
        while True:
            try:
                self._tls.do_handshake()
            except _UNREADABLE:
                await self._flush()
                await self._receive()
            except ssl.SSLCertVerificationError:
                await self._flush()
                raise
            except ssl.SSLError as error:
                await self._flush()
                if self._is_upstream and _describe(error) in _TOO_OLD:
                    raise TooOld("it speaks no TLS from version 1.2 on") from None
                if self._is_upstream and _describe(error) == _OTHER_PROTOCOL:
                    raise OtherProtocol(
                        "the upstream speaks none of the protocols that it was offered"
                    ) from None
                raise self.blame(f"failed the TLS handshake: {_describe(error)}") from None
            else:
                await self._flush()
                return

    async def recv(self, size: int = READ_BYTES) -> bytes:
        if self.ahead:
            raw, self.ahead = self.ahead[:size], self.ahead[size:]
            return raw
        return await self._read(size)

    async def fill(self) -> bool:
        raw = await self._read(READ_BYTES)
        self.ahead += raw
        return bool(raw)

    async def _read(self, size: int) -> bytes:
        while True:
            raw = self._decrypt(size)
            if raw is not None:
                return raw
            await self._flush()
            await self._receive()

    async def send(self, raw: bytes, count: Count | None = None) -> None:
        """A few records at a time: `count` hears of what is inside them once the first byte of them has gone."""
        rest = memoryview(raw)
        while rest:
            wanted = min(len(rest), LARGE_READ_BYTES)
            claimed = count.claim(wanted) if count else wanted
            gone = False
            try:
                await self._enter()
                try:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    self._encrypt(rest[:claimed])
                    gone = True
                    await self._write()
                finally:
                    self._sending.release()
            finally:
                if count:
                    count.took(claimed, claimed if gone else 0)
            rest = rest[claimed:]

    def end(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # it waits for the other end's word, which nobody needs
            self._tls.unwrap()
        self._write_now()
        super().end()

    async def wait_word(self) -> None:
        if not self.ahead:
            await self.fill()

    def quiet(self) -> bool:
        """What came meanwhile may be no word at all (a ticket for another connection, say): one read tells."""
        try:
            if _is_readable(self.sock):
                raw = os.read(self.sock.fileno(), READ_BYTES)
                if not raw or _is_readable(self.sock):
                    return False
                self._feed(raw)
            return not self.ahead and self._decrypt(READ_BYTES) is None
        except (OSError, PeerError, UpstreamError):
            return False

    def _encrypt(self, raw: memoryview) -> None:
        try:
            self._tls.write(raw)
        except ssl.SSLError as error:
            raise self.blame(f"failed in TLS: {_describe(error)}") from None

    def _decrypt(self, size: int) -> bytes | None:
        """Some of what is inside; empty at the end of the stream, None where more has to come first."""
        if not self._fed:
            return None
        try:
            return self._read_records(min(size, LARGE_READ_BYTES))
        except _UNREADABLE:
            self._fed = False
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
                raise self.blame("cut the TLS connection off") from None
            raise self.blame(f"failed in TLS: {_describe(error)}") from None

    def _read_records(self, size: int) -> bytes:
        """What is there already of up to `size` bytes; OpenSSL gives one record at a time. Raises ssl.SSLError."""
        if self._late is not None:
            raise self._late
        held = self._read_into(size, _room)
        try:
            while 0 < held < size and (found := self._read_into(size - held, _room[held:])):
                held += found
        except _UNREADABLE:
            self._fed = False
        except ssl.SSLError as error:  # of a later record: what came before it was good
            self._late = error
        return bytes(_room[:held])

    async def _receive(self) -> None:
        raw = await self._pull(LARGE_READ_BYTES if self._keeps_coming else READ_BYTES)
        self._keeps_coming = len(raw) >= READ_BYTES
        self._feed(raw)

    def _feed(self, raw: bytes) -> None:
        """What came, or the end."""
        self._fed = True
        if raw:
            self._incoming.write(raw)
        else:
            self._incoming.write_eof()

    async def _enter(self) -> None:
        """Where nobody else is sending, at once."""
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()

    async def _flush(self) -> None:
        """What TLS itself has to say. Who reads doesn't wait for who writes: the other end may read only once it has
        said all; what is to be said goes with the next write then."""
        if (self._outgoing.pending or self._unsent) and not self._sending.locked():
            self._sending.acquire_nowait()
            try:
                await self._write()
            finally:
                self._sending.release()

    async def _write(self) -> None:
        """Everything that is encrypted. Cancellation loses nothing: what it leaves is sent by the next."""
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            sent = await self._push(self._unsent)
            self._unsent = self._unsent[sent:]

    def _write_now(self) -> None:
        """As much as goes: what is said last, to somebody who may not listen any more."""
        with contextlib.suppress(OSError):
            os.write(self.sock.fileno(), bytes(self._unsent) + self._outgoing.read())


def _is_readable(sock: trio.socket.SocketType) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN | select.POLLRDHUP)
    return bool(poll.poll(0))


def _describe(error: ssl.SSLError) -> str:
    """OpenSSL's reason, in its own words but without its line numbers; Python has a name for most of them."""
    if error.reason:
        return error.reason.lower().replace("_", " ")
    found = re.search(r"\] ([a-z0-9 ]+) \(", str(error))
    return found.group(1) if found else "unknown"
