"""Which hosts a policy needs to have their TLS ended, so that requests inside can be judged."""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.model import Attempt, Name, Need, Protocol, Transport
from trio_egress.policy.conflicts import find_ports
from trio_egress.policy.denial import Denial, find_denial
from trio_egress.policy.destination import Pattern, find_overlap
from trio_egress.policy.moment import Moment
from trio_egress.policy.obstacle import find_needs, find_obstacle, is_of_request
from trio_egress.policy.rule import Policy, Rule

_ANY_HOST = Name("any.example")
_ALL_ABLE = Moment(able=frozenset(Need))


def find_intercepted(policy: Policy) -> tuple[Pattern, ...]:
    """The patterns of those rules, allowing or denying, and of where secrets go by the others; each once."""
    return tuple(dict.fromkeys(pattern for rule in policy.rules for pattern in _find_patterns(rule)))


def _find_patterns(rule: Rule) -> Iterator[Pattern]:
    pattern = rule.terms.destination.pattern
    if _looks_inside(rule):
        yield pattern
        return
    yield from filter(None, (find_overlap(pattern, destination.pattern) for destination in rule.bears))


def _looks_inside(rule: Rule) -> bool:
    for part in find_ports(rule.terms):
        attempt = Attempt(Transport.TRANSPARENT, Protocol.TLS, _ANY_HOST, part.first)
        if rule.terms.deny:
            if find_denial(rule, attempt, None) is Denial.UNSEEN:
                return True
        elif Need.TLS in find_needs(rule, attempt) and is_of_request(
            find_obstacle(rule, attempt, pinned=True, moment=_ALL_ABLE)
        ):
            return True
    return False
