"""What a rule says of a service that is spoken over HTTP: git, GraphQL, JSON-RPC, MCP, WebSocket, header fields.

Judges by the facts of an attempt; parses no body.

Rule 1: what one of these tables does not name is not what its rule is for.
Rule 2: a request that asks for several things is for the rule only if each of them is.
Rule 3: where not all is known (`calls` is None) nothing is judged: that is the engine's affair.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from trio_egress.model import Attempt, Call, CallKind, MessageTerms, Protocol, Rate
from trio_egress.policy.arguments import Arguments, fits, names_tool, touches
from trio_egress.policy.globs import Glob, PathGlob
from trio_egress.policy.paths import parse_path
from trio_egress.values import frozen

FETCH = "git-upload-pack"
PUSH = "git-receive-pack"
SERVICES = (FETCH, PUSH)

ADVERTISEMENT = "/info/refs"
HOME = "/~"
"""How the path of a repository begins that a server looks for in a home directory."""

TOOL_CALL = "tools/call"

GRAPHQL_KINDS = {"query": "queries", "mutation": "mutations", "subscription": "subscriptions"}


@frozen(kw_only=True)
class Git:
    """Repositories, as patterns over their paths without `.git`."""

    fetch: tuple[PathGlob, ...] = ()
    push: tuple[PathGlob, ...] = ()

    def matches(self, attempt: Attempt) -> bool:
        asked = find_git(attempt)
        if asked is None:
            return False
        repository, service = asked
        if attempt.protocol is Protocol.SSH and repository.startswith(HOME):
            # Somebody's home directory where a shell's rules hold, a user's space elsewhere: only if it is written so.
            return any(glob.matches(repository) for glob in self.of(service) if glob.text.startswith("~"))
        return any(glob.matches(repository) for glob in self.of(service))

    def of(self, service: str) -> tuple[PathGlob, ...]:
        return self.fetch if service == FETCH else self.push


@frozen(kw_only=True)
class GraphQL:
    """Names of operations, and root fields by the kind of operation. With no root fields at all, any will do."""

    operations: tuple[Glob, ...] | None = None
    queries: tuple[Glob, ...] | None = None
    mutations: tuple[Glob, ...] | None = None
    subscriptions: tuple[Glob, ...] | None = None

    def matches(self, calls: tuple[Call, ...]) -> bool:
        return bool(calls) and all(map(self._matches_call, calls))

    def touches(self, calls: tuple[Call, ...]) -> bool:
        """Whether one of them is meant, or one of the fields of one."""
        return any(self._matches_call(part) for call in calls for part in _split_fields(call))

    def _matches_call(self, call: Call) -> bool:
        if call.kind is not CallKind.GRAPHQL or call.method not in GRAPHQL_KINDS:
            return False
        if self.operations is not None and not is_one(call.name or "", self.operations):
            return False
        if self.queries is self.mutations is self.subscriptions is None:
            return True
        fields: tuple[Glob, ...] = getattr(self, GRAPHQL_KINDS[call.method]) or ()
        return bool(call.fields) and all(is_one(field, fields) for field in call.fields)


@frozen(kw_only=True)
class JsonRpc:
    """Methods of JSON-RPC."""

    methods: tuple[Glob, ...]

    def matches(self, calls: tuple[Call, ...]) -> bool:
        return bool(calls) and all(map(self._matches_call, calls))

    def touches(self, calls: tuple[Call, ...]) -> bool:
        return any(map(self._matches_call, calls))

    def _matches_call(self, call: Call) -> bool:
        return call.kind is CallKind.JSONRPC and is_one(call.method, self.methods)


@frozen(kw_only=True)
class Mcp:
    """Methods of MCP, and tools for `tools/call` with what they are given; None: any. What calls nothing (GET, an
    answer) is part of it; several messages at once are not (MCP 2025-06-18, "no batching")."""

    methods: tuple[Glob, ...] | None = None
    tools: tuple[Glob, ...] | None = None
    arguments: Arguments | None = None
    server_methods: tuple[Glob, ...] | None = None

    def matches(self, calls: tuple[Call, ...]) -> bool:
        return len(calls) <= 1 and all(
            call.kind is CallKind.JSONRPC and self._matches_call(call) for call in calls
        )

    def touches(self, calls: tuple[Call, ...]) -> bool:
        """Whether one of them is meant by its method, where methods are named, or by its tool."""
        return any(call.kind is CallKind.JSONRPC and self._is_named(call) for call in calls)

    def _matches_call(self, call: Call) -> bool:
        if not call.method:
            return True
        if self.methods is not None and not is_one(call.method, self.methods):
            return False
        if call.method != TOOL_CALL:
            return True
        if self.tools is not None and not is_one(call.name or "", self.tools):
            return False
        return self.arguments is None or fits(self.arguments, call)

    def _is_named(self, call: Call) -> bool:
        by_method = self.methods is not None and is_one(call.method, self.methods)
        by_tool = self.tools is not None and call.method == TOOL_CALL and is_one(call.name or "", self.tools)
        if self.arguments is None or call.method != TOOL_CALL:
            return by_method or by_tool
        by_argument = self.methods is self.tools is None and names_tool(self.arguments, call)
        return (by_method or by_tool or by_argument) and touches(self.arguments, call)


@frozen(kw_only=True)
class WebSocket:
    """Whether a rule allows WebSockets, whether their messages are looked through, the path that asks for one, what
    may be asked for, and the bounds of what follows: bytes of a message, so many of a side, how long in all.
    """

    enabled: bool = True
    frame_scan: bool = False
    origins: frozenset[str] | None = None
    subprotocols: frozenset[str] | None = None
    binary: bool = True
    message: int | None = None
    messages: Rate | None = None
    seconds: int | None = None
    proxy_path: str | None = None

    @property
    def asks(self) -> bool:
        """Whether it says something of what is asked for."""
        return self.origins is not None or self.subprotocols is not None

    @property
    def must_see(self) -> bool:
        """Whether it says something that only holds where what is inside TLS is seen."""
        usual = WebSocket(proxy_path=self.proxy_path)
        return self != usual

    @property
    def terms(self) -> MessageTerms:
        """What it says of messages."""
        return MessageTerms(
            binary=self.binary, message_bytes=self.message, messages=self.messages, seconds=self.seconds
        )

    def matches(self, attempt: Attempt) -> bool:
        """Whether it may be asked for like this; what can't be seen may not. Of subprotocols one at least is named."""
        if self.origins is not None and attempt.origin not in self.origins:
            return False
        if self.subprotocols is None:
            return True
        return bool(attempt.subprotocols) and (attempt.subprotocols or frozenset()) <= self.subprotocols


@frozen(kw_only=True)
class Headers:
    """Names of header fields, in lower case."""

    required: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()

    def find_missing(self, names: frozenset[str]) -> str | None:
        return min(self.required - names, default=None)

    def find_forbidden(self, names: frozenset[str]) -> str | None:
        """`_` for `-` too: a server that passes fields as variables (RFC 3875 4.1.18) knows no difference."""
        return min((name for name in names if name.replace("_", "-") in self.forbidden), default=None)


def find_service(query: str) -> str | None:
    """The service of git that a query asks for, if it asks for nothing else."""
    service = query.removeprefix("service=")
    return service if service != query and service in SERVICES else None


def _split_fields(call: Call) -> list[Call]:
    return [attrs.evolve(call, fields=(field,)) for field in call.fields] or [call]


def is_one(word: str, globs: Iterable[Glob]) -> bool:
    return any(glob.matches(word) for glob in globs)


def find_git(attempt: Attempt) -> tuple[str, str] | None:
    """The path of the repository and the service that git asks for, by HTTP (gitprotocol-http) or SSH, or None."""
    try:
        path = parse_path(attempt.path or "")
    except ValueError:
        return None
    if attempt.protocol is Protocol.SSH:
        repository, service = path, attempt.service
    elif attempt.method == "GET" and path.endswith(ADVERTISEMENT):
        repository, service = path.removesuffix(ADVERTISEMENT), attempt.service
    elif attempt.method == "POST" and not attempt.query:
        repository, _, service = path.rpartition("/")
    else:
        return None
    repository = repository.removesuffix(".git")
    return (repository, service) if service in SERVICES else None
