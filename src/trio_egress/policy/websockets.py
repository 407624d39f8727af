"""Whether every WebSocket that a policy allows has its messages looked through.

Judges no attempt; it asks of each rule what the engine will say of one.

Rule 1: a stream that is not seen into could be a WebSocket.
"""

from __future__ import annotations

from trio_egress.model import Attempt, Name, Need, Protocol, Transport
from trio_egress.policy.conflicts import find_ports
from trio_egress.policy.moment import Moment
from trio_egress.policy.obstacle import find_needs, find_obstacle, is_of_request
from trio_egress.policy.rule import Policy, Rule

_ANY_HOST = Name("any.example")
_ALL_ABLE = Moment(able=frozenset(Need))


def scans_every_websocket(policy: Policy) -> bool:
    """True where some are allowed, all of them are looked through, and nothing passes in which one could hide."""
    rules = [rule for rule in policy.rules if not rule.terms.deny]
    carrying = [rule for rule in rules if _allows(rule, Protocol.HTTP, websocket=True)]
    if not carrying or any(rule.frame_scan is None for rule in carrying):
        return False
    return not any(_allows(rule, stream) for rule in rules for stream in (Protocol.TLS, Protocol.TCP))


def _allows(rule: Rule, protocol: Protocol, *, websocket: bool = False) -> bool:
    """Whether the rule allows such an attempt, perhaps, at one of its ports; TLS where it is not opened."""
    for part in find_ports(rule.terms):
        for secure in (False, True) if websocket else (False,):
            attempt = Attempt(
                Transport.TRANSPARENT, protocol, _ANY_HOST, part.first, secure=secure, websocket=websocket
            )
            obstacle = find_obstacle(rule, attempt, pinned=True, moment=_ALL_ABLE)
            seen = protocol is Protocol.TLS and Need.TLS in find_needs(rule, attempt)
            if is_of_request(obstacle) and not seen:
                return True
    return False
