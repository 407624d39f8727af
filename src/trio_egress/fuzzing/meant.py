"""Attempts as whoever wrote a rule had them in mind: what its keys ask for, all at once.

Judges nothing: whether the rule allows such an attempt, and whether another denies it, is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.fuzzing import hosts as host_strategies
from trio_egress.model import Attempt, Call, CallKind, Host, Protocol, Transport
from trio_egress.policy.doors import OWN_PORTS, WEB, Scheme
from trio_egress.policy.globs import MANY, Glob, PathGlob
from trio_egress.policy.rule import Rule, Terms, carries_git
from trio_egress.policy.services import ADVERTISEMENT, FETCH, PUSH, Git, WebSocket

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get", "Get")
PATHS = (
    *(
        "/",
        "/v1/items",
        "/v1/items/7/x",
        "/docs/a/b",
        "/V1/Items",
        "/v1/items/",
        "/b c",
        "/v1/%69tems",
        "/b%20c",
    ),
    *(
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "//v1/items",
        "/v1//items",
        "/v1/items;x=1",
        "/v1%2Fitems",
        "/v1\\items",
    ),
    *("/v1/items%00", "/v1/%252e%252e/x", "/v1/items?x", "/docs/.", "/docs/．．/x", "/%ff", "", "*", "x"),
)
"""Usual ones, and such as servers read in two ways."""

QUERIES = ("page", "q", "token", "service")
ORIGINS = ("https://app.example.com", "null")
SUBPROTOCOLS = ("chat", "graphql-transport-ws")
FIELDS = ("authorization", "x-request-id", "x_request_id", "cookie", "host")
WORDS = ("search", "get_x", "delete_item", "tools/call", "tools/list", "")
ARGUMENTS = (
    None,
    (),
    (("path", "/src/a"),),
    (("path", "/src/../etc"), ("PATH", "/SRC")),
    (("other", "abc"),),
)
CALL_METHODS = ("query", "mutation", "subscription", "tools/call", "tools/list", "get_x", "")
TLS_PORT = 443


def attempts_for(rule: Rule) -> SearchStrategy[Attempt]:
    """Attempts that the rule, alone and by a boundary that can do everything, mostly allows, or denies."""
    return _attempts_for(rule.terms)


@st.composite
def _attempts_for(draw: st.DrawFn, terms: Terms) -> Attempt:
    host = draw(host_strategies.hosts_in(terms.destination.pattern))
    transport = draw(st.sampled_from(Transport))
    scheme = draw(st.sampled_from(_find_spoken(terms)))
    if scheme is None:
        return Attempt(Transport.DNS, Protocol.DNS, host, 0)
    port = draw(st.sampled_from(_find_ports(terms, scheme)))
    if scheme is Scheme.SSH and carries_git(terms) and draw(st.booleans()):
        return draw(_commands(terms, transport, host, port))
    if scheme not in WEB:
        return Attempt(transport, Protocol.SSH if scheme is Scheme.SSH else Protocol.TCP, host, port)
    secure = scheme in (Scheme.HTTPS, Scheme.WSS)
    if secure and draw(st.booleans()):
        return Attempt(transport, Protocol.TLS, host, port)
    method, path, service = draw(_asks(terms))
    asked = terms.websocket or WebSocket()
    query = draw(st.sets(st.sampled_from(sorted(terms.query)))) if terms.query else ()
    return Attempt(
        transport,
        Protocol.HTTP,
        host,
        port,
        method,
        path,
        secure=secure,
        websocket=scheme in (Scheme.WS, Scheme.WSS),
        query=frozenset({"service"} if service and method == "GET" else query),
        headers=terms.headers.required if terms.headers else frozenset(),
        origin=draw(st.sampled_from(sorted(asked.origins or ORIGINS))),
        subprotocols=frozenset({draw(st.sampled_from(sorted(asked.subprotocols or SUBPROTOCOLS)))}),
        service=service if method == "GET" else None,
        body_bytes=draw(st.sampled_from((None, 0, 100))),
        calls=draw(st.none() | _calls(terms)),
    )


@st.composite
def _commands(draw: st.DrawFn, terms: Terms, transport: Transport, host: Host, port: int) -> Attempt:
    """What git asks for over SSH."""
    named = terms.git or Git()
    service = FETCH if named.fetch else PUSH
    path = draw(st.sampled_from(["/" + fill_path(glob.text) for glob in named.of(service)] or ["/org/repo"]))
    return Attempt(transport, Protocol.SSH, host, port, path=path, service=service)


def find_ports(terms: Terms) -> set[int]:
    """The ports that a rule names."""
    named = {port for part in terms.ports or () for port in (part.first, part.last)}
    return named | ({terms.destination.port} if terms.destination.port is not None else set())


def _find_spoken(terms: Terms) -> list[Scheme | None]:
    if terms.protocol is not None:
        return [*sorted(terms.protocol, key=lambda scheme: scheme.value), None]
    return [Scheme.HTTPS, Scheme.HTTP, Scheme.TCP, None]


def _find_ports(terms: Terms, scheme: Scheme) -> list[int]:
    if named := find_ports(terms):
        return sorted(named)
    return [OWN_PORTS.get(scheme, TLS_PORT)]


@st.composite
def _asks(draw: st.DrawFn, terms: Terms) -> tuple[str, str, str | None]:
    """Method, path and, for git, the service."""
    if terms.git is not None and (globs := [*terms.git.fetch, *terms.git.push]):
        service = FETCH if terms.git.fetch else PUSH
        repository = draw(st.sampled_from(["/" + fill_path(glob.text) for glob in globs]))
        if draw(st.booleans()):
            return "GET", f"{repository}.git{ADVERTISEMENT}", service
        return "POST", f"{repository}/{service}", service
    method = draw(st.sampled_from(sorted(terms.methods or METHODS)))
    paths = [fill_path(glob.text) for glob in terms.paths or ()] or PATHS[:4]
    return method, draw(st.sampled_from(paths)), None


def fill_path(pattern: str) -> str:
    """A path that the pattern matches."""
    return pattern.replace(MANY, "x/y").replace("*", "z")


def calls() -> SearchStrategy[tuple[Call, ...]]:
    """What a body may ask for."""
    call = st.builds(
        Call,
        st.sampled_from(CallKind),
        st.sampled_from(CALL_METHODS),
        st.none() | st.sampled_from(WORDS),
        st.lists(st.sampled_from(WORDS[:4]), max_size=2).map(tuple),
        st.sampled_from(ARGUMENTS),
    )
    return st.lists(call, max_size=2).map(tuple)


def _calls(terms: Terms) -> SearchStrategy[tuple[Call, ...]]:
    """One call that the rule names."""
    if terms.graphql is not None:
        graphql = terms.graphql
        named = {
            "query": graphql.queries,
            "mutation": graphql.mutations,
            "subscription": graphql.subscriptions,
        }
        kinds = [kind for kind, globs in named.items() if globs] or list(named)
        return st.sampled_from(
            [
                (
                    Call(
                        CallKind.GRAPHQL,
                        kind,
                        _fill(graphql.operations),
                        tuple(map(_fill_glob, named[kind] or ())),
                    ),
                )
                for kind in kinds
            ]
        )
    if terms.jsonrpc is not None:
        return st.just((Call(CallKind.JSONRPC, _fill(terms.jsonrpc.methods) or "x"),))
    if terms.mcp is not None:
        if terms.mcp.tools is not None:
            return st.just((Call(CallKind.JSONRPC, "tools/call", _fill(terms.mcp.tools)),))
        return st.just((Call(CallKind.JSONRPC, _fill(terms.mcp.methods) or "x"),))
    return st.just(())


def _fill(globs: Iterable[Glob] | None) -> str | None:
    return next((_fill_glob(glob) for glob in globs or ()), None)


def _fill_glob(glob: Glob | PathGlob) -> str:
    return glob.text.replace("*", "x")
