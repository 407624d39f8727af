"""Keys for git over SSH (`[[secret]] as = "ssh"`): which rules carry git, and which key goes there.

Knows names and places, and no values.

Rule 1: where a rule carries git over SSH there is one key, never a choice: a server takes the first that it knows, and
what another one would have been allowed is then denied by the server.
Rule 2: a key that no rule carries git with is an error, as every secret that would never be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from trio_egress.model import Host
from trio_egress.policy.conflicts import Conflict, find_ports
from trio_egress.policy.destination import Destination, find_overlap
from trio_egress.policy.rule import Policy, Terms, carries_git
from trio_egress.policy.secret import SSH_PORTS, Secret


def find_ssh_key(policy: Policy, host: Host, port: int) -> Secret | None:
    """The key that goes there."""
    goes = (placed.secret for placed in policy.secrets if placed.secret.goes_to(host, port))
    return next((secret for secret in goes if secret.ssh_user is not None), None)


def find_git_rules(policy: Policy) -> Iterator[Terms]:
    """Those that carry git over SSH."""
    return (rule.terms for rule in policy.rules if carries_git(rule.terms) and not rule.terms.deny)


def find_keyless(rules: Sequence[Terms], secrets: Iterable[Secret]) -> Iterator[Conflict]:
    """Rules that carry git over SSH without a key, or with more than one."""
    keys = [secret for secret in secrets if secret.to and secret.ssh_user is not None]
    for place, terms in enumerate(rules):
        if terms.deny or not carries_git(terms):
            continue
        found = [secret.name for secret in keys if any(leads_to(terms, to) for to in secret.to)]
        if not found:
            said = (
                "git over SSH is carried with a key that the agent never has: add [[secret]] with "
                f'to = ["{terms.destination}"] and as = "ssh"'
            )
            yield Conflict(place, said, "git")
        elif len(found) > 1:
            said = f"the keys {found[0]} and {found[1]} both go there, and only one of them can be shown to a server"
            yield Conflict(place, said, "git")


def leads_to(terms: Terms, to: Destination) -> bool:
    """Whether the rule leads to where a key goes."""
    if find_overlap(terms.destination.pattern, to.pattern) is None:
        return False
    ports = SSH_PORTS if to.port is None else (to.port,)
    return any(part.first <= port <= part.last for part in find_ports(terms) for port in ports)
