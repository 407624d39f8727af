"""Sockets of every family and type: what no packet rule would see must not exist."""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Callable

from tests.escapes.frame import ANSWERED_ALONE, Ways, add, attack, refused

AF_VSOCK, AF_XDP, AF_PACKET = 40, 44, 17
SOCK_PACKET = 10

NETLINK = {
    "sock_diag": 4,
    "netfilter": 12,
    "uevent": 15,
    "generic": 16,
    "xfrm": 6,
    "audit": 9,
    "connector": 11,
    "fib_lookup": 10,
    "crypto": 21,
}
"""linux/netlink.h; a kernel has some of them."""

FAMILIES = {
    "appletalk": (5, 2),
    "x25": (9, 5),
    "ax25": (3, 2),
    "netrom": (6, 5),
    "rose": (11, 5),
    "llc": (26, 2),
    "can": (29, 3),
    "tipc": (30, 2),
    "bluetooth": (31, 3),
    "rxrpc": (33, 2),
    "isdn": (34, 3),
    "phonet": (35, 2),
    "ieee802154": (36, 3),
    "caif": (37, 1),
    "alg": (38, 5),
    "nfc": (39, 5),
    "kcm": (41, 2),
    "qipcrtr": (42, 2),
    "smc": (43, 1),
    "mctp": (45, 2),
    "rds": (21, 5),
    "key": (15, 3),
}
"""Number and type of the families that a kernel may have built in, or load on the first socket() that asks."""

FAMILY_NAMES = {
    2: "INET",
    10: "INET6",
    16: "NETLINK",
    AF_PACKET: "PACKET",
    AF_VSOCK: "VSOCK",
    AF_XDP: "XDP",
} | {family: name.upper() for name, (family, _) in FAMILIES.items()}
TYPE_NAMES = {1: "STREAM", 2: "DGRAM", 3: "RAW", 5: "SEQPACKET", 6: "DCCP", SOCK_PACKET: "PACKET"}

PROTOCOLS = {"sctp": (1, 132), "dccp": (6, 33), "l2tp": (2, 115)}
"""Type and protocol of AF_INET, whose modules a first socket() would load."""


def _open(family: int, kind: int, protocol: int = 0) -> Callable[[Ways], None]:
    def open_socket(w: Ways) -> None:
        with socket.socket(family, kind, protocol) as sock:
            w.show(descriptors=[sock.fileno()])

    return open_socket


LACKING = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EINVAL, errno.ENODEV)


def _exists(family: int, kind: int, protocol: int) -> bool:
    try:
        socket.socket(family, kind, protocol).close()
    except OSError as error:
        return error.errno not in LACKING
    return True


def _told(family: int, kind: int, protocol: int) -> str:
    return refused("socket", f"AF_{FAMILY_NAMES[family]}, SOCK_{TYPE_NAMES[kind]}, {protocol}")


def _enlist(name: str, family: int, kind: int, protocol: int, *off: str) -> None:
    silent = ANSWERED_ALONE if name == "netlink_uevent" else ""
    add(
        name,
        _open(family, kind, protocol),
        *off,
        proof=f"descriptor:socket {family} ",
        receipt="" if silent else _told(family, kind, protocol),
        silent=silent,
        exists=lambda: _exists(family, kind, protocol),
    )


_enlist("vsock_stream", AF_VSOCK, socket.SOCK_STREAM, 0, "seccomp")
_enlist("vsock_seqpacket", AF_VSOCK, socket.SOCK_SEQPACKET, 0, "seccomp")
for _name, _number in NETLINK.items():
    _enlist(f"netlink_{_name}", socket.AF_NETLINK, socket.SOCK_RAW, _number, "seccomp")
for _name, (_family, _kind) in FAMILIES.items():
    _enlist(f"family_{_name}", _family, _kind, 0, "seccomp")
for _name, (_kind, _protocol) in PROTOCOLS.items():
    _enlist(f"protocol_{_name}", socket.AF_INET, _kind, _protocol, "seccomp")

_RIGHTS = ("seccomp", "capabilities")
_enlist("raw_icmp", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, *_RIGHTS)
_enlist("raw_udp", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP, *_RIGHTS)
_enlist("raw_ip", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW, *_RIGHTS)
_enlist("raw_icmpv6", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6, *_RIGHTS)
_enlist("raw_ipv6", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW, *_RIGHTS)
_enlist("packet_raw", AF_PACKET, socket.SOCK_RAW, 3, *_RIGHTS)
_enlist("packet_dgram", AF_PACKET, socket.SOCK_DGRAM, 3, *_RIGHTS)
_enlist("packet_rx_only", AF_PACKET, socket.SOCK_RAW, 0, *_RIGHTS)
_enlist("packet_by_the_old_type", AF_PACKET, SOCK_PACKET, 3, *_RIGHTS)
_enlist("xdp", AF_XDP, socket.SOCK_RAW, 0, *_RIGHTS)


@attack("seccomp", proof="descriptor:socket 40 ", receipt=_told(AF_VSOCK, socket.SOCK_STREAM, 0))
def family_with_an_upper_half(w: Ways) -> None:
    """int family: the kernel looks at 32 of the 64 bits."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = [ctypes.c_long] * 4
    made = libc.syscall(41 if w.machine == "x86_64" else 198, (1 << 32) | AF_VSOCK, socket.SOCK_STREAM, 0)
    if made < 0:
        raise OSError(ctypes.get_errno(), "socket")
    w.show(descriptors=[made])


@attack(
    *_RIGHTS,
    proof="descriptor:socket 2 3",
    receipt=_told(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP),
)
def raw_type_with_flags(w: Ways) -> None:
    """SOCK_CLOEXEC and SOCK_NONBLOCK beside the type."""
    flags = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_INET, socket.SOCK_RAW | flags, socket.IPPROTO_UDP) as sock:
        w.show(descriptors=[sock.fileno()])
