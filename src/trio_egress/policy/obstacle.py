"""What stands between one rule, whose pattern matches the host, and one attempt.

Judges one rule at a time: which rule decides is the engine's affair, the words for people are in `reasons`.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

from trio_egress.model import Attempt, Layer, Protocol
from trio_egress.policy.addresses import is_outside
from trio_egress.policy.rule import Rule

HTTP_PORT = 80
TLS_PORT = 443


class Obstacle(enum.IntEnum):
    """Why a rule does not allow an attempt. The smallest is the nearest miss."""

    METHOD = 0
    TUNNEL = 1
    INTERCEPTION = 2
    ADDRESS = 3
    PROTOCOL = 4
    PORT = 5


LAYERS = {
    Obstacle.METHOD: Layer.METHOD,
    Obstacle.TUNNEL: Layer.METHOD,
    Obstacle.INTERCEPTION: Layer.INTERCEPTION,
    Obstacle.ADDRESS: Layer.ADDRESS,
    Obstacle.PROTOCOL: Layer.PROTOCOL,
    Obstacle.PORT: Layer.DEFAULT_DENY,
}


def find_obstacle(rule: Rule, attempt: Attempt, *, pinned: bool) -> Obstacle | None:
    """None where the rule allows the attempt. `pinned`: `[resolve]` says where the host is."""
    terms, port = rule.terms, attempt.port
    if terms.destination.port is None:
        if port not in (HTTP_PORT, TLS_PORT):
            return Obstacle.PORT
        if attempt.protocol is Protocol.TCP or (attempt.protocol is Protocol.TLS and port != TLS_PORT):
            return Obstacle.PROTOCOL
    elif terms.destination.port != port:
        return Obstacle.PORT
    if not (pinned or terms.allow_private or _is_reachable(attempt)):
        return Obstacle.ADDRESS
    return _find_method_obstacle(terms.methods, attempt)


def _find_method_obstacle(methods: frozenset[str] | None, attempt: Attempt) -> Obstacle | None:
    if attempt.protocol is Protocol.HTTP:
        # RFC 9110 9.3.6: what follows it is no HTTP any more, and goes wherever the client said. Methods have case,
        # but not every upstream knows that.
        if attempt.method is not None and attempt.method.upper() == "CONNECT":
            return Obstacle.TUNNEL
        return None if methods is None or attempt.method in methods else Obstacle.METHOD
    if methods is None:
        return None
    return Obstacle.INTERCEPTION if attempt.protocol is Protocol.TLS else Obstacle.PROTOCOL


def _is_reachable(attempt: Attempt) -> bool:
    """A name is looked up after the decision, and the address that is found is checked then."""
    host = attempt.host
    return not isinstance(host, (IPv4Address, IPv6Address)) or is_outside(host)
