"""A peer whose TLS ends here, by itself: what it reads, and when it may be used again."""

from __future__ import annotations

import fcntl
import ssl
import struct
import termios

import pytest
import trio
import trustme

from trio_egress.errors import UpstreamError
from trio_egress.proxy.interception import open_client_context
from trio_egress.proxy.peer import READ_BYTES, Count, Peer
from trio_egress.proxy.secure_peer import HTTP_1, LARGE_READ_BYTES, SecurePeer

HOST = "api.example"
BODY = bytes(range(256)) * (8 << 10)
Pair = tuple[SecurePeer, trio.SSLStream[trio.SocketStream]]


@pytest.fixture
async def pair(authority: trustme.CA) -> Pair:
    """Our side of a connection to an upstream, and the upstream."""
    ours, theirs = trio.socket.socketpair()
    ours.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 1 << 20)
    theirs.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 1 << 20)
    client, server = open_client_context("", [HTTP_1]), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(client)
    authority.issue_cert(HOST).configure_cert(server)
    peer = SecurePeer(Peer(ours, UpstreamError), client, server_name=HOST)
    stream = trio.SSLStream(trio.SocketStream(theirs), server, server_side=True, https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.handshake)
        nursery.start_soon(stream.do_handshake)
    return peer, stream


async def test_tickets_are_no_word(pair: Pair) -> None:
    """The upstream has sent some after its handshake, which nobody has read."""
    peer, stream = pair
    assert peer.quiet()
    await stream.send_all(b"a word")
    assert not peer.quiet()
    peer.close()
    await trio.aclose_forcefully(stream)


async def test_one_read_tells_whether_it_is_quiet(pair: Pair) -> None:
    """However much waits: who floods is not read for as long as it goes on, by a call that lets nobody else run."""
    peer, stream = pair
    await stream.transport_stream.send_all(bytes(4 * READ_BYTES))
    assert not peer.quiet()
    waiting = struct.unpack("i", fcntl.ioctl(peer.sock.fileno(), termios.FIONREAD, bytes(4)))[0]
    assert waiting == 3 * READ_BYTES
    peer.close()
    await trio.aclose_forcefully(stream)


async def test_more_is_read_at_once_only_while_much_comes(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, stream = pair
    pull, asked = SecurePeer._pull, list[int]()

    async def ask(self: SecurePeer, size: int) -> bytes:
        asked.append(size)
        return await pull(self, size)

    monkeypatch.setattr(SecurePeer, "_pull", ask)
    left, body = len(BODY), b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, BODY)
        while left:
            body += (piece := await peer.recv(peer.most))
            left -= len(piece)
            assert len(piece) <= LARGE_READ_BYTES
    assert body == BODY
    assert set(asked) == {READ_BYTES, LARGE_READ_BYTES}
    assert asked[0] == READ_BYTES
    for word in (b"one", b"two"):
        await stream.send_all(word)
        assert await peer.recv() == word
    assert asked[-1] == READ_BYTES
    peer.close()
    await trio.aclose_forcefully(stream)


async def test_a_read_that_is_given_up_loses_nothing(pair: Pair) -> None:
    peer, stream = pair
    with trio.move_on_after(0):
        await peer.recv()
    await stream.send_all(b"a word")
    assert await peer.recv() == b"a word"
    peer.close()
    await trio.aclose_forcefully(stream)


async def test_nothing_counts_of_what_was_cancelled_before_it_was_encrypted(pair: Pair) -> None:
    """Who has waited for another's turn hears of it only at the next checkpoint."""
    peer, stream = pair
    counted: list[int] = []
    peer._sending.acquire_nowait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.send, b"forbidden by now", Count(counted.append))
        await trio.testing.wait_all_tasks_blocked()
        peer._sending.release()
        nursery.cancel_scope.cancel()
    assert counted == []
    assert peer._outgoing.pending == 0
    peer.close()
    await trio.aclose_forcefully(stream)


async def test_what_a_cancelled_send_has_left_goes_before_the_next(pair: Pair) -> None:
    """Else the records would be out of order, and the other end would take them for an attack."""
    peer, stream = pair
    peer.sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 4096)
    body = bytes(range(256)) * 64 * 64
    with trio.move_on_after(0.05):
        await peer.send(body)
    got = bytearray()

    async def read() -> None:
        while not got.endswith(b"the end"):
            got.extend(await stream.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await peer.send(b"the end")
    assert body.startswith(bytes(got.removesuffix(b"the end")))
    assert len(got) < len(body)
    peer.close()
    await trio.aclose_forcefully(stream)
