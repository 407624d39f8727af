"""Attempts as strategies: any, those that one policy has something to say about, and what lies beside one attempt."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.fuzzing import hosts as host_strategies
from trio_egress.fuzzing.urls import paths
from trio_egress.model import Attempt, Host, Protocol, Transport, render_authority
from trio_egress.policy.destination import Exact
from trio_egress.policy.obstacle import HTTP_PORT, TLS_PORT
from trio_egress.policy.rule import Policy, Rule

PORTS = (22, 80, 443, 8080, 8443)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get", "Get")


def attempts(
    hosts: SearchStrategy[Host] | None = None,
    ports: Iterable[int] = PORTS,
    methods: Iterable[str] = METHODS,
) -> SearchStrategy[Attempt]:
    """Attempts at these hosts, by every door and protocol."""
    wanted = host_strategies.hosts() if hosts is None else hosts
    known = st.sampled_from(sorted({*PORTS, *ports}))
    numbers = known | known | st.integers(1, 65535)
    words = st.none() | st.sampled_from(sorted({*METHODS, *methods})) | st.text(max_size=4)
    routes = st.none() | paths()
    return st.builds(
        _attempt, st.sampled_from(Protocol), wanted, numbers, words, routes, st.sampled_from(Transport)
    )


def attempts_at(
    policy: Policy, hosts: SearchStrategy[Host] | None = None, ports: Iterable[int] = ()
) -> SearchStrategy[Attempt]:
    """Attempts that a rule is for, these with one thing changed, what only looks like them, and any at all.

    `hosts` and `ports`: further ones of interest, tried as often as the policy's own.
    """
    methods = {method for rule in policy.rules for method in rule.terms.methods or ()}
    named = {*ports, *_ports_of(policy)}
    named |= {port + 1 for port in named if port < 65535}
    wanted = host_strategies.hosts() if hosts is None else hosts
    sources = [attempts(wanted, named, methods)]
    patterns = [rule.terms.destination.pattern for rule in policy.rules]
    patterns += [Exact(pin.host) for pin in policy.resolve.pins]
    if patterns:
        near = st.sampled_from(list(dict.fromkeys(patterns))).flatmap(host_strategies.hosts_near)
        sources.append(attempts(near, named, methods))
    if policy.rules:
        for_rule = functools.cache(lambda place: attempts_for(policy.rules[place]))
        meant = st.integers(0, len(policy.rules) - 1).flatmap(for_rule)
        sources += [meant, st.builds(lambda attempt, change: change(attempt), meant, _changes())]
        if hosts is not None:
            sources.append(st.builds(lambda attempt, host: attrs.evolve(attempt, host=host), meant, hosts))
    return st.sampled_from(sources).flatmap(lambda source: source)


def attempts_for(rule: Rule) -> SearchStrategy[Attempt]:
    """Attempts as whoever wrote the rule had in mind, which it may allow if nothing else stands between."""
    terms = rule.terms
    port = terms.destination.port
    spoken = (
        [(Protocol.TLS, TLS_PORT), (Protocol.HTTP, HTTP_PORT), (Protocol.HTTP, TLS_PORT)]
        if port is None
        else [(protocol, port) for protocol in (Protocol.TLS, Protocol.HTTP, Protocol.TCP)]
    )
    return st.builds(
        lambda said, host, method, path, transport: _attempt(said[0], host, said[1], method, path, transport),
        st.sampled_from([*spoken, (Protocol.DNS, 0)]),
        host_strategies.hosts_in(terms.destination.pattern),
        st.sampled_from(sorted(terms.methods or METHODS)),
        paths(),
        st.sampled_from(Transport),
    )


def mutations(attempt: Attempt) -> SearchStrategy[Attempt]:
    """The attempt with one thing changed: another port, protocol, door, method or path, or a host beside its own."""
    return _changes().map(lambda change: change(attempt))


@functools.cache
def _changes() -> SearchStrategy[Callable[[Attempt], Attempt]]:
    fields: Mapping[str, SearchStrategy[Any]] = {
        "port": st.sampled_from(PORTS),
        "protocol": st.sampled_from(Protocol),
        "transport": st.sampled_from(Transport),
        "method": st.sampled_from(METHODS),
        "path": paths(),
    }
    evolving = [values.map(functools.partial(_change_field, field)) for field, values in fields.items()]
    return st.one_of(st.integers(0, 7).map(_change_host), *evolving)


def _change_field(field: str, value: Any) -> Callable[[Attempt], Attempt]:
    return lambda attempt: attrs.evolve(attempt, **{field: value})


def _change_host(place: int) -> Callable[[Attempt], Attempt]:
    def change(attempt: Attempt) -> Attempt:
        near = host_strategies.find_near(Exact(attempt.host))
        return attrs.evolve(attempt, host=near[place % len(near)])

    return change


def render_attempt(attempt: Attempt) -> str:
    """An attempt in words, on one line."""
    if attempt.protocol is Protocol.DNS:
        return f"a DNS query for {attempt.host}"
    where = render_authority(attempt.host, attempt.port)
    asked = [repr(attempt.method)] if attempt.method is not None else []
    asked += [attempt.path] if attempt.path is not None else []
    return f"{attempt.protocol.name} to {where} ({' '.join([*asked, 'by', attempt.transport.value])})"


def _ports_of(policy: Policy) -> set[int]:
    told = {rule.terms.destination.port for rule in policy.rules} | {pin.port for pin in policy.resolve.pins}
    return {port for port in told if port is not None}


def _attempt(
    protocol: Protocol, host: Host, port: int, method: str | None, path: str | None, transport: Transport
) -> Attempt:
    """An attempt that can be: a query is for a name and has no port; only a request has a method and a path."""
    if protocol is Protocol.DNS and not isinstance(host, (IPv4Address, IPv6Address)):
        return Attempt(Transport.DNS, protocol, host, 0)
    if protocol is Protocol.HTTP:
        return Attempt(transport, protocol, host, port, method, path)
    return Attempt(transport, protocol, host, port)
