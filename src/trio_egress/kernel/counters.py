"""What the kernel has counted when a run is over: packets by rule, what its queues had no room for, what `lo` carried.

Rule 1: everything is read after the network inside was closed: no counter moves any more, the numbers are one moment's.
Rule 2: what was lost on its way is measured where it was lost, never worked out from what did not arrive.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

from trio_egress.kernel import netlink, nft

LOG_LOST, DNS_LOST, WAY_LOST, INTERFACE = "log_lost", "dns_lost", "way_lost", "interface"
"""Messages that the log's queue had no room for; datagrams that the DNS sockets had none for; packets that were
dropped between a rule that let them by and a socket (`lo` was overrun, connection tracking saw two at once); and what
`lo` has carried, both ways."""

REFUSED_CALLS = "syscall"
"""System calls of which PID 1 was notified, by its own count (kernel/notify.py): read with no others."""

Counters = dict[str, tuple[int, int]]
"""By name: packets (or connections, messages), and bytes where the kernel counts those too, else 0."""

# asm-generic/socket.h, linux/sock_diag.h: the ninth of the numbers is sk_drops.
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")


def read_books(sockets: Mapping[str, socket.socket]) -> Counters:
    """Close the network inside and read every counter. Blocking; raises SandboxError."""
    netlink.run_batch(sockets["netfilter"], nft.closing())
    counters = netlink.read_counters(sockets["netfilter"])
    carried = netlink.read_loopback(sockets["route"])
    clashed = netlink.read_conntrack_drops(sockets["netfilter"])
    counters[LOG_LOST] = read_drops(sockets["log"]), 0
    counters[DNS_LOST] = sum(read_drops(sockets[f"dns_udp_{family}"]) for family in ("v4", "v6")), 0
    counters[WAY_LOST] = carried.dropped + clashed, 0
    counters[INTERFACE] = carried.packets, carried.size
    return counters


def read_drops(sock: socket.socket) -> int:
    """What a socket's receive queue had no room for, since it was made (32 bits, as the kernel counts)."""
    drops: int = _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[8]
    return drops
