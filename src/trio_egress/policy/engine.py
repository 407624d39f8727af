"""Judges one attempt by a policy: pure, total, deterministic.

Resolves nothing, remembers nothing.

Rule 1: what no rule allows is denied, and what a rule with `deny` is about is denied whatever else is said.
Rule 2: any rule that allows is enough. Among several, one with `allow_private` decides, then one without `ask`, then
        one that asks less of the boundary, then one without limits, then the first in the compiled form; so a further
        rule that allows can only ever allow more, and the order in the file means nothing.
Rule 3: a denial names the rule that came nearest.
Rule 4: what the boundary would have to do and can't is a denial (`Decision.needs` says what), never a weaker rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

import attrs

from trio_egress.model import (
    HOST_INTERNAL,
    NO_MESSAGE_TERMS,
    Attempt,
    Avoided,
    Decision,
    Layer,
    Protocol,
    Upstream,
    render_authority,
)
from trio_egress.policy.denial import NEEDED, Denial, denies_requests, find_denial, is_final
from trio_egress.policy.destination import Network
from trio_egress.policy.moment import NO_MOMENT, Moment
from trio_egress.policy.obstacle import LAYERS, Obstacle, find_needs, find_obstacle, is_of_request
from trio_egress.policy.reasons import explain_denial, explain_obstacle
from trio_egress.policy.rule import Policy, Rule, Tls, carries_git


def decide(policy: Policy, attempt: Attempt, moment: Moment = NO_MOMENT) -> Decision:
    """The answer to one attempt, and the rule behind it. What is not in `moment` is not there: no time, no ability."""
    if attempt.protocol is Protocol.DNS:
        return _decide_name(policy, attempt)
    forced = None
    if policy.denials is not None:
        forced = _find_denial(policy.denials.find(attempt.host), attempt, moment)
        if forced is not None and is_final(forced[0], moment.able):
            return _deny_by(*forced, attempt)
    rules = policy.index.find(attempt.host)
    pin = policy.resolve.find(attempt.host, attempt.port)
    chosen: Rule | None = None
    misses: list[tuple[Obstacle, Rule]] = []
    for rule in rules:
        obstacle = find_obstacle(rule, attempt, pinned=pin is not None, moment=moment)
        if obstacle is not None:
            misses.append((obstacle, rule))
        elif (chosen is None or _is_before(rule, chosen, attempt)) and (
            forced is None or not _passes_unseen(rule, attempt)
        ):
            chosen = rule
    if chosen is None:
        return _deny(policy, attempt, misses, forced, moment, known=bool(rules))
    loopback = attempt.host == HOST_INTERNAL
    avoided = _find_avoided(policy, attempt, moment)
    via = policy.find_via(attempt)
    keys = None
    if chosen.terms.host_keys is not None:
        keys = _gather_host_keys(rules, attempt, pinned=pin is not None, moment=moment)
    upstream = Upstream(
        attempt.host, attempt.port, pin, chosen.terms.allow_private, loopback, avoided, via, keys
    )
    needs = find_needs(chosen, attempt)
    if forced is not None:
        needs |= NEEDED[forced[0]]
    ref = chosen.ref
    limits, scan = chosen.terms.limits, policy.find_scan(chosen, websocket=attempt.websocket)
    messages = NO_MESSAGE_TERMS if chosen.terms.websocket is None else chosen.terms.websocket.terms
    ask = None if chosen.terms.ask is None else chosen.terms.ask.seconds
    return Decision(True, Layer.RULE, f"{ref} allows it", ref, upstream, needs, limits, scan, messages, ask)


def decide_some(policy: Policy, attempt: Attempt, moment: Moment = NO_MOMENT) -> Decision:
    """Whether some HTTP request could be allowed where this attempt leads: what it asks is still to be judged."""
    asking = attrs.evolve(attempt, protocol=Protocol.HTTP)
    pin = policy.resolve.find(attempt.host, attempt.port)
    denying = () if policy.denials is None else policy.denials.find(attempt.host)
    sure = [rule for rule in denying if denies_requests(rule, asking, moment.now_us)]
    if sure:
        return _deny_by(Denial.YES, _first(sure), asking)
    able = [
        rule
        for rule in policy.index.find(attempt.host)
        for tried in (asking, attrs.evolve(asking, websocket=True))
        if is_of_request(find_obstacle(rule, tried, pinned=pin is not None, moment=moment))
    ]
    if not able:
        return decide(policy, asking, moment)
    chosen = min(able, key=lambda rule: (not rule.terms.allow_private, rule.rank))
    loopback, via = attempt.host == HOST_INTERNAL, policy.find_via(attempt)
    upstream = Upstream(attempt.host, attempt.port, pin, chosen.terms.allow_private, loopback, via=via)
    ask = None if chosen.terms.ask is None else chosen.terms.ask.seconds
    return Decision(True, Layer.RULE, f"{chosen.ref} allows some requests", chosen.ref, upstream, ask=ask)


def leads_to_git(policy: Policy, attempt: Attempt, moment: Moment = NO_MOMENT) -> bool:
    """Whether SSH there is ended for git: what is asked of that is still to be judged."""
    denying = () if policy.denials is None else policy.denials.find(attempt.host)
    if any(
        rule.terms.git is None and find_denial(rule, attempt, moment.now_us) is Denial.YES for rule in denying
    ):
        return False
    pinned = policy.resolve.find(attempt.host, attempt.port) is not None
    return any(
        carries_git(rule.terms) and is_of_request(find_obstacle(rule, attempt, pinned=pinned, moment=moment))
        for rule in policy.index.find(attempt.host)
    )


def _find_denial(rules: Iterable[Rule], attempt: Attempt, moment: Moment) -> tuple[Denial, Rule] | None:
    """The rule that denies the most surely, if one could."""
    found: tuple[Denial, Rule] | None = None
    for rule in rules:
        denial = find_denial(rule, attempt, moment.now_us)
        if denial is not Denial.NO and (found is None or (-denial, rule.rank) < (-found[0], found[1].rank)):
            found = denial, rule
    return found


def _find_avoided(policy: Policy, attempt: Attempt, moment: Moment) -> tuple[Avoided, ...]:
    """Where the attempt may not lead, whatever its host resolves to. What could be denied there is."""
    if not policy.avoided and not policy.always_avoided:
        return ()
    if isinstance(attempt.host, (IPv4Address, IPv6Address)) and not policy.resolve.pins:
        return ()  # it leads to itself, and that was judged
    if not policy.avoided:
        return policy.always_avoided
    found: dict[Network, Avoided] = {}
    for network, rule in policy.avoided:
        if network not in found and find_denial(rule, attempt, moment.now_us) is not Denial.NO:
            found[network] = Avoided(network, rule.ref)
    return (*policy.always_avoided, *found.values())


def _gather_host_keys(
    rules: Iterable[Rule], attempt: Attempt, *, pinned: bool, moment: Moment
) -> frozenset[str]:
    """Of every rule that allows it: one more never takes anything away."""
    return frozenset(
        key.fingerprint
        for rule in rules
        if find_obstacle(rule, attempt, pinned=pinned, moment=moment) is None
        for key in rule.terms.host_keys or ()
    )


def _deny_by(denial: Denial, rule: Rule, attempt: Attempt) -> Decision:
    layer = Layer.DENY_RULE if denial is Denial.YES else Layer.INTERCEPTION
    return Decision(False, layer, explain_denial(denial, rule, attempt), rule.ref, needs=NEEDED[denial])


def _is_before(rule: Rule, other: Rule, attempt: Attempt) -> bool:
    """Whether it goes before another that allows too: the one that reaches more, then the one that asks nobody, then
    the one that asks for less."""
    if rule.terms.allow_private is not other.terms.allow_private:
        return rule.terms.allow_private
    if rule.plain and other.plain:
        return rule.rank < other.rank
    return _price(rule, attempt) < _price(other, attempt)


def _price(rule: Rule, attempt: Attempt) -> tuple[bool, int, bool, int]:
    terms = rule.terms
    return terms.ask is not None, len(find_needs(rule, attempt)), terms.limits is not None, rule.rank


def _passes_unseen(rule: Rule, attempt: Attempt) -> bool:
    return rule.terms.tls is Tls.PASSTHROUGH and attempt.protocol is Protocol.TLS


def _decide_name(policy: Policy, attempt: Attempt) -> Decision:
    """A name may be asked for if some rule could ever allow it, on whatever port and by whatever protocol."""
    if isinstance(attempt.host, (IPv4Address, IPv6Address)):
        return Decision(False, Layer.DEFAULT_DENY, f"{attempt.host} is an address, not a name to look up")
    denying = (
        []
        if policy.denials is None
        else [rule for rule in policy.denials.find(attempt.host) if rule.is_about_all]
    )
    if denying:
        return _deny_by(Denial.YES, _first(denying), attempt)
    rules = policy.index.find(attempt.host)
    if not rules:
        return _deny_unknown(policy, attempt, f"no rule allows {attempt.host}")
    ref = _first(rules).ref
    return Decision(True, Layer.RULE, f"{ref} allows the name", ref)


def _deny(
    policy: Policy,
    attempt: Attempt,
    misses: Iterable[tuple[Obstacle, Rule]],
    forced: tuple[Denial, Rule] | None,
    moment: Moment,
    *,
    known: bool,
) -> Decision:
    """`misses`: what stands between the attempt and each rule that is about its host; `known`: there are such rules."""
    nearest = min(misses, key=lambda miss: (miss[0], miss[1].rank), default=None)
    if nearest is not None:
        obstacle, rule = nearest
        reason = explain_obstacle(obstacle, rule, attempt, moment)
        return Decision(False, LAYERS[obstacle], reason, rule.ref, needs=find_needs(rule, attempt))
    if forced is not None and known:
        return _deny_by(*forced, attempt)
    return _deny_unknown(policy, attempt, f"no rule allows {render_authority(attempt.host, attempt.port)}")


def _deny_unknown(policy: Policy, attempt: Attempt, reason: str) -> Decision:
    """No pattern matches the host. The usual slip is a wildcard that is thought to include its own base."""
    bases = policy.index.find_base(attempt.host)
    if not bases:
        return Decision(False, Layer.DEFAULT_DENY, reason)
    ref = _first(bases).ref
    return Decision(False, Layer.DEFAULT_DENY, f"{reason}: {ref} allows only the names below it", ref)


def _first(rules: Iterable[Rule]) -> Rule:
    return min(rules, key=lambda rule: rule.rank)
