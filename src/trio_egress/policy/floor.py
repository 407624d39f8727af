"""Whether a policy only narrows another one, the floor that an operator has set under it.

Rule 1: what can't be shown to be narrower is wider. `compare` says so by what the engine decides for examples; that
finds what people do by mistake, and whoever chooses the policy to slip between examples is found by Rule 2.
Rule 2: each rule that allows lies whole within one of the floor's, key by key; each of the floor's that denies stands.
Rule 3: where rules of the floor cross, and one of them scans, asks, meters or looks into TLS, none gets around it; and
what a rule of the floor may be used for is had once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from trio_egress.policy.change import OPENS
from trio_egress.policy.compiled import render_compiled, render_terms
from trio_egress.policy.destination import find_overlap
from trio_egress.policy.diff import compare
from trio_egress.policy.doors import Ports, Scheme
from trio_egress.policy.rule import Policy, Rule, Terms, Tls, carries_git

WORDS = {"destination", "name", "reason", "deny"}
"""Judged apart, or for people."""

SUBSETS = {"methods", "paths", "query"}
NARROWING = {"host_keys", "headers", "git", "graphql", "jsonrpc", "mcp", "limits", "times", "scan", "ask"}
"""Where the floor says nothing, anything narrows; where it says something, only that will do."""

WEIGHTS = ("scan", "ask", "limits", "tls", "websocket", "allow_private", "host_keys")
"""What becomes of an attempt hangs on them, and so on which of several rules allows it."""

BUDGETS = ("requests", "connections", "bytes_up", "bytes_down")
"""Limits of all that a rule allows together, and not of each request."""

FREE = {"egress", "files", "limits", "env", "tls"}
"""Tables that are judged by themselves, and [env]: what the agent's variables are is the client's affair, but for HOME,
which is where `~` in [files] leads, and is mounted with the rights of whoever opens the sandbox."""


def find_wider(floor: Policy, policy: Policy) -> tuple[str, ...]:
    """What is wider, each with its place and what to do; () where the policy only narrows."""
    before, after = json.loads(render_compiled(floor)), json.loads(render_compiled(policy))
    found = [
        *_find_wider_rules(floor, policy),
        *_find_split_budgets(floor, policy),
        *_find_missing_denials(floor, policy),
        *_find_wider_limits(floor, policy),
        *_find_other_home(floor, policy),
        *_find_other_roots(before, after),
        *_find_other_tables(before, after),
    ]
    opened = [change.text for change in compare(floor, policy) if change.effect == OPENS]
    about_files = [text for text in opened if text.startswith("the agent ")]
    return (*found, *about_files) if found else tuple(opened)


def _allowing(policy: Policy) -> list[Rule]:
    return [rule for rule in policy.rules if not rule.terms.deny]


def _find_wider_rules(floor: Policy, policy: Policy) -> Iterator[str]:
    given, asked = _allowing(floor), _allowing(policy)
    kept = {render_terms(rule.terms) for rule in asked}
    standing = {render_terms(rule.terms) for rule in given}
    for rule in asked:
        gaps = [(other, find_gap(rule.terms, other.terms)) for other in given if _leads_within(rule, other)]
        if not gaps:
            yield f"{rule.ref}: no rule of the floor leads there; take it out"
        elif all(gap for _, gap in gaps):
            other, gap = gaps[0]
            yield f"{rule.ref}: `{gap}` is wider than the floor's {other.ref}; say no more than that one does"
        elif crossed := _find_crossed(rule, given, kept, standing):
            yield (
                f"{rule.ref}: it leads around the floor's {crossed.ref}, with its terms; "
                "keep that rule and this one as the floor has them, and add rules with deny = true"
            )


def _leads_within(rule: Rule, other: Rule) -> bool:
    inner, outer = rule.terms.destination, other.terms.destination
    return inner.port == outer.port and find_overlap(inner.pattern, outer.pattern) == inner.pattern


def find_gap(terms: Terms, under: Terms) -> str:
    """The first key by which `terms` allows what `under` doesn't; empty where there is none."""
    names = (field.name for field in attrs.fields(Terms) if field.name not in WORDS)
    return next((name for name in names if not _is_within(name, terms, under)), "")


def _is_within(name: str, terms: Terms, under: Terms) -> bool:
    value, bound = getattr(terms, name), getattr(under, name)
    if value == bound:
        return True
    if name == "git" and carries_git(terms):
        return False  # without it SSH goes by as it is; with it, under the operator's key
    if name in SUBSETS:
        return bound is None or (value is not None and set(value) <= set(bound))
    if name in NARROWING:
        return bound is None
    match name:
        case "ports":
            return bound is not None and value is not None and all(_holds(bound, part) for part in value)
        case "protocol" if bound is None:
            return (
                terms.ports is None
                and terms.destination.port is None
                and value <= {Scheme.HTTP, Scheme.HTTPS}
            )
        case "protocol":
            return value is not None and value <= bound
        case "tls":
            return bound is None and value is Tls.INTERCEPT
        case "allow_private":
            return bool(bound)
    return False


def _holds(bound: Iterable[Ports], part: Ports) -> bool:
    return any(each.first <= part.first and part.last <= each.last for each in bound)


def _find_crossed(rule: Rule, given: list[Rule], kept: set[str], standing: set[str]) -> Rule | None:
    """A rule of the floor whose terms would not hold any more for what this one leads to as well."""
    meaning = render_terms(rule.terms)
    for other in given:
        if _weigh(other) == _weigh(rule):
            continue
        if find_overlap(rule.terms.destination.pattern, other.terms.destination.pattern) is None:
            continue
        if meaning in standing and render_terms(other.terms) in kept:
            continue  # both as the floor has them: it decides between them as it always has
        if _is_lighter(rule, other):
            return other
    return None


def _weigh(rule: Rule) -> tuple[object, ...]:
    return tuple(getattr(rule.terms, name) for name in WEIGHTS)


def _is_lighter(rule: Rule, other: Rule) -> bool:
    """Whether the rule asks less than the other of what both allow, in any way."""
    return any(not _is_within(name, rule.terms, other.terms) for name in WEIGHTS)


def _find_split_budgets(floor: Policy, policy: Policy) -> Iterator[str]:
    """Each rule has a budget of its own: two under one of the floor's would have twice what that one has."""
    given = _allowing(floor)
    left = [render_terms(rule.terms) for rule in given if _has_budget(rule)]
    metered = [rule for rule in _allowing(policy) if _has_budget(rule)]
    for rule in sorted(metered, key=lambda rule: render_terms(rule.terms) not in left):
        under = [
            other for other in given if _leads_within(rule, other) and not find_gap(rule.terms, other.terms)
        ]
        if not all(map(_has_budget, under)):
            continue  # it meters what the floor does not
        meanings = sorted((render_terms(other.terms) for other in under), key=render_terms(rule.terms).__ne__)
        own = next((meaning for meaning in meanings if meaning in left), None)
        if own is not None:
            left.remove(own)
        elif under:
            yield f"{rule.ref}: it has `limits` of the floor's {under[0].ref} once more; make one rule of them"


def _has_budget(rule: Rule) -> bool:
    limits = rule.terms.limits
    return limits is not None and any(getattr(limits, name) is not None for name in BUDGETS)


def _find_missing_denials(floor: Policy, policy: Policy) -> Iterator[str]:
    standing = {render_terms(rule.terms) for rule in policy.rules if rule.terms.deny}
    for rule in floor.rules:
        if rule.terms.deny and render_terms(rule.terms) not in standing:
            yield f"the floor's {rule.ref} denies, and the policy does not; repeat that rule"


def _find_wider_limits(floor: Policy, policy: Policy) -> Iterator[str]:
    for field in attrs.fields(type(floor.limits)):
        bound, value = getattr(floor.limits, field.name), getattr(policy.limits, field.name)
        if bound is not None and (value is None or value > bound):
            yield f"[limits] {field.name}: {'no limit' if value is None else value} is more than the floor's {bound}"


def _find_other_home(floor: Policy, policy: Policy) -> Iterator[str]:
    if dict(policy.env.set).get("HOME") != dict(floor.env.set).get("HOME"):
        yield "[env] set HOME: the agent's is its account's, or what the floor says; leave it as it is there"


def _find_other_roots(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    known = {root["sha256"] for root in before.get("tls", {}).get("extra_ca", [])}
    for root in after.get("tls", {}).get("extra_ca", []):
        if root["sha256"] not in known:
            yield f"[tls] extra_ca: the floor does not trust the roots in {root['file']}; take them out"


def _find_other_tables(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*before, *after} - FREE):
        if before.get(key) != after.get(key):
            yield f"[{key}] is not the floor's; say the same there, or begin with the floor's own policy"
