"""Where a redirected connection was going before nftables sent it to our listener."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from trio_egress.errors import PeerError
from trio_egress.model import Endpoint

# linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h
SO_ORIGINAL_DST = 80
IP6T_SO_ORIGINAL_DST = 80

_SOCKADDR_IN = struct.Struct("!HH4s")
_SOCKADDR_IN6 = struct.Struct("!HHI16s")


class Socket(Protocol):
    """A socket of the standard library or of Trio."""

    def getsockopt(self, level: int, option: int, buffer_size: int, /) -> bytes: ...


def original_destination(sock: Socket, family: int) -> Endpoint | None:
    """The address and port that the peer of an accepted TCP socket of `family` connected to.

    None when connection tracking does not know the connection (any more). A connection that was not redirected
    has the listener's own address: nft.py lets none through, but an explicit proxy's listener sees it.
    PeerError when the connection is gone.
    """
    try:
        if family == socket.AF_INET6:
            raw = sock.getsockopt(socket.IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, 28)
            _, port, _, address = _SOCKADDR_IN6.unpack_from(raw)
            return Endpoint(IPv6Address(address), port)
        raw = sock.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)
        _, port, address = _SOCKADDR_IN.unpack_from(raw)
        return Endpoint(IPv4Address(address), port)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise PeerError(f"no original destination: {error.strerror}") from None
