"""Attempts that stand for what a rule is about, so that two policies can be compared by what they say of each.

Takes a rule of the compiled form, as JSON has it; judges nothing.

Rule 1: an example is made of what the rule names, and differs from the first one in one thing more: so that a key that
        is widened, narrowed, set or removed is seen in one of the examples of the rule that has it or had it.
Rule 2: that no example shows a difference proves nothing: a pattern is tried with one name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from trio_egress.model import Attempt, Call, CallKind, Host, Name, Need, Protocol, Transport
from trio_egress.policy.destination import Below, Destination, Exact, parse_destination
from trio_egress.policy.moment import Moment
from trio_egress.policy.services import FETCH, GRAPHQL_KINDS, PUSH, TOOL_CALL
from trio_egress.policy.spelling import Spelt
from trio_egress.policy.times import parse_window

_WORD = "some-name"
"""What stands for whatever a pattern leaves open."""

_STREAMS = (Protocol.TCP, Protocol.SSH, Protocol.TLS, Protocol.HTTP)
_USUAL = ((Protocol.TLS, 443), (Protocol.HTTP, 443), (Protocol.HTTP, 80), (Protocol.SSH, 22))
_METHODS = ("GET", "POST")
_EVERY = frozenset(Need)

_Rule = Mapping[str, Any]


def find_examples(rule: _Rule) -> Iterator[tuple[Spelt, Moment]]:
    """Each by a boundary that can do nothing, and by one that can do all; at the times of the rule."""
    times = [at for text in rule.get("times", ()) for at in parse_window(text).find_edges()]
    for spelt in _find_attempts(rule):
        for now_us in times or (None,):
            if spelt.connection is None:
                yield spelt, Moment(now_us=now_us)
            yield spelt, Moment(now_us=now_us, able=_EVERY)


def _find_attempts(rule: _Rule) -> Iterator[Spelt]:
    destination = parse_destination(rule["destination"])
    host = _find_host(destination)
    for protocol, port in _find_doors(rule, destination):
        stream = Attempt(Transport.TRANSPARENT, protocol, host, port)
        if protocol is Protocol.SSH:
            yield from _find_commands(rule, stream)
        if protocol is not Protocol.HTTP:
            yield Spelt(stream)
            continue
        connection = attrs.evolve(stream, protocol=Protocol.TLS)
        for request in _find_requests(rule, stream):
            yield Spelt(request)
            yield Spelt(attrs.evolve(request, secure=True), connection)


def _find_host(destination: Destination) -> Host:
    match destination.pattern:
        case Exact(host):
            return host
        case Below(name):
            return Name(f"{_WORD}.{name}")
        case wide:
            return wide.network.network_address


def _find_doors(rule: _Rule, destination: Destination) -> Sequence[tuple[Protocol, int]]:
    """Protocols and ports; of a range of ports its ends."""
    named = {int(end) for ports in rule.get("ports", ()) for end in str(ports).split("-")}
    if destination.port is not None:
        named = {destination.port}
    return [(protocol, port) for port in sorted(named) for protocol in _STREAMS] or _USUAL


def _find_requests(rule: _Rule, stream: Attempt) -> Iterator[Attempt]:
    fields = rule.get("headers", {})
    required = frozenset(fields.get("required", ()))
    for method in rule.get("methods", _METHODS):
        for path in (*rule.get("paths", ("/",)), *_find_repositories(rule)):
            first = attrs.evolve(
                stream, method=method, path=_fill(path), query=frozenset(), headers=required, calls=()
            )
            yield first
            yield attrs.evolve(first, query=frozenset(rule.get("query", (_WORD,))))
            yield attrs.evolve(first, headers=required.union(fields.get("forbidden", ())))
            asked = rule.get("websocket", {})
            origin, protocols = min(asked.get("origins", ()), default=None), asked.get("subprotocols", ())
            yield attrs.evolve(
                first, websocket=True, origin=origin, subprotocols=frozenset(list(protocols)[:1])
            )
            for call in _find_calls(rule):
                yield attrs.evolve(first, calls=(call,))


def _find_commands(rule: _Rule, stream: Attempt) -> Iterator[Spelt]:
    """What git asks for over SSH."""
    for path in _find_repositories(rule):
        repository, _, service = _fill(path).rpartition("/")
        yield Spelt(attrs.evolve(stream, path=repository, service=service))


def _find_repositories(rule: _Rule) -> Iterator[str]:
    for key, service in (("fetch", FETCH), ("push", PUSH)):
        for repository in rule.get("git", {}).get(key, ()):
            yield f"/{repository}/{service}"


def _find_calls(rule: _Rule) -> Iterator[Call]:
    """What is called in a body; one at least that none of these tables allows."""
    yield Call(CallKind.OTHER)
    graphql, jsonrpc, mcp = (rule.get(key, {}) for key in ("graphql", "jsonrpc", "mcp"))
    for operation in graphql.get("operations", (_WORD,)) if graphql else ():
        for kind, key in GRAPHQL_KINDS.items():
            for field in graphql.get(key, (_WORD,)):
                yield Call(CallKind.GRAPHQL, kind, _fill(operation), (_fill(field),))
    for method in (*jsonrpc.get("methods", ()), *mcp.get("methods", ())):
        yield Call(CallKind.JSONRPC, _fill(method))
    for tool in mcp.get("tools", ()):
        yield Call(CallKind.JSONRPC, TOOL_CALL, _fill(tool))


def _fill(pattern: str) -> str:
    """Something that the pattern matches; below `**` it is two segments deep."""
    return pattern.replace("**", f"{_WORD}/{_WORD}").replace("*", _WORD)
