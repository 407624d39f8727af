"""What stands between one rule that allows, whose pattern matches the host, and one attempt.

Judges one rule at a time: which rule decides is the engine's affair, the words for people are in `reasons`.

Rule 1: what is not visible of an attempt does not pass a key that is about it; where the boundary could make it
        visible, it is a need, and the obstacle is that need.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

from trio_egress.model import NO_NEEDS, Attempt, Layer, Need, Protocol
from trio_egress.policy.addresses import is_outside
from trio_egress.policy.budget import find_limit
from trio_egress.policy.doors import OWN_PORTS, Scheme, find_schemes
from trio_egress.policy.moment import NO_MOMENT, Moment
from trio_egress.policy.paths import parse_path
from trio_egress.policy.rule import Rule, Terms, Tls, carries_git

HTTP_PORT = 80
TLS_PORT = 443


class Obstacle(enum.IntEnum):
    """Why a rule does not allow an attempt. The smallest is the nearest miss."""

    LIMIT = 0
    TIME = 1
    BLIND = 2
    OPERATION = 3
    OPENING = 4
    HEADER = 5
    QUERY = 6
    PATH = 7
    METHOD = 8
    TUNNEL = 9
    INTERCEPTION = 10
    ADDRESS = 11
    UPGRADE = 12
    PROTOCOL = 13
    PORT = 14


LAYERS = {
    Obstacle.LIMIT: Layer.LIMIT,
    Obstacle.TIME: Layer.TIME,
    Obstacle.BLIND: Layer.INTERCEPTION,
    Obstacle.OPERATION: Layer.OPERATION,
    Obstacle.OPENING: Layer.HEADER,
    Obstacle.HEADER: Layer.HEADER,
    Obstacle.QUERY: Layer.QUERY,
    Obstacle.PATH: Layer.PATH,
    Obstacle.METHOD: Layer.METHOD,
    Obstacle.TUNNEL: Layer.METHOD,
    Obstacle.INTERCEPTION: Layer.INTERCEPTION,
    Obstacle.ADDRESS: Layer.ADDRESS,
    Obstacle.UPGRADE: Layer.PROTOCOL,
    Obstacle.PROTOCOL: Layer.PROTOCOL,
    Obstacle.PORT: Layer.DEFAULT_DENY,
}


def find_obstacle(
    rule: Rule, attempt: Attempt, *, pinned: bool, moment: Moment = NO_MOMENT
) -> Obstacle | None:
    """None where the rule allows the attempt. `pinned`: `[resolve]` says where the host is."""
    terms, port = rule.terms, attempt.port
    if not rule.plain:
        door = _find_door_obstacle(terms, attempt)
        if door is not None:
            return door
    elif terms.destination.port is None:
        if port not in (HTTP_PORT, TLS_PORT):
            return Obstacle.PORT
        if attempt.protocol is not Protocol.HTTP and (
            attempt.protocol is not Protocol.TLS or port != TLS_PORT
        ):
            return Obstacle.PROTOCOL
    elif terms.destination.port != port:
        return Obstacle.PORT
    if attempt.websocket and not _allows_websocket(terms):
        return Obstacle.UPGRADE
    if not (pinned or terms.allow_private or _is_reachable(attempt)):
        return Obstacle.ADDRESS
    if attempt.protocol is Protocol.HTTP:
        return _find_request_obstacle(rule, attempt, moment)
    if terms.git is not None and carries_git(terms) and not terms.git.matches(attempt):
        return Obstacle.OPERATION
    if rule.ends_tls(attempt.host, port):
        return _find_stream_obstacle(rule, attempt, moment)
    return None if rule.plain else _find_use_obstacle(rule, attempt, moment)


def is_of_request(obstacle: Obstacle | None) -> bool:
    """Whether there is none, or one that another request at the same place might not meet."""
    return obstacle is None or obstacle <= Obstacle.METHOD


def find_needs(rule: Rule, attempt: Attempt) -> frozenset[Need]:
    """What the boundary has to do with an attempt that this rule allows."""
    if rule.plain and not rule.inside:
        return NO_NEEDS
    terms = rule.terms
    needs = set()
    if attempt.protocol is Protocol.TLS and rule.ends_tls(attempt.host, attempt.port):
        needs.add(Need.TLS)
    elif attempt.protocol is Protocol.HTTP and attempt.calls is None and _asks_for_calls(terms):
        needs.add(Need.BODIES)
    if terms.limits is not None:
        needs.add(Need.METER)
    if terms.scan is not None:
        needs.add(Need.SCAN)
    if terms.host_keys is not None:
        needs.add(Need.HOST_KEY)
    if carries_git(terms):
        needs.add(Need.GIT_SSH)
    if attempt.websocket:
        needs.add(Need.WEBSOCKET)
        if rule.frame_scan is not None:
            needs.add(Need.FRAMES)
    return frozenset(needs)


def _find_door_obstacle(terms: Terms, attempt: Attempt) -> Obstacle | None:
    """Ports and protocols."""
    port, protocol = attempt.port, terms.protocol
    named = terms.ports is not None or terms.destination.port is not None
    if named and not is_named_port(terms, port):
        return Obstacle.PORT
    schemes = find_schemes(attempt)
    if protocol is None:
        if named:
            return None
        if port not in (HTTP_PORT, TLS_PORT):
            return Obstacle.PORT
        on_its_port = attempt.protocol is Protocol.TLS and port == TLS_PORT
        return None if attempt.protocol is Protocol.HTTP or on_its_port else Obstacle.PROTOCOL
    if not named and port not in {OWN_PORTS.get(scheme) for scheme in protocol}:
        return Obstacle.PORT
    if Scheme.TCP in protocol:
        return None
    spoken = schemes & protocol
    if any(named or OWN_PORTS[scheme] == port for scheme in spoken):
        return None
    return Obstacle.PROTOCOL


def is_named_port(terms: Terms, port: int) -> bool:
    """Whether the port is one of those that the rule names; it names some."""
    if terms.ports is not None:
        return any(part.first <= port <= part.last for part in terms.ports)
    return terms.destination.port == port


def _allows_websocket(terms: Terms) -> bool:
    if terms.websocket is not None:
        return terms.websocket.enabled
    return terms.protocol is not None and bool(terms.protocol & {Scheme.WS, Scheme.WSS})


def _asks_for_calls(terms: Terms) -> bool:
    return terms.graphql is not None or terms.jsonrpc is not None or terms.mcp is not None


def _find_request_obstacle(rule: Rule, attempt: Attempt, moment: Moment) -> Obstacle | None:
    """One HTTP request, seen."""
    terms = rule.terms
    # RFC 9110 9.3.6: what follows it is no HTTP any more, and goes wherever the client said. Methods have case,
    # but not every upstream knows that.
    if attempt.method is not None and attempt.method.upper() == "CONNECT":
        return Obstacle.TUNNEL
    if terms.methods is not None and not {attempt.method, *attempt.overrides} <= terms.methods:
        return Obstacle.METHOD
    if rule.plain:
        return None
    if terms.tls is Tls.PASSTHROUGH and attempt.secure:
        return Obstacle.PROTOCOL
    return _find_word_obstacle(terms, attempt) or _find_use_obstacle(rule, attempt, moment)


def _find_word_obstacle(terms: Terms, attempt: Attempt) -> Obstacle | None:
    """What the head says, and then the body, where it has been read."""
    if terms.paths is not None and not matches_path(terms, attempt.path):
        return Obstacle.PATH
    if terms.git is not None and not terms.git.matches(attempt):
        return Obstacle.OPERATION
    if terms.query is not None and (attempt.query is None or not attempt.query <= terms.query):
        return Obstacle.QUERY
    if terms.headers is not None:
        names = attempt.headers
        if names is None or terms.headers.find_missing(names) or terms.headers.find_forbidden(names):
            return Obstacle.HEADER
    if attempt.websocket and terms.websocket is not None and not terms.websocket.matches(attempt):
        return Obstacle.OPENING
    if attempt.calls is not None and not all(
        service is None or service.matches(attempt.calls)
        for service in (terms.graphql, terms.jsonrpc, terms.mcp)
    ):
        return Obstacle.OPERATION
    return None


def matches_path(terms: Terms, raw: str | None) -> bool:
    """Whether one of the rule's patterns matches; what has no normal form matches none."""
    try:
        path = parse_path(raw or "")
    except ValueError:
        return False
    return any(glob.matches(path) for glob in terms.paths or ())


def _find_stream_obstacle(rule: Rule, attempt: Attempt, moment: Moment) -> Obstacle | None:
    """A stream whose inside the rule is about: TLS can perhaps be ended here, anything else has no requests."""
    if attempt.protocol is Protocol.TLS:
        if Need.TLS not in moment.able:
            return Obstacle.INTERCEPTION
    elif Need.SCAN in moment.able or any(key != "scan" for key in rule.inside):
        return Obstacle.PROTOCOL  # a stream is not looked through
    return None if rule.plain else _find_use_obstacle(rule, attempt, moment)


def _find_use_obstacle(rule: Rule, attempt: Attempt, moment: Moment) -> Obstacle | None:
    """Whether the boundary can, whether it is time, and whether something is left. The rule is not plain."""
    terms = rule.terms
    if not find_needs(rule, attempt) <= moment.able:
        return Obstacle.BLIND
    if terms.times is not None:
        now_us = moment.now_us
        if now_us is None or not any(window.holds(now_us) for window in terms.times):
            return Obstacle.TIME
    if terms.limits is not None:
        usage = moment.state.of(rule.ref.index)
        if find_limit(terms.limits, usage, attempt, moment.now_us) is not None:
            return Obstacle.LIMIT
    return None


def _is_reachable(attempt: Attempt) -> bool:
    """A name is looked up after the decision, and the address that is found is checked then."""
    host = attempt.host
    return not isinstance(host, (IPv4Address, IPv6Address)) or is_outside(host)
