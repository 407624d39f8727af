"""Observing instead of enforcing: what a policy would deny is let through and said to be only observed.

Pure; takes the engine's decision and gives the one that is carried out.

Rule 1: a private, loopback or metadata address that no rule opens stays denied, and so does this machine's loopback.
Rule 2: what the boundary can't carry (a WebSocket, a CONNECT inside a request) stays denied.
Rule 3: what is let through says so: its layer is OBSERVE, and its reason has what the policy would have said.
Rule 4: nobody is asked: what a rule with `ask` allows is let through, and says that somebody would have been.
"""

from __future__ import annotations

import attrs

from trio_egress.model import HOST_INTERNAL, Attempt, Decision, Layer, Protocol, Upstream
from trio_egress.policy.addresses import is_outside
from trio_egress.policy.rule import Policy


def observe(policy: Policy, attempt: Attempt, decision: Decision) -> Decision:
    """`decision` where it allows or must hold; else the same, let through."""
    if decision.ask is not None:
        reason = f"observed, not enforced: {decision.rule} asks somebody first"
        return attrs.evolve(decision, layer=Layer.OBSERVE, reason=reason, ask=None)
    if decision.allowed or not _may_pass(policy, attempt):
        return decision
    reason = f"observed, not enforced: {decision.reason}"
    if attempt.protocol is Protocol.DNS:
        return Decision(True, Layer.OBSERVE, reason, decision.rule)
    pin = policy.resolve.find(attempt.host, attempt.port)
    upstream = Upstream(attempt.host, attempt.port, pin, via=policy.find_via(attempt))
    return Decision(True, Layer.OBSERVE, reason, decision.rule, upstream)


def _may_pass(policy: Policy, attempt: Attempt) -> bool:
    if attempt.host == HOST_INTERNAL or attempt.websocket:
        return False
    if (attempt.method or "").upper() == "CONNECT":
        return False
    if isinstance(attempt.host, str):
        return True
    if attempt.protocol is Protocol.DNS:
        return False
    return is_outside(attempt.host) or policy.resolve.find(attempt.host, attempt.port) is not None
