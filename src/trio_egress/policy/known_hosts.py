"""What OpenSSH's client is to know of the hosts whose keys a policy pins: lines of known_hosts, and of ssh_config.

Rule 1: where a rule has whole keys alone, they are known, and nobody is asked about them.
Rule 2: a fingerprint fills no known_hosts. There the client takes the key that it is shown, since none but a pinned one
ever is, and remembers nothing.
Rule 3: where git is carried over SSH, the client inside talks to the boundary, and knows the key of that.
Rule 4: a network has no name that a client could look for, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.policy.conflicts import find_ports
from trio_egress.policy.destination import Destination, Pattern, Within
from trio_egress.policy.rule import Policy, Rule, carries_git

SSH_PORT = 22
PORTS_MAX = 16
"""Ports of a rule that are named one by one; of more, any port of the host is meant."""


def render_known_hosts(policy: Policy, relay_key: str = "") -> str:
    """Lines of a known_hosts file (`man 8 sshd`); empty where there are none. `relay_key`: of where SSH ends here."""
    lines = {
        f"{','.join(_name_targets(rule))} {relay_key}\n"
        for rule in _find_pinning(policy)
        if relay_key and carries_git(rule.terms)
    }
    lines |= {
        f"{','.join(_name_targets(rule))} {key.text}\n"
        for rule in _find_pinning(policy)
        for key in rule.terms.host_keys or ()
        if _is_whole(rule) and not carries_git(rule.terms)
    }
    return "".join(sorted(lines))


def render_ssh_config(policy: Policy) -> str:
    """A file for ssh_config.d (`man 5 ssh_config`); empty where there is nothing to say."""
    hosts = {
        _name_host(rule.terms.destination.pattern)
        for rule in _find_pinning(policy)
        if not (_is_whole(rule) or carries_git(rule.terms))
    }
    if not hosts:
        return ""
    return (
        "# The egress policy pins the host keys of these hosts by fingerprint: no other key is shown to this client.\n"
        f"Host {' '.join(sorted(hosts))}\n"
        "    StrictHostKeyChecking accept-new\n"
        "    UserKnownHostsFile /dev/null\n"
    )


def _find_pinning(policy: Policy) -> Iterator[Rule]:
    for rule in policy.rules:
        if rule.terms.host_keys and not isinstance(rule.terms.destination.pattern, Within):
            yield rule


def _is_whole(rule: Rule) -> bool:
    return all(key.whole for key in rule.terms.host_keys or ())


def _name_host(pattern: Pattern) -> str:
    """As OpenSSH writes a host or a pattern, which is as a policy does."""
    return str(Destination(pattern))


def _name_targets(rule: Rule) -> Iterator[str]:
    host = _name_host(rule.terms.destination.pattern)
    ranges = find_ports(rule.terms)
    if sum(part.last - part.first + 1 for part in ranges) > PORTS_MAX:
        yield from (host, f"[{host}]:*")
        return
    for part in ranges:
        for port in range(part.first, part.last + 1):
            yield host if port == SSH_PORT else f"[{host}]:{port}"
