"""Keys of one rule that can't stand together: what could never match, and what asks for the impossible.

Judges one rule by itself; what several rules do to each other is `conflicts`.

Rule 1: what a rule says holds, or it is an error: no key is quietly of no effect.
Rule 2: a fault stands at the key that is one too many.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from trio_egress.policy.destination import Within
from trio_egress.policy.doors import IN_TLS, WEB, Scheme
from trio_egress.policy.rule import OF_REQUESTS, Terms, Tls, carries_git, find_inside
from trio_egress.policy.services import WebSocket
from trio_egress.texts.faults import Fault, Faults

_ONLY_TO_ALLOW = {
    "query": "write the rule that allows with it",
    "headers": "write the rule that allows with it",
    "host_keys": "a key is judged once a connection is allowed",
    "tls": "nothing of what is denied is looked into",
    "scan": "nothing of what is denied is looked through",
    "websocket": 'to deny WebSockets write protocol = ["ws", "wss"]',
    "limits": "what is denied uses nothing",
    "ask": "nobody has to be asked about what is denied",
    "allow_private": "what is denied leads nowhere",
}
_GIT_SAYS_IT = ("methods", "paths", "query", "graphql", "jsonrpc", "mcp")
_WEBSOCKET_DEFAULTS = {
    field.name: field.default for field in attrs.fields(WebSocket) if field.name != "enabled"
}
_CALLS = ("graphql", "jsonrpc", "mcp")


def check_terms(terms: Terms) -> None:
    """Raises Faults with everything that can't stand together; paths are relative to the rule's table."""
    if faults := list(_find_faults(terms)):
        raise Faults(faults)


def _find_faults(terms: Terms) -> Iterator[Fault]:
    if terms.deny:
        for key, instead in _ONLY_TO_ALLOW.items():
            if getattr(terms, key) not in (None, False):
                yield _fault(key, f"a rule with `deny` can't have `{key}`: {instead}")
    yield from _find_port_faults(terms)
    yield from _find_protocol_faults(terms)
    yield from _find_host_key_faults(terms)
    yield from _find_service_faults(terms)
    yield from _find_tls_faults(terms)
    yield from _find_websocket_faults(terms)
    if terms.headers is not None and not (terms.headers.required or terms.headers.forbidden):
        yield _fault("headers", "`headers` names no field, which says nothing")
    if terms.headers is not None and (both := terms.headers.required & terms.headers.forbidden):
        yield _fault("headers", f"{min(both)} is both required and forbidden, so the rule allows nothing")


def _find_port_faults(terms: Terms) -> Iterator[Fault]:
    if terms.ports is None:
        return
    if terms.destination.port is not None:
        yield _fault("ports", "the destination has a port already; leave it out there, or leave `ports` out")
    elif isinstance(terms.destination.pattern, Within) and not terms.deny and terms.protocol is None:
        yield _fault("ports", 'a network with `ports` needs `protocol` too, as in protocol = ["tcp"]')


def _find_protocol_faults(terms: Terms) -> Iterator[Fault]:
    protocol = terms.protocol
    if protocol is None:
        return
    if Scheme.TCP in protocol and terms.ports is None and terms.destination.port is None and not terms.deny:
        yield _fault("protocol", "tcp has no port of its own; name the port in the destination, or `ports`")
    if Scheme.TCP in protocol and len(protocol) > 1:
        yield _fault("protocol", "tcp is any stream of bytes, and has the other protocols in it")
    narrow = [key for key in OF_REQUESTS if getattr(terms, key) is not None]
    if carries_git(terms):
        narrow.remove("git")
    narrow += [key for key in find_inside(terms) if key.startswith(("limits", "scan", "websocket"))]
    if narrow and not protocol <= WEB:
        spoken = " and ".join(sorted(scheme.value for scheme in protocol - WEB))
        key = narrow[0]
        alone = '; git over SSH is a rule of its own, with protocol = "ssh" alone'
        more = alone if key == "git" and "ssh" in spoken else ""
        yield _fault(key, f"`{key}` says something of requests, and {spoken} has none{more}", *key.split("."))
    elif terms.websocket is not None and terms.websocket.enabled and not protocol & WEB:
        spoken = " and ".join(sorted(scheme.value for scheme in protocol))
        yield _fault("websocket", f"`websocket` is for HTTP, and the rule allows only {spoken}")
    if terms.tls is not None and not protocol & (IN_TLS | {Scheme.TCP}):
        yield _fault("tls", "`tls` is for https and wss, and `protocol` has neither of them")


def _find_host_key_faults(terms: Terms) -> Iterator[Fault]:
    if terms.host_keys is not None and not terms.deny and terms.protocol != frozenset({Scheme.SSH}):
        said = 'what does not begin like SSH shows no host key: `host_keys` needs protocol = "ssh"'
        yield _fault("host_keys", f"{said}, and nothing beside it")
    if carries_git(terms) and terms.host_keys is None and not terms.deny:
        said = (
            "git over SSH is carried with a key of yours, to a server that is known: pin it with `host_keys`"
        )
        yield _fault("git", said)


def _find_service_faults(terms: Terms) -> Iterator[Fault]:
    if terms.git is not None:
        for key in _GIT_SAYS_IT:
            if getattr(terms, key) is not None:
                yield _fault(key, f"`git` says which requests those are; write a rule of its own for `{key}`")
        if not terms.git.fetch and not terms.git.push:
            yield _fault("git", "`git` names no repository, so the rule would match nothing")
    kinds = [key for key in _CALLS if getattr(terms, key) is not None]
    for key in kinds[1:]:
        yield _fault(key, f"a request is not both {kinds[0]} and {key}; write two rules")
    if terms.jsonrpc is not None and not terms.jsonrpc.methods:
        yield _fault("jsonrpc", "`jsonrpc` names no method, so the rule would match nothing")
    if terms.mcp is not None and terms.deny and terms.mcp.server_methods is not None:
        yield _fault("mcp", "`server_methods` names what a rule allows; a rule with `deny` is about requests")
    graphql = terms.graphql
    if graphql is not None and not any(
        (graphql.operations, graphql.queries, graphql.mutations, graphql.subscriptions)
    ):
        yield _fault("graphql", "`graphql` names nothing, so the rule would match nothing")


def _find_tls_faults(terms: Terms) -> Iterator[Fault]:
    if terms.tls is Tls.PASSTHROUGH and not terms.deny and (inside := find_inside(terms)):
        key = inside[0]
        yield _fault(
            "tls",
            f"passthrough leaves unseen what `{key}` is about; leave one of them out, or write a rule for "
            "http and one for https",
        )


def _find_websocket_faults(terms: Terms) -> Iterator[Fault]:
    websocket = terms.websocket
    if websocket is None:
        return
    if not websocket.enabled:
        for key, unsaid in _WEBSOCKET_DEFAULTS.items():
            if getattr(websocket, key) != unsaid:
                yield _fault(
                    key,
                    f"`{key}` is for WebSockets, and `enabled` says that there are none",
                    "websocket",
                    key,
                )
        if terms.protocol is not None and terms.protocol & {Scheme.WS, Scheme.WSS}:
            yield _fault("websocket", "`protocol` allows WebSockets, and `enabled` says that there are none")


def _fault(key: str, message: str, *path: str) -> Fault:
    return Fault(path or (key,), message, on_key=True)
