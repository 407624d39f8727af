"""A policy as a value: rules, their terms, and pins.

Reads no file (`load`) and judges nothing (`engine`).

A new key of an `[[egress]]` table is a field of Terms here, a line in `keys` that reads it, a line in `_WRITERS` of
`compiled` that writes it, and an Obstacle, which is judged in `obstacle` and put into words in `reasons`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

import attrs

from trio_egress.errors import Problem
from trio_egress.model import (
    Address,
    Attempt,
    Avoided,
    Endpoint,
    Host,
    RuleLimits,
    RuleRef,
    ScanTerms,
    Via,
    render_authority,
)
from trio_egress.policy.approval import Ask
from trio_egress.policy.cases import PlacedCase
from trio_egress.policy.destination import Destination, Network, find_network
from trio_egress.policy.doors import IN_TLS, Ports, Scheme
from trio_egress.policy.environment import Env
from trio_egress.policy.files import Files
from trio_egress.policy.globs import PathGlob
from trio_egress.policy.host_keys import PinnedKey
from trio_egress.policy.index import Index, build_index
from trio_egress.policy.limits import Limits
from trio_egress.policy.mcp_table import PlacedMcp
from trio_egress.policy.roots import Root
from trio_egress.policy.scan import NO_SCAN, Scan, merge_scan
from trio_egress.policy.secret import PlacedSecret
from trio_egress.policy.services import Git, GraphQL, Headers, JsonRpc, Mcp, WebSocket
from trio_egress.policy.sought import USUAL, Sought
from trio_egress.policy.suppressed import PlacedSuppression, find_expired
from trio_egress.policy.times import Window
from trio_egress.policy.upstream_proxy import PlacedProxy
from trio_egress.values import frozen


class Tls(enum.Enum):
    """What becomes of TLS; without it, it is intercepted where a rule has to see the requests inside."""

    INTERCEPT = "intercept"
    PASSTHROUGH = "passthrough"


@frozen(kw_only=True)
class Terms:
    """What one `[[egress]]` table says, a field for each key. None: whatever it is, it is no matter."""

    destination: Destination
    name: str | None = None
    reason: str | None = None
    deny: bool = False
    ports: tuple[Ports, ...] | None = None
    protocol: frozenset[Scheme] | None = None
    host_keys: tuple[PinnedKey, ...] | None = None
    methods: frozenset[str] | None = None
    paths: tuple[PathGlob, ...] | None = None
    query: frozenset[str] | None = None
    headers: Headers | None = None
    git: Git | None = None
    graphql: GraphQL | None = None
    jsonrpc: JsonRpc | None = None
    mcp: Mcp | None = None
    tls: Tls | None = None
    scan: Scan | None = None
    websocket: WebSocket | None = None
    times: tuple[Window, ...] | None = None
    limits: RuleLimits | None = None
    ask: Ask | None = None
    allow_private: bool = False


def carries_git(terms: Terms) -> bool:
    """Whether the rule is for git over SSH alone, which is ended at the boundary for it."""
    return terms.git is not None and terms.protocol == frozenset({Scheme.SSH})


OF_REQUESTS = ("methods", "paths", "query", "headers", "git", "graphql", "jsonrpc", "mcp")
"""Keys that say something of a request; it must be seen to be judged."""

_PLAIN_KEYS = {"destination", "name", "reason", "deny", "methods", "allow_private"}
"""Keys that the engine judges by the short way."""


@frozen
class Rule:
    """Terms, and the place in the file that they come from.

    `rank` is the place in the compiled form. It decides between rules, so that the order in a file means nothing.
    `inside`: the keys for which what is inside TLS must be seen. `plain`: no key needs more than the short way.
    `bears`: where secrets go by it (`[[secret]] to`): what is inside TLS must be seen there, too.
    """

    ref: RuleRef
    terms: Terms
    rank: int = attrs.field(default=attrs.Factory(lambda rule: rule.ref.index, takes_self=True), eq=False)
    bears: tuple[Destination, ...] = attrs.field(default=(), eq=False)
    inside: tuple[str, ...] = attrs.field(init=False, eq=False, repr=False)
    plain: bool = attrs.field(init=False, eq=False, repr=False)

    @inside.default
    def _find_inside(self) -> tuple[str, ...]:
        return find_inside(self.terms)

    @plain.default
    def _find_plain(self) -> bool:
        terms = self.terms
        return not self.bears and not any(getattr(terms, key) not in (None, False) for key in _SPECIAL_KEYS)

    @property
    def is_about_all(self) -> bool:
        """Whether it is about everything at its destination; with `deny` nothing at all is left there."""
        return self.plain and self.terms.destination.port is None and self.terms.methods is None

    @property
    def frame_scan(self) -> Scan | None:
        """How the messages of WebSockets are looked through that it allows."""
        asks = self.terms.websocket is not None and self.terms.websocket.frame_scan
        return NO_SCAN if self.terms.scan is None and asks else self.terms.scan

    def ends_tls(self, host: Host, port: int) -> bool:
        """Whether TLS there ends at the boundary, for whatever it allows."""
        terms = self.terms
        if terms.tls is Tls.PASSTHROUGH:
            return False
        looks = bool(self.inside) or terms.tls is Tls.INTERCEPT
        return looks or any(destination.holds(host, port) for destination in self.bears)


_SPECIAL_KEYS = tuple(field.name for field in attrs.fields(Terms) if field.name not in _PLAIN_KEYS)


def find_inside(terms: Terms) -> tuple[str, ...]:
    """The keys of a rule for which what is inside TLS must be seen."""
    found = [key for key in OF_REQUESTS if getattr(terms, key) is not None]
    if carries_git(terms):
        found.remove("git")
    limits, websocket = terms.limits, terms.websocket
    if terms.scan is not None:
        found.append("scan")
    if websocket is not None and websocket.must_see:
        found.append("websocket")
    if limits is not None:
        found += [f"limits.{key}" for key in ("requests", "body") if getattr(limits, key) is not None]
    if terms.protocol is not None and terms.protocol & (IN_TLS | {Scheme.TCP}) == {Scheme.WSS}:
        found.append("protocol")
    return tuple(found)


_LOOKS = {
    "query": ("query",),
    "headers": ("headers",),
    "git": ("query", "service"),
    "graphql": ("calls",),
    "jsonrpc": ("calls",),
    "mcp": ("calls",),
    "times": ("now_us",),
    "limits": ("body_bytes", "now_us"),
}


def find_looks(terms: Terms) -> Iterator[str]:
    """The facts of an attempt, or of its moment, that a rule hangs on and that a receipt has not anyway."""
    if terms.websocket is not None and terms.websocket.asks:
        yield "opening"
    yield from (fact for key, facts in _LOOKS.items() if getattr(terms, key) is not None for fact in facts)


@frozen
class Pin:
    """This host is at this address. `port` None: on any port. `address_port` None: on the port asked for."""

    host: Host
    port: int | None
    address: Address
    address_port: int | None

    @property
    def target(self) -> str:
        return _render(self.host, self.port)

    @property
    def answer(self) -> str:
        return _render(self.address, self.address_port)


@frozen
class Resolve:
    """The pins of a policy. A pin with a port is nearer than one without."""

    pins: tuple[Pin, ...] = ()
    _by_target: dict[tuple[Host, int | None], Pin] = attrs.field(init=False, eq=False, repr=False)

    @_by_target.default
    def _map_targets(self) -> dict[tuple[Host, int | None], Pin]:
        return {(pin.host, pin.port): pin for pin in self.pins}

    def find(self, host: Host, port: int) -> Endpoint | None:
        if not self._by_target:
            return None
        pin = self._by_target.get((host, port)) or self._by_target.get((host, None))
        return None if pin is None else Endpoint(pin.address, pin.address_port or port)


@frozen
class Source:
    """One file of a policy; an included one is named from the policy's directory. `sha256` is that of its bytes."""

    name: str
    text: str = attrs.field(repr=False)
    sha256: str


@frozen
class Policy:
    """Everything that is allowed; what no rule allows is denied. And the agent's files, variables and limits.

    `index` finds the rules that allow, `denials` those with `deny`. `looks_at`: the facts of an attempt, beyond the
    usual ones, that some rule hangs on, so that receipts can have them. `sources`: the files, the policy itself first.
    """

    rules: tuple[Rule, ...] = ()
    resolve: Resolve = attrs.field(factory=Resolve)
    source_file: str = attrs.field(default="", eq=False)
    files: Files = attrs.field(factory=Files, kw_only=True)
    env: Env = attrs.field(factory=Env, kw_only=True)
    limits: Limits = attrs.field(factory=Limits, kw_only=True)
    secrets: tuple[PlacedSecret, ...] = attrs.field(default=(), kw_only=True)
    roots: tuple[Root, ...] = attrs.field(default=(), kw_only=True)
    upstream: PlacedProxy | None = attrs.field(default=None, kw_only=True)
    scan: Scan = attrs.field(default=NO_SCAN, kw_only=True)
    suppressions: tuple[PlacedSuppression, ...] = attrs.field(default=(), kw_only=True)
    sought: Sought = attrs.field(default=USUAL, kw_only=True)
    mcp: PlacedMcp | None = attrs.field(default=None, kw_only=True)
    named_detectors: tuple[tuple[str, Problem], ...] = attrs.field(
        default=(), eq=False, repr=False, kw_only=True
    )
    """Each word for a detector, in rules and for all, with its place as a problem of which nothing is said yet."""

    cases: tuple[PlacedCase, ...] = attrs.field(default=(), eq=False, kw_only=True)
    warnings: tuple[Problem, ...] = attrs.field(default=(), eq=False, kw_only=True)
    sources: tuple[Source, ...] = attrs.field(default=(), eq=False, kw_only=True)
    index: Index[Rule] = attrs.field(init=False, eq=False, repr=False)
    denials: Index[Rule] | None = attrs.field(init=False, eq=False, repr=False)
    """None where no rule denies."""

    looks_at: frozenset[str] = attrs.field(init=False, eq=False, repr=False)

    endpoints: tuple[str, ...] = attrs.field(init=False, eq=False, repr=False)
    """Where the explicit proxy is asked for WebSockets, each a path and a parameter: `/ws?url=`."""

    always_avoided: tuple[Avoided, ...] = attrs.field(init=False, eq=False, repr=False)
    """Networks and addresses of which rules leave nothing; in an order that is not the file's."""

    avoided: tuple[tuple[Network, Rule], ...] = attrs.field(init=False, eq=False, repr=False)
    """Others that rules deny for some attempts, with those rules; in such an order, too."""

    def find_via(self, attempt: Attempt) -> Via | None:
        """The company's proxy, by which an attempt goes out; None where it is dialled directly."""
        if self.upstream is None or self.resolve.find(attempt.host, attempt.port) is not None:
            return None
        return self.upstream.find(attempt.host, attempt.port)

    @property
    def openings(self) -> frozenset[str]:
        """The origins and subprotocols of WebSockets that some rule names; no other is told anywhere."""
        tables = [rule.terms.websocket for rule in self.rules if rule.terms.websocket is not None]
        return frozenset(
            word for table in tables for each in (table.origins, table.subprotocols) for word in each or ()
        )

    _scans: Mapping[Scan, ScanTerms] = attrs.field(init=False, eq=False, repr=False)

    def find_warnings(self, now_us: int) -> tuple[Problem, ...]:
        """All that is only useless or unusual, and what is it by now."""
        return (*self.warnings, *find_expired(self.suppressions, now_us))

    def find_scan(self, rule: Rule, *, websocket: bool = False) -> ScanTerms | None:
        """How that which the rule allows is looked through."""
        scan = rule.frame_scan if websocket else rule.terms.scan
        return None if scan is None else self._scans[scan]

    def find_message_scan(self) -> ScanTerms | None:
        """How what goes by over the standard streams of an MCP server is looked through."""
        scan = None if self.mcp is None else self.mcp.table.scan
        return None if scan is None else self._scans[scan]

    @property
    def scans(self) -> frozenset[Scan]:
        """All that are asked for."""
        asked = {scan for rule in self.rules for scan in (rule.terms.scan, rule.frame_scan)}
        asked.add(None if self.mcp is None else self.mcp.table.scan)
        return frozenset(scan for scan in asked if scan is not None)

    @_scans.default
    def _merge_scans(self) -> Mapping[Scan, ScanTerms]:
        suppressed = {one.finding: one for placed in self.suppressions for one in (placed.suppression,)}
        return {scan: merge_scan(scan, self.scan, suppressed) for scan in self.scans}

    @endpoints.default
    def _find_endpoints(self) -> tuple[str, ...]:
        spoken = (rule.terms.websocket for rule in self.rules if rule.terms.websocket is not None)
        return tuple(sorted({each.proxy_path for each in spoken if each.proxy_path is not None}))

    @always_avoided.default
    def _find_always_avoided(self) -> tuple[Avoided, ...]:
        found: dict[Network, Avoided] = {}
        for network, rule in self._list_denied_networks():
            if rule.is_about_all and network not in found:
                found[network] = Avoided(network, rule.ref)
        return tuple(found.values())

    @avoided.default
    def _find_avoided(self) -> tuple[tuple[Network, Rule], ...]:
        always = {avoided.network for avoided in self.always_avoided}
        return tuple(pair for pair in self._list_denied_networks() if pair[0] not in always)

    def _list_denied_networks(self) -> list[tuple[Network, Rule]]:
        networks = (
            (find_network(rule.terms.destination.pattern), rule) for rule in self.rules if rule.terms.deny
        )
        found = [(network, rule) for network, rule in networks if network is not None]
        return sorted(found, key=lambda pair: (str(pair[0]), pair[1].rank))

    @looks_at.default
    def _find_looks(self) -> frozenset[str]:
        return frozenset(fact for rule in self.rules if not rule.plain for fact in find_looks(rule.terms))

    @index.default
    def _index_rules(self) -> Index[Rule]:
        return build_index(
            (rule.terms.destination.pattern, rule) for rule in self.rules if not rule.terms.deny
        )

    @denials.default
    def _index_denials(self) -> Index[Rule] | None:
        denying = [rule for rule in self.rules if rule.terms.deny]
        return build_index((rule.terms.destination.pattern, rule) for rule in denying) if denying else None


def _render(host: Host, port: int | None) -> str:
    return str(host) if port is None else render_authority(host, port)
