"""Where a connection was going, asked of the kernel. The redirects themselves are in test_nft.py."""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import ip_address

import attrs
import pytest
from tests.kernel.namespace import LOOPBACK, Network

from trio_egress.errors import PeerError
from trio_egress.kernel.origin import original_destination
from trio_egress.model import Endpoint


@attrs.frozen
class Answer:
    """A socket whose option is `raw`, or fails with `number`."""

    raw: bytes = b""
    number: int = 0

    def getsockopt(self, level: int, option: int, buffer_size: int, /) -> bytes:
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        assert (level, option, buffer_size) in ((0, 80, 16), (41, 80, 28))
        return self.raw


def test_ipv4_destination_is_read_from_sockaddr_in() -> None:
    raw = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 443, socket.inet_aton("203.0.113.9"))
    assert str(original_destination(Answer(raw), socket.AF_INET)) == "203.0.113.9:443"


def test_ipv6_destination_is_read_from_sockaddr_in6() -> None:
    address = socket.inet_pton(socket.AF_INET6, "2001:db8::9")
    raw = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", 8443, 7, address, 0)
    assert str(original_destination(Answer(raw), socket.AF_INET6)) == "[2001:db8::9]:8443"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_connection_that_is_not_tracked_has_none(family: int) -> None:
    assert original_destination(Answer(number=errno.ENOENT), family) is None


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_connection_that_is_gone_is_the_peers_fault(family: int) -> None:
    with pytest.raises(PeerError, match="no original destination: Transport endpoint is not connected"):
        original_destination(Answer(number=errno.ENOTCONN), family)


@pytest.mark.sandbox
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_connection_that_was_not_redirected_has_the_listeners_own_address(
    network: Network, family: int
) -> None:
    with network.space.open_socket(family) as server, network.space.open_socket(family) as client:
        server.bind((LOOPBACK[family], 0))
        server.listen()
        port = server.getsockname()[1]
        client.connect((LOOPBACK[family], port))
        accepted, _ = server.accept()
        with accepted:
            assert original_destination(accepted, family) == Endpoint(ip_address(LOOPBACK[family]), port)


@pytest.mark.sandbox
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_destination_is_known_even_after_the_client_reset(network: Network, family: int) -> None:
    listener = network.listeners[family].transparent
    address = {socket.AF_INET: "203.0.113.9", socket.AF_INET6: "2001:db8::9"}[socket.AddressFamily(family)]
    with network.space.open_socket(family) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        client.connect((address, 443))
    accepted, _ = listener.accept()
    with accepted:
        assert original_destination(accepted, family) in (None, Endpoint(ip_address(address), 443))
