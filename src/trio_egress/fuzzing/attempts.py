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
from trio_egress.fuzzing.meant import (
    FIELDS,
    METHODS,
    ORIGINS,
    PATHS,
    QUERIES,
    SUBPROTOCOLS,
    attempts_for,
    calls,
    find_ports,
)
from trio_egress.fuzzing.urls import paths
from trio_egress.model import ANY_METHOD, Attempt, Host, Protocol, Transport, render_authority
from trio_egress.policy.destination import Exact
from trio_egress.policy.rule import Policy
from trio_egress.policy.services import SERVICES

PORTS = (22, 80, 443, 8080, 8443)

_Change = Callable[[Attempt], Attempt]


def attempts(
    hosts: SearchStrategy[Host] | None = None,
    ports: Iterable[int] = PORTS,
    methods: Iterable[str] = METHODS,
) -> SearchStrategy[Attempt]:
    """Attempts at these hosts, by every door and protocol, with up to three things changed that a request may say."""
    known = st.sampled_from(sorted({*PORTS, *ports}))
    words = st.sampled_from((None, "", "gét\0", *sorted({*METHODS, *methods})))
    return st.builds(
        _make_attempt,
        st.sampled_from((*Protocol, Protocol.HTTP, Protocol.HTTP)),
        host_strategies.hosts() if hosts is None else hosts,
        known | known | st.integers(1, 65535),
        words,
        st.sampled_from(Transport),
        st.lists(_changes_of_request(), max_size=3),
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
        sources += [meant, meant, *[st.builds(_apply, meant, _changes())] * 3]
        if hosts is not None:
            sources.append(st.builds(lambda attempt, host: attrs.evolve(attempt, host=host), meant, hosts))
    return st.sampled_from(sources).flatmap(lambda source: source)


def mutations(attempt: Attempt) -> SearchStrategy[Attempt]:
    """The attempt with one thing changed: a host beside its own, or any other of its fields."""
    return _changes().map(lambda change: change(attempt))


@functools.cache
def _changes() -> SearchStrategy[_Change]:
    fields: Mapping[str, SearchStrategy[Any]] = {
        "port": st.sampled_from(PORTS),
        "protocol": st.sampled_from(Protocol),
        "transport": st.sampled_from(Transport),
        "method": st.sampled_from(METHODS),
    }
    evolving = [values.map(functools.partial(_change_field, field)) for field, values in fields.items()]
    return st.one_of(st.integers(0, 7).map(_change_host), *evolving, _changes_of_request())


@functools.cache
def _changes_of_request() -> SearchStrategy[_Change]:
    fields: Mapping[str, SearchStrategy[Any]] = {
        "path": st.none() | paths() | st.sampled_from(PATHS),
        "secure": st.booleans(),
        "websocket": st.booleans(),
        "query": st.none() | st.frozensets(st.sampled_from(QUERIES), max_size=2),
        "headers": st.none() | st.frozensets(st.sampled_from(FIELDS), max_size=2),
        "origin": st.none() | st.sampled_from(ORIGINS),
        "subprotocols": st.none() | st.frozensets(st.sampled_from(SUBPROTOCOLS), max_size=2),
        "service": st.none() | st.sampled_from(SERVICES),
        "body_bytes": st.none() | st.sampled_from((0, 1, 101, 1 << 30)),
        "calls": st.none() | calls(),
        "overrides": st.frozensets(st.sampled_from((*METHODS, ANY_METHOD)), max_size=2),
    }
    return st.one_of(
        *(values.map(functools.partial(_change_field, field)) for field, values in fields.items())
    )


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
    asked = [repr(attempt.method)] if attempt.method is not None else []
    asked += [ascii(attempt.path)[1:-1]] if attempt.path is not None else []
    said = [f"{field} {_render(value)}" for field in _SAID if (value := getattr(attempt, field))]
    details = ", ".join([" ".join([*asked, f"by {attempt.transport.value}"]), *said])
    inside = " inside TLS" if attempt.secure else ""
    return f"{attempt.protocol.name}{inside} to {render_authority(attempt.host, attempt.port)} ({details})"


_SAID = (
    "websocket",
    "origin",
    "subprotocols",
    "query",
    "headers",
    "service",
    "body_bytes",
    "calls",
    "overrides",
)


def _render(value: object) -> str:
    match value:
        case frozenset():
            return "+".join(sorted(value))
        case tuple():
            return "+".join(
                f"{call.kind.value}:{call.method}:{call.name or ''}{list(call.fields)}" for call in value
            )
        case _:
            return str(value)


def _ports_of(policy: Policy) -> set[int]:
    ports = {port for rule in policy.rules for port in find_ports(rule.terms)}
    return ports | {pin.port for pin in policy.resolve.pins if pin.port is not None}


def _apply(attempt: Attempt, change: _Change) -> Attempt:
    return change(attempt)


def _make_attempt(
    protocol: Protocol,
    host: Host,
    port: int,
    method: str | None,
    transport: Transport,
    changes: list[_Change],
) -> Attempt:
    """An attempt that can be: a query is for a name and has no port; only a request says more than where it goes."""
    if protocol is Protocol.DNS and not isinstance(host, (IPv4Address, IPv6Address)):
        return Attempt(Transport.DNS, protocol, host, 0)
    attempt = Attempt(transport, protocol, host, port)
    if protocol is not Protocol.HTTP:
        return attempt
    return functools.reduce(_apply, changes, attrs.evolve(attempt, method=method, path="/"))
