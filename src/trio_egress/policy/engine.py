"""Judges one attempt by a policy: pure, total, deterministic.

Resolves nothing, remembers nothing.

Rule 1: what no rule allows is denied.
Rule 2: any rule that allows is enough. Among several, one with `allow_private` decides, then the first in the
        compiled form; so a further rule can only ever allow more, and the order in the file means nothing.
Rule 3: a denial names the rule that came nearest.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from trio_egress.model import HOST_INTERNAL, Attempt, Decision, Layer, Protocol, Upstream, render_authority
from trio_egress.policy.obstacle import LAYERS, find_obstacle
from trio_egress.policy.reasons import explain_obstacle
from trio_egress.policy.rule import Policy, Rule


def decide(policy: Policy, attempt: Attempt) -> Decision:
    """The answer to one attempt, and the rule behind it."""
    if attempt.protocol is Protocol.DNS:
        return _decide_name(policy, attempt)
    rules = policy.index.find(attempt.host)
    pin = policy.resolve.find(attempt.host, attempt.port)
    pinned = pin is not None
    chosen: Rule | None = None
    for rule in rules:
        if find_obstacle(rule, attempt, pinned=pinned) is None and (
            chosen is None or _is_before(rule, chosen)
        ):
            chosen = rule
    if chosen is None:
        return _deny(policy, attempt, rules, pinned=pinned)
    loopback = attempt.host == HOST_INTERNAL
    upstream = Upstream(attempt.host, attempt.port, pin, chosen.terms.allow_private, loopback)
    return Decision(True, Layer.RULE, f"{chosen.ref} allows it", chosen.ref, upstream)


def _is_before(rule: Rule, other: Rule) -> bool:
    if rule.terms.allow_private is not other.terms.allow_private:
        return rule.terms.allow_private
    return rule.rank < other.rank


def _decide_name(policy: Policy, attempt: Attempt) -> Decision:
    """A name may be asked for if some rule could ever allow it, on whatever port and by whatever protocol."""
    if isinstance(attempt.host, (IPv4Address, IPv6Address)):
        return Decision(False, Layer.DEFAULT_DENY, f"{attempt.host} is an address, not a name to look up")
    rules = policy.index.find(attempt.host)
    if not rules:
        return _deny_unknown(policy, attempt, f"no rule allows {attempt.host}")
    ref = _first(rules).ref
    return Decision(True, Layer.RULE, f"{ref} allows the name", ref)


def _deny(policy: Policy, attempt: Attempt, rules: Iterable[Rule], *, pinned: bool) -> Decision:
    misses = [
        (obstacle, rule.rank, rule)
        for rule in rules
        if (obstacle := find_obstacle(rule, attempt, pinned=pinned)) is not None
    ]
    if not misses:
        return _deny_unknown(
            policy, attempt, f"no rule allows {render_authority(attempt.host, attempt.port)}"
        )
    obstacle, _, rule = min(misses, key=lambda miss: miss[:2])
    return Decision(False, LAYERS[obstacle], explain_obstacle(obstacle, rule, attempt), rule.ref)


def _deny_unknown(policy: Policy, attempt: Attempt, reason: str) -> Decision:
    """No pattern matches the host. The usual slip is a wildcard that is thought to include its own base."""
    bases = policy.index.find_base(attempt.host)
    if not bases:
        return Decision(False, Layer.DEFAULT_DENY, reason)
    ref = _first(bases).ref
    return Decision(False, Layer.DEFAULT_DENY, f"{reason}: {ref} allows only the names below it", ref)


def _first(rules: Iterable[Rule]) -> Rule:
    return min(rules, key=lambda rule: rule.rank)
