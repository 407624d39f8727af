"""From what a connection says to an attempt and its decision. Values only: no socket, no receipt.

Rule 1: what was asked for by name, what the connection names inside (server name, Host), and the policy must agree.
Rule 2: a connection to an address is judged by the name that it says, and then that *name* is looked up and dialled:
the address was only the agent's word for it.
Rule 3: TLS to a name without a server name is refused: nothing else in it can be judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import attrs

from trio_egress.errors import PeerError
from trio_egress.evidence.redact import QUERY, USERINFO, Withheld
from trio_egress.model import Attempt, Call, Decision, Host, Layer, Protocol, Transport, render_authority
from trio_egress.policy.engine import decide, decide_some
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.moment import NO_MOMENT, Moment
from trio_egress.policy.observe import observe
from trio_egress.policy.paths import find_query_names, find_query_values
from trio_egress.policy.recall import NAMES_CHARS, NAMES_LEFT_OUT, UNTOLD
from trio_egress.policy.recall_calls import tell_calls
from trio_egress.policy.rule import Policy
from trio_egress.policy.services import find_service
from trio_egress.values import frozen
from trio_egress.wire.git_command import GitCommand
from trio_egress.wire.message import BadMessage, RequestHead, split_authority
from trio_egress.wire.overrides import find_overrides
from trio_egress.wire.tls_hello import ClientHello
from trio_egress.wire.websocket_opening import WEBSOCKET, Opening, parse_opening

if TYPE_CHECKING:
    from trio_egress.wire.jsonrpc import Message

Ask = Callable[[Policy, Attempt, Moment], Decision]

HTTP_PORT = 80
TLS_PORT = 443

DROPPED_UPGRADES = ("h2c", "tls/")
"""Offers that a server may ignore, and never hears of (Apache's HttpClient makes one with every request)."""

_HOST_FIELD = frozenset({"host"})


@frozen
class Door:
    """How a connection came in and where to; for the forward proxy, its own address.

    `asks_for_tls`: what comes in the clear goes on inside TLS.
    """

    transport: Transport
    host: Host
    port: int
    asks_for_tls: bool = False

    @property
    def secure(self) -> bool:
        """Whether what comes by it goes on inside TLS."""
        return self.asks_for_tls or self.transport is Transport.INTERCEPT


@frozen
class Judgement:
    """An attempt, the answer, and what else the receipt should say."""

    attempt: Attempt
    decision: Decision
    facts: Mapping[str, object] = attrs.field(factory=dict)
    moment: Moment = NO_MOMENT
    messages: tuple[Message, ...] = ()
    """Of JSON-RPC, where those were read; so that an answer of ours can be one."""

    batch: bool = False
    """They came in a list."""


def judge_tcp(
    policy: Policy, door: Door, moment: Moment = NO_MOMENT, protocol: Protocol = Protocol.TCP
) -> Judgement:
    """A tunnel of bytes that nobody can read, `protocol` TCP, or SSH by its first ones."""
    return _judge(policy, Attempt(door.transport, protocol, door.host, door.port), moment)


def judge_git(policy: Policy, door: Door, command: GitCommand, moment: Moment = NO_MOMENT) -> Judgement:
    """One command of git over SSH that is ended here."""
    attempt = Attempt(
        door.transport, Protocol.SSH, door.host, door.port, path=command.path, service=command.service
    )
    return _judge(policy, attempt, moment, {"service": command.service, "command": str(command)})


def judge_tls(policy: Policy, door: Door, hello: ClientHello, moment: Moment = NO_MOMENT) -> Judgement:
    """A TLS connection, by its ClientHello."""
    facts: dict[str, object] = {"alpn": list(hello.alpn)}
    if hello.server_name is not None:
        user, _, facts["sni"] = hello.server_name.rpartition("@")
        if user:
            facts["userinfo"] = Withheld(USERINFO, (user.encode(),))
    if hello.ech:
        facts["ech"] = True
    attempt = Attempt(door.transport, Protocol.TLS, door.host, door.port)
    host = _name_of_hello(door, hello)
    if isinstance(host, Decision):
        return Judgement(attempt, host, facts)
    return _judge(policy, attrs.evolve(attempt, host=host), moment, {**facts, **_asked(door, host)})


def judge_request(
    policy: Policy,
    door: Door,
    head: RequestHead,
    moment: Moment = NO_MOMENT,
    calls: tuple[Call, ...] | None = None,
) -> Judgement:
    """One HTTP request, by its target, its Host, and what else its head says. `calls`: what its body does, if read."""
    wanted = [upgrade for upgrade in head.upgrades if not upgrade.startswith(DROPPED_UPGRADES)]
    opening = _read_opening(head) if wanted == [WEBSOCKET] else None
    attempt = _read_attempt(door, head, calls, opening)
    facts = {**_read_facts(policy, head, attempt), **_withhold(head)}
    try:
        told = _told(head)
    except (PeerError, ValueError) as error:
        return Judgement(attempt, deny(Layer.MALFORMED, str(error)), facts)
    target = _target_of_forward(head, told) if door.transport is Transport.FORWARD else _target(door, told)
    if isinstance(target, Decision):
        return Judgement(attempt, target, facts)
    host, port = target
    attempt = attrs.evolve(attempt, host=host, port=port)
    if head.scheme not in (None, "https" if door.secure else "http"):
        reason = f"{head.scheme}:// is not spoken to a proxy in the clear: a client asks for it by CONNECT"
        return Judgement(attempt, deny(Layer.PROTOCOL, reason), facts)
    if wanted and not attempt.websocket:
        reason = f"an upgrade to {', '.join(wanted)} can't be inspected"
        return Judgement(attempt, deny(Layer.PROTOCOL, reason), facts)
    judged = _judge(policy, attempt, moment, {**facts, **_asked(door, host)})
    if judged.decision.allowed and head.method == "CONNECT":
        return attrs.evolve(
            judged, decision=deny(Layer.PROTOCOL, "a tunnel in a connection can't be inspected")
        )
    if judged.decision.allowed and isinstance(opening, BadMessage):
        return attrs.evolve(judged, decision=deny(Layer.MALFORMED, str(opening)))
    return judged


def judge_connect(policy: Policy, head: RequestHead, door: Door, moment: Moment = NO_MOMENT) -> Judgement:
    """A CONNECT, before anything inside is known: by TLS, or by the protocol that the policy allows there instead."""
    attempt = Attempt(Transport.CONNECT, Protocol.TLS, door.host, door.port, "CONNECT")
    try:
        raw, port = split_authority(head.authority or "")
        host = parse_host(raw)
    except (PeerError, ValueError) as error:
        return Judgement(attempt, deny(Layer.MALFORMED, str(error)), _withhold(head))
    if port is None or head.body != 0:
        return Judgement(attempt, deny(Layer.MALFORMED, "CONNECT needs `host:port` and has no body"))
    inside = Door(Transport.CONNECT, host, port)
    asked = _judge(policy, Attempt(Transport.CONNECT, Protocol.TLS, host, port), moment)
    if asked.decision.allowed or asked.decision.layer is Layer.INTERCEPTION:
        return asked
    best = judge_best(policy, inside, moment)
    return best if best.decision.allowed else asked


def judge_best(policy: Policy, door: Door, moment: Moment = NO_MOMENT) -> Judgement:
    """The first of TCP, SSH, TLS and some HTTP request that the policy allows through this door; else TCP's denial."""
    tcp, ssh = (judge_tcp(policy, door, moment, protocol) for protocol in (Protocol.TCP, Protocol.SSH))
    tls = _judge(policy, attrs.evolve(tcp.attempt, protocol=Protocol.TLS), moment)
    asking = attrs.evolve(tcp.attempt, protocol=Protocol.HTTP)
    http = Judgement(asking, answer(policy, asking, moment, decide_some))
    return next((judged for judged in (tcp, ssh, tls, http) if judged.decision.allowed), tcp)


def may_speak_later(policy: Policy, door: Door, moment: Moment = NO_MOMENT) -> bool:
    """Whether a client that is silent could still say something that opens a way: a name, or a request."""
    if isinstance(door.host, (IPv4Address, IPv6Address)) and door.port in (HTTP_PORT, TLS_PORT):
        return True
    return judge_best(policy, door, moment).decision.allowed


def _read_opening(head: RequestHead) -> Opening | BadMessage:
    """What asks for a WebSocket, and has to ask for it as one does."""
    try:
        return parse_opening(head)
    except BadMessage as fault:
        return fault


def _read_attempt(
    door: Door, head: RequestHead, calls: tuple[Call, ...] | None, opening: Opening | BadMessage | None
) -> Attempt:
    """What a request says of itself, but for where it goes."""
    path, _, query = head.path.partition("?")
    asked = opening if isinstance(opening, Opening) else None
    return Attempt(
        door.transport,
        Protocol.HTTP,
        door.host,
        door.port,
        head.method,
        path or None,
        secure=door.secure,
        websocket=opening is not None,
        origin=None if asked is None else asked.origin,
        subprotocols=None if asked is None else frozenset(asked.protocols),
        query=find_query_names(query),
        headers=_HOST_FIELD.union(name.decode("ascii").lower() for name, _ in head.fields),
        service=find_service(query),
        body_bytes=head.body if isinstance(head.body, int) else None,
        calls=() if head.body == 0 and not query else calls,
        overrides=find_overrides(head.fields),
    )


def _read_facts(policy: Policy, head: RequestHead, attempt: Attempt) -> dict[str, object]:
    """What the policy looks at of a request beside method and path: names, in order, and no value."""
    facts: dict[str, object] = {"websocket": True} if attempt.websocket else {}
    if head.version != 1:
        facts["http"] = str(head.version)
    if attempt.overrides:
        facts["method_overrides"] = sorted(attempt.overrides)
    if "query" in policy.looks_at:
        facts["query"] = sorted(attempt.query or ())
    if "headers" in policy.looks_at:
        facts["headers"] = sorted(attempt.headers or ())
    if "opening" in policy.looks_at and attempt.websocket:
        facts.update(_tell_opening(policy, attempt))
    if sum(map(len, (*(attempt.query or ()), *(attempt.headers or ())))) > NAMES_CHARS:
        facts = {key: value for key, value in facts.items() if key not in ("query", "headers")}
        facts[NAMES_LEFT_OUT] = True
    if "calls" in policy.looks_at and attempt.calls is not None:
        facts.update(tell_calls(attempt.calls))
    if "service" in policy.looks_at and attempt.service is not None:
        facts["service"] = attempt.service
    if "body_bytes" in policy.looks_at and attempt.body_bytes is not None:
        facts["body_bytes"] = attempt.body_bytes
    return facts


def _tell_opening(policy: Policy, attempt: Attempt) -> dict[str, object]:
    """What a WebSocket is asked for with, in the words of the policy."""
    known = policy.openings
    words = {word if word in known else UNTOLD for word in attempt.subprotocols or ()}
    origin = attempt.origin if attempt.origin is None or attempt.origin in known else UNTOLD
    return {"ws_origin": origin, "ws_protocols": sorted(words)}


def _withhold(head: RequestHead) -> dict[str, object]:
    """What is never told but by commitments: the values of a query, and who an authority says that one is."""
    facts: dict[str, object] = {}
    if values := find_query_values(head.path.partition("?")[2]):
        facts["query_values"] = Withheld(QUERY, values)
    named = (raw.rpartition("@") for raw in (head.authority, head.host) if raw)
    if users := tuple(user.encode("latin-1") for user, at, _ in named if at):
        facts["userinfo"] = Withheld(USERINFO, users)
    return facts


def answer(policy: Policy, attempt: Attempt, moment: Moment, ask: Ask = decide) -> Decision:
    """What the engine says, and what becomes of it where nothing is enforced."""
    decision = ask(policy, attempt, moment)
    if moment.stopped and not decision.allowed:
        return attrs.evolve(decision, reason=moment.stopped)
    return observe(policy, attempt, decision) if moment.observing else decision


def deny(layer: Layer, reason: str) -> Decision:
    """A denial that the policy wasn't asked for."""
    return Decision(False, layer, reason)


def render_host(head: RequestHead, attempt: Attempt) -> str:
    """The Host field for the upstream: as the agent spelt it where that is the judged host, else its normal form."""
    raw = head.authority or head.host
    if raw and split_authority(raw)[0].lower() in (str(attempt.host), f"[{attempt.host}]"):
        return raw.removesuffix(":")
    usual = TLS_PORT if attempt.secure else HTTP_PORT
    authority = render_authority(attempt.host, attempt.port)
    return authority.removesuffix(f":{usual}") if attempt.port == usual else authority


def _judge(
    policy: Policy, attempt: Attempt, moment: Moment, facts: Mapping[str, object] | None = None
) -> Judgement:
    decision = answer(policy, attempt, moment)
    more: dict[str, object] = {}
    if "now_us" in policy.looks_at and moment.now_us is not None:
        more["judged_us"] = moment.now_us
    if decision.needs:
        more["needs"] = sorted(need.value for need in decision.needs)
    return Judgement(attempt, decision, {**(facts or {}), **more}, moment)


def _asked(door: Door, host: Host) -> Mapping[str, object]:
    """The address that the agent connected to, where another host was judged."""
    if host == door.host or door.transport is Transport.FORWARD:
        return {}
    return {"asked": render_authority(door.host, door.port)}


def _name_of_hello(door: Door, hello: ClientHello) -> Host | Decision:
    is_address = isinstance(door.host, (IPv4Address, IPv6Address))
    if hello.server_name is None:
        if is_address:
            return door.host
        return deny(Layer.NAME_MISMATCH, f"TLS to {door.host} without a server name can't be judged")
    try:
        said = parse_host(hello.server_name)
    except ValueError as error:
        return deny(Layer.MALFORMED, f"the TLS server name isn't one: {error}")
    if said != door.host and (not is_address or isinstance(said, (IPv4Address, IPv6Address))):
        return deny(Layer.NAME_MISMATCH, f"the TLS server name is {said}, but {door.host} was asked for")
    return said


def _told(head: RequestHead) -> list[tuple[Host, int | None]]:
    """The authorities that a request names: the target's, then Host's. Raises PeerError or ValueError."""
    default = {"http": HTTP_PORT, "https": TLS_PORT}.get(head.scheme or "")
    told: list[tuple[Host, int | None]] = []
    for raw in (head.authority, head.host):
        if raw:
            host, port = split_authority(raw)
            told.append((parse_host(host), port or default))
    return told


def _target_of_forward(head: RequestHead, told: list[tuple[Host, int | None]]) -> tuple[Host, int] | Decision:
    """Where a request to the forward proxy goes."""
    if head.scheme is None or not head.authority:
        reason = "this is an HTTP proxy: it takes `GET http://host/path` and `CONNECT host:port`"
        return deny(Layer.MALFORMED, reason)
    host, port = told[0]
    if port is None:
        return deny(Layer.MALFORMED, f"a target's scheme must be http, not {head.scheme}")
    if told[-1] != told[0]:
        return deny(Layer.NAME_MISMATCH, f"Host says {told[-1][0]}, but {host} was asked for")
    return host, port


def _target(door: Door, told: list[tuple[Host, int | None]]) -> tuple[Host, int] | Decision:
    """Where a request on a connection goes that was already asked for somewhere."""
    asked = render_authority(door.host, door.port)
    host = door.host
    for said, port in told:
        judged_by_name = isinstance(host, (IPv4Address, IPv6Address)) and not isinstance(
            said, (IPv4Address, IPv6Address)
        )
        if (said != host and not judged_by_name) or port not in (None, door.port):
            found = str(said) if port is None else render_authority(said, port)
            return deny(Layer.NAME_MISMATCH, f"the request is for {found}, but {asked} was asked for")
        host = said
    return host, door.port
