"""The nouns of one run, in the words that every floor above shares.

Values only: no behaviour beyond their own text, no I/O, no third-party import but attrs.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address
from typing import NewType

import attrs

Name = NewType("Name", str)
"""A host name in normal form: A-labels, lower case, no trailing dot, never a spelling of an address."""

HOST_INTERNAL = Name("host.internal")
"""The host's own loopback, as a policy names it; no resolver knows it (`internal` is reserved for such, ICANN 2024)."""

Address = IPv4Address | IPv6Address
Host = Name | IPv4Address | IPv6Address


class Protocol(enum.Enum):
    """What an attempt speaks, as far as the boundary can tell."""

    DNS = "dns"
    HTTP = "http"
    TLS = "tls"
    TCP = "tcp"


class Transport(enum.Enum):
    """The door by which an attempt came; the values are those of the receipt member `transport`."""

    TRANSPARENT = "transparent"
    FORWARD = "forward"
    CONNECT = "connect"
    DNS = "dns"
    PACKET = "packet"


@attrs.frozen
class Endpoint:
    """An address and a TCP port."""

    address: Address
    port: int

    def __str__(self) -> str:
        return render_authority(self.address, self.port)


@attrs.frozen
class Attempt:
    """One try to reach something.

    `port` is 0 for a DNS query. `method` and `path` (without its query) are None where none is visible.
    """

    transport: Transport
    protocol: Protocol
    host: Host
    port: int
    method: str | None = None
    path: str | None = None


class Layer(enum.Enum):
    """Which part of the judgement decided; the values are those of the receipt member `layer`."""

    RULE = "rule"
    DEFAULT_DENY = "default_deny"
    METHOD = "method"
    INTERCEPTION = "interception"
    PROTOCOL = "protocol"
    ADDRESS = "address"
    NAME_MISMATCH = "name_mismatch"
    MALFORMED = "malformed"
    LIMIT = "limit"
    KERNEL = "kernel"


@attrs.frozen
class RuleRef:
    """The rule behind a decision: its place among the `[[egress]]` tables (from 0) and its line (from 1)."""

    index: int
    destination: str
    line: int

    def __str__(self) -> str:
        return f"egress[{self.index}] {self.destination!r} (line {self.line})"


@attrs.frozen
class Upstream:
    """Where an allowed attempt may be dialled.

    `pin` is the endpoint that `[resolve]` names: nothing is looked up and its range is not checked.
    `loopback`: the host's own loopback, its IPv4 address first. Otherwise `host` is resolved and, unless
    `allow_private`, only an outside address is dialled.
    """

    host: Host
    port: int
    pin: Endpoint | None = None
    allow_private: bool = False
    loopback: bool = False


@attrs.frozen
class Decision:
    """The answer to an attempt. `upstream` is set exactly when it is allowed and is not a DNS query."""

    allowed: bool
    layer: Layer
    reason: str
    rule: RuleRef | None = None
    upstream: Upstream | None = None


def render_authority(host: Host, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address (RFC 3986 3.2.2)."""
    return f"[{host}]:{port}" if isinstance(host, IPv6Address) else f"{host}:{port}"


@attrs.frozen
class ResourceLimits:
    """What the agent may use of the machine, all of its processes together; None is the machine's own limit.

    `open_files`, `file_bytes`: of one process, of one file. `memory_bytes`: None is 7/8 of what this caller has.
    """

    processes: int | None = 4096
    """Threads count too. Twice Podman's `pids_limit`; a build on 128 cores stays far below."""

    open_files: int | None = None
    memory_bytes: int | None = None
    file_bytes: int | None = None
    cpu_seconds: int | None = None
