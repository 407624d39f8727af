"""What a run needs to read what requests ask for, where its policy is about that: made before the sandbox.

Rule 1: everything that it will take is loaded here: nothing is imported once the agent runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_egress.policy.rule import Policy

if TYPE_CHECKING:
    from trio_egress.proxy.bodies import Bodies


def open_bodies(policy: Policy) -> Bodies | None:
    """None where no rule is about what a request asks for in its body."""
    if "calls" not in policy.looks_at:
        return None
    from trio_egress.proxy.bodies import Bodies
    from trio_egress.wire.coding import load_codings
    from trio_egress.wire.graphql import load_graphql

    load_codings()
    graphql = _has_graphql(policy)
    if graphql:
        load_graphql()
    return Bodies(graphql=graphql)


def can_read(bodies: Bodies | None, policy: Policy) -> bool:
    """Whether what was opened for one policy is enough for another."""
    if "calls" not in policy.looks_at:
        return True
    return bodies is not None and (bodies.graphql or not _has_graphql(policy))


def _has_graphql(policy: Policy) -> bool:
    return any(rule.terms.graphql is not None for rule in policy.rules)
