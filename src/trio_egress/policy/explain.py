"""Why an attempt is decided as it is: which rules came near, and the smallest one that would allow it.

Asks the engine and adds words; it decides nothing itself.

Rule 1: what it says of a rule is what the engine found, in the engine's words.
Rule 2: a rule is suggested only if the engine allows the attempt with it; it names one host, and no more than it must.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from trio_egress.errors import PolicyError
from trio_egress.model import HOST_INTERNAL, Attempt, Decision, Layer, Need, Protocol, render_authority
from trio_egress.policy.addresses import is_outside
from trio_egress.policy.destination import Below, Exact
from trio_egress.policy.engine import decide, leads_to_git
from trio_egress.policy.globs import parse_glob
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.obstacle import Obstacle, find_obstacle
from trio_egress.policy.reasons import explain_obstacle
from trio_egress.policy.rule import Policy, Rule, carries_git
from trio_egress.policy.services import FETCH, Git, find_git
from trio_egress.policy.spelling import Spelt
from trio_egress.policy.writing import RuleText, render_policy
from trio_egress.texts.faults import find_nearest
from trio_egress.values import frozen

SLIPS_MAX = 2
LISTED_MAX = 20
"""Rules told of one host: a policy may have thousands."""

SSH_PORT = 22
_WEB_PORTS = {Protocol.HTTP: (80, 443), Protocol.TLS: (443,)}


@frozen
class Step:
    """One decision: of a connection, or of a request inside it. `misses`: rules that did not allow it, in words.
    `secrets`: names of those that the boundary puts into such a request."""

    attempt: Attempt
    decision: Decision
    misses: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


@frozen
class Explanation:
    """`steps`: all decisions up to the last that is made. `near`: a host that may have been meant."""

    steps: tuple[Step, ...]
    near: str | None = None

    @property
    def allowed(self) -> bool:
        return all(step.decision.allowed for step in self.steps)


def explain(policy: Policy, spelt: Spelt, moment: Moment) -> Explanation:
    """TLS comes first; the request in it is judged only where a rule makes the boundary look inside."""
    steps = []
    if spelt.connection is not None:
        steps.append(_step(policy, spelt.connection, moment))
    if not steps or (steps[0].decision.allowed and Need.TLS in steps[0].decision.needs):
        steps.append(_step(policy, spelt.attempt, moment))
    last = steps[-1].decision
    near = (
        _find_near(policy, spelt.attempt) if last.layer is Layer.DEFAULT_DENY and last.rule is None else None
    )
    return Explanation(tuple(steps), near)


def suggest(policy: Policy, spelt: Spelt, moment: Moment) -> RuleText | None:
    """The smallest rule that allows it beside the others; None where no further rule can (a `deny` decides)."""
    if spelt.attempt.protocol is Protocol.SSH and leads_to_git(policy, spelt.attempt, moment):
        return _suggest_git(policy, spelt, moment)
    seen = explain(policy, spelt, moment).steps[-1].attempt is spelt.attempt
    for rule in _candidates(spelt, seen=seen):
        try:
            added = load_policy(render_policy([rule], {}), "the suggested rule")
        except PolicyError:
            continue
        wider = attrs.evolve(policy, rules=(*policy.rules, *added.rules))
        if explain(wider, spelt, moment).allowed:
            return rule
    return None


def _suggest_git(policy: Policy, spelt: Spelt, moment: Moment) -> RuleText | None:
    """The same rule for the repository that is asked for. None for what is no command of git's: what would allow that
    allows all of SSH, by other keys, and is no smaller rule."""
    asked = find_git(spelt.attempt)
    found = (rule for rule in policy.index.find(spelt.attempt.host) if carries_git(rule.terms))
    rule = next(
        (rule for rule in found if leads_to_git(attrs.evolve(policy, rules=(rule,)), spelt.attempt, moment)),
        None,
    )
    if asked is None or rule is None:
        return None
    key, repository = _name_git(asked)
    glob = attrs.evolve(parse_glob(asked[0]), text=repository)
    git = Git(fetch=(glob,)) if key == "fetch" else Git(push=(glob,))
    wider = (*policy.rules, attrs.evolve(rule, terms=attrs.evolve(rule.terms, git=git)))
    if not explain(attrs.evolve(policy, rules=wider), spelt, moment).allowed:
        return None
    host, port = spelt.attempt.host, spelt.attempt.port
    return RuleText(
        destination=str(host) if port == SSH_PORT else render_authority(host, port),
        protocol="ssh",
        host_keys=tuple(pinned.text for pinned in rule.terms.host_keys or ()),
        git=((key, repository),),
        allow_private=rule.terms.allow_private,
    )


def _name_git(asked: tuple[str, str]) -> tuple[str, str]:
    """What a rule says of a repository's path and a service: `fetch` or `push`, and the repository."""
    return "fetch" if asked[1] == FETCH else "push", asked[0].removeprefix("/")


def _step(policy: Policy, attempt: Attempt, moment: Moment) -> Step:
    decision = decide(policy, attempt, moment)
    misses = (
        tuple(_find_misses(policy, attempt, decision, moment)) if attempt.protocol is not Protocol.DNS else ()
    )
    secrets = (
        placed.secret.name for placed in policy.secrets if placed.secret.goes_to(attempt.host, attempt.port)
    )
    sent = decision.allowed and (attempt.protocol is Protocol.HTTP or Need.GIT_SSH in decision.needs)
    return Step(attempt, decision, misses, tuple(secrets) if sent else ())


def _find_misses(policy: Policy, attempt: Attempt, decision: Decision, moment: Moment) -> Iterator[str]:
    """Rules for the host that do not allow it, the nearest first; the decision has told one already."""
    pinned = policy.resolve.find(attempt.host, attempt.port) is not None
    found: list[tuple[Obstacle, int, Rule]] = []
    for rule in policy.index.find(attempt.host):
        obstacle = find_obstacle(rule, attempt, pinned=pinned, moment=moment)
        if obstacle is not None and rule.ref != decision.rule:
            found.append((obstacle, rule.rank, rule))
    for obstacle, _, rule in sorted(found, key=lambda miss: miss[:2])[:LISTED_MAX]:
        yield explain_obstacle(obstacle, rule, attempt, moment)
    if len(found) > LISTED_MAX:
        yield f"and {len(found) - LISTED_MAX} more rules for this host"


def _find_near(policy: Policy, attempt: Attempt) -> str | None:
    """A host of some rule that is spelt almost like this one."""
    hosts = {
        str(pattern.host if isinstance(pattern, Exact) else pattern.name)
        for rule in policy.rules
        if isinstance(pattern := rule.terms.destination.pattern, (Exact, Below)) and not rule.terms.deny
    }
    return next((host for host in sorted(hosts) if _is_slip(host, str(attempt.host))), None)


def _is_slip(host: str, other: str) -> bool:
    """Whether one is the other with a slip in a label or two; a sibling is another host, and no slip."""
    labels = list(zip(host.split("."), other.split("."), strict=False))
    different = [(one, two) for one, two in labels if one != two]
    return (
        0 < len(different) <= SLIPS_MAX
        and host.count(".") == other.count(".")
        and all(find_nearest(one, [two]) is not None for one, two in different)
    )


def _candidates(spelt: Spelt, *, seen: bool) -> Iterator[RuleText]:
    """From the smallest on: a request that is `seen` as git's, or by method and path; else the host on its port."""
    attempt = spelt.attempt
    host, port = attempt.host, attempt.port
    private = not isinstance(host, str) and not is_outside(host)
    web = port in _WEB_PORTS.get((spelt.connection or attempt).protocol, ()) and host != HOST_INTERNAL
    destination = str(host) if web else render_authority(host, port)
    if attempt.protocol is Protocol.DNS:
        destination, private = str(host), False
    rule = RuleText(destination=destination, allow_private=private)
    if seen and attempt.protocol is Protocol.HTTP and attempt.method is not None:
        if (asked := find_git(attempt)) is not None:
            yield attrs.evolve(rule, git=(_name_git(asked),))
        narrow = attrs.evolve(rule, methods=(attempt.method,))
        if attempt.path not in (None, "/"):
            yield attrs.evolve(narrow, paths=(str(attempt.path),))
        yield narrow
    yield rule
