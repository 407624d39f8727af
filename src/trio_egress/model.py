"""The nouns of one run, in the words that every floor above shares.

Values only: no behaviour beyond their own text, no I/O, no third-party import but attrs.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NewType

import attrs

from trio_egress.values import frozen

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
    SSH = "ssh"
    TCP = "tcp"


class Transport(enum.Enum):
    """The door by which an attempt came; the values are those of the receipt member `transport`."""

    TRANSPARENT = "transparent"
    FORWARD = "forward"
    CONNECT = "connect"
    INTERCEPT = "intercept"
    WEBSOCKET = "websocket"
    DNS = "dns"
    PACKET = "packet"
    SYSCALL = "syscall"
    MCP_STDIO = "mcp_stdio"


@frozen
class Endpoint:
    """An address and a TCP port."""

    address: Address
    port: int

    def __str__(self) -> str:
        return render_authority(self.address, self.port)


class CallKind(enum.Enum):
    """What a request's body asks for, as far as it can be read."""

    GRAPHQL = "graphql"
    JSONRPC = "jsonrpc"
    OTHER = "other"


@frozen
class Call:
    """One operation that a request asks for in its body.

    `method`: `query`, `mutation` or `subscription` of GraphQL; the method of JSON-RPC, "" for an answer to one.
    `name`: the operation's name, or the tool of MCP's `tools/call`. `fields`: the root fields of GraphQL.
    `arguments`: of a tool, each value as a text after its name, `a.b` for what is inside another; None where they are
    not known. They are judged, and never told.
    """

    kind: CallKind
    method: str = ""
    name: str | None = None
    fields: tuple[str, ...] = ()
    arguments: tuple[tuple[str, str], ...] | None = attrs.field(default=None, repr=False)


MCP = "mcp"
"""What a message over standard streams is in, as its receipt says (the fact `proto`)."""


class Side(enum.Enum):
    """Who says something over the standard streams of an MCP server."""

    CLIENT = "client"
    SERVER = "server"


@frozen
class StdioMessage:
    """A request or a notification that one side of an MCP server's standard streams sends to the other."""

    side: Side
    call: Call

    @property
    def transport(self) -> Transport:
        return Transport.MCP_STDIO


UNTOLD_ARGUMENTS = (("\0", ""),)
"""Of a call as a receipt tells it: some, as the policy said that they must be. No argument has such a name."""

ANY_METHOD = "?"
"""In `Attempt.overrides`: it could be any."""


@frozen
class Attempt:
    """One try to reach something: all that a decision may hang on, and nothing that is secret.

    `port` is 0 for a DNS query. What follows it is None where it is not visible. `path` is as it was sent, without its
    query. `secure`: the request was seen inside TLS. `websocket`: it asks for an upgrade to that. `query` and
    `headers`: names of parameters and (in lower case) of header fields, never a value. `origin`, `subprotocols`: of a
    WebSocket. `service`: the one of git, where the whole query asks for it; of git over SSH the one that is asked for,
    with its repository as `path`. `body_bytes`: what the head says of the body. `calls`: () for a request with no body.
    `overrides`: methods that its fields ask for in place of its own."""

    transport: Transport
    protocol: Protocol
    host: Host
    port: int
    method: str | None = None
    path: str | None = None
    secure: bool = attrs.field(default=False, kw_only=True)
    websocket: bool = attrs.field(default=False, kw_only=True)
    query: frozenset[str] | None = attrs.field(default=None, kw_only=True)
    headers: frozenset[str] | None = attrs.field(default=None, kw_only=True)
    origin: str | None = attrs.field(default=None, kw_only=True)
    subprotocols: frozenset[str] | None = attrs.field(default=None, kw_only=True)
    service: str | None = attrs.field(default=None, kw_only=True)
    body_bytes: int | None = attrs.field(default=None, kw_only=True)
    calls: tuple[Call, ...] | None = attrs.field(default=None, kw_only=True)
    overrides: frozenset[str] = attrs.field(default=frozenset(), kw_only=True)


OPAQUE, INTERCEPTED = "opaque", "intercepted"
"""What became of an allowed TLS connection, as its receipt says (the fact `tls`)."""


class Need(enum.Enum):
    """What the boundary must be able to do before it may keep its word about an attempt."""

    TLS = "tls"
    """See the requests inside TLS."""
    BODIES = "bodies"
    """Read what a body asks for before the request goes on."""
    METER = "meter"
    """Count what a rule is used for, and cut what uses too much."""
    SCAN = "scan"
    """Look through what is sent and answered."""
    WEBSOCKET = "websocket"
    """Carry a WebSocket."""
    FRAMES = "frames"
    """Look through the messages of a WebSocket."""
    HOST_KEY = "host_key"
    """See which key an SSH server shows, before the agent does."""
    GIT_SSH = "git_ssh"
    """End SSH here, and carry git's services alone."""


NO_NEEDS: frozenset[Need] = frozenset()


class Layer(enum.Enum):
    """Which part of the judgement decided; the values are those of the receipt member `layer`."""

    RULE = "rule"
    DEFAULT_DENY = "default_deny"
    DENY_RULE = "deny_rule"
    METHOD = "method"
    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    OPERATION = "operation"
    TIME = "time"
    INTERCEPTION = "interception"
    CERTIFICATE = "certificate"
    HOST_KEY = "host_key"
    PROTOCOL = "protocol"
    ADDRESS = "address"
    NAME_MISMATCH = "name_mismatch"
    MALFORMED = "malformed"
    LIMIT = "limit"
    KERNEL = "kernel"
    SECRET = "secret"  # noqa: S105  the name of a layer
    SCAN = "scan"
    APPROVAL = "approval"
    OBSERVE = "observe"


@frozen
class RuleRef:
    """The rule behind a decision: its place among the `[[egress]]` tables (from 0), its line (from 1), its name.

    `file` is empty for the policy itself, else the name of the included file; places count on through those.
    """

    index: int
    destination: str
    line: int
    name: str | None = None
    file: str = attrs.field(default="", kw_only=True)

    def __str__(self) -> str:
        named = f" {self.name}" if self.name else ""
        place = f"{self.file} line {self.line}" if self.file else f"line {self.line}"
        return f"egress[{self.index}]{named} {self.destination!r} ({place})"


@frozen
class Avoided:
    """Addresses that a rule denies, whatever name leads there; which rule that is makes no difference."""

    network: IPv4Network | IPv6Network
    rule: RuleRef = attrs.field(eq=False)

    def holds(self, address: Address) -> bool:
        return address.version == self.network.version and address in self.network


@frozen
class Via:
    """The proxy of a company, by which something is reached. `looks_up`: names are looked up here, not by it. `login`:
    as whom, in the words of Proxy-Authorization; secret."""

    host: Host
    port: int
    looks_up: bool = False
    login: str = attrs.field(default="", eq=False, repr=False)

    def __str__(self) -> str:
        return render_authority(self.host, self.port)


@frozen
class Upstream:
    """Where an allowed attempt may be dialled.

    `pin` is the endpoint that `[resolve]` names: nothing is looked up and its range is not checked. `loopback`: the
    host's own loopback, its IPv4 address first. Otherwise `host` is resolved and, unless `allow_private`, only an
    outside address is dialled. Never one that is in `avoided`. `via`: by another proxy, which may do the looking up;
    never what is pinned or the loopback. `host_keys`: the fingerprints of which an SSH server must show one; None where
    any will do."""

    host: Host
    port: int
    pin: Endpoint | None = None
    allow_private: bool = False
    loopback: bool = False
    avoided: tuple[Avoided, ...] = ()
    via: Via | None = None
    host_keys: frozenset[str] | None = None


@frozen
class Rate:
    """So many requests in an interval (`second`, `minute`, `hour` or `day`)."""

    count: int
    interval: str

    def __str__(self) -> str:
        return f"{self.count}/{self.interval}"


@frozen(kw_only=True)
class RuleLimits:
    """What a rule may be used for. `connections`: at once. `body`: bytes of one request's. Bytes: of the whole run."""

    requests: Rate | None = None
    connections: int | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    body: int | None = None


class Kind(enum.Enum):
    """What scanning finds; policies choose actions by these words, and receipts tell findings in them."""

    SECRET = "secret"  # noqa: S105  a word
    """A credential, known by its form."""

    EXACT = "exact"
    """A value of this run: one that the operator named, or that looks like a secret."""

    CANARY = "canary"
    """A value that was put in the agent's way on purpose."""

    INSTRUCTION = "instruction"
    """Text that is made to be obeyed by a model."""

    HIDDEN = "hidden"
    """Text that a model reads and a person does not see."""

    ENTROPY = "entropy"
    """What looks random enough to be a secret; a second signal."""


class Action(enum.Enum):
    """What becomes of what scanning found."""

    BLOCK = "block"
    STRIP = "strip"
    """The finding is made unreadable, the rest goes on. Of what goes out, that is a block."""

    WARN = "warn"
    OFF = "off"


@frozen
class Actions:
    """What one table of a policy says of findings: by the name of their detector, and by their kind."""

    detectors: Mapping[str, Action] = attrs.field(factory=dict, hash=False)
    kinds: Mapping[Kind, Action] = attrs.field(factory=dict, hash=False)


@frozen
class Suppression:
    """A finding that is known and is none, until then: Unix time in microseconds. `finding`: its fingerprint."""

    finding: str
    detector: str
    reason: str
    until_us: int


SCAN_WHOLE_BYTES = 1 << 20
"""Where a policy says nothing."""


@frozen(kw_only=True)
class ScanTerms:
    """How that which a rule allows is looked through (`policy.scan`: what becomes of a finding).

    `actions`: of the rule, then of the policy. `requests`, `answers`: whether those are looked through. `whole`: a body
    of so many bytes is looked through before any of it goes on, a larger one piece by piece. `unreadable`: what becomes
    of what can't be looked into (BLOCK or WARN). `suppressed`: by fingerprint."""

    actions: tuple[Actions, ...] = ()
    requests: bool = True
    answers: bool = True
    whole: int = SCAN_WHOLE_BYTES
    unreadable: Action = Action.BLOCK
    suppressed: Mapping[str, Suppression] = attrs.field(factory=dict, hash=False)


@frozen(kw_only=True)
class MessageTerms:
    """What a rule says of a WebSocket's messages. `message_bytes`: of the largest, beneath its compression; `messages`:
    so many of each side in an interval; `seconds`: how long a connection may last. None: it is no matter."""

    binary: bool = True
    message_bytes: int | None = None
    messages: Rate | None = None
    seconds: int | None = None


NO_MESSAGE_TERMS = MessageTerms()


@frozen
class Decision:
    """The answer to an attempt. `upstream` is set exactly when it is allowed and is not a DNS query.

    `needs`: what the boundary has to do with what is allowed, or would have had to be able to do. `limits`: those of
    the rule that allows it; the boundary charges what is used (`policy.budget`), and cuts what uses too much. `scan`:
    how that rule has it looked through. `messages`: what it says of those of a WebSocket. `ask`: how many seconds
    somebody who is asked before it goes on has. None: it doesn't, or nobody is."""

    allowed: bool
    layer: Layer
    reason: str
    rule: RuleRef | None = None
    upstream: Upstream | None = None
    needs: frozenset[Need] = NO_NEEDS
    limits: RuleLimits | None = None
    scan: ScanTerms | None = None
    messages: MessageTerms = NO_MESSAGE_TERMS
    ask: int | None = None

    @property
    def line(self) -> int | None:
        """The line of the rule, where there is one behind it."""
        return None if self.rule is None else self.rule.line


def render_authority(host: Host, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address (RFC 3986 3.2.2)."""
    return f"[{host}]:{port}" if isinstance(host, IPv6Address) else f"{host}:{port}"
