"""A throw-away network namespace whose sockets are handed out, as a run hands its own out.

The namespace lives in a child process (inside.py); what is tested and the "agent" are both this process, which
uses sockets that were made inside.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

import trio_egress
from trio_egress.kernel import netlink, nflog, nft
from trio_egress.kernel.nflog import Dropped

NETLINK_NETFILTER = 12
SECONDS = 30.0
LOOPBACK: dict[int, str] = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Namespace:
    """A user and network namespace with nothing in it; `lo` is down."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def open_socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0
    ) -> socket.socket:
        """A socket that was made inside, with a time-out; the caller closes it."""
        self._ask(action="socket", family=family, type=kind, proto=proto)
        made = socket.socket(fileno=self._descriptors.pop())
        made.settimeout(SECONDS)
        return made

    def netlink(self, protocol: int) -> socket.socket:
        made = self.open_socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        made.bind((0, 0))
        return made

    def drop_capabilities(self) -> None:
        """What is made from now on is made by somebody without any right, as the agent is."""
        self._ask(action="drop capabilities")

    def set_option(self, family: int, kind: int, level: int, option: int, value: int) -> None:
        self._ask(action="set option", family=family, kind=kind, level=level, option=option, value=value)

    def _ask(self, **request: object) -> None:
        self._control.send(json.dumps(request).encode())
        raw, self._descriptors, _, _ = socket.recv_fds(self._control, 4096, 1)
        answer = json.loads(raw)
        if "errno" in answer:
            raise OSError(answer["errno"], f"inside: {request}")


@attrs.frozen
class Listener:
    """The listeners of one family: transparent TCP, DNS over TCP, DNS over UDP, the HTTP proxy."""

    transparent: socket.socket
    dns_tcp: socket.socket
    dns_udp: socket.socket
    proxy: socket.socket


@attrs.frozen
class Network:
    """A namespace as a run sets it up: `lo` and routes, rules, log, listeners."""

    space: Namespace
    rules: socket.socket
    log: socket.socket
    listeners: dict[int, Listener]
    ports: nft.ListenerPorts

    def counted(self) -> dict[str, int]:
        """Packets by counter, without the zeros."""
        return {name: packets for name, (packets, _) in netlink.read_counters(self.rules).items() if packets}

    def dropped(self) -> list[Dropped]:
        """What the log has now: every message is there when the call that caused it has returned."""
        packets: list[Dropped] = []
        self.log.setblocking(False)
        while True:
            try:
                packets += nflog.parse_packets(self.log.recv(nflog.DATAGRAM_BYTES))
            except BlockingIOError:
                return packets


@contextmanager
def open_namespace() -> Iterator[Namespace]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(SECONDS)
    source = str(Path(trio_egress.__file__).parent.parent)
    program = str(Path(__file__).with_name("inside.py"))
    command = [sys.executable, "-I", "-S", "-B", program, str(theirs.fileno()), source]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process, ours:
        theirs.close()
        answer = json.loads(ours.recv(4096))
        if "error" in answer:
            pytest.skip(f"no user namespaces for this user here ({answer['error']}); see trio-egress doctor")
        yield Namespace(ours)
        ours.close()
        process.wait(SECONDS)


@contextmanager
def open_network(space: Namespace) -> Iterator[Network]:
    route = space.netlink(socket.NETLINK_ROUTE)
    rules, log = space.netlink(NETLINK_NETFILTER), space.netlink(NETLINK_NETFILTER)
    netlink.bring_up_loopback(route)
    netlink.add_local_routes(route)
    nflog.bind_group(log, nft.LOG_GROUP)
    listeners: dict[int, Listener] = {family: open_listener(space, family) for family in LOOPBACK}
    ports = nft.ListenerPorts(
        *[listener.transparent.getsockname()[1] for listener in listeners.values()],
        *[listener.dns_tcp.getsockname()[1] for listener in listeners.values()],
        *[listener.proxy.getsockname()[1] for listener in listeners.values()],
    )
    netlink.run_batch(rules, nft.ruleset(ports))
    yield Network(space, rules, log, listeners, ports)
    opened = [sock for listener in listeners.values() for sock in attrs.astuple(listener, recurse=False)]
    for sock in (route, rules, log, *opened):
        sock.close()


def open_listener(space: Namespace, family: int) -> Listener:
    transparent, dns_tcp = listen(space, family), listen(space, family)
    dns_udp = space.open_socket(family, socket.SOCK_DGRAM)
    dns_udp.bind(dns_tcp.getsockname()[:2])
    return Listener(transparent, dns_tcp, dns_udp, listen(space, family))


def listen(space: Namespace, family: int) -> socket.socket:
    sock = space.open_socket(family, socket.SOCK_STREAM)
    sock.bind((LOOPBACK[family], 0))
    sock.listen()
    return sock
