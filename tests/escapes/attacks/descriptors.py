"""What was open when the run began: a descriptor is a way in that no mount and no namespace takes away."""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from tests.escapes.frame import NO_TRAFFIC, Ways, attack

INHERITED = {"stream": 200, "datagram": 201, "directory": 202, "secret": 203, "unix": 205}
"""What the world leaves open for a run whose setting is `inherited`."""


@attack("descriptors", silent=NO_TRAFFIC, setting="inherited")
def inherited_connection(w: Ways) -> None:
    with socket.socket(fileno=INHERITED["stream"]) as sock:
        sock.sendall(w.raw)


@attack("descriptors", silent=NO_TRAFFIC, setting="inherited")
def inherited_datagram_socket(w: Ways) -> None:
    with socket.socket(fileno=INHERITED["datagram"]) as sock:
        sock.sendto(w.raw, (w.v4, 9))


@attack("descriptors", proof="secret", silent=NO_TRAFFIC, setting="inherited")
def inherited_directory(w: Ways) -> None:
    """openat() beneath a directory of the host's own mount namespace."""
    found = os.open("secret", os.O_RDONLY, dir_fd=INHERITED["directory"])
    w.show(secret=os.read(found, 4096))


@attack("descriptors", proof="secret", silent=NO_TRAFFIC, setting="inherited")
def inherited_file(w: Ways) -> None:
    w.show(secret=os.pread(INHERITED["secret"], 4096, 0))


@attack("descriptors", "landlock", silent=NO_TRAFFIC, setting="inherited")
def inherited_unix_socket(w: Ways) -> None:
    with socket.socket(fileno=INHERITED["unix"]) as sock:
        sock.sendto(w.raw, "\0trio-egress-canary-datagrams")


def _unconnect() -> socket.socket:
    """Standard input, cut off from whoever was at its other end (AF_UNSPEC, `man 2 connect`)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(0, struct.pack("=H14x", socket.AF_UNSPEC), 16):
        raise OSError(ctypes.get_errno(), "connect")
    return socket.socket(fileno=os.dup(0))


@attack("streams", silent=NO_TRAFFIC, setting="stdin tcp", alone=True)
def input_is_a_tcp_socket(w: Ways) -> None:
    """It belongs to the host's network namespace, wherever it is used."""
    with _unconnect() as sock:
        sock.settimeout(2)
        sock.connect((w.v4, 4444))
        sock.sendall(w.raw)


@attack("streams", silent=NO_TRAFFIC, setting="stdin udp", alone=True)
def input_is_a_udp_socket(w: Ways) -> None:
    with socket.socket(fileno=os.dup(0)) as sock:
        sock.sendto(w.raw, (w.v4, 4444))


@attack("streams", "landlock", silent=NO_TRAFFIC, setting="stdin unix", alone=True)
def input_is_a_unix_datagram_socket(w: Ways) -> None:
    """An abstract name is looked up in the socket's network namespace, not in the sender's."""
    with socket.socket(fileno=os.dup(0)) as sock:
        sock.sendto(w.raw, "\0trio-egress-canary-datagrams")


@attack("streams", silent=NO_TRAFFIC, setting="stdin listener", alone=True)
def input_is_a_listening_socket(w: Ways) -> None:
    """Whoever connects to the host gets to speak to the agent."""
    with socket.socket(fileno=os.dup(0)) as sock:
        sock.settimeout(2)
        with sock.accept()[0] as caller:
            caller.sendall(w.raw)


@attack("landlock", proof="marked", silent=NO_TRAFFIC, setting="stdin file", alone=True)
def input_is_a_file(w: Ways) -> None:
    """Given to be read; opened anew, it is written."""
    again = os.open("/proc/self/fd/0", os.O_WRONLY)
    os.write(again, w.raw)
