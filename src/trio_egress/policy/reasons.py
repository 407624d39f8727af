"""A denial in words for people: what the rule allows, what was tried, what a human can change.

Decides nothing. What the agent chose (a method) is repeated only if it is short and printable.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import attrs

from trio_egress.model import Attempt, Host, render_authority
from trio_egress.policy.addresses import describe_range
from trio_egress.policy.destination import Within
from trio_egress.policy.obstacle import Obstacle
from trio_egress.policy.rule import Rule

METHOD_CHARS = 32


def explain_obstacle(obstacle: Obstacle, rule: Rule, attempt: Attempt) -> str:
    """One line; it begins with the rule."""
    return f"{rule.ref} {_SENTENCES[obstacle](rule, attempt)}"


def _explain_method(rule: Rule, attempt: Attempt) -> str:
    return f"allows {', '.join(sorted(rule.terms.methods or ()))}, not {_render_method(attempt.method)}"


def _explain_tunnel(_rule: Rule, _attempt: Attempt) -> str:
    return "allows requests, not CONNECT: an upstream is not asked for a tunnel to somewhere else"


def _explain_interception(_rule: Rule, _attempt: Attempt) -> str:
    return (
        "restricts methods, which needs TLS interception, and there is none: a human can remove `methods` "
        "from the rule, to allow every method over TLS"
    )


def _explain_address(_rule: Rule, attempt: Attempt) -> str:
    return (
        f"leads only outside, and {attempt.host} is not ({_describe(attempt.host)}): a human can add "
        "`allow_private = true` to the rule"
    )


def _explain_protocol(rule: Rule, attempt: Attempt) -> str:
    spoken = attempt.protocol.name
    if rule.terms.methods is not None:
        return f"restricts methods, so it allows HTTP, not {spoken}"
    return (
        f"names no port, so it allows HTTP on 80 and 443 and TLS on 443, not {spoken} on {attempt.port}: "
        f"a human can allow it with a rule for '{_name_port(rule, attempt)}'"
    )


def _explain_port(rule: Rule, attempt: Attempt) -> str:
    port = rule.terms.destination.port
    allowed = "ports 80 and 443" if port is None else f"port {port}"
    return f"allows {allowed}, not port {attempt.port}"


_SENTENCES = {
    Obstacle.METHOD: _explain_method,
    Obstacle.TUNNEL: _explain_tunnel,
    Obstacle.INTERCEPTION: _explain_interception,
    Obstacle.ADDRESS: _explain_address,
    Obstacle.PROTOCOL: _explain_protocol,
    Obstacle.PORT: _explain_port,
}


def _name_port(rule: Rule, attempt: Attempt) -> str:
    """The destination that would name the port; a network cannot."""
    destination = rule.terms.destination
    if isinstance(destination.pattern, Within):
        return render_authority(attempt.host, attempt.port)
    return str(attrs.evolve(destination, port=attempt.port))


def _render_method(method: str | None) -> str:
    if method is None:
        return "a request without a method"
    return method if method.isprintable() and len(method) <= METHOD_CHARS else "another method"


def _describe(host: Host) -> str:
    return describe_range(host) if isinstance(host, (IPv4Address, IPv6Address)) else "a name"
