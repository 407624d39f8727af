"""Where secrets go by which rules, and what the rest of a policy says against it.

Knows no lines and no values: names of secrets and keys, for whoever places them.

Rule 1: a secret that is sent can be put in where it goes: a rule allows requests there, and none passes its TLS unseen.
Rule 2: the agent finds the placeholder where the policy says, and by no other key the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from trio_egress.model import Attempt, Host, Name, Need, Protocol, Transport
from trio_egress.policy.destination import Below, Destination, Exact, Pattern, find_overlap
from trio_egress.policy.environment import Env
from trio_egress.policy.moment import Moment
from trio_egress.policy.obstacle import find_obstacle, is_of_request
from trio_egress.policy.rule import Rule, Terms, Tls, carries_git
from trio_egress.policy.secret import Secret
from trio_egress.policy.ssh_secrets import leads_to

_ALL_ABLE = Moment(able=frozenset(Need))
_PORTS = (443, 80)

Said = tuple[str, str, str]
"""The name of a secret, the key at which something is wrong, and what."""


def find_borne(terms: Terms, destinations: Iterable[Destination]) -> tuple[Destination, ...]:
    """Those to which the rule may lead."""
    if terms.deny:
        return ()
    pattern = terms.destination.pattern
    return tuple(each for each in destinations if find_overlap(pattern, each.pattern) is not None)


def find_faults(secrets: Sequence[Secret], rules: Sequence[Rule], env: Env) -> Iterator[Said]:
    sent = [secret for secret in secrets if secret.to]
    for secret in sent:
        find_fault = _find_way_fault if secret.ssh_user is None else _find_git_fault
        for destination in secret.to:
            if (said := find_fault(destination, rules)) is not None:
                yield secret.name, "to", said
    yield from _find_variable_faults(sent, env)
    yield from _find_placeholder_faults(sent)


def _find_way_fault(destination: Destination, rules: Sequence[Rule]) -> str | None:
    ways = [
        (rule, attempt)
        for rule in rules
        if destination in rule.bears
        for attempt in _find_examples(rule, destination)
        if is_of_request(find_obstacle(rule, attempt, pinned=True, moment=_ALL_ABLE))
    ]
    if not ways:
        return f'no rule allows requests to {destination}: add [[egress]] with destination = "{destination}"'
    for rule, attempt in ways:
        if rule.terms.tls is Tls.PASSTHROUGH and attempt.protocol is Protocol.TLS:
            return (
                f"egress[{rule.ref.index}] passes TLS to {destination} through unseen, and nothing can be put into "
                "that: leave out its `tls`, or the destination here"
            )
    return None


def _find_git_fault(destination: Destination, rules: Sequence[Rule]) -> str | None:
    terms = (rule.terms for rule in rules if not rule.terms.deny and carries_git(rule.terms))
    if any(leads_to(each, destination) for each in terms):
        return None
    return (
        f'no rule carries git over SSH to {destination}: add [[egress]] with destination = "{destination}", protocol = '
        '"ssh", host_keys, and git = { fetch = ["org/repo"] }'
    )


def _find_examples(rule: Rule, destination: Destination) -> Iterator[Attempt]:
    ports = _PORTS if destination.port is None else (destination.port,)
    host = _find_host(
        find_overlap(rule.terms.destination.pattern, destination.pattern) or destination.pattern
    )
    for port, protocol in product(ports, (Protocol.TLS, Protocol.HTTP)):
        yield Attempt(Transport.TRANSPARENT, protocol, host, port)


def _find_host(pattern: Pattern) -> Host:
    match pattern:
        case Exact(host):
            return host
        case Below(name):
            return Name(f"any.{name}")
        case wide:
            return wide.network.network_address


def _find_variable_faults(sent: Sequence[Secret], env: Env) -> Iterator[Said]:
    taken: dict[str, str] = {}
    for secret in sent:
        variable = secret.variable
        if variable is not None:
            key = "env" if secret.env else "from"
            if (first := taken.setdefault(variable, secret.name)) != secret.name:
                yield (
                    secret.name,
                    key,
                    f"the agent finds the secret {first} in {variable} already: name another `env`",
                )
            if variable in dict(env.set):
                yield secret.name, key, f"[env] set gives {variable} another value; name another `env`"
        for name in sorted({variable, secret.from_.env} & set(env.pass_ or ()), key=str):
            said = f"[env] pass names {name}, and the agent never has this secret: it gets a placeholder without that"
            yield secret.name, "to", f"{said}; take the name off, or leave out `to`"


def _find_placeholder_faults(sent: Sequence[Secret]) -> Iterator[Said]:
    """One that another has in it couldn't be told from it, and letters count in either case where one is looked for."""
    given = [(secret.name, secret.placeholder.lower()) for secret in sent if secret.placeholder is not None]
    for place, (name, text) in enumerate(given):
        for other, its in given[:place]:
            if text in its or its in text:
                yield (
                    name,
                    "placeholder",
                    f"it can't be told from the placeholder of {other}; write another one",
                )
