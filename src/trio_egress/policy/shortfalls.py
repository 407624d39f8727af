"""What a policy needs of the boundary and doesn't get: for each rule, what it therefore does not allow.

Judges no attempt; it says beforehand what the engine will say of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.model import Attempt, Name, Need, Protocol, RuleRef, Transport
from trio_egress.policy.conflicts import find_ports
from trio_egress.policy.moment import Moment
from trio_egress.policy.obstacle import find_needs, find_obstacle, is_of_request
from trio_egress.policy.reasons import name_needs
from trio_egress.policy.rule import Policy, Rule
from trio_egress.values import frozen

_ANY_HOST = Name("any.example")
"""A name: what a rule needs doesn't hang on which host it is."""

_ALL_ABLE = Moment(able=frozenset(Need))
_KINDS = {
    "no TLS": (Protocol.TLS, False),
    "no HTTP": (Protocol.HTTP, False),
    "no WebSocket": (Protocol.HTTP, True),
    "no SSH": (Protocol.SSH, False),
    "no other TCP": (Protocol.TCP, False),
}


@frozen
class Shortfall:
    """A rule, and what it does not allow for want of an ability."""

    rule: RuleRef
    message: str


def find_shortfalls(policy: Policy, able: frozenset[Need]) -> Iterator[Shortfall]:
    """In the order of the rules."""
    for rule in policy.rules:
        if not rule.terms.deny and (rule.inside or not rule.plain):
            yield from _find_of_rule(rule, able)


def _find_of_rule(rule: Rule, able: frozenset[Need]) -> Iterator[Shortfall]:
    kinds: dict[frozenset[Need], list[str]] = {}
    for kind, (protocol, websocket) in _KINDS.items():
        missing = _find_missing(rule, protocol, websocket=websocket) - able
        if missing:
            kinds.setdefault(missing, []).append(kind)
    for missing, denied in kinds.items():
        said = f"needs {name_needs(missing)}, which this version can't do: it allows {' and '.join(denied)}"
        yield Shortfall(rule.ref, said)


def _find_missing(rule: Rule, protocol: Protocol, *, websocket: bool) -> frozenset[Need]:
    """What the rule needs for such an attempt at one of its ports; nothing where it means none of them."""
    for part in find_ports(rule.terms):
        attempt = Attempt(Transport.TRANSPARENT, protocol, _ANY_HOST, part.first, websocket=websocket)
        if is_of_request(find_obstacle(rule, attempt, pinned=True, moment=_ALL_ABLE)):
            return find_needs(rule, attempt)
    return frozenset()
